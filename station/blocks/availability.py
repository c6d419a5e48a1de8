"""Block G. Which EVSEs and connectors may be used, and telling the CSMS so.

The state is `state/connectors.py`; here is what changes it and who is told. Not here: what a fault or an order means
for a running transaction (block E).
Invariant: while the CSMS listens, the last StatusNotification of each connector says its present status; or the last
NotifyEvent, where the station is configured so (`by_event`): then only a TriggerMessage is answered by the other one.
"""

from __future__ import annotations

from device_model.model import ComponentId
from hal.api import Fault
from station.block import Block, Reactions, Routes, on, route
from station.facts import (
    AvailabilityChanged,
    ConnectorStatusDue,
    DeviceLost,
    EvseQuarantined,
    Facts,
    FaultChanged,
    LinkRestored,
    LockChanged,
    MessageTriggered,
    PlugInserted,
    PlugRemoved,
    RegistrationChanged,
    ReservationsChanged,
    ResetAbandoned,
    ResetExecuted,
    ResetRequested,
    ServiceChanged,
    SnapshotTold,
    StoreDegraded,
    StoreRecovered,
    TransactionEnded,
    TransactionStarted,
)
from station.now import Instant, Now
from station.ocpp.messages import (
    ChangeAvailabilityRequest,
    ChangeAvailabilityResponse,
    StatusNotificationRequest,
)
from station.ocpp.types import StatusInfoType
from station.ports import Csms, Times
from station.state.connectors import Connectors, Place, Status
from station.state.sessions import Sessions
from station.state.variables import Variables

DEGRADED = "store"
LOCK = "ConnectorPlugRetentionLock"


