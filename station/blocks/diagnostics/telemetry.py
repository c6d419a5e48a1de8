"""What the hardware shows, as variables of the device model: live values, in memory, never written.

Pure: facts in, values out; `monitoring.py` gives them to the model and to the monitors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from device_model.gauges import Gauges
from device_model.model import ComponentId, Variable, VariableId
from hal.api import MeterReading
from station.facts import (
    EnergyRequested,
    PlugInserted,
    PlugRemoved,
    PowerPathChanged,
    SampleFailed,
)

POWER = VariableId("Power")
CURRENTS = tuple(VariableId("ACCurrent", line) for line in ("L1", "L2", "L3"))
VOLTAGES = tuple(VariableId("ACVoltage", line) for line in ("L1", "L2", "L3"))
IMPORTED = VariableId("EnergyImportRegister")
EXPORTED = VariableId("EnergyExportRegister")
ACTIVE = VariableId("Active")
STATE = VariableId("State")
UNREADABLE = ""
STATION = 0


Find = Callable[[ComponentId, VariableId], Variable | object]


class Value(NamedTuple):
    """A value of a variable; where the station lacks the variable it is nobody's."""

    component: ComponentId
    variable: VariableId
    text: str


ELECTRICAL = (POWER, *CURRENTS, *VOLTAGES)
_ABSENT = (None, None, None)


def gauges(find: Find, evse_id: int) -> Gauges:
    """What the meter of an EVSE shows, of that which the station has. The main meter measures the station's feed."""
    feed, meter = ComponentId("ElectricalFeed"), ComponentId("FiscalMetering", "", evse_id)
    place, main = _place(evse_id), evse_id == STATION
    shown = (
        find(feed, POWER) if main else None,
        *(find(place, variable) for variable in ELECTRICAL),
        *((None, None) if main else (find(meter, IMPORTED), find(meter, EXPORTED))),
    )
    return Gauges(each if isinstance(each, Variable) else None for each in shown)


def figures(reading: MeterReading) -> Sequence[float | None]:
    """The numbers of a reading for `gauges`, in their order."""
    exported = reading.energy_export_mwh
    return (
        reading.power_import_w,
        reading.power_import_w,
        *(reading.current_a or _ABSENT),
        *(reading.voltage_v or _ABSENT),
        reading.energy_import_mwh / 1000,
        None if exported is None else exported / 1000,
    )


def not_metered(fact: SampleFailed) -> Iterator[Value]:
    """The meter is silent: what flows is unknown, and an old value is not told as the present one."""
    place = _place(fact.evse_id)
    return (Value(place, variable, UNREADABLE) for variable in ELECTRICAL)


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
