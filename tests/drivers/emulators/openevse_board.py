"""An OpenEVSE on a UART: pilot, relay, supervision of its host, lock, ammeter and thermometers, spoken in RAPI.

    python -m tests.drivers.emulators.openevse_board --link /tmp/openevse
    {"cmd": "plug_in"}    {"cmd": "vehicle", "state": "C"}    {"cmd": "restart"}

Written from rapi_proc.h and the behaviour of J1772EvseController.cpp (SetCurrentCapacity, HsExpirationCheck, Sleep),
without code of the driver. `unplug` and `plug` are the USB adapter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.drivers.emulators.line import Emulator, main

SECOND_S = 1.0
"""A second of the supervision; less, for a test in a hurry."""

_MIN_A, _HARDWARE_A = 6, 48
_STATES = {"A": 1, "B": 2, "C": 3, "D": 4}
_FAULTS = {
    "diode": 0x05, "gfci": 0x06, "ground": 0x07, "stuck": 0x08, "gfi_test": 0x09, "hot": 0x0A, "current": 0x0B,
    "closure": 0x0E,
}  # fmt: skip
_LETS_GO_S = 0.02
"""The vehicle opens its side when the PWM ends; the firmware waits three seconds for it at most."""


def checked(body: str) -> bytes:
    """A line with its XOR."""
    check = 0
    for letter in body.encode():
        check ^= letter
    return f"{body}^{check:02X}\r".encode()


class OpenEvseBoard(Emulator):
    """One controller. `configured_a` is kept in its EEPROM, as is the supervision."""

    def __init__(self, link: Path, *, supervises: bool = True, has_lock: bool = False) -> None:
        super().__init__(link)
        self.supervises, self.has_lock = supervises, has_lock
        self.configured_a = 32
        self.capacity_a = self.configured_a
        self.most_offered_a = 0
        self.vehicle = "A"
        self.fault = ""
        self.asleep = False
        self.relay = False
        self.auth_locked = self.boot_locked = False
        self.locked, self.lock_mode = False, "A"
        self.milliamps = 16_000
        self.temperatures = [251, -2560, 320]
        self.watch = (0, 0)
        self.missed = 0
        self.eeprom_writes = 0
        self.commands: list[str] = []
        self.old = False  # firmware before RAPI 3.0 repeats no id
        self._rest = b""
        self._watchdog: asyncio.TimerHandle | None = None
        self._told: tuple[object, ...] = ()

    # --- what happens to it

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

    def do_fault(self, fault: str = "") -> None:
        """One of the faults that the firmware has a state for; none when empty."""
        self.fault = fault
        self.settle()

    def do_restart(self) -> None:
        """Power was gone for a moment: awake, the configured current, the supervision as in the EEPROM."""
        self.asleep, self.capacity_a, self.missed, self.lock_mode = False, self.configured_a, 0, "A"
        self.line.send(checked("$AB 00 8.2.1"))
        self._feed()
        self.settle()

    def do_state(self) -> dict[str, Any]:
        """What the board is really like."""
        return {"relay": self.relay, "capacity_a": self.capacity_a, "asleep": self.asleep, "locked": self.locked}

    def stop(self) -> None:
        """No power."""
        super().stop()
        if self._watchdog is not None:
            self._watchdog.cancel()

    @property
    def state(self) -> int:
        """EVSE_STATE_xxx."""
        if self.fault:
            return _FAULTS[self.fault]
        return 0xFE if self.asleep else _STATES[self.vehicle]

    @property
    def flags(self) -> int:
        """ECVF_xxx: relay closed, vehicle connected."""
        return 0x40 * self.relay | 0x100 * (self.vehicle != "A")

    def settle(self) -> None:
        """What the firmware does in its loop: switches the relay, tells a new state."""
        ready = self.vehicle == "C" and not self.fault and not self.auth_locked and not self.boot_locked
        if self.relay and self.asleep and self.vehicle == "C" and not self.fault:
            asyncio.get_running_loop().call_later(_LETS_GO_S, self._open)
        else:
            self.relay = ready and not self.asleep
        if not self.asleep and self.vehicle in "BC":
            self.most_offered_a = max(self.most_offered_a, self.capacity_a)
        news = (self.state, self.capacity_a, self.flags)
        if news != self._told and self.line.plugged:
            self._told = news
            pilot = _STATES[self.vehicle]
            self.line.send(checked(f"$AT {self.state:02x} {pilot:02x} {self.capacity_a} {self.flags:04x}"))

    def _open(self) -> None:
        if self.asleep:
            self.relay = False
            self.settle()

    # --- what it is told

    def received(self, data: bytes) -> None:
        """Commands: what has a wrong XOR is refused without its id, as the firmware does."""
        *lines, self._rest = (self._rest + data).split(b"\r")
        for line in lines:
            body, _, check = line.decode("ascii", "replace").rpartition("^")
            if checked(body) != (line + b"\r") or not check:
                self.reply(checked("$NK"))
                continue
            self.commands.append(body)
            self._command(body[1:].split())

    def _command(self, words: list[str]) -> None:
        given = words.pop() if words[-1].startswith(":") else ""
        what: Callable[[list[str]], tuple[bool, str]] | None = getattr(self, f"_{words[0].lower()}", None)
        ok, text = what(words[1:]) if what is not None else (False, "")
        self.reply(
            checked(" ".join(word for word in ("$OK" if ok else "$NK", text, "" if self.old else given) if word))
        )
        self.settle()

    def _gv(self, _: list[str]) -> tuple[bool, str]:
        return True, "8.2.1 5.2.1"

    def _gs(self, _: list[str]) -> tuple[bool, str]:
        return True, f"{self.state:02x} 42 {_STATES[self.vehicle]:02x} {self.flags:04x}"

    def _gc(self, _: list[str]) -> tuple[bool, str]:
        return True, f"{_MIN_A} {_HARDWARE_A} {self.capacity_a} {self.configured_a}"

    def _gg(self, _: list[str]) -> tuple[bool, str]:
        return True, f"{self.milliamps if self.relay else 0} 230000"

    def _gp(self, _: list[str]) -> tuple[bool, str]:
        return True, " ".join(map(str, self.temperatures))

    def _g4(self, _: list[str]) -> tuple[bool, str]:
        return True, str(int(self.auth_locked))

    def _g5(self, _: list[str]) -> tuple[bool, str]:
        return self.has_lock, f"{int(self.locked)} {self.lock_mode}" if self.has_lock else ""

    def _s4(self, given: list[str]) -> tuple[bool, str]:
        self.auth_locked = given == ["1"]
        return True, ""

    def _s5(self, given: list[str]) -> tuple[bool, str]:
        if not self.has_lock:
            return False, ""
        if given[0] in "AM":
            self.lock_mode = given[0]
        elif self.lock_mode == "M":
            self.locked = given[0] == "1"
        return True, ""

    def _sb(self, _: list[str]) -> tuple[bool, str]:
        self.boot_locked = False
        return True, "0"

    def _sc(self, given: list[str]) -> tuple[bool, str]:
        ok = self._set_capacity(int(given[0]))
        if given[1:] != ["V"]:
            self.configured_a = self.capacity_a
            self.eeprom_writes += 1
        return ok, str(self.capacity_a)

    def _set_capacity(self, amps: int) -> bool:
        """Clamped to what the firmware may offer: never less than its minimum, whatever it is told."""
        self.capacity_a = max(_MIN_A, min(amps, self.configured_a))
        return self.capacity_a == amps

    def _fe(self, _: list[str]) -> tuple[bool, str]:
        self.asleep = False
        return True, ""

    def _fs(self, _: list[str]) -> tuple[bool, str]:
        self.asleep = True
        return True, ""

    def _sy(self, given: list[str]) -> tuple[bool, str]:
        if not self.supervises:
            return False, ""
        ok = True
        if len(given) == 2:
            watch = (int(given[0]), int(given[1]))
            self.eeprom_writes += watch != self.watch
            self.watch, self.missed = watch, 0
        elif given == ["165"]:
            if self.missed == 2:
                self.missed = 1
                self._set_capacity(self.configured_a)  # the firmware knows of no limit but this
        elif given:
            ok = False
        else:
            ok = self.missed != 2
        self._feed()
        return ok, f"{self.watch[0]} {self.watch[1]} {self.missed}"

    def _feed(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
        if self.watch[0]:
            loop = asyncio.get_running_loop()
            self._watchdog = loop.call_later(self.watch[0] * SECOND_S, self._miss)

    def _miss(self) -> None:
        self.missed = 2
        if self.watch[1] < self.capacity_a:
            self._set_capacity(self.watch[1])
        self._feed()
        self.settle()


if __name__ == "__main__":
    main(OpenEvseBoard, "An OpenEVSE on a pty")
