"""What a block may ask of the world. Protocols only: the engine and the shell implement them, tests too.

Calls on a port inside a step take effect when the step commits; a step that fails asked for nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from hal.api import Indication
from hal.iso15118 import SeccSetup
from station.block import Job
from station.now import Instant, Mono, Now, Rhythm
from station.ocpp.base import Request


class DeliveryRules(NamedTuple):
    """MessageAttempts and MessageAttemptInterval [TransactionEvent], QueueAllMessages, OfflineQueuingSeverity."""

    attempts: int
    interval_s: float
    queue_all: bool
    queuing_severity: int


class Csms(Protocol):
    """The way to the CSMS.

    Delivery is decided by the outbox from one table by action, not by the caller (design A12).
    """

    @property
    def online(self) -> bool:
        """Whether a connection stands and the registration allows ordinary messages."""
        ...

    @property
    def connected(self) -> bool:
        """Whether a connection stands, whatever the registration says."""
        ...

    @property
    def last_sent(self) -> Mono | None:
        """When a CALL last left on the present connection: a heartbeat may be put off until it is old (G02.FR.05)."""
        ...

    def tell(
        self,
        message: Request[Any, Any],
        *,
        key: str | None = None,
        asked: bool = False,
        severity: int | None = None,
        at: Instant | None = None,
    ) -> None:
        """Send news. `key`: what order is kept within (a transaction id); by default the action.

        `severity`: of what a NotifyEvent tells; 2.0.1 has no field for it, and the queue must know (N07.FR.04).
        `asked`: a TriggerMessage, GetBaseReport or GetReport asked for it, so it may go while Pending (B02.FR.02).
        `at`: the instant that its times are about, and what is said of it; by default the present of this step.
        """
        ...

    def ask(
        self, message: Request[Any, Any], *, by: Mono, context: msgspec.Struct | None = None, asked: bool = False
    ) -> None:
        """Send a question. Exactly one outcome comes, with `context`: Answered, Refused, TimedOut or NotSent.

        NotSent follows right after this step when offline or gated, else when `by` passed before it could leave.
        """
        ...

    def stream(self, pages: Iterator[Request[Any, Any]], *, asked: bool = True) -> None:
        """Send pages, each made when the one before was answered; memory only, given up when the link is lost."""
        ...

    def configure(self, rules: DeliveryRules) -> None:
        """How often and how long messages are tried from now on."""
        ...

    def answer_within(self, timeout_s: float) -> None:
        """How long the CSMS may take to answer from now on (NetworkConnectionProfile.messageTimeout)."""
        ...

    def can(self, message: type[Request[Any, Any]]) -> bool:
        """Whether the negotiated version (before any: the preferred one) has this message."""
        ...

    def queued(self, transaction_id: str | None = None) -> bool:
        """Whether transaction messages wait for delivery: of one transaction, or of any (E14)."""
        ...


class Hardware(Protocol):
    """What the core wants of the hardware. Nothing here waits; what became of it comes as facts."""

    def want(self, evse_id: int, *, energise: bool, limit_a: float, phases: int = 3, lock: bool = False) -> None:
        """State the wanted condition of an EVSE; repeated statements of the same are free (design A6)."""
        ...

    def sample(self, evse_id: int, purpose: str, by: Mono, label: str = "") -> None:
        """Ask for a fresh reading: comes as `MeterSampled(purpose)` or, at `by`, as `SampleFailed`.

        EVSE 0: main meter. `label`: whom a meter that signs shall name in its text.
        """
        ...

    def keep_reading(self, evse_id: int, rhythm: Rhythm | None) -> None:
        """State when a meter is read without being asked; None: no more. Repeated statements of the same are free.

        A reading comes as `MeterSampled("moment")`, as soon as the meter has answered; that it did not, nobody tells.
        """
        ...

    def look_again(self) -> None:
        """Let the hardware tell its whole state again."""
        ...


class Displays(Protocol):
    """What drivers read."""

    def show(self, text: str) -> None:
        """Replace what is shown at the station; an empty text clears. A station without a display shows nothing."""
        ...


class Lamps(Protocol):
    """What people see from afar."""

    def indicate(self, evse_id: int, indication: Indication) -> None:
        """What an EVSE looks like from now on; the same again is free. An EVSE without a lamp shows nothing."""
        ...


class Vehicles(Protocol):
    """What is told to vehicles that speak ISO 15118. What they say comes as facts; one that is gone hears nothing."""

    def answer_contract(self, evse_id: int, *, accepted: bool) -> None:
        """End the wait that began with `ContractShown`."""
        ...

    def answer_certificate(self, evse_id: int, *, accepted: bool, exi_response: str = "") -> None:
        """End the wait that began with `CertificateWantedByEv`."""
        ...

    def equip(self, setup: SeccSetup) -> None:
        """What vehicles are shown and offered from now on; boards that return are told again."""
        ...


class Jobs(Protocol):
    """Slow work outside of a step. Results come to the block that lists the result's type."""

    def start(self, job: Job) -> int:
        """Start a job; gives its generation: a later job of the same type makes older results news without effect."""
        ...

    def cancel(self, kind: type[Job]) -> None:
        """Stop the running job of this type, if any; its result is dropped."""
        ...

    def awaits(self, kind: type[Job]) -> bool:
        """Whether a result of this type of job may still come."""
        ...


Precondition = Literal["now", "reply", "drained"]
"""When an intent may be executed: at once, when this step's reply is flushed, or when the transactions' events
are delivered."""


class Station(Protocol):
    """Intents on the station itself (design A8).

    Rows written in the step, executed by the shell when the precondition holds.
    """

    def reconnect(self, *, after: Precondition = "reply") -> None:
        """Close the connection and connect anew, with the credentials and profiles stored now."""
        ...

    def reboot(self, reason: str, *, after: Precondition = "reply", by: Mono | None = None) -> None:
        """Restart the agent (or the machine, as configured).

        `reason` is the BootReason to tell after it; `by` limits `drained`.
        """
        ...

    def set_clock(self, wall: datetime, source: str) -> None:
        """Discipline the wall clock: a time heard from `source` (BootNotification, Heartbeat, NTP)."""
        ...


class Times(Protocol):
    """From instants to wall time, by the offset known for each boot."""

    def utc(self, at: Instant) -> datetime:
        """The aware UTC datetime of an instant, as well as it is known now."""
        ...

    def elapsed_s(self, since: Instant, now: Now) -> float | None:
        """Seconds from an instant of this or an earlier boot until now; None if the clock of either is not known."""
        ...

    def seen_until(self, transaction_id: str, at_least: float) -> float:
        """The latest wall time of a transaction that the CSMS has seen; the caller knows of `at_least` (0: nothing)."""
        ...


class Clocked(Protocol):
    """The present, for what is made after its step: the pages of a report."""

    def utc_now(self) -> datetime:
        """The aware UTC datetime of the running step."""
        ...


class Ids(Protocol):
    """Where new ids come from: random in the shell, counted in tests."""

    def uuid(self) -> str:
        """A new UUID, 36 characters."""
        ...


Random = random.Random
"""Randomness is passed in, too."""
