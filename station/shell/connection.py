"""One open connection: reads, writes and pings until one of the three finds it gone.

A message is handed up in the turn of the loop in which it came. Tasks of their own, because a slow reader of ours must
not stop the pings and a slow reader of theirs must not stop ours.
Time limits wait and then look at what is there before they believe a timeout (design section 6).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from station.shell.dial import Line
from station.shell.linkdown import Down, DownKind, LinkDown, explain
from station.shell.network import LinkOptions

OnText = Callable[[str | bytes], Awaitable[Any] | None]


class Connection:
    """Moves messages over `line`. Whatever `on_text` gives to wait for, the socket is not read meanwhile."""

    def __init__(self, line: Line, on_text: OnText, options: LinkOptions) -> None:
        self._line = line
        self._on_text = on_text
        self._options = options
        self._unsent: deque[str] = deque()
        self._congested = asyncio.Event()
        self._all_sent = asyncio.Event()
        self._all_sent.set()
        self._retuned = asyncio.Event()
        self._stalled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._room: Awaitable[Any] | None = None
        self._full = asyncio.Event()
        self._over = False
        self._loop = asyncio.get_running_loop()
        self._heard_at = 0.0

    def send(self, text: str) -> bool:
        """Send a message, at once if the line takes it; False if too many wait already.

        Then the connection is given up: the peer does not read.
        """
        if not self._congested.is_set():
            return self._put(text)
        if len(self._unsent) >= self._options.max_unsent:
            self._give_up(Down(DownKind.STALLED, f"{len(self._unsent)} messages cannot be sent"))
            return False
        self._unsent.append(text)
        return True

    def _put(self, text: str) -> bool:
        try:
            if not self._line.send(text):
                self._all_sent.clear()
                self._congested.set()
        except Exception as error:  # noqa: BLE001 - a fault in the line costs the connection, not the caller
            self._give_up(error)
            return False
        return True

    def _give_up(self, why: Exception) -> None:
        if not self._stalled.done():
            self._stalled.set_exception(why)

    async def flush(self, timeout_s: float) -> bool:
        """Wait until everything queued has gone out to the kernel; False if that takes longer than `timeout_s`."""
        waiting = asyncio.ensure_future(self._all_sent.wait())
        try:
            await asyncio.wait({waiting}, timeout=timeout_s)
            return self._all_sent.is_set()
        finally:
            waiting.cancel()

    def retune(self, options: LinkOptions) -> None:
        """Another ping interval; takes effect at once."""
        self._options = options
        self._retuned.set()

    async def run(self) -> LinkDown:
        """Work until the connection has ended; tells why. Does not close it."""
        self._line.listen(self._hear)
        reading = asyncio.ensure_future(self._line.ended())
        tasks: list[asyncio.Future[None]] = [
            self._stalled,
            asyncio.ensure_future(self._ping()),
            reading,
            asyncio.ensure_future(self._write()),
            asyncio.ensure_future(self._rest()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            why = _first_reason(tasks)
            if why.kind is DownKind.CLOSED:  # what arrived before the end is still read
                await asyncio.wait({reading}, timeout=self._options.close_timeout_s)
            return why
        finally:
            self._over = True
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            _first_reason(tasks)

    async def end(self, *, abrupt: bool) -> None:
        """Close the line in good order, within the close timeout, or cut it."""
        closing = asyncio.ensure_future(self._line.close()) if not abrupt else None
        try:
            if closing:  # a peer that does not read would keep its goodbye waiting for ever
                await asyncio.wait({closing}, timeout=self._options.close_timeout_s)
        finally:
            self._line.abort()
            if closing:
                closing.cancel()
                await asyncio.wait({closing})
                if not closing.cancelled():
                    closing.exception()  # read, so that it makes no noise; the reason of the end is known already

    def _hear(self, text: str | bytes) -> bool:
        """Hand a message up; False if the next one has to wait."""
        if self._over:  # no answer could leave; what follows may be the peer's goodbye
            return True
        self._heard_at = self._loop.time()
        try:
            self._room = self._on_text(text)
        except Exception as error:  # noqa: BLE001 - a fault in the listener costs the connection, not the link
            self._give_up(error)
            return False
        if self._room is not None:
            self._full.set()
        return self._room is None

    async def _rest(self) -> None:
        """Wait with the line until there is room for more."""
        while True:
            await self._full.wait()
            if self._room is not None:
                await self._room
            self._full.clear()
            self._heard_at = self._loop.time()
            self._line.resume()

    async def _write(self) -> None:
        """What `send` could not hand over."""
        while True:
            await self._congested.wait()
            await self._line.writable()
            self._congested.clear()
            while self._unsent and not self._congested.is_set():
                self._put(self._unsent.popleft())
            if not self._congested.is_set():
                self._all_sent.set()

    async def _ping(self) -> None:
        while True:
            interval_s = self._options.ping_interval_s
            self._retuned.clear()
            await _any({asyncio.ensure_future(self._retuned.wait())}, interval_s if interval_s > 0 else None)
            if not self._retuned.is_set():
                await self._ping_once()

    async def _ping_once(self) -> None:
        """Raise Down(PONG_TIMEOUT) if neither the pong comes nor anything else is heard."""
        asked_at = asyncio.get_running_loop().time()
        answer = asyncio.ensure_future(self._ping_and_wait())
        try:
            while not answer.done():
                await asyncio.wait({answer}, timeout=self._options.pong_timeout_s)
                silent = not self._full.is_set() and self._heard_at < asked_at
                if not answer.done() and silent:
                    raise Down(DownKind.PONG_TIMEOUT, f"no pong within {self._options.pong_timeout_s:g} s")
                asked_at = asyncio.get_running_loop().time()
        finally:
            answer.cancel()
        answer.result()

    async def _ping_and_wait(self) -> None:
        await (await self._line.ping())


async def _any(tasks: set[asyncio.Future[bool]], timeout_s: float | None) -> None:
    try:
        await asyncio.wait(tasks, timeout=timeout_s)
    finally:
        for task in tasks:
            task.cancel()


def _first_reason(tasks: list[asyncio.Future[None]]) -> LinkDown:
    """The reason of the first task that ended with one; reads all of them, so that none is reported as forgotten."""
    reasons = [explain(error) for task in tasks if task.done() and not task.cancelled() and (error := task.exception())]
    return reasons[0] if reasons else LinkDown(DownKind.INTERNAL, "the connection's tasks ended without a reason")
