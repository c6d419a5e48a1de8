"""K15, K16, K17: vehicles that speak ISO 15118 state their needs, are offered schedules and choose."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from device_model.build import ConnectorLayout, EvseLayout
from hal.iso15118 import VehicleNeeds
from hal.schedules import ScheduleOffer
from station.facts import VehicleNeedsTold, VehicleScheduleTold
from tests.bench import Bench
from tests.csms import later
from tests.scenarios.profiles import (
    TX,
    amperes,
    charge,
    clear,
    composite,
    hold,
    limit,
    put,
    station_limit,
)

DAY_S = 86_400
EVCC = "0A1B2C3D4E5F"


def arrive(bench: Bench, evse: int = 1, **ev: Any) -> str:
    """A vehicle that speaks ISO 15118 charges, and has not stated its needs; gives the transaction."""
    transaction_id = charge(bench, evse, evcc_id=EVCC, ramp_a_per_s=0, **ev)
    bench.advance(60)
    return transaction_id


def needs(bench: Bench, evse: int = 1, **more: Any) -> None:
    """It states its needs."""
    bench.world.state_needs(evse, **more)
    bench.settle()


def offers(bench: Bench, evse: int = 1) -> list[tuple[ScheduleOffer, ...]]:
    """What it was offered, each time."""
    return bench.world.offers.get(evse, [])


def asked(bench: Bench) -> list[dict[str, Any]]:
    return bench.csms.received("NotifyEVChargingNeeds")


def told(bench: Bench) -> list[dict[str, Any]]:
    return bench.csms.received("NotifyEVChargingSchedule")


@pytest.mark.req("K15.FR.01", "K15.FR.06")
def test_the_needs_of_a_vehicle_are_told(bench: Bench) -> None:
    arrive(bench, max_a=20.0, phases=1)

    needs(bench, energy_wh=15_000, departs_in_s=3600)

    (message,) = asked(bench)
    departure = datetime.fromisoformat(message["chargingNeeds"].pop("departureTime"))
    assert (departure - bench.true_utc).total_seconds() == 3600
    assert message == {
        "evseId": 1,
        "maxScheduleTuples": 3,
        "chargingNeeds": {
            "requestedEnergyTransfer": "AC_single_phase",
            "acChargingParameters": {
                "energyAmount": 15_000,
                "evMinCurrent": 6,
                "evMaxCurrent": 20,
                "evMaxVoltage": 400,
            },
        },
    }


@pytest.mark.req("K15.FR.06", "K17.FR.06")
def test_the_needs_at_a_direct_current_evse_are_told_as_such(tmp_path: Path) -> None:
    evse = EvseLayout(phases=0, connectors=(ConnectorLayout(type="cCCS2", max_current_a=200.0),))
    bench = Bench(tmp_path, layout={"evses": (evse,)})
    wish = VehicleNeeds(channel=1, energy_wh=40_000, min_a=5.0, max_a=180.0, max_v=410.0)

    bench.hardware.tell(VehicleNeedsTold(evse_id=1, at=bench.now.instant, needs=wish))
    bench.settle()

    (message,) = asked(bench)
    assert message["chargingNeeds"] == {
        "requestedEnergyTransfer": "DC",
        "dcChargingParameters": {"energyAmount": 40_000, "evMaxCurrent": 180, "evMaxVoltage": 410},
    }


@pytest.mark.req("K15.FR.10", "K15.FR.14", "K16.FR.03")
def test_the_profile_that_the_csms_sets_is_offered_and_the_choice_told(bench: Bench) -> None:
    """The vehicle takes less in the first part: then the composite schedule says so too."""
    transaction_id = arrive(bench, max_a=14.0)
    needs(bench)
    assert offers(bench) == []

    put(bench, limit((0, 16), (600, 10), purpose=TX, transactionId=transaction_id, start=bench.true_utc))

    ((offer,),) = offers(bench)
    assert offer == ScheduleOffer(1, ((0, 16.0), (600, 10.0)), DAY_S)
    (message,) = told(bench)
    assert datetime.fromisoformat(message["timeBase"]) == bench.true_utc
    assert (message["evseId"], message["chargingSchedule"]["id"]) == (1, 1)
    assert message["chargingSchedule"]["chargingSchedulePeriod"] == [
        {"startPeriod": 0, "limit": 14.0},
        {"startPeriod": 600, "limit": 10.0},
    ]
    assert composite(bench, 1, 900) == [(0, 14.0), (600, 10.0)]


@pytest.mark.req("K15.FR.14")
def test_a_choice_that_the_csms_rejects_is_not_believed(bench: Bench) -> None:
    bench.csms.on("NotifyEVChargingSchedule", {"status": "Rejected"})
    transaction_id = arrive(bench, max_a=14.0)
    needs(bench)

    put(bench, limit(16, purpose=TX, transactionId=transaction_id))

    assert composite(bench, 1, 900) == [(0, 16.0)]


@pytest.mark.req("K15.FR.19", "K16.FR.13", "K17.FR.16")
def test_of_a_vehicle_that_tells_no_profile_the_schedule_it_chose_is_told(bench: Bench) -> None:
    """By the id that the CSMS gave it."""
    transaction_id = arrive(bench, tells_schedule=False)
    needs(bench)

    profile = limit((0, 16), (600, 10), purpose=TX, transactionId=transaction_id, start=bench.true_utc)
    profile["chargingSchedule"][0]["id"] = 77
    put(bench, profile)

    (message,) = told(bench)
    assert message["chargingSchedule"]["id"] == 77
    assert message["chargingSchedule"]["chargingSchedulePeriod"] == [
        {"startPeriod": 0, "limit": 16.0},
        {"startPeriod": 600, "limit": 10.0},
    ]


@pytest.mark.req("K15.FR.09", "K16.FR.04", "K17.FR.09")
@pytest.mark.parametrize("periods, exceeds", [(((0, 16.0), (600, 10.0)), False), (((0, 16.0),), True)])
def test_a_profile_that_exceeds_the_schedule_is_noticed(
    bench: Bench, caplog: pytest.LogCaptureFixture, periods: tuple[tuple[int, float], ...], *, exceeds: bool
) -> None:
    """Told all the same; and whatever the vehicle says, it gets no more current than that."""
    transaction_id = arrive(bench, tells_schedule=False)
    needs(bench)
    put(bench, limit((0, 16), (600, 10), purpose=TX, transactionId=transaction_id, start=bench.true_utc))
    caplog.clear()

    bench.hardware.tell(VehicleScheduleTold(evse_id=1, at=bench.now.instant, schedule_id=1, periods=periods))
    bench.settle()

    assert ("vehicle.exceeds_schedule" in caplog.messages) == exceeds
    assert len(told(bench)) == 2
    bench.advance(600)
    assert amperes(bench) == 10.0


@pytest.mark.req("K15.FR.15", "K17.FR.15")
@pytest.mark.parametrize("why", ["offline", "Rejected", "Processing", "silent"])
def test_without_a_profile_the_vehicle_is_offered_what_there_is(bench: Bench, why: str) -> None:
    """The default of the EVSE, at once if no other will come, else before the vehicle loses patience."""
    put(bench, limit((0, 16), (3600, 8), start=bench.true_utc))
    arrive(bench)
    if why == "offline":
        bench.csms.disconnect()
    elif why != "silent":
        bench.csms.on("NotifyEVChargingNeeds", {"status": why})

    needs(bench)

    if why == "silent":
        assert offers(bench) == []
        bench.advance(50)
    ((offer,),) = offers(bench)
    assert [amps for _, amps in offer.periods] == [16.0, 8.0]
    assert offer.periods[1][0] < 3600


@pytest.mark.req("K15.FR.17")
def test_a_profile_before_the_needs_is_too_early(bench: Bench) -> None:
    """For as long as a vehicle takes that will state any."""
    transaction_id = charge(bench, evcc_id=EVCC)
    profile = limit(16, purpose=TX, transactionId=transaction_id)

    assert put(bench, profile) == "Rejected: InvalidMessageSeq"

    bench.advance(60)
    assert put(bench, profile) == "Accepted"


def test_of_a_vehicle_that_does_not_speak_no_profile_is_too_early(bench: Bench) -> None:
    assert put(bench, limit(16, purpose=TX, transactionId=charge(bench))) == "Accepted"


@pytest.mark.req("K15.FR.22")
def test_several_schedules_are_offered_combined_in_their_order(bench: Bench) -> None:
    """Two profiles of two levels: the first of the one fills the gaps of the first of the other, and so on."""
    transaction_id = arrive(bench)
    of_tx: dict[str, Any] = {"purpose": TX, "transactionId": transaction_id, "start": bench.true_utc}
    low = limit(20, id=1, **of_tx)
    low["chargingSchedule"] += limit(18, **of_tx)["chargingSchedule"]
    low["chargingSchedule"][1]["id"] = 2
    high = limit(10, id=2, stackLevel=1, duration=600, **of_tx)
    high["chargingSchedule"] += limit(8, duration=300, **of_tx)["chargingSchedule"]
    high["chargingSchedule"][1]["id"] = 2
    assert put(bench, low) == "Rejected: InvalidProfile"  # before the needs one schedule is all there can be

    needs(bench)
    assert put(bench, low) == put(bench, high) == "Accepted"

    first, second = offers(bench)[-1]
    assert (first.id, second.id) == (1, 2)
    assert first.periods == ((0, 10.0), (600, 20.0))
    assert second.periods == ((0, 8.0), (300, 18.0))


@pytest.mark.req("K16.FR.01", "K16.FR.02", "K16.FR.03", "K16.FR.05", "K16.FR.09", "K16.FR.10", "K16.FR.11")
def test_another_profile_makes_the_vehicle_renegotiate(bench: Bench) -> None:
    """It states its needs again, of which the CSMS hears nothing; its current is lowered at once."""
    transaction_id = arrive(bench)
    needs(bench)
    put(bench, limit(16, purpose=TX, transactionId=transaction_id))
    assert amperes(bench) == 16.0
    bench.csms.forget()

    assert put(bench, limit(8, purpose=TX, transactionId=transaction_id)) == "Accepted"

    assert bench.world.evse(1).offered_a == 8.0
    ((offer,),) = offers(bench)[1:]
    assert offer.periods == ((0, 8.0),)
    assert asked(bench) == []
    assert [each["chargingSchedule"]["chargingSchedulePeriod"] for each in told(bench)] == [
        [{"startPeriod": 0, "limit": 8.0}]
    ]
    assert composite(bench, 1, 600) == [(0, 8.0)]


@pytest.mark.req("K16.FR.02")
@pytest.mark.parametrize("cause", ["cleared", "external", "shared"])
def test_whatever_changes_the_schedule_makes_the_vehicle_renegotiate(bench: Bench, cause: str) -> None:
    put(bench, station_limit(bench, 30), 0)
    transaction_id = arrive(bench)
    needs(bench)
    put(bench, limit(20, id=7, purpose=TX, transactionId=transaction_id))
    assert len(offers(bench)) == 1

    if cause == "cleared":
        clear(bench, 7)
    elif cause == "external":
        hold(bench, 1, 12.0)
    else:
        charge(bench, 2, "04FFEEDD")

    ((offer,),) = offers(bench)[1:]
    assert offer.periods[0][1] == {"cleared": 30.0, "external": 12.0, "shared": 15.0}[cause]


def test_a_schedule_that_goes_on_as_it_was_offered_changes_nothing(bench: Bench) -> None:
    transaction_id = arrive(bench)
    needs(bench)
    put(bench, limit((0, 16), (600, 10), (1200, 14), purpose=TX, transactionId=transaction_id))

    bench.advance(1500)
    put(bench, limit(20, id=9, stackLevel=3, validFrom=later(10 * DAY_S)))

    assert len(offers(bench)) == 1


@pytest.mark.req("K17.FR.01", "K17.FR.10", "K17.FR.14")
def test_a_vehicle_may_renegotiate_by_itself(bench: Bench) -> None:
    transaction_id = arrive(bench)
    needs(bench)
    put(bench, limit(16, purpose=TX, transactionId=transaction_id))
    bench.csms.forget()

    needs(bench, energy_wh=5_000)

    (message,) = asked(bench)
    assert message["chargingNeeds"]["acChargingParameters"]["energyAmount"] == 5_000
    put(bench, limit(12, purpose=TX, transactionId=transaction_id))
    assert offers(bench)[-1][0].periods == ((0, 12.0),)
    assert told(bench)[-1]["chargingSchedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 12.0}]
    assert composite(bench, 1, 600) == [(0, 12.0)]


def test_what_a_vehicle_chose_is_forgotten_when_it_leaves(bench: Bench) -> None:
    transaction_id = arrive(bench, max_a=10.0)
    needs(bench)
    put(bench, limit(16, purpose=TX, transactionId=transaction_id))
    assert composite(bench, 1, 600) == [(0, 10.0)]

    bench.evse(1).unplug()
    bench.advance(20)

    assert composite(bench, 1, 600) == [(0, 32.0)]
