"""What `hal.buses.gpio` uses of libgpiod's Python bindings (version 2), with lines that a test moves.

Written from the bindings' own documentation. `test_the_library_has_what_is_used` compares it with the real ones where
they are installed.
"""

from __future__ import annotations

import errno
import os
import types
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

Direction = Enum("Direction", ["AS_IS", "INPUT", "OUTPUT"])
Edge = Enum("Edge", ["NONE", "RISING", "FALLING", "BOTH"])
Bias = Enum("Bias", ["AS_IS", "UNKNOWN", "DISABLED", "PULL_UP", "PULL_DOWN"])


class Value(Enum):
    """A logical level."""

    INACTIVE = 0
    ACTIVE = 1

    def __bool__(self) -> bool:
        return self is Value.ACTIVE


class LineSettings:
    """Keyword arguments only."""

    def __init__(self, **given: Any) -> None:
        self.given = given


class Chip:
    """One chip with named lines."""

    def __init__(self, path: str, names: Mapping[str, int]) -> None:
        self.path = path
        self.names = names
        self.levels: dict[int, bool] = {}
        self.owners: dict[int, str] = {}
        self.settings: dict[int, dict[str, Any]] = {}
        self.gone = False
        self.requests: list[LineRequest] = []

    def module(self) -> Any:
        """As it would be imported."""
        made = types.ModuleType("gpiod")
        line = types.ModuleType("gpiod.line")
        vars(line).update(Value=Value, Direction=Direction, Edge=Edge, Bias=Bias)
        vars(made).update(LineSettings=LineSettings, request_lines=self.request_lines, line=line)
        return made

    def number(self, line: int | str) -> int:
        """A line by its number or name."""
        if isinstance(line, int):
            return line
        if line not in self.names:
            raise ValueError(f"no line named {line!r}")
        return self.names[line]

    def request_lines(self, path: str, consumer: str, config: Mapping[Any, LineSettings]) -> LineRequest:
        """Raises OSError as the kernel does."""
        if path != self.path or self.gone:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        numbers = [self.number(line) for line in config]
        if any(number in self.owners for number in numbers):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        for number, settings in zip(numbers, config.values(), strict=True):
            self.owners[number], self.settings[number] = consumer, settings.given
            self.levels.setdefault(number, False)
            if "output_value" in settings.given:
                self.levels[number] = bool(settings.given["output_value"]) is not settings.given["active_low"]
        self.requests.append(LineRequest(self, numbers))
        return self.requests[-1]

    def move(self, number: int, *, high: bool) -> None:
        """A wire changes its level."""
        self.levels[number] = high
        for request in self.requests:
            request.edge(number)

    def vanish(self) -> None:
        """The chip is pulled out."""
        self.gone = True
        for request in self.requests:
            request.edge(request.numbers[0])


class LineRequest:
    """Lines that were given."""

    def __init__(self, chip: Chip, numbers: list[int]) -> None:
        self.chip = chip
        self.numbers = numbers
        self.fd, self._write = os.pipe()
        os.set_blocking(self.fd, False)

    def get_values(self, lines: Sequence[int | str]) -> list[Value]:
        """Logical levels."""
        self._check()
        numbers = [self.chip.number(line) for line in lines]
        return [Value(int(self.chip.levels[n] is not self.chip.settings[n]["active_low"])) for n in numbers]

    def set_value(self, line: int | str, value: Value) -> None:
        """An output."""
        self._check()
        number = self.chip.number(line)
        self.chip.levels[number] = bool(value) is not self.chip.settings[number]["active_low"]

    def edge(self, number: int) -> None:
        """An event for the reader."""
        if number in self.numbers and self.fd >= 0:
            os.write(self._write, b"e")

    def read_edge_events(self) -> list[object]:
        """What was queued."""
        self._check()
        return [object()] * len(os.read(self.fd, 100))

    def release(self) -> None:
        """Given back; an output stays as it is."""
        if self.fd >= 0:
            os.close(self.fd)
            os.close(self._write)
            self.fd = -1
        for number in self.numbers:
            self.chip.owners.pop(number, None)

    def _check(self) -> None:
        if self.chip.gone:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
