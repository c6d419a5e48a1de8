"""What happened inside the station, in the past tense. Facts are how one block learns what another must know.

A fact is emitted in a step and heard in the same step, by every block that lists it in `reactions()`, in the order of
`app.py`.
Hearing one twice must be harmless: after a start, a recovery or a board's return the hardware tells its whole state
again
(`told_again` facts carry levels, so equal ones change nothing). Momentary facts (a card, a button) are never repeated.

All structs are frozen; `at` is when it happened, which may be earlier than the step's `now`.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

import msgspec

from hal.api import Fault, MeterReading
from station.now import Instant
from station.ocpp.types import IdTokenInfoType, IdTokenType

Via = Literal["local", "remote", "button"]
"""How an authorization came about: a token or PIN at the station, RequestStartTransaction, the start button."""


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all facts."""


# --- the hardware (made by shell/devices.py) ------------------------------------------------------------------------


class HardwareFact(Fact, frozen=True, kw_only=True):
    """Something about one EVSE's hardware, and when it was seen."""

    evse_id: int
    at: Instant


class PlugInserted(HardwareFact, frozen=True, kw_only=True):
    """The EV is connected (pilot left A). `cable_max_a` from the proximity pin, if the board tells. Told again."""

    connector_id: int
    cable_max_a: float | None = None


class PlugRemoved(HardwareFact, frozen=True, kw_only=True):
    """Nothing is connected (pilot A). Told again."""

    connector_id: int


class EnergyRequested(HardwareFact, frozen=True, kw_only=True):
    """The EV asks for energy (pilot C or D) or does not (B). Told again."""

    connector_id: int
    requested: bool


class PowerPathChanged(HardwareFact, frozen=True, kw_only=True):
    """The contactor really is closed or open, and on how many phases. Told again."""

    closed: bool
    phases: int = 3


class EnergyFlowChanged(HardwareFact, frozen=True, kw_only=True):
    """Current really flows, or stopped: above or below the threshold of board or meter. Told again."""

    flowing: bool


class LockChanged(HardwareFact, frozen=True, kw_only=True):
    """The plug lock: locked or not; `problem` when it did not do what was wanted (G05). Told again."""

    connector_id: int
    locked: bool
    problem: bool = False


class FaultChanged(HardwareFact, frozen=True, kw_only=True):
    """A fault appeared or went. `connector_id` None: the whole EVSE. Told again while present."""

    fault: Fault
    present: bool
    connector_id: int | None = None
    tech_code: str = ""
    tech_info: str = ""


class BayOccupancyChanged(HardwareFact, frozen=True, kw_only=True):
    """A parking bay detector sees a vehicle, or sees none. Told again."""

    occupied: bool


class MeterSampled(HardwareFact, frozen=True, kw_only=True):
    """A reading of the EVSE's meter; EVSE 0 is the station's main meter.

    `purpose` is what it was asked for by `hardware.sample`, or "idle"; `at` is when it was sampled.
    """

    reading: MeterReading
    purpose: str = "idle"


class VehicleStopped(HardwareFact, frozen=True, kw_only=True):
    """The vehicle ended the charging session itself: ISO 15118 SessionStop with Terminate (E15). Momentary."""


class SampleFailed(HardwareFact, frozen=True, kw_only=True):
    """The reading asked for did not come in time; the last one may be old."""

    purpose: str
    reason: str


class WantFailed(HardwareFact, frozen=True, kw_only=True):
    """What the core wants did not come true in time."""

    what: str
    reason: str


class DeviceLost(Fact, frozen=True, kw_only=True):
    """A device stopped answering. `evse_ids`: those that depend on it; `board`: they cannot charge without it."""

    device: str
    evse_ids: tuple[int, ...]
    reason: str
    at: Instant
    board: bool = False


class DeviceReturned(Fact, frozen=True, kw_only=True):
    """A lost device answers again; its whole state was told just before or follows at once."""

    device: str
    evse_ids: tuple[int, ...]
    at: Instant


class SnapshotTold(HardwareFact, frozen=True, kw_only=True):
    """The whole state of an EVSE's hardware has been told once since the start (or since a recovery)."""


class TokenPresented(Fact, frozen=True, kw_only=True):
    """A card, PIN or button. `evse_ids`: those the reader serves (one: the choice is made). Momentary."""

    id_token: IdTokenType
    evse_ids: tuple[int, ...]
    at: Instant


class SensorRead(Fact, frozen=True, kw_only=True):
    """A live value for the device model, e.g. a temperature. Memory only."""

    component: str
    variable: str
    value: str
    evse_id: int | None = None
    instance: str | None = None
    at: Instant


# --- the link and the clock (made by the shell) ---------------------------------------------------------------------


class LinkRestored(Fact, frozen=True, kw_only=True):
    """A connection with an agreed version stands.

    `offline_s`: how long there was none; None at the first one since the start.
    """

    profile_slot: int
    security_profile: int
    offline_s: float | None
    new_profile: bool = False
    credentials: int = 0
    """Which of the passwords (or certificates) the CSMS has accepted: 0 is the present one, 1 the former one."""


