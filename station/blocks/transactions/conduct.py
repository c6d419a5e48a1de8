"""From a changed session to what follows: events told, wants stated, registers read, the row saved, deadlines kept.

`settle` is the one way: every handler of block.py ends there. A stop has two steps. `closing` is saved first: nothing
is wanted any more, the contactor opens, the last register is read; then comes Ended with the instant of the stop, at
the latest after CLOSING_S with the register read last.

Invariant: nothing is energised that is not authorized, plugged in, and saved with its start register.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from hal.api import LEASE_S
from station.blocks.transactions.events import Readings, Telling, Writer
from station.blocks.transactions.session import SETTLE_S, Cause, Circumstances, Event, advance, ended, rested, vacated
from station.facts import AuthorizationEnded, ChargingStateChanged, Facts, TransactionEnded, TransactionStarted
from station.now import Mono, Now
from station.ports import Csms, Hardware, Ids, Times
from station.state.connectors import Connectors
from station.state.limits import MIN_A, Limits, limit_a
from station.state.meters import Meters, Sample, never_falling, registers_only, signing
from station.state.registration import Registration
from station.state.sessions import Session, Sessions
from station.state.variables import Variables

log = logging.getLogger(__name__)

CLOSING_S = 5.0
"""How long an Ended waits for contactor and last register."""
SIGNING_S = 15.0
"""The same where a meter signs (a signature takes up to 15 s)."""
CACHED_S = 120.0
"""Power and voltage read longer ago than this are not told any more; a register holds while the contactor is open."""


class States(msgspec.Struct, frozen=True):
    """The state objects that transactions ask."""

    sessions: Sessions
    connectors: Connectors
    limits: Limits
    meters: Meters
    variables: Variables
    registration: Registration


class World(msgspec.Struct, frozen=True):
    """The ports that transactions use."""

    csms: Csms
    hardware: Hardware
    times: Times
    ids: Ids
    facts: Facts


class Conduct:
    """Carries out what `session.advance` decides."""

    def __init__(self, states: States, world: World) -> None:
        self._sessions = states.sessions
        self._connectors = states.connectors
        self._limits = states.limits
        self._meters = states.meters
        self._variables = states.variables
        self._registration = states.registration
        self._csms = world.csms
        self._hardware = world.hardware
        self._ids = world.ids
        self._facts = world.facts
        self._writer = Writer(sessions=states.sessions, variables=states.variables, times=world.times)
        self._asked: set[int] = set()
        self.told: set[int] = set()
        """EVSEs whose hardware has told its state since the start."""

    def load(self) -> None:
        """Forget which start values were asked for: they are asked for again."""
        self._asked.clear()

    # what follows

    def settle(
        self, before: Session, after: Session, cause: Cause, now: Now, readings: Sequence[Readings] = ()
    ) -> Session:
        """Take a changed session to its consequences; `readings` go with the event, if one is told."""
        how = self._circumstances(after, now)
        after = self._with_start_value(after, how)
        after, events = advance(before, after, cause, how)
        for event in events:
            after = self.tell(after, event, readings)
        closes = after.closing is not None and before.closing is None
        if not after.started:
            after = vacated(after)
        self._news(before, after)
        if closes or after.closing is not None:
            done = self._finished(after, now)
            if done is not None:
                return self._sessions.save(done, now) if closes and done.closing is not None else done
        if events or closes or (after.offering and not after.secured) or _less(before, after):
            after = self._sessions.save(after, now)
        else:
            self._sessions.keep(after)
        self.want(after)
        return after

    def tell(
        self, session: Session, event: Event, readings: Sequence[Readings] = (), *, asked: bool = False
    ) -> Session:
        """Tell one event; gives the session after it, which must be saved in the same step."""
        telling = Telling(offered_a=self.offered_a, online=self._csms.online)
        message, session = self._writer.write(session, event, readings, telling)
        self._csms.tell(message, asked=asked, at=event.at)
        return session

    def begun(self, session: Session, cause: Cause, now: Now) -> Session:
        """Tell the Started that an earlier run owed: energy had begun to flow. The session unchanged if it need not."""
        how = msgspec.structs.replace(self._circumstances(session, now), may_start=True, told=False)
        after, events = advance(session, replace(session, flowing=True), cause, how)
        for event in events:
            after = self.tell(after, event)
        self._news(session, after)
        return after

    def _circumstances(self, session: Session, now: Now) -> Circumstances:
        variables, registration = self._variables, self._registration
        allowed = registration.ever_accepted or variables.boolean("TxCtrlr", "TxBeforeAcceptedEnabled")
        return Circumstances(
            start_points=frozenset(variables.members("TxCtrlr", "TxStartPoint")),
            stop_points=frozenset(variables.members("TxCtrlr", "TxStopPoint")),
            may_start=allowed and self._connectors.may_start(session.evse_id) is None,
            limited=self._limit_a(session) < MIN_A,
            told=session.evse_id in self.told,
            closing_s=self.closing_s(session),
            now=now,
            new_id=self._ids.uuid,
        )

    def _news(self, before: Session, after: Session) -> None:
        evse_id = after.evse_id
        if before.authorized and not after.authorized:
            reason = after.stopped_reason or (after.closing.reason if after.closing else "Other")
            used = None if before.started or after.started else before.reservation_id
            self._facts.emit(AuthorizationEnded(evse_id=evse_id, reason=reason, reservation_id=used))
        if after.transaction_id is None:
            return
        if not before.started:
            log.info("transaction.started", extra=_named(after))
            self._facts.emit(TransactionStarted(evse_id=evse_id, transaction_id=after.transaction_id))
        if before.charging_state != after.charging_state:
            self._facts.emit(
                ChargingStateChanged(
                    evse_id=evse_id, transaction_id=after.transaction_id, charging_state=after.charging_state
                )
            )

    # the start value

    @property
    def signs(self) -> bool:
        """SampledDataCtrlr.SignReadings."""
        return self._variables.boolean("SampledDataCtrlr", "SignReadings")

    def _with_start_value(self, session: Session, how: Circumstances) -> Session:
        """The register before any energy: read again as long as none can have flowed, asked for where none is known."""
        if session.closing is not None or session.offering or session.path_closed:
            return session
        if session.started and "begin" not in session.owed:
            return session
        if not self.signs:
            begin = self._cached(session, how.now) or session.begin
            session = replace(session, begin=begin, last=begin if session.started else session.last)
        at_once = session.plugged or not self.signs  # a signature is taken when the power path could be closed
        needed = session.started or (session.authorized and how.may_start and at_once)
        if session.begin is None and not session.no_meter and needed and session.evse_id not in self._asked:
            self._asked.add(session.evse_id)
            purpose, by = signing("begin", sign=self.signs), how.now.after(how.closing_s)
            self._hardware.sample(session.evse_id, purpose, by, session.label)
        return session

    def _cached(self, session: Session, now: Now) -> Sample | None:
        """The newest register as of now, if nothing can have flowed since it was read in this boot."""
        last = self._meters.last(session.evse_id)
        if last is None or last.at.boot != now.boot:
            return None
        if session.path_opened is not None and last.at < session.path_opened:
            return None
        old = now.mono - last.at.mono > CACHED_S
        return Sample(now.instant, registers_only(last.reading) if old else last.reading)

    def start_value(self, session: Session, sample: Sample) -> Session:
        """The start value that was asked for has come."""
        self._asked.discard(session.evse_id)
        if session.begin is not None and "begin" not in session.owed:
            return session
        return replace(session, begin=sample, last=sample if session.started else None, no_meter=False)

    def no_start_value(self, session: Session, now: Now) -> Session:
        """It did not come: an older one will do, and without any it is charged without values."""
        self._asked.discard(session.evse_id)
        if session.begin is not None:
            return session
        begin = self._cached(session, now)
        log.warning("transaction.no_start_value", extra={**_named(session), "older": begin is not None})
        return replace(session, begin=begin, no_meter=begin is None)

    # the end

    def _finished(self, session: Session, now: Now) -> Session | None:
        """Tell Ended if its register is known or no longer awaited; else see to it. None while it is awaited."""
        closing = session.closing
        if closing is None:
            return None
        late = now.mono >= closing.by
        if session.path_closed and not late:
            return None
        register = None if session.path_closed else self._register_of_end(session, now)
        if register is not None:
            return self.finish(replace(session, last=_last(session, Sample(closing.at, register.reading))), now)
        # a contactor that did not open, or of which nothing is heard, has let energy pass since the last reading
        asked = closing.sampling or self._connectors.is_quarantined(session.evse_id)  # whose readings are not heard
        one_more = session.path_closed and not asked
        if late and not one_more:
            return self.finish(session, now)
        if not closing.sampling:
            by = now.after(self.closing_s(session)) if late else closing.by
            self._hardware.sample(session.evse_id, signing("stop", sign=self.signs), by, session.label)
            session = replace(session, closing=replace(closing, sampling=True, by=by))
        self._sessions.keep(session)
        self.want(session)
        return session

    def _register_of_end(self, session: Session, now: Now) -> Sample | None:
        """The register at the end where it need not be read: read since the contactor opened, or nothing flowed."""
        if session.meter_anew:
            return session.last
        if self.signs:
            return None
        never_closed = session.path_opened is None or (
            session.started_at is not None and session.path_opened < session.started_at
        )
        return self._cached(session, now) or (session.begin if never_closed else None)

    def overdue(self, session: Session, now: Now) -> None:
        """The time of a closing is over."""
        self._finished(session, now)

    def closing_s(self, session: Session) -> float:
        """How long an Ended waits; without its board the contactor opens when the lease has run out."""
        wait = SIGNING_S if self.signs else CLOSING_S
        return max(wait, LEASE_S + 1.0) if session.board_lost and session.path_closed else wait

    def finish(self, session: Session, now: Now) -> Session:
        """Tell Ended and leave what the hardware shows; gives the session that is left."""
        if session.closing is None or session.transaction_id is None:
            raise ValueError(f"EVSE {session.evse_id}: no transaction is closing")
        reason, transaction_id = session.closing.reason, session.transaction_id
        session = self.tell(session, ended(session))
        log.info("transaction.ended", extra={**_named(session), "reason": reason})
        self._facts.emit(
            TransactionEnded(evse_id=session.evse_id, transaction_id=transaction_id, stopped_reason=reason)
        )
        self._sessions.forget_samples(transaction_id)
        left = vacated(rested(session))
        session = self._sessions.save(
            left if self._connectors.exists(left.evse_id) else Session(evse_id=left.evse_id), now
        )
        self.want(session)
        return session

    # the hardware

    def _limit_a(self, session: Session) -> float:
        known = self._connectors.exists(session.evse_id)
        return limit_a(session, self._connectors, self._limits) if known else 0.0

    def offered_a(self, session: Session) -> float:
        """Amperes per phase that are offered now."""
        return self._limit_a(session) if session.offering else 0.0

    def want(self, session: Session) -> None:
        """State what follows from the session; the same again is free."""
        evse_id, connector_id = session.evse_id, session.connector_id
        if not self._connectors.exists(evse_id):
            return  # taken out of the station's file while its transaction was interrupted
        ceiling = self._limits.ceiling(evse_id)
        phases = self._connectors.phases(evse_id)
        in_use = session.authorized or session.holds_cable or session.path_closed
        lockable = connector_id is not None and self._connectors.has_lock(evse_id, connector_id)
        self._hardware.want(
            evse_id,
            energise=session.offering,
            limit_a=self.offered_a(session),
            phases=min(phases, ceiling.phases) if ceiling is not None and ceiling.phases is not None else phases,
            lock=lockable and session.cable_in and in_use,
        )


def _less(before: Session, after: Session) -> bool:
    """Whether something was taken away that a reload from the table must not give back."""
    authorized = before.authorized and not after.authorized
    energy = (before.suspended, before.energy_until_mwh) != (after.suspended, after.energy_until_mwh)
    return authorized or energy or (before.holds_cable and not after.holds_cable)


def _last(session: Session, sample: Sample) -> Sample:
    before = session.last.reading if session.last is not None else None
    return Sample(sample.at, never_falling(before, sample.reading))


def awaited(session: Session) -> Sequence[Mono]:
    """When what is awaited is due: plug-in, the vehicle's answer to the offer, the end of a closing."""
    answer = session.offered_at is not None and not session.settled
    closing = session.closing.by if session.closing is not None else None
    offered = Mono(session.offered_at + SETTLE_S) if session.offered_at is not None and answer else None
    return [at for at in (closing, session.plug_by, offered) if at is not None]


def _named(session: Session) -> dict[str, object]:
    """Whose a log line is."""
    return {"evse": session.evse_id, "transaction": session.transaction_id}
