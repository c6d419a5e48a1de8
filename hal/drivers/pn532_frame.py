"""Frames of the PN532 over HSU (UART): building, and cutting them out of a stream that comes in any pieces. Pure.

Source: NXP UM0701-02, 6.2.1 (frame structure), 7.2 (commands).
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from hal.api import Token

WAKE_UP = b"\x55\x55" + bytes(14)
"""Leaves power-down: UM0701-02 7.2.11; the zeros give the chip time to start its clock."""
ACK = bytes.fromhex("0000ff00ff00")

_START = b"\x00\xff"
_TO_CHIP = 0xD4
_TO_HOST = 0xD5
_HEAD = 4  # start code, LEN, LCS
_UID_LENGTHS = (4, 7, 10)
_RANDOM_UID = 0x08


class Signal(enum.Enum):
    """What is not an answer."""

    ACK = "ack"
    NACK = "nack"
    ERROR = "error"  # the chip does not know the command
    DAMAGED = "damaged"  # a wrong checksum


class Answer(NamedTuple):
    """An information frame from the chip: the code of the command it answers, and its data."""

    command: int
    data: bytes


def command(code: int, data: bytes = b"") -> bytes:
    """The frame that gives a command."""
    body = bytes((_TO_CHIP, code)) + data
    length = len(body)
    return b"\x00" + _START + bytes((length, -length & 0xFF)) + body + bytes((-sum(body) & 0xFF, 0))


class Parser:
    """Reassembles frames: feed it whatever a read gave."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Signal | Answer]:
        """Everything that is complete now. Noise between frames is dropped."""
        self._buffer += data
        found = []
        while (event := self._next()) is not None:
            found.append(event)
        return found

    def reset(self) -> None:
        """Forgets an unfinished frame."""
        self._buffer.clear()

    def _next(self) -> Signal | Answer | None:
        while True:
            start = self._buffer.find(_START)
            if start < 0:
                del self._buffer[:-1]  # the last byte may be the first half of a start code
                return None
            del self._buffer[:start]
            if len(self._buffer) < _HEAD:
                return None
            length, check = self._buffer[2], self._buffer[3]
            if (length, check) in ((0x00, 0xFF), (0xFF, 0x00)):
                del self._buffer[:_HEAD]
                return Signal.ACK if length == 0 else Signal.NACK
            if not length or (length + check) & 0xFF:
                del self._buffer[:2]  # no frame begins here
                continue
            end = _HEAD + length + 1
            if len(self._buffer) < end:
                return None
            body, checksum = bytes(self._buffer[_HEAD : end - 1]), self._buffer[end - 1]
            if (sum(body) + checksum) & 0xFF:
                del self._buffer[:2]  # a byte was lost or changed: the next frame may begin inside
                return Signal.DAMAGED
            del self._buffer[:end]
            if body[0] != _TO_HOST or len(body) < 2:  # noqa: PLR2004 - direction and command
                return Signal.ERROR
            return Answer(body[1] - 1, body[2:])


def target(data: bytes) -> Token | None:
    """The card in the answer to InListPassiveTarget (106 kbit/s type A); None if there was none.

    `NbTg Tg SENS_RES(2) SEL_RES NFCIDLength NFCID`. Raises ValueError if it is neither.
    """
    if data[:1] == b"\x00":
        return None
    length = data[5] if len(data) > 5 else 0  # noqa: PLR2004 - the position of NFCIDLength
    uid = data[6 : 6 + length]
    if length not in _UID_LENGTHS or len(uid) < length:
        raise ValueError(f"no card in {data.hex(' ')}")
    return Token(uid.hex().upper(), random_uid=length == _UID_LENGTHS[0] and uid[0] == _RANDOM_UID)
