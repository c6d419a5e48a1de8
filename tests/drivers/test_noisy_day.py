"""A day on a bad line: meters that are asked all the time, frames that are damaged, late or lost, and no wrong reading.

In virtual time, on a line of bytes in memory. The meters are as bad as can be: all questions and all answers have the
same length, and whoever got no answer asks at once again, so that what comes late meets the next question. But they
answer in order, as whoever has one UART does. Every register tells in its own way of which meter it is and when it was
sampled: a reading that mixes two meters, two registers or two moments, or that is older than its question, is found.
"""

from __future__ import annotations

import asyncio
import random
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from hal.api import MeterReading
from hal.buses.modbus import ModbusDevice
from hal.buses.modbus_rtu import ModbusRtu
from hal.context import DriverContext
from hal.drivers.modbus_meter import ModbusMeter
from hal.errors import DeviceError
from tests import virtualloop
from tests.drivers.emulators.modbus_slave import crc16
from tests.drivers.noisy import MemoryPort

DAY_S = 24 * 3600
TIMEOUT_S = 0.3
WATTS = 11_000.0
ENERGY_AT = 0x0100
FLOATS = {"voltage_v": (0x0200, 230.0), "current_a": (0x0300, 16.0), "power_import_w": (0x0400, WATTS)}
"""Where a quantity stands, and what it begins with in the morning; each meter adds its own to that."""
MAP = """
name: look-alike
vendor: Nobody
model: 4 x 4
source: this file
bus: {baud: 19200, timeout_s: 0.3}
registers:
  energy_import_wh: {address: 0x0100, type: uint64, scale: 0.1}
  voltage_l1_v: {address: 0x0200, type: float64}
  current_l1_a: {address: 0x0300, type: float64}
  power_w: {address: 0x0400, type: float64}
"""


def shown(unit: int, first: float, now: float) -> float:
    """What a register that begins with `first` holds at an instant: it creeps, so that its value tells the time."""
    return first * (1 + unit / 10 + now / DAY_S / 100)


def instant(unit: int, first: float, value: float) -> float:
    """The other way round."""
    return (value / first - 1 - unit / 10) * DAY_S * 100


def energy(unit: int, now: float) -> int:
    """In 0.1 Wh: a meter that has run for some time."""
    return unit * 82_111_126 + int(WATTS * now / 360)


class NoisyLine(MemoryPort):
    """Two meters, 1 and 2, at the other end of a port. What they answer is sampled when the question arrives."""

    def __init__(self, chance: Callable[[], float], share: float) -> None:
        super().__init__()
        self.faults: Counter[str] = Counter()
        self._chance = chance
        self._share = share
        self._last = {1: 0.0, 2: 0.0}

    def write(self, data: bytes) -> None:
        """As SerialPort: the question is on its way, and may be damaged there."""
        self.faults["frames"] += 2
        if self._chance() < self._share:
            self.faults["damaged question"] += 1
            data = self._damaged(data)
        if len(data) != 8 or crc16(data[:-2]) != data[-2:]:
            return  # a meter that hears a wrong checksum is silent
        loop = asyncio.get_running_loop()
        loop.call_later(len(data) * 10 / 19200, self._asked, data)

    def _asked(self, frame: bytes) -> None:
        unit = frame[0]
        address, count = struct.unpack(">HH", frame[2:6])
        now = asyncio.get_running_loop().time()
        words = self._registers(unit, now)
        body = bytes((unit, frame[1], 2 * count))
        body += struct.pack(f">{count}H", *(words.get(at, 0) for at in range(address, address + count)))
        reply = body + crc16(body)
        after_s = 0.015 + len(reply) * 10 / 19200
        if self._chance() < self._share:
            self.faults["damaged reply"] += 1
            reply = self._damaged(reply)
        if self._chance() < self._share:
            self.faults["late reply"] += 1
            after_s += TIMEOUT_S * (1 + 3 * self._chance())
        self._last[unit] = max(now + after_s, self._last[unit] + len(reply) * 10 / 19200)
        asyncio.get_running_loop().call_at(self._last[unit], self.arrive, reply)

    def _registers(self, unit: int, now: float) -> dict[int, int]:
        held = {ENERGY_AT: struct.pack(">Q", energy(unit, now))}
        held |= {address: struct.pack(">d", shown(unit, first, now)) for address, first in FLOATS.values()}
        return {address + n: word for address, of in held.items() for n, word in enumerate(struct.unpack(">4H", of))}

    def _damaged(self, frame: bytes) -> bytes:
        """Flipped bits, a byte that is missing, noise before it, an end that does not come, two frames at once."""
        kind, at = int(self._chance() * 5), int(self._chance() * len(frame))
        noise = bytes(int(self._chance() * 256) for _ in range(1 + int(self._chance() * 6)))
        flipped = bytes((frame[at] ^ (1 << int(self._chance() * 8)),))
        return (
            frame[:at] + flipped + frame[at + 1 :],
            frame[:at] + frame[at + 1 :],
            noise + frame[:at] + flipped + frame[at + 1 :],
            frame[:at],
            frame[:at] + noise + frame[at + len(noise) :],
        )[kind]


