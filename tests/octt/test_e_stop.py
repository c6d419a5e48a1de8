"""The OCA's test cases of block E (transactions): how one ends (part 6, 2.6: E06, E07, E09, E10, E15)."""

from __future__ import annotations

from pathlib import Path

import pytest

from hal.api import LockState
from station.facts import VehicleStopped
from tests.bench import Bench
from tests.octt.session import Session
from tests.scenarios.e_transactions.story import bench as station
from tests.scenarios.e_transactions.story import invalid, values

POINTS = ["ParkingBayOccupancy", "EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer"]
UNPLUGGED_STOPS = {"TxCtrlr.StopTxOnEVSideDisconnect": "true", "OCPPCommCtrlr.UnlockOnEVSideDisconnect": "false"}
UNPLUGGED_GOES_ON = {"TxCtrlr.StopTxOnEVSideDisconnect": "false", "OCPPCommCtrlr.UnlockOnEVSideDisconnect": "false"}
SAMPLES_APART = {"SampledDataCtrlr.TxUpdatedInterval": "0"}

each_scenario = pytest.mark.parametrize("remote", [False, True], ids=["local", "remote"])
each_cable = pytest.mark.parametrize("lock", [False, True], ids=["fixed", "detachable"])


def charging(bench: Bench, *, remote: bool = False) -> Session:
    """State is EnergyTransferStarted."""
    session = Session(bench, remote=remote)
    session.energy_transfer_started()
    return session


def suspended(bench: Bench, *, remote: bool = False) -> Session:
    """State is EnergyTransferSuspended."""
    session = Session(bench, remote=remote)
    session.energy_transfer_suspended()
    return session


def lock_of(bench: Bench) -> LockState:
    """Where the lock motor is."""
    return bench.world.evse(1).snapshot().lock


# --- the driver or the CSMS stops it


@pytest.mark.octt("TC_E_06_CS")
@pytest.mark.parametrize("stop", POINTS)
def test_tc_e_06(tmp_path: Path, stop: str) -> None:
    """Local Stop Transaction - Accepted."""
    session = charging(station(tmp_path, "EVConnected", stop))

    session.stop_authorized()
    session.ev_connected_post_session()
    session.ev_disconnected()
    session.parking_bay_unoccupied()


@pytest.mark.octt("TC_E_07_CS")
def test_tc_e_07(tmp_path: Path) -> None:
    """Stop transaction options - PowerPathClosed - Local stop."""
    charging(station(tmp_path, "Authorized", "PowerPathClosed")).stop_authorized()


@pytest.mark.octt("TC_E_35_CS")
def test_tc_e_35(tmp_path: Path) -> None:
    """Stop transaction options - PowerPathClosed - Remote stop."""
    charging(station(tmp_path, "Authorized", "PowerPathClosed"), remote=True).stop_authorized()


@pytest.mark.octt("TC_E_08_CS")
@each_scenario
def test_tc_e_08(tmp_path: Path, *, remote: bool) -> None:
    """Stop transaction options - EnergyTransfer stopped - StopAuthorized."""
    charging(station(tmp_path, "Authorized", "EnergyTransfer"), remote=remote).stop_authorized()


@pytest.mark.octt("TC_E_15_CS")
def test_tc_e_15(tmp_path: Path) -> None:
    """Stop transaction options - StopAuthorized - Local."""
    session = charging(station(tmp_path, "Authorized", "Authorized"))

    session.stop_authorized()

    assert (session.last["eventType"], session.last["triggerReason"]) == ("Ended", "StopAuthorized")
    assert session.last["transactionInfo"]["stoppedReason"] == "Local"


@pytest.mark.octt("TC_E_21_CS")
def test_tc_e_21(tmp_path: Path) -> None:
    """Stop transaction options - StopAuthorized - Remote."""
    session = charging(station(tmp_path, "Authorized", "Authorized"), remote=True)

    session.stop_authorized()

    assert (session.last["eventType"], session.last["triggerReason"]) == ("Ended", "RemoteStop")
    assert session.last["transactionInfo"]["stoppedReason"] == "Remote"


@pytest.mark.octt("TC_E_14_CS")
@each_scenario
@each_cable
def test_tc_e_14(tmp_path: Path, *, lock: bool, remote: bool) -> None:
    """Stop transaction options - EVDisconnected - Charging Station side."""
    session = charging(station(tmp_path, "EVConnected", "EVConnected", lock=lock), remote=remote)
    session.ev_connected_post_session()

    session.ev_disconnected()

    assert session.last["eventType"] == "Ended"


