"""A contactor on a GPIO line with its feedback, beside a small pilot controller that shows itself by contacts.

    boards:
      left:
        driver: gpio
        bus: io
        contactor: {line: 5}
        pulse_s: 0.1                       # or null: see below
        closed: {line: 6, active_low: true}      # feedback: a mirror contact of the contactor
        plugged: {line: 12}
        ready: {line: 13}
        faults: {ResidualCurrent: {line: 16, bias: pull-up}, EmergencyStop: {line: 17, bias: pull-up}}
        pwm: /sys/class/pwm/pwmchip0/pwm0  # the pilot's 1 kHz; without it the current is fixed: min_a = max_a

Source: IEC 61851-1, annex A (duty cycle to current; 3 s for a vehicle to let go), Linux, Documentation/ABI/testing/
sysfs-class-pwm and `hal.buses.gpio`. Wiring: the pilot controller keeps the safety functions: it tells `ready` only in
states C and D, and its own contact is in series with the contactor's coil, so that an unplugged pilot opens it in
hardware, whatever this computer does.

**A line stays as it is when this process dies.** So the permission is told by pulses, not by a level: the line toggles
every `pulse_s`, and a relay of the hardware (a retriggerable one-shot, a charge pump) holds the contactor only while it
toggles; an opening takes as long as it holds, so let both be short. With `pulse_s: null` the line is a level: allowed
where the hardware takes the permission away by itself.

The soft stop: no current is offered (pilot steady), the vehicle has `let_go_s` to leave state C, then the contactor
opens. What is dangerous opens it at once. Closed against the feedback, or open against it, is a fault after `mirror_s`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec

from hal.api import LEASE_S, BoardEvent, BoardInfo, BoardSnapshot, Fault, Permit, PilotState
from hal.buses.gpio import Gpio, Line, Lines
from hal.context import DriverContext, parse_options
from hal.errors import BadOptions, DeviceError, NotFound, Refused

log = logging.getLogger(__name__)

CHANNEL: Final = 1
_CONTACTOR, _CLOSED, _PLUGGED, _READY = "contactor", "closed", "plugged", "ready"
_PERIOD_NS: Final = 1_000_000  # 1 kHz
_STEADY: Final = 1.0

_Current = Annotated[float, msgspec.Meta(ge=6.0, le=80.0)]
_Seconds = Annotated[float, msgspec.Meta(ge=0.05, le=10.0)]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The driver's part of a configuration."""

    bus: Annotated[str, msgspec.Meta(min_length=1)]
    contactor: Line
    pulse_s: Annotated[float, msgspec.Meta(ge=0.01, le=2.0)] | None
    """Half a period of the pulses; null: a level. There is no default: see the head."""
    plugged: Line
    ready: Line
    closed: Line | None = None
    faults: Mapping[Fault, Line] = {}
    pwm: str | None = None
    min_a: _Current = 6.0
    max_a: _Current = 32.0
    phases: Annotated[int, msgspec.Meta(ge=1, le=3)] = 3
    let_go_s: _Seconds = 3.0
    mirror_s: _Seconds = 0.5


def duty_of(amperes: float) -> float:
    """The pilot's duty cycle for a current: IEC 61851-1, table A.7 (6 to 51 A, and above to 80 A)."""
    return amperes / 60 if amperes <= 51 else amperes / 250 + 0.64  # noqa: PLR2004 - the table's own limit


class Pwm:
    """The pilot's oscillator, as the kernel shows it. Without a path it does nothing: the current is fixed."""

    def __init__(self, name: str, path: str | None) -> None:
        self._name = name
        self._path = Path(path) if path is not None else None

    def start(self) -> None:
        """Running, and steady. Raises NotFound."""
        self._write("period", _PERIOD_NS)
        self.duty(_STEADY)
        self._write("enable", 1)

    def duty(self, share: float) -> None:
        """Raises NotFound."""
        self._write("duty_cycle", round(share * _PERIOD_NS))

    def _write(self, attribute: str, value: int) -> None:
        if self._path is None:
            return
        try:
            (self._path / attribute).write_text(str(value), "ascii")
        except OSError as error:
            raise NotFound(self._name, f"{self._path / attribute} cannot be written: {error.strerror}") from None


