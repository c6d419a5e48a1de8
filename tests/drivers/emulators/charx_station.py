"""A CHARX SEC with several charging points on Modbus TCP, by the register table of its manual (appendix B3).

The watchdog of each point (x306, x307) is restarted by every write to its control registers; when it ends, the most
current becomes the one of x306, and one below 6 A withdraws the release.
"""

from __future__ import annotations

import asyncio
from typing import Any

from tests.drivers.emulators.modbus_gateway import ModbusGateway

SECOND_S = 1.0
"""A second of the watchdogs; less, for a test in a hurry."""

_MODBUS, _EXTERNAL_LOCK = 5, 1
_BITS = {
    "temperature": 1, "derating": 2, "configuration": 4, "paused": 5, "cable_13_20": 17, "cable_13": 18, "pp": 19,
    "cp": 20, "locking": 22, "unlocking": 23, "lock_unknown": 24, "current": 25, "meter": 26, "state_d": 27,
    "contactor": 28, "diode": 29, "supply": 30, "residual_current": 31, "rcm": 32,
}  # fmt: skip
"""As the manual counts: from 1."""


def letters(text: str, registers: int) -> list[int]:
    """Two letters in a register, filled up with zeros."""
    raw = text.encode().ljust(2 * registers, b"\0")
    return [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]


class Point:
    """One charging point: its vehicle, contactor and watchdog."""

    def __init__(self, held: dict[int, int], number: int) -> None:
        self.held = held
        self.base = 1000 * number
        self.vehicle = "A"
        self.cable_a = 0
        self.milliamps = 16_000
        self.errors: set[str] = set()
        self.relay = False
        self._watchdog: asyncio.TimerHandle | None = None
        for offset in (*range(100, 124), *range(232, 309)):
            held[self.base + offset] = 0
        self.set(101, 32)
        self.set(102, 6)
        self.set(112, 6)  # a Carlo Gavazzi EM340
        self.set(120, _MODBUS)
        self.set(301, 16)
        self.set(306, 16)
        self.set(307, 0xFFFF)
        self.settle()

    def get(self, offset: int) -> int:
        """A register."""
        return self.held[self.base + offset]

    def set(self, offset: int, value: int) -> None:
        """A register."""
        self.held[self.base + offset] = value

    def written(self) -> None:
        """A control register was written."""
        self.stop()
        if self.get(307) != 0xFFFF:
            loop = asyncio.get_running_loop()
            self._watchdog = loop.call_later(self.get(307) * SECOND_S, self._expired)
        self.settle()

    def stop(self) -> None:
        """No watchdog runs."""
        if self._watchdog is not None:
            self._watchdog.cancel()

    def _expired(self) -> None:
        self.set(301, self.get(306))
        self.settle()

    def settle(self) -> None:
        """What the firmware does in its loop."""
        if not 6 <= self.get(301) <= 80:
            self.set(300, 0)
        dangerous = self.errors - {"derating", "meter", "locking", "unlocking", "lock_unknown"}
        pwm = self.get(300) == 1 and self.get(120) == _MODBUS and self.vehicle != "A" and not dangerous
        ready = self.vehicle == "C" or (self.vehicle == "D" and self.get(109) == 1)
        self.relay = (pwm and ready) or "contactor" in self.errors
        letter = "E" if "cp" in self.errors else "F" if self.get(304) else self.vehicle
        state = letter + ("0" if letter in "EF" else "2" if pwm else "1")
        errors = sum(1 << _BITS[what] - 1 for what in self.errors)
        offered = min(self.get(301), self.cable_a or 80) if pwm else 0
        for at in (238, 240, 242):
            milliamps = self.milliamps & 0xFFFFFFFF if self.relay else 0
            self.set(at, milliamps >> 16)
            self.set(at + 1, milliamps & 0xFFFF)
        self.set(293, errors >> 16)
        self.set(294, errors & 0xFFFF)
        self.set(297, offered)
        self.set(298, self.cable_a)
        self.set(299, int.from_bytes(state.encode(), "big"))


class CharxStation(ModbusGateway):
    """Unit 1 with this many points, numbered from 1."""

    def __init__(self, points: int = 2) -> None:
        super().__init__()
        self.do_words(1, "holding", 100, [*letters("CHARX SEC-3100", 10), *letters("1.7.3", 4), points])
        self.held = self.registers[1]["holding"]
        self.points = {number: Point(self.held, number) for number in range(1, points + 1)}

    async def stop(self) -> None:
        """No power."""
        await super().stop()
        for point in self.points.values():
            point.stop()

    def do_plug_in(self, channel: int = 1, cable_a: int = 32) -> None:
        """A vehicle is connected, by a cable of this rating."""
        self._change(channel, vehicle="B", cable_a=cable_a)

    def do_plug_out(self, channel: int = 1) -> None:
        """The vehicle is gone."""
        self._change(channel, vehicle="A", cable_a=0)

    def do_vehicle(self, state: str, channel: int = 1) -> None:
        """The vehicle shows this pilot state."""
        self._change(channel, vehicle=state)

    def do_error(self, what: str, channel: int = 1, *, on: bool = True) -> None:
        """An error comes or goes."""
        errors = self.points[channel].errors
        self._change(channel, errors=errors | {what} if on else errors - {what})

    def do_state(self, channel: int = 1) -> dict[str, Any]:
        """What the point is really like."""
        point = self.points[channel]
        return {"relay": point.relay, "release": point.get(300), "current_a": point.get(301)}

    def _change(self, channel: int, **what: object) -> None:
        for name, value in what.items():
            setattr(self.points[channel], name, value)
        self.points[channel].settle()

    def written(self, unit: int, address: int, values: tuple[int, ...]) -> None:
        """A register of a point."""
        del unit, values
        self.points[address // 1000].written()
