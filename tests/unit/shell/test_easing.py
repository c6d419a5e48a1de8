"""Permissions that change gently: by a ramp, and with a pause between numbers of phases."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from hal.api import BoardInfo, BoardSnapshot, Permit, PilotState
from station.shell.easing import Easing, Gentleness

OPEN = BoardSnapshot(channel=1, sampled_at=0.0, pilot=PilotState.C, contactor_closed=False, phases=3)
CLOSED = replace(OPEN, contactor_closed=True)
SWITCHES = BoardInfo(phase_switching=True)


class Board:
    """A board that obeys: it closes with what it is permitted, and opens when that is withdrawn."""

    def __init__(self, gentle: Gentleness, info: BoardInfo = SWITCHES) -> None:
        self.easing = Easing(gentle, info)
        self.now = 0.0
        self.seen = OPEN
        self.permit: Permit | None = None
        self.easing.saw(OPEN, 0.0)

    def step(self, limit_a: float, phases: int = 3) -> Permit | None:
        """Have this wanted, now."""
        given = self.easing.eased(Permit(limit_a, phases), self.now)
        if given is None:
            self.show(replace(self.seen, contactor_closed=False))
        else:
            if given != self.permit:
                self.easing.granted(given, self.now)
            self.show(replace(self.seen, contactor_closed=True, phases=given.phases))
        self.permit = given
        return given

    def show(self, seen: BoardSnapshot) -> None:
        """The board shows this."""
        self.seen = seen
        self.easing.saw(seen, self.now)

    def run(self, limit_a: float, phases: int, until: float) -> list[tuple[float, float, int]]:
        """Each change until then: when, amperes, phases (0, 0: open). Looks only when something is due."""
        changes = []
        last: Permit | str | None = "none yet"
        while self.now < until:
            given = self.step(limit_a, phases)
            if given != last:
                changes.append((self.now, given.limit_a if given else 0.0, given.phases if given else 0))
            last = given
            self.now = min(until, self.easing.next_due(Permit(limit_a, phases), self.now))
        return changes


def test_another_number_of_phases_comes_after_a_pause_without_current() -> None:
    """Three to one: at once open, closed again five seconds later."""
    board = Board(Gentleness(phase_pause_s=5))
    board.run(16, 3, 10)

    assert board.run(16, 1, 30) == [(10, 0, 0), (15, 16, 1)]


def test_more_phases_come_once_in_the_dwell_time_fewer_at_once() -> None:
    """A controller that cannot make up its mind wears out no contactor, and is never given more than it allows."""
    board = Board(Gentleness(phase_pause_s=5, phase_dwell_s=60))
    board.run(16, 3, 10)
    board.run(16, 1, 20)  # since 15 on one phase

    assert board.run(16, 3, 100) == [(20, 16, 1), (75, 0, 0), (80, 16, 3)]
    assert board.run(16, 1, 110) == [(100, 0, 0), (105, 16, 1)]


def test_the_first_vehicle_waits_for_no_pause() -> None:
    """The contactor was open for long."""
    board = Board(Gentleness())
    assert board.run(16, 1, 5) == [(0, 16, 1)]


def test_a_board_that_ignores_the_number_is_not_opened_again_and_again() -> None:
    """It said that it switches, and shows three phases all the same."""
    board = Board(Gentleness(phase_pause_s=5))
    board.run(16, 3, 10)
    board.run(16, 1, 20)
    board.show(CLOSED)

    assert board.step(16, 1) == Permit(16, 1)


def test_a_board_that_cannot_switch_is_not_asked_to() -> None:
    """What is wanted goes through, and it ignores it."""
    board = Board(Gentleness(), BoardInfo(phase_switching=False))
    board.show(CLOSED)
    assert board.easing.eased(Permit(16, 1), 0.0) == Permit(16, 1)


def test_current_rises_by_whole_amperes_and_falls_at_once() -> None:
    """Two amperes a second, from the least that can be offered."""
    board = Board(Gentleness(ramp_a_per_s=2.0))

    rise = board.run(9, 3, 10)
    assert rise == [(0, 6, 3), (0.5, 7, 3), (1.0, 8, 3), (1.5, 9, 3)]

    assert board.run(6, 3, 20) == [(10, 6, 3)]
    assert board.run(8, 3, 30) == [(20, 6, 3), (20.5, 7, 3), (21.0, 8, 3)] or board.permit == Permit(8, 3)


def test_a_vehicle_that_waits_is_offered_the_least_until_current_flows() -> None:
    """Else it would begin with all of it."""
    board = Board(Gentleness(ramp_a_per_s=1.0))
    board.easing.granted(Permit(6, 3), 0.0)

    assert board.easing.eased(Permit(32, 3), 100.0) == Permit(6, 3)
    board.now = 100.0
    board.show(CLOSED)
    assert board.easing.eased(Permit(32, 3), 103.0) == Permit(9, 3)


def test_without_a_ramp_there_is_nothing_to_wait_for() -> None:
    """The default."""
    board = Board(Gentleness())
    board.step(32)
    assert board.easing.next_due(Permit(32, 3), 1000.0) == math.inf


@given(st.lists(st.tuples(st.sampled_from([0.5, 3.0, 20.0, 70.0]), st.integers(6, 32), st.sampled_from([1, 3]))))
def test_never_more_than_is_wanted_and_no_phase_changes_under_current(wishes: list[tuple[float, int, int]]) -> None:
    """Whatever is wanted, whenever."""
    gentle = Gentleness(ramp_a_per_s=1.0, phase_pause_s=5, phase_dwell_s=60)
    board = Board(gentle)
    opened_at = -math.inf
    for wait, limit_a, phases in wishes:
        before = board.seen
        given = board.step(limit_a, phases)
        if before.contactor_closed and given is None:
            opened_at = board.now
        if given is not None:
            assert given.limit_a <= limit_a
            assert given.phases <= phases
            if before.phases != given.phases:
                assert not before.contactor_closed
                assert board.now >= opened_at + gentle.phase_pause_s
        board.now += wait
