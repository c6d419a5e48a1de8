"""What systemd is told, and when it is not told anything any more (design 6, C11)."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from station.shell.watchdog import OVERDUE_S, Lateness, Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """A service manager that listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(1)
        yield listening


def notifier(manager: socket.socket, **more: str) -> Notifier:
    """As the unit starts the agent."""
    return Notifier({"NOTIFY_SOCKET": manager.getsockname(), **more})


def test_it_tells_ready_alive_and_the_end(manager: socket.socket) -> None:
    """In the words of sd_notify(3)."""
    told = notifier(manager)

    told.ready()
    told.alive()
    told.extend(1.5)
    told.stopping()

    assert [manager.recv(100) for _ in range(4)] == [
        b"READY=1",
        b"WATCHDOG=1",
        b"EXTEND_TIMEOUT_USEC=1500000",
        b"STOPPING=1",
    ]


def test_the_same_status_is_told_once(manager: socket.socket) -> None:
    """A line for `systemctl status` costs nothing while nothing changes."""
    told = notifier(manager)

    for text in ("connected", "connected", "not connected"):
        told.status(text)

    assert [manager.recv(100) for _ in range(2)] == [b"STATUS=connected", b"STATUS=not connected"]
    manager.settimeout(0)
    with pytest.raises(BlockingIOError):
        manager.recv(100)


def test_programs_that_the_agent_runs_do_not_speak_for_it(manager: socket.socket) -> None:
    """A `busctl` that failed told systemd so, in the agent's name."""
    given = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}
    environment = {**given, "PATH": "/bin"}

    told = Notifier(environment)

    told.ready()
    assert (manager.recv(100), told.watchdog_s, environment) == (b"READY=1", 60.0, {"PATH": "/bin"})


def test_nobody_listens_and_nothing_happens(tmp_path: Path) -> None:
    """Started by hand, or the manager is gone."""
    Notifier({}).ready()
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()


@pytest.mark.parametrize(
    "environment, period_s",
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_period_is_the_units(environment: dict[str, str], period_s: float | None) -> None:
    """WatchdogSec, if it is meant for this process."""
    assert Notifier(environment).watchdog_s == period_s


def test_a_deadline_that_is_served_late_is_forgiven_up_to_a_point() -> None:
    """A slow disk is no reason to be killed; standing still is."""
    seconds = [0.0]
    late = Lateness(lambda: seconds[0])

    late.saw(0.0)
    seconds[0] = OVERDUE_S
    assert not late.overdue
    seconds[0] += 1
    assert late.overdue
    late.saw(5.0)
    assert not late.overdue


def test_without_deadlines_nothing_is_late() -> None:
    """An idle station may sleep for ever."""
    late = Lateness(lambda: 1e9)

    late.saw(None)

    assert not late.overdue
