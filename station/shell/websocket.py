"""A WebSocket connection over a transport that stands; how one is opened: `opening.py`.

These two are the only modules that know `websockets`. Of the library only its protocol without I/O is used; the socket
is served here. Its own asyncio connection brings an HTTP client along (a unit of CPU at the start), and reconnects,
pings and times out, which the link does in its own way: its limits survive a stalled event loop (design section 6).
"""

from __future__ import annotations

import asyncio
import importlib
import os
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from typing import cast

from certs.tls import verified, vouching
from station.shell.linkdown import Down, DownKind
from station.shell.network import LinkOptions
from station.shell.postponed import answering, postponed


def address(host: str) -> object:
    """`ipaddress.ip_address` for the library, which looks only whether a host is an address of IPv6."""
    if ":" not in host:
        raise ValueError(host)
    return importlib.import_module("ipaddress").ip_address(host)


# The first, a unit of CPU, is asked by unreleased versions of the library only; the others by the standard library's
# dataclasses, for what nobody asks of them here.
with postponed("importlib.metadata", "copy", "inspect"), answering("ipaddress", ip_address=address):
    from websockets.client import ClientProtocol
    from websockets.frames import CloseCode, Frame, Opcode
    from websockets.http11 import Response
    from websockets.protocol import OPEN

_QUEUED_MESSAGES = 4
"""Further ones stay in the socket until the core has taken these."""

_BUFFER_BYTES = 16_384
_UNSENT_BYTES = 32_768
"""With more than these not taken by the kernel, the line is not writable."""

_MOST_UNSENT_BYTES = 1_048_576
"""And with more than these it is cut: every ping has to be answered, whether or not the peer reads the answers."""


