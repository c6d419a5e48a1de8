"""The definitions of a station's tables: made and changed by numbered scripts, and looked at for damage.

Migrations only add: an older agent can read a newer file unless `schema/min_reader` says otherwise.
"""

from __future__ import annotations

import sqlite3
import zlib
from pathlib import Path

SCHEMA = Path(__file__).parent / "schema"
_MARK = "schema"
"""In `meta`: number and checksum of the definitions, as the last migration left them."""


class NeedsNewerAgent(Exception):  # noqa: N818  # says what is needed
    """The file was made by a newer agent that older ones must not open."""


def version(connection: sqlite3.Connection) -> int:
    """The number of the last migration done."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def min_reader(connection: sqlite3.Connection) -> int:
    """The oldest agent's newest migration with which this file may be opened."""
    row = connection.execute("SELECT value FROM meta WHERE name = 'min_reader'").fetchone()
    return int(row[0]) if row else 0


def newest(schema: Path) -> int:
    """The number of the last migration there is."""
    return _migrations(schema)[-1][0]


def _migrations(schema: Path) -> list[tuple[int, Path]]:
    return sorted((int(path.name.split("_")[0]), path) for path in schema.iterdir() if path.suffix == ".sql")


def refuse_newer(connection: sqlite3.Connection, schema: Path) -> None:
    """Raise NeedsNewerAgent if this agent is too old for the file."""
    ours = newest(schema)
    if version(connection) <= ours:
        return
    needed = min_reader(connection)
    if needed > ours:
        raise NeedsNewerAgent(
            f"the database has schema {version(connection)} and needs an agent that knows schema {needed} or newer; "
            f"this one knows {ours}: install the newer agent again"
        )


def is_as_made(connection: sqlite3.Connection) -> bool:
    """Whether the definitions are still those of the last migration: `quick_check` reads over a wrong name."""
    try:
        row = connection.execute("SELECT value FROM meta WHERE name = ?", (_MARK,)).fetchone()
        return row is None or row[0] == _mark(connection, int(str(row[0]).split()[0]))
    except (sqlite3.OperationalError, ValueError, IndexError):  # not even that can be asked
        return False


def _mark(connection: sqlite3.Connection, first: int) -> str:
    """Number and checksum of the oldest `first` definitions (-1: all); what others add later does not change it."""
    sql = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY rowid LIMIT ?"
    found = connection.execute(sql, (first,)).fetchall()
    return f"{len(found)} {zlib.crc32(repr(found).encode()):08x}"


def migrate(connection: sqlite3.Connection, schema: Path) -> None:
    """Run the scripts that the file has not seen, each in a transaction of its own."""
    have = version(connection)
    for number, path in _migrations(schema):
        if number > have:
            try:
                connection.executescript(f"BEGIN IMMEDIATE;\n{path.read_text()}\nPRAGMA user_version = {number};")
                mark = _mark(connection, -1)
                connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_MARK, mark))
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
