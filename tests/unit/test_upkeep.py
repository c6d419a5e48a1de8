"""What is kept beside the database so that a station finds its CSMS again when that is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from station.commands.upkeep import AT_THE_EARLIEST_S, DAILY_COPY, ESSENTIALS, Remembered, Upkeep, Work, remembered
from station.store import files
from station.store.db import Fault, StoreFailed, companions, condemned
from tests.bench import Bench
from tests.properties import records


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


def _removed(path: Path) -> None:
    path.unlink()


def _with_its_log(path: Path) -> None:
    for each in companions(path):
        each.unlink(missing_ok=True)


def _only_its_log(path: Path) -> None:
    path.with_name(path.name + "-wal").unlink()


def _replaced_by_a_backup(path: Path) -> None:
    path.with_name("backup").write_bytes(path.read_bytes())
    path.with_name("backup").replace(path)


def _replaced_by_rubbish(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"rubbish")


def _moved_away(path: Path) -> None:
    path.rename(path.with_name("elsewhere.db"))


DISASTERS = (_removed, _with_its_log, _only_its_log, _replaced_by_a_backup, _replaced_by_rubbish, _moved_away)


@pytest.mark.parametrize("disaster", DISASTERS, ids=lambda disaster: disaster.__name__)
def test_a_database_that_is_taken_away_is_written_anew_and_loses_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, disaster: Callable[[Path], None]
) -> None:
    """Offline, while charging: what was queued before and what is told afterwards outlive a power cut."""
    variables = {"AuthCtrlr.OfflineTxForUnknownIdEnabled": "true", "SampledDataCtrlr.TxUpdatedInterval": "10"}
    bench = Bench(tmp_path, variables=variables)
    upkeep = Upkeep(bench.station, tmp_path, "CS-BENCH")
    bench.advance(seconds=5)
    bench.csms.disconnect()
    bench.evse(1).plug_in()
    bench.evse(1).present_token("04AABBCC")
    bench.advance(seconds=60)
    bench._do(upkeep.look(bench.now))
    disaster(bench.station.db.path)
    bench.advance(seconds=30)
    bench._do(upkeep.look(bench.now))
    bench.advance(seconds=30)
    lost = [record.levelname for record in caplog.records if record.getMessage() == "store.file_lost"]
    bench._do(upkeep.look(bench.now))
    bench.crash()
    bench.csms.connect()
    bench.advance(minutes=1)

    events = bench.events()
    assert lost == ["CRITICAL"]
    assert [event["seqNo"] for event in events] == list(range(len(events)))
    assert (events[0]["eventType"], events[-1]["eventType"]) == ("Started", "Ended")
    assert records.billed_wh(events) == pytest.approx(bench.evse(1).energy_wh)
    told = [event["techInfo"] for event in bench.csms.received("SecurityEventNotification")]
    assert len([info for info in told if "written anew" in info]) == 1
    assert not condemned(bench.station.db.path).exists()


def test_what_lay_in_its_place_is_kept(bench: Bench) -> None:
    """Whoever put it there may want it back."""
    upkeep = Upkeep(bench.station, bench.path, "CS-BENCH")
    _replaced_by_rubbish(bench.station.db.path)
    upkeep.look(bench.now)

    assert (bench.path / "station.db.foreign").read_bytes() == b"rubbish"


def test_a_database_that_is_taken_away_while_the_disk_fails_is_written_when_it_works_again(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """Meanwhile the station runs on its copy in memory, which has it all."""
    upkeep = Upkeep(bench.station, bench.path, "CS-BENCH")
    bench.station.engine.fallback.enter(StoreFailed(Fault.IO))
    bench.evse(1).plug_in()
    bench.evse(1).present_token("04AABBCC")
    bench.advance(seconds=5)
    _removed(bench.station.db.path)
    bench._do(upkeep.look(bench.now))
    bench.advance(seconds=11)
    bench.crash()
    bench.advance(seconds=10)

    assert "store.file_lost" in caplog.text
    assert not bench.station.engine.fallback.active
    events = bench.events()
    assert [event["seqNo"] for event in events] == list(range(len(events)))
    assert (events[0]["eventType"], events[-1]["eventType"]) == ("Started", "Ended")


def test_a_disk_that_refuses_the_new_file_is_tried_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent goes on with the file that nobody sees any more."""
    upkeep = Upkeep(bench.station, bench.path, "CS-BENCH")
    _removed(bench.station.db.path)
    with monkeypatch.context() as full:
        full.setattr(files, "create_empty", _refuses)
        upkeep.look(bench.now)
        bench.evse(1).plug_in()
        bench.evse(1).present_token("04AABBCC")
        bench.advance(seconds=5)
    assert not bench.station.db.path.exists()

    upkeep.look(bench.now)
    bench.crash()
    bench.advance(seconds=10)

    events = bench.events()
    assert [event["seqNo"] for event in events] == list(range(len(events)))
    assert (events[0]["eventType"], events[-1]["eventType"]) == ("Started", "Ended")


def _refuses(path: Path) -> None:
    raise OSError(28, f"no space for {path}")
