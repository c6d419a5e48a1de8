"""The station as it left the factory: what its owner and its CSMS have set is forgotten, what it owes is not.

Kept are the transactions and messages that are not delivered, the numbers that never repeat, and what was logged.
"""

from __future__ import annotations

from typing import Final

from station.store.db import Database

KEPT: Final = frozenset(
    {
        "boot",  # instants of messages refer to it
        "doomed_key",  # they must still be destroyed
        "hard_wired_alarm",  # faults that the CSMS believes to be there
        "intent",
        "meta",
        "outbox",
        "poison",
        "security_log",
        "session",
        "session_begin",
        "session_sample",
        "undelivered",
    }
)
"""Tables that outlive a factory reset; whatever else there is was set by somebody."""

_DONE: Final = "factory_reset"


class FactoryState:
    """One station's database, as far as it can be forgotten."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def forget(self) -> list[str]:
        """Empty the tables, in the transaction of the caller; gives the names of those that held something.

        Memory is as it was: the station must be started anew at once.
        """
        self._db.execute(
            "INSERT OR IGNORE INTO doomed_key SELECT key FROM own_certificate UNION SELECT key FROM signing_request"
        )
        emptied = [name for name in self._tables() if self._emptied(name)]
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_DONE, ",".join(emptied)))
        return emptied

    def _tables(self) -> list[str]:
        rows = self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
        names = [str(name) for (name,) in rows]
        return [name for name in names if name not in KEPT and not name.startswith(("sqlite_", "security_"))]

    def _emptied(self, name: str) -> bool:
        ids = " WHERE name <> 'events'" if name == "monitoring" else ""  # ids of events never repeat
        return self._db.execute(f'DELETE FROM "{name}"{ids}').rowcount > 0  # noqa: S608 - names of our own tables

    def is_fresh(self) -> bool:
        """Whether this is the first start after a factory reset."""
        return self._db.execute("SELECT 1 FROM meta WHERE name = ?", (_DONE,)).fetchone() is not None

    def was_reset(self) -> str | None:
        """What the last start forgot, told once; None if it did not."""
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (_DONE,)).fetchone()
        if row is None:
            return None
        self._db.execute("DELETE FROM meta WHERE name = ?", (_DONE,))
        return str(row[0])
