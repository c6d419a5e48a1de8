"""Of which certificates' end the CSMS was warned, so that it is told once for each step of the way."""

from __future__ import annotations

from collections.abc import Collection

from station.now import Now
from station.store.db import Database


class ExpiryTold:
    """Table expiry_told: certificates by the SHA-256 of their DER, and how many days ahead the last warning was."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._days: dict[str, int] = {}

    def load(self, now: Now) -> None:
        """Read the table."""
        del now
        self._days = dict(self._db.execute("SELECT fingerprint, days FROM expiry_told").fetchall())

    def days(self, fingerprint: str) -> int | None:
        """How many days ahead its last warning was; None if there was none."""
        return self._days.get(fingerprint)

    def told(self, fingerprint: str, days: int) -> None:
        """It has been warned of; inside a step."""
        self._db.execute("INSERT OR REPLACE INTO expiry_told VALUES (?, ?)", (fingerprint, days))
        self._days[fingerprint] = days

    def keep_only(self, fingerprints: Collection[str]) -> None:
        """The others are no longer installed; inside a step."""
        for gone in self._days.keys() - set(fingerprints):
            self._db.execute("DELETE FROM expiry_told WHERE fingerprint = ?", (gone,))
            del self._days[gone]
