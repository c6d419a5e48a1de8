"""The tables of the charging profiles: what is in them is what is known, whatever else lies there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from station.now import BootId, Mono, Now, Wall
from station.ocpp.types import ChargingProfileType, ChargingSchedulePeriodType, ChargingScheduleType
from station.state.factory import KEPT, FactoryState
from station.state.profiles import Installed, Profiles, ToCome
from station.state.sessions import Session, Sessions
from station.store.db import Database

NOW = Now(BootId(1), Mono(0.0), Wall(1_800_000_000.0))


def profile(number: int, transaction_id: str | None = None, amperes: float = 16.0) -> ChargingProfileType:
    return ChargingProfileType(
        id=number,
        stack_level=0,
        charging_profile_purpose="TxDefaultProfile" if transaction_id is None else "TxProfile",
        charging_profile_kind="Relative",
        transaction_id=transaction_id,
        charging_schedule=[
            ChargingScheduleType(
                id=1,
                charging_rate_unit="A",
                charging_schedule_period=[ChargingSchedulePeriodType(start_period=0, limit=amperes)],
            )
        ],
    )


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "station.db")
    yield opened
    opened.close()


@pytest.fixture
def sessions(db: Database) -> Sessions:
    return Sessions(db)


def read(db: Database, sessions: Sessions) -> Profiles:
    found = Profiles(db=db, sessions=sessions)
    found.load(NOW)
    return found


def test_what_was_installed_is_there_in_the_order_of_its_ids(db: Database, sessions: Sessions) -> None:
    profiles = read(db, sessions)
    with db.transaction():
        for number in (7, 3, 5):
            profiles.install(Installed(1, profile(number)))
        profiles.remove(5)
        profiles.expect(ToCome(2, 9, profile(8)))

    again = read(db, sessions)

    assert again.all() == profiles.all() == [Installed(1, profile(3)), Installed(1, profile(7))]
    assert again.to_come(2) == ToCome(2, 9, profile(8))
    assert len(again) == 2


def test_the_same_again_is_not_written(db: Database, sessions: Sessions) -> None:
    profiles = read(db, sessions)
    with db.transaction():
        assert profiles.install(Installed(1, profile(3)))
    changes = db.connection.total_changes

    with db.transaction():
        assert not profiles.install(Installed(1, profile(3)))
        profiles.remove(99)

    assert db.connection.total_changes == changes
    with db.transaction():
        assert profiles.install(Installed(1, profile(3, amperes=8.0)))


def test_a_profile_whose_transaction_is_gone_is_passed_over_and_then_forgotten(
    db: Database, sessions: Sessions
) -> None:
    sessions.keep(Session(evse_id=1, transaction_id="runs"))
    profiles = read(db, sessions)
    with db.transaction():
        profiles.install(Installed(1, profile(1, "runs")))
        profiles.install(Installed(2, profile(2, "gone")))

    again = read(db, sessions)

    assert [each.profile.id for each in again.all()] == [1]
    with db.transaction():
        again.forget_strays()
    assert db.execute("SELECT id FROM charging_profile").fetchall() == [(1,)]


def test_one_bad_row_does_not_hide_the_others(
    db: Database, sessions: Sessions, caplog: pytest.LogCaptureFixture
) -> None:
    profiles = read(db, sessions)
    with db.transaction():
        profiles.install(Installed(1, profile(1)))
        db.execute("INSERT INTO charging_profile VALUES (2, 1, 'CSO', ?)", (b"{broken",))

    again = read(db, sessions)

    assert [each.profile.id for each in again.all()] == [1]
    assert "state.bad_row" in caplog.messages


def test_a_failed_step_leaves_the_table_as_it_was(db: Database, sessions: Sessions) -> None:
    """The memory is read again, as after every failure."""
    profiles = read(db, sessions)

    def step() -> None:
        with db.transaction():
            profiles.install(Installed(1, profile(1)))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        step()

    profiles.load(NOW)

    assert profiles.all() == []


def test_a_factory_reset_forgets_them(db: Database, sessions: Sessions) -> None:
    profiles = read(db, sessions)
    with db.transaction():
        profiles.install(Installed(1, profile(1)))
        profiles.expect(ToCome(2, 9, profile(8)))

    with db.transaction():
        emptied = FactoryState(db).forget()

    assert {"charging_profile", "charging_profile_to_come"} <= set(emptied)
    assert not {"charging_profile", "charging_profile_to_come"} & KEPT
    assert read(db, sessions).all() == []
