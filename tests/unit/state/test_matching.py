"""How many reservations can be kept at once: compared with trying out everything."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from station.state.matching import Offer, Wanted, fulfilled, kept, serves, without

TYPES = ("cCCS2", "cCHAdeMO", "sType2")
OFFERS = st.dictionaries(st.integers(1, 5), st.frozensets(st.sampled_from(TYPES)), max_size=4)
WISHES = st.lists(st.none() | st.sampled_from(TYPES), max_size=4)


def possible(offer: Offer, wanted: Sequence[Wanted]) -> bool:
    """Whether there is a way to give each its own EVSE."""
    return any(
        all(serves(offer[evse_id], wish) for evse_id, wish in zip(order, wanted, strict=True))
        for order in itertools.permutations(offer, len(wanted))
    )


@given(OFFERS, WISHES)
def test_as_many_as_possible_and_the_earlier_ones_first(offer: Offer, wanted: list[Wanted]) -> None:
    """The reservations in their order: each is kept if it can be besides those kept before it."""
    expected: list[bool] = []
    for wish in wanted:
        before = [each for each, holds in zip(wanted, expected, strict=False) if holds]
        expected.append(possible(offer, [*before, wish]))

    assert kept(offer, wanted) == expected
    most = max(
        len(some)
        for count in range(len(wanted) + 1)
        for some in itertools.combinations(wanted, count)
        if possible(offer, some)
    )
    assert fulfilled(offer, wanted) == most


def test_an_evse_out_of_service_serves_nobody() -> None:
    assert fulfilled({1: frozenset()}, [None]) == 0
    assert without({1: frozenset(TYPES), 2: frozenset(TYPES)}, 1) == {2: frozenset(TYPES)}
