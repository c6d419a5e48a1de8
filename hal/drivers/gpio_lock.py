"""A connector lock driven by a motor or solenoid on two GPIO lines, with a feedback contact.

    locks: {left: {driver: gpio, bus: io, lock: {line: 22}, unlock: {line: 23}, locked: {line: 24, active_low: true}}}

Wiring: an H-bridge for the motor; the feedback contact of the lock to ground with a pull-up. Source: see
`hal.buses.gpio`; HARTING, operating manual of the Type 2 charging socket 61 13 213 0371 (12 V; current for at most
200 ms, longer overloads the motor; 3 s of rest). Other makes want longer pulses: `pulse_s`.

Both lines of the bridge are never active together, and a pulse ends even when its requester has gone away: the motor
must not stay under current.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated

import msgspec

from hal.api import LockState
from hal.buses.gpio import Gpio, Line, Lines
from hal.context import DriverContext, parse_options
from hal.errors import NotFound, Refused

_LOCK, _UNLOCK, _LOCKED = "lock", "unlock", "locked"


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The driver's part of a configuration."""

    bus: Annotated[str, msgspec.Meta(min_length=1)]
    lock: Line
    unlock: Line
    locked: Line
    """Feedback: active while it is locked."""
    pulse_s: Annotated[float, msgspec.Meta(ge=0.02, le=2.0)] = 0.2
    settle_s: Annotated[float, msgspec.Meta(ge=0.0, le=2.0)] = 0.1
    """From the end of a pulse until the feedback is believed."""
    rest_s: Annotated[float, msgspec.Meta(ge=0.0, le=30.0)] = 3.0
    """How long the motor rests after a pulse."""
    tries: Annotated[int, msgspec.Meta(ge=1, le=5)] = 3
    """A plug that is pulled at sits tight: so often it is tried."""


class GpioLock:
    """Lock. Raises BadOptions when built."""

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        driver = f"lock {name!r}"
        self._options = given = parse_options(driver, options, Options)
        self.name = name
        self._chip = context.resource(driver, ".bus", given.bus, Gpio)
        self._lines: Lines | None = None
        self._motor = asyncio.Lock()
        self._rested_at = 0.0
        self._jammed = False

    async def open(self) -> None:
        """Takes the lines; nothing moves. Raises NotFound."""
        await self.close()
        given = self._options
        self._lines = self._chip.request(self.name, {_LOCKED: given.locked}, {_LOCK: given.lock, _UNLOCK: given.unlock})

    async def close(self) -> None:
        """Lets go of them, after the pulse that is under way."""
        async with self._motor:
            lines, self._lines = self._lines, None
            if lines is not None:
                lines.release()

    async def state(self) -> LockState:
        """By its feedback; jammed as long as the last move has not been made good. Raises NotFound."""
        if self._jammed:
            return LockState.JAMMED
        return LockState.LOCKED if self._is_locked() else LockState.UNLOCKED

    async def move(self, *, locked: bool) -> None:
        """Moves it unless it is there, and waits for the feedback. Raises Refused (jammed), NotFound."""
        for _ in range(self._options.tries):
            if self._is_locked() is locked:
                break
            pulse = asyncio.ensure_future(self._pulse(locked=locked))
            pulse.add_done_callback(lambda done: done.cancelled() or done.exception())  # who asked may have gone away
            await asyncio.shield(pulse)
        self._jammed = self._is_locked() is not locked
        if self._jammed:
            raise Refused(self.name, f"the lock is jammed: it does not {'close' if locked else 'open'}")

    def _is_locked(self) -> bool:
        if self._lines is None:
            raise NotFound(self.name, "is not open")
        return self._lines.values()[_LOCKED]

    async def _pulse(self, *, locked: bool) -> None:
        """Once the motor has rested, unless it is there meanwhile by somebody else's."""
        loop, given, line = asyncio.get_running_loop(), self._options, _LOCK if locked else _UNLOCK
        async with self._motor:
            await asyncio.sleep(max(self._rested_at - loop.time(), 0.0))
            lines = self._lines
            if lines is None:
                raise NotFound(self.name, "was closed")
            if self._is_locked() is locked:
                return
            try:
                lines.set(line, active=True)
                await asyncio.sleep(given.pulse_s)
            finally:
                lines.set(line, active=False)
                self._rested_at = loop.time() + given.rest_s
            await asyncio.sleep(given.settle_s)
