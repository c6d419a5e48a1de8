"""What the OCA's test cases of monitoring share: monitors that are set and reports that are read, with their checks."""

from __future__ import annotations

from typing import Any

from tests.bench import Bench
from tests.scenarios.n_diagnostics.monitors import Payload, clear, events, factory, monitor, report, rows, set_all
from tests.scenarios.variables import asked

STATION_STATE = "ChargingStation.AvailabilityState"
EVSE_STATE = "EVSE.AvailabilityState"
POWER = "EVSE.Power"
"""The component variable with thresholds: Power of the configured EVSE."""
SEVERITY = 5
EVSE = 1

__all__ = ["Payload", "clear", "events", "factory", "monitor", "report", "rows", "set_all"]


def variable(name: str, evse: int | None = None) -> Payload:
    """An element of componentVariable, with its variable."""
    return asked(name, evse=evse)


def whole(name: str, evse: int | None = None) -> Payload:
    """An element of componentVariable: the component."""
    return {"component": asked(f"{name}.x", evse=evse)["component"]}


def assert_fine(result: Payload, element: Payload) -> int:
    """Accepted: the same type, severity, component and variable, with an id and nothing to add but NoError."""
    assert result["status"] == "Accepted", result
    for key in ("type", "severity", "component", "variable"):
        assert result[key] == element[key]
    assert result.get("statusInfo", {"reasonCode": "NoError"})["reasonCode"] == "NoError"
    return int(result["id"])


def assert_refused(result: Payload, element: Payload, status: str, *reasons: str) -> None:
    """Not accepted: the same type, severity, component and variable, no id, and a reason that fits."""
    assert result["status"] == status
    for key in ("type", "severity", "component", "variable"):
        assert result[key] == element[key]
    assert "id" not in result
    if "statusInfo" in result:
        assert result["statusInfo"]["reasonCode"] in reasons


def watch(bench: Bench, *elements: Payload) -> list[int]:
    """Memory state: these monitors are set; gives their ids."""
    results = set_all(bench, *elements)
    return [assert_fine(result, element) for result, element in zip(results, elements, strict=True)]


def reported(bench: Bench, request_id: int, **request: Any) -> list[Payload]:
    """GetMonitoringReport, accepted; all its parts, whose numbers and request ids are right."""
    answer = bench.csms.call("GetMonitoringReport", {"requestId": request_id, **request})
    assert answer["status"] == "Accepted"
    assert answer.get("statusInfo", {"reasonCode": "NoError"})["reasonCode"] == "NoError"
    assert all(page["generatedAt"] for page in bench.csms.received("NotifyMonitoringReport"))
    return rows(bench, request_id)


def nothing_reported(bench: Bench, request_id: int, **request: Any) -> None:
    """GetMonitoringReport with an empty result."""
    answer = bench.csms.call("GetMonitoringReport", {"requestId": request_id, **request})
    assert answer["status"] == "EmptyResultSet"
    assert answer.get("statusInfo", {"reasonCode": "NotFound"})["reasonCode"] == "NotFound"
    assert [page for page in bench.csms.received("NotifyMonitoringReport") if page["requestId"] == request_id] == []


def base(bench: Bench, name: str) -> None:
    """SetMonitoringBase, accepted."""
    answer = bench.csms.call("SetMonitoringBase", {"monitoringBase": name})
    assert answer["status"] == "Accepted"
    assert answer.get("statusInfo", {"reasonCode": "NoError"})["reasonCode"] == "NoError"


def event_of(bench: Bench, id_: int) -> Payload:
    """The one event of this monitor since the log was emptied; the first message of an event has seqNo 0."""
    messages = [
        message
        for message in bench.csms.received("NotifyEvent")
        if any(event.get("variableMonitoringId") == id_ for event in message["eventData"])
    ]
    assert [message["seqNo"] for message in messages] == [0]
    assert messages[0]["generatedAt"]
    (event,) = [event for event in messages[0]["eventData"] if event.get("variableMonitoringId") == id_]
    assert event["timestamp"]
    return dict(event)


def is_about(event: Payload, name: str, evse: int | None = None) -> bool:
    """Whether an event, or a row of a report, names this variable."""
    meant = asked(name, evse=evse)
    return bool((event["component"], event["variable"]) == (meant["component"], meant["variable"]))
