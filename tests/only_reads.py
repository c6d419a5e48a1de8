"""A call that only reads takes no transaction: so it may leave nothing behind that a step would commit or hand over.

That it tells nothing, the outbox sees to: it takes messages inside a step only.
"""

from __future__ import annotations

from station.app import Station
from station.now import Now


class Untouched:
    """A station as it is before a text of the CSMS is taken."""

    def __init__(self, station: Station, now: Now) -> None:
        self._station = station
        self._now = now
        self._deadline = station.exchange.next_deadline(now)
        self._changes = self._written()

    def check(self) -> None:
        """Raises AssertionError unless it still is. What the step wants is gone after it."""
        engine, exchange = self._station.engine, self._station.exchange
        assert exchange.next_deadline(self._now) == self._deadline, "a call that only reads moved a deadline"
        assert self._written() == self._changes, "a call that only reads wrote into the database"
        assert not engine._facts.waiting, "a call that only reads brought news"
        assert not engine._ports.take(), "a call that only reads wants something"

    def _written(self) -> int:
        return self._station.engine._db.connection.total_changes
