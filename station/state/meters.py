"""The last readings of the meters, and readings as the sampled values of OCPP (J01, J02).

Energy comes as integer milliwatt-hours and goes out as Wh with at most three decimals: that division is the only
rounding there is. Registers are told raw, as the meter shows them (J02.FR.17).
Invariant: the memory holds live values only; nothing here writes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from hal.api import MeterReading, PerPhase
from station.now import Instant, Now
from station.ocpp.enums import LocationEnumType, MeasurandEnumType, PhaseEnumType, ReadingContextEnumType
from station.ocpp.types import SampledValueType, UnitOfMeasureType
from station.state.signatures import signed_value

REGISTER: MeasurandEnumType = "Energy.Active.Import.Register"
DEFAULT_CONTEXT: ReadingContextEnumType = "Sample.Periodic"
"""What a value without context means."""

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

    def is_read(self, evse_id: int, since: Instant) -> bool:
        """Whether a meter has been read since then, in the same boot."""
        last = self._last.get(evse_id)
        return last is not None and last.at.boot == since.boot and last.at.mono >= since.mono

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


def registers_only(reading: MeterReading) -> MeterReading:
    """The energy registers of a reading: they hold while no energy flows, unlike voltage or power."""
    return MeterReading(
        sampled_at=reading.sampled_at,
        energy_import_mwh=reading.energy_import_mwh,
        energy_export_mwh=reading.energy_export_mwh,
        energy_import_phase_mwh=reading.energy_import_phase_mwh,
        energy_reactive_import_mvarh=reading.energy_reactive_import_mvarh,
    )


# --- sampled values -------------------------------------------------------------------------------------------------


class Wanted(msgspec.Struct, frozen=True):
    """Which values to make of a reading.

    `offered_a`: what the EVSE offers per phase.
    `sign`: add the meter's signed text, with the public key if `public_key`.
    """

    measurands: Sequence[str]
    context: ReadingContextEnumType | None
    without_phases: bool = False
    offered_a: float | None = None
    phases: int = 3
    sign: bool = False
    public_key: bool = False


Figures = Iterable[tuple[PhaseEnumType | None, float | None]]

_LINES: tuple[PhaseEnumType, ...] = ("L1", "L2", "L3")
_TO_NEUTRAL: tuple[PhaseEnumType, ...] = ("L1-N", "L2-N", "L3-N")
_NOMINAL_V = 230.0


def wh(milli: int) -> float:
    """Milliwatt-hours as Wh with three decimals at most: the one rounding rule for energy."""
    return round(milli / 1000, 3)


def _wh(milli: int | None) -> float | None:
    return None if milli is None else wh(milli)


def _lines(values: PerPhase | None, names: Sequence[PhaseEnumType] = _LINES) -> Figures:
    return zip(names, values, strict=True) if values is not None else ()


def _import_register(reading: MeterReading, wanted: Wanted) -> Figures:
    yield None, wh(reading.energy_import_mwh)
    if reading.energy_import_phase_mwh is not None and not wanted.without_phases:
        yield from zip(_LINES, (_wh(each) for each in reading.energy_import_phase_mwh), strict=True)


def _power_import(reading: MeterReading, _wanted: Wanted) -> Figures:
    yield None, reading.power_import_w
    known = [each for each in _lines(reading.power_import_phase_w) if each[1] is not None]
    if len(known) > 1 or reading.power_import_w is None:  # the only phase would say the same again
        yield from known


def _current(reading: MeterReading, _wanted: Wanted) -> Figures:
    yield from _lines(reading.current_a)
    yield "N", reading.current_neutral_a


def _net(reading: MeterReading, _wanted: Wanted) -> Figures:
    if reading.energy_export_mwh is not None:
        yield None, wh(reading.energy_import_mwh - reading.energy_export_mwh)


def _power_offered(reading: MeterReading, wanted: Wanted) -> Figures:
    if wanted.offered_a is not None:
        volts = [each for each in reading.voltage_v or () if each is not None] or [_NOMINAL_V]
        yield None, wanted.offered_a * wanted.phases * sum(volts) / len(volts)


class Source:
    """Where a measurand comes from and in which unit; Wh is the default and not written."""

    def __init__(
        self,
        figures: Callable[[MeterReading, Wanted], Figures],
        unit: str | None,
        location: LocationEnumType | None = None,
    ) -> None:
        self.figures = figures
        self.unit = UnitOfMeasureType(unit=unit) if unit else None
        self.location = location


MEASURANDS: Mapping[str, Source] = {
    "Energy.Active.Import.Register": Source(_import_register, None),
    "Energy.Active.Export.Register": Source(lambda r, _: [(None, _wh(r.energy_export_mwh))], None),
    "Energy.Active.Net": Source(_net, None),
    "Energy.Reactive.Import.Register": Source(lambda r, _: [(None, _wh(r.energy_reactive_import_mvarh))], "varh"),
    "Power.Active.Import": Source(_power_import, "W"),
    "Power.Active.Export": Source(lambda r, _: [(None, r.power_export_w)], "W"),
    "Power.Reactive.Import": Source(lambda r, _: [(None, r.reactive_import_var)], "var"),
    "Power.Factor": Source(lambda r, _: [(None, r.power_factor)], ""),  # a plain number
    "Power.Offered": Source(_power_offered, "W"),
    "Current.Import": Source(_current, "A"),
    "Current.Offered": Source(lambda _, wanted: [(None, wanted.offered_a)], "A"),
    "Voltage": Source(lambda r, _: _lines(r.voltage_v, _TO_NEUTRAL), "V"),
    "Frequency": Source(lambda r, _: [(None, r.frequency_hz)], "Hz"),
    "SoC": Source(lambda r, _: [(None, r.soc_percent)], "Percent", "EV"),
}
"""Every measurand this station can tell, if its meter measures it."""


def sampled_values(reading: MeterReading, wanted: Wanted) -> list[SampledValueType]:
    """The values of one reading in the order of the measurands, with all phases (J02.FR.04).

    The first one names the context, the others only one that does not go without saying. What is absent, or no number,
    is left out: it would make the whole message impossible.
    """
    found: list[SampledValueType] = []
    context, signed = wanted.context, None
    if wanted.sign and reading.signed is not None and REGISTER in wanted.measurands:
        signed = signed_value(reading.signed, public_key=wanted.public_key)
    for measurand in wanted.measurands:
        source = MEASURANDS.get(measurand)
        if source is None:
            continue
        for phase, figure in source.figures(reading, wanted):
            if figure is not None and math.isfinite(figure):
                found.append(
                    SampledValueType(
                        value=round(figure, 3),
                        context=context,
                        measurand=measurand,  # type: ignore[arg-type]  # a key of MEASURANDS is one
                        phase=phase,
                        location=source.location,
                        unit_of_measure=source.unit,
                        signed_meter_value=signed if measurand == REGISTER and phase is None else None,
                    )
                )
                if context == DEFAULT_CONTEXT:
                    context = None
    return found
