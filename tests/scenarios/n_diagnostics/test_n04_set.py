"""N04: monitors are set and replaced by rule; N06: and cleared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.bench import Bench
from tests.scenarios.n_diagnostics.monitors import (
    POWER,
    STATE,
    TEMPERATURE,
    Payload,
    clear,
    events,
    factory,
    ids,
    monitor,
    put,
    report,
    seen,
    set_all,
    station,
    temperature,
)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """One hard-wired monitor, id 1, and one preconfigured, id 2."""
    return station(
        tmp_path,
        factory(TEMPERATURE, "UpperThreshold", 90, 2, hard_wired=True),
        factory(STATE, "Delta", 1, 6, evse=1),
    )


def refused(bench: Bench, element: Payload, status: str, reason: str | None = None) -> None:
    """The one result says so, has no id, and nothing has changed."""
    before = report(bench, 1)
    (result,) = set_all(bench, element)
    bench.csms.forget()

    assert result["status"] == status
    assert "id" not in result
    assert result.get("statusInfo", {}).get("reasonCode") == reason
    assert report(bench, 1) == before


@pytest.mark.req("N04.FR.01", "N04.FR.02", "N04.FR.08")
def test_each_element_has_its_own_result(bench: Bench) -> None:
    """In the order of the request; a bad one stops nothing."""
    elements = [
        monitor(TEMPERATURE, "UpperThreshold", 70, 4),
        monitor("Nothing.Power", "Delta"),
        monitor(POWER, "Delta", 500, 8, evse=2),
    ]

    results = set_all(bench, *elements)

    assert [result["status"] for result in results] == ["Accepted", "UnknownComponent", "Accepted"]
    for element, result in zip(elements, results, strict=True):
        assert {key: result[key] for key in ("component", "variable", "type", "severity")} == {
            key: element[key] for key in ("component", "variable", "type", "severity")
        }
    assert ids(bench) == [1, 2, results[0]["id"], results[2]["id"]]


@pytest.mark.parametrize(
    "element, status, reason",
    [
        (monitor("Nothing.Power", "Delta"), "UnknownComponent", None),
        (monitor(POWER, "Delta", evse=9), "UnknownComponent", None),
        (monitor("EVSE.Nothing", "Delta", evse=1), "UnknownVariable", None),
        (monitor(STATE, "UpperThreshold", evse=1), "UnsupportedMonitorType", None),
        (monitor("ClockCtrlr.DateTime", "Delta"), "UnsupportedMonitorType", None),
        (monitor(POWER, "UpperThreshold", 22_081, evse=1), "Rejected", "ValueOutOfRange"),
        (monitor(POWER, "LowerThreshold", -1, evse=1), "Rejected", "ValueOutOfRange"),
        (monitor(POWER, "Delta", -1, evse=1), "Rejected", "ValuePositiveOnly"),
        (monitor(STATE, "Delta", -1, evse=1), "Rejected", "ValuePositiveOnly"),
        (monitor(POWER, "Periodic", 0.2, evse=1), "Rejected", "ValueTooLow"),
        (monitor(POWER, "PeriodicClockAligned", -900, evse=1), "Rejected", "ValueTooLow"),
        (monitor(POWER, "Delta", 1, 10, evse=1), "Rejected", "ValueOutOfRange"),
        (monitor(POWER, "Delta", 1, -1, evse=1), "Rejected", "ValueOutOfRange"),
        (monitor(POWER, "Delta", 1, evse=1, id=77), "Rejected", "NotFound"),
        (monitor(POWER, "Delta", 1, evse=1, id=2), "Rejected", "InvalidValue"),
        (monitor(TEMPERATURE, "UpperThreshold", 99, 2, id=1), "Rejected", "ReadOnly"),
        (monitor(STATE, "Delta", 1, 6, evse=1), "Duplicate", None),
    ],
)
@pytest.mark.req(
    "N04.FR.03", "N04.FR.04", "N04.FR.05", "N04.FR.06", "N04.FR.10", "N04.FR.13", "N04.FR.14", "N04.FR.16", "N04.FR.18"
)
def test_what_cannot_be_monitored_so_is_refused_with_its_reason(
    bench: Bench, element: Payload, status: str, reason: str | None
) -> None:
    refused(bench, element, status, reason)


@pytest.mark.req("N04.FR.10")
def test_one_variable_takes_monitors_of_different_type_or_severity(bench: Bench) -> None:
    """And a replacement may not become what another is."""
    first = put(bench, POWER, "UpperThreshold", 100, 5, evse=1)
    second = put(bench, POWER, "UpperThreshold", 200, 4, evse=1)
    put(bench, POWER, "LowerThreshold", 50, 5, evse=1)
    put(bench, POWER, "UpperThreshold", 100, 5, evse=2)

    refused(bench, monitor(POWER, "UpperThreshold", 300, 5, evse=1, id=second), "Duplicate")
    put(bench, POWER, "UpperThreshold", 300, 5, evse=1, id=first)


@pytest.mark.req("N04.FR.11")
def test_an_id_is_made_and_never_made_again(bench: Bench) -> None:
    first = put(bench, POWER, "Delta", 1, evse=1)
    clear(bench, first)
    bench.crash()
    bench.advance(minutes=1)

    second = put(bench, POWER, "Delta", 1, evse=1)
    assert second not in {1, 2}
    assert ids(bench) == [1, 2, second]


@pytest.mark.req("N04.FR.12")
def test_a_monitor_with_an_id_is_replaced(bench: Bench) -> None:
    id_ = put(bench, TEMPERATURE, "UpperThreshold", 70, 5)
    (result,) = set_all(bench, monitor(TEMPERATURE, "LowerThreshold", 10, 3, id=id_, transaction=False))

    assert (result["status"], result["id"]) == ("Accepted", id_)
    temperature(bench, 80, 5)
    assert seen(bench) == [("Alerting", "5", False)]
    assert len(ids(bench)) == 3


def test_more_monitors_than_can_be_kept_are_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("device_model.monitors.MOST_MONITORS", 3)
    put(bench, POWER, "Delta", 1, 1, evse=1)
    refused(bench, monitor(POWER, "Delta", 1, 2, evse=1), "Rejected", "OutOfMemory")


@pytest.mark.req("N04.FR.09", "N06.FR.04", "N06.FR.06", "N06.FR.07")
@pytest.mark.parametrize(
    "limits, code",
    [({"ItemsPerMessage": "2"}, "OccurrenceConstraintViolation"), ({"BytesPerMessage": "20"}, "FormatViolation")],
)
def test_more_than_a_message_may_hold_is_a_call_error(tmp_path: Path, limits: dict[str, str], code: str) -> None:
    """And nothing of it is done."""
    variables = {
        f"MonitoringCtrlr.{name}[{message}]": value
        for name, value in limits.items()
        for message in ("SetVariableMonitoring", "ClearVariableMonitoring")
    }
    bench = station(tmp_path, factory(STATE, "Delta", 1, 6, evse=1), variables=variables)
    elements = [monitor(POWER, "Delta", 1, severity, evse=1) for severity in (1, 2, 3)]
    before = ids(bench)

    assert bench.csms.refused("SetVariableMonitoring", {"setMonitoringData": elements}).code == code
    assert bench.csms.refused("ClearVariableMonitoring", {"id": [1, 1_000_000, 1_000_001]}).code == code

    assert ids(bench) == before


@pytest.mark.req("N06.FR.01", "N06.FR.02", "N06.FR.03", "N06.FR.05")
def test_each_id_is_cleared_or_told_why_not(bench: Bench) -> None:
    custom = put(bench, POWER, "Delta", 1, evse=1)

    assert clear(bench, custom, 1, 2, custom, 99) == ["Accepted", "Rejected", "Accepted", "NotFound", "NotFound"]
    assert ids(bench) == [1]
    bench.crash()
    bench.advance(minutes=1)
    assert ids(bench) == [1]


def test_a_monitor_that_was_cleared_makes_room_for_its_like(bench: Bench) -> None:
    """Also a preconfigured one."""
    clear(bench, 2)
    put(bench, STATE, "Delta", 1, 6, evse=1)


def test_monitors_that_were_set_survive_a_crash(bench: Bench) -> None:
    def told() -> Any:
        bench.csms.forget()
        return report(bench)

    put(bench, TEMPERATURE, "UpperThreshold", 70.5, 3, transaction=True)
    put(bench, "Connector.AvailabilityState", "Periodic", 60, 9, evse=2, connector=1)
    before = told()
    bench.crash()
    bench.advance(seconds=1)

    assert told() == before
    assert events(bench) == []
