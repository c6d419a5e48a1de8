"""A charging post put together from what was on the shelf: four EVSEs, three kinds of board, two readers, three wires.

    EVSE 1, 2   EVSE-WB boards (11, 12) and SDM630 meters (1, 2), all on one RS-485 line at 9600 baud
    EVSE 3      the reference board on CAN (slcan)
    EVSE 4      an OpenEVSE on a UART
    readers     a PN532 for EVSE 1 and 2, an RDM6300 for EVSE 3 and 4

A car takes what is offered to it, and lets go when nothing is; the meters count what the relays let through, and show a
power that is another each time.
"""

from __future__ import annotations

import asyncio
import random
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from tests.drivers.emulators import evse_wb_board
from tests.drivers.emulators.modbus_slave import ModbusSlave
from tests.drivers.emulators.openevse_board import OpenEvseBoard
from tests.drivers.emulators.rdm6300_module import Rdm6300Module
from tests.drivers.emulators.slcan_board import SlcanBoard
from tests.system.site import CAR_ANSWERS_S, CARD_HELD_S, FIRST_WH, MAINS_V, Board, Place, Reader

CONFIG = """\
station: {{identity: CS001, vendor: Example, model: Mixed, serial: "4711"}}
csms: {{url: {url}, security_profile: 1, password_file: password}}
state_directory: state
control_socket: control.sock
buses:
  rs485: {{kind: modbus-rtu, port: {folder}/rs485, baud: 9600}}
  can: {{kind: can, interface: slcan, channel: {folder}/can, bitrate: 250000}}
  evse: {{kind: rapi, port: {folder}/openevse}}
boards:
  first: {{driver: evse-wb, bus: rs485, address: 11, max_a: 16}}
  second: {{driver: evse-wb, bus: rs485, address: 12, max_a: 16}}
  third: {{driver: can, bus: can}}
  fourth: {{driver: openevse, bus: evse}}
meters:
  one: {{driver: modbus, bus: rs485, template: eastron-sdm630, address: 1}}
  two: {{driver: modbus, bus: rs485, template: eastron-sdm630, address: 2}}
readers:
  left: {{driver: pn532, port: {folder}/pn532, debounce_s: 0.3, evses: [1, 2]}}
  right: {{driver: rdm6300, port: {folder}/rdm6300, debounce_s: 0.3, evses: [3, 4]}}
sensors:
  heat: {{driver: openevse, bus: evse, thermometer: ds3231, component: Controller, variable: Temperature, period_s: 1}}
evses:
- {{board: first, meter: one, max_current_a: 16, connectors: [{{type: cType2}}]}}
- {{board: second, meter: two, max_current_a: 16, connectors: [{{type: cType2}}]}}
- {{board: third, max_current_a: 16, connectors: [{{type: sType2, lock: true}}]}}
- {{board: fourth, max_current_a: 16, phases: 1, connectors: [{{type: cType1}}]}}
meter_period_s: 1
variables:
- {{component: TxCtrlr, variable: TxStartPoint, value: "EVConnected,Authorized"}}
- {{component: TxCtrlr, variable: TxStopPoint, value: "EVConnected,Authorized"}}
- {{component: SampledDataCtrlr, variable: TxUpdatedInterval, value: {updated_s}}}
- {{component: OCPPCommCtrlr, variable: RetryBackOffWaitMinimum, value: 1}}
- {{component: OCPPCommCtrlr, variable: RetryBackOffRandomRange, value: 0}}
{more}"""

_METERS, _BOARDS = {1: 11, 2: 12}, (11, 12)
_SDM630_REGISTERS, _POWER, _ENERGY_KWH = 0x4C, 0x34, 0x48
_PWM = 2


class Outlet(evse_wb_board.Outlet):
    """An EVSE-WB with a car, and what its relay has let through."""

    power_w = 0.0
    _wh = FIRST_WH
    _since = 0.0

    @property
    def wh(self) -> float:
        """All energy so far."""
        return self._wh + self.power_w * (time.monotonic() - self._since) / 3600

    def settle(self) -> None:
        """Counts, and lets the car answer."""
        super().settle()
        self._wh, self._since = self.wh, time.monotonic()
        self.power_w = 3 * MAINS_V * self.held[1001] / self.scale if self.relay else 0.0
        if self.vehicle in "BC":
            asyncio.get_running_loop().call_later(CAR_ANSWERS_S, self._car)

    def _car(self) -> None:
        wanted = "C" if self.held[1006] == _PWM else "B"
        if self.vehicle in "BC" and self.vehicle != wanted:
            self.vehicle = wanted
            self.settle()


