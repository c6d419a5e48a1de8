"""A key pad, or a card reader that types like a keyboard, by the kernel's input events.

    readers:
      pin: {driver: keypad, device: /dev/input/by-path/platform-matrix-keypad-event}
      usb: {driver: keypad, device: /dev/input/by-id/usb-Sycreader-event-kbd, type: ISO14443}

Wiring: USB (HID), or a matrix on GPIO lines (`gpio-matrix-keypad` in the device tree). Source: Linux,
Documentation/input/input.rst (struct input_event), event-codes.rst (EV_KEY, SYN_DROPPED) and
include/uapi/linux/input-event-codes.h (numbers of keys).

Digits are collected until Enter or #; Backspace, Escape or * begins anew, and so does a rest of `patience_s`: what one
person has begun the next one does not complete. With `digits` the last one ends it. The device is taken for ourselves
(EVIOCGRAB): what is typed at a charger must not reach a console. **What is typed is a secret**: it is in no log.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Annotated, Final

import msgspec

from hal.api import Token, TokenType
from hal.context import DriverContext, parse_options
from hal.drivers.presentation import Debounce
from hal.errors import DeviceError, NotFound

_EVENT: Final = struct.Struct("@llHHi")  # struct input_event: seconds, microseconds, type, code, value
_EV_SYN, _EV_KEY, _SYN_DROPPED, _PRESSED = 0, 1, 3, 1
_GRAB: Final = 0x40044590  # EVIOCGRAB: _IOW('E', 0x90, int)
_CHUNK: Final = 64 * _EVENT.size
_CARDS: Final = frozenset({TokenType.ISO14443, TokenType.ISO15693, TokenType.EM4100})
_LONGEST: Final = 36
"""The longest idToken of OCPP."""

_ROW: Final = dict(zip(range(2, 12), "1234567890", strict=True))
_BLOCK: Final = dict(zip((71, 72, 73, 75, 76, 77, 79, 80, 81, 82), "7894561230", strict=True))
_NUMERIC: Final = {0x200 + value: str(value) for value in range(10)}
_LETTERS: Final = {30: "A", 48: "B", 46: "C", 32: "D", 18: "E", 33: "F"}
KEYS: Final[Mapping[int, str]] = {**_ROW, **_BLOCK, **_NUMERIC, **_LETTERS}
"""KEY_1 ... KEY_0, KEY_KP*, KEY_NUMERIC_*, and the letters that a card's number may have."""
ENTER: Final = frozenset({28, 96, 0x20B})  # KEY_ENTER, KEY_KPENTER, KEY_NUMERIC_POUND
CLEAR: Final = frozenset({1, 14, 55, 111, 0x20A})  # KEY_ESC, _BACKSPACE, _KPASTERISK, _DELETE, _NUMERIC_STAR


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The driver's part of a configuration."""

    device: Annotated[str, msgspec.Meta(min_length=1)]
    """Best a name of /dev/input/by-path or by-id."""
    type: TokenType = TokenType.KEY_CODE
    digits: Annotated[int, msgspec.Meta(ge=1, le=_LONGEST)] | None = None
    """So many end it, without Enter."""
    least: Annotated[int, msgspec.Meta(ge=1, le=_LONGEST)] = 4
    """Fewer are a mistake of the fingers."""
    patience_s: Annotated[float, msgspec.Meta(gt=0.0, le=300.0)] = 10.0
    debounce_s: Annotated[float, msgspec.Meta(ge=0.0, le=60.0)] = 2.0
    """Cards only: the same one within this time is the same presentation."""
    grab: bool = True


class Typing:
    """Turns keys into what was typed. Pure."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._typed = ""
        self._at = 0.0

    def key(self, code: int, now: float) -> str | None:
        """A key was pressed; gives what is complete by it."""
        if now - self._at > self._options.patience_s:
            self._typed = ""
        self._at = now
        if code in CLEAR:
            self._typed = ""
        elif code in ENTER:
            return self._taken()
        elif code in KEYS:
            self._typed = (self._typed + KEYS[code])[: _LONGEST + 1]
            if len(self._typed) == self._options.digits:
                return self._taken()
        return None

    def forget(self) -> None:
        """Begin anew."""
        self._typed = ""

    def _taken(self) -> str | None:
        typed, self._typed = self._typed, ""
        wanted = self._options.digits
        fits = len(typed) == wanted if wanted is not None else self._options.least <= len(typed) <= _LONGEST
        return typed if fits else None


class Keypad:
    """TokenReader. Raises BadOptions when built."""

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        self._options = given = parse_options(f"reader {name!r}", options, Options)
        self.name = name
        self._clock: Callable[[], float] = context.clock
        self._typing = Typing(given)
        self._debounce = Debounce(given.debounce_s)
        self._fd = -1
        self._rest = b""
        self._tokens: deque[Token] = deque()
        self._arrived = asyncio.Event()
        self._lost: DeviceError | None = NotFound(name, "is not open")

    async def open(self) -> None:
        """Takes the device for ourselves. Raises NotFound: not there, no right, taken, no input device."""
        self._let_go()
        try:
            self._fd = os.open(self._options.device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            if self._options.grab:
                fcntl.ioctl(self._fd, _GRAB, 1)
        except OSError as error:
            self._let_go()
            raise NotFound(self.name, f"{self._options.device} cannot be taken: {error.strerror}") from None
        self._lost, self._arrived = None, asyncio.Event()
        asyncio.get_running_loop().add_reader(self._fd, self._readable)

    async def close(self) -> None:
        """Lets go of it; `tokens` raises NotFound."""
        self._let_go()
        self._gone(NotFound(self.name, "was closed"))

    async def tokens(self) -> AsyncIterator[Token]:
        """What was typed, each time. Raises NotFound: unplugged, or closed."""
        self._tokens.clear()
        self._typing.forget()
        while True:
            while self._tokens:
                yield self._tokens.popleft()
            if self._lost is not None:
                raise self._lost.with_traceback(None)  # kept: its traceback must not grow
            self._arrived.clear()
            await self._arrived.wait()

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            data, why = b"", os.strerror(error.errno or 0)
        else:
            why = "hung up"
        if not data:
            self._let_go()
            self._gone(NotFound(self.name, f"{self._options.device} was unplugged ({why})"))
            return
        data = self._rest + data
        whole = len(data) - len(data) % _EVENT.size
        self._rest = data[whole:]
        for _, _, kind, code, value in _EVENT.iter_unpack(data[:whole]):
            self._event(kind, code, value)

    def _event(self, kind: int, code: int, value: int) -> None:
        if kind == _EV_SYN and code == _SYN_DROPPED:
            self._typing.forget()  # keys were lost: what is there now is not what was typed
        if kind != _EV_KEY or value != _PRESSED:
            return
        typed = self._typing.key(code, self._clock())
        if typed is None:
            return
        token = Token(typed, self._options.type)
        if self._options.type not in _CARDS or self._debounce.is_news(token, self._clock()):
            self._tokens.append(token)
            self._arrived.set()

    def _let_go(self) -> None:
        fd, self._fd, self._rest = self._fd, -1, b""
        if fd >= 0:
            asyncio.get_running_loop().remove_reader(fd)
            with contextlib.suppress(OSError):
                os.close(fd)

    def _gone(self, error: DeviceError) -> None:
        self._lost = self._lost or error
        self._arrived.set()
