"""A serial port on an asyncio loop: opened by pyserial, read and written on its file descriptor.

It knows bytes, not protocols. Two ways to receive: `read` with `readable` for an owner that asks and waits (Modbus),
`watch` for one that listens (PN532, slcan). A port that hangs up (a USB adapter pulled out) raises NotFound once and is
closed; the owner opens it again by its stable name (udev symlink) when it likes.

Invariant: nothing here blocks but `open`, and `open_aside` does that beside the loop. The descriptor is non-blocking
and VMIN is 1, so that a read of nothing (EAGAIN) and the end of the line (an empty read, EIO) are told apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import termios
from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal, Protocol

import msgspec

from hal.aside import in_thread
from hal.errors import DeviceError, NotFound, Timeout

_CHUNK = 4096
_PARITY = {"none": "N", "even": "E", "odd": "O"}

Baud = Annotated[int, msgspec.Meta(ge=300, le=4_000_000)]


class SerialSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A port and its line parameters: always 8 data bits, no flow control."""

    port: Annotated[str, msgspec.Meta(min_length=1)]
    """Device path, best a stable one such as /dev/ocpp/rs485 (systemd/99-ocpp-station.rules)."""
    baud: Baud = 9600
    parity: Literal["none", "even", "odd"] = "none"
    stop_bits: Literal[1, 2] = 1

    def wire_s(self, count: int) -> float:
        """Seconds that `count` bytes take on the line."""
        bits = 9 + self.stop_bits + (self.parity != "none")
        return count * bits / self.baud


class _Opened(Protocol):
    """What is used of `serial.Serial`, which is imported when a port is opened."""

    def close(self) -> None: ...


