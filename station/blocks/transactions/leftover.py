"""What an earlier run left behind: a transaction is ended (default), or resumed where that is configured (field.md 5).

Either way its meter is asked first, for at most RECONCILE_S: what flowed between the register stored last and the
opening of the contactor is on the bill, too. Until then such a session only learns what the hardware shows, nothing is
offered at its EVSE, and whoever comes waits. Where no register comes, or one that cannot be (dark.py), the last one
that was stored is the end.

Invariant: what is in the table while the register is awaited can be judged again after another power cut.
"""

from __future__ import annotations

import logging

import msgspec
from msgspec.structs import replace

from hal.api import LEASE_S
from station.blocks.transactions import changes
from station.blocks.transactions.conduct import Conduct, States, World
from station.blocks.transactions.dark import MOST_V, Strange, stopped_at
from station.blocks.transactions.events import sampled
from station.blocks.transactions.registers import Registers
from station.blocks.transactions.rules import interruption
from station.blocks.transactions.session import Cause, Event
from station.facts import MeterSampled, SampleFailed, SecurityEventOccurred
from station.now import Instant, Mono, Now
from station.ocpp.enums import ChargingStateEnumType
from station.state.meters import Sample, registers_only, signing, wh
from station.state.sessions import Closing, Session

log = logging.getLogger(__name__)

RECONCILE_S = 30.0
"""What an earlier run left is settled this long after the start at the latest."""
QUIET_S = LEASE_S + 1.0
"""A board that is not heard of has opened its contactor by then."""
ASK_S = 5.0
"""A transaction that cannot be resumed, since its board is not heard of, still asks its meter for so long."""
PURPOSE = "interrupted"
"""What the register is asked for; no other reading is taken for it."""
STRANGE = "ImplausibleMeterRegister"
"""Not in the appendix's list, which allows own types."""


class Waiting(msgspec.Struct):
    """A session to be judged. `next_at`: when to look again, `by` at the latest."""

    next_at: Mono
    by: Mono
    quiet: bool = False
    """What a lost board had permitted has run out."""
    asked: bool = False
    kept: bool = False


