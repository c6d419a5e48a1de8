"""A damaged database: what can be read is kept, and the station starts."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from station.store import db as module
from station.store import files
from station.store.db import Database, StoreFailed, condemned
from station.store.outbox import Gate
from station.store.salvage import Salvaged, open_or_salvage
from tests.crash.medium import power_cuts
from tests.crash.recorder import VFS, Recorder, RecordingOs
from tests.unit.store.queue import Post

PAGE = 1024


def used_station(path: Path) -> None:
    """Some boots, a queue of 60 events, a table of its own with 60 rows, and a daily copy."""
    post = Post(path, Gate.CLOSED)
    post.db.execute("CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
    with post.db.transaction():
        for n in range(60):
            post.outbox.tell(post.told("TransactionEvent", f"A{n:02}" + "." * 700, key="A"))
            post.db.execute("INSERT INTO setting VALUES (?, ?)", (f"name {n}", "v" * 300))
    post.db.copy_to(path.with_name("copy.db"))
    post.db.close()


def pages_of(path: Path, table: str) -> list[int]:
    """The numbers (from 1) of a table's pages, in the order of the table."""
    connection = sqlite3.connect(path)
    root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
    connection.close()
    content = path.read_bytes()

    def below(page: int) -> list[int]:
        header = (page - 1) * PAGE + (100 if page == 1 else 0)
        if content[header] != 5:  # not an interior page of a table
            return [page]
        cells = int.from_bytes(content[header + 3 : header + 5], "big")
        pointers = [int.from_bytes(content[header + 12 + 2 * i : header + 14 + 2 * i], "big") for i in range(cells)]
        children = [int.from_bytes(content[(page - 1) * PAGE + p : (page - 1) * PAGE + p + 4], "big") for p in pointers]
        children.append(int.from_bytes(content[header + 8 : header + 12], "big"))
        return [leaf for child in children for leaf in below(child)]

    return below(root)


def break_page(path: Path, number: int) -> None:
    """A page of rubbish."""
    content = bytearray(path.read_bytes())
    content[(number - 1) * PAGE : number * PAGE] = b"\xff" * PAGE
    path.write_bytes(content)


def queued(path: Path) -> list[str]:
    """The events that a station with this database would send."""
    post = Post(path, Gate.OPEN)
    texts = [text[:3] for text in post.delivered()]
    post.db.close()
    return texts


def salvage(path: Path) -> Salvaged:
    """Open; there must have been something to salvage."""
    db, salvaged = open_or_salvage(path, copy=path.with_name("copy.db"))
    assert [notice.kind for notice in db.notices()] == ["quarantined"]
    db.close()
    assert salvaged is not None
    return salvaged


def test_a_sound_database_is_simply_opened(tmp_path: Path) -> None:
    """And an absent one is made."""
    for _ in range(2):
        db, salvaged = open_or_salvage(tmp_path / "station.db")
        assert salvaged is None
        db.close()
    assert not (tmp_path / "quarantine").exists()


def test_rows_before_and_behind_a_damaged_page_are_saved(tmp_path: Path) -> None:
    """Of the queue only what stood on the page is lost; ids stay, nothing comes from the copy."""
    path = tmp_path / "station.db"
    used_station(path)
    break_page(path, pages_of(path, "outbox")[30])

    salvaged = salvage(path)

    assert salvaged.damaged == ("outbox",)
    texts = queued(path)
    assert texts == sorted(texts)
    assert 57 <= len(texts) < 60
    assert {"A00", "A59"} <= set(texts)


def test_other_tables_are_completed_from_the_daily_copy(tmp_path: Path) -> None:
    """A variable of yesterday is better than none."""
    path = tmp_path / "station.db"
    used_station(path)
    break_page(path, pages_of(path, "setting")[5])

    salvaged = salvage(path)

    assert salvaged.from_copy == ("setting",)
    db = Database.open(path)
    assert db.execute("SELECT count(*) FROM setting").fetchone() == (60,)
    db.close()
    assert len(queued(path)) == 60


