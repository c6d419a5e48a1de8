"""What every fact is, and the queue in which the running step keeps them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all facts."""


class Facts:
    """The facts of the running step, first in first out. Emitted anywhere in a step, drained by the engine."""

    def __init__(self) -> None:
        self.waiting: deque[object] = deque()
        """Those not yet heard."""
        self.emit: Callable[[object], None] = self.waiting.append
        """Let every block that listens hear it, later in this step."""

    def clear(self) -> None:
        """Forget what a failed step emitted."""
        self.waiting.clear()
