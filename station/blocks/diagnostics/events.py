"""From what a monitor saw to NotifyEvent (N07, N08).

All events of one step share their messages: one for those severe enough to be queued while offline, one for the others.
Invariant: what waits to be delivered is bounded, however fast values change and however slow the CSMS is.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import msgspec

from device_model.model import ComponentId, VariableId
from device_model.monitor_rules import Event
from device_model.report import pages
from station.block import Outcome
from station.facts import ConnectorStatusDue, EventsNoted, Facts
from station.now import Now
from station.ocpp.messages import NotifyEventRequest
from station.ocpp.types import EventDataType
from station.ports import Csms
from station.state.monitoring import Monitoring
from station.state.naming import component_type, variable_type
from station.state.sessions import Sessions
from station.state.variables import Variables

log = logging.getLogger(__name__)

KEPT = 0
"""A status is told once, so it must arrive: kept like what is most severe."""

PAGE_EVENTS = 50
PAGE_BYTES = 15_000
"""A CSMS may take no more than 16 kB in one message."""
ENTRY_BYTES = 300
"""What an event takes beside its value."""
MOST_WAITING = {False: 500, True: 10_000}
"""So many messages, stored (True) or not, may wait for their answers; what comes after is lost and logged."""


class HardWired(msgspec.Struct, frozen=True, kw_only=True):
    """An event that no monitor stands behind: a HardWiredNotification."""

    component: ComponentId
    variable: VariableId
    value: str
    cleared: bool
    severity: int
    tech_code: str
    tech_info: str


class Notices:
    """The events of the running step, and how many messages are under way."""

    def __init__(
        self, *, monitoring: Monitoring, sessions: Sessions, variables: Variables, csms: Csms, facts: Facts
    ) -> None:
        self._monitoring = monitoring
        self._sessions = sessions
        self._variables = variables
        self._csms = csms
        self._facts = facts
        self._noted: list[tuple[int, EventDataType]] = []
        self._causes: dict[int, int] = {}
        self._waiting = {False: 0, True: 0}
        self._lost = 0

    def forget(self) -> None:
        """What a failed step noted did not happen."""
        self._noted.clear()
        self._causes.clear()

    # --- noting

    def add(self, events: Iterable[Event], now: Now) -> None:
        """Monitors were triggered (N07.FR.06)."""
        for event in events:
            monitor = event.monitor
            where = monitor.variable.component
            data = EventDataType(
                event_id=self._monitoring.event_id(now),
                timestamp=now.utc,
                trigger=event.trigger.value,
                cause=self._causes.get(where.evse_id) if where.evse_id else None,
                actual_value=event.value[: self._variables.integer("DeviceDataCtrlr", "ReportingValueSize")],
                cleared=True if event.cleared else None,
                transaction_id=self._transaction(where),
                variable_monitoring_id=monitor.id,
                event_notification_type=monitor.kind.value,
                component=component_type(where),
                variable=variable_type(monitor.variable.id),
            )
            self._note(monitor.severity, data)

    def add_hard_wired(self, event: HardWired, now: Now) -> None:
        """A fault came or went; what else this step tells of its EVSE has it as its cause (N07.FR.05)."""
        event_id = self._monitoring.event_id(now)
        data = EventDataType(
            event_id=event_id,
            timestamp=now.utc,
            trigger="Alerting",
            actual_value=event.value,
            cleared=True if event.cleared else None,
            tech_code=event.tech_code or None,
            tech_info=event.tech_info or None,
            transaction_id=self._transaction(event.component),
            event_notification_type="HardWiredNotification",
            component=component_type(event.component),
            variable=variable_type(event.variable),
        )
        self._note(event.severity, data)
        if event.component.evse_id:
            self._causes[event.component.evse_id] = event_id

    def add_status(self, fact: ConnectorStatusDue, now: Now) -> None:
        """The status of a connector, where StatusNotification is not used (G01)."""
        data = EventDataType(
            event_id=self._monitoring.event_id(now),
            timestamp=fact.since,
            trigger="Delta",
            actual_value=fact.status,
            event_notification_type="HardWiredNotification",
            component=component_type(ComponentId("Connector", "", fact.evse_id, fact.connector_id)),
            variable=variable_type(VariableId("AvailabilityState")),
        )
        self._note(KEPT, data)

    def _note(self, severity: int, data: EventDataType) -> None:
        if not self._noted:
            self._facts.emit(EventsNoted())
        self._noted.append((severity, data))

    def _transaction(self, where: ComponentId) -> str | None:
        if where.evse_id:
            session = self._sessions.on_evse(where.evse_id)
            return session.transaction_id if session is not None else None
        running = self._sessions.running()
        return running[0].transaction_id if len(running) == 1 else None

    # --- telling

    def tell(self, fact: EventsNoted, now: Now) -> None:
        """N07.FR.04, N07.FR.07, N08.FR.03, N08.FR.04: seqNo counts from 0 within what is told together."""
        del fact
        noted, limit = self._noted[:], self._queuing_severity()
        self.forget()
        for stored in (True, False):
            group = [(severity, data) for severity, data in noted if (severity <= limit) is stored]
            for seq_no, page in enumerate(pages(group, PAGE_EVENTS, PAGE_BYTES, _size)):
                if self._waiting[stored] >= MOST_WAITING[stored]:
                    self._lose(len(page.entries))
                    continue
                self._waiting[stored] += 1
                message = NotifyEventRequest(
                    generated_at=now.utc,
                    seq_no=seq_no,
                    tbc=not page.last,
                    event_data=[data for _, data in page.entries],
                )
                self._csms.tell(message, severity=min(severity for severity, _ in page.entries))

    def _queuing_severity(self) -> int:
        return self._variables.integer("MonitoringCtrlr", "OfflineQueuingSeverity")

    def _lose(self, count: int) -> None:
        if not self._lost:
            log.warning("events.lost", extra={"why": "too many wait for the CSMS"})
        self._lost += count

    def settled(self, outcome: Outcome[NotifyEventRequest], now: Now) -> None:
        """A message has arrived, or was given up; which of the two kinds it was is told by which are under way."""
        del outcome, now
        kind = not self._waiting[False]
        self._waiting[kind] = max(0, self._waiting[kind] - 1)
        if self._lost:
            log.warning("events.lost", extra={"count": self._lost})
            self._lost = 0

    def link_lost(self) -> None:
        """What is not stored is gone."""
        self._waiting[False] = 0


def _size(noted: tuple[int, EventDataType]) -> int:
    return ENTRY_BYTES + len(noted[1].actual_value.encode())
