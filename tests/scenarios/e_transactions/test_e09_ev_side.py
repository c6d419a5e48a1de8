"""E09, E10: the cable is pulled off the vehicle while it may charge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hal.api import LockState
from tests.bench import Bench
from tests.scenarios.e_transactions.story import CARD, bay, bench, news, told


def charging(path: Path, stop: str, *, stops: bool, unlocks: bool = False, **more: Any) -> Bench:
    """A station where EVSE 1 charges, whose vehicle is about to be unplugged."""
    variables = {
        "TxCtrlr.StopTxOnEVSideDisconnect": "true" if stops else "false",
        "OCPPCommCtrlr.UnlockOnEVSideDisconnect": "true" if unlocks else "false",
        "TxCtrlr.EVConnectionTimeOut": "60",
    }
    station = bench(path, more.pop("start", "Authorized"), stop, variables=variables, **more)
    station.evse(1).present_token(CARD)
    station.evse(1).plug_in()
    station.advance(30)
    return station


def lock(station: Bench) -> str:
    return str(station.world.evse(1).snapshot().lock.value)


@pytest.mark.req("E09.FR.01")
def test_it_is_deauthorized_and_ends(tmp_path: Path) -> None:
    """StopTxOnEVSideDisconnect: Ended, EVCommunicationLost, Idle, EVDisconnected; plugging in again charges nothing."""
    station = charging(tmp_path, "Authorized", stops=True)
    lines = news(station)
    station.evse(1).unplug()
    station.advance(2)
    energy = station.evse(1).energy_wh
    station.evse(1).plug_in()
    station.advance(60)

    assert lines() == ["Ended/EVCommunicationLost/Idle =EVDisconnected"]
    assert station.evse(1).energy_wh == energy


@pytest.mark.req("E09.FR.01")
def test_it_goes_on_without_energy_where_only_the_bay_ends_it(tmp_path: Path) -> None:
    """Energy needs the transaction to be authorized once again, and then flows in the same transaction."""
    station = bench(tmp_path, "ParkingBayOccupancy", "ParkingBayOccupancy")
    bay(station, occupied=True)
    station.evse(1).present_token(CARD)
    station.evse(1).plug_in()
    station.advance(30)
    lines = news(station)
    station.evse(1).unplug()
    station.advance(2)
    station.evse(1).plug_in()
    station.advance(15)
    without = lines()
    station.evse(1).present_token(CARD)
    station.advance(5)

    assert without == ["Updated/EVCommunicationLost/Idle", "Updated/CablePluggedIn/EVConnected +evse"]
    assert lines() == ["Updated/Authorized/EVConnected +token", "Updated/ChargingStateChanged/Charging"]
    assert len({event["transactionInfo"]["transactionId"] for event in station.events()}) == 1


@pytest.mark.req("E09.FR.02")
def test_the_lock_opens_where_it_shall(tmp_path: Path) -> None:
    """UnlockOnEVSideDisconnect true."""
    station = charging(tmp_path, "Authorized", stops=True, unlocks=True, lock=True)
    before = lock(station)
    station.evse(1).unplug()
    station.advance(2)

    assert (before, lock(station)) == ("locked", "unlocked")


@pytest.mark.req("E09.FR.03")
def test_the_lock_waits_for_the_driver_where_it_shall(tmp_path: Path) -> None:
    """UnlockOnEVSideDisconnect false: the transaction has ended, the token only releases the cable."""
    station = charging(tmp_path, "Authorized", stops=True, unlocks=False, lock=True)
    station.evse(1).unplug()
    station.advance(2)
    ended, held = told(station)[-1], lock(station)
    station.evse(1).present_token(CARD)
    station.advance(2)

    assert ended == "Ended/EVCommunicationLost/Idle =EVDisconnected"
    assert (held, lock(station)) == ("locked", "unlocked")
    assert told(station)[-1] == ended
    assert station.station.sessions.all() == []


@pytest.mark.req("E10.FR.01")
def test_a_suspended_transaction_keeps_the_cable_and_goes_on_when_it_is_plugged_in_again(tmp_path: Path) -> None:
    """Updated EVCommunicationLost, Idle; the lock stays closed; then CablePluggedIn, EVConnected; then Charging."""
    station = charging(tmp_path, "Authorized", stops=False, lock=True)
    lines = news(station)
    station.evse(1).unplug()
    station.advance(300)
    suspended, held = lines(), lock(station)
    station.evse(1).plug_in()
    station.advance(5)

    assert [line for line in suspended if "MeterValue" not in line] == ["Updated/EVCommunicationLost/Idle"]
    assert held == "locked"
    assert lines() == ["Updated/CablePluggedIn/EVConnected +evse", "Updated/ChargingStateChanged/Charging"]


@pytest.mark.req("E10.FR.02")
def test_a_fixed_cable_that_is_not_plugged_in_again_deauthorizes(tmp_path: Path) -> None:
    """After EVConnectionTimeOut: Ended, EVConnectTimeout, Timeout."""
    station = charging(tmp_path, "Authorized", stops=False)
    lines = news(station)
    station.evse(1).unplug()
    station.advance(59)
    waiting = lines()
    station.advance(2)

    assert "Ended" not in str(waiting)
    assert lines() == ["Ended/EVConnectTimeout/Idle =Timeout"]


@pytest.mark.req("E10.FR.02")
def test_a_fixed_cable_that_is_plugged_in_in_time_charges_on(tmp_path: Path) -> None:
    """The same transaction, the same authorization."""
    station = charging(tmp_path, "Authorized", stops=False)
    lines = news(station)
    station.evse(1).unplug()
    station.advance(20)
    station.evse(1).plug_in()
    station.advance(120)

    assert [line for line in lines() if "MeterValue" not in line] == [
        "Updated/EVCommunicationLost/Idle",
        "Updated/CablePluggedIn/EVConnected +evse",
        "Updated/ChargingStateChanged/Charging",
    ]


@pytest.mark.req("E06.FR.02")
@pytest.mark.parametrize("stops", [True, False])
def test_a_lost_connection_ends_it_whatever_the_variable_says_where_it_is_a_stop_point(
    tmp_path: Path, *, stops: bool
) -> None:
    """TxStopPoint EVConnected."""
    station = charging(tmp_path, "EVConnected", stops=stops)
    station.evse(1).unplug()
    station.advance(2)

    assert told(station)[-1] == "Ended/EVCommunicationLost/Idle =EVDisconnected"


def test_the_second_connector_of_an_evse_lets_its_cable_go(tmp_path: Path) -> None:
    """With nothing plugged in the board names the first connector: it is the lock of the second that opens."""
    station = bench(tmp_path, "PowerPathClosed", "EVConnected,Authorized", lock=True, connectors=2)
    station.evse(1).plug_in(2)
    station.evse(1).present_token(CARD)
    station.advance(30)
    station.evse(1).unplug()
    station.advance(30)

    assert station.world.evse(1).lock is LockState.UNLOCKED
    assert station.station.sessions.get(1).idle
