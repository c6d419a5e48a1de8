"""Reading one meter: on request, in the rhythm of a running transaction, and once a minute when nobody asks.

A request is answered by the next reading that *begins* after it, several by the same one unless they want different
signatures; at its deadline it fails, also while the meter is lost. Runs in the hardware's loop.
Invariant: every request gets exactly one answer, `MeterSampled` or `SampleFailed`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import msgspec

from hal.api import Meter, MeterReading, SignedMeter, SignMoment
from hal.errors import DeviceError, NotFound
from station.facts import Fact, SampleFailed
from station.now import BootId, Instant, Mono, Rhythm
from station.shell import sound
from station.shell.levels import sampled
from station.shell.reconcile import IDLE

TRIES = 3
"""Failures in a row after which the meter counts as lost."""

PAUSE_S = 0.5
"""Between a failed reading and the next."""

FLOW_PERIOD_S = 5.0
"""How often power is looked at while only the meter can tell whether current flows."""

MOMENT = "moment"
"""The purpose of a reading in the rhythm that the core has given."""

SIGNED = "+signed"
"""The ending of a purpose that wants a signature (`station.state.meters.signing`)."""

MOMENTS = {"begin": SignMoment.BEGIN, "stop": SignMoment.END, "interrupted": SignMoment.END}
"""What a signed reading is for, by its purpose; any other is a sample in between."""


class _Request:
    """Somebody wants a reading, signed for `moment` if that is given; `timer` runs out at his deadline."""

    def __init__(self, purpose: str, label: str) -> None:
        self.purpose = purpose
        self.label = label
        wanted = purpose.removesuffix(SIGNED)
        self.moment = MOMENTS.get(wanted, SignMoment.SAMPLE) if wanted != purpose else None
        self.timer: asyncio.TimerHandle | None = None


class Round:
    """The meters that are being read now, and who waits for the last of them to have answered."""

    def __init__(self) -> None:
        self.reading = 0
        self.over: Callable[[], None] | None = None

    def end(self) -> None:
        """Another one has answered, or has not."""
        self.reading -= 1
        if not self.reading and self.over is not None:
            self.over()


class MeterHooks(msgspec.Struct, frozen=True):
    """What a meter needs of its surroundings."""

    boot: BootId
    clock: Callable[[], float]
    tell: Callable[[Fact], None]
    alarm: Callable[[Callable[[], None], float], None]
    """Have somebody called at an instant (`Alarms.set`)."""
    power: Callable[[float | None, float], bool]
    """The power and when it was sampled; gives `needs_power`, which it may have changed."""
    needs_power: Callable[[], bool]
    """Whether someone waits to see current flow or stop."""
    returned: Callable[[], None]
    """The meter answers (again)."""
    opened: Callable[[], None] = lambda: None
    """The meter is there: who is it?"""
    round: Round = msgspec.field(default_factory=Round)
    """With whom it is read together."""


class MeterWorker:
    """The meter of one EVSE (0: the main meter)."""

    def __init__(self, evse_id: int, meter: Meter, hooks: MeterHooks, idle_period_s: float) -> None:
        self._evse_id = evse_id
        self._meter = meter
        self._hooks = hooks
        self._idle_period_s = idle_period_s
        self._loop = asyncio.get_running_loop()
        self._watched = False
        """Someone waits to see current flow or stop."""
        self._idle_at = -math.inf
        self._rhythm: Rhythm | None = None
        self._moment = math.inf
        self._last_at = -math.inf
        self._requests: list[_Request] = []
        self._rest: asyncio.Future[None] | None = None
        self._reason = "the meter did not answer in time"

    def request(self, purpose: str, by: float, label: str = "") -> None:
        """Ask for a reading; the answer comes as a fact. `label`: whom a signed text names."""
        request = _Request(purpose, label)
        wait = max(by - self._hooks.clock(), 0.0)
        request.timer = self._loop.call_later(wait, self._late, request)
        self._requests.append(request)
        self._wake()

    def keep_reading(self, rhythm: Rhythm | None) -> None:
        """Read in this rhythm from now on."""
        self._rhythm = rhythm
        self._moment = math.inf if rhythm is None else rhythm.after(self._hooks.clock())
        self._wake()

    def look(self) -> None:
        """Something changed: how often the meter must be read may have, too."""
        self._watched = self._hooks.needs_power()
        self._wake()

    async def run(self) -> None:
        """Serve until the meter fails. Raises DeviceError; the caller starts it again."""
        await self._meter.open()
        failures, answers = 0, False
        try:
            self._hooks.opened()
            self.look()
            while True:
                await self._until_due()
                try:
                    await self._read()
                    failures = 0
                    if not answers:
                        answers = True
                        self._hooks.returned()
                except DeviceError as error:
                    failures += 1
                    self._reason = str(error)
                    if failures >= TRIES or isinstance(error, NotFound):
                        raise
                    await asyncio.sleep(PAUSE_S)
        finally:
            await self._meter.close()

    async def _until_due(self) -> None:
        """Wait for a request, or until the next reading is due without one."""
        while not self._requests:
            at = self._next_at()
            if at <= self._hooks.clock():
                return
            self._hooks.alarm(self._wake, at)
            self._rest = self._loop.create_future()
            await self._rest

    def _wake(self) -> None:
        if self._rest is not None and not self._rest.done():
            self._rest.set_result(None)

    def _next_at(self) -> float:
        """Readings without a request fall on common multiples of the period, so that all meters share a wake-up."""
        at = min(self._idle_at, self._moment)
        return min(at, self._last_at + FLOW_PERIOD_S) if self._watched else at

    async def _read(self) -> None:
        served, began = self._requests.copy(), self._hooks.clock()
        first = next((request for request in served if request.moment is not None), None) if served else None
        if first is not None and first.moment is not None and isinstance(self._meter, SignedMeter):
            served = [request for request in served if request.moment in {None, first.moment}]
            reading = await self._meter.sign(first.moment, first.label)
        else:
            self._hooks.round.reading += 1
            try:
                reading = await self._meter.read()
            finally:
                self._hooks.round.end()
        reading = sound.reading(reading, self._meter.name, self._hooks.clock())
        self._last_at = self._hooks.clock()
        if served:
            self._answer(served, reading)
        of_rhythm = self._rhythm is not None and began >= self._moment
        if self._rhythm is not None and of_rhythm:
            self._moment = self._rhythm.after(began)
            self._hooks.tell(sampled(self._evse_id, reading, MOMENT, self._hooks.boot))
        if began >= self._idle_at:
            self._idle_at = (began // self._idle_period_s + 1) * self._idle_period_s
            if not served and not of_rhythm:
                self._hooks.tell(sampled(self._evse_id, reading, IDLE, self._hooks.boot))
        self._watched = self._hooks.power(reading.power_import_w, reading.sampled_at)

    def _answer(self, served: list[_Request], reading: MeterReading) -> None:
        for request in served:
            if request in self._requests:  # else its deadline passed meanwhile
                self._requests.remove(request)
                if request.timer is not None:
                    request.timer.cancel()
                self._hooks.tell(sampled(self._evse_id, reading, request.purpose, self._hooks.boot))

    def _late(self, request: _Request) -> None:
        """A deadline: look once more at what is there before believing it (a stall delays replies and timers alike)."""
        self._loop.call_soon(self._loop.call_soon, self._expire, request)

    def _expire(self, request: _Request) -> None:
        if request in self._requests:
            self._requests.remove(request)
            at = Instant(self._hooks.boot, Mono(self._hooks.clock()))
            failed = SampleFailed(evse_id=self._evse_id, at=at, purpose=request.purpose, reason=self._reason)
            self._hooks.tell(failed)
