"""What readers have in common that only talk: bytes come on a serial line, tokens are cut out of them.

Such a reader cannot be asked whether it lives: it is as silent dead as without a card. What can be told is that its
port is gone. A driver gives a `Cutter` for its bytes; here are the port, the debouncing, and the loss.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from hal.api import Token
from hal.buses.serial import SerialPort, SerialSettings
from hal.drivers.presentation import Debounce
from hal.errors import DeviceError, NotFound

FIRST_LISTEN_S = 0.3
"""At opening: a reader that repeats while a card is held has said so by then, and that card is no news."""

_MOST_WAITING = 16
"""Tokens that nobody took yet; a stream of them is noise."""


class Cutter(Protocol):
    """Cuts tokens out of a stream that comes in any pieces. Pure, but for the unfinished piece that it keeps."""

    def feed(self, data: bytes) -> list[Token]:
        """Every token that is complete now; what is damaged is passed over."""
        ...

    def reset(self) -> None:
        """Forgets what is unfinished."""
        ...


class SerialReader:
    """TokenReader on a serial line. `clock` is the driver's, in seconds."""

    def __init__(
        self, name: str, settings: SerialSettings, cutter: Cutter, debounce: Debounce, clock: Callable[[], float]
    ) -> None:
        self.name = name
        self._port = SerialPort(name, settings)
        self._cutter = cutter
        self._debounce = debounce
        self._clock = clock
        self._tokens: deque[Token] = deque(maxlen=_MOST_WAITING)
        self._arrived = asyncio.Event()
        self._lost: DeviceError | None = NotFound(name, "is not open")

    async def open(self) -> None:
        """Opens the port, and hears which card is held already. Raises NotFound."""
        self._port.close()
        await self._port.open_aside()
        self._lost, self._arrived = None, asyncio.Event()
        self._cutter.reset()
        self._tokens.clear()
        self._port.watch(self._heard, self._gone)
        await asyncio.sleep(FIRST_LISTEN_S)
        self._pass_over()

    async def close(self) -> None:
        """Lets go of the port; `tokens` raises NotFound."""
        self._port.close()
        self._gone(NotFound(self.name, "was closed"))

    async def tokens(self) -> AsyncIterator[Token]:
        """Each card once per presentation. Raises NotFound: unplugged, or closed."""
        self._pass_over()
        while True:
            while self._tokens:
                token = self._tokens.popleft()
                if self._debounce.is_news(token, self._clock()):
                    yield token
            if self._lost is not None:
                raise self._lost.with_traceback(None)  # kept and raised again: its traceback must not grow
            self._arrived.clear()
            await self._arrived.wait()

    def _pass_over(self) -> None:
        """What was held before anybody listened is known, and not told."""
        while self._tokens:
            self._debounce.is_news(self._tokens.popleft(), self._clock())

    def _heard(self, data: bytes) -> None:
        self._tokens.extend(self._cutter.feed(data))
        if self._tokens:
            self._arrived.set()

    def _gone(self, error: DeviceError) -> None:
        if self._lost is None:
            self._lost = error
        self._arrived.set()
