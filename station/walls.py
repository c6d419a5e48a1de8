"""Times of the wall for instants of any boot."""

from __future__ import annotations

from datetime import datetime

from station.now import Instant, Now, to_datetime
from station.stamps import Stamps
from station.store.boots import Boots


class Walls:
    """`ports.Times` by the clock of each boot."""

    def __init__(self, boots: Boots, stamps: Stamps) -> None:
        self._boots = boots
        self._stamps = stamps

    def utc(self, at: Instant) -> datetime:
        """The aware UTC datetime of an instant."""
        return to_datetime(self._boots.wall_of(at))

    def elapsed_s(self, since: Instant, now: Now) -> float | None:
        """By one boot's own clock, else by the wall."""
        if since.boot == now.boot:
            return now.mono - since.mono
        if not (now.trusted and self._boots.knows(since.boot)):
            return None
        elapsed_s = now.wall - self._boots.wall_of(since)
        return elapsed_s if elapsed_s >= 0 else None

    def seen_until(self, transaction_id: str, at_least: float) -> float:
        """What has left already."""
        return self._stamps.seen_until(transaction_id, at_least)
