"""The link has no state without a way out (field.md 2): whatever fails, and in whatever order, it dials again."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from station.shell.backoff import BackoffSettings
from station.shell.link import Link, LinkSetup, LinkUp
from station.shell.linkdown import Down, DownKind, LinkDown
from station.shell.network import Credentials, LinkOptions, NetworkProfile
from tests.link_bench import dice, run

FAILURES = (
    Down(DownKind.HTTP_401, "no"),
    ConnectionRefusedError("refused"),
    OSError(113, "no route"),
    TimeoutError(),
    ssl.SSLError(1, "handshake"),
    ssl.SSLCertVerificationError("certificate"),
    EOFError(),
    ValueError("odd"),
    RuntimeError("a bug"),
    asyncio.InvalidStateError("a bug"),
    KeyError("a bug"),
)

OPTIONS = LinkOptions(ping_interval_s=0, close_timeout_s=0.01, connect_timeout_s=1)


class FakeLine:
    """A connection whose every method may fail."""

    subprotocol = "ocpp2.0.1"
    tls = None
    compressed = False
    path = ()

    def __init__(self, trouble: Exception | None) -> None:
        self.trouble = trouble
        self.gone: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def listen(self, hear: Callable[[str | bytes], bool]) -> None:
        """One message."""
        hear("a message")

    def resume(self) -> None:
        """Nothing waits."""

    async def ended(self) -> None:
        """Ends by the trouble, or never."""
        if self.trouble:
            raise self.trouble
        await self.gone

    def send(self, text: str) -> bool:
        """Send nothing."""
        assert text
        if self.trouble:
            raise self.trouble
        return True

    async def writable(self) -> None:
        """Always."""

    async def ping(self) -> Awaitable[float]:
        """Never answered."""
        return asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        """May fail, too."""
        if self.trouble:
            raise self.trouble

    def abort(self) -> None:
        """May fail, too."""
        if self.trouble:
            raise self.trouble


class Clumsy:
    """A listener that raises when told to."""

    def __init__(self) -> None:
        self.trouble: Exception | None = None
        self.ups = asyncio.Event()

    def on_up(self, up: LinkUp) -> None:
        """A connection stands."""
        if self.trouble:
            raise self.trouble
        assert up.subprotocol
        self.ups.set()

    def on_down(self, down: LinkDown) -> None:
        """No connection."""
        assert down.remedy
        if self.trouble:
            raise self.trouble

    def on_text(self, text: str | bytes) -> None:
        """A message."""
        if self.trouble:
            raise self.trouble
        assert text


STEPS = st.one_of(
    st.tuples(st.sampled_from(["dial fails", "line fails", "listener fails"]), st.integers(0, len(FAILURES) - 1)),
    st.tuples(st.sampled_from(["reconnect", "off and on", "configure", "no profiles", "send", "accepted"]), st.just(0)),
)


class World:
    """The network, as the steps of a test make it."""

    def __init__(self) -> None:
        self.dial_trouble: Exception | None = None
        self.line_trouble: Exception | None = None

    async def dial(self, profile: NetworkProfile, credentials: Credentials, options: LinkOptions) -> FakeLine:
        """An attempt."""
        assert profile.url and credentials.identity and options.close_timeout_s  # noqa: PT018 - used, not judged
        await asyncio.sleep(0)
        if self.dial_trouble:
            raise self.dial_trouble
        return FakeLine(self.line_trouble)


async def no_pause(seconds: float) -> None:
    """The waits between attempts take no time."""
    assert 0 <= seconds <= 86_400
    await asyncio.sleep(0)


def perform(link: Link, setup: LinkSetup, step: str) -> None:
    """What the rest of the station may ask for at any time."""
    if step == "reconnect":
        link.reconnect()
    elif step == "off and on":
        link.enable(False)  # noqa: FBT003 - the state itself
        link.enable(True)  # noqa: FBT003 - the state itself
    elif step == "configure":
        link.configure(LinkSetup(setup.profiles[:1], setup.credentials, OPTIONS))
    elif step == "no profiles":
        link.configure(LinkSetup((), setup.credentials, OPTIONS))
    elif step == "send":
        link.send("text")
    elif step == "accepted":
        link.accepted()


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_after_any_sequence_of_troubles_the_link_comes_up_and_stops_when_told(steps: list[tuple[str, int]]) -> None:
    """Every path leads to the next attempt; nothing but `stop` ends the supervisor."""

    async def scenario() -> None:
        world, listener = World(), Clumsy()
        setup = LinkSetup(
            (NetworkProfile(1, "ws://a", 1), NetworkProfile(2, "ws://b", 1)),
            (Credentials("CS1"), Credentials("CS1", "old")),
            OPTIONS,
            BackoffSettings(),
        )
        link = Link(setup, listener, dice(), dial=world.dial, pause=no_pause)
        task = asyncio.ensure_future(link.run())
        for step, number in steps:
            world.dial_trouble = FAILURES[number] if step == "dial fails" else None
            world.line_trouble = FAILURES[number] if step == "line fails" else None
            listener.trouble = FAILURES[number] if step == "listener fails" else None
            perform(link, setup, step)
            for _ in range(number % 5 + 1):
                await asyncio.sleep(0)
            assert not task.done()

        world.dial_trouble = world.line_trouble = listener.trouble = None
        link.configure(setup)
        link.reconnect()
        listener.ups.clear()
        await listener.ups.wait()
        assert link.send("text")
        assert await link.flush(1)

        link.stop()
        await task
        assert link.up is None

    run(scenario())


def test_cancelling_the_supervisor_ends_the_connection() -> None:
    """As a task group does when another task has died."""

    async def scenario() -> None:
        world, listener = World(), Clumsy()
        setup = LinkSetup((NetworkProfile(1, "ws://a", 1),), (Credentials("CS1"),), OPTIONS)
        link = Link(setup, listener, dice(), dial=world.dial, pause=no_pause)
        task = asyncio.ensure_future(link.run())
        await listener.ups.wait()

        task.cancel()
        await asyncio.wait({task})

        assert task.cancelled()
        assert link.up is None

    run(scenario())
