"""The OCA's test cases of block F (remote control), Core profile (part 6, 2.7)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bench import MEASURANDS, Bench
from tests.octt.states import (
    VALID,
    authorizes,
    charging,
    energy_transfer_started,
    ev_connected_pre_session,
    status,
)

START_POINTS = ["EVConnected", "Authorized", "PowerPathClosed"]
REMOTE_START_ID = 4711
TOKEN = {"idToken": "REMOTE-1", "type": "Central"}
CARD = {"idToken": VALID, "type": "ISO14443"}

Make = Callable[..., Bench]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A station with these variables."""

    def made(variables: dict[str, str] | None = None, **more: Any) -> Bench:
        points = {"TxCtrlr.TxStartPoint": "PowerPathClosed", "TxCtrlr.TxStopPoint": "EVConnected,Authorized"}
        return Bench(tmp_path, variables={**points, **(variables or {})}, **more)

    return made


def request_start(bench: Bench, token: dict[str, str], **more: Any) -> dict[str, Any]:
    """RequestStartTransaction for EVSE 1."""
    wish = {"idToken": token, "remoteStartId": REMOTE_START_ID, "evseId": 1, **more}
    return bench.csms.call("RequestStartTransaction", wish)


def assert_remote_start_told_once(bench: Bench, token: dict[str, str]) -> None:
    """F01.FR.19, F01.FR.25: one event has trigger RemoteStart, and it alone carries remoteStartId and idToken."""
    events = bench.events()
    told = [event for event in events if event["triggerReason"] == "RemoteStart"]
    assert len(told) == 1
    assert told[0]["idToken"] == token
    assert told[0]["transactionInfo"]["remoteStartId"] == REMOTE_START_ID
    assert sum("remoteStartId" in event["transactionInfo"] for event in events) == 1
    assert sum("idToken" in event for event in events) == 1


# --- F01, F02: start


@pytest.mark.octt("TC_F_01_CS")
@pytest.mark.req("F01.FR.03", "F01.FR.04", "F01.FR.05", "F01.FR.13", "F01.FR.19", "F01.FR.25", "F02.FR.01", "C05.FR.05")
@pytest.mark.parametrize("start_point", START_POINTS)
def test_tc_f_01_cs_cable_first(make: Make, start_point: str) -> None:
    bench = make({"TxCtrlr.TxStartPoint": start_point, "AuthCtrlr.AuthorizeRemoteStart": "false"})
    ev_connected_pre_session(bench)

    answer = request_start(bench, CARD)

    running = [event["transactionInfo"]["transactionId"] for event in bench.events()[:1]]
    assert answer["status"] == "Accepted"
    assert answer.get("transactionId") == (running[0] if start_point == "EVConnected" else None)
    energy_transfer_started(bench)
    assert_remote_start_told_once(bench, CARD)
    assert authorizes(bench) == []


@pytest.mark.octt("TC_F_02_CS")
@pytest.mark.req("F02.FR.01", "F01.FR.01", "F02.FR.09")
@pytest.mark.parametrize("start_point", START_POINTS)
def test_tc_f_02_cs_remote_first_the_token_is_checked(make: Make, start_point: str) -> None:
    bench = make({"TxCtrlr.TxStartPoint": start_point, "AuthCtrlr.AuthorizeRemoteStart": "true"})

    assert request_start(bench, CARD) == {"status": "Accepted"}
    bench.advance(seconds=2)
    assert authorizes(bench) == [VALID]
    ev_connected_pre_session(bench)

    energy_transfer_started(bench)
    assert_remote_start_told_once(bench, CARD)


@pytest.mark.req("F01.FR.01", "F02.FR.09")
def test_a_remote_start_whose_token_is_refused_starts_nothing(make: Make) -> None:
    bench = make({"AuthCtrlr.AuthorizeRemoteStart": "true"})
    bench.csms.on("Authorize", {"idTokenInfo": {"status": "Blocked"}})
    ev_connected_pre_session(bench)

    assert request_start(bench, CARD)["status"] == "Accepted"
    bench.advance(minutes=2)

    assert bench.events() == []
    assert not bench.evse(1).contactor_closed


@pytest.mark.octt("TC_F_03_CS")
@pytest.mark.req("F02.FR.01", "F01.FR.02", "F02.FR.10", "C05.FR.01", "C05.FR.03")
@pytest.mark.parametrize("start_point", START_POINTS)
def test_tc_f_03_cs_remote_first_the_token_is_not_checked(make: Make, start_point: str) -> None:
    bench = make({"TxCtrlr.TxStartPoint": start_point, "AuthCtrlr.AuthorizeRemoteStart": "false"})

    assert request_start(bench, TOKEN) == {"status": "Accepted"}
    bench.advance(seconds=2)
    ev_connected_pre_session(bench)

    energy_transfer_started(bench)
    assert authorizes(bench) == []
    assert_remote_start_told_once(bench, TOKEN)


