"""K01, K02: which profile is in force, from when, until when, and what the vehicle then gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from hal.sim.evse import EvseSpec, SimEvse
from tests.bench import Bench
from tests.scenarios.e_transactions.story import news
from tests.scenarios.profiles import (
    DEFAULT,
    TX,
    ago,
    ahead,
    amperes,
    ask,
    charge,
    clear,
    composite,
    limit,
    put,
    reported,
    station_limit,
    written,
)
from tests.scenarios.variables import get
from tests.scenarios.variables import put as set_variable

DAY_S = 86_400
WEEK_S = 7 * DAY_S


@pytest.mark.req("K01.FR.02", "K01.FR.15", "K01.FR.51")
def test_a_default_of_one_evse_limits_each_phase_there_and_only_there(bench: Bench) -> None:
    put(bench, limit(10))

    charge(bench, 1)
    charge(bench, 2, "04FFEEDD")

    assert amperes(bench, 1) == 10.0
    assert amperes(bench, 2) == 32.0
    assert bench.world.evse(1).power_w == 10.0 * 230 * 3


@pytest.mark.req("K01.FR.14")
def test_a_default_of_the_station_limits_every_evse_and_is_told_once(bench: Bench) -> None:
    put(bench, limit(10), 0)

    charge(bench, 1)
    charge(bench, 2, "04FFEEDD")

    assert (amperes(bench, 1), amperes(bench, 2)) == (10.0, 10.0)
    assert ask(bench) == "Accepted"
    assert reported(bench) == [(0, 1)]


@pytest.mark.req("K01.FR.32", "K01.FR.07", "K03.FR.03", "K02.FR.02")
def test_a_new_default_limits_a_vehicle_that_charges(bench: Bench) -> None:
    charge(bench)
    assert amperes(bench) == 32.0

    put(bench, limit(10))
    assert amperes(bench) == 10.0

    put(bench, limit(14))
    assert amperes(bench) == 14.0


@pytest.mark.req("K01.FR.04", "K02.FR.04")
def test_the_profile_of_a_transaction_overrules_the_default_upwards_too(bench: Bench) -> None:
    put(bench, limit(10, id=1))
    transaction_id = charge(bench)

    put(bench, limit(16, id=2, purpose=TX, transactionId=transaction_id))

    assert amperes(bench) == 16.0


@pytest.mark.req("K02.FR.05")
@pytest.mark.parametrize("online", [True, False])
def test_the_profile_of_a_transaction_ends_with_it(bench: Bench, *, online: bool) -> None:
    transaction_id = charge(bench)
    put(bench, limit(16, purpose=TX, transactionId=transaction_id))
    if not online:
        bench.csms.disconnect()

    bench.evse(1).unplug()
    bench.advance(20)

    if not online:
        bench.csms.connect()
    assert ask(bench) == "NoProfiles"
    charge(bench)
    assert amperes(bench) == 32.0


@pytest.mark.req("K02.FR.08")
@pytest.mark.parametrize("end", ["duration", "validTo"])
def test_after_the_profile_of_a_transaction_the_default_is_in_force_again(bench: Bench, end: str) -> None:
    put(bench, limit(10, id=1, start=ago(bench, 60), duration=1200))
    transaction_id = charge(bench)
    bounds = {"duration": 600} if end == "duration" else {"validTo": ahead(bench, 600)}
    put(bench, limit(16, id=2, purpose=TX, transactionId=transaction_id, start=bench.true_utc, **bounds))
    assert amperes(bench) == 16.0

    bench.advance(600)
    assert amperes(bench) == 10.0

    bench.advance(600)
    assert amperes(bench) == 32.0


@pytest.mark.req("K01.FR.36", "K01.FR.37", "K01.FR.10")
def test_a_profile_is_in_force_while_it_is_valid(bench: Bench) -> None:
    charge(bench)
    put(bench, limit(16, id=1, start=ago(bench, 10)))
    put(bench, limit(10, id=2, stackLevel=1, validFrom=ahead(bench, 60), validTo=ahead(bench, 120)))

    assert amperes(bench) == 16.0
    bench.advance(55)
    assert amperes(bench) == 10.0
    bench.advance(50)
    assert amperes(bench) == 16.0
    bench.evse(1).unplug()
    bench.advance(days=2)
    put(bench, limit(16, id=3, stackLevel=2, validFrom=ahead(bench, 999)))
    assert composite(bench, 1, 60) == [(0, 16.0)]


@pytest.mark.req("K01.FR.30", "K01.FR.11", "K01.FR.12")
def test_an_absolute_schedule_begins_at_its_start_and_ends_with_its_duration(bench: Bench) -> None:
    """What begins after the end never does."""
    charge(bench)

    put(bench, limit((0, 16), (60, 10), (180, 20), start=ahead(bench, 60), duration=120))

    assert composite(bench) == [(0, 32.0), (60, 16.0), (120, 10.0), (180, 32.0)]
    assert amperes(bench) == 32.0
    bench.advance(60)
    assert amperes(bench) == 16.0
    bench.advance(60)
    assert amperes(bench) == 10.0
    bench.advance(60)
    assert amperes(bench) == 32.0


@pytest.mark.req("K01.FR.13")
@pytest.mark.parametrize("kind, length_s", [("Daily", DAY_S), ("Weekly", WEEK_S)])
def test_a_recurring_schedule_leaves_the_rest_of_its_recurrence_free(bench: Bench, kind: str, length_s: int) -> None:
    put(bench, limit(10, start=ahead(bench, 60), duration=3600, chargingProfileKind="Recurring", recurrencyKind=kind))

    assert composite(bench, 1, length_s + 3700) == [
        *((0, 32.0), (60, 10.0), (3660, 32.0)),
        *((length_s + 60, 10.0), (length_s + 3660, 32.0)),
    ]
    bench.advance(length_s + 120)
    charge(bench)
    assert amperes(bench) == 10.0


@pytest.mark.req("K01.FR.42")
def test_a_relative_schedule_counts_from_when_energy_can_be_delivered(bench: Bench) -> None:
    """However late it was sent: the vehicle was plugged in before the card came."""
    bench.evse(1).plug_in()
    bench.advance(300)
    bench.evse(1).present_token("04A1B2C3")
    bench.advance(100)

    put(bench, limit((0, 16), (90, 10), (200, 8)))

    assert composite(bench, 1, 300) == [(0, 10.0), (100, 8.0)]
    assert amperes(bench) == 10.0
    bench.advance(100)
    assert amperes(bench) == 8.0


@pytest.mark.req("K01.FR.17")
def test_a_higher_level_leads_only_where_it_says_something(bench: Bench) -> None:
    put(bench, limit(16, id=1, start=ago(bench, 60)))
    put(bench, limit(6, id=2, stackLevel=1, start=ahead(bench, 120), duration=60))
    put(bench, limit(20, id=3, stackLevel=2, start=ahead(bench, 150), duration=60))

    assert composite(bench) == [(0, 16.0), (120, 6.0), (150, 20.0), (210, 16.0)]


@pytest.mark.req("K01.FR.05")
def test_a_known_id_is_replaced_wherever_it_was(bench: Bench) -> None:
    put(bench, limit(10, id=5), 1)

    assert put(bench, limit(12, id=5, stackLevel=3), 2) == "Accepted"

    assert composite(bench, 1) == [(0, 32.0)]
    assert composite(bench, 2) == [(0, 12.0)]
    assert ask(bench) == "Accepted"
    assert reported(bench) == [(2, 5)]


@pytest.mark.req("K01.FR.50", "K01.FR.49")
@pytest.mark.parametrize("phases", [None, 3])
def test_watts_are_shared_by_the_phases(bench: Bench, phases: int | None) -> None:
    """Of three, where the CSMS does not say; by the voltage of the area."""
    charge(bench)
    period = (0, 6900) if phases is None else (0, 6900, phases)

    put(bench, limit(period, unit="W"))

    assert amperes(bench) == 10.0
    assert composite(bench, unit="W") == [(0, 6900.0)]


@pytest.mark.req("K01.FR.50")
def test_the_voltage_is_that_of_the_area(tmp_path: Path) -> None:
    bench = Bench(tmp_path, layout={"supply_voltage_v": 115.0})
    charge(bench)

    put(bench, limit(6900, unit="W"))

    assert amperes(bench) == 20.0
    assert composite(bench, unit="W") == [(0, 6900.0)]


@pytest.mark.req("K01.FR.47", "K01.FR.50")
def test_a_board_that_can_switch_charges_on_one_phase(tmp_path: Path) -> None:
    bench = switching(tmp_path)
    charge(bench)

    assert put(bench, limit((0, 2300, 1), (60, 6900, 3), unit="W")) == "Accepted"

    assert bench.world.evse(1).power_w == 0.0  # phases change without current
    bench.advance(6)
    assert amperes(bench) == 10.0
    assert bench.world.evse(1).power_w == 2300.0
    bench.advance(74)  # at 60 s, and a minute after the last change at the earliest
    assert bench.world.evse(1).power_w == 6900.0


def switching(path: Path) -> Bench:
    """A station whose board switches between one and three phases."""
    bench = Bench(path, layout={"phase_switching": True}, boot=False)
    for number in bench.world.numbers:
        evse = SimEvse(number, EvseSpec(phase_switching=True), bench.mono)
        bench.world._evses[number] = evse
    bench.boot()
    return bench


@pytest.mark.req("K07.FR.01")
def test_who_comes_while_the_csms_is_away_charges_by_what_is_installed(bench: Bench) -> None:
    charge(bench)
    bench.evse(1).unplug()
    put(bench, limit(10))
    bench.csms.disconnect()
    bench.advance(60)

    bench.evse(1).plug_in()
    bench.evse(1).present_token("04A1B2C3")

    assert amperes(bench) == 10.0


@pytest.mark.req("K06.FR.01", "K06.FR.02")
def test_without_the_csms_everything_goes_on_as_it_was_told(bench: Bench) -> None:
    transaction_id = charge(bench)
    put(bench, limit((0, 16), (300, 10), purpose=TX, transactionId=transaction_id))

    bench.csms.disconnect()

    assert amperes(bench, 1) == 16.0
    bench.advance(300)
    assert amperes(bench, 1) == 10.0
    bench.evse(2).plug_in()
    bench.evse(2).present_token("04A1B2C3")
    assert amperes(bench, 2) == 32.0


@pytest.mark.req("K01.FR.27")
@pytest.mark.parametrize("how", ["reset", "power cut"])
def test_profiles_outlive_a_restart(bench: Bench, how: str) -> None:
    profile = limit((0, 10, 3), (3600, 12.5), start=bench.true_utc, validTo=ahead(bench, 9999), id=4)
    put(bench, profile)
    put(bench, station_limit(bench, 40), 0)

    if how == "reset":
        bench.csms.call("Reset", {"type": "Immediate"})
        bench.advance(10)
    else:
        bench.crash()

    assert get(bench, "SmartChargingCtrlr.Entries[ChargingProfiles]") == "2"
    assert ask(bench, evse=1) == "Accepted"
    ((told,),) = [page["chargingProfile"] for page in bench.csms.received("ReportChargingProfiles")]
    assert written(told) == written(profile)
    charge(bench)
    assert amperes(bench) == 10.0


def test_a_clock_that_was_wrong_is_no_excuse(bench: Bench) -> None:
    """The CSMS sets it: from then on the period of the true time is in force, and the next one comes in time."""
    bench.csms.disconnect()
    bench.offset -= 3600
    bench.csms.connect()
    bench.advance(hours=24)  # the next heartbeat has put it right
    charge(bench)

    put(bench, limit((0, 16), (120, 10), start=ago(bench, 60)))

    assert amperes(bench) == 16.0
    bench.advance(60)
    assert amperes(bench) == 10.0


def test_below_the_least_current_the_station_suspends_and_takes_up_again(bench: Bench) -> None:
    charge(bench)
    told = news(bench)

    put(bench, limit((0, 5.9), (600, 6), start=bench.true_utc))
    bench.advance(20)

    assert not bench.evse(1).contactor_closed
    assert told()[-1] == "Updated/ChargingStateChanged/SuspendedEVSE"
    bench.advance(600)
    assert amperes(bench) == 6.0
    assert told()[-1] == "Updated/ChargingStateChanged/Charging"


def test_a_limit_of_zero_lets_no_vehicle_start(bench: Bench) -> None:
    put(bench, limit(0))

    charge(bench)

    assert not bench.evse(1).contactor_closed
    assert bench.events()[0]["transactionInfo"]["chargingState"] == "SuspendedEVSE"
    assert clear(bench, chargingProfilePurpose=DEFAULT) == "Accepted"
    assert amperes(bench) == 32.0


def test_without_smart_charging_profiles_stay_and_limit_nothing(bench: Bench) -> None:
    put(bench, limit(10))
    charge(bench)

    set_variable(bench, "SmartChargingCtrlr.Enabled", "false")
    assert amperes(bench) == 32.0

    set_variable(bench, "SmartChargingCtrlr.Enabled", "true")
    assert amperes(bench) == 10.0


def test_a_rate_that_changes_much_is_told(bench: Bench) -> None:
    set_variable(bench, "SmartChargingCtrlr.LimitChangeSignificance", "10")
    charge(bench)
    told = news(bench)

    put(bench, limit(29))
    bench.advance(5)
    assert told() == []

    put(bench, limit(20))
    bench.advance(5)
    assert told() == ["Updated/ChargingRateChanged/Charging"]


def test_between_two_changes_nobody_wakes(bench: Bench) -> None:
    """One deadline, at the next change of any profile."""
    put(bench, limit((0, 16), (3600, 10), start=bench.true_utc))
    put(bench, limit(8, id=2, stackLevel=1, start=ahead(bench, 7200)))
    block = next(each for each in bench.station.engine._blocks if type(each).__name__ == "SmartCharging")

    seen = []
    for _ in range(2):
        deadline = block.next_due()
        assert deadline is not None
        seen.append(round(deadline.at - bench.utc.timestamp()))
        bench.advance(seen[-1])

    assert seen == [3600, 3600]
    assert block.next_due() is None
