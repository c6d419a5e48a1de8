"""Modbus RTU devices on one line: registers to set, and every way in which a real one disappoints.

    python -m tests.drivers.emulators.modbus_slave --link /tmp/rs485
    {"cmd": "set", "unit": 1, "table": "input", "address": 72, "float": 11114.29}

Its CRC and its frames are written here from the protocol's text, not taken from what it tests.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.drivers.emulators.line import Emulator, main

TABLES = ("coil", "discrete", "holding", "input")
_TABLE_OF = {1: "coil", 2: "discrete", 3: "holding", 4: "input", 5: "coil", 6: "holding", 16: "holding"}


def crc16(data: bytes) -> bytes:
    """The CRC of Modbus RTU (polynomial A001, reflected, start FFFF), low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc.to_bytes(2, "little")


class Units:
    """Devices without what carries them: `registers[unit][table][address]`. One that was never set does not exist."""

    def __init__(self) -> None:
        self.registers: dict[int, dict[str, dict[int, int]]] = {}
        self.requests: list[bytes] = []
        self.silent: set[int] = set()
        self.refusals: list[int] = []
        self.turnaround_s = 0.0
        self.most = 125

    def do_load(self, dump: Mapping[str, Any]) -> int:
        """A register dump, as `ocpp-station hal record` writes one; gives its unit."""
        unit = int(dump["unit"])
        self.most = int(dump.get("most", self.most))
        for table, runs in dump["registers"].items():
            for address, words in runs.items():
                self.do_words(unit, table, int(address, 16), [int(word, 16) for word in words.split()])
        return unit

    def do_set(
        self,
        unit: int,
        table: str,
        address: int,
        value: int | None = None,
        float: float | None = None,  # noqa: A002 - a field name of the control channel
    ) -> None:
        """Sets one 16-bit register, or two with a 32-bit float, high word first."""
        words = (value,) if value is not None else struct.unpack(">HH", struct.pack(">f", float))
        self.do_words(unit, table, address, words)

    def do_words(self, unit: int, table: str, address: int, words: Sequence[int]) -> None:
        """Sets registers, or bits, in a row."""
        held = self.registers.setdefault(unit, {name: {} for name in TABLES})[table]
        held.update(zip(range(address, address + len(words)), words, strict=True))

    def do_get(self, unit: int, table: str, address: int) -> int:
        """One 16-bit register, or bit."""
        return self.registers[unit][table][address]

    def do_silence(self, units: list[int]) -> None:
        """These units do not answer until further notice."""
        self.silent = set(units)

    def do_refuse(self, code: int, count: int = 1) -> None:
        """The next `count` answers are this exception."""
        self.refusals = [code] * count

    def do_turnaround(self, seconds: float) -> None:
        """Every answer comes so much after its request."""
        self.turnaround_s = seconds

    def do_requests(self) -> int:
        """How many requests have come."""
        return len(self.requests)

    def do_functions(self) -> list[int]:
        """The function codes that have come."""
        return sorted({frame[1] for frame in self.requests})

    def answer(self, unit: int, pdu: bytes) -> bytes | None:
        """What a unit says to a request; None if nothing."""
        if unit not in self.registers or unit in self.silent:
            return None
        function = pdu[0]
        return _refusal(function, self.refusals.pop(0)) if self.refusals else self._done(unit, pdu)

    def written(self, unit: int, address: int, values: tuple[int, ...]) -> None:
        """After a write, before its echo: for a device that acts on it."""

    def _done(self, unit: int, pdu: bytes) -> bytes:
        function = pdu[0]
        if function not in _TABLE_OF:
            return _refusal(function, 1)
        held = self.registers[unit][_TABLE_OF[function]]
        address, number = struct.unpack(">HH", pdu[1:5])
        count = 1 if function in (5, 6) else number
        if count > self.most:
            return _refusal(function, 3)
        if any(at not in held for at in range(address, address + count)):
            return _refusal(function, 2)
        values = [held[at] for at in range(address, address + count)]
        if function in (1, 2):
            packed = sum(bit << place for place, bit in enumerate(values)).to_bytes((count + 7) // 8, "little")
            return bytes((function, len(packed))) + packed
        if function in (3, 4):
            return bytes((function, 2 * count)) + struct.pack(f">{count}H", *values)
        words = (number,) if function in (5, 6) else struct.unpack(f">{count}H", pdu[6:])
        if function == 5:
            words = (int(number == 0xFF00),)
        held.update(zip(range(address, address + count), words, strict=True))
        self.written(unit, address, words)
        return pdu[:5]


class ModbusSlave(Emulator, Units):
    """One RS-485 line."""

    def __init__(self, link: Path) -> None:
        Units.__init__(self)
        Emulator.__init__(self, link)
        self.strangers = 0
        self._buffer = bytearray()

    def do_wrong_unit(self, count: int = 1) -> None:
        """The next `count` answers come from another unit: a second device has a wrong address."""
        self.strangers = count

    def received(self, data: bytes) -> None:
        """Cuts requests out of the stream; what has a wrong CRC is silence."""
        self._buffer += data
        while len(self._buffer) >= 8:
            size = 9 + self._buffer[6] if self._buffer[1] == 16 else 8
            if len(self._buffer) < size:
                return
            frame = bytes(self._buffer[:size])
            if crc16(frame[:-2]) != frame[-2:]:
                del self._buffer[0]
                continue
            del self._buffer[:size]
            self._asked(frame)

    def _asked(self, frame: bytes) -> None:
        self.requests.append(frame)
        pdu = self.answer(frame[0], frame[1:-2])
        if pdu is None:
            return
        stranger, self.strangers = self.strangers > 0, max(0, self.strangers - 1)
        answer = bytes((frame[0] ^ (3 if stranger else 0),)) + pdu
        self.reply(answer + crc16(answer), self.turnaround_s)


def _refusal(function: int, code: int) -> bytes:
    return bytes((function | 0x80, code))


if __name__ == "__main__":
    main(ModbusSlave, "Modbus RTU devices on a pty")
