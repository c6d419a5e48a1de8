"""An event loop whose time jumps to the next timer whenever nothing is ready: minutes of waiting in milliseconds."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """For coroutines that wait for timers only, not for sockets."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def _run_once(self) -> None:
        timers = self._scheduled  # type: ignore[attr-defined] # the loop's own queues
        while timers and timers[0].cancelled():  # the loop would drop them, too, and then wait for the next in earnest
            self._timer_cancelled_count -= 1  # type: ignore[attr-defined] # the same
            heapq.heappop(timers)._scheduled = False
        if not self._ready and timers:  # type: ignore[attr-defined] # the same
            self._now = max(self._now, timers[0].when())
        super()._run_once()  # type: ignore[misc] # the same


class HurriedLoop(asyncio.SelectorEventLoop):
    """For coroutines that talk over ptys and sockets in this process: waiting in vain is four times as fast.

    Its time stands still while anything is done, so that a busy host makes nobody late.
    """

    FACTOR, STEP_S = 4, 0.02

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def time(self) -> float:
        """Hurried seconds since the loop was made."""
        return self._now

    def _run_once(self) -> None:
        timers = self._scheduled  # type: ignore[attr-defined] # the loop's own queues
        if not self._ready and timers and timers[0].when() > self._now:  # type: ignore[attr-defined] # the same
            step = min(timers[0].when() - self._now, self.STEP_S)
            if events := self._selector.select(step / self.FACTOR):  # type: ignore[attr-defined] # the same
                self._process_events(events)  # type: ignore[attr-defined] # the same
            else:
                self._now = timers[0].when() if step < self.STEP_S else self._now + step
                return
        super()._run_once()  # type: ignore[misc] # the same


def run(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` in virtual time."""
    return _run(VirtualLoop(), main)


def hurry(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, hurried: see HurriedLoop."""
    return _run(HurriedLoop(), main)


def _run(loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, T]) -> T:
    try:
        return loop.run_until_complete(main)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
