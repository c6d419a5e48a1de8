"""A CAN bus: one owner per interface, frames in and out, for any number of drivers.

It knows frames, not their meaning (`hal.dbc`). Three ways to a bus, all read on their file descriptor by the loop:
- `slcan`: a serial adapter (Lawicel ASCII). Our own reader, because python-can's takes one byte per system call
  (238 us a frame against 3).
- `socketcan`, `socketcand` and every other python-can interface with a descriptor: its `Bus`, constructed in a thread
  because constructors block; drained by us, because `can.Notifier` spins for ever on an unplugged adapter (python-can
  1865, 1912).

Invariant: a lost interface is told once to every driver on it, closed, and not touched again until one of them opens
it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple, Protocol, TypeVar

import msgspec

from hal.buses.serial import SerialPort, SerialSettings
from hal.context import parse_options
from hal.errors import DeviceError, NotFound, Timeout

log = logging.getLogger(__name__)

T = TypeVar("T")

_SLCAN_SPEED = {10: 0, 20: 1, 50: 2, 100: 3, 125: 4, 250: 5, 500: 6, 800: 7, 1000: 8}
_MAX_DRAIN = 256  # frames per wake-up: other callbacks get their turn
_STD_DIGITS, _EXT_DIGITS = 3, 8


class Frame(NamedTuple):
    """A data frame of classic CAN."""

    id: int
    data: bytes
    extended: bool = False


class Listener(Protocol):
    """A driver on the bus."""

    def heard(self, frame: Frame) -> None:
        """A frame with one of its identifiers. Must not raise."""
        ...

    def lost(self, error: DeviceError) -> None:
        """The interface is gone. Told once."""
        ...


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


class _Interface(Protocol):
    """A way to a bus."""

    async def open(self, heard: Callable[[Frame], None], lost: Callable[[DeviceError], None]) -> None: ...
    def send(self, frame: Frame) -> None: ...
    def close(self) -> None: ...


class CanBus:
    """The owner of one interface; a resource. Raises BadOptions when built."""

    def __init__(self, name: str, options: Mapping[str, object], clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.clock = clock
        given = parse_options(f"bus {name!r}", options, Options)
        self._interface: _Interface = Slcan(name, given) if given.interface == "slcan" else PythonCan(name, given)
        self._listeners: dict[int, Listener] = {}
        self._users: set[int] = set()
        self._open = False
        self._opening: asyncio.Lock | None = None

    async def attach(self, listener: Listener, ids: set[int]) -> None:
        """Gives frames with these identifiers to `listener`; opens the interface if it is closed. Raises NotFound."""
        self._opening = self._opening or asyncio.Lock()
        async with self._opening:
            if not self._open:
                await self._interface.open(self._heard, self._lost)
                self._open = True
        self._users.add(id(listener))
        self._listeners.update(dict.fromkeys(ids, listener))

    async def detach(self, listener: Listener) -> None:
        """No more frames for `listener`; the last one to leave closes the interface. Harmless twice."""
        self._listeners = {key: held for key, held in self._listeners.items() if held is not listener}
        self._users.discard(id(listener))
        if not self._users:
            self._shut()

    async def close(self) -> None:
        """Closes the interface; every driver on it is told that it is lost."""
        self._lost(NotFound(self.name, "was closed"))

    def send(self, frame: Frame) -> None:
        """Hands a frame to the interface. Raises NotFound (closed, unplugged) or Timeout (it takes no more)."""
        if not self._open:
            raise NotFound(self.name, "is not open")
        try:
            self._interface.send(frame)
        except NotFound as error:
            self._lost(error)
            raise

    def _heard(self, frame: Frame) -> None:
        listener = self._listeners.get(frame.id)
        if listener is not None:
            listener.heard(frame)

    def _lost(self, error: DeviceError) -> None:
        told = {id(listener): listener for listener in self._listeners.values()}
        self._listeners.clear()
        self._users.clear()
        self._shut()
        for listener in told.values():
            listener.lost(error)

    def _shut(self) -> None:
        if self._open:
            self._open = False
            self._interface.close()


# ---------------------------------------------------------------------------------------------------------- slcan


class Slcan:
    """A serial adapter that speaks Lawicel's ASCII protocol."""

    def __init__(self, name: str, options: Options) -> None:
        self._name = name
        self._options = options
        self._port = SerialPort(name, SerialSettings(port=options.channel, baud=options.tty_baud))
        self._rest = b""
        self._heard: Callable[[Frame], None] = lambda _frame: None

    async def open(self, heard: Callable[[Frame], None], lost: Callable[[DeviceError], None]) -> None:
        """Opens port and channel. Raises NotFound. Cheap adapters acknowledge nothing, so nothing is waited for."""
        speed = _SLCAN_SPEED.get((self._options.bitrate or 0) // 1000)
        if speed is None:
            raise NotFound(self._name, f"slcan has no bitrate {self._options.bitrate}")
        self._port.open()
        self._rest, self._heard = b"", heard
        self._port.watch(self._arrived, lost)
        if self._options.settle_s:
            await asyncio.sleep(self._options.settle_s)
        self._port.write(f"\rC\rS{speed}\rO\r".encode())  # it may still be open since a crash

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
        self._rest = self._rest[-64:]  # noise without an end
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
    try:
        identifier, length = int(line[1 : 1 + digits], 16), int(line[1 + digits : 2 + digits])
        data = bytes.fromhex(line[2 + digits : 2 + digits + 2 * length].decode("ascii"))
    except ValueError:
        return None
    return Frame(identifier, data, kind == b"T") if len(data) == length else None


# ------------------------------------------------------------------------------------------------------ python-can


class PythonCan:
    """An interface of python-can, drained on its file descriptor."""

    def __init__(self, name: str, options: Options) -> None:
        self._name = name
        self._options = options
        self._bus: Any = None
        self._fd = -1
        self._empty = 0
        self._heard: Callable[[Frame], None] = lambda _frame: None
        self._lost: Callable[[DeviceError], None] = lambda _error: None

    async def open(self, heard: Callable[[Frame], None], lost: Callable[[DeviceError], None]) -> None:
        """Raises NotFound: no such interface, refused, or a library that is missing."""
        optional = {"bitrate": self._options.bitrate, "host": self._options.host, "port": self._options.port}
        given: dict[str, Any] = {key: value for key, value in optional.items() if value is not None}

        def build() -> Any:
            import can  # noqa: PLC0415 - heavy, imported at first use

            return can.Bus(interface=self._options.interface, channel=self._options.channel, **given)

        where = f"{self._options.interface} {self._options.channel}"
        try:
            self._bus = await in_thread(build)
            self._fd = self._bus.fileno()
        except Exception as error:  # noqa: BLE001 - every interface has exceptions of its own
            raise NotFound(self._name, f"cannot open {where}: {error}") from None
        if self._fd < 0:
            raise NotFound(self._name, f"{where} has no file descriptor to wait on")
        self._heard, self._lost, self._empty = heard, lost, 0
        asyncio.get_running_loop().add_reader(self._fd, self._readable)

    def send(self, frame: Frame) -> None:
        """Raises NotFound, Timeout."""
        import can  # noqa: PLC0415 - loaded when the bus was opened

        message = can.Message(arbitration_id=frame.id, data=frame.data, is_extended_id=frame.extended)
        try:
            self._bus.send(message, timeout=0)
        except can.CanOperationError as error:
            raise Timeout(self._name, f"cannot send: {error}") from None
        except (can.CanError, OSError) as error:
            raise NotFound(self._name, f"cannot send: {error}") from None

    def close(self) -> None:
        """Lets go of the interface; `shutdown` of a lost one raises, and that is no news."""
        bus, self._bus = self._bus, None
        if bus is None:
            return
        asyncio.get_running_loop().remove_reader(self._fd)
        with contextlib.suppress(Exception):
            bus.shutdown()

    def _readable(self) -> None:
        try:
            count = self._drain()
        except Exception as error:  # noqa: BLE001 - as above; an exception here again and again is the spin of Notifier
            self._lost(NotFound(self._name, f"was lost: {error}"))
            return
        self._empty = 0 if count else self._empty + 1
        if self._empty > 1 and _ended(self._fd):
            self._lost(NotFound(self._name, "was closed by the other side"))

    def _drain(self) -> int:
        count = 0
        while count < _MAX_DRAIN and self._bus is not None and (message := self._bus.recv(timeout=0)) is not None:
            count += 1
            if not (message.is_error_frame or message.is_remote_frame):
                self._heard(Frame(message.arbitration_id, bytes(message.data), message.is_extended_id))
        return count


def _ended(fd: int) -> bool:
    """Whether the descriptor is a socket whose other side has closed it."""
    try:
        with socket.socket(fileno=fd) as peer:
            try:
                return peer.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
            finally:
                peer.detach()
    except OSError:
        return False


async def in_thread(work: Callable[[], T]) -> T:
    """Runs what blocks in a daemon thread of its own: one that hangs must not hold up the end of the process."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def deliver(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type] # no error: `work` has returned a T

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except Exception as raised:  # noqa: BLE001 - handed to who waits
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(deliver, result, error)

    threading.Thread(target=run, daemon=True, name="can-open").start()
    return await future
