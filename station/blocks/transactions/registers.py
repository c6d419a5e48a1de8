"""Readings of the meters as transactions hear them: start value, stop value, those in between.

Also here: the energy that an invalid token may still have (E05.FR.03).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from msgspec.structs import replace

from hal.api import Quality
from station.blocks.transactions.changes import unauthorized
from station.blocks.transactions.conduct import Conduct, States, World
from station.blocks.transactions.events import Readings
from station.blocks.transactions.session import Cause, Event
from station.facts import MeterSampled, SampleFailed, SampleTaken
from station.now import Instant, Mono, Now
from station.ocpp.enums import ReadingContextEnumType, TriggerReasonEnumType
from station.state.meters import Sample, never_falling, purpose_of
from station.state.sessions import Session

log = logging.getLogger(__name__)

ALLOWANCE_S = 5.0
"""How often the meter is read while energy is limited by MaxEnergyOnInvalidId."""

FOR_ENDED = frozenset({"Ended", "AlignedEnded"})
"""Samples that are kept for the Ended."""
_OCCASIONS: tuple[tuple[str, TriggerReasonEnumType, str, str, ReadingContextEnumType], ...] = (
    ("Updated", "MeterValuePeriodic", "SampledDataCtrlr", "TxUpdatedMeasurands", "Sample.Periodic"),
    ("AlignedUpdated", "MeterValueClock", "AlignedDataCtrlr", "Measurands", "Sample.Clock"),
    ("Trigger", "Trigger", "SampledDataCtrlr", "TxUpdatedMeasurands", "Trigger"),
)
"""What a sample is taken for -> the trigger of its event, the measurands it tells and in which context."""


class Registers:
    """What a reading means for the transaction of its EVSE."""

    def __init__(self, conduct: Conduct, states: States, world: World) -> None:
        self._conduct = conduct
        self._sessions = states.sessions
        self._meters = states.meters
        self._hardware = world.hardware
        self._allowance_at: dict[int, Mono] = {}

    def look(self, evse_id: int, now: Now) -> None:
        """Read a meter that has not been read yet: its register is the start value of whatever begins here."""
        if self._meters.last(evse_id) is None:
            self._hardware.sample(evse_id, "idle", now.after(ALLOWANCE_S))

    def metered(self, fact: MeterSampled, now: Now) -> None:
        """A register was read: start value, last value, or one in between."""
        sample = Sample(fact.at, fact.reading)
        self._meters.observe(fact.evse_id, sample)
        session = self._sessions.get(fact.evse_id)
        if session.is_of_earlier(now.boot):
            return  # judged by leftover.py
        started = session.transaction_id is not None
        if started and fact.reading.quality is Quality.SUSPECT and "begin" not in session.owed:
            session = self._began_anew(session, fact.at, now)
            started = session.transaction_id is not None
        if started and not session.meter_anew:
            session = self.read(session, sample)
        match purpose_of(fact.purpose):
            case "begin":
                after = self._conduct.start_value(session, sample)
                signed = fact.reading.signed is not None
                news = session.started and "begin" in session.owed and signed
                after = replace(after, signed=signed or after.signed)
                self._conduct.settle(session, after, Cause(fact.at, "SignedDataReceived" if news else None), now)
            case "stop" if session.closing is not None:
                self._conduct.finish(session, now)
            case _ if started and not session.meter_anew:
                self._sessions.keep(session)
                if session.energy_until_mwh is not None:
                    self._use_up_allowance(session, Cause(fact.at), now)

    def _began_anew(self, session: Session, at: Instant, now: Now) -> Session:
        """A register that was reset, or another meter (J02.FR.16): nobody is billed for the difference of the two."""
        if session.meter_anew:
            return session
        log.warning("meter.began_anew", extra={"evse": session.evse_id, "transaction": session.transaction_id})
        before = replace(session, meter_anew=True)
        if session.closing is not None:
            self._sessions.keep(before)
            return before
        after = unauthorized(before, "Other", final=True)
        cause = Cause(at, "AbnormalCondition", "Other", ends=True)
        return self._conduct.settle(before, after, cause, now)

    @staticmethod
    def read(session: Session, sample: Sample) -> Session:
        """The session with this register as its last; it never falls (J02.FR.16)."""
        before = session.last.reading if session.last is not None else None
        reading = never_falling(before, sample.reading)
        if reading is not sample.reading:
            log.warning("meter.register_fell", extra={"evse": session.evse_id, "transaction": session.transaction_id})
        at = sample.at if session.last is None else max(sample.at, session.last.at)
        if session.closing is not None:
            at = session.closing.at
        return replace(session, last=Sample(at, reading))

    def not_metered(self, fact: SampleFailed, now: Now) -> None:
        """The register did not come: charge without a start value, end with the last one there is."""
        session = self._sessions.get(fact.evse_id)
        purpose = purpose_of(fact.purpose)
        if session.is_of_earlier(now.boot):
            return
        if purpose == "begin":
            self._conduct.settle(session, self._conduct.no_start_value(session, now), Cause(fact.at), now)
        elif purpose == "stop" and session.closing is not None:
            log.warning("transaction.no_stop_value", extra={"evse": fact.evse_id, "reason": fact.reason})
            self._conduct.finish(session, now)

    def sampled(self, fact: SampleTaken, now: Now) -> None:
        """J02.FR.11: a reading for the running transaction; an event for what is told now, a row for the Ended."""
        session = self._sessions.get(fact.evse_id)
        if session.transaction_id is None or session.closing is not None or session.is_of_earlier(now.boot):
            return
        told, reasons = session, fact.reasons
        sample = None
        if fact.reading is not None:
            before = session.last.reading if session.last is not None else None
            sample = Sample(fact.at, never_falling(before, fact.reading))
            if not FOR_ENDED.isdisjoint(reasons):
                told = self._sampled_for_ended(told, sample, reasons)
        for reason, trigger, component, variable, context in _OCCASIONS:
            if reason in reasons and (sample is not None or reason == "Trigger"):
                readings = [Readings(sample, component, variable, context)] if sample is not None else []
                event = Event("Updated", trigger, fact.at)
                told = self._conduct.tell(told, event, readings, asked=reason == "Trigger")
        if told.seq_no != session.seq_no:
            self._sessions.save(told, now)

    def _sampled_for_ended(self, session: Session, sample: Sample, reasons: frozenset[str]) -> Session:
        for reason, clock in (("Ended", False), ("AlignedEnded", True)):
            if reason in reasons:
                session = self._sessions.add_sample(session, sample, clock=clock)
        return session

    def _use_up_allowance(self, session: Session, cause: Cause, now: Now) -> None:
        until, last = session.energy_until_mwh, session.last
        if until is not None and last is not None and last.reading.energy_import_mwh >= until:
            after = replace(session, energy_until_mwh=None, suspended=True)
            self._conduct.settle(session, after, cause, now)

    def last_stored(self, session: Session) -> Session:
        """The session with the last register that is in the tables: an event's, or one kept for the Ended."""
        if session.transaction_id is None or session.closing is not None:
            return session
        kept = [
            *self._sessions.samples(session.transaction_id, clock=False),
            *self._sessions.samples(session.transaction_id, clock=True),
            *((session.last,) if session.last is not None else ()),
        ]
        return replace(session, last=max(kept, key=lambda each: each.at)) if kept else session

    # the energy left to an invalid token

    def load(self) -> None:
        """Look at once again."""
        self._allowance_at.clear()

    def deadlines(self, session: Session) -> Sequence[Mono]:
        """When the meter of an EVSE with an allowance is to be read next."""
        return (self._allowance_at.get(session.evse_id, Mono(0.0)),) if _is_limited(session) else ()

    def due(self, now: Now) -> None:
        """Read the meters whose time has come."""
        for session in self._sessions.awaiting():
            for at in self.deadlines(session):
                if at <= now.mono:
                    self._allowance_at[session.evse_id] = now.after(ALLOWANCE_S)
                    self._hardware.sample(session.evse_id, "allowance", now.after(ALLOWANCE_S))


def _is_limited(session: Session) -> bool:
    return session.started and session.energy_until_mwh is not None and session.flowing
