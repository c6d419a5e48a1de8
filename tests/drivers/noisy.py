"""Bad lines and bad networks in memory, for days in virtual time, and boards with their cars at the far end of each.

Frames are damaged, late or lost by chance, the same each time from the same seed. A car has `comes`, `goes` and
`looks`, and knows what it is offered; `note` is told whether the contactor is closed, whenever that may have changed.
"""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from hal.errors import DeviceError
from tests.drivers.emulators import evse_wb_board
from tests.drivers.emulators.bender_station import BenderStation
from tests.drivers.emulators.charx_station import CharxStation, Point
from tests.drivers.emulators.ev_cc_board import EvCcBoard
from tests.drivers.emulators.modbus_slave import Units, crc16
from tests.drivers.emulators.openevse_board import OpenEvseBoard

Note = Callable[[bool], None]


class Noise(NamedTuple):
    """How bad it is: `chance` gives numbers below 1; `share` of the frames are damaged, and of the answers late."""

    chance: Callable[[], float]
    share: float
    late_s: float
    faults: Counter[str]

    def hits(self, what: str) -> bool:
        """Whether this one is hit."""
        self.faults["all"] += 1
        hit = self.chance() < self.share
        self.faults[what] += hit
        return hit

    def delay_s(self) -> float:
        """How late an answer is: mostly not."""
        return self.late_s * (1 + 2 * self.chance()) if self.hits("late") else 0.0

    def spoilt(self, data: bytes, what: str) -> bytes:
        """A frame as it comes out of a bad line: a bit, a byte or its end changed, or something before it."""
        if not self.hits(f"damaged {what}"):
            return data
        kind, at = int(self.chance() * 4), int(self.chance() * len(data))
        flipped = bytes((data[at] ^ (1 << int(self.chance() * 8)),))
        return (data[:at] + flipped + data[at + 1 :], data[:at] + data[at + 1 :], data[:at], b"\x00\xff" + data)[kind]


class MemoryPort:
    """What is used of a SerialPort by who waits for bytes; `arrive` brings them."""

    def __init__(self) -> None:
        self.is_open = False
        self._arrived = bytearray()
        self._news = asyncio.Event()

    async def open_aside(self) -> None:
        """As SerialPort."""
        self.is_open = True

    def close(self) -> None:
        """As SerialPort."""
        self.is_open = False

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

    def arrive(self, data: bytes) -> None:
        """Bytes have come."""
        self._arrived += data
        self._news.set()


class NoisyPort(MemoryPort):
    """One that may be watched instead; `device` hears, and answers by `deliver`."""

    def __init__(self, noise: Noise) -> None:
        super().__init__()
        self.device: Callable[[bytes], None] = lambda data: None
        self._noise = noise
        self._watching: Callable[[bytes], None] | None = None
        self._away = False

    def close(self) -> None:
        """As SerialPort."""
        super().close()
        self._watching = None

    def watch(self, on_data: Callable[[bytes], None], on_lost: Callable[[DeviceError], None]) -> None:
        """As SerialPort; this one is not lost."""
        del on_lost
        self._watching = on_data

    def look_away(self, seconds: float) -> None:
        """As SerialPort."""
        if not self._away:
            self._away = True
            asyncio.get_running_loop().call_later(seconds, self._look_again)

    def _look_again(self) -> None:
        self._away = False
        if self._watching is not None:
            self._watching(self.read())

    def write(self, data: bytes) -> None:
        """As SerialPort: the question is on its way, and may be damaged there."""
        asked = self._noise.spoilt(data, "question")
        asyncio.get_running_loop().call_later(len(data) * 10 / 9600, self.device, asked)

    def deliver(self, data: bytes) -> None:
        """An answer is on its way: damaged or late at times."""
        after_s = 0.01 + len(data) * 10 / 9600 + self._noise.delay_s()
        asyncio.get_running_loop().call_later(after_s, self.arrive, self._noise.spoilt(data, "answer"))

    def arrive(self, data: bytes) -> None:
        """To whoever watches."""
        if self._watching is not None and not self._away:
            self._watching(data)
        else:
            super().arrive(data)


class NoisyNetwork:
    """What is used of a network: connections to `station`. TCP changes no byte; frames are lost, cut, or hung up on."""

    def __init__(self, noise: Noise) -> None:
        self.noise = noise
        self.station: Units | None = None

    async def create_connection(self, protocol: Callable[[], asyncio.Protocol], *where: object) -> tuple[Any, Any]:
        """As the loop's."""
        del where
        made = protocol()
        connection = NoisyConnection(self, made)
        made.connection_made(connection)
        return connection, made


