"""An slcan adapter with the reference board behind it: pilot, contactor, lock and lease of each channel.

    python -m tests.drivers.emulators.slcan_board --link /tmp/can
    {"cmd": "plug_in", "channel": 1, "cable_a": 32}    {"cmd": "vehicle", "channel": 1, "state": "C"}

Bits, checks and timing are written from docs/board-protocol.md, without code of the driver. `unplug` and `plug` are the
USB adapter; the vehicle is `plug_in` and `plug_out`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.drivers.emulators.line import Emulator, main

LEASE_UNIT_S = 0.1
"""What a lease is counted in; less, for a test in a hurry."""

_PILOTS = "ABCDEF"
_FAULTS = (
    "GroundFault", "ResidualCurrent", "OverCurrent", "OverTemperature", "OverVoltage", "UnderVoltage", "PilotLost",
    "DiodeFault", "ProximityFault", "ContactorWelded", "ContactorDidNotClose", "LockJammed", "EmergencyStop",
    "Internal",
)  # fmt: skip
_ABSENT, _UNLOCKED, _LOCKED, _JAMMED = range(4)
_DENY, _ALLOW, _UNCHANGED = range(3)


def crc8(identifier: int, data: bytes) -> int:
    """CRC-8 SAE J1850 (polynomial 1D, start FF, end FF) over the identifier's low two bytes and the data."""
    crc = 0xFF
    for byte in bytes((identifier & 0xFF, identifier >> 8 & 0xFF)) + data:
        for bit in range(7, -1, -1):
            top = (crc >> 7 ^ byte >> bit) & 1
            crc = (crc << 1 & 0xFF) ^ (0x1D if top else 0)
    return crc ^ 0xFF


class Channel:
    """One channel of the board: what its microcontroller does."""

    def __init__(self, number: int, send: Callable[[int, bytes], None]) -> None:
        self.base = 0x100 + 0x10 * (number - 1)
        self.pilot = "A"
        self.cable_a = 0
        self.faults: set[str] = set()
        self.lock = _UNLOCKED
        self.lock_s = 0.0
        self.jam = False
        self.silent = False
        self.wrong_checks = 0
        self.limit = 0
        self.phases = 3
        self.ack = 0
        self.refusal = 0
        self.closed = False
        self.commands: list[bytes] = []
        self.temperatures = [25, 30, -128]
        self._lease: asyncio.TimerHandle | None = None
        self._beat: asyncio.TimerHandle | None = None
        self._counter = 0
        self._send = send

    def start(self) -> None:
        """Powers up: tells who it is and how it is."""
        self.identify()
        self.settle()

    def stop(self) -> None:
        """Loses power."""
        for timer in (self._lease, self._beat):
            if timer is not None:
                timer.cancel()

    def settle(self) -> None:
        """What hardware does at once: opens or closes the contactor. Then reports."""
        welded = "ContactorWelded" in self.faults
        self.closed = welded or (self.limit > 0 and self.pilot in "CD" and not self.faults)
        self.report()

    def report(self) -> None:
        """Sends the status, and again after a period if nothing changes."""
        if self._beat is not None:
            self._beat.cancel()
        active = self.pilot in "BCD" or self.limit > 0
        self._beat = asyncio.get_running_loop().call_later(1.0 if active else 10.0, self.report)
        bits = _PILOTS.index(self.pilot) | self.closed << 3 | self.lock << 4 | self.closed << 6 | self.cable_a << 8
        bits |= sum(1 << 16 + at for at, fault in enumerate(_FAULTS) if fault in self.faults)
        bits |= self.phases << 30 | self.limit << 32 | (self.limit > 0) << 42 | self.refusal << 43 | self.ack << 48
        self._tell(0, bits)

    def health(self) -> None:
        """Sends temperatures of board, plug and contactor (-128: none), 12.1 V, 1000 cycles."""
        degrees = sum((degree & 0xFF) << 8 * at for at, degree in enumerate(self.temperatures))
        self._tell(1, degrees | 121 << 24 | 1000 << 32)

    def identify(self) -> None:
        """Sends the identity: protocol 1, firmware 2.7, serial 4711."""
        self._tell(2, 1 | 3 << 4 | 2 << 8 | 7 << 16 | 4711 << 24)

    def command(self, data: bytes) -> None:
        """Takes a command; one that is damaged is as if it had not come."""
        self.commands.append(data)
        bits = int.from_bytes(data, "little")
        if len(data) != 8 or crc8(self.base + 8, data[:7]) != data[7] or self.silent:
            return
        permit, phases, lock = bits & 3, bits >> 2 & 3, bits >> 4 & 3
        limit, lease = bits >> 8 & 0x3FF, bits >> 24 & 0xFF
        self.ack, self.refusal = bits >> 52 & 15, 0
        if permit == _ALLOW:
            self._allow(limit, phases, lease)
        elif permit == _DENY:
            self._end_lease()
        if lock:
            self._move(_LOCKED if lock == 1 else _UNLOCKED)
        if permit == _UNCHANGED and not lock:
            self.identify()
            self.health()
        self.settle()

    def _allow(self, limit: int, phases: int, lease: int) -> None:
        if not 60 <= limit <= 320 or not 1 <= lease <= 100:
            self.refusal = 1
        elif self.faults:
            self.refusal = 2
        else:
            self._end_lease()
            self.limit, self.phases = limit, phases or 3
            self._lease = asyncio.get_running_loop().call_later(lease * LEASE_UNIT_S, self._lapsed)

    def _lapsed(self) -> None:
        self._end_lease()
        self.settle()

    def _end_lease(self) -> None:
        if self._lease is not None:
            self._lease.cancel()
        self._lease, self.limit = None, 0

    def _move(self, wanted: int) -> None:
        if self.lock == _ABSENT:
            self.refusal = 5
        elif wanted == _UNLOCKED and self.closed:
            self.refusal = 3
        else:
            self.lock = self.lock if self.lock != _JAMMED else _LOCKED + _UNLOCKED - wanted
            asyncio.get_running_loop().call_later(self.lock_s, self._moved, _JAMMED if self.jam else wanted)

    def _moved(self, state: int) -> None:
        self.lock = state
        self.settle()

    def _tell(self, offset: int, bits: int) -> None:
        if self.silent:
            return
        self._counter = (self._counter + 1) % 16
        identifier = self.base + offset
        data = (bits | self._counter << 52).to_bytes(8, "little")[:7]
        wrong, self.wrong_checks = self.wrong_checks > 0, max(0, self.wrong_checks - 1)
        self._send(identifier, data + bytes((crc8(identifier, data) ^ wrong,)))


