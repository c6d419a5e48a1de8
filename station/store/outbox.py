"""The queue of messages for the CSMS: which is next, and when (E04, E11, E13, A04; design 3, "A message goes out").

It decides and never sends. One row is in flight at a time. What a step tells is seen by `next` only after that step has
committed; a durable row is on disk before its first byte can leave.

    told -> waiting -> in flight -> answered                          deleted with a later commit
               ^          |-> refused, timed out -> waits (back-off of its key alone) or `undelivered`
               '----------'-> link lost: no attempt

How the engine uses it: `tell`, `ask`, `stream` inside steps; after each step the `outcomes()`, then `next` -> render
-> `sent`; `acknowledged`, `refused`, `timed_out`, `not_rendered` before the step that handles what they return: they
hold whatever becomes of that step, and the next commit writes what they changed. `next_due` with the deadlines, and
then `due` inside a step.
Invariant: rows of one lane and key leave in the order told, each until it is settled; a settled row never leaves
again in this run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

import msgspec

from station.now import BootId, Mono, Now, Wall
from station.ocpp.errors import RpcError

from .db import Database
from .lanes import Gate, Lanes
from .ledger import Ledger
from .quota import Thinned
from .rows import (
    DELIVERY,
    STORED_LANES,
    Again,
    Answered,
    Delivery,
    Lane,
    NotSent,
    Outcome,
    Refused,
    Row,
    Rule,
    TimedOut,
    Told,
    Why,
    row_id,
)
from .spool import Record, Spool, Window, revived

__all__ = ["Gate", "Outbox", "Settings", "Thinned"]

RETRY_FLOOR_S = 10.0
RETRY_CEILING_S = 3600.0
"""Bounds for the waits of rows that are never given up, whatever MessageAttemptInterval says."""

_OUTCOME_EVEN_IF_DROPPED = (Delivery.ASK, Delivery.STREAM)
_ALWAYS_STORED = (Delivery.DURABLE, Delivery.GUARANTEED)


class Settings(NamedTuple):
    """What the device model says about delivery.

    MessageAttempts and MessageAttemptInterval (s) of TransactionEvent; QueueAllMessages; OfflineQueuingSeverity; and
    the bytes in use of the database above which Updated events are thinned out.
    """

    attempts: int = 3
    interval_s: float = 60.0
    queue_all: bool = False
    queuing_severity: int = 4
    quota_bytes: int = 64_000_000


class Outbox:
    """The queue of one station.

    `boot`: this run's id. `message_id` makes a fresh one each time. The gate is CLOSED at first, so every row found
    on disk counts as offline (E11.FR.07: it was queued when the link went away with the process).
    """

    def __init__(self, db: Database, boot: BootId, message_id: Callable[[], str]) -> None:
        self._db = db
        self._boot = boot
        self._message_id = message_id
        self._spool = Spool(db)
        self._ledger = Ledger(db, self._spool, self)
        self._lanes = Lanes({lane: Window(self._spool, lane, self._revive) for lane in STORED_LANES})
        self._counter = 0
        self._offline_to = 0
        self._in_flight: Row | None = None
        self._sent: dict[str, Row] = {}  # by message id: sent at least once and not settled
        self._pages: dict[int, Iterator[Told]] = {}  # by the row of a stream's page
        self._turning: deque[tuple[Iterator[Told], bool]] = (
            deque()
        )  # reports whose next page is due, and whether asked for
        self._outcomes: deque[Outcome] = deque()
        self.configure(Settings())
        db.join(self._ledger)

    def configure(self, settings: Settings) -> None:
        """Follow the device model."""
        self.settings = settings
        self._ledger.quota_bytes = settings.quota_bytes

    # -- telling: inside a step --------------------------------------------------------------------------------

    def tell(self, told: Told) -> Row:
        """Queue news; DELIVERY says by action what becomes of it if it cannot go now. KeyError: unknown action."""
        rule = DELIVERY[told.action]
        if rule.delivery in _OUTCOME_EVEN_IF_DROPPED:
            raise ValueError(f"{told.action} is not simply told: {rule.delivery.value}")
        stored = rule.delivery in _ALWAYS_STORED or self._is_stored(rule.delivery, told)
        return self._queue(told, rule, stored=stored)

    def ask(self, told: Told, by: Mono | None = None) -> Row:
        """Queue a question: exactly one outcome follows, with the row and its context. `by`: then it is worthless."""
        rule = DELIVERY[told.action]
        if rule.delivery is not Delivery.ASK:
            raise ValueError(f"{told.action} is not asked: {rule.delivery.value}")
        return self._queue(told, rule, stored=False, by=by)

    def stream(self, first: Told, rest: Iterator[Told]) -> Row:
        """Queue a report: `first`, then the `rest`, each page made when the one before is answered (or failed)."""
        rule = DELIVERY[first.action]
        if rule.delivery is not Delivery.STREAM:
            raise ValueError(f"{first.action} is no stream: {rule.delivery.value}")
        row = self._queue(first, rule, stored=False)
        self._pages[row.id] = rest
        return row

    def hold(self, token: str) -> None:
        """What this step tells waits until `release(token)`: its reply has to leave first. Forgotten by a restart."""
        self._ledger.held_by = token

    def _is_stored(self, delivery: Delivery, told: Told) -> bool:
        match delivery:
            case Delivery.BY_SEVERITY:  # N07.FR.04
                severe = told.severity is not None and told.severity <= self.settings.queuing_severity
                return severe or self.settings.queue_all
            case Delivery.MOMENT:
                return self.settings.queue_all
            case _:
                return False

    def _queue(self, told: Told, rule: Rule, *, stored: bool, by: Mono | None = None) -> Row:
        if not self._db.in_transaction:
            raise RuntimeError("messages are told inside a step")
        row = self._row(told, rule, stored=stored, by=by)
        self._ledger.told(row)
        return row

    def _row(self, told: Told, rule: Rule, *, stored: bool, by: Mono | None = None) -> Row:
        if rule.lane is Lane.TRANSACTIONS and not told.key:
            raise ValueError(f"{told.action} without the transaction id as its key")
        self._counter += 1
        lane = rule.lane
        if stored and lane not in STORED_LANES:
            lane = Lane.NEWS
        if not stored and lane in STORED_LANES:
            lane = Lane.STATUS
        return Row(
            id=row_id(lane, self._boot, self._counter) if stored else -self._counter,
            stored=stored,
            lane=lane,
            delivery=rule.delivery,
            message_id=self._message_id(),
            action=told.action,
            key=told.key if lane is Lane.TRANSACTIONS else f"{told.action} {told.key}",
            payload=told.payload,
            instant=told.instant,
            stamped=told.stamped,
            droppable=told.droppable,
            asked=told.asked,
            by=by,
            context=told.context,
            made=told.made,
            judged=told.judged,
        )

    # -- sending -----------------------------------------------------------------------------------------------

    def gate(self, gate: Gate) -> None:
        """What may be sent from now on; CLOSED is said by `link_lost`. What cannot wait and may not go is NotSent."""
        if gate is self._lanes.gate is not Gate.CLOSED:
            return
        if self._lanes.gate is Gate.CLOSED:
            self._offline_to = self._boot << 32 | self._counter
        self._leave(self._lanes.set_gate(gate), Why.GATED)

    def link_lost(self) -> None:
        """No attempt is counted; every transaction event not yet settled becomes offline (E11.FR.07)."""
        flying, self._in_flight = self._in_flight, None
        if flying is not None and flying.message_id in self._sent and flying.delivery in _OUTCOME_EVEN_IF_DROPPED:
            self._lanes.remove(flying)
            self._leave([flying], Why.LINK_LOST)
        self._leave(self._lanes.set_gate(Gate.CLOSED), Why.OFFLINE)
        self._turning.clear()

    def next(self, now: Now) -> Row | None:
        """The row to send now. None: one is in flight, nothing may go, or all wait for a time (`next_due`).

        If making the next page of a report raises, that passes through once and the report is over.
        """
        if self._in_flight is not None:
            return None
        while self._turning:
            self._turn(*self._turning.popleft())
        if self._lanes.boots or self._lanes.asks:
            self._expire(now)
        row = self._lanes.pick(now.mono)
        if row is not None and row.stored and self._is_of_offline(row):
            return msgspec.structs.replace(row, offline=True)
        return row

    def _is_of_offline(self, row: Row) -> bool:
        """What is told now of an earlier run, a transaction that it left open, has seen no connection of this one."""
        return row.id & ((1 << 56) - 1) <= self._offline_to or row.instant.boot != self._boot

    def sent(self, row: Row) -> None:
        """The row is being written to the socket."""
        self._in_flight = row
        self._sent[row.message_id] = row
        self._lanes.note_sent(row)

    def hold_on(self, token: str, successor: str) -> None:
        """The reply that holds messages back goes by another token from now on."""
        self._lanes.hold_on(token, successor)

    def release(self, token: str) -> None:
        """The reply that held messages back has left, or died with its connection."""
        self._lanes.release(token)

    def _expire(self, now: Now) -> None:
        for row in self._lanes.expired(now.mono):
            flying = self._in_flight is not None and self._in_flight.id == row.id
            self._settle(row)
            self._outcomes.append(TimedOut(row) if flying else NotSent(row, Why.TOO_LATE))

    def _leave(self, rows: list[Row], why: Why) -> None:
        """Rows that were taken out of their lanes."""
        for row in rows:
            self._sent.pop(row.message_id, None)
            self._pages.pop(row.id, None)
            if row.delivery in _OUTCOME_EVEN_IF_DROPPED:
                self._outcomes.append(NotSent(row, why))

    def _turn(self, pages: Iterator[Told], asked: bool) -> None:  # noqa: FBT001  # an entry of `_turning`
        page = next(pages, None)
        if page is not None:
            row = self._row(msgspec.structs.replace(page, asked=asked), DELIVERY[page.action], stored=False)
            self._pages[row.id] = pages
            self.joined([row], None)

    # -- what became of it -------------------------------------------------------------------------------------

    def acknowledged(self, message_id: str, response: object, now: Now) -> Answered | None:
        """The answer came, late or not. None: the row is settled already, or its asker was told TimedOut.

        Writes nothing and survives a failing step, so it is called before the step that handles the answer.
        """
        row = self._land(message_id)
        if row is None:
            return None
        self._settle(row)
        if row.stored:
            self._ledger.settled(row, now)
        return Answered(row, response)

    def refused(self, message_id: str, error: RpcError, now: Now) -> Refused | Again | None:
        """A CALLERROR came; None if the row is settled. The next step writes the attempt."""
        row = self._land(message_id)
        if row is None:
            return None
        return self._again(row, now) or Refused(self._give_up(row, f"refused: {error}"), error, row.stored)

    def timed_out(self, message_id: str, now: Now) -> TimedOut | Again | None:
        """No answer within MessageTimeout; None if the row is settled. The next step writes the attempt."""
        row = self._land(message_id)
        if row is None:
            return None
        return self._again(row, now) or TimedOut(self._give_up(row, "no answer"), row.stored)

    def not_rendered(self, row: Row, reason: str) -> NotSent:
        """The negotiated version cannot express the row that `next` gave: to `undelivered`; it blocks nothing."""
        self._settle(row)
        if row.stored:
            self._ledger.gave_up(row, reason)
        return NotSent(row, Why.NOT_RENDERED)

    def outcomes(self) -> list[Outcome]:
        """Outcomes that nothing from outside brought, since last asked. Each is an input to the engine."""
        if not self._outcomes:
            return []
        taken = list(self._outcomes)
        self._outcomes.clear()
        return taken

    def _land(self, message_id: str) -> Row | None:
        """Take the row out of flight; None if it is settled."""
        if self._in_flight is not None and self._in_flight.message_id == message_id:
            self._in_flight = None
        return self._sent.get(message_id)

    def _again(self, row: Row, now: Now) -> Again | None:
        """Let the row wait for its next transmission; None if there is none."""
        attempts = row.attempts + 1
        if row.delivery is Delivery.GUARANTEED:  # A04.FR.02
            wait = min(max(self.settings.interval_s, RETRY_FLOOR_S) * attempts, RETRY_CEILING_S)
        elif (row.stored or row.delivery is Delivery.LATEST) and attempts < self.settings.attempts:  # E13.FR.02
            wait = self.settings.interval_s * attempts  # E13.FR.03
        else:
            return None
        row = msgspec.structs.replace(row, attempts=attempts)
        self._sent[row.message_id] = row
        self._lanes.wait(row, now.after(wait))
        if row.stored:
            self._ledger.failed(row)
        return Again(row, now.after(wait))

    def _give_up(self, row: Row, reason: str) -> Row:
        """E13.FR.04: the queue goes on with the next."""
        row = msgspec.structs.replace(row, attempts=row.attempts + 1)
        self._settle(row)
        if row.stored:
            self._ledger.gave_up(row, reason)
        return row

    def _settle(self, row: Row) -> None:
        self._sent.pop(row.message_id, None)
        self._lanes.remove(row)
        pages = self._pages.pop(row.id, None)
        if pages is not None:
            self._turning.append((pages, row.asked))

    # -- time --------------------------------------------------------------------------------------------------

    def next_due(self, now: Now) -> Mono | None:
        """When `due` has to be called in a step and `next` asked again, if nothing comes before; None: never."""
        flush_at, lanes = self._ledger.flush_at, self._lanes
        soonest = lanes.next_due(now.mono) if lanes.waits or lanes.boots or lanes.asks else None
        if soonest is None or flush_at is None:
            return flush_at if soonest is None else soonest
        return min(soonest, flush_at)

    def due(self, now: Now) -> None:
        """Inside a step: asks that came too late get their outcome, deletes that have waited are written."""
        self._expire(now)
        self._ledger.due(now)

    def flush(self) -> None:
        """Inside the last step of an orderly stop: delete what was acknowledged."""
        self._ledger.flush()

    def pin(self, stamped: Callable[[Row], Wall]) -> None:
        """Inside a step: rows that were sent and are not settled are stamped anew, for a later run."""
        self._spool.save_stamps([(stamped(row), row.id) for row in self._sent.values() if row.stored])

    # -- questions ---------------------------------------------------------------------------------------------

    def has_transactions(self, transaction_id: str | None = None) -> bool:
        """Whether an event of this transaction, or of any, is not yet delivered (E14.FR.04 to E14.FR.08)."""
        window = self._lanes.front(Lane.TRANSACTIONS)
        if self._ledger.tells(transaction_id) or any(transaction_id in (None, r.key) for r in window.rows.values()):
            return True
        return not window.is_whole and self._spool.holds(Lane.TRANSACTIONS, transaction_id, self._ledger.hidden())

    def hides(self, row_id: int) -> bool:
        """Whether a row on disk is settled, and only not deleted yet."""
        return self._ledger.hides(row_id)

    def action_of(self, message_id: str) -> str | None:
        """The action of a message that was sent; None if it is settled."""
        row = self._sent.get(message_id)
        if row is None and self._in_flight is not None and self._in_flight.message_id == message_id:
            row = self._in_flight
        return row.action if row else None

    def unsettled(self) -> Collection[str]:
        """The ids of all messages that were sent and are not settled."""
        return self._sent.keys()

    def is_of_this_run(self, row: Row) -> bool:
        """Whether the row was told since the start."""
        return not row.stored or row.id >> 32 & 0xFFFFFF == self._boot

    def in_memory(self) -> int:
        """Rows in memory; more may be on disk."""
        return self._lanes.in_memory()

    def undelivered(self) -> int:
        """How many messages were given up and are kept for the operator."""
        return self._spool.undelivered()

    def thinned(self) -> list[Thinned]:
        """What was dropped for want of space, since last asked: to be reported."""
        if not self._ledger.thinned:
            return []
        taken, self._ledger.thinned = self._ledger.thinned, []
        return taken

    # -- for the ledger ----------------------------------------------------------------------------------------

    def joined(self, rows: list[Row], held_by: str | None) -> None:
        """The messages of a step are committed: they may be sent, unless they have to wait for a reply."""
        why = Why.OFFLINE if self._lanes.gate is Gate.CLOSED else Why.GATED
        for row in rows:
            if leaving := self._lanes.add(row, held_by):
                self._leave(leaving, why)

    def dropped(self, ids: Collection[int]) -> None:
        """Transaction events were thinned out."""
        self._lanes.forget(Lane.TRANSACTIONS, ids)

    def spared(self) -> Collection[int]:
        """Rows that have been sent are not thinned out."""
        return {row.id for row in self._sent.values()}

    def _revive(self, record: Record) -> Row | None:
        """A row read from the disk, as it is now; None if it is settled."""
        if self._ledger.hides(record[0]):
            return None
        row = revived(record)
        if row.judged and not self.is_of_this_run(row):  # by another agent, perhaps, or by other limits
            row = msgspec.structs.replace(row, judged="")
        attempts = self._ledger.attempts(row.id, row.attempts)
        return row if attempts == row.attempts else msgspec.structs.replace(row, attempts=attempts)