class Line(asyncio.BufferedProtocol):
    """A WebSocket connection over one transport. Every awaitable method raises `Down` when it is open no longer.

    It reads into a buffer of its own: asyncio would allocate and free 256 kB for each message.

    Invariant: whatever the protocol has to say is written before anybody sees what it received.
    """

    def __init__(self, protocol: ClientProtocol, options: LinkOptions, tls: ssl.SSLObject | None = None) -> None:
        self.broken: Exception | None = None
        """Why the transport ended, if not in good order."""
        self.subprotocol = ""
        self._protocol = protocol
        self._close_timeout_s = options.close_timeout_s
        self._tls = tls
        self._transport: asyncio.Transport
        self._loop = asyncio.get_running_loop()
        self._response: asyncio.Future[None] = self._loop.create_future()
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._messages: deque[str | bytes] = deque()
        self._kind = Opcode.TEXT
        self._data = bytearray()
        """What has come of a message in parts: as bytes, since a part may be empty and then counts for no limit."""
        self._unread = False
        self._hear: Callable[[str | bytes], bool]
        self._full = True
        """Whether nobody takes a message now."""
        self._taken = asyncio.Event()
        self._booked = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._is_writable = True
        self._reading = True
        self._pings: dict[bytes, asyncio.Future[None]] = {}
        self._closing: asyncio.TimerHandle | None = None

    # --- what the link sees

    @property
    def tls(self) -> str | None:
        """Protocol version and cipher suite, None without TLS."""
        suite = self._tls.cipher() if self._tls is not None else None
        return f"{self._tls.version()} {suite[0]}" if self._tls is not None and suite else None

    @property
    def chain(self) -> list[bytes]:
        """The path (DER) from the server's certificate to the root that vouched for it, as far as it is known."""
        return verified(self._tls) if self._tls is not None else []

    @property
    def path(self) -> tuple[str, ...]:
        """SHA-256 of each certificate of that path."""
        return vouching(self._tls) if self._tls is not None else ()

    @property
    def compressed(self) -> bool:
        """Whether permessage-deflate was negotiated."""
        return bool(self._protocol.extensions)

    async def upgrade(self, headers: dict[str, str]) -> None:
        """The opening handshake. Raises WebSocketException."""
        request = self._protocol.connect()
        request.headers.update(headers)
        self._protocol.send_request(request)
        self._write()
        await asyncio.wait({self._response, self._lost}, return_when=asyncio.FIRST_COMPLETED)
        if self._protocol.handshake_exc is not None:
            raise self._protocol.handshake_exc
        self.subprotocol = self._protocol.subprotocol or ""

    def listen(self, hear: Callable[[str | bytes], bool]) -> None:
        """Hand over what has come, and from now on what comes (bytes if it is binary), in the turn in which it does.

        No more after `hear` has returned False, until `resume`. It must not raise.
        """
        self._hear, self._full = hear, False
        self._hand_over()

    def resume(self) -> None:
        """There is room for more messages."""
        self._full = False
        self._hand_over()

    async def ended(self) -> None:
        """Wait for the end, and until every message that came before it is handed over."""
        await asyncio.wait({self._lost})
        while self._messages:
            self._taken.clear()
            await self._taken.wait()
        raise self._down()

    def send(self, text: str) -> bool:
        """Send a text message; False if the kernel has left more than 32 kB of it and others: see `writable`.

        What is said while the connection ends goes nowhere; `ended` tells of the end.
        """
        if self._protocol.state is OPEN:
            self._protocol.send_text(text.encode())
            for data in self._protocol.data_to_send():  # a text ends no connection
                self._transport.write(data)
        return self._is_writable

    async def writable(self) -> None:
        """Wait until the kernel takes more, or the connection has gone."""
        await self._writable.wait()

    async def ping(self) -> Awaitable[None]:
        """Send a ping; what is returned is done when its pong has come, or the connection has gone."""
        if self._protocol.state is not OPEN:
            await asyncio.wait({self._lost})
            raise self._down()
        mark = os.urandom(4)
        pong = self._pings[mark] = self._loop.create_future()
        self._protocol.send_ping(mark)
        self._write()
        return pong

    async def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Say goodbye and wait for the answer, at most the close timeout. Never raises."""
        if self._protocol.state is OPEN:
            self._protocol.send_close(code, reason)
            self._write()
        await asyncio.wait({self._lost})

    def abort(self) -> None:
        """Cut the connection at once, as a broken cable does."""
        self._transport.abort()

    # --- what the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP, and TLS if there is any, stand."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(_UNSENT_BYTES)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to put what comes."""
        del sizehint
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came."""
        self._protocol.receive_data(self._buffer[:nbytes].tobytes())
        if self._write() and self._transport.get_write_buffer_size() > _MOST_UNSENT_BYTES:
            self._unread = True
            self._transport.abort()
        self._take_events()

    def eof_received(self) -> None:
        """The peer says no more; asyncio then closes our side, too."""
        self._protocol.receive_eof()
        self._write()
        self._take_events()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end, whoever made it."""
        self.broken = exc
        self._protocol.receive_eof()
        if self._closing is not None:
            self._closing.cancel()
        for pong in self._pings.values():
            _done(pong)
        _done(self._lost)
        self.resume_writing()

    def pause_writing(self) -> None:
        """The kernel takes no more."""
        self._is_writable = False
        self._writable.clear()

    def resume_writing(self) -> None:
        """It does again."""
        self._is_writable = True
        self._writable.set()

    # --- between the two

    def _write(self) -> bool:
        """Hand over what the protocol has to say, and see to it that a connection that ought to end does.

        Whether there was anything: a connection that ought to end has said so just now.
        """
        said = self._protocol.data_to_send()
        if not said:
            return False
        for data in said:
            if data:
                self._transport.write(data)
            elif self._transport.can_write_eof():
                self._transport.write_eof()
            else:
                self._transport.close()
        if self._closing is None and self._protocol.close_expected():
            self._closing = self._loop.call_later(self._close_timeout_s, self._transport.abort)
        return True

    def _take_events(self) -> None:
        for event in self._protocol.events_received():
            if isinstance(event, Response):
                _done(self._response)
            elif isinstance(event, Frame):
                self._take_frame(event)

    def _take_frame(self, frame: Frame) -> None:
        opcode = frame.opcode
        if opcode is Opcode.PONG:
            self._pong(bytes(frame.data))
        elif opcode is Opcode.TEXT or opcode is Opcode.BINARY or opcode is Opcode.CONT:  # a set hashes each in Python
            if opcode is not Opcode.CONT:
                self._kind = opcode
            self._data += frame.data
            if frame.fin:
                self._message()

    def _message(self) -> None:
        """A message is complete."""
        data, self._data = bytes(self._data), bytearray()
        try:
            self._messages.append(data.decode() if self._kind is Opcode.TEXT else data)
        except UnicodeDecodeError as error:  # RFC 6455, 8.1
            self._protocol.fail(CloseCode.INVALID_DATA, f"{error.reason} at position {error.start}")
            self._write()
            return
        self._hand_over()

    def _hand_over(self) -> None:
        """One message a turn of the loop: others get theirs between two."""
        if self._messages and not self._full and not self._booked:
            self._full = not self._hear(self._messages.popleft())
            if not self._messages:
                if self._lost.done():
                    self._taken.set()
            elif not self._full:
                self._booked = True
                self._loop.call_soon(self._hand_over_next)
        waiting = len(self._messages) >= _QUEUED_MESSAGES
        if waiting is self._reading:  # read on, or no more
            self._reading = not waiting
            (self._transport.pause_reading if waiting else self._transport.resume_reading)()

    def _hand_over_next(self) -> None:
        self._booked = False
        self._hand_over()

    def _pong(self, mark: bytes) -> None:
        """A pong answers the pings before it, too (RFC 6455, 5.5.3)."""
        if mark in self._pings:
            for sent in list(self._pings):
                _done(self._pings.pop(sent))
                if sent == mark:
                    break

    def _down(self) -> Down:
        """Why an open connection ended."""
        if self._unread:
            return Down(DownKind.STALLED, "the CSMS asks (ping) and does not read the answers")
        closed = self._protocol.close_exc
        if closed.rcvd is not None:
            return Down(DownKind.CLOSED, f"closed by the CSMS: {closed.rcvd}")
        if closed.sent is not None:
            return Down(DownKind.CLOSED, f"closed by the station: {closed.sent}")
        if self.broken is not None:
            return Down(DownKind.CLOSED, f"connection lost: {self.broken}")
        return Down(DownKind.CLOSED, "connection lost without a close frame")


def _done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
