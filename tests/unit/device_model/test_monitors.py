"""Monitors: when an event is made, and when not."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_model.model import Attribute, ComponentId, DeviceModel, Variable, VariableId
from device_model.monitor_rules import (
    Event,
    Monitor,
    MonitorFlaw,
    MonitoringBase,
    MonitorKind,
    MonitorStatus,
    MonitorType,
    Outcome,
    Trigger,
    Wanted,
    next_on_grid,
)
from device_model.monitors import Monitors
from device_model.values import Characteristics, DataType

UPPER, LOWER, DELTA = MonitorType.UPPER, MonitorType.LOWER, MonitorType.DELTA
PERIODIC, ALIGNED = MonitorType.PERIODIC, MonitorType.CLOCK_ALIGNED
EVSE = ComponentId("EVSE", evse_id=1)
POWER, STATE = VariableId("Power"), VariableId("AvailabilityState")


class Bench:
    """Monitors over a model, with a clock that is told."""

    def __init__(self, model: DeviceModel) -> None:
        self.model = model
        self.mono, self.wall = 1_000.0, 86_400.0 * 20_000 + 36_000.0
        self.monitors = Monitors(model)

    def put(  # noqa: PLR0913 - the fields of a monitor, most of them with a default
        self,
        type_: MonitorType,
        value: float,
        variable: VariableId = POWER,
        severity: int = 5,
        *,
        id_: int | None = None,
        transaction: bool = False,
    ) -> Outcome:
        """SetVariableMonitoring on EVSE 1."""
        wanted = Wanted(EVSE, variable, type_, value, severity, transaction, id_)
        return self.monitors.put(wanted, self.mono, self.wall)

    def set(self, value: str, variable: VariableId = POWER) -> list[tuple[str, str, bool]]:
        """The value changes; what events say of it."""
        change = self.model.set_by_station(EVSE, variable, value)
        return told(self.monitors.changed(change.variable)) if change is not None else []

    def wait(self, seconds: float) -> list[tuple[str, str, bool]]:
        """Time passes; the events of periods."""
        self.mono += seconds
        self.wall += seconds
        return told(self.monitors.due(self.mono, self.wall))

    def reboot(self) -> Bench:
        """The same station after a reboot: rows survive, live values do not."""
        rows = [row for _, row in self.monitors.dirty() if row is not None]
        found = self.model.find(EVSE, POWER)
        assert isinstance(found, Variable)
        found.attributes[0].value = None
        after = Bench(self.model)
        assert after.monitors.restore(rows, after.mono, after.wall) == []
        return after


def told(events: list[Event] | tuple[Event, ...]) -> list[tuple[str, str, bool]]:
    """Trigger, value, cleared of each event."""
    return [(event.trigger.value, event.value, event.cleared) for event in events]


@pytest.fixture
def bench(model: DeviceModel) -> Bench:
    """No monitors yet, no power flowing."""
    return Bench(model)


@pytest.mark.req("N07.FR.16", "N07.FR.02")
def test_an_upper_threshold_alerts_once_beyond_it_and_clears_once_back(bench: Bench) -> None:
    """On the threshold is not beyond it."""
    bench.put(UPPER, 7_000)

    assert bench.set("7000") == []
    assert bench.set("7000.1") == [("Alerting", "7000.1", False)]
    assert bench.set("9000") == []
    assert bench.set("7000") == [("Alerting", "7000", True)]
    assert bench.set("6000") == []


@pytest.mark.req("N07.FR.17", "N07.FR.02")
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


@pytest.mark.req("N07.FR.16")
def test_a_value_beyond_the_threshold_when_it_is_set_alerts_at_once(bench: Bench) -> None:
    """The CSMS need not wait for the next crossing."""
    bench.set("8000")

    outcome = bench.put(UPPER, 7_000)

    assert told(outcome.events) == [("Alerting", "8000", False)]
    assert bench.set("8001") == []


@pytest.mark.req("N07.FR.11", "N04.FR.12")
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


@pytest.mark.req("N07.FR.12", "N06.FR.01", "N06.FR.02")
def test_a_cleared_monitor_is_silent(bench: Bench) -> None:
    """Also about the alarm it had; its id is gone."""
    id_ = bench.put(UPPER, 7_000).id
    assert id_ is not None
    bench.set("8000")

    assert bench.monitors.clear(id_) == Outcome(MonitorStatus.ACCEPTED, id_)
    assert bench.set("1000") == []
    assert bench.monitors.clear(id_).status is MonitorStatus.NOT_FOUND


@pytest.mark.req("N07.FR.18")
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


@pytest.mark.req("N07.FR.19")
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


@pytest.mark.req("N08.FR.05", "N08.FR.06")
def test_a_periodic_monitor_tells_the_value_every_period_from_when_it_was_set(bench: Bench) -> None:
    """Set at :12, told at :12; what was slept through is told once."""
    bench.set("10")
    bench.put(PERIODIC, 60)

    assert bench.monitors.next_due() == (bench.mono + 60, None)
    assert bench.wait(59) == []
    assert bench.wait(1) == [("Periodic", "10", False)]
    assert bench.wait(200) == [("Periodic", "10", False)]
    assert bench.monitors.next_due()[0] == bench.mono + 40


@pytest.mark.req("N08.FR.05", "N08.FR.07")
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


@pytest.mark.req("N04.FR.03", "N04.FR.04", "N04.FR.05", "N04.FR.06", "N04.FR.13", "N04.FR.14", "N04.FR.16")
def test_a_monitor_that_cannot_be_is_refused_with_its_reason(bench: Bench) -> None:
    """And nothing is monitored."""
    other = bench.put(DELTA, 1, STATE).id
    unknown = Wanted(ComponentId("Nothing"), POWER, UPPER, 1, 5)

    assert bench.monitors.put(unknown, 0, 0).status is MonitorStatus.UNKNOWN_COMPONENT
    assert bench.put(UPPER, 1, VariableId("Nothing")).status is MonitorStatus.UNKNOWN_VARIABLE
    assert bench.put(UPPER, 1, STATE).status is MonitorStatus.UNSUPPORTED_MONITOR_TYPE
    clock = Wanted(ComponentId("ClockCtrlr"), VariableId("DateTime"), DELTA, 1, 5)
    assert bench.monitors.put(clock, 0, 0).status is MonitorStatus.UNSUPPORTED_MONITOR_TYPE
    flaws = [
        bench.put(UPPER, 22_001).flaw,
        bench.put(LOWER, -1).flaw,
        bench.put(UPPER, 100, id_=99).flaw,
        bench.put(UPPER, 100, id_=other).flaw,
        bench.put(DELTA, -1).flaw,
        bench.put(DELTA, -1, STATE, 4).flaw,
        bench.put(PERIODIC, 0).flaw,
        bench.put(UPPER, 100, severity=10).flaw,
    ]
    assert flaws == [
        MonitorFlaw.OUT_OF_RANGE,
        MonitorFlaw.OUT_OF_RANGE,
        MonitorFlaw.NO_SUCH_ID,
        MonitorFlaw.OTHER_VARIABLE,
        MonitorFlaw.NEGATIVE,
        MonitorFlaw.NEGATIVE,
        MonitorFlaw.NOT_POSITIVE,
        MonitorFlaw.BAD_SEVERITY,
    ]
    assert [one.id for one in bench.monitors] == [other]


def test_instants_have_no_periods(model: DeviceModel) -> None:
    """Part 1, 4.4: all types of monitor but periodic ones."""
    model.add(Variable(EVSE, VariableId("Since"), Characteristics(DataType.DATE_TIME), (Attribute(),)))
    bench = Bench(model)

    assert bench.put(PERIODIC, 60, VariableId("Since")).status is MonitorStatus.UNSUPPORTED_MONITOR_TYPE
    assert bench.put(ALIGNED, 60, VariableId("Since")).status is MonitorStatus.UNSUPPORTED_MONITOR_TYPE


@pytest.mark.req("N04.FR.10", "N04.FR.11")
def test_type_and_severity_are_unique_on_a_variable(bench: Bench) -> None:
    """Each has an id of its own; the same again is a duplicate, unless it replaces itself."""
    first, second = bench.put(DELTA, 1, STATE, 8), bench.put(DELTA, 1, STATE, 7)
    again = bench.put(DELTA, 1, STATE, 8)
    moved = bench.put(DELTA, 1, STATE, 8, id_=second.id)
    itself = bench.put(DELTA, 2, STATE, 8, id_=first.id)

    assert first.status is second.status is itself.status is MonitorStatus.ACCEPTED
    assert first.id != second.id
    assert (again.status, moved.status) == (MonitorStatus.DUPLICATE, MonitorStatus.DUPLICATE)


@pytest.mark.req("N05.FR.03", "N07.FR.15")
def test_the_level_hides_events_but_not_alarms(bench: Bench) -> None:
    """A lower number is more severe; when the level rises, the end of a hidden alarm is told."""
    bench.put(UPPER, 7_000, severity=5)
    bench.monitors.level = 4
    assert bench.set("8000") == []

    bench.monitors.level = 5

    assert bench.set("8100") == []
    assert bench.set("100") == [("Alerting", "100", True)]


@pytest.mark.req("N07.FR.13", "N07.FR.14")
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


def install_factory(bench: Bench) -> None:
    """A hard-wired threshold (1) and a preconfigured delta (2) on the power of EVSE 1."""
    power = bench.model.find(EVSE, POWER)
    assert isinstance(power, Variable)
    hard_wired = Monitor(1, power, UPPER, 21_000, 1, kind=MonitorKind.HARD_WIRED)
    preconfigured = Monitor(2, power, DELTA, 500, 7, kind=MonitorKind.PRECONFIGURED)
    for one in (hard_wired, preconfigured):
        bench.monitors.install(one, bench.mono, bench.wall)


def with_factory(model: DeviceModel) -> Bench:
    """The factory's monitors and a custom threshold (3)."""
    bench = Bench(model)
    install_factory(bench)
    bench.put(UPPER, 7_000)
    return bench


