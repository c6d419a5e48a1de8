"""Several contents made one file for an upload: a ZIP archive, written piece by piece and bounded.

Blocks; for a thread of its own. The file appears when it is whole, or not at all.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from station.store import files

MOST_BYTES = 8 * 1024 * 1024
"""Of the archive; what would follow is left out, and said to be."""
SPARE_BYTES = 16 * 1024 * 1024
"""So much stays free on the disk, which has more important things to keep."""
CUT = b"\n[the rest was left out: the file is large enough]\n"

_UNFINISHED = ".part"


class Part(NamedTuple):
    """One file of the archive. Its pieces are asked for one after the other, and small."""

    name: str
    pieces: Iterable[bytes]


class Unwanted(Exception):  # noqa: N818 - reads as what it says
    """Nobody waits for the file any more."""


def pack(path: Path, parts: Iterable[Part], wanted: Callable[[], bool]) -> None:
    """Write the archive. Raises OSError where there is no room, Unwanted, and what the pieces raise."""
    files.make_directory(path.parent)
    if shutil.disk_usage(path.parent).free < MOST_BYTES + SPARE_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    unfinished = path.with_name(path.name + _UNFINISHED)
    files.remove(unfinished)
    files.create_empty(unfinished)
    try:
        with unfinished.open("r+b") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for part in parts:
                _write(archive, part, file.tell, wanted)
        files.sync(unfinished)
        files.move(unfinished, path)
    except BaseException:
        files.remove(unfinished)
        raise


def _write(archive: zipfile.ZipFile, part: Part, size: Callable[[], int], wanted: Callable[[], bool]) -> None:
    with archive.open(_member(part.name), "w") as member:
        for piece in _while(part.pieces, wanted):
            member.write(piece)
            if size() > MOST_BYTES:
                member.write(CUT)
                return


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, time.gmtime()[:6])
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = files.PRIVATE << 16
    return member


def _while(pieces: Iterable[bytes], wanted: Callable[[], bool]) -> Iterator[bytes]:
    for piece in pieces:
        if not wanted():
            raise Unwanted
        yield piece


def sweep(folder: Path, keep: str | None) -> None:
    """Remove what earlier uploads left, but for one file."""
    if folder.is_dir():
        for file in folder.iterdir():
            if file.name != keep:
                files.remove(file)
