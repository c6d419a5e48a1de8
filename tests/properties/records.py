"""What a CSMS's record of a station's transactions must be, whatever happened: the rules of block E as assertions.

Nothing here asks the station: it looks at what arrived, and at what the meters really showed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from tests.scenarios.e_transactions.story import values

Event = dict[str, Any]

RUNNING = ("Transaction.Begin", "Sample.Periodic", "Sample.Clock", "Trigger", "Interruption.Begin", "Interruption.End")
"""Contexts of registers in events before the last."""

ENDS_AUTHORIZATION = frozenset(
    {"StopAuthorized", "RemoteStop", "Deauthorized", "EVConnectTimeout", "ResetCommand", "AbnormalCondition"}
)
"""Triggers with which a driver's permission ends; AbnormalCondition only with an Ended."""

STATES = frozenset({"Idle", "EVConnected", "SuspendedEVSE", "SuspendedEV", "Charging"})


def stories(events: Iterable[Event]) -> Mapping[str, list[Event]]:
    """The events of each transaction, in the order in which they arrived."""
    found: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        found[event["transactionInfo"]["transactionId"]].append(event)
    return found


def check(story: list[Event]) -> None:
    """One whole transaction, or one that goes on."""
    whole = story[-1]["eventType"] == "Ended"
    kinds = [event["eventType"] for event in story]
    assert kinds[0] == "Started", kinds
    assert set(kinds[1 : -1 if whole else None]) <= {"Updated"}, kinds
    assert [event["seqNo"] for event in story] == list(range(len(story))), "seqNo has a gap"
    stamps = [moment(event["timestamp"]) for event in story]
    assert stamps == sorted(stamps), "an event is earlier than the one before it"
    check_fields(story)
    check_permission(story)
    check_registers(story)


def moment(text: str) -> datetime:
    """A timestamp; whole seconds have no decimals, so that texts cannot be compared."""
    return datetime.fromisoformat(text)


def check_fields(story: list[Event]) -> None:
    """What is told once, what is told always, and what only at the end."""
    first = story[0]["transactionInfo"]
    assert first["chargingState"] in STATES
    for event in story:
        info = event["transactionInfo"]
        assert ("stoppedReason" in info) == (event["eventType"] == "Ended")
        if event["triggerReason"] == "ChargingStateChanged":
            assert "chargingState" in info
    once = Counter(name for event in story for name in ("reservationId",) if name in event)
    once.update("remoteStartId" for event in story if "remoteStartId" in event["transactionInfo"])
    remote = sum(event["triggerReason"] == "RemoteStart" for event in story)
    assert once["reservationId"] <= 1
    assert once["remoteStartId"] <= remote


def check_permission(story: list[Event]) -> None:
    """No energy without an authorization: the register stands still and nothing begins to charge before and after."""
    authorized, charging = False, False
    for event in story:
        trigger, info = event["triggerReason"], event["transactionInfo"]
        if trigger in ENDS_AUTHORIZATION and not (trigger == "AbnormalCondition" and event["eventType"] != "Ended"):
            authorized = False
        elif "idToken" in event:
            authorized = True
        begins = info.get("chargingState") == "Charging" and not charging
        assert authorized or not begins, f"charging without authorization: {event}"
        charging = info.get("chargingState", "Charging" if charging else "") == "Charging"


def check_registers(story: list[Event]) -> None:
    """They never fall, and what Ended says of the start is what was said at the start."""
    ended = story[-1] if story[-1]["eventType"] == "Ended" else None
    running = story[:-1] if ended else story
    told = [wh for event in running for context in RUNNING for _, wh in values(event, context)]
    told += [wh for _, wh in values(ended, "Transaction.End")] if ended else []
    assert told == sorted(told), f"a register falls: {told}"
    begin = [wh for event in running for _, wh in values(event, "Transaction.Begin")]
    assert len(begin) <= 1
    if ended and begin:
        assert [wh for _, wh in values(ended, "Transaction.Begin")] == begin
    if ended:
        times = [moment(value["timestamp"]) for value in ended.get("meterValue", ())]
        assert times == sorted(times), "the values of Ended are not in order"
        assert all(at <= moment(ended["timestamp"]) for at in times)


def registers(story: list[Event]) -> set[float]:
    """Every register told, in Wh."""
    contexts = (*RUNNING, "Transaction.End")
    return {wh for event in story for context in contexts for _, wh in values(event, context)}


def evse_of(story: list[Event]) -> int | None:
    """The EVSE of a transaction, once it was known."""
    return next((event["evse"]["id"] for event in story if "evse" in event), None)


def billed_wh(story: list[Event]) -> float:
    """What the Ended bills; nothing where it has no values."""
    begin, end = values(story[-1], "Transaction.Begin"), values(story[-1], "Transaction.End")
    return end[0][1] - begin[0][1] if begin and end else 0.0
