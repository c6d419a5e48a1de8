"""Going on in memory while the disk takes no writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from station.store import fallback as module
from station.store.db import Database, Fault, StoreFailed
from station.store.fallback import Fallback
from tests.crash.recorder import VFS, Recorder
from tests.unit.store.queue import Post


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Recorder, Post]]:
    """A queue on a medium that a test can make fail."""
    opened = Database.open
    monkeypatch.setattr(Database, "open", lambda path: opened(path, vfs=VFS))
    root = tmp_path / "medium"
    root.mkdir()
    with Recorder(root) as recorder:
        post = Post(root / "station.db")
        yield recorder, post
        recorder.fail = None
        post.db.close()


def break_disk(recorder: Recorder) -> None:
    """No write succeeds any more."""
    recorder.fail = lambda what, _name: sqlite3.SQLITE_IOERR if what in {"write", "sync"} else 0


def test_events_go_on_in_memory_and_reach_the_disk_later(disk: tuple[Recorder, Post]) -> None:
    """In their order, with what was queued before."""
    recorder, post = disk
    post.lose_link()
    post.event("A", "A0")
    break_disk(recorder)
    fallback = Fallback(post.db)
    with pytest.raises(StoreFailed):
        post.event("A", "A1")

    fallback.enter(StoreFailed(Fault.IO))
    post.event("A", "A1")
    failed = fallback.leave()
    assert failed is not None
    assert failed.kind is Fault.IO
    assert fallback.active
    post.event("A", "A2")
    recorder.fail = None
    assert fallback.leave() is None

    assert not fallback.active
    post = post.restart()
    assert post.stored() == ["A0", "A1", "A2"]
    post.db.close()


def test_memory_is_bounded_by_dropping_updated_events(
    disk: tuple[Recorder, Post], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails for days must not end the process."""
    recorder, post = disk
    monkeypatch.setattr(module, "MEMORY_BYTES", 2_000_000)
    post.lose_link()
    break_disk(recorder)
    Fallback(post.db).enter(StoreFailed(Fault.IO))

    post.event("A", "Started")
    for n in range(4000):
        post.event("A", f"{n:04}" + "." * 800, droppable=True)
    post.event("A", "Ended")

    kept = post.stored()
    assert (kept[0], kept[-1]) == ("Started", "Ended")
    assert 500 < len(kept) < 2000
    assert sum(entry.rows for entry in post.outbox.thinned()) == 4002 - len(kept)


def test_what_was_answered_is_deleted_though_the_commit_that_would_have_done_it_failed(
    disk: tuple[Recorder, Post],
) -> None:
    """It is owed until a commit has succeeded; else the row would be sent again by every later start."""
    recorder, post = disk
    post.event("A")
    post.deliver()
    break_disk(recorder)
    with pytest.raises(StoreFailed):
        post.event("B")
    recorder.fail = None

    post.event("C")

    assert post.stored() == ["C"]
