"""For tests of the link: a listener that remembers, waits that are stepped by hand, servers and certificates.

Real sockets and TLS on loopback; every wait of the link between attempts is virtual.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import random
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from certs.keystore import TlsKey
from certs.throwaway import Authority, Issued, Wish
from certs.tls import TlsSettings
from station.shell.backoff import BackoffSettings
from station.shell.link import Link, LinkSetup, LinkUp
from station.shell.linkdown import LinkDown
from station.shell.network import Credentials, LinkOptions, NetworkProfile

T = TypeVar("T")

PASSWORD = "correct-horse-battery"
IDENTITY = "CS 001/a"
NO_TLS = TlsSettings()
OPTIONS = LinkOptions(ping_interval_s=0, pong_timeout_s=0.2, connect_timeout_s=3, close_timeout_s=0.3)


def run(scenario: Coroutine[Any, Any, T]) -> T:
    """Run a scenario that ends by itself, within ten seconds at most."""

    async def limited() -> T:
        async with asyncio.timeout(10):
            return await scenario

    return asyncio.run(limited())


class Heard:
    """A listener that remembers what it was told, and can be made slow."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[LinkUp | LinkDown | str | bytes] = asyncio.Queue()
        self.downs: list[LinkDown] = []
        self.busy = asyncio.Event()
        self.busy.set()

    def on_up(self, up: LinkUp) -> None:
        """A connection stands."""
        self.events.put_nowait(up)

    def on_down(self, down: LinkDown) -> None:
        """No connection."""
        self.downs.append(down)
        self.events.put_nowait(down)

    def on_text(self, text: str | bytes) -> Awaitable[Any] | None:
        """A message; the next one waits while the listener is busy."""
        self.events.put_nowait(text)
        return None if self.busy.is_set() else self.busy.wait()

    async def up(self) -> LinkUp:
        """The next event, which must be a connection."""
        event = await self.events.get()
        assert isinstance(event, LinkUp), event
        return event

    async def down(self) -> LinkDown:
        """The next event, which must be a failure or an end."""
        event = await self.events.get()
        assert isinstance(event, LinkDown), event
        return event

    async def text(self) -> str | bytes:
        """The next event, which must be a message."""
        event = await self.events.get()
        assert isinstance(event, (str, bytes)), event
        return event


