"""The pause between two frames of a line, which costs no wake-up of its own when many are asked one after the other.

In virtual time, on a line of bytes in memory whose far end knows when each reply ended.
"""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Callable

import pytest

from hal.buses.modbus import ModbusDevice, Table, Timing
from hal.buses.modbus_rtu import ModbusRtu
from hal.errors import DeviceError
from tests import virtualloop
from tests.drivers.emulators.modbus_slave import crc16
from tests.drivers.noisy import MemoryPort

CHARACTER_S = 10 / 9600
PAUSE_S = 3.5 * CHARACTER_S
UNITS = (1, 2, 3, 4)
LEARNING = 30


class Line(MemoryPort):
    """Devices that take `turnaround_s(unit)` to answer. `strict`: a question after a short pause is not heard."""

    def __init__(self, turnaround_s: Callable[[int], float], *, strict: bool = False) -> None:
        super().__init__()
        self.instants: set[float] = set()
        self.pauses: list[float] = []
        self._turnaround_s = turnaround_s
        self._strict = strict
        self._ended = -1.0

    def read(self) -> bytes:
        """As SerialPort; it takes a wake-up."""
        self.instants.add(asyncio.get_running_loop().time())
        return super().read()

    def write(self, data: bytes) -> None:
        """As SerialPort: a question for two registers of a device, which holds its unit and 0."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self.instants.add(now)
        pause = now - self._ended
        self.pauses.append(pause)
        if self._strict and pause < PAUSE_S:
            return
        answer = struct.pack(">BBBHH", data[0], data[1], 4, data[0], 0)
        answer += crc16(answer)
        self._ended = now + (len(data) + len(answer)) * CHARACTER_S + self._turnaround_s(data[0])
        loop.call_at(self._ended, self.arrive, answer)


class Bursts:
    """Every unit of a line is asked once a second, all of them at the same instant."""

    def __init__(self, line: Line) -> None:
        loop = asyncio.get_running_loop()
        self.line = line
        self.bus = ModbusRtu("bus", {"port": "a line in memory", "baud": 9600}, loop.time)
        self.bus.port = line  # type: ignore[assignment] # what is used of a port, and no more
        self.devices = [self.bus.device(f"device {unit}", unit, Timing(retries=0)) for unit in UNITS]
        self.failed = 0

    async def run(self, count: int) -> None:
        """So many seconds; forgets what the line saw before."""
        self.line.instants.clear()
        self.line.pauses.clear()
        self.failed = 0
        for _ in range(count):
            await asyncio.gather(*(self._ask(device) for device in self.devices))
            await asyncio.sleep(1.0)

    async def _ask(self, device: ModbusDevice) -> None:
        try:
            got = await device.read(Table.INPUT, 0, 2)
        except DeviceError:
            self.failed += 1
        else:
            assert got.values == (device.unit, 0)


@pytest.mark.parametrize("turnaround_s", [0.0, 0.005, 0.02, 0.06])
def test_a_burst_wakes_once_for_each_reply_and_keeps_the_pause(turnaround_s: float) -> None:
    """A question goes out with the look at the reply before it, which is too soon for none."""

    async def scenario() -> None:
        bursts = Bursts(Line(lambda unit: turnaround_s + unit / 1000))
        await bursts.run(2 * LEARNING)

        await bursts.run(160)
        assert bursts.failed == 0
        assert min(bursts.line.pauses) >= PAUSE_S - 1e-4
        assert len(bursts.line.instants) < 160 * 5.75

    virtualloop.run(scenario())


def test_a_device_that_answers_when_it_likes_is_given_the_pause_after_its_reply() -> None:
    """Between 5 and 40 ms: when its reply ended is known only from a look for it; so it is looked for."""
    chance = random.Random(4711)  # noqa: S311 - the same each time

    async def scenario() -> None:
        bursts = Bursts(Line(lambda _: chance.uniform(0.005, 0.04)))
        await bursts.run(LEARNING)

        await bursts.run(4000)
        assert bursts.failed == 0
        short = sum(pause < PAUSE_S - 1e-4 for pause in bursts.line.pauses)
        assert short < len(bursts.line.pauses) / 100

    virtualloop.run(scenario())


def test_a_question_that_came_too_soon_is_the_last_one() -> None:
    """A device becomes slower, and its neighbour does not hear what follows too closely: that happens once."""
    turnaround_s = dict.fromkeys(UNITS, 0.06)

    async def scenario() -> None:
        bursts = Bursts(Line(turnaround_s.__getitem__, strict=True))
        await bursts.run(LEARNING)
        assert bursts.failed == 0

        turnaround_s.update((unit, bursts.bus.paces[unit].surely_s + 0.75 * PAUSE_S) for unit in UNITS)
        await bursts.run(200)
        assert 0 < bursts.failed <= len(UNITS)

    virtualloop.run(scenario())


def test_what_came_unasked_since_the_last_look_is_no_answer_to_a_later_question() -> None:
    """Who was to be asked next has given up, and time has passed: the line is looked at before it is used again."""

    async def scenario() -> None:
        bursts = Bursts(Line(lambda _: 0.02))
        await bursts.run(LEARNING)
        first, second = bursts.devices[:2]
        asked, given_up = (asyncio.ensure_future(each.read(Table.INPUT, 0, 2)) for each in (first, second))
        await asyncio.sleep(0.01)
        given_up.cancel()
        await asked
        await asyncio.sleep(0.5)
        again = struct.pack(">BBBHH", first.unit, 4, 4, 99, 0)
        bursts.line.arrive(again + crc16(again))

        got = await first.read(Table.INPUT, 0, 2)
        assert got.values == (first.unit, 0)

    virtualloop.run(scenario())
