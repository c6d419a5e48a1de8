"""How a transaction begins and ends, and who takes part in that."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import Protocol


class Participant(Protocol):
    """An owner of tables that keeps part of them in memory, and so must know how a transaction ended."""

    def must_write(self) -> bool:
        """Whether something of its own has to go with this commit, even if nothing else was written."""
        ...

    def before_commit(self) -> None:
        """Write, in the transaction; called only when the transaction writes anyway or someone `must_write`."""
        ...

    def committed(self) -> None:
        """The transaction is durable (or had nothing to make durable)."""
        ...

    def rolled_back(self) -> None:
        """Nothing of the transaction was kept."""
        ...


class Store(Protocol):
    """What a transaction needs of its database."""

    connection: sqlite3.Connection

    def count_commit(self) -> None:
        """Something is about to be written."""
        ...

    def raise_if_store(self, error: BaseException) -> None:
        """Raise StoreFailed if the medium is behind an exception."""
        ...


class Transaction:
    """The one transaction that a database can have open: begun and ended, again and again, by a `with` statement."""

    def __init__(self, db: Store) -> None:
        self._db = db
        self._changes = 0
        self.open = False
        self.participants: list[Participant] = []

    def __enter__(self) -> None:
        if self.open:
            raise RuntimeError("transactions do not nest: one input is one transaction")
        self.open = True
        try:
            self._db.connection.execute("BEGIN DEFERRED")
        except BaseException as error:
            self._abandon(error)
            raise
        self._changes = self._db.connection.total_changes

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None:
            self._abandon(error)
            return
        try:
            self._commit()
        except BaseException as failed:
            self._abandon(failed)
            raise
        self.open = False
        for participant in self.participants:
            participant.committed()

    def _commit(self) -> None:
        connection = self._db.connection
        if connection.total_changes != self._changes or self._must_write():
            for participant in self.participants:
                participant.before_commit()
            self._db.count_commit()
        connection.execute("COMMIT")

    def _must_write(self) -> bool:
        for participant in self.participants:  # noqa: SIM110 - `any` would make a generator in each step
            if participant.must_write():
                return True
        return False

    def _abandon(self, error: BaseException) -> None:
        """Nothing of it is kept. Raises StoreFailed if the medium is why."""
        self.open = False
        connection = self._db.connection
        if connection.in_transaction:  # after FULL and IOERR SQLite has rolled back by itself
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        for participant in self.participants:
            participant.rolled_back()
        self._db.raise_if_store(error)
