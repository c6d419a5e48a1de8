"""The step and what goes wrong in it, with blocks made for the purpose and a real database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from station.block import Block, Later, Outcomes, Reactions, Results, Routes, on, result, route
from station.block import Job as BaseJob
from station.block import JobResult as BaseResult
from station.effects import SetWant, StartJob, StepPorts, TellSnapshot
from station.engine import Engine, EngineFailed
from station.facts import EvseQuarantined, Facts, PlugInserted, PlugRemoved, SecurityEventOccurred, StoreDegraded
from station.inputs import Ask, Call, Canary, Done, Happened, JobDone, TimersDue, Waiting
from station.now import BootId, Deadline, Instant, Mono, MonoDeadline, Now, Wall
from station.ocpp.errors import ErrorCode, RpcError
from station.ocpp.messages import (
    ClearCacheRequest,
    ClearCacheResponse,
    DataTransferRequest,
    DataTransferResponse,
    GetLocalListVersionRequest,
    GetLocalListVersionResponse,
    UnlockConnectorRequest,
    UnlockConnectorResponse,
)
from station.store.db import Database, Fault, StoreFailed
from station.store.intents import Intents

NOW = Now(BootId(1), Mono(100.0), Wall(1_800_000_000.0))
PLUG = PlugInserted(evse_id=1, connector_id=1, at=NOW.instant)
UNPLUG = PlugRemoved(evse_id=1, connector_id=1, at=NOW.instant)


def at(mono: float) -> Now:
    return Now(BootId(1), Mono(mono), Wall(1_800_000_000.0 + mono))


class Quiet:
    """The way to the CSMS of a station that has nothing to tell."""

    def __init__(self) -> None:
        self.held: list[str] = []

    def begin(self, now: Now) -> None:
        """Nothing."""

    def hold(self, token: str) -> None:
        """Note the token."""
        self.held.append(token)


class Notes:
    """A state object: one table, one copy in memory."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.rows: list[str] = []
        self.loads = 0

    def load(self, now: Now) -> None:
        """Read the table."""
        del now
        self.loads += 1
        self.rows = [row[0] for row in self.db.execute("SELECT name FROM meta WHERE name LIKE 'note-%' ORDER BY name")]

    def add(self, text: str) -> None:
        """Write a row."""
        self.db.execute("INSERT INTO meta VALUES (?, 1)", (f"note-{text}",))
        self.rows.append(f"note-{text}")


class Unlock(BaseJob, frozen=True):
    """A job."""


class Unlocked(BaseResult, frozen=True):
    """Its result."""


class Core(Block):
    """Writes a note for each plug, and answers three actions."""

    essential = True

    def __init__(self, notes: Notes, facts: Facts, ports: StepPorts) -> None:
        self.notes, self.facts, self.ports = notes, facts, ports
        self.trouble: Callable[[str], None] = lambda _where: None
        self.at: Deadline | None = None
        self.heard: list[object] = []

    def routes(self) -> Routes:
        """Three actions."""
        return [
            route(ClearCacheRequest, self.clear),
            route(UnlockConnectorRequest, self.unlock),
            route(GetLocalListVersionRequest, self.version, reads=True),
        ]

    def reactions(self) -> Reactions:
        """Plugs, and what the engine tells."""
        return [
            on(PlugInserted, self.plugged),
            *(on(kind, self.note) for kind in (EvseQuarantined, SecurityEventOccurred, StoreDegraded)),
        ]

    def results(self) -> Results:
        """The unlocking."""
        return [result(Unlocked, self.unlocked)]

    def version(self, request: GetLocalListVersionRequest, now: Now) -> GetLocalListVersionResponse:
        """Read, then perhaps fail."""
        del request, now
        self.trouble("version")
        return GetLocalListVersionResponse(version_number=len(self.notes.rows))

    def clear(self, request: ClearCacheRequest, now: Now) -> ClearCacheResponse:
        """Write, then perhaps fail."""
        del request, now
        self.notes.add("cleared")
        self.trouble("clear")
        return ClearCacheResponse(status="Accepted")

    def unlock(self, request: UnlockConnectorRequest, now: Now) -> Later:
        """Slow."""
        del request
        return Later(Unlock(), now.after(5), UnlockConnectorResponse(status="UnlockFailed"))

    def unlocked(self, done: Unlocked, now: Now) -> UnlockConnectorResponse:
        """Done."""
        del done, now
        self.trouble("unlocked")
        return UnlockConnectorResponse(status="Unlocked")

    def plugged(self, fact: PlugInserted, now: Now) -> None:
        """Write a note and want the lock."""
        del now
        self.notes.add(f"plug-{fact.evse_id}")
        self.ports.want(fact.evse_id, energise=True, limit_a=16.0)
        self.trouble(f"plugged-{fact.evse_id}")

    def note(self, fact: object, now: Now) -> None:
        """Remember."""
        del now
        self.heard.append(fact)

    def next_due(self) -> Deadline | None:
        """As the test says."""
        return self.at

    def due(self, now: Now) -> None:
        """Fail, or be done."""
        self.trouble("due")
        self.at = MonoDeadline(now.after(60))


