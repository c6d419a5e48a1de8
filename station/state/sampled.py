"""Readings of a meter as the sampled values of OCPP (J01, J02).

What a variable's list of measurands means, a `Plan`, is worked out once; a reading then becomes a row of figures, of
which the plan picks. Energy comes as integer milliwatt-hours and goes out as Wh with at most three decimals: that
division is the only rounding there is. Registers are told raw, as the meter shows them (J02.FR.17).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import msgspec

from hal.api import MeterReading, PerPhase
from station.ocpp.enums import LocationEnumType, MeasurandEnumType, PhaseEnumType, ReadingContextEnumType
from station.ocpp.types import SampledValueType, UnitOfMeasureType
from station.state.signatures import signed_value

REGISTER: MeasurandEnumType = "Energy.Active.Import.Register"
OFFERED = frozenset({"Power.Offered", "Current.Offered"})
"""What is no figure of a meter's."""
DEFAULT_CONTEXT: ReadingContextEnumType = "Sample.Periodic"
"""What a value without context means."""

_TOTAL: tuple[PhaseEnumType | None, ...] = (None,)
_LINES: tuple[PhaseEnumType | None, ...] = ("L1", "L2", "L3")
_TO_NEUTRAL: tuple[PhaseEnumType | None, ...] = ("L1-N", "L2-N", "L3-N")
_ABSENT = (None, None, None)
_NOMINAL_V = 230.0
_MILLI = 1000


class Line(msgspec.Struct, frozen=True):
    """One value that can be told: which of the figures it is, the thousandths it counts in, and what is said of it."""

    figure: int
    per: int
    measurand: MeasurandEnumType
    phase: PhaseEnumType | None
    unit: UnitOfMeasureType | None
    location: LocationEnumType | None


class Plan(msgspec.Struct, frozen=True):
    """The lines of a list of measurands, in its order."""

    lines: tuple[Line, ...]
    register: bool
    """Whether the import register is among them, which is what a meter signs."""
    offers: bool
    """Whether what the EVSE offers is among them."""


class Wanted(msgspec.Struct, frozen=True):
    """Which values to make of a reading.

    `offered_a`: what the EVSE offers per phase.
    `sign`: add the meter's signed text, with the public key if `public_key`.
    """

    plan: Plan
    context: ReadingContextEnumType | None
    offered_a: float | None = None
    phases: int = 3
    sign: bool = False
    public_key: bool = False


def _figures(reading: MeterReading, wanted: Wanted) -> tuple[float | None, ...]:
    """All figures of a reading, in the order of `_TABLE`; None where the meter does not measure it."""
    imported, exported = reading.energy_import_mwh, reading.energy_export_mwh
    power_w, offered_a = reading.power_import_w, wanted.offered_a
    power_phases_w = reading.power_import_phase_w or _ABSENT
    if power_w is not None and power_phases_w.count(None) > 1:  # the only phase would say the same again
        power_phases_w = _ABSENT
    offered_w = None
    if offered_a is not None and wanted.plan.offers:
        offered_w = offered_a * wanted.phases * _volts(reading.voltage_v)
    return (
        imported,
        *(reading.energy_import_phase_mwh or _ABSENT),
        exported,
        None if exported is None else imported - exported,
        reading.energy_reactive_import_mvarh,
        power_w,
        *power_phases_w,
        reading.power_export_w,
        reading.reactive_import_var,
        reading.power_factor,
        offered_w,
        *(reading.current_a or _ABSENT),
        reading.current_neutral_a,
        offered_a,
        *(reading.voltage_v or _ABSENT),
        reading.frequency_hz,
        reading.soc_percent,
    )


_TABLE: tuple[tuple[MeasurandEnumType, tuple[PhaseEnumType | None, ...], int, str, LocationEnumType | None], ...] = (
    (REGISTER, _TOTAL + _LINES, _MILLI, "", None),
    ("Energy.Active.Export.Register", _TOTAL, _MILLI, "", None),
    ("Energy.Active.Net", _TOTAL, _MILLI, "", None),
    ("Energy.Reactive.Import.Register", _TOTAL, _MILLI, "varh", None),
    ("Power.Active.Import", _TOTAL + _LINES, 1, "W", None),
    ("Power.Active.Export", _TOTAL, 1, "W", None),
    ("Power.Reactive.Import", _TOTAL, 1, "var", None),
    ("Power.Factor", _TOTAL, 1, "", None),  # a plain number
    ("Power.Offered", _TOTAL, 1, "W", None),
    ("Current.Import", (*_LINES, "N"), 1, "A", None),
    ("Current.Offered", _TOTAL, 1, "A", None),
    ("Voltage", _TO_NEUTRAL, 1, "V", None),
    ("Frequency", _TOTAL, 1, "Hz", None),
    ("SoC", _TOTAL, 1, "Percent", "EV"),
)
"""Measurand, its phases, unit and location. Wh is the default and not written."""


def _lines() -> Iterable[Line]:
    figure = 0
    for measurand, phases, per, unit, location in _TABLE:
        measure = UnitOfMeasureType(unit=unit) if unit else None
        for phase in phases:
            yield Line(figure, per, measurand, phase, measure, location)
            figure += 1


_ALL = tuple(_lines())
MEASURANDS: Mapping[str, tuple[Line, ...]] = {
    measurand: tuple(line for line in _ALL if line.measurand == measurand) for measurand, *_ in _TABLE
}
"""Every measurand this station can tell, if its meter measures it."""


def plan(measurands: Iterable[str], *, without_phases: bool = False) -> Plan:
    """What the list means; `without_phases`: RegisterValuesWithoutPhases. Unknown measurands are passed over."""
    listed = tuple(measurands)
    lines = tuple(line for measurand in listed for line in MEASURANDS.get(measurand, ()))
    if without_phases:
        lines = tuple(line for line in lines if line.measurand != REGISTER or line.phase is None)
    return Plan(lines, register=REGISTER in listed, offers=not OFFERED.isdisjoint(listed))


def sampled_values(reading: MeterReading, wanted: Wanted) -> list[SampledValueType]:
    """The values of one reading in the order of the measurands, with all phases (J02.FR.04).

    The first one names the context, the others only one that does not go without saying. What is absent, or no number,
    is left out: it would make the whole message impossible.
    """
    found: list[SampledValueType] = []
    context, signed = wanted.context, None
    if wanted.sign and reading.signed is not None and wanted.plan.register:
        signed = signed_value(reading.signed, public_key=wanted.public_key)
    figures = _figures(reading, wanted)
    for line in wanted.plan.lines:
        figure = figures[line.figure]
        if figure is None or not math.isfinite(figure):
            continue
        value = round(figure / line.per, 3)
        found.append(
            SampledValueType(
                value=int(value) if value.is_integer() else value,
                context=context,
                measurand=line.measurand,
                phase=line.phase,
                location=line.location,
                unit_of_measure=line.unit,
                signed_meter_value=signed if line.figure == 0 else None,
            )
        )
        if context == DEFAULT_CONTEXT:
            context = None
    return found


def _volts(voltage_v: PerPhase | None) -> float:
    """What is there on average, for the power that is offered."""
    volts = [each for each in voltage_v or () if each is not None] or [_NOMINAL_V]
    return sum(volts) / len(volts)
