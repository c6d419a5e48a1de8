"""CAN interfaces that speak text: an slcan adapter on a serial port, a socketcand over TCP.

python-can has both, but its slcan takes one byte per system call (238 us a frame against 3), and its socketcand has no
descriptor to wait on and spins when the daemon goes away.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Collection
from typing import Annotated, NamedTuple

import msgspec

from hal.buses.serial import SerialPort, SerialSettings
from hal.errors import BadOptions, DeviceError, NotFound, Timeout

_SLCAN_SPEED = {
    10_000: 0,
    20_000: 1,
    50_000: 2,
    100_000: 3,
    125_000: 4,
    250_000: 5,
    500_000: 6,
    800_000: 7,
    1_000_000: 8,
}
_STD_DIGITS, _EXT_DIGITS = 3, 8
_STD_MAX, _EXT_MAX = 0x7FF, 0x1FFF_FFFF
_HEX = re.compile(r"[0-9A-Fa-f]{1,8}")
_OCTETS = re.compile(r"([0-9A-Fa-f]{2}){0,8}")
_LINE_MAX = 64
_CONNECT_S = 5.0
_UNSENT_MAX = 4096


class Frame(NamedTuple):
    """A data frame of classic CAN."""

    id: int
    data: bytes
    extended: bool = False


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The bus in a configuration: `buses: {can0: {kind: can, interface: socketcan, channel: can0}}`."""

    interface: str
    """`slcan`, or a python-can interface such as `socketcan` and `socketcand`."""
    channel: str
    """Serial port of an slcan adapter, network interface, or what the python-can interface calls its channel."""
    bitrate: int | None = None
    """Needed for slcan; a kernel interface is configured by the system."""
    tty_baud: Annotated[int, msgspec.Meta(ge=300, le=4_000_000)] = 115200
    settle_s: Annotated[float, msgspec.Meta(ge=0.0, le=10.0)] = 0.0
    """Pause after opening an slcan adapter that resets when it is opened (Arduino: 2)."""
    host: str | None = None
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    """Of a socketcand."""


class Slcan:
    """A serial adapter that speaks Lawicel's ASCII protocol."""

    def __init__(self, name: str, options: Options) -> None:
        if (options.bitrate or 0) not in _SLCAN_SPEED:
            known = ", ".join(map(str, _SLCAN_SPEED))
            raise BadOptions(f"bus {name!r}", ".bitrate", f"slcan needs one of {known}, not {options.bitrate}")
        self._name = name
        self._options = options
        self._port = SerialPort(name, SerialSettings(port=options.channel, baud=options.tty_baud))
        self._rest = b""
        self._heard: Callable[[Frame], None] = lambda _frame: None

    async def open(self, heard: Callable[[Frame], None], lost: Callable[[DeviceError], None]) -> None:
        """Opens port and channel. Raises NotFound. Cheap adapters acknowledge nothing, so nothing is waited for."""
        speed = _SLCAN_SPEED[self._options.bitrate or 0]
        await self._port.open_aside()
        self._rest, self._heard = b"", heard
        self._port.watch(self._arrived, lost)
        if self._options.settle_s:
            await asyncio.sleep(self._options.settle_s)
        self._port.write(f"\rC\rS{speed}\rO\r".encode())  # it may still be open since a crash

    def only(self, ids: Collection[int]) -> None:
        """All come: the acceptance registers of adapters mean something else in each."""

    def send(self, frame: Frame) -> None:
        """Raises NotFound, Timeout."""
        head = f"T{frame.id:08X}" if frame.extended else f"t{frame.id:03X}"
        self._port.write(f"{head}{len(frame.data)}{frame.data.hex().upper()}\r".encode())

    def close(self) -> None:
        """Closes channel and port."""
        if self._port.is_open:
            with contextlib.suppress(DeviceError):
                self._port.write(b"C\r")
        self._port.close()

    def _arrived(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).replace(b"\a", b"\r").split(b"\r")
        self._rest = self._rest[-_LINE_MAX:]  # noise without an end
        for line in lines:
            frame = parse_slcan(line)
            if frame is not None:
                self._heard(frame)


