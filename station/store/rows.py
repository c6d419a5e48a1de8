"""What a queued message is, and the one table that says how each action is delivered (design 3, "A message goes out").

A message is kept as it was told: the 2.x message as JSON bytes (camelCase, unset fields left out), made by the codec;
mostly the very text that was judged when it was told (`judged` names the version by whose rules), and that leaves. A
row that is still in memory remembers what it was made of; one that comes from the disk is read, and rendered and judged
anew unless it was judged in this very run. Two things are added as it leaves:

- *Time.* The payload's timestamps were written with the clock as known when it was told. A row keeps the `instant` of
  the event and the wall time `stamped` that the payload gives to it. If the clock has since been learned better,
  every timestamp in the message is off by the same `wall_of(instant) - stamped`.
- *Offline.* `offline` is left out of the payload; `Row.offline` says what it is when the row is sent.

Ids: `row_id(lane, boot, n)`, so that the rows of a lane lie together on disk in order, and no id is ever used twice.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import msgspec

from station.now import BootId, Instant, Mono, Wall
from station.ocpp import codec
from station.ocpp.base import Request
from station.ocpp.errors import RpcError
from station.ocpp.messages import ACTIONS


class Lane(enum.IntEnum):
    """Ways to the one call slot, the most urgent first. Order among lanes holds only between rows that wait.

    The numbers are in the ids of stored rows, so a new lane gets a new one, wherever it stands.
    """

    BOOT = 0
    ASKS = 1
    TRANSACTIONS = 2
    NEWS = 3
    STATUS = 4
    AFTER_STATUS = 7
    """What explains a status, and is told when that is known."""
    STREAMS = 5
    HEARTBEAT = 6


class Delivery(enum.Enum):
    """What becomes of a message that cannot be sent now."""

    ASK = "ask"
    """A question: exactly one outcome, NotSent if it cannot go now."""
    DURABLE = "durable"
    """Stored before the first byte leaves; given up after MessageAttempts."""
    GUARANTEED = "guaranteed"
    """Stored, and never given up (A04.FR.02)."""
    BY_SEVERITY = "by severity"
    """Stored if severe enough (OfflineQueuingSeverity), else now or never."""
    LATEST = "latest"
    """In memory; while nothing can be sent only the newest of each key is kept."""
    MOMENT = "moment"
    """Now or never; QueueAllMessages makes it durable."""
    NOW_ONLY = "now only"
    """Now or never, whatever QueueAllMessages says."""
    STREAM = "stream"
    """Pages, each made when the previous is answered; given up when the link is lost."""


class Rule(msgspec.Struct, frozen=True):
    """How one action is delivered."""

    lane: Lane
    delivery: Delivery


DELIVERY: Mapping[str, Rule] = {
    "BootNotification": Rule(Lane.BOOT, Delivery.ASK),
    "Authorize": Rule(Lane.ASKS, Delivery.ASK),
    "DataTransfer": Rule(Lane.ASKS, Delivery.ASK),
    "Get15118EVCertificate": Rule(Lane.ASKS, Delivery.ASK),
    "GetCertificateStatus": Rule(Lane.ASKS, Delivery.ASK),
    "NotifyEVChargingNeeds": Rule(Lane.ASKS, Delivery.ASK),
    "SignCertificate": Rule(Lane.ASKS, Delivery.ASK),
    "TransactionEvent": Rule(Lane.TRANSACTIONS, Delivery.DURABLE),
    "SecurityEventNotification": Rule(Lane.NEWS, Delivery.GUARANTEED),
    "FirmwareStatusNotification": Rule(Lane.NEWS, Delivery.DURABLE),
    "PublishFirmwareStatusNotification": Rule(Lane.NEWS, Delivery.DURABLE),
    "LogStatusNotification": Rule(Lane.NEWS, Delivery.DURABLE),
    "ReservationStatusUpdate": Rule(Lane.AFTER_STATUS, Delivery.DURABLE),
    "NotifyEvent": Rule(Lane.NEWS, Delivery.BY_SEVERITY),
    "StatusNotification": Rule(Lane.STATUS, Delivery.LATEST),
    "MeterValues": Rule(Lane.STATUS, Delivery.MOMENT),
    "NotifyChargingLimit": Rule(Lane.STATUS, Delivery.LATEST),
    "ClearedChargingLimit": Rule(Lane.STATUS, Delivery.LATEST),
    "NotifyEVChargingSchedule": Rule(Lane.ASKS, Delivery.ASK),
    "NotifyReport": Rule(Lane.STREAMS, Delivery.STREAM),
    "NotifyMonitoringReport": Rule(Lane.STREAMS, Delivery.STREAM),
    "NotifyCustomerInformation": Rule(Lane.STREAMS, Delivery.STREAM),
    "NotifyDisplayMessages": Rule(Lane.STREAMS, Delivery.STREAM),
    "ReportChargingProfiles": Rule(Lane.STREAMS, Delivery.STREAM),
    "Heartbeat": Rule(Lane.HEARTBEAT, Delivery.NOW_ONLY),
}

STORED_LANES = (Lane.TRANSACTIONS, Lane.NEWS, Lane.AFTER_STATUS)
"""The lanes whose rows may be on disk."""


class Made(msgspec.Struct, frozen=True):
    """What a payload was made of, as long as memory lasts: nothing of it is on disk.

    `texts`: what leaves if nothing is changed on the way, by the version whose rules have judged it.
    """

    request: Request[Any, Any]
    texts: Mapping[str, bytes]


class Told(msgspec.Struct, frozen=True):
    """A message as a step tells it.

    `judged`: the version by whose rules the payload may leave as it stands; "": by none's.
    `key`: order is kept among messages of one action with the same key: the transaction id; the connector for LATEST.
    `stamped`: the wall time that the payload gives to `instant`.
    `droppable`: an Updated that may go when the disk is full (E04.FR.07).
    `severity`: of a NotifyEvent, 0 (danger) to 9 (debug). `asked`: a TriggerMessage or a Get…Report asked for it
    (B02.FR.02). `context`: handed back with the outcome, kept in memory only.
    """

    action: str
    payload: bytes
    instant: Instant
    stamped: Wall
    key: str = ""
    droppable: bool = False
    severity: int | None = None
    asked: bool = False
    context: object = None
    made: Made | None = None
    judged: str = ""


class Row(msgspec.Struct, frozen=True):
    """A message in the queue. `stored`: it is on disk, which is what its id says, too (it is above 0).

    `attempts`: transmissions that failed. `by`: when an ask has become worthless.
    """

    id: int
    stored: bool
    lane: Lane
    delivery: Delivery
    message_id: str
    action: str
    key: str
    payload: bytes
    instant: Instant
    stamped: Wall
    droppable: bool = False
    attempts: int = 0
    offline: bool = False
    asked: bool = False
    by: Mono | None = None
    context: object = None
    made: Made | None = None
    judged: str = ""

    @property
    def request(self) -> Any:
        """The message: the one that was told, or as it is read from the payload. ValueError if it cannot be read."""
        return (
            self.made.request if self.made is not None else codec.restored(ACTIONS[self.action].request, self.payload)
        )


class Answered(msgspec.Struct, frozen=True):
    """The CSMS answered. `response` is what the caller handed in."""

    row: Row
    response: object


class Refused(msgspec.Struct, frozen=True):
    """The CSMS answered with a CALLERROR, for the last time. `undelivered`: the row was moved there."""

    row: Row
    error: RpcError
    undelivered: bool = False


class TimedOut(msgspec.Struct, frozen=True):
    """No answer in time, for the last time. `undelivered`: the row was moved there."""

    row: Row
    undelivered: bool = False


class Why(enum.Enum):
    """Why a message was not sent, or its answer will not be seen."""

    OFFLINE = "offline"
    GATED = "not registered"
    TOO_LATE = "its time had passed"
    LINK_LOST = "the link was lost before the answer"
    NOT_RENDERED = "the negotiated version cannot express it"


class NotSent(msgspec.Struct, frozen=True):
    """The message will not be sent (again)."""

    row: Row
    why: Why


Outcome = Answered | Refused | TimedOut | NotSent


class Again(msgspec.Struct, frozen=True):
    """Not an outcome: the transmission failed, and the row is sent again at `at`."""

    row: Row
    at: Mono


def row_id(lane: Lane, boot: BootId, n: int) -> int:
    """The id of the `n`-th durable row of this boot: rows sort by lane, then age."""
    return lane << 56 | boot << 32 | n


def lane_range(lane: Lane) -> tuple[int, int]:
    """The lowest and the highest id that a row of this lane can have."""
    return lane << 56, (lane + 1 << 56) - 1
