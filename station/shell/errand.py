"""Blocking work in a thread of its own that nobody waits for at the end: a stuck chip must not keep the agent alive."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def errand(work: Callable[[], T], name: str) -> T:
    """What `work` gives, or raises. If the waiting is cancelled, the work goes on and its result is dropped."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def finish(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # None only where T has it

    def run() -> None:
        result: T | None = None
        failed: BaseException | None = None
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            failed = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(finish, result, failed)
        del failed  # it holds this frame, which would hold it: a key would keep its place in a chip until a collection

    threading.Thread(target=run, name=name, daemon=True).start()
    return await done
