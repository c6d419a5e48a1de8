"""Work that blocks, beside the event loop: constructors that sleep, ports that take a second to open."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T], name: str, unwanted: Callable[[T], object] | None = None) -> T:
    """Runs what blocks in a daemon thread of its own: one that hangs must not hold up the end of the process.

    A result that nobody waits for any more (the caller was cancelled) is given to `unwanted`, in that thread or on the
    loop.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def deliver(result: T | None, error: BaseException | None) -> None:
        if future.done():
            if error is None and unwanted is not None:
                unwanted(result)  # type: ignore[arg-type] # no error: `work` has returned a T
        elif error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type] # the same

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except Exception as raised:  # noqa: BLE001 - handed to who waits
            error = raised
        try:
            loop.call_soon_threadsafe(deliver, result, error)
        except RuntimeError:  # the loop is closed: nobody waits any more
            if error is None and unwanted is not None:
                with contextlib.suppress(Exception):
                    unwanted(result)  # type: ignore[arg-type] # the same

    threading.Thread(target=run, daemon=True, name=name).start()
    return await future
