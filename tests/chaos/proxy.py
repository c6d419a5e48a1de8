"""A bad line: a TCP proxy that delays, throttles, cuts in the middle of a frame, resets, and goes silent.

Each connection has its fate from the moment it is made; what it is, chance says, so a seed repeats the plan but not the
timing. Runs on a loop of its own in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections import Counter
from types import TracebackType
from typing import NamedTuple, Self

PATIENCE_S = 20.0
CHUNK = 4096
ENDLESS = 1 << 40


class Fate(NamedTuple):
    """What becomes of a connection."""

    delay_s: float = 0.0
    """How long each piece is on its way."""
    bytes_per_s: float = 0.0
    """0: as fast as it can."""
    lives_bytes: int = ENDLESS
    """After so many bytes, both ways together, it ends; mostly in the middle of a frame."""
    end: str = "fin"
    """`fin`: closed; `rst`: reset; `silent`: half-open, whatever is sent vanishes."""


def drawn(chance: random.Random) -> Fate:
    """Some fate: a quarter of all connections are good ones."""
    if chance.random() < 0.25:
        return Fate()
    return Fate(
        delay_s=chance.choice((0.0, 0.0, 0.05, 0.4)),
        bytes_per_s=chance.choice((0.0, 0.0, 0.0, 3000.0)),
        lives_bytes=int(chance.expovariate(1 / 5_000)),
        end=chance.choice(("fin", "rst", "silent")),
    )


class _Line:
    """One connection on its way through."""

    def __init__(self, fate: Fate, ends: tuple[asyncio.StreamWriter, asyncio.StreamWriter]) -> None:
        self.fate = fate
        self.left = fate.lives_bytes
        self.silent = False
        self.ends = ends

    def close(self, *, reset: bool = False) -> None:
        for writer in self.ends:
            wire = writer.get_extra_info("socket")
            if reset and wire is not None and wire.fileno() >= 0:
                wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if reset:
                writer.transport.abort()
            else:
                writer.close()


class Proxy:
    """Listens on a port of loopback and carries to `port`. `counts`: what was done to the connections."""

    def __init__(self, port: int, chance: random.Random) -> None:
        self.counts: Counter[str] = Counter()
        self.calm = False
        """No more harm is done, to old connections neither."""
        self.closed = False
        """While set, nobody gets through."""
        self._target = port
        self._chance = chance
        self._lines: set[_Line] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop
        ).result(PATIENCE_S)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(PATIENCE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    def cut(self, *, reset: bool = True) -> None:
        """End every connection, now."""

        async def end() -> None:
            for line in list(self._lines):
                line.close(reset=reset)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(PATIENCE_S)

    async def _stop(self) -> None:
        self._server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counts["connections"] += 1
        if self.closed:
            self.counts["refused"] += 1
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        line = _Line(Fate() if self.calm else drawn(self._chance), (writer, back))
        self._lines.add(line)
        try:
            await asyncio.gather(self._carry(reader, back, line), self._carry(there, writer, line))
        finally:
            line.close()
            self._lines.discard(line)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: _Line) -> None:
        """One direction, until an end has closed or its fate has come."""
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                if line.silent:
                    continue
                await self._slowly(len(data), line)
                piece = data if self.calm else data[: max(line.left, 0)]
                line.left -= len(data)
                writer.write(piece)
                await writer.drain()
                if line.left <= 0 and not self.calm:
                    await self._end(line)
        line.close()

    async def _slowly(self, size: int, line: _Line) -> None:
        fate = line.fate
        wait = fate.delay_s + (size / fate.bytes_per_s if fate.bytes_per_s else 0.0)
        if wait and not self.calm:
            self.counts["pieces delayed"] += 1
            await asyncio.sleep(wait)

    async def _end(self, line: _Line) -> None:
        self.counts[line.fate.end] += not line.silent
        if line.fate.end == "silent":
            line.silent = True
        else:
            await asyncio.sleep(0)
            line.close(reset=line.fate.end == "rst")
