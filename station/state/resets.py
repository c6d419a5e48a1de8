"""Resets that were asked for and are not done yet (B11, B12): of the station, or of single EVSEs.

Rows count for the start of the agent that wrote them: a new start has done whatever was wanted.
"""

from __future__ import annotations

from typing import NamedTuple

from station.now import Now
from station.store.db import Database

STATION = 0
"""The "EVSE" of a reset of the whole station."""


class Wanted(NamedTuple):
    """One reset. `immediate`: transactions are ended for it; else it waits until nobody is there."""

    evse_id: int
    immediate: bool
    reason: str


class Resets:
    """The table `reset` and its copy in memory: at most one reset for each EVSE, and one for the station."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._wanted: dict[int, Wanted] = {}
        self._boot = 0

    def load(self, now: Now) -> None:
        """Read what was asked for in this run."""
        self._boot = now.boot
        rows = self._db.execute("SELECT evse_id, immediate, reason FROM reset WHERE boot = ?", (now.boot,))
        self._wanted = {evse_id: Wanted(evse_id, bool(now_), reason) for evse_id, now_, reason in rows.fetchall()}

    def all(self) -> list[Wanted]:
        """What is wanted, the station first."""
        return sorted(self._wanted.values())

    def add(self, wanted: Wanted) -> None:
        """Keep a reset until it is done; a newer one for the same part replaces the older."""
        self._db.execute("INSERT OR REPLACE INTO reset VALUES (?, ?, ?, ?)", (*wanted[:2], wanted.reason, self._boot))
        self._wanted[wanted.evse_id] = wanted

    def done(self, wanted: Wanted) -> None:
        """Forget it."""
        self._db.execute("DELETE FROM reset WHERE evse_id = ?", (wanted.evse_id,))
        self._wanted.pop(wanted.evse_id, None)
