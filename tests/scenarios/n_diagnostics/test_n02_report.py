"""N02: the CSMS asks which monitors there are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.scenarios.n_diagnostics.monitors import (
    POWER,
    STATE,
    TEMPERATURE,
    Payload,
    factory,
    monitor,
    put,
    report,
    rows,
    set_all,
    station,
)
from tests.scenarios.variables import asked

CONNECTOR = "Connector.AvailabilityState"
CURRENT = "EVSE.ACCurrent"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Monitors of each type: hard-wired, preconfigured, custom."""
    bench = station(
        tmp_path,
        factory(TEMPERATURE, "UpperThreshold", 90, 2, hard_wired=True),
        factory(STATE, "Delta", 1, 6, evse=1),
    )
    set_all(
        bench,
        monitor(POWER, "LowerThreshold", 10, 7, evse=1, transaction=True),
        monitor(POWER, "Periodic", 60, 7, evse=2),
        monitor(CONNECTOR, "PeriodicClockAligned", 900, 8, evse=1, connector=1),
        monitor(CONNECTOR, "Delta", 1, 8, evse=2, connector=1),
        monitor("EVSE.ACCurrent[L1]", "Delta", 5, 8, evse=1),
        monitor("EVSE.ACCurrent[L2]", "Delta", 5, 8, evse=1),
    )
    bench.csms.forget()
    return bench


def types(told: list[Payload] | str) -> list[str]:
    """The types of the monitors, in order of the alphabet."""
    assert isinstance(told, list)
    return sorted(row["type"] for row in told)


def component(name: str, **place: int) -> Payload:
    """An element of componentVariable without a variable."""
    return {"component": asked(f"{name}.x", **place)["component"]}


def named(name: str, **place: int) -> Payload:
    """An element of componentVariable with its variable."""
    return asked(name, **place)


@pytest.mark.req("N02.FR.01", "N02.FR.03", "N02.FR.04", "N02.FR.09", "N02.FR.11")
def test_without_criteria_all_monitors_are_told(bench: Bench) -> None:
    told = report(bench, 17)

    assert types(told) == sorted(
        ["UpperThreshold", "Delta", "LowerThreshold", "Periodic", "PeriodicClockAligned", "Delta", "Delta", "Delta"]
    )
    (page,) = bench.csms.received("NotifyMonitoringReport")
    assert page["requestId"] == 17
    lower = next(row for row in rows(bench, 17) if row["type"] == "LowerThreshold")
    assert {key: lower[key] for key in ("value", "severity", "transaction")} == {
        "value": 10,
        "severity": 7,
        "transaction": True,
    }
    assert (lower["component"], lower["variable"]) == ({"name": "EVSE", "evse": {"id": 1}}, {"name": "Power"})


@pytest.mark.parametrize(
    "criteria, expected",
    [
        (["ThresholdMonitoring"], {"UpperThreshold", "LowerThreshold"}),
        (["DeltaMonitoring"], {"Delta"}),
        (["PeriodicMonitoring"], {"Periodic", "PeriodicClockAligned"}),
        (["ThresholdMonitoring", "DeltaMonitoring"], {"UpperThreshold", "LowerThreshold", "Delta"}),
    ],
)
@pytest.mark.req("N02.FR.06", "N02.FR.12", "N02.FR.13", "N02.FR.14")
def test_criteria_choose_types(bench: Bench, criteria: list[str], expected: set[str]) -> None:
    assert set(types(report(bench, monitoringCriteria=criteria))) == expected


