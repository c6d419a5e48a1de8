"""A CAN interface that goes down and comes up again under two charging cars: one on it, one on another wire.

python-can's `Bus` is played over a pair of sockets, because no kernel with CAN is at hand; what drains it, the driver,
leases and supervision are the station's. The core is played: it permits whoever is plugged in.
"""

from __future__ import annotations

import asyncio
import errno
import random
import socket
from collections import Counter
from typing import Any

import can
import pytest

from station.effects import Want
from station.facts import DeviceLost, DeviceReturned, Fact, PlugInserted, PlugRemoved
from station.now import BootId
from station.shell.hub import Hub, Setting
from station.shell.reconcile import Batch
from station.shell.wiring import BusEntry, DeviceEntry, EvseEntry, Wiring
from tests import virtualloop
from tests.drivers.emulators.slcan_board import Channel
from tests.drivers.noisy import Noise, NoisyPort, WbCar
from tests.drivers.test_can_bus import KernelBus

DOWN_AT_S, UP_AT_S, END_S = 60.0, 95.0, 150.0
WIRING = Wiring(
    buses=(
        BusEntry(name="can0", kind="can", options={"interface": "socketcan", "channel": "can0"}),
        BusEntry(name="rs485", kind="modbus-rtu", options={"port": "memory"}),
    ),
    devices=(
        DeviceEntry(name="left", kind="board", driver="can", options={"bus": "can0"}),
        DeviceEntry(name="right", kind="board", driver="evse-wb", options={"bus": "rs485"}),
    ),
    evses=(EvseEntry(evse_id=1, board="left"), EvseEntry(evse_id=2, board="right")),
)


class Kernel:
    """`can0` with the board behind it."""

    def __init__(self) -> None:
        self.channel = Channel(1, self._told)
        self.tries = 0
        self.switched: list[tuple[float, bool]] = [(0.0, False)]
        self._up = True
        self._wire: socket.socket | None = None

    def bus(self, **options: object) -> KernelBus:
        """What `can.Bus` is. Raises when the interface is down."""
        assert options == {"interface": "socketcan", "channel": "can0"}
        self.tries += 1
        if not self._up:
            raise OSError(errno.ENETDOWN, "Network is down")
        ours, self._wire = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return KernelBus(ours)

    def down(self) -> None:
        """`ip link set can0 down`."""
        self._up = False
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def up(self) -> None:
        """`ip link set can0 up`."""
        self._up = True

    def look(self) -> None:
        """Hands what was sent to the board, and notes its contactor."""
        while self._wire is not None:
            try:
                data = self._wire.recv(64, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            if not data:
                self._wire.close()
                self._wire = None
            elif int.from_bytes(data[:2], "big") == self.channel.base + 8:
                self.channel.command(data[2:])
        if self.channel.closed is not self.switched[-1][1]:
            self.switched.append((asyncio.get_running_loop().time(), self.channel.closed))

    def _told(self, identifier: int, data: bytes) -> None:
        if self._wire is not None:
            self._wire.send(identifier.to_bytes(2, "big") + data)


class Station:
    """The hardware's loop, and a core that permits whoever is plugged in."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.hub = Hub(WIRING, self._commit, Setting(BootId(1), loop.time))
        self.facts: list[Fact] = []

    def _commit(self, batch: Batch) -> None:
        self.facts.extend(batch.facts)
        for fact in batch.facts:
            if isinstance(fact, PlugInserted | PlugRemoved):
                there = isinstance(fact, PlugInserted)
                self.hub.want(fact.evse_id, Want(energise=there, limit_a=16.0 if there else 0.0))
        asyncio.get_running_loop().call_soon(self.hub.committed, batch.number)


def test_an_interface_that_is_down_for_half_a_minute_costs_no_session_and_no_other_car_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its board opens by itself when the lease ends, and closes again when the interface is up; the other goes on."""
    relay: list[bool] = [False]

    def note(closed: bool) -> None:  # noqa: FBT001 - the state of a relay
        if closed is not relay[-1]:
            relay.append(closed)

    async def scenario() -> tuple[Kernel, list[Fact]]:
        kernel = Kernel()
        monkeypatch.setattr(can, "Bus", kernel.bus)
        station = Station()
        wire: Any = station.hub.drivers.resources["rs485"]
        quiet = Noise(random.Random(1).random, 0.0, 0.0, Counter())  # noqa: S311 - no noise
        wire.port = NoisyPort(quiet)
        other = WbCar(wire.port, note)
        kernel.channel.start()
        running = asyncio.ensure_future(station.hub.run())
        loop = asyncio.get_running_loop()
        loop.call_at(DOWN_AT_S, kernel.down)
        loop.call_at(UP_AT_S, kernel.up)
        kernel.channel.pilot, kernel.channel.cable_a = "C", 32
        loop.call_at(2.0, other.comes)  # it was found, and told not to offer what it offers after power-up
        while loop.time() < END_S:
            await asyncio.sleep(0.05)
            kernel.look()
            if other.there:
                other.looks()
        station.hub.stop()
        while not running.done():
            await asyncio.sleep(0.05)
            kernel.look()
        kernel.channel.stop()
        kernel.down()
        return kernel, station.facts

    kernel, facts = virtualloop.run(scenario())

    closed = [state for _, state in kernel.switched]
    assert closed == [False, True, False, True, False]
    opened_at, closed_at = kernel.switched[2][0], kernel.switched[3][0]
    assert DOWN_AT_S + 5 < opened_at < DOWN_AT_S + 10.2  # its lease was renewed 4 s before at the most
    assert UP_AT_S < closed_at < END_S
    assert kernel.tries > 3
    lost = [fact for fact in facts if isinstance(fact, DeviceLost)]
    assert [(fact.device, fact.evse_ids) for fact in lost] == [("left", (1,))]
    assert [fact.device for fact in facts if isinstance(fact, DeviceReturned)] == ["left"]
    assert relay == [False, True, False]  # all the time until the end
