"""Sensors that forbid current, and current through a contactor that shows itself open."""

from __future__ import annotations

import math

import pytest
from msgspec.structs import replace

from hal.api import BoardSnapshot, Fault, PilotState
from station.effects import Want
from station.facts import DeviceLost, Fact, FaultChanged, SnapshotTold
from station.now import BootId
from station.shell.guards import WELD_S, Guard
from station.shell.outlet import Allow, Deny, Place, Timing
from station.shell.reconcile import Reconciler

STOP = Guard(device="button", fault=Fault.EMERGENCY_STOP, evse_ids=(1, 2))
HOT = Guard(device="busbar", fault=Fault.OVER_TEMPERATURE, evse_ids=(1,), above=90.0, until=70.0)
OPEN = BoardSnapshot(channel=1, sampled_at=100.0, pilot=PilotState.C, contactor_closed=False)
CHARGING = replace(OPEN, contactor_closed=True, limit_a=16.0)
CHARGE = Want(energise=True, limit_a=16.0)


class Stage:
    """Two EVSEs of one board, and a core that commits everything."""

    def __init__(self, *guards: Guard) -> None:
        self.now = 100.0
        places = tuple(
            Place(n, "board", n, guards=tuple(guard for guard in guards if n in guard.evse_ids)) for n in (1, 2)
        )
        self.reconciler = Reconciler(places, BootId(7), Timing())

    def saw(self, snapshot: BoardSnapshot, evse_id: int = 1) -> list[Fact]:
        """A board shows this now; what is told."""
        self.reconciler.saw(evse_id, replace(snapshot, channel=evse_id, sampled_at=self.now), self.now)
        return self.told()

    def guard(self, guard: Guard, value: float | bool | str | None) -> list[Fact]:  # noqa: FBT001 - a value
        """A sensor shows this now; what is told."""
        self.reconciler.guard_is(guard, value, self.now)
        return self.told()

    def told(self) -> list[Fact]:
        """The news, which the core takes."""
        batch = self.reconciler.batch(self.now)
        if batch is None:
            return []
        self.reconciler.committed(batch.number, self.now)
        return list(batch.facts)

    def acts(self) -> list[type]:
        """What is asked of the boards, which obey."""
        actions = self.reconciler.actions(self.now)
        for action in actions:
            self.reconciler.did(action, None, self.now)
        return [type(action) for action in actions]

    def charging(self, *evse_ids: int) -> None:
        """Vehicles charge."""
        for evse_id in evse_ids:
            self.saw(OPEN, evse_id)
            self.reconciler.want(evse_id, CHARGE)
        assert self.acts() == [Allow] * len(evse_ids)
        for evse_id in evse_ids:
            self.saw(CHARGING, evse_id)


def faults(facts: list[Fact]) -> list[tuple[int, Fault, bool]]:
    """What is told of faults."""
    return [(fact.evse_id, fact.fault, fact.present) for fact in facts if isinstance(fact, FaultChanged)]


# --- guards


def test_an_emergency_stop_opens_every_contactor_it_guards_before_the_core_knows() -> None:
    """And is told with the instant it was pressed, however old the board's last snapshot is."""
    stage = Stage(STOP)
    stage.guard(STOP, value=False)
    stage.charging(1, 2)
    stage.now = 5000.0

    stage.reconciler.guard_is(STOP, True, stage.now)  # noqa: FBT003 - a value

    assert stage.acts() == [Deny, Deny]
    told = stage.told()
    assert faults(told) == [(1, Fault.EMERGENCY_STOP, True), (2, Fault.EMERGENCY_STOP, True)]
    assert {fact.at.mono for fact in told if isinstance(fact, FaultChanged)} == {5000.0}


