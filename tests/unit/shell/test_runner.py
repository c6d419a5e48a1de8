"""The process around the core: inputs are stepped in order, and what the core wants is handed over in order."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from station.block import Job, JobResult
from station.effects import CarryOut, Effect, Send, SetClock, SetWant, StartJob, TakeSample, TellSnapshot, Want
from station.engine import EngineFailed
from station.exchange import Exchange
from station.facts import ClockStepped, Fact, LinkLost, LinkRestored, PlugInserted
from station.inputs import Ask, Canary, Happened
from station.now import BootId, Instant, Mono, Now, Wall
from station.shell.clock import StationClock
from station.shell.devices import HardwareThread
from station.shell.link import Link, LinkSetup, LinkUp
from station.shell.linkdown import DownKind, LinkDown
from station.shell.network import NetworkProfile
from station.shell.reconcile import Batch
from station.shell.runner import EXIT_FAILED, EXIT_RESTART, EXIT_STOPPED, Core, Outside, Runner
from station.shell.watchdog import Notifier
from station.store.intents import Intent

PLUG: Fact = PlugInserted(evse_id=1, at=Instant(BootId(1), Mono(0.0)), connector_id=1)
WANT = Want(energise=True, limit_a=16.0)
OFF = Want(energise=False, limit_a=0.0)
UP = LinkUp("ocpp2.0.1", NetworkProfile(slot=0, url="ws://host/ocpp", security_profile=1), 0, None, False)  # noqa: FBT003 - not compressed


class Slow(Job, frozen=True, kw_only=True):
    """Something slow."""


class Done(JobResult, frozen=True, kw_only=True):
    """What came of it."""


class FakeExchange:
    """Records its inputs and answers each by what the test prepared for its kind."""

    def __init__(self, journal: list[Any]) -> None:
        self.journal = journal
        self.effects: dict[object, list[Effect]] = {}
        self.raises: dict[object, Exception] = {}
        self.connection = 0
        self.on_accepted: Callable[[], None] | None = None
        self.on_done: Callable[[str], None] = lambda _: None
        self.deadline: float | None = None
        self.moved = True

    def _take(self, kind: object, *told: Any) -> list[Effect]:
        self.journal.append((kind, *told))
        if kind in self.raises:
            raise self.raises.pop(kind)
        return self.effects.pop(kind, [])

    def give(self, given: Any, now: Now) -> list[Effect]:
        if isinstance(given, Ask):
            given.command(now)
        return self._take(type(given), *(given.facts if isinstance(given, Happened) else ()))

    def connected(self, subprotocol: str, restored: LinkRestored, now: Now) -> list[Effect]:
        del now
        self.connection += 1
        return self._take("connected", subprotocol, restored)

    def disconnected(self, lost: LinkLost, now: Now) -> list[Effect]:
        del now
        return self._take("disconnected", lost)

    def receive(self, text: str, now: Now) -> list[Effect]:
        del now
        effects = self._take("receive", text)
        self.on_done(text)  # in these tests a text is the action alone
        return effects

    def tick(self, now: Now) -> list[Effect]:
        del now
        self.deadline = None
        return self._take("tick")

    def next_deadline(self, now: Now) -> float | None:
        del now
        return self.deadline

    def job_done(self, generation: int, result: JobResult, now: Now) -> list[Effect]:
        del now
        return self._take("job_done", generation, result)

    def clock_stepped(self, stepped: ClockStepped, now: Now) -> list[Effect]:
        return self._take("clock_stepped", round(stepped.by_s), now.trusted)

    def carried_out(self, intent: Intent, now: Now) -> list[Effect]:
        del now
        return self._take("carried_out", intent.kind)


class FakeHardware:
    """Records what it is told."""

    def __init__(self, journal: list[Any]) -> None:
        self.journal = journal

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *told: self.journal.append((name, *told))


class FakeLink:
    """Stands as long as nobody stops it."""

    def __init__(self, journal: list[Any]) -> None:
        self.journal = journal
        self.up: LinkUp | None = None
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        await self._stopped.wait()

    async def flush(self, timeout_s: float) -> bool:
        del timeout_s
        self.journal.append(("flush",))
        return True

    def send(self, text: str) -> bool:
        self.journal.append(("send", text))
        return True

    def stop(self) -> None:
        self.journal.append(("link.stop",))
        self._stopped.set()

    def accepted(self) -> None:
        self.journal.append(("accepted",))

    def configure(self, setup: LinkSetup) -> None:
        del setup
        self.journal.append(("configure",))

    def reconnect(self) -> None:
        self.journal.append(("reconnect",))


class FakeControl:
    """Serves at once; may fail first."""

    def __init__(self, runner: Runner, failures: int) -> None:
        self._runner = runner
        self._failures = failures

    async def run(self) -> None:
        if self._failures:
            self._failures -= 1
            raise OSError("address in use")
        self._runner.ready()
        await asyncio.Event().wait()


class FakeNotifier(Notifier):
    """Records instead of telling systemd."""

    def __init__(self, journal: list[Any], watchdog_s: float | None = None) -> None:
        super().__init__({})
        self._journal = journal
        self.watchdog_s = watchdog_s

    def _send(self, text: str) -> None:
        self._journal.append((text,))


class Stage:
    """A runner among fakes. `journal`: everything that was said to anybody, in order."""

    def __init__(
        self,
        *,
        watchdog_s: float | None = None,
        control_failures: int = 0,
        reboot: tuple[str, ...] = (),
        upkeep: Callable[[Now], Sequence[Effect]] = lambda _: (),
        link_setup: Callable[[], LinkSetup] = lambda: LinkSetup((), ()),
    ) -> None:
        self.journal: list[Any] = []
        self.exchange = FakeExchange(self.journal)
        self.hardware = FakeHardware(self.journal)
        self.link = FakeLink(self.journal)
        self.clock = StationClock()
        self.clock.begin(BootId(1), lambda _: Wall(0.0))
        core = Core(
            exchange=cast("Exchange", self.exchange),
            start=lambda _: [],
            accepted=lambda: False,
            learn=lambda _: self.journal.append(("learn",)),
            last_words=lambda _: self.journal.append(("last words",)),
            upkeep=upkeep,
            link_setup=link_setup,
        )
        outside = Outside(
            clock=self.clock,
            link=lambda _: cast("Link", self.link),
            hardware=lambda _: cast("HardwareThread", self.hardware),
            served=lambda runner: {"control": FakeControl(runner, control_failures)},
            workers=lambda _: {Slow: self._work},
            notifier=FakeNotifier(self.journal, watchdog_s),
            reboot=reboot,
        )
        self.runner = Runner(core, outside)

    async def _work(self, job: Slow) -> JobResult:
        del job
        return Done()

    def seen(self, *kinds: object) -> list[Any]:
        """The entries of the journal of these kinds."""
        return [entry for entry in self.journal if entry[0] in kinds]


def play(scene: Callable[[Stage], Awaitable[None]], **given: Any) -> tuple[Stage, int]:
    """Run a scene beside the runner, which it has to end; gives the exit code."""

    async def run() -> tuple[Stage, int]:
        stage = Stage(**given)
        running = asyncio.ensure_future(stage.runner.run())
        acting = asyncio.ensure_future(scene(stage))
        await asyncio.wait({running, acting}, timeout=10, return_when=asyncio.FIRST_EXCEPTION)
        await acting
        return stage, await asyncio.wait_for(running, 5)

    return asyncio.run(run())


async def turns(count: int = 20) -> None:
    """Let the loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)


