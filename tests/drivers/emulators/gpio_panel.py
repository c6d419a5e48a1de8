"""What hangs on the lines of a GPIO chip in a small charger.

A contactor behind a one-shot, its mirror contact, contacts of a pilot controller, a vehicle, an emergency stop, a
residual-current relay, and the motor of a connector lock.

Written from IEC 61851-1 (a vehicle goes to C while it is offered current, and lets go when it is not), from the manual
of the lock (HARTING 61 13 213 0371) and from what a one-shot does, without code of the drivers. It plays the port
`hal.buses.gpio.Gpio`, not the kernel: no kernel here has gpio-sim. Its time is the running loop's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from hal.buses.gpio import Line, Lines
from hal.errors import DeviceError, NotFound

CONTACTOR, MIRROR, PLUGGED, READY, RCD, STOP = 5, 6, 12, 13, 16, 17
LOCK, UNLOCK, LOCKED = 22, 23, 24
HOLD_S = 0.25
"""How long the one-shot holds the coil after an edge."""
LATCH_S = 0.02
"""How long the contactor takes to move."""


class Panel:
    """The hardware. Lines are levels of a wire: True is high."""

    def __init__(self, pwm: Path | None = None) -> None:
        self.wires: dict[int, bool] = dict.fromkeys((CONTACTOR, PLUGGED, READY, RCD, STOP, LOCK, UNLOCK), False)
        self.wires |= {MIRROR: True, LOCKED: True}  # contacts to ground, open
        self.pwm = pwm
        self.plugged_in = True
        self.welded = self.stuck_open = self.jammed = False
        self.lets_go_s: float | None = 1.0
        """How long the vehicle takes to let go when nothing is offered; None: it does not."""
        self.one_shot = True
        """The coil is held by pulses; else by the level."""
        self.wants = False
        self.edges: list[tuple[float, int, bool]] = []
        self.burnt = False
        """Both sides of the motor's bridge were active, or its current was on for too long."""
        self._requests: list[_Held] = []
        self._hold_until = 0.0
        self._timers: list[asyncio.TimerHandle] = []
        self._motor_since = 0.0
        if pwm is not None:
            pwm.mkdir(parents=True)
            for attribute in ("period", "duty_cycle", "enable"):
                (pwm / attribute).write_text("0", "ascii")

    # --- what the contract is told

    def request(self, owner: str, inputs: Mapping[str, Line], outputs: Mapping[str, Line]) -> Lines:
        """As a chip does: each line has one owner, outputs begin inactive."""
        if not self.plugged_in:
            raise NotFound(owner, "no such chip")
        wanted = {each.line for each in (*inputs.values(), *outputs.values())}
        if any(wanted & set(held.numbers.values()) for held in self._requests):
            raise NotFound(owner, "a line is in use by another program")
        held = _Held(self, inputs, outputs)
        self._requests.append(held)
        for name in outputs:
            held.set(name, active=False)
        return held

    async def close(self) -> None:
        """Nothing to let go of."""

    def release(self, held: _Held) -> None:
        """A driver lets go: its outputs stay as they are."""
        if held in self._requests:
            self._requests.remove(held)

    def do_unplug(self) -> None:
        """The chip (a USB expander) is pulled out: its outputs fall."""
        self.plugged_in = False
        for held in list(self._requests):
            held.lose(NotFound("gpio", "the chip is gone"))
        self.set(CONTACTOR, high=False)

    def do_plug(self) -> None:
        """It is back."""
        self.plugged_in = True

    # --- what a person does

    def do_vehicle(self, *, connected: bool) -> None:
        """A vehicle that wants current comes or goes."""
        self.wants = connected
        self.set(PLUGGED, high=connected)
        if not connected:
            self.set(READY, high=False)
        self.look()

    def look(self) -> None:
        """The vehicle looks at the pilot, ten times a second."""
        if not self.wants:
            return
        if self.offered:
            self.set(READY, high=True)
        elif self.wires[READY] and self.lets_go_s is not None:
            self._after(self.lets_go_s, self._let_go)
        self._after(0.1, self.look)

    def _let_go(self) -> None:
        if not self.offered:
            self.set(READY, high=False)

    @property
    def offered(self) -> bool:
        """Whether the pilot oscillates; without one that we can see, always."""
        if self.pwm is None:
            return True
        return int((self.pwm / "duty_cycle").read_text("ascii")) < int((self.pwm / "period").read_text("ascii"))

    # --- the wires

    def set(self, line: int, *, high: bool) -> None:
        """A wire changes its level; everything that hangs on it follows."""
        if self.wires[line] is high:
            return
        self.wires[line] = high
        self.edges.append((self.time, line, high))
        if line == CONTACTOR:
            self._hold_until = self.time + HOLD_S
            self._after(HOLD_S + 0.001, self._coil)
        if line in {CONTACTOR, PLUGGED, READY}:
            self._after(LATCH_S, self._coil)
        if line in {LOCK, UNLOCK}:
            self._motor(line, on=high)
        for held in list(self._requests):
            held.edge(line)

    @property
    def time(self) -> float:
        """The loop's."""
        return asyncio.get_running_loop().time()

    @property
    def closed(self) -> bool:
        """Whether the main contacts are, by the mirror contact."""
        return not self.wires[MIRROR]

    def _coil(self) -> None:
        """The one-shot holds, and the pilot controller's own contact lets it."""
        held = self.time < self._hold_until if self.one_shot else self.wires[CONTACTOR]
        pulled = held and self.wires[PLUGGED] and self.wires[READY]
        closed = (pulled and not self.stuck_open) or (self.closed and self.welded)
        self.set(MIRROR, high=not closed)

    def _motor(self, line: int, *, on: bool) -> None:
        if self.wires[LOCK] and self.wires[UNLOCK]:
            self.burnt = True
        if on:
            self._motor_since = self.time
            return
        self.burnt = self.burnt or self.time - self._motor_since > 0.2 + 1e-6
        if not self.jammed and self.time - self._motor_since > 0.1:
            self.set(LOCKED, high=line != LOCK)

    def _after(self, seconds: float, do: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(seconds, do)


class _Held:
    """Lines of one driver."""

    def __init__(self, panel: Panel, inputs: Mapping[str, Line], outputs: Mapping[str, Line]) -> None:
        self._panel = panel
        self._lines = {**inputs, **outputs}
        self._inputs = {each.line for each in inputs.values()}
        self.numbers = {name: int(each.line) for name, each in self._lines.items()}
        self._changed: Callable[[], None] = lambda: None
        self._lost: Callable[[DeviceError], None] = lambda _: None
        self._gone: NotFound | None = None

    def values(self) -> dict[str, bool]:
        """By the driver's names."""
        if self._gone is not None:
            raise self._gone
        wires = self._panel.wires
        return {name: wires[self.numbers[name]] is not each.active_low for name, each in self._lines.items()}

    def set(self, name: str, *, active: bool) -> None:
        """Drive one."""
        if self._gone is not None:
            raise self._gone
        self._panel.set(self.numbers[name], high=active is not self._lines[name].active_low)

    def watch(self, changed: Callable[[], None], lost: Callable[[DeviceError], None]) -> None:
        """From now on."""
        self._changed, self._lost = changed, lost

    def release(self) -> None:
        """Let go."""
        self._changed = lambda: None
        self._panel.release(self)

    def edge(self, line: int) -> None:
        """A wire of it has moved."""
        if line in self._inputs:
            asyncio.get_running_loop().call_soon(self._changed)

    def lose(self, error: NotFound) -> None:
        """The chip is gone."""
        self._gone = error
        self.release()
        self._lost(error)
