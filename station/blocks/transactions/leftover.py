"""What an earlier run left behind: a transaction is ended with its last register (default), or resumed (field.md 5).

Resumed only where that is configured and the vehicle is still there. Until then such a session only learns what the
hardware shows; its last register stays the last one before the interruption.
"""

from __future__ import annotations

import logging

from msgspec.structs import replace

from station.blocks.transactions import changes
from station.blocks.transactions.conduct import Conduct, States
from station.blocks.transactions.events import sampled
from station.blocks.transactions.registers import Registers
from station.blocks.transactions.rules import interruption
from station.blocks.transactions.session import Cause, Event
from station.now import Mono, Now
from station.ocpp.enums import ChargingStateEnumType
from station.state.sessions import Closing, Session

log = logging.getLogger(__name__)

RECONCILE_S = 30.0
"""A transaction to be resumed is ended when its hardware has not told its state this long after the start."""


class LeftOver:
    """The EVSEs whose sessions an earlier run left, until each is judged."""

    def __init__(self, conduct: Conduct, registers: Registers, states: States, *, resume: bool) -> None:
        self._conduct = conduct
        self._registers = registers
        self._sessions = states.sessions
        self._meters = states.meters
        self._registration = states.registration
        self.resume = resume
        self._by: dict[int, Mono] = {}

    def load(self, now: Now) -> None:
        """After a start: looked at with the first input, or when the hardware spoke."""
        by = now.after(RECONCILE_S if self.resume else 0.0)
        self._by = {each.evse_id: by for each in self._sessions.all() if each.boot != now.boot}

    def __contains__(self, evse_id: int) -> bool:
        """Whether it is not judged yet."""
        return evse_id in self._by

    def judge(self, evse_id: int, now: Now, *, register: bool = True) -> None:
        """Resume or end, once the hardware has spoken and, to resume, the register is known or cannot be."""
        if evse_id not in self or evse_id not in self._conduct.told:
            return
        session = self._sessions.get(evse_id)
        if not (self.resume and session.started and session.plugged and session.closing is None):
            self.end(evse_id, now)
        elif self._meters.last(evse_id) is not None or not register:
            self._go_on(session, now)

    def end(self, evse_id: int, now: Now) -> None:
        """End it with its last register; a closing one with the reason it already had."""
        del self._by[evse_id]
        session = self._sessions.get(evse_id)
        if not session.started:
            if session.authorized:
                after = changes.unauthorized(session, "Other", final=False)
                self._conduct.settle(session, after, Cause(now.instant), now)
            return
        session = self._registers.last_stored(session)
        if session.closing is None:
            moments = [at for at in (session.last_at, session.last.at if session.last else None) if at is not None]
            closing = Closing(
                trigger="AbnormalCondition",
                reason=session.stopped_reason or interruption(self._registration.boot_reason),
                at=max(moments, default=now.instant),
                by=now.mono,
            )
            session = replace(session, closing=closing, authorized=False)
        state: ChargingStateEnumType = "EVConnected" if session.plugged else "Idle"
        session = replace(session, spent=True, charging_state=state)
        told = {"evse": evse_id, "transaction": session.transaction_id, "reason": session.closing}
        log.warning("transaction.interrupted", extra=told)
        self._conduct.finish(session, now)

    def _go_on(self, session: Session, now: Now) -> None:
        """One event tells the last value before the interruption, another the first one after it (J02.FR.10)."""
        del self._by[session.evse_id]
        session = replace(self._registers.last_stored(session), boot=now.boot)
        if session.last is not None:
            begin = sampled(session.last, "TxUpdatedMeasurands", "Interruption.Begin")
            session = self._conduct.tell(session, Event("Updated", "AbnormalCondition", session.last.at), [begin])
        fresh, after = self._meters.last(session.evse_id), changes.resumed(session)
        if fresh is not None:
            after = self._registers.read(after, fresh)
        readings = [sampled(fresh, "TxUpdatedMeasurands", "Interruption.End")] if fresh is not None else []
        other = after.charging_state != session.charging_state
        cause = Cause(now.instant, "ChargingStateChanged" if other else "AbnormalCondition")
        self._conduct.settle(session, after, cause, now, readings)
        log.info("transaction.resumed", extra={"evse": session.evse_id})

    def deadlines(self) -> list[Mono]:
        """When each is ended at the latest."""
        return [*self._by.values()]

    def due(self, now: Now) -> None:
        """The hardware has not spoken in time."""
        for evse_id in [evse_id for evse_id, by in self._by.items() if by <= now.mono]:
            self.end(evse_id, now)
