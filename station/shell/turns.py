"""The core's turns: one input after another, and timers between them.

Whoever the loop itself calls (a socket, the hardware's thread) has its input stepped in that very turn of the loop if
nothing else waits: to wake a task for it would cost two more turns. All other inputs wait for the next one.
Invariants: no input is stepped while another one is, or before one that came earlier; while inputs wait, or a deadline
has just been served, a turn is booked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from station.effects import Effect
from station.now import Now
from station.shell.inbox import Inbox, Item
from station.shell.reconcile import Batch

SAME_S = 0.001
"""So near are two deadlines that one alarm serves both."""


class Work(msgspec.Struct, frozen=True):
    """What is done in a turn."""

    now: Callable[[], Now]
    step: Callable[[Item | Batch, Now], bool]
    """Whether a deadline may be another one after it."""
    tick: Callable[[Now], None]
    wait_s: Callable[[Now], float | None]
    """Seconds until `tick` wants to be called; None: never."""


class Turns:
    """The turns of one core. Everything is called in its loop. `failed` is done when a step has raised."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._loop = asyncio.get_running_loop()
        self.inbox = Inbox(self._book)
        self._waiting = self.inbox.items
        self.failed: asyncio.Future[None] = self._loop.create_future()
        self._open = self._busy = self._booked = False
        self._alarm: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Serve from now on."""
        self._open = True
        self._book()

    def end(self) -> None:
        """Serve no more; what comes stays in the inbox."""
        self._open = False
        self._set_alarm(None)

    def look(self) -> None:
        """A deadline may have moved outside of a turn."""
        self._book()

    def hear(self, run: Callable[[Now], list[Effect]]) -> Awaitable[Any] | None:
        """A text of the CSMS. What is returned, if anything, is to be waited for before the next one."""
        if self._may_step():
            self._turn(Item(run))
            return self.inbox.room() if self._waiting else None
        self.inbox.put(run)
        return self.inbox.room()

    def take(self, batch: Batch) -> None:
        """What the hardware tells."""
        if self._may_step():
            self._turn(batch)
        else:
            self.inbox.put_batch(batch)

    def _may_step(self) -> bool:
        return self._open and not self._busy and not self._waiting

    def _turn(self, item: Item | Batch | None, *, booked: bool = False) -> None:
        """Step an input, if there is one, and serve the deadline that has come, if one has.

        Between booked turns, an input that moved no deadline leaves the alarm as it is.
        """
        work = self._work
        self._busy = True
        try:
            now = work.now()
            if item is not None:
                if not work.step(item, now) and not booked:
                    return
                now = work.now()
            wait_s = work.wait_s(now)
            if due := wait_s is not None and wait_s <= 0:
                work.tick(now)
        except Exception as error:  # noqa: BLE001 - EngineFailed, or a bug here: both end the process
            self.end()
            if not self.failed.done():
                self.failed.set_exception(error)
            return
        finally:
            self._busy = False
        if due or self._waiting:  # after sockets and signals have had their turn
            self._book()
        elif self._open:
            self._set_alarm(wait_s)

    def _book(self) -> None:
        if self._open and not self._booked:
            self._booked = True
            self._loop.call_soon(self._next)

    def _next(self) -> None:
        self._booked = False
        if self._open:
            self._turn(self.inbox.pop(), booked=True)

    def _set_alarm(self, wait_s: float | None) -> None:
        """Wake the core then. Most inputs move no deadline: an alarm for the same millisecond is left as it is."""
        at = None if wait_s is None else self._loop.time() + wait_s
        if self._alarm is not None:
            if at is not None and abs(self._alarm.when() - at) < SAME_S:
                return
            self._alarm.cancel()
        self._alarm = None if at is None else self._loop.call_at(at, self._rang)

    def _rang(self) -> None:
        self._alarm = None
        self._book()
