"""The security log: rolling, and chained so that a change shows (A04.FR.04)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from station.now import BootId, Instant, Mono, Wall
from station.state import security_log as module
from station.state.security_log import Head, SecurityLog
from station.store.db import Database


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "station.db")
    yield opened
    opened.close()


def add(db: Database, *infos: str) -> SecurityLog:
    log = SecurityLog(db)
    for number, info in enumerate(infos):
        with db.transaction():
            log.add("InvalidMessages", info, Instant(BootId(1), Mono(float(number))), Wall(1_800_000_000.25 + number))
    return log


def add_and_fail(db: Database) -> None:
    with db.transaction():
        SecurityLog(db).add("InvalidMessages", "never", Instant(BootId(1), Mono(9.0)), Wall(0.0))
        raise RuntimeError


def change(db: Database, sql: str) -> None:
    with db.transaction():
        db.execute(sql)


def test_entries_are_kept_in_order_and_numbered(db: Database) -> None:
    log = add(db, "one", "two", "three")

    assert [(entry.id, entry.info) for entry in log.entries()] == [(1, "one"), (2, "two"), (3, "three")]
    assert [entry.info for entry in log.entries(after=1, limit=1)] == ["two"]
    assert log.entries()[0].at == 1_800_000_000.25
    assert log.flaw() is None


def test_what_was_written_in_a_step_that_failed_is_not_there(db: Database) -> None:
    log = add(db, "one")

    with pytest.raises(RuntimeError):
        add_and_fail(db)
    add(db, "two")

    assert [entry.info for entry in log.entries()] == ["one", "two"]
    assert log.flaw() is None


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE security_log SET info = 'nothing' WHERE id = 2",
        "UPDATE security_log SET type = 'StartupOfTheDevice' WHERE id = 2",
        "UPDATE security_log SET at = at + 1 WHERE id = 3",
        "UPDATE security_log SET hash = zeroblob(32) WHERE id = 1",
        "DELETE FROM security_log WHERE id = 1",
        "DELETE FROM security_log WHERE id = 2",
        "UPDATE security_log SET id = 9 WHERE id = 2",
    ],
)
def test_a_change_shows(db: Database, sql: str) -> None:
    log = add(db, "one", "two", "three")

    change(db, sql)

    assert log.flaw() is not None


def test_who_cuts_off_the_end_or_makes_a_new_chain_is_found_by_a_head_that_was_noted(db: Database) -> None:
    log = add(db, "one", "two", "three")
    noted = log.head()

    assert log.flaw(noted) is None
    change(db, "DELETE FROM security_log WHERE id = 3")
    assert log.flaw() is None
    assert log.flaw(noted) is not None
    add(db, "another")
    assert log.flaw() is None
    assert log.flaw(noted) is not None


def test_the_oldest_are_rolled_away_and_the_chain_holds(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 10)
    monkeypatch.setattr(module, "ROLLED", 3)

    log = add(db, *map(str, range(25)))

    kept = [entry.id for entry in log.entries()]
    assert kept == list(range(kept[0], 26))
    assert 7 <= len(kept) <= 10
    assert log.flaw() is None
    assert log.flaw(Head(1, b"of an entry that was rolled away")) is None
    change(db, f"DELETE FROM security_log WHERE id = {kept[0]}")  # noqa: S608 - a number of ours
    assert log.flaw() is not None


def test_when_all_that_is_kept_was_removed_the_numbers_go_on(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 4)
    monkeypatch.setattr(module, "ROLLED", 1)
    log = add(db, *map(str, range(6)))
    noted = log.head()

    change(db, "DELETE FROM security_log")

    assert log.flaw(noted) == "entry 6 is missing"
