"""Files beside the database."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from station.store import files


def test_replace_makes_a_private_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    """Secrets are readable by the agent alone."""
    files.replace(tmp_path / "a", b"one")
    files.replace(tmp_path / "a", b"two")

    assert (tmp_path / "a").read_bytes() == b"two"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["a"]  # noqa: PTH208  # names only


def test_replace_gives_the_mode_asked_for_whatever_the_umask(tmp_path: Path) -> None:
    """A certificate chain may be public."""
    old = os.umask(0o077)
    try:
        files.replace(tmp_path / "a", b"", mode=0o644)
    finally:
        os.umask(old)

    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


def test_a_failed_replace_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Disk full in the middle."""
    files.replace(tmp_path / "a", b"old")

    def full(_handle: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="no space"):
        files.replace(tmp_path / "a", b"new")

    assert (tmp_path / "a").read_bytes() == b"old"
    assert not (tmp_path / "a.new").exists()


def test_a_left_over_temporary_file_does_not_stop_the_next_replace(tmp_path: Path) -> None:
    """It may come from a power cut."""
    (tmp_path / "a.new").write_bytes(b"half")

    files.replace(tmp_path / "a", b"whole")

    assert (tmp_path / "a").read_bytes() == b"whole"


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """write() may take less than it was given."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, bytes(data[:3])))

    files.replace(tmp_path / "a", b"0123456789")

    assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_link_copies_where_the_file_system_cannot_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAT has no hard links."""

    def refuse(_source: Path, _target: Path) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "a").write_bytes(b"content")

    files.link(tmp_path / "a", tmp_path / "b")

    assert (tmp_path / "b").read_bytes() == b"content"


def test_directories_are_private(tmp_path: Path) -> None:
    """Made with their parents, left alone if they exist."""
    files.make_directory(tmp_path / "a" / "b")
    files.make_directory(tmp_path / "a" / "b")

    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a" / "b").is_dir()