@pytest.mark.octt("TC_E_19_CS")
@pytest.mark.parametrize("start", ["ParkingBayOccupancy", "Authorized"])
@each_scenario
def test_tc_e_19(tmp_path: Path, start: str, *, remote: bool) -> None:
    """Stop transaction options - ParkingBayUnoccupied."""
    session = charging(station(tmp_path, start, "ParkingBayOccupancy"), remote=remote)
    session.ev_disconnected()
    assert session.running

    session.parking_bay_unoccupied()

    assert session.last["triggerReason"] == "EVDeparted"


# --- the vehicle stops it


@pytest.mark.octt("TC_E_22_CS")
@each_scenario
def test_tc_e_22(tmp_path: Path, *, remote: bool) -> None:
    """Stop transaction options - EnergyTransfer stopped - SuspendedEV."""
    session = charging(station(tmp_path, "Authorized", "EnergyTransfer"), remote=remote)

    session.pause()

    session.told_suspended()
    session.nothing_else()
    assert session.last["eventType"] == "Ended"


@pytest.mark.octt("TC_E_46_CS")
@pytest.mark.parametrize("stop", POINTS)
def test_tc_e_46(tmp_path: Path, stop: str) -> None:
    """End of charging process 15118.

    With stop points that go on, the vehicle's end is told by one event, and that the contactor is open by the next.
    """
    session = charging(station(tmp_path, "Authorized", stop, variables=SAMPLES_APART))

    session.bench.hardware.tell(VehicleStopped(evse_id=1, at=session.bench.now.instant))
    session.bench.advance(3)

    session.told_stop_authorized(reasons="StoppedByEV")
    session.nothing_else()
    assert session.charging_state == "EVConnected"
    assert values(session.last, "Transaction.End") if session.last["eventType"] == "Ended" else session.running


# --- the CSMS does not accept the token any more


@pytest.mark.octt("TC_E_16_CS")
@pytest.mark.parametrize("stop", ["Authorized", "PowerPathClosed"])
@pytest.mark.parametrize("start", POINTS)
def test_tc_e_16(tmp_path: Path, start: str, stop: str) -> None:
    """Stop transaction options - Deauthorized - Invalid idToken."""
    variables = {"TxCtrlr.StopTxOnInvalidId": "true", "AuthCtrlr.OfflineTxForUnknownIdEnabled": "true"}
    bench = station(tmp_path, start, stop, variables=variables)
    session = Session(bench)
    bench.csms.disconnect()
    session.bay_is(occupied=True)
    session.present()
    session.plug()
    bench.advance(60)
    bench.csms.on("TransactionEvent", lambda event: invalid() if "idToken" in event else {})
    bench.csms.connect()
    bench.advance(5)

    assert any("idToken" in event for event in session.queued())
    session.deauthorized()
    assert session.last["eventType"] == "Ended"
    assert "offline" not in session.last


# --- the cable is disconnected on the vehicle's side


def cable_out_of_the_station(session: Session, *, held: bool) -> None:
    """The driver takes the cable along; one that the lock holds only after presenting the token."""
    if held:
        assert lock_of(session.bench) is LockState.LOCKED
        session.present()
    assert lock_of(session.bench) in {LockState.UNLOCKED, LockState.ABSENT}
    session.connector_is("Available")
    session.nothing_else()


@pytest.mark.octt("TC_E_17_CS")
@pytest.mark.parametrize("start", POINTS)
@each_cable
def test_tc_e_17(tmp_path: Path, start: str, *, lock: bool) -> None:
    """Stop transaction options - Deauthorized - EV side disconnect."""
    session = suspended(station(tmp_path, start, "Authorized", variables=UNPLUGGED_STOPS, lock=lock))

    session.unplug()

    session.next(
        eventType="Ended",
        triggerReason="EVCommunicationLost",
        chargingState="Idle",
        stoppedReason="EVDisconnected",
    )
    cable_out_of_the_station(session, held=lock)


@pytest.mark.octt("TC_E_24_CS")
@pytest.mark.parametrize("stop", POINTS[:-1])
def test_tc_e_24(tmp_path: Path, stop: str) -> None:
    """Disconnect cable on EV-side - Deauthorize transaction - UnlockEVSideDisconnect is true."""
    variables = {**UNPLUGGED_STOPS, "OCPPCommCtrlr.UnlockOnEVSideDisconnect": "true"}
    session = suspended(station(tmp_path, "Authorized", stop, variables=variables, lock=True))

    session.unplug()

    session.next(triggerReason="EVCommunicationLost", chargingState="Idle")
    cable_out_of_the_station(session, held=False)


