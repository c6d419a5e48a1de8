"""Extensions for tests, as a vendor would write them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from station.blocks.data_transfer import Installed
from station.extension import Answer, Extension, Message, Reply, Way, message
from station.now import Now
from tests.bench import Bench

VENDOR = "com.example"


class Given(msgspec.Struct):
    """What is agreed."""

    n: int
    text: str = ""


class Fragile(msgspec.Struct):
    """A type that fails while it is made."""

    n: int = 0

    def __post_init__(self) -> None:
        raise KeyError(self.n)


NONSENSE: dict[str, Any] = {
    "nothing": None,
    "reason": Answer(reason=5),  # type: ignore[arg-type]  # what a vendor without mypy writes
    "half a character": Answer(data="\ud800"),
    "half a reason": Answer(reason="\ud800"),
    "keys": Answer(data={(1, 2): 3}),
}
"""Answers that are none, or are no JSON."""


class Vendor(Extension):
    """Answers some messages, and sends what a test wants at its turns."""

    vendor_id = VENDOR
    every_s = 60.0

    def __init__(self, way: Way, options: Mapping[str, Any]) -> None:
        super().__init__(way, options)
        self.given: list[Any] = []
        self.replies: list[Reply[Any]] = []
        self.turn: Callable[[Now], None] = lambda _now: None

    def messages(self) -> Sequence[Message]:
        return [
            message("echo", Given, self.echo),
            message("fail", Any, self.fail),
            message("refuse", type(None), self.refuse),
            message("text", str, self.echo),
            message("odd", type(None), lambda _given, _now: Answer(data=object())),
            message("fragile", Fragile, self.echo),
            message("leave", type(None), self.leave),
            *(message(id_, type(None), partial(self.answer, answer)) for id_, answer in NONSENSE.items()),
            message("", list[int], self.echo),
        ]

    def echo(self, given: Any, now: Now) -> Answer:
        del now
        self.given.append(given)
        return Answer(data=given)

    def answer(self, answer: Any, given: None, now: Now) -> Any:
        """After it has sent something."""
        self.say("Never", given, now)
        return answer

    def refuse(self, given: None, now: Now) -> Answer:
        del given, now
        return Answer(accepted=False, reason="not today")

    def fail(self, given: Any, now: Now) -> Answer:
        self.say("Never", given, now)
        raise ZeroDivisionError("a vendor's mistake")

    def leave(self, given: None, now: Now) -> Answer:
        self.say("Never", given, now)
        raise SystemExit(2)

    def say(self, id_: str, data: Any, now: Now) -> None:
        """Send a message whose answer is a Given."""
        self.way.send(id_, data, now, told=self.replies.append, answer=Given)

    def due(self, now: Now) -> None:
        self.turn(now)


def bench(path: Path, *made: Callable[[Way], Extension], ids: Sequence[str] = (VENDOR,), **more: Any) -> Bench:
    """A station with these extensions."""
    installed = tuple(Installed(vendor_id, make) for vendor_id, make in zip(ids, made, strict=True))
    return Bench(path, extensions=installed, layout={"custom_vendors": tuple(ids)}, **more)


def with_vendor(path: Path, **more: Any) -> tuple[Bench, Vendor]:
    """A station with one extension, and that."""
    vendors: list[Vendor] = []

    def make(way: Way) -> Vendor:
        vendors.append(Vendor(way, {}))
        return vendors[-1]

    return bench(path, make, **more), vendors[-1]
