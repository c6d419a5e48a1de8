"""What station.yaml will name gets a name that is not in use, so that one rename, station.yaml's own, decides.

Where the power is cut before it, the station of before is there with all its files; after it, the new one. What a cut
leaves lying about, and what the new station no longer needs, is noted before anything is written, in `.unfinished`
beside station.yaml, and goes as soon as nothing names it: at once, or, after a cut, when `commission` runs again.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from station.commands import dropin
from station.config import source
from station.store import files

DRAFT = ".draft"
"""After the name of station.yaml: what it will be when the certificate is there."""
BEFORE = ".before"
PASSWORD = "password"  # noqa: S105 - the name of its file
_NOTE = ".unfinished"
_PASSING = (".trial", ".secret", "", DRAFT, BEFORE)
"""After the name of station.yaml: what is written in passing, and what may be half written."""


class Unfinished(msgspec.Struct, frozen=True):
    """`leaving`: names of files, and what each is kept as, or "" if it is not. `becomes`: the hash of the new file."""

    becomes: str
    leaving: dict[str, str]


class Names:
    """The names of the files that a commissioning writes beside station.yaml."""

    def __init__(self, config: Path) -> None:
        self._folder = config.parent
        self._used = named(config) | named(draft_of(config)) | handed_over()

    def of(self, name: str, data: bytes, *, ours: bool = False) -> Path:
        """Where this content may be written: where it stands already, under `name`, or as `name-2` and so on.

        `ours`: nobody else has a file of this name, so what lies there and is not in use is of no value.
        """
        found = self._folder / name
        path = next((each for each in self._used if same_name(each, found) and _holds(each, data)), None)
        if path is None:
            numbered = (found.with_stem(f"{found.stem}-{number}") for number in itertools.count(2))
            path = next(
                each
                for each in itertools.chain([found], numbered)
                if each not in self._used and (ours or not os.path.lexists(each) or _holds(each, data))
            )
        self._used.add(path)
        return path


def draft_of(config: Path) -> Path:
    """Where the draft of a station.yaml is."""
    return config.with_name(config.name + DRAFT)


def before_of(path: Path) -> Path:
    """What a file is kept as when another one takes its place."""
    return path.with_name(path.name + BEFORE)


def note_of(config: Path) -> Path:
    """Where is noted what is to go."""
    return config.with_name(config.name + _NOTE)


def same_name(path: Path, plain: Path) -> bool:
    """Whether a file has this name, or one that `Names` makes of it, in the same folder."""
    numbered = rf"{re.escape(plain.stem)}(-\d+)?{re.escape(plain.suffix)}"
    return path.parent == plain.parent and re.fullmatch(numbered, path.name) is not None


def named(config: Path) -> set[Path]:
    """Whatever may be a file of those that a station.yaml names."""
    try:
        waiting: list[Any] = [source.parse(config.read_bytes()).data]
    except OSError:
        return set()
    found = set()
    while waiting:
        match waiting.pop():
            case str(text) if text.isprintable():
                found.add(config.parent / text)
            case Mapping() as section:
                waiting += section.values()
            case list() as several:
                waiting += several
            case _:
                pass
    return found


def handed_over() -> set[Path]:
    """The files that systemd hands to the service, which does not start without them (`ocpp-station drop-in`)."""
    lines: list[str] = []
    for file in Path(dropin.PLACE).parent.glob("*.conf"):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            lines += file.read_text("utf-8").splitlines()
    return {Path(line.partition(":")[2].replace("%%", "%")) for line in lines if line.startswith("LoadCredential=")}


def note(config: Path, text: str, leaving: Mapping[str, str]) -> None:
    """Before anything else is written: what goes when nothing names it. Raises OSError."""
    found = Unfinished(_hash(text.encode()), {**_noted(config).leaving, **leaving})
    files.replace(note_of(config), msgspec.json.encode(found))


def leaving(config: Path, written: Mapping[Path, str]) -> dict[str, str]:
    """What goes with a commissioning that is cut, and, of the one before, with one that is not.

    `written`: the files that station.yaml is to name, and as what each was given; of those, what takes another's place
    lets it stay as `.before`, but a password is not kept.
    """
    found = {path.name: "" for path in written}
    for old in (named(config) | named(draft_of(config))) - written.keys():
        if same_name(old, config.with_name(PASSWORD)):
            found[old.name] = ""
        for name in written.values():
            if name != PASSWORD and same_name(old, config.with_name(name)):
                found[old.name] = name + BEFORE
    return found


def forget(config: Path) -> None:
    """All is as it was before the note. Raises OSError."""
    files.remove(note_of(config))


def sweep(config: Path) -> set[Path]:
    """Remove what nothing needs any more; what has to stay because the service is handed it. Raises OSError."""
    noted = _noted(config)
    files.remove(config.with_name(f"{config.name}{_NOTE}.new"))
    if not noted.becomes:
        return set()
    for each in _PASSING:
        files.remove(config.with_name(f"{config.name}{each}.new"))
    for each in _PASSING[:2]:
        files.remove(config.with_name(config.name + each))
    with contextlib.suppress(OSError):
        if _hash(config.read_bytes()) == noted.becomes:
            files.remove(draft_of(config))
    left = dict(_left(config, noted.leaving))
    if left:
        files.replace(note_of(config), msgspec.json.encode(Unfinished(noted.becomes, left)))
    else:
        forget(config)
    files.sync_directory(config.parent)
    return {config.with_name(name) for name in left}


def _left(config: Path, leaving: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Remove those; what cannot go yet is what comes back."""
    used, handed = named(config) | named(draft_of(config)), handed_over()
    for name, kept_as in leaving.items():
        path = config.with_name(name)
        files.remove(path.with_name(f"{name}.new"))
        if path in used:
            continue
        if path in handed:
            yield name, kept_as
        elif not kept_as:
            files.remove(path)
        elif path.exists():
            files.move(path, path.with_name(kept_as))


def _noted(config: Path) -> Unfinished:
    try:
        found = msgspec.json.decode(note_of(config).read_bytes(), type=Unfinished)
    except (OSError, ValueError):
        return Unfinished("", {})
    for name in (*found.leaving, *filter(None, found.leaving.values())):
        if name in {"", os.pardir} or Path(name).name != name or not name.isprintable():
            return Unfinished("", {})  # not of ours
    return found


def _holds(path: Path, data: bytes) -> bool:
    with contextlib.suppress(OSError):
        return not path.is_symlink() and path.read_bytes() == data
    return False


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
