"""The one SQLite file of a station: opened, migrated, and written one transaction per step.

WAL with synchronous=FULL: what `transaction()` committed survives a power cut. A failing medium is a state of the
station (`StoreFailed`), not a bug; every other sqlite3 error is a bug and passes through unchanged.
Not here: what the tables mean. Their owners get this object and may take part in commits (`Participant`).
Invariant: a transaction that writes nothing costs no fsync; one that writes costs one.
"""

from __future__ import annotations

import contextlib
import enum
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

from . import files
from .migrations import SCHEMA, is_as_made, migrate, min_reader, refuse_newer
from .transaction import Participant, Transaction

BALLAST_BYTES = 1_000_000
CHECK_AT_ONCE_BYTES = 20_000_000
"""A larger file is checked after the BootNotification, since the check would delay it (256 ms for 103 MB on a PC)."""
WAL_ALARM_BYTES = 8_000_000
_WAL_LOOK_EVERY = 64

_CREATING = "EXTRA"
"""`synchronous` while a file is made: syncs the directory, too, or the first journal may return over a WAL database."""
_RUNNING = "FULL"


class Fault(enum.Enum):
    """What is wrong with the medium. The value is the primary result code of SQLite."""

    READ_ONLY = sqlite3.SQLITE_READONLY
    IO = sqlite3.SQLITE_IOERR
    CORRUPT = sqlite3.SQLITE_CORRUPT
    FULL = sqlite3.SQLITE_FULL
    CANNOT_OPEN = sqlite3.SQLITE_CANTOPEN
    NOT_A_DATABASE = sqlite3.SQLITE_NOTADB


_FAULTS = {fault.value: fault for fault in Fault}


class StoreFailed(Exception):  # noqa: N818  # a state of the station
    """The medium refused. Nothing of the transaction was kept.

    `retry` is True when room was made by giving up the ballast: the same step may be tried again at once.
    """

    def __init__(self, kind: Fault, detail: str = "", *, retry: bool = False) -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail
        self.retry = retry

    def __str__(self) -> str:
        return f"store: {self.kind.name.lower()}: {self.detail}"


class Notice(msgspec.Struct, frozen=True):
    """Something an operator should hear about the store; the engine turns it into a fact.

    `kind` is one of `ballast_released`, `wal_large`, `copy_failed`, `quarantined`.
    """

    kind: str
    detail: str


