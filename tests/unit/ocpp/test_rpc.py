"""The RPC framework: who owes whom an answer, and what a broken frame is answered (part 4, chapter 4)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from station.ocpp.errors import ErrorCode, RpcError
from station.ocpp.frame import Fault
from station.ocpp.rpc import (
    LATE_S,
    REPEAT_S,
    Busy,
    CallReceived,
    CallRepeated,
    Endpoint,
    ErrorReceived,
    ResultReceived,
    Violation,
)


@pytest.fixture
def end() -> Endpoint:
    """A station's end of the line, as at the start."""
    return Endpoint(max_message_bytes=4096, max_depth=16, call_timeout_s=30)


def refused(end: Endpoint, frame: str | bytes) -> list[Any]:
    """The CALLERROR that answers a frame which must be refused."""
    event = end.receive(frame, 0)
    assert isinstance(event, Violation)
    assert event.reply is not None
    error = json.loads(event.reply)
    assert len(error) == 5
    assert error[0] == 4
    assert error[4] == {}
    assert isinstance(error, list)
    return error


# Requests of the CSMS


def test_a_call_is_handed_up_with_its_payload_undecoded(end: Endpoint) -> None:
    """Part 4, 4.2.1: the payload stays text, so that a local controller may relay it."""
    event = end.receive('[2,"19223201","Reset",{"type" : "Immediate"}]', 0)

    assert event == CallReceived("19223201", "Reset", b'{"type" : "Immediate"}')


def test_a_call_may_write_no_payload_as_null(end: Endpoint) -> None:
    """Part 4, 4.1.5: JSON knows two notations of an empty payload."""
    assert end.receive('[2,"1","Heartbeat",null]', 0) == CallReceived("1", "Heartbeat", b"{}")


@pytest.mark.req("FR.02")
def test_a_result_carries_the_id_of_its_call(end: Endpoint) -> None:
    """FR.02: a valid request gets a CALLRESULT with the very same id."""
    end.receive('[2,"a \\"quoted\\" id","Heartbeat",{}]', 0)

    reply = end.result('a "quoted" id', b'{"currentTime":"2026-11-21T08:00:00Z"}', 0)

    assert reply is not None
    assert json.loads(reply) == [3, 'a "quoted" id', {"currentTime": "2026-11-21T08:00:00Z"}]


def test_an_error_is_spelt_by_the_negotiated_version(end: Endpoint) -> None:
    """OCPP 1.6 writes two of the codes otherwise; the framework does not know them."""
    end.spell = {ErrorCode.OCCURRENCE_CONSTRAINT: "OccurenceConstraintViolation"}.__getitem__
    end.receive('[2,"1","Reset",{}]', 0)

    reply = end.error("1", RpcError(ErrorCode.OCCURRENCE_CONSTRAINT, "type is missing", {"field": "type"}), 0)

    assert reply is not None
    assert json.loads(reply) == [4, "1", "OccurenceConstraintViolation", "type is missing", {"field": "type"}]


def test_an_error_description_is_cut_at_255_characters_of_valid_text(end: Endpoint) -> None:
    """Part 4, 4.2.3: string[255]; what UTF-8 cannot express must not break the frame."""
    end.receive('[2,"1","Reset",{}]', 0)

    reply = end.error("1", RpcError(ErrorCode.INTERNAL, '"\ud800' + "ä" * 300), 0)

    assert reply is not None
    description = json.loads(reply)[3]
    assert len(description) == 255
    assert description.startswith('"?ää')


def test_a_second_call_is_handed_up_while_the_first_waits_for_its_reply(end: Endpoint) -> None:
    """An impatient CSMS is served, in the order in which replies become ready (design section 3)."""
    first = end.receive('[2,"1","GetLog",{}]', 0)
    second = end.receive('[2,"2","Heartbeat",{}]', 1)

    assert isinstance(first, CallReceived)
    assert isinstance(second, CallReceived)
    assert end.result("2", b"{}", 2) == '[3,"2",{}]'
    assert end.result("1", b"{}", 3) == '[3,"1",{}]'


def test_a_call_repeated_while_it_is_being_worked_on_is_not_started_again(end: Endpoint) -> None:
    """Errata 4.6: a retry may carry the id of the first attempt; one reply answers both."""
    end.receive('[2,"1","GetLog",{}]', 0)

    assert end.receive('[2,"1","GetLog",{}]', 20) == CallRepeated("1", None)
    assert end.result("1", b"{}", 21) == '[3,"1",{}]'


