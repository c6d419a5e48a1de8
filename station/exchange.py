"""The conversation between one station and its CSMS, sans I/O: texts and inputs in, effects out.

It joins the RPC endpoint, the negotiated speaker, the engine and the outbox. The shell feeds it from sockets, devices
and clocks; the tests' bench feeds it in virtual time: both drive the very same object. It decides no policy: what is
said is the blocks' business, what goes next the outbox's, what a frame means the endpoint's and the speaker's.

Every method takes `now` and gives what the shell shall do, in order. A CALL is answered before anything that its step
told leaves (FR.05).
Invariant: at most one CALL of ours is in flight, and nothing but a BootNotification leaves before the registration
allows it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from station import block
from station.block import JobResult
from station.csms import StepCsms
from station.effects import CarryOut, Effect, Send, SetClock
from station.engine import Engine
from station.facts import (
    ClockStepped,
    InvalidMessageReceived,
    LinkLost,
    LinkRestored,
    MessageUndelivered,
    TransactionThinned,
)
from station.inputs import Ask, Call, Fate, Happened, Input, JobDone, TimersDue, Waiting
from station.now import Mono, MonoDeadline, Now, seconds_until
from station.ocpp.base import Response
from station.ocpp.errors import CannotRender, ErrorCode, RpcError
from station.ocpp.messages import ACTIONS
from station.ocpp.rpc import CallReceived, CallRepeated, Endpoint, ErrorReceived, ResultReceived, Violation
from station.ocpp.speaker import Speaker
from station.rendering import rendered, with_message
from station.stamps import Stamps
from station.store import rows
from station.store.intents import Intent, Intents
from station.store.lanes import Gate
from station.store.outbox import Outbox

log = logging.getLogger(__name__)

STORE_RETRY_S = 10.0
MOST_ROUNDS = 16
"""A block that asks again whenever it hears NotSent gets its next outcome with the next input, not in this one."""

GATES = {"Accepted": Gate.OPEN, "Pending": Gate.PENDING}
"""Any other registration lets only a BootNotification pass (B01.FR.08, B02.FR.02, B03.FR.02)."""


class Registered(Protocol):
    """What the exchange must know of the registration."""

    @property
    def status(self) -> str:
        """Unknown, Pending, Accepted or Rejected."""
        ...


class _Owed(msgspec.Struct, frozen=True):
    """A CALL whose reply waits for a job."""

    message_id: str
    by: Mono
    otherwise: Response


class Exchange:
    """One station's conversation. `speakers`: the configured versions, the preferred one first."""

    def __init__(  # noqa: PLR0913 - the wiring of one object, named at the one call
        self,
        *,
        engine: Engine,
        csms: StepCsms,
        outbox: Outbox,
        stamps: Stamps,
        intents: Intents,
        registration: Registered,
        endpoint: Endpoint,
        speakers: Sequence[Speaker],
    ) -> None:
        self.engine = engine
        self.outbox = outbox
        self.endpoint = endpoint
        self._csms = csms
        self._stamps = stamps
        self._intents = intents
        self._registration = registration
        self._speakers = {speaker.subprotocol: speaker for speaker in speakers}
        self._connection = 0
        self._is_answered = False
        self._stepped = True
        """A step has run since what follows from steps was looked after."""
        self._owed: dict[int, _Owed] = {}
        self._carried: set[int] = set()
        self._store_retry_at: Mono | None = None
        self._clock_is_set = False
        self._out: list[Effect] = []
        self.moved = True
        """Whether a deadline may be another one since the last input."""
        self.on_accepted: Callable[[], None] | None = None
        """Called when the CSMS has answered the first CALL on a connection: it is stable, the back-off may begin anew
        (field.md 1)."""
        self.on_done: Callable[[str], None] | None = None
        """Called with the action of each CALL of the CSMS whose step has committed."""

    # ------------------------------------------------------------------------------------------------ what comes in

    @property
    def connection(self) -> int:
        """The number of the present connection; 0 if there is none."""
        return self._connection if self._csms.connected else 0

    def connected(self, subprotocol: str, restored: LinkRestored, now: Now) -> list[Effect]:
        """A connection stands, `subprotocol` agreed. Raises KeyError for one that was not offered."""
        self._csms.speaker = self._speakers[subprotocol]
        self.endpoint.spell = self._csms.speaker.error_code
        self._connection += 1
        self._is_answered = False
        self._csms.last_sent = None
        self._csms.connected = True
        self._follow_registration()  # before the step, so that what it tells finds the link open
        self._csms.open = self._registration.status == "Accepted" and not restored.new_profile
        self._give(Happened((restored,)), now)
        return self._finish(now)

    def disconnected(self, lost: LinkLost, now: Now) -> list[Effect]:
        """The connection is gone, or an attempt to make one failed."""
        if self._csms.connected:
            self._csms.connected = self._csms.open = False
            for generation in self._owed:  # a reply dies with its connection; what waited for it must not
                self.outbox.release(str(generation))
            self._owed.clear()
            self.endpoint.disconnected(now.mono)
            self.outbox.link_lost()
        self._give(Happened((lost,)), now)
        return self._finish(now)

    def receive(self, text: str | bytes, now: Now) -> list[Effect]:
        """A text frame came. After a call that only reads, all that was looked after before is as it was."""
        match self.endpoint.receive(text, now.mono):
            case CallReceived(message_id, action, payload):
                if self._called(message_id, action, payload, now):
                    self.moved = False
                    return self._effects()
            case CallRepeated(_, reply):
                self._send(reply)
            case ResultReceived(message_id, payload, _):
                self._answered(message_id, payload, now)
            case ErrorReceived(message_id, code, description):
                error = RpcError(self._csms.speaker.read_error_code(code), description)
                self._attempt_failed(lambda at: self.outbox.refused(message_id, error, at), now)
            case Violation(_, description, reply):
                self._send(reply)
                self._give(Happened((InvalidMessageReceived(description=description),)), now)
        return self._finish(now)

    def give(self, given: Input, now: Now) -> list[Effect]:
        """Any other input: facts, a job's result, a local command, the canary."""
        self._give(given, now)
        return self._finish(now)

    def clock_stepped(self, stepped: ClockStepped, now: Now) -> list[Effect]:
        """The wall clock was set; `now` has the new time already. Queued messages are stamped anew as they leave."""
        self._give(Ask(self._stamps.learn), now)
        return self.give(Happened((stepped,)), now)

    def carried_out(self, intent: Intent, now: Now) -> list[Effect]:
        """The shell has done what an intent asked for. A reboot stays: its reason is told after it."""
        return self.give(Ask(lambda _: self._intents.done(intent)), now)

    def ask(self, command: Callable[[Now], Any], now: Now) -> tuple[Any, list[Effect]]:
        """A local command in a step of its own; gives its result (an exception if it failed) beside the effects."""
        reply = self._give(Ask(command), now)
        return reply, self._finish(now)

    def tick(self, now: Now) -> list[Effect]:
        """The deadline that `next_deadline` told has come."""
        timed_out = self.endpoint.timed_out(now.mono)
        if timed_out is not None:
            self._attempt_failed(lambda at: self.outbox.timed_out(timed_out, at), now)
        for generation in [number for number, owed in self._owed.items() if owed.by <= now.mono]:
            owed = self._owed.pop(generation)
            self._reply(owed.message_id, owed.otherwise, now)
            self.outbox.release(str(generation))
        if self._store_retry_at is not None and self._store_retry_at <= now.mono:
            self._stepped = True
            self._take(self.engine.retry_store(now).effects)
            self._store_retry_at = now.after(STORE_RETRY_S)
        due = self.engine.next_due(now)
        if due is not None and seconds_until(due, now) <= 0:
            self._give(TimersDue(), now)
        if (flush := self.outbox.next_due(now)) is not None and flush <= now.mono:
            self._give(Ask(self.outbox.due), now)
        return self._finish(now)

    def next_deadline(self, now: Now) -> float | None:
        """Seconds until `tick` wants to be called; None: nothing is due, ever."""
        if self._clock_is_set:
            return 0.0
        rare = self._rare_deadlines() if self._owed or self._intents.rows else ()
        flying = self.endpoint.flying
        soonest = math.inf if flying is None else flying.deadline
        for mono in (self.outbox.next_due(now), self._store_retry_at, *rare):
            if mono is not None and mono < soonest:
                soonest = mono
        wait_s = soonest - now.mono
        if (due := self.engine.next_due(now)) is not None:
            wait_s = min(wait_s, due.at - (now.mono if isinstance(due, MonoDeadline) else now.wall))  # as seconds_until
        return None if wait_s == math.inf else max(0.0, wait_s)

    def _rare_deadlines(self) -> list[Mono | None]:
        """Of replies that wait for a job, and of intents."""
        deadlines: list[Mono | None] = [owed.by for owed in self._owed.values()]
        return deadlines + [intent.by for intent in self._waiting_intents() if intent.after == "drained"]

    # ------------------------------------------------------------------------------------------------ CALLs of the CSMS

    def _called(self, message_id: str, action: str, payload: bytes, now: Now) -> bool:
        """Answer a CALL; whether nothing but that has happened."""
        if self._registration.status == "Rejected":  # B03.FR.08
            refusal = RpcError(ErrorCode.SECURITY, "the registration was rejected")
            self._send(self.endpoint.error(message_id, refusal, now.mono))
            return False
        try:
            request = self._csms.speaker.decode_request(action, payload)
        except RpcError as error:
            self._send(self.endpoint.error(message_id, error, now.mono))
            return False
        self._stepped = True
        done = self.engine.step(Call(request), now)
        if isinstance(done.reply, Waiting):
            self._owed[done.reply.generation] = _Owed(message_id, done.reply.by, done.reply.otherwise)
        else:
            self._reply(message_id, done.reply, now)
        self._take(done.effects)
        if self.on_done is not None:
            self.on_done(action)
        return done.only_read

    def _reply(self, message_id: str, reply: object, now: Now) -> None:
        if isinstance(reply, Response):
            try:
                payload = self._csms.speaker.encode_response(reply)
            except CannotRender as impossible:
                log.exception("reply.impossible", extra={"type": type(reply).__name__})
                error = RpcError(ErrorCode.INTERNAL, impossible.description)
            else:
                self._send(self.endpoint.result(message_id, payload, now.mono))
                return
        else:
            error = reply if isinstance(reply, RpcError) else RpcError(ErrorCode.INTERNAL, "the answer failed")
        self._send(self.endpoint.error(message_id, error, now.mono))

    # ------------------------------------------------------------------------------------------------ answers to us

    def _answered(self, message_id: str, payload: bytes, now: Now) -> None:
        action = self.outbox.action_of(message_id)
        if action is None:
            return
        try:
            response = self._csms.speaker.decode_response(ACTIONS[action].request, payload)
        except RpcError as error:  # FR.03, seen from our side: a broken answer is a failed request
            log.warning("answer.invalid", extra={"action": action, "reason": str(error)})
            invalid = error
            self._attempt_failed(lambda at: self.outbox.refused(message_id, invalid, at), now)
            return
        answered = self.outbox.acknowledged(message_id, response, now)
        if answered is not None:
            self._tell_fate(answered, now)
        if not self._is_answered and self.on_accepted is not None:
            self._is_answered = True
            self.on_accepted()

    def _attempt_failed(self, judge: Callable[[Now], Any], now: Now) -> None:
        """A CALLERROR, an invalid answer or a timeout: counted once, even if the step that stores it runs twice."""
        verdict = judge(now)
        if isinstance(verdict, rows.Again):
            self._give(Ask(lambda _now: None), now)  # any commit writes the attempt
        if isinstance(verdict, rows.Refused | rows.TimedOut | rows.NotSent):
            self._tell_fate(verdict, now)

    def _tell_fate(self, fate: rows.Outcome, now: Now) -> None:
        row = fate.row
        request = row.made.request if row.made is not None else row.request
        match fate:
            case rows.Answered(_, response):
                outcome: block.Outcome[Any] = block.Answered(request, response, row.context)
            case rows.Refused(_, error):
                outcome = block.Refused(request, error.code.value, error.description, row.context)
            case rows.TimedOut():
                outcome = block.TimedOut(request, row.context)
            case rows.NotSent(_, why):
                outcome = block.NotSent(request, why.value, row.context)
        if self.engine.is_news(outcome):
            self._give(Fate(outcome), now)
        if getattr(fate, "undelivered", False):
            self._undelivered(row, "given up after the last attempt", now)

    def _undelivered(self, row: rows.Row, reason: str, now: Now) -> None:
        log.error("message.undelivered", extra={"action": row.action, "id": row.message_id, "reason": reason})
        key = row.key if row.action == "TransactionEvent" else None
        self._give(Happened((MessageUndelivered(action=row.action, reason=reason, transaction_id=key),)), now)

    # ------------------------------------------------------------------------------------------------ one input

    def _give(self, given: Input, now: Now) -> Any:
        self._stepped = True
        done = self.engine.step(given, now)
        if isinstance(given, JobDone):
            self._job_done(given.generation, done.reply, now)
        self._take(done.effects)
        return done.reply

    def _job_done(self, generation: int, reply: object, now: Now) -> None:
        """A reply is ready, or waits on for another job: what waits for it does so, too."""
        owed = self._owed.pop(generation, None)
        if isinstance(reply, Waiting):
            if owed is not None:
                self._owed[reply.generation] = msgspec.structs.replace(owed, by=reply.by, otherwise=reply.otherwise)
                self.outbox.hold_on(str(generation), str(reply.generation))
                return
            self.outbox.release(str(reply.generation))  # nobody waits for the reply any more
        elif owed is not None:
            self._reply(owed.message_id, reply if reply is not None else owed.otherwise, now)
        self.outbox.release(str(generation))

    def job_done(self, generation: int, result: JobResult, now: Now) -> list[Effect]:
        """Slow work has ended."""
        return self.give(JobDone(generation, result), now)

    # ------------------------------------------------------------------------------------------------ what goes out

    def _finish(self, now: Now) -> list[Effect]:
        """After an input: follow what its steps changed, tell the outcomes that came by themselves, send what may go.

        An answer that is no news has no step.
        """
        for _ in range(MOST_ROUNDS):
            if self._stepped:
                self._follow_step(now)
            self._clock_is_set = bool(self._out) and self._sets_clock()
            if self._clock_is_set:
                break
            self._pump(now)
            fates = self.outbox.outcomes()
            if not fates:
                break
            for fate in fates:
                self._tell_fate(fate, now)
        if self._stepped:
            self._follow_step(now)
        if self._intents.rows:
            self._carry_out(now)
        self.moved = True
        return self._effects()

    def _effects(self) -> list[Effect]:
        effects, self._out = self._out, []
        return effects

    def _sets_clock(self) -> bool:
        """A time was heard: what is queued leaves when the clock has been set by it, so that it bears the right time.

        The shell carries out SetClock first; then comes `clock_stepped`, or `tick` at once if there was nothing to set.
        """
        return any(isinstance(effect, SetClock) for effect in self._out)

    def _follow_step(self, now: Now) -> None:
        """A step may have changed what may be sent, what is in the queue, and whether the station runs on memory."""
        while thinned := self.outbox.thinned():
            facts = (TransactionThinned(transaction_id=each.transaction, events=each.rows) for each in thinned)
            self._give(Happened(tuple(facts)), now)
        self._stepped = False
        self._follow_registration()
        if self.engine.fallback.active:
            self._store_retry_at = self._store_retry_at or now.after(STORE_RETRY_S)
        else:
            self._store_retry_at = None

    def _follow_registration(self) -> None:
        """What may be sent now, by link and registration."""
        connected, status = self._csms.connected, self._registration.status
        self.outbox.gate(GATES.get(status, Gate.BOOT) if connected else Gate.CLOSED)
        self._csms.open = connected and status == "Accepted"

    def _pump(self, now: Now) -> None:
        while self._csms.connected and self.endpoint.flying is None and (row := self.outbox.next(now)) is not None:
            try:
                row = with_message(row)
                payload = rendered(row, self._csms.speaker, self._stamps)
            except Exception as error:  # noqa: BLE001 - a row that ends the process would do so after each start
                reason = error.description if isinstance(error, CannotRender) else repr(error)
                fate = self.outbox.not_rendered(row, reason)
                self._stamps.dropped(row)
                self._undelivered(row, reason, now)
                if not row.stored:  # who asked gets an outcome; a stored row may be unreadable altogether
                    self._tell_fate(fate, now)
                continue
            self.outbox.sent(row)
            self._csms.last_sent = now.mono
            self.endpoint.call_timeout_s = self._csms.timeout_s or self.endpoint.call_timeout_s
            self._send(self.endpoint.send_call(row.message_id, row.action, payload, now.mono))

    def _carry_out(self, now: Now) -> None:
        for intent in self._waiting_intents():
            overdue = intent.by is not None and intent.by <= now.mono
            if intent.after == "drained" and not overdue and self._csms.connected and self._csms.queued():
                continue
            self._carried.add(intent.row_id)
            self._out.append(CarryOut(intent))

    def _waiting_intents(self) -> list[Any]:
        pending = self._intents.pending()
        return [intent for intent in pending if intent.row_id not in self._carried] if pending else pending

    def _send(self, text: str | None) -> None:
        if text is not None and self._csms.connected:
            self._out.append(Send(text, self._connection))

    def _take(self, effects: list[Effect]) -> None:
        self._out.extend(effects)
