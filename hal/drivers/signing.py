"""What drivers of meters that sign share: texts in registers, waiting for a state, a clock that can be true."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Container

from hal.buses.modbus import ModbusDevice, Table
from hal.errors import Timeout

PATIENCE_S = 15.0
"""The longest that a meter may take to sign."""

_POLL_S = 0.1
_EARLIEST = 1_735_689_600  # 2025-01-01: before that a clock has not been set since its battery went flat
_CHUNK = 120


def words(text: str, size: int) -> list[int]:
    """A text as registers, cut to fit and padded with zeros: at least one, which ends it."""
    raw = text.encode("ascii", "replace")[: 2 * size - 1].ljust(2 * size, b"\0")
    return [int.from_bytes(raw[at : at + 2], "big") for at in range(0, 2 * size, 2)]


def raw(registers: tuple[int, ...]) -> bytes:
    """Registers as bytes, high byte first."""
    return b"".join(word.to_bytes(2, "big") for word in registers)


async def text_at(device: ModbusDevice, table: Table, address: int, size: int) -> str:
    """A text of at most `size` registers, up to its first zero. Raises as `ModbusDevice.read`."""
    told = b""
    for at in range(address, address + size, _CHUNK):
        told += raw((await device.read(table, at, min(_CHUNK, address + size - at))).values)
        if b"\0" in told:
            break
    return told.split(b"\0")[0].decode("utf-8", "replace")


async def settled(name: str, look: Callable[[], Awaitable[int]], passing: Container[int], what: str) -> int:
    """Looks again until the state is none of those that pass. Raises Timeout after PATIENCE_S, and what `look` does."""
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE_S
    while (state := await look()) in passing:
        if loop.time() >= end:
            raise Timeout(name, f"{what} for more than {PATIENCE_S:g} s")
        await asyncio.sleep(_POLL_S)
    return state


def wall_s() -> int | None:
    """Seconds since 1970; None if the clock cannot be right: a meter keeps its own then."""
    now = int(time.time())
    return now if now >= _EARLIEST else None