def kinds(bench: Bench) -> dict[int, MonitorKind]:
    """What is active."""
    return {one.id: one.kind for one in bench.monitors}


@pytest.mark.req("N04.FR.18", "N06.FR.03")
def test_a_hard_wired_monitor_cannot_be_touched(model: DeviceModel) -> None:
    """Neither replaced nor cleared."""
    bench = with_factory(model)

    assert bench.put(UPPER, 100, severity=2, id_=1).flaw is MonitorFlaw.HARD_WIRED
    assert bench.monitors.clear(1) == Outcome(MonitorStatus.REJECTED, 1, MonitorFlaw.HARD_WIRED)


@pytest.mark.req("N04.FR.15", "N03.FR.03", "N03.FR.04", "N03.FR.05")
def test_the_base_decides_which_monitors_are_active(model: DeviceModel) -> None:
    """All keeps what the CSMS made, also over a preconfigured one; the others delete it."""
    bench = with_factory(model)
    bench.put(DELTA, 100, severity=7, id_=2)
    hard, pre, custom = MonitorKind.HARD_WIRED, MonitorKind.PRECONFIGURED, MonitorKind.CUSTOM

    bench.monitors.rebase(MonitoringBase.ALL, 0, 0)
    assert kinds(bench) == {1: hard, 2: custom, 3: custom}

    bench.monitors.rebase(MonitoringBase.FACTORY_DEFAULT, 0, 0)
    assert kinds(bench) == {1: hard, 2: pre}

    bench.monitors.rebase(MonitoringBase.HARD_WIRED_ONLY, 0, 0)
    assert kinds(bench) == {1: hard}

    bench.monitors.rebase(MonitoringBase.ALL, 0, 0)
    assert kinds(bench) == {1: hard, 2: pre}