class Availability(Block):
    """Block G: the status of each connector, and ChangeAvailability."""

    def __init__(  # noqa: PLR0913 - the wiring of a block, named at the one call
        self,
        *,
        connectors: Connectors,
        sessions: Sessions,
        variables: Variables,
        csms: Csms,
        facts: Facts,
        times: Times,
        by_event: bool = False,
    ) -> None:
        self._connectors = connectors
        self._sessions = sessions
        self._variables = variables
        self._csms = csms
        self._facts = facts
        self._times = times
        self._by_event = by_event
        self._disk_fails = False

    def routes(self) -> Routes:
        """G03, G04."""
        return [route(ChangeAvailabilityRequest, self.change)]

    def reactions(self) -> Reactions:
        """The hardware, the transactions, the link, the store."""
        return [
            on(PlugInserted, self.plugged),
            on(PlugRemoved, self.unplugged),
            on(FaultChanged, self.fault_changed),
            on(LockChanged, self.lock_changed),
            on(SnapshotTold, self.snapshot_told),
            on(DeviceLost, self.device_lost),
            on(EvseQuarantined, self.quarantined),
            on(TransactionStarted, self.transaction_started),
            on(TransactionEnded, self.transaction_ended),
            on(RegistrationChanged, self.registered),
            on(LinkRestored, self.link_restored),
            on(MessageTriggered, self.triggered),
            on(StoreDegraded, self.store_degraded),
            on(StoreRecovered, self.store_recovered),
            on(ResetRequested, self.reset),
            on(ResetExecuted, self.reset),
            on(ResetAbandoned, self.reset),
            on(ServiceChanged, self.service_changed),
            on(ReservationsChanged, self.reservations_changed),
        ]

    def load(self, now: Now) -> None:
        """Which EVSEs are busy is known from the sessions; what is told again is compared with what was told."""
        del now
        for session in self._sessions.running():
            self._connectors.set_busy(session.evse_id, busy=True)
        self._connectors.block(DEGRADED, frozenset(self._connectors.evse_ids()) if self._disk_fails else None)

    # --- ChangeAvailability

    def change(self, request: ChangeAvailabilityRequest, now: Now) -> ChangeAvailabilityResponse:
        """G03, G04: each level keeps its own state; a running transaction is finished first (G03.FR.05, G04.FR.06)."""
        place = Place() if request.evse is None else Place(request.evse.id, request.evse.connector_id or 0)
        if place.evse_id and not self._connectors.exists(place.evse_id):
            return _rejected("UnknownEvse")
        if place.connector_id and not self._connectors.exists(place.evse_id, place.connector_id):
            return _rejected("UnknownConnectorId")
        operative = request.operational_status == "Operative"
        if operative != self._connectors.ordered_operative(place):
            self._connectors.order(place, operative=operative)
            self._compare(now.instant)
        elif self._csms.online:  # TC_G_13_CS: the state is told, though it is no other
            self._tell_those(place.evse_id, place.connector_id)
        waits = not operative and any(self._in_use(place, evse_id) for evse_id in self._connectors.evse_ids())
        return ChangeAvailabilityResponse(status="Scheduled" if waits else "Accepted")

    def _in_use(self, place: Place, evse_id: int) -> bool:
        """Whether a transaction on this EVSE keeps the addressed part in use."""
        session = self._sessions.on_evse(evse_id)
        if session is None or session.transaction_id is None or place.evse_id not in {0, evse_id}:
            return False
        return not place.connector_id or session.connector_id in {None, place.connector_id}

    # --- the hardware

    def plugged(self, fact: PlugInserted, now: Now) -> None:
        """G01.FR.03."""
        del now
        self._connectors.set_plugged(fact.evse_id, fact.connector_id, plugged=True)
        self._compare(fact.at)

    def unplugged(self, fact: PlugRemoved, now: Now) -> None:
        """G01.FR.04, G01.FR.05."""
        del now
        self._connectors.set_plugged(fact.evse_id, fact.connector_id, plugged=False)
        self._compare(fact.at)

    def fault_changed(self, fact: FaultChanged, now: Now) -> None:
        """A fault makes the EVSE Faulted until it is gone."""
        del now
        self._connectors.set_fault(fact.evse_id, fact.fault, present=fact.present)
        if fact.fault is Fault.LOCK_JAMMED:
            for connector_id in self._connectors.connector_ids(fact.evse_id):
                self._show_lock(fact.evse_id, connector_id, "Problem", fact.present)
        self._compare(fact.at)

    def lock_changed(self, fact: LockChanged, now: Now) -> None:
        """G05: a lock that does not do what is wanted is a problem of its component; E10: it may hold a cable alone."""
        del now
        self._connectors.set_locked(fact.evse_id, fact.connector_id, locked=fact.locked)
        self._show_lock(fact.evse_id, fact.connector_id, "Active", fact.locked)
        jammed = fact.problem or Fault.LOCK_JAMMED in self._connectors.faults(fact.evse_id)
        self._show_lock(fact.evse_id, fact.connector_id, "Problem", jammed)
        self._compare(fact.at)

    def _show_lock(self, evse_id: int, connector_id: int, variable: str, truth: bool) -> None:  # noqa: FBT001 - the value
        self._variables.show(ComponentId(LOCK, "", evse_id, connector_id), variable, "true" if truth else "false")

    def snapshot_told(self, fact: SnapshotTold, now: Now) -> None:
        """From now on it is known what the EVSE shows."""
        del now
        self._connectors.set_known(fact.evse_id)
        self._compare(fact.at)

    def device_lost(self, fact: DeviceLost, now: Now) -> None:
        """Without its board an EVSE is Faulted, until the board tells its state again."""
        del now
        for evse_id in fact.evse_ids if fact.board else ():
            self._connectors.set_lost(evse_id)
        self._compare(fact.at)

    def quarantined(self, fact: EvseQuarantined, now: Now) -> None:
        """An EVSE whose facts we cannot bear is Faulted until the next start (design A3)."""
        self._connectors.set_quarantined(fact.evse_id)
        self._compare(now.instant)

    def reset(self, fact: ResetRequested | ResetExecuted | ResetAbandoned, now: Now) -> None:
        """What waits for its reset is out of service until it is done (B12, 3a)."""
        del fact
        self._compare(now.instant)

    def service_changed(self, fact: ServiceChanged, now: Now) -> None:
        """L01.FR.07, L02.FR.04: what waits for new firmware is out of service."""
        del fact
        self._compare(now.instant)

    def reservations_changed(self, fact: ReservationsChanged, now: Now) -> None:
        """H01.FR.20, H01.FR.23, H01.FR.24, H02.FR.04, H02.FR.06, H03.FR.10, H04.FR.03."""
        before = self._statuses(fact.evse_id)
        self._compare(now.instant)
        if fact.evse_id is not None and self._csms.online and before == self._statuses(fact.evse_id):
            self._tell_those(fact.evse_id, 0)

    def _statuses(self, evse_id: int | None) -> list[Status]:
        return [self._connectors.shown(place).status for place in self._connectors.places() if place.evse_id == evse_id]

    # --- transactions and the store

    def transaction_started(self, fact: TransactionStarted, now: Now) -> None:
        """What is ordered from now on waits for its end."""
        if fact.evse_id is not None:
            self._connectors.set_busy(fact.evse_id, busy=True)
            self._compare(now.instant)

    def transaction_ended(self, fact: TransactionEnded, now: Now) -> None:
        """What was scheduled takes effect, even if the cable is still plugged in (TC_G_11_CS)."""
        self._connectors.set_busy(fact.evse_id, busy=False)
        self._compare(now.instant)

    def store_degraded(self, fact: StoreDegraded, now: Now) -> None:
        """No new transaction may start while the disk takes no writes."""
        del fact
        self._disk_fails = True
        self._connectors.block(DEGRADED, frozenset(self._connectors.evse_ids()))
        self._compare(now.instant)

    def store_recovered(self, fact: StoreRecovered, now: Now) -> None:
        """All is well again."""
        del fact
        self._disk_fails = False
        self._connectors.block(DEGRADED, None)
        self._compare(now.instant)

    # --- telling

    def _compare(self, at: Instant) -> None:
        """Note every connector whose status changed, and tell it while the CSMS listens (G01.FR.07, G03.FR.04)."""
        for place in self._connectors.places():
            status = self._connectors.status(*place)
            if not self._connectors.known(place.evse_id):
                continue
            shown = self._connectors.shown(place)
            if shown.status != status:
                self._connectors.show(place, shown._replace(status=status, since=at))
                self._facts.emit(AvailabilityChanged(**place._asdict(), status=status, at=at))
            if self._csms.online and shown.told != status:
                self._tell(place)
        self._note_states()

    def _note_states(self) -> None:
        """The device model says the same, on each tier."""
        known = [evse_id for evse_id in self._connectors.evse_ids() if self._connectors.known(evse_id)]
        for evse_id in known:
            self._show(ComponentId("EVSE", "", evse_id), self._connectors.status_of_evse(evse_id))
        for place in self._connectors.places():
            if place.evse_id in known:
                self._show(ComponentId("Connector", "", *place), self._connectors.status(*place))
        if len(known) == len(self._connectors.evse_ids()):
            self._show(ComponentId("ChargingStation"), self._connectors.status_of_station())

    def _show(self, component: ComponentId, status: Status) -> None:
        self._variables.set(component, "AvailabilityState", status)
        self._variables.set(component, "Problem", "true" if status == "Faulted" else "false")

    def _tell(self, place: Place, *, asked: bool = False) -> None:
        shown = self._connectors.shown(place)
        self._connectors.show(place, shown._replace(told=shown.status))
        since = self._times.utc(shown.since)
        if self._by_event and not asked:
            self._facts.emit(ConnectorStatusDue(**place._asdict(), status=shown.status, since=since))
            return
        message = StatusNotificationRequest(timestamp=since, connector_status=shown.status, **place._asdict())
        self._csms.tell(message, asked=asked)

    def registered(self, fact: RegistrationChanged, now: Now) -> None:
        """Each acceptance follows an introduction, so everything is told (B01.FR.05, B10.FR.10)."""
        if fact.status == "Accepted":
            self._compare(now.instant)
            self._tell_all(changed_only=False)

    def link_restored(self, fact: LinkRestored, now: Now) -> None:
        """After a long time offline everything, else what changed meanwhile (B04.FR.01, B04.FR.02)."""
        del now
        if not self._csms.online:
            return
        threshold_s = self._variables.integer("OCPPCommCtrlr", "OfflineThreshold")
        self._tell_all(changed_only=fact.offline_s is not None and fact.offline_s <= threshold_s)

    def _tell_all(self, *, changed_only: bool) -> None:
        for place in self._connectors.places():
            shown = self._connectors.shown(place)
            if not changed_only or shown.told != shown.status:
                self._tell(place)

    def triggered(self, fact: MessageTriggered, now: Now) -> None:
        """TriggerMessage(StatusNotification) for one connector, or for all that were not named (F06)."""
        del now
        if fact.requested == "StatusNotification":
            self._tell_those(fact.evse_id or 0, fact.connector_id or 0, asked=True)

    def _tell_those(self, evse_id: int, connector_id: int, *, asked: bool = False) -> None:
        """Tell the connectors addressed; 0 stands for all."""
        for place in self._connectors.places():
            if evse_id in {0, place.evse_id} and connector_id in {0, place.connector_id}:
                self._tell(place, asked=asked)


def _rejected(reason_code: str) -> ChangeAvailabilityResponse:
    return ChangeAvailabilityResponse(status="Rejected", status_info=StatusInfoType(reason_code=reason_code))
