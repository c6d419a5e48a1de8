"""The answers become station.yaml and the files that it names: all are written, or nothing has changed.

The hardware stands in the file that is there already (the manufacturer's, or an example); the sections that answers
change are written anew, everything else stays as it is, comments too.
Invariant: a file that `load` refuses never gets the name of station.yaml.
"""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from station.commands.commissioning import naming
from station.config import Config, ConfigError, load, source
from station.store import files

MODE = 0o640
PUBLIC = 0o644

_WITHOUT: Mapping[str, Any] = {
    "security_profile": 1,
    "url": "ws://localhost",
    **dict.fromkeys(("certificate", "key", "key_file", "ca_file")),
}
_NO_PASSWORD = b"of nobody's station"
"""In place of who the station will be, for a look at everything else."""

_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_KEY = re.compile(r"""["']?([A-Za-z_]+)["']?[ ]*:""")

Changes = Mapping[str, Any]
"""By section, other values of its keys (None takes one away); of a section that is a list, the list."""


class Piece(NamedTuple):
    """A file to be written. `given`: what it was called, if station.yaml names it, by a name that is not in use.

    What else stands there before stays as `.before`.
    """

    path: Path
    data: bytes
    mode: int = files.PRIVATE
    given: str = ""


def edited(base: str, changes: Changes) -> str:
    """`base` with these changes.

    Raises ConfigError if it cannot be read, or not be taken apart.
    """
    parsed = source.parse(base.encode())
    if parsed.mistakes:
        raise ConfigError([f"line {each.line}: {each.reason}" for each in parsed.mistakes])
    wanted = dict(parsed.data)
    for name, change in changes.items():
        wanted[name] = change
        if isinstance(change, Mapping):
            section = {**(parsed.data.get(name) or {}), **change}
            wanted[name] = {key: value for key, value in section.items() if value is not None}
    fresh = yaml.safe_dump({name: wanted[name] for name in changes}, sort_keys=False, allow_unicode=True, width=1000)
    lines = list(_without(base, changes))
    place = lines.index(None) if None in lines else len(lines)
    text = "".join([*filter(None, lines[:place]), fresh, *filter(None, lines[place:])])
    if source.parse(text.encode()).data != wanted:
        raise ConfigError(["its sections cannot be told apart - write each key of the file at the beginning of a line"])
    return text


def _without(base: str, sections: Container[str]) -> Iterator[str | None]:
    """The lines outside of these sections, comments included; None where the first of them was."""
    inside = found = False
    for line in base.splitlines(keepends=True):
        key = _KEY.match(line)
        if key is not None:
            inside = key.group(1) in sections
            if inside and not found:
                found = True
                yield None
        if not inside or line.startswith("#"):
            yield line if line.endswith("\n") else f"{line}\n"


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """A terminal that goes is a Ctrl-C to what happens inside; whoever stops it twice waits until it is undone."""

    def stop(_number: int, _frame: object) -> None:
        for each in _ENDS:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {each: signal.signal(each, stop) for each in _ENDS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextlib.contextmanager
def _undone(*paths: Path) -> Iterator[None]:
    """What happens inside happens, or these files are as they were."""
    before = {path: (path.read_bytes(), path.stat()) if path.exists() else None for path in paths}
    try:
        yield
    except BaseException:
        for path, old in before.items():
            if old is None:
                files.remove(path)
            elif path.read_bytes() != old[0]:
                files.replace(path, old[0], old[1].st_mode & 0o777, (old[1].st_uid, old[1].st_gid))
        raise


def write(
    path: Path,
    text: str,
    pieces: Sequence[Piece],
    owner: tuple[int, int] | None,
    accept: Callable[[Config], object] = lambda _config: None,
) -> set[Path]:
    """Write the pieces, then the file if the agent accepts it, and `accept`, which raises what it likes.

    Raises ConfigError and OSError, too; then nothing changed. What stood in the file before stands in
    `station.yaml.before` after it. `owner`: user and group of the service; pieces that nobody else may read are the
    user's, the file is for the group to read. Returns the files that are of no use now, and have to stay, see `sweep`.
    """
    trial = path.with_name(f"{path.name}.trial")
    with _stoppable():
        with _undone(path, *_touched(path, pieces)):
            try:
                naming.note(path, text, naming.leaving(path, _named(pieces)))
                _put_all(pieces, owner)
                _put(Piece(trial, text.encode(), MODE), owner and (-1, owner[1]))
                accept(_accepted(trial, path.name))
                if path.exists():
                    files.replace(naming.before_of(path), path.read_bytes(), files.PRIVATE)
                files.move(trial, path)
                _decided()
            finally:
                files.remove(trial)
        return _swept(path)


def write_draft(path: Path, text: str, pieces: Sequence[Piece], accept: Callable[[Config], object]) -> None:
    """As `write`, for a file that only lacks its certificate: it gets another name.

    What else the agent would refuse is found out now, and not when the certificate has come.
    """
    draft, trial = naming.draft_of(path), path.with_name(f"{path.name}.trial")
    secret = path.with_name(f"{path.name}.secret")
    with _stoppable():
        with _undone(draft, *_touched(path, pieces)):
            naming.note(path, text, naming.leaving(path, _named(pieces)))
            _put_all(pieces, None)
            try:
                _put(Piece(secret, _NO_PASSWORD), None)
                _put(Piece(trial, edited(text, {"csms": {**_WITHOUT, "password_file": secret.name}}).encode()), None)
                accept(_accepted(trial, path.name))
            finally:
                files.remove(trial)
                files.remove(secret)
            _put(Piece(draft, text.encode(), MODE), None)
            _decided()
        _swept(path)


def _decided() -> None:
    """From now on nobody stops it: all that is left is to tidy up."""
    for each in _ENDS:
        signal.signal(each, signal.SIG_IGN)


def _swept(path: Path) -> set[Path]:
    try:
        return naming.sweep(path)
    except OSError:  # a disk that fails now has the new station; the next commissioning tidies up
        return set()


def _named(pieces: Iterable[Piece]) -> dict[Path, str]:
    return {each.path: each.given for each in pieces if each.given}


def _touched(path: Path, pieces: Iterable[Piece]) -> Iterator[Path]:
    for each in pieces:
        yield each.path
        if not each.given:
            yield naming.before_of(each.path)
    yield naming.note_of(path)


def _put_all(pieces: Iterable[Piece], owner: tuple[int, int] | None) -> None:
    for each in pieces:
        if not each.given and each.path.exists() and (old := each.path.read_bytes()) != each.data:
            files.replace(naming.before_of(each.path), old, each.path.stat().st_mode & 0o777)
        _put(each, owner if each.mode == files.PRIVATE else None)


def _accepted(trial: Path, name: str) -> Config:
    """Raises ConfigError unless the agent would start with it."""
    try:
        return load(trial, cached=False)
    except ConfigError as error:
        raise ConfigError([each.replace(trial.name, name, 1) for each in error.mistakes]) from error


def _put(piece: Piece, owner: tuple[int, int] | None) -> None:
    files.replace(piece.path, piece.data, piece.mode, owner)
