"""The TLS handshake, done in a thread: a key in a TPM signs within it, for a second if the chip is slow, or for ever.

asyncio would do it in the loop, which then neither feeds the watchdog nor lets anybody charge. So a thread does it over
the bare socket, with `Shaken`; after that asyncio is handed this as the context of its connection and finds the
handshake done. What is left to the loop takes no private key: renegotiation is off (`certs/tls.py`).
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Any, TypeVar

from certs.tls import WildcardOnly
from station.shell.errand import errand

T = TypeVar("T")

_CHUNK_BYTES = 16_384
_VERDICT_S = 1.0


async def shaken(
    sock: socket.socket, context: ssl.SSLContext, host: str, within_s: float, *, judged: bool = False
) -> Shaken:
    """Do the handshake as a client of `host`. Raises OSError, of which SSLError is one.

    `judged`: the server judges our certificate, with TLS 1.3 when our side of the handshake is over; what it says of it
    is waited for a moment, and read first: a request that crosses it would be answered by a reset, which takes it away.
    If waiting for it is given up, nothing more is said to the server; a chip that hangs holds the thread, not us.
    """
    connection = Shaken(context, host)
    theirs = sock.dup()  # the thread's own, so that closing ours takes no descriptor from under it
    theirs.settimeout(within_s)
    try:
        await errand(lambda: connection.shake(theirs, judged=judged), "tls")
    except BaseException:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        raise
    return connection


class Shaken:
    """A TLS connection; towards asyncio also the context that makes it.

    The encrypted bytes that asyncio gets and gives lie in buffers of its own, which it makes too late for a handshake:
    they are carried over to and from ours.
    """

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._came, self._goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._came, self._goes, server_hostname=host)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()

    def shake(self, sock: socket.socket, *, judged: bool) -> None:
        """The handshake, over a socket that is closed then. Blocks; raises OSError."""
        with sock:
            while not self._step(sock):
                said = sock.recv(_CHUNK_BYTES)
                if not said:
                    raise ConnectionResetError("the server ended the TLS handshake")
                self._came.write(said)
            if judged and self.tls.version() == "TLSv1.3":
                sock.settimeout(_VERDICT_S)
                with contextlib.suppress(OSError):  # nothing in time, or the end: whoever reads next meets it
                    self._came.write(sock.recv(_CHUNK_BYTES))

    def _step(self, sock: socket.socket) -> bool:
        """As far as what came suffices; whether it is done."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            done = False
        except WildcardOnly:  # what lies ready would show it our certificate
            raise
        except ssl.SSLError:
            with contextlib.suppress(OSError):  # the alert; the reason counts more than whether that still goes out
                sock.sendall(self._goes.read())
            raise
        else:
            done = True
        sock.sendall(self._goes.read())
        return done

    # --- what asyncio asks of a context and of its connection

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, **_more: object) -> Shaken:
        """The connection, from now on by these buffers."""
        self._incoming, self._outgoing = incoming, outgoing
        return self

    def do_handshake(self) -> None:
        """It is done."""

    def read(self, *arguments: Any) -> Any:
        """Decrypted bytes."""
        return self._carried(lambda: self.tls.read(*arguments))

    def write(self, data: bytes) -> int:
        """Bytes to encrypt."""
        return self._carried(lambda: self.tls.write(data))

    def unwrap(self) -> None:
        """Say goodbye."""
        self._carried(self.tls.unwrap)

    def getpeercert(self) -> object:
        """The server's certificate."""
        return self.tls.getpeercert()

    def cipher(self) -> object:
        """The suite."""
        return self.tls.cipher()

    def compression(self) -> object:
        """None."""
        return self.tls.compression()

    def _carried(self, act: Callable[[], T]) -> T:
        self._came.write(self._incoming.read())
        try:
            return act()
        finally:
            self._outgoing.write(self._goes.read())
