"""One open connection over a line that is played: what is handed up, and until when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from station.shell.connection import Connection
from station.shell.linkdown import Down, DownKind
from station.shell.network import LinkOptions

OPTIONS = LinkOptions(ping_interval_s=0, close_timeout_s=1)


class PlayedLine:
    """A line whose peer goes on talking while it is closed."""

    subprotocol = "ocpp2.0.1"
    tls = None
    compressed = False
    path = ()
    chain = ()

    def __init__(self) -> None:
        self.hear: Callable[[str | bytes], bool]
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.read_on: list[bool] = []

    def listen(self, hear: Callable[[str | bytes], bool]) -> None:
        """From now on."""
        self.hear = hear

    def resume(self) -> None:
        """Nothing waits."""

    async def ended(self) -> None:
        """When the test says so."""
        await self.over

    def send(self, text: str) -> bool:
        """There is room."""
        return bool(text)

    async def writable(self) -> None:
        """Always."""

    async def ping(self) -> asyncio.Future[None]:
        """Never answered."""
        return asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        """Two more messages come before the peer's goodbye."""
        self.read_on = [self.hear("late"), self.hear("later")]

    def abort(self) -> None:
        """Nothing more to do."""


def play(scene: Callable[[PlayedLine, list[str | bytes]], Coroutine[None, None, None]]) -> None:
    """A scene with a line and what is heard of it."""

    async def run() -> None:
        await scene(PlayedLine(), [])

    asyncio.run(run())


def test_what_comes_while_a_connection_is_closed_is_heard_by_nobody_and_keeps_the_goodbye_from_nobody() -> None:
    """Its answer could not leave any more; the line is read on, for the peer's goodbye stands behind it."""

    async def scene(line: PlayedLine, heard: list[str | bytes]) -> None:
        connection = Connection(line, heard.append, OPTIONS)
        running = asyncio.ensure_future(connection.run())
        await asyncio.sleep(0)
        assert line.hear("in time")

        running.cancel()
        await asyncio.wait({running})
        await connection.end(abrupt=False)

        assert heard == ["in time"]
        assert line.read_on == [True, True]

    play(scene)


def test_what_came_before_the_peer_ended_the_connection_is_heard() -> None:
    """The line tells of its end when all is handed over, and until then it is heard."""

    async def scene(line: PlayedLine, heard: list[str | bytes]) -> None:
        connection = Connection(line, heard.append, OPTIONS)
        running = asyncio.ensure_future(connection.run())
        await asyncio.sleep(0)
        line.hear("the last")
        line.over.set_exception(Down(DownKind.CLOSED, "goodbye"))

        assert (await running).kind is DownKind.CLOSED
        assert heard == ["the last"]

    play(scene)