def test_a_stop_for_a_moment_ends_the_permission_too() -> None:
    """Pressed and released between two looks: what was given before is over, and given anew by the core alone."""
    stage = Stage(STOP)
    stage.guard(STOP, value=False)
    stage.charging(1)

    stage.reconciler.guard_is(STOP, True, stage.now)  # noqa: FBT003 - a value
    stage.reconciler.guard_is(STOP, False, stage.now)  # noqa: FBT003 - a value

    assert stage.acts() == [Deny]
    stage.saw(OPEN)
    stage.told()
    stage.now += 5
    assert stage.acts() == [Allow]


def test_without_the_word_of_its_guard_an_evse_gives_nothing() -> None:
    """At a start the contact has not been read yet; EVSE 2 has another guard, which has spoken."""
    stage = Stage(replace(STOP, evse_ids=(1,)), replace(STOP, device="other", evse_ids=(2,)))
    stage.guard(replace(STOP, device="other", evse_ids=(2,)), value=False)
    for evse_id in (1, 2):
        stage.saw(OPEN, evse_id)
        stage.reconciler.want(evse_id, CHARGE)

    assert stage.acts() == [Allow]
    assert faults(stage.told()) == []

    stage.guard(replace(STOP, evse_ids=(1,)), value=False)
    assert stage.acts() == [Allow]


def test_a_guard_that_is_lost_is_as_bad_as_its_fault() -> None:
    """A cut wire must not make an emergency stop useless."""
    stage = Stage(STOP)
    stage.guard(STOP, value=False)
    stage.charging(1)

    told = stage.guard(STOP, None)

    assert faults(told)[0] == (1, Fault.EMERGENCY_STOP, True)
    assert stage.acts() == [Deny]


def test_a_stop_that_takes_the_boards_power_away_is_told_while_the_board_is_lost() -> None:
    """And once more with everything else when it is back; when it is released, that too."""
    stage = Stage(STOP)
    stage.guard(STOP, value=False)
    stage.charging(1)
    stage.reconciler.lost("board", "silent", stage.now)
    assert [type(fact) for fact in stage.told()] == [DeviceLost]

    assert faults(stage.guard(STOP, value=True))[0] == (1, Fault.EMERGENCY_STOP, True)
    assert faults(stage.guard(STOP, value=True)) == []
    stage.reconciler.snapshot_again()
    assert faults(stage.told())[0] == (1, Fault.EMERGENCY_STOP, True)

    told = stage.saw(OPEN)
    assert faults(told) == [(1, Fault.EMERGENCY_STOP, True)]
    assert any(isinstance(fact, SnapshotTold) for fact in told)
    assert faults(stage.guard(STOP, value=False))[0] == (1, Fault.EMERGENCY_STOP, False)


def test_a_temperature_is_a_fault_from_its_limit_until_it_has_cooled() -> None:
    """And is no plaything of a degree up and down."""
    stage = Stage(HOT)
    stage.saw(OPEN)
    changes = {}
    for celsius in (90.0, 90.5, 80.0, 70.0, 69.9, 75.0):
        if told := faults(stage.guard(HOT, celsius)):
            changes[celsius] = told
    assert changes == {
        90.5: [(1, Fault.OVER_TEMPERATURE, True)],
        69.9: [(1, Fault.OVER_TEMPERATURE, False)],
    }


@pytest.mark.parametrize(
    "guard, value, judged",
    [
        (STOP, True, True),
        (STOP, False, False),
        (STOP, "open", True),
        (STOP, 0.0, True),
        (HOT, math.nan, True),
        (HOT, "hot", True),
        (HOT, -20.0, False),
        (replace(HOT, until=None), 86.0, False),
    ],
)
def test_what_makes_no_sense_is_a_fault(guard: Guard, value: float | bool | str, *, judged: bool) -> None:  # noqa: FBT001 - a value
    """A contact says true or false, a limit needs a number."""
    assert guard.judged(value, before=False) is judged


