"""GetMonitoringReport: which monitors are meant, and the pages that tell them (N02)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from device_model.model import Variable
from device_model.monitor_rules import Monitor, MonitorType
from device_model.report import Filter, means, pages
from station.ocpp import codec
from station.ocpp.messages import NotifyMonitoringReportRequest
from station.ocpp.types import MonitoringDataType, VariableMonitoringType
from station.state.naming import component_type, variable_type

PAGE_ITEMS = 100
PAGE_BYTES = 15_000
"""A CSMS may take no more than 16 kB in one message."""

CRITERIA: Mapping[str, frozenset[MonitorType]] = {
    "ThresholdMonitoring": frozenset({MonitorType.UPPER, MonitorType.LOWER}),
    "DeltaMonitoring": frozenset({MonitorType.DELTA}),
    "PeriodicMonitoring": frozenset({MonitorType.PERIODIC, MonitorType.CLOCK_ALIGNED}),
}
"""N02.FR.12, N02.FR.13, N02.FR.14."""

Entry = tuple[Variable, list[Monitor]]


def chosen(monitors: Iterable[Monitor], criteria: Sequence[str], filters: Sequence[Filter]) -> list[Entry]:
    """The monitors that a criterion and a filter mean, by variable; whichever are not given limit nothing."""
    types = {type_ for criterion in criteria for type_ in CRITERIA[criterion]}
    found: dict[int, Entry] = {}
    meant: dict[int, bool] = {}
    for one in monitors:
        if types and one.type not in types:
            continue
        key = id(one.variable)
        if key not in meant:
            meant[key] = not filters or any(means(each, one.variable) for each in filters)
        if meant[key]:
            found.setdefault(key, (one.variable, []))[1].append(one)
    return list(found.values())


def messages(
    entries: Iterable[Entry], request_id: int, present: Callable[[], datetime]
) -> Iterator[NotifyMonitoringReportRequest]:
    """N02.FR.03, N02.FR.04, N02.FR.09: one request id, seqNo from 0, `tbc` on all but the last."""
    for seq_no, page in enumerate(pages(map(_data, entries), PAGE_ITEMS, PAGE_BYTES, _size)):
        yield NotifyMonitoringReportRequest(
            request_id=request_id,
            generated_at=present(),
            seq_no=seq_no,
            tbc=not page.last,
            monitor=list(page.entries),
        )


def _size(data: MonitoringDataType) -> int:
    """Bytes that an entry takes in a message."""
    return len(codec.render(data)) + 1


def _data(entry: Entry) -> MonitoringDataType:
    variable, monitors = entry
    return MonitoringDataType(
        component=component_type(variable.component),
        variable=variable_type(variable.id),
        variable_monitoring=[
            VariableMonitoringType(
                id=one.id,
                transaction=one.transaction,
                value=one.value,
                type=one.type.value,
                severity=one.severity,
            )
            for one in monitors
        ],
    )
