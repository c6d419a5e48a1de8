"""Any reader that writes a line for each card: a scanner of QR codes, a key pad, a UHF or LEGIC module with a UART.

    readers:
      front: {driver: line, port: /dev/ocpp/reader, baud: 9600, pattern: 'CARD=(?P<uid>[0-9A-F]{8,20})'}
      gate:  {driver: line, port: /dev/ocpp/scanner, pattern: '(?P<uid>[!-~]{6,36})', type: Central}

Wiring: by the reader's manual; 8 data bits. Source: none is needed, the pattern is the integrator's. It is a regular
expression that must match a whole line; what its group `uid` holds is the token. A line ends with CR, LF or both;
blanks around it and control characters go.
A line that does not match is logged by its length alone, since it may hold somebody's PIN.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Final, Literal

import msgspec

from hal.api import Token, TokenType
from hal.buses.serial import Baud, SerialSettings
from hal.context import DriverContext, parse_options
from hal.drivers.presentation import Debounce
from hal.drivers.serial_reader import SerialReader
from hal.errors import BadOptions

log = logging.getLogger(__name__)

_LONGEST: Final = 256
_ENDS: Final = re.compile(rb"[\r\n]")
_CARDS: Final = frozenset({TokenType.ISO14443, TokenType.ISO15693, TokenType.EM4100})
_LONGEST_ID: Final = 36
"""The longest idToken of OCPP."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The driver's part of a configuration."""

    port: Annotated[str, msgspec.Meta(min_length=1)]
    pattern: Annotated[str, msgspec.Meta(min_length=1)]
    """A regular expression for a whole line, with a group `uid`."""
    baud: Baud = 9600
    parity: Literal["none", "even", "odd"] = "none"
    stop_bits: Literal[1, 2] = 1
    type: TokenType = TokenType.ISO14443
    debounce_s: Annotated[float, msgspec.Meta(ge=0.0, le=60.0)] = 2.0
    """A card that is read again within this time is the same presentation."""
    reverse_uid: bool = False
    """Last byte first: the reader spells cards the other way round than the operator's list."""


class LineReader(SerialReader):
    """TokenReader. Raises BadOptions when built."""

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        driver = f"reader {name!r}"
        given = parse_options(driver, options, Options)
        settings = SerialSettings(port=given.port, baud=given.baud, parity=given.parity, stop_bits=given.stop_bits)
        cutter = Lines(name, _pattern(driver, given.pattern), _spelling(driver, given), given.type)
        super().__init__(name, settings, cutter, Debounce(given.debounce_s), context.clock)


class Lines:
    """Cuts lines out of what a read gave, and tokens out of lines."""

    def __init__(
        self, name: str, pattern: re.Pattern[str], spelt: Callable[[str], str | None], type_: TokenType
    ) -> None:
        self._name = name
        self._pattern = pattern
        self._spelt = spelt
        self._type = type_
        self._buffer = bytearray()
        self._overlong = False

    def feed(self, data: bytes) -> list[Token]:
        """A token for every line that is complete now and matches."""
        self._buffer += data
        *lines, rest = _ENDS.split(bytes(self._buffer))
        found = [token for line in lines if (token := self._token(line)) is not None]
        self._buffer[:] = rest
        if len(rest) > _LONGEST:  # no line, but noise: what follows up to the next end is its remainder
            self._buffer.clear()
            self._overlong = True
        return found

    def reset(self) -> None:
        """Forgets an unfinished line."""
        self._buffer.clear()
        self._overlong = False

    def _token(self, line: bytes) -> Token | None:
        overlong, self._overlong = self._overlong, False
        text = "".join(char for char in line.decode("latin-1") if char.isprintable()).strip()
        if overlong or not text:
            return None
        match = self._pattern.fullmatch(text)
        uid = self._spelt(match["uid"]) if match and match["uid"] else None
        if uid is None:
            log.warning("reader.line_unknown", extra={"reader": self._name, "characters": len(text)})
            return None
        return Token(uid, self._type)


def _pattern(driver: str, text: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise BadOptions(driver, ".pattern", f"is no regular expression: {error}") from None
    if "uid" not in pattern.groupindex:
        raise BadOptions(driver, ".pattern", "names no group `uid`: write `(?P<uid>...)` around the identifier")
    return pattern


def _spelling(driver: str, given: Options) -> Callable[[str], str | None]:
    """How an identifier is written: a card in upper-case hex, anything else as it came. None: it is none."""
    if given.type not in _CARDS:
        if given.reverse_uid:
            raise BadOptions(driver, ".reverse_uid", f"is for cards, not for {given.type.value}")
        return lambda text: text if len(text) <= _LONGEST_ID else None
    step = -1 if given.reverse_uid else 1

    def card(text: str) -> str | None:
        digits = re.sub(r"[\s:.\-]", "", text)
        if not digits or len(digits) > _LONGEST_ID or not all(digit in "0123456789ABCDEFabcdef" for digit in digits):
            return None
        return bytes.fromhex(digits)[::step].hex().upper() if not len(digits) % 2 else None

    return card
