"""With which times messages leave, once it is known how far off the clock was when they were told (design 7, "Time").

A queued message is moved by what its boot's clock turned out to be off (A10). What was sent once is repeated with the
same times (E13), also after a restart; within a transaction no time that the CSMS has seen is followed by an earlier
one, so what it has seen is kept when the clock is set: only then do both not follow from the offsets alone.
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from station.now import Instant, Mono, Now, Wall
from station.ocpp.messages import TransactionEventRequest
from station.store.boots import Boots
from station.store.db import Database
from station.store.outbox import Outbox
from station.store.rows import Row

log = logging.getLogger(__name__)

RESTAMP_S = 0.5
"""A message is stamped anew when its boot's clock turned out to be this much off (design A10)."""
SETTLED_KEPT = 64
"""So many are kept before those that were settled are looked for."""
_KEPT = "told_until"


class Stamps:
    """Of one station. `shift_s` is asked for each message as it leaves."""

    def __init__(self, *, db: Database, boots: Boots, outbox: Outbox) -> None:
        self._db = db
        self._boots = boots
        self._outbox = outbox
        self._shifts: dict[str, float] = {}
        """By message id: by how much a message that was sent had been moved in time; until it is settled, or longer."""
        row = db.execute("SELECT value FROM meta WHERE name = ?", (_KEPT,)).fetchone()
        self._told_until: dict[str, float] = _decoded(row[0]) if row else {}
        """By transaction: the time of its last event that the CSMS has seen; none that follows is earlier."""
        self._known: dict[str, float] = {}
        """By transaction: the same, as an earlier run left it; holds for what was told in this one."""

    def shift_s(self, row: Row, message: Any) -> float:
        """By how much the message's times are moved as it leaves; a repetition repeats what was sent first (E13)."""
        if row.message_id in self._shifts and self._outbox.action_of(row.message_id) is not None:
            return self._shifts[row.message_id]
        shift_s = self._boots.wall_of(row.instant) - row.stamped
        shift_s = shift_s if abs(shift_s) >= RESTAMP_S else 0.0
        if isinstance(message, TransactionEventRequest):
            shift_s = self._in_order(row, message, shift_s)
        if len(self._shifts) >= SETTLED_KEPT:
            unsettled = self._outbox.unsettled()
            self._shifts = {each: by for each, by in self._shifts.items() if each in unsettled}
        self._shifts[row.message_id] = shift_s
        return shift_s

    def _in_order(self, row: Row, message: TransactionEventRequest, shift_s: float) -> float:
        """Not before what the CSMS has seen.

        What was held up by the event before it when it was told (its time is then later than `stamped`) goes back to
        its own time if the clock was wrong; of an earlier run's it is not known any more what the CSMS had seen.
        """
        told, key = message.timestamp.timestamp(), row.key
        seen, known = self._told_until.get(key, 0.0), self._known.get(key, 0.0)
        if (shift_s or known > seen) and self._outbox.is_of_this_run(row):
            seen = max(seen, known)
            if shift_s:
                shift_s -= max(0.0, told - row.stamped)
        shift_s = max(shift_s, seen - told)
        self._told_until[key] = told + shift_s
        if message.event_type == "Ended":
            self.dropped(row)
        return shift_s

    def seen_until(self, transaction_id: str, at_least: float) -> float:
        """The latest wall time of this transaction that the CSMS has seen; an earlier run knew of `at_least`."""
        self._known.setdefault(transaction_id, at_least)
        return max(at_least, self._told_until.get(transaction_id, 0.0))

    def dropped(self, row: Row) -> None:
        """The row is the last of its transaction, or will never be sent."""
        if not row.droppable:
            self._told_until.pop(row.key, None)
            self._known.pop(row.key, None)

    def learn(self, now: Now) -> None:
        """In a step: keep the offset of this boot, and what has already been said by the former one."""
        here = Instant(now.boot, Mono(0.0))
        before = self._boots.wall_of(here)
        self._boots.learn(now)
        if self._boots.wall_of(here) == before:
            return
        self._outbox.flush()  # what was answered is not said again
        self._outbox.pin(lambda row: Wall(self._boots.wall_of(row.instant) - self._shifts.get(row.message_id, 0.0)))
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_KEPT, msgspec.json.encode(self._told_until)))


def _decoded(kept: bytes) -> dict[str, float]:
    try:
        return msgspec.json.decode(kept, type=dict[str, float])
    except (msgspec.DecodeError, TypeError) as error:
        log.error("state.bad_row", extra={"table": "meta", "reason": str(error)})  # noqa: TRY400 - the row matters
        return {}
