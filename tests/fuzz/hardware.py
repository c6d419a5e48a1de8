"""What comes from buses and devices: Modbus RTU, the card reader, CAN in words and in a DBC's bits."""

from __future__ import annotations

import asyncio
import functools
import math
import operator
import struct
from collections.abc import Sequence

from hal.api import Token
from hal.buses.can_ascii import Frame, parse_slcan, parse_socketcand
from hal.buses.modbus_tcp import _Line
from hal.buses.pdu import Table
from hal.buses.rapi import framed, parsed
from hal.buses.rtu import Rtu, shape_of
from hal.dbc import parse
from hal.drivers import pn532_frame, rdm6300
from hal.errors import BadOptions
from tests.fuzz.target import Run, Target, pieces

UNIT = 5
_EXTENDED = 1 << 29


def modbus() -> tuple[Sequence[bytes], Run]:
    """A frame counts only if its CRC is right; of one that does, no more registers are read than were asked for."""
    rtu = Rtu()
    asked = [rtu.read(UNIT, Table.HOLDING, 0, 4), rtu.read(UNIT, Table.COIL, 0, 4)]

    def crc(body: bytes) -> bytes:
        return body + rtu._crc(body).to_bytes(2, "big")

    def run(data: bytes) -> bool:
        found, buffer = 0, bytearray()
        for piece in pieces(data):
            buffer += piece
            while (reply := rtu.take(buffer, {UNIT})) is not None:
                found += 1
                assert crc(bytes((reply.unit,)) + reply.pdu) in data
                assert reply.unit == UNIT
                for request in asked:
                    if reply.shape == shape_of(request):
                        values = rtu.values(request, reply.pdu)
                        assert len(values) <= request.quantity
                        assert all(0 <= value <= 0xFFFF for value in values)
        assert len(buffer) <= len(data)
        return bool(found)

    good = [(3, 8, *range(8)), (0x83, 2), (1, 1, 0x0D), (6, 0, 1, 0, 7)]
    return [b"\x00\xff" + crc(bytes((UNIT, *body))) for body in good], run


def modbus_tcp() -> tuple[Sequence[bytes], Run]:
    """The same over TCP: a length that lies ends the connection, and nothing piles up."""

    def run(data: bytes) -> bool:
        return asyncio.run(spoken(data))

    async def spoken(data: bytes) -> bool:
        line, found = _Line(), 0
        for piece in pieces(data):
            line.data_received(piece)
            try:
                while (frame := line._take()) is not None:
                    found += 1
                    assert len(frame[2]) <= 253
            except ValueError:
                break  # whoever reads hangs up
            assert len(line._buffer) <= 2 * 260
        return bool(found)

    return [struct.pack(">HHHB", 7, 0, 11, UNIT) + bytes((3, 8, *range(8)))], run


def openevse() -> tuple[Sequence[bytes], Run]:
    """A line of RAPI: its words, or none where its checksum is not that of what came."""

    def run(data: bytes) -> bool:
        words = parsed(data)
        if words is None:
            return False
        assert all(word.isascii() and " " not in word for word in words), words
        return words == ("OK", "1")

    return [framed(("OK", "1")).rstrip(b"\r")], run


def reader() -> tuple[Sequence[bytes], Run]:
    """Whatever the chip says in whatever pieces: what is kept is bounded, a card has a number of a card's length."""
    card = bytes((pn532_frame._TO_HOST, 0x4B, 1, 1, 0, 4, 8, 4, 0x04, 0xAA, 0xBB, 0xCC))
    frame = b"\x00\x00\xff" + bytes((len(card), -len(card) & 0xFF)) + card + bytes((-sum(card) & 0xFF, 0))

    def run(data: bytes) -> bool:
        parser, cards = pn532_frame.Parser(), 0
        for piece in pieces(data):
            for event in parser.feed(piece):
                if isinstance(event, pn532_frame.Answer):
                    assert 0 <= event.command + 1 <= 255
                    cards += _is_card(event.data)
            assert len(parser._buffer) <= 4 + 255 + 1 + 7
        return bool(cards)

    return [pn532_frame.ACK + frame], run


def _is_card(data: bytes) -> bool:
    try:
        token = pn532_frame.target(data)
    except ValueError:
        return False
    assert token is None or (isinstance(token, Token) and len(token.uid_hex) in {8, 14, 20})
    return token is not None


def tag() -> tuple[Sequence[bytes], Run]:
    """A module that says which tag is there: ten digits whose check sum is right, and a buffer that stays small."""
    number = bytes.fromhex("0415AA03F2")
    check = functools.reduce(operator.xor, number)
    frame = b"\x02" + number.hex().upper().encode() + f"{check:02X}".encode() + b"\x03"

    def run(data: bytes) -> bool:
        frames, found = rdm6300.Frames(), []
        for piece in pieces(data):
            found += frames.feed(piece)
            assert len(frames._buffer) < 14
        for token in found:
            assert token.uid_hex.encode() in data.upper()
            assert len(token.uid_hex) == 10
        return bool(found)

    return [b"\x00" + frame + frame], run


def can_text() -> tuple[Sequence[bytes], Run]:
    """A line is a frame of classic CAN, or it is none: no number beyond what the bus has."""

    def run(data: bytes) -> bool:
        found = [parse_slcan(line) for line in data.split(b"\r")]
        found += [parse_socketcand(part) for part in data.decode("ascii", "replace").split(">")]
        for frame in found:
            if frame is not None:
                assert isinstance(frame, Frame)
                assert 0 <= frame.id < (_EXTENDED if frame.extended else 0x800), frame
                assert len(frame.data) <= 8, frame
        return any(found)

    return [b"t10081122334455667788\rT1ABCDEF02AA55\r", b"frame 123 23.424242 11 22 33>frame 1ABCDEF0 1.0 >"], run


DBC = b"""VERSION ""
BU_: Agent
BO_ 256 Status: 8 Agent
 SG_ Volts : 0|16@1+ (0.1,0) [0|6553] "V" Agent
 SG_ Amps : 23|16@0- (0.01,-10) [-100|100] "A" Agent
"""


def dbc() -> tuple[Sequence[bytes], Run]:
    """A file that is taken describes frames whose every signal can be read, whatever they hold."""

    def run(data: bytes) -> bool:
        try:
            parsed = parse("device", data)
        except BadOptions:
            return False
        for message in parsed.messages:
            assert 0 <= message.size <= 8, message
            for filling in (0x00, 0xA5, 0xFF):
                values = message.decode(bytes((filling,)) * message.size)
                assert set(values) == {signal.name for signal in message.signals}
                assert all(math.isfinite(value) for value in values.values()), values
            message.encode({})
        return bool(parsed.messages)

    return [DBC], run


TARGETS = {
    "modbus": Target(modbus),
    "modbus-tcp": Target(modbus_tcp),
    "openevse": Target(openevse),
    "reader": Target(reader),
    "can-text": Target(can_text),
    "tag": Target(tag),
    "dbc": Target(dbc, examples=25, longest=1024),
}
