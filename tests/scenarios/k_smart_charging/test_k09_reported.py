"""K08, K09, K10: what is told of the profiles, and which are cleared."""

from __future__ import annotations

from typing import Any

import pytest

from tests.bench import Bench
from tests.scenarios.profiles import (
    DEFAULT,
    MAX,
    TX,
    amperes,
    ask,
    charge,
    clear,
    composite,
    limit,
    put,
    reported,
    station_limit,
)
from tests.scenarios.variables import get


@pytest.fixture
def installed(bench: Bench) -> Bench:
    """100: the station; 1, 2: defaults of all EVSEs, of two levels; 3: one of EVSE 2; 4: a transaction at EVSE 1."""
    put(bench, station_limit(bench, 50), 0)
    put(bench, limit(20, id=1), 0)
    put(bench, limit(18, id=2, stackLevel=1), 0)
    put(bench, limit(16, id=3, stackLevel=2), 2)
    put(bench, limit(14, id=4, purpose=TX, transactionId=charge(bench)), 1)
    return bench


@pytest.mark.req("K09.FR.04", "K09.FR.05", "K09.FR.06")
@pytest.mark.parametrize(
    "criteria, expected",
    [
        ({}, [(0, 1), (0, 2), (0, 100), (1, 4), (2, 3)]),
        ({"evse": 0}, [(0, 1), (0, 2), (0, 100)]),
        ({"evse": 1}, [(1, 4)]),
        ({"stackLevel": 0}, [(0, 1), (0, 100), (1, 4)]),
        ({"stackLevel": 0, "chargingProfilePurpose": DEFAULT}, [(0, 1)]),
        ({"chargingProfileId": [3, 100, 77]}, [(0, 100), (2, 3)]),
        ({"evse": 0, "chargingProfileId": [3]}, []),
        ({"chargingLimitSource": ["CSO", "EMS"]}, [(0, 1), (0, 2), (0, 100), (1, 4), (2, 3)]),
        ({"chargingLimitSource": ["SO"]}, []),
    ],
)
def test_all_criteria_must_match(installed: Bench, criteria: dict[str, Any], expected: list[tuple[int, int]]) -> None:
    assert ask(installed, **criteria) == ("Accepted" if expected else "NoProfiles")

    assert reported(installed) == expected


@pytest.mark.req("K09.FR.01", "K09.FR.02")
def test_many_and_large_profiles_come_in_several_messages(bench: Bench) -> None:
    """Each of one EVSE, each small enough to be sent; only the last says that nothing follows."""
    big = [(start, 16.0) for start in range(1000)]
    for number in range(4):
        assert put(bench, limit(*big, id=number, stackLevel=number)) == "Accepted"
    put(bench, limit(16, id=9), 2)

    assert ask(bench) == "Accepted"

    pages = bench.csms.received("ReportChargingProfiles")
    assert [page.get("tbc", False) for page in pages] == [True] * 4 + [False]
    assert {page["requestId"] for page in pages} == {5}
    assert reported(bench) == [(1, 0), (1, 1), (1, 2), (1, 3), (2, 9)]


@pytest.mark.req("K10.FR.01", "K10.FR.03", "K10.FR.04")
@pytest.mark.parametrize(
    "number, criteria, left",
    [
        (3, {}, [1, 2, 4, 100]),
        (3, {"evseId": 1}, [1, 2, 4, 100]),
        (None, {"evseId": 0}, [3, 4]),
        (None, {"chargingProfilePurpose": DEFAULT}, [4, 100]),
        (None, {"stackLevel": 0}, [2, 3]),
        (None, {"stackLevel": 0, "evseId": 0, "chargingProfilePurpose": MAX}, [1, 2, 3, 4]),
        (None, {}, []),
    ],
)
def test_what_matches_is_cleared(
    installed: Bench, number: int | None, criteria: dict[str, Any], left: list[int]
) -> None:
    assert clear(installed, number, **criteria) == "Accepted"

    assert [each.profile.id for each in installed.station.profiles.all()] == left
    assert get(installed, "SmartChargingCtrlr.Entries[ChargingProfiles]") == str(len(left))
    installed.crash()
    assert [each.profile.id for each in installed.station.profiles.all()] == [each for each in left if each != 4]


@pytest.mark.req("K10.FR.01")
def test_what_is_not_there_is_unknown(installed: Bench) -> None:
    assert clear(installed, 77) == "Unknown"
    assert clear(installed, chargingProfilePurpose=MAX, evseId=1) == "Unknown"
    assert len(installed.station.profiles) == 5


@pytest.mark.req("K10.FR.05", "K10.FR.07", "K08.FR.04")
def test_what_is_cleared_limits_no_longer(installed: Bench) -> None:
    """One after the other: the lowest of what is left is in force each time."""
    seen = [(amperes(installed), composite(installed)[0][1])]
    for number in (4, 2, 1, 100):
        clear(installed, number)
        seen.append((amperes(installed), composite(installed)[0][1]))

    assert seen == [(14.0, 14.0), (18.0, 18.0), (20.0, 20.0), (32.0, 32.0), (32.0, 32.0)]


@pytest.mark.req("K08.FR.02", "K08.FR.06")
def test_the_schedule_begins_now_and_tells_what_is_left(bench: Bench) -> None:
    """Of an idle EVSE as if a vehicle came now; of another one what its vehicle gets."""
    put(bench, limit((0, 16), (100, 10)), 0)
    charge(bench, 1)
    bench.advance(35)

    assert composite(bench, 1, 300) == [(0, 16.0), (50, 10.0)]
    assert composite(bench, 2, 300) == [(0, 16.0), (100, 10.0)]
    assert composite(bench, 2, 100) == [(0, 16.0)]


@pytest.mark.req("K08.FR.03")
def test_the_schedule_of_the_station_is_what_all_may_draw_together(bench: Bench) -> None:
    put(bench, limit(20, id=1), 1)

    assert composite(bench, 0) == [(0, 52.0)]
    put(bench, station_limit(bench, 40), 0)
    assert composite(bench, 0) == [(0, 40.0)]
    assert composite(bench, 0, unit="W") == [(0, 27_600.0)]


@pytest.mark.req("K08.FR.02")
def test_without_a_unit_the_station_chooses_one_that_it_knows(bench: Bench) -> None:
    answer = bench.csms.call("GetCompositeSchedule", {"evseId": 1, "duration": 60})

    assert answer["schedule"]["chargingRateUnit"] == "A"
    assert answer["schedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 32.0, "numberPhases": 3}]


def test_a_schedule_that_would_take_too_long_is_told_as_far_as_it_goes(bench: Bench) -> None:
    """Its duration says how far: so many periods as a schedule can have, of the seven years that were asked for."""
    hourly = [(3600 * hour, 10.0 + hour % 2) for hour in range(24)]
    put(bench, limit(*hourly, start=bench.true_utc, chargingProfileKind="Recurring", recurrencyKind="Daily"))

    answer = bench.csms.call("GetCompositeSchedule", {"evseId": 1, "duration": 7 * 366 * 86_400})

    schedule = answer["schedule"]
    assert len(schedule["chargingSchedulePeriod"]) == 1024
    assert schedule["duration"] == 1024 * 3600
