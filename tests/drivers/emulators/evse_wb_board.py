"""An EVSE-WB on an RS-485 line: pilot, cable, relay and registers, as its data sheet tells them.

    python -m tests.drivers.emulators.evse_wb_board --link /tmp/rs485
    {"cmd": "plug_in", "cable_a": 20}    {"cmd": "vehicle", "state": "C"}    {"cmd": "power_cycle"}

`unplug` and `plug` are the USB adapter; the vehicle is `plug_in` and `plug_out`. The data sheet names no watchdog: this
board goes on as it was told, for ever.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.drivers.emulators.line import main
from tests.drivers.emulators.modbus_slave import ModbusSlave

_STATES = {"A": 1, "B": 2, "C": 3, "D": 4}
_FAILS = {"diode": 0x02, "ventilation": 0x04, "rcd": 0x20, "rcd_old": 0x10}
_FLAG_VENTILATED, _FLAG_FINE = 0x08, 0x80


class Outlet:
    """One board: its vehicle, relay and holding registers. `firmware` 18 has 0.01 A steps if bit 7 of 2005 is set."""

    def __init__(self, held: dict[int, int], firmware: int = 18) -> None:
        self.held = held
        self.firmware = firmware
        self.vehicle = "A"
        self.cable_a = 0
        self.fails: set[str] = set()
        self.relay = False
        held.update(dict(zip(range(2000, 2008), (16, 1, 6, 1, 0, _FLAG_VENTILATED, 0, 0), strict=True)))
        self.start()

    @property
    def scale(self) -> int:
        """What an ampere is in its registers."""
        return 100 if self.held[2005] & _FLAG_FINE and self.firmware >= 17 else 1

    def start(self) -> None:
        """After a loss of power it offers the current of register 2000."""
        self.held.update(dict.fromkeys(range(1000, 1008), 0) | {1000: self.held[2000] * self.scale})
        self.settle()

    def settle(self) -> None:
        """What the firmware does in its loop."""
        held, scale = self.held, self.scale
        offered = held[1000]
        if self.cable_a and not held[2007]:
            offered = min(offered, self.cable_a * scale)
        on = offered >= max(6, held[2002]) * scale
        ready = self.vehicle == "C" or (self.vehicle == "D" and bool(held[2005] & _FLAG_VENTILATED))
        self.relay = on and ready and not self.fails
        held[1001] = offered if on else 0
        held[1002] = 5 if self.fails else _STATES[self.vehicle]
        held[1003] = held[2007] or self.cable_a
        held[1005] = self.firmware
        held[1006] = 3 if not held[1000] else 2 if on and self.vehicle != "A" and not self.fails else 1
        held[1007] = self.relay | sum(_FAILS[what] for what in self.fails)


class EvseWbBoard(ModbusSlave):
    """Unit 1 on its line."""

    def __init__(self, link: Path) -> None:
        super().__init__(link)
        self.do_words(1, "holding", 2000, [0])
        self.held = self.registers[1]["holding"]
        self.outlet = Outlet(self.held)

    def do_power_cycle(self) -> None:
        """Power is gone for a moment."""
        self.outlet.start()

    def do_plug_in(self, cable_a: int = 32) -> None:
        """A vehicle is connected, by a cable of this rating."""
        self._change(vehicle="B", cable_a=cable_a)

    def do_plug_out(self) -> None:
        """The vehicle is gone."""
        self._change(vehicle="A", cable_a=0)

    def do_vehicle(self, state: str) -> None:
        """The vehicle shows this pilot state."""
        self._change(vehicle=state)

    def do_fail(self, what: str, *, on: bool = True) -> None:
        """A check fails (diode, ventilation, rcd; rcd_old as firmware before the self-test shows it) or is well."""
        fails = self.outlet.fails
        self._change(fails=fails | {what} if on else fails - {what})

    def do_config(self, register: int, value: int) -> None:
        """What was set at the factory."""
        self.held[register] = value
        self.outlet.settle()

    def do_state(self) -> dict[str, Any]:
        """What the board is really like."""
        return {"relay": self.outlet.relay, "offered": self.held[1001], "after_power_up": self.held[2000]}

    def _change(self, **what: object) -> None:
        for name, value in what.items():
            setattr(self.outlet, name, value)
        self.outlet.settle()

    def written(self, unit: int, address: int, values: tuple[int, ...]) -> None:
        """A new current counts at once."""
        del unit, address, values
        self.outlet.settle()


if __name__ == "__main__":
    main(EvseWbBoard, "An EVSE-WB on a pty")