def parse_slcan(line: bytes) -> Frame | None:
    """A data frame; None for acknowledgements, remote frames, and what was damaged on the way."""
    kind = line[:1]
    if kind not in (b"t", b"T"):
        return None
    digits = _STD_DIGITS if kind == b"t" else _EXT_DIGITS
    size = line[1 + digits : 2 + digits]
    if not size.isdigit():
        return None
    identifier, data = line[1 : 1 + digits], line[2 + digits : 2 + digits + 2 * int(size)]
    frame = _frame(identifier.decode("ascii", "replace"), data.decode("ascii", "replace"), extended=kind == b"T")
    return frame if frame is not None and len(frame.data) == int(size) else None


def _frame(identifier: str, data: str, *, extended: bool) -> Frame | None:
    """A frame that there can be on a bus. Digits alone: Python's own readers take signs and blanks, too."""
    if not _HEX.fullmatch(identifier) or not _OCTETS.fullmatch(data):
        return None
    number = int(identifier, 16)
    return Frame(number, bytes.fromhex(data), extended) if number <= (_EXT_MAX if extended else _STD_MAX) else None


class Socketcand:
    """A bus of another machine, over TCP (socketcand's raw mode)."""

    def __init__(self, name: str, options: Options) -> None:
        self._name = name
        self._options = options
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self, heard: Callable[[Frame], None], lost: Callable[[DeviceError], None]) -> None:
        """Connects and opens the channel. Raises NotFound."""
        host, port = self._options.host or "127.0.0.1", self._options.port or 29536
        try:
            async with asyncio.timeout(_CONNECT_S):
                reader, self._writer = await asyncio.open_connection(host, port)
                await self._greet(reader, self._writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            self.close()
            raise NotFound(self._name, f"no socketcand at {host}:{port}: {error}") from None
        except NotFound:
            self.close()
            raise
        self._task = asyncio.create_task(self._listen(reader, heard, lost), name=f"socketcand {self._name}")

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for expected, say in (("hi", f"open {self._options.channel}"), ("ok", "rawmode"), ("ok", "")):
            said = await _element(reader)
            if said != expected:
                raise NotFound(self._name, f"socketcand does not share {self._options.channel}: {said}")
            if say:
                writer.write(f"< {say} >".encode())

    def only(self, ids: Collection[int]) -> None:
        """All come: raw mode knows no filter."""

    def send(self, frame: Frame) -> None:
        """Raises NotFound, Timeout."""
        if self._writer is None or self._writer.is_closing():
            raise NotFound(self._name, "is not connected")
        if self._writer.transport.get_write_buffer_size() > _UNSENT_MAX:
            raise Timeout(self._name, "socketcand takes no data")
        identifier = f"{frame.id:08X}" if frame.extended else f"{frame.id:03X}"
        self._writer.write(f"< send {identifier} {len(frame.data)} {frame.data.hex(' ')} >".encode())

    def close(self) -> None:
        """Harmless twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    async def _listen(
        self, reader: asyncio.StreamReader, heard: Callable[[Frame], None], lost: Callable[[DeviceError], None]
    ) -> None:
        try:
            while True:
                frame = parse_socketcand(await _element(reader))
                if frame is not None:
                    heard(frame)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            self._task = None  # it ends by itself
            lost(NotFound(self._name, "socketcand has gone away"))


async def _element(reader: asyncio.StreamReader) -> str:
    """What stands between the next `<` and `>`."""
    return (await reader.readuntil(b">")).decode("ascii", "replace").partition("<")[2].rstrip(">").strip()


def parse_socketcand(element: str) -> Frame | None:
    """The frame in `frame ID SECONDS DATA`; None for anything else."""
    words = element.split()
    if len(words) < 3 or words[0] != "frame" or not _HEX.fullmatch(words[1]):  # noqa: PLR2004 - word, identifier, time
        return None
    extended = len(words[1]) > _STD_DIGITS or int(words[1], 16) > _STD_MAX
    return _frame(words[1], "".join(words[3:]), extended=extended)
