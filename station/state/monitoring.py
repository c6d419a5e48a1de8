"""The monitors of one station as they stand in the tables, the base and the level that were set, the ids of events.

The rules are `device_model/monitors.py`; who is told what is block N.
Invariant: an event id is given once: not again after a restart, nor by a database that was salvaged from an older copy.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from device_model.model import ComponentId, Variable, VariableId
from device_model.monitor_rules import LEAST_SEVERE, Monitor, MonitoringBase, MonitorKind, Wanted, supported
from device_model.monitors import Monitors
from device_model.storage import Storage
from station.now import Now
from station.state.variables import Variables
from station.store.db import Database

log = logging.getLogger(__name__)

BLOCK = 1_000
"""So many event ids are reserved by one write."""
EPOCH_S = 1_704_067_200.0
"""2024 began: no station told an event before."""
SALVAGE_JUMP = 1_000_000
"""Ids left out by each salvage of the database: those that may have been told since what could be read was written."""
LARGEST_ID = 2**31 - 1
CTRLR = "MonitoringCtrlr"


class Factory(msgspec.Struct, frozen=True):
    """A monitor that the station has by itself: hard-wired, or preconfigured; an id is given where there is none."""

    wanted: Wanted
    kind: MonitorKind


class Monitoring:
    """The tables `variable_monitor`, `monitoring`, `hard_wired_alarm` and what is made of them."""

    def __init__(self, *, db: Database, variables: Variables, storage: Storage, factory: Sequence[Factory]) -> None:
        self._db = db
        self._variables = variables
        self._storage = storage
        self._factory = factory
        self._reserved = self._next_event = 0
        self._salvages = 0
        self._strays: list[int] = []
        self._alarms: set[tuple[int, str]] = set()
        self.base = MonitoringBase.ALL
        self.monitors = Monitors(variables.model)

    def load(self, now: Now) -> None:
        """All monitors anew: those of the factory, then what was stored of these and of others."""
        kept = dict(self._db.execute("SELECT name, value FROM monitoring").fetchall())
        self.base = MonitoringBase(kept.get("base", MonitoringBase.ALL))
        self._reserved = self._next_event = int(kept.get("events", 0))
        salvaged = self._db.execute("SELECT value FROM meta WHERE name = 'salvaged_from'").fetchone()
        self._salvages = int(salvaged[0]) if salvaged is not None else 0
        self._alarms = {(int(row[0]), str(row[1])) for row in self._db.execute("SELECT * FROM hard_wired_alarm")}
        self.monitors = Monitors(self._variables.model)
        self.monitors.level = int(kept.get("level", LEAST_SEVERE))
        self.monitors.enabled = self._variables.boolean(CTRLR, "Enabled")
        self._install(now)
        strays = self.monitors.restore(self._storage.load_monitors(), now.mono, now.wall)
        self._strays = [row.id for row in strays]
        for row in strays:
            log.warning("monitor.stray", extra={"monitor": row.id, "variable": f"{row.component.name}.{row.variable}"})
        self._show()

    def _install(self, now: Now) -> None:
        taken = {each.wanted.id for each in self._factory}
        free = (n for n in range(1, 2 * len(self._factory) + 1) if n not in taken)
        for each in self._factory:
            wanted = each.wanted
            id_ = wanted.id if wanted.id is not None else next(free)
            found = self._variables.model.find(wanted.component, wanted.variable)
            if not isinstance(found, Variable) or not supported(found, wanted.type):
                log.warning("monitor.impossible", extra={"monitor": id_, "variable": str(wanted.variable)})
                continue
            made = Monitor(id_, found, wanted.type, wanted.value, wanted.severity, wanted.transaction, each.kind)
            active = each.kind is MonitorKind.HARD_WIRED or self.base is not MonitoringBase.HARD_WIRED_ONLY
            self.monitors.install(made, now.mono, now.wall, active=active)

    def _show(self) -> None:
        ctrlr = ComponentId(CTRLR)
        self._variables.measure(ctrlr, VariableId("ActiveMonitoringBase"), self.base.value)
        self._variables.measure(ctrlr, VariableId("ActiveMonitoringLevel"), str(self.monitors.level))

    def keep(self) -> None:
        """Write what has changed of the monitors: nothing, if no alarm began or ended and none was set."""
        if self.monitors.unsaved:
            self._storage.save_monitors(self.monitors)

    def forget_strays(self) -> None:
        """This image has proved itself: monitors of what it does not have will not be wanted again (N04, remark)."""
        self._storage.forget_monitors(self._strays)
        self._strays = []

    def rebase(self, base: MonitoringBase, now: Now) -> None:
        """SetMonitoringBase (N03)."""
        self.base = base
        self._set("base", base.value)
        self.monitors.rebase(base, now.mono, now.wall)
        self.keep()
        self._show()

    def set_level(self, severity: int) -> None:
        """SetMonitoringLevel (N05)."""
        if severity != self.monitors.level:
            self.monitors.level = severity
            self._set("level", severity)
            self._show()

    def event_id(self, now: Now) -> int:
        """A new one. The time is the least it can be, should the table be older than what was told."""
        if self._next_event >= self._reserved:
            least = max(int(now.wall - EPOCH_S), 1) + self._salvages * SALVAGE_JUMP
            self._next_event = max(self._reserved, least)
            self._reserved = self._next_event + BLOCK
            self._set("events", self._reserved)
        self._next_event += 1
        return (self._next_event - 1) % LARGEST_ID + 1

    def alarms(self, evse_id: int) -> frozenset[str]:
        """The faults of an EVSE that were told and are not over."""
        return frozenset(fault for evse, fault in self._alarms if evse == evse_id)

    def set_alarm(self, evse_id: int, fault: str, *, present: bool) -> None:
        """A fault was told, or that it is over."""
        row = (evse_id, fault)
        if present:
            self._alarms.add(row)
            self._db.execute("INSERT OR REPLACE INTO hard_wired_alarm VALUES (?, ?)", row)
        else:
            self._alarms.discard(row)
            self._db.execute("DELETE FROM hard_wired_alarm WHERE evse_id = ? AND fault = ?", row)

    def _set(self, name: str, value: str | int) -> None:
        self._db.execute("INSERT OR REPLACE INTO monitoring VALUES (?, ?)", (name, value))
