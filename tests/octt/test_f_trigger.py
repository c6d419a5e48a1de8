"""The OCA's test cases of block F (remote control) about TriggerMessage, Core profile (part 6, 2.7; F06)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bench import MEASURANDS, Bench
from tests.octt.session import Session
from tests.octt.states import VALID2
from tests.scenarios.e_transactions.story import bench as station
from tests.scenarios.n_diagnostics.logs import assembled, get_log, statuses

Make = Callable[..., Bench]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A station with two EVSEs and these variables."""

    def made(variables: dict[str, str] | None = None) -> Bench:
        return station(tmp_path, "PowerPathClosed", "EVConnected,Authorized", evses=2, variables=variables or {})

    return made


def charging(bench: Bench, **who: Any) -> Session:
    """State is EnergyTransferStarted."""
    session = Session(bench, **who)
    session.energy_transfer_started()
    return session


def trigger(bench: Bench, message: str, evse: dict[str, int] | None = None) -> str:
    """TriggerMessage; gives the status of the answer."""
    wish: dict[str, Any] = {"requestedMessage": message}
    answer = bench.csms.call("TriggerMessage", {**wish, "evse": evse} if evse else wish)
    bench.advance(seconds=5)
    return str(answer["status"])


def answered_before_sent(bench: Bench, action: str) -> bool:
    """F06.FR.04: the response left before the message it promised."""
    names = [(frame.kind, frame.action) for frame in bench.csms.log if frame.by == "station"]
    return names.index(("CALLRESULT", "TriggerMessage")) < names.index(("CALL", action))


@pytest.mark.octt("TC_F_11_CS")
@pytest.mark.req("F06.FR.04", "F06.FR.05", "F06.FR.06", "F06.FR.10")
def test_tc_f_11_cs_meter_values_of_one_evse(make: Make) -> None:
    bench = make({"AlignedDataCtrlr.Measurands": ",".join(MEASURANDS[1:3])})
    bench.csms.forget()

    assert trigger(bench, "MeterValues", {"id": 1}) == "Accepted"

    told = bench.csms.received("MeterValues")
    assert [each["evseId"] for each in told] == [1]
    values = [value for each in told for one in each["meterValue"] for value in one["sampledValue"]]
    assert {value["context"] for value in values} == {"Trigger"}
    assert {value.get("measurand", MEASURANDS[1]) for value in values} == set(MEASURANDS[1:3])
    assert answered_before_sent(bench, "MeterValues")


@pytest.mark.octt("TC_F_12_CS")
@pytest.mark.req("F06.FR.04", "F06.FR.05", "F06.FR.10", "F06.FR.11")
def test_tc_f_12_cs_meter_values_of_all_evses(make: Make) -> None:
    bench = make()
    bench.csms.forget()

    assert trigger(bench, "MeterValues") == "Accepted"

    told = bench.csms.received("MeterValues")
    assert {each["evseId"] for each in told} - {0} == {1, 2}
    assert {each["meterValue"][0]["sampledValue"][0]["context"] for each in told} == {"Trigger"}
    assert answered_before_sent(bench, "MeterValues")


def assert_triggered(event: dict[str, Any], evse: int) -> None:
    """F06.FR.07: why, the state, the newest values; and of which EVSE, since a CSMS asks that knows no transaction."""
    assert (event["eventType"], event["triggerReason"]) == ("Updated", "Trigger")
    assert event["transactionInfo"]["chargingState"] == "Charging"
    assert event["evse"] == {"id": evse, "connectorId": 1}
    values = [value for one in event["meterValue"] for value in one["sampledValue"]]
    assert {value["context"] for value in values} == {"Trigger"}
    assert {value["measurand"] for value in values} == set(MEASURANDS[1:3])


@pytest.mark.octt("TC_F_13_CS")
@pytest.mark.req("F06.FR.04", "F06.FR.05", "F06.FR.07", "F06.FR.10")
def test_tc_f_13_cs_transaction_event_of_one_evse(make: Make) -> None:
    bench = make({"SampledDataCtrlr.TxUpdatedMeasurands": ",".join(MEASURANDS[1:3])})
    session = charging(bench)

    assert trigger(bench, "TransactionEvent", {"id": 1}) == "Accepted"

    assert_triggered(session.next(), 1)
    session.nothing_else()


@pytest.mark.octt("TC_F_14_CS")
@pytest.mark.req("F06.FR.04", "F06.FR.05", "F06.FR.07", "F06.FR.10", "F06.FR.11")
def test_tc_f_14_cs_transaction_events_of_all_evses(make: Make) -> None:
    bench = make({"SampledDataCtrlr.TxUpdatedMeasurands": ",".join(MEASURANDS[1:3])})
    first = charging(bench)
    second = charging(bench, evse=2, token=VALID2)
    bench.csms.forget()

    assert trigger(bench, "TransactionEvent") == "Accepted"

    assert answered_before_sent(bench, "TransactionEvent")
    for session in (first, second):
        assert_triggered(session.next(), session.evse)
        session.nothing_else()


def test_a_transaction_event_without_a_transaction_is_rejected(make: Make) -> None:
    assert trigger(make(), "TransactionEvent") == "Rejected"


