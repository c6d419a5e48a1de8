"""What was read from station.yaml, kept beside the database: the YAML parser costs 15 ms, its result nothing.

Used while the file's hash and the agent's version are those of the copy. It holds no secret, because the file holds
none. A copy that cannot be read or written is no trouble: the file itself is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from station.config.schema import File
from station.store import files
from station.version import VERSION

NAME = "station.yaml.json"

_STATE = re.compile(rb"^state_directory:[ ]*([^\s#'\"]+)[ ]*(?:#.*)?\r?$", re.MULTILINE)
_DEFAULT = "/var/lib/ocpp-station"


class Copy(msgspec.Struct, frozen=True):
    """The file as it was read, simulated hardware written out, what its meters measure, and which of them sign."""

    sha256: str
    file: File
    measurands: Mapping[str, tuple[str, ...]]
    signing: frozenset[str]


def digest(raw: bytes) -> str:
    """What tells one file, read by one version of the agent, from another."""
    return hashlib.sha256(VERSION.encode() + b"\0" + raw).hexdigest()


def place(raw: bytes, folder: Path) -> Path:
    """Where the copy of this file is; a guess that the hash confirms, since the file is not parsed yet."""
    found = _STATE.search(raw)
    return folder / (found.group(1).decode("utf-8", "replace") if found else _DEFAULT) / NAME


def read(path: Path, sha256: str) -> Copy | None:
    """The copy, if it is one of this very file."""
    try:
        copy = msgspec.json.decode(path.read_bytes(), type=Copy)
    except (OSError, msgspec.DecodeError, ValueError, RecursionError):
        return None
    return copy if copy.sha256 == sha256 else None


def write(path: Path, copy: Copy) -> None:
    """Keep a copy for the next start, if that can be done."""
    with contextlib.suppress(OSError):
        files.replace(path, msgspec.json.encode(copy))