class Screen(Block):
    """A block nobody needs for charging."""

    def __init__(self) -> None:
        self.trouble: Callable[[str], None] = lambda _where: None
        self.shown: list[int] = []

    def reactions(self) -> Reactions:
        """Plugs."""
        return [on(PlugInserted, self.show), on(PlugRemoved, lambda _fact, _now: None)]

    def outcomes(self) -> Outcomes:
        """None."""
        return []

    def show(self, fact: PlugInserted, now: Now) -> None:
        """Show it, or fail."""
        del now
        self.trouble("show")
        self.shown.append(fact.evse_id)


class Rig:
    """An engine with its parts."""

    def __init__(self, path: Path, *, due_by_others: bool = False) -> None:
        self.db = Database.open(path / "station.db")
        self.facts, self.csms = Facts(), Quiet()
        self.ports = StepPorts(Intents(self.db))
        self.notes = Notes(self.db)
        self.core, self.screen = Core(self.notes, self.facts, self.ports), Screen()
        self.core.due_by_others = due_by_others
        blocks = [self.screen, self.core]
        self.engine = Engine(
            db=self.db, facts=self.facts, ports=self.ports, csms=self.csms, states=[self.notes], blocks=blocks
        )
        self.engine.load(NOW)

    def stored(self) -> list[str]:
        """What the disk holds."""
        return [row[0] for row in self.db.execute("SELECT name FROM meta WHERE name LIKE 'note-%' ORDER BY name")]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.db.close()


def failing(where: str, error: type[Exception] | Exception = ZeroDivisionError) -> Callable[[str], None]:
    """Trouble that comes each time at one place."""

    def trouble(here: str) -> None:
        if here == where:
            raise error

    return trouble


def wants(done: Done) -> list[SetWant]:
    return [effect for effect in done.effects if isinstance(effect, SetWant)]


def test_a_step_writes_and_wants_together(rig: Rig) -> None:
    done = rig.engine.step(Happened((PLUG,)), NOW)

    assert rig.stored() == ["note-plug-1"]
    assert [(want.evse_id, want.want.energise) for want in wants(done)] == [(1, True)]
    assert rig.screen.shown == [1]


def test_the_same_want_is_told_once(rig: Rig) -> None:
    rig.engine.step(Ask(lambda _: rig.ports.want(1, energise=True, limit_a=16.0)), NOW)

    again = rig.engine.step(Ask(lambda _: rig.ports.want(1, energise=True, limit_a=16.0)), NOW)

    assert again.effects == []


def test_an_action_that_no_block_claims_is_not_implemented(rig: Rig) -> None:
    reply = rig.engine.step(Call(DataTransferRequest(vendor_id="x")), NOW).reply

    assert isinstance(reply, RpcError)
    assert reply.code is ErrorCode.NOT_IMPLEMENTED


