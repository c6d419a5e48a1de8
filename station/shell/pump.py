"""Whatever changed in the hardware's loop: act, and tell the core, once in a turn of the loop.

All that meters answer in a turn goes as one batch with what else is to be told, so that the events of a round share a
step; what happened before it is told before it. Readings alone change nothing here, and go to the core past everything.
What drivers are asked in a turn they are asked before the core is told of it: a core that wakes up while this thread is
still busy waits for it, and what they answer at once needs no turn of its own.

Meters that are read at the same instant may answer one after the other, as those on one line do: what nobody waits for
waits for the last of them, so that the core is woken once for all; not for long, if one does not answer.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from station.facts import Fact, MeterSampled, SensorRead
from station.shell.alarms import Alarms
from station.shell.metering import MOMENT, Round
from station.shell.outlet import Action
from station.shell.reconcile import IDLE, Batch, Reconciler

HOLD_S = {IDLE: 1.0, MOMENT: 0.25}
"""The longest that a reading waits for others, by its purpose: a round waits for its moment (J01, `GRACE_S`)."""


class Pump:
    """`begin`: has a driver do something. `tell`: hands a batch to the core.

    `failed` is done when a turn has raised: a bug, after which nobody would look after the hardware.
    """

    def __init__(
        self,
        reconciler: Reconciler,
        alarms: Alarms,
        begin: Callable[[Action], None],
        tell: Callable[[Batch], None],
    ) -> None:
        self._reconciler = reconciler
        self._alarms = alarms
        alarms.rung = self._turn
        self._begin = begin
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self.failed: asyncio.Future[None] = self._loop.create_future()
        self.round = Round()
        self.round.over = self._over
        self._readings: list[Fact] = []
        self._changed = self._acting = self._booked = self._ended = False
        self._due = math.inf

    def add(self, reading: Fact) -> None:
        """A meter has answered, or has not."""
        self._readings.append(reading)
        hold_s = _hold_s(reading) if self.round.reading else 0.0
        if hold_s:
            self._alarms.set_unless_sooner(self._over, self._alarms.clock() + hold_s)
        else:
            self._book()

    def before(self) -> None:
        """Something is about to be told: what was read before it comes first."""
        for reading in self._waiting():
            self._reconciler.tell(reading)

    def news(self, fact: Fact) -> None:
        """Something else has happened."""
        self.before()
        self._reconciler.tell(fact)
        self.look()

    def look(self) -> None:
        """Something changed that may have to be acted on or told."""
        self._changed = True
        self._book()

    def look_by(self, at: float) -> None:
        """The same at an instant, if nothing leads to it before."""
        if at < self._due:
            self._due = at
            self._alarms.set(self._book, at)

    def end(self) -> None:
        """Have no more turns."""
        self._ended = True

    def _over(self) -> None:
        if self._readings:
            self._book()

    def _book(self) -> None:
        """Have a turn in the next turn of the loop, unless one follows anyway."""
        if not self._booked and not self._alarms.ringing:
            self._booked = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._booked = False
        if self._ended:
            return
        try:
            batch = self._next_batch(self._alarms.clock())
            if batch is not None:
                self._tell(batch)  # last, or the core's thread wakes up and waits for this one to rest
        except Exception as error:  # noqa: BLE001 - told to whoever waits for it
            self._ended = True
            self.failed.set_exception(error)

    def _next_batch(self, now: float) -> Batch | None:
        reconciler = self._reconciler
        if not self._changed and now < self._due and not reconciler.has_news:
            readings = self._waiting()
            return Batch(0, tuple(readings)) if readings else None
        self.before()
        acting, self._acting = self._acting, False
        for action in reconciler.actions(now):
            self._begin(action)
            self._acting = True
        if self._acting and not acting:  # drivers that answer at once have done so when the core is woken
            self.look()
            return None
        self._changed = False
        batch = reconciler.batch(now)
        self._due = reconciler.next_due(now)
        self._alarms.set(self._book, self._due)
        return batch

    def _waiting(self) -> list[Fact]:
        """All readings that were not told yet, to be told now."""
        readings, self._readings = self._readings, []
        if readings:
            self._alarms.drop(self._over)
        return readings


def _hold_s(reading: Fact) -> float:
    """How long this one may wait; no time if somebody waits for it."""
    if isinstance(reading, MeterSampled):
        return HOLD_S.get(reading.purpose, 0.0)
    return HOLD_S[IDLE] if isinstance(reading, SensorRead) else 0.0
