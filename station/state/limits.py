"""How much each EVSE may offer now: the station's own maximum, lowered by profiles and load balancing (K).

Memory only: who lowers a limit states it again after a start. Whoever changes one also emits `LimitChanged`.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from station.state.connectors import Connectors
from station.state.sessions import Session

MIN_A = 6.0
"""The least current that IEC 61851-1 can offer; below it an EVSE offers nothing."""


class Limit(msgspec.Struct, frozen=True):
    """Amperes per phase, and the number of phases; None: as many as the EVSE has."""

    amperes: float
    phases: int | None = None


class Limits:
    """The present ceiling of each EVSE; without one it may offer what it is built for."""

    def __init__(self) -> None:
        self._ceilings: dict[int, Limit] = {}
        self.derated: Callable[[int, float], float] = lambda _evse, most_a: most_a
        """What heat leaves of an EVSE's most; smart charging replaces it."""

    def set(self, evse_id: int, limit: Limit | None) -> bool:
        """State the ceiling of an EVSE, None for no ceiling; gives whether it is another one than before."""
        before = self._ceilings.get(evse_id)
        if limit is None:
            self._ceilings.pop(evse_id, None)
        else:
            self._ceilings[evse_id] = limit
        return before != limit

    def ceiling(self, evse_id: int) -> Limit | None:
        """The ceiling of an EVSE, if there is one."""
        return self._ceilings.get(evse_id)


def limit_a(session: Session, connectors: Connectors, limits: Limits) -> float:
    """Amperes per phase that the EVSE may offer: by its build and how hot it is, the cable in it, and its ceiling."""
    amperes = limits.derated(session.evse_id, connectors.limit_a(session.evse_id))
    if session.cable_max_a is not None:
        amperes = min(amperes, session.cable_max_a)
    ceiling = limits.ceiling(session.evse_id)
    return amperes if ceiling is None else min(amperes, ceiling.amperes)
