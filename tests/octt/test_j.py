"""The OCA's test cases of block J (meter values), Core profile (part 6, 2.10)."""

from __future__ import annotations

import base64
import itertools
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.bench import Bench
from tests.octt.signed import KEY, have_signing_meters, let_meters_sign, signed_values
from tests.octt.states import VALID
from tests.scenarios.e_transactions.story import bay, line
from tests.scenarios.e_transactions.story import bench as station

MEASURANDS = "Energy.Active.Import.Register,Power.Active.Import,Voltage"
INTERVAL_S = 60
ALIGNED = {"AlignedDataCtrlr.Interval": str(INTERVAL_S), "AlignedDataCtrlr.Measurands": MEASURANDS}


def charging(bench: Bench) -> None:
    bench.evse(1).plug_in()
    bench.evse(1).present_token(VALID)
    bench.advance(5)
    assert bench.evse(1).charging


def end(bench: Bench) -> dict[str, Any]:
    """From StopAuthorized to ParkingBayUnoccupied; gives the Ended event."""
    bench.evse(1).present_token(VALID)
    bench.advance(2)
    bench.evse(1).unplug()
    bench.advance(2)
    last: dict[str, Any] = bench.events()[-1]
    assert last["eventType"] == "Ended"
    return last


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


ALL = set(MEASURANDS.split(","))


@pytest.mark.octt("TC_J_01_CS")
def test_tc_j_01(tmp_path: Path) -> None:
    """Clock-aligned Meter Values - No transaction ongoing."""
    bench = station(tmp_path, "EVConnected", "EVConnected", evses=2, variables=ALIGNED)
    bench.advance(INTERVAL_S * 4 + 5)
    values = [value for message in bench.csms.received("MeterValues") for value in message["meterValue"]]

    assert len(values) >= 3 * 2
    assert all(contexts(value) == {"Sample.Clock"} and measurands(value) == ALL for value in values)
    assert steps(times(values)) == {timedelta(seconds=INTERVAL_S)}


@pytest.mark.octt("TC_J_02_CS")
def test_tc_j_02(tmp_path: Path) -> None:
    """Clock-aligned Meter Values - Transaction ongoing."""
    variables = {**ALIGNED, "SampledDataCtrlr.TxUpdatedInterval": "0"}
    bench = station(tmp_path, "EVConnected", "EVConnected,Authorized", evses=2, variables=variables)
    charging(bench)
    bench.advance(INTERVAL_S * 3)
    clock = [event for event in bench.events() if event["triggerReason"] == "MeterValueClock"]
    idle = bench.csms.received("MeterValues")

    assert len(clock) == 3
    for event in clock:
        assert contexts(event["meterValue"][0]) == {"Sample.Clock"}
        assert measurands(event["meterValue"][0]) == ALL
    assert steps([datetime.fromisoformat(event["timestamp"]) for event in clock]) == {timedelta(seconds=INTERVAL_S)}
    assert {message["evseId"] for message in idle} == {2}


@pytest.mark.octt("TC_J_03_CS")
def test_tc_j_03(tmp_path: Path) -> None:
    """Clock-aligned Meter Values - EventType Ended."""
    variables = {
        "AlignedDataCtrlr.TxEndedInterval": "60",
        "AlignedDataCtrlr.TxEndedMeasurands": MEASURANDS,
        "SampledDataCtrlr.TxEndedMeasurands": "",
    }
    bench = station(tmp_path, "EVConnected", "EVConnected,Authorized", variables=variables)
    charging(bench)
    bench.advance(200)
    values = end(bench)["meterValue"]

    assert len(values) == 3
    assert all(contexts(value) == {"Sample.Clock"} and measurands(value) == ALL for value in values)
    assert steps(times(values)) == {timedelta(seconds=60)}


@pytest.mark.octt("TC_J_06_CS")
def test_tc_j_06(tmp_path: Path) -> None:
    """Clock-aligned Meter Values - No Meter Values during transaction."""
    variables = {
        **ALIGNED,
        "AlignedDataCtrlr.SendDuringIdle": "true",
        "SampledDataCtrlr.TxUpdatedInterval": "0",
        "SampledDataCtrlr.TxStartedMeasurands": "",
        "SampledDataCtrlr.TxEndedMeasurands": "",
    }
    bench = station(tmp_path, "EVConnected", "EVConnected,Authorized", variables=variables)
    bench.advance(INTERVAL_S + 5)
    before = len(bench.csms.received("MeterValues"))
    charging(bench)
    bench.advance(INTERVAL_S * 2)
    end(bench)
    during = len(bench.csms.received("MeterValues")) - before
    bench.advance(INTERVAL_S)

    assert before == 1
    assert during == 0
    assert not any("meterValue" in event for event in bench.events())
    assert len(bench.csms.received("MeterValues")) > before


@pytest.mark.octt("TC_J_07_CS")
@pytest.mark.parametrize("start", ["EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer"])
def test_tc_j_07(tmp_path: Path, start: str) -> None:
    """Sampled Meter Values - EventType Started - EVSE known."""
    variables = {"SampledDataCtrlr.TxStartedMeasurands": MEASURANDS}
    bench = station(tmp_path, start, "EVConnected,Authorized", variables=variables)
    charging(bench)
    started = bench.events()[0]

    assert started["eventType"] == "Started"
    assert contexts(started["meterValue"][0]) == {"Transaction.Begin"}
    assert measurands(started["meterValue"][0]) == ALL


