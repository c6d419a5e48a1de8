"""A damaged database: set aside whole, replaced by a new one with the rows that can still be read.

    1  its files get a second name in `quarantine/N`, then the marker `pending` is written there
    2  they lose their own names
    3  a new database is made under a temporary name; rows go into it table by table, the queue and the sessions
       first, in order until the error, then from the end backwards; others are completed from the daily copy
    4  it gets its name; the marker goes

A power cut anywhere repeats the steps from the quarantine, which nobody changes. A mark in the new file's `meta` tells
it from the damaged one. Invariant: a row that could be read is in the new database, with its id.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import msgspec

from . import files
from .db import Database, Fault, StoreFailed, companions, condemned, connect, prepare, readable
from .migrations import SCHEMA

_MONEY = ("outbox", "session", "undelivered")
"""Tables so named are read before the medium gets worse, and never taken from the copy, which is a day old."""
_UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError)
"""The second where SQLite's own complaint cites damaged text."""
_Definition = tuple[str, str]
"""Name and text of a table."""
_PENDING = "pending"
_KEPT = 3
_MARK = "salvaged_from"


class Salvaged(msgspec.Struct, frozen=True):
    """What became of a damaged database. `rows` by table; of the tables `damaged` rows may be missing."""

    quarantine: Path
    rows: dict[str, int]
    damaged: tuple[str, ...]
    from_copy: tuple[str, ...]


def open_or_salvage(
    path: Path, *, vfs: str | None = None, schema: Path = SCHEMA, copy: Path | None = None
) -> tuple[Database, Salvaged | None]:
    """Open the database, or a new one with what could be saved of it. `copy`: written by `Database.copy_to`.

    Raises what `Database.open` raises, but for a damaged file. A check that was deferred (`check_pending`) and then
    found damage has condemned the file: the next start leads here.
    """
    quarantine = _unfinished(path, vfs)
    if quarantine is None:
        try:
            if not condemned(path).exists():
                return Database.open(path, vfs=vfs, schema=schema), None
        except StoreFailed as failed:
            if failed.kind not in {Fault.CORRUPT, Fault.NOT_A_DATABASE}:
                raise
        quarantine = _set_aside(path)
    salvaged = _rebuild(path, quarantine, vfs, schema, copy)
    db = Database.open(path, vfs=vfs, schema=schema)
    db.notify("quarantined", f"{quarantine}; damaged: {', '.join(salvaged.damaged) or 'nothing that was read'}")
    return db, salvaged


def _unfinished(path: Path, vfs: str | None) -> Path | None:
    """The quarantine whose salvage a power cut interrupted."""
    for quarantine in reversed(_quarantines(path)):
        if not (quarantine / _PENDING).exists():
            continue
        if _mark(path, vfs) != quarantine.name:
            return quarantine
        _finish(quarantine)
    return None


def _quarantines(path: Path) -> list[Path]:
    parent = path.parent / "quarantine"
    found = [entry for entry in parent.iterdir() if entry.name.isdecimal()] if parent.is_dir() else []
    return sorted(found, key=lambda entry: int(entry.name))


def _mark(path: Path, vfs: str | None) -> str | None:
    if not path.exists():
        return None
    connection = connect(path, vfs)
    try:
        row = connection.execute("SELECT value FROM meta WHERE name = ?", (_MARK,)).fetchone()
        return str(row[0]) if row else None
    except _UNREADABLE:
        return None
    finally:
        connection.close()


def _set_aside(path: Path) -> Path:
    """Steps 1 and 2."""
    older = _quarantines(path)
    quarantine = path.parent / "quarantine" / str(int(older[-1].name) + 1 if older else 1)
    files.make_directory(quarantine)
    for file in companions(path):
        if file.exists() and not file.name.endswith("-shm"):  # SQLite makes that one anew from the log
            files.link(file, quarantine / file.name)
    files.replace(quarantine / _PENDING, b"")
    for entry in older[: -_KEPT + 1]:
        for file in entry.iterdir():
            files.remove(file)
        entry.rmdir()
    return quarantine


def _rebuild(path: Path, quarantine: Path, vfs: str | None, schema: Path, copy: Path | None) -> Salvaged:
    """Steps 2 to 4."""
    for file in (*companions(path), condemned(path)):
        files.remove(file)
    files.sync_directory(path.parent)
    temporary = prepare(path, vfs=vfs, schema=schema)
    new = connect(temporary, vfs)
    try:
        new.execute("PRAGMA synchronous = EXTRA")
        new.execute("BEGIN")
        salvaged = _save_rows(new, quarantine, path.name, vfs, copy)
        new.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_MARK, quarantine.name))
        new.execute(
            "INSERT OR REPLACE INTO meta SELECT 'boots_used', coalesce(max(id >> 32 & 16777215), 0) FROM outbox"
        )
        new.execute("COMMIT")
    finally:
        new.close()
    files.move(temporary, path)
    _finish(quarantine)
    return salvaged


