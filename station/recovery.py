"""Which source of trouble gets how much patience: the bookkeeping behind the engine's recovery (design 6, A3).

Pure: it counts and decides, the engine acts. A *source* names what a failing step was given: ("call", action),
("timer", block), ("message", action), ("job", kind), ("fact", kind, evse). A *culprit* is the handler that raised:
(block, what it was given).
Invariant: no source, however often it fails, stops the others.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import msgspec

from station.now import Mono

Source = tuple[str | int, ...]

MUTE_FIRST_S = 1.0
MUTE_LONGEST_S = 300.0
FATAL_SOURCES = 3
FATAL_WITHIN_S = 600.0
TWICE_WITHIN_S = 600.0


class Culprit(NamedTuple):
    """The handler that raised: the block's name and the type it was given."""

    block: str
    given: str


class _Muted(msgspec.Struct, frozen=True):
    until: Mono
    for_s: float


class Failures:
    """Counts failures by source, and mutes what fails: 1, 2, 4 ... 300 s."""

    def __init__(self) -> None:
        self._seen: dict[Source, deque[Mono]] = {}
        self._muted: dict[Source | Culprit, _Muted] = {}
        self._fatal: deque[tuple[Mono, Source]] = deque()

    @property
    def none_is_muted(self) -> bool:
        """Whether nothing is left out: the way of every day."""
        return not self._muted

    def happened(self, source: Source, now: Mono) -> int:
        """Count one failure of `source`; gives how many there were in the last ten minutes."""
        times = self._seen.setdefault(source, deque(maxlen=8))
        times.append(now)
        return sum(1 for at in times if now - at <= TWICE_WITHIN_S)

    def mute(self, what: Source | Culprit, now: Mono) -> float:
        """Leave `what` out for a while, twice as long each time in a row; gives the seconds."""
        before = self._muted.get(what)
        for_s = MUTE_FIRST_S if before is None else min(before.for_s * 2, MUTE_LONGEST_S)
        self._muted[what] = _Muted(Mono(now + for_s), for_s)
        return for_s

    def muted(self, what: Source | Culprit, now: Mono) -> bool:
        """Whether `what` is left out now."""
        if not self._muted:
            return False
        mute = self._muted.get(what)
        return mute is not None and now < mute.until

    def muted_until(self, what: Source | Culprit) -> Mono | None:
        """When `what` may be tried again."""
        mute = self._muted.get(what)
        return mute.until if mute else None

    def worked(self, what: Source | Culprit) -> None:
        """It worked again: its next failure starts small."""
        if self._muted:
            self._muted.pop(what, None)

    def is_fatal(self, source: Source, now: Mono) -> bool:
        """Whether rebuilds come from three different sources within ten minutes: the process had better start anew.

        The engine does not ask for a CALL: no CSMS may stop a station by repeating a request that meets a bug.
        """
        self._fatal.append((now, source))
        while self._fatal and now - self._fatal[0][0] > FATAL_WITHIN_S:
            self._fatal.popleft()
        return len({seen for _, seen in self._fatal}) >= FATAL_SOURCES