@pytest.mark.parametrize(
    "filters, expected",
    [
        ([component("EVSE", evse=1)], ["Delta", "Delta", "Delta", "LowerThreshold"]),
        ([component("EVSE")], ["Delta", "Delta", "Delta", "LowerThreshold", "Periodic"]),
        ([named(POWER, evse=2)], ["Periodic"]),
        ([named(CURRENT, evse=1)], ["Delta", "Delta"]),
        ([named("EVSE.ACCurrent[L2]", evse=1)], ["Delta"]),
        ([named(CONNECTOR, evse=1)], ["PeriodicClockAligned"]),
        ([named(CONNECTOR)], ["Delta", "PeriodicClockAligned"]),
        ([named(TEMPERATURE), named(POWER, evse=1)], ["LowerThreshold", "UpperThreshold"]),
    ],
)
@pytest.mark.req("N02.FR.08", "N02.FR.16", "N02.FR.17", "N02.FR.18", "N02.FR.19", "N02.FR.21")
def test_what_a_filter_leaves_out_stands_for_all_there_are(
    bench: Bench, filters: list[Payload], expected: list[str]
) -> None:
    assert types(report(bench, componentVariable=filters)) == expected


@pytest.mark.req("N02.FR.20")
def test_an_instance_of_a_component_is_told_for_itself(tmp_path: Path) -> None:
    bench = station(tmp_path, layout={"readers": ("left", "right")})
    for instance in ("left", "right"):
        element = monitor("TokenReader.Problem", "Delta")
        element["component"]["instance"] = instance
        assert set_all(bench, element)[0]["status"] == "Accepted"

    told = report(bench, componentVariable=[{"component": {"name": "TokenReader", "instance": "left"}}])
    assert isinstance(told, list)
    assert [row["component"]["instance"] for row in told] == ["left"]
    assert len(report(bench, 2, componentVariable=[component("TokenReader")])) == 2


@pytest.mark.req("N02.FR.05")
def test_criteria_and_filters_both_have_to_be_met(bench: Bench) -> None:
    told = report(bench, monitoringCriteria=["DeltaMonitoring"], componentVariable=[component("EVSE", evse=1)])
    assert types(told) == ["Delta", "Delta", "Delta"]


@pytest.mark.req("N02.FR.10")
def test_nothing_to_tell_is_an_empty_result(bench: Bench) -> None:
    filters = [named("ChargingStation.AvailabilityState")]

    assert report(bench, componentVariable=filters) == "EmptyResultSet"
    assert bench.csms.received("NotifyMonitoringReport") == []


@pytest.mark.req("N02.FR.07")
def test_more_filters_than_announced_are_a_call_error(bench: Bench) -> None:
    many = [component("EVSE", evse=number) for number in range(1, 102)]
    request = {"requestId": 1, "componentVariable": many}
    assert bench.csms.refused("GetMonitoringReport", request).code == "OccurrenceConstraintViolation"


@pytest.mark.req("N02.FR.03", "N02.FR.04", "N02.FR.09")
def test_a_large_report_comes_in_pages_that_a_csms_can_take(bench: Bench) -> None:
    """Each below 16 kB."""
    variables = [f"EVSE.{name}" for name in ("Power", "ACVoltage[L1]", "ACVoltage[L2]", "ACVoltage[L3]")]
    for severity in range(10):
        set_all(
            bench,
            *(
                monitor(name, type_, 5, severity, evse=evse)
                for name in variables
                for type_ in ("UpperThreshold", "Delta", "Periodic")
                for evse in (1, 2)
            ),
        )
    bench.csms.forget()

    told = report(bench, 5)

    pages = bench.csms.received("NotifyMonitoringReport")
    assert len(told) > 200
    assert len(pages) > 1
    assert max(len(json.dumps(page, separators=(",", ":"))) for page in pages) < 16_000


def test_too_many_reports_at_once_are_refused(bench: Bench) -> None:
    """And one that dies with its link makes room."""
    bench.csms.hold()
    statuses = [bench.csms.call("GetMonitoringReport", {"requestId": n})["status"] for n in range(5)]
    assert statuses == ["Accepted"] * 4 + ["Rejected"]

    bench.csms.disconnect()
    bench.csms.release()
    bench.csms.connect()
    assert isinstance(report(bench, 9), list)


def test_monitors_are_told_as_they_are_when_asked(bench: Bench) -> None:
    put(bench, POWER, "Delta", 1, 1, evse=2)
    assert types(report(bench, componentVariable=[component("EVSE", evse=2)])) == ["Delta", "Periodic"]