def scene_of(*steps: Callable[[Stage], None]) -> Callable[[Stage], Awaitable[None]]:
    """One step after another, then the orderly end."""

    async def scene(stage: Stage) -> None:
        await turns()
        for step in steps:
            step(stage)
            await turns()
        stage.runner.stop(EXIT_STOPPED)

    return scene


def test_wants_are_handed_over_before_the_batch_counts_as_committed() -> None:
    """The hardware may give a permission only on the word of a step that knew."""

    def batch(stage: Stage) -> None:
        stage.exchange.effects[Happened] = [SetWant(1, WANT), TakeSample(1, "begin", Mono(1.0), "04AA"), TellSnapshot()]
        stage.runner.inbox.put_batch(Batch(7, (PLUG,)))

    stage, _ = play(scene_of(batch))

    order = stage.seen(Happened, "want", "sample", "snapshot_again", "committed")
    assert order == [
        (Happened, PLUG),
        ("want", 1, WANT),
        ("sample", 1, "begin", 1.0, "04AA"),
        ("snapshot_again",),
        ("committed", 7),
    ]


def test_a_call_for_a_sign_of_life_goes_through_the_core() -> None:
    """An empty batch is a canary: it writes nothing, and says that the core works."""
    stage, _ = play(scene_of(lambda stage: stage.runner.inbox.put_batch(Batch(8, ()))))

    assert stage.seen(Canary, "committed") == [(Canary,), ("committed", 8)]


