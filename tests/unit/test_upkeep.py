"""What is kept beside the database so that a station finds its CSMS again when that is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from station.commands.upkeep import ESSENTIALS, Upkeep, remembered
from station.store import files
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

    assert remembered(tmp_path, "CS-BENCH") == tuple(bench.station.network.profiles())
    assert remembered(tmp_path, "CS-OTHER") == ()


def test_what_a_failing_disk_put_off_is_done_later(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    upkeep = Upkeep(bench.station, bench.path, "CS-BENCH")

    def refuse(path: Path, data: bytes) -> None:
        raise OSError(28, f"no space for {len(data)} bytes in {path}")

    with monkeypatch.context() as full:
        full.setattr(files, "replace", refuse)
        upkeep.look(bench.now)
    assert remembered(bench.path, "CS-BENCH") == ()

    upkeep.look(bench.now)

    assert remembered(bench.path, "CS-BENCH") == tuple(bench.station.network.profiles())
