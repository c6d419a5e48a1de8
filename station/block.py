"""The shape of a functional block: explicit tables that say what it answers, and when.

A block is a plain class with handlers (`def`, never `async`) and any of the tables below. The engine reads the tables
once at start; two blocks that claim one action, or one outcome, are refused there. Inside a step a handler may

- ask state objects, and change them (that is a write in the step's transaction),
- tell news by `facts.emit(fact)`, ask the CSMS by `csms.tell` / `csms.ask`, state what it wants by `hardware.want`.

All of that happens together when the step commits, or not at all.

    routes     CALLs of the CSMS that it answers                 handler(request, now) -> response | Later
    outcomes   what became of messages it told or asked          handler(outcome, now) -> None
    reactions  facts it wants to hear                            handler(fact, now) -> None
    guards     vetoes before a variable is written               guard(value, now) -> Refusal | None
    results    typed results of slow work                        handler(result, now) -> response | Later | None
    next_due / due   one deadline, and what to do when it came
    load       re-read own memory from the tables (at boot, and in recovery)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from station.now import Deadline, Mono, Now
from station.ocpp.base import Message, Request, Response
from station.refusal import Refusal

Q = TypeVar("Q", bound=Message)
R = TypeVar("R", bound=Message)
F = TypeVar("F")


class Job(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Slow work outside of a step: a download, a signature, an unlock.

    Subclasses are plain data, so that a job can be stored. `shell/jobs.py` and `shell/devices.py` know how to do it,
    by its type; the result comes back as a `JobResult`.
    """

    @property
    def key(self) -> str:
        """Jobs with equal keys supersede each other: only the newest one's result counts. By default, one of a kind."""
        return type(self).__name__


