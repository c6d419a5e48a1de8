"""Intents: what shall happen to the station itself after a step, kept as rows until it was done (design A8).

A reboot or a reconnection must wait: for this step's reply to be on the wire, or for the transactions' events to be
delivered. The row outlives the process, so a power cut in between loses neither the deed nor its reason.
Invariant: at most one intent of a kind; a newer one replaces the older.
"""

from __future__ import annotations

import msgspec

from station.now import BootId, Mono, Now

from .db import Database


class _Data(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is stored with the row. `by` counts on the clock of `boot`."""

    boot: int
    reason: str = ""
    by: float | None = None


class Intent(msgspec.Struct, frozen=True):
    """One intent: `kind` is reconnect or reboot, `after` is now, reply or drained.

    `by`: when `drained` need not be true any more.
    """

    row_id: int
    kind: str
    after: str
    reason: str
    by: Mono | None
    boot: BootId


class Intents:
    """The table `intent` and its copy in memory."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.rows: list[Intent] = []
        """All there are, of earlier boots too."""
        self._boot = BootId(0)
        self._last = 0

    def load(self, now: Now) -> None:
        """Read the rows again."""
        self._boot = now.boot
        self.rows = []
        for row_id, kind, data, after in self._db.execute("SELECT id, kind, data, waits_for FROM intent ORDER BY id"):
            try:
                kept = msgspec.json.decode(data, type=_Data)
            except (msgspec.DecodeError, ValueError):
                continue
            by = Mono(kept.by) if kept.by is not None else None
            self.rows.append(Intent(row_id, kind, after, kept.reason, by, BootId(kept.boot)))
            self._last = max(self._last, row_id)

    def add(self, kind: str, *, after: str, reason: str = "", by: Mono | None = None) -> None:
        """Write an intent; inside a step."""
        data = msgspec.json.encode(_Data(boot=self._boot, reason=reason, by=by))
        self._db.execute("DELETE FROM intent WHERE kind = ?", (kind,))
        self._last += 1  # never used twice in a run: whoever carries intents out knows them by their id
        self._db.execute("INSERT INTO intent VALUES (?, ?, ?, ?)", (self._last, kind, data, after))
        self.rows = [row for row in self.rows if row.kind != kind]
        self.rows.append(Intent(self._last, kind, after, reason, by, self._boot))

    def pending(self) -> list[Intent]:
        """The intents of this boot that wait for their precondition."""
        return [row for row in self.rows if row.boot == self._boot] if self.rows else []

    def left_over(self, kind: str) -> Intent | None:
        """An intent of an earlier boot: a reboot that has happened by now, with the reason to tell."""
        return next((row for row in self.rows if row.kind == kind and row.boot != self._boot), None)

    def done(self, intent: Intent) -> None:
        """Forget an intent; inside a step."""
        self._db.execute("DELETE FROM intent WHERE id = ?", (intent.row_id,))
        self.rows = [row for row in self.rows if row.row_id != intent.row_id]
