"""Block F. What the CSMS does from afar: start, stop, unlock, and make us send something.

Each request is checked here, and nothing of a refused one stays. What an accepted one leads to, others do:
Authorization hears RemoteStartAccepted, Transactions RemoteStopAccepted, the owner of a message MessageTriggered.
"""

from __future__ import annotations

from typing import Protocol

from station.block import Block, Job, JobResult, Later, Results, Routes, result, route
from station.facts import ConnectorUnlocked, Facts, MessageTriggered, RemoteStartAccepted, RemoteStopAccepted
from station.now import Instant, Now
from station.ocpp.messages import (
    RequestStartTransactionRequest,
    RequestStartTransactionResponse,
    RequestStopTransactionRequest,
    RequestStopTransactionResponse,
    TriggerMessageRequest,
    TriggerMessageResponse,
    UnlockConnectorRequest,
    UnlockConnectorResponse,
)
from station.ocpp.types import ChargingProfileType
from station.refusal import Refusal
from station.state.connectors import Connectors
from station.state.own_certificates import CHARGING_STATION, V2G, OwnCertificates
from station.state.registration import Registration
from station.state.reservations import Driver, Reservations
from station.state.sessions import Sessions

UNLOCK_PATIENCE_S = 10.0
"""How long a lock may take before the CSMS hears UnlockFailed."""

NOT_ACCEPTED = Refusal("CSNotAccepted", "the registration is not accepted")
OCCUPIED = Refusal("TxInProgress", "an authorized driver is there")
RESERVED = Refusal("InvalidIdToken", "the EVSE is reserved for another token")


class Unlock(Job, frozen=True, kw_only=True):
    """Open the lock of one connector, whether a cable is seen or not (F05.FR.06)."""

    evse_id: int
    connector_id: int

    @property
    def key(self) -> str:
        """Each connector has a lock of its own."""
        return f"Unlock/{self.evse_id}/{self.connector_id}"


class UnlockTried(JobResult, frozen=True, kw_only=True):
    """What became of it; `reason` if it stayed locked."""

    evse_id: int
    connector_id: int
    unlocked: bool
    at: Instant
    reason: str = ""


class ProfileJudge(Protocol):
    """Who knows whether a charging profile can be used."""

    @property
    def enabled(self) -> bool:
        """Whether the station does smart charging."""
        ...

    def of_start(self, profile: ChargingProfileType, evse_id: int) -> Refusal | None:
        """Why a transaction cannot start with this profile."""
        ...