class SlcanBoard(Emulator):
    """The adapter and the board; `channels` are numbered from 1."""

    def __init__(self, link: Path, channels: int = 2) -> None:
        super().__init__(link)
        self.channels = {number: Channel(number, self._transmit) for number in range(1, channels + 1)}
        self.is_open = False
        self.speed = ""
        self._rest = b""

    def start(self) -> None:
        """The adapter is plugged in and the board starts."""
        super().start()
        for channel in self.channels.values():
            channel.start()

    def stop(self) -> None:
        """The board stops and the adapter is gone."""
        super().stop()
        for channel in self.channels.values():
            channel.stop()

    def do_plug_in(self, channel: int, cable_a: int = 32) -> None:
        """A vehicle is connected."""
        self._change(channel, pilot="B", cable_a=cable_a)

    def do_plug_out(self, channel: int) -> None:
        """The vehicle is gone: the contactor opens in hardware."""
        self._change(channel, pilot="A", cable_a=0)

    def do_vehicle(self, channel: int, state: str) -> None:
        """The vehicle (or a fault of the pilot) shows this pilot state."""
        self._change(channel, pilot=state)

    def do_fault(self, channel: int, fault: str, *, on: bool = True) -> None:
        """A fault comes or goes."""
        faults = self.channels[channel].faults
        self._change(channel, faults=faults | {fault} if on else faults - {fault})

    def do_lock(self, channel: int, state: int = _UNLOCKED, seconds: float = 0.0, *, jam: bool = False) -> None:
        """How the lock is (0 absent ... 3 jammed), how long it moves, and whether it jams next time."""
        self._change(channel, lock=state, lock_s=seconds, jam=jam)

    def do_silence(self, channel: int, *, on: bool = True) -> None:
        """The channel's microcontroller hangs: it neither reports nor listens."""
        self._change(channel, silent=on)

    def do_temperatures(self, channel: int, board: int, plug: int, contactor: int = -128) -> None:
        """What the channel measures; it tells at once."""
        self.channels[channel].temperatures = [board, plug, contactor]
        self.channels[channel].health()

    def do_wrong_check(self, channel: int, count: int = 1) -> None:
        """The next frames of the channel have a wrong check: damaged between microcontroller and transceiver."""
        self._change(channel, wrong_checks=count)

    def do_state(self, channel: int) -> dict[str, Any]:
        """What the channel is really like."""
        state = self.channels[channel]
        return {
            "pilot": state.pilot,
            "closed": state.closed,
            "limit_a": state.limit / 10,
            "phases": state.phases,
            "lock": state.lock,
            "commands": len(state.commands),
        }

    def do_flood(self, count: int, identifier: int = 0x700) -> None:
        """Other traffic on the bus."""
        self.line.send(b"".join(f"t{identifier:03X}8{n:016X}\r".encode() for n in range(count)))

    def _change(self, channel: int, **what: object) -> None:
        for name, value in what.items():
            setattr(self.channels[channel], name, value)
        self.channels[channel].settle()

    def received(self, data: bytes) -> None:
        """Commands of the adapter."""
        *lines, self._rest = (self._rest + data).split(b"\r")
        for line in lines:
            self._adapter(line.decode())

    def _adapter(self, line: str) -> None:
        kind = line[:1]
        if kind in ("O", "C"):
            self.is_open = kind == "O"
            self.line.send(b"\r")
        elif kind == "S":
            self.speed = line[1:]
            self.line.send(b"\r")
        elif kind == "t" and self.is_open:
            self.line.send(b"z\r")
            identifier, data = int(line[1:4], 16), bytes.fromhex(line[5:])
            for channel in self.channels.values():
                if identifier == channel.base + 8:
                    channel.command(data)
        elif kind:
            self.line.send(b"\a")

    def _transmit(self, identifier: int, data: bytes) -> None:
        if self.is_open:
            self.reply(f"t{identifier:03X}{len(data)}{data.hex().upper()}\r".encode())


if __name__ == "__main__":
    main(SlcanBoard, "An slcan adapter with the reference board behind it, on a pty")
