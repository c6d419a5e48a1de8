"""One attempt to reach a CSMS: name, TCP, TLS, HTTP upgrade, within one time limit. Raises `Down` with the cause.

A socket that is connected notices a dead peer by itself: TCP_USER_TIMEOUT for data on its way, keepalive for silence
(field.md 4). The password leaves only after TLS has accepted the server (A00.FR.311).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from certs.errors import CertsError
from certs.tls import TlsSettings, client_context
from station.shell.contexts import Contexts
from station.shell.linkdown import Down, DownKind, LinkDown, explain
from station.shell.names import Address, Resolver
from station.shell.network import Credentials, LinkOptions, NetworkProfile, connection_url
from station.shell.probe import tls_problem
from station.shell.revocation import Revoked

log = logging.getLogger(__name__)

_MAX_ADDRESSES = 4
_PROBE_EVERY_S = 600.0
_KEEPALIVE_IDLE_S = 60
_KEEPALIVE_INTERVAL_S = 10
_KEEPALIVE_COUNT = 3
_OWN_CERTIFICATE = 3
_KEY = "the station's key"
_SUSPECT = {DownKind.TLS_OTHER, DownKind.TLS_CLIENT, DownKind.TLS_CIPHER, DownKind.CLOSED, DownKind.TIMEOUT}
"""How a handshake ends whose key does not sign."""
_DEFAULT_PORTS = {"ws": 80, "wss": 443}


class Line(Protocol):
    """An open connection. Every awaitable method but `close` raises `Down` when it is open no longer."""

    subprotocol: str

    @property
    def tls(self) -> str | None:
        """Protocol version and cipher suite, None without TLS."""
        ...

    @property
    def path(self) -> tuple[str, ...]:
        """SHA-256 of the CSMS's certificate and of those that vouched for it, in turn; as far as it is known."""
        ...

    @property
    def compressed(self) -> bool:
        """Whether permessage-deflate was negotiated."""
        ...

    def listen(self, hear: Callable[[str | bytes], bool]) -> None:
        """Hand over what has come, and from now on what comes; no more after a False, until `resume`."""
        ...

    def resume(self) -> None:
        """There is room for more messages."""
        ...

    async def ended(self) -> None:
        """Wait for the end, and until every message that came before it is handed over."""
        ...

    def send(self, text: str) -> bool:
        """Send a message; False if the line has enough to do with it. Never raises `Down`: `ended` does."""
        ...

    async def writable(self) -> None:
        """Wait until the line takes more."""
        ...

    async def ping(self) -> Awaitable[object]:
        """Send a ping; what is returned is done when its pong has come, or the connection has gone."""
        ...

    async def close(self) -> None:
        """End the connection in good order."""
        ...

    def abort(self) -> None:
        """End the connection at once."""
        ...


Dial = Callable[[NetworkProfile, Credentials, LinkOptions], Awaitable[Line]]
"""Reaches a CSMS, or raises; `Down` where the cause is known."""


