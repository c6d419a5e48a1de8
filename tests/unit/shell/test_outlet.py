"""One EVSE's permission, snapshot by snapshot, on a board that keeps it until it is told otherwise."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from hal.api import BoardSnapshot, Fault, PilotState
from station.effects import Want
from station.now import BootId
from station.shell.outlet import Allow, Deny, Outlet, Place, Timing
from station.shell.reconcile import Reconciler

CHARGE = Want(energise=True, limit_a=16.0)
CHARGING = BoardSnapshot(channel=1, sampled_at=101.0, pilot=PilotState.C, contactor_closed=True, limit_a=16.0)
MOMENTS = {
    "the plug out": replace(CHARGING, pilot=PilotState.A, contactor_closed=False),
    "the other connector": replace(CHARGING, connector=2),
    "a fault": replace(CHARGING, faults=frozenset({Fault.GROUND_FAULT})),
    "the pilot lost": replace(CHARGING, pilot=PilotState.E),
}


def permitted() -> tuple[Reconciler, Allow]:
    """A vehicle that may charge: the permission is on its way to the board."""
    reconciler = Reconciler((Place(evse_id=1, board="board", channel=1),), BootId(7), Timing())
    reconciler.saw(1, replace(CHARGING, contactor_closed=False, limit_a=0.0), 100.0)
    commit(reconciler)
    reconciler.want(1, CHARGE)
    (action,) = reconciler.actions(100.0)
    assert isinstance(action, Allow)
    return reconciler, action


def commit(reconciler: Reconciler) -> None:
    """The core hears of it, and wants what it wanted before."""
    batch = reconciler.batch(101.0)
    assert batch is not None
    reconciler.committed(batch.number, 101.0)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("arrived", [True, False])
def test_what_was_only_for_a_moment_ends_the_permission_too(moment: str, *, arrived: bool) -> None:
    """Out and in again between two looks: the lease was not given to this vehicle, also if it was just on its way."""
    reconciler, action = permitted()
    if arrived:
        reconciler.did(action, None, 100.0)
        reconciler.saw(1, CHARGING, 101.0)
        commit(reconciler)

    reconciler.saw(1, MOMENTS[moment], 101.0)
    reconciler.saw(1, CHARGING, 101.0)
    if not arrived:
        reconciler.did(action, None, 101.0)
    (denial,) = reconciler.actions(101.0)
    reconciler.did(denial, None, 101.0)

    assert denial == Deny(1)
    assert reconciler.actions(101.0) == []
    commit(reconciler)
    assert [type(each) for each in reconciler.actions(103.0)] == [Allow]


def test_a_board_that_outlives_its_lease_while_the_core_stands_still_is_told_to_open() -> None:
    outlet = Outlet(Place(evse_id=1, board="board", channel=1), Timing())
    outlet.seen, outlet.lost = (
        BoardSnapshot(channel=1, sampled_at=0.0, pilot=PilotState.C, contactor_closed=True),
        False,
    )
    outlet.wish(Want(energise=True, limit_a=16.0))

    action = outlet.act(0, core_alive=False, now=100.0)

    assert action == Deny(1)
