"""Less current where it is hot: what an EVSE offers follows a thermometer, and the CSMS can see it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from station.blocks.smart_charging.derating import GIVES_BACK_C, Curve, Derating
from station.blocks.smart_charging.external import Fed
from station.facts import DeviceLost, SensorRead
from station.now import BootId, Instant, Mono
from tests.bench import Bench
from tests.scenarios.profiles import amperes, charge, limit, put

CURVE = Curve(device="cabinet", fed=Fed("Controller", "Temperature"), evse_ids=(1, 2), from_c=60.0, to_c=80.0)
LEFT = Curve(device="plug", fed=Fed("Connector", "Temperature", None, 1, 1), evse_ids=(1,), from_c=50.0, to_c=90.0)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A station with a thermometer in its cabinet and one in the plug of EVSE 1."""
    return Bench(tmp_path, curves=(CURVE, LEFT))


def sensed(bench: Bench, celsius: float | str, evse: int | None = None) -> None:
    """The cabinet, or the plug of an EVSE, is so warm; it is read again and again."""
    for _ in range(2):
        at = bench.now.instant
        fact = SensorRead(component="Controller", variable="Temperature", value=str(celsius), at=at)
        if evse is not None:
            fact = SensorRead(
                component="Connector", variable="Temperature", evse_id=evse, connector_id=1, value=str(celsius), at=at
            )
        bench.hardware.tell(fact)
        bench.settle()
        bench.advance(1)


def states(bench: Bench) -> list[str]:
    """The charging states told so far, without repetitions."""
    told = [each["transactionInfo"].get("chargingState") for each in bench.csms.received("TransactionEvent")]
    return [state for n, state in enumerate(told) if state and (n == 0 or told[n - 1] != state)]


def test_the_hotter_the_less_down_to_what_a_vehicle_needs_and_then_nothing(bench: Bench) -> None:
    """In whole amperes; above the end the transaction is suspended, and goes on when it has cooled."""
    charge(bench)

    for celsius, expected in ((25, 32.0), (60, 32.0), (70, 16.0), (75, 8.0), (79, 6.0)):
        sensed(bench, celsius)
        assert amperes(bench) == expected

    sensed(bench, 80)
    assert amperes(bench) == 0.0
    assert states(bench)[-1] == "SuspendedEVSE"

    sensed(bench, 76)
    assert amperes(bench) == 0.0
    sensed(bench, 70)
    bench.advance(10)
    assert amperes(bench) == 12.0  # as if it were two degrees warmer
    assert states(bench)[-1] == "Charging"


def test_what_the_csms_is_told_is_what_is_offered(bench: Bench) -> None:
    """The composite schedule counts with the heat, and a profile below it stays what it is."""
    charge(bench)
    sensed(bench, 70)

    schedule = bench.csms.call("GetCompositeSchedule", {"evseId": 1, "duration": 60})["schedule"]
    assert [period["limit"] for period in schedule["chargingSchedulePeriod"]] == [16.0]

    assert put(bench, limit(10)) == "Accepted"
    assert amperes(bench) == 10.0


def test_a_thermometer_slows_down_the_evses_that_it_belongs_to(bench: Bench) -> None:
    """The warmer of two counts."""
    charge(bench)
    bench.evse(2).plug_in()
    bench.evse(2).present_token("04A1B2C3")
    bench.advance(30)

    sensed(bench, 70, evse=1)
    assert (amperes(bench, 1), amperes(bench, 2)) == (16.0, 32.0)

    sensed(bench, 75)
    assert (amperes(bench, 1), amperes(bench, 2)) == (8.0, 8.0)


def test_a_thermometer_that_is_lost_leaves_the_least_until_it_is_back(bench: Bench) -> None:
    """Nobody knows how hot it is; what is no number says as little."""
    charge(bench)
    sensed(bench, 25)

    bench.hardware.tell(DeviceLost(device="cabinet", evse_ids=(), reason="silent", at=bench.now.instant))
    bench.settle()
    bench.advance(1)
    assert amperes(bench) == 6.0

    sensed(bench, 25)
    assert amperes(bench) == 32.0
    sensed(bench, "warm")
    assert amperes(bench) == 6.0


def test_a_reading_that_changes_nothing_writes_nothing(bench: Bench) -> None:
    charge(bench)
    sensed(bench, 70.0)
    bench.advance(60)
    changes = bench.database.connection.total_changes

    for celsius in (69.9, 70.0, 69.0, 68.1, 69.5):
        sensed(bench, celsius)

    assert bench.database.connection.total_changes == changes


@given(st.lists(st.floats(-40, 120)), st.floats(6, 80))
def test_it_is_never_more_than_the_curve_nor_much_less(temperatures: list[float], most_a: float) -> None:
    """Whatever the weather: what is left lies between the curve, and the curve two degrees warmer."""
    derating = Derating([CURVE])
    assert derating.limit_a(1, most_a) == most_a
    for celsius in temperatures:
        at = Instant(BootId(1), Mono(0.0))
        derating.sensed(SensorRead(component="Controller", variable="Temperature", value=str(celsius), at=at))
        left = derating.limit_a(1, most_a)
        assert left <= max(most_a * CURVE.share(celsius), 6.0)
        if celsius < CURVE.to_c - 5:
            assert left >= min(most_a, max(most_a * CURVE.share(celsius + GIVES_BACK_C) - 1, 6.0))
        if celsius >= CURVE.to_c:
            assert left == 0
