"""For what a meter is read, and when: reasons and their variables, the parts of a round, the arithmetic. Pure."""

from __future__ import annotations

import msgspec

from station.now import Instant, Mono, Wall, next_step
from station.ocpp.enums import ReadingContextEnumType

DAY_S = 86400

SAMPLED = {
    "Updated": ("TxUpdatedInterval", "TxUpdatedMeasurands"),
    "Ended": ("TxEndedInterval", "TxEndedMeasurands"),
}
"""Reason -> variables of SampledDataCtrlr; counted from the start of the transaction (J02.FR.11)."""
ALIGNED = {
    "AlignedUpdated": ("Interval", "Measurands"),
    "AlignedEnded": ("TxEndedInterval", "TxEndedMeasurands"),
}
"""Reason -> variables of AlignedDataCtrlr; on the grid from midnight (J01.FR.14)."""
LISTED = {
    **{reason: ("SampledDataCtrlr", listed) for reason, (_, listed) in SAMPLED.items()},
    **{reason: ("AlignedDataCtrlr", listed) for reason, (_, listed) in ALIGNED.items()},
    "Trigger": ("SampledDataCtrlr", "TxUpdatedMeasurands"),
}
"""Reason -> component and variable that list what is told for it."""


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """One EVSE's part in a round: why its running transaction wants a reading of it, and whether it tells MeterValues.

    `at`: the moment. `by`: until when the meter may answer, once it is asked.
    """

    evse_id: int
    at: Instant
    by: Mono = Mono(0.0)
    reasons: frozenset[str] = frozenset()
    tells: bool = False
    context: ReadingContextEnumType = "Sample.Clock"


class Moment(msgspec.Struct, frozen=True):
    """When a meter is read next for one reason, and every how many seconds of `since` it is."""

    at: Mono
    every_s: int
    since: float

    def after(self, mono: Mono) -> Moment:
        """The next one."""
        return Moment(Mono(next_step(mono, self.every_s, self.since)), self.every_s, self.since)


def next_on_grid(wall: Wall, interval_s: int) -> Wall:
    """The next multiple of the interval counted from midnight UTC; midnight itself begins a new grid."""
    midnight = wall // DAY_S * DAY_S
    at = next_step(wall, interval_s, midnight)
    return Wall(min(at, midnight + DAY_S))