class LeftOver:
    """The EVSEs whose sessions an earlier run left, until each is judged."""

    def __init__(self, conduct: Conduct, registers: Registers, states: States, world: World, *, resume: bool) -> None:
        self._conduct = conduct
        self._registers = registers
        self._sessions = states.sessions
        self._connectors = states.connectors
        self._meters = states.meters
        self._registration = states.registration
        self._hardware = world.hardware
        self._times = world.times
        self._facts = world.facts
        self._resume = resume
        self._waiting: dict[int, Waiting] = {}

    def load(self, now: Now) -> None:
        """After a start: nobody is authorized any more by what is not resumed."""
        self._waiting = {}
        for session in self._sessions.all():
            left = session.is_of_earlier(now.boot) or (session.authorized and session.boot != now.boot)
            if left:
                self._waiting[session.evse_id] = Waiting(now.after(QUIET_S), now.after(RECONCILE_S))
            if left and not self._may_go_on(session):
                self._sessions.keep(self._over(session, now))

    def __contains__(self, evse_id: int) -> bool:
        """Whether it is not judged yet."""
        return evse_id in self._waiting

    # --- until the register is there

    def judge(self, evse_id: int, now: Now) -> None:
        """Resume, end, or ask for the register: once the hardware has spoken, or must have become quiet."""
        waiting = self._waiting.get(evse_id)
        if waiting is None or waiting.asked or not (waiting.quiet or evse_id in self._conduct.told):
            return
        session = self._sessions.get(evse_id)
        if not self._may_go_on(session):
            self._ask(session, waiting, now)
        elif evse_id in self._conduct.told and self._meters.last(evse_id) is not None:
            self._go_on(session, now)

    def _ask(self, session: Session, waiting: Waiting, now: Now) -> None:
        evse_id = session.evse_id
        session = self._over(session, now)
        if session.started and not waiting.kept:
            waiting.kept = True
            session = self._sessions.save(session, now)  # another start keeps the reason of the first
        if session.meter_anew or _counted(session) is None or not self._connectors.exists(evse_id):
            self.end(evse_id, now)
        elif waiting.quiet or not session.path_closed:
            waiting.asked = True
            purpose = signing(PURPOSE, sign=self._conduct.signs and session.started)
            self._hardware.sample(evse_id, purpose, waiting.by, session.label)

    def over(self, evse_id: int, now: Now) -> Session:
        """It is not resumed: vehicle, driver or CSMS have ended it meanwhile."""
        session = self._over(self._sessions.get(evse_id), now)
        self._sessions.keep(session)
        return session

    def metered(self, fact: MeterSampled, purpose: str, now: Now) -> None:
        """A register was read."""
        waiting = self._waiting.get(fact.evse_id)
        if waiting is not None and waiting.asked and purpose == PURPOSE:
            self.end(fact.evse_id, now, Sample(fact.at, fact.reading))
        else:
            self.judge(fact.evse_id, now)

    def not_metered(self, fact: SampleFailed, purpose: str, now: Now) -> None:
        """It could not be read."""
        session = self._sessions.get(fact.evse_id)
        if fact.evse_id not in self:
            return
        if purpose == PURPOSE:
            self.end(fact.evse_id, now)
        elif fact.evse_id in self._conduct.told and self._may_go_on(session):
            self._go_on(session, now)

    def deadlines(self) -> list[Mono]:
        """When each is looked at again."""
        return [each.next_at for each in self._waiting.values()] if self._waiting else []

    def due(self, now: Now) -> None:
        """The hardware has not spoken in time."""
        for evse_id, waiting in list(self._waiting.items()):
            if waiting.by <= now.mono and waiting.asked:
                self.end(evse_id, now)
            elif waiting.by <= now.mono:
                waiting.next_at = waiting.by = now.after(ASK_S)
                self._ask(self._sessions.get(evse_id), waiting, now)
            elif waiting.next_at <= now.mono:
                waiting.next_at, waiting.quiet = waiting.by, True
                self.judge(evse_id, now)

    # --- the verdict

    def end(self, evse_id: int, now: Now, found: Sample | None = None) -> None:
        """End it with the register found, else with its last one; a closing one with the reason it already had."""
        del self._waiting[evse_id]
        session = self._over(self._sessions.get(evse_id), now)
        if found is not None:
            session = self._counted_on(session, found, now)
        if not session.started:
            session = self._begun(session, now)
        if session.closing is None:
            return
        state: ChargingStateEnumType = "EVConnected" if session.plugged else "Idle"
        session = replace(session, spent=True, charging_state=state)
        told = {"evse": evse_id, "transaction": session.transaction_id, "read": found is not None}
        log.warning("transaction.interrupted", extra=told)
        self._conduct.finish(session, now)

    def _may_go_on(self, session: Session) -> bool:
        return self._resume and session.started and session.plugged and session.closing is None

    def _over(self, session: Session, now: Now) -> Session:
        """The session as one that is closing: since its last trace, unless it was stopped before."""
        by = self._waiting[session.evse_id].by if session.evse_id in self._waiting else now.mono
        if session.closing is not None:
            return replace(session, spent=False, closing=replace(session.closing, by=by, sampling=False))
        session = self._registers.last_stored(session)
        traces = (session.started_at, session.last_at, *(each.at for each in (session.begin, session.last) if each))
        reason = session.stopped_reason or interruption(self._registration.boot_reason)
        at = max((each for each in traces if each is not None), default=now.instant)
        closing = Closing(trigger="AbnormalCondition", reason=reason, at=at, by=by, interrupted=True)
        return replace(session, closing=closing, authorized=False)

    def _counted_on(self, session: Session, found: Sample, now: Now) -> Session:
        """The session with the register found, if it is the transaction's."""
        closing, last = session.closing, _counted(session)
        at = self._stopped_at(session, found, now)
        if closing is None or last is None or isinstance(at, Strange):
            return session
        at = max(at, closing.at) if closing.interrupted else closing.at
        reading = replace(registers_only(found.reading), signed=found.reading.signed)
        return replace(session, last=Sample(at, reading), closing=replace(closing, at=at))

    def _stopped_at(self, session: Session, found: Sample, now: Now) -> Instant | Strange:
        """See `dark.stopped_at`; what is strange is told."""
        evse_id, last = session.evse_id, _counted(session)
        if last is None:
            return found.at
        most_w = self._connectors.limit_a(evse_id) * self._connectors.phases(evse_id) * MOST_V
        at = stopped_at(last, found.reading, most_w, self._times.elapsed_s(last.at, now))
        if isinstance(at, Strange):
            before, after = wh(last.reading.energy_import_mwh), wh(found.reading.energy_import_mwh)
            log.warning("meter.strange", extra={"evse": evse_id, "before": before, "after": after, "reason": at})
            info = f"EVSE {evse_id}: {before} Wh before an interruption, {after} Wh after it: {at}"
            self._facts.emit(SecurityEventOccurred(type=STRANGE, tech_info=info))
        return at

    def _begun(self, session: Session, now: Now) -> Session:
        """Only an authorization was left. Where energy has flowed on it, it was a transaction (E01.FR.06)."""
        closing, begin, last = session.closing, session.begin, session.last
        before = replace(session, closing=None, authorized=True)
        flowed = begin and last and last.reading.energy_import_mwh > begin.reading.energy_import_mwh
        if begin and flowed:
            then = replace(before, plugged=True)  # as it was: by now the vehicle may have gone
            after = self._conduct.begun(then, Cause(begin.at), now)
            if after.started:
                return replace(after, plugged=session.plugged, last=last, closing=closing, authorized=False)
        if (driver := self._sessions.take_expected(session.evse_id)) is not None:
            self._facts.emit(driver)
        return self._conduct.settle(before, changes.unauthorized(before, "Other", final=False), Cause(now.instant), now)

    def _go_on(self, session: Session, now: Now) -> None:
        """One event tells the last value before the interruption, another the first one after it (J02.FR.10)."""
        fresh = self._meters.last(session.evse_id)
        session = self._registers.last_stored(session)
        if fresh is not None and isinstance(self._stopped_at(session, fresh, now), Strange):
            self.end(session.evse_id, now)
            return
        del self._waiting[session.evse_id]
        session = replace(session, boot=now.boot)
        if session.last is not None:
            begin = sampled(session.last, "TxUpdatedMeasurands", "Interruption.Begin")
            session = self._conduct.tell(session, Event("Updated", "AbnormalCondition", session.last.at), [begin])
        after = changes.resumed(session)
        if fresh is not None:
            after = self._registers.read(after, fresh)
        readings = [sampled(fresh, "TxUpdatedMeasurands", "Interruption.End")] if fresh is not None else []
        other = after.charging_state != session.charging_state
        cause = Cause(now.instant, "ChargingStateChanged" if other else "AbnormalCondition")
        self._conduct.settle(session, after, cause, now, readings)
        log.info("transaction.resumed", extra={"evse": session.evse_id, "transaction": session.transaction_id})


def _counted(session: Session) -> Sample | None:
    """The last register that is known of it."""
    return session.last or session.begin