class SerialPort:
    """One serial device. `name` is whose errors these are: the configured name of the bus or the driver."""

    def __init__(self, name: str, settings: SerialSettings) -> None:
        self.name = name
        self.settings = settings
        self._serial: _Opened | None = None
        self._fd = -1
        self._watching = False
        self._away: asyncio.TimerHandle | None = None
        self._on_data: Callable[[bytes], None] = lambda _data: None
        self._on_lost: Callable[[DeviceError], None] = lambda _error: None
        self._opening: asyncio.Task[tuple[_Opened, int]] | None = None
        self._awaited = 0

    @property
    def is_open(self) -> bool:
        """Whether the port was opened and has not hung up since, as far as is known."""
        return self._serial is not None

    def open(self) -> None:
        """Opens the port and throws away what it holds. Raises NotFound: no such device, no right, or in use."""
        if self._serial is None:
            self._serial, self._fd = _opened(self.name, self.settings)

    async def open_aside(self) -> None:
        """`open` beside the loop: a USB adapter may take a second, and one that is broken takes for ever.

        Who gives up leaves an opening behind that cannot be stopped: the next one waits for it instead of being told
        that the port is in use, and if there is none it is closed.
        """
        if self._serial is not None:
            return
        if self._opening is None:
            work = in_thread(partial(_opened, self.name, self.settings), "serial-open", _let_go)
            self._opening = asyncio.get_running_loop().create_task(work)
        opening = self._opening
        self._awaited += 1
        try:
            opened = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._unclaimed)
            raise
        except DeviceError:
            self._opening = None
            raise
        finally:
            self._awaited -= 1
        if self._opening is opening:
            self._opening = None
            self._serial, self._fd = opened

    def _unclaimed(self, opening: asyncio.Task[tuple[_Opened, int]]) -> None:
        if self._opening is opening and not self._awaited:
            self._opening = None
            if not opening.cancelled() and opening.exception() is None:
                _let_go(opening.result())

    def close(self) -> None:
        """Lets go of the port; harmless twice."""
        self.unwatch()
        port, self._serial, self._fd = self._serial, None, -1
        if port is not None:
            with contextlib.suppress(OSError):  # on a device that is gone this fails, and nothing is left to close
                port.close()

    def read(self) -> bytes:
        """Everything that has arrived, empty if nothing has. Raises NotFound when the port is closed or has hung up."""
        if self._serial is None:
            raise NotFound(self.name, f"{self.settings.port} is closed")
        parts = []
        while True:
            try:
                part = os.read(self._fd, _CHUNK)
            except BlockingIOError:
                break
            except OSError as error:
                raise self._gone(_why(error)) from None
            if not part:
                raise self._gone("hung up")
            parts.append(part)
            if len(part) < _CHUNK:
                break
        return b"".join(parts)

    def write(self, data: bytes) -> None:
        """Hands `data` to the line. Raises NotFound, or Timeout when the line takes no more bytes."""
        if self._serial is None:
            raise NotFound(self.name, f"{self.settings.port} is closed")
        try:
            written = os.write(self._fd, data)
        except BlockingIOError:
            written = 0
        except OSError as error:
            raise self._gone(_why(error)) from None
        if written < len(data):
            raise Timeout(self.name, f"{self.settings.port} takes no data")

    async def readable(self, seconds: float) -> bool:
        """Waits until bytes (or the end of the line) are there; False if none came within `seconds`."""
        if self._serial is None:
            raise NotFound(self.name, f"{self.settings.port} is closed")
        loop = asyncio.get_running_loop()
        arrived: asyncio.Future[None] = loop.create_future()
        fd = self._fd

        def note() -> None:
            loop.remove_reader(fd)
            if not arrived.done():
                arrived.set_result(None)

        loop.add_reader(fd, note)
        try:
            # wait() reports what is there even if the loop stood still past the deadline
            done, _ = await asyncio.wait({arrived}, timeout=seconds)
        finally:
            loop.remove_reader(fd)
        return bool(done)

    def watch(self, on_data: Callable[[bytes], None], on_lost: Callable[[DeviceError], None]) -> None:
        """Calls `on_data` with what arrives, as it arrives, and `on_lost` once when the port has hung up."""
        self._on_data, self._on_lost = on_data, on_lost
        self._watching = True
        asyncio.get_running_loop().add_reader(self._fd, self._arrived)

    def look_away(self, seconds: float) -> None:
        """Keeps what arrives within the next `seconds` back, and gives it in one piece. For who has asked.

        A UART tells every eight bytes, an adapter every packet: an answer would wake its reader several times.
        """
        if self._watching and self._away is None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._fd)
            self._away = loop.call_later(seconds, self._look_again)

    def unwatch(self) -> None:
        """Ends `watch`; harmless without one."""
        if self._watching:
            self._watching = False
            if self._away is None:
                asyncio.get_running_loop().remove_reader(self._fd)
            else:
                self._away.cancel()
                self._away = None

    def _look_again(self) -> None:
        self._away = None
        asyncio.get_running_loop().add_reader(self._fd, self._arrived)
        self._arrived()

    def _arrived(self) -> None:
        try:
            data = self.read()
        except DeviceError as error:
            self._on_lost(error)
            return
        if data:
            self._on_data(data)

    def _gone(self, why: str) -> NotFound:
        self.close()
        return NotFound(self.name, f"{self.settings.port} was unplugged ({why})")


def _opened(name: str, settings: SerialSettings) -> tuple[_Opened, int]:
    """A port and its descriptor, made non-blocking. Raises NotFound. Blocks for as long as the device likes."""
    import serial  # noqa: PLC0415 - heavy, imported at first use

    try:
        opened = serial.Serial(
            settings.port,
            settings.baud,
            parity=_PARITY[settings.parity],
            stopbits=settings.stop_bits,
            timeout=0,
            exclusive=True,  # a second owner of one wire would read our answers
        )
    except (OSError, ValueError) as error:
        raise NotFound(name, f"cannot open {settings.port}: {_why(error)}") from None
    fd = opened.fileno()
    try:
        attributes = termios.tcgetattr(fd)
        attributes[6][termios.VMIN], attributes[6][termios.VTIME] = 1, 0
        termios.tcsetattr(fd, termios.TCSANOW, attributes)
        termios.tcflush(fd, termios.TCIFLUSH)
    except (OSError, termios.error) as error:
        opened.close()
        raise NotFound(name, f"{settings.port} is not a serial line: {error}") from None
    return opened, fd


def _let_go(opened: tuple[_Opened, int]) -> None:
    opened[0].close()


def _why(error: Exception) -> str:
    code = getattr(error, "errno", None)
    if code in (errno.EAGAIN, errno.EBUSY):  # of the lock; the kernel's words would send people looking elsewhere
        return "in use by another program"
    return os.strerror(code) if isinstance(code, int) else str(error)
