"""The only module that knows `websockets`: opening handshake and messages over a TCP connection that stands.

Importing it costs 40 ms, so `dial` does that at the first attempt. Of the library's own reconnecting, pinging and time
limits nothing is used: the link has its own, which survive a stalled event loop (design section 6).
"""

from __future__ import annotations

import asyncio
import base64
import logging
import socket
import ssl
from collections.abc import Awaitable
from typing import Any, NamedTuple

from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHeader,
    InvalidStatus,
    NegotiationError,
    WebSocketException,
)
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import CloseCode
from websockets.typing import Subprotocol

from station.shell.linkdown import Down, DownKind, explain
from station.shell.network import Credentials, LinkOptions, NetworkProfile

_LOG = logging.getLogger("station.websockets")
_LOG.setLevel(logging.WARNING)  # its debug lines hold the Authorization header (field.md 13)

_DEFLATE = ClientPerMessageDeflateFactory(
    client_no_context_takeover=True,  # a CSMS may lose our context, and 64 kB stay free
    server_max_window_bits=12,
    client_max_window_bits=12,
    compress_settings={"memLevel": 5},
)

_QUEUED_FRAMES = 4  # further ones stay in the socket until the core has taken these

_STATUS: dict[int, DownKind] = {401: DownKind.HTTP_401, 403: DownKind.HTTP_403, 404: DownKind.HTTP_404}


class _Connection(ClientConnection):
    """Remembers how far the transport came and why it broke; the library keeps only that it did."""

    secured = False
    broken: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.secured = True  # with TLS, this is called when its handshake is complete
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.broken = exc
        super().connection_lost(exc)


class Line:
    """An open WebSocket connection. Every method raises `Down` when it is open no longer."""

    def __init__(self, connection: ClientConnection, subprotocol: str) -> None:
        self._connection = connection
        self.subprotocol = subprotocol

    @property
    def tls(self) -> str | None:
        """Protocol version and cipher suite, None without TLS."""
        tls = self._connection.transport.get_extra_info("ssl_object")
        suite = tls.cipher() if isinstance(tls, ssl.SSLObject) else None
        return f"{tls.version()} {suite[0]}" if suite else None

    @property
    def compressed(self) -> bool:
        """Whether permessage-deflate was negotiated."""
        return bool(self._connection.protocol.extensions)

    async def receive(self) -> str | bytes:
        """The next message; bytes if it was a binary one. May be cancelled without losing any."""
        try:
            return await self._connection.recv()
        except ConnectionClosed as closed:
            raise _closed(self._connection, closed) from closed

    async def send(self, text: str) -> None:
        """Send a text message; waits while more than 32 kB are unsent."""
        try:
            await self._connection.send(text)
        except ConnectionClosed as closed:
            raise _closed(self._connection, closed) from closed

    async def ping(self) -> Awaitable[float]:
        """Send a ping; what is returned is done when its pong has come, or the connection has gone."""
        try:
            return await self._connection.ping()
        except ConnectionClosed as closed:
            raise _closed(self._connection, closed) from closed

    async def close(self) -> None:
        """Say goodbye (1000) and wait for the answer, at most the close timeout. Never raises."""
        await self._connection.close()

    def abort(self) -> None:
        """Cut the connection at once, as a broken cable does."""
        self._connection.transport.abort()


class Upgrade(NamedTuple):
    """What the opening handshake needs: where, how secured, who, which versions."""

    url: str
    context: ssl.SSLContext | None
    profile: NetworkProfile
    credentials: Credentials
    options: LinkOptions


