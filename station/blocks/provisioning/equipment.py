"""What the devices of the station measure and say of themselves, as live variables: in memory, never written.

A device that is lost is a Problem of its component, and what a lost sensor measured cannot be read any more.
Not here: what boards and meters show of a session (blocks G and N).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from device_model import values
from device_model.model import ComponentId, Variable, VariableId
from device_model.values import DataType, Refused
from station.block import Block, Reactions, on
from station.facts import DeviceIdentified, DeviceLost, DeviceReturned, SensorRead
from station.now import Now
from station.state.equipment import Part
from station.state.variables import Variables

log = logging.getLogger(__name__)

UNREADABLE = ""
JUDGED = frozenset({"ChargingStation", "EVSE", "Connector", "ConnectorPlugRetentionLock"})
"""Components whose problems block G tells."""

METER = "Meter"
"""The instance of FiscalMetering's variables that are about the meter, not about its transformers."""


class Equipment(Block):
    """All devices of one station. `parts` by the device's name."""

    def __init__(self, *, parts: Mapping[str, Part], variables: Variables) -> None:
        self._parts = parts
        self._variables = variables
        self._lost: set[str] = set()
        self._doubted: set[tuple[ComponentId, VariableId]] = set()

    def reactions(self) -> Reactions:
        """What devices tell, and that they tell no more."""
        return [
            on(SensorRead, self.sensed),
            on(DeviceIdentified, self.identified),
            on(DeviceLost, self.lost),
            on(DeviceReturned, self.returned),
        ]

    def sensed(self, fact: SensorRead, now: Now) -> None:
        """A measured value is reported as it is, also beyond its limits (part 1, 4.3)."""
        del now
        component = ComponentId(fact.component, fact.instance or "", fact.evse_id, fact.connector_id)
        named = VariableId(fact.variable, fact.variable_instance or "")
        found = self._variables.model.find(component, named)
        if not isinstance(found, Variable):
            self._doubt(component, named, found.value)
            return
        taken = values.normalise(_worded(fact.value, found.characteristics.data_type), found.characteristics)
        if isinstance(taken, Refused):
            self._doubt(component, named, taken.detail)
        self._variables.set(component, named.name, UNREADABLE if isinstance(taken, Refused) else taken, named.instance)
        self._show_active(found, active=True)

    def _doubt(self, component: ComponentId, named: VariableId, why: str) -> None:
        """Told once: a sensor may go on for years."""
        if (component, named) not in self._doubted:
            self._doubted.add((component, named))
            log.warning("sensor.unusable", extra={"variable": f"{component.name}.{named.name}", "reason": why})

    def _show_active(self, fed: Variable, *, active: bool) -> None:
        """A sensor is active while it measures."""
        if fed.component.name.endswith("Sensor") and fed.id.name != "Active":
            self._variables.show(fed.component, "Active", _truth(active))

    def identified(self, fact: DeviceIdentified, now: Now) -> None:
        """Make, serial number and firmware of a board, meter or reader."""
        del now
        part, who = self._parts.get(fact.device), fact.identity
        if part is None or part.variable is not None:
            return
        told = {"Manufacturer": who.vendor, "Model": who.model, "SerialNumber": who.serial}
        instance = METER if fact.kind == "meter" else ""
        for variable, text in {**told, "FirmwareVersion": who.firmware}.items():
            shown = self._variables.model.find(part.component, VariableId(variable, instance))
            if text and isinstance(shown, Variable):
                self._variables.set(part.component, variable, _printable(text), instance)
        self._variables.show(part.component, "Active", "true")

    def lost(self, fact: DeviceLost, now: Now) -> None:
        """It does not answer."""
        del now
        part = self._parts.get(fact.device)
        if part is None:
            return
        self._lost.add(fact.device)
        fed = self._variables.model.find(part.component, part.variable) if part.variable is not None else None
        if isinstance(fed, Variable):
            self._variables.set(part.component, fed.id.name, UNREADABLE, fed.id.instance)
            self._show_active(fed, active=False)
        elif part.component.name == "Controller":
            self._variables.show(part.component, "Active", "false")
        self._show_problem(part)

    def returned(self, fact: DeviceReturned, now: Now) -> None:
        """It answers again."""
        del now
        part = self._parts.get(fact.device)
        if part is not None:
            self._lost.discard(fact.device)
            if part.component.name == "Controller":
                self._variables.show(part.component, "Active", "true")
            self._show_problem(part)

    def _show_problem(self, part: Part) -> None:
        """A component has a problem while one of its devices is lost; one that a sensor tells is the sensor's."""
        if part.component.name in JUDGED:
            return
        of_it = {name: each for name, each in self._parts.items() if each.component.key == part.component.key}
        if not any(each.variable is not None and each.variable.key == ("problem", "") for each in of_it.values()):
            self._variables.show(part.component, "Problem", _truth(not self._lost.isdisjoint(of_it)))


def _worded(text: str, type_: DataType) -> str:
    """A number as the type of the variable wants it: counts are whole, and a line is on unless it is 0."""
    number = values.decimal(text)
    if number is None:
        return text
    if type_ is DataType.BOOLEAN:
        return _truth(number != 0)
    return str(round(number)) if type_ is DataType.INTEGER else text


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)


def _truth(value: bool) -> str:  # noqa: FBT001 - spells a boolean
    return "true" if value else "false"