class Dialer:
    """Reaches real CSMSs. Keeps one TLS context for reconnects, since a TPM has few slots."""

    def __init__(
        self,
        resolver: Resolver | None = None,
        make_context: Callable[[TlsSettings], ssl.SSLContext] = client_context,
    ) -> None:
        self._resolver = resolver or Resolver()
        self._contexts = Contexts(make_context)
        self._phase = ""
        self._revoked = Revoked(Resolver())  # of its own: a responder's name must not hold up the CSMS's
        self._probed: tuple[float, Down | None] | None = None

    async def __call__(self, profile: NetworkProfile, credentials: Credentials, options: LinkOptions) -> Line:
        """One attempt, and a second one at once with roots that were replaced, where they may still vouch (M05.FR.14).

        Raises Down; after `options.connect_timeout_s` each is given up, whatever it waits for.
        """
        try:
            return await self._proven(profile, credentials, options)
        except Down as down:
            replaced = credentials.replaced
            if down.why.kind is not DownKind.TLS_CERTIFICATE or replaced is None or profile.url not in replaced.urls:
                raise
            log.warning("link.root_replaced", extra={"url": profile.url, "detail": down.why.detail})
        tls = credentials.tls._replace(roots_pem=replaced.pem)
        return await self._proven(profile, msgspec.structs.replace(credentials, tls=tls, replaced=None), options)

    async def _proven(self, profile: NetworkProfile, credentials: Credentials, options: LinkOptions) -> Line:
        """One attempt. If it failed although name and line were right, a key in a TPM or token is proven anew.

        Without it the CSMS gets no certificate, or OpenSSL says nothing but "EVP lib".
        """
        try:
            return await self._limited(profile, credentials, options)
        except Down as down:
            why = down.why
        key = credentials.tls.key if profile.security_profile == _OWN_CERTIFICATE else None
        if key is not None and key.prepare is not None and why.kind in _SUSPECT:
            self._contexts.drop()  # now that nothing refers to it any more, not even the error
            try:
                await asyncio.wait_for(self._tls(profile, credentials), options.connect_timeout_s)
            except Down as down:
                why = down.why
            except TimeoutError:
                why = LinkDown(DownKind.KEY, f"the key's TPM or token does not answer ({why.detail})")
        raise Down.of(why)

    async def _limited(self, profile: NetworkProfile, credentials: Credentials, options: LinkOptions) -> Line:
        attempt = asyncio.ensure_future(self._attempt(profile, credentials, options))
        try:
            await asyncio.wait({attempt}, timeout=options.connect_timeout_s)
            if attempt.done():
                return attempt.result()
        except Down:
            raise
        except (OSError, EOFError, CertsError) as error:
            raise Down.of(self._in_phase(explain(error))) from error
        finally:
            await _give_up(attempt)
        kind = DownKind.KEY if self._phase == _KEY else DownKind.TIMEOUT
        raise Down(kind, f"{self._phase}: no answer within {options.connect_timeout_s:g} s")

    async def _attempt(self, profile: NetworkProfile, credentials: Credentials, options: LinkOptions) -> Line:
        url = connection_url(profile, credentials.identity)
        self._phase = _KEY
        context = await self._tls(profile, credentials)
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme]
        self._phase = "name resolution"
        addresses = await self._resolver.resolve(host, port, options.connect_timeout_s / 2)
        self._phase = "connection"
        sock = await _connect(addresses, options)
        self._phase = "TLS or WebSocket handshake" if context else "WebSocket handshake"
        from station.shell import opening  # noqa: PLC0415 - dear, at the first attempt

        async def judge(chain: list[bytes]) -> None:
            await self._revoked(chain, credentials.revocation)

        try:
            upgrade = opening.Upgrade(url, context, profile, credentials, options, judge)
            line = await opening.open_line(sock, upgrade)
        except Down as down:
            if down.why.kind is not DownKind.TLS_OTHER:
                raise
            raise await self._probe(addresses, host, options) or down from down
        self._probed = None
        return line

    async def _probe(self, addresses: list[Address], host: str, options: LinkOptions) -> Down | None:
        """Why a server hung up during the TLS handshake; asked once in ten minutes, so that it is not dialled twice."""
        now = asyncio.get_running_loop().time()
        if self._probed is None or now >= self._probed[0] + _PROBE_EVERY_S:
            sock = await _connect(addresses, options)
            self._probed = (now, await tls_problem(sock, host, options.connect_timeout_s / 2))
        return self._probed[1]

    async def _tls(self, profile: NetworkProfile, credentials: Credentials) -> ssl.SSLContext | None:
        """The context for a profile. Raises Down(CONFIG) and Down(KEY)."""
        settings = _settings(profile, credentials)
        return await self._contexts.of(settings) if settings is not None else None

    def _in_phase(self, why: LinkDown) -> LinkDown:
        return LinkDown(why.kind, f"{self._phase}: {why.detail}" if self._phase else why.detail)


def _settings(profile: NetworkProfile, credentials: Credentials) -> TlsSettings | None:
    """How to do TLS by a profile; None: without. Raises Down(CONFIG)."""
    if profile.security_profile == 1:
        return None
    settings = credentials.tls
    if profile.security_profile == 2:  # noqa: PLR2004 - the name of the profile is its number
        return settings._replace(chain=None, key=None)
    if settings.chain is None or settings.key is None:
        raise Down(DownKind.CONFIG, "security profile 3 needs the station's certificate and its key")
    return settings


async def _connect(addresses: list[Address], options: LinkOptions) -> socket.socket:
    """A connected TCP socket to the first address that answers. Raises OSError of the last one that did not."""
    each_s = options.connect_timeout_s / 2 / min(len(addresses), _MAX_ADDRESSES)
    last: OSError = OSError("no address")
    for address in addresses[:_MAX_ADDRESSES]:
        try:
            return await _connect_to(address, each_s, options)
        except OSError as error:
            last = error
    raise last


async def _connect_to(address: Address, timeout_s: float, options: LinkOptions) -> socket.socket:
    sock = socket.socket(address.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    connecting = asyncio.ensure_future(asyncio.get_running_loop().sock_connect(sock, address.endpoint))
    connected = False
    try:
        _tune(sock, options)
        await asyncio.wait({connecting}, timeout=timeout_s)
        connected = connecting.done() and connecting.exception() is None
    finally:
        if not connected:
            connecting.cancel()
            await asyncio.wait({connecting})  # the loop watches the descriptor until then
            sock.close()
    if connecting.cancelled():
        raise TimeoutError(f"{address.endpoint[0]} does not answer")
    connecting.result()
    return sock


def _tune(sock: socket.socket, options: LinkOptions) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, _KEEPALIVE_IDLE_S),
        (socket.TCP_KEEPINTVL, _KEEPALIVE_INTERVAL_S),
        (socket.TCP_KEEPCNT, _KEEPALIVE_COUNT),
        (socket.TCP_USER_TIMEOUT, round(options.user_timeout_s * 1000)),
    ):
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


async def _give_up(attempt: asyncio.Future[Line]) -> None:
    """End an attempt that is still going on; a connection that stands just then is cut."""
    if attempt.done():
        return
    attempt.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        (await attempt).abort()