class GpioBoard:
    """Board with one channel. Raises BadOptions when built."""

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        driver = f"board {name!r}"
        self._options = given = parse_options(driver, options, Options)
        if given.pwm is None and given.min_a != given.max_a:
            raise BadOptions(driver, ".pwm", "without it the current is fixed: let `min_a` and `max_a` be the same")
        if given.min_a > given.max_a:
            raise BadOptions(driver, ".min_a", "is more than `max_a`")
        self.name = name
        self._chip = context.resource(driver, ".bus", given.bus, Gpio)
        self._clock: Callable[[], float] = context.clock
        self._pwm = Pwm(name, given.pwm)
        self._lines: Lines | None = None
        self._lost: DeviceError | None = NotFound(name, "is not open")
        self._changed = asyncio.Event()
        self._limit_a = 0.0
        self._on = False
        self._level = False
        self._mirror_fault: Fault | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def channels(self) -> tuple[int, ...]:
        """One."""
        return (CHANNEL,)

    def info(self, channel: int) -> BoardInfo:
        """As configured. Raises NotFound."""
        self._only(channel)
        given = self._options
        return BoardInfo(min_a=given.min_a, max_a=given.max_a, phases=given.phases)

    # --- its life

    async def open(self) -> None:
        """Takes the lines, offers nothing. Raises NotFound."""
        await self.close()
        given = self._options
        inputs = {_PLUGGED: given.plugged, _READY: given.ready}
        inputs |= {fault.value: line for fault, line in given.faults.items()}
        if given.closed is not None:
            inputs[_CLOSED] = given.closed
        lines = self._chip.request(self.name, inputs, {_CONTACTOR: given.contactor})
        try:
            self._pwm.start()
        except NotFound:
            lines.release()
            raise
        self._lines, self._lost, self._changed = lines, None, asyncio.Event()
        self._mirror_fault = None
        lines.watch(self._moved, self._gone)
        self._expect_mirror()

    async def close(self) -> None:
        """Opens the contactor and lets go of the lines; `events` raises NotFound."""
        if self._lines is not None:
            self._withdraw()
            self._open_now()
        lines, self._lines = self._lines, None
        if lines is not None:
            lines.release()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._gone(NotFound(self.name, "was closed"))

    # --- what it shows

    async def snapshot(self, channel: int) -> BoardSnapshot:
        """From the lines. Raises NotFound."""
        self._only(channel)
        values = self._values()
        return BoardSnapshot(
            channel=CHANNEL,
            sampled_at=self._clock(),
            pilot=self._pilot(values),
            contactor_closed=values.get(_CLOSED, self._on),
            limit_a=self._limit_a if values[_PLUGGED] else 0.0,
            phases=self._options.phases,
            faults=self._faults(values),
        )

    async def events(self) -> AsyncIterator[BoardEvent]:
        """The state now, then each change. Raises NotFound: closed, or the chip is gone."""
        last: BoardSnapshot | None = None
        while self._lost is None:
            self._changed.clear()
            seen = await self.snapshot(CHANNEL)
            if last is None or msgspec.structs.replace(last, sampled_at=seen.sampled_at) != seen:
                last = seen
                yield seen
            else:
                await self._changed.wait()
        raise self._lost.with_traceback(None)  # kept: its traceback must not grow

    @staticmethod
    def _pilot(values: Mapping[str, bool]) -> PilotState:
        if values.get(Fault.PILOT_LOST.value):
            return PilotState.E
        if not values[_PLUGGED]:
            return PilotState.A
        return PilotState.C if values[_READY] else PilotState.B

    def _faults(self, values: Mapping[str, bool]) -> frozenset[Fault]:
        told = {fault for fault in self._options.faults if values[fault.value]}
        return frozenset(told | ({self._mirror_fault} if self._mirror_fault is not None else set()))

    # --- what it is asked

    async def allow(self, channel: int, permit: Permit) -> None:
        """Offers the current; the contactor closes when the vehicle is ready. Raises Refused, NotFound."""
        self._only(channel)
        given, values = self._options, self._values()
        if not given.min_a <= permit.limit_a <= given.max_a:
            raise Refused(self.name, f"{permit.limit_a} A is out of {given.min_a} to {given.max_a} A")
        if faults := self._faults(values):
            raise Refused(self.name, f"fault {min(fault.value for fault in faults)}")
        self._pwm.duty(duty_of(permit.limit_a))
        self._limit_a = permit.limit_a
        self._cancel("let go")
        self._after("lease", min(LEASE_S, permit.lease_s), self._withdraw)
        self._moved()

    async def deny(self, channel: int) -> None:
        """Offers nothing any more; the contactor opens when the vehicle has let go. Raises NotFound."""
        self._only(channel)
        self._values()
        self._withdraw()

    def _withdraw(self) -> None:
        """The soft stop."""
        self._cancel("lease")
        self._limit_a = 0.0
        if self._mirror_fault is Fault.CONTACTOR_OPEN:
            self._mirror_fault = None  # it may be tried again
        self._steady()
        if self._on and "let go" not in self._timers:
            self._after("let go", self._options.let_go_s, self._open_now)
        self._changed.set()

    # --- the contactor

    def _moved(self) -> None:
        """An input changed, or what is asked: close, open, or neither."""
        try:
            values = self._values()
        except NotFound as gone:
            self._gone(gone)
            return
        safe = values[_PLUGGED] and values[_READY] and not self._faults(values)
        if self._on and not safe:
            if not values[_PLUGGED] or self._faults(values):
                self._withdraw()
            self._open_now()
        elif safe and self._limit_a > 0 and not self._on:
            self._on = True
            self._pulse()
            self._expect_mirror()
        if _CLOSED in values and values[_CLOSED] is self._on and self._mirror_fault is Fault.CONTACTOR_WELDED:
            self._mirror_fault = None
        self._changed.set()

    def _open_now(self) -> None:
        self._cancel("let go")
        self._cancel("pulse")
        if self._on:
            self._on = False
            self._expect_mirror()
        self._drive(active=False)
        self._changed.set()

    def _pulse(self) -> None:
        """The line is driven: by turns, or for good."""
        self._drive(active=not self._level)
        if self._options.pulse_s is not None and self._on:
            self._after("pulse", self._options.pulse_s, self._pulse)

    def _drive(self, *, active: bool) -> None:
        self._level = active
        if self._lines is None:
            return
        try:
            self._lines.set(_CONTACTOR, active=active)
        except NotFound as gone:
            self._gone(gone)

    def _steady(self) -> None:
        """No current is offered."""
        try:
            self._pwm.duty(_STEADY)
        except NotFound as gone:
            self._gone(gone)

    def _expect_mirror(self) -> None:
        """In a moment the feedback must say what the contactor was told."""
        if self._options.closed is not None:
            self._after("mirror", self._options.mirror_s, self._look_into_mirror)

    def _look_into_mirror(self) -> None:
        try:
            closed = self._values()[_CLOSED]
        except NotFound as gone:
            self._gone(gone)
            return
        if closed is not self._on:
            self._mirror_fault = Fault.CONTACTOR_WELDED if closed else Fault.CONTACTOR_OPEN
            log.warning("contactor.mirror", extra={"board": self.name, "fault": self._mirror_fault.value})
            if self._mirror_fault is Fault.CONTACTOR_OPEN:
                self._limit_a = 0.0
                self._steady()
            self._open_now()
        self._changed.set()

    # --- inside

    def _values(self) -> dict[str, bool]:
        if self._lines is None:
            raise (self._lost or NotFound(self.name, "is not open")).with_traceback(None)
        return self._lines.values()

    def _only(self, channel: int) -> None:
        if channel != CHANNEL:
            raise NotFound(self.name, f"no channel {channel} (there is 1)")

    def _after(self, what: str, seconds: float, do: Callable[[], None]) -> None:
        """Once, in so long, instead of what was to be done before."""
        self._cancel(what)

        def due() -> None:
            self._timers.pop(what, None)
            do()

        self._timers[what] = asyncio.get_running_loop().call_later(seconds, due)

    def _cancel(self, what: str) -> None:
        timer = self._timers.pop(what, None)
        if timer is not None:
            timer.cancel()

    def _gone(self, error: DeviceError) -> None:
        self._lost = self._lost or error
        self._changed.set()