def test_a_call_repeated_within_a_minute_gets_the_same_reply_again(end: Endpoint) -> None:
    """The reply was lost; the request must not take effect twice."""
    end.receive('[2,"1","RequestStartTransaction",{"remoteStartId":7}]', 0)
    reply = end.result("1", b'{"status":"Accepted"}', 1)

    repeated = end.receive('[2,"1","RequestStartTransaction",{"remoteStartId":7}]', REPEAT_S)

    assert repeated == CallRepeated("1", reply)


def test_an_id_may_be_used_again_after_its_reply(end: Endpoint) -> None:
    """Other text at once, the same text after a minute: simple CSMSs count from 1 again and again."""
    end.receive('[2,"1","Heartbeat",{}]', 0)
    end.result("1", b"{}", 0)
    assert end.receive('[2,"1","Reset",{}]', 1) == CallReceived("1", "Reset", b"{}")
    end.result("1", b"{}", 1)

    assert end.receive('[2,"1","Reset",{}]', 1 + REPEAT_S) == CallReceived("1", "Reset", b"{}")


@pytest.mark.req("FR.03")
def test_another_call_under_an_unanswered_id_is_refused(end: Endpoint) -> None:
    """Part 4, 4.2.3: "an existing call with the same unique identifier" is a reason for a CALLERROR."""
    end.receive('[2,"1","GetLog",{}]', 0)

    assert refused(end, '[2,"1","Reset",{}]')[1:3] == ["1", "RpcFrameworkError"]
    assert end.result("1", b"{}", 1) == '[3,"1",{}]'


def test_replies_die_with_their_connection(end: Endpoint) -> None:
    """A CSMS that restarts its counter with each connection gets no reply to an old question."""
    end.receive('[2,"1","GetLog",{}]', 0)
    end.receive('[2,"2","Reset",{}]', 0)
    end.result("2", b"{}", 0)

    end.disconnected(1)

    assert end.result("1", b"{}", 2) is None
    assert end.error("1", RpcError(ErrorCode.INTERNAL), 2) is None
    assert end.receive('[2,"2","Reset",{}]', 3) == CallReceived("2", "Reset", b"{}")


def test_too_many_unanswered_calls_are_refused_not_stored(end: Endpoint) -> None:
    """A sender that never waits cannot make the station grow; the earlier ones are still served."""
    events = [end.receive(f'[2,"{n}","GetLog",{{}}]', 0) for n in range(40)]

    assert [type(event) for event in events] == [CallReceived] * 32 + [Violation] * 8
    assert end.result("0", b"{}", 0) is not None
    assert isinstance(end.receive('[2,"new","GetLog",{}]', 0), CallReceived)


# Broken frames


@pytest.mark.req("FR.03")
@pytest.mark.parametrize(
    "frame, message_id, code",
    [
        ("", "-1", "RpcFrameworkError"),
        ("hello", "-1", "RpcFrameworkError"),
        ("{}", "-1", "RpcFrameworkError"),
        ("[]", "-1", "RpcFrameworkError"),
        ("[2]", "-1", "RpcFrameworkError"),
        ('["2","1","Reset",{}]', "1", "RpcFrameworkError"),
        ('[2,7,"Reset",{}]', "-1", "RpcFrameworkError"),
        ('[2,null,"Reset",{}]', "-1", "RpcFrameworkError"),
        ('[2,"","Reset",{}]', "-1", "RpcFrameworkError"),
        (f'[2,"{"x" * 37}","Reset",{{}}]', "-1", "RpcFrameworkError"),
        ('[2,"\\ud800","Reset",{}]', "-1", "RpcFrameworkError"),
        ('[2,"1","Reset"]', "1", "RpcFrameworkError"),
        ('[2,"1","Reset",{},{}]', "1", "RpcFrameworkError"),
        ('[2,"1",5,{}]', "1", "RpcFrameworkError"),
        ('[2,"1","Reset",[]]', "1", "FormatViolation"),
        ('[2,"1","Reset","{}"]', "1", "FormatViolation"),
        ('[2,"1","Reset",{"type":"Immediate"]', "1", "FormatViolation"),
        ('[2,"1","Reset",{"type":NaN}]', "1", "FormatViolation"),
        ('[2,"1","Reset",{"type":"\\ud800"}]', "1", "FormatViolation"),
        (b'[2,"1","Reset",{"type":"\xff"}]', "-1", "RpcFrameworkError"),
        ('[2,"1","Reset",{"type":"\ud800"}]', "-1", "RpcFrameworkError"),
        ('[7,"1","Reset",{}]', "1", "MessageTypeNotSupported"),
        ('[6,"1","NotifyPeriodicEventStream",{}]', "1", "MessageTypeNotSupported"),
        ('[2.5,"1","Reset",{}]', "1", "MessageTypeNotSupported"),
        (f'[{"9" * 3000},"1","Reset",{{}}]', "1", "MessageTypeNotSupported"),
        ("[7,8]", "-1", "RpcFrameworkError"),
        (f'[2,"1","Reset",{{"a":"{"x" * 5000}"}}]', "1", "FormatViolation"),
        ('[2,"1","Reset",' + '{"a":' * 40 + "1" + "}" * 41, "1", "FormatViolation"),
        ("[" * 4000, "-1", "RpcFrameworkError"),
    ],
)
def test_a_broken_frame_is_answered_by_a_callerror(end: Endpoint, frame: str, message_id: str, code: str) -> None:
    """FR.03; part 4, 4.2.3, 4.3 and 4.4: with its id where that can be read, else with "-1"."""
    error = refused(end, frame)

    assert error[1:3] == [message_id, code]
    assert 0 < len(error[3]) <= 255


