"""How several EVSEs share what the station may draw. Pure (K04).

Everyone gets the same, but nobody more than he can use, and nobody less than he can charge with: where that does not
suffice for all, whoever came last waits. The sum never exceeds the budget.
A vehicle has 5 s to follow a lower limit (IEC 61851-1, table A.6), so what one gives up another gets only after that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

YIELD_S: Final = 5.0
"""How long a vehicle may take to follow a lower limit."""
STEP_A: Final = 10
"""Shares are told in tenths of an ampere, rounded down."""


class Claim(NamedTuple):
    """What an EVSE could use, and the least that it can charge with: amperes per phase."""

    evse_id: int
    most_a: float
    least_a: float


def divide(budget_a: float, claims: Sequence[Claim]) -> dict[int, float]:
    """The share of each EVSE; `claims` in the order in which they are served if there is not enough for all."""
    shares = {claim.evse_id: 0.0 for claim in claims}
    served = [claim for claim in claims if claim.most_a >= claim.least_a]
    while served and sum(claim.least_a for claim in served) > budget_a:
        served.pop()
    level_a = _level(budget_a, served)
    for claim in served:
        share = max(claim.least_a, min(level_a, claim.most_a))
        shares[claim.evse_id] = share if share == claim.most_a else math.floor(share * STEP_A + 1e-6) / STEP_A
    return shares


def _level(budget_a: float, served: Sequence[Claim]) -> float:
    """How much all could get alike; who can use less gets that, who needs more gets that, and the sum is the budget."""
    steps = sorted({claim.least_a for claim in served} | {claim.most_a for claim in served})
    below = 0.0
    for step in steps:
        if sum(max(claim.least_a, min(step, claim.most_a)) for claim in served) > budget_a:
            break
        below = step
    else:
        return math.inf
    growing = [claim for claim in served if claim.least_a <= below < claim.most_a]
    used = sum(max(claim.least_a, min(below, claim.most_a)) for claim in served)
    return below + (budget_a - used) / len(growing) if growing else below


class Drawn(NamedTuple):
    """What a vehicle may still draw although its limit is lower now, and until when (monotonic)."""

    amperes: float
    until: float


def granted(budget_a: float, wanted: Mapping[int, float], drawn: Mapping[int, float]) -> dict[int, float]:
    """Each EVSE's limit now: a lower one at once, a higher one as far as nobody else may still draw it.

    `wanted`: the shares; `drawn`: what each EVSE may draw at this moment.
    """
    used = {evse_id: min(drawn.get(evse_id, 0.0), amperes) for evse_id, amperes in wanted.items()}
    free = budget_a - sum(max(used.get(each, 0.0), drawn.get(each, 0.0)) for each in used.keys() | drawn.keys())
    given = dict(used)
    for evse_id, amperes in wanted.items():
        more = min(amperes - used[evse_id], max(free, 0.0))
        if more > 0:
            given[evse_id] = used[evse_id] + more
            free -= more
    return given