def test_two_blocks_cannot_claim_one_action(rig: Rig) -> None:
    class Twin(Block):
        def routes(self) -> Routes:
            return [route(DataTransferRequest, lambda request, now: DataTransferResponse(status="Accepted"))] * 2

    with pytest.raises(ValueError, match="both claim DataTransferRequest"):
        Engine(db=rig.db, facts=rig.facts, ports=rig.ports, csms=rig.csms, states=[], blocks=[Twin()])


def test_an_rpc_error_undoes_what_the_handler_wrote(rig: Rig) -> None:
    rig.core.trouble = failing("clear", RpcError(ErrorCode.SECURITY, "no"))

    done = rig.engine.step(Call(ClearCacheRequest()), NOW)

    assert isinstance(done.reply, RpcError)
    assert done.reply.code is ErrorCode.SECURITY
    assert rig.stored() == rig.notes.rows == []
    assert done.effects == [TellSnapshot()]


def test_a_call_that_meets_a_bug_gets_internal_error_and_leaves_no_trace_however_often(rig: Rig) -> None:
    rig.core.trouble = failing("clear")

    replies = [rig.engine.step(Call(ClearCacheRequest()), at(100.0 + n)).reply for n in range(20)]

    assert {reply.code for reply in replies} == {ErrorCode.INTERNAL}
    assert rig.stored() == rig.notes.rows == []


def test_a_reaction_that_raises_is_left_out_and_the_others_do_their_work(rig: Rig) -> None:
    rig.screen.trouble = failing("show")

    done = rig.engine.step(Happened((PLUG,)), NOW)

    assert rig.stored() == ["note-plug-1"]
    assert wants(done)
    assert TellSnapshot() in done.effects
    assert rig.screen.shown == []


def test_a_reaction_left_out_is_tried_again_later(rig: Rig) -> None:
    rig.screen.trouble = failing("show")
    rig.engine.step(Happened((PLUG,)), NOW)
    rig.screen.trouble = lambda _where: None

    rig.engine.step(Happened((PlugInserted(evse_id=2, connector_id=1, at=NOW.instant),)), at(100.5))
    rig.engine.step(Happened((PlugInserted(evse_id=3, connector_id=1, at=NOW.instant),)), at(101.5))

    assert rig.screen.shown == [3]


def test_an_evse_whose_facts_raise_twice_is_quarantined_and_the_other_runs_on(rig: Rig) -> None:
    rig.core.trouble = failing("plugged-1")
    rig.engine.step(Happened((PLUG,)), NOW)

    done = rig.engine.step(Happened((PLUG,)), at(101.0))
    rig.engine.step(Happened((PlugInserted(evse_id=2, connector_id=1, at=NOW.instant),)), at(102.0))
    third = rig.engine.step(Happened((PLUG,)), at(103.0))

    assert EvseQuarantined(evse_id=1, reason="Culprit(block='Core', given='PlugInserted')") in rig.core.heard
    assert [(want.evse_id, want.want.energise) for want in wants(done)] == [(1, False)]
    assert rig.stored() == ["note-plug-2"]
    assert third.effects == []


def test_an_evse_in_quarantine_stays_off_whatever_a_block_wants(rig: Rig) -> None:
    """Its facts are not heard any more: nobody would learn that the cable has gone."""
    rig.core.plugged(PLUG, NOW)
    rig.ports.take()
    rig.core.trouble = failing("plugged-1")
    rig.engine.step(Happened((PLUG,)), NOW)

    quarantine = rig.engine.step(Happened((PLUG,)), at(101.0))
    rig.ports.want(1, energise=True, limit_a=16.0, lock=True)
    later = rig.engine.step(Canary(), at(102.0))

    assert [want.want.energise for want in wants(quarantine)] == [False]
    assert [(want.want.energise, want.want.limit_a, want.want.lock) for want in wants(later)] == [(False, 0.0, True)]


