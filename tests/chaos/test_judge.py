"""The chaos test is worth what its judge sees: each kind of loss, put into a record that is right, must be found."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.chaos import judge
from tests.chaos.people import card
from tests.chaos.world import Visit
from tests.csms import Frame

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SHOWN = {0, 1000, 2000, 3000}
VISITS = [Visit(1, 0, 2000), Visit(1, 2000, 3000)]
Event = dict[str, Any]


def event(number: int, kind: str, *registers: tuple[str, int], **more: Any) -> Event:
    at = NOON + timedelta(seconds=10 * number)
    sampled = [{"context": context, "value": mwh / 1000} for context, mwh in registers]
    return {
        "eventType": kind,
        "seqNo": number,
        "timestamp": at.isoformat().replace("+00:00", "Z"),
        "transactionInfo": {"transactionId": "t"},
        "meterValue": [{"timestamp": "-", "sampledValue": [value]} for value in sampled],
        **more,
    }


def story() -> list[Event]:
    token = {"idToken": card(1), "type": "ISO14443"}
    return [
        event(0, "Started", ("Transaction.Begin", 0), evse={"id": 1}, idToken=token),
        event(1, "Updated", ("Sample.Periodic", 1000)),
        event(2, "Ended", ("Transaction.Begin", 0), ("Transaction.End", 2000)),
    ]


def judged(events: list[Event], visits: list[Visit] = VISITS[:1]) -> judge.Account:
    frames = [
        Frame(NOON, "station", "CALL", str(number), "TransactionEvent", each) for number, each in enumerate(events)
    ]
    found = judge.bills(frames)
    for bill in found:
        judge.check_bill(bill, SHOWN)
    return judge.check_account(visits, found)


def test_a_record_that_is_right_passes() -> None:
    assert judged(story()) == judge.Account(billed_mwh=2000, charged=1)


def _register(events: list[Event], event_number: int, value_number: int, mwh: int) -> None:
    events[event_number]["meterValue"][value_number]["sampledValue"][0]["value"] = mwh / 1000


WRONG: list[tuple[Callable[[list[Event]], Any], str]] = [
    (lambda events: events.pop(1), r"\[0, 2\]"),
    (lambda events: events.pop(), "Updated"),
    (lambda events: events.append(event(3, "Ended")), "Ended"),
    (lambda events: events[1].update(timestamp="2026-11-21T11:00:00Z"), "11:00:00Z"),
    (lambda events: events[1]["transactionInfo"].update(stoppedReason="Local"), "a reason to stop"),
    (lambda events: events[0]["idToken"].update(idToken=card(2)), "at EVSE 1"),
    (lambda events: events[0].pop("idToken"), "nobody pays"),
    (lambda events: _register(events, 1, 0, 3000), "fall"),
    (lambda events: _register(events, 1, 0, 1500), "never showed"),
    (lambda events: _register(events, 2, 0, 1000), "began at 0"),
    (lambda events: _register(events, 2, 1, 3000), "beyond what was delivered"),
    (lambda events: _register(events, 2, 1, 1000), "are in no bill"),
]


@pytest.mark.parametrize("spoil,found", WRONG)
def test_what_is_wrong_with_a_transaction_is_found(spoil: Callable[[list[Event]], Any], found: str) -> None:
    events = story()
    spoil(events)

    with pytest.raises(AssertionError, match=found):
        judged(events)


def test_energy_that_is_billed_twice_or_to_nobody_is_found() -> None:
    again = story()
    for each in again:
        each["transactionInfo"] = {"transactionId": "u"}

    with pytest.raises(AssertionError, match="billed twice"):
        judged([*story(), *again])
    with pytest.raises(AssertionError, match="1000 mWh are in no bill"):
        judged(story(), VISITS)


def test_a_cut_of_power_excuses_nothing() -> None:
    """What flowed after the last register that was kept is on the meter."""
    with pytest.raises(AssertionError, match="400 mWh are in no bill"):
        judged(story(), [Visit(1, 0, 2400)])


@pytest.mark.parametrize(
    "told_s,offline,right", [(-60, True, True), (60, False, True), (-60, False, False), (60, True, False)]
)
def test_the_offline_flag_is_held_against_the_connections(told_s: int, *, offline: bool, right: bool) -> None:
    """Connected at noon; told a minute before or after, and received later."""
    told = (NOON + timedelta(seconds=told_s)).isoformat().replace("+00:00", "Z")
    frame = Frame(NOON + timedelta(minutes=5), "station", "CALL", "1", "", {"timestamp": told, "offline": offline})
    connected = [NOON - timedelta(hours=1), NOON]

    if right:
        assert judge.check_offline([frame], connected) == offline
    else:
        with pytest.raises(AssertionError, match="called offline"):
            judge.check_offline([frame], connected)
