"""The OCA's test cases of block E (transactions): how one starts (part 6, 2.6: E01 to E03)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.bench import Bench
from tests.octt.session import Session
from tests.octt.signed import signed_values
from tests.octt.states import INVALID, authorizes
from tests.scenarios.e_transactions.story import bench as station

POINTS = ["ParkingBayOccupancy", "EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer"]
TIMEOUT_S = 30
IN_TIME = {"TxCtrlr.EVConnectionTimeOut": str(TIMEOUT_S)}

each_start = pytest.mark.parametrize("start", POINTS)
each_scenario = pytest.mark.parametrize("remote", [False, True], ids=["local", "remote"])


def started(session: Session) -> dict[str, Any]:
    """The event that was read last is the first of its transaction."""
    assert (session.last["eventType"], session.last["seqNo"]) == ("Started", 0)
    return session.last


@pytest.mark.octt("TC_E_01_CS")
@each_scenario
def test_tc_e_01(tmp_path: Path, *, remote: bool) -> None:
    """Start transaction options - PowerPathClosed."""
    session = Session(station(tmp_path, "PowerPathClosed", "PowerPathClosed"), remote=remote)
    session.authorized()

    session.ev_connected_pre_session()

    started(session)
    session.energy_transfer_started()


@pytest.mark.octt("TC_E_02_CS")
@each_scenario
def test_tc_e_02(tmp_path: Path, *, remote: bool) -> None:
    """Start transaction options - EnergyTransfer."""
    session = Session(station(tmp_path, "EnergyTransfer", "PowerPathClosed"), remote=remote)
    session.authorized()

    session.energy_transfer_started()

    assert {"idToken", "evse"} <= started(session).keys()


@pytest.mark.octt("TC_E_09_CS")
def test_tc_e_09(tmp_path: Path) -> None:
    """Start transaction options - EVConnected."""
    session = Session(station(tmp_path, "EVConnected", "EVConnected"))
    session.parking_bay_occupied()

    session.ev_connected_pre_session()

    assert started(session)["transactionInfo"]["chargingState"] == "EVConnected"
    session.authorized()
    session.energy_transfer_started()


@pytest.mark.octt("TC_E_10_CS")
def test_tc_e_10(tmp_path: Path) -> None:
    """Start transaction options - Authorized - Local."""
    session = Session(station(tmp_path, "Authorized", "Authorized"))

    session.authorized()

    started(session)
    session.ev_connected_pre_session()
    session.energy_transfer_started()


@pytest.mark.octt("TC_E_13_CS")
@pytest.mark.parametrize("authorize", ["true", "false"])
def test_tc_e_13(tmp_path: Path, authorize: str) -> None:
    """Start transaction options - Authorized - Remote."""
    variables = {"AuthCtrlr.AuthorizeRemoteStart": authorize}
    session = Session(station(tmp_path, "Authorized", "Authorized", variables=variables), remote=True)

    session.authorized()

    started(session)
    session.ev_connected_pre_session()
    session.energy_transfer_started()


@pytest.mark.octt("TC_E_11_CS")
@pytest.mark.req("E01.FR.04")
@each_scenario
def test_tc_e_11(tmp_path: Path, *, remote: bool) -> None:
    """Start transaction options - DataSigned."""
    variables = {
        "SampledDataCtrlr.SignReadings": "true",
        "OCPPCommCtrlr.PublicKeyWithSignedMeterValue": "EveryMeterValue",
    }
    bench = station(tmp_path, "DataSigned", "EVConnected,Authorized", variables=variables, signing=True)
    session = Session(bench, remote=remote)
    session.authorized()

    session.ev_connected_pre_session()
    first = bench.events()[0]
    session.energy_transfer_started()

    (begin,) = first["meterValue"]
    assert first["eventType"] == "Started"
    assert {"idToken", "evse"} <= first.keys()
    assert {value["context"] for value in begin["sampledValue"]} == {"Transaction.Begin"}
    assert signed_values(begin)
    for signed in signed_values(begin):
        assert set(signed) == {"encodingMethod", "publicKey", "signedMeterData", "signingMethod"}
    assert session.last["eventType"] == "Updated"


@pytest.mark.octt("TC_E_12_CS")
def test_tc_e_12(tmp_path: Path) -> None:
    """Start transaction options - ParkingBayOccupied."""
    session = Session(station(tmp_path, "ParkingBayOccupancy", "ParkingBayOccupancy"))

    session.parking_bay_occupied()

    started(session)
    session.authorized()
    session.ev_connected_pre_session()
    session.energy_transfer_started()


@pytest.mark.octt("TC_E_03_CS")
@pytest.mark.req("E02.FR.05")
@each_start
def test_tc_e_03(tmp_path: Path, start: str) -> None:
    """Local start transaction - Cable plugin first - Success."""
    session = Session(station(tmp_path, start, "EVConnected,Authorized"))
    session.ev_connected_pre_session()

    session.authorized()
    session.energy_transfer_started()


@pytest.mark.octt("TC_E_04_CS")
@each_start
def test_tc_e_04(tmp_path: Path, start: str) -> None:
    """Local start transaction - Authorization first - Success."""
    session = Session(station(tmp_path, start, "EVConnected,Authorized"))
    session.parking_bay_occupied()

    session.authorized()
    session.energy_transfer_started()


# --- the driver does not come, the vehicle is not ready


def timed_out(session: Session) -> None:
    """EVConnectionTimeOut has passed: the transaction ends if there is one; in a parking bay it goes on (E03.FR.15)."""
    session.bench.advance(TIMEOUT_S)
    if session.running:
        parked = "ParkingBayOccupancy" in session.stops
        session.next(
            eventType="Updated" if parked else "Ended",
            triggerReason="EVConnectTimeout",
            stoppedReason={None} if parked else {"Timeout"},
        )
    session.is_authorized = False
    session.nothing_else()


TIMED_OUT = [
    ("ParkingBayOccupancy", "ParkingBayOccupancy"),
    ("Authorized", "Authorized"),
    ("Authorized", "EVConnected,Authorized"),
    ("EVConnected", "Authorized"),
    ("PowerPathClosed", "Authorized"),
]


@pytest.mark.octt("TC_E_05_CS")
@pytest.mark.parametrize("start,stop", TIMED_OUT)
def test_tc_e_05(tmp_path: Path, start: str, stop: str) -> None:
    """Local start transaction - Authorization first - Cable plugin timeout.

    With stop points that nobody would choose, the transaction ends nevertheless, as E03.FR.05 says.
    """
    bench = station(tmp_path, start, stop, variables=IN_TIME)
    session = Session(bench)
    session.authorized()

    timed_out(session)

    again = session if session.running else Session(bench)
    again.authorized()
    again.energy_transfer_started()


@pytest.mark.octt("TC_E_39_CS")
@pytest.mark.parametrize("start,stop", TIMED_OUT)
@each_scenario
def test_tc_e_39(tmp_path: Path, start: str, stop: str, *, remote: bool) -> None:
    """Stop transaction options - Deauthorized - timeout."""
    bench = station(tmp_path, start, stop, variables=IN_TIME)
    session = Session(bench, remote=remote)
    session.authorized()
    timed_out(session)
    told = len(bench.events())

    session.plug()
    session.connector_is("Occupied")
    bench.advance(minutes=2)

    for event in bench.events()[told:]:
        assert event["triggerReason"] in {"CablePluggedIn", "MeterValuePeriodic"}
        assert event["transactionInfo"]["chargingState"] != "Charging"
    assert not bench.evse(1).contactor_closed
    assert bench.evse(1).energy_wh == 0


@pytest.mark.octt("TC_E_38_CS")
@pytest.mark.parametrize("start", [point for point in POINTS if point != "EnergyTransfer"])
@each_scenario
def test_tc_e_38(tmp_path: Path, start: str, *, remote: bool) -> None:
    """Local start transaction - EV not ready."""
    session = Session(station(tmp_path, start, "Authorized"), remote=remote)
    session.authorized()

    session.ev_connected_pre_session(charge=False)
    session.bench.advance(30)

    session.next(eventType="Updated", triggerReason="ChargingStateChanged", chargingState="SuspendedEV")
    session.nothing_else()


@pytest.mark.octt("TC_E_52_CS")
@each_start
def test_tc_e_52(tmp_path: Path, start: str) -> None:
    """Local start transaction - Authorization first - DisableRemoteAuthorization."""
    variables = {"AuthCtrlr.DisableRemoteAuthorization": "true"}
    bench: Bench = station(tmp_path, start, "Authorized", variables=variables)
    session = Session(bench, token=INVALID)
    session.parking_bay_occupied()

    session.present()

    assert authorizes(bench) == []
    session.ev_connected_pre_session()
    bench.advance(minutes=2)
    session.nothing_else()
    assert not bench.evse(1).contactor_closed