def test_a_reaction_that_worked_again_is_left_out_for_the_shortest_time_when_it_next_fails(rig: Rig) -> None:
    """Twice as long only for failures in a row."""
    rig.screen.trouble = failing("show")
    rig.engine.step(Happened((PLUG,)), NOW)
    rig.screen.trouble = lambda _where: None
    rig.engine.step(Happened((PlugInserted(evse_id=2, connector_id=1, at=NOW.instant),)), at(110.0))
    rig.screen.trouble = failing("show")
    rig.engine.step(Happened((PlugInserted(evse_id=3, connector_id=1, at=NOW.instant),)), at(1000.0))
    rig.screen.trouble = lambda _where: None

    rig.engine.step(Happened((PlugInserted(evse_id=4, connector_id=1, at=NOW.instant),)), at(1001.5))

    assert rig.screen.shown == [2, 4]


def test_an_rpc_error_that_answers_no_call_is_a_bug_like_any_other(rig: Rig) -> None:
    """There is nobody to be told by a CALLERROR; the other handlers still hear the fact."""
    rig.screen.trouble = failing("show", RpcError(ErrorCode.GENERIC))

    done = rig.engine.step(Happened((PLUG,)), NOW)

    assert rig.stored() == ["note-plug-1"]
    assert TellSnapshot() in done.effects


def test_a_timer_that_raises_waits_ever_longer(rig: Rig) -> None:
    rig.core.at = MonoDeadline(Mono(100.0))
    rig.core.trouble = failing("due")

    waits = []
    now = NOW
    for _ in range(4):
        rig.engine.step(TimersDue(), now)
        due = rig.engine.next_due(now)
        assert due is not None
        waits.append(round(due.at - now.mono))
        now = at(due.at)

    assert waits == [1, 2, 4, 8]


class Asked:
    """A block's `next_due` that notes each time it is asked."""

    def __init__(self, block: Block) -> None:
        self.times = 0
        block.next_due = self  # type: ignore[method-assign]  # to see who asks

    def __call__(self) -> MonoDeadline:
        """Another one each time."""
        self.times += 1
        return MonoDeadline(Mono(200.0 + self.times))


def test_a_block_is_asked_for_its_deadline_once_after_a_step_in_which_it_ran(rig: Rig) -> None:
    """In between, and in steps of others, nothing can change it."""
    Asked(rig.core)
    rig.engine.step(Happened((PLUG,)), NOW)
    first = [rig.engine.next_due(NOW) for _ in range(3)]
    for others in (Canary(), Happened((UNPLUG,))):
        rig.engine.step(others, NOW)
        assert rig.engine.next_due(NOW) == first[0]
    rig.engine.step(Call(ClearCacheRequest()), NOW)

    assert first == [MonoDeadline(Mono(201.0))] * 3
    assert rig.engine.next_due(NOW) == MonoDeadline(Mono(202.0))


def test_a_local_command_may_move_any_deadline(rig: Rig) -> None:
    """It may call whomever it wants."""
    rig.engine.next_due(NOW)
    rig.engine.step(Ask(lambda _now: setattr(rig.core, "at", MonoDeadline(Mono(150.0)))), NOW)

    assert rig.engine.next_due(NOW) == MonoDeadline(Mono(150.0))


def test_a_block_that_looks_at_others_is_asked_after_each_step_that_does_something(tmp_path: Path) -> None:
    """After that of another block, too."""
    rig = Rig(tmp_path, due_by_others=True)
    asked = Asked(rig.core)
    rig.engine.next_due(NOW)
    rig.engine.step(Happened((UNPLUG,)), NOW)
    rig.engine.next_due(NOW)
    rig.engine.step(Canary(), NOW)
    rig.engine.next_due(NOW)

    assert asked.times == 2


