"""What a transfer runs over: its sockets, TLS, pace; and the one who watches it from outside.

A transfer blocks in a thread of its own. Timeouts of single reads do not notice a peer that sends a byte now and then,
so what counts is what the watcher sees: payload has to move. When it does not, or nobody wants the transfer any more,
the watcher cuts the connection, and whatever the thread waits for ends.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from certs.tls import TlsSettings, client_context, verified
from station.shell.network import Revocation

CHUNK = 8192
"""Bytes sent at once: on the slowest line that counts as alive they leave before a send times out."""


class Pace(msgspec.Struct, frozen=True):
    """How slow is too slow, in seconds and bytes, and how fast is too fast."""

    connect_s: float = 30.0
    stall_s: float = 60.0
    """Within this time `least_bytes` of payload have to move, or the next phase has to begin."""
    least_bytes: int = 2048
    limit_bytes_s: int | None = None
    """No faster than this; None: as fast as it goes."""


class Trust(NamedTuple):
    """Whom to believe: authorities for TLS, known hosts for SSH.

    `known_hosts`: a file of OpenSSH's form that names the only servers; without it the first key that a server shows
    is kept in `host_keys`, and it must show the same ever after. `revocation`: as for a CSMS. `this_machine`: whether
    servers may be on it.
    """

    tls: TlsSettings
    host_keys: Path
    known_hosts: Path | None = None
    revocation: Revocation = Revocation()
    this_machine: bool = False


NEAR = "{} is this machine itself, where the CSMS has no files"


def check_distant(host: str, address: str) -> None:
    """Raise PermissionError for an address of this machine, or of what hangs on it without a router.

    A URL is the CSMS's word: it must not make the station speak for it to whoever trusts all that is on the machine.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    found = getattr(found, "ipv4_mapped", None) or found
    if found.is_loopback or found.is_link_local or found.is_unspecified or found.is_multicast:
        raise PermissionError(errno.EACCES, NEAR.format(host))


class Line:
    """One transfer, as its thread and its watcher see it."""

    def __init__(self, trust: Trust, pace: Pace, clock: Callable[[], float] = time.monotonic) -> None:
        self.trust = trust
        self.pace = pace
        self.moved_bytes = 0
        """Payload that has moved."""
        self.reason: Exception | None = None
        """Why the line was cut."""
        self.judge: Callable[[list[bytes]], None] = lambda _path: None
        """Has the last word on a server's certificates (the path, DER), before anything is said to it. May raise."""
        self._clock = clock
        self._context: ssl.SSLContext | None = None
        self._cutters: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._cut = threading.Event()
        self._mark = (clock(), 0)
        self._free_at = clock()

    # --- the thread's side

    def connect(self, host: str, port: int) -> socket.socket:
        """A TCP connection that ends when the line is cut. Raises OSError."""
        self.phase()
        sock = self._connected(host, port)
        try:
            sock.settimeout(self.pace.stall_s)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(self.pace.stall_s * 1000))
            self.hold(lambda: socket.socket.shutdown(sock, socket.SHUT_RDWR))
        except BaseException:
            sock.close()
            raise
        return sock

    def _connected(self, host: str, port: int) -> socket.socket:
        """To the first of its addresses that answers. Raises OSError of the last that did not."""
        last: OSError = OSError(f"{host} has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(self.pace.connect_s)
                if not self.trust.this_machine:  # of the address that is used: a name may lead elsewhere each time
                    check_distant(host, str(address[0]))
                sock.connect(address)
                if not self.trust.this_machine and sock.getpeername()[0] == sock.getsockname()[0]:
                    raise PermissionError(errno.EACCES, NEAR.format(host))
            except OSError as error:
                last = error
                sock.close()
            else:
                return sock
        raise last

    def secured(self, sock: socket.socket, host: str, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
        """The same connection by TLS, its server verified to be `host`. Raises ssl.SSLError, and what `judge` does."""
        if self._context is None:
            settings = self.trust.tls._replace(system_roots=True, allow_wildcards=True, chain=None, key=None)
            self._context = client_context(settings)
        wrapped = self._context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False, session=session)
        try:
            self.hold(lambda: socket.socket.shutdown(wrapped, socket.SHUT_RDWR))  # SSLSocket's own forgets about TLS
            wrapped.do_handshake()
            if not wrapped.session_reused:  # a session goes on with whom it was begun
                self.judge(verified(wrapped))
                self.phase()
        except BaseException:
            wrapped.close()
            raise
        return wrapped

    def hold(self, cutter: Callable[[], None]) -> None:
        """What ends the thread's waiting when the line is cut. Raises what it was cut for."""
        with self._lock:
            self._cutters.append(cutter)
        if self._cut.is_set():
            self._call_cutters()
        self.check()

    def phase(self) -> None:
        """Something else begins, for which there is time anew."""
        self._mark = (self._clock(), self.moved_bytes)
        self.check()

    def moved(self, count: int) -> None:
        """So much payload more has moved; waits where that was too fast. Raises what the line was cut for."""
        self.moved_bytes += count
        wait_s = self.pause_s(count)
        if wait_s > 0:
            self._cut.wait(wait_s)
        self.check()

    def pause_s(self, count: int) -> float:
        """How long to wait after so many bytes, for the limit's sake."""
        if self.pace.limit_bytes_s is None:
            return 0.0
        now = self._clock()
        self._free_at = max(self._free_at, now) + count / self.pace.limit_bytes_s
        return self._free_at - now

    def check(self) -> None:
        """Raises what the line was cut for."""
        if self.reason is not None:
            raise self.reason

    # --- the watcher's side

    @property
    def stalled(self) -> bool:
        """Whether too little has moved for too long; to be asked every few seconds."""
        since, before = self._mark
        now = self._clock()
        if self.moved_bytes - before >= self.pace.least_bytes:
            self._mark = (now, self.moved_bytes)
            return False
        return now - since > self.pace.stall_s

    def cut(self, reason: Exception) -> None:
        """End it: the thread gets `reason`, whatever it waits for. The first reason counts."""
        if self.reason is None:
            self.reason = reason
            self._cut.set()
            self._call_cutters()

    def _call_cutters(self) -> None:
        with self._lock:
            cutters, self._cutters = self._cutters, []
        for cutter in cutters:
            with contextlib.suppress(OSError, RuntimeError):  # the connection, or its loop, is closed already
                cutter()


@contextlib.contextmanager
def closing(sock: socket.socket) -> Iterator[socket.socket]:
    """Close it in the end, whatever it says to that."""
    try:
        yield sock
    finally:
        with contextlib.suppress(OSError):
            sock.close()
