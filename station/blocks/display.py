"""Block O, as far as it is built: what the station has to say to a driver is shown for a while.

Who has something to say emits DriverAddressed in the driver's language; what comes later takes the place of what is
shown. Display messages of the CSMS (O01 to O06) are not built in.
"""

from __future__ import annotations

from station.block import Block, Reactions, on
from station.facts import DriverAddressed
from station.now import Deadline, Mono, MonoDeadline, Now
from station.ports import Displays

SHOWN_S = 15.0
"""Long enough to read two lines."""


class Display(Block):
    """The displays of one station: they all show the same."""

    def __init__(self, *, displays: Displays) -> None:
        self._displays = displays
        self._until: Mono | None = None

    def reactions(self) -> Reactions:
        """Something to say."""
        return [on(DriverAddressed, self.addressed)]

    def load(self, now: Now) -> None:
        """What an earlier run showed, and what a failed step wanted to show, goes soon."""
        self._until = now.mono if self._until is None else self._until

    def addressed(self, fact: DriverAddressed, now: Now) -> None:
        """Show it."""
        self._displays.show(fact.text)
        self._until = now.after(SHOWN_S)

    def next_due(self) -> Deadline | None:
        """When it has been read."""
        return MonoDeadline(self._until) if self._until is not None else None

    def due(self, now: Now) -> None:
        """Clear."""
        del now
        self._displays.show("")
        self._until = None
