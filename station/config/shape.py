"""Plain data against the structs of `schema.py`: every mistake, not only the first.

`msgspec.convert` is asked first and is all that a correct file costs. Only if it refuses, the data are walked beside
the types, so that a file with five mistakes is corrected once and not five times.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from station.config.mistakes import Mistake, Path, meant
from station.config.schema import File


def shaped(data: Any) -> tuple[File | None, list[Mistake]]:
    """`data` as a File, and what is wrong with it.

    The File is there in spite of mistakes if what remains without the wrong optional parts makes one: then more can be
    checked.
    """
    try:
        return msgspec.convert(data, File), []
    except msgspec.ValidationError:
        walk = _Walk()
        rest = walk.struct(data, File, ())
    try:
        return msgspec.convert(rest, File), walk.mistakes
    except msgspec.ValidationError as error:
        if not walk.mistakes:  # what the walk does not understand
            walk.mistakes.append(Mistake((), str(error)))
        return None, walk.mistakes


_MANY = 10_000


class _Walk:
    """Collects mistakes and leaves out what is wrong."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []

    def struct(self, data: Any, kind: type[msgspec.Struct], path: Path) -> Any:
        """The keys of a mapping against the fields of a struct."""
        if not isinstance(data, dict):
            self._wrong(path, f"expected `key: value` lines, not {_kind(data)}", _keys(kind))
            return data
        hints = typing.get_type_hints(kind, include_extras=True)
        kept = {}
        for key, value in data.items():
            if key not in hints:
                self._wrong((*path, key), "unknown here", meant(key, hints))
            elif (found := self.value(value, hints[key], (*path, key))) is not msgspec.UNSET:
                kept[key] = found
        for field in msgspec.structs.fields(kind):
            if field.required and field.encode_name not in data:
                self._wrong(path, f"{field.encode_name!r} is missing", f"add `{field.encode_name}: ...`")
        return kept

    def value(self, data: Any, kind: Any, path: Path) -> Any:
        """One value; UNSET if it cannot be kept."""
        inner = _inner(kind)
        if inner is not None and (data is not None or not _optional(kind)):
            shape, item = inner
            if shape == "struct":
                return self.struct(data, item, path)
            if shape == "list" and isinstance(data, list):
                return self._items(data, kind, item, path)
        try:
            msgspec.convert(data, kind)
        except msgspec.ValidationError as error:
            return self._leaf(data, path, str(error), kind)
        return data

    def _items(self, data: list[Any], kind: Any, item: type[msgspec.Struct], path: Path) -> Any:
        least, most = _lengths(kind)
        if not least <= len(data) <= most:
            self._wrong(path, f"expected {least} to {most} entries, not {len(data)}", "")
            return msgspec.UNSET
        return [self.struct(each, item, (*path, place)) for place, each in enumerate(data)]

    def _leaf(self, data: Any, path: Path, error: str, kind: Any) -> Any:
        reason, _, at = error.partition(" - at `")
        if "[...]" in at or at.startswith("key` in"):  # of a mapping the library does not say which entry
            return self._entries(data, kind, path)
        steps = tuple(_steps(at))
        for step in steps:
            data = data[step] if isinstance(data, (list, dict)) else data  # type: ignore[index]  # as the library says
        shown = f", not {_kind(data)}" if reason.startswith("Expected") and ", got" in reason else ""
        self._wrong((*path, *steps), plain(reason) + shown, remedy(data, reason, kind))
        return msgspec.UNSET

    def _entries(self, data: Mapping[str, Any], kind: Any, path: Path) -> dict[str, Any]:
        """The entries of a mapping that are right."""
        names, entries = typing.get_args(kind)
        kept = {}
        for key, value in data.items():
            right = self.value(key, names, (*path, key)) is not msgspec.UNSET
            if right and self.value(value, entries, (*path, key)) is not msgspec.UNSET:
                kept[key] = value
        return kept

    def _wrong(self, path: Path, reason: str, remedy: str) -> None:
        self.mistakes.append(Mistake(path, reason, remedy))


_WORDS: Mapping[str, str] = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "key: value lines",
    "null": "nothing",
}
"""What the library calls a type, in the words of whoever wrote the file."""


def plain(reason: str) -> str:
    """What the library says, in plain words: `expected a whole number >= 1`."""
    reason, _, _ = reason.partition(", got")
    reason = re.sub(
        "`([^`]*)`", lambda found: " or ".join(_WORDS.get(each, each) for each in found[1].split(" | ")), reason
    )
    return reason[:1].lower() + reason[1:]


def remedy(data: Any, reason: str, kind: Any = None) -> str:
    """What to do about a value that the library refuses for this reason; empty if the reason says it."""
    expected = reason.partition(", got")[0]
    if members := _members(kind):
        return meant(data, members)
    if "str" in expected and isinstance(data, (int, float, bool)):
        return "put it in quotes"
    if "matching regex" in expected:
        return "use only the characters of this pattern"
    if "array" in expected and isinstance(data, str):
        return f"write a list: [{data}]" if data.isprintable() else "write a list"
    if isinstance(data, str) and ("int" in expected or "float" in expected):
        return "write a plain number: no quotes, no unit, no exponent"
    return ""


def _optional(kind: Any) -> bool:
    """Whether nothing is a value of a type."""
    return type(None) in typing.get_args(kind)


def _lengths(kind: Any) -> tuple[int, int]:
    """How many entries a list may have."""
    metas = [each for each in typing.get_args(kind) if isinstance(each, msgspec.Meta)]
    least = max((each.min_length or 0 for each in metas), default=0)
    return least, min((each.max_length or _MANY for each in metas), default=_MANY)


def _inner(kind: Any) -> tuple[str, type[msgspec.Struct]] | None:
    """Whether a type is a struct or a tuple of structs, whatever is wrapped around it."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _inner(args[0])
    if origin in {typing.Union, types.UnionType}:
        others = [each for each in args if each is not type(None)]
        return _inner(others[0]) if len(others) == 1 else None
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return "struct", kind
    if origin is tuple and args and isinstance(args[0], type) and issubclass(args[0], msgspec.Struct):
        return "list", args[0]
    return None


def _members(kind: Any) -> list[str]:
    """The values that a choice offers, as they are written."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return [str(each) for each in args]
    return [each for arg in args if origin is not None for each in _members(arg)]


def _steps(at: str) -> Iterator[str | int]:
    """The steps of msgspec's `$.a[0]`, where it tells them."""
    for part in at.rstrip("`").removeprefix("$").replace("[", ".[").split("."):
        if part.startswith("[") and part[1:-1].isdigit():
            yield int(part[1:-1])
        elif part and not part.startswith("["):
            yield part


def _keys(kind: type[msgspec.Struct]) -> str:
    return "with the keys " + ", ".join(field.encode_name for field in msgspec.structs.fields(kind))


def _kind(data: Any) -> str:
    """What something is, in the words of whoever wrote the file."""
    if data is None:
        return "nothing"
    names: Mapping[type, str] = {
        bool: f"{str(data).lower()} (a truth)",
        int: f"the number {data}",
        float: f"the number {data}",
        str: "a text",
        list: "a list",
        dict: "a mapping",
    }
    return names.get(type(data), type(data).__name__)
