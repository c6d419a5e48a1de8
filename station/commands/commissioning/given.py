"""Answers that nobody types: from a file, such as one on a USB stick, from the text of a QR code, or from flags."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from station.commands.commissioning import steps
from station.commands.commissioning.dialogue import unseen
from station.commands.commissioning.questions import KEYS
from station.config import source

STICK = "ocpp-station.yaml"
"""The file of answers in a folder that is given instead of one; `ocpp-station-SERIAL.yaml` goes before it."""

SCHEME = "ocpp-station:"
"""What the text of a QR code begins with."""

_VERSION = "1"
_LARGEST = 65_536


class BadSource(Exception):  # noqa: N818 - reads as what it says
    """Answers that cannot be read. The arguments are reason and remedy."""


class Told(NamedTuple):
    """Answers, and the folder in which files are that they name."""

    answers: Mapping[str, Any]
    folder: Path


def told(name: str | None, settings: Iterable[str], serial: str) -> Told:
    """All that is said before anybody is asked; a flag goes before a file. Raises BadSource."""
    flags = _settings(settings)
    if name is None:
        return Told(flags, Path())
    if name == "-":
        return Told({**_read("stdin", _stdin()), **flags}, Path())
    path = Path(name)
    if path.is_dir():
        path = _in_folder(path, str(flags.get("serial", serial)))
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
    except OSError as error:
        raise BadSource(f"{path}: {error.strerror}", "name a file of `KEY: VALUE` lines") from error
    return Told({**_read(str(path), raw), **flags}, path.absolute().parent)


def payload(answers: Mapping[str, Any]) -> str:
    """The same answers as the text of a QR code: one line of plain ASCII."""
    texts = {key: each if isinstance(each, str) else json.dumps(each) for key, each in answers.items()}
    return SCHEME + urlencode({"v": _VERSION, **texts})


def _in_folder(folder: Path, serial: str) -> Path:
    own = folder / f"ocpp-station-{serial}.yaml"
    if serial and "/" not in serial and own.is_file():
        return own
    return folder / STICK


def _stdin() -> bytes:
    """All of it; at a terminal the line that is pasted there, which is not shown."""
    if sys.stdin.isatty():
        return unseen("Text of the QR code (it is not shown): ").encode()
    buffer = getattr(sys.stdin, "buffer", None)
    return buffer.read(_LARGEST + 1) if buffer is not None else sys.stdin.read().encode()


def _read(name: str, raw: bytes) -> dict[str, Any]:
    if len(raw) > _LARGEST:
        raise BadSource(f"{name} has more than {_LARGEST} bytes", "is it a file of answers?")
    if raw.strip().startswith(SCHEME.encode()):
        return _known(_scanned(raw.decode("utf-8", "replace").strip()))
    parsed = source.parse(raw)
    if not isinstance(parsed.data, dict):
        raise BadSource(f"{name} has no `KEY: VALUE` lines", f"or one line that begins with {SCHEME}")
    if parsed.mistakes:
        first = parsed.mistakes[0]
        raise BadSource(f"{name}:{first.line}: {first.reason}", first.remedy)
    return _known(parsed.data)


def _scanned(text: str) -> dict[str, Any]:
    """What a QR code says."""
    try:
        pairs = parse_qsl(text.removeprefix(SCHEME), keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError as error:
        raise BadSource("the text of the QR code is damaged", f"{SCHEME}v=1&KEY=VALUE&...") from error
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadSource("the text of the QR code says something twice", "each key once")
    if odd := next((key for key, value in found.items() if not value.isprintable()), None):
        raise BadSource(f"{odd}: a line break or a character that cannot be seen", "write it in one line")
    if (version := found.pop("v", "")) != _VERSION:
        raise BadSource(f"the QR code is of form {version!r}", f"this agent knows v={_VERSION}")
    return found


def _settings(given: Iterable[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in given:
        key, equals, value = each.partition("=")
        if not equals or not each.isprintable():
            raise BadSource(f"{each!r} is no setting", "write KEY=VALUE, in UTF-8")
        if key in KEYS and KEYS[key].secret:
            raise BadSource(f"{key}: not on a command line, which others on this machine see", "use --answers")
        found[key] = value
    return _known(found)


def _known(found: dict[str, Any]) -> dict[str, Any]:
    for key in found:
        if key not in KEYS and key not in steps.KEYS:
            raise BadSource(f"nobody asks for {key!r}", f"there are: {', '.join((*KEYS, *steps.KEYS))}")
    return found
