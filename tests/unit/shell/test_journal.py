"""What the journal has kept: asked for by the unit's name and the time, if there is one; without secrets."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from station.shell import journal

Program = Callable[[str], str]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """A program in place of journalctl, by what it does."""

    def made(script: str) -> str:
        path = tmp_path / "journalctl"
        path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
        path.chmod(0o700)
        return str(path)

    return made


@pytest.mark.parametrize(
    "cgroup, unit",
    [
        ("0::/system.slice/ocpp-station.service\n", "ocpp-station.service"),
        ("12:pids:/x\n0::/system.slice/system-ocpp.slice/ocpp@left.service/inner\n", "ocpp@left.service"),
        ("0::/user.slice/session-1.scope\n", None),
        ("", None),
    ],
)
def test_the_unit_is_that_of_the_control_group(tmp_path: Path, cgroup: str, unit: str | None) -> None:
    (tmp_path / "cgroup").write_text(cgroup, "ascii")

    assert journal.unit({"JOURNAL_STREAM": "1:2"}, tmp_path / "cgroup") == unit
    assert journal.unit({}, tmp_path / "cgroup") is None
    assert journal.unit({"JOURNAL_STREAM": "1:2"}, tmp_path / "nowhere") is None


def test_it_is_asked_for_the_unit_and_the_time(program: Program) -> None:
    told = b"".join(journal.lines("a.service", 1000.4, 2000.0, program('echo "$@"')))

    assert {b"--unit=a.service", b"--since=@1000", b"--until=@2000", b"--utc"} <= set(told.split())
    assert b"--since" not in b"".join(journal.lines("a.service", None, None, program('echo "$@"')))


def test_no_secret_and_no_half_line_passes(program: Program) -> None:
    """Whoever logged it."""
    script = (
        "i=0; while [ $i -lt 3000 ]; do echo 'GET https://me:opensesame@host/ password=opensesame'; i=$((i+1)); done"
    )

    pieces = list(journal.lines("a.service", None, None, program(script)))

    assert len(pieces) > 1
    assert all(piece.endswith(b"\n") for piece in pieces)
    assert b"".join(pieces).count(b"***") == 6000
    assert b"opensesame" not in b"".join(pieces)


def test_without_a_journal_there_is_nothing(tmp_path: Path, program: Program) -> None:
    assert list(journal.lines("a.service", None, None, str(tmp_path / "nowhere"))) == []
    assert list(journal.lines("a.service", None, None, program("exit 1"))) == []


def test_one_that_hangs_is_ended(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that nobody reads to its end."""
    monkeypatch.setattr(journal, "PATIENCE_S", 0.3)
    began = time.monotonic()
    assert list(journal.lines("a.service", None, None, program("exec sleep 30"))) == []

    reading = journal.lines("a.service", None, None, program("while :; do echo line; done"))
    assert next(reading)
    reading.close()  # type: ignore[attr-defined]  # a generator

    assert time.monotonic() - began < 15
