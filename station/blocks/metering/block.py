"""Block J: when meters are read, and what is told of it outside of transactions (J01); samples for those inside (J02).

Everything due at one instant is one *round*: its meters are read together, and what is read together is told in one
step, so that the Updated events of all EVSEs share a commit. Readings for transactions go to block E as `SampleTaken`.
Values that come too late for their moment keep their own time.

The meters are read at these moments without being asked (`hardware.keep_reading`): when the last has shown something,
the round begins and ends, in one step. A meter that is silent, or shall sign, is asked, and told of when it answers.

The sampled intervals count from the second in which the transaction started, so that the moments of several EVSEs fall
together: one wake-up and one commit for all of them. The clock-aligned ones count from midnight UTC.
Invariant: a tick without transactions to tell of writes nothing.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence

import msgspec

from device_model.model import ComponentId
from station.block import Block, Reactions, on
from station.blocks.metering.idle import IdleValues
from station.blocks.metering.moments import ALIGNED, LISTED, SAMPLED, Moment, Wait, next_on_grid
from station.facts import (
    ClockStepped,
    Facts,
    MessageTriggered,
    MeterSampled,
    MomentRead,
    SampleFailed,
    SampleTaken,
    TransactionEnded,
    TransactionStarted,
    VariableChanged,
)
from station.now import (
    Deadline,
    Instant,
    Mono,
    MonoDeadline,
    Now,
    Rhythm,
    Wall,
    WallDeadline,
)
from station.ports import Csms, Hardware, Times
from station.state.connectors import Connectors
from station.state.limits import Limits
from station.state.listings import Listings
from station.state.meters import MOMENT, Meters, Sample, purpose_of, signing
from station.state.sessions import Session, Sessions
from station.state.signatures import printed_key
from station.state.variables import Variables

log = logging.getLogger(__name__)

FRESH_S = 0.5
"""A reading this old is still one of the moment."""
ON_TIME_S = 2.0
"""A reading taken this near to its moment is told with the time of the moment (J01: equal times in one round)."""
GRACE_S = 2.0
"""How long after its moment a meter is asked that is read without being asked and has shown nothing; at most half an
interval, and from then on it is asked each time until it shows something again."""
ROUND_S = 5.0
"""How long a round waits for a meter."""
SIGNING_S = 15.0
"""The same where they sign."""


class Metering(Block):
    """Block J. `main_meter`: the station has a meter of its own, told as EVSE 0 (J01.FR.04)."""

    def __init__(  # noqa: PLR0913 - state objects and ports by keyword
        self,
        *,
        sessions: Sessions,
        connectors: Connectors,
        limits: Limits,
        meters: Meters,
        variables: Variables,
        csms: Csms,
        hardware: Hardware,
        times: Times,
        facts: Facts,
        main_meter: bool = False,
    ) -> None:
        self._sessions = sessions
        self._meters = meters
        self._variables = variables
        self._listings = Listings(variables)
        self._hardware = hardware
        self._facts = facts
        self._idle = IdleValues(
            sessions=sessions,
            connectors=connectors,
            limits=limits,
            variables=variables,
            csms=csms,
            times=times,
            main_meter=main_meter,
        )
        self._waits: list[Wait] = []
        self._reading_at: Now | None = None
        """The last step that brought readings of a moment."""
        self._agenda: dict[tuple[int, str], Moment] = {}
        self._kept: set[int] = set()
        """EVSEs whose meters are read at these moments without being asked."""
        self._silent: set[int] = set()
        """Those of them that showed nothing the last time."""
        self._grid: dict[str, Wall] = {}
        self._told_at: dict[str, Wall] = {}
        self._next: Deadline | None = None
        self._since = Mono(0.0)

    def reactions(self) -> Reactions:
        """Readings, transactions that come and go, intervals that change, triggers."""
        return [
            on(MeterSampled, self.metered),
            on(MomentRead, self.moment_read),
            on(SampleFailed, self.not_metered),
            on(TransactionStarted, self.started),
            on(TransactionEnded, self.ended),
            on(VariableChanged, self.retuned),
            on(ClockStepped, self.clock_stepped),
            on(MessageTriggered, self.triggered),
        ]

    def load(self, now: Now) -> None:
        """Begin to count anew; rounds that waited are dropped, their moment has passed."""
        self._waits = []
        self._since = now.mono
        self._plan(now)

    # --- what is due when

    def next_due(self) -> Deadline | None:
        """The next moment to read, or to give up waiting for a meter."""
        return self._next

    def due(self, now: Now) -> None:
        """Tell the rounds that have waited long enough; begin the one whose moment has come."""
        if self._waits:
            self._end([each for each in self._waits if each.by <= now.mono])
        reasons: dict[int, set[str]] = {}
        samples: dict[int, Sample | None] = {}
        latest = -math.inf
        for (evse_id, reason), moment in self._agenda.items():
            if moment.at <= now.mono and shows_values(self._sessions.get(evse_id)):
                samples[evse_id] = self._meters.read_since(evse_id, now.boot, moment.at)
                if samples[evse_id] is None:
                    self._silent.add(evse_id)
                reasons.setdefault(evse_id, set()).add(reason)
                latest = max(latest, moment.at)
        tells: Sequence[int] = ()
        if self._grid and (clock := {reason for reason, at in self._grid.items() if at <= now.wall}):
            tells = self._due_by_clock(clock, reasons)
            latest = max(latest, *(now.mono - (now.wall - self._grid[reason]) for reason in clock))
        moment_at = Instant(now.boot, Mono(latest) if latest > -math.inf else now.mono)
        for each in sorted(reasons.keys() | set(tells)):
            why = frozenset(reasons.get(each, ()))
            if why or each in tells:
                self._begin(Wait(evse_id=each, at=moment_at, reasons=why, tells=each in tells), samples.get(each), now)
        self._replan(now)

    def _due_by_clock(self, clock: set[str], reasons: dict[int, set[str]]) -> Sequence[int]:
        """Add what the grid of the clock asks of running transactions; gives who tells MeterValues."""
        self._told_at |= {reason: self._grid[reason] for reason in clock}
        for session in self._sessions.running():
            if shows_values(session):
                silenced = self._idle.silenced(session.evse_id)
                reasons.setdefault(session.evse_id, set()).update(clock - silenced)
        return self._idle.evse_ids() if "AlignedUpdated" in clock else ()

    def _plan(self, now: Now) -> None:
        """Everything anew, counted from now on."""
        self._agenda = {}
        kept = self._kept.copy()
        for session in self._sessions.running():
            self._plan_session(session, now)
        self._keep_reading(kept - {evse_id for evse_id, _ in self._agenda})
        self._plan_grid(now)

    def _plan_session(self, session: Session, now: Now) -> None:
        for reason, (interval, measurands) in SAMPLED.items():
            seconds = self._interval_s("SampledDataCtrlr", interval, measurands)
            if seconds > 0:
                begun = session.started_at
                since = math.floor(begun.mono if begun is not None and begun.boot == now.boot else self._since)
                self._agenda[session.evse_id, reason] = Moment(now.mono, seconds, since).after(now.mono)
        self._keep_reading((session.evse_id,))
        self._arm(now)

    def _plan_grid(self, now: Now) -> None:
        self._grid = {}
        for reason, (interval, measurands) in ALIGNED.items():
            seconds = self._interval_s("AlignedDataCtrlr", interval, measurands)
            if seconds > 0:
                at = next_on_grid(now.wall, seconds)
                told = self._told_at.get(reason)
                if told is not None and abs(at - told) < seconds / 2:  # the clock was set back a little: told already
                    at = next_on_grid(at, seconds)
                self._grid[reason] = at
        self._arm(now)

    def _keep_reading(self, evse_ids: Iterable[int]) -> None:
        """Have the meters read at the moments of the agenda; a signature is always asked for."""
        for evse_id in evse_ids:
            reasons = [reason for of, reason in self._agenda if of == evse_id]
            rhythm = None
            if reasons and not any(self._listings.of(*LISTED[reason]).signs for reason in reasons):
                moments = [self._agenda[evse_id, reason] for reason in reasons]
                rhythm = Rhythm(moments[0].since, tuple(sorted({each.every_s for each in moments})))
            (self._kept.discard if rhythm is None else self._kept.add)(evse_id)
            self._hardware.keep_reading(evse_id, rhythm)

    def _interval_s(self, component: str, interval: str, measurands: str) -> int:
        """0 where nothing is to be told: disabled, no interval, no measurands."""
        wanted = self._variables.boolean(component, "Enabled") and self._variables.members(component, measurands)
        return self._variables.integer(component, interval) if wanted else 0

    def _replan(self, now: Now) -> None:
        """The next moment of everything that was due."""
        for (evse_id, reason), moment in tuple(self._agenda.items()):
            if moment.at > now.mono:
                continue
            if self._sessions.get(evse_id).transaction_id is not None:
                self._agenda[evse_id, reason] = moment.after(now.mono)
            else:  # what has ended in this very step is planned no more
                del self._agenda[evse_id, reason]
        if self._grid and min(self._grid.values()) <= now.wall:
            self._plan_grid(now)
        self._arm(now)

    def _arm(self, now: Now) -> None:
        due = min([each.by for each in self._waits], default=math.inf) if self._waits else math.inf
        for (evse_id, _), moment in self._agenda.items():
            at: float = moment.at
            if evse_id in self._kept and evse_id not in self._silent:
                at += min(GRACE_S, moment.every_s / 2)
            due = min(due, at)
        self._next = MonoDeadline(Mono(due)) if due < math.inf else None
        if self._needs_grid():
            wall = min(self._grid.values())
            if wall - now.wall < due - now.mono:
                self._next = WallDeadline(wall)

    def _needs_grid(self) -> bool:
        """The grid of what only Ended tells matters while a transaction runs."""
        return bool(self._grid) and ("AlignedUpdated" in self._grid or bool(self._sessions.running()))

    # --- a round

    def _begin(self, part: Wait, sample: Sample | None, now: Now) -> None:
        """Tell what is at hand (`sample`: read since its moment), or ask the meter."""
        if sample is None or sample.at.mono < part.at.mono:
            sample = self._meters.fresh(part.evse_id, now, FRESH_S)
        signed = self._signs(part)
        if sample is not None and not signed:
            self._tell(part, sample)
            return
        part = msgspec.structs.replace(part, by=now.after(self._wait_s()))
        label = self._sessions.get(part.evse_id).label
        self._hardware.sample(part.evse_id, signing("sample", sign=signed), part.by, label)
        self._waits.append(part)

    def _signs(self, wait: Wait) -> bool:
        """Whether something is told signed of this reading."""
        if wait.tells and self._variables.boolean("AlignedDataCtrlr", "SignReadings"):
            return True
        for reason in wait.reasons:  # noqa: SIM110 - `any` would make a generator for each event
            if self._listings.of(*LISTED[reason]).signs:
                return True
        return False

    def _wait_s(self) -> float:
        able = self._listings.of("SampledDataCtrlr", "TxEndedMeasurands").signs
        able = able or self._listings.of("AlignedDataCtrlr", "TxEndedMeasurands").signs
        return SIGNING_S if able else ROUND_S

    def metered(self, fact: MeterSampled, now: Now) -> None:
        """A meter has answered, asked by us or not."""
        self._meters.observe(fact.evse_id, Sample(fact.at, fact.reading))
        if fact.reading.signed is not None and fact.reading.signed.public_key:
            meter = ComponentId("FiscalMetering", evse_id=fact.evse_id or None)
            self._variables.show(meter, "PublicKey", printed_key(fact.reading.signed.public_key))
        if fact.purpose == MOMENT:
            self._silent.discard(fact.evse_id)
            if self._waits:
                self._heard(fact.evse_id, now)
            if self._reading_at != now:
                self._reading_at = now
                self._facts.emit(MomentRead(at=fact.at))
        elif purpose_of(fact.purpose) == "sample":
            self._heard(fact.evse_id, now)

    def moment_read(self, fact: MomentRead, now: Now) -> None:
        """The readings that came together have all been heard: the round is complete if it waits for no other."""
        del fact
        is_due = False
        for (evse_id, _), moment in self._agenda.items():
            if moment.at <= now.mono:
                if self._meters.read_since(evse_id, now.boot, moment.at) is None:
                    return
                is_due = True
        if is_due:
            self.due(now)

    def not_metered(self, fact: SampleFailed, now: Now) -> None:
        """A meter has not answered: nothing is told for it (a value of another moment would be wrong)."""
        if purpose_of(fact.purpose) == "sample":
            log.warning("meter.silent", extra={"evse": fact.evse_id, "reason": fact.reason})
            self._heard(fact.evse_id, now)

    def _heard(self, evse_id: int, now: Now) -> None:
        if answered := [each for each in self._waits if each.evse_id == evse_id]:
            self._end(answered)
            self._arm(now)

    def _end(self, waits: Iterable[Wait]) -> None:
        """The meters have answered, or will not: tell what there is of the moment."""
        for done in waits:
            self._waits.remove(done)
            self._tell(done, self._of_the_moment(done))

    def _tell(self, done: Wait, sample: Sample | None) -> None:
        """What a meter showed at its moment; None: nothing."""
        if done.reasons:
            reading, at = (sample.reading, _time_of(sample, done)) if sample is not None else (None, done.at)
            self._facts.emit(SampleTaken(evse_id=done.evse_id, reasons=done.reasons, reading=reading, at=at))
        if done.tells:
            asked = done.context == "Trigger"
            sample = sample or (self._meters.last(done.evse_id) if asked else None)
            if sample is not None:
                self._idle.tell(done, sample, _time_of(sample, done))

    def _of_the_moment(self, done: Wait) -> Sample | None:
        last = self._meters.last(done.evse_id)
        if last is None or last.at.boot != done.at.boot or last.at.mono < done.at.mono - FRESH_S:
            return None
        return last

    # --- what changes the plan

    def started(self, fact: TransactionStarted, now: Now) -> None:
        """A transaction has begun: its intervals count from its start."""
        session = self._sessions.by_transaction(fact.transaction_id)
        if session is not None:
            self._plan_session(session, now)

    def ended(self, fact: TransactionEnded, now: Now) -> None:
        """It is over."""
        for reason in SAMPLED:
            self._agenda.pop((fact.evse_id, reason), None)
        self._keep_reading((fact.evse_id,))
        self._arm(now)

    def retuned(self, fact: VariableChanged, now: Now) -> None:
        """An interval was changed: at once, still counted from the start of the transaction."""
        if fact.component in {"SampledDataCtrlr", "AlignedDataCtrlr"}:
            self._plan(now)

    def clock_stepped(self, fact: ClockStepped, now: Now) -> None:
        """The grid lies elsewhere on this boot's clock."""
        del fact
        self._plan_grid(now)

    def triggered(self, fact: MessageTriggered, now: Now) -> None:
        """F06: MeterValues with the aligned measurands, TransactionEvent with those of Updated; both with Trigger."""
        everywhere = self._idle.places()
        evse_ids = everywhere if fact.evse_id is None else (fact.evse_id,)
        tells, reasons = fact.requested == "MeterValues", frozenset[str]()
        if fact.requested == "TransactionEvent":
            running = {session.evse_id for session in self._sessions.running()}
            evse_ids, reasons = tuple(each for each in evse_ids if each in running), frozenset({"Trigger"})
        elif not tells:
            return
        for each in sorted(evse_ids):
            self._begin(Wait(evse_id=each, at=now.instant, reasons=reasons, tells=tells, context="Trigger"), None, now)
        self._arm(now)


def _time_of(sample: Sample, done: Wait) -> Instant:
    return done.at if abs(sample.at.mono - done.at.mono) <= ON_TIME_S else sample.at


def shows_values(session: Session) -> bool:
    """Whether the CSMS knows the EVSE of the transaction: before the cable is in it does not (E01.FR.17)."""
    known = "begin" not in session.owed or (session.no_meter and session.plugged)
    return session.transaction_id is not None and known
