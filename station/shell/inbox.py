"""What waits for the core: one queue, bounded without losing anything that matters (design 6).

Texts of the CSMS wait outside when the queue is full: the socket is not read. Edges and answers are never dropped.
Of samples that nobody asked for, only the newest of each source is kept while the core is behind.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Any

import msgspec

from station.effects import Effect
from station.facts import Fact, MeterSampled, SensorRead
from station.now import Now
from station.shell.reconcile import IDLE, Batch

ROOM = 1000
"""So many inputs may wait before the socket is left unread."""

BEHIND = 16
"""With more than so many waiting, samples are thinned out."""


class Item(msgspec.Struct, frozen=True):
    """An input: `run` gives it to the core, `after` is called when its effects have been handed over."""

    run: Callable[[Now], list[Effect]]
    after: Callable[[], None] | None = None


class Inbox:
    """The core's queue. Everything is called in the core's loop; `news` whenever something was put."""

    def __init__(self, news: Callable[[], None]) -> None:
        self.items: deque[Item | Batch] = deque()
        """What waits, for looking at."""
        self._room = asyncio.Event()
        self._room.set()
        self._news = news

    def __len__(self) -> int:
        return len(self.items)

    def put(self, run: Callable[[Now], list[Effect]], after: Callable[[], None] | None = None) -> None:
        """Queue an input, whatever else waits."""
        self._append(Item(run, after))

    def room(self) -> Awaitable[Any] | None:
        """For somebody who can wait: None if there is room for more, else what is done when there is."""
        if len(self.items) < ROOM:
            return None
        self._room.clear()
        return self._room.wait()

    def put_batch(self, batch: Batch) -> None:
        """Queue what the hardware tells."""
        if len(self.items) > BEHIND:
            self._forget_older_samples(batch)
        self._append(batch)

    def pop(self) -> Item | Batch | None:
        """The oldest input."""
        if not self.items:
            return None
        item = self.items.popleft()
        if not self._room.is_set() and len(self.items) < ROOM:
            self._room.set()
        return item

    def _append(self, item: Item | Batch) -> None:
        self.items.append(item)
        self._news()

    def _forget_older_samples(self, newer: Batch) -> None:
        fresh = {source for fact in newer.facts if (source := _source(fact)) is not None}
        for place, item in enumerate(self.items):
            if isinstance(item, Batch) and any(_source(fact) in fresh for fact in item.facts):
                kept = tuple(fact for fact in item.facts if _source(fact) not in fresh)
                self.items[place] = Batch(item.number, kept)


def _source(fact: Fact) -> Hashable | None:
    """Whose sample this is, if a newer one of the same source makes it worthless."""
    if isinstance(fact, MeterSampled) and fact.purpose == IDLE:
        return fact.evse_id
    if isinstance(fact, SensorRead):
        place = (fact.component, fact.instance, fact.evse_id, fact.connector_id)
        return (*place, fact.variable, fact.variable_instance)
    return None
