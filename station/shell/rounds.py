"""What is done again and again beside the inputs: the look at the clock and the store, and the watchdog's canary.

Both run in the core's loop, between steps. A mistake in the upkeep is logged and costs nothing else.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable

import msgspec

from station.effects import Effect
from station.now import Now
from station.shell.clock import LOOK_EVERY_S, StationClock
from station.shell.inbox import Inbox
from station.shell.watchdog import Lateness, Notifier

log = logging.getLogger(__name__)

GC_AT_THE_LATEST_S = 120.0
FIRST_LOOKS_S = LOOK_EVERY_S / 10
"""How often it is looked whether the boot is over."""


class Upkeep(msgspec.Struct, frozen=True):
    """What the rounds ask and do."""

    accepted: Callable[[], bool]
    """Whether a CSMS has accepted the station since the start."""
    look_at_clock: Callable[[], None]
    store: Callable[[Now], None]
    canary: Callable[[Now], list[Effect]]


class Rounds:
    """The rounds of one station."""

    def __init__(self, upkeep: Upkeep, clock: StationClock, notifier: Notifier) -> None:
        self._upkeep = upkeep
        self._clock = clock
        self._notifier = notifier
        self.late = Lateness(clock.mono)

    async def run(self) -> None:
        """Once a minute; more often until the boot is over."""
        began = self._clock.mono()
        booting = True
        while True:
            self._upkeep.look_at_clock()
            if booting and (self._upkeep.accepted() or self._clock.mono() - began > GC_AT_THE_LATEST_S):
                booting = False
                gc.freeze()  # what was made until now stays for ever: it is never looked at again
                gc.enable()
            self._store()
            await asyncio.sleep(FIRST_LOOKS_S if booting else LOOK_EVERY_S)

    def _store(self) -> None:
        try:
            self._upkeep.store(self._clock.now())
        except Exception:
            log.exception("store.upkeep")

    async def canaries(self, inbox: Inbox, every_s: float) -> None:
        """Put a canary into the inbox, and feed the watchdog when it comes out of the core."""
        while True:
            inbox.put(self._upkeep.canary, self._came_through)
            await asyncio.sleep(every_s)

    def _came_through(self) -> None:
        if not self.late.overdue:
            self._notifier.alive()
