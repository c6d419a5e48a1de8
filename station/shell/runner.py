"""The process: what comes in goes through the inbox to the core, what the core wants is carried out (design 6).

    link, hardware thread, clock, jobs, control --> turns --> exchange --> effects --> link, hardware, jobs, clock

The end of the core's turns ends the process, and so does that of the clock's rounds. Link and control socket run under
`supervise`, the hardware in its own thread. Effects are handed over, never awaited: a slow socket delays no contactor.
Invariant: the effects of one input are handed over before the next input is stepped, in the order of their steps.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from station.block import Job
from station.effects import (
    CancelJob,
    CarryOut,
    Effect,
    EquipSecc,
    Indicate,
    KeepReading,
    Send,
    SetClock,
    SetWant,
    Show,
    StartJob,
    TakeSample,
    TellSnapshot,
    TellVehicle,
)
from station.exchange import Exchange
from station.facts import ClockStepped, Fact
from station.inputs import Ask, Canary, Happened
from station.now import Now
from station.shell.clock import Change, StationClock
from station.shell.devices import HardwareThread
from station.shell.ears import Ears
from station.shell.inbox import Item
from station.shell.jobs import Jobs, Worker
from station.shell.link import Link, LinkSetup, Listener
from station.shell.order import InOrder
from station.shell.reconcile import Batch
from station.shell.rounds import Rounds, Upkeep
from station.shell.signals import heeded
from station.shell.supervise import supervise
from station.shell.turns import Turns, Work
from station.shell.watchdog import BEATS, Notifier

log = logging.getLogger(__name__)

EXIT_STOPPED = 0
EXIT_FAILED = 1
EXIT_RESTART = 3
"""The CSMS asked for a reset: whoever started the agent shall start it again."""

FLUSH_S = 5.0
"""How long what was said before a reset or a reconnection may take to leave."""

LINK_END_S = 6.0
RETUNES = frozenset({"SetVariables", "SetNetworkProfile"})
"""CALLs that may change how the link is kept."""


class Served(Protocol):
    """Something that serves until it is cancelled, and says when it does."""

    async def run(self) -> None:
        """Serve."""
        ...


class Core(msgspec.Struct, frozen=True):
    """The station as the runner sees it. Everything here runs in the core's loop, between steps or inside of one."""

    exchange: Exchange
    start: Callable[[Now], list[Effect]]
    accepted: Callable[[], bool]
    """Whether a CSMS has accepted the station since the start."""
    learn: Callable[[Now], None]
    """Inside a step: keep this boot's offset, now that it is known."""
    last_words: Callable[[Now], None]
    """Inside the last step of an orderly stop."""
    upkeep: Callable[[Now], Sequence[Effect]]
    """Between steps, about once a minute."""
    link_setup: Callable[[], LinkSetup]
    """Where and how to connect, as variables and files say now."""


class Outside(msgspec.Struct, frozen=True):
    """What the runner drives; made by functions that are given the ends it holds."""

    clock: StationClock
    link: Callable[[Listener], Link]
    hardware: Callable[[Callable[[Batch], None]], HardwareThread]
    served: Callable[[Runner], Mapping[str, Served]]
    """What others on the machine may ask, by name; each of them fails alone."""
    workers: Callable[[Runner], Mapping[type[Job], Worker]]
    notifier: Notifier
    reboot: Sequence[str] = ()
    """A command that restarts the machine; without it the agent ends, to be started again."""
    agent_only: frozenset[str] = frozenset()
    """Reasons for which that is enough, whatever restarts the machine."""