class Rs485(ModbusSlave):
    """Two boards and two meters on one pair of wires."""

    def __init__(self, link: Path) -> None:
        super().__init__(link)
        self.outlets: dict[int, Outlet] = {}
        for unit in _BOARDS:
            self.do_words(unit, "holding", 2000, [0])
            self.outlets[unit] = Outlet(self.registers[unit]["holding"])
        for unit in _METERS:
            self.do_words(unit, "input", 0, [0] * _SDM630_REGISTERS)
        self.shown: dict[int, list[float]] = {unit: [] for unit in _METERS}

    def answer(self, unit: int, pdu: bytes) -> bytes | None:
        """A meter shows what has passed by now."""
        if unit in _METERS:
            outlet = self.outlets[_METERS[unit]]
            self.do_set(unit, "input", _POWER, float=outlet.power_w * random.uniform(0.99, 1.01))  # noqa: S311 - the mains
            self.do_set(unit, "input", _ENERGY_KWH, float=outlet.wh / 1000)
            held: float = struct.unpack(">f", struct.pack(">f", outlet.wh / 1000))[0]
            self.shown[unit].append(round(held * 1000, 3))
        return super().answer(unit, pdu)

    def written(self, unit: int, address: int, values: tuple[int, ...]) -> None:
        """A board is told a current."""
        del address, values
        self.outlets[unit].settle()


class OpenEvse(OpenEvseBoard):
    """An OpenEVSE with a car."""

    def settle(self) -> None:
        """Lets the car answer."""
        super().settle()
        if self.vehicle in "BC" and self.line.plugged:
            asyncio.get_running_loop().call_later(CAR_ANSWERS_S, self._car)

    def _car(self) -> None:
        wanted = "B" if self.asleep else "C"
        if self.vehicle in "BC" and self.vehicle != wanted:
            self.do_vehicle(wanted)


class _Readers(Protocol):
    def do_present(self, uid: str) -> None: ...
    def do_remove(self) -> None: ...


class MixedSite(Place):
    """Everything at the far ends of the wires. EVSEs are numbered from 1."""

    def __init__(self, folder: Path) -> None:
        self.rs485 = Rs485(folder / "rs485")
        self.rs485.do_pace(9600)
        self._can = SlcanBoard(folder / "can", channels=1)
        self.channel = Board(self._can._transmit)
        self._can.channels = {1: self.channel}
        self.openevse = OpenEvse(folder / "openevse")
        self.pn532, self.rdm6300 = Reader(folder / "pn532"), Rdm6300Module(folder / "rdm6300")
        super().__init__(
            {
                "rs485": self.rs485,
                "can": self._can,
                "openevse": self.openevse,
                "pn532": self.pn532,
                "rdm6300": self.rdm6300,
            }
        )

    def tell(self) -> str:
        """Which relays are closed."""
        return f"closed: {self.closed()}"

    def closed(self) -> list[int]:
        """The EVSEs whose relay is closed now."""
        first, second = (self.rs485.outlets[unit].relay for unit in _BOARDS)
        states = (first, second, self.channel.closed, self.openevse.relay)
        return [evse for evse, closed in enumerate(states, 1) if closed]

    def offered_a(self) -> list[float]:
        """What the cars are offered."""
        first, second = (self.rs485.outlets[unit].held[1001] for unit in _BOARDS)
        return [first, second, self.channel.limit / 10, self.openevse.capacity_a]

    def plug_in(self, evse: int) -> None:
        """A car is connected."""
        self.do(lambda: self._plug(evse, "B", 32))

    def plug_out(self, evse: int) -> None:
        """It is gone."""
        self.do(lambda: self._plug(evse, "A", 0))

    def _plug(self, evse: int, state: str, cable_a: int) -> None:
        if evse in _METERS:
            outlet = self.rs485.outlets[_METERS[evse]]
            outlet.vehicle, outlet.cable_a = state, cable_a
            outlet.settle()
        elif evse == 3:
            self._can._change(1, pilot=state, cable_a=cable_a)
        else:
            self.openevse.do_vehicle(state)

    def card(self, evse: int, uid: str) -> None:
        """A card is held to the reader of an EVSE for a moment."""
        reader, ready = self._reader(evse)
        self.until(ready, "the reader to look for a card")
        self.do(lambda: reader.do_present(uid))
        time.sleep(CARD_HELD_S)  # how long the hand stays there
        self.do(reader.do_remove)

    def _reader(self, evse: int) -> tuple[_Readers, Callable[[], bool]]:
        if evse in _METERS:
            return self.pn532, lambda: self.pn532.looks
        return _Tags(self.rdm6300), lambda: True


class _Tags:
    """The other reader, whose tags are not called UIDs."""

    def __init__(self, module: Rdm6300Module) -> None:
        self._module = module

    def do_present(self, uid: str) -> None:
        self._module.do_present(uid)

    def do_remove(self) -> None:
        self._module.do_remove()