def test_a_fault_without_another_limit_is_over_five_below() -> None:
    """The hysteresis."""
    guard = replace(HOT, until=None)
    assert (guard.judged(86.0, before=True), guard.judged(84.9, before=True)) == (True, False)


# --- current, by the meter


def test_a_power_that_varies_says_nothing_until_current_begins_or_ends() -> None:
    """A meter tells another power each second, and nothing is looked at for that."""
    stage = Stage()
    stage.charging(1)

    watts = (3600.0, 3610.5, 3599.0, 49.9, 0.0, None, 50.0, 3600.0)
    news = [stage.reconciler.power_is(1, power_w, stage.now) for power_w in watts]

    assert news == [True, False, False, True, False, False, True, False]


# --- welds


def blind() -> Stage:
    """A session has ended; the board cannot tell whether current flows, so the meter is asked."""
    stage = Stage()
    stage.charging(1)
    stage.reconciler.want(1, Want(energise=False, limit_a=0.0))
    stage.acts()
    stage.saw(OPEN)
    return stage


def measure(stage: Stage, power_w: float | None) -> list[tuple[int, Fault, bool]]:
    """The meter is read now; what is told of faults."""
    stage.reconciler.power_is(1, power_w, stage.now)
    return faults(stage.told())


def test_power_through_an_open_contactor_is_a_welded_one() -> None:
    """Two readings in a row, the second soon after the first; the fault stays, and nothing is permitted any more."""
    stage = blind()
    stage.now += WELD_S + 1

    assert measure(stage, 3600.0) == []
    assert stage.reconciler.needs_power(1)
    stage.now += 5
    assert measure(stage, 3500.0) == [(1, Fault.CONTACTOR_WELDED, True)]
    assert not stage.reconciler.needs_power(1)

    assert measure(stage, 0.0) == []  # the vehicle is full: the contact has not opened by that
    stage.reconciler.want(1, CHARGE)
    stage.now += 60
    assert stage.acts() == []


@pytest.mark.parametrize(
    "readings",
    [
        [(1, 3600.0), (5, 3600.0), (9, 0.0)],  # averaged over the end of the session
        [(12, 3600.0), (17, 0.0), (77, 3600.0), (82, 0.0)],  # never two in a row
        [(12, 100.0), (17, 100.0)],  # the station's own consumption
        [(12, None), (17, None)],
    ],
)
def test_what_a_meter_tells_late_or_of_the_station_itself_is_no_weld(
    readings: list[tuple[float, float | None]],
) -> None:
    """Every case with its times after the opening."""
    stage = blind()
    opened = stage.now
    for after_s, power_w in readings:
        stage.now = opened + after_s
        assert measure(stage, power_w) == []


def test_a_contactor_that_closed_again_has_not_welded() -> None:
    """The next session."""
    stage = blind()
    stage.now += WELD_S + 1
    measure(stage, 3600.0)
    stage.reconciler.want(1, CHARGE)
    stage.acts()
    stage.saw(CHARGING)
    stage.now += WELD_S + 1
    assert measure(stage, 3600.0) == []


def test_a_board_that_sees_current_through_its_open_contactor_is_believed_at_its_word() -> None:
    """After the same while, in which it may have been late; its meter is not asked."""
    stage = blind()
    assert faults(stage.saw(replace(OPEN, flowing=True))) == []
    began = stage.now
    assert stage.reconciler.next_due(stage.now) == began + WELD_S

    stage.now = began + WELD_S - 0.1
    assert faults(stage.told()) == []
    stage.now = began + WELD_S
    assert faults(stage.told()) == [(1, Fault.CONTACTOR_WELDED, True)]


def test_a_board_that_saw_current_only_while_opening_reports_no_weld() -> None:
    """It says so in its next snapshot."""
    stage = blind()
    stage.saw(replace(OPEN, flowing=True))
    stage.now += 2
    stage.saw(replace(OPEN, flowing=False))
    stage.now += 60
    assert faults(stage.told()) == []
