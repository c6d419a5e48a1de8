"""Monitors: when an event is made, and when not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_model.model import Attribute, DeviceModel, Variable, VariableId
from device_model.monitor_rules import (
    MonitorStatus,
    Outcome,
    Trigger,
    next_on_grid,
)
from device_model.monitors import Monitors
from device_model.values import Characteristics, DataType
from tests.unit.device_model.monitor_bench import (
    ALIGNED,
    DELTA,
    EVSE,
    LOWER,
    PERIODIC,
    POWER,
    STATE,
    UPPER,
    Bench,
    told,
)


@pytest.fixture
def bench(model: DeviceModel) -> Bench:
    """No monitors yet, no power flowing."""
    return Bench(model)


# The rules of N07.FR.16, N07.FR.02; a station proves them when its block N is built.
def test_an_upper_threshold_alerts_once_beyond_it_and_clears_once_back(bench: Bench) -> None:
    """On the threshold is not beyond it."""
    bench.put(UPPER, 7_000)

    assert bench.set("7000") == []
    assert bench.set("7000.1") == [("Alerting", "7000.1", False)]
    assert bench.set("9000") == []
    assert bench.set("7000") == [("Alerting", "7000", True)]
    assert bench.set("6000") == []


# The rules of N07.FR.17, N07.FR.02; a station proves them when its block N is built.
def test_a_lower_threshold_is_the_mirror_image(bench: Bench) -> None:
    """Below alerts, on it or above clears."""
    bench.put(LOWER, 100)

    assert bench.set("100") == []
    assert bench.set("99") == [("Alerting", "99", False)]
    assert bench.set("50") == []
    assert bench.set("100") == [("Alerting", "100", True)]


def test_two_thresholds_on_one_variable_have_alarms_of_their_own(bench: Bench) -> None:
    """Different severities may be told at different values."""
    bench.put(UPPER, 7_000, severity=6)
    bench.put(UPPER, 9_000, severity=4)

    assert bench.set("8000") == [("Alerting", "8000", False)]
    assert bench.set("9500") == [("Alerting", "9500", False)]
    assert bench.set("100") == [("Alerting", "100", True), ("Alerting", "100", True)]


def test_a_value_that_cannot_be_read_is_neither_high_nor_low(bench: Bench) -> None:
    """A dead meter must not clear an alarm."""
    bench.put(UPPER, 7_000)
    bench.set("8000")

    assert bench.set("") == []
    assert bench.set("8100") == []
    assert bench.set("10") == [("Alerting", "10", True)]


# The rules of N07.FR.16; a station proves them when its block N is built.
def test_a_value_beyond_the_threshold_when_it_is_set_alerts_at_once(bench: Bench) -> None:
    """The CSMS need not wait for the next crossing."""
    bench.set("8000")

    outcome = bench.put(UPPER, 7_000)

    assert told(outcome.events) == [("Alerting", "8000", False)]
    assert bench.set("8001") == []


# The rules of N07.FR.11, N04.FR.12; a station proves them when its block N is built.
@pytest.mark.parametrize(
    "power, new_threshold, expected",
    [
        ("8000", 9_000, [("Alerting", "8000", True)]),
        ("8000", 6_000, [("Alerting", "8000", False)]),
        ("5000", 4_000, [("Alerting", "5000", False)]),
        ("5000", 6_000, []),
    ],
)
def test_a_changed_threshold_is_judged_anew(
    bench: Bench, power: str, new_threshold: float, expected: list[tuple[str, str, bool]]
) -> None:
    """It may clear the old alarm or be exceeded itself."""
    id_ = bench.put(UPPER, 7_000).id
    bench.set(power)

    outcome = bench.put(UPPER, new_threshold, id_=id_)

    assert (outcome.status, outcome.id) == (MonitorStatus.ACCEPTED, id_)
    assert told(outcome.events) == expected


# The rules of N07.FR.12, N06.FR.01, N06.FR.02; a station proves them when its block N is built.
def test_a_cleared_monitor_is_silent(bench: Bench) -> None:
    """Also about the alarm it had; its id is gone."""
    id_ = bench.put(UPPER, 7_000).id
    assert id_ is not None
    bench.set("8000")

    assert bench.monitors.clear(id_) == Outcome(MonitorStatus.ACCEPTED, id_)
    assert bench.set("1000") == []
    assert bench.monitors.clear(id_).status is MonitorStatus.NOT_FOUND


# The rules of N07.FR.18; a station proves them when its block N is built.
def test_a_delta_counts_from_the_last_event(bench: Bench) -> None:
    """More than the delta, not just the delta."""
    bench.set("20")
    bench.put(DELTA, 5)

    steps = {value: bench.set(value) for value in ("24", "25", "25.1", "21", "19")}

    assert steps == {
        "24": [], "25": [], "25.1": [("Delta", "25.1", False)], "21": [], "19": [("Delta", "19", False)],
    }  # fmt: skip


def test_a_delta_is_not_fooled_by_binary_fractions(bench: Bench) -> None:
    """0.4 - 0.1 is 0.30000000000000004 in a machine."""
    bench.set("0.1")
    bench.put(DELTA, 0.3)

    assert bench.set("0.4") == []


# The rules of N07.FR.19; a station proves them when its block N is built.
def test_a_delta_on_a_list_tells_every_change(bench: Bench) -> None:
    """Whatever its value."""
    bench.put(DELTA, 1, STATE)

    assert bench.set("Occupied", STATE) == [("Delta", "Occupied", False)]
    assert bench.set("Occupied", STATE) == []
    assert bench.set("Available", STATE) == [("Delta", "Available", False)]


def test_a_delta_on_an_instant_is_in_seconds(model: DeviceModel) -> None:
    """Part 1, 4.4."""
    its = Characteristics(DataType.DATE_TIME)
    model.add(Variable(EVSE, VariableId("Since"), its, (Attribute(value="2026-01-01T00:00:00Z"),)))
    bench, since = Bench(model), VariableId("Since")
    bench.put(DELTA, 60, since)

    assert bench.set("2026-01-01T00:01:00Z", since) == []
    assert bench.set("2026-01-01T01:01:01+01:00", since) == [("Delta", "2026-01-01T01:01:01+01:00", False)]


def test_a_delta_takes_a_new_reference_after_a_reboot(bench: Bench) -> None:
    """Part 1, 4.4."""
    bench.set("20")
    bench.put(DELTA, 5)

    after = bench.reboot()

    assert after.set("40") == []
    assert after.set("46") == [("Delta", "46", False)]


# The rules of N08.FR.05, N08.FR.06; a station proves them when its block N is built.
def test_a_periodic_monitor_tells_the_value_every_period_from_when_it_was_set(bench: Bench) -> None:
    """Set at :12, told at :12; what was slept through is told once."""
    bench.set("10")
    bench.put(PERIODIC, 60)

    assert bench.monitors.next_due() == (bench.mono + 60, None)
    assert bench.wait(59) == []
    assert bench.wait(1) == [("Periodic", "10", False)]
    assert bench.wait(200) == [("Periodic", "10", False)]
    assert bench.monitors.next_due()[0] == bench.mono + 40


# The rules of N08.FR.05, N08.FR.07; a station proves them when its block N is built.
def test_a_clock_aligned_monitor_keeps_to_the_grid(bench: Bench) -> None:
    """900 s means the quarters of the hour, first the next one."""
    bench.set("10")
    bench.wall += 180
    bench.put(ALIGNED, 900)

    assert bench.monitors.next_due() == (None, bench.wall + 720)
    assert bench.wait(720) == [("Periodic", "10", False)]
    assert bench.wait(899) == []
    assert bench.wait(1) == [("Periodic", "10", False)]


def test_a_step_of_the_clock_moves_the_grid(bench: Bench) -> None:
    """Neither a flood nor a silence of hours."""
    bench.put(ALIGNED, 900)

    bench.wall -= 7_200
    bench.monitors.realign(bench.wall)

    assert bench.monitors.next_due()[1] == bench.wall + 900


@pytest.mark.parametrize("wall, expected", [(0, 900), (899, 900), (900, 1_800), (86_399, 86_400)])
def test_the_grid_starts_at_midnight(wall: float, expected: float) -> None:
    """Also for periods that do not divide a day."""
    assert next_on_grid(wall, 900) == expected
    assert next_on_grid(86_000, 50_000) == 86_400


# The rules of N05.FR.03, N07.FR.15; a station proves them when its block N is built.
def test_the_level_hides_events_but_not_alarms(bench: Bench) -> None:
    """A lower number is more severe; when the level rises, the end of a hidden alarm is told."""
    bench.put(UPPER, 7_000, severity=5)
    bench.monitors.level = 4
    assert bench.set("8000") == []

    bench.monitors.level = 5

    assert bench.set("8100") == []
    assert bench.set("100") == [("Alerting", "100", True)]


# The rules of N07.FR.13, N07.FR.14; a station proves them when its block N is built.
def test_an_alarm_that_ended_during_a_reboot_is_cleared_after_it(bench: Bench) -> None:
    """The monitor and its alarm are stored."""
    bench.put(UPPER, 7_000)
    bench.set("8000")

    after = bench.reboot()

    assert after.set("500") == [("Alerting", "500", True)]


def test_an_alarm_that_goes_on_over_a_reboot_is_not_told_again(bench: Bench) -> None:
    """One event per crossing."""
    bench.put(UPPER, 7_000)
    bench.set("8000")

    assert bench.reboot().set("8100") == []


def test_review_looks_at_values_that_were_there_at_boot(bench: Bench) -> None:
    """A setting is not set again by hardware."""
    bench.put(UPPER, 7_000)
    bench.set("8000")
    rows = [row for _, row in bench.monitors.dirty() if row is not None]
    bench.model.set_by_station(EVSE, POWER, "10")
    after = Monitors(bench.model)
    after.restore(rows, 0, 0)

    assert told(after.review()) == [("Alerting", "10", True)]


def test_a_transaction_monitor_sleeps_between_transactions(bench: Bench) -> None:
    """On the EVSE of its component only."""
    bench.put(UPPER, 7_000, transaction=True)
    bench.put(PERIODIC, 60, transaction=True)

    assert bench.set("8000") == []
    assert bench.wait(60) == []
    assert told(bench.monitors.transactions([2])) == []
    assert told(bench.monitors.transactions([1, 2])) == [("Alerting", "8000", False)]
    assert bench.wait(60) == [("Periodic", "8000", False)]
    assert told(bench.monitors.transactions([])) == []
    assert bench.set("1") == []


@given(threshold=st.integers(1, 9), steps=st.lists(st.integers(0, 10), max_size=40))
def test_alerts_and_clears_alternate(threshold: int, steps: list[int]) -> None:
    """Whatever a value does, and the last event tells where it is."""
    variable = Variable(EVSE, POWER, Characteristics(DataType.DECIMAL), (Attribute(),))
    bench = Bench(DeviceModel([variable]))
    bench.put(UPPER, threshold)

    events = [event for step in steps for event in bench.set(str(step))]

    assert [cleared for _, _, cleared in events] == [bool(position % 2) for position in range(len(events))]
    beyond = bool(steps) and steps[-1] > threshold
    assert beyond is (bool(events) and not events[-1][2])


def test_events_name_their_monitor(bench: Bench) -> None:
    """N07.FR.06 needs component, variable and id of it."""
    id_ = bench.put(UPPER, 7_000).id
    change = bench.model.set_by_station(EVSE, POWER, "8000")
    assert change is not None

    (event,) = bench.monitors.changed(change.variable)

    assert (event.monitor.id, event.monitor.variable.component, event.monitor.variable.id) == (id_, EVSE, POWER)
    assert event.trigger is Trigger.ALERTING


@given(steps=st.integers(0, 100_000), period=st.floats(1.0, 900.0, allow_nan=False), day=st.integers(19_000, 30_000))
def test_the_next_moment_of_the_grid_is_later(steps: int, period: float, day: int) -> None:
    """Also at a moment of the grid that binary fractions cannot say: else it would be due for ever."""
    wall = day * 86_400.0 + (steps * period) % 86_400
    following = next_on_grid(wall, period)

    assert wall < following <= wall + period * 1.000_001
