"""K04: what the station may draw is shared by its EVSEs, and never exceeded."""

from __future__ import annotations

from pathlib import Path

import pytest

from hal.api import Fault
from tests.bench import Bench
from tests.scenarios.e_transactions.story import line
from tests.scenarios.profiles import TX, ahead, amperes, charge, clear, composite, limit, put, station_limit

SECOND = "04FFEEDD"
THIRD = "04112233"


def sum_a(bench: Bench) -> float:
    """What flows into all vehicles, per phase."""
    return sum(bench.world.evse(number).current_a for number in bench.world.numbers)


def watch(bench: Bench, seconds: int) -> float:
    """The most that ever flowed in this time."""
    most = 0.0
    for _ in range(seconds * 10):
        bench.advance(0.1)
        most = max(most, sum_a(bench))
    return most


@pytest.mark.req("K04.FR.05", "K04.FR.01")
def test_a_second_vehicle_gets_its_half_once_the_first_has_followed(bench: Bench) -> None:
    put(bench, station_limit(bench, 20), 0)
    charge(bench, 1)
    assert amperes(bench) == 20.0

    bench.evse(2).plug_in()
    bench.evse(2).present_token(SECOND)

    assert watch(bench, 30) <= 20.0
    assert (amperes(bench, 1), amperes(bench, 2)) == (10.0, 10.0)
    bench.evse(1).unplug()
    assert watch(bench, 30) <= 20.0
    assert amperes(bench, 2) == 20.0


@pytest.mark.req("K04.FR.05")
def test_what_one_cannot_use_the_others_get(tmp_path: Path) -> None:
    """Each as much as the others, as far as it can use it."""
    bench = Bench(tmp_path, evses=3)
    put(bench, station_limit(bench, 40), 0)
    put(bench, limit(8), 2)

    for evse, card in ((1, "04A1B2C3"), (2, SECOND), (3, THIRD)):
        charge(bench, evse, card)

    assert [amperes(bench, evse) for evse in (1, 2, 3)] == [16.0, 8.0, 16.0]


@pytest.mark.req("K04.FR.05")
def test_where_it_does_not_suffice_for_all_who_came_last_waits(bench: Bench) -> None:
    put(bench, station_limit(bench, 11), 0)
    charge(bench, 1)

    charge(bench, 2, SECOND)

    assert (amperes(bench, 1), amperes(bench, 2)) == (11.0, 0.0)
    assert line(bench.events(1)[-1]).split()[0].endswith("/SuspendedEVSE")
    bench.evse(1).unplug()
    bench.advance(10)
    assert amperes(bench, 2) == 11.0


@pytest.mark.req("K04.FR.04", "K02.FR.06", "K03.FR.07", "K01.FR.21")
def test_nobody_is_charged_below_what_is_worth_it(bench: Bench) -> None:
    """Half of it would do for the pilot, but not for the first vehicle's schedule."""
    put(bench, station_limit(bench, 20), 0)
    transaction_id = charge(bench, 1)
    put(bench, limit(16, purpose=TX, transactionId=transaction_id, least=13), 1)

    charge(bench, 2, SECOND)

    assert (amperes(bench, 1), amperes(bench, 2)) == (13.0, 7.0)


@pytest.mark.req("K04.FR.05")
@pytest.mark.parametrize("unit, value", [("A", 20.0), ("W", 13_800.0)])
def test_the_limit_may_be_told_in_watts(bench: Bench, unit: str, value: float) -> None:
    put(bench, station_limit(bench, value, unit=unit), 0)

    charge(bench, 1)
    charge(bench, 2, SECOND)

    assert (amperes(bench, 1), amperes(bench, 2)) == (10.0, 10.0)
    assert bench.world.evse(1).power_w + bench.world.evse(2).power_w == 13_800.0


@pytest.mark.req("K04.FR.05", "K08.FR.04")
def test_a_lower_limit_comes_at_its_time_and_the_schedules_tell_it_before(bench: Bench) -> None:
    put(bench, station_limit(bench, (0, 40), (60, 20)), 0)
    charge(bench, 1)
    charge(bench, 2, SECOND)

    assert composite(bench, 1) == [(0, 20.0), (30, 10.0)]
    assert composite(bench, 0) == [(0, 40.0), (30, 20.0)]
    bench.advance(60)
    assert (amperes(bench, 1), amperes(bench, 2)) == (10.0, 10.0)


def test_an_idle_evse_is_told_what_a_vehicle_would_get_there(bench: Bench) -> None:
    put(bench, station_limit(bench, 20), 0)
    assert composite(bench, 2) == [(0, 20.0)]

    charge(bench, 1)

    assert composite(bench, 1) == [(0, 20.0)]
    assert composite(bench, 2) == [(0, 10.0)]


def test_a_vehicle_that_cannot_charge_takes_no_share(bench: Bench) -> None:
    put(bench, station_limit(bench, 20), 0)
    charge(bench, 1)
    charge(bench, 2, SECOND)

    bench.evse(2).fault(Fault.OVER_TEMPERATURE)
    assert watch(bench, 20) <= 20.0
    assert amperes(bench, 1) == 20.0

    bench.evse(2).fault(Fault.OVER_TEMPERATURE, on=False)
    assert watch(bench, 20) <= 20.0
    assert (amperes(bench, 1), amperes(bench, 2)) == (10.0, 10.0)


def test_a_limit_that_ends_leaves_everyone_what_he_is_built_for(bench: Bench) -> None:
    put(bench, station_limit(bench, 20), 0)
    charge(bench, 1)
    charge(bench, 2, SECOND)

    assert clear(bench, 100) == "Accepted"

    assert (amperes(bench, 1), amperes(bench, 2)) == (32.0, 32.0)


@pytest.mark.req("K04.FR.05")
def test_after_a_power_cut_the_limit_still_holds(tmp_path: Path) -> None:
    bench = Bench(tmp_path, resume=True)
    put(bench, station_limit(bench, 20), 0)
    charge(bench, 1)
    charge(bench, 2, SECOND)

    bench.crash()

    assert watch(bench, 60) <= 20.0
    assert (amperes(bench, 1), amperes(bench, 2)) == (10.0, 10.0)


@pytest.mark.req("K04.FR.05", "K04.FR.02")
def test_the_fuse_of_the_station_holds_whatever_the_csms_says(tmp_path: Path) -> None:
    """Two vehicles share it; a maximum of the CSMS can only be lower."""
    bench = Bench(tmp_path, layout={"fuse_a": 40.0})
    charge(bench, 1)
    assert amperes(bench) == 32.0
    charge(bench, 2, SECOND)
    assert (amperes(bench, 1), amperes(bench, 2)) == (20.0, 20.0)

    put(bench, station_limit(bench, 60), 0)
    assert (amperes(bench, 1), amperes(bench, 2)) == (20.0, 20.0)

    put(bench, station_limit(bench, 30), 0)
    assert (amperes(bench, 1), amperes(bench, 2)) == (15.0, 15.0)
    assert composite(bench, 0) == [(0, 30.0)]


def test_a_maximum_from_later_on_limits_nothing_before(bench: Bench) -> None:
    put(bench, station_limit(bench, 20, start=ahead(bench, 60)), 0)
    charge(bench, 1)
    charge(bench, 2, SECOND)

    assert (amperes(bench, 1), amperes(bench, 2)) == (32.0, 32.0)
    bench.advance(60)
    assert (amperes(bench, 1), amperes(bench, 2)) == (10.0, 10.0)
