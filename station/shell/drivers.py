"""The drivers of one station, built from its wiring and sorted by kind; and how to listen to them until they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, Protocol, TypeVar, runtime_checkable

from hal.api import Board, Device, Display, Lamp, Lock, Meter, Sensor, SensorReading, SensorWatch, TokenReader
from hal.context import DriverContext
from hal.errors import BadOptions
from hal.registry import Registry
from hal.waits import to_beat
from station.shell.wiring import EvseEntry, Wiring

D = TypeVar("D")
T = TypeVar("T")


@runtime_checkable
class Closable(Protocol):
    """A shared resource that holds a wire."""

    async def close(self) -> None:
        """Let go of it."""
        ...


class Drivers:
    """Every driver that the wiring names. Raises BadOptions for one missing, of the wrong kind or misconfigured."""

    def __init__(self, wiring: Wiring, clock: Callable[[], float], registry: Registry) -> None:
        self.resources: Mapping[str, object] = {
            bus.name: registry.build_bus(bus.kind, bus.name, bus.options, clock) for bus in wiring.buses
        }
        context = DriverContext(clock, self.resources)
        self._all: dict[str, object] = {}
        for entry in wiring.devices:
            if entry.name in self._all:
                raise BadOptions(entry.name, "", "two devices have this name")
            self._all[entry.name] = registry.build(entry.kind, entry.driver, entry.name, entry.options, context)
        meters = [*(evse.meter for evse in wiring.evses), wiring.main_meter]
        self.boards: dict[str, Board] = self._pick(Board, [evse.board for evse in wiring.evses])
        self.meters: dict[str, Meter] = self._pick(Meter, [name for name in meters if name])
        self.locks: dict[str, Lock] = self._pick(Lock, [evse.lock for evse in wiring.evses if evse.lock])
        self.readers: dict[str, TokenReader] = self._pick(TokenReader, [reader.device for reader in wiring.readers])
        self.sensors: dict[str, Sensor] = self._pick(Sensor, [sensor.device for sensor in wiring.sensors])
        self.displays: dict[str, Display] = self._pick(Display, list(wiring.displays))
        self.lamps: dict[str, Lamp] = self._pick(Lamp, [lamp.device for lamp in wiring.lamps])
        for evse in wiring.evses:
            self._check_channel(evse)

    def _pick(self, kind: Any, names: list[str]) -> dict[str, Any]:
        """The devices of these names, which must be of this kind."""
        for name in names:
            if not isinstance(self._all.get(name), kind):
                known = ", ".join(sorted(n for n, device in self._all.items() if isinstance(device, kind))) or "none"
                raise BadOptions(name, "", f"no {kind.__name__} is called {name!r} (there are: {known})")
        return {name: self._all[name] for name in names}

    def _check_channel(self, evse: EvseEntry) -> None:
        channels = self.boards[evse.board].channels()
        if evse.channel not in channels:
            known = ", ".join(map(str, channels))
            raise BadOptions(evse.board, ".channel", f"no channel {evse.channel} (there are: {known})")

    async def close(self) -> None:
        """Let go of the wires; the devices on them were closed by those who opened them."""
        for resource in self.resources.values():
            if isinstance(resource, Closable):
                await resource.close()


@asynccontextmanager
async def opened(device: Device) -> AsyncIterator[None]:
    """Open a device, and close it whatever happens. Raises what `open` raises."""
    try:
        await device.open()
        yield
    finally:
        await device.close()


@asynccontextmanager
async def listening(source: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """What a driver tells; its generator is ended at once when the listener leaves, not when it is collected."""
    if isinstance(source, AsyncGenerator):
        async with aclosing(source):
            yield source
    else:
        yield source


async def values(sensor: Sensor, period_s: float) -> AsyncIterator[SensorReading]:
    """What a sensor measures: as it tells, or else once a period, together with others of that period."""
    if isinstance(sensor, SensorWatch):
        async with listening(sensor.changes()) as changes:
            async for reading in changes:
                yield reading
        return
    while True:
        yield await sensor.read()
        await asyncio.sleep(to_beat(asyncio.get_running_loop().time(), period_s))
