"""How a connection to a CSMS is opened once TCP stands: TLS, the HTTP upgrade; and why that failed.

Nothing is said to a server whose certificates do not satisfy whoever judges them (A00.FR.311).
"""

from __future__ import annotations

import asyncio
import base64
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import cast

import msgspec

from station.shell.handshake import Shaken, shaken
from station.shell.linkdown import Down, DownKind, explain
from station.shell.network import Credentials, LinkOptions, NetworkProfile
from station.shell.postponed import answering, postponed
from station.shell.websocket import Line, address

with postponed("importlib.metadata", "copy", "inspect"), answering("ipaddress", ip_address=address):  # as in there
    from websockets.client import ClientProtocol
    from websockets.exceptions import InvalidHeader, InvalidStatus, NegotiationError, WebSocketException
    from websockets.extensions import ClientExtensionFactory
    from websockets.frames import CloseCode
    from websockets.http11 import Response
    from websockets.typing import Subprotocol
    from websockets.uri import parse_uri

_LOG = logging.getLogger("station.websockets")
_LOG.setLevel(logging.WARNING)  # its debug lines hold the Authorization header (field.md 13)

_STATUS: dict[int, DownKind] = {401: DownKind.HTTP_401, 403: DownKind.HTTP_403, 404: DownKind.HTTP_404}
_OWN_CERTIFICATE = 3  # the security profile
_BAD_REQUEST = 400
_SAID = 120
"""Bytes that are told of what a server says when it refuses."""

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
    secured: Shaken | None = None
    made: list[Line] = []
    line: Line | None = None
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
        if upgrade.context is not None:
            within_s, judged = upgrade.options.connect_timeout_s, upgrade.profile.security_profile == _OWN_CERTIFICATE
            secured = await shaken(sock, upgrade.context, where.host, within_s, judged=judged)

        def make() -> Line:
            made.append(Line(protocol, upgrade.options, secured.tls if secured else None))
            return made[-1]

        _, line = await asyncio.get_running_loop().create_connection(
            make,
            sock=sock,
            ssl=cast("ssl.SSLContext | None", secured),
            server_hostname=where.host if secured else None,
        )
        if secured is not None and upgrade.judge is not None:
            await upgrade.judge(line.chain)
        await line.upgrade(_headers(upgrade))
        done = True
    except (OSError, WebSocketException, EOFError, ValueError) as error:
        raise _refused(error, upgrade, line) from error
    finally:
        if not made:
            sock.close()
        elif line is not None and not done:  # if there is none, asyncio has closed what it had begun
            line.abort()
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
    if upgrade.context and line is None and isinstance(error, ConnectionError):
        return Down(DownKind.TLS_OTHER, "the server ended the TLS handshake without saying why")
    down = _handshake_failed(error, line.broken if line else None)
    if down.why.kind is DownKind.CLOSED and upgrade.profile.security_profile == _OWN_CERTIFICATE:
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
