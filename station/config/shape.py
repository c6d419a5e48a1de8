"""Plain data against the structs of `schema.py`: every mistake, not only the first.

`msgspec.convert` is asked first and is all that a correct file costs. Only if it refuses, the data are walked beside
the types, so that a file with five mistakes is corrected once and not five times.
"""

from __future__ import annotations

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
        if inner is not None and data is not None:
            shape, item = inner
            if shape == "struct":
                return self.struct(data, item, path)
            if shape == "list" and isinstance(data, list):
                return [self.struct(each, item, (*path, place)) for place, each in enumerate(data)]
        try:
            msgspec.convert(data, kind)
        except msgspec.ValidationError as error:
            self._leaf(data, path, str(error), kind)
            return msgspec.UNSET
        return data

    def _leaf(self, data: Any, path: Path, error: str, kind: Any) -> None:
        reason, _, at = error.partition(" - at `")
        steps = tuple(_steps(at))
        for step in steps:
            data = data[step] if isinstance(data, (list, dict)) else data  # type: ignore[index]  # as the library says
        remedy = ""
        if "`str`" in reason and isinstance(data, (int, float, bool)):
            remedy = "put it in quotes"
        elif members := _members(kind):
            remedy = meant(data, members)
        elif "matching regex" in reason:
            remedy = "use only the characters of this pattern"
        shown = f", not {_kind(data)}" if reason.startswith("Expected") and ", got" in reason else ""
        reason = reason.split(", got")[0].replace("`", "")
        self._wrong((*path, *steps), reason[0].lower() + reason[1:] + shown, remedy)

    def _wrong(self, path: Path, reason: str, remedy: str) -> None:
        self.mistakes.append(Mistake(path, reason, remedy))


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
