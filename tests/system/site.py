"""The charger's electrical half for system tests: board, meter, reader and car at the far ends of three ptys.

    with Site(folder) as site:                  # folder/can, folder/rs485, folder/reader are the ports
        site.plug_in()
        site.card("04A1B2C3")
        site.until(lambda: site.board.closed, "the contactor")

The emulators of `tests/drivers/emulators` run on a loop of their own in a thread, so nothing of the agent is shared but
bytes. Here they are connected as copper connects them: the car takes what the board offers, the meter counts what the
contactor lets through. Every change of the contactor, every lease and every register that was told is written down.
"""

from __future__ import annotations

import asyncio
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from tests.drivers.emulators.line import Emulator
from tests.drivers.emulators.modbus_slave import ModbusSlave
from tests.drivers.emulators.pn532_chip import Pn532Chip
from tests.drivers.emulators.slcan_board import LEASE_UNIT_S, Channel, SlcanBoard

T = TypeVar("T")

PATIENCE_S = 60.0
MAINS_V = 230.0
CAR_ANSWERS_S = 0.05
CARD_HELD_S = 0.15
FIRST_WH = 1234.5
"""What the meter shows at the start; small, so that a float32 of kWh still counts tenths of a milliwatt-hour."""

_ENERGY_KWH = 0x0048
_SDM630_REGISTERS = 0x4C
_SAM_CONFIGURATION, _LIST = 0x14, 0x4A


class Change(NamedTuple):
    """The contactor moved. `lapsed`: because the lease had ended by itself."""

    at: datetime
    closed: bool
    lapsed: bool


class Lease(NamedTuple):
    """A permission the board took."""

    at: datetime
    seconds: float
    limit_a: float


class Told(NamedTuple):
    """An energy register as it went over the wire."""

    at: datetime
    wh: float


def now() -> datetime:
    """The wall clock, which the CSMS and the agent of a test share."""
    return datetime.now(UTC)


class Board(Channel):
    """Channel 1 of the board with a car that charges as soon as it is offered current."""

    def __init__(self, send: Callable[[int, bytes], None]) -> None:
        super().__init__(1, send)
        self.changes: list[Change] = []
        self.leases: list[Lease] = []
        self.power_w = 0.0
        self._since = time.monotonic()
        self._wh = FIRST_WH
        self._lapsing = False

    @property
    def wh(self) -> float:
        """All energy that has passed the contactor."""
        return self._wh + self.power_w * (time.monotonic() - self._since) / 3600

    def settle(self) -> None:
        """Writes down what the contactor does, counts energy, and lets the car answer."""
        before = self.closed
        super().settle()
        if self.closed != before:
            self.changes.append(Change(now(), self.closed, self._lapsing))
        charges = self.closed and self.pilot == "C"
        self._wh, self._since = self.wh, time.monotonic()
        self.power_w = MAINS_V * self.phases * self.limit / 10 if charges else 0.0
        if self.pilot in "BC":
            asyncio.get_running_loop().call_later(CAR_ANSWERS_S, self._car)

    def _car(self) -> None:
        """IEC 61851-1: state C while current is offered, B while it is not."""
        wanted = "C" if self.limit else "B"
        if self.pilot in "BC" and self.pilot != wanted:
            self.pilot = wanted
            self.settle()

    def _allow(self, limit: int, phases: int, lease: int) -> None:
        super()._allow(limit, phases, lease)
        if not self.refusal:
            self.leases.append(Lease(now(), lease * LEASE_UNIT_S, limit / 10))

    def _lapsed(self) -> None:
        self._lapsing = True
        super()._lapsed()
        self._lapsing = False


