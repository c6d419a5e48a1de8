"""The one way another file than the database is written: whole, or not at all.

Power may fail between any two of the calls below. A reader afterwards finds the old content or the new one, never a
mixture and never an empty file. Crash tests replace this module's `os` by a recorder, so nothing here may write by
other means.
"""

# The recorder sees calls of `os`; it would miss those of pathlib:
# ruff: noqa: PTH102, PTH104, PTH106, PTH108, PTH116

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

PRIVATE = 0o600
"""Readable by the agent alone; the default, since most files hold a secret or a pointer to one."""

_NEW = ".new"


def replace(path: Path, data: bytes, mode: int = PRIVATE, owner: tuple[int, int] | None = None) -> None:
    """Make `data` the content of `path`, durable when this returns. `owner`: user and group; -1 leaves one as it is.

    Raises OSError (disk full, read-only, I/O); the old content then still stands.
    """
    temporary = path.with_name(path.name + _NEW)
    remove(temporary)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        try:
            if owner is not None:
                os.fchown(handle, *owner)  # not by its name, in whose place somebody might put a link
            os.fchmod(handle, mode)  # the umask may have taken bits that were asked for
            _write_all(handle, data)
            os.fsync(handle)
        finally:
            os.close(handle)
        os.rename(temporary, path)
    except OSError:
        remove(temporary)
        raise
    sync_directory(path.parent)


def create(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a new file. Its content is durable when this returns, its name only after `sync_directory`."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
    try:
        for piece in pieces:
            _write_all(handle, piece)
        os.fsync(handle)
    finally:
        os.close(handle)


def move(source: Path, target: Path) -> None:
    """Rename a file whose content is durable already; durable when this returns."""
    os.rename(source, target)
    sync_directory(target.parent)
    if source.parent != target.parent:
        sync_directory(source.parent)


def sync(path: Path) -> None:
    """Make the content of a file that something else wrote durable."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def link(source: Path, target: Path) -> None:
    """Give a file a second name; where the file system cannot, copy it. Durable only after `sync_directory`."""
    try:
        os.link(source, target)
    except OSError:
        replace(target, source.read_bytes())


def remove(path: Path) -> None:
    """Unlink a file that may be absent. Durable only after `sync_directory`."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def remove_tree(path: Path) -> None:
    """Remove a folder with all that is in it. Durable only after `sync_directory` of its parent."""
    for inner in sorted(path.rglob("*"), reverse=True):
        if inner.is_dir() and not inner.is_symlink():
            os.rmdir(inner)
        else:
            remove(inner)
    os.rmdir(path)


def create_empty(path: Path, mode: int = PRIVATE) -> None:
    """Make an empty file, so that who writes it next cannot choose its mode. Not durable by itself."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode))


def make_directory(path: Path) -> None:
    """Create a private directory, with its parents, durably; an existing one is left alone."""
    if path.is_dir():
        return
    make_directory(path.parent)
    os.mkdir(path, 0o700)
    sync_directory(path.parent)


def open_to(path: Path) -> int:
    """The bits by which others may write into a directory; its group, too, where it is ours and we need none."""
    found = os.stat(path)
    return found.st_mode & (0o022 if found.st_uid == os.geteuid() else 0o002)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_all(handle: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest) :]
