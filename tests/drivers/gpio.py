"""A driver on a panel of simulated hardware, in virtual time: what the tests of GPIO have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from hal.context import DriverContext
from hal.registry import Registry
from tests import virtualloop
from tests.drivers.emulators import gpio_panel
from tests.drivers.emulators.gpio_panel import CONTACTOR, LOCK, MIRROR, RCD, STOP, UNLOCK, Panel

BOARD: dict[str, Any] = {
    "bus": "io",
    "contactor": {"line": CONTACTOR},
    "pulse_s": 0.1,
    "closed": {"line": MIRROR, "active_low": True},
    "plugged": {"line": gpio_panel.PLUGGED},
    "ready": {"line": gpio_panel.READY},
    "faults": {"ResidualCurrent": {"line": RCD, "bias": "pull-up"}, "EmergencyStop": {"line": STOP}},
}
LOCK_OPTIONS: dict[str, Any] = {
    "bus": "io",
    "lock": {"line": LOCK},
    "unlock": {"line": UNLOCK},
    "locked": {"line": gpio_panel.LOCKED, "active_low": True},
}


class Rig:
    """A driver on a panel, as the contract wants it. Built in a running loop."""

    def __init__(self, kind: str, folder: Path, **options: object) -> None:
        self.kind = kind
        self.panel = Panel(folder / "pwm0")
        base = {"board": {**BOARD, "pwm": str(folder / "pwm0")}, "lock": LOCK_OPTIONS}.get(
            kind, {"bus": "io", "line": STOP}
        )
        self.options = {**base, **options}

    def build(self) -> Any:
        """A new driver for the same lines."""
        context = DriverContext(self.clock, {"io": self.panel})
        return Registry().build(self.kind, "gpio", "left", self.options, context)

    def clock(self) -> float:
        """Virtual."""
        return asyncio.get_running_loop().time()

    async def wait(self, seconds: float) -> None:
        """In virtual time."""
        await asyncio.sleep(seconds)

    async def unplug_device(self, *, gone: bool) -> None:
        """The chip."""
        (self.panel.do_unplug if gone else self.panel.do_plug)()

    async def vehicle(self, channel: int, *, connected: bool) -> None:
        """One that asks for current when it is offered."""
        assert channel == 1
        self.panel.do_vehicle(connected=connected)

    async def fault(self, channel: int, *, present: bool) -> None:
        """The residual-current relay opens its contact."""
        assert channel == 1
        self.panel.set(RCD, high=present)

    async def jam(self, *, jammed: bool) -> None:
        """Something holds the bolt."""
        self.panel.jammed = jammed


def scenario(test: Callable[[Path], Coroutine[Any, Any, None]]) -> Callable[[Path], None]:
    """A test in virtual time."""

    def run(tmp_path: Path) -> None:
        virtualloop.run(test(tmp_path))

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run
