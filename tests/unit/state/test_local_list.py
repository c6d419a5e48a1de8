"""The tables of the local authorization list: what is valid, at every moment of an update (D01)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from station.now import BootId, Mono, Now, Wall
from station.ocpp.types import IdTokenInfoType, IdTokenType
from station.state.local_list import LocalList, entry
from station.store.db import Database

ACCEPTED = IdTokenInfoType(status="Accepted")
BLOCKED = IdTokenInfoType(status="Blocked")
NOW = Now(BootId(1), Mono(0.0), Wall(1_800_000_000.0))
MANY = 50_000


def card(number: int) -> IdTokenType:
    return IdTokenType(id_token=f"04{number:012X}", type="ISO14443")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "station.db")
    yield opened
    opened.close()


@pytest.fixture
def tokens(db: Database) -> LocalList:
    return opened(db)


def opened(db: Database) -> LocalList:
    found = LocalList(db)
    found.load(NOW)
    return found


def update(tokens: LocalList, *lines: tuple[int, IdTokenInfoType | None], full: bool = False) -> None:
    """A whole update in one step."""
    with tokens._db.transaction():
        entries = [entry(card(number), info) for number, info in lines]
        change = tokens.change_by(entries)
        tokens.stage(entries)
        tokens.make_valid(tokens.version + 1, len(lines) if full else tokens.entries + change, full=full)


def rows(db: Database) -> int:
    return int(db.execute("SELECT count(*) FROM local_list").fetchone()[0])


def clean(tokens: LocalList, most: int = 100) -> int:
    """Clean up to the end; gives the number of steps it took."""
    steps = 0
    while not tokens.is_clean:
        with tokens._db.transaction():
            tokens.clean(most)
        steps += 1
    return steps


def test_what_is_staged_is_not_valid_before_it_is_made_so(db: Database, tokens: LocalList) -> None:
    update(tokens, (1, ACCEPTED), full=True)

    with db.transaction():
        tokens.stage([entry(card(1), BLOCKED), entry(card(2), ACCEPTED)])

    assert tokens.find(card(1)) == ACCEPTED
    assert tokens.find(card(2)) is None


def test_a_differential_update_adds_changes_and_removes(tokens: LocalList) -> None:
    update(tokens, (1, ACCEPTED), (2, ACCEPTED), (3, ACCEPTED), full=True)

    update(tokens, (2, BLOCKED), (3, None), (4, ACCEPTED), (5, None))

    assert [tokens.find(card(number)) for number in range(1, 6)] == [ACCEPTED, BLOCKED, None, ACCEPTED, None]
    assert tokens.entries == 3


def test_a_removed_token_may_come_back(tokens: LocalList) -> None:
    update(tokens, (1, ACCEPTED), full=True)
    update(tokens, (1, None))
    update(tokens, (1, BLOCKED))

    assert tokens.find(card(1)) == BLOCKED
    assert tokens.entries == 1


def test_cleaning_up_changes_nothing_of_what_is_valid(db: Database, tokens: LocalList) -> None:
    update(tokens, (9, ACCEPTED), full=True)
    update(tokens, *((number, ACCEPTED) for number in range(1, 7)), full=True)
    update(tokens, (2, BLOCKED), (3, None))
    update(tokens, (3, BLOCKED), (4, None), (7, ACCEPTED))
    expected = [ACCEPTED, BLOCKED, BLOCKED, None, ACCEPTED, ACCEPTED, ACCEPTED, None, None]

    while not tokens.is_clean:
        with db.transaction():
            tokens.clean(1)
        assert [tokens.find(card(number)) for number in range(1, 10)] == expected

    assert rows(db) == tokens.entries == 6
    assert opened(db).is_clean


def test_what_an_interrupted_update_left_is_never_valid_and_goes(db: Database, tokens: LocalList) -> None:
    update(tokens, (1, ACCEPTED), full=True)
    with db.transaction():
        tokens.stage([entry(card(number), BLOCKED) for number in range(1, 6)])

    again = opened(db)
    with db.transaction():
        assert not again.discard(3)
        assert again.discard(3)
    update(again, (2, ACCEPTED))

    assert (again.find(card(1)), again.find(card(2)), again.find(card(3))) == (ACCEPTED, ACCEPTED, None)
    assert clean(again) == 1
    assert rows(db) == 2


def test_a_token_is_found_in_any_case_and_only_under_its_type(tokens: LocalList) -> None:
    update(tokens, (0xABCDEF, ACCEPTED), full=True)

    assert tokens.find(IdTokenType(id_token="04000000abcdef", type="ISO14443")) == ACCEPTED
    assert tokens.find(IdTokenType(id_token="04000000ABCDEF", type="Local")) is None


def test_an_entry_that_cannot_be_read_is_no_entry(db: Database, tokens: LocalList) -> None:
    update(tokens, (1, ACCEPTED), full=True)
    with db.transaction():
        db.execute("UPDATE local_list SET info = x'00'")

    assert tokens.find(card(1)) is None


def test_tokens_do_not_lie_readable_on_the_disk(db: Database, tokens: LocalList) -> None:
    update(tokens, (0xABCDEF, ACCEPTED), full=True)

    assert "ABCDEF" not in repr(db.execute("SELECT * FROM local_list").fetchall()).upper()


def test_a_look_up_among_fifty_thousand_is_one_search_in_the_primary_key(db: Database, tokens: LocalList) -> None:
    """Whatever lies in the table, SQLite goes down one b-tree: it neither scans nor sorts."""
    fill(tokens, MANY)

    plans: list[str] = []
    seen: list[str] = []
    db.connection.set_trace_callback(seen.append)
    assert tokens.find(card(31_415)) == ACCEPTED
    db.connection.set_trace_callback(None)
    for statement in seen:
        plans += [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()]

    assert plans == ["SEARCH local_list USING PRIMARY KEY (token=? AND generation>? AND generation<?)"]
    assert instructions(db, lambda: tokens.find(card(27_182))) < 100
    assert instructions(db, lambda: tokens.find(card(MANY + 1))) < 100


def test_every_step_of_cleaning_up_fifty_thousand_looks_at_few_rows(db: Database, tokens: LocalList) -> None:
    fill(tokens, MANY)
    update(tokens, (1, BLOCKED), full=True)
    update(tokens, (1, None), (2, ACCEPTED))

    most = 0
    while not tokens.is_clean:
        before = db.connection.total_changes
        with db.transaction():
            most = max(most, instructions(db, lambda: tokens.clean(250)))
        assert db.connection.total_changes - before <= 500

    assert rows(db) == 1
    assert most < 250 * 100


def fill(tokens: LocalList, number: int) -> None:
    """A list of so many accepted cards."""
    with tokens._db.transaction():
        tokens.stage(entry(card(each), ACCEPTED) for each in range(number))
        tokens.make_valid(1, number, full=True)


def instructions(db: Database, work: object) -> int:
    """About how many instructions of its virtual machine SQLite runs for this: what a scan would multiply."""
    assert callable(work)
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        return 0

    connection: sqlite3.Connection = db.connection
    connection.set_progress_handler(count, 1)
    try:
        work()
    finally:
        connection.set_progress_handler(None, 1)
    return counted
