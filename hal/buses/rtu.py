"""Modbus RTU frames, and what a device still owes: pure, no I/O.

pymodbus computes the CRCs. What it does not do is cut two replies apart that arrived together, or say to which request
a reply can belong; that is here.
"""

from __future__ import annotations

from collections.abc import Container
from functools import lru_cache
from typing import NamedTuple

from hal.buses.pdu import EXCEPTION, MAX_COUNT, Pdus, Request, Table, answer_size

_FRAMES = 64
_AROUND = 3
"""Bytes around a PDU: the unit before it, the CRC behind."""
_EXCEPTION_SIZE = 2 + _AROUND
_WRITE_SIZE = 5 + _AROUND
_PROBE_STEPS = (-2, 2, -4, 4, -6, 6, -8, 8, -1, 1, -3, 3)
"""Probe lengths to try, relative to the request's: even ones first, as meters with 32-bit values refuse odd ones."""
_BITS, _REGISTERS, _WRITES = (1, 2), (3, 4), (5, 6, 15, 16)
_REFUSALS = tuple(function | EXCEPTION for function in (*_BITS, *_REGISTERS, *_WRITES))


_FIRST_TURNAROUND_S = 0.02
_OFTEN = 16
"""So many replies in time make a device sure, and every so many it is looked at when its reply is due."""
_SINKS = 0.99
_MARGIN, _MARGIN_S = 1.1, 0.002


class Shape(NamedTuple):
    """What a reply looks like from outside: function code and length of the whole frame."""

    function: int
    size: int


class Reply(NamedTuple):
    """A frame with a valid CRC."""

    unit: int
    shape: Shape
    pdu: bytes

    @property
    def refusal(self) -> int | None:
        """The exception code; None for an answer."""
        return self.pdu[1] if self.shape.function & EXCEPTION else None


class Rtu(Pdus):
    """The codec of a serial line."""

    def __init__(self) -> None:
        super().__init__()
        from pymodbus.framer import FramerRTU  # noqa: PLC0415 - heavy, imported at first use

        self._crc = FramerRTU.compute_CRC
        self.frame = lru_cache(_FRAMES)(self._frame)
        """What goes onto the line for a request. The same few are asked for ever."""
        self.shape = lru_cache(_FRAMES)(shape_of)

    def _frame(self, request: Request) -> bytes:
        body = bytes((request.unit,)) + request.pdu
        return body + self._crc(body).to_bytes(2, "big")

    def take(self, buffer: bytearray, units: Container[int]) -> Reply | None:
        """Removes the first whole reply of one of `units` and the noise before it; None if none is there."""
        for start in range(len(buffer) - _EXCEPTION_SIZE + 1):
            size = _size(buffer[start : start + 3])
            end = start + size
            if not size or end > len(buffer) or buffer[start] not in units:
                continue
            frame = bytes(buffer[start:end])
            if self._crc(frame[:-2]) == int.from_bytes(frame[-2:], "big"):
                del buffer[:end]
                return Reply(frame[0], Shape(frame[1], size), frame[1:-2])
        return None


class Pace:
    """How long a device takes to answer, learned from when its replies were found whole. Pure.

    What came sooner than it was looked for came at an unknown instant. So the line's pause after a reply is counted
    from the look; or, for a device that is `sure`, from `surely_s`. That it still is, is found out from time to time.
    """

    def __init__(self) -> None:
        self.turnaround_s = _FIRST_TURNAROUND_S
        """So long after the earliest possible end of a reply it is there, nearly always."""
        self._in_time = 0

    @property
    def sure(self) -> bool:
        """Whether the next reply need not be looked for when it is due."""
        return self._in_time >= _OFTEN and self._in_time % _OFTEN > 0

    @property
    def surely_s(self) -> float:
        """The turnaround, and a margin."""
        return self.turnaround_s * _MARGIN + _MARGIN_S

    def in_time(self, *, found_out: bool) -> None:
        """It was there at the first look; `found_out`: which was when it was due."""
        if found_out and self._in_time >= _OFTEN:
            self.turnaround_s *= _SINKS
        self._in_time += 1

    def late(self, seconds: float) -> None:
        """It came at a later look, so long after its earliest possible end."""
        if self._in_time < _OFTEN:  # once in a while says nothing: a host that stood still, a frame that was late
            self.turnaround_s = min(seconds, 2 * self.turnaround_s) * _MARGIN + _MARGIN_S
        self._in_time = 0

    def doubt(self) -> None:
        """The question that followed its reply was not understood: perhaps the pause was short."""
        self._in_time = 0


def shape_of(request: Request) -> Shape:
    """The shape of the reply to a request."""
    return Shape(request.function, request.answer_size + _AROUND)


def reading(table: Table, count: int) -> Shape:
    """The shape of the reply to a read of `count` registers."""
    return Shape(table, answer_size(table, count) + _AROUND)


def _size(head: bytes | bytearray) -> int:
    """The length of the reply that begins with these three bytes; 0 if no reply does."""
    function = head[1]
    if function in _REGISTERS:
        return _EXCEPTION_SIZE + head[2] if head[2] % 2 == 0 else 0
    if function in _BITS:
        return _EXCEPTION_SIZE + head[2]
    if function in _WRITES:
        return _WRITE_SIZE
    return _EXCEPTION_SIZE if function in _REFUSALS else 0


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
        if shape.function & EXCEPTION:
            functions = [owed.function for owed in self.shapes]
            if shape.function & ~EXCEPTION not in functions:
                return False
            del self.shapes[: functions.index(shape.function & ~EXCEPTION) + 1]
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
