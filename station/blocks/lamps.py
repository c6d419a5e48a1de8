"""What the lamp of each EVSE says to whoever stands before it: free, waiting, charging, broken.

Derived anew from what is known whenever something changes; the ports pass on what is another than before.
"""

from __future__ import annotations

from typing import Final

from hal.api import Indication
from station.block import Block, Reactions, on
from station.facts import AvailabilityChanged, ChargingStateChanged, StationStarted, TransactionEnded
from station.now import Now
from station.ports import Lamps
from station.state.connectors import Connectors
from station.state.sessions import Sessions

BY_STATUS: Final = {
    "Available": Indication.AVAILABLE,
    "Occupied": Indication.OCCUPIED,
    "Reserved": Indication.RESERVED,
    "Unavailable": Indication.UNAVAILABLE,
    "Faulted": Indication.FAULTED,
}
BY_STATE: Final = {
    "Charging": Indication.CHARGING,
    "SuspendedEV": Indication.SUSPENDED,
    "SuspendedEVSE": Indication.SUSPENDED,
}
"""Of a transaction: the words of ChargingStateEnumType that say more than the status."""


class Lights(Block):
    """The lamps of one station."""

    def __init__(self, *, connectors: Connectors, sessions: Sessions, lamps: Lamps) -> None:
        self._connectors = connectors
        self._sessions = sessions
        self._lamps = lamps

    def reactions(self) -> Reactions:
        """Whatever makes it look different."""
        return [
            on(StationStarted, self.started),
            on(AvailabilityChanged, self.changed),
            on(ChargingStateChanged, self.changed),
            on(TransactionEnded, self.changed),
        ]

    def started(self, fact: StationStarted, now: Now) -> None:
        """Every one, as far as it is known."""
        del fact, now
        for evse_id in self._connectors.evse_ids():
            self._look(evse_id)

    def changed(self, fact: AvailabilityChanged | ChargingStateChanged | TransactionEnded, now: Now) -> None:
        """That of one EVSE."""
        del now
        if self._connectors.exists(fact.evse_id):
            self._look(fact.evse_id)

    def _look(self, evse_id: int) -> None:
        indication = BY_STATUS[self._connectors.status_of_evse(evse_id)]
        session = self._sessions.get(evse_id)
        if indication is Indication.OCCUPIED and session.started:
            indication = BY_STATE.get(session.charging_state, indication)
        self._lamps.indicate(evse_id, indication)
