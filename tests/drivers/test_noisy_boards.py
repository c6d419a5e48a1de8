"""A day on a bad line for boards: frames that are damaged, late or lost, and no session lost, no state made up.

In virtual time, with the station's own hardware loop: its leases, its patience, its retries. The line is one of bytes
in memory; what is at its other end are the emulators. The core is played: it permits whoever is plugged in.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from hal.errors import DeviceError
from station.effects import Want
from station.facts import Fact, PlugInserted, PlugRemoved
from station.now import BootId
from station.shell.hub import Hub, Setting
from station.shell.reconcile import Batch
from station.shell.wiring import BusEntry, DeviceEntry, EvseEntry, Wiring
from tests import virtualloop
from tests.drivers.emulators import evse_wb_board
from tests.drivers.emulators.modbus_slave import Units, crc16
from tests.drivers.emulators.openevse_board import OpenEvseBoard

CARS = 8
CYCLE_S, PLUGGED_S, CHARGES_S = 3 * 3600.0, 600.0, 900.0
"""Every three hours, after ten minutes, a car comes, and stays for a quarter of an hour: a day."""
CAR_ANSWERS_S = 3.0


class NoisyPort:
    """What is used of a SerialPort; `device` hears, and answers by `deliver`."""

    def __init__(self, chance: Callable[[], float], share: float, late_s: float) -> None:
        self.is_open = False
        self.faults: Counter[str] = Counter()
        self.device: Callable[[bytes], None] = lambda data: None
        self._chance, self._share, self._late_s = chance, share, late_s
        self._arrived = bytearray()
        self._news = asyncio.Event()
        self._watching: Callable[[bytes], None] | None = None

    async def open_aside(self) -> None:
        """As SerialPort."""
        self.is_open = True

    def close(self) -> None:
        """As SerialPort."""
        self.is_open, self._watching = False, None

    def watch(self, on_data: Callable[[bytes], None], on_lost: Callable[[DeviceError], None]) -> None:
        """As SerialPort; this one is not lost."""
        del on_lost
        self._watching = on_data

    def read(self) -> bytes:
        """As SerialPort."""
        data = bytes(self._arrived)
        self._arrived.clear()
        self._news.clear()
        return data

    async def readable(self, seconds: float) -> bool:
        """As SerialPort."""
        if not self._arrived:
            try:
                async with asyncio.timeout(seconds):
                    await self._news.wait()
            except TimeoutError:
                return bool(self._arrived)
        return True

    def write(self, data: bytes) -> None:
        """As SerialPort: the question is on its way, and may be damaged there."""
        asyncio.get_running_loop().call_later(len(data) * 10 / 9600, self.device, self._noisy(data, "question"))

    def deliver(self, data: bytes) -> None:
        """An answer is on its way: damaged or late at times."""
        after_s = 0.01 + len(data) * 10 / 9600
        if self._chance() < self._share:
            self.faults["late"] += 1
            after_s += self._late_s * (1 + 2 * self._chance())
        asyncio.get_running_loop().call_later(after_s, self._hear, self._noisy(data, "answer"))

    def _noisy(self, data: bytes, what: str) -> bytes:
        self.faults["all"] += 1
        if self._chance() >= self._share:
            return data
        self.faults[f"damaged {what}"] += 1
        kind, at = int(self._chance() * 4), int(self._chance() * len(data))
        flipped = bytes((data[at] ^ (1 << int(self._chance() * 8)),))
        return (data[:at] + flipped + data[at + 1 :], data[:at] + data[at + 1 :], data[:at], b"\x00\xff" + data)[kind]

    def _hear(self, data: bytes) -> None:
        if self._watching is not None:
            self._watching(data)
            return
        self._arrived += data
        self._news.set()


class WbCar(Units):
    """An EVSE-WB at address 1, and its car. `note` is told whether the relay is closed, when that may have changed."""

    def __init__(self, port: NoisyPort, note: Callable[[bool], None]) -> None:
        super().__init__()
        self.do_words(1, "holding", 2000, [0])
        self._board = evse_wb_board.Outlet(self.registers[1]["holding"])
        self._port, self._note = port, note
        port.device = self.asked

    def asked(self, frame: bytes) -> None:
        """A request, if it is sound."""
        if len(frame) > 4 and crc16(frame[:-2]) == frame[-2:] and (pdu := self.answer(frame[0], frame[1:-2])):
            reply = frame[:1] + pdu
            self._port.deliver(reply + crc16(reply))

    def written(self, unit: int, address: int, values: tuple[int, ...]) -> None:
        """A new current."""
        del unit, address, values
        self._settle()

    def comes(self) -> None:
        """The car is plugged in."""
        self._board.vehicle, self._board.cable_a = "B", 32
        self._settle()

    def goes(self) -> None:
        """It is gone."""
        self._board.vehicle, self._board.cable_a = "A", 0
        self._settle()

    def looks(self) -> None:
        """It takes what is offered."""
        self._board.vehicle = "C" if self._board.held[1006] == 2 else "B"
        self._settle()

    def _settle(self) -> None:
        self._board.settle()
        self._note(self._board.relay)


class OpenEvseCar(OpenEvseBoard):
    """An OpenEVSE, and its car."""

    def __init__(self, port: NoisyPort, note: Callable[[bool], None]) -> None:
        super().__init__(Path("nowhere"))
        self.line = SimpleNamespace(plugged=True, send=lambda data, after_s=0.0: port.deliver(data))  # type: ignore[assignment] # the wire is another
        self._note = note
        port.device = self.received

    def settle(self) -> None:
        """As the board, noted."""
        super().settle()
        self._note(self.relay)

    def comes(self) -> None:
        """The car is plugged in."""
        self.do_vehicle("B")

    def goes(self) -> None:
        """It is gone."""
        self.do_vehicle("A")

    def looks(self) -> None:
        """It takes what is offered."""
        self.do_vehicle("B" if self.asleep else "C")


class Came(NamedTuple):
    """What came of a day."""

    facts: list[Fact]
    switched: list[tuple[float, bool]]
    faults: Counter[str]


class Day:
    """One EVSE on a line of which `share` of the frames are damaged and as many answers late."""

    def __init__(self, bus: BusEntry, board: DeviceEntry, share: float) -> None:
        loop = asyncio.get_running_loop()
        wiring = Wiring(devices=(board,), evses=(EvseEntry(evse_id=1, board="left"),), buses=(bus,))
        self.hub = Hub(wiring, self._commit, Setting(BootId(1), loop.time))
        self.facts: list[Fact] = []
        self.switched: list[tuple[float, bool]] = []
        chance = random.Random(4711).random  # noqa: S311 - the same day again from the same seed
        self.port = NoisyPort(chance, share, late_s=0.5)
        wire: Any = self.hub.drivers.resources["wire"]
        wire.port = wire._port = self.port

    def note(self, closed: bool) -> None:  # noqa: FBT001 - the state of a relay
        """The relay is so."""
        if closed is not (self.switched[-1][1] if self.switched else False):
            self.switched.append((asyncio.get_running_loop().time(), closed))

    def _commit(self, batch: Batch) -> None:
        """The core: whoever is plugged in may charge."""
        self.facts.extend(batch.facts)
        for fact in batch.facts:
            if isinstance(fact, PlugInserted | PlugRemoved):
                there = isinstance(fact, PlugInserted)
                self.hub.want(1, Want(energise=there, limit_a=16.0 if there else 0.0))
        asyncio.get_running_loop().call_soon(self.hub.committed, batch.number)

    async def run(self, car: Any) -> Came:
        """Cars come and go."""
        running = asyncio.ensure_future(self.hub.run())
        for _ in range(CARS):
            await asyncio.sleep(PLUGGED_S)
            car.comes()
            for _ in range(int(CHARGES_S / CAR_ANSWERS_S)):
                await asyncio.sleep(CAR_ANSWERS_S)
                car.looks()
            car.goes()
            await asyncio.sleep(CYCLE_S - PLUGGED_S - CHARGES_S)
        self.hub.stop()
        await running
        return Came(self.facts, self.switched, self.port.faults)


KINDS = {
    "evse-wb": (BusEntry(name="wire", kind="modbus-rtu", options={"port": "memory"}), WbCar),
    "openevse": (BusEntry(name="wire", kind="rapi", options={"port": "memory"}), OpenEvseCar),
}


@pytest.mark.parametrize("driver", KINDS)
def test_a_day_of_damaged_and_late_frames_ends_no_session_and_makes_none_up(driver: str) -> None:
    """24 hours, eight cars, 1 % of all frames damaged, 1 % of the answers late: each car charges without a break."""
    bus, make = KINDS[driver]
    board = DeviceEntry(name="left", kind="board", driver=driver, options={"bus": "wire", "poll_s": 10.0})

    async def scenario() -> Came:
        day = Day(bus, board, share=0.01)
        return await day.run(make(day.port, day.note))

    came = virtualloop.run(scenario())

    kinds = Counter(type(fact).__name__ for fact in came.facts)
    assert (kinds["PlugInserted"], kinds["PlugRemoved"]) == (CARS, CARS + 1)  # nobody was there at the start
    assert not {"DeviceLost", "FaultChanged", "WantFailed"} & set(kinds)
    assert [closed for _, closed in came.switched] == [True, False] * CARS
    for (on, _), (off, _) in zip(came.switched[::2], came.switched[1::2], strict=True):
        assert off - on > CHARGES_S - 40
    assert min(came.faults[kind] for kind in ("damaged question", "damaged answer", "late")) > 60