def test_a_call_that_only_reads_moves_no_deadline(rig: Rig) -> None:
    """Nobody is asked after it; after one that writes, and the same if it failed or brought news, who ran is."""
    asked = Asked(rig.core)
    rig.engine.next_due(NOW)
    rig.engine.step(Call(GetLocalListVersionRequest()), NOW)
    rig.engine.next_due(NOW)
    assert asked.times == 1

    rig.engine.step(Call(ClearCacheRequest()), NOW)
    rig.engine.next_due(NOW)
    assert asked.times == 2

    rig.core.trouble = failing("version")
    assert isinstance(rig.engine.step(Call(GetLocalListVersionRequest()), NOW).reply, RpcError)
    rig.engine.next_due(NOW)
    assert asked.times == 3

    rig.core.trouble = lambda where: rig.facts.emit(PLUG) if where == "version" else None
    rig.engine.step(Call(GetLocalListVersionRequest()), NOW)
    rig.engine.next_due(NOW)
    assert asked.times == 4


def test_a_call_that_only_reads_opens_no_transaction(rig: Rig) -> None:
    """There is nothing to keep or to forget; one that brings news after all is a step like any other."""
    begun: list[bool] = []
    rig.notes.db.connection.set_trace_callback(lambda sql: begun.append(sql.startswith("BEGIN")))

    done = rig.engine.step(Call(GetLocalListVersionRequest()), NOW)
    assert done.only_read
    assert not any(begun)

    rig.core.trouble = lambda where: rig.facts.emit(PLUG) if where == "version" else None
    done = rig.engine.step(Call(GetLocalListVersionRequest()), NOW)
    assert not done.only_read
    assert begun.count(True) == 1
    assert rig.stored() == ["note-plug-1"]


def test_a_timer_that_stays_due_is_a_bug_and_does_not_spin(rig: Rig) -> None:
    rig.core.at = MonoDeadline(Mono(100.0))
    rig.core.due = lambda now: None  # type: ignore[method-assign]  # a bug made for the test

    rig.engine.step(TimersDue(), NOW)

    due = rig.engine.next_due(NOW)
    assert due is not None
    assert due.at > NOW.mono


def test_slow_work_holds_what_the_step_told_and_its_result_is_the_reply(rig: Rig) -> None:
    """FR.05."""
    waiting = rig.engine.step(Call(UnlockConnectorRequest(evse_id=1, connector_id=1)), NOW)
    assert isinstance(waiting.reply, Waiting)
    generation = waiting.reply.generation

    done = rig.engine.step(JobDone(generation, Unlocked()), NOW)

    assert [effect for effect in waiting.effects if isinstance(effect, StartJob)]
    assert rig.csms.held == [str(generation)]
    assert done.reply == UnlockConnectorResponse(status="Unlocked")


def test_the_result_of_a_superseded_job_is_dropped(rig: Rig) -> None:
    first = rig.engine.step(Call(UnlockConnectorRequest(evse_id=1, connector_id=1)), NOW).reply
    rig.engine.step(Call(UnlockConnectorRequest(evse_id=1, connector_id=1)), NOW)

    assert rig.engine.step(JobDone(first.generation, Unlocked()), NOW).reply is None


def test_the_result_of_a_superseded_job_is_dropped_even_if_it_comes_last(rig: Rig) -> None:
    first = rig.engine.step(Call(UnlockConnectorRequest(evse_id=1, connector_id=1)), NOW).reply
    second = rig.engine.step(Call(UnlockConnectorRequest(evse_id=1, connector_id=1)), NOW).reply
    rig.engine.step(JobDone(second.generation, Unlocked()), NOW)

    assert rig.engine.step(JobDone(first.generation, Unlocked()), NOW).reply is None


def test_a_job_whose_step_failed_supersedes_none(rig: Rig) -> None:
    running = rig.engine.step(Call(UnlockConnectorRequest(evse_id=1, connector_id=1)), NOW).reply
    rig.ports.start(Unlock())
    rig.ports.clear()

    done = rig.engine.step(JobDone(running.generation, Unlocked()), NOW)

    assert done.reply == UnlockConnectorResponse(status="Unlocked")


