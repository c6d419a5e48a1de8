"""The step: one input, one transaction.

The reply, the messages and the wants of a step leave together when it has committed, or none does.

Every input (a CSMS call, what became of a message, facts of the hardware, timers that are due, a job's result) is one
synchronous call of `Engine.step`. It begins a transaction, lets the handlers run, drains the facts they emitted through
the reactions, commits, and only then gives the effects. A step cannot be interleaved, and nothing in it reads a clock,
a socket or a random number.

Trouble has four kinds (design 6): `RpcError` is the caller's fault and becomes a CALLERROR; a `Refusal` is a value and
none of the engine's business; `StoreFailed` is a state of the station; anything else is a bug of ours, from which the
engine recovers by reloading every block and state object from their tables and doing the same input again without the
handler that raised.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from station.block import Answered, Block, Later, Outcome, Reloads
from station.effects import StepPorts, TellSnapshot
from station.facts import EvseQuarantined, Facts, HardwareFact, SecurityEventOccurred, StoreDegraded, StoreRecovered
from station.inputs import Ask, Call, Canary, Done, Fate, Happened, Input, JobDone, TimersDue, Waiting
from station.now import Deadline, MonoDeadline, Now, seconds_until
from station.ocpp.base import Request
from station.ocpp.errors import ErrorCode, RpcError
from station.recovery import Culprit, Failures, Source
from station.store.db import Database, StoreFailed
from station.store.fallback import Fallback

log = logging.getLogger(__name__)


class Telling(Protocol):
    """What the engine needs of the way to the CSMS."""

    def begin(self, now: Now) -> None:
        """A step begins."""
        ...

    def hold(self, token: str) -> None:
        """Keep what this step tells until the token is released."""
        ...


class EngineFailed(Exception):  # noqa: N818 - the end of the process, not one error among others
    """Recovery itself failed, or trouble comes from everywhere: the process had better be started anew."""


class Engine:
    """One station's blocks and state objects, stepped by one input at a time."""

    def __init__(  # noqa: PLR0913 - the wiring of one object, named at the one call
        self,
        *,
        db: Database,
        facts: Facts,
        ports: StepPorts,
        csms: Telling,
        states: Sequence[Reloads],
        blocks: Sequence[Block],
    ) -> None:
        self._db = db
        self._csms = csms
        self.fallback = Fallback(db)
        self._facts = facts
        self._ports = ports
        self._states = states
        self._blocks = blocks
        self._timed = {block: Culprit(_name(block), "due") for block in blocks if _has_deadlines(block)}
        self._roaming = [block for block in self._timed if block.due_by_others]
        self._deadlines: dict[Block, Deadline | None] = dict.fromkeys(self._timed)
        self._stirred: set[Block] = set()
        """Blocks that have run since they were asked for their deadlines."""
        self._failures = Failures()
        self._quarantined: set[int] = set()
        self._skipped: set[Culprit] = set()
        self._running: Culprit | None = None
        self._hearing: object = None
        self._due: Deadline | None = None
        self._changes = 0
        self._routes = _unique((row.request, block, row.handle) for block in blocks for row in block.routes())
        self._reading = {row.request for block in blocks for row in block.routes() if row.reads}
        self._outcomes = _unique((row.request, block, row.handle) for block in blocks for row in block.outcomes())
        self._unless_empty = {row.request for block in blocks for row in block.outcomes() if row.unless_empty}
        self._results = _unique((row.result, block, row.handle) for block in blocks for row in block.results())
        self._reactions: dict[type[Any], list[tuple[Block, Culprit, Callable[[Any, Now], None]]]] = {}
        for block in blocks:
            for reaction in block.reactions():
                row = (block, Culprit(_name(block), reaction.fact.__name__), reaction.react)
                self._reactions.setdefault(reaction.fact, []).append(row)

    def load(self, now: Now) -> None:
        """Read every table into memory: the boot path, which recovery takes too."""
        for thing in (*self._states, *self._blocks):
            thing.load(now)
        self._stirred.update(self._timed)

    @property
    def actions(self) -> frozenset[type[Request[Any, Any]]]:
        """What the blocks answer; every other action is NotImplemented."""
        return frozenset(self._routes)

    def is_news(self, fate: Outcome[Any]) -> bool:
        """Whether a block wants to know what became of a message. If none does, there is nothing to step."""
        request = type(fate.request)
        if request not in self._outcomes:
            return False
        empty = isinstance(fate, Answered) and request in self._unless_empty and fate.response == type(fate.response)()
        return not empty

    # ------------------------------------------------------------------------------------------------- the step

    def step(self, given: Input, now: Now) -> Done:
        """Do one input. Raises EngineFailed only."""
        reading = given.request if isinstance(given, Call) and type(given.request) in self._reading else None
        try:
            return self._attempt(given, now) if reading is None else self._read(reading, now)
        except RpcError as error:
            if not isinstance(given, Call):  # nobody waits for a CALLERROR: as much a bug as any other
                return self._recover(given, now, error)
            return self._refused(error, now)
        except StoreFailed as error:
            return self._degrade(given, now, error)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is a bug to recover from
            return self._recover(given, now, error)

    def _read(self, request: Request[Any, Any], now: Now) -> Done:
        """A call that only reads: there is nothing to commit, to hear of or to hand over."""
        self._running = self._hearing = None
        self._changes = self._db.connection.total_changes
        reply = self._run(self._routes, request, request, now)
        if self._facts.waiting:  # it did not only read
            self._facts.clear()
            return self._attempt(Call(request), now)
        return Done(reply, [], only_read=True)

    def _attempt(self, given: Input, now: Now) -> Done:
        self._running = self._hearing = None
        self._changes = self._db.connection.total_changes
        with self._db.transaction():
            self._csms.begin(now)
            reply = self._dispatch(given, now)
            if isinstance(reply, Later):
                reply = self._wait(reply)
            self._hear(now)
        if isinstance(given, JobDone):
            self._ports.ended(given.generation)
        return Done(reply, self._ports.take())

    def _wait(self, later: Later) -> Waiting:
        """Start the job, and keep what this step tells until the reply has left (FR.05)."""
        generation = self._ports.start(later.job)
        self._csms.hold(str(generation))
        return Waiting(generation, later.by, later.otherwise)

    def _dispatch(self, given: Input, now: Now) -> Any:  # noqa: C901 - one line for each kind of input
        match given:
            case Happened(facts):
                for fact in facts:
                    if not self._quarantined or not self._is_quarantined(fact):
                        self._facts.emit(fact)
                return None
            case Call(request):
                return self._run(self._routes, request, request, now)
            case Fate(outcome):
                return self._run(self._outcomes, outcome.request, outcome, now)
            case JobDone(generation, result):
                if not self._ports.is_current(generation):
                    log.info("job.outdated", extra={"result": type(result).__name__})
                    return None
                return self._run(self._results, result, result, now)
            case TimersDue():
                return self._timers(now)
            case Ask(command):
                self._stirred.update(self._timed)  # whatever it calls
                return command(now)
            case Canary():
                return self._db.execute("SELECT 1").fetchone()

    def _run(self, table: Mapping[type[Any], Any], key: object, argument: object, now: Now) -> Any:
        row = table.get(type(key))
        if row is None:
            if table is self._routes:
                raise RpcError(
                    ErrorCode.NOT_IMPLEMENTED, f"{type(key).__name__.removesuffix('Request')} is not built in"
                )
            return None
        block, culprit, handle = row
        if self._skipped and culprit in self._skipped:
            return None
        self._running = culprit
        if type(key) not in self._reading:
            self._stirred.add(block)
        return handle(argument, now)

    def _hear(self, now: Now) -> None:
        """Let the facts of the step be heard, those too that are told meanwhile."""
        queue, reactions, stirred = self._facts.waiting, self._reactions, self._stirred
        all_hear = not self._skipped and self._failures.none_is_muted
        while queue:
            fact = self._hearing = queue.popleft()
            for block, culprit, react in reactions.get(type(fact), ()):
                if not all_hear and (culprit in self._skipped or self._failures.muted(culprit, now.mono)):
                    continue
                self._running = culprit
                stirred.add(block)
                react(fact, now)
                if not all_hear:
                    self._failures.worked(culprit)

    def _timers(self, now: Now) -> None:
        self._stirred.update(self._timed)  # a deadline may have been that of a muted block, which has one of its own
        for block, culprit in self._timed.items():
            deadline = block.next_due()
            if deadline is None or seconds_until(deadline, now) > 0:
                continue
            if culprit in self._skipped or self._failures.muted(culprit, now.mono):
                continue
            self._running = culprit
            block.due(now)
            after = block.next_due()
            if after is not None and seconds_until(after, now) <= 0:
                raise AssertionError(f"{culprit.block}.next_due() is not after now once due() ran")
            self._failures.worked(culprit)

    def next_due(self, now: Now) -> Deadline | None:
        """The earliest deadline of all blocks; a muted one waits until it may be tried again.

        A deadline changes in a step in which its block runs, or one of another block, if the block says so: the others
        are not asked again.
        """
        if self._stirred:
            deadlines = self._deadlines
            self._stirred.update(self._roaming)
            for block in self._stirred:
                if block in deadlines:
                    deadlines[block] = block.next_due()
            self._stirred.clear()
            self._due = self._earliest(deadlines, now)
        return self._due

    def next_due_by_all(self, now: Now) -> Deadline | None:
        """The same, with every block asked: what `next_due` has to tell at any time, which the tests look at."""
        return self._earliest({block: block.next_due() for block in self._timed}, now)

    def _earliest(self, deadlines: Mapping[Block, Deadline | None], now: Now) -> Deadline | None:
        earliest: Deadline | None = None
        wait = float("inf")
        all_count = self._failures.none_is_muted
        for block, deadline in deadlines.items():
            if deadline is None:
                continue
            if not all_count and self._failures.muted(self._timed[block], now.mono):
                deadline = MonoDeadline(self._failures.muted_until(self._timed[block]) or now.mono)  # noqa: PLW2901 - it waits
            seconds = deadline.at - (now.mono if isinstance(deadline, MonoDeadline) else now.wall)  # as seconds_until
            if seconds < wait:
                earliest, wait = deadline, seconds
        return earliest

    # ------------------------------------------------------------------------------------------------- trouble

    def _forget(self) -> None:
        """Clear what the failed step left in memory; the outbox took part in the transaction and has done so itself."""
        self._facts.clear()
        self._ports.clear()

    def _refused(self, error: RpcError, now: Now) -> Done:
        """The caller's fault: nothing of the step stays. Not counted."""
        self._forget()
        if self._db.connection.total_changes == self._changes:  # stays raised after a rollback if the step had written
            return Done(error, [])
        self._reload(now)
        return Done(error, [TellSnapshot()])

    def _degrade(self, given: Input, now: Now, error: StoreFailed) -> Done:
        """The disk fails: do the input again, at once if room was made, else on a copy in memory (design 6)."""
        self._forget()
        log.error("store.failed", extra={"kind": error.kind.name, "detail": error.detail, "retry": error.retry})
        entering = not error.retry and not self.fallback.active
        if entering:
            try:
                self.fallback.enter(error)
            except StoreFailed as unreadable:
                raise EngineFailed(f"the database can be neither written nor read: {unreadable}") from unreadable
        elif not error.retry:
            raise EngineFailed(f"the copy in memory failed, too: {error}") from error
        self._reload(now)
        done = self.step(given, now)
        told = self.step(Happened((StoreDegraded(kind=error.kind.name),)), now).effects if entering else []
        return Done(done.reply, [*done.effects, *told, TellSnapshot()])

    def retry_store(self, now: Now) -> Done:
        """Try to bring back to the disk what was kept in memory; the shell asks every 10 s while `fallback.active`."""
        failed = self.fallback.leave()
        if failed is not None:
            log.warning("store.still_failing", extra={"kind": failed.kind.name})
            return Done(None, [])
        return self.step(Happened((StoreRecovered(),)), now)

    def _reload(self, now: Now) -> None:
        """Be as the tables say; what the hardware showed is in none of them, so a TellSnapshot has to follow."""
        try:
            self.load(now)
        except Exception as error:
            raise EngineFailed(f"reload failed: {error!r}") from error

    def _recover(self, given: Input, now: Now, error: Exception) -> Done:
        """A bug: reload in place, then the same input once more without the handler that raised (design A3)."""
        culprit, source = self._running, _source(given)
        self._forget()
        log.error("engine.recovery", exc_info=error, extra={"source": source, "culprit": culprit})
        self._reload(now)
        if source[0] != "call" and self._failures.is_fatal(("culprit", *(culprit or source)), now.mono):
            raise EngineFailed(f"three different handlers failed within ten minutes; the last: {culprit}") from error
        if isinstance(given, Call) and (culprit is None or culprit.given == type(given.request).__name__):
            return Done(RpcError(ErrorCode.INTERNAL, "this request met an error in the station"), [TellSnapshot()])
        if isinstance(given, Ask):
            return Done(error, [TellSnapshot()])
        extra = self._blame(given, culprit, now)
        self._skipped = {*self._skipped, culprit} if culprit else self._skipped
        try:
            again = self.step(given, now) if culprit else Done(None, [])
        finally:
            self._skipped = set()
        news = self.step(Happened(extra), now) if extra else Done(None, [])
        return Done(again.reply, [*again.effects, *news.effects, TellSnapshot()])

    def _blame(self, given: Input, culprit: Culprit | None, now: Now) -> tuple[object, ...]:
        """Count the failure and give what the station must be told about it."""
        if culprit is None:
            return ()
        evse_id = getattr(self._hearing, "evse_id", None)
        if evse_id is None or not self._is_essential(culprit):
            self._failures.mute(culprit, now.mono)
            twice = self._failures.happened((*culprit, *_source(given)), now.mono) == 2  # noqa: PLR2004 - told once
            return (_bug_event(culprit),) if twice else ()
        if self._failures.happened((*culprit, evse_id), now.mono) < 2:  # noqa: PLR2004 - once may be chance
            return ()
        self._quarantine(evse_id)
        return (_bug_event(culprit), EvseQuarantined(evse_id=evse_id, reason=str(culprit)))

    def _quarantine(self, evse_id: int) -> None:
        self._quarantined.add(evse_id)
        self._ports.shut(evse_id)

    def _is_quarantined(self, fact: object) -> bool:
        return isinstance(fact, HardwareFact) and fact.evse_id in self._quarantined

    def _is_essential(self, culprit: Culprit) -> bool:
        return any(block.essential for block in self._blocks if _name(block) == culprit.block)


