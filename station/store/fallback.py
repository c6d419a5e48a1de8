"""What a station does while its disk takes no writes: it goes on with a copy of its database in memory.

A full or failing disk is a state, not a bug (design 6). The copy holds all that was committed, so every step stays a
transaction and running sessions go on with their events; when the disk works again the whole copy is written back in
one transaction, at an orderly stop at the latest. What was told meanwhile is lost only if the power fails too.
Invariant: the connection to the disk stays open (a restart cannot open what a running process can still read).
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from typing import TypeVar

from .db import Database, StoreFailed, readable, store_failure

log = logging.getLogger(__name__)

T = TypeVar("T")

MEMORY_BYTES = 8_000_000
"""By how much the copy may grow: 1 MB before that the outbox drops by its rules (E04.FR.08); beyond it is FULL."""


class Fallback:
    """Swaps the connection of a `Database` between disk and memory; it knows itself on which it runs."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @property
    def active(self) -> bool:
        """Whether the station runs on memory."""
        return self._db.disk is not None

    def attempt(self, work: Callable[[], T]) -> T:
        """Do it; if the disk fails, once more: at once where room was made, else in memory. Not inside a step."""
        try:
            return work()
        except StoreFailed as failed:
            log.error("store.failed", extra={"kind": failed.kind.name, "detail": failed.detail, "retry": failed.retry})  # noqa: TRY400 - a state, no bug
            if self.active:
                raise
            if not failed.retry:
                self.enter(failed)
            return self.attempt(work)

    def enter(self, why: StoreFailed) -> None:
        """Copy what the disk last committed and go on with the copy. Raises StoreFailed if it cannot even be read."""
        memory = sqlite3.connect(":memory:", isolation_level=None, cached_statements=256)
        memory.text_factory = readable
        try:
            self._db.connection.backup(memory)
        except sqlite3.Error as error:
            memory.close()
            raise (store_failure(error) or error) from error
        page_size = memory.execute("PRAGMA page_size").fetchone()[0]
        pages = memory.execute("PRAGMA page_count").fetchone()[0]
        memory.execute(f"PRAGMA max_page_count = {pages + MEMORY_BYTES // page_size}")
        self._db.disk, self._db.connection, self._db.failed = self._db.connection, memory, why

    def leave(self) -> StoreFailed | None:
        """Write everything back to the disk; gives why not if it still fails. Not inside a step."""
        disk = self._db.disk
        if disk is None:
            return None
        memory = self._db.connection
        try:
            memory.backup(disk)
            disk.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            failed = store_failure(error)
            if failed is None:
                raise
            return failed
        self._db.connection, self._db.disk, self._db.failed = disk, None, None
        memory.close()
        return None