class Database:
    """One open database. Not thread-safe: it lives on the core's thread (but for `beside`)."""

    def __init__(self, connection: sqlite3.Connection, path: Path, vfs: str | None = None) -> None:
        self.connection = connection
        self.path = path
        self.vfs = vfs
        self.disk: sqlite3.Connection | None = None
        """While the station runs on a copy in memory (`Fallback`): the connection to the disk that failed."""
        self.failed: StoreFailed | None = None
        self.check_pending = False
        self._transaction = Transaction(self)
        self._notices: list[Notice] = []
        self._commits = 0
        self._wal_alarm = False

    # -- opening -----------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, path: Path, *, vfs: str | None = None, schema: Path = SCHEMA) -> Database:
        """Open the file, creating or migrating it.

        Raises StoreFailed (a damaged file is CORRUPT or NOT_A_DATABASE: see salvage.open_or_salvage) and
        NeedsNewerAgent.
        """
        with translated():
            if not path.exists():
                create(path, vfs=vfs, schema=schema)
            connection = connect(path, vfs)
            try:
                db = cls(connection, path, vfs)
                configure(connection, _RUNNING)
                refuse_newer(connection, schema)
                if path.stat().st_size > CHECK_AT_ONCE_BYTES:
                    db.check_pending = True
                else:
                    db.check()
                migrate(connection, schema)
            except BaseException:
                connection.close()
                raise
        db.make_ballast()
        return db

    def beside(self) -> Database:
        """The same file once more, to read all of it in another thread, which calls this. Raises StoreFailed.

        What is read is the file as it is now; the steps go on and commit meanwhile.
        """
        with translated():
            return Database(connect(self.path, self.vfs), self.path, self.vfs)

    def close(self) -> None:
        """Close the file; the WAL is folded back into it."""
        self.connection.close()

    def check(self) -> None:
        """Raise StoreFailed(CORRUPT) if the file is damaged (16 ms for 6 MB); the next start then salvages it."""
        self.check_pending = False
        with translated():
            found = str(self.connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            if found == "ok" and not is_as_made(self.connection):
                found = "the schema is not as it was made"
        if found != "ok":
            files.replace(condemned(self.path), found.encode())
            raise StoreFailed(Fault.CORRUPT, found)

    def confirm(self, schema: Path = SCHEMA) -> None:
        """This image has proved itself (BootNotification accepted): agents older than `min_reader` may be shut out."""
        newest = int((schema / "min_reader").read_text())
        if newest > min_reader(self.connection):
            with self.transaction():
                self.execute("INSERT OR REPLACE INTO meta VALUES ('min_reader', ?)", (newest,))

    # -- reading and writing -----------------------------------------------------------------------------------

    def execute(self, sql: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        """Run one statement. Writing is allowed inside `transaction()` only, which the owner of the table sees to."""
        try:
            return self.connection.execute(sql, values)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            _raise_translated(error)

    def transaction(self) -> Transaction:
        """All or nothing, by `with`. Raises StoreFailed if the medium refuses; RuntimeError if one is open already."""
        return self._transaction

    @property
    def in_transaction(self) -> bool:
        """Whether a step is open."""
        return self._transaction.open

    def join(self, participant: Participant) -> None:
        """Let an owner of tables take part in every later transaction."""
        self._transaction.participants.append(participant)

    def raise_if_store(self, error: BaseException) -> None:
        """Raise StoreFailed if the medium is behind an exception; a full one is helped with the ballast."""
        failed = store_failure(error)
        if failed is None:
            return
        if failed.kind is Fault.FULL:
            failed.retry = self._release_ballast()
        if failed is not error:
            raise failed from error

    # -- the medium --------------------------------------------------------------------------------------------

    def notices(self) -> list[Notice]:
        """What has happened to the store since last asked."""
        taken, self._notices = self._notices, []
        return taken

    def notify(self, kind: str, detail: str) -> None:
        """Add a notice for the next `notices()`."""
        self._notices.append(Notice(kind, detail))

    def used_bytes(self) -> int:
        """Bytes of the file that hold something; freed pages do not count."""
        pages = int(self.execute("PRAGMA page_count").fetchone()[0])
        free = int(self.execute("PRAGMA freelist_count").fetchone()[0])
        return (pages - free) * self._page_size

    def capacity_bytes(self) -> int:
        """How large the file may become: without bound, in effect, unless the station runs on memory (`Fallback`)."""
        return int(self.execute("PRAGMA max_page_count").fetchone()[0]) * self._page_size

    @property
    def _page_size(self) -> int:
        return int(self.execute("PRAGMA page_size").fetchone()[0])

    def wal_bytes(self) -> int:
        """Size of the write-ahead log."""
        wal = self.path.with_name(self.path.name + "-wal")
        return wal.stat().st_size if wal.exists() else 0

    def copy_to(self, target: Path) -> None:
        """Write a compact copy, from which salvage takes the variables. Raises StoreFailed. Not in a transaction."""
        temporary = target.with_name(target.name + ".new")
        try:
            files.remove(temporary)
            self.execute("VACUUM INTO ?", (str(temporary),))
            files.sync(temporary)
            files.move(temporary, target)
        except OSError as error:
            raise StoreFailed(Fault.IO, str(error)) from error

    def make_ballast(self) -> bool:
        """Keep 1 MB in reserve, if the disk has room for it; given up on FULL so that deletes can commit."""
        try:
            handle = os.open(self._ballast, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, files.PRIVATE)
            try:
                os.posix_fallocate(handle, 0, BALLAST_BYTES)
            finally:
                os.close(handle)
        except OSError:
            files.remove(self._ballast)
            return False
        return True

    @property
    def _ballast(self) -> Path:
        return self.path.with_name(self.path.name + ".ballast")

    def _release_ballast(self) -> bool:
        if not self._ballast.exists():
            return False
        files.remove(self._ballast)
        self.notify("ballast_released", "the disk is full")
        return True

    def count_commit(self) -> None:
        """Failing checkpoints raise nothing, the log just grows: look at it now and then."""
        self._commits += 1
        if self._commits % _WAL_LOOK_EVERY:
            return
        alarm = (size := self.wal_bytes()) > WAL_ALARM_BYTES
        if alarm and not self._wal_alarm:
            self.notify("wal_large", f"{size} bytes")
        self._wal_alarm = alarm


def store_failure(error: BaseException) -> StoreFailed | None:
    """The state of the medium behind an exception; None if the exception is something else."""
    if isinstance(error, StoreFailed):
        return error
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _FAULTS:
            return StoreFailed(_FAULTS[code], str(error))
    return None


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """What SQLite says of the medium is StoreFailed."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:
        _raise_translated(error)


def _raise_translated(error: sqlite3.Error | UnicodeDecodeError) -> NoReturn:
    if isinstance(error, UnicodeDecodeError):  # SQLite's complaint cites a damaged schema, which Python cannot decode
        raise StoreFailed(Fault.CORRUPT, f"the schema is damaged: {error.object!r}") from error
    failed = store_failure(error)
    if failed is None:
        raise error
    raise failed from error


def create(path: Path, *, vfs: str | None = None, schema: Path = SCHEMA) -> None:
    """Make an empty database with the newest schema. A power cut leaves the whole file or none."""
    files.make_directory(path.parent)
    temporary = prepare(path, vfs=vfs, schema=schema)
    files.move(temporary, path)


def prepare(path: Path, *, vfs: str | None, schema: Path) -> Path:
    """An empty database beside `path`, closed and durable but under a temporary name."""
    temporary = path.with_name(path.name + ".new")
    for name in companions(temporary):
        files.remove(name)
    for name in companions(path):  # a stale log would be read into the new file
        files.remove(name)
    files.create_empty(temporary)  # SQLite gives its log and journal the same mode
    files.sync_directory(path.parent)
    connection, memory = connect(temporary, vfs), sqlite3.connect(":memory:", isolation_level=None)
    try:
        memory.execute("PRAGMA page_size = 1024")
        migrate(memory, schema)
        connection.execute(f"PRAGMA synchronous = {_CREATING}")
        memory.backup(connection)  # one commit; a file that is migrated where it lies waits for the disk each time
        configure(connection, _CREATING)
    finally:
        memory.close()
        connection.close()
    return temporary


def companions(path: Path) -> list[Path]:
    """The files that SQLite may keep for one database, the database first."""
    return [path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal"))]


def condemned(path: Path) -> Path:
    """The file whose presence says that the database was found damaged."""
    return path.with_name(path.name + ".damaged")


def connect(path: Path, vfs: str | None) -> sqlite3.Connection:
    """A bare connection, in which every transaction is begun and ended by hand."""
    if vfs is None:
        target = str(path)
    else:
        target = f"file:{str(path.absolute()).replace('%', '%25').replace('?', '%3f').replace('#', '%23')}?vfs={vfs}"
    connection = sqlite3.connect(target, uri=vfs is not None, isolation_level=None, cached_statements=256)
    connection.text_factory = readable
    return connection


def readable(text: bytes) -> str:
    """A text of a row; a damaged one keeps what can be read of it, so that no flipped bit ends the process."""
    return str(text, "utf-8", "replace")


def configure(connection: sqlite3.Connection, synchronous: str = "") -> None:
    """How the station's file is read and written."""
    connection.execute(f"PRAGMA synchronous = {synchronous or _RUNNING}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA secure_delete = ON")  # tokens and passwords that were deleted are gone
    connection.execute("PRAGMA journal_size_limit = 4000000")
