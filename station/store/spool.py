"""The queue's rows on disk, and the part of them that is in memory.

`Spool` is the SQL. `Window` is the front of one lane: some tens of rows, whatever the queue's length, because two
days without a link leave 100,000 rows. Rows of keys that have to wait are skipped, not loaded.
Invariant: of each key that is not skipped, the window holds the oldest rows, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from station.now import BootId, Instant, Mono, Wall

from .db import Database
from .rows import DELIVERY, Delivery, Lane, Row, lane_range

WINDOW = 64
_COLUMNS = "id, message_id, action, key, droppable, attempts, boot, mono, stamped, payload, judged"
_LANES = {lane.value: lane for lane in Lane}
Record = tuple[int, str, str, str, int, int, int, float, float, bytes, str]


class Spool:
    """Tables `outbox` and `undelivered`. Writing needs an open transaction."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def insert(self, rows: Iterable[Row]) -> None:
        """Store new rows."""
        self._db.connection.executemany(
            f"INSERT INTO outbox ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608  # constant text
            [
                (
                    *(r.id, r.message_id, r.action, r.key, r.droppable, r.attempts),
                    *(*r.instant, r.stamped, r.payload, r.judged),
                )
                for r in rows
            ],
        )

    def delete(self, ids: Iterable[int]) -> None:
        """Remove rows one by one: `id <= n` would take unacknowledged ones along."""
        self._db.connection.executemany("DELETE FROM outbox WHERE id = ?", [(i,) for i in ids])

    def save_attempts(self, attempts: Iterable[tuple[int, int]]) -> None:
        """Keep the number of failed transmissions of (row id, attempts)."""
        self._db.connection.executemany("UPDATE outbox SET attempts = ? WHERE id = ?", [(n, i) for i, n in attempts])

    def save_stamps(self, stamps: Iterable[tuple[Wall, int]]) -> None:
        """Keep another `stamped` of (it, row id)."""
        self._db.connection.executemany("UPDATE outbox SET stamped = ? WHERE id = ?", stamps)

    def give_up(self, row: Row, reason: str) -> None:
        """Move a row to `undelivered`."""
        self._db.execute(
            "INSERT OR REPLACE INTO undelivered VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (row.id, row.message_id, row.action, row.key, row.attempts, *row.instant, row.stamped, row.payload, reason),
        )
        self.delete([row.id])

    def read(self, lane: Lane, after: int, skip: Sequence[str], limit: int) -> list[Record]:
        """The oldest rows of a lane with an id above `after` whose key is not in `skip`."""
        holes = ", ".join("?" * len(skip))
        return self._db.execute(
            f"SELECT {_COLUMNS} FROM outbox WHERE id > ? AND id <= ? AND key NOT IN ({holes}) ORDER BY id LIMIT ?",  # noqa: S608 - only `?`
            (after, lane_range(lane)[1], *skip, limit),
        ).fetchall()

    def highest(self, lane: Lane) -> int:
        """The highest id of a lane; the lane's lowest possible id if it is empty."""
        low, high = lane_range(lane)
        found = self._db.execute("SELECT max(id) FROM outbox WHERE id BETWEEN ? AND ?", (low, high)).fetchone()[0]
        return int(found or low)

    def holds(self, lane: Lane, key: str | None, settled: Collection[int]) -> bool:
        """Whether a row with this key, or any, is stored beside the `settled`. Reads the lane: 1 ms per 1,000 rows."""
        low, high = lane_range(lane)
        found = self._db.execute(
            "SELECT id FROM outbox WHERE id BETWEEN ? AND ? AND (? IS NULL OR key = ?)", (low, high, key, key)
        )
        return any(row_id not in settled for (row_id,) in found)

    def droppable(self) -> list[tuple[str, int]]:
        """(transaction, Updated rows) of all queued transactions, the longest first. Reads the lane."""
        low, high = lane_range(Lane.TRANSACTIONS)
        return self._db.execute(
            "SELECT key, count(*) FROM outbox WHERE id BETWEEN ? AND ? AND droppable GROUP BY key ORDER BY 2 DESC, 1",
            (low, high),
        ).fetchall()

    def updates_of(self, key: str) -> list[tuple[int, int]]:
        """(id, bytes of payload) of the Updated rows of a transaction, the oldest first."""
        low, high = lane_range(Lane.TRANSACTIONS)
        return self._db.execute(
            "SELECT id, length(payload) FROM outbox WHERE id BETWEEN ? AND ? AND droppable AND key = ? ORDER BY id",
            (low, high, key),
        ).fetchall()

    def undelivered(self) -> int:
        """How many rows were given up and are kept."""
        return int(self._db.execute("SELECT count(*) FROM undelivered").fetchone()[0])

    def drop_oldest_undelivered(self, rows: int) -> int:
        """Make room: forget the oldest rows that were given up. Returns the bytes of their payloads."""
        found = self._db.execute("SELECT id, length(payload) FROM undelivered ORDER BY id LIMIT ?", (rows,)).fetchall()
        self._db.connection.executemany("DELETE FROM undelivered WHERE id = ?", [(i,) for i, _ in found])
        return sum(size for _, size in found)


class Window:
    """The front of one stored lane, oldest first."""

    def __init__(self, spool: Spool, lane: Lane, revive: Callable[[Record], Row | None]) -> None:
        self.rows: dict[int, Row] = {}
        self.skipped: set[str] = set()
        self.reaches_end = spool.highest(lane) == lane_range(lane)[0]
        """Whether no row comes after those that were loaded."""
        self._spool = spool
        self._lane = lane
        self._revive = revive
        self._loaded_to = lane_range(lane)[0]

    def add(self, row: Row) -> None:
        """A row was stored."""
        if row.key in self.skipped:
            return
        if self.reaches_end and len(self.rows) < WINDOW:
            self.rows[row.id] = row
            self._loaded_to = row.id
        else:
            self.reaches_end = False

    def refill(self, waiting: set[str]) -> bool:
        """Load more rows, passing over the keys that wait (whose first row stays). False if there are no more."""
        if self.reaches_end:
            return False
        kept: set[str] = set()
        for row in list(self.rows.values()):
            if row.key in waiting and row.key in kept:
                del self.rows[row.id]
            kept.add(row.key)
        self.skipped |= waiting
        records = self._spool.read(self._lane, self._loaded_to, sorted(self.skipped), WINDOW)
        self.reaches_end = len(records) < WINDOW
        for record in records:
            self._loaded_to = record[0]
            revived_row = self._revive(record)
            if revived_row is not None:
                self.rows[revived_row.id] = revived_row
        return bool(records)

    def reset(self) -> None:
        """Begin again from the oldest row on disk."""
        self.rows.clear()
        self.skipped.clear()
        self._loaded_to = lane_range(self._lane)[0]
        self.reaches_end = False

    @property
    def is_whole(self) -> bool:
        """Whether every row of the lane is in memory."""
        return self.reaches_end and not self.skipped


def revived(record: Record) -> Row:
    """A row as it was stored. An action of a newer agent is durable to this one."""
    number, message_id, action, key, droppable, attempts, boot, mono, stamped, payload, judged = record
    rule = DELIVERY.get(action)
    return Row(
        id=number,
        stored=True,
        lane=_LANES[number >> 56],
        delivery=rule.delivery if rule else Delivery.DURABLE,
        message_id=message_id,
        action=action,
        key=key,
        payload=payload,
        instant=Instant(BootId(boot), Mono(mono)),
        stamped=Wall(stamped),
        droppable=bool(droppable),
        attempts=attempts,
        judged=judged,
    )
