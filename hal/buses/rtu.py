"""Modbus RTU frames, and what a device still owes: pure, no I/O.

pymodbus builds the requests, checks the CRCs and decodes the replies. What it does not do is cut two replies apart that
arrived together, or say to which request a reply can belong; that is here.
"""

from __future__ import annotations

import enum
from collections.abc import Container, Sequence
from typing import NamedTuple

MAX_COUNT = 125
"""Registers in one read (Modbus application protocol 1.1b3, 6.3)."""

_REGISTER_MAX = 0xFFFF
_EXCEPTION = 0x80
_EXCEPTION_SIZE = 5
_WRITE_SIZE = 8
_PROBE_STEPS = (-2, 2, -4, 4, -6, 6, -8, 8, -1, 1, -3, 3)
"""Probe lengths to try, relative to the request's: even ones first, as meters with 32-bit values refuse odd ones."""


class Table(enum.Enum):
    """Which registers; the value is the function code that reads them. A coil is one bit, read as 0 or 1."""

    COIL = 1
    HOLDING = 3
    INPUT = 4


class Shape(NamedTuple):
    """What a reply looks like from outside: function code and length of the whole frame."""

    function: int
    size: int


class Request(NamedTuple):
    """A frame to send, the shape of its reply, and how the reply must begin (all of it, for a write).

    `asked`: how many registers or coils are read.
    """

    frame: bytes
    shape: Shape
    begins: bytes
    asked: int = 0


class Reply(NamedTuple):
    """A frame with a valid CRC."""

    unit: int
    shape: Shape
    frame: bytes

    @property
    def refusal(self) -> int | None:
        """The exception code; None for an answer."""
        return self.frame[2] if self.shape.function & _EXCEPTION else None


class Rtu:
    """Encodes and decodes by pymodbus, which is imported when the first one is made (13 ms)."""

    def __init__(self) -> None:
        from pymodbus.framer import FramerRTU  # noqa: PLC0415 - heavy, imported at first use
        from pymodbus.pdu import DecodePDU, bit_message, register_message  # noqa: PLC0415 - heavy, imported at first use

        self._framer = FramerRTU(DecodePDU(is_server=False))
        self._pdu = register_message
        self._bits = bit_message

    def read(self, unit: int, table: Table, address: int, count: int) -> Request:
        """Asks for `count` registers from `address`. Raises ValueError if there cannot be so many."""
        kinds = {
            Table.COIL: self._bits.ReadCoilsRequest,
            Table.INPUT: self._pdu.ReadInputRegistersRequest,
            Table.HOLDING: self._pdu.ReadHoldingRegistersRequest,
        }
        frame = self._framer.buildFrame(kinds[table](address=address, count=count, dev_id=unit))
        shape = reading(table, count)
        return Request(frame, shape, bytes((unit, table.value, shape.size - _EXCEPTION_SIZE)), count)

    def write(self, unit: int, address: int, values: Sequence[int], *, multiple: bool = False) -> Request:
        """Sets holding registers: function 6 for one, 16 for several, or for one too that is written by `multiple`.

        Raises ValueError for values beyond 16 bits.
        """
        if not values or any(not 0 <= value <= _REGISTER_MAX for value in values):
            raise ValueError(f"registers hold 0 to 65535, not {list(values)}")
        single = len(values) == 1 and not multiple
        kind = self._pdu.WriteSingleRegisterRequest if single else self._pdu.WriteMultipleRegistersRequest
        return self._written(self._framer.buildFrame(kind(address=address, registers=list(values), dev_id=unit)))

    def write_coil(self, unit: int, address: int, *, on: bool) -> Request:
        """Sets one coil."""
        kind = self._bits.WriteSingleCoilRequest
        return self._written(self._framer.buildFrame(kind(address=address, bits=[on], dev_id=unit)))

    @staticmethod
    def _written(frame: bytes) -> Request:
        return Request(frame, Shape(frame[1], _WRITE_SIZE), frame[:6])

    def take(self, buffer: bytearray, units: Container[int]) -> Reply | None:
        """Removes the first whole reply of one of `units` and the noise before it; None if none is there."""
        for start in range(len(buffer) - _EXCEPTION_SIZE + 1):
            size = _size(buffer[start : start + 3])
            end = start + size
            if not size or end > len(buffer) or buffer[start] not in units:
                continue
            frame = bytes(buffer[start:end])
            if self._framer.check_CRC(frame[:-2], int.from_bytes(frame[-2:], "big")):
                del buffer[:end]
                return Reply(frame[0], Shape(frame[1], size), frame)
        return None

    def values(self, reply: Reply, request: Request) -> tuple[int, ...]:
        """The registers, or the coils as 0 and 1, in the reply to a read; empty in the reply to a write."""
        pdu = self._framer.decoder.decode(reply.frame[1:-2])
        if pdu is None or not request.asked:
            return ()
        held = pdu.bits if reply.shape.function == Table.COIL.value else pdu.registers
        return tuple(int(value) for value in held[: request.asked])


def reading(table: Table, count: int) -> Shape:
    """The shape of the reply to a read of `count` registers or coils."""
    size = (count + 7) // 8 if table is Table.COIL else 2 * count
    return Shape(table.value, _EXCEPTION_SIZE + size)


def _size(head: bytes | bytearray) -> int:
    """The length of the reply that begins with these three bytes; 0 if no reply does."""
    function = head[1]
    if function in (3, 4):
        return _EXCEPTION_SIZE + head[2] if head[2] % 2 == 0 else 0
    if function == Table.COIL.value:
        return _EXCEPTION_SIZE + head[2]
    if function in (5, 6, 16):
        return _WRITE_SIZE
    return _EXCEPTION_SIZE if function in (0x81, 0x83, 0x84, 0x85, 0x86, 0x90) else 0


class Debt:
    """The replies that one device owes, in the order of the requests: what a frame from it may still answer."""

    def __init__(self) -> None:
        self.shapes: list[Shape] = []
        self._since = 0.0

    def owe(self, shape: Shape, now: float) -> None:
        """A request with such a reply is out."""
        self.shapes.append(shape)
        self._since = now

    def pay(self, shape: Shape) -> bool:
        """A reply has come. True if it answers the newest request for certain.

        A device answers in order, so a reply also settles whatever was asked before it. An exception has one shape for
        all requests of a function: it settles the oldest of them, and is certain only if there is no other.
        """
        if shape.function & _EXCEPTION:
            functions = [owed.function for owed in self.shapes]
            if shape.function & ~_EXCEPTION not in functions:
                return False
            del self.shapes[: functions.index(shape.function & ~_EXCEPTION) + 1]
            return len(functions) == 1
        if shape not in self.shapes:
            return False
        del self.shapes[: self.shapes.index(shape) + 1]
        return not self.shapes

    def forget(self, now: float, after_s: float) -> None:
        """Drops everything if nothing was asked for so long that no answer is on its way."""
        if self.shapes and now - self._since > after_s:
            self.shapes.clear()

    def probe_count(self, table: Table, count: int) -> int | None:
        """A number of registers near `count` whose reply is not owed; None if all are."""
        counts = (count + step for step in _PROBE_STEPS)
        return next((c for c in counts if 1 <= c <= MAX_COUNT and reading(table, c) not in self.shapes), None)
