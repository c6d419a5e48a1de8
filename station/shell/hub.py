"""What runs in the hardware's loop: one supervised task per device, and the pump that reconciles.

What is decided, `reconcile` decides; here is only the doing: open, listen, ask, tell.
Invariant: no exception of a driver leaves its task; a driver that fails is restarted, the others do not notice.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec

from hal.api import BoardSnapshot
from hal.errors import DeviceError
from hal.iso15118 import SeccSetup
from hal.registry import Registry
from hal.schedules import ScheduleOffer
from station.effects import VehicleAnswer, Want
from station.facts import DeviceLost, DeviceReturned, Fact, SampleFailed, SensorRead
from station.now import BootId, Instant, Mono, Rhythm
from station.shell import sound, vehicles
from station.shell.alarms import Alarms
from station.shell.bridges import Bridges
from station.shell.calls import Calls
from station.shell.drivers import Drivers, listening, opened, values
from station.shell.introductions import Introductions
from station.shell.lamps import Shining
from station.shell.levels import as_text, presented
from station.shell.metering import MeterHooks, MeterWorker
from station.shell.outlet import Place, Timing
from station.shell.pump import Pump
from station.shell.reconcile import Batch, Reconciler
from station.shell.supervise import supervise
from station.shell.wiring import EvseEntry, LampEntry, ReaderEntry, SensorEntry, Wiring

log = logging.getLogger(__name__)


class Setting(msgspec.Struct, frozen=True):
    """What the hardware's loop is given. `clock`: monotonic seconds, the same as `Now.mono`."""

    boot: BootId
    clock: Callable[[], float] = time.monotonic
    timing: Timing = Timing()
    registry: Registry | None = None


class Duty(msgspec.Struct, frozen=True):
    """A task to keep alive: whose it is, what it does, which EVSEs miss it."""

    device: str
    run: Callable[[], Awaitable[None]]
    evse_ids: tuple[int, ...]


