"""The sessions' table: what survives, what does not, and that one bad row prevents nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from hal.api import Fault, MeterReading, PerPhase
from station.now import BootId, Instant, Mono, Now, Wall
from station.ocpp.types import IdTokenType
from station.state.meters import Sample
from station.state.sessions import MAX_SAMPLES, Closing, Session, Sessions
from station.store.db import Database

ONE_PAGE = 985
"""Bytes of a blob that SQLite keeps in a page of 1024, beside two small integers."""


def now(boot: int = 1, mono: float = 100.0) -> Now:
    return Now(BootId(boot), Mono(mono), Wall(1_800_000_000.0 + mono))


def sample(mono: float, mwh: int) -> Sample:
    return Sample(Instant(BootId(1), Mono(mono)), MeterReading(sampled_at=mono, energy_import_mwh=mwh))


STOPPED = Instant(BootId(1), Mono(99.0))
RUNNING = Session(
    evse_id=1,
    connector_id=1,
    plugged=True,
    cable_in=True,
    locked=True,
    authorized=True,
    id_token=IdTokenType(id_token="04AA", type="ISO14443"),
    transaction_id="tx-1",
    start_point="Authorized",
    started_at=Instant(BootId(1), Mono(90.0)),
    seq_no=4,
    charging_state="Charging",
    path_closed=True,
    flowing=True,
    faults=(Fault.OVER_TEMPERATURE,),
    begin=sample(90, 1000),
    last=sample(99, 2000),
    owed=("begin",),
    plug_by=Mono(160.0),
    offering=True,
    settled=True,
)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "station.db")
    yield opened
    opened.close()


def saved(db: Database, session: Session) -> Session:
    with db.transaction():
        return Sessions(db).save(session, now())


def loaded(db: Database, at: Now) -> Sessions:
    sessions = Sessions(db)
    sessions.load(at)
    return sessions


def test_a_session_comes_back_as_it_was_written_after_a_step_that_failed(db: Database) -> None:
    """The same boot: what the hardware showed is still true."""
    session = saved(db, RUNNING)

    assert loaded(db, now()).on_evse(1) == session
    assert session.secured


def test_after_a_new_start_nothing_is_believed_of_the_hardware_and_no_deadline_counts(db: Database) -> None:
    """What is billed stays: token, transaction, seqNo, registers."""
    saved(db, RUNNING)
    session = loaded(db, now(boot=2)).get(1)

    assert (session.path_closed, session.flowing, session.locked, session.offering) == (False, False, False, False)
    assert (session.faults, session.plug_by, session.offered_at) == ((), None, None)
    assert (session.transaction_id, session.seq_no, session.id_token) == ("tx-1", 4, RUNNING.id_token)
    assert (session.begin, session.last, session.owed) == (RUNNING.begin, RUNNING.last, ("begin",))
    assert session.boot == 1


def test_a_closing_session_keeps_what_it_is_closing_with(db: Database) -> None:
    """Reason, trigger and instant survive the power cut."""
    closing = Closing(trigger="StopAuthorized", reason="Local", at=Instant(BootId(1), Mono(99.0)), by=Mono(104.0))
    saved(db, replace(RUNNING, closing=closing))

    assert loaded(db, now(boot=2)).get(1).closing == closing


def test_what_is_not_worth_keeping_is_not_written(db: Database) -> None:
    """A plugged vehicle is told again by the hardware."""
    saved(db, Session(evse_id=1, plugged=True, cable_in=True))

    assert db.execute("SELECT count(*) FROM session").fetchone() == (0,)


@pytest.mark.parametrize(
    "left",
    [
        Session(evse_id=1, plugged=True, spent=True),
        Session(evse_id=1, holds_cable=True, cable_in=True, id_token=RUNNING.id_token),
        Session(evse_id=1, plugged=True, authorized=True, offering=True, begin=sample(90, 1000)),
    ],
)
def test_what_a_power_cut_must_not_erase_is_written_without_a_transaction(db: Database, left: Session) -> None:
    """A plug-in that had its transaction, a held cable, an offer with its start register."""
    saved(db, left)

    assert loaded(db, now()).get(1) == replace(left, boot=BootId(1), secured=left.begin is not None)


def test_an_ended_session_removes_its_row(db: Database) -> None:
    """Nothing is left when the vehicle has gone."""
    saved(db, RUNNING)
    sessions = loaded(db, now())
    with db.transaction():
        sessions.save(Session(evse_id=1), now())

    assert db.execute("SELECT count(*) FROM session").fetchone() == (0,)
    assert db.execute("SELECT count(*) FROM session_begin").fetchone() == (0,)
    assert sessions.on_evse(1) is None


def test_the_start_value_is_written_once_and_outside_of_the_row_that_each_event_replaces(db: Database) -> None:
    """That row fits into one page of the database, whatever the meter measures."""
    amperes = PerPhase(70.123, 70.123, 70.123)
    full = Sample(
        Instant(BootId(1), Mono(123456.123456)),
        MeterReading(
            sampled_at=123456.123456,
            energy_import_mwh=123_456_789_012,
            energy_export_mwh=0,
            power_import_w=48370.368,
            power_import_phase_w=PerPhase(16123.456, 16123.456, 16123.456),
            voltage_v=PerPhase(230.123, 230.123, 230.123),
            current_a=amperes,
            frequency_hz=50.012,
            power_factor=0.987,
        ),
    )
    session = saved(
        db, replace(RUNNING, id_token=IdTokenType(id_token="x" * 36, type="Central"), begin=full, last=full)
    )
    changes = db.connection.total_changes
    with db.transaction():
        sessions = loaded(db, now())
        sessions.save(replace(session, seq_no=5), now())

    assert db.connection.total_changes == changes + 1
    assert db.execute("SELECT length(data) FROM session").fetchone()[0] < ONE_PAGE
    assert loaded(db, now()).get(1).begin == full


def test_a_start_value_that_cannot_be_read_costs_no_transaction(db: Database, caplog: pytest.LogCaptureFixture) -> None:
    """It is billed without one; what follows does not find the old row."""
    saved(db, RUNNING)
    with db.transaction():
        db.execute("UPDATE session_begin SET data = ?", (b"{}",))
    sessions = loaded(db, now())
    session = sessions.get(1)
    with db.transaction():
        sessions.save(session, now())

    assert (session.transaction_id, session.begin) == ("tx-1", None)
    assert "state.bad_row" in caplog.text
    assert db.execute("SELECT count(*) FROM session_begin").fetchone() == (0,)


def test_one_bad_row_does_not_hide_the_others(db: Database, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged and passed over; its EVSE begins anew."""
    saved(db, RUNNING)
    with db.transaction():
        db.execute("INSERT INTO session VALUES (2, 1, ?)", (b'{"evse_id": "two"}',))
    sessions = loaded(db, now())

    assert sessions.on_evse(2) is None
    assert [session.evse_id for session in sessions.running()] == [1]
    assert "state.bad_row" in caplog.text


