"""A contact on a GPIO line: a door, an emergency stop, a residual-current relay, a relay of the grid operator.

    buses: {io: {kind: gpio, chip: /dev/gpiochip0}}
    sensors:
      stop: {driver: gpio, bus: io, line: 17, bias: pull-up, component: EmergencyStopSensor, variable: Tripped,
             fault: EmergencyStop}
      door: {driver: gpio, bus: io, line: DOOR, active_low: true, component: CaseAccessSensor, variable: Tripped}

Wiring: normally closed to ground for everything that means danger, with a pull-up and *without* `active_low`: the
contact opens, or its wire breaks, and the line is active. Normally open contacts to ground with `active_low`. Source:
see `hal.buses.gpio`. Each change is told as it comes; nobody polls.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Annotated

import msgspec

from hal.api import SensorInfo, SensorReading
from hal.buses.gpio import Gpio, Line, Lines
from hal.context import DriverContext, parse_options
from hal.errors import DeviceError, NotFound

_CONTACT = "contact"


class Options(Line, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The driver's part of a configuration: a line, and on which chip."""

    bus: Annotated[str, msgspec.Meta(min_length=1)]


class GpioInput:
    """Sensor that tells its changes. Raises BadOptions when built."""

    info = SensorInfo()

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        driver = f"sensor {name!r}"
        self._line = given = parse_options(driver, options, Options)
        self.name = name
        self._chip = context.resource(driver, ".bus", given.bus, Gpio)
        self._clock: Callable[[], float] = context.clock
        self._lines: Lines | None = None
        self._lost: DeviceError | None = None
        self._moved = asyncio.Event()

    async def open(self) -> None:
        """Takes the line. Raises NotFound."""
        await self.close()
        self._lost, self._moved = None, asyncio.Event()
        self._lines = self._chip.request(self.name, {_CONTACT: self._line}, {})
        self._lines.watch(self._moved.set, self._gone)

    async def close(self) -> None:
        """Lets go of it; `changes` raises NotFound."""
        lines, self._lines = self._lines, None
        if lines is not None:
            lines.release()
        self._gone(NotFound(self.name, "was closed"))

    async def read(self) -> SensorReading:
        """Whether it is active. Raises NotFound."""
        if self._lines is None:
            raise NotFound(self.name, "is not open")
        return SensorReading(self._clock(), self._lines.values()[_CONTACT])

    async def changes(self) -> AsyncIterator[SensorReading]:
        """The state now, then each change. Raises NotFound: closed, or the chip is gone."""
        last: bool | None = None
        while self._lost is None:
            self._moved.clear()
            reading = await self.read()
            if reading.value is not last:
                last = bool(reading.value)
                yield reading
            else:
                await self._moved.wait()
        raise self._lost.with_traceback(None)  # kept: its traceback must not grow

    def _gone(self, error: DeviceError) -> None:
        self._lost = self._lost or error
        self._moved.set()
