"""What meters answer, on its way to the core: past the pump, for nothing is decided by it in the hardware's loop.

All that is answered in one turn of the loop goes as one batch, so that the events of a round share a step. What
happened before it is told before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from station.facts import Fact
from station.shell.reconcile import Batch, Reconciler


class Readings:
    """`tell`: hands a batch to the core. `news`: has a fact told by the pump, after what waits there."""

    def __init__(self, reconciler: Reconciler, tell: Callable[[Batch], None], news: Callable[[Fact], None]) -> None:
        self._reconciler = reconciler
        self._tell = tell
        self._news = news
        self._facts: list[Fact] = []

    def add(self, fact: Fact) -> None:
        """A meter has answered, or has not."""
        self._facts.append(fact)
        if len(self._facts) == 1:
            asyncio.get_running_loop().call_soon(self._end_turn)

    def _end_turn(self) -> None:
        facts, self._facts = self._facts, []
        if not self._reconciler.has_news:
            self._tell(Batch(0, tuple(facts)))
            return
        for fact in facts:
            self._news(fact)
