"""The tables of the device model, on a connection handed in (schema.sql beside this file).

Only what differs from catalogue and file is stored: a station fresh from the box has no rows, and what the CSMS changed
wins over the file until `reset`. Writes happen in the caller's transaction; nothing here begins or commits one.
Secrets pass through `seal` and `unseal` of the caller and lie encrypted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from device_model import values
from device_model.model import (
    Attribute,
    AttributeType,
    Change,
    ComponentId,
    DeviceModel,
    Variable,
    VariableId,
    describe,
)
from device_model.monitors import Monitors, Row
from device_model.values import Refused

_KEY: Final = "component, component_instance, evse_id, connector_id, variable, variable_instance"
_WHERE: Final = (
    "component = ? AND component_instance = ? AND evse_id = ? AND connector_id = ? "
    "AND variable = ? AND variable_instance = ? AND attribute = ?"
)
_MONITOR: Final = f"id, {_KEY}, type, value, severity, in_transaction, kind, active, alarmed"


class Stray(msgspec.Struct, frozen=True, gc=False):
    """A stored value that fits no variable now: kept, for a later image may know it again."""

    name: str
    reason: str


def schema() -> str:
    """The SQL that makes the tables, for the caller's migrations."""
    return Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")


class Executes(Protocol):
    """A connection, or what stands for one."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> sqlite3.Cursor:
        """Run one statement, as sqlite3.Connection does."""
        ...


class Storage:
    """Reads and writes the values and monitors that must survive a power cut.

    `seal` turns a secret into a text that may lie on a disk, `unseal` back; `unseal` raises ValueError if it cannot.
    All methods raise sqlite3.Error as the connection does.
    """

    def __init__(self, connection: Executes, seal: Callable[[str], str], unseal: Callable[[str], str]) -> None:
        self._connection = connection
        self._seal = seal
        self._unseal = unseal

    def load(self, model: DeviceModel) -> list[Stray]:
        """Bring the model to its stored state; the way of every boot and of recovery. Returns what did not fit."""
        found: list[tuple[Variable, Attribute, str]] = []
        strays: list[Stray] = []
        for *key, text, sealed in self._connection.execute(f"SELECT {_KEY}, attribute, value, sealed FROM variable"):  # noqa: S608 - constants only
            taken = self._fit(model, key, text, sealed=bool(sealed))
            if isinstance(taken, Stray):
                strays.append(taken)
            else:
                found.append(taken)
        model.restore(found)
        return strays

    def save(self, change: Change) -> None:
        """Store a change, or forget the row if the value is back at its default. Nothing is written if it was equal."""
        if change.new == change.old:
            return
        key = _key(change.variable, change.attribute)
        if change.new is None or change.new == change.attribute.initial:
            self._connection.execute(f"DELETE FROM variable WHERE {_WHERE}", key)  # noqa: S608 - constants only
            return
        secret = change.attribute.secret
        text = self._seal(change.new) if secret else change.new
        self._connection.execute("INSERT OR REPLACE INTO variable VALUES (?,?,?,?,?,?,?,?,?)", (*key, text, secret))

    def reset(self, model: DeviceModel) -> list[Change]:
        """The operator's reset: forget all rows, all values back to catalogue and file. Returns what changed."""
        self._connection.execute("DELETE FROM variable")
        before = {id(holder): holder.value for variable in model for holder in variable.attributes}
        model.restore()
        return [
            Change(variable, holder, before[id(holder)], holder.value)
            for variable in model
            for holder in variable.attributes
            if holder.value != before[id(holder)]
        ]

    def load_monitors(self) -> Iterator[Row]:
        """The stored monitors, for `Monitors.restore`."""
        for row in self._connection.execute(f"SELECT {_MONITOR} FROM variable_monitor ORDER BY id"):  # noqa: S608 - constants only
            id_, name, instance, evse_id, connector_id, variable, its, *rest = row
            type_, value, severity, transaction, kind, active, alarmed = rest
            component = ComponentId(name, instance, evse_id or None, connector_id or None)
            rules = (type_, value, severity, bool(transaction), kind, bool(active), bool(alarmed))
            yield Row(id_, component, VariableId(variable, its), *rules)

    def save_monitors(self, monitors: Monitors) -> None:
        """Store what changed in `monitors` since the last call."""
        for id_, row in monitors.dirty():
            if row is None:
                self.forget_monitors([id_])
                continue
            key = _component_key(row.component) + row.variable.key
            rules = (row.type, row.value, row.severity, row.transaction, row.kind, row.active, row.alarmed)
            marks = ",".join("?" * 14)
            self._connection.execute(f"INSERT OR REPLACE INTO variable_monitor VALUES ({marks})", (id_, *key, *rules))  # noqa: S608 - constants only

    def forget_monitors(self, ids: Iterable[int]) -> None:
        """Delete stored monitors, such as those whose variable is gone."""
        for id_ in ids:
            self._connection.execute("DELETE FROM variable_monitor WHERE id = ?", (id_,))

    def _fit(
        self, model: DeviceModel, key: list[str | int], text: str, *, sealed: bool
    ) -> tuple[Variable, Attribute, str] | Stray:
        name, instance, evse_id, connector_id, variable, its, attribute = key
        component = ComponentId(str(name), str(instance), int(evse_id) or None, int(connector_id) or None)
        found = model.find(component, VariableId(str(variable), str(its)))
        if not isinstance(found, Variable):
            return Stray(f"{name}.{variable}", found.value)
        known = attribute in set(AttributeType)
        holder = found.attribute(AttributeType(str(attribute))) if known else None
        if holder is None:
            return Stray(describe(found), "NotSupportedAttributeType")
        try:
            value = self._unseal(text) if sealed else text
        except ValueError:
            return Stray(describe(found), "cannot be decrypted")
        judge = values.check if holder.writable else values.normalise
        checked = judge(value, found.characteristics) if value else value
        if isinstance(checked, Refused):
            return Stray(describe(found), checked.detail)
        return found, holder, checked


def _component_key(component: ComponentId) -> tuple[str, str, int, int]:
    name, instance, evse_id, connector_id = component.key
    return name, instance, evse_id or 0, connector_id or 0


def _key(variable: Variable, holder: Attribute) -> tuple[str | int, ...]:
    return (*_component_key(variable.component), *variable.id.key, holder.type.value)
