"""The database: opening, migrating, transactions, and a medium that fails."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from station.store import db as module
from station.store.db import Database, Fault, StoreFailed, condemned
from station.store.migrations import SCHEMA, NeedsNewerAgent
from tests.crash.recorder import VFS, Recorder


class Spy:
    """A participant that remembers what it was told."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.insists = False

    def must_write(self) -> bool:
        """See Participant."""
        return self.insists

    def before_commit(self) -> None:
        """See Participant."""
        self.calls.append("before_commit")

    def committed(self) -> None:
        """See Participant."""
        self.calls.append("committed")

    def rolled_back(self) -> None:
        """See Participant."""
        self.calls.append("rolled_back")


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    """A copy of the schema, to which a test adds migrations."""
    copy = tmp_path / "schema"
    shutil.copytree(SCHEMA, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[tuple[Recorder, Database]]:
    """A database whose medium a test can make fail."""
    root = tmp_path / "medium"
    root.mkdir()
    with Recorder(root) as recorder:
        database = Database.open(root / "station.db", vfs=VFS)
        yield recorder, database
        recorder.fail = None
        database.close()


def put(db: Database, name: str, value: object = 1) -> None:
    """One row, in a transaction of its own."""
    with db.transaction():
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))


def names(db: Database) -> list[str]:
    """What `put` put there."""
    return [row[0] for row in db.execute("SELECT name FROM meta WHERE name <> 'schema' ORDER BY name")]


# -- opening ----------------------------------------------------------------------------------------------------------


def test_a_new_database_is_durable_small_paged_and_private(db: Database) -> None:
    """The pragmas that the power-cut tests rely on."""
    pragma = {
        name: db.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "page_size", "secure_delete", "journal_size_limit")
    }

    assert pragma == {
        "journal_mode": "wal",
        "synchronous": 2,
        "page_size": 1024,
        "secure_delete": 1,
        "journal_size_limit": 4_000_000,
    }
    for file in db.path.parent.glob("station.db*"):
        assert file.stat().st_mode & 0o077 == 0, file.name


def test_a_half_made_database_is_made_again(tmp_path: Path) -> None:
    """Power failed before the rename; a stale log of an older file lies there, too."""
    (tmp_path / "station.db.new").write_bytes(b"half")
    (tmp_path / "station.db-wal").write_bytes(b"stale")

    db = Database.open(tmp_path / "station.db")
    put(db, "works")
    db.close()

    assert not (tmp_path / "station.db.new").exists()


def test_migrations_run_once_and_keep_the_rows(tmp_path: Path, schema: Path) -> None:
    """An update of the agent adds a table to a file in use."""
    db = Database.open(tmp_path / "station.db", schema=schema)
    put(db, "before")
    db.close()
    (schema / "9000_more.sql").write_text("CREATE TABLE more (a);\nINSERT INTO more VALUES (7);")

    for _ in range(2):
        db = Database.open(tmp_path / "station.db", schema=schema)
        assert db.execute("SELECT a FROM more").fetchall() == [(7,)]
        assert "before" in names(db)
        db.close()


def test_a_migration_that_fails_leaves_the_old_schema(tmp_path: Path, schema: Path) -> None:
    """And says why."""
    Database.open(tmp_path / "station.db", schema=schema).close()
    (schema / "9000_more.sql").write_text("CREATE TABLE more (a);\nINSERT INTO nowhere VALUES (7);")

    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        Database.open(tmp_path / "station.db", schema=schema)

    (schema / "9000_more.sql").unlink()
    db = Database.open(tmp_path / "station.db", schema=schema)
    assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'more'").fetchone() == (0,)
    db.close()


def test_an_older_agent_opens_a_file_that_a_newer_one_has_added_to(tmp_path: Path, schema: Path) -> None:
    """A rolled-back image finds its queue."""
    (schema / "9000_more.sql").write_text("CREATE TABLE more (a);")
    Database.open(tmp_path / "station.db", schema=schema).close()

    db = Database.open(tmp_path / "station.db")

    put(db, "old agent writes")
    db.close()


