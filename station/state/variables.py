"""The device model as the blocks know it: typed questions, changes as facts, values that survive in the database.

Not here: who may change what (guards of blocks, B05 in `blocks/provisioning/variables.py`).
Invariant: a change is told as VariableChanged in the step that made it; after a rolled-back step the memory equals the
tables.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Final, Literal

from device_model.model import AttributeType, Change, ComponentId, DeviceModel, Settable, Variable, VariableId
from device_model.storage import Storage
from station.facts import Facts, VariableChanged
from station.now import Now

log = logging.getLogger(__name__)

By = Literal["csms", "station", "operator"]
CLOCK: Final = ComponentId("ClockCtrlr")
DATE_TIME: Final = VariableId("DateTime")


class Variables:
    """The variables of one station. `storage` keeps those whose value differs from the catalogue's and the file's."""

    def __init__(self, *, model: DeviceModel, storage: Storage, facts: Facts) -> None:
        self.model = model
        self._storage = storage
        self._facts = facts
        self._strays: set[str] = set()

    def load(self, now: Now) -> None:
        """All persistent values as stored, everything else as it was at the start or was last measured."""
        del now
        for stray in self._storage.load(self.model):
            if stray.name not in self._strays:  # a later image may know it again: it is kept, and told once
                self._strays.add(stray.name)
                log.warning("variable.stray", extra={"variable": stray.name, "reason": stray.reason})

    # typed questions; the catalogue's default where this station lacks the variable

    def text(self, component: str | ComponentId, variable: str, instance: str = "") -> str:
        """The value of Actual."""
        return self.model.text(component, variable, instance)

    def integer(self, component: str | ComponentId, variable: str, instance: str = "") -> int:
        """The value as an integer; 0 if unset without a default."""
        return self.model.integer(component, variable, instance)

    def decimal(self, component: str | ComponentId, variable: str, instance: str = "") -> float:
        """The value as a number; 0 if unset without a default."""
        return self.model.decimal(component, variable, instance)

    def boolean(self, component: str | ComponentId, variable: str, instance: str = "") -> bool:
        """The value as a truth; false if unset without a default."""
        return self.model.text(component, variable, instance) == "true"

    def members(self, component: str | ComponentId, variable: str, instance: str = "") -> tuple[str, ...]:
        """The members of a list, in their order."""
        return self.model.members(component, variable, instance)

    def allowed(self, component: str | ComponentId, variable: str, instance: str = "") -> tuple[str, ...]:
        """The values list of a variable; nothing if the station lacks it."""
        id_ = ComponentId(component) if isinstance(component, str) else component
        found = self.model.find(id_, VariableId(variable, instance))
        return found.characteristics.values if isinstance(found, Variable) else ()

    def most(self, component: str, variable: str, instance: str = "") -> int:
        """The upper limit of a number (maxLimit of its characteristics); 0 if it has none."""
        found = self.model.find(ComponentId(component), VariableId(variable, instance))
        return int(found.characteristics.max_limit or 0) if isinstance(found, Variable) else 0

    # changes

    def tell_time(self, now: datetime) -> None:
        """Before the model is read: ClockCtrlr.DateTime is the present. Nobody is told, nothing is written."""
        text = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        shown = self.model.find(CLOCK, DATE_TIME)
        holder = shown.attribute(AttributeType.ACTUAL) if isinstance(shown, Variable) else None
        if holder is not None:
            holder.value = text

    def set(self, component: str | ComponentId, variable: str, value: str, instance: str = "") -> None:
        """What the station measured or decided. Live values stay in memory, persistent ones are written."""
        id_ = ComponentId(component) if isinstance(component, str) else component
        change = self.model.set_by_station(id_, VariableId(variable, instance), value)
        if change is not None:
            self._changed(change, "station")

    def measure(self, component: ComponentId, variable: VariableId, value: str) -> Variable | None:
        """A live value, kept in memory and told to nobody; the variable if it has changed.

        None also where the station lacks it. Raises ValueError for a text that is no value of its type.
        """
        change = self.model.measure(component, variable, value)
        return change.variable if change is not None else None

    def show(self, component: ComponentId, variable: str, value: str) -> None:
        """As `set`, for what not every station has in its model."""
        if isinstance(self.model.find(component, VariableId(variable)), Variable):
            self.set(component, variable, value)

    def apply(self, settable: Settable, by: By = "csms") -> Change:
        """Do what `model.check_set` and the guards allowed."""
        change = self.model.apply(settable)
        self._changed(change, by)
        return change

    def _changed(self, change: Change, by: By) -> None:
        if change.attribute.persistent:
            self._storage.save(change)
        if change.old == change.new:
            return
        component, variable = change.variable.component, change.variable.id
        self._facts.emit(
            VariableChanged(
                component=component.name,
                instance=component.instance or None,
                evse_id=component.evse_id,
                connector_id=component.connector_id,
                variable=variable.name,
                variable_instance=variable.instance or None,
                attribute=AttributeType(change.attribute.type).value,
                value="" if change.attribute.secret else change.new or "",
                by=by,
            )
        )