def test_nothing_of_a_broken_frame_is_owed_an_answer_later(end: Endpoint) -> None:
    """The CALLERROR was the answer."""
    refused(end, '[2,"1","Reset",[]]')

    assert end.result("1", b"{}", 0) is None


@pytest.mark.parametrize("opening,closing", [('{"a":', "}"), ('{"a":[', "]}"), ('{"a\\"":', "}"), ('{ "" : ', "}")])
def test_every_bracket_counts_as_depth_wherever_it_stands(end: Endpoint, opening: str, closing: str) -> None:
    """Between strings, too."""
    brackets = len(closing)  # at each level; the frame itself is one, and 16 are allowed
    fits = 15 // brackets

    assert isinstance(end.receive(f'[2,"1","DataTransfer",{opening * fits}1{closing * fits}]', 0), CallReceived)
    assert isinstance(end.receive(f'[2,"2","DataTransfer",{opening * 16}1{closing * 16}]', 0), Violation)


def test_brackets_inside_strings_do_not_count_as_depth(end: Endpoint) -> None:
    """A display message may well contain brackets."""
    text = '[2,"1","DataTransfer",{"data":"' + '[{\\"' * 100 + '"}]'

    assert isinstance(end.receive(text, 0), CallReceived)


def test_duplicate_keys_and_huge_numbers_are_left_to_the_codec(end: Endpoint) -> None:
    """They are valid JSON; what they mean depends on the message."""
    payload = b'{"a":1,"a":' + b"9" * 2000 + b',"b":1e999}'

    assert end.receive(b'[2,"1","DataTransfer",' + payload + b"]", 0) == CallReceived("1", "DataTransfer", payload)


@pytest.mark.parametrize(
    "frame",
    [
        '[3,"nobody asked",{}]',
        '[4,"nobody asked","InternalError","",{}]',
        '[4,"-1","InternalError","",{}]',
        "[3]",
        "[4]",
        "[3,5,{}]",
        '[3,"1",{"a":}]',
        f'[3,"1",{{"a":"{"x" * 5000}"}}]',
    ],
)
def test_a_stray_or_broken_answer_is_reported_but_never_answered(end: Endpoint, frame: str) -> None:
    """Else two peers could answer each other's errors for ever."""
    event = end.receive(frame, 0)

    assert isinstance(event, Violation)
    assert event.reply is None


# Requests of our own


@pytest.mark.req("FR.01")
def test_the_next_call_waits_for_the_answer_to_the_last(end: Endpoint) -> None:
    """FR.01: one outstanding request; a CALLERROR is an answer too."""
    assert json.loads(end.send_call("1", "Heartbeat", b"{}", 0)) == [2, "1", "Heartbeat", {}]
    with pytest.raises(Busy):
        end.send_call("2", "Heartbeat", b"{}", 1)

    assert end.receive('[3,"1",{"currentTime":"now"}]', 2) == ResultReceived("1", b'{"currentTime":"now"}', late=False)
    end.send_call("2", "Heartbeat", b"{}", 3)
    refusal = end.receive('[4,"2","InternalError","no",{"why":1}]', 4)

    assert refusal == ErrorReceived("2", "InternalError", "no", b'{"why":1}', late=False)
    assert end.in_flight is None


