"""The answers become station.yaml and a password file: both are written, or nothing has changed.

The hardware stands in the file that is there already (the manufacturer's, or an example); its sections `station` and
`csms` are written anew with what was answered, everything else stays as it is, comments too.
Invariant: a file that `load` refuses never gets the name of station.yaml.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from station.config import ConfigError, load, source
from station.store import files

SECTIONS = ("station", "csms")
MODE = 0o640
_KEY = re.compile(r"""["']?([A-Za-z_]+)["']?[ ]*:""")


def edited(base: str, answers: Mapping[str, Mapping[str, Any]]) -> str:
    """`base` with other values in its sections; None takes a key away.

    Raises ConfigError if it cannot be read, or not be taken apart.
    """
    parsed = source.parse(base.encode())
    if parsed.mistakes:
        raise ConfigError([f"line {each.line}: {each.reason}" for each in parsed.mistakes])
    wanted = dict(parsed.data)
    for name in SECTIONS:
        section = {**(parsed.data.get(name) or {}), **answers[name]}
        wanted[name] = {key: value for key, value in section.items() if value is not None}
    fresh = yaml.safe_dump({name: wanted[name] for name in SECTIONS}, sort_keys=False, allow_unicode=True, width=1000)
    lines = list(_without(base))
    place = lines.index(None) if None in lines else len(lines)
    text = "".join([*filter(None, lines[:place]), fresh, *filter(None, lines[place:])])
    if source.parse(text.encode()).data != wanted:
        raise ConfigError(["its sections cannot be told apart - write each key of the file at the beginning of a line"])
    return text


def _without(base: str) -> Iterator[str | None]:
    """The lines outside of our sections, comments included; None where the first of them was."""
    inside = found = False
    for line in base.splitlines(keepends=True):
        key = _KEY.match(line)
        if key is not None:
            inside = key.group(1) in SECTIONS
            if inside and not found:
                found = True
                yield None
        if not inside or line.startswith("#"):
            yield line if line.endswith("\n") else f"{line}\n"


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
                files.replace(path, old[0], old[1].st_mode & 0o777)
                os.chown(path, old[1].st_uid, old[1].st_gid)
        raise


def write(path: Path, text: str, secret: tuple[Path, str] | None, owner: tuple[int, int] | None) -> None:
    """Write the password, then the file if the agent accepts it. Raises ConfigError and OSError; then nothing changed.

    What stood in the file before stands in `station.yaml.before` after it. `owner`: user and group of the service; the
    password is the user's, the file is for the group to read.
    """
    trial = path.with_name(f"{path.name}.trial")
    with _undone(path, *([secret[0]] if secret else [])):
        try:
            if secret is not None:
                _put(secret[0], secret[1].encode(), files.PRIVATE, owner)
            _put(trial, text.encode(), MODE, owner and (-1, owner[1]))
            _accepted(trial, path.name)
            if path.exists():
                files.replace(path.with_name(f"{path.name}.before"), path.read_bytes(), files.PRIVATE)
            files.move(trial, path)
        finally:
            files.remove(trial)


def _accepted(trial: Path, name: str) -> None:
    """Raise ConfigError unless the agent would start with it."""
    try:
        load(trial, cached=False)
    except ConfigError as error:
        raise ConfigError([each.replace(trial.name, name, 1) for each in error.mistakes]) from error


def _put(path: Path, data: bytes, mode: int, owner: tuple[int, int] | None) -> None:
    files.replace(path, data, mode)
    if owner is not None:
        os.chown(path, *owner)