@pytest.mark.octt("TC_J_08_CS")
@pytest.mark.parametrize("start", ["Authorized", "ParkingBayOccupancy"])
def test_tc_j_08(tmp_path: Path, start: str) -> None:
    """Sampled Meter Values - Context Transaction.Begin - EVSE not known."""
    variables = {"SampledDataCtrlr.TxStartedMeasurands": MEASURANDS}
    bench = station(tmp_path, start, "EVConnected,Authorized", variables=variables)
    bay(bench, occupied=True)
    bench.evse(1).present_token(VALID)
    bench.advance(5)
    bench.evse(1).plug_in()
    bench.advance(5)
    first = next(event for event in bench.events() if "evse" in event)

    assert line(first) == "Updated/CablePluggedIn/EVConnected +evse"
    assert contexts(first["meterValue"][0]) == {"Transaction.Begin"}
    assert measurands(first["meterValue"][0]) == ALL


@pytest.mark.octt("TC_J_09_CS")
def test_tc_j_09(tmp_path: Path) -> None:
    """Sampled Meter Values - EventType Updated."""
    variables = {"SampledDataCtrlr.TxUpdatedInterval": "20", "SampledDataCtrlr.TxUpdatedMeasurands": MEASURANDS}
    bench = station(tmp_path, "EVConnected", "EVConnected,Authorized", variables=variables)
    charging(bench)
    bench.advance(100)
    periodic = [event for event in bench.events() if event["triggerReason"] == "MeterValuePeriodic"]

    assert len(periodic) == 5
    for event in periodic:
        assert contexts(event["meterValue"][0]) == {"Sample.Periodic"}
        assert measurands(event["meterValue"][0]) == ALL
    assert steps([datetime.fromisoformat(event["timestamp"]) for event in periodic]) == {timedelta(seconds=20)}


@pytest.mark.octt("TC_J_10_CS")
def test_tc_j_10(tmp_path: Path) -> None:
    """Sampled Meter Values - EventType Ended."""
    variables = {"SampledDataCtrlr.TxEndedInterval": "30", "SampledDataCtrlr.TxEndedMeasurands": MEASURANDS}
    bench = station(tmp_path, "EVConnected", "EVConnected,Authorized", variables=variables)
    charging(bench)
    bench.advance(95)
    values = end(bench)["meterValue"]
    between = [value for value in values if contexts(value) == {"Sample.Periodic"}]

    assert [contexts(value) for value in values].count({"Transaction.End"}) == 1
    assert steps(times(between)) == {timedelta(seconds=30)}
    assert all(measurands(value) == ALL for value in values)


# --- signed values


@pytest.mark.octt("TC_J_11_CS")
@pytest.mark.parametrize("policy", ["Never", "OncePerTransaction", "EveryMeterValue"])
def test_tc_j_11(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str) -> None:
    """Sampled Meter Values - Signed."""
    variables = {
        "SampledDataCtrlr.TxEndedInterval": "30",
        "SampledDataCtrlr.SignReadings": "true",
        "OCPPCommCtrlr.PublicKeyWithSignedMeterValue": policy,
    }
    have_signing_meters(monkeypatch)
    bench = station(tmp_path, "EVConnected", "EVConnected,Authorized", variables=variables)
    let_meters_sign(bench, monkeypatch)
    charging(bench)
    bench.advance(100)
    values = end(bench)["meterValue"]
    every = [signed for value in values for signed in signed_values(value)]
    whole = [s for event in bench.events() for v in event.get("meterValue", ()) for s in signed_values(v)]

    assert len(every) == len(values)
    assert all(base64.b64decode(signed["signedMeterData"]).startswith(b"OCMF|") for signed in every)
    assert all(signed["encodingMethod"] == "OCMF" and signed["signingMethod"] for signed in every)
    told = [base64.b64decode(signed["publicKey"]).decode() for signed in whole]
    assert set(told) <= {KEY, ""}
    assert told.count(KEY) == {"Never": 0, "OncePerTransaction": 1, "EveryMeterValue": len(whole)}[policy]


@pytest.mark.octt("TC_J_04_CS")
def test_tc_j_04(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clock-aligned Meter Values - Signed."""
    variables = {
        "AlignedDataCtrlr.TxEndedInterval": "60",
        "AlignedDataCtrlr.TxEndedMeasurands": "Energy.Active.Import.Register",
        "AlignedDataCtrlr.SignReadings": "true",
        "SampledDataCtrlr.TxEndedMeasurands": "",
    }
    have_signing_meters(monkeypatch)
    bench = station(tmp_path, "EVConnected", "EVConnected,Authorized", variables=variables)
    let_meters_sign(bench, monkeypatch)
    charging(bench)
    bench.advance(130)
    values = end(bench)["meterValue"]

    assert len(values) == 2
    assert all(contexts(value) == {"Sample.Clock"} and signed_values(value) for value in values)
    assert all("publicKey" in signed for value in values for signed in signed_values(value))