class RemoteControl(Block):
    """Block F: RequestStart, RequestStop, UnlockConnector, TriggerMessage.

    `triggers`: the messages that the built-in blocks send when asked, apart from BootNotification.
    """

    def __init__(  # noqa: PLR0913 - the wiring of a block, named at the one call
        self,
        *,
        registration: Registration,
        sessions: Sessions,
        connectors: Connectors,
        reservations: Reservations,
        facts: Facts,
        judge: ProfileJudge,
        triggers: frozenset[str],
        own_certificates: OwnCertificates,
    ) -> None:
        self._registration = registration
        self._sessions = sessions
        self._connectors = connectors
        self._reservations = reservations
        self._facts = facts
        self._judge = judge
        self._triggers = triggers
        self._own_certificates = own_certificates

    def routes(self) -> Routes:
        """F01, F02, F03, F05, F06."""
        return [
            route(RequestStartTransactionRequest, self.start),
            route(RequestStopTransactionRequest, self.stop),
            route(UnlockConnectorRequest, self.unlock),
            route(TriggerMessageRequest, self.trigger),
        ]

    def results(self) -> Results:
        """F05."""
        return [result(UnlockTried, self.unlock_tried)]

    # --- start and stop

    def start(self, request: RequestStartTransactionRequest, now: Now) -> RequestStartTransactionResponse:
        """F01, F02. A station without smart charging passes a charging profile over (F01.FR.12)."""
        del now
        group = request.group_id_token
        driver = Driver(request.id_token, group.id_token if group is not None else None)
        evse_id = request.evse_id if request.evse_id is not None else self._choose(driver)
        refusal = self._may_start(evse_id, driver)
        profile = request.charging_profile if self._judge.enabled else None
        if refusal is None and evse_id is not None and profile is not None:
            refusal = self._judge.of_start(profile, evse_id)  # F01.FR.26, F02.FR.27
        if refusal is not None or evse_id is None:
            return RequestStartTransactionResponse(status="Rejected", status_info=refusal.info if refusal else None)
        session = self._sessions.on_evse(evse_id)
        self._facts.emit(
            RemoteStartAccepted(
                evse_id=evse_id,
                id_token=driver.id_token,
                remote_start_id=request.remote_start_id,
                group_id_token=driver.group_id,
                charging_profile=profile,
            )
        )
        runs = session is not None and session.closing is None
        transaction_id = session.transaction_id if session is not None and runs else None  # F01.FR.13
        return RequestStartTransactionResponse(status="Accepted", transaction_id=transaction_id)

    def _choose(self, driver: Driver) -> int | None:
        """F01.FR.20: the EVSE reserved for the driver, else one whose vehicle waits for one, else a free one."""
        usable = [each for each in self._connectors.evse_ids() if self._may_start(each, driver) is None]
        reserved = [each for each in usable if self._reservations.names(each, driver)]
        waiting = [each for each in usable if self._sessions.on_evse(each) is not None]
        return next(iter(reserved or waiting or usable), None)

    def _may_start(self, evse_id: int | None, driver: Driver) -> Refusal | None:
        if not self._registration.accepted:  # B02.FR.05
            return NOT_ACCEPTED
        if evse_id is None:
            return Refusal("NotFound", "no EVSE is free")
        refusal = self._connectors.may_start(evse_id)  # F01.FR.23
        if refusal is not None:
            return refusal
        if self._reservations.refuses(evse_id, driver):  # F01.FR.21, F01.FR.22, F02.FR.23, F02.FR.24
            return RESERVED
        session = self._sessions.on_evse(evse_id)
        return OCCUPIED if session is not None and session.is_taken_for(driver.id_token) else None  # F01.FR.24

    def stop(self, request: RequestStopTransactionRequest, now: Now) -> RequestStopTransactionResponse:
        """F03.FR.07, F03.FR.08."""
        del now
        if not self._registration.accepted:
            return RequestStopTransactionResponse(status="Rejected", status_info=NOT_ACCEPTED.info)
        session = self._sessions.by_transaction(request.transaction_id)
        if session is None:
            return RequestStopTransactionResponse(status="Rejected", status_info=Refusal("TxNotFound").info)
        self._facts.emit(RemoteStopAccepted(evse_id=session.evse_id, transaction_id=request.transaction_id))
        return RequestStopTransactionResponse(status="Accepted")

    # --- unlock

    def unlock(self, request: UnlockConnectorRequest, now: Now) -> UnlockConnectorResponse | Later:
        """F05: never while an authorized driver charges there (F05.FR.02)."""
        evse_id, connector_id = request.evse_id, request.connector_id
        if not self._connectors.exists(evse_id, connector_id):  # F05.FR.03
            return UnlockConnectorResponse(status="UnknownConnector")
        session = self._sessions.on_evse(evse_id)
        if session is not None and session.transaction_id is not None and session.authorized:
            return UnlockConnectorResponse(status="OngoingAuthorizedTransaction")
        if not self._connectors.has_lock(evse_id, connector_id):  # F05.FR.05
            return UnlockConnectorResponse(status="UnlockFailed", status_info=Refusal("FixedCable").info)
        job = Unlock(evse_id=evse_id, connector_id=connector_id)
        otherwise = UnlockConnectorResponse(
            status="UnlockFailed", status_info=Refusal("InternalError", "too slow").info
        )
        return Later(job, now.after(UNLOCK_PATIENCE_S), otherwise)

    def unlock_tried(self, done: UnlockTried, now: Now) -> UnlockConnectorResponse:
        """F05.FR.04, F05.FR.05."""
        del now
        if not done.unlocked:
            return UnlockConnectorResponse(
                status="UnlockFailed", status_info=Refusal("InternalError", done.reason).info
            )
        self._facts.emit(ConnectorUnlocked(evse_id=done.evse_id, connector_id=done.connector_id, at=done.at))
        return UnlockConnectorResponse(status="Unlocked")

    # --- trigger

    def trigger(self, request: TriggerMessageRequest, now: Now) -> TriggerMessageResponse:
        """F06: Accepted means that it will be sent, after this answer (F06.FR.04, F06.FR.10)."""
        del now
        wanted, evse = request.requested_message, request.evse
        if wanted != "BootNotification" and wanted not in self._triggers:  # F06.FR.08
            return TriggerMessageResponse(status="NotImplemented")
        evse_id = evse.id if evse is not None else None
        refusal = self._may_trigger(wanted, evse_id, evse.connector_id if evse is not None else None)
        if refusal is not None:
            return TriggerMessageResponse(status="Rejected", status_info=refusal.info)
        connector_id = evse.connector_id if evse is not None else None
        self._facts.emit(MessageTriggered(requested=wanted, evse_id=evse_id, connector_id=connector_id))
        return TriggerMessageResponse(status="Accepted")

    def _may_trigger(self, wanted: str, evse_id: int | None, connector_id: int | None) -> Refusal | None:
        match wanted:
            case "BootNotification":  # F06.FR.17
                return Refusal("InvalidMessageSeq", "already accepted") if self._registration.accepted else None
            case "StatusNotification":  # F06.FR.12
                if evse_id is None or connector_id is None:
                    return Refusal("MissingParam", "evse.id and evse.connectorId are needed")
                return None if self._connectors.exists(evse_id, connector_id) else Refusal("UnknownConnectorId")
            case "TransactionEvent":
                running = [each for each in self._sessions.running() if evse_id in {None, 0, each.evse_id}]
                return None if running else Refusal("TxNotFound")
            case "MeterValues":
                known = evse_id in {None, 0} or self._connectors.exists(evse_id or 0)
                return None if known else Refusal("UnknownEvse")
            case "SignChargingStationCertificate":
                return self._own_certificates.refusal(CHARGING_STATION)
            case "SignV2GCertificate":
                return self._own_certificates.refusal(V2G)
            case _:  # F06.FR.03: an EVSE that does not matter is passed over
                return None