class JobResult(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What came of a job. One subclass per kind, routed by type to the block that lists it in `results()`."""


class NextPiece(Job, frozen=True, kw_only=True):
    """Go on with long work as soon as what waits has had its turn (design 6): `due` then comes as the result."""

    due: JobResult

    @property
    def key(self) -> str:
        """Each kind of long work goes on by itself."""
        return type(self.due).__name__


class Later(msgspec.Struct, frozen=True):
    """The reply to a CALL that needs slow work first.

    The job's result goes to the block's `results()` handler, which returns the response, or another Later: so long work
    is done in steps (design 6). If none has come at `by`, `otherwise` is the reply, and the result is still news (the
    handler is called, its response dropped). Messages told in the step that returned a Later wait for the reply
    (FR.05). The reply belongs to its connection and dies with it.
    """

    job: Job
    by: Mono
    otherwise: Response


class Answered(msgspec.Struct, Generic[Q], frozen=True):
    """The CSMS answered a message of ours. `context` is what was given with `ask`, else None."""

    request: Q
    response: Any
    context: Any = None


class Refused(msgspec.Struct, Generic[Q], frozen=True):
    """The CSMS answered with a CALLERROR.

    A durable message is tried again by its own rules; this tells each attempt.
    """

    request: Q
    code: str
    description: str
    context: Any = None


class TimedOut(msgspec.Struct, Generic[Q], frozen=True):
    """No answer within MessageTimeout. A late one may still come for a durable message."""

    request: Q
    context: Any = None


class NotSent(msgspec.Struct, Generic[Q], frozen=True):
    """An ask that never left: offline, gated by the registration, or its deadline passed in the queue."""

    request: Q
    reason: str
    context: Any = None


Outcome = Answered[Q] | Refused[Q] | TimedOut[Q] | NotSent[Q]
"""What became of a message: exactly one per ask; one per attempt for a durable message."""


class Route(msgspec.Struct, frozen=True):
    """One action that a block answers; `reads`: by reading alone, so that no deadline moves."""

    request: type[Request[Any, Any]]
    handle: Callable[[Any, Now], Response | Later]
    reads: bool = False


class OutcomeRow(msgspec.Struct, frozen=True):
    """One message of ours whose outcomes a block wants; `unless_empty`: but for an answer that says nothing."""

    request: type[Request[Any, Any]]
    handle: Callable[[Any, Now], None]
    unless_empty: bool = False


class Reaction(msgspec.Struct, frozen=True):
    """One kind of fact that a block wants to hear."""

    fact: type[Any]
    react: Callable[[Any, Now], None]


class Guard(msgspec.Struct, frozen=True):
    """One variable whose owner may refuse a value before it is written (design B1)."""

    component: str
    variable: str
    check: Callable[[str, Now], Refusal | None]


class Vetoes:
    """All guards of a station, for the block that writes variables on the CSMS's behalf."""

    def __init__(self) -> None:
        self._guards: dict[tuple[str, str], list[Guard]] = {}

    def add(self, guards: Guards) -> None:
        """Rows of a block; two guards for one variable both must agree."""
        for row in guards:
            self._guards.setdefault((row.component.casefold(), row.variable.casefold()), []).append(row)

    def refusal(self, component: str, variable: str, value: str, now: Now) -> Refusal | None:
        """The first veto against the value, if any."""
        for row in self._guards.get((component.casefold(), variable.casefold()), ()):
            if (refusal := row.check(value, now)) is not None:
                return refusal
        return None


class ResultRow(msgspec.Struct, frozen=True):
    """One kind of job result that a block wants."""

    result: type[JobResult]
    handle: Callable[[Any, Now], Response | Later | None]


Routes = Sequence[Route]
Outcomes = Sequence[OutcomeRow]
Reactions = Sequence[Reaction]
Guards = Sequence[Guard]
Results = Sequence[ResultRow]


def route(request: type[Request[Q, R]], handler: Callable[[Q, Now], R | Later], *, reads: bool = False) -> Route:
    """A row of `routes()`; mypy rejects a handler that returns the response of another action."""
    return Route(request, handler, reads)  # type: ignore[arg-type]  # the pair is checked by this signature


def outcome(
    request: type[Request[Q, R]], handler: Callable[[Outcome[Q], Now], None], *, unless_empty: bool = False
) -> OutcomeRow:
    """A row of `outcomes()`. With `unless_empty` an answer without a single field costs no step."""
    return OutcomeRow(request, handler, unless_empty)


def on(fact: type[F], reaction: Callable[[F, Now], None]) -> Reaction:
    """A row of `reactions()`."""
    return Reaction(fact, reaction)


def guard(component: str, variable: str, check: Callable[[str, Now], Refusal | None]) -> Guard:
    """A row of `guards()`. The value has passed the checks of the device model and is normalised."""
    return Guard(component, variable, check)


JR = TypeVar("JR", bound=JobResult)


def result(kind: type[JR], handler: Callable[[JR, Now], Response | Later | None]) -> ResultRow:
    """A row of `results()`."""
    return ResultRow(kind, handler)


class Reloads(Protocol):
    """What keeps memory beside its tables: state objects and most blocks."""

    def load(self, now: Now) -> None:
        """Forget the memory and read the tables again: at boot, and after a step was rolled back."""
        ...


class Block:
    """The base of every functional block: all tables empty. Override what the block has.

    `essential`: an EVSE cannot charge and bill without it, so one whose facts it cannot bear twice is quarantined
    (design A3); the reactions of other blocks are left out instead, for a growing while.
    `due_by_others`: `next_due` follows from what other blocks or the link do, too; it is asked after each step in which
    any block has run, and not only the block itself.
    """

    essential: bool = False
    due_by_others: bool = False

    def routes(self) -> Routes:
        """CALLs answered."""
        return ()

    def outcomes(self) -> Outcomes:
        """Messages of ours whose fate matters here."""
        return ()

    def reactions(self) -> Reactions:
        """Facts heard, in the order in which `app.py` lists the blocks."""
        return ()

    def guards(self) -> Guards:
        """Variables whose values may be refused here."""
        return ()

    def results(self) -> Results:
        """Results of slow work."""
        return ()

    def next_due(self) -> Deadline | None:
        """When `due` wants to be called: a field read, not a search; after `now` once `due` ran (design C4).

        It changes in no step in which none of the block's own handlers runs, unless the block is `due_by_others`.
        """
        return None

    def due(self, now: Now) -> None:
        """The deadline has come."""

    def load(self, now: Now) -> None:
        """Re-read own memory from the tables."""
