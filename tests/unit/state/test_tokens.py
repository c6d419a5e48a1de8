"""The authorization cache (C10-C12)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from station.now import BootId, Mono, Now, Wall
from station.ocpp.types import IdTokenInfoType, IdTokenType, MessageContentType
from station.state import tokens as module
from station.state.tokens import CacheRules, Tokens, same_token
from station.store.db import Database

RULES = CacheRules()
CARD = IdTokenType(id_token="04AABBCC", type="ISO14443")
ACCEPTED = IdTokenInfoType(status="Accepted")


def at(seconds: float) -> Now:
    return Now(BootId(1), Mono(seconds), Wall(1_800_000_000.0 + seconds))


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "station.db")
    yield opened
    opened.close()


def remember(
    db: Database, token: IdTokenType, info: IdTokenInfoType, rules: CacheRules = RULES, now: Now | None = None
) -> None:
    with db.transaction():
        Tokens(db).remember(token, info, rules, now or at(0))


@pytest.mark.req("C01.FR.25")
def test_tokens_are_equal_by_id_in_any_case_and_type() -> None:
    assert same_token(CARD, IdTokenType(id_token="04aabbcc", type="ISO14443"))
    assert not same_token(CARD, IdTokenType(id_token="04AABBCC", type="Central"))


@pytest.mark.req("C10.FR.01", "C10.FR.04")
def test_the_latest_verdict_counts_whatever_it_is(db: Database) -> None:
    remember(db, CARD, ACCEPTED)
    remember(db, CARD, IdTokenInfoType(status="Blocked"))

    found = Tokens(db).cached(IdTokenType(id_token="04aabbcc", type="ISO14443"), RULES, at(1))

    assert found is not None
    assert found.status == "Blocked"


@pytest.mark.req("C10.FR.02")
def test_the_cache_survives_a_restart(db: Database) -> None:
    remember(db, CARD, ACCEPTED)

    again = Database.open(db.path)

    assert Tokens(again).cached(CARD, RULES, at(1)) == ACCEPTED
    again.close()


@pytest.mark.req("C10.FR.13")
def test_an_entry_is_gone_when_its_expiry_date_has_passed(db: Database) -> None:
    remember(db, CARD, IdTokenInfoType(status="Accepted", cache_expiry_date_time=at(60).utc))

    assert Tokens(db).cached(CARD, RULES, at(59)) is not None
    assert Tokens(db).cached(CARD, RULES, at(60)) is None


def test_an_expiry_date_in_the_past_keeps_the_token_out(db: Database) -> None:
    remember(db, CARD, ACCEPTED)
    remember(db, CARD, IdTokenInfoType(status="Accepted", cache_expiry_date_time=at(0).utc - timedelta(days=1)))

    assert Tokens(db).cached(CARD, RULES, at(0)) is None


@pytest.mark.req("C10.FR.08", "C10.FR.10")
def test_an_entry_without_expiry_date_lives_as_long_as_life_time_says(db: Database) -> None:
    rules = CacheRules(lifetime_s=100)
    remember(db, CARD, ACCEPTED, rules)

    assert Tokens(db).cached(CARD, rules, at(99)) is not None
    assert Tokens(db).cached(CARD, rules, at(100)) is None


@pytest.mark.req("C02.FR.03", "C03.FR.02", "C05.FR.02")
@pytest.mark.parametrize("kind", ["NoAuthorization", "Central"])
def test_some_types_are_never_cached(db: Database, kind: str) -> None:
    token = IdTokenType(id_token="x", type=kind)
    remember(db, token, ACCEPTED)

    assert Tokens(db).cached(token, RULES, at(0)) is None


@pytest.mark.req("C10.FR.11")
def test_a_disabled_cache_neither_learns_nor_tells_and_keeps_what_it_has(db: Database) -> None:
    off = CacheRules(enabled=False)
    remember(db, CARD, ACCEPTED)
    remember(db, IdTokenType(id_token="other", type="Local"), ACCEPTED, off)

    assert Tokens(db).cached(CARD, off, at(0)) is None
    assert Tokens(db).cached(CARD, RULES, at(0)) == ACCEPTED
    assert Tokens(db).cached(IdTokenType(id_token="other", type="Local"), RULES, at(0)) is None


@pytest.mark.req("C10.FR.07")
def test_a_full_cache_gives_up_refused_tokens_first_then_the_oldest(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CACHE_ENTRIES", 2)
    old, refused, new = (IdTokenType(id_token=name, type="Local") for name in ("old", "refused", "new"))
    remember(db, old, ACCEPTED, now=at(1))
    remember(db, refused, IdTokenInfoType(status="Invalid"), now=at(2))
    remember(db, new, ACCEPTED, now=at(3))

    kept = [token.id_token for token in (old, refused, new) if Tokens(db).cached(token, RULES, at(4))]
    assert kept == ["old", "new"]

    remember(db, refused, ACCEPTED, now=at(5))
    kept = [token.id_token for token in (old, refused, new) if Tokens(db).cached(token, RULES, at(6))]
    assert kept == ["refused", "new"]


@pytest.mark.req("C10.FR.09", "C10.FR.12")
def test_neither_token_nor_message_lies_readable_on_the_disk(db: Database) -> None:
    message = MessageContentType(content="your tariff is 0.42", format="ASCII")
    remember(db, CARD, IdTokenInfoType(status="Accepted", personal_message=message))

    rows = db.execute("SELECT * FROM auth_cache").fetchall()

    assert "04AABBCC" not in repr(rows).upper()
    assert "tariff" not in repr(rows)


def test_hearing_the_same_again_writes_nothing(db: Database) -> None:
    remember(db, CARD, ACCEPTED)
    before = db.connection.total_changes

    remember(db, CARD, ACCEPTED, now=at(50))

    assert db.connection.total_changes == before


@pytest.mark.req("C11.FR.01")
def test_clearing_empties_it(db: Database) -> None:
    remember(db, CARD, ACCEPTED)

    with db.transaction():
        Tokens(db).clear_cache()

    assert Tokens(db).cached(CARD, RULES, at(0)) is None
