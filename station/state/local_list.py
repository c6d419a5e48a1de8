"""The local authorization list: the tokens that the CSMS manages here (D01, D02), its tables, and questions about it.

A look-up is one search in the primary key; nothing but the head is held in memory, so 50,000 entries cost a start
nothing. Every update has a generation of its own and is written in as many steps as it takes; one small row makes it
valid, and what it superseded is cleaned away in steps. Tokens are stored as hashes.
Invariant: wherever a power cut falls, the list is the old one or the new one, never a mixture.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import msgspec

from station.now import Now
from station.ocpp import codec
from station.ocpp.types import IdTokenInfoType, IdTokenType
from station.state.tokens import digest
from station.store.db import Database

log = logging.getLogger(__name__)


class Head(msgspec.Struct, frozen=True):
    """What is valid: generations `base` to `top`. Up to `cleaned` nothing superseded is left in the table."""

    base: int = 0
    top: int = 0
    cleaned: int = 0
    version: int = 0
    entries: int = 0


class Entry(msgspec.Struct, frozen=True):
    """One line of an update; without `info` the token is to be removed (D01.FR.17)."""

    token: bytes
    info: IdTokenInfoType | None


def entry(id_token: IdTokenType, info: IdTokenInfoType | None) -> Entry:
    """A line of an update. Equal tokens (C01.FR.25) have equal `token`."""
    return Entry(digest(id_token), info)


class LocalList:
    """The list of one station."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._head = Head()
        self._cleaned_to = b""

    def load(self, now: Now) -> None:
        """Read the head; the rest stays where it is."""
        del now
        row = self._db.execute("SELECT base, top, cleaned, version, entries FROM local_list_head").fetchone()
        self._head = Head(*row) if row is not None else Head()
        self._cleaned_to = b""

    # --- questions

    @property
    def version(self) -> int:
        """As the CSMS numbered it; 0 as long as none has come (D02.FR.02)."""
        return self._head.version

    @property
    def entries(self) -> int:
        """How many tokens are in the list."""
        return self._head.entries

    def find(self, id_token: IdTokenType) -> IdTokenInfoType | None:
        """What the list says of a token, whether or not its cacheExpiryDateTime has passed."""
        info = self._info(digest(id_token))
        try:
            return codec.load(IdTokenInfoType, info) if info is not None else None
        except ValueError as error:
            log.warning("state.bad_row", extra={"table": "local_list", "reason": str(error)})
            return None

    def _info(self, token: bytes) -> bytes | None:
        row = self._db.execute(
            "SELECT info FROM local_list WHERE token = ? AND generation BETWEEN ? AND ? "
            "ORDER BY generation DESC LIMIT 1",
            (token, self._head.base, self._head.top),
        ).fetchone()
        return row[0] if row is not None else None

    # --- an update: prepared, staged in pieces, made valid

    def discard(self, most: int) -> bool:
        """Delete up to `most` rows of an update that never became valid; gives whether none is left."""
        return self._delete_rows("generation > ?", self._head.top, most)

    def stage(self, lines: Iterable[Entry]) -> None:
        """Write a piece of the next update, which is not valid yet."""
        generation = self._head.top + 1
        self._db.connection.executemany(
            "INSERT INTO local_list VALUES (?, ?, ?)",
            [(line.token, generation, None if line.info is None else codec.dump(line.info)) for line in lines],
        )

    def change_by(self, lines: Iterable[Entry]) -> int:
        """By how much a differential update with these lines changes the number of entries."""
        return sum((line.info is not None) - (self._info(line.token) is not None) for line in lines)

    def make_valid(self, version: int, entries: int, *, full: bool) -> None:
        """The staged update is the list, or is part of it, from now on. `entries`: of the whole list."""
        generation = self._head.top + 1
        base, cleaned = (generation, generation) if full else (self._head.base, self._head.cleaned)
        self._keep_head(Head(base, generation, cleaned, version, entries))

    def _keep_head(self, head: Head) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO local_list_head VALUES (0, ?, ?, ?, ?, ?)", msgspec.structs.astuple(head)
        )
        self._head = head

    # --- cleaning up

    @property
    def is_clean(self) -> bool:
        """Whether nothing superseded is left. Two searches in the index of generations."""
        head = self._head
        outside = self._db.execute(
            "SELECT EXISTS (SELECT 1 FROM local_list WHERE generation < ?) "
            "OR EXISTS (SELECT 1 FROM local_list WHERE generation > ?)",
            (head.base, head.top),
        ).fetchone()[0]
        return head.cleaned == head.top and not outside

    def clean(self, most: int) -> None:
        """One piece of cleaning: up to `most` rows are looked at. Not while an update is staged."""
        if not self._delete_rows("generation < ?", self._head.base, most) or not self.discard(most):
            return
        if self._head.cleaned < self._head.top:
            self._clean_layer(self._head.cleaned + 1, most)

    def _delete_rows(self, condition: str, generation: int, most: int) -> bool:
        rows = self._db.execute(
            f"SELECT token, generation FROM local_list WHERE {condition} LIMIT ?",  # noqa: S608 - a constant of ours
            (generation, most),
        ).fetchall()
        self._delete(rows)
        return len(rows) < most

    def _delete(self, rows: Sequence[tuple[bytes, int]]) -> None:
        self._db.connection.executemany("DELETE FROM local_list WHERE token = ? AND generation = ?", rows)

    def _clean_layer(self, generation: int, most: int) -> None:
        """Delete what the rows of a differential update have superseded, and the rows that only say so."""
        rows = self._db.execute(
            "SELECT token, info IS NULL FROM local_list WHERE generation = ? AND token > ? ORDER BY token LIMIT ?",
            (generation, self._cleaned_to, most),
        ).fetchall()
        self._db.connection.executemany(
            "DELETE FROM local_list WHERE token = ? AND generation < ?", [(token, generation) for token, _ in rows]
        )
        self._delete([(token, generation) for token, removed in rows if removed])
        if len(rows) == most:
            self._cleaned_to = rows[-1][0]
            return
        self._cleaned_to = b""
        self._keep_head(msgspec.structs.replace(self._head, cleaned=generation))
