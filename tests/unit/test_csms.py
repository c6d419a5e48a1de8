"""The scripted CSMS catches a station that breaks the rules: who judges the judge."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from tests.csms import EPOCH, Csms, Error, later

NOW = "2026-11-21T08:00:00Z"


class Wire:
    """A station made of frames, and a hand-wound clock."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.csms = Csms(clock=self.now)
        self.csms.connect()
        self.count = 0

    def now(self) -> datetime:
        """The CSMS's time."""
        return later(self.seconds, EPOCH)

    def call(self, action: str, payload: dict[str, Any], message_id: str = "") -> list[Any]:
        """Send a CALL; the frames that came back, decoded."""
        self.count += 1
        text = json.dumps([2, message_id or f"m{self.count}", action, payload])
        return [json.loads(reply) for reply in self.csms.feed(text)]

    def boot(self) -> list[Any]:
        """Send a BootNotification."""
        return self.call(
            "BootNotification", {"reason": "PowerUp", "chargingStation": {"model": "One", "vendorName": "Example"}}
        )

    def event(self, kind: str, seq_no: int, message_id: str = "", timestamp: str = NOW) -> list[Any]:
        """Send a TransactionEvent of transaction T."""
        payload = {
            "eventType": kind,
            "timestamp": timestamp,
            "triggerReason": "CablePluggedIn",
            "seqNo": seq_no,
            "transactionInfo": {"transactionId": "T"},
        }
        return self.call("TransactionEvent", payload, message_id)


@pytest.fixture
def wire() -> Wire:
    """A station that is registered."""
    wire = Wire()
    wire.boot()
    return wire


def test_a_boot_notification_is_accepted_with_the_time() -> None:
    """The friendly answer."""
    [[kind, _, answer]] = Wire().boot()

    assert kind == 3
    assert answer == {"currentTime": "2026-11-21T08:00:00.000Z", "interval": 300, "status": "Accepted"}


def test_another_message_before_the_boot_notification_is_caught() -> None:
    """B01.FR.01."""
    with pytest.raises(AssertionError, match="registration is Unknown"):
        Wire().call("Heartbeat", {})


def test_while_pending_only_what_was_asked_for_passes(wire: Wire) -> None:
    """B02."""
    wire.csms.on("BootNotification", {"status": "Pending", "interval": 10})
    wire.boot()
    call = wire.csms.send("GetBaseReport", {"requestId": 7, "reportBase": "FullInventory"})
    wire.csms.feed(json.dumps([3, call.message_id, {"status": "Accepted"}]))

    wire.call("NotifyReport", {"requestId": 7, "generatedAt": NOW, "seqNo": 0, "tbc": True})
    with pytest.raises(AssertionError, match="page 2, not 1"):
        wire.call("NotifyReport", {"requestId": 7, "generatedAt": NOW, "seqNo": 2})
    wire.csms.disconnect()
    with pytest.raises(AssertionError, match="registration is Pending"):
        wire.call("Heartbeat", {})


def test_a_payload_against_the_schema_is_caught(wire: Wire) -> None:
    """The official schema judges each frame."""
    with pytest.raises(AssertionError, match="not valid"):
        wire.call("Heartbeat", {"extra": 1})


@pytest.mark.parametrize("timestamp", ["2026-11-21T08:00:00+00:00", "2026-11-21T08:00:00.1234Z", "2026-11-21T08:00:00"])
def test_a_timestamp_in_another_form_is_caught(wire: Wire, timestamp: str) -> None:
    """UTC with Z, at most three decimals."""
    with pytest.raises(AssertionError, match="not UTC"):
        wire.event("Started", 0, timestamp=timestamp)


def test_a_second_call_waits_for_the_answer_or_the_timeout(wire: Wire) -> None:
    """FR.01."""
    wire.csms.silent("Heartbeat")
    wire.call("Heartbeat", {})

    with pytest.raises(AssertionError, match="must wait"):
        wire.event("Started", 0)
    wire.seconds = 30
    wire.event("Started", 0)