def test_texts_go_in_and_frames_go_out() -> None:
    """A CALL and its answer."""

    def connect(stage: Stage) -> None:
        stage.runner.ears.on_up(UP)

    def call(stage: Stage) -> None:
        stage.exchange.effects["receive"] = [Send("[3]", 1)]
        assert stage.runner.ears.on_text("[2]") is None

    stage, _ = play(scene_of(connect, call))

    assert stage.seen("receive", "send") == [("receive", "[2]"), ("send", "[3]")]


def test_a_frame_for_a_connection_that_is_gone_is_not_sent_on_the_next() -> None:
    """An answer belongs to its connection."""

    def connect(stage: Stage) -> None:
        stage.runner.ears.on_up(UP)

    def late(stage: Stage) -> None:
        stage.exchange.effects[Happened] = [Send("[3]", 1)]
        stage.runner.inbox.put_batch(Batch(1, (PLUG,)))
        stage.runner.ears.on_down(LinkDown(DownKind.CLOSED, "gone", 0, was_up=True))
        stage.runner.ears.on_up(UP)

    stage, _ = play(scene_of(connect, late))

    assert stage.seen("send") == []
    assert [entry[0] for entry in stage.seen("connected", "disconnected")] == ["connected", "disconnected", "connected"]


def test_a_restored_link_tells_how_long_there_was_none() -> None:
    """E04, B04: what was missed depends on it. None at the first connection since the start."""

    def connect(stage: Stage) -> None:
        stage.runner.ears.on_up(UP)

    def lose(stage: Stage) -> None:
        stage.runner.ears.on_down(LinkDown(DownKind.CLOSED, "gone", 0, was_up=True))

    stage, _ = play(scene_of(connect, lose, connect))

    first, second = [entry[2] for entry in stage.seen("connected")]
    assert first.offline_s is None
    assert 0 <= second.offline_s < 5


def test_a_job_is_done_and_its_result_is_an_input() -> None:
    """B2."""

    def start(stage: Stage) -> None:
        stage.exchange.effects[Happened] = [StartJob(4, Slow())]
        stage.runner.inbox.put_batch(Batch(1, (PLUG,)))

    stage, _ = play(scene_of(start))

    assert stage.seen("job_done") == [("job_done", 4, Done())]


def test_a_time_of_the_csms_steps_the_clock_before_the_next_input() -> None:
    """What comes after is judged by the new time."""

    def tell(stage: Stage) -> None:
        wall = Wall(stage.clock.now().wall + 3600)
        stage.exchange.effects[Happened] = [SetClock(wall, "Heartbeat")]
        stage.runner.inbox.put_batch(Batch(1, (PLUG,)))
        stage.runner.inbox.put_batch(Batch(2, ()))

    stage, _ = play(scene_of(tell))

    assert stage.seen("clock_stepped", Canary) == [("clock_stepped", 3600, True), (Canary,)]


