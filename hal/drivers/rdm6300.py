"""RDM6300 (and RDM630) reader of 125 kHz tags, EM4100: a module that says which tag is there, and hears nothing.

Wiring: TX of the module to RX (5 V TTL: a divider for a 3.3 V board), 9600 8N1. Source: data sheet RDM630 (seeedstudio,
wiki `125Khz RFID module - UART`), which gives frame and example; forum.arduino.cc/t/251993 for the number on the tag.

    readers: {front: {driver: rdm6300, port: /dev/ocpp/reader}}

A frame is 02, ten hex digits, two of check sum, 03; the check sum is the XOR of the five bytes. It is repeated while
the tag is held. **Not a secure credential**: such a tag tells its number to everybody and is copied for a few cents.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec

from hal.api import Token, TokenType
from hal.buses.serial import SerialSettings
from hal.context import DriverContext, parse_options
from hal.drivers.presentation import Debounce
from hal.drivers.serial_reader import SerialReader

_START: Final = 0x02
_END: Final = 0x03
_LENGTH: Final = 14
_NUMBER: Final = slice(1, 5)
"""Of the five bytes: the number that is printed on the tag; the first is the maker's or the version."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The driver's part of a configuration."""

    port: Annotated[str, msgspec.Meta(min_length=1)]
    debounce_s: Annotated[float, msgspec.Meta(ge=0.0, le=60.0)] = 2.0
    """A tag that is still there, or is back within this time, is the same presentation."""
    spelling: Literal["hex", "printed"] = "hex"
    """All five bytes in hex, or the ten decimal digits that are printed on most tags."""


class Rdm6300(SerialReader):
    """TokenReader. Raises BadOptions when built."""

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        given = parse_options(f"reader {name!r}", options, Options)
        settings = SerialSettings(port=given.port, baud=9600)
        cutter = Frames(printed=given.spelling == "printed")
        super().__init__(name, settings, cutter, Debounce(given.debounce_s), context.clock)


class Frames:
    """Cuts the frames out of what a read gave; one whose check sum is wrong is nobody's tag."""

    def __init__(self, *, printed: bool = False) -> None:
        self._printed = printed
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Token]:
        """Every tag whose frame is complete now."""
        self._buffer += data
        found: list[Token] = []
        while (start := self._buffer.find(_START)) >= 0:
            del self._buffer[:start]
            if len(self._buffer) < _LENGTH:
                return found
            tag = _tag(bytes(self._buffer[:_LENGTH]))
            if tag is None:
                del self._buffer[:1]  # the next frame may begin inside a damaged one
                continue
            del self._buffer[:_LENGTH]
            found.append(Token(self._spelt(tag), TokenType.EM4100))
        self._buffer.clear()
        return found

    def reset(self) -> None:
        """Forgets an unfinished frame."""
        self._buffer.clear()

    def _spelt(self, tag: bytes) -> str:
        return f"{int.from_bytes(tag[_NUMBER], 'big'):010d}" if self._printed else tag.hex().upper()


def _tag(frame: bytes) -> bytes | None:
    """The five bytes of a frame; None for one that is damaged."""
    digits = frame[1:-1]
    if frame[-1] != _END or not all(digit in b"0123456789ABCDEFabcdef" for digit in digits):
        return None
    *tag, check = bytes.fromhex(digits.decode("ascii"))
    return bytes(tag) if functools.reduce(operator.xor, tag) == check else None
