"""How a CSMS sets and lists monitors, in few words, and a station whose temperature a test can choose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from device_model.build import Equipment
from device_model.model import ComponentId, VariableId
from device_model.monitor_rules import MonitorKind, MonitorType, Wanted
from station.facts import SensorRead
from station.inputs import Happened
from station.state.monitoring import Factory
from tests.bench import Bench
from tests.scenarios.variables import asked

Payload = dict[str, Any]
TEMPERATURE = "TemperatureSensor.Temperature"
STATE = "EVSE.AvailabilityState"
POWER = "EVSE.Power"


def station(path: Path, *monitors: Factory, **more: Any) -> Bench:
    """At rest: what the start had to tell is told."""
    layout = {"equipment": (Equipment(name="TemperatureSensor"),), **more.pop("layout", {})}
    bench = Bench(path, monitors=monitors, layout=layout, **more)
    bench.advance(minutes=2)
    bench.csms.forget()
    return bench


def factory(  # noqa: PLR0913 - the fields of a monitor
    name: str,
    type_: str,
    value: float,
    severity: int = 5,
    *,
    evse: int | None = None,
    hard_wired: bool = False,
    id_: int | None = None,
) -> Factory:
    """A monitor that the station has by itself."""
    component, _, variable = name.partition(".")
    wanted = Wanted(ComponentId(component, "", evse), VariableId(variable), MonitorType(type_), value, severity, id=id_)
    return Factory(wanted, MonitorKind.HARD_WIRED if hard_wired else MonitorKind.PRECONFIGURED)


def monitor(name: str, type_: str, value: float = 1.0, severity: int = 5, **more: Any) -> Payload:
    """An element of SetVariableMonitoring; `evse` and `connector` as for `asked`."""
    return asked(name, type=type_, value=value, severity=severity, **more)


def set_all(bench: Bench, *elements: Payload) -> list[Payload]:
    """The results of one SetVariableMonitoring."""
    answer = bench.csms.call("SetVariableMonitoring", {"setMonitoringData": list(elements)})
    results: list[Payload] = answer["setMonitoringResult"]
    return results


def put(bench: Bench, name: str, type_: str, value: float = 1.0, severity: int = 5, **more: Any) -> int:
    """Set one monitor, which must be accepted; gives its id."""
    (result,) = set_all(bench, monitor(name, type_, value, severity, **more))
    assert result["status"] == "Accepted", result
    return int(result["id"])


def clear(bench: Bench, *ids: int) -> list[str]:
    """ClearVariableMonitoring; gives the statuses."""
    answer = bench.csms.call("ClearVariableMonitoring", {"id": list(ids)})
    assert [each["id"] for each in answer["clearMonitoringResult"]] == list(ids)
    return [each["status"] for each in answer["clearMonitoringResult"]]


def base(bench: Bench, name: str) -> None:
    """SetMonitoringBase."""
    assert bench.csms.call("SetMonitoringBase", {"monitoringBase": name})["status"] == "Accepted"


def level(bench: Bench, severity: int) -> str:
    """SetMonitoringLevel; gives the status."""
    return str(bench.csms.call("SetMonitoringLevel", {"severity": severity})["status"])


def report(bench: Bench, request_id: int = 1, **request: Any) -> list[Payload] | str:
    """GetMonitoringReport: all that the pages told, one row for each monitor; the status if it is not Accepted."""
    answer = bench.csms.call("GetMonitoringReport", {"requestId": request_id, **request})
    if answer["status"] != "Accepted":
        return str(answer["status"])
    return rows(bench, request_id)


def rows(bench: Bench, request_id: int = 1) -> list[Payload]:
    """The monitors that the pages of a request have told, with component and variable."""
    pages = [page for page in bench.csms.received("NotifyMonitoringReport") if page["requestId"] == request_id]
    assert [page["seqNo"] for page in pages] == list(range(len(pages)))
    assert [page["tbc"] for page in pages] == [True] * (len(pages) - 1) + [False]
    entries = [entry for page in pages for entry in page["monitor"]]
    return [
        {"component": entry["component"], "variable": entry["variable"], **one}
        for entry in entries
        for one in entry["variableMonitoring"]
    ]


def ids(bench: Bench) -> list[int]:
    """The ids of all monitors there are."""
    bench.csms.forget()
    told = report(bench)
    return [] if isinstance(told, str) else sorted(row["id"] for row in told)


def events(bench: Bench) -> list[Payload]:
    """The events that the CSMS was told."""
    return [event for message in bench.csms.received("NotifyEvent") for event in message["eventData"]]


def seen(bench: Bench) -> list[tuple[str, str, bool]]:
    """Trigger, value, cleared of each event."""
    return [(each["trigger"], each["actualValue"], each.get("cleared", False)) for each in events(bench)]


def temperature(bench: Bench, *values: float | str) -> None:
    """The sensor measures these, a second apart."""
    for value in values:
        fact = SensorRead(component="TemperatureSensor", variable="Temperature", value=str(value), at=bench.now.instant)
        bench._do(bench.station.exchange.give(Happened((fact,)), bench.now))
        bench.advance(seconds=1)
