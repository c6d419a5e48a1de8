"""H04: the driver does not come in time."""

from __future__ import annotations

import pytest

from tests.bench import Bench
from tests.scenarios.reservations import CARD, HOUR_S, OTHER_CARD, reserve, statuses, updates


@pytest.mark.req("H04.FR.01", "H04.FR.02", "H04.FR.03")
def test_at_its_time_it_ends_and_anybody_may_charge(bench: Bench) -> None:
    reserve(bench, 3, evseId=1)
    bench.evse(1).plug_in()
    bench.csms.forget()

    bench.advance(HOUR_S - 1)
    assert updates(bench) == []
    bench.advance(1)
    assert updates(bench) == [(3, "Expired")]
    assert statuses(bench) == {(1, 1): "Occupied"}

    bench.evse(1).present_token(OTHER_CARD)
    bench.advance(10)
    assert bench.evse(1).charging


@pytest.mark.req("H04.FR.01", "H04.FR.03")
def test_of_several_each_ends_at_its_own_time(bench: Bench) -> None:
    reserve(bench, 1, expires_s=120)
    reserve(bench, 2, OTHER_CARD, expires_s=60)
    bench.csms.forget()

    bench.advance(60)
    assert updates(bench) == [(2, "Expired")]
    assert statuses(bench) == {(1, 1): "Available", (2, 1): "Available"}
    bench.advance(60)
    assert updates(bench) == [(2, "Expired"), (1, "Expired")]


@pytest.mark.req("H04.FR.01")
def test_without_a_connection_it_is_honoured_and_its_end_told_later(bench: Bench) -> None:
    """Also over a power cut that comes before the CSMS has heard."""
    reserve(bench, 3, evseId=1)
    bench.csms.disconnect()
    bench.evse(1).plug_in()
    bench.evse(1).present_token(OTHER_CARD)
    bench.advance(10)
    assert not bench.evse(1).charging

    bench.advance(HOUR_S)
    bench.crash()
    bench.csms.connect()

    bench.advance(10)
    assert updates(bench) == [(3, "Expired")]
    assert statuses(bench)[1, 1] == "Occupied"


@pytest.mark.req("H04.FR.01")
def test_what_ended_while_the_station_was_off_is_told_at_the_start(bench: Bench) -> None:
    reserve(bench, 3, evseId=1)

    bench.crash(down_s=2 * HOUR_S)
    bench.advance(10)

    assert updates(bench) == [(3, "Expired")]
    assert statuses(bench)[1, 1] == "Available"


def test_one_in_use_does_not_end(bench: Bench) -> None:
    reserve(bench, 3, expires_s=30, evseId=1)
    bench.evse(1).present_token(CARD)

    bench.advance(40)
    assert updates(bench) == []

    bench.evse(1).plug_in()
    bench.advance(10)
    assert bench.evse(1).charging
    assert bench.events()[0]["reservationId"] == 3


def test_the_clock_decides_not_the_time_that_has_passed(bench: Bench) -> None:
    """The station's clock was an hour late; the CSMS sets it right."""
    reserve(bench, 3, evseId=1)

    bench.true_offset += HOUR_S
    bench.advance(minutes=10)  # a heartbeat

    assert updates(bench) == [(3, "Expired")]
