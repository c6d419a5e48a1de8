"""What a register read after an interruption is worth: whose energy it is, and when it can have been reached."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from hal.api import MeterReading, Quality
from station.blocks.transactions.dark import STEP_MWH, UNKNOWN_S, Strange, stopped_at
from station.now import BootId, Instant, Mono
from station.state.meters import Sample

MOST_W = 22_000.0
BEFORE = Instant(BootId(3), Mono(1000.0))


def found(mwh: int, elapsed_s: float | None, *, quality: Quality = Quality.GOOD) -> Instant | Strange:
    last = Sample(BEFORE, MeterReading(sampled_at=1000.0, energy_import_mwh=5_000_000))
    return stopped_at(last, MeterReading(sampled_at=1.0, energy_import_mwh=mwh, quality=quality), MOST_W, elapsed_s)


@pytest.mark.parametrize(
    "mwh,elapsed_s,after_s",
    [
        (5_000_000, 3600.0, 0.0),
        (5_000_000 + 220_000, 3600.0, 36.0),
        (5_000_000 + STEP_MWH, 2.0, 2.0),
        (5_000_000 + 220_000, None, 36.0),
    ],
    ids=["nothing flowed", "220 Wh at 22 kW", "a coarse register has just counted", "no clock"],
)
def test_it_was_reached_as_soon_as_it_can_have_been(mwh: int, elapsed_s: float | None, after_s: float) -> None:
    assert found(mwh, elapsed_s) == Instant(BEFORE.boot, Mono(BEFORE.mono + after_s))


@pytest.mark.parametrize("mwh,elapsed_s", [(4_999_999, 60.0), (0, None), (6_000_000, 60.0), (40_000_000, None)])
def test_what_fell_or_rose_too_far_is_another_meters(mwh: int, elapsed_s: float | None) -> None:
    assert isinstance(found(mwh, elapsed_s), Strange)


def test_what_its_driver_does_not_believe_is_not_believed() -> None:
    assert isinstance(found(5_000_100, 60.0, quality=Quality.SUSPECT), Strange)


@given(more=st.integers(0, 10**9), elapsed_s=st.one_of(st.none(), st.floats(0, 10**7)))
def test_no_energy_flows_faster_than_it_can_nor_after_the_present(more: int, elapsed_s: float | None) -> None:
    at = found(5_000_000 + more, elapsed_s)
    if not isinstance(at, Strange):
        took_s = at.mono - BEFORE.mono
        assert 0 <= took_s <= (UNKNOWN_S if elapsed_s is None else elapsed_s) + 1e-6
        assert more - STEP_MWH <= MOST_W * took_s / 3.6 + 1
