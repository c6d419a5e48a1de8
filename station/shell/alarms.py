"""One timer for all who wait until an instant: who waits for the same one as others shares a wake-up with them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable


class Alarms:
    """`clock`: seconds that pass as the loop's do."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.rung: Callable[[], None] = lambda: None
        """Called when those who were woken have had their turn."""
        self._loop = asyncio.get_running_loop()
        self._instants: dict[Callable[[], None], float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = math.inf
        self.ringing = False
        """Some have been woken, and `rung` follows in this turn of the loop or in the next."""

    def set(self, wake: Callable[[], None], at: float) -> None:
        """Have it called at an instant, and not at the one that was set for it before; infinite: never."""
        self._instants[wake] = at
        if at < self._next and not self.ringing:
            self._arm(at)

    def set_unless_sooner(self, wake: Callable[[], None], at: float) -> None:
        """The same, unless anybody is called before that: `rung` is enough for whoever asks for this."""
        if at < self._next and not self.ringing:
            self.set(wake, at)

    def drop(self, wake: Callable[[], None]) -> None:
        """Have it called no more; for it alone nobody is woken."""
        at = self._instants.pop(wake, None)
        if at == self._next and not self.ringing:
            self._arm(min(self._instants.values(), default=math.inf))

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = at
        self._timer = None if math.isinf(at) else self._loop.call_later(max(at - self.clock(), 0.0), self._ring)

    def _ring(self) -> None:
        now = self.clock()
        self.ringing = True
        try:
            for wake in [wake for wake, at in self._instants.items() if at <= now]:
                if self._instants.pop(wake, None) is not None:  # else another one has dropped it
                    wake()
        finally:
            self._loop.call_soon(self._end)  # what is left is rung then

    def _end(self) -> None:
        self.ringing = False
        self._timer = None
        self._arm(min(self._instants.values(), default=math.inf))  # most have said by now when they want to be woken
        self.rung()