class Day(NamedTuple):
    """What came of it."""

    line: NoisyLine
    good: int
    failed: Counter[str]
    wrong: list[str]
    longest_gap_s: float


def wrongs(unit: int, reading: MeterReading, asked: float, answered: float) -> list[str]:
    """What in a reading is of another meter, register or moment."""
    least, most = energy(unit, asked) * 100, energy(unit, answered) * 100
    found = []
    if not least <= reading.energy_import_mwh <= most:
        found.append(f"energy {reading.energy_import_mwh} is not in [{least}, {most}]")
    if not asked <= reading.sampled_at <= answered:
        found.append(f"sampled at {reading.sampled_at}, asked from {asked} to {answered}")
    for name, (_, first) in FLOATS.items():
        value = getattr(reading, name)
        at = instant(unit, first, value[0] if isinstance(value, tuple) else value)
        if not asked - 0.001 <= at <= answered + 0.001:
            found.append(f"{name} {value} is of {at:.3f} s, asked from {asked:.3f} to {answered:.3f}")
    return found


def day(path: Path, *, share: float, retries: int, period_s: float, length_s: float = DAY_S) -> Day:
    """Two meters on one line, each read every `period_s`; `share` of the frames damaged, and of the replies late."""
    path.write_text(MAP)
    chance = random.Random(4711).random  # noqa: S311 - the same day again from the same seed
    good, failed, wrong, gap = 0, Counter[str](), list[str](), 0.0

    async def watch(unit: int, meter: ModbusMeter, until: float) -> None:
        nonlocal good, gap
        loop = asyncio.get_running_loop()
        last = loop.time()
        while loop.time() < until:
            asked = loop.time()
            try:
                reading = await meter.read()
            except DeviceError as error:
                failed[type(error).__name__] += 1
                continue
            else:
                good += 1
                wrong.extend(wrongs(unit, reading, asked, loop.time()))
                gap, last = max(gap, loop.time() - last), loop.time()
            await asyncio.sleep(max(0.0, asked + period_s - loop.time()))

    async def scenario() -> NoisyLine:
        loop = asyncio.get_running_loop()
        bus = ModbusRtu("bus", {"port": "a line in memory", "baud": 19200}, loop.time)
        line = NoisyLine(chance, share)
        bus.port = line  # type: ignore[assignment] # what is used of a port, and no more
        options = {"bus": "bus", "template": str(path), "retries": retries}
        context = DriverContext(loop.time, {"bus": bus})
        meters = [ModbusMeter(f"meter-{unit}", {**options, "address": unit}, context) for unit in (1, 2)]
        await asyncio.gather(*(watch(unit, meter, length_s) for unit, meter in enumerate(meters, 1)))
        await bus.close()
        return line

    line = virtualloop.run(scenario())
    return Day(line, good, failed, wrong, gap)


def test_a_day_of_damaged_and_late_frames_gives_no_wrong_reading(tmp_path: Path) -> None:
    """24 hours, 1 % of all frames damaged, 1 % of the replies late: none is believed, and a minute has one."""
    came = day(tmp_path / "map.yaml", share=0.01, retries=1, period_s=45.0)

    assert came.wrong == []
    assert came.good == pytest.approx(2 * DAY_S / 45, rel=0.01)
    assert came.failed.total() < came.good / 30
    assert came.longest_gap_s < 60 + 45
    assert min(came.line.faults[kind] for kind in ("damaged question", "damaged reply", "late reply")) > 120


def test_a_line_that_is_hardly_one_any_more_gives_no_wrong_reading(tmp_path: Path) -> None:
    """A tenth of everything damaged and late, and no second try: most readings fail, and none is wrong."""
    came = day(tmp_path / "map.yaml", share=0.1, retries=0, period_s=5.0, length_s=3600)

    assert came.wrong == []
    assert came.failed.total() > came.good > 500


def test_the_day_finds_a_line_that_takes_late_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the probe a late answer is the answer to the next question, as it is for other clients."""

    async def careless(self: ModbusRtu, device: ModbusDevice, *_: object) -> None:
        self.debts[device.unit].shapes.clear()

    monkeypatch.setattr(ModbusRtu, "_probe", careless)

    assert day(tmp_path / "map.yaml", share=0.1, retries=0, period_s=5.0, length_s=1800).wrong