@pytest.mark.req("FR.01")
def test_the_next_call_may_leave_when_the_last_has_timed_out(end: Endpoint) -> None:
    """FR.01: the timeout is the only other way to free the slot; crossing CALLs do not."""
    end.send_call("1", "Heartbeat", b"{}", 100)
    end.receive('[2,"1","GetLog",{}]', 101)

    assert end.next_deadline() == 130
    assert end.timed_out(129.9) is None
    assert end.in_flight == "1"
    assert end.timed_out(130) == "1"
    assert end.next_deadline() is None
    assert end.timed_out(131) is None
    end.send_call("2", "Heartbeat", b"{}", 131)


def test_an_answer_that_missed_its_deadline_is_recognised_for_five_minutes(end: Endpoint) -> None:
    """Field 7: some CSMSs answer after 30 s; the message was delivered and must not be sent again."""
    for number in ("1", "2"):
        end.send_call(number, "TransactionEvent", b"{}", 0)
        assert end.timed_out(30) == number
    end.send_call("3", "TransactionEvent", b"{}", 30)

    assert end.receive('[3,"1",{}]', 60) == ResultReceived("1", b"{}", late=True)
    assert end.in_flight == "3"
    gone = end.receive('[3,"2",{}]', 30 + LATE_S)

    assert isinstance(gone, Violation)
    assert gone.fault is Fault.UNKNOWN_ID


def test_a_call_cut_off_by_the_network_may_be_answered_on_the_next_connection(end: Endpoint) -> None:
    """A local controller keeps its queue while our line drops."""
    end.send_call("1", "TransactionEvent", b"{}", 0)

    assert end.disconnected(1) == "1"
    assert end.disconnected(1) is None
    assert end.receive('[3,"1",{}]', 10) == ResultReceived("1", b"{}", late=True)


def test_a_retry_with_the_same_id_is_answered_once(end: Endpoint) -> None:
    """The answer to the first attempt serves the second; what then still comes is reported and harmless."""
    end.send_call("1", "TransactionEvent", b"{}", 0)
    end.timed_out(30)
    end.send_call("1", "TransactionEvent", b"{}", 60)

    assert end.receive('[3,"1",{}]', 61) == ResultReceived("1", b"{}", late=False)
    second = end.receive('[3,"1",{}]', 62)

    assert isinstance(second, Violation)
    assert second.fault is Fault.ANSWERED_TWICE


@pytest.mark.parametrize("message_id", ['"-1"', "null", '""', "17"])
def test_an_error_without_a_usable_id_means_the_call_in_flight(end: Endpoint, message_id: str) -> None:
    """Field: CSMSs refuse with "-1" or null; the CALL has failed now, not after its timeout."""
    end.send_call("1", "NotifyReport", b"{}", 0)

    refusal = end.receive(f'[4,{message_id},"GenericError","",{{}}]', 1)

    assert refusal == ErrorReceived("1", "GenericError", "", b"{}", late=False)
    assert end.receive('[3,"1",{}]', 2) == ResultReceived("1", b"{}", late=True)


@pytest.mark.parametrize(
    "frame, code, description",
    [
        ('[4,"1"]', "", ""),
        ('[4,"1","Occurence"]', "Occurence", ""),
        ('[4,"1","NotSupported","why"]', "NotSupported", "why"),
        ('[4,"1",17,null]', "", ""),
    ],
)
def test_an_incomplete_callerror_is_a_refusal_all_the_same(
    end: Endpoint, frame: str, code: str, description: str
) -> None:
    """Field: accept any."""
    end.send_call("1", "NotifyEvent", b"{}", 0)

    assert end.receive(frame, 1) == ErrorReceived("1", code, description, b"{}", late=False)


def test_a_result_without_payload_counts_as_empty(end: Endpoint) -> None:
    """Part 4, 4.1.5 read generously: whether an empty payload will do is for the codec to say."""
    end.send_call("1", "StatusNotification", b"{}", 0)

    assert end.receive('[3,"1"]', 1) == ResultReceived("1", b"{}", late=False)


@pytest.mark.parametrize("message_id", ["", "x" * 37])
def test_an_id_of_ours_that_does_not_fit_is_a_mistake_of_the_caller(end: Endpoint, message_id: str) -> None:
    """Part 4, 4.1.4: string[36]; the slot stays free."""
    with pytest.raises(ValueError, match="characters"):
        end.send_call(message_id, "Heartbeat", b"{}", 0)

    assert end.in_flight is None
