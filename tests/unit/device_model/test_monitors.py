"""Monitors: what the CSMS may ask for, what the factory set, and what a reboot leaves of both."""

from __future__ import annotations

import msgspec
import pytest

from device_model.model import Attribute, ComponentId, DeviceModel, Variable, VariableId
from device_model.monitor_rules import (
    Monitor,
    MonitorFlaw,
    MonitoringBase,
    MonitorKind,
    MonitorStatus,
    Outcome,
    Wanted,
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
)


@pytest.fixture
def bench(model: DeviceModel) -> Bench:
    """No monitors yet, no power flowing."""
    return Bench(model)


# The rules of N04.FR.03, N04.FR.04, N04.FR.05, N04.FR.06, N04.FR.13, N04.FR.14, N04.FR.16;
# a station proves them when its block N is built.
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


# The rules of N04.FR.10, N04.FR.11; a station proves them when its block N is built.
def test_type_and_severity_are_unique_on_a_variable(bench: Bench) -> None:
    """Each has an id of its own; the same again is a duplicate, unless it replaces itself."""
    first, second = bench.put(DELTA, 1, STATE, 8), bench.put(DELTA, 1, STATE, 7)
    again = bench.put(DELTA, 1, STATE, 8)
    moved = bench.put(DELTA, 1, STATE, 8, id_=second.id)
    itself = bench.put(DELTA, 2, STATE, 8, id_=first.id)

    assert first.status is second.status is itself.status is MonitorStatus.ACCEPTED
    assert first.id != second.id
    assert (again.status, moved.status) == (MonitorStatus.DUPLICATE, MonitorStatus.DUPLICATE)


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


# The rules of N04.FR.18, N06.FR.03; a station proves them when its block N is built.
def test_a_hard_wired_monitor_cannot_be_touched(model: DeviceModel) -> None:
    """Neither replaced nor cleared."""
    bench = with_factory(model)

    assert bench.put(UPPER, 100, severity=2, id_=1).flaw is MonitorFlaw.HARD_WIRED
    assert bench.monitors.clear(1) == Outcome(MonitorStatus.REJECTED, 1, MonitorFlaw.HARD_WIRED)


# The rules of N04.FR.15, N03.FR.03, N03.FR.04, N03.FR.05; a station proves them when its block N is built.
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
