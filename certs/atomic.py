"""Writing a file so that a power cut leaves the old content or the new, never a mixture, and nobody else reads it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

Write = Callable[[Path, bytes], None]
"""Replaces a file by new content, whole or not at all."""


class Disk(Protocol):
    """How files are changed so that a power cut leaves the old or the new: this module, or one of the caller's.

    All methods raise OSError.
    """

    def replace(self, path: Path, data: bytes) -> None:
        """Replace a file by new content, whole or not at all."""
        ...

    def remove(self, path: Path) -> None:
        """Unlink a file that may be absent. Durable only after `sync_directory`."""
        ...

    def make_directory(self, path: Path) -> None:
        """Create a private directory, with its parents; an existing one is left alone."""
        ...

    def sync_directory(self, path: Path) -> None:
        """Make the names in a directory durable."""
        ...


def replace(path: Path, data: bytes) -> None:
    """As `write`."""
    write(path, data)


def remove(path: Path) -> None:
    """Unlink a file that may be absent. Durable only after `sync_directory`. Raises OSError."""
    path.unlink(missing_ok=True)


def make_directory(path: Path) -> None:
    """Create a private directory, with its parents; an existing one is left alone. Raises OSError."""
    if not path.is_dir():
        make_directory(path.parent)  # mkdir's own way would leave the parents open to everybody
        path.mkdir(mode=0o700, exist_ok=True)


def write(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, mode 0600: temporary file, fsync, rename, fsync of the directory.

    Raises OSError (disk full, read-only); the old content then still stands, and the temporary file is gone.
    """
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make a rename or an unlink in a directory durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def keep(path: Path, data: bytes, by: Write) -> None:
    """Write a file by `by` into a directory that only its owner sees, made if it is missing. Raises OSError."""
    make_directory(path.parent)
    by(path, data)
