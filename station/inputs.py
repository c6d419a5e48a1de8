"""What a step is given, and what it gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from station.block import JobResult, Outcome
from station.effects import Effect
from station.now import Mono, Now
from station.ocpp.base import Request, Response


class Call(msgspec.Struct, frozen=True):
    """The CSMS asks something."""

    request: Request[Any, Any]


class Fate(msgspec.Struct, frozen=True):
    """What became of a message of ours."""

    outcome: Outcome[Any]


class Happened(msgspec.Struct, frozen=True):
    """Facts of the hardware, the link, the clock: everything that was seen at one time."""

    facts: tuple[object, ...]


class TimersDue(msgspec.Struct, frozen=True):
    """The earliest deadline has come; all that are due at one instant are one input."""


class JobDone(msgspec.Struct, frozen=True):
    """Slow work has ended. `generation`: which start of it; an older one than the last is news without effect."""

    generation: int
    result: JobResult


class Canary(msgspec.Struct, frozen=True):
    """Nothing happened; the watchdog wants to see an input come through (design 6)."""


class Ask(msgspec.Struct, frozen=True):
    """A local command (the control socket): runs in a step of its own, may write, gives its result as the reply."""

    command: Callable[[Now], Any]


Input = Call | Fate | Happened | TimersDue | JobDone | Canary | Ask


class Done(msgspec.Struct, frozen=True):
    """What a step gave: the reply (if it was asked for one) and what the shell shall do, in this order.

    `only_read`: nothing is other than before it.
    """

    reply: Any
    effects: list[Effect]
    only_read: bool = False


class Waiting(msgspec.Struct, frozen=True):
    """The reply of a step whose handler returned `Later`: the job runs as `generation`."""

    generation: int
    by: Mono
    otherwise: Response
