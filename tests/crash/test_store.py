"""Power is cut at every write of the store: when it is made, and in sessions whose events pass through the queue.

The promise: what left the station is on the medium; whatever was told and not acknowledged is still in the queue, in
order, with the same id and content; and the file is sound. The mutants at the end show that a broken promise would be
seen.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from station.now import Mono, Now, Wall
from station.ocpp.errors import ErrorCode, RpcError
from station.store import db as database
from station.store.boots import Boots
from station.store.db import Database
from station.store.migrations import SCHEMA, migrate
from station.store.outbox import Gate, Outbox
from station.store.rows import Told
from tests.crash.medium import Report, power_cuts
from tests.crash.recorder import VFS, Recorder

LAST = 4
"""The seqNo of a session's last event."""
FILLING = b"0123456789" * 74


class Left(NamedTuple):
    """A mark: something left the station. `what`: told (a contactor closed on it, say), sent or acknowledged."""

    what: str
    payload: bytes
    message_id: str


class Station:
    """As little of a station as has sessions: a table that counts events, and the queue."""

    def __init__(self, root: Path, vfs: str | None = None) -> None:
        self.db = Database.open(root / "station.db", vfs=vfs)
        self.db.execute("PRAGMA wal_autocheckpoint = 30")  # so that checkpoints are cut, too
        self.db.execute("CREATE TABLE IF NOT EXISTS tx (id TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID")
        boot = Boots(self.db).begin(Mono(0), Wall(1e9))
        numbers = itertools.count(1)
        self.outbox = Outbox(self.db, boot, lambda: f"{boot:08d}-{next(numbers):027d}")
        self.outbox.gate(Gate.OPEN)
        self.now = Now(boot, Mono(0), Wall(1e9))

    def event(self, tx: str, *, last: bool = False) -> Left:
        """One step: count and tell, together."""
        with self.db.transaction():
            self.db.execute("INSERT INTO tx VALUES (?, 0) ON CONFLICT DO UPDATE SET seq = seq + 1", (tx,))
            seq = self.db.execute("SELECT seq FROM tx WHERE id = ?", (tx,)).fetchone()[0]
            if last:
                self.db.execute("DELETE FROM tx WHERE id = ?", (tx,))
            payload = b"%s %d %s" % (tx.encode(), seq, FILLING)
            row = self.outbox.tell(Told("TransactionEvent", payload, self.now.instant, self.now.wall, key=tx))
        return Left("told", payload, row.message_id)

    def queued(self) -> list[tuple[str, bytes]]:
        """(message id, payload) of all that would be sent, in order."""
        found = []
        while (row := self.outbox.next(self.now)) is not None:
            found.append((row.message_id, row.payload))
            self.outbox.sent(row)
            self.outbox.acknowledged(row.message_id, None, self.now)
        return found


def sessions(station: Station, recorder: Recorder, *, effects_first: bool = False) -> None:
    """Three sessions of five events: most are answered, one is refused for good, some are left waiting."""
    refused = RpcError(ErrorCode.INTERNAL)
    for tx in ("A", "B", "C"):
        for n in range(LAST + 1):
            if effects_first:
                payload = b"%s %d %s" % (tx.encode(), n, FILLING)
                recorder.mark(Left("told", payload, ""))
            told = station.event(tx, last=n == LAST)
            if not effects_first:
                recorder.mark(told)
            if tx == "C" and n > 1:
                continue  # the link is slow: these wait
            row = station.outbox.next(station.now)
            assert row is not None
            station.outbox.sent(row)
            recorder.mark(Left("sent", row.payload, row.message_id))
            recorder.mark(Left("acknowledged", row.payload, row.message_id))
            station.outbox.acknowledged(row.message_id, None, station.now)
    row = station.outbox.next(station.now)
    assert row is not None
    station.outbox.sent(row)
    station.outbox.configure(station.outbox.settings._replace(attempts=1))
    station.outbox.refused(row.message_id, refused, station.now)
    recorder.mark(Left("acknowledged", row.payload, row.message_id))  # given up counts as settled
    with station.db.transaction():
        station.outbox.flush()


def nothing_lost(root: Path, marks: Sequence[Any]) -> None:
    """The oracle: boot from the image and look at the queue."""
    station = Station(root)
    try:
        assert station.db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        queue = station.queued()
        settled = {mark.payload for mark in marks if mark.what == "acknowledged"}
        told = [mark.payload for mark in marks if mark.what == "told"]
        payloads = [payload for _, payload in queue]
        ended = {payload[:1].decode() for payload in payloads if payload.split()[1] == b"%d" % LAST}
        missing = [payload[:4] for payload in told if payload not in settled and payload not in payloads]
        assert not missing, f"lost {missing}"
        for mark in marks:
            for message_id, payload in queue:
                assert (mark.message_id == message_id) == (mark.payload == payload) or not mark.message_id
        for tx, of_tx in itertools.groupby(payloads, lambda payload: payload[:1]):
            seqs = [int(payload.split()[1]) for payload in of_tx]
            assert seqs == list(range(seqs[0], seqs[0] + len(seqs))), f"order of {tx!r}"
        counted = dict(station.db.execute("SELECT id, seq FROM tx").fetchall())
        for tx, of_tx in itertools.groupby(told, lambda payload: payload[:1].decode()):
            highest = max(int(payload.split()[1]) for payload in of_tx)
            assert highest == LAST or counted.get(tx, -1) >= highest or tx in ended, f"seqNo of {tx} would repeat"
    finally:
        station.db.close()


