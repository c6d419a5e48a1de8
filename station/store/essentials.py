"""What is needed to reach the CSMS again when the database is lost: `essentials.json`, in two generations.

A damaged page must not lock a station out of its own network. The file holds references, never secrets: where the
password lies, which certificate plays which role. A checksum tells a damaged generation from a good one.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import msgspec

from . import files

_PREVIOUS = ".1"


class NetworkProfile(msgspec.Struct, frozen=True, omit_defaults=True):
    """One way to the CSMS (NetworkConfiguration of the device model). `timeout_s`: MessageTimeout."""

    slot: int
    url: str
    security_profile: int
    timeout_s: int = 30
    identity: str = ""
    password: str = ""


class Essentials(msgspec.Struct, frozen=True, omit_defaults=True):
    """The way to the CSMS: `profiles` by priority, `certificates` with their roles, a reference to the `password`."""

    identity: str
    profiles: tuple[NetworkProfile, ...] = ()
    certificates: dict[str, str] = {}
    password: str = ""


class _Sealed(msgspec.Struct, frozen=True):
    crc32: int
    body: msgspec.Raw


def save(path: Path, essentials: Essentials) -> bool:
    """Write them if they differ from what is there; the generation before is kept. Raises OSError. True if it wrote."""
    if _read(path) == essentials:
        return False
    body = msgspec.json.encode(essentials)
    if _read(path) is not None:
        files.replace(path.with_name(path.name + _PREVIOUS), path.read_bytes())
    files.replace(path, msgspec.json.encode(_Sealed(zlib.crc32(body), msgspec.Raw(body))))
    return True


def load(path: Path) -> Essentials | None:
    """The newest generation that is whole; None if there is none."""
    return _read(path) or _read(path.with_name(path.name + _PREVIOUS))


def _read(path: Path) -> Essentials | None:
    try:
        sealed = msgspec.json.decode(path.read_bytes(), type=_Sealed)
        body = bytes(sealed.body)
        if zlib.crc32(body) != sealed.crc32:
            return None
        return msgspec.json.decode(body, type=Essentials)
    except (OSError, msgspec.DecodeError, ValueError, RecursionError):
        return None