def _finish(quarantine: Path) -> None:
    files.remove(quarantine / _PENDING)
    files.sync_directory(quarantine)


def _save_rows(new: sqlite3.Connection, quarantine: Path, name: str, vfs: str | None, copy: Path | None) -> Salvaged:
    rows: dict[str, int] = {}
    damaged: list[str] = []
    from_copy: list[str] = []
    old = _mended(connect(quarantine / name, vfs), new)
    known = _tables(old)
    spare = connect(copy, None) if copy is not None and copy.exists() else None
    for table, sql in {**(_tables(spare) if spare else {}), **known}.items():
        _ensure(new, table, sql)
    for table in sorted(_tables(new), key=lambda table: (not table.startswith(_MONEY), table)):
        rows[table], whole = _copy_rows(old, new, table) if table in known else (0, False)
        if whole:
            continue
        damaged.append(table)
        if spare is not None and not table.startswith(_MONEY):
            taken, _ = _copy_rows(spare, new, table)
            rows[table] += taken
            from_copy += [table] if taken else []
    old.close()
    if spare is not None:
        spare.close()
    return Salvaged(quarantine, rows, tuple(damaged), tuple(from_copy))


def _mended(old: sqlite3.Connection, new: sqlite3.Connection) -> sqlite3.Connection:
    """The damaged database; where it defines a table of ours in other words, a copy in memory with our words.

    Migrations only add: rows of an older definition can be read by the newer one.
    """
    sql = "SELECT rowid, name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    old.execute("PRAGMA writable_schema = ON")  # read on where a definition makes no sense
    theirs = {(str(name), str(text)): rowid for rowid, name, text in _readable(old, sql, [])}
    ours = {(str(name), str(text)) for _, name, text in new.execute(sql)}
    wrong = {each: like for each in theirs.keys() - ours if (like := _likest(each, ours - theirs.keys()))}
    if not wrong:
        return old
    memory = sqlite3.connect(":memory:", isolation_level=None)
    memory.text_factory = readable
    try:
        old.backup(memory)
        memory.execute("PRAGMA writable_schema = ON")
        for each, (name, text) in wrong.items():
            memory.execute(
                "UPDATE sqlite_master SET name = ?, tbl_name = ?, sql = ? WHERE rowid = ?",
                (name, name, text, theirs[each]),
            )
        memory.execute("PRAGMA writable_schema = RESET")
        memory.execute("PRAGMA writable_schema = ON")
    except (*_UNREADABLE, MemoryError):
        memory.close()
        return old
    old.close()
    return memory


def _likest(definition: _Definition, others: AbstractSet[_Definition]) -> _Definition | None:
    import difflib  # noqa: PLC0415 - takes 5 ms and more, and is needed once in a station's life

    texts = {"\n".join(each): each for each in others}
    found = difflib.get_close_matches("\n".join(definition), texts, n=1)
    return texts[found[0]] if found else None


def _tables(connection: sqlite3.Connection) -> dict[str, str]:
    """The tables of a database with their definitions; as many as can be read."""
    sql = "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    return {str(name): str(definition) for name, definition in _readable(connection, sql, [])}


def _ensure(new: sqlite3.Connection, table: str, sql: str) -> None:
    """Tables that their owners make themselves are not in the schema; one whose definition is damaged is given up."""
    if not new.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
        with contextlib.suppress(sqlite3.Error):
            new.execute(sql)


def _copy_rows(old: sqlite3.Connection, new: sqlite3.Connection, table: str) -> tuple[int, bool]:
    """Copy what can be read of a table; (rows, whether that is all). Rows that are there already stay."""
    errors: list[Exception] = []
    theirs = {str(row[1]) for row in _readable(old, f'PRAGMA table_info("{table}")', errors)}
    columns = [row[1] for row in new.execute(f'PRAGMA table_info("{table}")') if row[1] in theirs]
    if not columns:
        return 0, False
    names = ", ".join(f'"{column}"' for column in columns)
    insert = f'INSERT OR IGNORE INTO "{table}" ({names}) VALUES ({", ".join("?" * len(columns))})'  # noqa: S608 - names of our own schema
    before = new.total_changes
    missed: list[Exception] = []  # from the end backwards there may be more, even where no error was met
    for order, met in (("", errors), (" ORDER BY rowid DESC", missed)):
        for row in _readable(old, f'SELECT {names} FROM "{table}"{order}', met):  # noqa: S608  # names of a schema
            try:
                new.execute(insert, row)
            except sqlite3.Error as error:  # one bad row
                errors.append(error)
    return new.total_changes - before, not errors


def _readable(connection: sqlite3.Connection, sql: str, errors: list[Exception]) -> Iterator[tuple[Any, ...]]:
    """Rows until the first error, which is noted."""
    try:
        yield from connection.execute(sql)
    except _UNREADABLE as error:
        errors.append(error)
