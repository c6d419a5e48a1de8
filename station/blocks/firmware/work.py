"""The one job of an update that is under way, or the one moment that is waited for; a new run begins anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from station.block import Job
from station.now import Mono, Now
from station.ports import Jobs

LOOK_S = 1.0
"""How soon after a recovery it is looked at what waits."""


class Alarm(NamedTuple):
    """What to do when the time has come."""

    at: Mono
    do: Callable[[Now], None]


class Work:
    """At most one job at a time. `lost` is called when its result does not come in the time that it may take."""

    def __init__(self, jobs: Jobs, lost: Callable[[Now], None]) -> None:
        self._jobs = jobs
        self._lost = lost
        self.forget()

    def forget(self) -> None:
        """Nothing is under way."""
        self.job: Job | None = None
        self.since = Mono(0.0)
        """When that one, or the last one, was started."""
        self.alarm: Alarm | None = None
        self._until = Mono(0.0)

    def start(self, job: Job, longest_s: float, now: Now) -> None:
        """Unless one runs already."""
        if self.job is None:
            self._jobs.start(job)
            self.job, self.since, self._until = job, now.mono, now.after(longest_s)
            self.call(self._until, self._lost)

    def ended(self) -> None:
        """Its result has come."""
        self.job = self.alarm = None

    def stop(self) -> None:
        """Its result is not wanted any more; with it goes whatever was waited for."""
        if self.job is not None:
            self._jobs.cancel(type(self.job))
            self.ended()

    def call(self, at: Mono, do: Callable[[Now], None]) -> None:
        """Do this then, and nothing else meanwhile."""
        self.alarm = Alarm(at, do)

    def due(self, now: Now) -> bool:
        """The time has come: do it; False if there is nothing to be done."""
        alarm, self.alarm = self.alarm, None
        if alarm is not None:
            alarm.do(now)
        return alarm is not None

    def look_soon(self, now: Now, otherwise: Callable[[Now], None]) -> None:
        """A mistake has made the station read its tables again; a result may have been lost by it."""

        def look(then: Now) -> None:
            if self.job is None:
                otherwise(then)
            elif self._jobs.awaits(type(self.job)):
                self.call(self._until, self._lost)
            else:
                self._lost(then)

        if self.job is not None or self.alarm is None:
            self.call(now.after(LOOK_S), look)
