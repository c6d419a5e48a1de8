"""EVConnectionTimeOut: a driver who was authorized and did not plug in (C01.FR.26, E03.FR.05, E03.FR.15)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.e_transactions.story import CARD, OTHER_CARD, bay, bench, news, remote_start, told, variable

TIMEOUT = {"TxCtrlr.EVConnectionTimeOut": "30"}


@pytest.mark.req("E03.FR.05")
def test_a_transaction_without_a_cable_ends_with_timeout(tmp_path: Path) -> None:
    """Ended, EVConnectTimeout, Timeout; and the EVSE is free for the next driver."""
    station = bench(tmp_path, "Authorized", "Authorized", variables=TIMEOUT)
    station.evse(1).present_token(CARD)
    station.advance(29.9)
    before = told(station)
    station.advance(0.2)

    assert before == ["Started/Authorized/Idle +token"]
    assert told(station)[1:] == ["Ended/EVConnectTimeout/Idle =Timeout"]

    lines = news(station)
    station.evse(1).present_token(OTHER_CARD)
    station.evse(1).plug_in()
    station.advance(5)

    assert lines()[0] == "Started/Authorized/Idle +token"
    assert station.evse(1).charging


@pytest.mark.req("E03.FR.05")
def test_the_safety_net_ends_a_transaction_that_no_stop_point_would(tmp_path: Path) -> None:
    """TxStopPoint EVConnected alone would leave it open for ever: the requirement wins over the tool's 'Updated'."""
    station = bench(tmp_path, "Authorized", "EVConnected", variables=TIMEOUT)
    station.evse(1).present_token(CARD)
    station.advance(31)

    assert told(station)[-1] == "Ended/EVConnectTimeout/Idle =Timeout"


def test_a_bay_that_has_seen_no_vehicle_keeps_no_transaction(tmp_path: Path) -> None:
    """Its detector would never end it, and the next driver would charge on the first one's account."""
    station = bench(tmp_path, "Authorized", "EVConnected,ParkingBayOccupancy", variables=TIMEOUT)
    station.evse(1).present_token(CARD)
    station.advance(31)

    assert told(station)[-1] == "Ended/EVConnectTimeout/Idle =Timeout"


def test_a_vehicle_that_parks_and_leaves_keeps_no_transaction(tmp_path: Path) -> None:
    """Started by the bay, stopped by the cable that was never plugged: the next vehicle must not find it open."""
    station = bench(tmp_path, "ParkingBayOccupancy", "EVConnected", variables=TIMEOUT)
    bay(station, occupied=True)
    bay(station, occupied=False)

    assert told(station) == ["Started/EVDetected/Idle", "Ended/EVDeparted/Idle =Local"]


@pytest.mark.req("E03.FR.15", "F02.FR.08")
@pytest.mark.parametrize(
    "remote,first", [(False, "Updated/Authorized/Idle +token"), (True, "Updated/RemoteStart/Idle +token +remote")]
)
def test_a_parking_bay_keeps_the_transaction_until_the_vehicle_leaves(
    tmp_path: Path, *, remote: bool, first: str
) -> None:
    """Updated with EVConnectTimeout; energy needs another authorization; Ended at departure."""
    station = bench(tmp_path, "ParkingBayOccupancy", "ParkingBayOccupancy", variables=TIMEOUT)
    bay(station, occupied=True)
    if remote:
        station.csms.call("RequestStartTransaction", remote_start())
    else:
        station.evse(1).present_token(CARD)
    station.advance(31)
    station.evse(1).plug_in()
    station.advance(20)
    charged_without = station.evse(1).energy_wh
    station.evse(1).unplug()
    bay(station, occupied=False)

    assert told(station) == [
        "Started/EVDetected/Idle",
        first,
        "Updated/EVConnectTimeout/Idle",
        "Updated/CablePluggedIn/EVConnected +evse",
        "Updated/EVCommunicationLost/Idle",
        "Ended/EVDeparted/Idle =Timeout",
    ]
    assert charged_without == 0


@pytest.mark.req("C01.FR.26")
@pytest.mark.parametrize("start", ["EVConnected", "PowerPathClosed", "EnergyTransfer"])
def test_a_plug_that_comes_too_late_does_not_charge(tmp_path: Path, start: str) -> None:
    """No transaction had started: the authorization ends all the same."""
    station = bench(tmp_path, start, "EVConnected", variables=TIMEOUT)
    station.evse(1).present_token(CARD)
    station.advance(31)
    station.evse(1).plug_in()
    station.advance(60)

    assert station.evse(1).energy_wh == 0
    assert not any("+token" in line for line in told(station))


@pytest.mark.req("F02.FR.07")
def test_a_remote_start_waits_as_long_as_a_card(tmp_path: Path) -> None:
    """Ended with EVConnectTimeout where the transaction had started."""
    station = bench(tmp_path, "Authorized", "Authorized", variables=TIMEOUT)
    station.csms.call("RequestStartTransaction", remote_start())
    station.advance(31)

    assert told(station) == ["Started/RemoteStart/Idle +token +remote", "Ended/EVConnectTimeout/Idle =Timeout"]


def test_a_changed_timeout_counts_for_the_next_driver(tmp_path: Path) -> None:
    """The one who waits was promised the old time."""
    station = bench(tmp_path, "Authorized", "Authorized", variables=TIMEOUT)
    station.evse(1).present_token(CARD)
    station.csms.call("SetVariables", variable("TxCtrlr", "EVConnectionTimeOut", "90"))
    station.advance(31)
    station.evse(1).present_token(CARD)
    station.advance(60)

    assert told(station).count("Ended/EVConnectTimeout/Idle =Timeout") == 1


@pytest.mark.req("E06.FR.03")
def test_the_same_card_before_the_plug_gives_up(tmp_path: Path) -> None:
    """The driver changed his mind."""
    station = bench(tmp_path, "Authorized", "Authorized")
    station.evse(1).present_token(CARD)
    station.advance(5)
    station.evse(1).present_token(CARD)
    station.evse(1).plug_in()
    station.advance(20)

    assert told(station) == ["Started/Authorized/Idle +token", "Ended/StopAuthorized/Idle +token =Local"]
    assert station.evse(1).energy_wh == 0
