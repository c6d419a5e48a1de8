"""What every fact is, and the queue in which the running step keeps them."""

from __future__ import annotations

from collections import deque

import msgspec


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all facts."""


class Facts:
    """The facts of the running step, first in first out. Emitted anywhere in a step, drained by the engine."""

    def __init__(self) -> None:
        self.waiting: deque[object] = deque()
        """Those not yet heard, for looking at."""

    def emit(self, fact: object) -> None:
        """Let every block that listens hear it, later in this step."""
        self.waiting.append(fact)

    def pop(self) -> object | None:
        """The oldest fact not yet heard."""
        return self.waiting.popleft() if self.waiting else None

    def clear(self) -> None:
        """Forget what a failed step emitted."""
        self.waiting.clear()
