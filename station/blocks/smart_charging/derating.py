"""Less current where it is hot: the curves of sensors, and what each EVSE may offer by them.

Above `from_c` the current falls in a straight line to the least that a vehicle can be offered, at `to_c` to nothing:
the EVSE suspends, and goes on when it has cooled by five degrees. Rising is slower than falling: what was taken is
given back when it is two degrees cooler, else every tenth of a degree would be a new limit.
A board still protects itself; this keeps it from having to. A thermometer that is lost leaves the least.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import msgspec

from station.blocks.smart_charging.external import Fed
from station.facts import SensorRead
from station.state.limits import MIN_A

GIVES_BACK_C: Final = 2.0
RESUMES_C: Final = 5.0


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """Which sensor, as it feeds the device model; which EVSEs it slows down; and between which temperatures."""

    device: str
    fed: Fed
    evse_ids: tuple[int, ...]
    from_c: float
    to_c: float

    def share(self, celsius: float) -> float:
        """How much of the range between the least and the most is left: 1 to 0."""
        return min(max((self.to_c - celsius) / (self.to_c - self.from_c), 0.0), 1.0)


class _Held(msgspec.Struct):
    """What a curve holds back: the temperature that counts (which follows downwards late), whether all stands still."""

    celsius: float = -math.inf
    stopped: bool = False
    lost: bool = False


class Derating:
    """What the curves leave of the current."""

    def __init__(self, curves: Sequence[Curve]) -> None:
        self._held = {curve: _Held() for curve in curves}

    def feels(self, fact: SensorRead) -> bool:
        """Whether a curve follows this sensor."""
        return any(curve.fed == Fed.of(fact) for curve in self._held)

    def sensed(self, fact: SensorRead) -> None:
        """A sensor was read. What is no number says that it is lost."""
        for curve in self._held:
            if curve.fed == Fed.of(fact):
                self._follow(curve, _number(fact.value))

    def lost(self, device: str) -> None:
        """A device does not answer, a sensor perhaps."""
        for curve, held in self._held.items():
            held.lost = held.lost or curve.device == device

    def limit_a(self, evse_id: int, most_a: float) -> float:
        """What is left of `most_a` for an EVSE."""
        return min((self._left(curve, most_a) for curve in self._held if evse_id in curve.evse_ids), default=most_a)

    def _follow(self, curve: Curve, celsius: float | None) -> None:
        held = self._held[curve]
        held.lost = celsius is None
        if celsius is None:
            return
        held.celsius = max(celsius, min(held.celsius, celsius + GIVES_BACK_C))
        held.stopped = celsius >= curve.to_c or (held.stopped and celsius > curve.to_c - RESUMES_C)

    def _left(self, curve: Curve, most_a: float) -> float:
        held = self._held[curve]
        if held.stopped:
            return 0.0
        if held.lost:
            return min(most_a, MIN_A)
        share = curve.share(held.celsius)
        return most_a if share >= 1 else max(math.floor(most_a * share), min(most_a, MIN_A))


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
