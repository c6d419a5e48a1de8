"""What a device cannot mean: a number that is none, a register that no meter has, a plug that is not there.

Pure. Drivers judge what they know of their device; this is the last look before the core, whatever the driver. What can
be left out is left out, so that a broken side value costs no energy; what cannot is a BadReply, as if nothing had come.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from hal.api import BoardSnapshot, MeterReading, SensorReading
from hal.errors import BadReply

LARGEST_MWH = 10**15
"""More than any register of any station shows: a thousand gigawatt-hours."""

LARGEST = 1e9
"""Of watts, volts, amperes and whatever else a meter tells beside."""

PHASES = 3
"""So many values a PerPhase has, whatever is wired; those that are not there are None."""

PHASED = frozenset({"power_import_phase_w", "energy_import_phase_mwh", "voltage_v", "current_a"})

_SIDE = tuple(
    (name, LARGEST_MWH if name.startswith("energy") else LARGEST, name in PHASED)
    for name in MeterReading.__struct_fields__
)
"""The values beside the register, the largest that each can have, and whether it has one of each phase."""

_OTHERS = frozenset({"sampled_at", "energy_import_mwh", "quality", "signed"})
"""What is judged by itself, or not at all."""


def reading(given: MeterReading, device: str, now: float) -> MeterReading:
    """The reading without what cannot be. Raises BadReply if that is its energy."""
    energy = given.energy_import_mwh
    if type(energy) is not int or not 0 <= energy <= LARGEST_MWH:
        raise BadReply(device, f"an energy register of {energy!r:.40} mWh")
    changes: dict[str, Any] = {}
    for value, (name, largest, phased) in zip(msgspec.structs.astuple(given), _SIDE, strict=True):
        if value is None or name in _OTHERS:
            continue
        try:
            if not phased:
                sound = -largest <= value <= largest  # not true of what is no number
            else:
                sound = len(value) == PHASES and isinstance(value, tuple)
                for each in value if sound else ():
                    sound = sound and (each is None or -largest <= each <= largest)
        except TypeError:  # a list, a text: what a driver gives that no type checker has seen
            sound = False
        if not sound:
            changes[name] = None
    if not math.isfinite(given.sampled_at):
        changes["sampled_at"] = now
    return msgspec.structs.replace(given, **changes) if changes else given


def snapshot(given: BoardSnapshot, device: str, connectors: int) -> BoardSnapshot:
    """The snapshot without what cannot be. Raises BadReply for a connector or phases that are not there.

    A cable whose rating is no current carries none: nothing is offered to it.
    """
    if not 1 <= given.connector <= connectors:
        raise BadReply(device, f"channel {given.channel} shows connector {given.connector} of {connectors}")
    if not 1 <= given.phases <= 3:  # noqa: PLR2004 - as many as there are
        raise BadReply(device, f"channel {given.channel} shows {given.phases} phases")
    changes: dict[str, Any] = {}
    rating_a = given.cable_rating_a
    if rating_a is not None and not rating_a >= 0:
        changes["cable_rating_a"] = 0.0
    if not 0 <= given.limit_a <= LARGEST:
        changes["limit_a"] = 0.0
    return msgspec.structs.replace(given, **changes) if changes else given


def sensor(given: SensorReading, device: str) -> SensorReading:
    """The same reading. Raises BadReply if its number is none."""
    if isinstance(given.value, float) and not math.isfinite(given.value):
        raise BadReply(device, f"measures {given.value}")
    return given
