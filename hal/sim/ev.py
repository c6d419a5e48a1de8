"""A vehicle as the station sees it: a battery behind an on-board charger whose current ramps to what is offered.

Pure: no clock, no I/O. A current is a straight line that ends in a level, so charge and times are solved, not stepped.
Losses are left out: what the meter counts is what the battery gains.
"""

from __future__ import annotations

import math

import msgspec


class EvSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A vehicle and its cable. Raises ValueError for values no vehicle has."""

    capacity_wh: float = 60_000.0
    soc_percent: float = 20.0
    target_percent: float = 100.0
    """It stops asking for energy here."""
    max_a: float = 32.0
    min_a: float = 6.0
    """Below this offer it does not charge."""
    phases: int = 3
    ramp_a_per_s: float = 4.0
    """How fast its current follows the offer; 0: at once."""
    cable_a: float | None = 32.0
    """The rating coded in its cable's proximity pin; None: a tethered cable."""
    ventilation: bool = False
    """It asks for ventilation: pilot D instead of C."""
    pauses_in_c: bool = False
    """When paused it stays in pilot state C and draws nothing, instead of going back to B."""
    evcc_id: str | None = None
    """Its MAC address, upper-case hex; None: it does not speak ISO 15118."""
    tells_schedule: bool = True
    """It answers an offer of schedules with its own charging profile (ISO 15118)."""

    def __post_init__(self) -> None:
        ok = (
            self.capacity_wh > 0
            and 0 <= self.soc_percent <= 100  # noqa: PLR2004 - a percentage
            and 0 < self.target_percent <= 100  # noqa: PLR2004 - a percentage
            and 0 < self.min_a <= self.max_a
            and self.phases in {1, 2, 3}
            and self.ramp_a_per_s >= 0
            and (self.cable_a is None or self.cable_a > 0)
        )
        if not ok:
            raise ValueError(f"no vehicle is like this: {self}")


class Ramp:
    """A current per phase: `start_a` at `since`, going to `target_a` at `slope_a_per_s` (0: at once), then level.

    Made once and never changed; `until` is the instant at which the target is reached.
    """

    def __init__(self, since: float, start_a: float = 0.0, target_a: float = 0.0, slope_a_per_s: float = 0.0) -> None:
        self.since = since
        self.start_a = start_a
        self.target_a = target_a
        self.slope_a_per_s = slope_a_per_s
        level = slope_a_per_s == 0 or start_a == target_a
        self.until = since if level else since + abs(target_a - start_a) / slope_a_per_s

    def at(self, t: float) -> float:
        """The current at `t`, which is not before `since`."""
        if t >= self.until:
            return self.target_a
        return self.start_a + math.copysign(self.slope_a_per_s, self.target_a - self.start_a) * (t - self.since)

    def charge_as(self, begin: float, end: float) -> float:
        """Ampere-seconds between two instants at or after `since`."""
        if begin >= self.until:  # as nearly always: it is level
            return self.target_a * (end - begin)
        knee = min(max(self.until, begin), end)
        return (self.at(begin) + self.at(knee)) / 2 * (knee - begin) + self.target_a * (end - knee)

    def when_charged(self, begin: float, charge_as: float) -> float:
        """The instant by which `charge_as` more ampere-seconds have flowed since `begin`; infinite if they never do."""
        knee = max(self.until, begin)
        in_ramp = self.charge_as(begin, knee)
        if charge_as >= in_ramp:
            return knee + (charge_as - in_ramp) / self.target_a if self.target_a > 0 else math.inf
        # begin + x with  a x + s x^2 / 2 = charge: solved without cancellation for either sign of s
        a = self.at(begin)
        s = math.copysign(self.slope_a_per_s, self.target_a - self.start_a)
        return begin + 2 * charge_as / (a + math.sqrt(max(a * a + 2 * s * charge_as, 0.0)))


class Battery:
    """What is stored, in joules; never above its capacity."""

    def __init__(self, spec: EvSpec) -> None:
        self._capacity_j = spec.capacity_wh * 3600
        self._target_j = self._capacity_j * spec.target_percent / 100
        self.stored_j = self._capacity_j * spec.soc_percent / 100

    @property
    def soc_percent(self) -> float:
        """The state of charge, 0 to 100."""
        return 100 * self.stored_j / self._capacity_j

    @property
    def wanted_j(self) -> float:
        """What is missing to the vehicle's target; 0 when it is reached."""
        return max(self._target_j - self.stored_j, 0.0)

    def add(self, energy_j: float, *, fills: bool = False) -> None:
        """Store energy; `fills`: by calculation this reaches the target, whatever rounding says."""
        self.stored_j = min(self.stored_j + energy_j, self._capacity_j)
        if fills:
            self.stored_j = max(self.stored_j, self._target_j)
