"""Without authorization (AuthCtrlr.Enabled is false) a vehicle charges as soon as it is plugged in.

A token presented before the plug goes into the TransactionEvent as it is; without one, it tells NoAuthorization.
"""

from __future__ import annotations

from station.blocks.authorization.wish import States, World
from station.facts import Authorized, TransactionEnded
from station.now import Now
from station.ocpp.types import IdTokenType
from station.state.reservations import Driver

INTERRUPTIONS = frozenset({"PowerLoss", "Reboot"})
NOBODY = IdTokenType(id_token="", type="NoAuthorization")


class FreeCharging:
    """Looks which vehicles wait for nothing."""

    def __init__(self, states: States, world: World) -> None:
        self._sessions = states.sessions
        self._connectors = states.connectors
        self._reservations = states.reservations
        self._registration = states.registration
        self._variables = states.variables
        self._facts = world.facts
        self._interrupted: set[int] = set()

    def load(self) -> None:
        """Nothing is interrupted before it is said so."""
        self._interrupted = set()

    def ended(self, fact: TransactionEnded, now: Now) -> None:
        """What only a power cut or a restart has ended goes on as another transaction, once that may start."""
        if fact.stopped_reason in INTERRUPTIONS:
            self._interrupted.add(fact.evse_id)
            self.look(now)

    def look(self, now: Now, *, plugged: int | None = None) -> None:
        """Authorize whoever is plugged in and waits. `plugged`: this EVSE's plug has just been put in."""
        if self._variables.boolean("AuthCtrlr", "Enabled"):
            return
        allowed = self._registration.ever_accepted or self._variables.boolean("TxCtrlr", "TxBeforeAcceptedEnabled")
        for evse_id in self._connectors.evse_ids() if allowed else ():
            if self._waits(evse_id, just_plugged=evse_id == plugged) and self._may_start(evse_id):
                self._interrupted.discard(evse_id)
                self._facts.emit(Authorized(evse_id=evse_id, id_token=NOBODY, via="button", at=now.instant))

    def _may_start(self, evse_id: int) -> bool:
        return self._connectors.may_start(evse_id) is None and not self._reservations.refuses(evse_id, Driver(NOBODY))

    def _waits(self, evse_id: int, *, just_plugged: bool) -> bool:
        session = self._sessions.on_evse(evse_id)
        if session is None or not session.plugged:  # the session learns of the plug after this block
            self._interrupted.discard(evse_id)
            return just_plugged and (session is None or not session.authorized)
        over = (session.spent and evse_id not in self._interrupted) or session.ended_authorization
        return not session.authorized and not over and session.closing is None
