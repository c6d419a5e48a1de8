"""The monitors that the station has by itself: `monitors:` of station.yaml, hard-wired or preconfigured (N03)."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from device_model import catalogue
from device_model.build import Layout, build
from device_model.model import ComponentId, VariableId
from device_model.monitor_rules import MonitorKind, MonitorStatus, MonitorType, Wanted
from device_model.monitors import Monitors
from station.config.mistakes import Mistake
from station.config.schema import File, OwnMonitor
from station.setup import FEATURES
from station.state.monitoring import Factory

REMEDIES = {
    MonitorStatus.UNKNOWN_COMPONENT: "is the component part of this station, and its evse and connector right?",
    MonitorStatus.UNKNOWN_VARIABLE: "compare the names of variable and variable_instance with the component's",
    MonitorStatus.UNSUPPORTED_MONITOR_TYPE: "numbers have all types, instants only Delta, others no thresholds",
    MonitorStatus.DUPLICATE: "another one has the same type and severity: keep one of them",
}


def factory(file: File) -> tuple[Factory, ...]:
    """For `app.Setup`."""
    return tuple(map(_factory, file.monitors))


def _factory(own: OwnMonitor) -> Factory:
    wanted = Wanted(
        ComponentId(own.component, own.instance, own.evse, own.connector),
        VariableId(own.variable, own.variable_instance),
        MonitorType(own.type),
        float(own.value),
        own.severity,
        own.transaction,
        own.id,
    )
    return Factory(wanted, MonitorKind.HARD_WIRED if own.hard_wired else MonitorKind.PRECONFIGURED)


def mistakes(file: File, layout: Layout) -> Iterator[Mistake]:
    """Monitors that the device model of this station does not take."""
    if not file.monitors:
        return
    try:
        monitors = Monitors(build(catalogue.load(), layout, FEATURES))
    except (ValueError, IndexError):
        return  # told by `checks.variables`
    ids: set[int] = set()
    for place, own in enumerate(file.monitors):
        name = f"{own.component}.{own.variable}"
        done = monitors.put(msgspec.structs.replace(_factory(own).wanted, id=None), 0.0, 0.0)
        if done.status is not MonitorStatus.ACCEPTED:
            reason = done.flaw.value if done.flaw is not None else done.status.value
            yield Mistake(("monitors", place), f"{name}: {reason}", REMEDIES.get(done.status, ""))
        if own.id in ids:
            yield Mistake(("monitors", place, "id"), f"{own.id} is given twice", "give each monitor an id of its own")
        if own.id is not None:
            ids.add(own.id)
