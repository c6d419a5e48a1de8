"""Faults of the hardware as events that no monitor has to be set for (N07, G05): where they are told, and how severe.

Each fault belongs to the component that has it, where the station has that component, else to its EVSE.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from device_model.model import ComponentId, DeviceModel, Variable, VariableId
from hal.api import Fault
from station.blocks.diagnostics.events import HardWired, Notices
from station.facts import DeviceLost, FaultChanged, LockChanged, SnapshotTold
from station.now import Mono, Now
from station.state.connectors import Connectors
from station.state.monitoring import Monitoring
from station.state.variables import Variables

DANGER, HARDWARE = 0, 1
"""Severities: someone may be hurt; something is broken (SetMonitoringData.severity)."""


class Spot(NamedTuple):
    """A component's variable that a fault makes true. `per_connector`: the component stands at each connector."""

    component: str
    variable: str
    severity: int = HARDWARE
    per_connector: bool = False


SPOTS: Mapping[Fault, Spot] = {
    Fault.GROUND_FAULT: Spot("GroundIsolationProtection", "Problem", DANGER),
    Fault.RCD: Spot("RCD", "Tripped", DANGER),
    Fault.EMERGENCY_STOP: Spot("EmergencyStopSensor", "Tripped", DANGER),
    Fault.CONTACTOR_WELDED: Spot("PowerContactor", "Problem", DANGER),
    Fault.CONTACTOR_OPEN: Spot("PowerContactor", "Problem"),
    Fault.OVER_CURRENT: Spot("OverCurrentProtection", "Operated"),
    Fault.PILOT_LOST: Spot("CPPWMController", "Problem"),
    Fault.DIODE: Spot("CPPWMController", "Problem"),
    Fault.LOCK_JAMMED: Spot("ConnectorPlugRetentionLock", "Problem", per_connector=True),
}
BOARD_LOST = "BoardLost"
"""techCode of an EVSE whose board does not answer."""
SHOWN_BY_OTHERS = frozenset({"EVSE", "ConnectorPlugRetentionLock"})
"""Components whose Problem block G shows."""
LONGEST_CODE = 50
"""Characters of a techCode."""
BURST = 10
WITHIN_S = 3600.0
"""So often within so long one fault is told: each time is a write, and a loose contact must not wear out the flash."""


class Where(NamedTuple):
    """Where a fault is told."""

    component: ComponentId
    variable: VariableId
    severity: int


def where(model: DeviceModel, evse_id: int, connector_id: int, fault: str) -> Where:
    """The variable of this fault; the EVSE's Problem if there is no better one."""
    spot = SPOTS.get(Fault(fault)) if fault != BOARD_LOST else None
    severity = spot.severity if spot is not None else HARDWARE
    if spot is not None:
        named = VariableId(spot.variable)
        place = connector_id if spot.per_connector else None
        for component in (ComponentId(spot.component, "", evse_id, place), ComponentId(spot.component)):
            if isinstance(model.find(component, named), Variable):
                return Where(component, named, severity)
    return Where(ComponentId("EVSE", "", evse_id), VariableId("Problem"), severity)


class Broken(NamedTuple):
    """What is broken. `connector_id` None: it is not known at which connector, or it is the EVSE's."""

    evse_id: int
    fault: str
    connector_id: int | None
    tech_code: str
    tech_info: str = ""


class HardWiring:
    """Tells each fault of the hardware once when it appears and once when it is over, over restarts, too."""

    def __init__(
        self, *, monitoring: Monitoring, connectors: Connectors, variables: Variables, notices: Notices
    ) -> None:
        self._monitoring = monitoring
        self._connectors = connectors
        self._variables = variables
        self._notices = notices
        self._told_at: dict[tuple[int, str], deque[Mono]] = {}

    def fault_changed(self, fact: FaultChanged, now: Now) -> list[Variable]:
        """As the board tells it; gives the variables that changed."""
        tech = (fact.tech_code[:LONGEST_CODE] or fact.fault.value, fact.tech_info)
        return self._compare(
            Broken(fact.evse_id, fact.fault.value, fact.connector_id, *tech), now, present=fact.present
        )

    def lock_changed(self, fact: LockChanged, now: Now) -> list[Variable]:
        """A lock did not do what was wanted (G05.FR.02)."""
        jammed = fact.problem or Fault.LOCK_JAMMED in self._connectors.faults(fact.evse_id)
        name = Fault.LOCK_JAMMED.value
        return self._compare(Broken(fact.evse_id, name, fact.connector_id, name), now, present=jammed)

    def device_lost(self, fact: DeviceLost, now: Now) -> list[Variable]:
        """A board does not answer: each EVSE of it has a problem."""
        changed: list[Variable] = []
        for evse_id in fact.evse_ids if fact.board else ():
            broken = Broken(evse_id, BOARD_LOST, None, BOARD_LOST, f"{fact.device}: {fact.reason}")
            changed += self._compare(broken, now, present=True)
        return changed

    def snapshot_told(self, fact: SnapshotTold, now: Now) -> list[Variable]:
        """The board answers and has told all there is: what was told and is not there is over."""
        present = {fault.value for fault in self._connectors.faults(fact.evse_id)}
        changed: list[Variable] = []
        for name in sorted(self._monitoring.alarms(fact.evse_id) - present):
            changed += self._compare(Broken(fact.evse_id, name, None, name), now, present=False)
        return changed

    def _compare(self, broken: Broken, now: Now, *, present: bool) -> list[Variable]:
        """Tell it, if it is news."""
        evse_id, fault = broken.evse_id, broken.fault
        if present is (fault in self._monitoring.alarms(evse_id)) or (present and self._often(evse_id, fault, now)):
            return []
        self._monitoring.set_alarm(evse_id, fault, present=present)
        at = broken.connector_id or self._connectors.plugged(evse_id) or self._connectors.connector_ids(evse_id)[0]
        spot = where(self._variables.model, evse_id, at, fault)
        changed = self._shown(spot, evse_id, at)
        text = self._variables.text(spot.component, spot.variable.name)
        event = HardWired(
            component=spot.component,
            variable=spot.variable,
            value="true" if present else text,
            cleared=not present,
            severity=spot.severity,
            tech_code=broken.tech_code,
            tech_info=broken.tech_info,
        )
        self._notices.add_hard_wired(event, now)
        return [changed] if changed is not None else []

    def _shown(self, spot: Where, evse_id: int, connector_id: int) -> Variable | None:
        """The component's variable follows, unless another block sees to that; faults may share one."""
        if spot.component.name in SHOWN_BY_OTHERS:
            return None
        told = (where(self._variables.model, evse_id, connector_id, each) for each in self._monitoring.alarms(evse_id))
        broken = any(each[:2] == spot[:2] for each in told)
        return self._variables.measure(spot.component, spot.variable, "true" if broken else "false")

    def _often(self, evse_id: int, fault: str, now: Now) -> bool:
        told = self._told_at.setdefault((evse_id, fault), deque(maxlen=BURST))
        if len(told) == BURST and now.mono - told[0] < WITHIN_S:
            return True
        told.append(now.mono)
        return False
