"""How the system clock is set by somebody else, and that nobody waits for that (systemd/ocpp-station-clock)."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

from station.now import Wall
from station.shell import clock as module
from station.shell.clock import BUILT, LATEST, Machine, PatientMachine, StationClock

TODAY = BUILT + 50 * 86_400.0


def load_setter() -> ModuleType:
    """The program beside the units."""
    path = Path(__file__).parents[3] / "systemd" / "ocpp-station-clock"
    loader = SourceFileLoader("setter", str(path))
    made = module_from_spec(spec_from_loader("setter", loader))  # type: ignore[arg-type]  # there is one
    loader.exec_module(made)
    return made


@pytest.mark.parametrize(
    "line, said",
    [
        (f"{TODAY - 5000.0}\n", "ok"),
        (f"{BUILT - 5001.0}\n", "no clock shows such a time and is right"),
        (f"{LATEST - 4999.0}\n", "no clock shows such a time and is right"),
        ("nan\n", "no clock shows such a time and is right"),
        ("inf\n", "no clock shows such a time and is right"),
        ("", "not a number of seconds"),
        ("2026-11-27\n", "not a number of seconds"),
    ],
)
def test_who_sets_the_clock_takes_no_time_that_the_agent_would_not(
    monkeypatch: pytest.MonkeyPatch, line: str, said: str
) -> None:
    """By how much it is ahead of the monotonic clock; the limits are the agent's."""
    setter, was_set = load_setter(), []
    monkeypatch.setattr(setter.time, "monotonic", lambda: 5000.0)
    monkeypatch.setattr(setter.time, "clock_settime", lambda _, wall: was_set.append(wall))

    assert setter.answer(line) == said
    assert was_set == ([TODAY] if said == "ok" else [])
    assert (setter.EARLIEST, setter.LATEST) == (BUILT, LATEST)


@pytest.fixture
def setter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A socket in the place of who sets the clock; nothing is set."""
    monkeypatch.setattr(module, "SETTER", tmp_path / "setter.sock")
    monkeypatch.setattr(module, "SETTER_S", 0.2)
    monkeypatch.setattr(time, "clock_settime", None)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "setter.sock"))
        listening.listen()
        yield listening


def answer(setter: socket.socket, *pieces: bytes) -> list[float]:
    """To the one who asks: what comes of it, piece by piece. Gives what was asked for."""
    wire, _ = setter.accept()
    with wire:
        asked = float(wire.recv(64))
        for piece in pieces:
            wire.sendall(piece)
    return [asked]


@pytest.mark.parametrize("said", [[b"ok\n"], [b"o", b"k"]])
def test_the_system_clock_is_set_by_who_may(setter: socket.socket, said: list[bytes]) -> None:
    """Asked in terms of the clock that nobody sets, so that it may take its time."""
    machine = Machine()
    asked = machine.set(TODAY)
    assert asked is not None
    assert not asked.done(0.0)

    assert answer(setter, *said) == [pytest.approx(TODAY - machine.mono(), abs=5)]

    assert asked.done(0.0)


@pytest.mark.parametrize(
    "said, why", [(b"Not allowed\n", "Not allowed"), (b"x" * 300, "xxx"), (b"", "gives no answer")]
)
def test_who_may_tells_why_it_is_not_set(setter: socket.socket, said: bytes, why: str) -> None:
    asked = Machine().set(TODAY)
    assert asked is not None
    answer(setter, said)

    with pytest.raises(OSError, match=why):
        asked.done(0.0)


def test_the_core_does_not_wait_for_who_sets_the_clock(setter: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it does: its answer is heard at a later look, and is no jump of the system clock then."""
    monkeypatch.setattr(module, "SETTER_S", 600.0)
    station = standing(TODAY)
    begun = time.monotonic()
    station.heard(Wall(TODAY + 60), "Heartbeat")
    assert station.look() is None
    assert time.monotonic() - begun < 60.0

    answer(setter, b"ok\n")
    station.machine.wall = lambda: TODAY + 60  # type: ignore[method-assign]  # by now it is set
    assert station.look() is None

    assert station._may_set
    assert station._asked is None
    assert station._system_offset == pytest.approx(TODAY + 60 - station.mono(), abs=5)


def test_a_start_with_an_impossible_clock_waits_for_who_sets_it_and_not_for_ever(setter: socket.socket) -> None:
    """An answer that comes letter by letter does not prolong it."""
    machine, over = PatientMachine(), threading.Event()
    machine.wall = lambda: 0.0  # type: ignore[method-assign]  # 1970

    def trickle() -> None:
        wire, _ = setter.accept()
        with wire, contextlib.suppress(OSError):
            while not over.wait(0.05):
                wire.sendall(b"x")

    trickling = threading.Thread(target=trickle)
    trickling.start()
    begun = time.monotonic()
    station = StationClock(machine, may_set_system=True)
    taken_s = time.monotonic() - begun
    over.set()
    trickling.join()

    assert module.SETTER_S <= taken_s < 5.0
    assert station._asked is not None
    station._asked.close()


def test_who_gives_no_answer_is_asked_again_and_who_refuses_is_not(setter: socket.socket) -> None:
    """At the next look, for the time that it is by then."""
    station = standing(TODAY)
    station.heard(Wall(TODAY + 60), "Heartbeat")
    answer(setter)
    station.look()

    assert answer(setter, b"Operation not permitted\n") == [pytest.approx(TODAY + 60 - station.mono(), abs=5)]
    assert station._may_set
    station.look()
    assert not station._may_set
    assert station._asked is None


def test_nobody_who_could_be_asked_is_asked_once(setter: socket.socket) -> None:
    station = standing(TODAY)
    setter.close()

    station.heard(Wall(TODAY + 120), "Heartbeat")

    assert not station._may_set


def test_a_newer_time_takes_the_place_of_one_that_was_not_answered(setter: socket.socket) -> None:
    station = standing(TODAY)
    station.heard(Wall(TODAY + 60), "Heartbeat")
    station.heard(Wall(TODAY + 120), "Heartbeat")
    with setter.accept()[0] as first:
        assert [bool(first.recv(64)), first.recv(64)] == [True, b""]

    assert answer(setter, b"ok\n") == [pytest.approx(TODAY + 120 - station.mono(), abs=5)]
    station.look()

    assert station._asked is None


def standing(wall: float) -> StationClock:
    """A station that may have the system clock set, which stands still."""
    station = StationClock(may_set_system=True)
    station.machine.wall = lambda: wall  # type: ignore[method-assign]  # it stands still
    return station
