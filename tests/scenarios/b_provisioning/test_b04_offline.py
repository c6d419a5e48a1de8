"""B04: offline, and back: what is told then depends on how long it took (OfflineThreshold)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import Bench

THRESHOLD_S = 120


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, evses=3, variables={"OCPPCommCtrlr.OfflineThreshold": str(THRESHOLD_S)})


def told(bench: Bench) -> list[tuple[int, str]]:
    return [(each["evseId"], each["connectorStatus"]) for each in bench.csms.received("StatusNotification")]


@pytest.mark.req("B04.FR.01")
def test_after_a_long_time_each_connector_is_told(bench: Bench) -> None:
    """One second more than the threshold."""
    bench.csms.forget()
    bench.csms.disconnect()
    bench.evse(2).plug_in()
    bench.advance(seconds=THRESHOLD_S + 1)

    bench.csms.connect()

    assert told(bench) == [(1, "Available"), (2, "Occupied"), (3, "Available")]


@pytest.mark.req("B04.FR.02")
def test_after_a_short_time_only_what_changed_is_told(bench: Bench) -> None:
    """Exactly the threshold is not longer than the threshold."""
    bench.csms.forget()
    bench.csms.disconnect()
    bench.evse(2).plug_in()
    bench.advance(seconds=THRESHOLD_S)

    bench.csms.connect()

    assert told(bench) == [(2, "Occupied")]


@pytest.mark.req("B04.FR.02")
def test_a_change_that_went_back_is_no_change(bench: Bench) -> None:
    """Plugged in and out again while nobody listened."""
    bench.csms.forget()
    bench.csms.disconnect()
    bench.evse(2).plug_in()
    bench.advance(seconds=10)
    bench.evse(2).unplug()

    bench.csms.connect()

    assert told(bench) == []


@pytest.mark.req("B04.FR.02")
def test_the_threshold_counts_each_time_anew(bench: Bench) -> None:
    """Two short absences are not a long one."""
    for _ in range(2):
        bench.csms.disconnect()
        bench.advance(seconds=100)
        bench.csms.connect()
        bench.advance(seconds=5)
    bench.csms.forget()

    bench.csms.disconnect()
    bench.advance(seconds=5)
    bench.csms.connect()

    assert told(bench) == []


@pytest.mark.req("B04.FR.01")
def test_a_station_works_for_two_days_without_anybody(bench: Bench) -> None:
    """Then it tells how it is, once, with the times of the changes."""
    bench.csms.disconnect()
    for _ in range(20):
        bench.evse(1).plug_in()
        bench.advance(hours=1)
        bench.evse(1).unplug()
        bench.advance(hours=1)
    bench.evse(3).plug_in()
    plugged = bench.utc
    bench.advance(hours=8)
    bench.csms.forget()

    bench.csms.connect()

    assert told(bench) == [(1, "Available"), (2, "Available"), (3, "Occupied")]
    assert bench.csms.received("StatusNotification")[2]["timestamp"] == plugged.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_status_that_was_on_its_way_is_not_lost(bench: Bench) -> None:
    """The line breaks before the CSMS has answered: it is told again."""
    bench.csms.hold()
    bench.evse(1).plug_in()
    bench.csms.disconnect()
    bench.csms.release()
    bench.csms.forget()

    bench.csms.connect()

    (again,) = bench.csms.transmissions("StatusNotification")
    assert (again["evseId"], again["connectorStatus"]) == (1, "Occupied")
