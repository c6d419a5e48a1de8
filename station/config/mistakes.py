"""A mistake in station.yaml: where it stands, what was expected there, and what to do."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

Path = tuple[str | int, ...]
"""The way to a place in the file: `("evses", 0, "board")`."""

Lines = dict[Path, int]
"""Where each place stands, counted from 1."""


class Mistake(msgspec.Struct, frozen=True):
    """One mistake; never holds a secret."""

    path: Path
    reason: str
    remedy: str = ""
    line: int | None = None
    """Known where the mistake is one of form; else looked up by the path."""

    def told(self, file: str, lines: Lines) -> str:
        """`station.yaml:12: csms.url: expected text - write it in quotes`."""
        line = self.line if self.line is not None else line_of(self.path, lines)
        where = f"{file}:{line}" if line else file
        place = f" {dotted(self.path)}:" if self.path else ""
        text = f"{where}:{place} {self.reason}" + (f" - {self.remedy}" if self.remedy else "")
        return "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in text)  # it goes to a terminal


class ConfigError(Exception):
    """The file cannot be used. `mistakes` are lines for people."""

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes))


def line_of(path: Path, lines: Lines) -> int | None:
    """The line of a place, or of the nearest thing around it that stands in the file."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path)


def dotted(path: Path) -> str:
    """`evses[1].board`: entries of lists are counted from 1, as EVSEs are."""
    text = ""
    for step in path:
        text += f"[{step + 1}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def meant(name: object, known: Iterable[str]) -> str:
    """A remedy for a name that is not there: the one that was meant, or all there are."""
    import difflib  # noqa: PLC0415 - for the mistaken only

    every = sorted(known)
    close = difflib.get_close_matches(str(name), every, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"there are: {', '.join(every)}" if every else "there are none"