class LinkLost(Fact, frozen=True, kw_only=True):
    """The connection is gone, or an attempt failed.

    `kind` as in shell/link.py: tls_certificate, http_401, closed ...
    """

    kind: str
    detail: str
    was_up: bool


class ClockStepped(Fact, frozen=True, kw_only=True):
    """The wall clock was set: `by_s` seconds (positive: forward). Wall deadlines are asked again."""

    by_s: float
    source: str


class InvalidMessageReceived(Fact, frozen=True, kw_only=True):
    """A frame that is no RPC frame, or an answer to nothing (security event InvalidMessages)."""

    description: str


class StationStarted(Fact, frozen=True, kw_only=True):
    """The agent has started: the first fact of each start, told once."""

    at: Instant


# --- registration, availability -------------------------------------------------------------------------------------


class RegistrationChanged(Fact, frozen=True, kw_only=True):
    """The CSMS's verdict on our BootNotification; Unknown before the first, and after a new network profile."""

    status: Literal["Unknown", "Pending", "Accepted", "Rejected"]
    first_since_boot: bool = False


class AvailabilityChanged(Fact, frozen=True, kw_only=True):
    """The status of a connector, as StatusNotification words it, is another one."""

    evse_id: int
    connector_id: int
    status: str
    at: Instant


class VariableChanged(Fact, frozen=True, kw_only=True):
    """A variable of the device model has a new value. `by`: csms, station or operator."""

    component: str
    variable: str
    value: str
    instance: str | None = None
    variable_instance: str | None = None
    evse_id: int | None = None
    connector_id: int | None = None
    attribute: str = "Actual"
    by: Literal["csms", "station", "operator"] = "csms"


class ResetRequested(Fact, frozen=True, kw_only=True):
    """Provisioning accepted a Reset.

    `evse_id` None: the station. Running transactions end now if `immediate` (B12.FR.04).
    """

    immediate: bool
    evse_id: int | None = None


class ResetExecuted(Fact, frozen=True, kw_only=True):
    """An EVSE was reset; it starts from what its hardware shows."""

    evse_id: int


class ResetAbandoned(Fact, frozen=True, kw_only=True):
    """The station should have restarted and is still there after all retries: it goes on working."""


# --- authorization and transactions ---------------------------------------------------------------------------------


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


class RemoteStopAccepted(Fact, frozen=True, kw_only=True):
    """RequestStopTransaction was accepted (F03)."""

    evse_id: int
    transaction_id: str


class AuthorizationEnded(Fact, frozen=True, kw_only=True):
    """An authorization is over without or with its transaction: stop, timeout, unplug, deauthorization."""

    evse_id: int
    reason: str


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


class SampleTaken(Fact, frozen=True, kw_only=True):
    """A meter was read for a running transaction (J02.FR.11, J01.FR.14); those of one moment come in one step.

    `reasons`: Updated (TxUpdatedInterval), Ended (TxEndedInterval), AlignedUpdated, AlignedEnded, Trigger.
    `reading` None: the meter did not answer.
    """

    evse_id: int
    reasons: frozenset[str]
    reading: MeterReading | None
    at: Instant


# --- metering and remote control ------------------------------------------------------------------------------------


class MessageTriggered(Fact, frozen=True, kw_only=True):
    """TriggerMessage was accepted: the block that owns `requested` sends it, marked `asked` (F06)."""

    requested: str
    evse_id: int | None = None
    connector_id: int | None = None


# --- security and the store -----------------------------------------------------------------------------------------


class SecurityEventOccurred(Fact, frozen=True, kw_only=True):
    """A security event of the appendix (A04); the Security block logs it and, if critical, tells the CSMS."""

    type: str
    tech_info: str = ""


class StoreDegraded(Fact, frozen=True, kw_only=True):
    """The disk does not take writes: no new transaction starts, running ones go on in memory (design 6)."""

    kind: str


class StoreRecovered(Fact, frozen=True, kw_only=True):
    """Writes work again, and everything kept in memory is on disk."""


class EvseQuarantined(Fact, frozen=True, kw_only=True):
    """An EVSE's facts raised a bug of ours twice: wanted off, Faulted, the others run on (design A3)."""

    evse_id: int
    reason: str


class MessageUndelivered(Fact, frozen=True, kw_only=True):
    """A message was given up (E13.FR.04), poisoned or could not be rendered; it is kept in `undelivered`."""

    action: str
    reason: str
    transaction_id: str | None = None


class Facts:
    """The facts of the running step, first in first out. Emitted anywhere in a step, drained by the engine."""

    def __init__(self) -> None:
        self._queue: deque[object] = deque()

    def emit(self, fact: object) -> None:
        """Let every block that listens hear it, later in this step."""
        self._queue.append(fact)

    def pop(self) -> object | None:
        """The oldest fact not yet heard."""
        return self._queue.popleft() if self._queue else None

    def clear(self) -> None:
        """Forget what a failed step emitted."""
        self._queue.clear()
