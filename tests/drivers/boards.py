"""Boards that are polled, each with its driver, its wire and its emulator: what their tests have in common."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from hal.buses.modbus_rtu import ModbusRtu
from hal.buses.modbus_tcp import ModbusTcp
from hal.buses.rapi import RapiBus
from hal.context import DriverContext
from hal.registry import Registry
from tests.drivers.emulators.bender_station import BenderStation
from tests.drivers.emulators.charx_station import CharxStation
from tests.drivers.emulators.ev_cc_board import EvCcBoard
from tests.drivers.emulators.evse_wb_board import EvseWbBoard
from tests.drivers.emulators.openevse_board import OpenEvseBoard

HURRY = 0.06
"""A second of a lease in real seconds."""


def now() -> float:
    """The clock of drivers and buses: that of the loop, as in an agent."""
    return asyncio.get_running_loop().time()


Disturbance = Callable[[Any], None]

ON_A_WIRE: dict[str, Disturbance] = {
    "lost": lambda board: board.do_drop(),
    "damaged": lambda board: board.do_corrupt(),
    "late": lambda board: board.do_delay(0.25),
    "very late": lambda board: board.do_delay(0.45),
    "noise before": lambda board: board.do_garbage(),
    "noise alone": lambda board: board.do_babble("00ff2403"),
}
ON_RS485 = {**ON_A_WIRE, "of another unit": lambda board: board.do_wrong_unit()}
ON_A_NETWORK: dict[str, Disturbance] = {
    "lost": lambda board: board.do_drop(),
    "late": lambda board: board.do_delay(0.25),
    "very late": lambda board: board.do_delay(0.45),
    "of another unit": lambda board: board.do_wrong_unit(),
    "of a web server": lambda board: board.do_garbage(),
    "hung up before": lambda board: board.do_hang_up(),
    "hung up instead": lambda board: board.do_hang_up_instead(),
}


class BoardRig(abc.ABC):
    """A harness of the contract, and the handles of tests. `board`: the emulator."""

    kind = "board"
    driver: str
    options: dict[str, object]
    impatient: dict[str, object]
    """Options for a driver that gives up soon."""
    disturbances = ON_RS485

    def __init__(self, board: Any, bus: Any) -> None:
        self.board = board
        self.bus = bus

    def build(self, **options: object) -> Any:
        """A new driver for the same board."""
        context = DriverContext(self.clock, {"bus": self.bus})
        return Registry().build(self.kind, self.driver, "left", {**self.options, **options}, context)

    def clock(self) -> float:
        """The loop's, hurried."""
        return now()

    async def wait(self, seconds: float) -> None:
        """Let it pass, hurried."""
        await asyncio.sleep(seconds * HURRY)

    async def start(self) -> None:
        """Power."""
        self.board.start()

    async def stop(self) -> None:
        """No power, and the wire let go of."""
        self.board.stop()
        if self.bus is not None:
            await self.bus.close()

    async def unplug_device(self, *, gone: bool) -> None:
        """Take the USB adapter away or give it back."""
        if gone:
            self.board.line.unplug()
        else:
            self.board.line.plug()
            await asyncio.sleep(0.03)

    async def vehicle(self, channel: int, *, connected: bool) -> None:
        """A vehicle that asks for current at once."""
        del channel
        if connected:
            self.board.do_plug_in()
            self.board.do_vehicle("C")
        else:
            self.board.do_plug_out()

    @abc.abstractmethod
    async def fault(self, channel: int, *, present: bool) -> None:
        """The fault that every board knows in its own words."""

    @abc.abstractmethod
    def closed(self) -> bool:
        """Whether the contactor is really closed."""


class EvseWbRig(BoardRig):
    """An EVSE-WB."""

    driver = "evse-wb"
    options = {"bus": "bus", "poll_s": 0.05, "gap_s": 0.0, "timeout_s": 0.2}  # noqa: RUF012 - never changed
    impatient = {"timeout_s": 0.05}  # noqa: RUF012 - the same
    board: EvseWbBoard

    def __init__(self, path: Path) -> None:
        bus = ModbusRtu("bus", {"port": str(path / "port"), "baud": 115200, "reopen_s": 0.02, "quiet_s": 0.05}, now)
        super().__init__(EvseWbBoard(path / "port"), bus)

    async def fault(self, channel: int, *, present: bool) -> None:
        """The RCD has tripped."""
        del channel
        self.board.do_fail("rcd", on=present)

    def closed(self) -> bool:
        """The relay."""
        return self.board.outlet.relay