def test_a_message_id_is_used_again_only_for_a_repetition(wire: Wire) -> None:
    """A retry keeps id and payload; `offline` may change."""
    wire.event("Started", 0, "same")
    wire.event("Started", 0, "same")

    assert len(wire.csms.received("TransactionEvent")) == 1
    assert len(wire.csms.transmissions("TransactionEvent")) == 2
    with pytest.raises(AssertionError, match="used before"):
        wire.event("Updated", 1, "same")


@pytest.mark.parametrize(
    "events, complaint",
    [
        ([("Updated", 0)], "not Started"),
        ([("Started", 1)], "does not begin"),
        ([("Started", 0), ("Started", 1)], "started twice"),
        ([("Started", 0), ("Updated", 2)], "follows seqNo 0"),
        ([("Started", 0), ("Ended", 1), ("Updated", 2)], "after Ended"),
    ],
)
def test_a_transaction_out_of_order_is_caught(wire: Wire, events: list[tuple[str, int]], complaint: str) -> None:
    """One Started first, one Ended last, seqNo without gaps."""
    *good, (kind, seq_no) = events
    for each in good:
        wire.event(*each)

    with pytest.raises(AssertionError, match=complaint):
        wire.event(kind, seq_no)


def test_a_timestamp_that_falls_within_a_transaction_is_caught(wire: Wire) -> None:
    """Rendered times never fall, also across forms with and without fraction."""
    wire.event("Started", 0, timestamp="2026-11-21T08:00:00.5Z")
    wire.event("Updated", 1, timestamp="2026-11-21T08:00:00.55Z")

    with pytest.raises(AssertionError, match="earlier"):
        wire.event("Updated", 2, timestamp="2026-11-21T08:00:00Z")


def test_the_script_answers_with_errors_lists_and_functions(wire: Wire) -> None:
    """`on`, `error`, `default`."""
    wire.csms.on("Authorize", [{"idTokenInfo": {"status": "Blocked"}}, Error("InternalError")])
    request = {"idToken": {"idToken": "04AABBCC", "type": "ISO14443"}}

    assert wire.call("Authorize", request)[0][2] == {"idTokenInfo": {"status": "Blocked"}}
    assert wire.call("Authorize", request)[0][0] == 4
    assert wire.call("Authorize", request)[0][0] == 4
    wire.csms.default("Authorize")
    assert wire.call("Authorize", request)[0][2] == {"idTokenInfo": {"status": "Accepted"}}


def test_held_calls_are_answered_in_order_on_release(wire: Wire) -> None:
    """`hold` and `release`."""
    wire.csms.hold()
    assert wire.call("Heartbeat", {}, "held") == []

    wire.csms.release()

    assert [json.loads(text)[1] for text in wire.csms.outgoing()] == ["held"]


def test_an_answer_to_nothing_and_a_wrong_answer_are_caught(wire: Wire) -> None:
    """Responses are judged too."""
    with pytest.raises(AssertionError, match="answer to nothing"):
        wire.csms.feed(json.dumps([3, "unknown", {}]))
    call = wire.csms.send("ClearCache")
    with pytest.raises(AssertionError, match="not valid"):
        wire.csms.feed(json.dumps([3, call.message_id, {"status": "Perhaps"}]))


def test_a_request_broken_on_purpose_is_refused(wire: Wire) -> None:
    """`refused` gives the error; a code of another version is caught."""

    def station() -> None:
        for text in wire.csms.outgoing():
            wire.csms.feed(json.dumps([4, json.loads(text)[1], "FormatViolation", "no", {}]))

    wire.csms.attach(pump=station)

    assert wire.csms.refused("ClearCache", {"extra": 1}, valid=False).code == "FormatViolation"


def test_text_that_is_no_frame_is_answered_under_the_id_of_the_unreadable(wire: Wire) -> None:
    """`send_text` gives what came back."""
    wire.csms.attach(pump=lambda: [wire.csms.feed('[4,"-1","RpcFrameworkError","",{}]') for _ in wire.csms.outgoing()])

    [answer] = wire.csms.send_text("[[[")

    assert answer.content.code == "RpcFrameworkError"