def cut(recorder: Recorder, scratch: Path, *, start: int = 0, enough: int | None = None) -> Report:
    """Cut the power everywhere from operation `start` on, or until that many cuts have lost something."""
    return power_cuts(recorder.log, nothing_lost, scratch / "image", start=start, enough=enough)


@pytest.mark.req("E04.FR.01")
def test_no_power_cut_loses_a_transaction_event(recorder: Recorder, fast: Path) -> None:
    """From the creation of the file to an orderly stop."""
    station = Station(recorder.root, VFS)
    sessions(station, recorder)
    station.db.close()

    report = cut(recorder, fast)

    assert report.images > 300
    assert report.violations == []


def test_a_power_cut_in_a_migration_leaves_the_old_schema_or_the_new(recorder: Recorder, fast: Path) -> None:
    """A migration is one transaction."""
    old = Path(SCHEMA)
    schema = fast / "schema"
    schema.mkdir()
    for path in old.glob("*.sql"):
        (schema / path.name).write_text(path.read_text())
    Database.open(recorder.root / "station.db", vfs=VFS, schema=schema).close()
    start = len(recorder.log)
    (schema / "9000_more.sql").write_text("CREATE TABLE more (a);\nINSERT INTO more VALUES (1);\n")
    Database.open(recorder.root / "station.db", vfs=VFS, schema=schema).close()
    recorder.mark("migrated")

    def both_or_none(root: Path, marks: Sequence[Any]) -> None:
        connection = sqlite3.connect(root / "station.db")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'more'").fetchone()[0]
        connection.close()
        assert (version == 9000) == (tables == 1)
        assert version == 9000 or not marks

    report = power_cuts(recorder.log, both_or_none, fast / "image", start=start)

    assert report.images > 10
    assert report.violations == []


def test_mutant_synchronous_normal_is_caught(recorder: Recorder, fast: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """WAL with NORMAL is not durable."""
    monkeypatch.setattr(database, "_RUNNING", "NORMAL")
    station = Station(recorder.root, VFS)
    start = len(recorder.log)
    sessions(station, recorder)

    assert len(cut(recorder, fast, start=start, enough=51).violations) > 50


def test_mutant_effects_before_the_commit_is_caught(recorder: Recorder, fast: Path) -> None:
    """A contactor that closes on a session nobody will remember."""
    station = Station(recorder.root, VFS)
    start = len(recorder.log)
    sessions(station, recorder, effects_first=True)

    assert len(cut(recorder, fast, start=start, enough=51).violations) > 50


def test_mutant_acknowledged_rows_deleted_by_range_is_caught(
    recorder: Recorder, fast: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`id <= n` takes along rows that wait."""
    monkeypatch.setattr(
        "station.store.spool.Spool.delete",
        lambda self, ids: self._db.execute("DELETE FROM outbox WHERE id <= ?", (max(ids) + 1,)),
    )
    station = Station(recorder.root, VFS)
    start = len(recorder.log)
    for n in range(4):
        recorder.mark(station.event("ABAA"[n]))
        row = station.outbox.next(station.now)
        assert row is not None
        station.outbox.sent(row)
        if n != 1:
            recorder.mark(Left("acknowledged", row.payload, row.message_id))
            station.outbox.acknowledged(row.message_id, None, station.now)
        else:
            station.outbox.timed_out(row.message_id, station.now)

    assert cut(recorder, fast, start=start, enough=1).violations


@pytest.mark.parametrize("synchronous", ["FULL", "OFF"])
def test_mutant_creation_in_place_without_extra_is_caught(
    recorder: Recorder, fast: Path, synchronous: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made under its own name with FULL, the first journal may come back over a WAL database."""
    monkeypatch.setattr(database, "_CREATING", synchronous)
    monkeypatch.setattr(database, "prepare", lambda path, **_: path)
    monkeypatch.setattr("station.store.files.move", lambda _source, _target: None)
    path = recorder.root / "station.db"
    connection = sqlite3.connect(f"file:{path}?vfs={VFS}", uri=True, isolation_level=None)
    connection.execute("PRAGMA page_size = 1024")
    database.configure(connection, synchronous)
    migrate(connection, SCHEMA)
    connection.close()
    sessions(Station(recorder.root, VFS), recorder)

    assert cut(recorder, fast, enough=1).violations


def test_a_session_passes_though_every_sync_takes_two_seconds(recorder: Recorder) -> None:
    """Worn flash: slow, and nothing else. The two seconds pass on a clock of the test."""
    waited = []
    recorder.on_sync = lambda name: waited.append((name, 2.0))

    sessions(Station(recorder.root, VFS), recorder)

    assert sum(seconds for _, seconds in waited) > 30
