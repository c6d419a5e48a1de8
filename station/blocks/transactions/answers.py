"""What the CSMS says to the events of a transaction, and what it may ask about one (E05, E14, C15, I02, I03, K03)."""

from __future__ import annotations

import msgspec

from station.block import Answered, Outcome
from station.blocks.transactions import changes
from station.blocks.transactions.conduct import Conduct, States, World
from station.blocks.transactions.rules import on_invalid
from station.blocks.transactions.session import Cause
from station.facts import ChargingPriorityReceived, CostReceived, DriverAddressed, IdTokenInfoReceived
from station.now import Now
from station.ocpp.enums import TriggerReasonEnumType
from station.ocpp.messages import (
    GetTransactionStatusRequest,
    GetTransactionStatusResponse,
    TransactionEventRequest,
    TransactionEventResponse,
)
from station.ocpp.types import IdTokenInfoType
from station.state.sessions import Session
from station.state.tokens import same_token


class Answers:
    """Takes the answers to TransactionEvents into the sessions."""

    def __init__(self, conduct: Conduct, states: States, world: World) -> None:
        self._conduct = conduct
        self._sessions = states.sessions
        self._variables = states.variables
        self._csms = world.csms
        self._facts = world.facts

    def answered(self, fate: Outcome[TransactionEventRequest], now: Now) -> None:
        """E05, C10.FR.05, C15, I02, I03, K03.FR.05."""
        if not isinstance(fate, Answered):
            return
        response: TransactionEventResponse = fate.response
        transaction_id = fate.request.transaction_info.transaction_id
        session = self._sessions.by_transaction(transaction_id)
        if response.total_cost is not None:
            final = fate.request.event_type == "Ended"
            self._facts.emit(CostReceived(transaction_id=transaction_id, total_cost=response.total_cost, final=final))
        if response.charging_priority is not None:
            priority = response.charging_priority
            self._facts.emit(ChargingPriorityReceived(transaction_id=transaction_id, priority=priority))
        message = response.updated_personal_message
        if message is not None and message.format in {"ASCII", "UTF8"}:
            self._facts.emit(DriverAddressed(text=message.content, evse_id=session.evse_id if session else None))
        token = fate.request.id_token or (session.id_token if session else None)
        if response.id_token_info is None or token is None:
            return
        self._facts.emit(IdTokenInfoReceived(id_token=token, info=response.id_token_info))
        if session is not None and session.id_token is not None and same_token(session.id_token, token):
            self._judged(session, response.id_token_info, now)

    def _judged(self, session: Session, info: IdTokenInfoType, now: Now) -> None:
        """E05, C15.FR.02. The group is learnt too: of a token that was accepted unasked it was unknown (C09)."""
        group = info.group_id_token.id_token if info.group_id_token is not None else None
        if group is not None and session.group_id_token is None:
            session = msgspec.structs.replace(session, group_id_token=group)
            self._sessions.keep(session)
        elsewhere = bool(info.evse_id) and session.evse_id not in (info.evse_id or ())
        good = info.status == "Accepted" and not elsewhere and not self._is_master(group)
        if good or not session.authorized or session.suspended:
            return
        variables = self._variables
        max_energy_wh = variables.integer("TxCtrlr", "MaxEnergyOnInvalidId")
        stops = variables.boolean("TxCtrlr", "StopTxOnInvalidId")
        after = changes.judged_invalid(session, on_invalid(stop_tx=stops, max_energy_wh=max_energy_wh), max_energy_wh)
        trigger: TriggerReasonEnumType | None = "Deauthorized" if stops else None
        if after != session:
            self._conduct.settle(session, after, Cause(now.instant, trigger, "DeAuthorized"), now)

    def _is_master(self, group: str | None) -> bool:
        """C16.FR.03: such a token starts nothing, even where it was not known as one when it did."""
        master = self._variables.text("AuthCtrlr", "MasterPassGroupId")
        return bool(master) and group is not None and group.casefold() == master.casefold()

    def status(self, request: GetTransactionStatusRequest, now: Now) -> GetTransactionStatusResponse:
        """E14.FR.01 to E14.FR.08."""
        del now
        queued = self._csms.queued(request.transaction_id)
        if request.transaction_id is None:
            return GetTransactionStatusResponse(messages_in_queue=queued)
        running = self._sessions.by_transaction(request.transaction_id) is not None
        return GetTransactionStatusResponse(messages_in_queue=queued, ongoing_indicator=running)
