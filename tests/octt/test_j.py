"""The OCA's test cases of block J (meter values), Core profile (part 6, 2.10)."""

from __future__ import annotations

import base64
import itertools
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.bench import Bench
from tests.octt.session import Session
from tests.octt.signed import KEYS, signed_values
from tests.scenarios.e_transactions.story import bench as station

MEASURANDS = "Energy.Active.Import.Register,Power.Active.Import,Voltage"
ALL = set(MEASURANDS.split(","))
INTERVAL_S = 60
ALIGNED = {
    "AlignedDataCtrlr.Interval": str(INTERVAL_S),
    "AlignedDataCtrlr.Measurands": MEASURANDS,
    "AlignedDataCtrlr.SendDuringIdle": "false",
}
POINTS = ["ParkingBayOccupancy", "EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer"]

each_stop = pytest.mark.parametrize("stop", POINTS)


def charging(bench: Bench) -> Session:
    """State is EnergyTransferStarted."""
    session = Session(bench)
    session.energy_transfer_started()
    return session


def end(session: Session) -> list[dict[str, Any]]:
    """Execute ParkingBayUnoccupied; gives the values of the Ended event."""
    session.parking_bay_unoccupied()
    none_of_the_vehicle(session.bench)
    values: list[dict[str, Any]] = session.last["meterValue"]
    return values


def all_values(bench: Bench) -> list[dict[str, Any]]:
    """Every value that was told, in whatever message."""
    messages = [*bench.csms.received("MeterValues"), *bench.events()]
    return [value for message in messages for value in message.get("meterValue", ())]


def none_of_the_vehicle(bench: Bench) -> None:
    """Post scenario validation of all cases: nothing but a state of charge is measured in the vehicle."""
    for value in all_values(bench):
        for sampled in value["sampledValue"]:
            assert sampled.get("location") != "EV" or sampled["measurand"] == "SoC"


def times(values: list[dict[str, Any]]) -> list[datetime]:
    return [datetime.fromisoformat(value["timestamp"]) for value in values]


def steps(moments: list[datetime]) -> set[timedelta]:
    unique = sorted(set(moments))
    return {later - earlier for earlier, later in itertools.pairwise(unique)}


def measurands(value: dict[str, Any]) -> set[str]:
    return {sampled_value["measurand"] for sampled_value in value["sampledValue"]}


def contexts(value: dict[str, Any]) -> set[str]:
    """The first value names its context; a later one without has the default of the schema."""
    first, *others = value["sampledValue"]
    return {first["context"], *(other.get("context", "Sample.Periodic") for other in others)}


def check(values: list[dict[str, Any]], context: str, interval_s: int) -> None:
    """Each value has this context and all measurands, and they are so far apart."""
    assert all(contexts(value) == {context} and measurands(value) == ALL for value in values)
    assert steps(times(values)) == {timedelta(seconds=interval_s)}


@pytest.mark.octt("TC_J_01_CS")
def test_tc_j_01(tmp_path: Path) -> None:
    """Clock-aligned Meter Values - No transaction ongoing."""
    bench = station(tmp_path, "EVConnected", "EVConnected", evses=2, variables=ALIGNED)

    bench.advance(INTERVAL_S * 4 + 5)

    for evse in (1, 2):
        told = [message for message in bench.csms.received("MeterValues") if message["evseId"] == evse]
        assert len(told) >= 3
        check([value for message in told for value in message["meterValue"]], "Sample.Clock", INTERVAL_S)
    check(all_values(bench), "Sample.Clock", INTERVAL_S)
    none_of_the_vehicle(bench)


@pytest.mark.octt("TC_J_02_CS")
def test_tc_j_02(tmp_path: Path) -> None:
    """Clock-aligned Meter Values - Transaction ongoing."""
    variables = {**ALIGNED, "AlignedDataCtrlr.RegisterValuesWithoutPhases": "false"}
    bench = station(tmp_path, "EVConnected", "EVConnected,Authorized", evses=2, variables=variables)
    charging(bench)
    bench.csms.forget()

    bench.advance(INTERVAL_S * 3)

    clock = [event for event in bench.events() if event["triggerReason"] == "MeterValueClock"]
    idle = bench.csms.received("MeterValues")
    assert len(clock) == 3
    check([value for event in clock for value in event["meterValue"]], "Sample.Clock", INTERVAL_S)
    assert steps([datetime.fromisoformat(event["timestamp"]) for event in clock]) == {timedelta(seconds=INTERVAL_S)}
    assert {message["evseId"] for message in idle} == {2}
    check([value for message in idle for value in message["meterValue"]], "Sample.Clock", INTERVAL_S)
    none_of_the_vehicle(bench)


