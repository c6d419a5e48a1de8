"""Work that blocks, in a daemon thread of its own.

Not in the event loop's executor: the process waits for that one's threads in the end, and one that hangs in a look-up
or in a dying disk would keep it from ending.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def in_thread(work: Callable[[], T], name: str) -> asyncio.Future[T]:
    """Begin; the future gets what it gives or raises. To cancel the future does not end the thread."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            value = work()
        except Exception as error:  # noqa: BLE001 - told to whoever waits
            _told(loop, done, error=error)
        else:
            _told(loop, done, value=value)

    threading.Thread(target=run, name=name, daemon=True).start()
    return done


def _told(
    loop: asyncio.AbstractEventLoop, done: asyncio.Future[T], *, value: T | None = None, error: Exception | None = None
) -> None:
    def deliver() -> None:
        if done.done():
            return
        if error is None:
            done.set_result(value)  # type: ignore[arg-type]  # whatever the work gave
        else:
            done.set_exception(error)
            done.exception()  # read, so that nobody has to

    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(deliver)
