"""A Phoenix Contact EV-CC-AC1-M3 on an RS-485 line, as its manual (106377_en_04, chapter 9) tells it.

    python -m tests.drivers.emulators.ev_cc_board --link /tmp/rs485
    {"cmd": "plug_in", "cable_a": 20}    {"cmd": "vehicle", "state": "C"}    {"cmd": "power_cycle"}

The manual names no supervision of the master: this board goes on as it was told. Coils and 22000 are volatile, 4000 and
4002 are kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.drivers.emulators.line import main
from tests.drivers.emulators.modbus_slave import ModbusSlave

_ERRORS = {
    "cable_13a": 2, "pp": 3, "cp": 4, "unavailable": 5, "locking": 6, "unlocking": 7, "lock_feedback": 8,
    "ventilation": 11, "contactor": 12, "diode": 13, "residual_current": 15, "rcm_test": 16,
}  # fmt: skip
_FACTORY_A = 32


def _letters(text: str, registers: int) -> list[int]:
    raw = text.encode().ljust(2 * registers, b"\0")
    return [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]


class EvCcBoard(ModbusSlave):
    """Unit 1. `states`: in which table its read-only rows are; the manual and the field differ."""

    def __init__(self, link: Path, states: str = "holding") -> None:
        super().__init__(link)
        self.vehicle = "A"
        self.cable_a = 0
        self.errors: set[str] = set()
        self.relay = False
        self.lock_switch = True
        name = [*_letters("EV-CC-AC1-M3-CBC-SER-PCB", 16), *_letters("1622459", 5), *_letters("0012345678", 6)]
        made = [0x2016, 0x0412, 0x4101, 2, ord("V") << 8 | 1, 20, 3]
        self.do_words(1, "input", 1000, [*name, *made])
        self.do_words(1, "holding", 4000, [1, 0, 1])
        self.do_words(1, "holding", 4009, [0, 0])
        self.do_words(1, "holding", 22000, [_FACTORY_A])
        self.do_words(1, "coil", 20000, [0, 0, 0, 0])
        self.held, self.coils = self.registers[1]["holding"], self.registers[1]["coil"]
        self.shown = self.registers[1][states]
        self.settle()

    def do_power_cycle(self) -> None:
        """Power is gone for a moment."""
        self.coils.update(dict.fromkeys(self.coils, 0))
        self.held[22000] = _FACTORY_A
        self.settle()

    def do_plug_in(self, cable_a: int = 32) -> None:
        """A vehicle is connected, by a cable of this rating."""
        self.vehicle, self.cable_a = "B", cable_a
        self.settle()

    def do_plug_out(self) -> None:
        """The vehicle is gone."""
        self.vehicle, self.cable_a = "A", 0
        self.settle()

    def do_vehicle(self, state: str) -> None:
        """The vehicle shows this pilot state."""
        self.vehicle = state
        self.settle()

    def do_error(self, what: str, *, on: bool = True) -> None:
        """An error comes or goes."""
        self.errors = self.errors | {what} if on else self.errors - {what}
        self.settle()

    def do_state(self) -> dict[str, Any]:
        """What the board is really like."""
        return {"relay": self.relay, "offered": self.shown[24003], "locked": self.coils[20002]}

    def written(self, unit: int, address: int, values: tuple[int, ...]) -> None:
        """What was written counts at once; the switches forbid some of it."""
        del unit, values
        if address == 4002 and not self.lock_switch:
            self.held[4002] = 0
        self.settle()

    def settle(self) -> None:
        """What the firmware does in its loop."""
        enabled = self.held[4000] == 0 or (self.held[4000] == 3 and self.coils[20000] == 1)
        dangerous = self.errors & {"cp", "pp", "diode", "residual_current", "rcm_test", "contactor", "cable_13a"}
        pwm = enabled and self.vehicle != "A" and not dangerous
        ready = self.vehicle == "C" or (self.vehicle == "D" and self.held[4010] == 1)
        self.relay = (pwm and ready) or "contactor" in self.errors
        letter = "E" if "cp" in self.errors else "F" if "unavailable" in self.errors else self.vehicle
        state = letter + ("0" if letter in "EF" else "2" if pwm else "1")
        errors = sum(1 << _ERRORS[what] - 1 for what in self.errors)
        offered = min(self.held[22000], self.cable_a or 63)
        rating = 0xFFFF if "pp" in self.errors else self.cable_a
        row = [int.from_bytes(state.encode(), "big"), rating, offered * 10 // 6, offered, 0, int(self.relay)]
        self.shown.update(dict(zip(range(24000, 24006), row, strict=True)) | {24025: errors})


if __name__ == "__main__":
    main(EvCcBoard, "A Phoenix Contact EV-CC-AC1-M3 on a pty")
