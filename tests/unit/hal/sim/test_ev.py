"""The vehicle: a current that ramps, and a battery."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.sim.ev import Battery, EvSpec, Ramp

amps = st.floats(0, 80, allow_nan=False)
slopes = st.one_of(st.just(0.0), st.floats(0.1, 50))
times = st.floats(0, 1000)


@given(amps, amps, slopes, times, times)
def test_charge_of_a_ramp_is_the_integral_of_its_current(
    start: float, target: float, slope: float, one: float, other: float
) -> None:
    """Numerically integrated in 2,000 slices, the current gives the charge."""
    ramp = Ramp(0.0, start, target, slope)
    begin, end = sorted((one, other))
    width = (end - begin) / 2000

    summed = math.fsum(ramp.at(begin + (n + 0.5) * width) * width for n in range(2000))

    assert ramp.charge_as(begin, end) == pytest.approx(summed, rel=1e-3, abs=abs(target - start) * width + 1e-6)


@given(amps, amps, slopes, st.tuples(times, times, times))
def test_charge_adds_up_over_adjacent_intervals(
    start: float, target: float, slope: float, looks: tuple[float, float, float]
) -> None:
    """However often somebody looks, the same charge has flowed."""
    ramp = Ramp(0.0, start, target, slope)
    a, b, c = sorted(looks)

    assert ramp.charge_as(a, b) + ramp.charge_as(b, c) == pytest.approx(ramp.charge_as(a, c), rel=1e-9, abs=1e-6)


@given(amps, st.floats(1, 80), slopes, times, st.floats(0.001, 1e6))
def test_the_instant_of_a_charge_is_when_that_charge_has_flowed(
    start: float, target: float, slope: float, begin: float, charge: float
) -> None:
    """`when_charged` is the inverse of `charge_as`, for currents that rise and that fall."""
    ramp = Ramp(0.0, start, target, slope)

    at = ramp.when_charged(begin, charge)

    assert ramp.charge_as(begin, at) == pytest.approx(charge, rel=1e-6, abs=1e-6)


def test_a_current_that_dies_away_never_delivers_more_than_its_ramp() -> None:
    """An infinite instant, not an error."""
    assert Ramp(0.0, 10.0, 0.0, 1.0).when_charged(0.0, 51.0) == math.inf
    assert Ramp(0.0, 10.0, 0.0, 1.0).when_charged(0.0, 50.0 - 1e-9) == pytest.approx(10.0, abs=1e-3)


def test_a_battery_stops_wanting_at_its_target_and_never_exceeds_its_capacity() -> None:
    """Rounding leaves no rest that would want to flow for ever."""
    battery = Battery(EvSpec(capacity_wh=10_000, soc_percent=50, target_percent=80))
    assert battery.wanted_j == pytest.approx(3_000 * 3600)

    battery.add(3_000 * 3600 - 1e-3, fills=True)
    assert battery.wanted_j == 0

    battery.add(1e12)
    assert battery.soc_percent == 100


@pytest.mark.parametrize(
    "mistake",
    [{"capacity_wh": 0}, {"soc_percent": 101}, {"min_a": 20, "max_a": 10}, {"phases": 4}, {"cable_a": 0}],
)
def test_a_vehicle_that_cannot_exist_is_refused(mistake: dict[str, float]) -> None:
    """Bad input gives a clear error."""
    with pytest.raises(ValueError, match="no vehicle"):
        EvSpec(**mistake)  # type: ignore[arg-type] # wrong values are the point