@pytest.mark.octt("TC_F_04_CS")
@pytest.mark.req("F02.FR.01", "F02.FR.07", "E03.FR.01", "E03.FR.05")
def test_tc_f_04_cs_nobody_plugs_in(make: Make) -> None:
    bench = make({"TxCtrlr.TxStartPoint": "Authorized", "TxCtrlr.EVConnectionTimeOut": "20"})
    request_start(bench, TOKEN)
    bench.advance(seconds=2)
    assert [event["eventType"] for event in bench.events()] == ["Started"]

    bench.advance(seconds=30)

    last = bench.events()[-1]
    assert (last["eventType"], last["triggerReason"]) == ("Ended", "EVConnectTimeout")
    assert last["transactionInfo"]["stoppedReason"] == "Timeout"
    assert request_start(bench, TOKEN)["status"] == "Accepted"
    bench.advance(seconds=2)
    assert bench.events()[-1]["eventType"] == "Started"


@pytest.mark.req("B02.FR.05")
@pytest.mark.parametrize("registration", ["Pending"])
def test_before_the_registration_is_accepted_remote_starts_and_stops_are_rejected(
    make: Make, registration: str
) -> None:
    bench = make(connected=False)
    bench.csms.on("BootNotification", {"status": registration})
    bench.csms.connect()

    start = request_start(bench, TOKEN)
    stop = bench.csms.call("RequestStopTransaction", {"transactionId": "unknown"})

    assert [answer["statusInfo"]["reasonCode"] for answer in (start, stop)] == ["CSNotAccepted"] * 2
    assert start["status"] == stop["status"] == "Rejected"


@pytest.mark.req("F01.FR.23", "F02.FR.25")
def test_an_evse_that_is_out_of_service_or_faulted_is_not_started(make: Make) -> None:
    bench = make()
    bench.csms.call("ChangeAvailability", {"operationalStatus": "Inoperative", "evse": {"id": 1}})

    assert request_start(bench, TOKEN)["status"] == "Rejected"
    bench.advance(minutes=5)
    bench.evse(1).plug_in()
    bench.advance(minutes=1)
    assert bench.events() == []


@pytest.mark.req("F01.FR.24", "F02.FR.26")
def test_an_evse_with_an_authorized_driver_is_not_started_again(make: Make) -> None:
    bench = make()
    charging(bench)

    answer = request_start(bench, TOKEN)

    assert answer["status"] == "Rejected"
    assert answer["statusInfo"]["reasonCode"] == "TxInProgress"
    assert "RemoteStart" not in [event["triggerReason"] for event in bench.events()]


@pytest.mark.req("F01.FR.20", "F02.FR.22", "F01.FR.06")
def test_without_an_evse_the_one_with_a_waiting_vehicle_is_chosen(make: Make) -> None:
    bench = make()
    ev_connected_pre_session(bench, evse=2)

    answer = bench.csms.call("RequestStartTransaction", {"idToken": TOKEN, "remoteStartId": 1})
    bench.advance(seconds=10)

    assert answer["status"] == "Accepted"
    assert bench.evse(2).charging
    assert not bench.evse(1).contactor_closed


def test_an_unknown_evse_is_rejected(make: Make) -> None:
    bench = make()

    answer = request_start(bench, TOKEN, evseId=9)

    assert answer == {"status": "Rejected", "statusInfo": {"reasonCode": "UnknownEvse"}}


# --- F03: stop


@pytest.mark.octt("TC_F_08_CS")
@pytest.mark.req("F03.FR.02", "F03.FR.03", "F03.FR.07", "F03.FR.09")
@pytest.mark.parametrize("stop_point,last", [("EVConnected,Authorized", "Ended"), ("EVConnected", "Updated")])
def test_tc_f_08_cs_remote_stop(make: Make, stop_point: str, last: str) -> None:
    bench = make({"TxCtrlr.TxStopPoint": stop_point})
    charging(bench)
    transaction_id = bench.events()[0]["transactionInfo"]["transactionId"]

    answer = bench.csms.call("RequestStopTransaction", {"transactionId": transaction_id})
    bench.advance(seconds=10)

    assert answer == {"status": "Accepted"}
    stopped = [event for event in bench.events() if event["triggerReason"] == "RemoteStop"]
    assert [event["eventType"] for event in stopped] == [last]
    assert not bench.evse(1).contactor_closed
    bench.evse(1).unplug()
    bench.advance(seconds=5)
    assert bench.events()[-1]["eventType"] == "Ended"
    assert bench.events()[-1]["transactionInfo"]["stoppedReason"] == "Remote"