class Hub:
    """All devices of one station. Every method is called in the hardware's loop. Raises BadOptions when built."""

    def __init__(self, wiring: Wiring, tell: Callable[[Batch], None], setting: Setting) -> None:
        self._wiring = wiring
        self._boot, self._clock = setting.boot, setting.clock
        self._stopping = asyncio.Event()
        self._lost: set[str] = set()
        self._introductions = Introductions(self._news)
        self._text: str | None = None
        self.shining = Shining()
        self._texts_due = {name: asyncio.Event() for name in wiring.displays}
        self.drivers = Drivers(wiring, self._clock, setting.registry or Registry())
        self._bridges = Bridges(self.drivers.boards)
        self._evses = {evse.evse_id: evse for evse in wiring.evses}
        self._reconciler = Reconciler(tuple(map(self._place, wiring.evses)), self._boot, setting.timing)
        self._alarms = Alarms(self._clock)
        self._calls = Calls(self.drivers, self._evses, self._reconciler, self._alarms, self._look)
        self._pump = Pump(self._reconciler, self._alarms, self._calls.begin, tell)
        names = {evse.evse_id: evse.meter for evse in wiring.evses} | {0: wiring.main_meter}
        self._meters = {evse_id: self._meter(evse_id, name) for evse_id, name in names.items() if name}

    # --- from the core

    def want(self, evse_id: int, want: Want) -> None:
        """The core wants this of an EVSE."""
        self._reconciler.want(evse_id, want)
        self._look()

    def sample(self, evse_id: int, purpose: str, by: Mono, label: str = "") -> None:
        """Read a meter; the answer comes as a fact. `label`: whom a signed text names."""
        self._reconciler.progressed(self._clock())
        meter = self._meters.get(evse_id)
        if meter is not None:
            meter.request(purpose, by, label)
            return
        at = self._instant()
        self._news(SampleFailed(evse_id=evse_id, at=at, purpose=purpose, reason="this EVSE has no meter"))

    def keep_reading(self, evse_id: int, rhythm: Rhythm | None) -> None:
        """Read a meter in this rhythm, if there is one: who waits for its readings asks when they do not come."""
        meter = self._meters.get(evse_id)
        if meter is not None:
            meter.keep_reading(rhythm)

    def committed(self, number: int) -> None:
        """The core has committed the step of this batch."""
        now = self._clock()
        if self._reconciler.committed(number, now):
            self._look()
        else:
            self._pump.look_by(self._reconciler.pulse_at(now))

    def snapshot_again(self) -> None:
        """The core forgot what it was told."""
        self._reconciler.snapshot_again()
        self._look()

    def show(self, text: str) -> None:
        """Show a text on every display, as soon as it answers."""
        if self._text != text:
            self._text = text
            for due in self._texts_due.values():
                due.set()

    def answer(self, evse_id: int, answer: VehicleAnswer) -> None:
        """Tell the vehicle at an EVSE."""
        evse = self._evses[evse_id]
        self._bridges.answer(evse.board, evse.channel, answer)

    def equip(self, setup: SeccSetup) -> None:
        """What boards that speak ISO 15118 show and offer."""
        self._bridges.equip(setup)

    async def unlock(self, evse_id: int) -> str:
        """Open the connector lock now, whatever the wants; gives the reason if it stays locked. Never under current."""
        return await self._calls.unlock(evse_id)

    async def offer(self, evse_id: int, schedules: tuple[ScheduleOffer, ...]) -> str:
        """Hand charging schedules to the vehicle; gives the reason if that failed."""
        return await self._calls.offer(evse_id, schedules)

    def stop(self) -> None:
        """End `run` in good order."""
        self._stopping.set()

    # --- the life of it all

    async def run(self) -> None:
        """Serve until `stop`; then withdraw every permission and close every device."""
        tasks = [
            asyncio.create_task(supervise(duty.device, duty.run, self._failed(duty)), name=duty.device)
            for duty in self._duties()
        ]
        try:
            await self._until_stopped()
            await self._calls.withdraw()
        finally:
            self._pump.end()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._calls.end()
            await self._introductions.end()
            await self._bridges.end()
            await self.drivers.close()

    async def _until_stopped(self) -> None:
        """Wait for the orderly stop. The pump has no one to restart it: its exception ends the thread."""
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            ends: set[asyncio.Future[Any]] = {stopped, self._pump.failed}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
        if self._pump.failed.done():
            self._pump.failed.result()

    def _duties(self) -> Iterator[Duty]:
        """A task per device that is wired."""
        wiring, bind = self._wiring, functools.partial
        for board in sorted({evse.board for evse in wiring.evses}):
            served = tuple(evse.evse_id for evse in wiring.evses if evse.board == board)
            yield Duty(board, bind(self._run_board, board), served)
        for evse in wiring.evses:
            if evse.meter:
                yield Duty(evse.meter, self._meters[evse.evse_id].run, (evse.evse_id,))
            if evse.lock:
                yield Duty(evse.lock, bind(self._run_lock, evse.evse_id, evse.lock), (evse.evse_id,))
        if wiring.main_meter:
            yield Duty(wiring.main_meter, self._meters[0].run, ())
        for reader in wiring.readers:
            yield Duty(reader.device, bind(self._run_reader, reader), reader.evse_ids)
        for sensor in wiring.sensors:
            yield Duty(sensor.device, bind(self._run_sensor, sensor), _served(sensor.evse_id))
        for display in wiring.displays:
            yield Duty(display, bind(self._run_display, display), ())
        for lamp in wiring.lamps:
            yield Duty(lamp.device, bind(self._run_lamp, lamp), (lamp.evse_id,))

    # --- one task per device

    async def _run_board(self, name: str) -> None:
        board = self.drivers.boards[name]
        channels = {evse.channel: evse.evse_id for evse in self._wiring.evses if evse.board == name}
        async with opened(board), listening(board.events()) as events:
            self._introductions.begin("board", board, tuple(channels.values()))
            self._bridges.opened(name)
            async for event in events:
                evse_id = channels.get(event.channel)
                if evse_id is None:
                    continue
                if isinstance(event, BoardSnapshot):
                    self._saw(evse_id, event)
                elif (fact := vehicles.told(event, evse_id, self._instant())) is not None:
                    self._news(fact)
        raise DeviceError(name, "it tells no more")

    def _saw(self, evse_id: int, snapshot: BoardSnapshot) -> None:
        evse = self._evses[evse_id]
        self._pump.before()
        self._reconciler.saw(evse_id, sound.snapshot(snapshot, evse.board, evse.connectors), self._clock())
        if evse_id in self._meters:
            self._meters[evse_id].look()
        self._look()

    async def _run_reader(self, reader: ReaderEntry) -> None:
        device = self.drivers.readers[reader.device]
        async with opened(device), listening(device.tokens()) as tokens:
            self._introductions.begin("reader", device, reader.evse_ids)
            self._answers(reader.device, reader.evse_ids)
            async for token in tokens:
                self._news(presented(token, reader.evse_ids, self._instant()))
        raise DeviceError(reader.device, "it tells no more")

    async def _run_lock(self, evse_id: int, name: str) -> None:
        """A lock is looked at when it is opened and after each move; in between it stays where it is."""
        lock = self.drivers.locks[name]
        async with opened(lock):
            self._reconciler.lock_is(evse_id, await lock.state(), self._clock())
            self._answers(name, (evse_id,))
            self._look()
            await asyncio.get_running_loop().create_future()

    async def _run_sensor(self, entry: SensorEntry) -> None:
        sensor = self.drivers.sensors[entry.device]
        async with opened(sensor), listening(values(sensor, entry.period_s)) as readings:
            async for reading in readings:
                value = as_text(sound.sensor(reading, entry.device).value)
                if entry.guard is not None:
                    self._reconciler.guard_is(entry.guard, reading.value, self._clock())
                self._answers(entry.device, _served(entry.evse_id))
                tell = self._pump.add if entry.guard is None else self._news
                tell(
                    SensorRead(
                        component=entry.component,
                        variable=entry.variable,
                        instance=entry.instance,
                        evse_id=entry.evse_id,
                        connector_id=entry.connector_id,
                        variable_instance=entry.variable_instance,
                        value=value,
                        at=Instant(self._boot, Mono(reading.sampled_at)),
                    )
                )

    async def _run_display(self, name: str) -> None:
        display = self.drivers.displays[name]
        due = self._texts_due[name]
        async with opened(display):
            self._answers(name, ())
            if self._text is not None:
                due.set()
            while True:
                await due.wait()
                due.clear()
                await display.show(self._text or "")

    async def _run_lamp(self, entry: LampEntry) -> None:
        lamp = self.drivers.lamps[entry.device]
        async with opened(lamp):
            await self.shining.serve(lamp, entry.evse_id, lambda: self._answers(entry.device, (entry.evse_id,)))

    # --- inside

    def _news(self, fact: Fact) -> None:
        self._pump.news(fact)

    def _look(self) -> None:
        self._pump.look()

    def _failed(self, duty: Duty) -> Callable[[str], None]:
        """What to tell when a device's task has failed: once, until it answers again."""
        boards = {evse.board for evse in self._wiring.evses}
        guards = {sensor.device: sensor.guard for sensor in self._wiring.sensors if sensor.guard is not None}

        def failed(reason: str) -> None:
            self._pump.before()
            if (guard := guards.get(duty.device)) is not None:
                self._reconciler.guard_is(guard, None, self._clock())
            if duty.device in boards:
                self._reconciler.lost(duty.device, reason, self._clock())
            elif duty.device not in self._lost:
                self._lost.add(duty.device)
                at = self._instant()
                self._reconciler.tell(DeviceLost(device=duty.device, evse_ids=duty.evse_ids, reason=reason, at=at))
            self._look()

        return failed

    def _answers(self, device: str, evse_ids: tuple[int, ...]) -> None:
        if device in self._lost:
            self._lost.discard(device)
            self._news(DeviceReturned(device=device, evse_ids=evse_ids, at=self._instant()))

    def _instant(self) -> Instant:
        return Instant(self._boot, Mono(self._clock()))

    def _place(self, evse: EvseEntry) -> Place:
        info = self.drivers.boards[evse.board].info(evse.channel)
        guards = [entry.guard for entry in self._wiring.sensors if entry.guard and evse.evse_id in entry.guard.evse_ids]
        own_lock = evse.lock is not None
        return Place(evse.evse_id, evse.board, evse.channel, info, own_lock=own_lock, guards=tuple(guards))

    def _meter(self, evse_id: int, name: str) -> MeterWorker:
        def power(power_w: float | None, at: float) -> bool:
            if self._reconciler.power_is(evse_id, power_w, at):
                self._look()
            return self._reconciler.needs_power(evse_id)

        hooks = MeterHooks(
            boot=self._boot,
            clock=self._clock,
            tell=self._pump.add,
            alarm=self._alarms.set,
            power=power,
            needs_power=lambda: self._reconciler.needs_power(evse_id),
            returned=lambda: self._answers(name, _served(evse_id)),
            opened=lambda: self._introductions.begin("meter", self.drivers.meters[name], _served(evse_id)),
            round=self._pump.round,
        )
        return MeterWorker(evse_id, self.drivers.meters[name], hooks, self._wiring.idle_period_s)


def _served(evse_id: int | None) -> tuple[int, ...]:
    """The EVSE that a device belongs to; none for the station's own."""
    return (evse_id,) if evse_id else ()
