"""The bills of several sessions, with pauses and limits between them, add up to what the meter shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import Bench
from tests.properties import records
from tests.scenarios.e_transactions.story import CARD, bench
from tests.scenarios.profiles import hold


def limit(station: Bench, amperes: float) -> None:
    hold(station, 1, amperes)


def test_the_energy_told_is_the_energy_delivered(tmp_path: Path) -> None:
    """To the hundredth of a watt-hour."""
    station = bench(tmp_path, "PowerPathClosed", "EVConnected,Authorized")
    for _ in range(4):
        station.evse(1).plug_in()
        station.evse(1).present_token(CARD)
        station.advance(137)
        limit(station, 0.0)
        station.advance(11)
        limit(station, 13.0)
        station.advance(59)
        station.evse(1).present_token(CARD)
        station.advance(3)
        station.evse(1).unplug()
        station.advance(10)
    bills = [records.billed_wh(story) for story in records.stories(station.events()).values()]

    assert len(bills) == 4
    assert sum(bills) == pytest.approx(station.evse(1).energy_wh, abs=0.01)
