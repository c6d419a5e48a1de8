"""What the hardware shows, as variables of the device model: live values, in memory, never written.

Pure: facts in, values out; `monitoring.py` gives them to the model and to the monitors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from device_model.model import Attribute, ComponentId, Variable, VariableId
from hal.api import MeterReading
from station.facts import (
    EnergyRequested,
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
STATION = 0


Take = Callable[[Variable, Attribute, str], object | None]
Find = Callable[[ComponentId, VariableId], Variable | object]
Figure = Callable[[MeterReading], float | None]


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


class Gauge:
    """What a meter shows of one variable, found once: a meter's are never removed.

    The same number again costs one comparison.
    """

    def __init__(self, variable: Variable, actual: Attribute) -> None:
        self.variable = variable
        self._actual = actual
        self._number: float | None = math.nan  # equal to no number
        self._text: str | None = None

    def shows(self, number_: float | None, take: Take) -> bool:
        """The meter shows this; whether the variable has changed by it. Others may have given it a value meanwhile."""
        if number_ == self._number and self._text == self._actual.value:
            return False
        changed = take(self.variable, self._actual, number(number_)) is not None
        self._number, self._text = number_, self._actual.value
        return changed


def _power(reading: MeterReading) -> float | None:
    return reading.power_import_w


def _exported(reading: MeterReading) -> float | None:
    return None if reading.energy_export_mwh is None else wh(reading.energy_export_mwh)


def _amperes(line: int) -> Figure:
    return lambda reading: reading.current_a[line] if reading.current_a is not None else None


def _volts(line: int) -> Figure:
    return lambda reading: reading.voltage_v[line] if reading.voltage_v is not None else None


_ELECTRICAL: tuple[tuple[VariableId, Figure], ...] = (
    (POWER, _power),
    *((variable, _amperes(line)) for line, variable in enumerate(CURRENTS)),
    *((variable, _volts(line)) for line, variable in enumerate(VOLTAGES)),
)


def gauges(find: Find, evse_id: int) -> tuple[tuple[Figure, Gauge], ...]:
    """What the meter of an EVSE shows, of that which the station has. The main meter measures the station's feed."""
    place = _place(evse_id)
    shown = [(place, variable, figure) for variable, figure in _ELECTRICAL]
    if evse_id == STATION:
        shown.insert(0, (ComponentId("ElectricalFeed"), POWER, _power))
    else:
        meter = ComponentId("FiscalMetering", "", evse_id)
        shown += [(meter, IMPORTED, lambda r: wh(r.energy_import_mwh)), (meter, EXPORTED, _exported)]
    made = []
    for component, variable, figure in shown:
        found = find(component, variable)
        if isinstance(found, Variable) and (actual := found.attribute()) is not None:
            made.append((figure, Gauge(found, actual)))
    return tuple(made)


def not_metered(fact: SampleFailed) -> Iterator[Value]:
    """The meter is silent: what flows is unknown, and an old value is not told as the present one."""
    place = _place(fact.evse_id)
    return (Value(place, variable, UNREADABLE) for variable, _ in _ELECTRICAL)


def _place(evse_id: int) -> ComponentId:
    return ComponentId("EVSE", "", evse_id) if evse_id != STATION else ComponentId("ChargingStation")


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
