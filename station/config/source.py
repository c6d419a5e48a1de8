"""YAML text -> plain data and the line of everything in it. Imports the parser, which costs 15 ms: see `cache.py`.

Less than YAML on purpose: only texts, numbers, truths, null, lists and mappings; no tags, no merge keys, no dates. What
is written twice is a mistake, and so is a file that grows when it is read (aliases of aliases).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import yaml

from station.config.mistakes import Lines, Mistake, Path

LARGEST_BYTES = 262_144
_MOST_NODES = 20_000
_DEEPEST = 20
_PREFIX = "tag:yaml.org,2002:"
_NUMBERS = {_PREFIX + "int", _PREFIX + "float", _PREFIX + "bool", _PREFIX + "null"}
_PLAIN = _NUMBERS | {_PREFIX + name for name in ("str", "timestamp", "seq", "map", "merge", "value")}


class Parsed(NamedTuple):
    """What stands in a text. `data` is of no use if there are mistakes of form."""

    data: Any
    lines: Lines
    mistakes: list[Mistake]


def parse(raw: bytes) -> Parsed:
    """Read a whole file."""
    if len(raw) > LARGEST_BYTES:
        return _broken(f"the file has {len(raw)} bytes, at most {LARGEST_BYTES} are read", "is it the right file?", 1)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return _broken("not UTF-8", "save the file as UTF-8", raw[: error.start].count(b"\n") + 1)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        root = yaml.compose(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        return _syntax(text, error)
    except (yaml.YAMLError, RecursionError) as error:
        return _broken(" ".join(str(error).split())[:200], "", 1)
    if root is None:
        return _broken("the file is empty", "begin with systemd/station.yaml.example", 1)
    reader = _Reader()
    data = reader.value(root, (), 0)
    if not isinstance(data, dict) and not reader.mistakes:
        return _broken("expected `key: value` lines", "begin with systemd/station.yaml.example", 1)
    return Parsed(data, reader.lines, reader.mistakes)


def _broken(reason: str, remedy: str, line: int) -> Parsed:
    return Parsed(None, {}, [Mistake((), reason, remedy, line)])


def _syntax(text: str, error: yaml.MarkedYAMLError) -> Parsed:
    """A mistake of YAML itself, with the remedies that help most often."""
    mark = error.problem_mark or error.context_mark
    line = mark.line if mark is not None else 0
    written = text.splitlines()[line] if line < len(text.splitlines()) else ""
    problem = " ".join(filter(None, (error.context, error.problem)))
    indent = written[: len(written) - len(written.lstrip())]
    if "\t" in indent or "\\t" in problem or "'\t'" in problem:
        return _broken("a tab in front of the text", "YAML is indented by spaces: replace the tab", line + 1)
    remedy = "check the indentation, and put texts with `:` or `#` in quotes"
    return _broken(f"not YAML: {problem}", remedy, line + 1)


class _Reader:
    """Walks the nodes once, with a limit on what it may become."""

    def __init__(self) -> None:
        self.lines: Lines = {}
        self.mistakes: list[Mistake] = []
        self._nodes = 0

    def value(self, node: Any, path: Path, depth: int) -> Any:
        """The plain value of a node."""
        self._nodes += 1
        self.lines.setdefault(path, node.start_mark.line + 1)
        if self._nodes > _MOST_NODES or depth > _DEEPEST:
            if self._nodes < 2 * _MOST_NODES:  # told once
                self._wrong(path, node, "too large or too deep when its aliases are written out", "use fewer aliases")
                self._nodes = 2 * _MOST_NODES
            return None
        if node.tag not in _PLAIN:
            self._wrong(path, node, f"the tag {node.tag.removeprefix(_PREFIX)!r}", "leave the tag out")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, place), depth + 1) for place, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: Any, path: Path, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            here = (*path, name)
            if not isinstance(key, yaml.ScalarNode) or key.tag == _PREFIX + "merge":
                self._wrong(path, key, "a key that is no plain text", "write the keys out")
            elif name in found:
                first = self.lines[here]
                self._wrong(here, key, f"written twice, first in line {first}", "keep one of them")
            else:
                self.lines[here] = key.start_mark.line + 1
                found[name] = self.value(value, here, depth + 1)
        return found

    def _scalar(self, node: Any, path: Path) -> Any:
        if node.tag not in _NUMBERS:
            return node.value
        try:
            return yaml.constructor.SafeConstructor().construct_object(node)
        except (ValueError, yaml.YAMLError):
            self._wrong(path, node, f"{node.value!r} is no number", "put it in quotes if it is a text")
            return None

    def _wrong(self, path: Path, node: Any, reason: str, remedy: str) -> None:
        self.mistakes.append(Mistake(path, reason, remedy, node.start_mark.line + 1))
