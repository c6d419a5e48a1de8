"""What the queue owes to the disk: new rows, acknowledged ones to delete, failed attempts, rows given up.

New rows, attempts and rows given up go with the step that told them. Deletes ride with any commit that writes anyway,
else go after 30 s, at 16 rows, or at an orderly stop: so an Updated costs one fsync, not two. A power cut in between
repeats a message, identical.
Invariant: what is kept here is forgotten only after the commit that wrote it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from station.now import Mono, Now

from .db import Database
from .quota import Thinned, thin
from .rows import Lane, Row
from .spool import Spool

FLUSH_AFTER_S = 30.0
FLUSH_AT_ROWS = 16
_AGAIN_AFTER_S = 10.0
"""A flush that the medium refused is tried again after so long."""
_QUOTA_LOOK_EVERY = 16
_SPARE_BYTES = 1_000_000
"""Kept free where the database has a limit of its own."""


class Queue(Protocol):
    """What the ledger tells the queue that owns it."""

    def joined(self, rows: list[Row], held_by: str | None) -> None:
        """The messages of a step are committed; with `held_by` they wait for a reply."""
        ...

    def dropped(self, ids: Collection[int]) -> None:
        """Transaction events are no longer on disk (quota)."""
        ...

    def spared(self) -> Collection[int]:
        """Rows that must not be dropped, since they have been sent."""
        ...


class Ledger:
    """Takes part in every transaction (`db.Participant`)."""

    def __init__(self, db: Database, spool: Spool, queue: Queue) -> None:
        self.quota_bytes = 0
        self.held_by: str | None = None
        self.flush_at: Mono | None = None
        self.undeliverable: dict[int, tuple[Row, str]] = {}
        self.thinned: list[Thinned] = []
        self._db = db
        self._spool = spool
        self._queue = queue
        self._told: list[Row] = []
        self._settled: dict[int, None] = {}
        self._attempts: dict[int, int] = {}
        self._written: tuple[list[int], list[int], list[int]] = ([], [], [])
        self._dropped: list[int] = []
        self._thinned: list[Thinned] = []
        self._flush_now = False
        self._inserts = 0
        self._now = Mono(0.0)

    # -- entries -----------------------------------------------------------------------------------------------

    def told(self, row: Row) -> None:
        """A message of the open step."""
        self._told.append(row)

    def settled(self, row: Row, now: Now) -> None:
        """An acknowledged stored row: to be deleted some time."""
        self._settled[row.id] = None
        self._attempts.pop(row.id, None)
        if self.flush_at is None:
            self.flush_at = now.after(FLUSH_AFTER_S)
        if len(self._settled) >= FLUSH_AT_ROWS:
            self.flush_at = min(self.flush_at, now.mono)

    def failed(self, row: Row) -> None:
        """The row carries a new number of attempts."""
        self._attempts[row.id] = row.attempts

    def gave_up(self, row: Row, reason: str) -> None:
        """The row moves to `undelivered`."""
        self.undeliverable[row.id] = (row, reason)
        self._attempts.pop(row.id, None)

    # -- questions ---------------------------------------------------------------------------------------------

    def hides(self, row_id: int) -> bool:
        """Whether a row on disk does not count any more."""
        return row_id in self._settled or row_id in self.undeliverable

    def hidden(self) -> list[int]:
        """The ids of all such rows."""
        return [*self._settled, *self.undeliverable]

    def attempts(self, row_id: int, stored: int) -> int:
        """The failed transmissions of a row, of which the disk knows `stored`."""
        return self._attempts.get(row_id, stored)

    def tells(self, transaction: str | None = None) -> bool:
        """Whether the open step told an event of this transaction, or of any."""
        return any(row.lane is Lane.TRANSACTIONS and transaction in (None, row.key) for row in self._told)

    def due(self, now: Now) -> None:
        """Let the transaction that is open write, if deletes have waited long enough."""
        if self.flush_at is not None and self.flush_at <= now.mono:
            self._now = now.mono
            self.flush()

    def flush(self) -> None:
        """Let the open transaction write whatever is owed."""
        self._flush_now = bool(self._settled)

    # -- Participant -------------------------------------------------------------------------------------------

    def must_write(self) -> bool:
        """See `db.Participant`."""
        owed = self._flush_now or self.undeliverable or self._attempts
        return bool(owed or (self._told and any(row.stored for row in self._told)))

    def before_commit(self) -> None:
        """See `db.Participant`."""
        self._written = (list(self._settled), list(self.undeliverable), list(self._attempts))
        if self._settled:
            self._spool.delete(
                self._settled
            )  # first: the new row then takes the place, and one page is written instead of four
        if self._attempts:
            self._spool.save_attempts(self._attempts.items())
        for row, reason in self.undeliverable.values():
            self._spool.give_up(row, reason)
        stored = [row for row in self._told if row.stored]
        if stored:
            self._spool.insert(stored)
            self._watch_quota(len(stored))

    def committed(self) -> None:
        """See `db.Participant`."""
        settled, undelivered, attempts = self._written
        for row_id in settled:
            self._settled.pop(row_id, None)
        for row_id in undelivered:
            self.undeliverable.pop(row_id, None)
        for row_id in attempts:
            self._attempts.pop(row_id, None)
        if settled and not self._settled:
            self.flush_at = None
        told, self._told = self._told, []
        if self._dropped:
            self.thinned += self._thinned
            self._queue.dropped(self._dropped)
        held_by = self.held_by
        self._end_step()
        if told:
            self._queue.joined(told, held_by)

    def rolled_back(self) -> None:
        """See `db.Participant`."""
        self._told = []
        if self._flush_now:
            self.flush_at = Mono(self._now + _AGAIN_AFTER_S)
        self._end_step()

    def _end_step(self) -> None:
        self._written = ([], [], [])
        self._flush_now = False
        self._dropped = []
        self._thinned = []
        self.held_by = None

    def _watch_quota(self, rows: int) -> None:
        """E04.FR.07, E04.FR.08: never stop queueing; above the quota drop Updated events instead."""
        self._inserts += rows
        if not self.quota_bytes or self._inserts < _QUOTA_LOOK_EVERY:
            return
        self._inserts = 0
        quota = min(self.quota_bytes, self._db.capacity_bytes() - _SPARE_BYTES)
        excess = self._db.used_bytes() - quota
        if excess > 0:
            self._thinned, self._dropped = thin(self._spool, excess + quota // 16, self._queue.spared())
