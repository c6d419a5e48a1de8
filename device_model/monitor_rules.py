"""What a monitor is, and the pure rules for one: may it be set, is it triggered (N04, N07, N08; part 1, 4.4).

`monitors.py` keeps the set of them. A rule takes the state of one monitor and the present value, notes what it has to
in the state, and returns the event or None.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Final

import msgspec

from device_model import values
from device_model.model import ComponentId, Variable, VariableId
from device_model.values import DataType


class MonitorType(StrEnum):
    """What a monitor looks for (MonitorEnumType)."""

    UPPER = "UpperThreshold"
    LOWER = "LowerThreshold"
    DELTA = "Delta"
    PERIODIC = "Periodic"
    CLOCK_ALIGNED = "PeriodicClockAligned"


class MonitorKind(StrEnum):
    """Who set a monitor (EventNotificationEnumType without HardWiredNotification, which has no monitor)."""

    HARD_WIRED = "HardWiredMonitor"
    PRECONFIGURED = "PreconfiguredMonitor"
    CUSTOM = "CustomMonitor"


class MonitoringBase(StrEnum):
    """What SetMonitoringBase asks for (MonitoringBaseEnumType)."""

    ALL = "All"
    FACTORY_DEFAULT = "FactoryDefault"
    HARD_WIRED_ONLY = "HardWiredOnly"


class Trigger(StrEnum):
    """Why an event was made (EventTriggerEnumType)."""

    ALERTING = "Alerting"
    DELTA = "Delta"
    PERIODIC = "Periodic"


class MonitorStatus(StrEnum):
    """The answer to setting or clearing one monitor (SetMonitoringStatusEnumType, ClearMonitoringStatusEnumType)."""

    ACCEPTED = "Accepted"
    UNKNOWN_COMPONENT = "UnknownComponent"
    UNKNOWN_VARIABLE = "UnknownVariable"
    UNSUPPORTED_MONITOR_TYPE = "UnsupportedMonitorType"
    REJECTED = "Rejected"
    DUPLICATE = "Duplicate"
    NOT_FOUND = "NotFound"


class MonitorFlaw(StrEnum):
    """Why a monitor is Rejected; the caller makes a reason code of it."""

    NO_SUCH_ID = "no monitor has this id"
    OTHER_VARIABLE = "the monitor belongs to another variable"
    HARD_WIRED = "a hard-wired monitor cannot be changed"
    OUT_OF_RANGE = "the threshold is outside the limits of the variable"
    NEGATIVE = "a delta must not be negative"
    NOT_POSITIVE = "a period must be a second at least"
    BAD_SEVERITY = "severities are 0 to 9"
    TOO_MANY = "no more monitors can be kept"


class Monitor(msgspec.Struct, frozen=True, gc=False):
    """One monitor of the Actual value of `variable`; `value` in its unit, or in seconds for periods and dateTimes.

    `transaction`: evaluated only while a transaction runs on the EVSE of the component (on any, for the station's).
    """

    id: int
    variable: Variable
    type: MonitorType
    value: float
    severity: int
    transaction: bool = False
    kind: MonitorKind = MonitorKind.CUSTOM


class Wanted(msgspec.Struct, frozen=True, gc=False):
    """One element of SetVariableMonitoring; with an `id` it replaces that monitor."""

    component: ComponentId
    variable: VariableId
    type: MonitorType
    value: float
    severity: int
    transaction: bool = False
    id: int | None = None


class Event(msgspec.Struct, frozen=True, gc=False):
    """A monitor was triggered: one element of NotifyEvent, without its id and time."""

    monitor: Monitor
    trigger: Trigger
    value: str
    cleared: bool = False


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What became of one element: `id` if accepted, `flaw` if rejected, and events that followed at once."""

    status: MonitorStatus
    id: int | None = None
    flaw: MonitorFlaw | None = None
    events: tuple[Event, ...] = ()


class State(msgspec.Struct, gc=False):
    """What is known of one monitor: `reference` is that of a delta, `period` counts how often it was set anew."""

    monitor: Monitor
    alarmed: bool = False
    reference: str | None = None
    active: bool = True
    period: int = 0


THRESHOLDS: Final = frozenset({MonitorType.UPPER, MonitorType.LOWER})
_DAY_S: Final = 86_400
LEAST_SEVERE: Final = 9
SHORTEST_PERIOD_S: Final = 1.0
MOST_MONITORS: Final = 5_000
EVERYTHING: Final = (-math.inf, math.inf)
NOTHING: Final = (math.inf, -math.inf)


def supported(variable: Variable, type_: MonitorType) -> bool:
    """Whether the variable can have such a monitor (part 1, 4.4)."""
    its = variable.characteristics
    if not its.supports_monitoring:
        return False
    if type_ in THRESHOLDS:
        return its.numeric
    return type_ is MonitorType.DELTA or its.data_type is not DataType.DATE_TIME


def flaw_of_value(wanted: Wanted, found: Variable) -> MonitorFlaw | None:
    """What is wrong with severity or value of a monitor that `supported` allows; None if nothing is."""
    if not 0 <= wanted.severity <= LEAST_SEVERE:
        return MonitorFlaw.BAD_SEVERITY
    if wanted.type in THRESHOLDS:
        low, high = found.characteristics.min_limit, found.characteristics.max_limit
        below, above = low is not None and wanted.value < low, high is not None and wanted.value > high
        return MonitorFlaw.OUT_OF_RANGE if below or above else None  # N04.FR.06
    if wanted.type is MonitorType.DELTA:
        return MonitorFlaw.NEGATIVE if wanted.value < 0 else None  # N04.FR.14
    return None if wanted.value >= SHORTEST_PERIOD_S else MonitorFlaw.NOT_POSITIVE


def beyond(monitor: Monitor, value: str) -> bool:
    """Whether `value` is beyond the threshold, not on it; a value that is no number is not."""
    number = values.decimal(value)
    if number is None:
        return False
    return number > monitor.value if monitor.type is MonitorType.UPPER else number < monitor.value


def threshold(state: State, value: str) -> Event | None:
    """N07.FR.16, N07.FR.17: beyond it, not on it; N07.FR.02: back within."""
    alarmed = beyond(state.monitor, value)
    if alarmed is state.alarmed:
        return None
    state.alarmed = alarmed
    return Event(state.monitor, Trigger.ALERTING, value, cleared=not alarmed)


def _delta(state: State, value: str) -> Event | None:
    """N07.FR.18, N07.FR.19. The first value that is measured after a boot is only taken as reference."""
    if state.reference is None:
        state.reference = value
        return None
    if not _differs(state.monitor, state.reference, value):
        return None
    state.reference = value
    return Event(state.monitor, Trigger.DELTA, value)


def _differs(monitor: Monitor, old: str, new: str) -> bool:
    data_type = monitor.variable.characteristics.data_type
    if data_type is DataType.DATE_TIME:
        before, after = values.date_time(old), values.date_time(new)
        if before is None or after is None or (before.tzinfo is None) is not (after.tzinfo is None):
            return old != new
        return abs((after - before).total_seconds()) > monitor.value
    was, is_ = (values.decimal(old), values.decimal(new)) if data_type in values.NUMERIC else (None, None)
    if was is None or is_ is None:
        return old != new
    return abs(is_ - was) > monitor.value + _rounding(was, is_)


def _rounding(was: float, is_: float) -> float:
    """0.4 - 0.1 must not exceed 0.3."""
    return 1e-9 * max(1.0, abs(was), abs(is_))


def quiet_band(states: Iterable[State]) -> tuple[float, float]:
    """Between which numbers, both excluded, none of the monitors of one variable has anything to say.

    So a value that stays within costs one comparison, however many monitors watch it. `NOTHING` if each value has to be
    judged.
    """
    low, high = EVERYTHING
    for state in states:
        its_low, its_high = _quiet(state)
        low, high = max(low, its_low), min(high, its_high)
    return low, high


def _quiet(state: State) -> tuple[float, float]:
    one = state.monitor
    if one.type in THRESHOLDS:
        beyond_it = state.alarmed is (one.type is MonitorType.UPPER)
        return (one.value, math.inf) if beyond_it else (-math.inf, one.value)
    if one.type is not MonitorType.DELTA:
        return EVERYTHING
    number = values.decimal(state.reference) if state.reference and one.variable.characteristics.numeric else None
    if number is None:
        return NOTHING
    return number - one.value, number + one.value


def _nothing(state: State, value: str) -> None:
    """Periods do not care what the value does."""
    del state, value


def next_on_grid(wall: float, period: float) -> float:
    """The first instant after `wall` on the grid that starts at each midnight (UTC)."""
    midnight = wall - wall % _DAY_S
    steps = (wall - midnight) // period + 1
    after = midnight + period * steps
    if after <= wall:  # a period that binary fractions cannot say
        after = midnight + period * (steps + 1)
    return min(after, midnight + _DAY_S)


JUDGES: Final[Mapping[MonitorType, Callable[[State, str], Event | None]]] = {
    MonitorType.UPPER: threshold,
    MonitorType.LOWER: threshold,
    MonitorType.DELTA: _delta,
    MonitorType.PERIODIC: _nothing,
    MonitorType.CLOCK_ALIGNED: _nothing,
}
