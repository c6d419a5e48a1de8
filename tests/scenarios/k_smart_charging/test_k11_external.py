"""K11, K12, K13: another system limits the station, and the CSMS hears of it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from station.blocks.smart_charging.external import ExternalLimit, Fed, Signal
from station.facts import SensorRead
from station.refusal import Refusal
from tests.bench import Bench
from tests.scenarios.e_transactions.story import news
from tests.scenarios.profiles import amperes, ask, charge, clear, composite, limit, put, reported, station_limit
from tests.scenarios.variables import get
from tests.scenarios.variables import put as set_variable

SECOND = "04FFEEDD"
EXTERNAL = "ChargingStationExternalConstraints"


@pytest.fixture
def open_bench(tmp_path: Path) -> Bench:
    """A station that listens to other systems."""
    return Bench(tmp_path, variables={"SmartChargingCtrlr.ExternalControlSignalsEnabled": "true"})


def external(bench: Bench, *periods: float | tuple[int, float], **more: Any) -> Refusal | None:
    """A limit of the energy management system, or none; gives why it is not taken."""
    given = ExternalLimit(
        periods=tuple(each if isinstance(each, tuple) else (0, each) for each in periods), **{"source": "EMS", **more}
    )
    refusal, effects = bench.station.exchange.ask(lambda now: bench.station.externals.set(given, now), bench.now)
    bench._do(effects)
    bench.settle()
    return refusal if isinstance(refusal, Refusal) else None


def notices(bench: Bench) -> list[dict[str, Any]]:
    """The NotifyChargingLimits."""
    return bench.csms.received("NotifyChargingLimit")


@pytest.mark.req("K11.FR.01", "K11.FR.02", "K11.FR.04", "K11.FR.05")
def test_a_vehicle_that_charges_is_limited_and_the_csms_told(open_bench: Bench) -> None:
    charge(open_bench)
    told = news(open_bench)

    assert external(open_bench, 8, grid_critical=True) is None

    assert amperes(open_bench) == 8.0
    assert notices(open_bench) == [{"chargingLimit": {"chargingLimitSource": "EMS", "isGridCritical": True}}]
    assert told() == ["Updated/ChargingRateChanged/Charging"]


@pytest.mark.req("K12.FR.01", "K12.FR.02", "K12.FR.04")
def test_a_limit_that_came_before_the_vehicles_holds_for_all_of_them_together(open_bench: Bench) -> None:
    external(open_bench, 14)
    assert notices(open_bench) == [{"chargingLimit": {"chargingLimitSource": "EMS"}}]

    charge(open_bench, 1)
    charge(open_bench, 2, SECOND)

    assert (amperes(open_bench, 1), amperes(open_bench, 2)) == (7.0, 7.0)


@pytest.mark.req("K11.FR.02", "K12.FR.02")
def test_a_limit_of_one_evse_is_told_with_it(open_bench: Bench) -> None:
    external(open_bench, 5520, evse_id=2, unit="W", source="SO")

    charge(open_bench, 1)
    charge(open_bench, 2, SECOND)

    assert (amperes(open_bench, 1), amperes(open_bench, 2)) == (32.0, 8.0)
    assert notices(open_bench) == [{"chargingLimit": {"chargingLimitSource": "SO"}, "evseId": 2}]


@pytest.mark.req("K11.FR.03", "K12.FR.03")
def test_the_schedule_is_told_if_that_is_wanted(open_bench: Bench) -> None:
    set_variable(open_bench, "SmartChargingCtrlr.NotifyChargingLimitWithSchedules", "true")

    external(open_bench, (0, 16), (600, 8), duration_s=1200)

    ((schedule,),) = [each["chargingSchedule"] for each in notices(open_bench)]
    assert datetime.fromisoformat(schedule["startSchedule"]) == open_bench.utc
    assert (schedule["chargingRateUnit"], schedule["duration"]) == ("A", 1200)
    assert schedule["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 16}, {"startPeriod": 600, "limit": 8}]


@pytest.mark.req("K11.FR.01", "K13.FR.01", "K13.FR.02")
def test_a_limit_ends_by_itself_with_its_duration(open_bench: Bench) -> None:
    charge(open_bench)
    external(open_bench, (0, 16), (600, 8), duration_s=1200)
    assert amperes(open_bench) == 16.0
    open_bench.advance(600)
    assert amperes(open_bench) == 8.0

    open_bench.advance(600)

    assert amperes(open_bench) == 32.0
    assert open_bench.csms.received("ClearedChargingLimit") == [{"chargingLimitSource": "EMS"}]
    assert ask(open_bench) == "NoProfiles"


@pytest.mark.req("K13.FR.01", "K13.FR.02", "K13.FR.03")
@pytest.mark.parametrize("evse", [0, 1])
def test_a_limit_that_is_released_limits_no_longer(open_bench: Bench, evse: int) -> None:
    external(open_bench, 8, evse_id=evse)
    charge(open_bench)
    told = news(open_bench)

    assert external(open_bench, evse_id=evse) is None

    assert amperes(open_bench) == 32.0
    which = {"evseId": evse} if evse else {}
    assert open_bench.csms.received("ClearedChargingLimit") == [{"chargingLimitSource": "EMS", **which}]
    assert told() == ["Updated/ChargingRateChanged/Charging"]
    assert external(open_bench, evse_id=evse) == Refusal("NotFound", "there is no such limit")


@pytest.mark.req("K11.FR.02", "K11.FR.04", "K12.FR.02")
def test_small_changes_are_not_told_until_they_have_added_up(open_bench: Bench) -> None:
    set_variable(open_bench, "SmartChargingCtrlr.LimitChangeSignificance", "10")
    charge(open_bench)
    external(open_bench, 20)
    told = news(open_bench)

    external(open_bench, 19)
    assert amperes(open_bench) == 19.0
    external(open_bench, 18)
    assert amperes(open_bench) == 18.0
    assert (len(notices(open_bench)), told()) == (1, [])

    external(open_bench, 17.5)
    assert len(notices(open_bench)) == 2


@pytest.mark.req("K11.FR.04")
def test_a_limit_of_nothing_suspends(open_bench: Bench) -> None:
    charge(open_bench)
    told = news(open_bench)

    external(open_bench, 0)
    open_bench.advance(10)

    assert not open_bench.evse(1).contactor_closed
    assert told() == ["Updated/ChargingRateChanged/Charging", "Updated/ChargingStateChanged/SuspendedEVSE"]


@pytest.mark.req("K11.FR.06", "K12.FR.05")
def test_it_is_reported_like_a_profile(open_bench: Bench) -> None:
    put(open_bench, limit(16, id=1), 1)
    external(open_bench, 8, evse_id=1)
    external(open_bench, 40, source="SO")

    assert ask(open_bench, chargingProfilePurpose=EXTERNAL) == "Accepted"

    pages = open_bench.csms.received("ReportChargingProfiles")
    assert [(page["chargingLimitSource"], page["evseId"]) for page in pages] == [("EMS", 1), ("SO", 0)]
    assert all(profile["id"] < 0 for page in pages for profile in page["chargingProfile"])
    assert ask(open_bench, evse=1, chargingLimitSource=["EMS"]) == "Accepted"
    assert len(reported(open_bench)) == 1
    assert get(open_bench, "SmartChargingCtrlr.Entries[ChargingProfiles]") == "3"


@pytest.mark.req("K10.FR.08", "K10.FR.09", "K10.FR.04")
def test_the_csms_can_neither_clear_nor_replace_it(open_bench: Bench) -> None:
    external(open_bench, 8)
    (installed,) = open_bench.station.profiles.all()

    assert clear(open_bench, installed.profile.id) == "Unknown"
    assert clear(open_bench, chargingProfilePurpose=EXTERNAL) == "Unknown"
    assert clear(open_bench, evseId=0) == "Unknown"
    assert clear(open_bench) == "Unknown"
    assert put(open_bench, limit(16, id=installed.profile.id), 1) == "Rejected: DuplicateProfile"

    put(open_bench, limit(16, id=1), 1)
    assert clear(open_bench) == "Accepted"
    assert open_bench.station.profiles.all() == [installed]


def test_of_two_systems_and_the_csms_the_lowest_counts(open_bench: Bench) -> None:
    charge(open_bench)
    put(open_bench, station_limit(open_bench, 20), 0)
    external(open_bench, 16)
    external(open_bench, 12, source="SO")
    assert amperes(open_bench) == 12.0
    assert composite(open_bench) == [(0, 12.0)]

    external(open_bench, source="SO")
    assert amperes(open_bench) == 16.0

    external(open_bench)
    assert amperes(open_bench) == 20.0


def test_without_smart_charging_it_still_protects(open_bench: Bench) -> None:
    charge(open_bench)
    external(open_bench, 8)

    set_variable(open_bench, "SmartChargingCtrlr.Enabled", "false")

    assert amperes(open_bench) == 8.0


def test_a_power_cut_does_not_lift_it_and_the_csms_is_told_anew(open_bench: Bench) -> None:
    external(open_bench, 8)

    open_bench.crash()

    charge(open_bench)
    assert amperes(open_bench) == 8.0
    assert len(notices(open_bench)) == 2


@pytest.mark.parametrize("released", [False, True])
def test_what_the_csms_could_not_hear_it_hears_when_it_is_back(open_bench: Bench, *, released: bool) -> None:
    """The last limit, not each on the way; and after it, that it is no more."""
    external(open_bench, 8)
    open_bench.csms.disconnect()
    for amps in (16, 20):
        external(open_bench, amps)
    if released:
        external(open_bench)
    open_bench.csms.forget()

    open_bench.csms.connect()

    open_bench.advance(5)
    told = [each for each in open_bench.csms.actions() if each.endswith("ChargingLimit")]
    assert told == ["NotifyChargingLimit", *(["ClearedChargingLimit"] if released else [])]


def test_a_station_that_does_not_listen_takes_no_limit(bench: Bench) -> None:
    charge(bench)

    refusal = external(bench, 8)

    assert refusal is not None
    assert refusal.reason_code == "NotEnabled"
    assert amperes(bench) == 32.0
    assert notices(bench) == []


def test_when_it_stops_listening_all_limits_are_released(open_bench: Bench) -> None:
    charge(open_bench)
    external(open_bench, 8)
    external(open_bench, 10, evse_id=1)

    set_variable(open_bench, "SmartChargingCtrlr.ExternalControlSignalsEnabled", "false")

    assert amperes(open_bench) == 32.0
    assert len(open_bench.csms.received("ClearedChargingLimit")) == 2


@pytest.mark.parametrize("wrong", [{"evse_id": 9}, {"periods": ((1, 8.0),)}, {"periods": ((0, 8.0), (0, 9.0))}])
def test_a_limit_that_makes_no_sense_is_refused(open_bench: Bench, wrong: dict[str, Any]) -> None:
    periods = wrong.pop("periods", ((0, 8.0),))

    assert external(open_bench, *periods, **wrong) is not None
    assert open_bench.station.profiles.all() == []


# --- by a sensor


def sensed(bench: Bench, value: str, component: str = "GridContact", variable: str = "Active") -> None:
    """A sensor shows something; it is read again and again."""
    for _ in range(3):
        at = bench.now.instant
        bench.hardware.tell(SensorRead(component=component, variable=variable, value=value, at=at))
        bench.settle()
        bench.advance(1)


@pytest.mark.req("K11.FR.01", "K11.FR.02", "K13.FR.01", "K13.FR.02")
def test_a_contact_of_the_grid_operator_limits_while_it_is_closed(tmp_path: Path) -> None:
    """The station listens to it without being told to by a variable."""
    bench = Bench(tmp_path, signals=(Signal(fed=Fed("GridContact", "Active"), amperes=6.0),))
    charge(bench)

    sensed(bench, "false")
    assert amperes(bench) == 32.0

    sensed(bench, "true")
    assert amperes(bench) == 6.0
    assert notices(bench) == [{"chargingLimit": {"chargingLimitSource": "SO"}}]

    sensed(bench, "false")
    assert amperes(bench) == 32.0
    assert bench.csms.received("ClearedChargingLimit") == [{"chargingLimitSource": "SO"}]


@pytest.mark.req("K11.FR.01", "K11.FR.02")
def test_a_value_of_an_energy_manager_is_the_limit(tmp_path: Path) -> None:
    """What is no number is no limit, and no reason to forget the last one."""
    signal = Signal(fed=Fed("Manager", "Current"), source="EMS", evse_id=1)
    bench = Bench(tmp_path, signals=(signal,))
    charge(bench)

    for value, expected in (("16", 16.0), ("nonsense", 16.0), ("10.5", 10.5), ("-3", 0.0)):
        sensed(bench, value, "Manager", "Current")
        assert amperes(bench) == expected

    assert [each["evseId"] for each in notices(bench)] == [1, 1, 1]


def test_a_sensor_that_shows_the_same_writes_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, signals=(Signal(fed=Fed("GridContact", "Active"), amperes=6.0),))
    sensed(bench, "true")
    changes = bench.database.connection.total_changes

    sensed(bench, "true")

    assert bench.database.connection.total_changes == changes
