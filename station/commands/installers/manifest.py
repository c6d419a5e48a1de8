"""What a bundle says of itself, and why it is refused. Pure.

The manifest is the archive's first file and names all others, in their order, with their SHA-256: what is not in it is
not taken, and what is missing is missed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

import msgspec

from station.commands.installers import versions
from station.commands.installers.archive import BadBundle, Reader

NAME = "manifest.json"
PRODUCT = "ocpp-station"
START = "start.py"
"""What the launcher runs; every version has one."""
ANY = "any"
LARGEST_BYTES = 4_000_000
_MOST_FILES = 20_000
_LONGEST = 240
_DEEPEST = 24
_PART = re.compile(r"(?!\.{1,2}$)[ -.0-\[\]-~]+")
"""Of a path: printable ASCII, neither a slash of either kind nor a way up."""


class Entry(msgspec.Struct, frozen=True):
    """A file of the bundle."""

    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    size: Annotated[int, msgspec.Meta(ge=0)]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`python` and `machine`: what compiled parts of it were made for, or `any`.

    `min_previous`: the oldest version that may be followed by this one. `schema` and `min_reader`: the newest migration
    of the database that it knows, and the one that an agent has to know to read what it writes.
    """

    product: str
    version: str
    min_previous: str = "0"
    python: str = ANY
    machine: str = ANY
    schema: int
    min_reader: int
    files: Mapping[str, Entry]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.files.values())


class Here(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle would be installed on."""

    version: str
    python: str
    machine: str
    schema: int


def first(reader: Reader) -> tuple[bytes, Manifest]:
    """The text of a bundle's manifest, and what it says. Raises BadBundle, OSError."""
    member = reader.member()
    if member is None or member.name != NAME or member.size > LARGEST_BYTES:
        raise BadBundle("it does not begin with its manifest")
    text = b"".join(reader.content())
    return text, read(text)


def read(raw: bytes) -> Manifest:
    """Raises BadBundle for what no station could install."""
    try:
        manifest = msgspec.json.decode(raw, type=Manifest)
        versions.key(manifest.version)
        versions.key(manifest.min_previous)
    except (msgspec.DecodeError, ValueError, RecursionError, versions.BadVersion) as error:
        raise BadBundle(f"its manifest: {error}") from error
    if manifest.product != PRODUCT:
        raise BadBundle(f"it is of another product: {manifest.product[:40]!r}")
    _check_names(manifest.files)
    return manifest


def _check_names(names: Mapping[str, Entry]) -> None:
    if START not in names or NAME in names or len(names) > _MOST_FILES:
        raise BadBundle(f"it has no {START}, two manifests, or more than {_MOST_FILES} files")
    folders = set()
    for name in names:
        parts = name.split("/")
        if len(name) > _LONGEST or len(parts) > _DEEPEST or not all(map(_PART.fullmatch, parts)):
            raise BadBundle(f"a file in it may not be called so: {name[:60]!r}")
        folders |= {"/".join(parts[:depth]) for depth in range(1, len(parts))}
    if both := folders & names.keys():
        raise BadBundle(f"{min(both)} is a file and a folder in it")


def refusal(manifest: Manifest, here: Here) -> str:
    """Why this station cannot take it; empty if it can.

    Its database is never brought back to what it was: a copy would tell again what was told already, and forget what
    has happened since. So the version that runs now must be able to read whatever the new one writes.
    """
    for what, wanted, have in (("Python", manifest.python, here.python), ("machine", manifest.machine, here.machine)):
        if wanted not in {ANY, have}:
            return f"it was made for another {what}: {wanted[:40]}, this is {have}"
    if versions.key(here.version) < versions.key(manifest.min_previous):
        return f"it follows on {manifest.min_previous} or newer, this is {here.version}: install that one first"
    if manifest.min_reader > here.schema:
        return (
            f"{here.version} could not read the database any more (it knows schema {here.schema}, "
            f"needed is {manifest.min_reader}): install a version in between first"
        )
    return ""