@pytest.mark.parametrize("damage", [lambda c: bytes(100) + c[100:], lambda c: b"rubbish" * 1000, lambda c: c[:5000]])
def test_a_hopeless_file_does_not_prevent_a_start(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    """Settings come from the copy; the queue is gone, and the operator is told; the evidence is kept."""
    path = tmp_path / "station.db"
    used_station(path)
    broken = damage(path.read_bytes())
    path.write_bytes(broken)

    salvaged = salvage(path)

    assert "outbox" in salvaged.damaged
    assert (salvaged.quarantine / "station.db").read_bytes()[:5000] == broken[:5000]
    db = Database.open(path)
    assert db.execute("SELECT count(*) FROM setting").fetchone() == (60,)
    db.close()


def test_boot_ids_go_on_after_a_salvage(tmp_path: Path) -> None:
    """Else new rows could get ids of old ones."""
    path = tmp_path / "station.db"
    used_station(path)
    for _ in range(5):
        post = Post(path, Gate.CLOSED)
        post.event("B", "B")
        post.db.close()
    break_page(path, pages_of(path, "boot")[0])

    salvage(path)

    post = Post(path, Gate.CLOSED)
    assert post.boot == 7
    post.db.close()


def test_what_a_late_check_condemned_is_salvaged_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large file is checked after the BootNotification."""
    path = tmp_path / "station.db"
    used_station(path)
    break_page(path, pages_of(path, "outbox")[30])
    monkeypatch.setattr(module, "CHECK_AT_ONCE_BYTES", 1000)
    db, salvaged = open_or_salvage(path)
    assert salvaged is None
    with pytest.raises(StoreFailed):
        db.check()
    db.close()

    salvage(path)

    assert not condemned(path).exists()
    db, again = open_or_salvage(path)
    assert again is None
    db.check()
    db.close()


def test_only_three_quarantines_are_kept(tmp_path: Path) -> None:
    """A medium that keeps failing must not fill itself."""
    path = tmp_path / "station.db"
    for _ in range(5):
        Database.open(path).close()
        path.write_bytes(b"rubbish" * 1000)
        db, _ = open_or_salvage(path)
        db.close()

    assert sorted(entry.name for entry in (tmp_path / "quarantine").iterdir()) == ["3", "4", "5"]


def test_power_may_fail_in_the_middle_of_a_salvage(fast: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next start takes it up again; at no moment are the rows nowhere."""
    root = fast / "live"
    root.mkdir()
    used_station(root / "station.db")
    break_page(root / "station.db", pages_of(root / "station.db", "outbox")[30])
    reference = fast / "reference"
    shutil.copytree(root, reference)
    salvage(reference / "station.db")
    expected = queued(reference / "station.db")
    with Recorder(root) as recorder:
        start = len(recorder.log)
        monkeypatch.setattr(files, "os", RecordingOs(recorder))
        db, _ = open_or_salvage(root / "station.db", vfs=VFS, copy=root / "copy.db")
        recorder.mark("salvaged")
        db.close()
    monkeypatch.undo()

    def all_there(image: Path, _marks: Sequence[Any]) -> None:
        db, _ = open_or_salvage(image / "station.db", copy=image / "copy.db")
        assert db.execute("SELECT count(*) FROM setting").fetchone() == (60,)
        db.close()
        assert queued(image / "station.db") == expected

    report = power_cuts(recorder.log, all_there, fast / "image", start=start, most=60)

    assert report.images == 60
    assert report.violations == []


def overwrite(path: Path, old: bytes, new: bytes) -> None:
    """Damage the first place where these bytes stand."""
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))


def waiting(path: Path) -> int:
    """A start on the damaged file; how many messages it sends."""
    db, _ = open_or_salvage(path)
    db.close()
    return sum(1 for _ in iter(Post(path).deliver, None))


@pytest.mark.parametrize("seed", range(60))
def test_one_flipped_bit_prevents_no_start_and_loses_no_more_than_a_page(tmp_path: Path, seed: int) -> None:
    """Wherever in the file it is: header, definitions, pages, text of a row."""
    path = tmp_path / "station.db"
    used_station(path)
    content = bytearray(path.read_bytes())
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)

    assert waiting(path) >= 59  # an event of this size fills a page


def test_a_text_that_is_no_text_any_more_costs_at_most_its_row(tmp_path: Path) -> None:
    """quick_check does not look into values: every later start met the row and died of it."""
    path = tmp_path / "station.db"
    used_station(path)

    overwrite(path, b"1-17", b"1\xff17")

    assert waiting(path) == 60


@pytest.mark.parametrize(
    "old, new",
    [
        (b"message_id TEXT", b"mess\xe1ge_id TEXT"),
        (b"message_id TEXT", b"nessage_id TEXT"),
        (b"CREATE TABLE outbox", b"CREATE TABLE outb\xefx"),
        (b"CREATE TABLE outbox", b"CREATD TABLE outbox"),
        (b"CREATE TABLE meta", b"CREATE TABLE mete"),
    ],
)
def test_a_damaged_definition_is_replaced_by_ours_and_no_row_is_lost(tmp_path: Path, old: bytes, new: bytes) -> None:
    """SQLite cites what it cannot read in a complaint that is no text either, or does not complain at all."""
    path = tmp_path / "station.db"
    used_station(path)

    overwrite(path, old, new)

    assert waiting(path) == 60
