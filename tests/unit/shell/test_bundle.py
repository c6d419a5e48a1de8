"""A log as one file: whole or not there, bounded, and never the last bytes of the disk."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from station.shell import bundle
from station.shell.bundle import CUT, Part, Unwanted, pack, sweep


class Usage(NamedTuple):
    """As shutil.disk_usage tells it."""

    free: int


def yes() -> bool:
    return True


def test_the_parts_are_files_of_the_archive(tmp_path: Path) -> None:
    """Which nobody else may read."""
    path = tmp_path / "logs" / "x.zip"

    pack(path, [Part("a.txt", iter([b"one ", b"two"])), Part("empty", ())], yes)

    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == {"a.txt": b"one two", "empty": b""}
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["x.zip"]


def test_what_is_too_much_is_left_out_and_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise cannot be compressed. Later parts are there all the same, as far as they go."""
    monkeypatch.setattr(bundle, "MOST_BYTES", 100_000)
    pieces = 0

    def noise() -> Iterator[bytes]:
        nonlocal pieces
        while True:
            pieces += 1
            yield os.urandom(10_000)

    pack(tmp_path / "x.zip", [Part("noise", noise()), Part("after", [b"x"])], yes)

    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert archive.read("noise").endswith(CUT)
        assert archive.read("after").startswith(b"x")
    assert pieces < 20
    assert (tmp_path / "x.zip").stat().st_size < 200_000


def failing() -> Iterator[bytes]:
    yield b"one"
    raise ZeroDivisionError


def test_what_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        pack(tmp_path / "x.zip", [Part("a", failing())], yes)

    assert list(tmp_path.iterdir()) == []


def test_what_nobody_wants_any_more_ends_between_two_pieces(tmp_path: Path) -> None:
    asked: list[int] = []

    def wanted() -> bool:
        asked.append(1)
        return len(asked) < 3

    with pytest.raises(Unwanted):
        pack(tmp_path / "x.zip", [Part("a", iter(lambda: b"x", None))], wanted)

    assert len(asked) == 3
    assert list(tmp_path.iterdir()) == []


def test_the_disk_keeps_room_for_what_matters_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Transactions are written there."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(bundle.SPARE_BYTES))

    with pytest.raises(OSError, match="No space left"):
        pack(tmp_path / "x.zip", [Part("a", [b"x"])], yes)

    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_one_is_no_hindrance(tmp_path: Path) -> None:
    """Power was cut while it was written."""
    (tmp_path / "x.zip.part").write_bytes(b"half")

    pack(tmp_path / "x.zip", [Part("a", [b"x"])], yes)

    assert [each.name for each in tmp_path.iterdir()] == ["x.zip"]


def test_what_earlier_uploads_left_is_swept_away(tmp_path: Path) -> None:
    for name in ("old.zip", "old.zip.part", "this.zip"):
        (tmp_path / name).write_bytes(b"x")

    sweep(tmp_path, "this.zip")
    assert [each.name for each in tmp_path.iterdir()] == ["this.zip"]

    sweep(tmp_path, None)
    sweep(tmp_path / "nowhere", None)
    assert list(tmp_path.iterdir()) == []
