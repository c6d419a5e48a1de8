"""The last readings of the meters (J01, J02); how they are told: sampled.py.

Invariant: the memory holds live values only; nothing here writes.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from hal.api import MeterReading
from station.now import BootId, Instant, Mono, Now

Purpose = Literal["begin", "sample", "stop", "allowance", "interrupted"]
"""What `hardware.sample` is asked for; `signing` adds that the meter shall sign."""
SIGNED = "+signed"
MOMENT = "moment"
"""The purpose of a reading that `hardware.keep_reading` brought."""


class Sample(msgspec.Struct, frozen=True):
    """A reading and when it was taken."""

    at: Instant
    reading: MeterReading


class Meters:
    """The newest reading of each EVSE's meter; EVSE 0 is the main meter."""

    def __init__(self) -> None:
        self._last: dict[int, Sample] = {}

    def load(self, now: Now) -> None:
        """Live values have no tables: the last readings stay what they were."""

    def observe(self, evse_id: int, sample: Sample) -> None:
        """A meter was read. Hearing the same reading twice changes nothing, an older one neither."""
        last = self._last.get(evse_id)
        if last is None or sample.at >= last.at:
            self._last[evse_id] = sample

    def last(self, evse_id: int) -> Sample | None:
        """The newest reading; None before the first."""
        return self._last.get(evse_id)

    def read_since(self, evse_id: int, boot: BootId, mono: Mono) -> Sample | None:
        """The newest reading, if it was taken since then, in the same boot."""
        last = self._last.get(evse_id)
        return last if last is not None and last.at.boot == boot and last.at.mono >= mono else None

    def fresh(self, evse_id: int, now: Now, within_s: float) -> Sample | None:
        """The newest reading, if it was taken in this boot and at most `within_s` ago."""
        last = self._last.get(evse_id)
        if last is None or last.at.boot != now.boot or now.mono - last.at.mono > within_s:
            return None
        return last


def signing(purpose: str, *, sign: bool) -> str:
    """The purpose to ask `hardware.sample` for: with a signature if SignReadings says so (J02.FR.21)."""
    return purpose + SIGNED if sign else purpose


def purpose_of(purpose: str) -> str:
    """The purpose without the wish for a signature."""
    return purpose.removesuffix(SIGNED)


def never_falling(last: MeterReading | None, reading: MeterReading) -> MeterReading:
    """The reading with an import register not below the last one's (J02.FR.16): a meter slip is no refund."""
    if last is None or reading.energy_import_mwh >= last.energy_import_mwh:
        return reading
    return msgspec.structs.replace(reading, energy_import_mwh=last.energy_import_mwh)


def wh(milli: int) -> float:
    """Milliwatt-hours as Wh with three decimals at most."""
    return round(milli / 1000, 3)


def registers_only(reading: MeterReading) -> MeterReading:
    """The energy registers of a reading: they hold while no energy flows, unlike voltage or power."""
    return MeterReading(
        sampled_at=reading.sampled_at,
        energy_import_mwh=reading.energy_import_mwh,
        energy_export_mwh=reading.energy_export_mwh,
        energy_import_phase_mwh=reading.energy_import_phase_mwh,
        energy_reactive_import_mvarh=reading.energy_reactive_import_mvarh,
    )