class EvCcRig(BoardRig):
    """A Phoenix Contact EV-CC with a lock."""

    driver = "ev-cc"
    options = {"bus": "bus", "poll_s": 0.05, "timeout_s": 0.2, "lock": True}  # noqa: RUF012 - never changed
    impatient = {"timeout_s": 0.05}  # noqa: RUF012 - the same
    board: EvCcBoard

    def __init__(self, path: Path) -> None:
        bus = ModbusRtu("bus", {"port": str(path / "port"), "baud": 115200, "reopen_s": 0.02, "quiet_s": 0.05}, now)
        super().__init__(EvCcBoard(path / "port"), bus)

    async def fault(self, channel: int, *, present: bool) -> None:
        """The residual current monitor has tripped."""
        del channel
        self.board.do_error("residual_current", on=present)

    def closed(self) -> bool:
        """The contactor."""
        return self.board.relay


class NetworkRig(BoardRig):
    """A board on a network."""

    impatient = {"timeout_s": 0.05}  # noqa: RUF012 - never changed
    disturbances = ON_A_NETWORK

    async def start(self) -> None:
        """Power, and the bus to where it listens."""
        await self.board.start()
        self.bus = ModbusTcp("bus", {"host": "127.0.0.1", "port": self.board.port, "reopen_s": 0.02}, now)

    async def stop(self) -> None:
        """No power, and the connection let go of."""
        await self.bus.close()
        await self.board.stop()

    async def unplug_device(self, *, gone: bool) -> None:
        """Pull its network cable, or plug it in."""
        if gone:
            await self.board.stop()
        else:
            await self.board.start()
            await asyncio.sleep(0.03)


class CharxRig(NetworkRig):
    """A CHARX SEC with two charging points and their locks."""

    driver = "charx"
    options = {"bus": "bus", "poll_s": 0.05, "timeout_s": 0.2, "channels": [1, 2], "lock": True}  # noqa: RUF012 - the same
    impatient = {"timeout_s": 0.05, "channels": [1]}  # noqa: RUF012 - the same
    board: CharxStation

    def __init__(self, path: Path) -> None:
        del path
        super().__init__(CharxStation(2), None)

    async def fault(self, channel: int, *, present: bool) -> None:
        """Residual current."""
        self.board.do_error("residual_current", channel, on=present)

    def closed(self) -> bool:
        """The contactor of point 1."""
        return self.board.points[1].relay


class BenderRig(NetworkRig):
    """A station with a Bender CC613."""

    driver = "bender-cc"
    options = {"bus": "bus", "poll_s": 0.05, "timeout_s": 0.2}  # noqa: RUF012 - never changed
    board: BenderStation

    def __init__(self, path: Path) -> None:
        del path
        super().__init__(BenderStation(), None)

    async def fault(self, channel: int, *, present: bool) -> None:
        """One of its error codes."""
        del channel
        self.board.do_error(0x00040001 if present else 0)

    def closed(self) -> bool:
        """The relays."""
        return self.board.relays != 0


class OpenEvseRig(BoardRig):
    """An OpenEVSE with a lock."""

    driver = "openevse"
    disturbances = ON_A_WIRE
    options = {"bus": "bus", "poll_s": 0.05, "lock": True}  # noqa: RUF012 - never changed
    impatient = {}  # noqa: RUF012 - the same
    board: OpenEvseBoard

    def __init__(self, path: Path) -> None:
        bus = RapiBus("bus", {"port": str(path / "port"), "reopen_s": 0.02, "reply_s": 0.2}, now)
        super().__init__(OpenEvseBoard(path / "port", has_lock=True), bus)

    async def fault(self, channel: int, *, present: bool) -> None:
        """Residual current."""
        del channel
        self.board.do_fault("gfci" if present else "")

    def closed(self) -> bool:
        """The relay."""
        return self.board.relay


RIGS: tuple[type[Any], ...] = (EvseWbRig, EvCcRig, CharxRig, BenderRig, OpenEvseRig)


@asynccontextmanager
async def running(rig: type[Any], path: Path) -> AsyncIterator[Any]:
    """A rig with power."""
    made = rig(path)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def until(true: Callable[[], object]) -> None:
    """Waits for a condition, at most five seconds."""
    for _ in range(1000):
        if true():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came")
