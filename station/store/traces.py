"""Queued and given-up messages that contain a word: where a person may be named in what the CSMS is owed.

The tables are looked through in pieces: all 100,000 rows of two days offline would take some 0.2 s at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from .db import Database

SIGNED = "signedMeterData"
"""A meter's signed text may name whoever charges, and is packed so that no search sees it."""

_CONTAINS = "instr(lower(CAST(payload AS TEXT)), lower(?)) OR instr(payload, CAST(? AS BLOB))"


class Trace(msgspec.Struct, frozen=True):
    """A message that may contain the word. `given_up`: it is never sent (again), else it waits for delivery."""

    id: int
    action: str
    payload: bytes
    given_up: bool


class Place(NamedTuple):
    """How far a search has come: behind this row of the queue, or of what was given up, which is looked at last."""

    given_up: bool
    row_id: int


START = Place(given_up=False, row_id=0)


class Traces:
    """Tables `outbox` and `undelivered`, searched. `hides`: whether a queued row does not count any more."""

    def __init__(self, db: Database, hides: Callable[[int], bool]) -> None:
        self._db = db
        self._hides = hides

    def piece(self, word: str, behind: Place, rows: int) -> tuple[list[Trace], Place | None]:
        """Messages that contain the word in any case, or something signed, among so many rows; None: it was the last.

        Rows that are told meanwhile have higher ids, and rows that are given up come to where it is looked later: a
        message that is there from the first piece to the last is found.
        """
        needle = msgspec.json.encode(word).decode()[1:-1]
        table = "undelivered" if behind.given_up else "outbox"
        found = self._db.execute(
            f"SELECT id, action, CASE WHEN {_CONTAINS} THEN payload END FROM {table} WHERE id > ? ORDER BY id LIMIT ?",  # noqa: S608 - constants of ours
            (needle, SIGNED, behind.row_id, rows),
        ).fetchall()
        traces = [
            Trace(row_id, action, payload, behind.given_up)
            for row_id, action, payload in found
            if payload is not None and (behind.given_up or not self._hides(row_id))
        ]
        if len(found) == rows:
            return traces, Place(behind.given_up, found[-1][0])
        return traces, None if behind.given_up else Place(given_up=True, row_id=0)

    def rewrite(self, trace: Trace, payload: bytes) -> None:
        """Other words for a message that was given up; what waits for delivery is never changed."""
        if not trace.given_up:
            raise ValueError("a message that waits for delivery is not changed")
        self._db.execute("UPDATE undelivered SET payload = ? WHERE id = ?", (payload, trace.id))
