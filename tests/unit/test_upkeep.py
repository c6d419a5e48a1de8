"""What is kept beside the database so that a station finds its CSMS again when that is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from station.commands.upkeep import AT_THE_EARLIEST_S, DAILY_COPY, ESSENTIALS, Remembered, Upkeep, Work, remembered
from station.store import files
from station.store.db import condemned
from tests.bench import Bench


def test_the_way_to_the_csms_is_kept_once_it_has_proved_itself(tmp_path: Path) -> None:
    """And known to the station of this identity alone."""
    bench = Bench(tmp_path, connected=False)
    upkeep = Upkeep(bench.station, tmp_path, "CS-BENCH")
    upkeep.look(bench.now)
    assert not (tmp_path / ESSENTIALS).exists()

    bench.csms.connect()
    bench.advance(seconds=5)
    upkeep.look(bench.now)

    assert remembered(tmp_path, "CS-BENCH").profiles == tuple(bench.station.network.profiles())
    assert remembered(tmp_path, "CS-OTHER") == Remembered()


def test_what_a_failing_disk_put_off_is_done_later(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    upkeep = Upkeep(bench.station, bench.path, "CS-BENCH")

    def refuse(path: Path, data: bytes) -> None:
        raise OSError(28, f"no space for {len(data)} bytes in {path}")

    with monkeypatch.context() as full:
        full.setattr(files, "replace", refuse)
        upkeep.look(bench.now)
    assert remembered(bench.path, "CS-BENCH") == Remembered()

    upkeep.look(bench.now)

    assert remembered(bench.path, "CS-BENCH").profiles == tuple(bench.station.network.profiles())


def test_the_file_is_copied_and_checked_beside_the_steps(bench: Bench) -> None:
    """Both read all of it, which takes a second and more of a large one."""
    waiting: list[Work] = []
    upkeep = Upkeep(bench.station, bench.path, "CS-BENCH", aside=waiting.append)
    bench.station.db.check_pending = True

    upkeep.look(bench.now)
    upkeep.look(bench.now)
    bench.advance(seconds=AT_THE_EARLIEST_S)
    upkeep.look(bench.now)

    assert len(waiting) == 2
    assert not (bench.path / DAILY_COPY).exists()
    for work in waiting:
        work()
    assert (bench.path / DAILY_COPY).exists()
    assert not condemned(bench.station.db.path).exists()
    upkeep.look(bench.now)
    assert len(waiting) == 2


def test_damage_that_the_deferred_check_finds_is_marked_for_the_next_start(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """It is looked for late, in a thread, in which nothing else would hear of it."""
    waiting: list[Work] = []
    upkeep = Upkeep(bench.station, bench.path, "CS-BENCH", aside=waiting.append)
    db = bench.station.db
    db.check_pending = True
    upkeep.look(bench.now)
    db.execute("PRAGMA writable_schema = ON")
    with db.transaction():
        db.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'undelivered', 'UNDELIVERED') WHERE name = 'undelivered'"
        )
    db.execute("PRAGMA writable_schema = OFF")

    (work,) = waiting
    work()

    assert condemned(db.path).exists()
    assert any(record.message == "store.upkeep" for record in caplog.records)
