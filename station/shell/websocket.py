"""The only module that knows `websockets`: opening handshake and messages over a TCP connection that stands.

Of the library only its protocol without I/O is used; the socket is served here. Its own asyncio connection brings an
HTTP client along (a unit of CPU at the start), and reconnects, pings and times out, which the link does in its own way:
its limits survive a stalled event loop (design section 6).
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from typing import cast

import msgspec

from certs.tls import verified, vouching
from station.shell.linkdown import Down, DownKind, explain
from station.shell.network import Credentials, LinkOptions, NetworkProfile
from station.shell.postponed import postponed

# The first, a unit of CPU, is asked by unreleased versions of the library only, the second for addresses of IPv6.
with postponed("importlib.metadata", "ipaddress"):
    from websockets.client import ClientProtocol
    from websockets.exceptions import InvalidHeader, InvalidStatus, NegotiationError, WebSocketException
    from websockets.extensions import ClientExtensionFactory
    from websockets.frames import CloseCode, Frame, Opcode
    from websockets.http11 import Response
    from websockets.protocol import OPEN
    from websockets.typing import Subprotocol
    from websockets.uri import parse_uri

_LOG = logging.getLogger("station.websockets")
_LOG.setLevel(logging.WARNING)  # its debug lines hold the Authorization header (field.md 13)

_QUEUED_MESSAGES = 4
"""Further ones stay in the socket until the core has taken these."""

_BUFFER_BYTES = 16_384
_UNSENT_BYTES = 32_768
"""With more than these not taken by the kernel, the line is not writable."""

_MOST_UNSENT_BYTES = 1_048_576
"""And with more than these it is cut: every ping has to be answered, whether or not the peer reads the answers."""

_STATUS: dict[int, DownKind] = {401: DownKind.HTTP_401, 403: DownKind.HTTP_403, 404: DownKind.HTTP_404}
_BAD_REQUEST = 400
_SAID = 120
"""Bytes that are told of what a server says when it refuses."""


class Line(asyncio.BufferedProtocol):
    """A WebSocket connection over one transport. Every awaitable method raises `Down` when it is open no longer.

    It reads into a buffer of its own: asyncio would allocate and free 256 kB for each message.

    Invariant: whatever the protocol has to say is written before anybody sees what it received.
    """

    def __init__(self, protocol: ClientProtocol, options: LinkOptions) -> None:
        self.secured = False
        """How far it came: with TLS, its handshake is complete."""
        self.broken: Exception | None = None
        """Why the transport ended, if not in good order."""
        self.subprotocol = ""
        self._protocol = protocol
        self._close_timeout_s = options.close_timeout_s
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
        self._news = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._reading = True
        self._pings: dict[bytes, asyncio.Future[None]] = {}
        self._closing: asyncio.TimerHandle | None = None

    # --- what the link sees

    @property
    def tls(self) -> str | None:
        """Protocol version and cipher suite, None without TLS."""
        tls = self._transport.get_extra_info("ssl_object")
        suite = tls.cipher() if isinstance(tls, ssl.SSLObject) else None
        return f"{tls.version()} {suite[0]}" if suite else None

    @property
    def chain(self) -> list[bytes]:
        """The path (DER) from the server's certificate to the root that vouched for it, as far as it is known."""
        tls = self._transport.get_extra_info("ssl_object")
        return verified(tls) if isinstance(tls, ssl.SSLObject) else []

    @property
    def path(self) -> tuple[str, ...]:
        """SHA-256 of each certificate of that path."""
        tls = self._transport.get_extra_info("ssl_object")
        return vouching(tls) if isinstance(tls, ssl.SSLObject) else ()

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

    async def receive(self) -> str | bytes:
        """The next message; bytes if it was a binary one. May be cancelled without losing any."""
        while not self._messages:
            if self._lost.done():
                raise self._down()
            self._news.clear()
            await self._news.wait()
        message = self._messages.popleft()
        if not self._reading and len(self._messages) < _QUEUED_MESSAGES:
            self._reading = True
            self._transport.resume_reading()
        return message

    def send(self, text: str) -> bool:
        """Send a text message; False if the kernel has left more than 32 kB of it and others: see `writable`.

        What is said while the connection ends goes nowhere; `receive` tells of the end.
        """
        if self._protocol.state is OPEN:
            self._protocol.send_text(text.encode())
            self._write()
        return self._writable.is_set()

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
        self.secured = True
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(_UNSENT_BYTES)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to put what comes."""
        del sizehint
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came."""
        self._protocol.receive_data(self._buffer[:nbytes].tobytes())
        self._write()
        if self._transport.get_write_buffer_size() > _MOST_UNSENT_BYTES:
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
        self._news.set()
        self._writable.set()

    def pause_writing(self) -> None:
        """The kernel takes no more."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It does again."""
        self._writable.set()

    # --- between the two

    def _write(self) -> None:
        """Hand over what the protocol has to say, and see to it that a connection that ought to end does."""
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            elif self._transport.can_write_eof():
                self._transport.write_eof()
            else:
                self._transport.close()
        if self._closing is None and self._protocol.close_expected():
            self._closing = self._loop.call_later(self._close_timeout_s, self._transport.abort)

    def _take_events(self) -> None:
        for event in self._protocol.events_received():
            if isinstance(event, Response):
                _done(self._response)
            elif isinstance(event, Frame):
                self._take_frame(event)

    def _take_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PONG:
            self._pong(bytes(frame.data))
        elif frame.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            if frame.opcode is not Opcode.CONT:
                self._kind = frame.opcode
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
        self._news.set()
        if self._reading and len(self._messages) >= _QUEUED_MESSAGES:
            self._reading = False
            self._transport.pause_reading()

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


