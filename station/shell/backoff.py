"""When to dial again, and whom (part 4, 5.3 with errata 4.12; B10). Pure: no clock, no I/O; randomness is passed in.

`Backoff` tells how long to wait for one CSMS. `Redial` keeps one for each network profile and tells which is next.
Invariant: whatever happens, there is a next attempt, after a finite time and never sooner than two seconds (field.md).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from msgspec import Struct

MIN_WAIT_S = 2.0
"""A shorter pause after a drop broke one CSMS for every station (field.md, lessons)."""

MAX_WAIT_S = 86_400.0
"""No setting makes a station silent for longer than a day."""


class BackoffSettings(Struct, frozen=True):
    """OCPPCommCtrlr.RetryBackOff* and NetworkProfileConnectionAttempts."""

    wait_minimum_s: float = 10.0
    random_range_s: float = 10.0
    repeat_times: int = 5
    attempts_per_profile: int = 3


class Backoff:
    """The waits before the attempts to reach one CSMS.

    base(1) = RetryBackOffWaitMinimum, doubled after each further attempt, at most RetryBackOffRepeatTimes times; each
    wait adds a random part of its own. What resets it to the minimum is an *accepted exchange*, and between two of
    those one bare connection, as TC_B_57 and errata 4.12 want it; a server that accepts connections only to close
    them (field.md 1) meets doubling waits all the same.
    """

    def __init__(self, rng: random.Random) -> None:
        self._random = rng
        self._doublings = 0
        self._may_reset = True

    def wait(self, settings: BackoffSettings) -> float:
        """Seconds to wait before the next attempt; each call counts as one."""
        doublings = max(0, min(self._doublings, settings.repeat_times))
        base = min(max(0.0, settings.wait_minimum_s) * 2.0 ** min(doublings, 64), MAX_WAIT_S)
        self._doublings += 1
        wait = base + self._random.uniform(0.0, max(0.0, settings.random_range_s))
        return min(max(wait, MIN_WAIT_S), MAX_WAIT_S)

    def connected(self) -> None:
        """A connection stands; nothing was exchanged yet."""
        if self._may_reset:
            self._doublings = 0
            self._may_reset = False

    def accepted(self) -> None:
        """The CSMS answered a request of ours: it is well."""
        self._doublings = 0
        self._may_reset = True


class Redial:
    """Which network profile to dial next, by slot, and how long to wait before.

    Starts with the first entry at once (B10.FR.04). Each entry gets NetworkProfileConnectionAttempts attempts in turn,
    then the list starts again, for ever (B10.FR.03, B10.FR.08, B10.FR.09). After a drop the entry that was connected
    comes first, as the last good one. An entry that is new in the turn begins with the minimum wait.
    """

    def __init__(self, slots: Sequence[int], settings: BackoffSettings, rng: random.Random) -> None:
        self.settings = settings
        self._random = rng
        self._slots = tuple(slots)
        self._backoffs: dict[int, Backoff] = {}
        self._index = 0
        self._tried = self._moves = 0
        self.wait_s = 0.0

    @property
    def slot(self) -> int | None:
        """The slot to dial after `wait_s` seconds; None only if there is no profile at all."""
        return self._slots[self._index] if self._slots else None

    def configure(self, slots: Sequence[int], *, first: int | None = None) -> None:
        """New profiles in order of priority; the first one, or `first`, is dialled next, after the shortest wait."""
        self._slots = tuple(slots)
        self._index = self._slots.index(first) if first in self._slots else 0
        self._tried = self._moves = 0
        self.wait_s = MIN_WAIT_S
        self._backoffs = {slot: backoff for slot, backoff in self._backoffs.items() if slot in self._slots}

    def connected(self) -> None:
        """The attempt succeeded."""
        self._tried = self._moves = 0
        self._backoff().connected()

    def accepted(self) -> None:
        """The CSMS answered a request of ours."""
        self._backoff().accepted()

    def failed(self) -> bool:
        """The attempt failed: the next one may be for the next entry. True if all entries have now had theirs."""
        self._tried += 1
        all_tried = False
        if self._tried >= max(1, self.settings.attempts_per_profile) and self._slots:
            self._tried = 0
            self._index = (self._index + 1) % len(self._slots)
            self._moves = (self._moves + 1) % len(self._slots)
            all_tried = self._moves == 0
        self.wait_s = self._backoff().wait(self.settings)
        return all_tried

    def dropped(self) -> None:
        """A connection that stood is gone."""
        self._tried = 0
        self.wait_s = self._backoff().wait(self.settings)

    def _backoff(self) -> Backoff:
        slot = self.slot or 0
        if slot not in self._backoffs:
            self._backoffs[slot] = Backoff(self._random)
        return self._backoffs[slot]
