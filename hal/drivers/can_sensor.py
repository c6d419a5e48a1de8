"""One signal of a DBC as a sensor: a board's temperature, its supply voltage, a door contact.

    sensors: {plug: {driver: can, bus: can0, message: Ch1_Health, signal: PlugTemperature, unit: Celsius}}

It listens: who watches it is told when the value has changed, and nobody polls.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from hal.api import SensorInfo, SensorReading
from hal.buses.can import CanBus
from hal.buses.can_ascii import Frame
from hal.context import DriverContext, parse_options
from hal.dbc import load
from hal.drivers.can_map import crc8_holds
from hal.errors import BadOptions, DeviceError, NotFound, Timeout
from hal.template import FOLDER


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The driver's part of a configuration."""

    bus: str
    message: str
    signal: str
    dbc: str | None = None
    """Path of a DBC; the reference board's if not given."""
    unit: str = ""
    """Such as `Celsius`; empty for a signal that is on or off."""
    id_offset: Annotated[int, msgspec.Meta(ge=0, le=0x1FFFFFFF)] = 0
    crc: str | None = "Crc"
    """The signal that holds the check of docs/board-protocol.md, if the message has it."""
    absent: float | None = -128.0
    """The value by which the sender says that it has none."""
    silence_s: Annotated[float, msgspec.Meta(gt=0.0, le=3600.0)] = 35.0
    """Older than this, a value is no value any more."""


class CanSensor:
    """Sensor and SensorWatch. Raises BadOptions when built: unknown bus, DBC, message or signal."""

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        owner = f"sensor {name!r}"
        given = parse_options(owner, options, Options)
        self.name = name
        self._options = given
        self._clock = context.clock
        self._bus = context.resource(owner, ".bus", given.bus, CanBus)
        path = Path(given.dbc) if given.dbc else FOLDER / "board" / "reference-board.dbc"
        message = load(owner, path).messages.get(given.message)
        if message is None:
            raise BadOptions(owner, ".message", f"{path.name} has no message {given.message}")
        if given.signal not in {signal.name for signal in message.signals}:
            raise BadOptions(owner, ".signal", f"{given.message} has no signal {given.signal}")
        self._message = message
        self._last: SensorReading | None = None
        self._lost: DeviceError | None = NotFound(name, "is not open")
        self._news = asyncio.Event()

    @property
    def info(self) -> SensorInfo:
        """As configured."""
        return SensorInfo(self._options.unit)

    async def open(self) -> None:
        """Listens until the first value has come, which may take a period. Raises NotFound: no bus, or no value."""
        self._last, self._lost, self._news = None, None, asyncio.Event()
        await self._bus.attach(self, {self._message.id + self._options.id_offset})
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), self._options.silence_s)
        if self._last is None:
            error = self._lost or NotFound(self.name, f"{self._message.name} does not come")
            await self.close()
            raise error

    async def close(self) -> None:
        """Leaves the bus; harmless twice."""
        await self._bus.detach(self)
        self.lost(NotFound(self.name, "was closed"))

    async def read(self) -> SensorReading:
        """The last value. Raises NotFound, or Timeout when there is none, or only an old one."""
        self._check()
        if self._last is None or self._clock() - self._last.sampled_at > self._options.silence_s:
            raise Timeout(self.name, f"{self._message.name} does not come")
        return self._last

    async def changes(self) -> AsyncIterator[SensorReading]:
        """The present value, then each change. Raises NotFound (bus lost) or Timeout (silent)."""
        told: SensorReading | None = None
        while True:
            self._check()
            if self._last is not None and (told is None or told.value != self._last.value):
                told = self._last
                yield told
                continue
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), self._options.silence_s)
            await self.read()

    def heard(self, frame: Frame) -> None:
        """A frame of the message."""
        if frame.extended is not self._message.extended:  # the same number, and another identifier
            return
        try:
            values = self._message.decode(frame.data)
        except ValueError:
            return
        if not crc8_holds(self._message, self._options.crc, frame, values):
            return
        value = values[self._options.signal]
        if value == self._options.absent:
            return
        changed = self._last is None or self._last.value != value
        self._last = SensorReading(self._clock(), value if self._options.unit else bool(value))
        if changed:
            self._news.set()

    def lost(self, error: DeviceError) -> None:
        """The interface is gone."""
        if self._lost is None:
            self._lost = NotFound(self.name, error.reason)
        self._news.set()

    def _check(self) -> None:
        if self._lost is not None:
            raise self._lost.with_traceback(None)  # kept and raised often: its traceback must not grow
