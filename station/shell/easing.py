"""How a permission changes gently: amperes rise by a ramp and fall at once, phases change with a pause in between.

- Another number of phases: the contactor opens first, stays open for a pause (a vehicle that sees a phase come or go
  under current may break), and closes with the new number. Fewer phases are a limit and come at once; more of them come
  at most once in the dwell time, since each change wears the contactor and the vehicle.
- Less current is a limit and comes at once; more rises by whole amperes, from the least that the board can offer.

Pure, and asked as often as one likes; what has become true is told by `saw` and `granted`.
"""

from __future__ import annotations

import math

import msgspec

from hal.api import BoardInfo, BoardSnapshot, Permit


class Gentleness(msgspec.Struct, frozen=True):
    """How gently."""

    ramp_a_per_s: float = math.inf
    """How fast the offered current may rise; infinite: at once."""
    phase_pause_s: float = 5.0
    """How long no current may flow between two numbers of phases."""
    phase_dwell_s: float = 60.0
    """How long a number of phases stays before there may be more of them."""


class Easing:
    """The way of one EVSE to the permission that is wanted."""

    def __init__(self, gentle: Gentleness, info: BoardInfo) -> None:
        self._gentle = gentle
        self._info = info
        self._seen: BoardSnapshot | None = None
        self._opened_at = -math.inf
        self._switched_at = -math.inf
        self._at_once = math.isinf(gentle.ramp_a_per_s)
        self._granted: Permit | None = None
        self._level_at = -math.inf

    def saw(self, seen: BoardSnapshot, now: float) -> None:
        """The board shows this."""
        was_closed = self._seen is not None and self._seen.contactor_closed
        if was_closed and not seen.contactor_closed:
            self._opened_at = now
        if seen.contactor_closed and not was_closed:
            self._level_at = now  # the ramp begins with the current
        self._seen = seen

    def granted(self, permit: Permit, now: float) -> None:
        """The board has taken this permission."""
        before, self._granted = self._granted, permit
        if before is None or before.limit_a != permit.limit_a:
            self._level_at = now
        if before is not None and before.phases != permit.phases:
            self._switched_at = now

    def eased(self, wanted: Permit, now: float) -> Permit | None:
        """What may be permitted now on the way there; None: nothing, the contactor must be open for a while."""
        if self._at_once and not self._info.phase_switching:
            return wanted
        phases = self._phases(wanted.phases, now) if self._info.phase_switching else wanted.phases
        if phases is None:
            return None
        return Permit(self._amperes(wanted.limit_a, now), phases, wanted.lease_s)

    def next_due(self, wanted: Permit, now: float) -> float:
        """When `eased` gives another answer by itself."""
        due = [self._opened_at + self._gentle.phase_pause_s, self._switched_at + self._gentle.phase_dwell_s]
        if not self._at_once and self._amperes(wanted.limit_a, now) < wanted.limit_a:
            due.append(self._level_at + 1 / self._gentle.ramp_a_per_s)
        return min((at for at in due if at > now), default=math.inf)

    def _phases(self, wanted: int, now: float) -> int | None:
        """The number of phases now; None while they change."""
        seen = self._seen
        if seen is None or seen.phases == wanted:
            return wanted
        if not seen.contactor_closed:
            return wanted if now >= self._opened_at + self._gentle.phase_pause_s else None
        if wanted > seen.phases and now < self._switched_at + self._gentle.phase_dwell_s:
            return seen.phases
        ignored = self._granted is not None and self._granted.phases == wanted  # opening it again changes nothing
        return wanted if ignored else None

    def _amperes(self, wanted_a: float, now: float) -> float:
        if self._at_once:
            return wanted_a
        if self._seen is None or not self._seen.contactor_closed or self._granted is None:
            return min(wanted_a, self._info.min_a)
        risen = math.floor((now - self._level_at) * self._gentle.ramp_a_per_s + 1e-9)
        return min(wanted_a, self._granted.limit_a + risen)