class Pauses:
    """The waits between attempts: remembered, and each over only when the test allows it."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self._begun: asyncio.Queue[float] = asyncio.Queue()
        self._allowed = asyncio.Semaphore(0)

    async def __call__(self, seconds: float) -> None:
        """Wait, as the link believes, so many seconds."""
        self.waits.append(seconds)
        self._begun.put_nowait(seconds)
        await self._allowed.acquire()

    async def next(self) -> float:
        """How long the link has decided to wait."""
        return await self._begun.get()

    def allow(self, times: int = 1) -> None:
        """Let the next waits be over."""
        for _ in range(times):
            self._allowed.release()


class Bench(NamedTuple):
    """A link at work, and what a test needs around it."""

    link: Link
    heard: Heard
    pauses: Pauses


def dice() -> random.Random:
    """Random, but the same in each run."""
    return random.Random(1)  # noqa: S311 - jitter is no secret


def setup_for(url: str, profile: int = 1, *, tls: TlsSettings = NO_TLS, **changes: Any) -> LinkSetup:
    """A set-up with one profile and one set of credentials, waits without randomness."""
    return LinkSetup(
        profiles=(NetworkProfile(1, url, profile, changes.pop("subprotocols", ("ocpp2.0.1", "ocpp1.6"))),),
        credentials=(Credentials(IDENTITY, changes.pop("password", PASSWORD), tls),),
        options=changes.pop("options", OPTIONS),
        backoff=BackoffSettings(10, 0, 2, 3),
        **changes,
    )


@asynccontextmanager
async def running(setup: LinkSetup) -> AsyncIterator[Bench]:
    """A link at work; stopped, with all it started, at the end."""
    heard, pauses = Heard(), Pauses()
    link = Link(setup, heard, dice(), pause=pauses)
    task = asyncio.ensure_future(link.run())
    try:
        yield Bench(link, heard, pauses)
    finally:
        link.stop()
        await asyncio.wait({task}, timeout=3)
        assert task.done()
        task.result()


async def first_failure(setup: LinkSetup) -> LinkDown:
    """Why the first attempt fails; and that the next one is planned."""
    async with running(setup) as bench:
        down = await bench.heard.down()
        assert await bench.pauses.next() == 10
        assert bench.link.up is None
        assert down.remedy
        assert down.slot == 1
        assert not down.was_up
        return down


class Csms:
    """A WebSocket server on loopback that checks the credentials and remembers requests and messages."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.lines: asyncio.Queue[ServerConnection] = asyncio.Queue()
        self.messages: asyncio.Queue[str | bytes] = asyncio.Queue()
        self.status: HTTPStatus | None = None
        self.basic = True
        self.port = 0

    def check(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse what is not to be let in."""
        self.requests.append(request)
        wanted = "Basic " + base64.b64encode(f"{IDENTITY}:{PASSWORD}".encode()).decode()
        if self.status:
            return connection.respond(self.status, "no\n")
        if self.basic and request.headers.get("Authorization") != wanted:
            return connection.respond(HTTPStatus.UNAUTHORIZED, "who are you?\n")
        return None

    async def handle(self, connection: ServerConnection) -> None:
        """Remember what comes."""
        self.lines.put_nowait(connection)
        async for message in connection:
            self.messages.put_nowait(message)

    def url(self, scheme: str = "ws", host: str = "127.0.0.1", path: str = "/ocpp") -> str:
        """The endpoint URL."""
        return f"{scheme}://{host}:{self.port}{path}"


@asynccontextmanager
async def csms(
    context: ssl.SSLContext | None = None,
    *,
    handle: Callable[[ServerConnection], Awaitable[None]] | None = None,
    host: str = "127.0.0.1",
    **how: Any,
) -> AsyncIterator[Csms]:
    """A CSMS that listens on a free port, of loopback if nothing else is said."""
    server = Csms()
    how.setdefault("subprotocols", ["ocpp2.0.1"])
    async with serve(
        handle or server.handle,
        host,
        0,
        ssl=context,
        process_request=server.check,
        ping_interval=None,
        close_timeout=0.2,
        **how,
    ) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server


@asynccontextmanager
async def raw_server(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """A TCP server that does what `talk` says; its endpoint URL."""
    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ocpp"


@contextmanager
def alerting_server(context: ssl.SSLContext, *, patient: bool = True, said: list[str] | None = None) -> Iterator[str]:
    """A TLS server that sends OpenSSL's alerts, as most do; asyncio's hang up without a word. Its endpoint URL.

    `patient`: it reads what still comes, else that turns its alert into a reset. `said`: how each handshake ended for
    it, by OpenSSL's name for the reason; "" if it is complete.
    """
    listening = socket.create_server(("127.0.0.1", 0))

    def work() -> None:
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            sock.settimeout(2)
            secured = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            try:
                secured.do_handshake()
            except OSError as error:
                reason = getattr(error, "reason", None) or type(error).__name__
            else:
                reason = ""
            if said is not None:
                said.append(reason)
            with contextlib.suppress(OSError), socket.socket(fileno=secured.detach()) as plain:
                plain.settimeout(2)
                while patient and plain.recv(4096):
                    pass

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield f"wss://127.0.0.1:{listening.getsockname()[1]}/ocpp"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(timeout=3)


class Pki(NamedTuple):
    """Certificates for a CSMS and a station, right ones and wrong ones."""

    root: Authority
    intermediate: Authority
    stranger: Authority
    good: Issued
    chained: Issued
    expired: Issued
    future: Issued
    elsewhere: Issued
    wildcard: Issued
    station: Issued
    foreign_station: Issued

    def trust(self, station: Issued | None = None, **more: Any) -> TlsSettings:
        """What a station trusts, and how it identifies itself in profile 3."""
        settings = TlsSettings(roots_pem=self.root.root_pem, **more)
        return settings._replace(chain=station.chain, key=TlsKey(station.key)) if station else settings


def make_pki(directory: Path) -> Pki:
    """All of it, in a second."""
    for name in ("good", "stranger"):
        (directory / name).mkdir()
    root = Authority.create("Root", directory / "good")
    stranger = Authority.create("Stranger", directory / "stranger")
    intermediate = root.subordinate("Intermediate")
    local = ["localhost", "127.0.0.1"]
    day = timedelta(days=1)
    return Pki(
        root,
        intermediate,
        stranger,
        good=root.issue("localhost", Wish(local)),
        chained=intermediate.issue("chained", Wish(local)),
        expired=root.issue("expired", Wish(local, valid=(-9 * day, -day))),
        future=root.issue("future", Wish(local, valid=(day, 9 * day))),
        elsewhere=root.issue("csms.example.com", Wish(["csms.example.com"])),
        wildcard=root.issue("wildcard", Wish(["*.localhost.test"])),
        station=intermediate.issue("CS001", Wish(organization="Operator")),
        foreign_station=stranger.issue("CS001", Wish(organization="Operator")),
    )


def server_context(issued: Issued, client_root: str | None = None, ciphers: str = "DEFAULT") -> ssl.SSLContext:
    """A CSMS's side of TLS; with `client_root` it asks for a certificate, as in profile 3."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(ciphers)
    context.load_cert_chain(issued.chain, issued.key)
    if client_root:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=client_root)
    return context
