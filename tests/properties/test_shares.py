"""Sharing what a station may draw: never more than there is, the same for all, nobody below what he can use."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from station.blocks.smart_charging.shares import Claim, divide, granted

amperes = st.integers(0, 640).map(lambda tenths: tenths / 10)
budgets = st.integers(0, 2000).map(lambda tenths: tenths / 10)


@st.composite
def claims(draw: st.DrawFn) -> list[Claim]:
    count = draw(st.integers(1, 6))
    return [Claim(number, draw(amperes), draw(st.sampled_from([6.0, 6.0, 8.5, 13.0]))) for number in range(count)]


@given(budget=budgets, wanted=claims())
def test_shares_are_fair_and_never_exceed_the_budget(budget: float, wanted: list[Claim]) -> None:
    shares = divide(budget, wanted)

    assert set(shares) == {claim.evse_id for claim in wanted}
    assert sum(shares.values()) <= budget + 1e-9
    for claim in wanted:
        assert shares[claim.evse_id] == 0 or claim.least_a - 0.1 < shares[claim.evse_id] <= claim.most_a
    served = [claim for claim in wanted if shares[claim.evse_id] > 0]
    for claim in served:
        content = shares[claim.evse_id] == claim.most_a
        for other in served:
            more = shares[other.evse_id] - shares[claim.evse_id]
            assert content or more < 0.11 or shares[other.evse_id] == other.least_a


@given(budget=budgets, wanted=claims())
def test_nothing_is_left_that_somebody_could_use(budget: float, wanted: list[Claim]) -> None:
    shares = divide(budget, wanted)

    left = budget - sum(shares.values())
    for claim in wanted:
        if 0 < shares[claim.evse_id] < claim.most_a:
            assert left < 0.1 * len(wanted) + 1e-9


@given(budget=budgets, wanted=claims())
def test_only_those_who_came_last_wait(budget: float, wanted: list[Claim]) -> None:
    able = [claim for claim in wanted if claim.most_a >= claim.least_a]
    shares = divide(budget, wanted)

    served = [shares[claim.evse_id] > 0 for claim in able]
    assert served == sorted(served, reverse=True)
    waiting = served.index(False) if False in served else len(served)
    if waiting < len(able):
        assert sum(claim.least_a for claim in able[: waiting + 1]) > budget


@given(
    budget=budgets,
    wanted=claims(),
    drawn=st.dictionaries(st.integers(0, 6), amperes),
)
def test_nobody_gets_what_another_may_still_draw(budget: float, wanted: list[Claim], drawn: dict[int, float]) -> None:
    """As soon as all have followed, a second look gives everyone his share."""
    shares = divide(budget, wanted)

    now = granted(budget, shares, drawn)

    assert all(0 <= now[each] <= shares[each] + 1e-9 for each in shares)
    raised = [each for each in shares if now[each] > min(drawn.get(each, 0.0), shares[each])]
    still = {each: max(now.get(each, 0.0), drawn.get(each, 0.0)) for each in now.keys() | drawn.keys()}
    assert not raised or sum(still.values()) <= budget + 1e-6
    after = granted(budget, shares, now)
    assert all(math.isclose(after[each], shares[each], abs_tol=1e-6) for each in shares)
