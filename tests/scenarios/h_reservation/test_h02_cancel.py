"""H02: the CSMS takes a reservation back."""

from __future__ import annotations

import pytest

from tests.bench import Bench
from tests.scenarios.reservations import CARD, OTHER_CARD, cancel, reserve, statuses, updates


@pytest.mark.req("H02.FR.02", "H02.FR.03", "H02.FR.04")
def test_the_evse_is_anybodys_again(bench: Bench) -> None:
    reserve(bench, 3, evseId=2)
    bench.csms.forget()

    assert cancel(bench, 3) == "Accepted"

    assert statuses(bench) == {(2, 1): "Available"}
    assert updates(bench) == []
    assert cancel(bench, 3) == "Rejected"
    bench.evse(2).present_token(OTHER_CARD)
    bench.evse(2).plug_in()
    bench.advance(10)
    assert bench.evse(2).charging


@pytest.mark.req("H02.FR.05", "H02.FR.06")
def test_of_two_for_any_evse_one_less_frees_all_that_are_not_named(bench: Bench) -> None:
    reserve(bench, 1)
    reserve(bench, 2, OTHER_CARD)
    bench.csms.forget()

    assert cancel(bench, 1) == "Accepted"

    assert statuses(bench) == {(1, 1): "Available", (2, 1): "Available"}


@pytest.mark.req("H02.FR.05", "H02.FR.06")
def test_one_that_is_named_stays_reserved(bench: Bench) -> None:
    reserve(bench, 1, evseId=1)
    reserve(bench, 2, OTHER_CARD)
    bench.csms.forget()

    assert cancel(bench, 2) == "Accepted"

    assert statuses(bench) == {(2, 1): "Available"}


@pytest.mark.req("H02.FR.01")
def test_what_is_not_known_or_already_used_is_rejected(bench: Bench) -> None:
    reserve(bench, 1, evseId=1)
    assert cancel(bench, 2) == "Rejected"

    bench.evse(1).present_token(CARD)

    assert cancel(bench, 1) == "Rejected"
