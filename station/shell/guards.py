"""What speaks against current besides the board: sensors that mean a fault, and a meter that counts what it must not.

Pure. Both fail towards safety: a guard that has not spoken yet, or is lost, forbids current.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from hal.api import BoardSnapshot, Fault

WELD_FROM_W: Final = 250.0
"""About 1 A on one phase: more than the own consumption that some meters see."""
WELD_S: Final = 10.0
"""So long after the contactor has opened, board and meter have noticed that no current flows."""
WELD_LOOKS: Final = 2
"""Readings in a row that must agree: one may have been averaged over the end of a session."""

HYSTERESIS: Final = 5.0
"""So far below its limit a measured value must be before the fault is over, where nothing else is said."""


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """A sensor whose value is a fault: a contact that is true, or a number above `above` until it is below `until`."""

    device: str
    fault: Fault
    evse_ids: tuple[int, ...]
    above: float | None = None
    until: float | None = None

    def judged(self, value: float | bool | str, before: bool | None) -> bool:  # noqa: FBT001 - values, not switches
        """Whether this value means the fault. A text, or a number without a limit, that is no `true`, is one, too."""
        if self.above is None:
            return value is not False
        if isinstance(value, bool | str) or math.isnan(value):
            return True
        until = self.until if self.until is not None else self.above - HYSTERESIS
        return value > self.above or (before is True and value >= until)


class WeldWatch:
    """Whether current flows through a contactor that shows itself open.

    What was proven once stays so until a restart: a contact that has welded does it again, and whoever has mended it
    has switched the station off.
    """

    def __init__(self) -> None:
        self.proven = False
        self._open_since = math.inf
        self._flows_since = math.inf
        self._looks = 0

    @property
    def suspects(self) -> bool:
        """Whether the next reading of the meter shall come soon."""
        return self._looks > 0 and not self.proven

    def saw(self, seen: BoardSnapshot, before: BoardSnapshot | None) -> None:
        """The board shows this."""
        if seen.contactor_closed:
            self._open_since = self._flows_since = math.inf
            self._looks = 0
            return
        if before is None or before.contactor_closed:
            self._open_since = seen.sampled_at
        if not seen.flowing:
            self._flows_since = math.inf
        elif math.isinf(self._flows_since):
            self._flows_since = seen.sampled_at

    def measured(self, power_w: float | None, at: float) -> bool:
        """The meter shows this, for a board that cannot tell whether current flows; gives whether that proves it."""
        if power_w is None or at < self._open_since + WELD_S or power_w < WELD_FROM_W:
            self._looks = 0
            return False
        self._looks += 1
        return self._prove(self._looks >= WELD_LOOKS)

    def look(self, now: float) -> bool:
        """Whether what the board shows has now proven it."""
        return self._flows_since < math.inf and self._prove(now >= self.due)

    @property
    def due(self) -> float:
        """When to look; infinite while the board sees no current that must not be."""
        return math.inf if self.proven else self._flows_since + WELD_S

    def _prove(self, true: bool) -> bool:  # noqa: FBT001 - a finding, not a switch
        news = true and not self.proven
        self.proven = self.proven or true
        return news
