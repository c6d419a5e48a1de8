"""What an update means for those who charge, and they for it: it waits for them, or keeps new ones out (L01.FR.07)."""

from __future__ import annotations

from station.blocks.firmware.terms import FirmwareTerms
from station.facts import Facts, ServiceChanged
from station.now import Now
from station.state.connectors import Connectors
from station.state.firmware_updates import FirmwareUpdates
from station.state.sessions import Sessions
from station.state.variables import Variables

BLOCKING = "firmware"


class Service:
    """Takes all connectors out of service, and gives them back."""

    def __init__(  # noqa: PLR0913 - the parts of one object, named at the one call
        self,
        *,
        terms: FirmwareTerms,
        updates: FirmwareUpdates,
        sessions: Sessions,
        connectors: Connectors,
        variables: Variables,
        facts: Facts,
    ) -> None:
        self._terms = terms
        self._updates = updates
        self._sessions = sessions
        self._connectors = connectors
        self._variables = variables
        self._facts = facts
        self._blocked = False

    def load(self, now: Now, *, restarting: bool) -> None:
        """As the tables have it."""
        self._blocked = self._takes_out(now, restarting=restarting)
        self._block()

    def follow(self, now: Now, *, restarting: bool) -> None:
        """The update has gone on, or what it depends on has changed. `restarting`: it was asked for in this run."""
        blocked = self._takes_out(now, restarting=restarting)
        if blocked != self._blocked:
            self._blocked = blocked
            self._block()
            self._facts.emit(ServiceChanged())

    def in_use(self) -> bool:
        """Whether somebody is there: a transaction, an authorized driver, a cable that is still held."""
        return any(each.started or each.authorized or each.holds_cable for each in self._sessions.all())

    def _block(self) -> None:
        evse_ids = frozenset(self._connectors.evse_ids()) if self._blocked else None
        self._connectors.block(BLOCKING, evse_ids, but_busy=True)

    def _takes_out(self, now: Now, *, restarting: bool) -> bool:
        """L01.FR.07, L02.FR.04."""
        update = self._updates.ongoing
        if update is None:
            return False
        welcome = self._variables.boolean("ChargingStation", "AllowNewSessionsPendingFirmwareUpdate")
        asked = update.phase == "restart" and restarting
        return asked or self._terms.keep_sessions_out(update, now, welcome=welcome)
