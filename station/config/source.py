"""YAML text -> plain data and the line of everything in it. Imports the parser, which costs 15 ms: see `cache.py`.

Less than YAML on purpose: only texts, numbers, truths, null, lists and mappings; no tags, no merge keys, no dates. What
is written twice is a mistake, and so is a file that grows when it is read (aliases of aliases).
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import yaml

from station.config.mistakes import Lines, Mistake, Path
from station.config.schema import LARGEST_BYTES

_MOST_NODES = 20_000
_DEEPEST = 20
_LONGEST_SHOWN = 40
_PREFIX = "tag:yaml.org,2002:"
_NUMBERS = {_PREFIX + "int", _PREFIX + "float", _PREFIX + "bool", _PREFIX + "null"}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)")
"""Not the ones that YAML 1.1 reads as something else than they show: 010 is 8 there, and 1:30 is 90."""
_PLAIN = _NUMBERS | {_PREFIX + name for name in ("str", "timestamp", "seq", "map", "merge", "value")}


class Parsed(NamedTuple):
    """What stands in a text. `data` is of no use if there are mistakes of form."""

    data: Any
    lines: Lines
    mistakes: list[Mistake]


def parse(raw: bytes) -> Parsed:
    """Read a whole file."""
    if len(raw) > LARGEST_BYTES:
        return _broken(f"the file is too large, at most {LARGEST_BYTES} bytes are read", "is it the right file?", 1)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return _broken("not UTF-8", "save the file as UTF-8", raw[: error.start].count(b"\n") + 1)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        too_deep = _too_deep(text, loader)
        root = yaml.compose(text, Loader=loader) if too_deep is None else None
    except yaml.MarkedYAMLError as error:
        return _syntax(text, error)
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        return _broken(f"the character #x{int(error.character):02x} is not allowed", "take it out", line)
    except (yaml.YAMLError, RecursionError) as error:
        return _broken(" ".join(str(error).split())[:200], "", 1)
    if too_deep is not None:
        return _broken("one thing in the other, too deep", "check the brackets and the indentation", too_deep)
    if root is None:
        return _broken("the file is empty", "begin with systemd/station.yaml.example", 1)
    reader = _Reader()
    data = reader.value(root, (), 0)
    if not isinstance(data, dict) and not reader.mistakes:
        return _broken("expected `key: value` lines", "begin with systemd/station.yaml.example", 1)
    return Parsed(data, reader.lines, reader.mistakes)


def _broken(reason: str, remedy: str, line: int) -> Parsed:
    return Parsed(None, {}, [Mistake((), reason, remedy, line)])


def _too_deep(text: str, loader: Any) -> int | None:
    """The line in which more is open than any file needs. A composer calls itself for each, until it crashes."""
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        mark: Any = event.start_mark
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                return int(mark.line) + 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return None


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
            if not isinstance(key, yaml.ScalarNode) or key.tag == _PREFIX + "merge" or not name.isprintable():
                self._wrong(path, key, "a key that is no plain text", "write the keys out")
            elif name in found:
                first = self.lines[here]
                self._wrong(here, key, f"written twice, first in line {first}", "keep one of them")
            else:
                self.lines[here] = key.start_mark.line + 1
                found[name] = self.value(value, here, depth + 1)
        return found

    def _scalar(self, node: Any, path: Path) -> Any:
        if not node.value.isprintable():
            remedy = "write it in one line, without control characters"
            self._wrong(path, node, "a line break or a character that cannot be seen", remedy)
            return None
        if node.tag not in _NUMBERS:
            return node.value
        odd = node.tag == _PREFIX + "int" and not _INTEGER.fullmatch(node.value)
        if odd or (node.tag == _PREFIX + "float" and ":" in node.value):
            remedy = "write it without leading zeros and colons, or in quotes if it is a text"
            self._wrong(path, node, f"{node.value[:_LONGEST_SHOWN]!r} is no plain number", remedy)
            return None
        try:
            return yaml.constructor.SafeConstructor().construct_object(node)
        except (ValueError, yaml.YAMLError):
            self._wrong(path, node, f"{node.value[:_LONGEST_SHOWN]!r} is no number", "put it in quotes if it is a text")
            return None

    def _wrong(self, path: Path, node: Any, reason: str, remedy: str) -> None:
        self.mistakes.append(Mistake(path, reason, remedy, node.start_mark.line + 1))