class NoisyConnection(asyncio.Transport):
    """One connection, with the station's side of it."""

    def __init__(self, network: NoisyNetwork, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._network, self._protocol = network, protocol
        self._closed = False

    def write(self, data: Any) -> None:
        """A question is on its way."""
        self._travels(bytes(data), "question", 0.002, self._asked)

    def abort(self) -> None:
        """Closed by who asks."""
        self._closed = True

    def _asked(self, frame: bytes) -> None:
        transaction, _, follow, unit = struct.unpack(">HHHB", frame[:7])
        assert self._network.station is not None
        if follow != len(frame) - 6 or (pdu := self._network.station.answer(unit, frame[7:])) is None:
            return  # it waits for the rest
        answer = struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu
        self._travels(answer, "answer", 0.002 + self._network.noise.delay_s(), self._heard)

    def _heard(self, data: bytes) -> None:
        if not self._closed:
            self._protocol.data_received(data)

    def _hang_up(self, rest: bytes) -> None:
        if not self._closed:
            self._closed = True
            self._protocol.data_received(rest)
            self._protocol.connection_lost(None)

    def _travels(self, data: bytes, what: str, after_s: float, arrives: Callable[[bytes], None]) -> None:
        noise, loop = self._network.noise, asyncio.get_running_loop()
        if not noise.hits(f"damaged {what}"):
            loop.call_later(after_s, arrives, data)
            return
        kind, at = int(noise.chance() * 3), 7 + int(noise.chance() * (len(data) - 7))
        if kind:  # else it is lost
            loop.call_later(after_s, self._hang_up if kind == 1 or what == "question" else arrives, data[:at])


class RtuCar(Units):
    """A board at an address of a line."""

    port: NoisyPort

    def asked(self, frame: bytes) -> None:
        """A request, if it is sound."""
        if len(frame) > 4 and crc16(frame[:-2]) == frame[-2:] and (pdu := self.answer(frame[0], frame[1:-2])):
            reply = frame[:1] + pdu
            self.port.deliver(reply + crc16(reply))


class WbCar(RtuCar):
    """An EVSE-WB at address 1, and its car."""

    def __init__(self, port: NoisyPort, note: Note) -> None:
        super().__init__()
        self.do_words(1, "holding", 2000, [0])
        self._board = evse_wb_board.Outlet(self.registers[1]["holding"])
        self.port, self._note = port, note
        port.device = self.asked

    def written(self, unit: int, address: int, values: tuple[int, ...]) -> None:
        """A new current."""
        del unit, address, values
        self._settle()

    @property
    def offered_a(self) -> float:
        """What it offers to a car."""
        return self._board.held[1001]

    def comes(self) -> None:
        """The car is plugged in."""
        self._board.vehicle, self._board.cable_a = "B", 32
        self._settle()

    def goes(self) -> None:
        """It is gone."""
        self._board.vehicle, self._board.cable_a = "A", 0
        self._settle()

    @property
    def there(self) -> bool:
        """Whether it is plugged in."""
        return self._board.vehicle != "A"

    def looks(self) -> None:
        """It takes what is offered."""
        self._board.vehicle = "C" if self._board.held[1006] == 2 else "B"
        self._settle()

    def _settle(self) -> None:
        self._board.settle()
        self._note(self._board.relay)


class EvCcCar(EvCcBoard, RtuCar):
    """An EV-CC-AC1-M3 at address 1, and its car."""

    def __init__(self, port: NoisyPort, note: Note) -> None:
        self.port, self._note = port, note
        super().__init__(Path("nowhere"))
        port.device = self.asked

    def settle(self) -> None:
        """As the board, noted."""
        super().settle()
        self._note(self.relay)

    @property
    def offered_a(self) -> float:
        """What it offers to a car."""
        return self.shown[24003]

    def comes(self) -> None:
        """The car is plugged in."""
        self.do_plug_in()

    def goes(self) -> None:
        """It is gone."""
        self.do_plug_out()

    def looks(self) -> None:
        """It takes what is offered."""
        self.do_vehicle(_wants(self.shown[24000]))


class CharxCar(CharxStation):
    """A CHARX SEC with one charging point, and its car."""

    def __init__(self, network: NoisyNetwork, note: Note) -> None:
        super().__init__(1)
        self.points = {1: NotedPoint(self.held, note)}
        network.station = self

    @property
    def offered_a(self) -> float:
        """What it offers to a car."""
        return self.points[1].get(297)

    def comes(self) -> None:
        """The car is plugged in."""
        self.do_plug_in()

    def goes(self) -> None:
        """It is gone."""
        self.do_plug_out()

    def looks(self) -> None:
        """It takes what is offered."""
        self.do_vehicle(_wants(self.points[1].get(299)))


class NotedPoint(Point):
    """A charging point whose contactor is watched."""

    def __init__(self, held: dict[int, int], note: Note) -> None:
        self._note = note
        super().__init__(held, 1)

    def settle(self) -> None:
        """As the point, noted."""
        super().settle()
        self._note(self.relay)


class BenderCar(BenderStation):
    """A station with a CC613, and its car."""

    def __init__(self, network: NoisyNetwork, note: Note) -> None:
        self._note = note
        super().__init__()
        network.station = self

    def settle(self) -> None:
        """As the controller, noted."""
        super().settle()
        self._note(self.relays != 0)

    @property
    def offered_a(self) -> float:
        """What it offers to a car."""
        return self.held[706]

    def comes(self) -> None:
        """The car is plugged in."""
        self.do_plug_in()

    def goes(self) -> None:
        """It is gone."""
        self.do_plug_out()

    def looks(self) -> None:
        """It takes what is offered."""
        self.do_vehicle("C" if self.held[706] else "B")


def _wants(state: int) -> str:
    """The car's answer to a state in two letters, as Phoenix Contact's boards hold it: 2 is with a current offered."""
    return "C" if state & 0xFF == ord("2") else "B"


class OpenEvseCar(OpenEvseBoard):
    """An OpenEVSE, and its car."""

    def __init__(self, port: NoisyPort, note: Note) -> None:
        super().__init__(Path("nowhere"))
        self.line = SimpleNamespace(plugged=True, send=lambda data, after_s=0.0: port.deliver(data))  # type: ignore[assignment] # the wire is another
        self._note = note
        port.device = self.received

    def settle(self) -> None:
        """As the board, noted."""
        super().settle()
        self._note(self.relay)

    @property
    def offered_a(self) -> float:
        """What it offers to a car."""
        return self.capacity_a

    def comes(self) -> None:
        """The car is plugged in."""
        self.do_vehicle("B")

    def goes(self) -> None:
        """It is gone."""
        self.do_vehicle("A")

    def looks(self) -> None:
        """It takes what is offered."""
        self.do_vehicle("B" if self.asleep else "C")
