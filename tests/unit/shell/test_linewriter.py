"""A reader of stderr that stands still: the log loses lines, and the agent no time."""

from __future__ import annotations

import io
import logging
import os
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from station.shell import linewriter, logs
from station.shell.linewriter import LineWriter

LINES = 3000
"""Many more than a pipe or a socket holds."""


class Reader:
    """The far end, which reads when it is asked to."""

    def __init__(self, kind: str) -> None:
        if kind == "pipe":
            self.handle, near = os.pipe()
        else:
            one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            self.handle, near = one.detach(), other.detach()
        self.near: TextIO = open(near, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - closed by the fixture

    def lines(self) -> list[str]:
        """All that has come."""
        found = bytearray()
        while select.select([self.handle], [], [], 0)[0] and (piece := os.read(self.handle, 1 << 20)):
            found += piece
        return found.decode().splitlines()


@pytest.fixture(params=["pipe", "socket"])
def reader(request: pytest.FixtureRequest) -> Iterator[Reader]:
    made = Reader(request.param)
    yield made
    made.near.close()
    os.close(made.handle)


def unblocked(deed: threading.Thread) -> bool:
    """Whether it came to its end; a generous time, for what would otherwise take for ever."""
    deed.daemon = True
    deed.start()
    deed.join(30.0)
    return not deed.is_alive()


def test_nobody_waits_for_a_reader_that_stands_still(reader: Reader) -> None:
    """What there is room for comes; the next line that does says how many were lost."""
    root, handler = logging.getLogger("a log of its own"), logs.Keeping(reader.near, journal=True)
    root.propagate = False
    root.handlers[:] = [handler]

    def told() -> None:
        for number in range(LINES):
            root.warning("event", extra={"number": number, "text": "x" * 500})

    assert unblocked(threading.Thread(target=told)), "the log waits for its reader"
    standing = reader.lines()
    root.warning("again")
    root.warning("and again")

    assert 20 < len(standing) < LINES
    assert [line.split()[:2] for line in standing] == [["<4>event", f"number={n}"] for n in range(len(standing))]
    assert {line[-500:] for line in standing} == {"x" * 500}
    assert reader.lines() == [f"<4>again lost={LINES - len(standing)}", "<4>and again"]


def test_a_reader_is_waited_for_once_in_a_while_only(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    now, waited = [0.0], list[float]()
    writer = LineWriter(reader.near, lambda: now[0])

    class Poll:
        """Nothing is ever ready."""

        def register(self, handle: int, events: int) -> None:
            """See select.poll."""

        def poll(self, timeout_ms: float) -> list[int]:
            """How long it would have been waited for."""
            waited.append(timeout_ms)
            return []

    monkeypatch.setattr(select, "poll", Poll)
    for second in (0.0, 0.0, 5.0, linewriter.PAUSE_S, linewriter.PAUSE_S + 1):
        now[0] = second
        assert not writer.write("a line")

    assert waited == [0, 100.0, 0, 0, 0, 100.0, 0]


def test_a_line_that_was_torn_is_not_gone_on_with(reader: Reader) -> None:
    """The next one begins at the beginning of a line."""
    writer = LineWriter(reader.near)
    while writer.write("x" * 20_000):
        pass
    before = reader.lines()
    assert writer.write("whole")

    assert before[0] == "x" * 20_000
    assert reader.lines()[-1] == "whole"


def test_a_stream_in_memory_or_a_file_takes_all(tmp_path: Path) -> None:
    memory = io.StringIO()
    assert LineWriter(memory).write("a line")
    assert memory.getvalue() == "a line\n"

    with (tmp_path / "log").open("w", encoding="utf-8") as file:
        assert LineWriter(file).write("\udcffa line")
    assert (tmp_path / "log").read_text("utf-8") == "\\udcffa line\n"
    with pytest.raises(ValueError, match="closed"):
        LineWriter(file).write("a line into whatever has its number now")
