"""Block G. Which EVSEs and connectors may be used, and telling the CSMS so.

The state is `state/connectors.py`; here is what changes it and who is told. Not here: what a fault or an order means
for a running transaction (block E).
Invariant: while the CSMS listens, the last StatusNotification of each connector says its present status.
"""

from __future__ import annotations

from typing import NamedTuple

from device_model.model import ComponentId
from hal.api import Fault
from station.block import Block, Reactions, Routes, on, route
from station.facts import (
    AvailabilityChanged,
    EvseQuarantined,
    Facts,
    FaultChanged,
    LinkRestored,
    MessageTriggered,
    PlugInserted,
    PlugRemoved,
    RegistrationChanged,
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


class _Shown(NamedTuple):
    """The status of a connector and since when."""

    status: Status
    since: Instant


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
    ) -> None:
        self._connectors = connectors
        self._sessions = sessions
        self._variables = variables
        self._csms = csms
        self._facts = facts
        self._times = times
        self._shown: dict[Place, _Shown] = {}
        self._told: dict[Place, Status] = {}

    def routes(self) -> Routes:
        """G03, G04."""
        return [route(ChangeAvailabilityRequest, self.change)]

    def reactions(self) -> Reactions:
        """The hardware, the transactions, the link, the store."""
        return [
            on(PlugInserted, self.plugged),
            on(PlugRemoved, self.unplugged),
            on(FaultChanged, self.fault_changed),
            on(EvseQuarantined, self.quarantined),
            on(TransactionStarted, self.transaction_started),
            on(TransactionEnded, self.transaction_ended),
            on(RegistrationChanged, self.registered),
            on(LinkRestored, self.link_restored),
            on(MessageTriggered, self.triggered),
            on(StoreDegraded, self.store_degraded),
            on(StoreRecovered, self.store_recovered),
        ]

    def load(self, now: Now) -> None:
        """Which EVSEs are busy is known from the sessions; what is told again is compared with what was told."""
        for session in self._sessions.running():
            self._connectors.set_busy(session.evse_id, busy=True)
        self._shown = {
            place: self._shown.get(place) or _Shown(self._connectors.status(*place), now.instant)
            for place in self._connectors.places()
        }

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
        self._compare(fact.at)

    def quarantined(self, fact: EvseQuarantined, now: Now) -> None:
        """An EVSE whose facts we cannot bear is Faulted until the next start (design A3)."""
        self._connectors.set_fault(fact.evse_id, Fault.INTERNAL, present=True)
        self._compare(now.instant)

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
        self._connectors.block(DEGRADED, frozenset(self._connectors.evse_ids()))
        self._compare(now.instant)

    def store_recovered(self, fact: StoreRecovered, now: Now) -> None:
        """All is well again."""
        del fact
        self._connectors.block(DEGRADED, None)
        self._compare(now.instant)

    # --- telling

    def _compare(self, at: Instant) -> None:
        """Note every connector whose status changed, and tell it while the CSMS listens (G01.FR.07, G03.FR.04)."""
        for place in self._connectors.places():
            status = self._connectors.status(*place)
            shown = self._shown.get(place)
            if shown is not None and shown.status == status:
                continue
            self._shown[place] = _Shown(status, at)
            self._facts.emit(AvailabilityChanged(**place._asdict(), status=status, at=at))
            if self._csms.online:
                self._tell(place)
        self._note_states()

    def _note_states(self) -> None:
        """The device model says the same (AvailabilityState on each tier)."""
        self._variables.set("ChargingStation", "AvailabilityState", self._connectors.status_of_station())
        for evse_id in self._connectors.evse_ids():
            evse = ComponentId("EVSE", "", evse_id)
            self._variables.set(evse, "AvailabilityState", self._connectors.status_of_evse(evse_id))
        for place in self._connectors.places():
            self._variables.set(
                ComponentId("Connector", "", *place), "AvailabilityState", self._connectors.status(*place)
            )

    def _tell(self, place: Place, *, asked: bool = False) -> None:
        status, since = self._shown[place]
        self._told[place] = status
        message = StatusNotificationRequest(
            timestamp=self._times.utc(since), connector_status=status, **place._asdict()
        )
        self._csms.tell(message, asked=asked)

    def registered(self, fact: RegistrationChanged, now: Now) -> None:
        """Everything after the first acceptance (B01.FR.05)."""
        if fact.status == "Accepted":
            self._compare(now.instant)
            if fact.first_since_boot:
                self._told.clear()
            self._tell_all(changed_only=not fact.first_since_boot)

    def link_restored(self, fact: LinkRestored, now: Now) -> None:
        """After a long time offline everything, else what changed meanwhile (B04.FR.01, B04.FR.02)."""
        del now
        if not self._csms.online:
            return
        threshold_s = self._variables.integer("OCPPCommCtrlr", "OfflineThreshold")
        self._tell_all(changed_only=fact.offline_s is not None and fact.offline_s <= threshold_s)

    def _tell_all(self, *, changed_only: bool) -> None:
        for place in self._connectors.places():
            if not changed_only or self._told.get(place) != self._shown[place].status:
                self._tell(place)

    def triggered(self, fact: MessageTriggered, now: Now) -> None:
        """TriggerMessage(StatusNotification) for one connector, or for all that were not named (F06)."""
        del now
        if fact.requested != "StatusNotification":
            return
        for place in self._connectors.places():
            if fact.evse_id in {None, 0, place.evse_id} and fact.connector_id in {None, place.connector_id}:
                self._tell(place, asked=True)


def _rejected(reason_code: str) -> ChangeAvailabilityResponse:
    return ChangeAvailabilityResponse(status="Rejected", status_info=StatusInfoType(reason_code=reason_code))
