"""Block H. An EVSE is kept for a driver until he comes, or until it is too late (H01 to H04).

Which EVSE that is, and who may use it, `state/reservations.py` tells: Authorization and RemoteControl ask there, and
say in Authorized whose reservation is used. What becomes of a reservation otherwise is decided and told here.
It hears facts before Availability does, which so tells no status that is not true at the end of the step.
Invariant: the CSMS learns the end of each reservation: from the event of the transaction that used it, from the answer
to its own request, or by a ReservationStatusUpdate.
"""

from __future__ import annotations

from typing import NamedTuple

from station.block import Block, Reactions, Routes, on, route
from station.facts import (
    AuthorizationEnded,
    Authorized,
    AvailabilityChanged,
    Facts,
    ReservationsChanged,
    ResetAbandoned,
    ResetExecuted,
    SnapshotTold,
    TransactionEnded,
    TransactionStarted,
    VariableChanged,
)
from station.now import Deadline, Now, Wall, WallDeadline, to_wall
from station.ocpp.enums import ReservationUpdateStatusEnumType, ReserveNowStatusEnumType
from station.ocpp.messages import (
    CancelReservationRequest,
    CancelReservationResponse,
    ReservationStatusUpdateRequest,
    ReserveNowRequest,
    ReserveNowResponse,
)
from station.ports import Csms
from station.refusal import Refusal
from station.state.connectors import Connectors
from station.state.reservations import Reservation, Reservations
from station.state.resets import STATION, Resets
from station.state.sessions import Sessions
from station.state.tokens import digest
from station.state.variables import Variables


class _No(NamedTuple):
    status: ReserveNowStatusEnumType
    why: Refusal


