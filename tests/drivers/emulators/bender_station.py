"""A station with a Bender CC613 on Modbus TCP, by the register list of its web interface.

The communication timeout (132) begins anew with every request, whatever it asks; when it ends, the current of 131 is in
force until there is communication again.
"""

from __future__ import annotations

import asyncio
from typing import Any

from tests.drivers.emulators.charx_station import letters
from tests.drivers.emulators.modbus_gateway import ModbusGateway

SECOND_S = 1.0
"""A second of the communication timeout; less, for a test in a hurry."""

UNIT = 255
_STATES = {"A": 1, "B": 2, "C": 3, "D": 4, "E": 5}
_AVAILABLE, _OCCUPIED, _FAULTED = 0, 1, 4


class BenderStation(ModbusGateway):
    """One outlet that charges whoever is plugged in, as the energy manager lets it."""

    def __init__(self, *, tells_relays: bool = True, switches_phases: bool = False) -> None:
        super().__init__()
        self.vehicle = "A"
        self.error_code = 0
        self.relays = 0
        self.one_phase = False
        self.milliamps = 16_000
        self.lost = False
        self._timer: asyncio.TimerHandle | None = None
        self.do_words(UNIT, "holding", 100, letters("5.33", 2))
        self.do_words(UNIT, "holding", 104, [0] * 9)
        self.do_words(UNIT, "holding", 120, [*letters("0.12", 2), 1, 0x0A, 1])
        self.do_words(UNIT, "holding", 131, [6, 300, 32, 32])
        if tells_relays:
            self.do_words(UNIT, "holding", 140, [0])
            self.do_words(UNIT, "holding", 142, letters("CC613_ELPR16_M4", 10))
        self.do_words(UNIT, "holding", 212, [0] * 6)
        self.do_words(UNIT, "holding", 706, [0])
        self.do_words(UNIT, "holding", 1000, [32])
        if switches_phases:
            self.do_words(UNIT, "holding", 1002, [0xFFFF])
        self.held = self.registers[UNIT]["holding"]
        self.settle()

    async def stop(self) -> None:
        """No power."""
        await super().stop()
        if self._timer is not None:
            self._timer.cancel()

    def do_plug_in(self) -> None:
        """A vehicle is connected."""
        self.do_vehicle("B")

    def do_plug_out(self) -> None:
        """The vehicle is gone."""
        self.do_vehicle("A")

    def do_vehicle(self, state: str) -> None:
        """The vehicle shows this pilot state."""
        self.vehicle = state
        self.settle()

    def do_error(self, code: int = 0) -> None:
        """The controller finds an error, and is faulted by it; 0: none."""
        self.error_code = code
        self.settle()

    def do_state(self) -> dict[str, Any]:
        """What the outlet is really like."""
        return {"relays": self.relays, "signalled_a": self.held[706]}

    def answer(self, unit: int, pdu: bytes) -> bytes | None:
        """Whoever asks is there."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self.held[132] * SECOND_S, self._alone)
        self.lost = False
        answer = super().answer(unit, pdu)
        self.settle()
        return answer

    def _alone(self) -> None:
        self.lost = True
        self.settle()

    def settle(self) -> None:
        """What the firmware does in its loop."""
        held = self.held
        limit = held[131] if self.lost else held[1000]
        signalled = min(limit, held[133], held[134]) if limit >= 6 else 0
        watts = held.get(1002, 0xFFFF)
        self.one_phase = watts < 3 * 6 * 207 if 1002 in held else self.one_phase
        signalled = min(signalled, int(watts / 230 / (1 if self.one_phase else 3)))
        ready = self.vehicle in "CD" and not self.error_code
        self.relays = (5 if self.one_phase else 1) if ready and signalled else 0
        held[104] = _FAULTED if self.error_code else _AVAILABLE if self.vehicle == "A" else _OCCUPIED
        held[105], held[106] = self.error_code >> 16, self.error_code & 0xFFFF
        held[122] = _STATES[self.vehicle]
        held[123] = 9 + _STATES[self.vehicle]
        if 140 in held:
            held[140] = self.relays
        milliamps = self.milliamps if self.relays else 0
        held.update(zip(range(212, 218), (milliamps >> 16, milliamps & 0xFFFF) * 3, strict=True))
        held[706] = signalled if self.vehicle != "A" else 0
