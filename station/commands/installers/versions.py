"""Which version may follow which: whoever holds signed old firmware could otherwise bring back its faults.

`Floor` is a file in the state directory: the newest version that has proven itself. What is older is refused, unless
somebody at the station has allowed it.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from station.config.checks import VERSION
from station.store import files

NAME = "firmware-floor"

Key = tuple[int, ...]


class BadVersion(ValueError):  # noqa: N818 - reads as what it says
    """It cannot be told which of two is newer."""


def key(version: str) -> Key:
    """What versions are compared by: `1.10` comes after `1.9`, and is the same as `1.10.0`. Raises BadVersion."""
    if not VERSION.fullmatch(version):
        raise BadVersion(f"{version!r} is no version: numbers, with points or hyphens between them")
    parts = [int(part) for part in re.split("[.-]", version)]
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return tuple(parts)


def newest(*versions: str) -> str:
    """Of those that are given; empty if there is none. Raises BadVersion."""
    return max(filter(None, versions), key=key, default="")


class _Kept(msgspec.Struct, frozen=True):
    floor: str = ""
    allowed: str = ""


class Floor:
    """Below it nothing is installed. `oldest`: from station.yaml, holds whatever else is allowed."""

    def __init__(self, state: Path, oldest: str = "") -> None:
        self._path = state / NAME
        self._oldest = oldest

    def refusal(self, version: str, running: str) -> str:
        """Why this version may not follow the one that runs; empty if it may. Raises BadVersion, OSError."""
        kept = self._read()
        least = newest(self._oldest, kept.allowed) if kept.allowed else newest(self._oldest, kept.floor, running)
        if least and key(version) < key(least):
            return f"{version} is older than {least}, and nothing older is installed"
        return ""

    def allow(self, version: str) -> None:
        """Take versions from this one on, until an installation succeeds. Raises BadVersion, OSError."""
        key(version)
        self._write(msgspec.structs.replace(self._read(), allowed=version))

    def raise_to(self, version: str) -> None:
        """This version has proven itself. Raises BadVersion, OSError."""
        kept = self._read()
        floor = version if kept.allowed else newest(kept.floor, version)
        if (new := _Kept(floor=floor)) != kept:
            self._write(new)

    def _write(self, kept: _Kept) -> None:
        files.replace(self._path, msgspec.json.encode(kept))

    def _read(self) -> _Kept:
        """Raises OSError. A file that holds something else is none of ours: it allows nothing."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Kept)
        except (FileNotFoundError, msgspec.DecodeError, ValueError, RecursionError):
            return _Kept()