def test_what_the_csms_did_to_factory_monitors_survives_a_reboot(model: DeviceModel) -> None:
    """An override stays an override, a switched-off monitor stays off, the rest comes from the firmware."""
    bench = with_factory(model)
    bench.monitors.clear(2)
    rows = [row for _, row in bench.monitors.dirty() if row is not None]

    after = Bench(model)
    install_factory(after)
    after.monitors.restore(rows, 0, 0)

    assert kinds(after) == {1: MonitorKind.HARD_WIRED, 3: MonitorKind.CUSTOM}


def test_a_stored_monitor_makes_room_for_a_new_factory_one(model: DeviceModel) -> None:
    """After an update a factory monitor may claim its id: ids may change (N04)."""
    old = Bench(model)
    old.put(UPPER, 7_000)
    rows = [row for _, row in old.monitors.dirty() if row is not None]
    new = Bench(model)
    state = model.find(EVSE, STATE)
    assert isinstance(state, Variable)
    new.monitors.install(Monitor(1, state, DELTA, 1, 7, kind=MonitorKind.PRECONFIGURED), 0, 0)

    new.monitors.restore(rows, 0, 0)

    assert kinds(new) == {1: MonitorKind.PRECONFIGURED, 2: MonitorKind.CUSTOM}
    assert [id_ for id_, _ in new.monitors.dirty()] == [1, 2]


def test_a_stored_monitor_of_a_variable_that_is_gone_is_handed_back(bench: Bench) -> None:
    """The caller decides; the others go on."""
    bench.put(UPPER, 7_000)
    rows = [row for _, row in bench.monitors.dirty() if row is not None]
    gone = msgspec.structs.replace(rows[0], id=8, variable=VariableId("Gone"))

    after = Monitors(bench.model)

    assert after.restore([gone, *rows], 0, 0) == [gone]
    assert [one.id for one in after] == [1]


def test_switched_off_monitoring_leaves_the_hard_wired(model: DeviceModel) -> None:
    """MonitoringCtrlr.Enabled."""
    bench = with_factory(model)
    bench.monitors.enabled = False

    assert bench.set("21500") == [("Alerting", "21500", False)]


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
