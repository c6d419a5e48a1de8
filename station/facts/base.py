"""What every fact is, and the queue in which the running step keeps them."""

from __future__ import annotations

from collections import deque

import msgspec


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all facts."""


class Facts:
    """The facts of the running step, first in first out. Emitted anywhere in a step, drained by the engine."""

    def __init__(self) -> None:
        self._queue: deque[object] = deque()

    def emit(self, fact: object) -> None:
        """Let every block that listens hear it, later in this step."""
        self._queue.append(fact)

    def pop(self) -> object | None:
        """The oldest fact not yet heard."""
        return self._queue.popleft() if self._queue else None

    def clear(self) -> None:
        """Forget what a failed step emitted."""
        self._queue.clear()
