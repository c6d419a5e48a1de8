"""A day on a bad line for boards: frames that are damaged, late or lost, and no session lost, no state made up.

In virtual time, with the station's own hardware loop: its leases, its patience, its retries. Lines and networks are in
memory; what is at their other end are the emulators. The core is played: it permits whoever is plugged in.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any, NamedTuple

import pytest

from station.effects import Want
from station.facts import Fact, PlugInserted, PlugRemoved
from station.now import BootId
from station.shell.hub import Hub, Setting
from station.shell.reconcile import Batch
from station.shell.wiring import BusEntry, DeviceEntry, EvseEntry, Wiring
from tests import virtualloop
from tests.drivers.noisy import (
    BenderCar,
    CharxCar,
    EvCcCar,
    Noise,
    NoisyNetwork,
    NoisyPort,
    OpenEvseCar,
    WbCar,
)

CARS = 8
CYCLE_S, PLUGGED_S, CHARGES_S = 3 * 3600.0, 600.0, 900.0
"""Every three hours, after ten minutes, a car comes, and stays for a quarter of an hour: a day."""
CAR_ANSWERS_S = 3.0


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
        self.noise = Noise(chance, share, 0.5, Counter())
        self.wire = self._wire(loop, self.hub.drivers.resources["wire"])

    def _wire(self, loop: Any, bus: Any) -> Any:
        """What is between: for a serial line its port, for a network its connections."""
        if bus.__class__.__name__ == "ModbusTcp":
            network = NoisyNetwork(self.noise)
            loop.create_connection = network.create_connection
            return network
        bus.port = bus._port = NoisyPort(self.noise)
        return bus.port

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
        return Came(self.facts, self.switched, self.noise.faults)


RS485, UART, NETWORK = "modbus-rtu", "rapi", "modbus-tcp"
KINDS: dict[str, tuple[str, Any]] = {
    "evse-wb": (RS485, WbCar),
    "ev-cc": (RS485, EvCcCar),
    "charx": (NETWORK, CharxCar),
    "bender-cc": (NETWORK, BenderCar),
    "openevse": (UART, OpenEvseCar),
}


@pytest.mark.parametrize("driver", KINDS)
def test_a_day_of_damaged_and_late_frames_ends_no_session_and_makes_none_up(driver: str) -> None:
    """24 hours, eight cars, 1 % of all frames damaged, 1 % of the answers late: each car charges without a break."""
    kind, make = KINDS[driver]
    where = {"host": "memory"} if kind == NETWORK else {"port": "memory"}
    bus = BusEntry(name="wire", kind=kind, options=where)
    board = DeviceEntry(name="left", kind="board", driver=driver, options={"bus": "wire", "poll_s": 10.0})

    async def scenario() -> Came:
        day = Day(bus, board, share=0.01)
        return await day.run(make(day.wire, day.note))

    came = virtualloop.run(scenario())

    kinds = Counter(type(fact).__name__ for fact in came.facts)
    assert (kinds["PlugInserted"], kinds["PlugRemoved"]) == (CARS, CARS + 1)  # nobody was there at the start
    assert not {"DeviceLost", "FaultChanged", "WantFailed"} & set(kinds)
    assert [closed for _, closed in came.switched] == [True, False] * CARS
    for (on, _), (off, _) in zip(came.switched[::2], came.switched[1::2], strict=True):
        assert off - on > CHARGES_S - 40
    assert min(came.faults[kind] for kind in ("damaged question", "damaged answer", "late")) > 60