@pytest.mark.octt("TC_F_09_CS")
@pytest.mark.req("F03.FR.08")
def test_tc_f_09_cs_no_such_transaction(make: Make) -> None:
    bench = make()
    charging(bench)

    answer = bench.csms.call("RequestStopTransaction", {"transactionId": "no-such-transaction"})

    assert answer["status"] == "Rejected"
    bench.advance(seconds=5)
    assert bench.evse(1).charging


# --- F05: unlock


@pytest.mark.octt("TC_F_05_CS")
@pytest.mark.req("F05.FR.01", "F05.FR.02")
def test_tc_f_05_cs_never_while_a_driver_charges(make: Make) -> None:
    bench = make(lock=True)
    charging(bench)

    answer = bench.csms.call("UnlockConnector", {"evseId": 1, "connectorId": 1})

    assert answer == {"status": "OngoingAuthorizedTransaction"}
    bench.advance(seconds=5)
    assert bench.evse(1).charging


@pytest.mark.octt("TC_F_06_CS", "TC_F_07_CS")
@pytest.mark.req("F05.FR.01", "F05.FR.04", "F05.FR.06")
@pytest.mark.parametrize("cable", [True, False])
def test_a_connector_nobody_uses_is_unlocked(make: Make, *, cable: bool) -> None:
    bench = make(lock=True)
    if cable:
        ev_connected_pre_session(bench)

    assert bench.csms.call("UnlockConnector", {"evseId": 1, "connectorId": 1}) == {"status": "Unlocked"}


@pytest.mark.octt("TC_F_10_CS")
@pytest.mark.req("F05.FR.03")
@pytest.mark.parametrize("evse,connector", [(1, 7), (7, 1)])
def test_tc_f_10_cs_unknown_connector(make: Make, evse: int, connector: int) -> None:
    bench = make(lock=True)

    answer = bench.csms.call("UnlockConnector", {"evseId": evse, "connectorId": connector})

    assert answer == {"status": "UnknownConnector"}


@pytest.mark.req("F05.FR.05")
def test_a_jammed_lock_and_a_fixed_cable_are_told_as_unlock_failed(make: Make, tmp_path: Path) -> None:
    bench = make(lock=True)
    bench.world.jam_lock(1)
    ev_connected_pre_session(bench)
    other = Bench(tmp_path / "other")

    jammed = bench.csms.call("UnlockConnector", {"evseId": 1, "connectorId": 1})
    fixed = other.csms.call("UnlockConnector", {"evseId": 1, "connectorId": 1})

    assert jammed["status"] == "UnlockFailed"
    assert fixed == {"status": "UnlockFailed", "statusInfo": {"reasonCode": "FixedCable"}}


# --- F06: trigger


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

    assert {each["evseId"] for each in bench.csms.received("MeterValues")} >= {1, 2}


@pytest.mark.octt("TC_F_13_CS")
@pytest.mark.req("F06.FR.04", "F06.FR.05", "F06.FR.07", "F06.FR.10")
def test_tc_f_13_cs_transaction_event_of_one_evse(make: Make) -> None:
    bench = make({"SampledDataCtrlr.TxUpdatedMeasurands": MEASURANDS[1]})
    charging(bench)
    bench.csms.forget()

    assert trigger(bench, "TransactionEvent", {"id": 1}) == "Accepted"

    told = bench.events()
    assert [(event["eventType"], event["triggerReason"]) for event in told] == [("Updated", "Trigger")]
    assert told[0]["transactionInfo"]["chargingState"] == "Charging"
    values = [value for one in told[0]["meterValue"] for value in one["sampledValue"]]
    assert {value["context"] for value in values} == {"Trigger"}
    assert answered_before_sent(bench, "TransactionEvent")


@pytest.mark.octt("TC_F_14_CS")
@pytest.mark.req("F06.FR.04", "F06.FR.05", "F06.FR.07", "F06.FR.10", "F06.FR.11")
def test_tc_f_14_cs_transaction_events_of_all_evses(make: Make) -> None:
    bench = make()
    charging(bench, VALID, evse=1)
    charging(bench, "04DDEEFF22", evse=2)
    bench.csms.forget()

    assert trigger(bench, "TransactionEvent") == "Accepted"

    told = [event for event in bench.events() if event["triggerReason"] == "Trigger"]
    assert len({event["transactionInfo"]["transactionId"] for event in told}) == len(told) == 2


def test_a_transaction_event_without_a_transaction_is_rejected(make: Make) -> None:
    assert trigger(make(), "TransactionEvent") == "Rejected"


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
        ev_connected_pre_session(bench)
    bench.csms.forget()

    assert trigger(bench, "StatusNotification", {"id": 1, "connectorId": 1}) == "Accepted"

    assert len(bench.csms.received("StatusNotification")) == 1
    assert status(bench)["connectorStatus"] == expected
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
