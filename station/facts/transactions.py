"""Who may charge, and what happens to a transaction: from one block to another (C, E, F, I, J, K)."""

from __future__ import annotations

from typing import Literal

from hal.api import MeterReading
from station.facts.base import Fact
from station.now import Instant
from station.ocpp.types import ChargingProfileType, IdTokenInfoType, IdTokenType

Via = Literal["local", "remote", "button"]
"""How an authorization came about: a token or PIN at the station, RequestStartTransaction, the start button."""


class Authorized(Fact, frozen=True, kw_only=True):
    """A driver may charge on this EVSE.

    Heard by Transactions, which waits EVConnectionTimeOut for the plug (C01.FR.26).
    """

    evse_id: int
    id_token: IdTokenType
    via: Via
    at: Instant
    group_id_token: str | None = None
    remote_start_id: int | None = None
    charging_priority: int | None = None
    invalid: bool = False
    """Accepted offline although unknown (C15): the CSMS judges it with the answer to the TransactionEvent."""
    reservation_id: int | None = None
    """The reservation that this token uses up (E03.FR.03)."""


class AuthorizationRefused(Fact, frozen=True, kw_only=True):
    """A token was presented and may not charge (or stop).

    `status` as the CSMS words it, or NotSent when there was nobody to ask.
    """

    id_token: IdTokenType
    status: str
    evse_id: int | None = None


class DriverAddressed(Fact, frozen=True, kw_only=True):
    """The station has something to say to a driver, in his language (C01.FR.08).

    `evse_id` None: it is not known at which EVSE he is. Heard by Display, which shows it for a while.
    """

    text: str
    evse_id: int | None = None


class StopAuthorized(Fact, frozen=True, kw_only=True):
    """The driver (same token, same group, or master pass) ends the authorization of this EVSE (C01.FR.03, C09, C16)."""

    evse_id: int
    id_token: IdTokenType
    master_pass: bool
    at: Instant


class RemoteStartAccepted(Fact, frozen=True, kw_only=True):
    """RequestStartTransaction was accepted; Authorization checks the token if AuthorizeRemoteStart says so (F01)."""

    evse_id: int
    id_token: IdTokenType
    remote_start_id: int
    group_id_token: str | None = None
    charging_profile: ChargingProfileType | None = None
    """The TxProfile that the transaction shall have (F01.FR.10)."""


class RemoteStopAccepted(Fact, frozen=True, kw_only=True):
    """RequestStopTransaction was accepted (F03)."""

    evse_id: int
    transaction_id: str


class AuthorizationEnded(Fact, frozen=True, kw_only=True):
    """An authorization is over without or with its transaction: stop, timeout, unplug, deauthorization."""

    evse_id: int
    reason: str
    reservation_id: int | None = None
    """The reservation that it had used up, if there was no transaction that could have told so."""


class TransactionStarted(Fact, frozen=True, kw_only=True):
    """A transaction exists: its Started is in the queue."""

    evse_id: int | None
    transaction_id: str


class ChargingStateChanged(Fact, frozen=True, kw_only=True):
    """The chargingState of a running transaction is another one."""

    evse_id: int
    transaction_id: str
    charging_state: str


class TransactionEnded(Fact, frozen=True, kw_only=True):
    """A transaction is over: its Ended is in the queue."""

    evse_id: int
    transaction_id: str
    stopped_reason: str


class IdTokenInfoReceived(Fact, frozen=True, kw_only=True):
    """The CSMS judged a token in the answer to a TransactionEvent (C10.FR.05): the cache learns it."""

    id_token: IdTokenType
    info: IdTokenInfoType


class ChargingPriorityReceived(Fact, frozen=True, kw_only=True):
    """The CSMS gave a transaction another charging priority, -9 to 9 (K03.FR.05)."""

    transaction_id: str
    priority: int


class CostReceived(Fact, frozen=True, kw_only=True):
    """The CSMS told the cost of a transaction so far, or its total (I02, I03)."""

    transaction_id: str
    total_cost: float
    final: bool


class LimitChanged(Fact, frozen=True, kw_only=True):
    """What an EVSE may offer is another value: ask `Limits` for it. Below the least current it pauses (K).

    `significant`: by more than LimitChangeSignificance, so a running transaction tells ChargingRateChanged.
    """

    evse_id: int
    significant: bool = False


class ConnectorUnlocked(Fact, frozen=True, kw_only=True):
    """UnlockConnector of the CSMS opened a connector (F05)."""

    evse_id: int
    connector_id: int
    at: Instant


class MomentRead(Fact, frozen=True, kw_only=True):
    """All readings that came together with one of a moment (`hardware.keep_reading`) have been heard."""

    at: Instant


class SampleTaken(Fact, frozen=True, kw_only=True):
    """A meter was read for a running transaction (J02.FR.11, J01.FR.14); those of one moment come in one step.

    `reasons`: Updated (TxUpdatedInterval), Ended (TxEndedInterval), AlignedUpdated, AlignedEnded, Trigger.
    `reading` None: the meter did not answer.
    """

    evse_id: int
    reasons: frozenset[str]
    reading: MeterReading | None
    at: Instant
