"""YAML files that describe hardware -> checked structs; every mistake with its place in the file.

Used for files of an operator and to generate the JSON of built-in ones: importing the parser costs 15 ms.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from hal.errors import BadOptions

T = TypeVar("T")


def from_yaml(owner: str, text: str, kind: type[T]) -> T:
    """`text` as a `kind`. Raises BadOptions: line of a syntax error or of a key written twice, path of any other."""
    import yaml  # noqa: PLC0415 - heavy, see above

    try:
        _no_key_twice(owner, yaml.compose(text, Loader=yaml.SafeLoader))
        data: object = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadOptions(owner, "", " ".join(str(error).split())) from None
    return checked(owner, data, kind)


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


def _no_key_twice(owner: str, node: Any) -> None:
    """YAML parsers keep the last of two equal keys without a word; in a map of hardware that is a slip."""
    if node is None or isinstance(node.value, str):
        return
    seen: set[str] = set()
    for item in node.value:
        key, value = item if isinstance(item, tuple) else (None, item)
        if key is not None and key.value in seen:
            raise BadOptions(owner, f".{key.value}", f"written twice (line {key.start_mark.line + 1})")
        if key is not None:
            seen.add(key.value)
        _no_key_twice(owner, value)
