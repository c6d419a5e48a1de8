"""An outbox with a clock of the test, and short names for what an engine does with it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from station.now import Mono, Now, Wall
from station.ocpp.errors import ErrorCode, RpcError
from station.store.boots import Boots
from station.store.db import Database
from station.store.outbox import Gate, Outbox
from station.store.rows import Row, Told

ERROR = RpcError(ErrorCode.INTERNAL, "not today")
AWAY = 12_345.0


class Post:
    """One run of a station's queue. `path`: the database, opened again by each run."""

    def __init__(self, path: Path, gate: Gate = Gate.OPEN) -> None:
        self.db = Database.open(path)
        self.boot = Boots(self.db).begin(Mono(0), Wall(1e9))
        numbers = itertools.count(1)
        self.outbox = Outbox(self.db, self.boot, lambda: f"{self.boot}-{next(numbers)}")
        self.mono = 100.0
        if gate is not Gate.CLOSED:
            self.outbox.gate(gate)

    @property
    def now(self) -> Now:
        """The present."""
        return Now(self.boot, Mono(self.mono), Wall(1e9 + self.mono))

    # -- telling, each in a step of its own -----------------------------------------------------------------------

    def told(self, action: str, text: str = "", **more: Any) -> Told:
        """A message that happens now."""
        return Told(action, text.encode() or b"{}", self.now.instant, self.now.wall, **more)

    def tell(self, action: str, text: str = "", **more: Any) -> Row:
        """News."""
        with self.db.transaction():
            return self.outbox.tell(self.told(action, text, **more))

    def event(self, tx: str, text: str = "", **more: Any) -> Row:
        """A transaction event."""
        return self.tell("TransactionEvent", text or tx, key=tx, **more)

    def ask(self, action: str = "Authorize", text: str = "", by: float | None = None, **more: Any) -> Row:
        """A question."""
        with self.db.transaction():
            return self.outbox.ask(self.told(action, text, **more), by=None if by is None else Mono(by))

    def report(self, *texts: str, asked: bool = False) -> Iterator[Told]:
        """A report of several pages; the iterator that is left."""
        pages = (self.told("NotifyReport", text, asked=asked) for text in texts)
        with self.db.transaction():
            self.outbox.stream(next(pages), pages)
        return pages

    # -- sending ----------------------------------------------------------------------------------------------------

    def send(self) -> Row | None:
        """The next row goes out."""
        row = self.outbox.next(self.now)
        if row is not None:
            self.outbox.sent(row)
        return row

    def deliver(self) -> Row | None:
        """The next row goes out and is answered."""
        row = self.send()
        if row is not None:
            assert self.outbox.acknowledged(row.message_id, "fine", self.now) is not None
        return row

    def delivered(self, most: int = 1000) -> list[str]:
        """The texts of all that can go now, each answered."""
        rows = itertools.islice(iter(self.deliver, None), most)
        return [row.payload.decode() for row in rows if row is not None]

    def refuse(self) -> Any:
        """The next row goes out and is refused."""
        row = self.send()
        assert row is not None
        return self.outbox.refused(row.message_id, ERROR, self.now)

    def lose_link(self) -> None:
        """The connection is gone."""
        self.outbox.link_lost()

    def step(self) -> None:
        """Any step that is due."""
        with self.db.transaction():
            self.outbox.due(self.now)

    def stored(self) -> list[str]:
        """Texts of the rows on disk."""
        return [row[0].decode() for row in self.db.execute("SELECT payload FROM outbox ORDER BY id")]

    def kept(self, table: str) -> list[tuple[str, str]]:
        """(text, reason) of what was given up."""
        found = self.db.execute(f"SELECT payload, reason FROM {table}")  # noqa: S608  # a name from the test
        return [(payload.decode(), reason) for payload, reason in found]

    def restart(self) -> Post:
        """Power fails and comes back; the link is down."""
        path = self.db.path
        self.db.connection.close()
        return Post(path, Gate.CLOSED)