class Runner:
    """One station's process. `run` gives the exit code."""

    def __init__(self, core: Core, outside: Outside) -> None:
        self.core = core
        self.exchange = core.exchange
        self.clock = outside.clock
        self._outside = outside
        self._notifier = outside.notifier
        self.began = self.clock.mono()
        self._turns = Turns(Work(self.clock.now, self._step, self._tick, self._wait_s))
        self.inbox = self._turns.inbox
        rounds = Upkeep(
            accepted=core.accepted,
            look_at_clock=lambda: self._clock_changed(self.clock.look()),
            store=lambda now: self._carry(core.upkeep(now)),
            canary=lambda now: self.exchange.give(Canary(), now),
        )
        self._rounds = Rounds(rounds, self.clock, self._notifier)
        self._loop = asyncio.get_running_loop()
        self._stop: asyncio.Future[int] = self._loop.create_future()
        self._carry = InOrder(self._do)
        self._link_ended = asyncio.Event()
        self._side: set[asyncio.Task[None]] = set()
        self.ears = Ears(self.exchange, self.clock, self._turns, self._notifier, self.retune)
        self.hardware = outside.hardware(self._heard_hardware)
        self.link: Link
        self.jobs = Jobs(outside.workers(self), self._job_done)

    # --- the life of it all

    async def run(self) -> int:
        """Serve until SIGTERM, SIGINT or a reset. Raises BadOptions if the hardware's configuration is wrong."""
        with heeded(lambda: self.stop(EXIT_STOPPED)):
            return await self._run()

    async def _run(self) -> int:
        self.hardware.start(self._hardware_ended)
        effects = self.core.start(self.clock.now())
        self.link = self._outside.link(self.ears)  # after the start: by now the station knows where to connect
        self.exchange.on_accepted = self.link.accepted
        self.exchange.on_done = self._done
        self._carry(effects)
        for name, each in self._outside.served(self).items():
            self._spawn(supervise(name, each.run, _ignore), name)
        self._spawn(supervise("link", self._run_link, _ignore), "link")
        code = EXIT_FAILED
        try:
            code = await self._serve()
        finally:
            await self._end()
        return code

    def ready(self) -> None:
        """The control socket serves: tell whoever started us."""
        self._notifier.ready()

    def stop(self, code: int) -> None:
        """End in good order; `run` then gives `code`."""
        if not self._stop.done():
            self._stop.set_result(code)

    async def _serve(self) -> int:
        """Until `stop`, or until the core fails."""
        try:
            async with asyncio.TaskGroup() as group:
                self._turns.begin()
                tasks = [group.create_task(self._rounds.run())]
                if self._notifier.watchdog_s:
                    tasks.append(
                        group.create_task(self._rounds.canaries(self.inbox, self._notifier.watchdog_s / BEATS))
                    )
                ends: set[asyncio.Future[Any]] = {self._stop, self._turns.failed}
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                for task in tasks:
                    task.cancel()
        except ExceptionGroup as failed:
            log.critical("core.failed", exc_info=failed.exceptions[0])
            return EXIT_FAILED
        finally:
            self._turns.end()
        if self._turns.failed.done():
            log.critical("core.failed", exc_info=self._turns.failed.exception())
            return EXIT_FAILED
        return self._stop.result()

    async def _end(self) -> None:
        """The orderly stop: contactors open first, the last rows are written, the connection is closed."""
        self._notifier.stopping()
        opening = threading.Thread(target=self.hardware.stop, name="stop", daemon=True)
        opening.start()
        try:
            self.exchange.give(Ask(self.core.last_words), self.clock.now())
        except Exception:
            log.exception("stop.last_step")
        self.link.stop()
        await self.jobs.stop()
        await asyncio.wait({asyncio.ensure_future(self._link_ended.wait())}, timeout=LINK_END_S)
        for task in self._side:
            task.cancel()
        await asyncio.gather(*self._side, return_exceptions=True)
        opening.join()  # nothing else is left to do

    async def _run_link(self) -> None:
        await self.link.run()
        self._link_ended.set()  # it returns only when it was told to stop
        await self._loop.create_future()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = self._loop.create_task(work, name=name)
        self._side.add(task)
        task.add_done_callback(self._side.discard)

    # --- a turn of the core

    def _step(self, item: Item | Batch, now: Now) -> bool:
        if isinstance(item, Batch):
            self._carry(self.exchange.give(Happened(item.facts) if item.facts else Canary(), now))
            if item.number:
                self.hardware.committed(item.number)
            return True
        self._carry(item.run(now))
        if item.after is not None:
            item.after()
        return self.exchange.moved

    def _tick(self, now: Now) -> None:
        self._carry(self.exchange.tick(now))

    def _wait_s(self, now: Now) -> float | None:
        wait_s = self.exchange.next_deadline(now)
        self._rounds.late.saw(wait_s)
        return wait_s

    # --- what the core wants

    def _do(self, effect: Effect) -> None:  # noqa: C901, PLR0912 - a line for each kind of effect
        match effect:
            case Send(text, connection):
                if self.ears.stands(connection):
                    self.link.send(text)
            case SetWant(evse_id, want):
                self.hardware.want(evse_id, want)
            case TakeSample(evse_id, purpose, by, label):
                self.hardware.sample(evse_id, purpose, by, label)
            case KeepReading(evse_id, rhythm):
                self.hardware.keep_reading(evse_id, rhythm)
            case TellSnapshot():
                self.hardware.snapshot_again()
            case Show(text):
                self.hardware.show(text)
            case Indicate(evse_id, indication):
                self.hardware.indicate(evse_id, indication)
            case TellVehicle(evse_id, answer):
                self.hardware.answer(evse_id, answer)
            case EquipSecc(setup):
                self.hardware.equip(setup)
            case StartJob(generation, job):
                self.jobs.start(generation, job)
            case CancelJob(kind):
                self.jobs.cancel(kind)
            case SetClock(wall, source):
                self._clock_changed(self.clock.heard(wall, source))
            case CarryOut():
                self._spawn(self._carry_out(effect), "intent")

    async def _carry_out(self, effect: CarryOut) -> None:
        """Reconnect or reboot, once what was said before has left."""
        intent = effect.intent
        log.info("intent", extra={"kind": intent.kind, "reason": intent.reason or None})
        await self.link.flush(FLUSH_S)
        if intent.kind == "reconnect":
            self.inbox.put(lambda now: self.exchange.carried_out(intent, now))
            self.retune()
            self.link.reconnect()
            return
        if self._outside.reboot and intent.reason not in self._outside.agent_only:
            await _reboot_machine(self._outside.reboot)
        self.stop(EXIT_RESTART)

    # --- the link

    def _done(self, action: str) -> None:
        if action in RETUNES:
            self.retune()

    def retune(self) -> None:
        """Keep the link as variables and files say now; as before if they cannot be read."""
        try:
            self.link.configure(self.core.link_setup())
        except Exception:
            log.exception("link.setup")

    # --- hardware, jobs, others

    def _heard_hardware(self, batch: Batch) -> None:
        """Called in the hardware's thread."""
        self._loop.call_soon_threadsafe(self._turns.take, batch)

    def _hardware_ended(self) -> None:
        """Called in the hardware's thread: a station without it would look alive and hear of no cable."""
        self._loop.call_soon_threadsafe(self.stop, EXIT_FAILED)

    def _job_done(self, generation: int, result: Any) -> None:
        self.inbox.put(lambda now: self.exchange.job_done(generation, result, now))

    def tell(self, *facts: Fact) -> None:
        """Something else has happened."""
        self.inbox.put(lambda now: self.exchange.give(Happened(facts), now))

    async def ask(self, command: Callable[[Now], Any]) -> Any:
        """Run a local command in a step of its own; raises what it raised."""
        answer: asyncio.Future[Any] = self._loop.create_future()

        def run(now: Now) -> list[Effect]:
            result, effects = self.exchange.ask(command, now)
            if not answer.done():
                answer.set_result(result)
            return effects

        self.inbox.put(run)
        result = await answer
        if isinstance(result, Exception):
            raise result
        return result

    # --- time

    def _clock_changed(self, change: Change | None) -> None:
        if change is None:
            return
        if change.by_s:
            stepped = ClockStepped(by_s=change.by_s, source=change.source)
            self._carry(self.exchange.clock_stepped(stepped, self.clock.now()))
        else:
            self._carry(self.exchange.give(Ask(self.core.learn), self.clock.now()))
        self._turns.look()


def _ignore(reason: str) -> None:
    """`supervise` has logged it; nobody else needs to know."""
    del reason


async def _reboot_machine(command: Sequence[str]) -> None:
    """Run the command that restarts the machine. If it fails, the agent alone is restarted."""
    try:
        process = await asyncio.create_subprocess_exec(*command)
        await asyncio.wait({asyncio.ensure_future(process.wait())}, timeout=FLUSH_S)
    except OSError:
        log.exception("reboot.command")
