"""What a snapshot means, and which facts say what differs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.api import BoardSnapshot, Fault, LockState, MeterReading, PilotState, Token, TokenType
from station.facts import (
    EnergyFlowChanged,
    EnergyRequested,
    Fact,
    FaultChanged,
    LockChanged,
    PlugInserted,
    PlugRemoved,
    PowerPathChanged,
)
from station.now import BootId, Instant, Mono
from station.shell.levels import NOTHING, TOKEN_TYPES, Levels, changes, levels, presented, sampled, whole

AT = Instant(BootId(1), Mono(5.0))

pilots = st.sampled_from(PilotState)
snapshots = st.builds(
    BoardSnapshot,
    channel=st.just(1),
    sampled_at=st.just(0.0),
    pilot=pilots,
    contactor_closed=st.booleans(),
    phases=st.sampled_from([1, 3]),
    connector=st.integers(1, 2),
    flowing=st.none() | st.booleans(),
    faults=st.frozensets(st.sampled_from(Fault), max_size=2),
)
locks = st.sampled_from([LockState.LOCKED, LockState.UNLOCKED, LockState.JAMMED])


def seen(
    pilot: PilotState, *, closed: bool = False, flowing: bool | None = None, power_w: float | None = None
) -> Levels:
    """The levels behind a snapshot of a vehicle that was known to be plugged in."""
    before = NOTHING._replace(plugged=True)
    snapshot = BoardSnapshot(channel=1, sampled_at=0, pilot=pilot, contactor_closed=closed, flowing=flowing)
    return levels(snapshot, LockState.ABSENT, power_w, before)


class Listener:
    """Believes what it is told."""

    def __init__(self) -> None:
        self.plugged: int | None = None
        self.rest: dict[str, object] = {}
        self.faults: set[Fault] = set()

    def hear(self, facts: list[Fact]) -> None:
        """In order."""
        for fact in facts:
            match fact:
                case PlugInserted(connector_id=connector):
                    self.plugged = connector
                case PlugRemoved(connector_id=connector):
                    self.plugged = None if self.plugged == connector else self.plugged
                case EnergyRequested(requested=requested):
                    self.rest["requested"] = requested
                case PowerPathChanged(closed=closed, phases=phases):
                    self.rest["path"] = (closed, phases)
                case EnergyFlowChanged(flowing=flowing):
                    self.rest["flowing"] = flowing
                case LockChanged(locked=locked, problem=problem):
                    self.rest["lock"] = (locked, problem)
                case FaultChanged(fault=fault, present=present):
                    (self.faults.add if present else self.faults.discard)(fault)


@given(st.lists(st.tuples(snapshots, locks), min_size=1, max_size=8), st.integers(0, 7))
def test_who_hears_every_change_knows_what_who_heard_the_whole_knows(
    life: list[tuple[BoardSnapshot, LockState]], again: int
) -> None:
    """Differences add up to the state; telling all of it again in between changes nothing."""
    follower, newcomer = Listener(), Listener()
    told = NOTHING
    for turn, (snapshot, lock) in enumerate(life):
        now = levels(snapshot, lock, None, told)
        if turn in {0, again}:
            follower.hear([*whole(1, AT, now, 2, told.faults)])
        else:
            follower.hear([*changes(1, AT, told, now)])
        told = now
    newcomer.hear([*whole(1, AT, told, 2, frozenset())])

    assert follower.__dict__ == newcomer.__dict__
    assert changes(1, AT, told, told) == []


@pytest.mark.parametrize("pilot", [PilotState.E, PilotState.F])
def test_a_pilot_that_says_nothing_leaves_the_plug_as_it_was(pilot: PilotState) -> None:
    """Neither removed nor inserted."""
    assert seen(pilot).plugged
    assert (Fault.PILOT_LOST in seen(pilot).faults) == (pilot is PilotState.E)


FLOWS: list[tuple[bool | None, float | None, bool]] = [
    (True, None, True),
    (False, 9000.0, False),
    (None, 9000.0, True),
    (None, 3.0, False),
    (None, None, False),
]


@pytest.mark.parametrize("case", FLOWS)
def test_the_board_tells_of_current_or_else_the_meter(case: tuple[bool | None, float | None, bool]) -> None:
    """And never through an open contactor."""
    board, power_w, flows = case
    assert seen(PilotState.C, closed=True, flowing=board, power_w=power_w).flowing is flows
    assert not seen(PilotState.C, closed=False, flowing=board, power_w=power_w).flowing


def test_a_vehicle_that_changes_its_connector_left_the_old_one_first() -> None:
    """Two sockets of one EVSE."""
    old, new = NOTHING._replace(plugged=True, connector=1), NOTHING._replace(plugged=True, connector=2)
    assert [(type(f).__name__, f.connector_id) for f in changes(1, AT, old, new) if hasattr(f, "connector_id")] == [
        ("PlugRemoved", 1),
        ("PlugInserted", 2),
    ]


def test_every_way_to_identify_oneself_has_a_word() -> None:
    """IdTokenEnumType."""
    assert set(TOKEN_TYPES) == set(TokenType)
    assert presented(Token("", TokenType.BUTTON), (1, 2), AT).id_token.type == "NoAuthorization"


@pytest.mark.parametrize("outlet, evse_ids", [(None, (1, 2)), (2, (2,)), (3, (1, 2))])
def test_a_choice_at_the_reader_counts_if_the_reader_serves_it(outlet: int | None, evse_ids: tuple[int, ...]) -> None:
    """Else the driver has not chosen."""
    assert presented(Token("04AA", outlet=outlet), (1, 2), AT).evse_ids == evse_ids


def test_a_reading_is_told_at_the_instant_it_was_sampled() -> None:
    """Never at the time it was asked for."""
    fact = sampled(1, MeterReading(sampled_at=3.5, energy_import_mwh=7), "begin", BootId(4))
    assert fact.at == (4, 3.5)
