"""Power is cut at every write while a new version of the agent is put in place: there is always one to start, whole."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

import station
from station.commands.installers import Confirmation
from station.commands.installers import bundle as module
from station.store import files
from tests.bundles import Place, bundle, content
from tests.crash.medium import power_cuts
from tests.crash.recorder import Recorder

OLD, NEW = "8.0.0", "9.0.0"
SHOWS = '#!/bin/sh\necho "$3"\n'
"""In place of a Python: which start.py it was given."""
Oracle = Callable[[Path, Sequence[Any]], None]


class Site:
    """A station that runs a version which has proven itself; the disk is recorded."""

    def __init__(self, recorder: Recorder, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.recorder = recorder
        self.folder = folder
        self._set = monkeypatch.setattr
        self.place = Place(folder / "place", recorder.root / "slots")
        self.update(OLD)
        self.start = len(recorder.log)

    def update(self, version: str) -> None:
        """From the file to its end, without the restart in between."""
        assert self.place.install(bundle(self.folder / version, version), version)[0] == "restart"
        self.recorder.mark(f"restart {version}")
        slot = self.place.slots.trial
        self._set(station, "__file__", str(self.place.slots.versions / slot / "lib" / "station" / "__init__.py"))
        assert asyncio.run(self.place.installer().confirm(version, self.folder)) == Confirmation()
        self.recorder.mark(f"installed {version}")

    def starts(self, root: Path) -> str:
        """Which version is started from what the disk may hold; it is whole."""
        python = self.folder / "python"
        python.write_text(SHOWS)
        python.chmod(0o755)
        started = Path(Place(self.folder / "again", root / "slots").start(python=str(python))).parent
        version = started.name.partition("-")[0]
        found = {path.relative_to(started).as_posix(): path for path in started.rglob("*") if path.is_file()}
        found.pop("manifest.json")
        wanted = content(version)
        damaged = sorted(name for name, path in found.items() if path.read_bytes() != wanted.get(name))
        assert damaged == []  # their names alone: the differences of such files take pytest minutes to tell
        assert found.keys() == wanted.keys()
        return version

    def oracle(self) -> Oracle:
        """What has to hold at every moment."""

        def always_one(root: Path, marks: Sequence[Any]) -> None:
            version = self.starts(root)
            assert version == NEW if f"restart {NEW}" in marks else version in {OLD, NEW}
            if f"installed {NEW}" in marks:
                assert (root / "slots" / "current").read_text().startswith(NEW)

        return always_one


@pytest.fixture
def site(recorder: Recorder, fast: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(recorder, fast, monkeypatch)


def test_there_is_always_a_whole_version_to_start(site: Site, fast: Path) -> None:
    """The old one or the new one; once the agent was told to restart the new one, once it is installed for good."""
    site.update(NEW)

    report = power_cuts(site.recorder.log, site.oracle(), fast / "image", start=site.start)

    assert report.images > 50
    assert report.violations == []


def test_after_a_power_cut_the_installation_can_be_done_again(site: Site, fast: Path) -> None:
    """Whatever the first one has left behind."""
    new = bundle(fast / NEW, NEW)
    site.place.install(new, NEW)

    def again(root: Path, marks: Sequence[Any]) -> None:
        del marks
        place = Place(fast / "again", root / "slots")
        slot = place.slots.current
        site._set(station, "__file__", str(place.slots.versions / slot / "lib" / "station" / "__init__.py"))
        assert place.install(new, NEW) == ("restart", f"{NEW} is to be tried")
        assert site.starts(root) == NEW
        assert list(place.pointers()) == ["current", "trial-1"]

    report = power_cuts(site.recorder.log, again, fast / "image", start=site.start, most=40)

    assert report.images > 20
    assert report.violations == []


@pytest.mark.parametrize("after", [0, 1, 2, 3, 4, 5])
def test_a_disk_that_fills_up_while_a_version_is_unpacked_gets_the_room_back(
    site: Site, fast: Path, after: int
) -> None:
    """Somebody else took what was free: the database needs it more. The old version runs on; later it can be done."""
    new, before = bundle(fast / NEW, NEW), sorted(site.place.slots.versions.iterdir())
    writes = 0

    def full(what: str, name: str) -> int:
        nonlocal writes
        writes += what == "write" and "versions" in name
        return sqlite3.SQLITE_FULL if what == "write" and writes > after else 0

    site.recorder.fail = full
    outcome, _ = site.place.install(new, NEW)
    site.recorder.fail = None

    assert (outcome, writes) == ("failed", after + 1)
    assert sorted(site.place.slots.versions.iterdir()) == before
    assert site.starts(site.recorder.root) == OLD
    site.update(NEW)
    assert site.starts(site.recorder.root) == NEW


@pytest.mark.parametrize("step", ["_make_durable", "_unpack"])
def test_a_version_that_is_named_before_it_is_durable_is_caught(
    site: Site, fast: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The mutants: the names are not made durable, or the contents are not."""
    if step == "_make_durable":
        monkeypatch.setattr(module, step, lambda _folder: None)
    else:
        monkeypatch.setattr(files, "create", careless)
    site.update(NEW)

    assert power_cuts(site.recorder.log, site.oracle(), fast / "image", start=site.start, most=60, enough=1).violations


def careless(path: Path, pieces: Iterable[bytes]) -> None:
    """Written, and never synced."""
    recorded: Any = vars(files)["os"]
    handle = recorded.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    for piece in pieces:
        recorded.write(handle, piece)
    recorded.close(handle)
