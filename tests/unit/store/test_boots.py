"""Boots: their count, and what wall time an instant was."""

from __future__ import annotations

from pathlib import Path

import pytest

from station.now import BootId, Instant, Mono, Now, Wall
from station.store.boots import Boots
from station.store.db import Database


def now(boot: BootId, mono: float, wall: float, *, trusted: bool = True) -> Now:
    """The present."""
    return Now(boot, Mono(mono), Wall(wall), trusted)


def test_boots_are_counted_durably(tmp_path: Path) -> None:
    """No boot id comes twice."""
    seen = []
    for _ in range(3):
        db = Database.open(tmp_path / "station.db")
        seen.append(Boots(db).begin(Mono(5), Wall(100)))
        db.close()

    assert seen == [1, 2, 3]


def test_an_instant_gets_its_time_when_the_clock_is_learned(db: Database) -> None:
    """Without a clock the guess holds; what was stored is rendered anew once the time is known."""
    boots = Boots(db)
    boot = boots.begin(Mono(10), Wall(1000))
    plug_in = Instant(boot, Mono(20))
    assert boots.wall_of(plug_in) == Wall(1010)

    with db.transaction():
        boots.learn(now(boot, 100, 50_000, trusted=False))
    assert boots.wall_of(plug_in) == Wall(1010)

    with db.transaction():
        boots.learn(now(boot, 100, 50_000))
    assert boots.wall_of(plug_in) == Wall(50_000 - 80)


def test_a_known_offset_outlives_its_boot(db: Database) -> None:
    """Events of yesterday's boot are sent today."""
    boots = Boots(db)
    first = boots.begin(Mono(0), Wall(1000))
    with db.transaction():
        boots.learn(now(first, 10, 90_000))
    boots = Boots(db)
    boots.begin(Mono(0), Wall(1000))

    assert boots.wall_of(Instant(first, Mono(20))) == Wall(90_010)


def test_a_boot_that_never_learned_the_time_ended_before_a_later_one_that_did(db: Database) -> None:
    """It believed to live a year later; what it saw was all before the present boot began."""
    boots = Boots(db)
    ahead = boots.begin(Mono(10), Wall(900_000))
    boots = Boots(db)
    present = boots.begin(Mono(40), Wall(900_500))
    guessed = boots.wall_of(Instant(ahead, Mono(20)))
    with db.transaction():
        boots.learn(now(present, 50, 1050))

    assert guessed == Wall(900_010)
    assert boots.wall_of(Instant(ahead, Mono(20))) == Wall(1040)
    assert Boots(db).wall_of(Instant(ahead, Mono(20))) == Wall(1040)
    assert boots.wall_of(Instant(present, Mono(41))) == Wall(1041)


def test_small_differences_are_not_written(db: Database) -> None:
    """A disciplined clock moves all the time; each write would cost an fsync."""
    boots = Boots(db)
    boot = boots.begin(Mono(0), Wall(0))
    with db.transaction():
        boots.learn(now(boot, 10, 1000))
    before = db.connection.total_changes

    with db.transaction():
        boots.learn(now(boot, 20, 1010.2))

    assert db.connection.total_changes == before


def test_the_time_saved_last_is_the_floor_of_the_next_boot(db: Database) -> None:
    """A clock that starts in 1970 does not put a session before one that has ended."""
    boots = Boots(db)
    boots.begin(Mono(0), Wall(1_000_000))
    with db.transaction():
        boots.save(Wall(1_500_000))

    boot = boots.begin(Mono(5), Wall(7))

    assert boots.wall_of(Instant(boot, Mono(5))) == Wall(1_500_000)


@pytest.mark.parametrize("boot", [1, 50, 999])
def test_an_instant_of_a_forgotten_boot_has_some_time(db: Database, boot: int) -> None:
    """A row may be older than what is remembered; it is rendered all the same."""
    boots = Boots(db)
    for _ in range(120):
        boots.begin(Mono(0), Wall(1000))

    assert boots.wall_of(Instant(BootId(boot), Mono(1))) == Wall(1001)
