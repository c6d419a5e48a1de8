"""SIGTERM and SIGINT become a call in the loop.

asyncio's own way looks whether the handler is a coroutine function, for which it needs `inspect` and all that this
imports: 3 of 100 instructions of a start.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

HEEDED = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def heeded(call: Callable[[], None]) -> Iterator[None]:
    """While inside, each of them calls `call` in the running loop. Of the main thread only."""
    loop = asyncio.get_running_loop()

    def come(_number: int, _frame: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, all has ended
            loop.call_soon_threadsafe(call)

    before = [(number, signal.signal(number, come)) for number in HEEDED]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