@pytest.mark.req("F06.FR.09")
@pytest.mark.parametrize("message", ["MeterValues", "TransactionEvent"])
def test_what_is_asked_for_is_measured_now(make: Make, message: str) -> None:
    """Not what was read last: the register has moved on since."""
    bench = make({"SampledDataCtrlr.TxUpdatedInterval": "0"})
    charging(bench)
    bench.advance(seconds=45)
    register = bench.evse(1).energy_wh
    bench.csms.forget()

    trigger(bench, message, {"id": 1})

    (told,) = bench.csms.received(message)
    (value,) = told["meterValue"]
    sampled = [one for one in value["sampledValue"] if one.get("measurand") == MEASURANDS[1]]
    assert sampled[0]["value"] == pytest.approx(register, abs=0.01)


@pytest.mark.octt("TC_F_20_CS")
@pytest.mark.req("F06.FR.04", "F06.FR.05", "F06.FR.10")
def test_tc_f_20_cs_heartbeat(make: Make) -> None:
    bench = make()
    bench.csms.forget()

    assert trigger(bench, "Heartbeat") == "Accepted"

    assert len(bench.csms.received("Heartbeat")) == 1
    assert answered_before_sent(bench, "Heartbeat")


@pytest.mark.octt("TC_F_23_CS", "TC_F_24_CS")
@pytest.mark.req("F06.FR.04", "F06.FR.05", "F06.FR.10")
@pytest.mark.parametrize("plugged,expected", [(False, "Available"), (True, "Occupied")])
def test_status_notification_of_one_connector(make: Make, *, plugged: bool, expected: str) -> None:
    bench = make()
    if plugged:
        Session(bench).ev_connected_pre_session()
    bench.csms.forget()

    assert trigger(bench, "StatusNotification", {"id": 1, "connectorId": 1}) == "Accepted"

    (told,) = bench.csms.received("StatusNotification")
    assert (told["evseId"], told["connectorId"], told["connectorStatus"]) == (1, 1, expected)
    assert answered_before_sent(bench, "StatusNotification")


@pytest.mark.req("F06.FR.12")
@pytest.mark.parametrize("evse", [None, {"id": 1}])
def test_status_notification_needs_a_connector(make: Make, evse: dict[str, int] | None) -> None:
    bench = make()
    bench.csms.forget()

    assert trigger(bench, "StatusNotification", evse) == "Rejected"

    assert bench.csms.received("StatusNotification") == []


@pytest.mark.octt("TC_F_26_CS")
@pytest.mark.req("F06.FR.05", "F06.FR.17")
def test_tc_f_26_cs_boot_notification_when_accepted(make: Make) -> None:
    bench = make()

    assert trigger(bench, "BootNotification") == "Rejected"

    assert len(bench.csms.received("BootNotification")) == 1


@pytest.mark.octt("TC_F_27_CS")
@pytest.mark.req("F06.FR.08")
def test_tc_f_27_cs_what_is_not_built_in(make: Make) -> None:
    assert trigger(make(), "SignCombinedCertificate") == "NotImplemented"


@pytest.mark.req("F06.FR.03")
def test_an_evse_that_does_not_matter_is_passed_over(make: Make) -> None:
    assert trigger(make(), "Heartbeat", {"id": 99}) == "Accepted"


# --- logs and firmware


@pytest.mark.octt("TC_F_15_CS")
@pytest.mark.req("F06.FR.04", "F06.FR.05", "F06.FR.10", "F06.FR.15")
def test_tc_f_15_cs_log_status_idle(make: Make) -> None:
    bench = make()
    bench.csms.forget()

    assert trigger(bench, "LogStatusNotification") == "Accepted"

    assert statuses(bench) == [("Idle", None)]
    assert answered_before_sent(bench, "LogStatusNotification")


@pytest.mark.octt("TC_F_16_CS")
@pytest.mark.req("F06.FR.04", "F06.FR.05", "F06.FR.10", "F06.FR.14")
def test_tc_f_16_cs_log_status_uploading(make: Make) -> None:
    bench = make()
    assert get_log(bench, 16)["status"] == "Accepted"
    assembled(bench)
    assert statuses(bench) == [("Uploading", 16)]
    bench.csms.forget()

    assert trigger(bench, "LogStatusNotification") == "Accepted"

    assert statuses(bench) == [("Uploading", 16)]
    assert answered_before_sent(bench, "LogStatusNotification")


@pytest.mark.octt("TC_F_17_CS", "TC_F_18_CS")
@pytest.mark.req("F06.FR.03", "F06.FR.04", "F06.FR.05", "F06.FR.10", "F06.FR.16")
@pytest.mark.parametrize("evse", [{"id": 1}, None], ids=["an-evse-that-does-not-matter", "idle"])
def test_firmware_status(make: Make, evse: dict[str, int] | None) -> None:
    bench = make()
    bench.csms.forget()

    assert trigger(bench, "FirmwareStatusNotification", evse) == "Accepted"

    assert bench.csms.received("FirmwareStatusNotification") == [{"status": "Idle"}]
    assert answered_before_sent(bench, "FirmwareStatusNotification")
