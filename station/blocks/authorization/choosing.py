"""Which EVSE is meant at a reader of several: one that waits for a card, a free one, one to be stopped."""

from __future__ import annotations

from collections.abc import Sequence

from station.blocks.authorization.wish import FLOATING, States


class Choosing:
    """Looks at the EVSEs as they are now."""

    def __init__(self, states: States) -> None:
        self._sessions = states.sessions
        self._connectors = states.connectors
        self._variables = states.variables

    def choose(self, evse_ids: Sequence[int]) -> int | None:
        """The one that is meant; FLOATING if the plug will show it, None if nothing can be done there."""
        if len(evse_ids) == 1:
            return evse_ids[0]
        to_start = self.to_start(evse_ids)
        if to_start is not None:
            return to_start
        return next((each for each in evse_ids if self._sessions.on_evse(each) is not None), None)

    def to_start(self, evse_ids: Sequence[int]) -> int | None:
        """The one where a driver would start; None if there is none."""
        usable = [each for each in evse_ids if self._connectors.may_start(each) is None]
        waiting = [each for each in usable if self._waits_for_card(each)]
        if waiting:
            return waiting[0]
        free = [each for each in usable if self._sessions.on_evse(each) is None]
        if len(free) > 1 and self._may_float():
            return FLOATING
        return next(iter(free), None)

    def _waits_for_card(self, evse_id: int) -> bool:
        session = self._sessions.on_evse(evse_id)
        if session is None or not session.plugged:
            return False
        return not session.authorized and not session.ended_authorization

    def _may_float(self) -> bool:
        """A transaction that starts with the authorization needs its EVSE at once."""
        return "Authorized" not in self._variables.members("TxCtrlr", "TxStartPoint")