@pytest.mark.octt("TC_E_25_CS")
@pytest.mark.parametrize("stop", POINTS[:-1])
@each_cable
def test_tc_e_25(tmp_path: Path, stop: str, *, lock: bool) -> None:
    """Disconnect cable on EV-side - Deauthorize transaction - UnlockOnEVSideDisconnect is false."""
    session = suspended(station(tmp_path, "Authorized", stop, variables=UNPLUGGED_STOPS, lock=lock))

    session.unplug()

    session.next(triggerReason="EVCommunicationLost", chargingState="Idle")
    cable_out_of_the_station(session, held=lock)


@pytest.mark.octt("TC_E_20_CS")
@each_scenario
def test_tc_e_20(tmp_path: Path, *, remote: bool) -> None:
    """Stop transaction options - EVDisconnected - EV side (able to charge IEC 61851-1 EV)."""
    bench = station(tmp_path, "EVConnected", "EVConnected", variables=UNPLUGGED_GOES_ON)
    session = suspended(bench, remote=remote)

    session.unplug()

    ended = {"eventType": "Ended", "triggerReason": "EVCommunicationLost", "chargingState": "Idle"}
    session.next(**ended, stoppedReason="EVDisconnected")
    session.nothing_else()


@pytest.mark.octt("TC_E_54_CS")
def test_tc_e_54(tmp_path: Path) -> None:
    """Stop transaction options - EVDisconnected - EV side (not able to charge IEC 61851-1 EV)."""
    session = suspended(station(tmp_path, "EVConnected", "EVConnected", variables=UNPLUGGED_GOES_ON))
    session.bench.hardware.tell(VehicleStopped(evse_id=1, at=session.bench.now.instant))
    session.bench.advance(2)
    session.told_stop_authorized()

    session.unplug()

    ended = {"eventType": "Ended", "triggerReason": "EVCommunicationLost", "chargingState": "Idle"}
    session.next(**ended, stoppedReason={"StoppedByEV", "EVDisconnected"})
    session.nothing_else()


@pytest.mark.octt("TC_E_37_CS")
@each_scenario
def test_tc_e_37(tmp_path: Path, *, remote: bool) -> None:
    """Stop transaction options - PowerPathClosed - EV side disconnect."""
    bench = station(tmp_path, "Authorized", "PowerPathClosed", variables=UNPLUGGED_GOES_ON)
    session = suspended(bench, remote=remote)

    session.unplug()

    ended = {"eventType": "Ended", "triggerReason": "EVCommunicationLost", "chargingState": "Idle"}
    session.next(**ended, stoppedReason={"StoppedByEV", "EVDisconnected"})
    session.nothing_else()


@pytest.mark.octt("TC_E_26_CS")
@pytest.mark.parametrize("stop", ["Authorized", "ParkingBayOccupancy", "Authorized,ParkingBayOccupancy"])
@each_cable
def test_tc_e_26(tmp_path: Path, stop: str, *, lock: bool) -> None:
    """Disconnect cable on EV-side - Suspend transaction."""
    session = suspended(station(tmp_path, "Authorized", stop, variables=UNPLUGGED_GOES_ON, lock=lock))

    session.unplug()
    session.next(eventType="Updated", triggerReason="EVCommunicationLost", chargingState="Idle")
    session.connector_is("Occupied" if lock else "Available")

    session.plug()
    session.bench.advance(10)
    session.next(eventType="Updated", triggerReason="CablePluggedIn", chargingState="EVConnected")
    session.next(eventType="Updated", triggerReason="ChargingStateChanged", chargingState="Charging")
    session.nothing_else()
    assert session.bench.evse(1).charging


@pytest.mark.octt("TC_E_27_CS")
@pytest.mark.parametrize("stop", ["Authorized", "ParkingBayOccupancy"])
def test_tc_e_27(tmp_path: Path, stop: str) -> None:
    """Disconnect cable on EV-side - Suspend transaction - Fixed cable connection timeout."""
    variables = {**UNPLUGGED_GOES_ON, "TxCtrlr.EVConnectionTimeOut": "60"}
    session = suspended(station(tmp_path, "Authorized", stop, variables=variables))

    session.unplug()
    session.next(eventType="Updated", triggerReason="EVCommunicationLost", chargingState="Idle")
    session.connector_is("Available")
    session.bench.advance(58 - 1)
    session.nothing_else()
    session.bench.advance(2)

    ends = stop == "Authorized"
    session.next(
        eventType="Ended" if ends else "Updated",
        triggerReason="EVConnectTimeout",
        stoppedReason={"Timeout"} if ends else {None},
    )
    session.nothing_else()