def test_a_file_that_needs_a_newer_agent_is_refused_with_the_remedy(tmp_path: Path, schema: Path) -> None:
    """Only once the new image has proved itself is the old one shut out."""
    (schema / "9000_more.sql").write_text("CREATE TABLE more (a);")
    (schema / "min_reader").write_text("9000\n")
    db = Database.open(tmp_path / "station.db", schema=schema)
    db.close()
    Database.open(tmp_path / "station.db").close()

    db = Database.open(tmp_path / "station.db", schema=schema)
    db.confirm(schema)
    db.close()

    with pytest.raises(NeedsNewerAgent, match="knows schema 9000 or newer"):
        Database.open(tmp_path / "station.db")


@pytest.mark.parametrize("damage", ["header", "half", "text"])
def test_a_damaged_file_is_a_store_failure(tmp_path: Path, damage: str) -> None:
    """Not a bug, and never a start on a broken file."""
    path = tmp_path / "station.db"
    db = Database.open(path)
    for n in range(200):
        put(db, f"row {n}", "x" * 300)
    db.close()
    content = path.read_bytes()
    match damage:
        case "header":
            path.write_bytes(bytes(100) + content[100:])
        case "half":
            path.write_bytes(content[: len(content) // 2])
        case _:
            path.write_bytes(b"not a database at all" * 100)

    with pytest.raises(StoreFailed) as caught:
        Database.open(path)

    assert caught.value.kind in {Fault.CORRUPT, Fault.NOT_A_DATABASE}


def test_a_large_file_is_checked_later_and_condemned_if_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check would delay the BootNotification."""
    path = tmp_path / "station.db"
    db = Database.open(path)
    for n in range(200):
        put(db, f"row {n}", "x" * 300)
    db.close()
    content = bytearray(path.read_bytes())
    content[40 * 1024 : 41 * 1024] = b"\xff" * 1024
    path.write_bytes(content)
    monkeypatch.setattr(module, "CHECK_AT_ONCE_BYTES", 1000)

    db = Database.open(path)

    assert db.check_pending
    with pytest.raises(StoreFailed):
        db.check()
    assert condemned(path).exists()
    db.close()


# -- transactions -----------------------------------------------------------------------------------------------------


def test_an_exception_leaves_nothing_behind(db: Database) -> None:
    """All or nothing."""

    def step() -> None:
        with db.transaction():
            db.execute("INSERT INTO meta VALUES ('a', 1)")
            raise KeyError

    with pytest.raises(KeyError):
        step()

    assert names(db) == []
    put(db, "b")
    assert names(db) == ["b"]


def test_transactions_do_not_nest(db: Database) -> None:
    """One input, one transaction; the outer one is given up, too."""

    def step() -> None:
        with db.transaction():
            db.execute("INSERT INTO meta VALUES ('a', 1)")
            put(db, "b")

    with pytest.raises(RuntimeError, match="nest"):
        step()

    assert names(db) == []
    assert not db.in_transaction


def test_a_bug_in_sql_passes_through(db: Database) -> None:
    """Only the medium's failures are StoreFailed."""
    with pytest.raises(sqlite3.OperationalError, match="no such table"), db.transaction():
        db.execute("INSERT INTO nowhere VALUES (1)")


def test_a_participant_writes_with_whoever_writes(db: Database) -> None:
    """Deletes of acknowledged rows ride along, and cost no commit of their own."""
    spy = Spy()
    db.join(spy)

    with db.transaction():
        db.execute("SELECT 1")
    assert spy.calls == ["committed"]

    put(db, "a")
    assert spy.calls[1:] == ["before_commit", "committed"]

    spy.insists = True
    with db.transaction():
        pass
    assert spy.calls[3:] == ["before_commit", "committed"]

    with pytest.raises(KeyError), db.transaction():
        raise KeyError
    assert spy.calls[5:] == ["rolled_back"]


def test_a_step_that_writes_nothing_touches_no_file(recorded: tuple[Recorder, Database]) -> None:
    """No list of inputs that must not commit is needed."""
    recorder, db = recorded
    before = len(recorder.log)

    for _ in range(10):
        with db.transaction():
            db.execute("SELECT * FROM meta").fetchall()

    assert len(recorder.log) == before


# -- a medium that fails ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "what,code,kind",
    [
        ("sync", sqlite3.SQLITE_IOERR_FSYNC, Fault.IO),
        ("write", sqlite3.SQLITE_IOERR_WRITE, Fault.IO),
        ("write", sqlite3.SQLITE_FULL, Fault.FULL),
        ("write", sqlite3.SQLITE_READONLY, Fault.READ_ONLY),
    ],
)
def test_a_failing_medium_is_a_value_and_passes(
    recorded: tuple[Recorder, Database], what: str, code: int, kind: Fault
) -> None:
    """The step is undone, the connection stays open, the next step works when the medium does."""
    recorder, db = recorded
    spy = Spy()
    db.join(spy)
    recorder.fail = lambda did, _name: code if did == what else 0

    with pytest.raises(StoreFailed) as caught:
        put(db, "lost")
    recorder.fail = None
    put(db, "kept")

    assert caught.value.kind is kind
    assert "rolled_back" in spy.calls
    assert names(db) == ["kept"]


def test_on_a_full_disk_the_ballast_goes_first(recorded: tuple[Recorder, Database]) -> None:
    """Without it even deletes fail; the caller is told to try again, once."""
    recorder, db = recorded
    ballast = db.path.with_name("station.db.ballast")
    assert ballast.stat().st_size == module.BALLAST_BYTES
    recorder.fail = lambda did, _name: sqlite3.SQLITE_FULL if did == "write" else 0

    failures = []
    for _ in range(2):
        with pytest.raises(StoreFailed) as caught:
            put(db, "a")
        failures.append(caught.value)

    assert [failure.retry for failure in failures] == [True, False]
    assert not ballast.exists()
    assert [notice.kind for notice in db.notices()] == ["ballast_released"]
    assert db.make_ballast()
    assert ballast.exists()


def test_a_log_that_grows_because_checkpoints_fail_is_noticed(recorded: tuple[Recorder, Database]) -> None:
    """SQLite says nothing; the notice comes once."""
    recorder, db = recorded
    recorder.fail = lambda did, name: sqlite3.SQLITE_IOERR if did == "write" and name == "station.db" else 0

    for n in range(300):
        put(db, "a", bytes(40_000 + n))

    assert [notice.kind for notice in db.notices()] == ["wal_large"]


def test_the_daily_copy_is_whole_and_replaces_the_one_before(db: Database, tmp_path: Path) -> None:
    """Variables are taken from it when the file is lost."""
    for name in ("a", "b"):
        put(db, name)
        db.copy_to(tmp_path / "copy.db")

    copy = sqlite3.connect(tmp_path / "copy.db")
    assert [row[0] for row in copy.execute("SELECT name FROM meta WHERE name <> 'schema'")] == ["a", "b"]
    copy.close()


def test_steps_commit_while_the_file_is_read_beside_them(db: Database, tmp_path: Path) -> None:
    """A check of 64 MB takes 0.6 s, a copy 1.3 s: they must stop nothing."""
    put(db, "before", "x" * 50_000)
    reader = db.beside()
    steps = itertools.count()

    def step() -> int:
        put(db, f"meanwhile {next(steps)}")
        return 0

    reader.connection.set_progress_handler(step, 100)
    reader.check()
    reader.copy_to(tmp_path / "copy.db")
    reader.connection.set_progress_handler(None, 0)
    reader.close()

    assert next(steps) > 2
    copy = sqlite3.connect(tmp_path / "copy.db")
    assert copy.execute("SELECT count(*) FROM meta WHERE name = 'before'").fetchone() == (1,)
    copy.close()
    assert db.execute("SELECT count(*) FROM meta WHERE name LIKE 'meanwhile%'").fetchone() == (next(steps) - 1,)
