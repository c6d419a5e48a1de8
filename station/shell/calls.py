"""What is asked of drivers, each question within its time: permissions, locks, schedules.

Invariant: a driver that hangs or fails keeps nobody waiting but who asked, and what came of a question is reported.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Mapping

from hal.api import LockingBoard, LockState
from hal.errors import DeviceError, Refused
from hal.schedules import ScheduleOffer, SchedulingBoard
from station.effects import Want
from station.shell.alarms import Alarms
from station.shell.drivers import Drivers
from station.shell.outlet import Action, Allow, Deny, MoveLock
from station.shell.reconcile import Reconciler
from station.shell.wiring import EvseEntry

log = logging.getLogger(__name__)

CALL_S = 20.0
"""A call to a driver that takes longer counts as failed."""

NO_ANSWER = f"no answer for {CALL_S:.0f} s"

WITHDRAW_S = 3.0
"""At the orderly stop, how long boards may take to open."""


class Calls:
    """The questions that are open. `look` is called when an answer may change what is to be done."""

    def __init__(
        self,
        drivers: Drivers,
        evses: Mapping[int, EvseEntry],
        reconciler: Reconciler,
        alarms: Alarms,
        look: Callable[[], None],
    ) -> None:
        self._drivers = drivers
        self._evses = evses
        self._reconciler = reconciler
        self._alarms = alarms
        self._clock = alarms.clock
        self._look = look
        self._open: set[asyncio.Task[None]] = set()

    def begin(self, action: Action) -> None:
        """Ask a driver. One that hangs keeps only its own EVSE waiting, and not for ever."""
        task = asyncio.get_running_loop().create_task(self._perform(action))
        self._open.add(task)

    async def end(self) -> None:
        """Give all of them up."""
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def unlock(self, evse_id: int) -> str:
        """Open the connector lock now, whatever the wants; gives the reason if it stays locked. Never under current."""
        if evse_id not in self._evses:
            return f"there is no EVSE {evse_id}"
        if self._reconciler.may_carry_current(evse_id, self._clock()):
            return "current may flow through the connector"
        return await _answered(self._ask(MoveLock(evse_id, locked=False))) or ""

    async def offer(self, evse_id: int, schedules: tuple[ScheduleOffer, ...]) -> str:
        """Hand charging schedules to the vehicle; gives the reason if that failed."""
        evse = self._evses[evse_id]
        board = self._drivers.boards[evse.board]
        if not isinstance(board, SchedulingBoard):
            return f"{evse.board} does not speak ISO 15118"
        return await _answered(board.offer(evse.channel, schedules)) or ""

    async def _perform(self, action: Action) -> None:
        """Ask a driver, and report what came of it, unless that is given up before."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("drivers are asked in tasks of their own")
        give_up = functools.partial(self._give_up, action, task)
        self._alarms.set(give_up, self._clock() + CALL_S)
        error: str | None = None
        try:
            await self._ask(action)
        except asyncio.CancelledError as given_up:
            if task.cancelling():
                raise
            error = _reason(given_up)
        except Exception as failed:  # noqa: BLE001 - whatever a driver raises is its own trouble
            error = _reason(failed)
        finally:
            self._alarms.drop(give_up)
            waited_for = task in self._open
            self._open.discard(task)
        if waited_for:
            self._report(action, error)

    def _give_up(self, action: Action, task: asyncio.Task[None]) -> None:
        self._open.discard(task)
        self._report(action, NO_ANSWER)
        task.cancel()

    def _report(self, action: Action, error: str | None) -> None:
        if error is not None:
            log.warning("device.action_failed", extra={"action": action, "reason": error})
        self._reconciler.did(action, error, self._clock())
        self._look()

    async def _ask(self, action: Action) -> None:
        evse = self._evses[action.evse_id]
        board = self._drivers.boards[evse.board]
        match action:
            case Allow(_, permit):
                await board.allow(evse.channel, permit)
            case Deny():
                await board.deny(evse.channel)
            case MoveLock(_, locked) if evse.lock:
                await self._move_own_lock(evse, evse.lock, locked=locked)
            case MoveLock(_, locked) if isinstance(board, LockingBoard):
                await board.lock(evse.channel, locked=locked)
            case MoveLock():
                raise Refused(evse.board, "this board drives no lock")

    async def _move_own_lock(self, evse: EvseEntry, name: str, *, locked: bool) -> None:
        lock = self._drivers.locks[name]
        try:
            await lock.move(locked=locked)
        except Refused:
            self._reconciler.lock_is(evse.evse_id, LockState.JAMMED, self._clock())
            raise
        self._reconciler.lock_is(evse.evse_id, await lock.state(), self._clock())

    async def withdraw(self) -> None:
        """The orderly stop: no permission stays behind, whatever the boards would do by themselves."""
        for evse_id in self._evses:
            self._reconciler.want(evse_id, Want(energise=False, limit_a=0.0))
        denials = {asyncio.ensure_future(self._ask(Deny(evse_id))): evse_id for evse_id in self._evses}
        if denials:
            _, late = await asyncio.wait(denials, timeout=WITHDRAW_S)
            for call in late:
                call.cancel()
            await asyncio.gather(*denials, return_exceptions=True)
        for call, evse_id in denials.items():
            if (reason := _error_of(call)) is not None:  # its lease ends by itself
                log.warning("device.not_withdrawn", extra={"evse": evse_id, "reason": reason})


async def _answered(question: Awaitable[None]) -> str | None:
    """What went wrong; None: nothing did. A driver that hangs is not waited for."""
    call = asyncio.ensure_future(question)
    try:
        done, _ = await asyncio.wait({call}, timeout=CALL_S)
    except asyncio.CancelledError:
        call.cancel()
        raise
    if not done:
        call.cancel()
        return NO_ANSWER
    return _error_of(call)


def _error_of(call: asyncio.Future[None]) -> str | None:
    if call.cancelled():
        return _reason(asyncio.CancelledError())
    error = call.exception()
    return None if error is None else _reason(error)


def _reason(error: BaseException) -> str:
    if isinstance(error, asyncio.CancelledError):  # by us for want of time, or by a driver that was closed meanwhile
        return "the call was given up"
    if not isinstance(error, DeviceError):
        log.error("device.bug", exc_info=error)
    return str(error) or type(error).__name__