class Sdm630(ModbusSlave):
    """The meter behind the contactor, unit 1."""

    def __init__(self, link: Path, board: Board) -> None:
        super().__init__(link)
        self._board = board
        self.told: list[Told] = []
        self.registers[1] = {"input": dict.fromkeys(range(_SDM630_REGISTERS), 0), "holding": {}}

    def _asked(self, frame: bytes) -> None:
        power_w = self._board.power_w
        amperes = power_w / MAINS_V / 3
        for phase in range(3):
            self._show(2 * phase, MAINS_V)
            self._show(6 + 2 * phase, amperes)
            self._show(12 + 2 * phase, power_w / 3)
        self._show(0x34, power_w)
        self._show(0x46, 50.0)
        shown = self._show(_ENERGY_KWH, self._board.wh / 1000)
        address, count = struct.unpack(">HH", frame[2:6])
        if address <= _ENERGY_KWH < address + count:
            self.told.append(Told(now(), round(shown * 1000, 3)))
        super()._asked(frame)

    def _show(self, address: int, value: float) -> float:
        """Sets a float; gives the value as the registers hold it."""
        self.do_set(1, "input", address, float=value)
        held: float = struct.unpack(">f", struct.pack(">f", value))[0]
        return held


class Reader(Pn532Chip):
    """The reader; a card is held to it when it looks for one."""

    @property
    def looks(self) -> bool:
        """Whether it waits for a card that is news; what lies there at the first look after a set-up is none."""
        since = self.commands[::-1].index(_SAM_CONFIGURATION) if _SAM_CONFIGURATION in self.commands else 0
        return self._waiting and self.commands[-since:].count(_LIST) >= 2

    def do_unplug(self) -> None:
        """Its power comes from the adapter, too."""
        super().do_unplug()
        self.do_brown_out()


class Place:
    """Emulators on a loop of their own, in a thread. Every public method may be called from the test's thread."""

    def __init__(self, adapters: dict[str, Emulator]) -> None:
        self.adapters = adapters
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="site")

    def __enter__(self) -> Self:
        self._thread.start()
        for emulator in self.adapters.values():
            self.do(emulator.start)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for emulator in self.adapters.values():
            self.do(emulator.stop)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    def do(self, what: Callable[[], T]) -> T:
        """Run `what` where the emulators live; its result."""
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(what())
            except Exception as error:  # noqa: BLE001 - handed to the test
                done.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return done.result(PATIENCE_S)

    def until(self, condition: Callable[[], Any], what: str, timeout_s: float = PATIENCE_S) -> None:
        """Wait until `condition()`, asked where the emulators live, is true."""
        end = time.monotonic() + timeout_s
        while not self.do(condition):
            assert time.monotonic() < end, f"waited {timeout_s} s for {what}; {self.tell()}"
            time.sleep(0.01)

    def tell(self) -> str:
        """How things stand, for a test that fails."""
        return ""

    def pull(self, name: str) -> None:
        """Pull a USB adapter out; the device behind it goes on."""
        self.do(self.adapters[name].do_unplug)

    def put_back(self, name: str) -> None:
        """Plug it in again: a new pty behind the same name."""
        self.do(self.adapters[name].do_plug)


class Site(Place):
    """All of it. `adapters`: board, meter and reader."""

    def __init__(self, folder: Path) -> None:
        self._can = SlcanBoard(folder / "can", channels=1)
        self.board = Board(self._can._transmit)
        self._can.channels = {1: self.board}
        self.meter = Sdm630(folder / "rs485", self.board)
        self.reader = Reader(folder / "reader")
        self.plugged_at = now()
        super().__init__({"board": self._can, "meter": self.meter, "reader": self.reader})

    def tell(self) -> str:
        """The contactor."""
        return f"contactor: {self.board.changes}"

    # --- people and cars

    def plug_in(self) -> None:
        """A car is connected, with a cable for 32 A."""
        self.plugged_at = now()
        self.do(lambda: self._can.do_plug_in(1, 32))

    def plug_out(self) -> None:
        """The car is gone."""
        self.do(lambda: self._can.do_plug_out(1))

    def card(self, uid: str) -> None:
        """A card is held to the reader for a moment, once the reader looks for one."""
        self.until(lambda: self.reader.looks, "the reader to look for a card")
        self.do(lambda: self.reader.do_present(uid))
        time.sleep(CARD_HELD_S)  # how long the hand stays there
        self.do(self.reader.do_remove)
