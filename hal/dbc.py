"""CAN messages as a DBC file describes them: cantools reads the file, a small codec of our own reads the frames.

cantools brings python-can along: 60 ms of CPU and 8 MB to look at a text that never changes. So the parsed form stands
beside the DBC as JSON (`python -m hal.dbc FILE.dbc` writes it), with the hash of its source: it is used while the hash
is right, and cantools is imported only when it is not. A property test holds the codec against cantools.

Not here: multiplexed signals and CAN FD, refused when the file is read.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from hal.errors import BadOptions

_LONGEST = 8
"""Bytes of a frame."""


class Signal(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a number stands in a frame: `value = raw * scale + offset`."""

    name: str
    start: int
    """As in the DBC: the lowest bit of an Intel signal, the highest of a Motorola one (numbered byte * 8 + bit)."""
    length: int
    little: bool = True
    signed: bool = False
    scale: float = 1.0
    offset: float = 0.0

    def placed(self, value: float, size: int) -> int:
        """`value` as bits at their place in a frame of `size` bytes, little-endian. Raises ValueError out of range."""
        raw = round((value - self.offset) / self.scale)
        low, high = (-(1 << self.length - 1), 1 << self.length - 1) if self.signed else (0, 1 << self.length)
        if not low <= raw < high:
            raise ValueError(f"{self.name} cannot hold {value}")
        raw &= (1 << self.length) - 1
        if self.little:
            return raw << self.start
        big = raw << (size * 8 - self.first_from_left - self.length)
        return int.from_bytes(big.to_bytes(size, "big"), "little")

    @property
    def first_from_left(self) -> int:
        """The bits before it in a frame, for a Motorola one."""
        return self.start // 8 * 8 + 7 - self.start % 8


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """A frame: its identifier, its length in bytes, its signals."""

    name: str
    id: int
    size: int
    signals: tuple[Signal, ...]
    extended: bool = False

    def decode(self, data: bytes) -> dict[str, float]:
        """The value of every signal. Raises ValueError for a frame that is too short."""
        if len(data) < self.size:
            raise ValueError(f"{self.name} has {len(data)} bytes instead of {self.size}")
        little, big = int.from_bytes(data[: self.size], "little"), int.from_bytes(data[: self.size], "big")
        values = {}
        for signal in self.signals:  # in one go: a board reports itself each second
            length = signal.length
            place = signal.start if signal.little else self.size * 8 - signal.first_from_left - length
            raw = (little if signal.little else big) >> place & (1 << length) - 1
            if signal.signed and raw >> (length - 1):
                raw -= 1 << length
            values[signal.name] = raw * signal.scale + signal.offset
        return values

    def encode(self, values: Mapping[str, float]) -> bytes:
        """The frame with these values; signals that are not named are 0 bits. Raises ValueError out of range."""
        bits = 0
        for signal in self.signals:
            if signal.name in values:
                bits |= signal.placed(values[signal.name], self.size)
        return bits.to_bytes(self.size, "little")


class Dbc(NamedTuple):
    """The messages of a file, by name."""

    messages: Mapping[str, Message]


class _Parsed(msgspec.Struct, frozen=True):
    source_sha256: str
    messages: tuple[Message, ...]


def load(owner: str, path: Path) -> Dbc:
    """Reads a DBC, by its parsed form where that is up to date. Raises BadOptions in the name of `owner`."""
    try:
        source = path.read_bytes()
    except OSError as error:
        raise BadOptions(owner, ".dbc", f"cannot read {path}: {error.strerror}") from None
    try:
        parsed = msgspec.json.decode(parsed_path(path).read_bytes(), type=_Parsed)
    except (OSError, msgspec.DecodeError, ValueError, RecursionError):
        parsed = None
    if parsed is None or parsed.source_sha256 != hashlib.sha256(source).hexdigest():
        parsed = parse(owner, source)
    return Dbc({message.name: message for message in parsed.messages})


def parse(owner: str, source: bytes) -> _Parsed:
    """Reads the text of a DBC with cantools. Raises BadOptions."""
    from cantools.database.can import Database  # noqa: PLC0415 - heavy, needed only for a DBC that has no parsed form

    try:
        database = Database()
        database.add_dbc_string(source.decode("cp1252"))
    except Exception as error:  # noqa: BLE001 - the parsers below cantools have exceptions of their own
        raise BadOptions(owner, ".dbc", f"is not a DBC: {error}") from None
    messages = []
    for message in database.messages:
        if message.is_multiplexed() or message.is_fd:
            raise BadOptions(owner, ".dbc", f"{message.name} is multiplexed or CAN FD, which is not supported")
        if any(s.conversion.is_float for s in message.signals):
            raise BadOptions(owner, ".dbc", f"{message.name} has signals of floating point, which are not supported")
        if not 0 <= message.length <= _LONGEST:
            raise BadOptions(
                owner, ".dbc", f"{message.name} has {message.length} bytes, a frame has {_LONGEST} at most"
            )
        signals = tuple(
            Signal(s.name, s.start, s.length, s.byte_order == "little_endian", s.is_signed, s.scale, s.offset)
            for s in message.signals
        )
        messages.append(
            Message(message.name, message.frame_id, message.length, signals, extended=message.is_extended_frame)
        )
    return _Parsed(hashlib.sha256(source).hexdigest(), tuple(messages))


def parsed_path(path: Path) -> Path:
    """Where the parsed form of a DBC stands: `x.dbc` -> `x.dbc.json`."""
    return path.with_name(path.name + ".json")


def generated(path: Path) -> bytes:
    """The parsed form of the DBC at `path`, as it must stand beside it. Raises BadOptions."""
    return msgspec.json.format(msgspec.json.encode(parse(path.name, path.read_bytes())), indent=1) + b"\n"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        parsed_path(Path(name)).write_bytes(generated(Path(name)))