async def open_line(sock: socket.socket, upgrade: Upgrade) -> Line:
    """Do TLS and the opening handshake over `sock`, which is closed if that fails. Raises Down."""
    made: list[_Connection] = []

    def create(protocol: ClientProtocol, **arguments: Any) -> _Connection:
        made.append(_Connection(protocol, **arguments))
        return made[-1]

    try:
        connection = await connect(
            upgrade.url,
            sock=sock,
            ssl=upgrade.context,
            subprotocols=[Subprotocol(name) for name in upgrade.profile.subprotocols],
            extensions=[_DEFLATE] if upgrade.options.compression else None,
            compression=None,  # the library would offer it with its own settings
            additional_headers=_headers(upgrade),
            user_agent_header="ocpp-station",
            open_timeout=None,
            ping_interval=None,
            close_timeout=upgrade.options.close_timeout_s,
            max_size=upgrade.options.max_message_bytes,
            max_queue=_QUEUED_FRAMES,
            logger=_LOG,
            create_connection=create,  # type: ignore[arg-type]  # called, never subclassed
        )
    except (OSError, WebSocketException, EOFError, ValueError) as error:
        if upgrade.context and made and not made[-1].secured and isinstance(error, ConnectionError):
            raise Down(DownKind.TLS_OTHER, "the server ended the TLS handshake without saying why") from error
        down = _refused(error, made[-1].broken if made else None)
        if down.why.kind is DownKind.CLOSED and upgrade.profile.security_profile == 3:  # noqa: PLR2004 - its name
            # With TLS 1.3 the server judges our certificate after our side of the handshake (security.md, section 8).
            down = Down(DownKind.CLOSED, f"{down.why.detail}; it may have refused the station's certificate")
        raise down from error
    if connection.subprotocol is None:
        await connection.close(CloseCode.PROTOCOL_ERROR, "no OCPP subprotocol")
        offered = ", ".join(upgrade.profile.subprotocols)
        raise Down(DownKind.SUBPROTOCOL, f"the server chose no subprotocol; offered: {offered}")
    return Line(connection, connection.subprotocol)


def _headers(upgrade: Upgrade) -> dict[str, str]:
    """A00.FR.203, A00.FR.302: the credentials with every connection request; none in profile 3."""
    if upgrade.profile.security_profile not in {1, 2}:
        return {}
    user = upgrade.credentials.user_name or upgrade.credentials.identity
    pair = f"{user}:{upgrade.credentials.password}".encode()
    return {"Authorization": "Basic " + base64.b64encode(pair).decode()}


def _refused(error: Exception, broken: Exception | None) -> Down:
    """Why the opening handshake failed."""
    if isinstance(error, InvalidStatus):
        code = error.response.status_code
        return Down(_STATUS.get(code, DownKind.HTTP_OTHER), f"HTTP {code} {error.response.reason_phrase}")
    if isinstance(error, EOFError) or isinstance(error.__cause__, EOFError):
        if isinstance(broken, ssl.SSLError):
            return Down.of(explain(broken))
        return Down(DownKind.CLOSED, "the server closed the connection instead of answering the HTTP request")
    if isinstance(error, NegotiationError) and "subprotocol" in str(error):
        return Down(DownKind.SUBPROTOCOL, str(error))
    if isinstance(error, InvalidHeader) and error.name.lower() == "sec-websocket-protocol":
        return Down(DownKind.SUBPROTOCOL, str(error))
    if isinstance(error, WebSocketException):
        return Down(DownKind.HANDSHAKE, f"{error} ({error.__cause__})" if error.__cause__ else str(error))
    if isinstance(error, ValueError) and not isinstance(error, OSError):
        # The library does not follow a redirect over a socket of ours; older versions say so, and more, by ValueError.
        return Down(DownKind.HTTP_OTHER if "redirect" in str(error) else DownKind.HANDSHAKE, str(error))
    return Down.of(explain(error))


def _closed(connection: ClientConnection, closed: ConnectionClosed) -> Down:
    """Why an open connection ended."""
    if closed.rcvd is not None:
        return Down(DownKind.CLOSED, f"closed by the CSMS: {closed.rcvd}")
    if closed.sent is not None:
        return Down(DownKind.CLOSED, f"closed by the station: {closed.sent}")
    broken = getattr(connection, "broken", None)
    return Down(DownKind.CLOSED, f"connection lost: {broken}" if broken else "connection lost without a close frame")
