"""The tables of block E: start and stop points, faults, invalid tokens, interruptions."""

from __future__ import annotations

import itertools

import pytest

from hal.api import Fault
from station.blocks.transactions.rules import (
    FAULTS,
    START,
    START_TRIGGER,
    STOP,
    FaultRule,
    Situation,
    Verdict,
    abandoned,
    interruption,
    on_invalid,
    start_point,
    stop_point,
)

NOBODY = Situation()
EVERYTHING = Situation(bay=True, connected=True, authorized=True, signed=True, energy=True)
SITUATIONS = [Situation(*flags) for flags in itertools.product([False, True], repeat=5)]


@pytest.mark.req("E01.FR.01", "E01.FR.02", "E01.FR.03", "E01.FR.04", "E01.FR.05", "E01.FR.06")
@pytest.mark.parametrize(
    "point,needed",
    [
        ("ParkingBayOccupancy", {"bay"}),
        ("EVConnected", {"connected"}),
        ("Authorized", {"authorized"}),
        ("DataSigned", {"connected", "authorized", "signed"}),
        ("PowerPathClosed", {"connected", "authorized"}),
        ("EnergyTransfer", {"energy"}),
    ],
)
def test_a_start_point_holds_in_exactly_these_situations(point: str, needed: set[str]) -> None:
    """All of its conditions, and nothing else matters."""
    for situation in SITUATIONS:
        holds = all(getattr(situation, name) for name in needed)

        assert (start_point({point}, situation) == point) == holds


def test_of_several_start_points_any_starts() -> None:
    """The list is 'any of'; the earliest kind names it."""
    points = {"EnergyTransfer", "Authorized"}

    assert start_point(points, Situation(authorized=True)) == "Authorized"
    assert start_point(points, Situation(energy=True)) == "EnergyTransfer"
    assert start_point(points, EVERYTHING) == "Authorized"
    assert start_point(points, Situation(connected=True)) is None
    assert start_point((), EVERYTHING) is None


@pytest.mark.req("E06.FR.01", "E06.FR.02", "E06.FR.03", "E06.FR.06", "E06.FR.07")
@pytest.mark.parametrize(
    "point,lost",
    [
        ("ParkingBayOccupancy", {"bay"}),
        ("EVConnected", {"connected"}),
        ("Authorized", {"authorized"}),
        ("PowerPathClosed", {"connected", "authorized"}),
        ("EnergyTransfer", {"energy", "authorized"}),
    ],
)
def test_a_stop_point_is_reached_when_any_of_its_conditions_is_lost(point: str, lost: set[str]) -> None:
    """Lost means: it held before, and does not now."""
    for before, now in itertools.product(SITUATIONS, repeat=2):
        reached = any(getattr(before, name) and not getattr(now, name) for name in lost)

        assert (stop_point({point}, before, now) == point) == reached


def test_a_condition_that_never_held_stops_nothing() -> None:
    """Started by the plug, stop point Authorized: nobody was authorized yet."""
    assert stop_point({"Authorized"}, Situation(connected=True), Situation(connected=True, bay=True)) is None


def test_data_signed_is_no_stop_point() -> None:
    """Errata 2025-02 deleted the requirement."""
    assert "DataSigned" not in STOP
    assert stop_point({"DataSigned"}, EVERYTHING, NOBODY) is None


def test_path_closed_as_stop_point_equals_both_of_its_parts() -> None:
    """`PowerPathClosed` and `EVConnected,Authorized` end at the same moments."""
    for before, now in itertools.product(SITUATIONS, repeat=2):
        one = stop_point({"PowerPathClosed"}, before, now)
        both = stop_point({"EVConnected", "Authorized"}, before, now)

        assert (one is None) == (both is None)


@pytest.mark.req("E03.FR.05", "E03.FR.15")
def test_a_transaction_without_vehicle_and_driver_is_abandoned_unless_a_bay_ends_it() -> None:
    """Whatever the order in which they left."""
    assert abandoned({"EVConnected"}, Situation(authorized=True), NOBODY)
    assert abandoned({"Authorized"}, Situation(connected=True), NOBODY)
    assert not abandoned({"Authorized"}, Situation(connected=True, authorized=True), Situation(authorized=True))
    parked = Situation(bay=True)
    assert not abandoned({"Authorized", "ParkingBayOccupancy"}, Situation(bay=True, authorized=True), parked)
    assert abandoned({"EVConnected", "ParkingBayOccupancy"}, Situation(authorized=True), NOBODY)
    assert not abandoned({"Authorized"}, NOBODY, NOBODY)


@pytest.mark.req("E06.FR.16")
def test_every_fault_has_its_rule() -> None:
    """A fault that a driver may report and that no rule knows would raise in the field."""
    assert FAULTS.keys() == set(Fault)
    assert FAULTS[Fault.GROUND_FAULT] == FaultRule(ends=True, reason="GroundFault")
    assert FAULTS[Fault.OVER_CURRENT] == FaultRule(ends=True, reason="OvercurrentFault")
    assert FAULTS[Fault.EMERGENCY_STOP] == FaultRule(ends=True, reason="EmergencyStop")
    assert not FAULTS[Fault.OVER_TEMPERATURE].ends


def test_every_start_point_has_a_trigger() -> None:
    """For a start whose cause has no more specific one."""
    assert START.keys() == START_TRIGGER.keys()


@pytest.mark.req("E05.FR.02", "E05.FR.03", "E05.FR.09", "E05.FR.10")
@pytest.mark.parametrize(
    "stop_tx,max_energy_wh,verdict",
    [
        (True, 0, Verdict.DEAUTHORIZE),
        (True, 500, Verdict.DEAUTHORIZE),
        (False, 0, Verdict.SUSPEND),
        (False, 500, Verdict.ALLOW),
    ],
)
def test_an_invalid_token_means(*, stop_tx: bool, max_energy_wh: int, verdict: Verdict) -> None:
    """StopTxOnInvalidId goes before MaxEnergyOnInvalidId."""
    assert on_invalid(stop_tx=stop_tx, max_energy_wh=max_energy_wh) is verdict


@pytest.mark.parametrize("boot_reason", ["Watchdog", "RemoteReset", "FirmwareUpdate", "Unknown", "LocalReset"])
def test_only_a_power_cut_is_called_power_loss(boot_reason: str) -> None:
    """Everything else that restarts the agent is a Reboot."""
    assert interruption("PowerUp") == "PowerLoss"
    assert interruption(boot_reason) == "Reboot"
