"""What a register that is read after an interruption says of the time before it. Pure.

The contactor was closed for one driver, and nobody else is let near it before the register is read: what the meter has
counted since the register stored last is his, if it is the same meter, and if so much can have flowed at all.

Nobody has seen when it stopped. It is told as having stopped at the first moment at which the meter can show what it
shows: later than the value before, never later than in truth, and the hours without power are on no bill.
"""

from __future__ import annotations

from hal.api import MeterReading, Quality
from station.now import Instant, Mono
from station.state.meters import Sample

MOST_V = 230.0 * 1.25
"""Volts that no phase exceeds, a meter's error included."""
STEP_MWH = 100_000
"""A register may count in steps of a tenth of a kilowatt-hour: the last one may have begun long before."""
UNKNOWN_S = 3600.0
"""For so long energy may have flowed where no clock tells; far longer than from one stored register to the next."""


class Strange(str):
    """Why a register is none of this transaction's."""

    __slots__ = ()


def stopped_at(last: Sample, found: MeterReading, most_w: float, elapsed_s: float | None) -> Instant | Strange:
    """When the meter can have reached `found` at the earliest, from the register stored last."""
    before, after = last.reading.energy_import_mwh, found.energy_import_mwh
    if after < before or found.quality is Quality.SUSPECT:
        return Strange("the register began anew")
    possible_s = UNKNOWN_S if elapsed_s is None else elapsed_s
    needed_s = (after - before) * 3.6 / most_w
    if after - before > STEP_MWH + most_w * possible_s / 3.6:
        return Strange(f"so much cannot flow in {possible_s:.0f} s")
    return Instant(last.at.boot, Mono(last.at.mono + min(needed_s, possible_s)))
