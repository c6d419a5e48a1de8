"""One effect after another, in the order in which the steps that asked for them were made.

Carrying one out may step the core again (a clock that is set), and what that step wants must not be overtaken by what
an earlier one wanted: an older want would stand in the place of the newer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from station.effects import Effect


class InOrder:
    """Calls `do` for each effect; those that come while one is being carried out wait for their turn."""

    def __init__(self, do: Callable[[Effect], None]) -> None:
        self._do = do
        self._waiting: deque[Effect] = deque()
        self._busy = False

    def __call__(self, effects: Sequence[Effect]) -> None:
        """Carry out, or queue. Raises what `do` raises; what waited then is forgotten."""
        self._waiting.extend(effects)
        if self._busy:
            return
        self._busy = True
        try:
            while self._waiting:
                self._do(self._waiting.popleft())
        finally:
            self._busy = False
            self._waiting.clear()
