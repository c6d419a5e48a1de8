"""Was the session right? What `ocpp-station demo --once` stakes its exit code on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from station.demo.csms import CURRENCY, PRICE_OF_SESSION, PRICE_PER_KWH, DemoCsms, Payload, energy_wh, value


class Meter(NamedTuple):
    """The simulated meter, read at the charger before and after, in Wh."""

    before_wh: float
    after_wh: float

    @property
    def charged_wh(self) -> float:
        """What it counted."""
        return self.after_wh - self.before_wh


class Verdict(NamedTuple):
    """One check."""

    good: bool
    text: str


_ROUNDING_WH = 0.51
"""Registers are told in whole or tenth Wh."""


def judge(csms: DemoCsms, meter: Meter) -> Iterator[Verdict]:
    """Every check, whether the ones before were good or not."""
    started, ended = csms.events("Started"), csms.events("Ended")
    yield Verdict((len(started), len(ended)) == (1, 1), f"one Started, one Ended (seen: {len(started)}, {len(ended)})")
    events = csms.events()
    ids = {event["transactionInfo"]["transactionId"] for event in events}
    numbers = [event["seqNo"] for event in events]
    yield Verdict(len(ids) == 1 and numbers == list(range(len(numbers))), "one transaction, its seqNo without a gap")
    yield from _energy(ended, meter)
    yield from _cost(csms, ended, meter)
    errors = [said for said in csms.said if said.kind == "CALLERROR"]
    told = f": {errors[0].action} {errors[0].content}" if errors else ""
    yield Verdict(not errors, "every message was accepted by the other side" + told)
    open_calls = sum(1 for said in csms.said if said.by == "csms" and said.kind == "CALL") - sum(
        1 for said in csms.said if said.by == "station" and said.kind != "CALL"
    )
    yield Verdict(open_calls == 0, "every question was answered")


def _energy(ended: list[Payload], meter: Meter) -> Iterator[Verdict]:
    if not ended:
        return
    first, last = value(ended[-1], "Energy.Active.Import.Register"), energy_wh(ended[-1])
    told = None if first is None or last is None else last - first
    good = told is not None and abs(told - meter.charged_wh) <= _ROUNDING_WH and meter.charged_wh > 0
    shown = "nothing" if told is None else f"{told / 1000:.3f} kWh"
    yield Verdict(good, f"the session's energy is the meter's: {shown}, meter {meter.charged_wh / 1000:.3f} kWh")


def _cost(csms: DemoCsms, ended: list[Payload], meter: Meter) -> Iterator[Verdict]:
    bill = csms.bills.get(ended[-1]["transactionInfo"]["transactionId"]) if ended else None
    expected = PRICE_OF_SESSION + meter.charged_wh / 1000 * PRICE_PER_KWH
    good = bill is not None and abs(bill.total - expected) <= 0.01  # noqa: PLR2004 - a cent of rounding
    shown = "none" if bill is None else f"{bill.total:.2f} {CURRENCY}"
    yield Verdict(good, f"the bill follows from it: {shown}")
