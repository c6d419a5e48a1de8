"""YAML files that describe hardware -> checked structs; every mistake with its place in the file.

Used for files of an operator and to generate the JSON of built-in ones: importing the parser costs 15 ms.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from hal.errors import BadOptions

T = TypeVar("T")

_DEEPEST = 20
_MOST_NODES = 5_000
_ENDS = {"SequenceEndEvent", "MappingEndEvent"}


def from_yaml(owner: str, text: str, kind: type[T]) -> T:
    """`text` as a `kind`. Raises BadOptions: line of a syntax error or of a key written twice, path of any other."""
    import yaml  # noqa: PLC0415 - heavy, see above

    try:
        _not_too_deep(owner, yaml.parse(text, Loader=yaml.SafeLoader))
        _no_key_twice(owner, yaml.compose(text, Loader=yaml.SafeLoader), itertools.count(1), 0)
        data: object = yaml.safe_load(text)
    except BadOptions:
        raise
    except (yaml.YAMLError, ValueError) as error:  # a date or a number that is none is a ValueError
        raise BadOptions(owner, "", _words(str(error))) from None
    return checked(owner, data, kind)


def _words(text: str) -> str:
    """One line that can be shown."""
    return "".join(letter if letter.isprintable() else " " for letter in " ".join(text.split()))


def _not_too_deep(owner: str, events: Iterable[Any]) -> None:
    """A composer calls itself for each thing in another, until it crashes."""
    depth = 0
    for event in events:
        depth += hasattr(event, "flow_style") - (type(event).__name__ in _ENDS)
        if depth > _DEEPEST:
            raise BadOptions(owner, "", f"one thing in the other, too deep (line {event.start_mark.line + 1})")


def checked(owner: str, data: object, kind: type[T]) -> T:
    """Plain data as a `kind`. Raises BadOptions with the path of the first mistake."""
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `")
        if path.startswith("key` in"):
            reason = f"has a key that is unknown here: {reason}"
        path = path.rstrip("`").removeprefix("key` in `").removeprefix("$")
        raise BadOptions(owner, _named(data, path, kind), reason) from None


def _named(data: object, path: str, kind: Any) -> str:
    """`path` with the key of the entry that is wrong, where the library says `[...]` only."""
    before, marker, after = path.partition("[...]")
    entries: Any = data
    for step in before.strip(".").split("."):
        entries = entries.get(step) if isinstance(entries, dict) else None
    if not marker or not isinstance(entries, dict):
        return path
    for key, value in entries.items():
        try:
            msgspec.convert(_with(data, before.strip(".").split("."), {key: value}), kind)
        except msgspec.ValidationError as error:
            if "[...]" in str(error):
                return f"{before}.{key}{after}"
    return path


def _with(data: object, steps: list[str], value: object) -> object:
    """`data` with `value` in the place of what stands at `steps`."""
    if not steps or not isinstance(data, dict):
        return value
    return {**data, steps[0]: _with(data.get(steps[0]), steps[1:], value)}


def _no_key_twice(owner: str, node: Any, seen_nodes: Iterator[int], depth: int) -> None:
    """YAML parsers keep the last of two equal keys without a word; in a map of hardware that is a slip.

    What an alias repeats is looked at again, so that a file which grows when it is read, or holds itself, is refused.
    """
    if node is None or isinstance(node.value, str):
        return
    if next(seen_nodes) > _MOST_NODES or depth > _DEEPEST:
        raise BadOptions(owner, "", "it grows when it is read: write what its aliases repeat")
    seen: set[str] = set()
    for item in node.value:
        key, value = item if isinstance(item, tuple) else (None, item)
        if key is not None:
            line = key.start_mark.line + 1
            if not isinstance(key.value, str):
                raise BadOptions(owner, "", f"a key is no text (line {line})")
            if key.value in seen:
                raise BadOptions(owner, f".{_words(key.value)}", f"written twice (line {line})")
            seen.add(key.value)
        _no_key_twice(owner, value, seen_nodes, depth + 1)
