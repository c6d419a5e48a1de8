"""The security log: what concerned the station's security, in a table that shows if somebody changed it (A04.FR.04).

Each entry carries the SHA-256 of its content and of the hash before it; where the oldest were rolled away, the hash of
the last of them is kept. So an entry that was changed, removed or put in between shows. Who rewrites the whole chain is
found by its last hash, if that was noted elsewhere: `head` gives it.
Invariant: an event is here when the step that noticed it has committed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

import msgspec

from station.now import Instant, Wall
from station.store.db import Database

KEPT = 5000
"""Entries; at most some 2 MB."""
ROLLED = KEPT // 10
"""So many go at once, that not every event has to remove one."""
LONGEST_INFO = 255

_NOTHING = b""
"""The hash before the first entry."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One event. `at`: its wall time, as known when it was written."""

    id: int
    boot: int
    mono: float
    at: Wall
    type: str
    info: str


class Head(msgspec.Struct, frozen=True):
    """The end of the chain: whoever notes it elsewhere can tell later that nothing before it was changed."""

    id: int
    hash: bytes


class SecurityLog:
    """Tables `security_log` and `security_log_base`. Nothing is held in memory."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, type_: str, info: str, at: Instant, wall: Wall) -> None:
        """One more; inside a step."""
        head = self.head()
        entry = Entry(id=head.id + 1, boot=at.boot, mono=at.mono, at=wall, type=type_, info=info[:LONGEST_INFO])
        row = (*msgspec.structs.astuple(entry), _chained(head.hash, entry))
        self._db.execute("INSERT INTO security_log VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        if entry.id - self._base().id > KEPT:
            self._roll(entry.id - KEPT + ROLLED)

    def _roll(self, last: int) -> None:
        row = self._db.execute("SELECT id, hash FROM security_log WHERE id <= ? ORDER BY id DESC", (last,)).fetchone()
        self._db.execute("INSERT OR REPLACE INTO security_log_base VALUES (0, ?, ?)", row)
        self._db.execute("DELETE FROM security_log WHERE id <= ?", (last,))

    def head(self) -> Head:
        """The last entry's number and hash; 0 before the first."""
        row = self._db.execute("SELECT id, hash FROM security_log ORDER BY id DESC LIMIT 1").fetchone()
        return Head(*row) if row is not None else self._base()

    def _base(self) -> Head:
        row = self._db.execute("SELECT last, hash FROM security_log_base").fetchone()
        return Head(*row) if row is not None else Head(0, _NOTHING)

    def has(self, oldest: Wall | None, latest: Wall | None) -> bool:
        """Whether anything was logged in that time."""
        low, high = -math.inf if oldest is None else oldest, math.inf if latest is None else latest
        row = self._db.execute("SELECT EXISTS (SELECT 1 FROM security_log WHERE at BETWEEN ? AND ?)", (low, high))
        return bool(row.fetchone()[0])

    def chained(self, after: int, limit: int) -> list[tuple[Entry, bytes]]:
        """As `entries`, each with its hash."""
        return list(self._rows(after, limit))

    def entries(self, after: int = 0, limit: int = KEPT) -> list[Entry]:
        """The oldest entries with a number above `after`."""
        return [entry for entry, _ in self._rows(after, limit)]

    def _rows(self, after: int, limit: int) -> Iterator[tuple[Entry, bytes]]:
        found = self._db.execute(
            "SELECT id, boot, mono, at, type, info, hash FROM security_log WHERE id > ? ORDER BY id LIMIT ?",
            (after, limit),
        )
        names = Entry.__struct_fields__
        for *values, hash_ in found:
            yield Entry(**dict(zip(names, values, strict=True))), hash_

    def flaw(self, noted: Head | None = None) -> str | None:
        """What does not fit together; None if nothing was changed. `noted`: a head that was seen before."""
        before = self._base()
        if noted is not None and noted.id == before.id and noted.hash != before.hash:
            return f"entry {noted.id} was not the one that was noted"
        unseen = noted is not None and noted.id > before.id
        for entry, hash_ in self._rows(0, KEPT + 1):
            if entry.id != before.id + 1:
                return f"between entries {before.id} and {entry.id} others are missing"
            if hash_ != _chained(before.hash, entry):
                return f"entry {entry.id} or the one before it is not as it was written"
            before = Head(entry.id, hash_)
            if noted is not None and noted.id == entry.id:
                if noted.hash != hash_:
                    return f"entry {entry.id} is not the one that was noted"
                unseen = False
        return f"entry {noted.id} is missing" if unseen and noted is not None else None


def _chained(before: bytes, entry: Entry) -> bytes:
    return hashlib.sha256(before + msgspec.json.encode(msgspec.structs.astuple(entry))).digest()
