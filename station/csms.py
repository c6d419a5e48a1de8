"""The port `Csms` as the blocks see it: a message becomes a row of the outbox, in the step that told it.

What a message needs of the queue (its key, whether it may be dropped, its severity) is read off the message here, in
one table, so that blocks say only what they have to say. A message is fitted to every configured version when it is
told: free text is cut with a warning, and what no version could say moves to `undelivered` at once instead of blocking
the queue later (design A13).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from station.facts import Facts, MessageUndelivered
from station.now import Instant, Mono, Now, Wall
from station.ocpp import codec
from station.ocpp.base import Request
from station.ocpp.errors import CannotRender
from station.ocpp.messages import NotifyEventRequest, StatusNotificationRequest, TransactionEventRequest
from station.ocpp.speaker import Speaker
from station.ports import DeliveryRules
from station.store.outbox import Outbox
from station.store.rows import Made, Told

log = logging.getLogger(__name__)

SEVERITY_OF_UNMONITORED = 8
"""An event without a monitor's severity counts as informational (N07)."""


def _transaction(message: TransactionEventRequest) -> dict[str, Any]:
    return {"key": message.transaction_info.transaction_id, "droppable": message.event_type == "Updated"}


def _status(message: StatusNotificationRequest) -> dict[str, Any]:
    return {"key": f"{message.evse_id}/{message.connector_id}"}


def _event(message: NotifyEventRequest) -> dict[str, Any]:
    severities = [event.severity for event in message.event_data if event.severity is not None]
    return {"severity": min(severities, default=SEVERITY_OF_UNMONITORED)}


QUEUEING: Mapping[type[Request[Any, Any]], Callable[[Any], dict[str, Any]]] = {
    TransactionEventRequest: _transaction,
    StatusNotificationRequest: _status,
    NotifyEventRequest: _event,
}
"""What the queue must know of a message."""


class StepCsms:
    """Implements `ports.Csms` for the blocks of one station.

    `speakers`: the configured versions, the preferred one first. `wall_of`: by the clock of each boot, as it is known
    now. `begin(now)` is called at the start of each step.
    """

    def __init__(
        self, *, outbox: Outbox, speakers: Sequence[Speaker], facts: Facts, wall_of: Callable[[Instant], Wall]
    ) -> None:
        self._outbox = outbox
        self._wall_of = wall_of
        self._speakers = speakers
        self._facts = facts
        self._now: Now | None = None
        self.speaker = speakers[0]
        self.connected = False
        self.open = False
        self.last_sent: Mono | None = None
        self.timeout_s: float | None = None
        """What the network profile says about the time for an answer; None: the endpoint's own."""

    def begin(self, now: Now) -> None:
        """A step begins: what it tells happened now."""
        self._now = now

    # the port

    @property
    def online(self) -> bool:
        """Whether a connection stands and the registration lets ordinary messages pass."""
        return self.open

    def tell(
        self,
        message: Request[Any, Any],
        *,
        key: str | None = None,
        asked: bool = False,
        severity: int | None = None,
        at: Instant | None = None,
    ) -> None:
        """Send news; what becomes of it when it cannot go now is the outbox's table."""
        if (told := self._told(message, key=key, asked=asked, at=at)) is not None:
            self._outbox.tell(told if severity is None else msgspec.structs.replace(told, severity=severity))

    def ask(
        self, message: Request[Any, Any], *, by: Mono, context: msgspec.Struct | None = None, asked: bool = False
    ) -> None:
        """Send a question; exactly one outcome comes: NotSent of one for which no version has words."""
        if (told := self._told(message, asked=asked, anyway=True)) is not None:
            self._outbox.ask(told if context is None else msgspec.structs.replace(told, context=context), by=by)

    def stream(self, pages: Iterator[Request[Any, Any]], *, asked: bool = True) -> None:
        """Send pages, each made when the one before was answered."""
        made = (told for page in pages if (told := self._told(page, asked=asked)) is not None)
        first = next(made, None)
        if first is not None:
            self._outbox.stream(first, made)

    def can(self, message: type[Request[Any, Any]]) -> bool:
        """Whether the negotiated version has this message; before any was negotiated, the preferred one."""
        return self.speaker.can(message)

    def queued(self, transaction_id: str | None = None) -> bool:
        """Whether transaction messages wait for delivery (E14)."""
        return self._outbox.has_transactions(transaction_id)

    def configure(self, rules: DeliveryRules) -> None:
        """How often and how long messages are tried from now on."""
        self._outbox.configure(self._outbox.settings._replace(**rules._asdict()))

    def answer_within(self, timeout_s: float) -> None:
        """The exchange waits so long for each answer from now on."""
        self.timeout_s = timeout_s

    def utc_now(self) -> datetime:
        """The present of the last step begun: a report's pages are made between two of them."""
        if self._now is None:
            raise RuntimeError("no step has begun")
        return self._now.utc

    def hold(self, token: str) -> None:
        """What this step tells waits for its reply (FR.05)."""
        self._outbox.hold(token)

    def _told(
        self,
        message: Request[Any, Any],
        *,
        key: str | None = None,
        asked: bool = False,
        at: Instant | None = None,
        anyway: bool = False,
    ) -> Told | None:
        if self._now is None:
            raise RuntimeError("messages are told inside a step")
        action = type(message).__name__.removesuffix("Request")
        made = self._made(action, message)
        if isinstance(made, str):
            if not anyway:
                log.error("message.impossible", extra={"action": action, "reasons": made})
                self._facts.emit(MessageUndelivered(action=action, reason=made))
                return None
            made = Made(message, {})  # its turn comes all the same, and then it turns out
        read_off = QUEUEING.get(type(message))
        judged, text = next(iter(made.texts.items()), ("", b""))
        queueing = {"key": key or "", **(read_off(message) if read_off is not None else {})}
        return Told(
            action=action,
            payload=text or codec.dump(made.request),
            judged=judged,
            instant=at or self._now.instant,
            stamped=self._now.wall if at is None else self._wall_of(at),
            asked=asked,
            made=made,
            **queueing,
        )

    def _made(self, action: str, message: Request[Any, Any]) -> Made | str:
        """The message as every version that has words for it can say it; if none has, the reasons."""
        fitted = message
        texts: dict[str, bytes] = {}
        reasons: list[str] = []
        for speaker in self._speakers:
            try:
                tried = speaker.fit(fitted)
            except CannotRender as error:
                reasons.append(f"{speaker.version}: {error.description}")
                continue
            fitted, cut = tried.message, tried.truncated
            if cut:
                log.warning("message.truncated", extra={"action": action, "version": speaker.version, "fields": cut})
                texts.clear()
            if tried.text is not None:
                texts[speaker.version] = tried.text
        if len(reasons) == len(self._speakers):
            return "; ".join(reasons)
        return Made(fitted, texts)
