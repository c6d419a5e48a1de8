"""Modbus requests and replies without what carries them: function code and data. Pure, no I/O.

pymodbus encodes and decodes; it is imported when the first codec is made (13 ms). `rtu` puts a CRC around them, the
owner of a TCP connection a header.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence
from typing import NamedTuple

MAX_COUNT = 125
"""Registers in one read (Modbus application protocol 1.1b3, 6.3)."""

EXCEPTION = 0x80
_WORD_MAX = 0xFFFF
_ON = 0xFF00
_WRITE_SIZE = 5
_REGISTERS = (3, 4)
REASONS = {1: "illegal function", 2: "illegal address", 3: "illegal value", 4: "device failure", 6: "device busy"}


class Table(enum.IntEnum):
    """Which registers or bits; the value is the function code that reads them. A bit is read as 0 or 1."""

    COIL = 1
    DISCRETE = 2
    HOLDING = 3
    INPUT = 4

    @property
    def bits(self) -> bool:
        """It holds single bits, not registers."""
        return self <= 2  # noqa: PLR2004 - the function codes above


class Request(NamedTuple):
    """What is asked of one unit, and what its reply looks like."""

    unit: int
    pdu: bytes
    quantity: int
    """How many registers or bits are read or written."""
    answer_size: int
    """Bytes of the reply's function code and data, unless it is an exception."""
    begins: bytes
    """How the reply must begin; all of it, for a write."""

    @property
    def function(self) -> int:
        """The function code."""
        return self.pdu[0]


class Pdus:
    """The codec. Every method raises ValueError for what no device can hold."""

    def __init__(self) -> None:
        from pymodbus.pdu import DecodePDU, bit_message, register_message  # noqa: PLC0415 - heavy, see above

        self._decoder = DecodePDU(is_server=False)
        self._bits = bit_message
        self._registers = register_message

    def read(self, unit: int, table: Table, address: int, count: int) -> Request:
        """Asks for `count` registers or bits from `address`."""
        kind = {
            Table.COIL: self._bits.ReadCoilsRequest,
            Table.DISCRETE: self._bits.ReadDiscreteInputsRequest,
            Table.HOLDING: self._registers.ReadHoldingRegistersRequest,
            Table.INPUT: self._registers.ReadInputRegistersRequest,
        }[table]
        pdu = bytes((table,)) + kind(address=address, count=count).encode()
        size = answer_size(table, count)
        return Request(unit, pdu, count, size, bytes((table, size - 2)))

    def write(self, unit: int, address: int, values: Sequence[int], *, multiple: bool = False) -> Request:
        """Sets holding registers: function 6 for one, 16 for several, or for one too that is written by `multiple`."""
        if not values or any(not 0 <= value <= _WORD_MAX for value in values):
            raise ValueError(f"registers hold 0 to 65535, not {list(values)}")
        single = len(values) == 1 and not multiple
        kind = self._registers.WriteSingleRegisterRequest if single else self._registers.WriteMultipleRegistersRequest
        return _write(unit, kind.function_code, kind(address=address, registers=list(values)).encode(), len(values))

    def write_coil(self, unit: int, address: int, *, on: bool) -> Request:
        """Sets one bit: function 5."""
        kind = self._bits.WriteSingleCoilRequest
        return _write(unit, kind.function_code, kind(address=address, bits=[on]).encode(), 1)

    def values(self, request: Request, pdu: bytes) -> tuple[int, ...]:
        """The registers, or the bits as 0 and 1, in the reply to a read; empty in the reply to a write."""
        if pdu[0] in _REGISTERS:  # pymodbus makes 76 steps of 76 registers
            return struct.unpack_from(f">{request.quantity}H", pdu, 2)
        reply = self._decoder.decode(pdu)
        if reply is None or not Table.COIL <= request.function <= Table.DISCRETE:
            return ()
        return tuple(int(bit) for bit in reply.bits[: request.quantity])


def answer_size(table: Table, count: int) -> int:
    """Bytes of function code, byte count and data in the reply to a read of `count`."""
    return 2 + ((count + 7) // 8 if table.bits else 2 * count)


def _write(unit: int, function: int, data: bytes, count: int) -> Request:
    """A write is answered by the beginning of itself: function, address, and value or count."""
    pdu = bytes((function,)) + data
    return Request(unit, pdu, count, _WRITE_SIZE, pdu[:_WRITE_SIZE])
