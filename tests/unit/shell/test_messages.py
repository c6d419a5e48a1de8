"""The last messages: bounded, in order, and never with what nobody may see."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from station.commands import conversation
from station.now import BootId, Mono, Now, Wall
from station.shell.messages import LONGEST, MOST, MOST_CHARACTERS, Messages
from station.shell.redaction import HIDDEN, mark, redacted

NOW = Now(BootId(1), Mono(100.0), Wall(1_800_000_100.0))
SECRET = "Zq7-xK91vv-secret"


def never(component: str, variable: str) -> bool:
    """No variable is written only."""
    del component, variable
    return False


def told(messages: Messages, after: int = 0) -> list[dict[str, Any]]:
    return list(conversation.told(messages.after(0), after, NOW, never))


def test_the_last_messages_are_kept_and_no_more() -> None:
    messages = Messages(lambda: 0.0)

    for n in range(MOST + 5):
        messages.said(f'[2,"{n}","Heartbeat",{{}}]')

    kept = messages.after(0)
    assert (len(kept), kept[0].number, kept[-1].number) == (MOST, 6, MOST + 5)
    assert messages.sent == MOST + 5


def test_long_messages_take_the_place_of_more_short_ones() -> None:
    messages = Messages(lambda: 0.0)

    for n in range(MOST):
        messages.heard(f'[2,"{n}","DataTransfer",{{"data":"{"x" * (LONGEST - 100)}"}}]')

    kept = messages.after(0)
    assert sum(len(each.text) for each in kept) <= MOST_CHARACTERS
    assert kept[-1].number == MOST


def test_of_one_that_is_too_long_the_head_is_kept() -> None:
    """What it is, and how long it was; nothing of its content."""
    messages = Messages(lambda: 99.0)
    messages.heard(f'[2,"a-1","SendLocalList",{{"x":"{SECRET * LONGEST}"}}]')
    messages.heard(SECRET * LONGEST)

    first, second = told(messages)

    assert (first["action"], first["id"], first["size"] > LONGEST, "payload" in first) == (
        *("SendLocalList", "a-1"),
        *(True, False),
    )
    assert second["kind"] == "unreadable"
    assert SECRET not in json.dumps([first, second])


def test_an_answer_bears_the_name_of_its_request_and_how_long_it_took() -> None:
    """Both sides may use the same id for requests of their own."""
    at = iter((10.0, 10.1, 10.5, 11.0))
    messages = Messages(lambda: next(at))
    messages.said('[2,"1","Heartbeat",{}]')
    messages.heard('[2,"1","GetReport",{"requestId":4}]')
    messages.said('[4,"1","NotSupported","no",{}]')
    messages.heard('[3,"1",{"currentTime":"2026-11-27T08:00:00Z"}]')

    beat, report, refusal, answer = told(messages)

    assert (beat["by"], beat["kind"], beat["action"]) == ("station", "call", "Heartbeat")
    assert (report["by"], report["payload"]) == ("csms", {"requestId": 4})
    assert (refusal["action"], refusal["code"], refusal["took_s"]) == ("GetReport", "NotSupported", 0.4)
    assert (answer["action"], answer["took_s"]) == ("Heartbeat", 1.0)
    assert beat["time"] == "2027-01-15T08:00:10.000Z"  # by the clock as it is known now


def test_who_has_seen_some_is_told_the_next_ones() -> None:
    """With the name of a request that came before."""
    messages = Messages(lambda: 1.0)
    messages.said('[2,"1","Heartbeat",{}]')
    messages.heard('[3,"1",{}]')

    (answer,) = told(messages, after=1)

    assert (answer["number"], answer["action"]) == (2, "Heartbeat")


@pytest.mark.parametrize("text", ["", "[]", "{}", "[2]", "[2,", '["2","1"]', "[9,1]", "[true,1]", "\x00", "[" * 5000])
def test_what_is_no_message_is_kept_as_unreadable(text: str) -> None:
    messages = Messages(lambda: 1.0)
    messages.heard(text)

    (one,) = told(messages)

    assert one["kind"] in {"unreadable", "call"}
    assert text == "[2]" or one["kind"] == "unreadable"


def test_a_binary_frame_costs_nothing() -> None:
    messages = Messages(lambda: 1.0)
    messages.heard(b"\xff\xfe" * LONGEST)

    assert told(messages)[0]["kind"] == "unreadable"


# --- what is hidden

TOKEN = {"idToken": SECRET, "type": "ISO14443"}
PASSWORD = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}


@pytest.mark.parametrize(
    "action, payload",
    [
        ("SetVariables", {"setVariableData": [{**PASSWORD, "attributeValue": SECRET}]}),
        ("GetVariables", {"getVariableResult": [{**PASSWORD, "attributeValue": SECRET}]}),
        ("NotifyEvent", {"eventData": [{**PASSWORD, "actualValue": SECRET}]}),
        ("NotifyReport", {"reportData": [{**PASSWORD, "variableAttribute": [{"type": "Actual", "value": SECRET}]}]}),
        ("SetNetworkProfile", {"connectionData": {"apn": {"apnPassword": SECRET}, "vpn": {"key": SECRET}}}),
        ("SetNetworkProfile", {"connectionData": {"basicAuthPassword": SECRET, "vpn": {"password": SECRET}}}),
        ("Authorize", {"idToken": {**TOKEN, "additionalInfo": [{"additionalIdToken": SECRET, "type": "x"}]}}),
        ("TransactionEvent", {"idTokenInfo": {"status": "Accepted", "groupIdToken": TOKEN}}),
        ("SendLocalList", {"localAuthorizationList": [{"idToken": TOKEN}]}),
        ("CustomerInformation", {"customerIdentifier": SECRET}),
        ("NotifyCustomerInformation", {"data": f"the card {SECRET} charged"}),
        ("MeterValues", {"signedMeterValue": {"signedMeterData": SECRET}}),
        ("Get15118EVCertificate", {"exiRequest": SECRET}),
        ("UpdateFirmware", {"firmware": {"location": f"https://user:{SECRET}@files.example/a"}}),
        ("GetLog", {"log": {"remoteLocation": f"https://files.example/a?sig={SECRET}"}}),
        ("DataTransfer", {"data": f'x?y{{"u":"https://files.example/a?sig={SECRET}"}}'}),
        ("DataTransfer", {"data": {"wifi": {"password": SECRET, "pin": SECRET}}}),
        ("DataTransfer", {"data": f'{{"password":"{SECRET}"}}'}),
    ],
)
def test_nobody_is_shown_a_secret(action: str, payload: dict[str, Any]) -> None:
    shown = redacted(action, payload, never)

    assert SECRET not in json.dumps(shown)
    assert HIDDEN in json.dumps(shown)


@pytest.mark.parametrize("part", ["a.", "a://", "a://b?", "://a:", "x?", "basic ", "password", "-----BEGIN "])
def test_no_text_of_a_csms_takes_long_to_be_told(part: str) -> None:
    """A pattern that goes back and forth would hold the station for seconds: a thread is no help against that."""
    text = part * (LONGEST // len(part))

    began = time.process_time()
    redacted("DataTransfer", {"data": text}, never)

    assert time.process_time() - began < 1.0


def test_what_is_no_secret_is_shown() -> None:
    """Else the command would be of no use."""
    payload = {
        "setVariableData": [
            {"component": {"name": "TxCtrlr"}, "variable": {"name": "EVConnectionTimeOut"}, "attributeValue": "30"}
        ],
        "url": "wss://csms.example/ocpp",
        "n": 1.5,
        "none": None,
    }

    assert redacted("SetVariables", payload, never) == payload


def test_a_variable_that_is_written_only_hides_its_value() -> None:
    data = {"component": {"name": "Modem"}, "variable": {"name": "Puk"}, "attributeValue": SECRET}

    shown = redacted("SetVariables", {"setVariableData": [data]}, lambda *name: name == ("Modem", "Puk"))

    assert shown["setVariableData"][0]["attributeValue"] == HIDDEN


def test_a_token_can_be_followed_without_being_known() -> None:
    assert mark("04AABBCC") == mark("04AABBCC") != mark("04AABBCD")
    assert len(mark("04AABBCC")) == len(HIDDEN) + 4


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)


@given(payload=JSON, key=st.sampled_from(["idToken", "password", "variable", "variableAttribute", "value"]), inner=JSON)
def test_whatever_a_csms_sends_it_can_be_told(payload: Any, key: str, inner: Any) -> None:
    """And stays JSON."""
    messages = Messages(lambda: 1.0)
    messages.heard(json.dumps([2, "1", "DataTransfer", {"data": payload, key: inner}]))

    json.dumps(told(messages))