@pytest.mark.octt("TC_J_03_CS")
@each_stop
def test_tc_j_03(tmp_path: Path, stop: str) -> None:
    """Clock-aligned Meter Values - EventType Ended."""
    variables = {
        "AlignedDataCtrlr.TxEndedInterval": str(INTERVAL_S),
        "AlignedDataCtrlr.TxEndedMeasurands": MEASURANDS,
        "AlignedDataCtrlr.SendDuringIdle": "false",
        "SampledDataCtrlr.TxEndedMeasurands": "",
    }
    session = charging(station(tmp_path, "EVConnected", stop, variables=variables))
    session.bench.advance(INTERVAL_S * 3)

    values = end(session)

    assert len(values) == 3
    check(values, "Sample.Clock", INTERVAL_S)


@pytest.mark.octt("TC_J_06_CS")
@each_stop
def test_tc_j_06(tmp_path: Path, stop: str) -> None:
    """Clock-aligned Meter Values - No Meter Values during transaction."""
    variables = {
        **ALIGNED,
        "AlignedDataCtrlr.SendDuringIdle": "true",
        "SampledDataCtrlr.TxUpdatedInterval": "0",
        "SampledDataCtrlr.TxStartedMeasurands": "",
        "SampledDataCtrlr.TxEndedMeasurands": "",
    }
    bench = station(tmp_path, "EVConnected", stop, variables=variables)
    bench.advance(INTERVAL_S * 2)
    before = bench.csms.received("MeterValues")
    bench.csms.forget()

    session = charging(bench)
    bench.advance(INTERVAL_S + 5)
    session.parking_bay_unoccupied()
    assert all_values(bench) == []

    bench.advance(INTERVAL_S * 2)
    after = bench.csms.received("MeterValues")
    for told in (before, after):
        assert len(told) >= 2
        check([value for message in told for value in message["meterValue"]], "Sample.Clock", INTERVAL_S)
    none_of_the_vehicle(bench)


@pytest.mark.octt("TC_J_07_CS")
@pytest.mark.parametrize("start", POINTS[1:])
def test_tc_j_07(tmp_path: Path, start: str) -> None:
    """Sampled Meter Values - EventType Started - EVSE known."""
    variables = {"SampledDataCtrlr.TxStartedMeasurands": MEASURANDS}
    bench = station(tmp_path, start, "EVConnected,Authorized", variables=variables)
    session = Session(bench)
    session.parking_bay_occupied()

    session.ev_connected_pre_session()
    session.energy_transfer_started()

    (started,) = [event for event in bench.events() if event["eventType"] == "Started"]
    (begin,) = started["meterValue"]
    assert contexts(begin) == {"Transaction.Begin"}
    assert measurands(begin) == ALL
    none_of_the_vehicle(bench)


@pytest.mark.octt("TC_J_08_CS")
@pytest.mark.parametrize("start", ["Authorized", "ParkingBayOccupancy", "Authorized,ParkingBayOccupancy"])
def test_tc_j_08(tmp_path: Path, start: str) -> None:
    """Sampled Meter Values - Context Transaction.Begin - EVSE not known."""
    variables = {"SampledDataCtrlr.TxStartedMeasurands": MEASURANDS}
    bench = station(tmp_path, start, "EVConnected,Authorized", variables=variables)

    charging(bench)

    first = next(event for event in bench.events() if "evse" in event)
    (begin,) = first["meterValue"]
    assert first["triggerReason"] == "CablePluggedIn"
    assert contexts(begin) == {"Transaction.Begin"}
    assert measurands(begin) == ALL
    none_of_the_vehicle(bench)


