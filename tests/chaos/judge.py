"""What the CSMS knows in the end, held against what happened.

The truth is the world's: each visit of a car with the registers at its ends. The registers of all visits of an EVSE are
one line without gaps, for a meter counts only while a car is there; so the transactions, laid on that line, show what
was billed twice, to nobody, or not at all.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from tests.chaos.people import CARDS, card
from tests.chaos.world import Visit
from tests.csms import Frame

SLACK = timedelta(seconds=3)
"""Times are told in whole seconds, by a clock that the CSMS sets over a slow line."""


class Bill(NamedTuple):
    """A transaction as the CSMS knows it. Registers in milliwatt-hours, of all events in order, and of Ended."""

    name: str
    events: list[dict[str, Any]]
    told: list[int]
    begin: int | None
    end: int | None

    @property
    def evse_id(self) -> int | None:
        """Where it was: told with the cable; before that (E01.FR.16) the card says it."""
        told = next((event["evse"]["id"] for event in self.events if "evse" in event), None)
        tokens = [event["idToken"]["idToken"] for event in self.events if "idToken" in event]
        return told if told is not None or not tokens else int(tokens[0].removeprefix(CARDS))


def bills(frames: Sequence[Frame]) -> list[Bill]:
    """The transactions in the CSMS's record."""
    stories: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for frame in frames:
        if not frame.repeated:
            stories[frame.content["transactionInfo"]["transactionId"]].append(frame.content)
    return [_bill(name, events) for name, events in stories.items()]


def _bill(name: str, events: list[dict[str, Any]]) -> Bill:
    told = [mwh for event in events[:-1] for _, mwh in _registers(event)]
    last = dict(_registers(events[-1]))
    return Bill(name, events, told, last.get("Transaction.Begin"), last.get("Transaction.End"))


def _registers(event: dict[str, Any]) -> list[tuple[str, int]]:
    return [
        (value.get("context", "Sample.Periodic"), round(value["value"] * 1000))
        for meter in event.get("meterValue", ())
        for value in meter["sampledValue"]
        if value.get("measurand", "Energy.Active.Import.Register") == "Energy.Active.Import.Register"
        and "phase" not in value
    ]


def check_bill(bill: Bill, shown: set[int]) -> None:
    """One Started, one Ended, numbers and times in order, the right card, registers that the meter showed and rise."""
    events = bill.events
    kinds = [event["eventType"] for event in events]
    assert kinds == ["Started", *["Updated"] * (len(kinds) - 2), "Ended"], f"{bill.name}: {kinds}"
    numbers = [event["seqNo"] for event in events]
    assert numbers == list(range(len(events))), f"{bill.name}: {numbers}"
    times = [event["timestamp"] for event in events]
    assert times == sorted(times), f"{bill.name}: {times}"
    stopped = [event for event in events if "stoppedReason" in event["transactionInfo"]]
    assert stopped in ([], events[-1:]), f"{bill.name}: a reason to stop before the end"
    tokens = {event["idToken"]["idToken"] for event in events if "idToken" in event}
    assert bill.evse_id is None or tokens <= {card(bill.evse_id)}, f"{bill.name}: {tokens} at EVSE {bill.evse_id}"
    registers = [*bill.told, *(each for each in (bill.end,) if each is not None)]
    assert registers == sorted(registers), f"{bill.name}: {registers} fall"
    strange = {*registers, *(each for each in (bill.begin,) if each is not None)} - shown
    assert not strange, f"{bill.name}: the meter never showed {strange}"
    if bill.told and bill.begin is not None:
        assert bill.begin == bill.told[0], f"{bill.name}: began at {bill.told[0]}, and in Ended at {bill.begin}"
    if bill.end != bill.begin:
        assert tokens, f"{bill.name}: nobody pays for it"


class Account(NamedTuple):
    """All of one EVSE."""

    billed_mwh: int
    charged: int
    """Visits of cars that got energy."""


def check_account(visits: Sequence[Visit], found: Sequence[Bill]) -> Account:
    """Of each visit everything is billed once: no cut of power is an excuse, for the meter has counted on."""
    billed = 0
    spans = sorted((b.begin, b.end) for b in found if b.begin is not None and b.end is not None and b.end > b.begin)
    for visit in visits:
        assert visit.end_mwh is not None, "a car is still there"
        inside = [(begin, end) for begin, end in spans if begin < visit.end_mwh and end > visit.begin_mwh]
        reached = visit.begin_mwh
        for begin, end in inside:
            assert begin >= reached, f"billed twice, or to the car before: {visit}: {inside}"
            reached = end
        assert reached <= visit.end_mwh, f"billed beyond what was delivered: {visit}: {inside}"
        lacking = visit.end_mwh - visit.begin_mwh - sum(end - begin for begin, end in inside)
        assert not lacking, f"{lacking} mWh are in no bill: {visit}: {inside}"
        billed += sum(end - begin for begin, end in inside)
    assert billed == sum(end - begin for begin, end in spans), "a bill for energy that went into no car"
    charged = sum(visit.end_mwh != visit.begin_mwh for visit in visits)
    return Account(billed, charged)


def check_offline(frames: Sequence[Frame], connected: Sequence[datetime]) -> int:
    """`offline` says whether there was a connection; what a new connection finds waiting was offline (E11.FR.07).

    `connected`: when the CSMS saw each connection begin. Gives the number of offline events.
    """
    for frame in frames:
        since = connected[bisect_right(connected, frame.at) - 1]
        told = datetime.fromisoformat(frame.content["timestamp"]).astimezone(UTC)
        if frame.content.get("offline"):
            assert told <= since + SLACK, f"called offline, but connected since {since}: {frame}"
        else:
            assert told >= since - SLACK, f"not called offline, but connected since {since} only: {frame}"
    return sum(bool(frame.content.get("offline")) for frame in frames)
