"""The storage medium of the crash tests judged by itself: it must see what a careless program loses."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from station.store import files
from tests.crash.medium import Mark, Name, Operation, Sync, SyncDirectory, Unname, Write, images, power_cuts
from tests.crash.recorder import VFS, Recorder


def contents(log: Sequence[Any], variant: str) -> list[dict[str, bytes]]:
    """The images of one variant."""
    return [dict(image.files) for image in images(log) if image.variant == variant]


def test_unsynced_content_may_be_lost_though_its_name_is_durable() -> None:
    """The classic: rename without fsync leaves an empty file."""
    log: list[Operation] = [Name("a.new", 1), Write(1, 0, b"x" * 10), Name("a", 1, "a.new"), SyncDirectory("")]

    assert {"a": b""} in contents(log, "dropped")


def test_a_synced_file_without_a_synced_directory_may_have_no_name() -> None:
    """Content and name are made durable separately."""
    log: list[Operation] = [Name("a", 1), Write(1, 0, b"x"), Sync(1)]

    assert contents(log, "dropped")[-1] == {}
    assert contents(log, "kept")[-1] == {"a": b"x"}


def test_an_unlink_is_undone_until_its_directory_is_synced() -> None:
    """A deleted journal may come back."""
    log: list[Operation] = [
        Name("j", 1),
        SyncDirectory(""),
        Unname("j"),
        Mark("gone?"),
        SyncDirectory(""),
        Mark("gone"),
    ]

    by_marks = {(image.marks, bool(image.files)) for image in images(log) if image.variant == "dropped"}

    assert (("gone?",), True) in by_marks
    assert (("gone?", "gone"), True) not in by_marks


def test_a_long_write_is_torn_at_sectors() -> None:
    """512 bytes are the unit of a torn write."""
    log: list[Operation] = [Name("a", 1), SyncDirectory(""), Write(1, 0, b"1" * 2048)]

    seen = {image.files["a"] for seed in range(60) for image in images(log, seed=seed) if image.variant == "torn"}

    assert all(len(content) % 512 == 0 for content in seen)
    assert any(0 < content.count(b"1") < 2048 for content in seen)


def test_replace_leaves_the_old_content_or_the_new(recorder: Recorder, fast: Path) -> None:
    """files.replace: never a mixture, never empty, and new once it has returned."""
    target = recorder.root / "essentials.json"
    files.replace(target, b"old" * 1000)
    start = len(recorder.log)
    recorder.mark("old")
    files.replace(target, b"new" * 2000)
    recorder.mark("new")

    def whole(root: Path, marks: Sequence[Any]) -> None:
        content = (root / "essentials.json").read_bytes()
        assert content == b"new" * 2000 or (content == b"old" * 1000 and "new" not in marks)

    report = power_cuts(recorder.log, whole, fast / "image", start=start)

    assert report.images > 5
    assert report.violations == []


@pytest.mark.parametrize("forgotten", ["fsync of the file", "fsync of the directory"])
def test_a_replace_that_forgets_a_sync_is_caught(
    recorder: Recorder, fast: Path, forgotten: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mutants of files.replace."""
    if forgotten == "fsync of the file":
        monkeypatch.setattr("station.store.files.os.fsync", lambda _handle: None)
        monkeypatch.setattr(files, "sync_directory", lambda _path: recorder.log.append(SyncDirectory("")))
    else:
        monkeypatch.setattr(files, "sync_directory", lambda _path: None)
    files.replace(recorder.root / "a", b"1" * 700)
    recorder.mark("done")

    def there(root: Path, marks: Sequence[Any]) -> None:
        assert not marks or (root / "a").read_bytes() == b"1" * 700

    assert power_cuts(recorder.log, there, fast / "image").violations


def write_rows(recorder: Recorder, *, synchronous: str, early: bool, rows: int = 12) -> None:
    """Rows are inserted and then told to the world; `early`: told before the commit."""
    db = sqlite3.connect(f"file:{recorder.root}/s.db?vfs={VFS}", uri=True, isolation_level=None)
    db.execute("PRAGMA synchronous = EXTRA")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE t (i INTEGER PRIMARY KEY, data BLOB)")
    db.execute(f"PRAGMA synchronous = {synchronous}")
    db.execute("PRAGMA wal_autocheckpoint = 10")
    recorder.mark("begun")
    for i in range(1, rows):
        db.execute("BEGIN")
        db.execute("INSERT INTO t VALUES (?, ?)", (i, bytes([i]) * 3000))
        if early:
            recorder.mark(i)
        db.execute("COMMIT")
        if not early:
            recorder.mark(i)
    db.close()


def rows_are_there(root: Path, marks: Sequence[Any]) -> None:
    """What was told to the world is in the file, and the file is sound."""
    if not marks:
        return
    db = sqlite3.connect(root / "s.db")
    try:
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        highest = db.execute("SELECT coalesce(max(i), 0), count(*) FROM t").fetchone()
        assert highest[0] == highest[1] >= max([0, *(mark for mark in marks if mark != "begun")])
    finally:
        db.close()


def test_sqlite_with_full_sync_loses_nothing(recorder: Recorder, fast: Path) -> None:
    """The way the station's database runs."""
    write_rows(recorder, synchronous="FULL", early=False)

    report = power_cuts(recorder.log, rows_are_there, fast / "image")

    assert report.images > 200
    assert report.violations == []


@pytest.mark.parametrize(
    "synchronous,early",
    [("NORMAL", False), ("OFF", False), ("FULL", True)],
    ids=["normal", "off", "effects-first"],
)
def test_mutants_are_caught(recorder: Recorder, fast: Path, synchronous: str, early: bool) -> None:  # noqa: FBT001  # parametrised
    """If these pass unseen, the medium proves nothing."""
    write_rows(recorder, synchronous=synchronous, early=early)

    report = power_cuts(recorder.log, rows_are_there, fast / "image")

    assert len(report.violations) > report.images // 20


def test_injected_faults_reach_sqlite(recorder: Recorder) -> None:
    """FULL and I/O errors come out of the sqlite3 module as themselves."""
    db = sqlite3.connect(f"file:{recorder.root}/s.db?vfs={VFS}", uri=True, isolation_level=None)
    db.execute("CREATE TABLE t (i)")

    for code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_FSYNC):
        recorder.fail = lambda what, _name, code=code: code if what == "sync" else 0
        with pytest.raises(sqlite3.OperationalError) as caught:
            db.execute("INSERT INTO t VALUES (1)")
        assert caught.value.sqlite_errorcode & 0xFF == code & 0xFF

    recorder.fail = None
    db.execute("INSERT INTO t VALUES (1)")
    db.close()