def test_what_a_stepped_clock_leads_to_does_not_overtake_what_was_wanted_before() -> None:
    """Else the older want would stand, and a contactor with it."""

    def batch(stage: Stage) -> None:
        stage.exchange.effects[Happened] = [SetClock(Wall(2_000_000_000.0), "Heartbeat"), SetWant(1, WANT)]
        stage.exchange.effects["clock_stepped"] = [SetWant(1, OFF)]
        stage.runner.inbox.put_batch(Batch(1, (PLUG,)))

    stage, _ = play(scene_of(batch))

    assert stage.seen("want") == [("want", 1, WANT), ("want", 1, OFF)]


def test_a_deadline_is_served() -> None:
    """Without any other input."""

    def wait(stage: Stage) -> None:
        stage.exchange.deadline = 0.0
        stage.runner.inbox.put_batch(Batch(1, ()))

    stage, _ = play(scene_of(wait))

    assert ("tick",) in stage.journal


# --- intents


def intent(kind: str) -> CarryOut:
    """As a step leaves it."""
    return CarryOut(Intent(1, kind, "reply", "RemoteReset", None, BootId(1)))


def test_a_reset_waits_for_its_reply_and_ends_with_the_code_that_starts_us_again() -> None:
    """B11: the CSMS hears Accepted before the station is gone."""

    async def scene(stage: Stage) -> None:
        await turns()
        stage.exchange.effects[Happened] = [intent("reboot")]
        stage.runner.inbox.put_batch(Batch(1, (PLUG,)))

    stage, code = play(scene)

    assert code == EXIT_RESTART
    assert stage.seen("flush", "carried_out", "link.stop") == [("flush",), ("link.stop",)]


def test_a_reset_may_restart_the_machine(tmp_path: Path) -> None:
    """Where the operator says by which command."""

    async def scene(stage: Stage) -> None:
        await turns()
        stage.exchange.effects[Happened] = [intent("reboot")]
        stage.runner.inbox.put_batch(Batch(1, (PLUG,)))

    proof = tmp_path / "rebooted"
    _, code = play(scene, reboot=(sys.executable, "-c", f"open({str(proof)!r}, 'w').close()"))

    assert code == EXIT_RESTART
    assert proof.exists()


def test_a_reconnection_is_told_as_done_and_dials_anew() -> None:
    """A01: with the credentials that are stored now."""

    def ask(stage: Stage) -> None:
        stage.exchange.effects[Happened] = [intent("reconnect")]
        stage.runner.inbox.put_batch(Batch(1, (PLUG,)))

    stage, _ = play(scene_of(ask))

    assert stage.seen("flush", "reconnect", "carried_out") == [("flush",), ("reconnect",), ("carried_out", "reconnect")]


def received(action: str) -> Callable[[Stage], None]:
    """A step of a scene: a CALL of this action came and was done."""

    def step(stage: Stage) -> None:
        assert stage.runner.ears.on_text(action) is None

    return step


def test_a_call_that_changes_how_the_link_is_kept_takes_effect_at_once() -> None:
    """A new ping interval, a new profile."""
    stage, _ = play(
        scene_of(lambda stage: stage.runner.ears.on_up(UP), received("SetVariables"), received("GetVariables"))
    )

    assert stage.seen("receive", "configure") == [
        ("receive", "SetVariables"),
        ("configure",),
        ("receive", "GetVariables"),
    ]


