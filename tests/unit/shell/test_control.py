"""The control socket: one line, one answer, whoever connects and whatever he sends (design 9)."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from hal.errors import NotFound
from station.shell import control
from station.shell.control import LONGEST_LINE, MOST_CLIENTS, Address, Answer, CommandError, Control

Talk = Callable[[Path], Awaitable[None]]


async def echo(line: bytes) -> Answer:
    """Gives back what it got."""
    return {"got": json.loads(line)}


async def refuse(_: bytes) -> Answer:
    """Cannot be done."""
    raise CommandError("nothing is plugged in")


async def break_down(_: bytes) -> Answer:
    """A bug."""
    raise KeyError("secret detail")


def serve(path: Path, talk: Talk) -> None:
    """Run a control socket and somebody who talks to it."""

    async def run() -> None:
        ready = asyncio.Event()
        commands = {"echo": echo, "refuse": refuse, "bug": break_down}
        serving = asyncio.ensure_future(Control(Address(path=path), None, commands, ready.set).run())
        starting = asyncio.ensure_future(ready.wait())
        await asyncio.wait({serving, starting}, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        try:
            await asyncio.wait_for(talk(path), 10)
        finally:
            serving.cancel()
            await asyncio.gather(serving, starting, return_exceptions=True)

    asyncio.run(run())


async def ask(path: Path, *lines: bytes) -> list[dict[str, Any]]:
    """Send lines over one connection; the answers, in order."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"".join(line + b"\n" for line in lines))
    answers = [json.loads(await reader.readline()) for _ in lines]
    writer.close()
    return answers


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the socket will be."""
    return tmp_path / "run" / "control.sock"


def test_a_line_is_answered_by_a_line(path: Path) -> None:
    """In the order of the lines."""

    async def talk(path: Path) -> None:
        first, second = await ask(path, b'{"cmd":"echo","n":1}', b'{"cmd":"refuse"}')

        assert first == {"ok": True, "got": {"cmd": "echo", "n": 1}}
        assert second == {"ok": False, "error": "refuse: nothing is plugged in"}

    serve(path, talk)


@pytest.mark.parametrize(
    "line, expected",
    [
        (b"plug in please", "expected one JSON object"),
        (b"[1, 2]", "expected one JSON object"),
        (b"{}", "expected one JSON object"),
        (b'{"cmd": 5}', "expected one JSON object"),
        (b'{"cmd": "reboot"}', "no command 'reboot' (there are: echo, refuse, bug)"),
        (b"\xff\xfe\x00", "expected one JSON object"),
        (b"[" * 30_000, "expected one JSON object"),
        (b'{"cmd": "bug"}', "bug: an error in the agent; its log tells more"),
    ],
)
def test_what_cannot_be_done_is_told_and_the_next_line_is_heard(path: Path, line: bytes, expected: str) -> None:
    """Nothing of a bug's detail leaves the log."""

    async def talk(path: Path) -> None:
        bad, good = await ask(path, line, b'{"cmd":"echo"}')

        assert bad["ok"] is False
        assert expected in bad["error"]
        assert "secret detail" not in bad["error"]
        assert good["ok"] is True

    serve(path, talk)


def test_a_line_that_is_nested_for_ever_is_answered(path: Path) -> None:
    """Whatever it asks for, and wherever the depth is."""

    async def talk(path: Path) -> None:
        deep = b"[" * 30_000
        answers = await ask(path, b'{"cmd":"echo","data":' + deep, deep, b'{"cmd":' + deep, b'{"cmd":"echo"}')

        assert [answer["ok"] for answer in answers] == [False, False, False, True]

    serve(path, talk)


def test_a_client_that_does_not_read_loses_its_place(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answers are not kept for ever."""
    monkeypatch.setattr(control, "PATIENCE_S", 0.05)

    async def talk(path: Path) -> None:
        reader, writer = await asyncio.open_unix_connection(path, limit=1)
        line = b'{"cmd":"echo","x":"' + b"x" * 60_000 + b'"}\n'

        async def ask_on() -> None:
            while True:
                writer.write(line)
                await writer.drain()

        with pytest.raises(ConnectionError):
            await ask_on()
        assert not reader.at_eof()
        assert (await ask(path, b'{"cmd":"echo"}'))[0]["ok"] is True

    serve(path, talk)


def test_a_line_without_end_costs_its_connection_only(path: Path) -> None:
    """Memory is bounded."""

    async def talk(path: Path) -> None:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"x" * (2 * LONGEST_LINE + 1))

        assert "longer than" in json.loads(await reader.readline())["error"]
        assert (await ask(path, b'{"cmd":"echo"}'))[0]["ok"] is True
        writer.close()

    serve(path, talk)


def test_too_many_clients_are_sent_away(path: Path) -> None:
    """And there is room again when one has left."""

    async def talk(path: Path) -> None:
        held = [await asyncio.open_unix_connection(path) for _ in range(MOST_CLIENTS)]
        for _, writer in held:
            writer.write(b'{"cmd":"echo"}\n')
        for reader, _ in held:
            await reader.readline()

        reader, writer = await asyncio.open_unix_connection(path)
        assert json.loads(await reader.readline())["error"] == f"{MOST_CLIENTS} clients are connected already"
        writer.close()

        held[0][1].close()
        assert await held[0][0].read() == b""  # it has left on the other side, too
        assert (await ask(path, b'{"cmd":"echo"}'))[0]["ok"] is True
        for _, each in held[1:]:
            each.close()

    serve(path, talk)


def test_nobody_else_may_connect(path: Path) -> None:
    """Mode 0600 from the first moment, in a directory that is not open either."""
    modes: list[int] = []

    async def talk(path: Path) -> None:
        modes.extend(stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent))

    serve(path, talk)
    assert modes[0] == 0o600
    assert modes[1] & stat.S_IRWXO == 0
    assert not path.exists()


def test_the_socket_of_a_killed_agent_is_in_nobodys_way(path: Path) -> None:
    """It serves nobody any more."""

    async def talk(path: Path) -> None:
        assert (await ask(path, b'{"cmd":"echo"}'))[0]["ok"] is True

    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    serve(path, talk)


def test_the_socket_of_another_agent_is_left_to_it(path: Path) -> None:
    """Two configurations that name the same one: the second is told, the first goes on."""

    async def talk(path: Path) -> None:
        with pytest.raises(NotFound, match="another agent serves"):
            await Control(Address(path=path), None, {}, threading.Event().set).run()
        assert (await ask(path, b'{"cmd":"echo"}'))[0]["ok"] is True

    serve(path, talk)


def test_a_file_that_is_no_socket_is_left_alone(path: Path) -> None:
    """A wrong path must not cost anybody a file."""
    path.parent.mkdir()
    path.write_text("precious", "utf-8")

    async def run() -> None:
        with pytest.raises(NotFound, match="is no socket"):
            await Control(Address(path=path), None, {}, ready.set).run()

    ready = threading.Event()
    asyncio.run(run())
    assert ready.is_set()  # a station charges without its control socket
    assert path.read_text("utf-8") == "precious"


def test_a_port_of_loopback_serves_as_well(tmp_path: Path) -> None:
    """127.0.0.1:PORT in the configuration."""
    address = Address.of("127.0.0.1:0", tmp_path)

    assert (address.path, address.host, address.port) == (None, "127.0.0.1", 0)
    assert Address.of("run/c.sock", tmp_path).path == tmp_path / "run" / "c.sock"