def test_a_field_that_an_older_agent_does_not_know_is_passed_over(db: Database) -> None:
    """A rolled-back image must be able to read the sessions of the newer one."""
    with db.transaction():
        db.execute("INSERT INTO session VALUES (1, 1, ?)", (b'{"evse_id":1,"transaction_id":"tx","newer":[1]}',))

    assert loaded(db, now()).get(1).transaction_id == "tx"


def test_the_questions_of_other_blocks(db: Database) -> None:
    """By EVSE, by transaction, running, all."""
    sessions = loaded(db, now())
    plugged = Session(evse_id=2, plugged=True)
    sessions.keep(RUNNING)
    sessions.keep(plugged)
    sessions.keep(Session(evse_id=3, locked=True))

    assert sessions.on_evse(1) == sessions.by_transaction("tx-1") == RUNNING
    assert sessions.on_evse(3) is None
    assert sessions.by_transaction("other") is None
    assert sessions.running() == [RUNNING]
    assert sessions.all() == [RUNNING, plugged]
    assert sessions.get(9) == Session(evse_id=9)


def test_samples_are_kept_apart_by_kind_and_forgotten_with_the_transaction(db: Database) -> None:
    """Periodic and clock-aligned ones; in order."""
    sessions = loaded(db, now())
    session = RUNNING
    with db.transaction():
        for n in range(3):
            session = sessions.add_sample(session, sample(100 + n, 3000 + n), clock=n == 1)

    assert [float(each.at.mono) for each in sessions.samples("tx-1", clock=False)] == [100, 102]
    assert [float(each.at.mono) for each in sessions.samples("tx-1", clock=True)] == [101]

    with db.transaction():
        sessions.forget_samples("tx-1")

    assert sessions.samples("tx-1", clock=False) == []


@pytest.mark.req("E06.FR.13")
def test_too_many_samples_lose_every_second_one(db: Database) -> None:
    """The 1st, 3rd, 5th; so memory and message stay bounded."""
    sessions = loaded(db, now())
    session = RUNNING
    with db.transaction():
        for n in range(MAX_SAMPLES * 3):
            session = sessions.add_sample(session, sample(100.0 + n, 3000 + n), clock=False)
    kept = [float(each.at.mono) for each in sessions.samples("tx-1", clock=False)]

    assert MAX_SAMPLES // 2 <= len(kept) <= MAX_SAMPLES
    assert kept == sorted(kept)
    assert kept[-1] == 100 + MAX_SAMPLES * 3 - 1


@pytest.mark.parametrize(
    "something",
    [
        {"plug_by": Mono(160.0)},
        {"settled": False, "offered_at": Mono(90.0)},
        {"energy_until_mwh": 5000},
        {
            "closing": Closing(
                trigger="StopAuthorized", reason="Local", at=Instant(BootId(1), Mono(99.0)), by=Mono(104.0)
            )
        },
    ],
)
def test_who_waits_for_something_is_told_from_who_simply_charges(db: Database, something: dict[str, Any]) -> None:
    """Of many that charge none has a deadline; where nobody is, none is awaited."""
    sessions = Sessions(db)
    charges = replace(RUNNING, plug_by=None, offered_at=Mono(90.0))
    for evse_id in (1, 2):
        sessions.keep(replace(charges, evse_id=evse_id))
    assert sessions.awaiting() == []

    waits = replace(charges, evse_id=2, **something)
    sessions.keep(waits)
    sessions.keep(Session(evse_id=3, plug_by=Mono(160.0)))

    assert sessions.awaiting() == [waits]
