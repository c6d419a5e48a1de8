"""For what a meter is read, and when: the reasons and their variables, and the arithmetic of intervals. Pure."""

from __future__ import annotations

from station.now import Wall, next_step

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


def next_on_grid(wall: Wall, interval_s: int) -> Wall:
    """The next multiple of the interval counted from midnight UTC; midnight itself begins a new grid."""
    midnight = wall // DAY_S * DAY_S
    at = next_step(wall, interval_s, midnight)
    return Wall(min(at, midnight + DAY_S))