def test_the_result_of_a_cancelled_job_is_dropped_though_it_was_on_its_way(rig: Rig) -> None:
    running = rig.engine.step(Call(UnlockConnectorRequest(evse_id=1, connector_id=1)), NOW).reply
    rig.engine.step(Ask(lambda _: rig.ports.cancel(Unlock)), NOW)

    assert rig.engine.step(JobDone(running.generation, Unlocked()), NOW).reply is None


def test_a_step_that_failed_has_cancelled_nothing(rig: Rig) -> None:
    running = rig.engine.step(Call(UnlockConnectorRequest(evse_id=1, connector_id=1)), NOW).reply

    def cancel(_: Now) -> None:
        rig.ports.cancel(Unlock)
        raise ZeroDivisionError

    rig.engine.step(Ask(cancel), NOW)

    done = rig.engine.step(JobDone(running.generation, Unlocked()), NOW)
    assert done.reply == UnlockConnectorResponse(status="Unlocked")


def test_the_result_of_a_job_outlives_a_disk_that_fails_in_its_step(rig: Rig) -> None:
    """The input is done again, and the job will not run again to bring it."""
    waiting = rig.engine.step(Call(UnlockConnectorRequest(evse_id=1, connector_id=1)), NOW).reply
    calls = iter([StoreFailed(Fault.IO, "worn out")])

    def once(where: str) -> None:
        if where == "unlocked" and (error := next(calls, None)):
            raise error

    rig.core.trouble = once

    done = rig.engine.step(JobDone(waiting.generation, Unlocked()), NOW)

    assert done.reply == UnlockConnectorResponse(status="Unlocked")


def test_a_failing_disk_leads_to_a_copy_in_memory_and_back(rig: Rig) -> None:
    """Design 6: StoreFailed is a state of the station."""
    rig.engine.step(Happened((PLUG,)), NOW)
    calls = iter([StoreFailed(Fault.IO, "worn out")])

    def once(where: str) -> None:
        if where == "plugged-2" and (error := next(calls, None)):
            raise error

    rig.core.trouble = once
    done = rig.engine.step(Happened((PlugInserted(evse_id=2, connector_id=1, at=NOW.instant),)), NOW)

    assert rig.engine.fallback.active
    assert TellSnapshot() in done.effects
    assert StoreDegraded(kind="IO") in rig.core.heard
    assert rig.stored() == rig.notes.rows == ["note-plug-1", "note-plug-2"]

    rig.engine.retry_store(at(110.0))

    assert not rig.engine.fallback.active
    assert rig.stored() == ["note-plug-1", "note-plug-2"]


def test_a_reload_that_fails_ends_the_process(rig: Rig) -> None:
    rig.core.trouble = failing("plugged-1")

    def broken(now: Now) -> None:
        raise ValueError(now)

    rig.notes.load = broken  # type: ignore[method-assign]  # a bug made for the test

    with pytest.raises(EngineFailed, match="reload failed"):
        rig.engine.step(Happened((PLUG,)), NOW)


def test_a_local_command_writes_in_a_step_of_its_own(rig: Rig) -> None:
    done = rig.engine.step(Ask(lambda now: rig.notes.add(str(now.mono))), NOW)

    assert done.reply is None
    assert rig.stored() == ["note-100.0"]


def test_the_canary_comes_through_and_writes_nothing(rig: Rig) -> None:
    before = rig.db.connection.total_changes

    done = rig.engine.step(Canary(), NOW)

    assert done.reply == (1,)
    assert rig.db.connection.total_changes == before


def test_facts_are_heard_in_the_order_of_the_blocks(rig: Rig) -> None:
    order: list[str] = []
    rig.screen.trouble = order.append
    rig.core.trouble = order.append

    rig.engine.step(Happened((PLUG, PlugRemoved(evse_id=1, connector_id=1, at=Instant(BootId(1), Mono(1))))), NOW)

    assert order == ["show", "plugged-1"]