def _unique(rows: Iterable[tuple[type[Any], Block, Any]]) -> dict[type[Any], tuple[Block, Culprit, Any]]:
    table: dict[type[Any], tuple[Block, Culprit, Any]] = {}
    for key, block, handle in rows:
        if key in table:
            raise ValueError(f"{_name(block)} and {_name(table[key][0])} both claim {key.__name__}")
        table[key] = (block, Culprit(_name(block), key.__name__), handle)
    return table


def _has_deadlines(block: Block) -> bool:
    return type(block).next_due is not Block.next_due


def _name(block: object) -> str:
    return type(block).__name__


def _source(given: Input) -> Source:
    match given:
        case Call(request):
            return ("call", type(request).__name__)
        case Fate(outcome):
            return ("message", type(outcome.request).__name__)
        case Happened(facts):
            return ("facts", *sorted({type(fact).__name__ for fact in facts}))
        case JobDone(_, result):
            return ("job", type(result).__name__)
        case _:
            return (type(given).__name__,)


def _bug_event(culprit: Culprit) -> SecurityEventOccurred:
    """Not in the appendix's list, which allows own types; told once, when a handler failed for the second time."""
    return SecurityEventOccurred(
        type="InternalError", tech_info=f"{culprit.block} failed on {culprit.given} repeatedly"
    )
