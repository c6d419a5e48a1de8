"""What the hardware shows, as variables of the device model: live values, in memory, never written.

Pure: facts in, values out; `monitoring.py` gives them to the model and to the monitors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from device_model.model import ComponentId, VariableId
from hal.api import MeterReading
from station.facts import (
    EnergyRequested,
    MeterSampled,
    PlugInserted,
    PlugRemoved,
    PowerPathChanged,
    SampleFailed,
)
from station.state.meters import wh

POWER = VariableId("Power")
CURRENTS = tuple(VariableId("ACCurrent", line) for line in ("L1", "L2", "L3"))
VOLTAGES = tuple(VariableId("ACVoltage", line) for line in ("L1", "L2", "L3"))
IMPORTED = VariableId("EnergyImportRegister")
EXPORTED = VariableId("EnergyExportRegister")
ACTIVE = VariableId("Active")
STATE = VariableId("State")
UNREADABLE = ""
UNKNOWN = (None, None, None)
STATION = 0


class Value(NamedTuple):
    """A value of a variable; where the station lacks the variable it is nobody's."""

    component: ComponentId
    variable: VariableId
    text: str


def number(value: float | None) -> str:
    """A measured number as the device model writes it: no exponent, three decimals at most."""
    if value is None or not math.isfinite(value) or abs(value) >= 1e15:  # noqa: PLR2004 - more digits than a value has
        return UNREADABLE
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def metered(fact: MeterSampled) -> Iterator[Value]:
    """A reading: power, current, voltage, registers. The main meter measures the station's feed."""
    reading, evse_id = fact.reading, fact.evse_id
    if evse_id == STATION:
        yield Value(ComponentId("ElectricalFeed"), POWER, number(reading.power_import_w))
    place = _place(evse_id)
    yield from _electrical(place, reading.power_import_w, reading.current_a, reading.voltage_v)
    if evse_id != STATION:
        yield from _registers(ComponentId("FiscalMetering", "", evse_id), reading)


def not_metered(fact: SampleFailed) -> Iterator[Value]:
    """The meter is silent: what flows is unknown, and an old value is not told as the present one."""
    return _electrical(_place(fact.evse_id), None, None, None)


def _place(evse_id: int) -> ComponentId:
    return ComponentId("EVSE", "", evse_id) if evse_id != STATION else ComponentId("ChargingStation")


def _electrical(
    place: ComponentId,
    power_w: float | None,
    current_a: Sequence[float | None] | None,
    voltage_v: Sequence[float | None] | None,
) -> Iterator[Value]:
    yield Value(place, POWER, number(power_w))
    for variable, amperes in zip(CURRENTS, current_a or UNKNOWN, strict=True):
        yield Value(place, variable, number(amperes))
    for variable, volts in zip(VOLTAGES, voltage_v or UNKNOWN, strict=True):
        yield Value(place, variable, number(volts))


def _registers(meter: ComponentId, reading: MeterReading) -> Iterator[Value]:
    yield Value(meter, IMPORTED, number(wh(reading.energy_import_mwh)))
    if reading.energy_export_mwh is not None:
        yield Value(meter, EXPORTED, number(wh(reading.energy_export_mwh)))


def path_changed(fact: PowerPathChanged) -> Iterator[Value]:
    """The contactor; an open one carries nothing, which is known before the meter is read again."""
    yield Value(ComponentId("PowerContactor", "", fact.evse_id), ACTIVE, "true" if fact.closed else "false")
    if not fact.closed:
        place = _place(fact.evse_id)
        yield Value(place, POWER, "0")
        for variable in CURRENTS:
            yield Value(place, variable, "0")


def pilot_changed(fact: PlugInserted | PlugRemoved | EnergyRequested) -> Iterator[Value]:
    """The state of the control pilot: A without a vehicle, B with one, C while it asks for energy."""
    if isinstance(fact, EnergyRequested):
        state = "C" if fact.requested else None
    else:
        state = "B" if isinstance(fact, PlugInserted) else "A"
    if state is not None:
        yield Value(ComponentId("CPPWMController", "", fact.evse_id), STATE, state)