Judge = Callable[[list[bytes]], Awaitable[None]]


class Upgrade(msgspec.Struct, frozen=True):
    """What the opening handshake needs: where, how secured, who, which versions."""

    url: str
    context: ssl.SSLContext | None
    profile: NetworkProfile
    credentials: Credentials
    options: LinkOptions
    judge: Judge | None = None
    """Has the last word on the server's certificates, before anything is said to it. Raises Down."""


async def open_line(sock: socket.socket, upgrade: Upgrade) -> Line:
    """Do TLS and the opening handshake over `sock`, which is closed if that fails. Raises Down."""
    made: list[Line] = []
    done = False
    try:
        where = parse_uri(upgrade.url)
        protocol = ClientProtocol(
            where,
            subprotocols=[Subprotocol(name) for name in upgrade.profile.subprotocols],
            extensions=_extensions(upgrade.options),
            max_size=upgrade.options.max_message_bytes,
            logger=_LOG,
        )

        def make() -> Line:
            made.append(Line(protocol, upgrade.options))
            return made[-1]

        host = where.host if upgrade.context else None
        _, line = await asyncio.get_running_loop().create_connection(
            make, sock=sock, ssl=upgrade.context, server_hostname=host
        )
        if upgrade.judge is not None and line.chain:
            await upgrade.judge(line.chain)
        await line.upgrade(_headers(upgrade))
        done = True
    except (OSError, WebSocketException, EOFError, ValueError) as error:
        raise _refused(error, upgrade, made[-1] if made else None) from error
    finally:
        if not made:
            sock.close()
        elif made[-1].secured and not done:
            made[-1].abort()
    if not line.subprotocol:
        await line.close(CloseCode.PROTOCOL_ERROR, "no OCPP subprotocol")
        offered = ", ".join(upgrade.profile.subprotocols)
        raise Down(DownKind.SUBPROTOCOL, f"the server chose no subprotocol; offered: {offered}")
    return line


def _extensions(options: LinkOptions) -> list[ClientExtensionFactory] | None:
    """Compression with little memory: 16 kB each way and as much for the compressor.

    Each message builds on the ones before, which takes three quarters of the bytes that are left; a CSMS that cannot
    keep so much forbids it by its answer (RFC 7692, 7.1.1.2).
    """
    if not options.compression:
        return None
    from websockets.extensions.permessage_deflate import (  # noqa: PLC0415 - where it is wanted
        ClientPerMessageDeflateFactory,
    )

    return [
        ClientPerMessageDeflateFactory(
            server_max_window_bits=12, client_max_window_bits=12, compress_settings={"memLevel": 5}
        )
    ]


def _headers(upgrade: Upgrade) -> dict[str, str]:
    """Who speaks. A00.FR.203, A00.FR.302: the password with every connection request; none in profile 3."""
    headers = {"User-Agent": "ocpp-station"}
    if upgrade.profile.security_profile in {1, 2}:
        user = upgrade.credentials.user_name or upgrade.credentials.identity
        pair = f"{user}:{upgrade.credentials.password}".encode()
        headers["Authorization"] = "Basic " + base64.b64encode(pair).decode()
    return headers


def _refused(error: Exception, upgrade: Upgrade, line: Line | None) -> Down:
    """Why the opening handshake failed."""
    if upgrade.context and line and not line.secured and isinstance(error, ConnectionError):
        return Down(DownKind.TLS_OTHER, "the server ended the TLS handshake without saying why")
    down = _handshake_failed(error, line.broken if line else None)
    if down.why.kind is DownKind.CLOSED and upgrade.profile.security_profile == 3:  # noqa: PLR2004 - its name
        # With TLS 1.3 the server judges our certificate after our side of the handshake.
        return Down(DownKind.CLOSED, f"{down.why.detail}; it may have refused the station's certificate")
    return down


def _handshake_failed(error: Exception, broken: Exception | None) -> Down:
    if isinstance(error, InvalidStatus):
        return _not_switched(error.response)
    if isinstance(error, EOFError) or isinstance(error.__cause__, EOFError):
        if isinstance(broken, ssl.SSLError):
            return Down.of(explain(broken))
        return Down(DownKind.CLOSED, "the server closed the connection instead of answering the HTTP request")
    if isinstance(error, NegotiationError) and "subprotocol" in str(error):
        return Down(DownKind.SUBPROTOCOL, str(error))
    if isinstance(error, InvalidHeader) and error.name.lower() == "sec-websocket-protocol":
        return Down(DownKind.SUBPROTOCOL, str(error))
    if isinstance(error, WebSocketException) or (isinstance(error, ValueError) and not isinstance(error, OSError)):
        # ValueError: what version 14 raises for an answer that is no HTTP.
        return Down(DownKind.HANDSHAKE, f"{error} ({error.__cause__})" if error.__cause__ else str(error))
    return Down.of(explain(error))


def _not_switched(response: Response) -> Down:
    """Many a server says in a plain body what is wrong; those in Python tell a missing subprotocol that way."""
    code = response.status_code
    said = (response.body or b"")[:_SAID].decode("utf-8", "replace").strip()
    kind = _STATUS.get(code, DownKind.HTTP_OTHER)
    if code == _BAD_REQUEST and "subprotocol" in said.lower():
        kind = DownKind.SUBPROTOCOL
    plain = bool(said) and not said.startswith(("<", "{"))
    return Down(kind, f"HTTP {code} {response.reason_phrase}" + (f": {said}" if plain else ""))


def _done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
