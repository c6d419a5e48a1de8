"""N03 and N05: which monitors are active, and how severe what they tell has to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import Bench
from tests.scenarios.n_diagnostics.monitors import (
    POWER,
    STATE,
    TEMPERATURE,
    base,
    clear,
    events,
    factory,
    ids,
    level,
    put,
    report,
    station,
    temperature,
)
from tests.scenarios.variables import get

HARD_WIRED, PRECONFIGURED = 1, 2


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A hard-wired and a preconfigured monitor."""
    return station(
        tmp_path,
        factory(TEMPERATURE, "UpperThreshold", 90, 2, hard_wired=True),
        factory(STATE, "Delta", 1, 6, evse=1),
    )


def severity_of(bench: Bench, id_: int) -> int:
    """As a report tells it."""
    bench.csms.forget()
    told = report(bench)
    assert isinstance(told, list)
    return next(int(row["severity"]) for row in told if row["id"] == id_)


def reboot(bench: Bench) -> None:
    bench.crash()
    bench.advance(minutes=1)


@pytest.mark.req("N03.FR.01", "N03.FR.05")
def test_only_the_hard_wired_stay(bench: Bench) -> None:
    put(bench, POWER, "Delta", 1, evse=1)
    base(bench, "HardWiredOnly")

    assert ids(bench) == [HARD_WIRED]
    assert get(bench, "MonitoringCtrlr.ActiveMonitoringBase") == "HardWiredOnly"
    bench.evse(1).plug_in()
    assert events(bench) == []
    reboot(bench)
    assert ids(bench) == [HARD_WIRED]
    assert get(bench, "MonitoringCtrlr.ActiveMonitoringBase") == "HardWiredOnly"


@pytest.mark.req("N03.FR.03", "N04.FR.15")
def test_all_brings_back_what_was_preconfigured_and_keeps_what_was_set(bench: Bench) -> None:
    """One that the CSMS changed is its own now."""
    custom = put(bench, POWER, "Delta", 1, evse=1)
    put(bench, STATE, "Delta", 1, 3, evse=1, id=PRECONFIGURED)
    base(bench, "All")

    assert ids(bench) == [HARD_WIRED, PRECONFIGURED, custom]
    assert severity_of(bench, PRECONFIGURED) == 3
    bench.evse(1).plug_in()
    assert {each["eventNotificationType"] for each in events(bench)} == {"CustomMonitor"}

    clear(bench, PRECONFIGURED)
    base(bench, "All")
    assert severity_of(bench, PRECONFIGURED) == 6


@pytest.mark.req("N03.FR.04", "N04.FR.15")
def test_factory_default_forgets_what_the_csms_did(bench: Bench) -> None:
    put(bench, POWER, "Delta", 1, evse=1)
    put(bench, STATE, "Delta", 1, 3, evse=1, id=PRECONFIGURED)
    base(bench, "FactoryDefault")

    assert ids(bench) == [HARD_WIRED, PRECONFIGURED]
    assert severity_of(bench, PRECONFIGURED) == 6
    reboot(bench)
    assert severity_of(bench, PRECONFIGURED) == 6
    assert get(bench, "MonitoringCtrlr.ActiveMonitoringBase") == "FactoryDefault"
    bench.evse(1).plug_in()
    assert [each["eventNotificationType"] for each in events(bench)] == ["PreconfiguredMonitor"]


def test_a_hard_wired_monitor_says_so_and_outlasts_its_switch(bench: Bench) -> None:
    """MonitoringCtrlr.Enabled is not for the hard-wired."""
    bench.csms.call(
        "SetVariables",
        {
            "setVariableData": [
                {
                    "component": {"name": "MonitoringCtrlr"},
                    "variable": {"name": "Enabled"},
                    "attributeValue": "false",
                }
            ]
        },
    )
    temperature(bench, 95)

    (event,) = events(bench)
    assert (event["eventNotificationType"], event["variableMonitoringId"]) == ("HardWiredMonitor", HARD_WIRED)


@pytest.mark.req("N05.FR.01", "N05.FR.03")
def test_the_level_stays_over_a_reboot_and_shows(bench: Bench) -> None:
    put(bench, TEMPERATURE, "UpperThreshold", 70, 5)
    put(bench, TEMPERATURE, "UpperThreshold", 60, 4)
    assert level(bench, 4) == "Accepted"
    reboot(bench)
    assert get(bench, "MonitoringCtrlr.ActiveMonitoringLevel") == "4"
    bench.csms.forget()

    temperature(bench, 75)

    assert len(events(bench)) == 1


@pytest.mark.req("N05.FR.02")
def test_a_level_that_is_none_is_rejected(bench: Bench) -> None:
    level(bench, 7)
    for severity, reason in ((-1, "ValueTooLow"), (10, "ValueTooHigh")):
        answer = bench.csms.call("SetMonitoringLevel", {"severity": severity})
        assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", reason)
    assert get(bench, "MonitoringCtrlr.ActiveMonitoringLevel") == "7"
