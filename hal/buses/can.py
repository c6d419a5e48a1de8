"""A CAN bus: one owner per interface, frames in and out, for any number of drivers.

It knows frames, not their meaning (`hal.dbc`). `slcan` and `socketcand` are read by ourselves (`hal.buses.can_ascii`);
every other interface of python-can that has a file descriptor, such as `socketcan`, is python-can's `Bus`: constructed
in a thread because constructors block, and drained by us on the loop, because `can.Notifier` spins for ever on an
unplugged adapter (python-can 1865, 1912).

Invariant: a lost interface is told once to every driver on it, closed, and not touched again until one of them opens
it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from hal.aside import in_thread
from hal.buses.can_ascii import Frame, Options, Slcan, Socketcand
from hal.context import parse_options
from hal.errors import DeviceError, NotFound, Timeout

log = logging.getLogger(__name__)

_WHOLE_ID = 0x1FFFFFFF
_MAX_DRAIN = 256  # frames per wake-up: other callbacks get their turn


class Listener(Protocol):
    """A driver on the bus."""

    def heard(self, frame: Frame) -> None:
        """A frame with one of its identifiers. Must not raise."""
        ...

    def lost(self, error: DeviceError) -> None:
        """The interface is gone. Told once."""
        ...


class _Interface(Protocol):
    """A way to a bus."""

    async def open(self, heard: Callable[[Frame], None], lost: Callable[[DeviceError], None]) -> None: ...
    def only(self, ids: Collection[int]) -> None: ...
    def send(self, frame: Frame) -> None: ...
    def close(self) -> None: ...


class CanBus:
    """The owner of one interface; a resource. Raises BadOptions when built."""

    def __init__(self, name: str, options: Mapping[str, object], clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.clock = clock
        self.options = given = parse_options(f"bus {name!r}", options, Options)
        self._interface: _Interface = _OWN.get(given.interface, PythonCan)(name, given)
        self._listeners: dict[int, tuple[Listener, ...]] = {}
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
        for identifier in ids:
            others = (held for held in self._listeners.get(identifier, ()) if held is not listener)
            self._listeners[identifier] = (*others, listener)
        self._interface.only(self._listeners.keys())

    async def detach(self, listener: Listener) -> None:
        """No more frames for `listener`; the last one to leave closes the interface. Harmless twice."""
        left = {at: tuple(other for other in held if other is not listener) for at, held in self._listeners.items()}
        self._listeners = {identifier: held for identifier, held in left.items() if held}
        self._users.discard(id(listener))
        if not self._users:
            self._shut()
        elif self._open:
            self._interface.only(self._listeners.keys())

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
        for listener in self._listeners.get(frame.id, ()):
            listener.heard(frame)

    def _lost(self, error: DeviceError) -> None:
        told = {id(listener): listener for held in self._listeners.values() for listener in held}
        self._listeners.clear()
        self._users.clear()
        self._shut()
        for listener in told.values():
            listener.lost(error)

    def _shut(self) -> None:
        if self._open:
            self._open = False
            self._interface.close()


# ------------------------------------------------------------------------------------------------------ python-can


class PythonCan:
    """An interface of python-can, drained on its file descriptor."""

    def __init__(self, name: str, options: Options) -> None:
        self._name = name
        self._options = options
        self._bus: Any = None
        self._fd = -1
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
            bus = await in_thread(build, "can-open", lambda bus: bus.shutdown())
        except Exception as error:  # noqa: BLE001 - every interface has exceptions of its own
            raise NotFound(self._name, f"cannot open {where}: {error}") from None
        fd = -1
        with contextlib.suppress(Exception):  # NotImplementedError, for one
            fd = bus.fileno()
        if fd < 0:
            with contextlib.suppress(Exception):
                bus.shutdown()
            raise NotFound(self._name, f"{where} has no file descriptor to wait on")
        self._bus, self._fd, self._heard, self._lost = bus, fd, heard, lost
        asyncio.get_running_loop().add_reader(self._fd, self._readable)

    def only(self, ids: Collection[int]) -> None:
        """No other identifiers wake us: for socketcan the kernel drops them."""
        with contextlib.suppress(Exception):  # as above; what comes all the same is passed over
            self._bus.set_filters([{"can_id": identifier, "can_mask": _WHOLE_ID} for identifier in sorted(ids)])

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
            self._drain()
        except Exception as error:  # noqa: BLE001 - as above; an exception here again and again is the spin of Notifier
            self._lost(NotFound(self._name, f"was lost: {error}"))

    def _drain(self) -> None:
        for _ in range(_MAX_DRAIN):
            message = self._bus.recv(timeout=0) if self._bus is not None else None
            if message is None:
                return
            if not (message.is_error_frame or message.is_remote_frame):
                self._heard(Frame(message.arbitration_id, bytes(message.data), message.is_extended_id))


_OWN: Mapping[str, Callable[[str, Options], _Interface]] = {"slcan": Slcan, "socketcand": Socketcand}