@pytest.mark.octt("TC_J_09_CS")
def test_tc_j_09(tmp_path: Path) -> None:
    """Sampled Meter Values - EventType Updated."""
    variables = {"SampledDataCtrlr.TxUpdatedInterval": "20", "SampledDataCtrlr.TxUpdatedMeasurands": MEASURANDS}
    bench = station(tmp_path, "EVConnected", "EVConnected,Authorized", variables=variables)
    session = charging(bench)
    bench.csms.forget()

    bench.advance(100)

    session.nothing_else()
    told = bench.events()
    assert {event["triggerReason"] for event in told} == {"MeterValuePeriodic"}
    assert len(told) == 5
    check([value for event in told for value in event["meterValue"]], "Sample.Periodic", 20)
    assert steps([datetime.fromisoformat(event["timestamp"]) for event in told]) == {timedelta(seconds=20)}
    none_of_the_vehicle(bench)


@pytest.mark.octt("TC_J_10_CS")
@each_stop
def test_tc_j_10(tmp_path: Path, stop: str) -> None:
    """Sampled Meter Values - EventType Ended."""
    variables = {
        "SampledDataCtrlr.TxEndedInterval": "30",
        "SampledDataCtrlr.TxEndedMeasurands": MEASURANDS,
        "AlignedDataCtrlr.TxEndedMeasurands": "",
    }
    session = charging(station(tmp_path, "EVConnected", stop, variables=variables))
    session.bench.advance(95)

    *begin_and_between, last = end(session)

    assert contexts(last) == {"Transaction.End"}
    assert measurands(last) == ALL
    between = [value for value in begin_and_between if contexts(value) != {"Transaction.Begin"}]
    check(between, "Sample.Periodic", 30)


# --- signed values


def check_keys(signed: list[dict[str, Any]], policy: str) -> None:
    """PublicKeyWithSignedMeterValue: whether the key is told with none, the first, or each."""
    keys = [base64.b64decode(each["publicKey"]).decode() for each in signed]
    assert set(keys) <= {KEYS[1], ""}
    assert keys.count(KEYS[1]) == {"Never": 0, "OncePerTransaction": 1, "EveryMeterValue": len(keys)}[policy]


def check_signed(session: Session, policy: str) -> list[dict[str, Any]]:
    """Each value of the Ended event is signed, by these rules of the key; gives the values."""
    values = end(session)
    for value in values:
        assert signed_values(value)
        for signed in signed_values(value):
            assert base64.b64decode(signed["signedMeterData"]).startswith(b"OCMF|")
            assert signed["encodingMethod"] == "OCMF"
            assert "signingMethod" in signed
    check_keys([signed for value in all_values(session.bench) for signed in signed_values(value)], policy)
    return values


POLICIES = ["Never", "OncePerTransaction", "EveryMeterValue"]


@pytest.mark.octt("TC_J_11_CS")
@pytest.mark.parametrize("policy", POLICIES)
def test_tc_j_11(tmp_path: Path, policy: str) -> None:
    """Sampled Meter Values - Signed."""
    variables = {
        "SampledDataCtrlr.TxEndedInterval": "30",
        "SampledDataCtrlr.TxEndedMeasurands": MEASURANDS,
        "SampledDataCtrlr.SignReadings": "true",
        "OCPPCommCtrlr.PublicKeyWithSignedMeterValue": policy,
    }
    bench = station(tmp_path, "EVConnected", "EVConnected,Authorized", variables=variables, signing=True)
    session = charging(bench)
    bench.advance(100)

    begin, *between, last = check_signed(session, policy)

    assert (contexts(begin), contexts(last)) == ({"Transaction.Begin"}, {"Transaction.End"})
    check(between, "Sample.Periodic", 30)


@pytest.mark.octt("TC_J_04_CS")
@pytest.mark.parametrize("policy", POLICIES)
def test_tc_j_04(tmp_path: Path, policy: str) -> None:
    """Clock-aligned Meter Values - Signed."""
    variables = {
        "AlignedDataCtrlr.TxEndedInterval": str(INTERVAL_S),
        "AlignedDataCtrlr.TxEndedMeasurands": MEASURANDS,
        "AlignedDataCtrlr.SignReadings": "true",
        "AlignedDataCtrlr.SendDuringIdle": "false",
        "SampledDataCtrlr.TxEndedMeasurands": "",
        "OCPPCommCtrlr.PublicKeyWithSignedMeterValue": policy,
    }
    bench = station(tmp_path, "EVConnected", "EVConnected,Authorized", variables=variables, signing=True)
    session = charging(bench)
    bench.advance(INTERVAL_S * 2)

    values = check_signed(session, policy)

    assert len(values) == 2
    check(values, "Sample.Clock", INTERVAL_S)
