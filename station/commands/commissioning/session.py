"""A first session without any CSMS: a vehicle is plugged in, the contactor closes, the meter counts, all opens again.

**It energises the outlet**, so whoever calls this has somebody's consent. The permission is the board's ordinary lease,
renewed while the board is looked at; whatever ends the session (a fault, Ctrl-C, a terminal that hangs up) denies it
and looks whether the contactor is open.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple, cast

from hal.api import LEASE_S, Board, BoardSnapshot, Lock, LockingBoard, LockState, Meter, Permit
from hal.errors import DeviceError
from hal.registry import Registry
from hal.sim.world import SimWorld
from station.commands.findings import REMEDIES, Finding, Grade
from station.config import Config
from station.shell.clock import Machine
from station.shell.drivers import Drivers, opened
from station.shell.wiring import EvseEntry

GENTLE_A = 10.0
"""What is offered, unless station, EVSE or board allow less."""

PERSON_S, CLOSES_S, COUNTS_S, OPENS_S = 180.0, 60.0, 90.0, 5.0
_RENEW_S, _LOOK_S, _READ_S = 3.0, 0.2, 1.0
_DENIALS, _LOOKS = 3, round(OPENS_S / _LOOK_S)

Say = Callable[[str], object]


class _Failed(Exception):  # noqa: N818 - reads as what it says
    """The session went wrong. The arguments are reason and remedy."""


class Outlet(NamedTuple):
    """What a session needs of an EVSE."""

    entry: EvseEntry
    limit_a: float
    phases: int


def outlet(config: Config, number: int) -> Outlet:
    """An EVSE of the file."""
    evse = config.file.evses[number - 1]
    limits = [GENTLE_A, evse.max_current_a, config.file.supply.max_current_a or GENTLE_A]
    return Outlet(config.wiring.evses[number - 1], min(limits), evse.phases)


def held(config: Config, number: int, say: Say) -> Finding:
    """One session; what came of it. Raises KeyboardInterrupt, with the contactor open."""
    try:
        return asyncio.run(_held(config, outlet(config, number), say))
    except asyncio.CancelledError:  # SIGTERM, or the terminal has gone
        raise KeyboardInterrupt from None


async def _held(config: Config, there: Outlet, say: Say) -> Finding:
    task = cast("asyncio.Task[Any]", asyncio.current_task())
    drivers = Drivers(config.wiring, Machine().mono, Registry())
    session = Session(there, drivers, say)
    for each in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(each, session.stopped, task)
    what = f"test EVSE {there.entry.evse_id}"
    try:
        await session.run()
    except _Failed as failed:
        return Finding(Grade.ERROR, what, ", ".join([*session.past, failed.args[0]]), failed.args[1])
    except DeviceError as error:
        return Finding(Grade.ERROR, what, ", ".join([*session.past, str(error)]), REMEDIES.get(type(error), ""))
    finally:
        await drivers.close()
    if session.doubt:
        return Finding(Grade.WARNING, what, ", ".join(session.past), session.doubt)
    return Finding(Grade.OK, what, ", ".join(session.past))


class Session:
    """One vehicle at one EVSE. `past`: what has gone well."""

    def __init__(self, there: Outlet, drivers: Drivers, say: Say) -> None:
        self._there = there
        self._channel = there.entry.channel
        self._board: Board = drivers.boards[there.entry.board]
        self._meter: Meter | None = drivers.meters.get(there.entry.meter or "")
        self._lock: Lock | None = drivers.locks.get(there.entry.lock or "")
        self._world = next((each for each in drivers.resources.values() if isinstance(each, SimWorld)), None)
        self._say = say
        self._permit: Permit | None = None
        self._renew_at = 0.0
        self._leaving = self._stopped = False
        self.past: list[str] = []
        self.doubt = ""

    async def run(self) -> None:
        """All of it. Raises _Failed, DeviceError."""
        async with contextlib.AsyncExitStack() as stack:
            for device in filter(None, (self._board, self._meter, self._lock)):
                await stack.enter_async_context(opened(device))
            try:
                await self._board.deny(self._channel)
                await self._plug()
                await self._bolt(locked=True)
                await self._charge()
                await self._end()
            finally:
                self._leaving = True
                with _undisturbed():
                    await self._left_open()
                if self._stopped:
                    raise asyncio.CancelledError

    def stopped(self, task: asyncio.Task[Any]) -> None:
        """End it. A terminal that goes may say so twice, and the second time must not keep the contactor closed."""
        self._stopped = True
        if not self._leaving:
            task.cancel()

    async def _plug(self) -> None:
        self._say(f"Plug in a vehicle or a tester that asks for current, at EVSE {self._there.entry.evse_id} ...")
        if self._world is not None:
            self._world.plug_in(self._channel)
        remedy = "is the cable right, does the vehicle answer? ocpp-station hal read, of the board"
        await self._until(lambda seen: seen.pilot.plugged, PERSON_S, "nobody plugged in", remedy)
        self.past.append("plugged in")

    async def _charge(self) -> None:
        info = self._board.info(self._channel)
        limit_a, phases = min(self._there.limit_a, info.max_a), min(self._there.phases, info.phases)
        if limit_a < info.min_a:
            reason = f"{limit_a:g} A are less than the {info.min_a:g} A that the board can offer"
            raise _Failed(reason, "raise max_current_a")
        start = await self._meter.read() if self._meter is not None else None
        self._permit = Permit(limit_a, phases, LEASE_S)
        self._say(f"{limit_a:g} A are offered; the contactor closes when the vehicle asks for them ...")
        since = _now()
        remedy = "does the vehicle ask for current (its timer, its battery)? is the contactor wired?"
        await self._until(lambda seen: seen.contactor_closed, CLOSES_S, "the contactor did not close", remedy)
        self.past.append(f"contactor closed after {_now() - since:.1f} s")
        if self._meter is None or start is None:
            self.past.append("no meter")
            return
        self._say("The contactor is closed; the meter should count ...")
        await self._counted(self._meter, start.energy_import_mwh)

    async def _counted(self, meter: Meter, start_mwh: int) -> None:
        since, power_w, read_at = _now(), 0.0, 0.0
        async for _ in self._while_closed():
            if _now() < read_at:
                continue
            read_at = _now() + _READ_S
            reading = await meter.read()
            power_w = max(power_w, reading.power_import_w or 0.0)
            counted = reading.energy_import_mwh - start_mwh
            if counted > 0:
                self.past.append(f"{counted / 1e3:.1f} Wh counted in {_now() - since:.0f} s, {power_w:.0f} W")
                return
            if _now() - since > COUNTS_S:
                break
        if not power_w:
            reason = f"the meter counted nothing in {COUNTS_S:.0f} s, and shows no power"
            raise _Failed(reason, "is it the meter of this outlet, its current transformers the right way round?")
        self.past.append(f"{power_w:.0f} W, which the meter did not count within {COUNTS_S:.0f} s")
        self.doubt = "it counts in steps that are larger than what has flown: test longer, or look at its display"

    async def _while_closed(self) -> AsyncIterator[None]:
        """Again and again while current may flow. Raises _Failed when it may not any more."""
        while True:
            seen = await self._look()
            if not seen.contactor_closed:
                raise _Failed("the contactor opened by itself", "did the vehicle stop? once more, with an emptier one")
            yield
            await asyncio.sleep(_LOOK_S)

    async def _end(self) -> None:
        since = _now()
        await self._deny()
        remedy = "SWITCH ITS SUPPLY OFF: the contactor may be welded"
        await self._until(lambda seen: not seen.contactor_closed, OPENS_S, "the contactor did not open", remedy)
        self.past.append(f"contactor open after {_now() - since:.1f} s")
        await self._bolt(locked=False)
        self._say("Unplug it ...")
        if self._world is not None:
            self._world.unplug(self._channel)
        remedy = "does the board see the cable leave? ocpp-station hal read, of the board"
        await self._until(lambda seen: not seen.pilot.plugged, PERSON_S, "nobody unplugged", remedy)
        self.past.append("unplugged")

    async def _bolt(self, *, locked: bool) -> None:
        """A socket's plug is held before current flows."""
        if self._lock is not None:
            await self._lock.move(locked=locked)
        elif (
            isinstance(self._board, LockingBoard)
            and (await self._board.snapshot(self._channel)).lock is not LockState.ABSENT
        ):
            await self._board.lock(self._channel, locked=locked)
        else:
            return
        self.past.append("locked" if locked else "unlocked")

    async def _until(self, good: Callable[[BoardSnapshot], bool], within_s: float, else_: str, remedy: str) -> None:
        end = _now() + within_s
        while not good(await self._look()):
            if _now() >= end:
                raise _Failed(else_, remedy)
            await asyncio.sleep(_LOOK_S)

    async def _look(self) -> BoardSnapshot:
        """Renews the lease, too, if there is one. Raises _Failed for a fault."""
        if self._permit is not None and _now() >= self._renew_at:
            await self._board.allow(self._channel, self._permit)
            self._renew_at = _now() + _RENEW_S
        seen = await self._board.snapshot(self._channel)
        if seen.faults:
            faults = ", ".join(sorted(fault.value for fault in seen.faults))
            raise _Failed(f"the board tells {faults}", "mend that first; docs/troubleshooting.md")
        return seen

    async def _deny(self) -> None:
        self._permit = None
        await self._board.deny(self._channel)

    async def _left_open(self) -> None:
        """However it ended. Raises _Failed if the contactor is not known to be open."""
        if self._world is not None:
            with contextlib.suppress(ValueError):
                self._world.unplug(self._channel)
        for _ in range(_DENIALS):
            with contextlib.suppress(DeviceError):
                await self._deny()
                for _ in range(_LOOKS):
                    if not (await self._board.snapshot(self._channel)).contactor_closed:
                        await self._released()
                        return
                    await asyncio.sleep(_LOOK_S)
        raise _Failed("the outlet may still be energised", "SWITCH ITS SUPPLY OFF")

    async def _released(self) -> None:
        with contextlib.suppress(DeviceError, _Failed):
            if "locked" in self.past and "unlocked" not in self.past:
                await self._bolt(locked=False)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C does not keep the contactor from being opened."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _now() -> float:
    return asyncio.get_running_loop().time()
