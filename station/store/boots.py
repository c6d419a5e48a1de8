"""Which boot this is, and what wall time each boot's monotonic clock meant (design 7, "Time").

Invariant: the estimate for a boot that never learned the time lies neither before the last time saved earlier nor after
the beginning of a later boot that learned it.
"""

from __future__ import annotations

import math

from station.now import BootId, Instant, Mono, Now, Wall

from .db import Database

_KEPT = 100
"""Boots remembered; rows older than that many starts are rendered by the oldest boot known."""
_STEP_S = 0.25
"""A better known offset is worth a write when it differs by this much."""


class Boots:
    """Table `boot`: offset (wall minus monotonic, seconds) of each start of the agent."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._offsets: dict[int, tuple[float, float | None]] = {}
        self._began: dict[int, float] = {}
        self._until: dict[int, float] = {}
        self._read()

    def load(self, now: Now) -> None:
        """Read the table again: what a failed step had learnt is not there, and is learnt once more."""
        del now
        self._read()

    def _read(self) -> None:
        rows = self._db.execute("SELECT id, guess, known FROM boot ORDER BY id").fetchall()
        self._offsets = {boot: (guess, known) for boot, guess, known in rows}
        self._began = dict(self._db.execute("SELECT id, mono FROM boot_began").fetchall())
        self._bound()

    def _bound(self) -> None:
        """Until when a boot may have lasted: the earliest beginning that is known of a later one."""
        until = math.inf
        for boot, (_, known) in reversed(self._offsets.items()):
            self._until[boot] = until
            if known is not None and boot in self._began:
                until = min(until, self._began[boot] + known)

    def begin(self, mono: Mono, wall: Wall) -> BootId:
        """Count this start, durably. `wall` is what the system clock says; a time saved earlier is the floor."""
        wall = max(wall, self.last_saved())
        with self._db.transaction():
            highest = self._db.execute(
                "SELECT max((SELECT coalesce(max(id), 0) FROM boot),"
                " coalesce((SELECT value FROM meta WHERE name = 'boots_used'), 0))"  # salvage: see there
            ).fetchone()[0]
            boot = BootId(int(highest) + 1)
            self._db.execute("INSERT INTO boot (id, guess) VALUES (?, ?)", (boot, wall - mono))
            self._db.execute("INSERT INTO boot_began VALUES (?, ?)", (boot, mono))
            self._db.execute("DELETE FROM boot WHERE id <= ?", (boot - _KEPT,))
            self._db.execute("DELETE FROM boot_began WHERE id <= ?", (boot - _KEPT,))
        self._read()
        return boot

    def learn(self, now: Now) -> None:
        """In a transaction: keep the offset of this boot if the clock is trusted and tells something new."""
        _, known = self._offsets[now.boot]
        offset = now.wall - now.mono
        if now.trusted and (known is None or abs(known - offset) >= _STEP_S):
            self._db.execute("UPDATE boot SET known = ? WHERE id = ?", (offset, now.boot))
            self._offsets[now.boot] = (self._offsets[now.boot][0], offset)
            self._bound()

    def save(self, wall: Wall) -> None:
        """In a transaction: the floor for the next boot's clock. Meant to ride with commits that are made anyway."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES ('saved_wall', ?)", (wall,))

    def last_saved(self) -> Wall:
        """The latest wall time that was saved; 0 if none ever was."""
        row = self._db.execute("SELECT value FROM meta WHERE name = 'saved_wall'").fetchone()
        return Wall(row[0] if row else 0.0)

    def knows(self, boot: BootId) -> bool:
        """Whether that boot has learnt the time from a source worth believing."""
        return self._offsets.get(boot, (0.0, None))[1] is not None

    def wall_of(self, instant: Instant) -> Wall:
        """The wall time of an instant, by the best offset there is for its boot."""
        boot = instant.boot if instant.boot in self._offsets else min(self._offsets)
        guess, known = self._offsets[boot]
        if known is not None:
            return Wall(instant.mono + known)
        return Wall(min(instant.mono + guess, self._until[boot]))