class Reserving(Block):
    """Block H: ReserveNow and CancelReservation, and what ends a reservation."""

    def __init__(  # noqa: PLR0913 - the wiring of a block, named at the one call
        self,
        *,
        reservations: Reservations,
        connectors: Connectors,
        sessions: Sessions,
        resets: Resets,
        variables: Variables,
        csms: Csms,
        facts: Facts,
    ) -> None:
        self._reservations = reservations
        self._connectors = connectors
        self._sessions = sessions
        self._resets = resets
        self._variables = variables
        self._csms = csms
        self._facts = facts
        self._next: Wall | None = None
        connectors.reserved = reservations.holds

    def routes(self) -> Routes:
        """H01, H02."""
        return [route(ReserveNowRequest, self.reserve), route(CancelReservationRequest, self.cancel)]

    def reactions(self) -> Reactions:
        """Who comes and goes, and what goes out of service."""
        return [
            on(Authorized, self.authorized),
            on(TransactionStarted, self.transaction_started),
            on(AuthorizationEnded, self.authorization_ended),
            on(TransactionEnded, self.transaction_ended),
            on(AvailabilityChanged, self.availability_changed),
            on(SnapshotTold, self.known_again),
            on(ResetExecuted, self.known_again),
            on(ResetAbandoned, self.known_again),
            on(VariableChanged, self.variable_changed),
        ]

    def load(self, now: Now) -> None:
        """When the first one ends."""
        del now
        self._plan()

    # --- the requests

    def reserve(self, request: ReserveNowRequest, now: Now) -> ReserveNowResponse:
        """H01; nothing of a refused request stays, and what it would have replaced does."""
        new = Reservation(
            id=request.id,
            expires=to_wall(request.expiry_date_time),
            token=digest(request.id_token),
            group_id=request.group_id_token.id_token.casefold() if request.group_id_token is not None else None,
            evse_id=request.evse_id,
            connector_type=request.connector_type,
        )
        no = self._not_at_all(new, now) or self._not_now(new)
        if no is not None:
            return ReserveNowResponse(status=no.status, status_info=no.why.info)
        self._reservations.add(new)
        self._changed(new.evse_id)
        return ReserveNowResponse(status="Accepted")

    def _not_at_all(self, new: Reservation, now: Now) -> _No | None:
        """What makes no sense, whoever is here."""
        if not self._variables.boolean("ReservationCtrlr", "Enabled"):  # H01.FR.01
            return _No("Rejected", Refusal("NotEnabled"))
        if new.evse_id is None and not self._variables.boolean("ReservationCtrlr", "NonEvseSpecific"):  # H01.FR.19
            return _No("Rejected", Refusal("MissingParam", "evseId is needed"))
        if new.evse_id is not None and not self._connectors.exists(new.evse_id):
            return _No("Rejected", Refusal("UnknownEvse"))
        if not self._targets(new):
            return _No("Rejected", Refusal("UnknownConnectorType"))
        if new.expires <= now.wall:
            return _No("Rejected", Refusal("InvalidValue", "expiryDateTime is past"))
        return None

    def _not_now(self, new: Reservation) -> _No | None:
        """H01.FR.11, H01.FR.12, H01.FR.14: what the EVSEs meant are; where they differ, what may soon be over."""
        if self._reservations.is_used(new.id):
            return _No("Occupied", Refusal("TxInProgress", "the driver of this reservation has come"))
        if self._reservations.fits(new):
            return None
        statuses = {self._connectors.status(*place) for place in self._targets(new)}
        if statuses <= {"Faulted"}:
            return _No("Faulted", Refusal("InternalError", "faulted"))
        if statuses <= {"Faulted", "Unavailable"}:
            return _No("Unavailable", Refusal("NotEnabled", "out of service"))
        return _No("Occupied", Refusal("NotFound", "in use or reserved"))

    def _targets(self, new: Reservation) -> list[tuple[int, int]]:
        """The connectors that would do."""
        return [
            (evse_id, connector_id)
            for evse_id, connector_id in self._connectors.places()
            if new.evse_id in {None, evse_id}
            if new.connector_type in {None, self._connectors.connector_type(evse_id, connector_id)}
        ]

    def cancel(self, request: CancelReservationRequest, now: Now) -> CancelReservationResponse:
        """H02; nobody is told besides the answer. One whose driver has come is used, and so is none."""
        del now
        reservation_id = request.reservation_id
        if self._reservations.find(reservation_id) is None or self._reservations.is_used(reservation_id):
            return CancelReservationResponse(status="Rejected", status_info=Refusal("NotFound").info)
        self._reservations.remove(reservation_id)
        self._changed()
        return CancelReservationResponse(status="Accepted")

    # --- the driver

    def authorized(self, fact: Authorized, now: Now) -> None:
        """H03.FR.09: in a transaction, its next event tells of the reservation; before one, it is in use."""
        del now
        session = self._sessions.on_evse(fact.evse_id)
        if session is not None and session.started and fact.reservation_id is not None:
            self._used(fact.reservation_id)
        self._look()

    def transaction_started(self, fact: TransactionStarted, now: Now) -> None:
        """Its first event tells of the reservation (H01.FR.15)."""
        del now
        session = self._sessions.on_evse(fact.evse_id) if fact.evse_id is not None else None
        if session is not None and session.reservation_id is not None:
            self._used(session.reservation_id)

    def _used(self, reservation_id: int) -> None:
        self._reservations.remove(reservation_id)
        self._changed()

    def authorization_ended(self, fact: AuthorizationEnded, now: Now) -> None:
        """He came, and went without a transaction: no event has told."""
        del now
        used = fact.reservation_id
        if used is not None and self._reservations.find(used) is not None:
            self._end(used, "Removed")
        self._look()

    # --- the station

    def availability_changed(self, fact: AvailabilityChanged, now: Now) -> None:
        """H01.FR.16, H01.FR.17; whoever comes may leave too few for others."""
        del now
        if fact.status in {"Faulted", "Unavailable"}:
            self._withdraw()
        self._look()

    def transaction_ended(self, fact: TransactionEnded, now: Now) -> None:
        """There is one more to be given away."""
        del fact, now
        self._look()

    def known_again(self, fact: SnapshotTold | ResetExecuted | ResetAbandoned, now: Now) -> None:
        """It is seen what the EVSEs are."""
        del fact, now
        self._withdraw()
        self._look()

    def variable_changed(self, fact: VariableChanged, now: Now) -> None:
        """While reservations are disabled they keep nothing from anybody, and are not forgotten."""
        del now
        if (fact.component, fact.variable) == ("ReservationCtrlr", "Enabled"):
            self._withdraw()
            self._look()

    def _withdraw(self) -> None:
        """What cannot be kept ends; but not what a reset will bring back (B11.FR.05)."""
        resets = {each.evse_id for each in self._resets.all()}
        for each in self._reservations.broken():
            waits = STATION in resets or each.evse_id in resets or (each.evse_id is None and resets)
            if not waits:
                self._end(each.id, "Removed")

    def _look(self) -> None:
        """Where there are reservations, others may be kept now."""
        if self._reservations.exist:
            self._changed()

    # --- the end

    def _end(self, reservation_id: int, status: ReservationUpdateStatusEnumType) -> None:
        self._reservations.remove(reservation_id)
        self._csms.tell(ReservationStatusUpdateRequest(reservation_id=reservation_id, reservation_update_status=status))
        self._changed()

    def _changed(self, evse_id: int | None = None) -> None:
        self._plan()
        self._facts.emit(ReservationsChanged(evse_id=evse_id))

    def _plan(self) -> None:
        self._next = min((each.expires for each in self._reservations.waiting()), default=None)

    def next_due(self) -> Deadline | None:
        """When the next one ends."""
        return WallDeadline(self._next) if self._next is not None else None

    def due(self, now: Now) -> None:
        """H04: the driver has not come in time."""
        for each in self._reservations.waiting():
            if each.expires <= now.wall:
                self._end(each.id, "Expired")