def test_a_setup_that_cannot_be_read_ends_nothing_and_a_reconnection_follows_all_the_same() -> None:
    """A certificate's file on a failing disk, say."""

    def unreadable() -> LinkSetup:
        raise OSError("worn out")

    def ask(stage: Stage) -> None:
        stage.exchange.effects[Happened] = [intent("reconnect")]
        stage.runner.inbox.put_batch(Batch(1, (PLUG,)))

    stage, code = play(
        scene_of(lambda stage: stage.runner.ears.on_up(UP), received("SetVariables"), ask), link_setup=unreadable
    )

    assert code == EXIT_STOPPED
    assert stage.seen("reconnect", "configure") == [("reconnect",)]


# --- the end, and trouble


def test_the_orderly_stop_opens_contactors_and_writes_the_last_rows() -> None:
    """SIGTERM; the session stays in the database."""
    stage, code = play(scene_of())

    assert code == EXIT_STOPPED
    told = [entry[0] for entry in stage.journal]
    assert {"stop", "last words", "link.stop"} <= set(told)
    assert told.index("STOPPING=1") < told.index("last words") < told.index("link.stop")


def test_ready_is_told_when_the_control_socket_serves() -> None:
    """Not when a CSMS answers."""
    stage, _ = play(scene_of())

    assert ("READY=1",) in stage.journal


def test_a_control_socket_that_fails_does_not_end_the_station() -> None:
    """It is tried again."""
    stage, code = play(scene_of(), control_failures=1)

    assert code == EXIT_STOPPED
    assert ("READY=1",) not in stage.journal


def test_a_core_that_failed_ends_the_process() -> None:
    """Whoever started it starts it anew; contactors open first."""

    async def scene(stage: Stage) -> None:
        await turns()
        stage.exchange.raises[Happened] = EngineFailed("reload failed")
        stage.runner.inbox.put_batch(Batch(1, (PLUG,)))

    stage, code = play(scene)

    assert code == EXIT_FAILED
    assert ("stop",) in stage.journal


def test_a_station_whose_hardware_thread_ended_is_started_anew() -> None:
    """It would look alive, and hear of no cable."""

    async def scene(stage: Stage) -> None:
        await turns()
        (ended,) = stage.seen("start")[0][1:]
        ended()

    _, code = play(scene)

    assert code == EXIT_FAILED


@pytest.mark.parametrize("overdue", [False, True])
def test_the_watchdog_is_fed_by_a_canary_that_came_through(monkeypatch: pytest.MonkeyPatch, overdue: bool) -> None:  # noqa: FBT001 - a column of the table
    """A core that never gets round to its deadlines is not alive."""

    async def scene(stage: Stage) -> None:
        stage.runner._rounds.late._since = -1000.0 if overdue else None
        monkeypatch.setattr(stage.runner._rounds.late, "saw", lambda _: None)  # time stands still in this test
        await asyncio.sleep(0.05)
        stage.runner.stop(EXIT_STOPPED)

    stage, _ = play(scene, watchdog_s=0.03)

    assert stage.seen(Canary) != []
    assert (stage.seen("WATCHDOG=1") == []) == overdue


def test_a_local_command_gives_its_result_or_its_error() -> None:
    """In a step of its own."""

    async def scene(stage: Stage) -> None:
        await turns()
        answers: list[tuple[Any, list[Effect]]] = [({"a": 1}, []), (ValueError("no"), [])]
        stage.exchange.ask = lambda command, now: answers.pop(0)  # type: ignore[attr-defined]  # part of the fake

        assert await stage.runner.ask(lambda _: None) == {"a": 1}
        with pytest.raises(ValueError, match="no"):
            await stage.runner.ask(lambda _: None)
        stage.runner.stop(EXIT_STOPPED)

    play(scene)


def test_a_mistake_in_the_upkeep_ends_nothing() -> None:
    """A daily copy that fails is no reason to stop charging."""

    def broken(now: Now) -> Sequence[Effect]:
        raise KeyError(now)

    stage, code = play(scene_of(lambda stage: stage.runner.inbox.put_batch(Batch(1, ()))), upkeep=broken)

    assert code == EXIT_STOPPED
    assert stage.seen(Canary) == [(Canary,)]
