"""B06: the CSMS reads variables."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from station.now import Now
from tests.bench import Bench
from tests.scenarios.variables import asked, get, get_all


@pytest.mark.req("B06.FR.01", "B06.FR.02", "B06.FR.06", "B06.FR.07", "B06.FR.08", "B06.FR.09", "B06.FR.10")
def test_each_element_has_its_result_in_its_place(bench: Bench) -> None:
    """A value only where it was accepted."""
    elements = [
        asked("OCPPCommCtrlr.OfflineThreshold"),
        asked("NoSuchCtrlr.OfflineThreshold"),
        asked("OCPPCommCtrlr.NoSuchVariable"),
        asked("OCPPCommCtrlr.OfflineThreshold", attributeType="Target"),
        asked("SecurityCtrlr.BasicAuthPassword"),
        asked("EVSE.AvailabilityState", evse=2),
    ]

    results = get_all(bench, *elements)

    assert [(result["attributeStatus"], result.get("attributeValue")) for result in results] == [
        ("Accepted", "60"),
        ("UnknownComponent", None),
        ("UnknownVariable", None),
        ("NotSupportedAttributeType", None),
        ("Rejected", None),
        ("Accepted", "Available"),
    ]
    assert [(r["component"], r["variable"]) for r in results] == [(e["component"], e["variable"]) for e in elements]


@pytest.mark.req("B06.FR.03", "B06.FR.11")
@pytest.mark.parametrize("given, echoed", [({}, "Actual"), ({"attributeType": "MinSet"}, "MinSet")])
def test_the_attribute_type_is_echoed(bench: Bench, given: dict[str, Any], echoed: str) -> None:
    (result,) = get_all(bench, asked("OCPPCommCtrlr.OfflineThreshold", **given))

    assert result["attributeType"] == echoed


@pytest.mark.req("B06.FR.13")
def test_an_unset_attribute_is_the_empty_text(bench: Bench) -> None:
    """AuthCtrlr.MasterPassGroupId without a group."""
    assert get(bench, "AuthCtrlr.MasterPassGroupId") == ""


@pytest.mark.req("B06.FR.14", "B06.FR.15", "B06.FR.04")
def test_an_instance_is_the_one_that_was_named(bench: Bench) -> None:
    """And no instance means the variable without one, if there is such a one."""
    assert get(bench, "DeviceDataCtrlr.ItemsPerMessage[GetReport]") == "100"
    assert get(bench, "ClockCtrlr.TimeOffset") == "+00:00"
    assert get(bench, "ClockCtrlr.TimeOffset[NextTransition]") == ""
    (result,) = get_all(bench, asked("DeviceDataCtrlr.ItemsPerMessage"))
    assert result["attributeStatus"] == "UnknownVariable"


@pytest.mark.req("B06.FR.06")
def test_an_evse_that_is_not_there_is_an_unknown_component(bench: Bench) -> None:
    (result,) = get_all(bench, asked("EVSE.AvailabilityState", evse=9))

    assert result["attributeStatus"] == "UnknownComponent"


@pytest.mark.req("B06.FR.16")
def test_too_many_elements_are_refused_as_a_whole(bench: Bench) -> None:
    elements = [asked("OCPPCommCtrlr.OfflineThreshold")] * 101

    assert bench.csms.refused("GetVariables", {"getVariableData": elements}).code == "OccurrenceConstraintViolation"


@pytest.mark.req("B06.FR.16")
def test_the_limits_are_those_of_the_moment(bench: Bench) -> None:
    """An answer before has not fixed them."""
    elements = [asked("OCPPCommCtrlr.OfflineThreshold")] * 3
    assert len(bench.csms.call("GetVariables", {"getVariableData": elements})["getVariableResult"]) == 3

    def lower(_: Now) -> None:
        bench.station.variables.set("DeviceDataCtrlr", "ItemsPerMessage", "2", "GetVariables")
        bench.station.variables.set("DeviceDataCtrlr", "ReportingValueSize", "1")

    bench.station.exchange.ask(lower, bench.now)

    assert bench.csms.refused("GetVariables", {"getVariableData": elements}).code == "OccurrenceConstraintViolation"
    assert get(bench, "ClockCtrlr.TimeOffset") == "+"


@pytest.mark.req("B06.FR.04")
def test_the_date_and_time_are_the_present(bench: Bench) -> None:
    """ClockCtrlr.DateTime is read off the clock, not off a table."""
    first = datetime.fromisoformat(get(bench, "ClockCtrlr.DateTime"))
    bench.advance(hours=3, seconds=1)
    second = datetime.fromisoformat(get(bench, "CLOCKctrlr.DateTime"))  # names match without regard to case

    assert second == bench.utc
    assert second - first == timedelta(hours=3, seconds=1)


@pytest.mark.req("B06.FR.04")
def test_the_state_of_an_evse_is_what_its_connector_shows(bench: Bench) -> None:
    bench.evse(1).plug_in()

    assert get(bench, "EVSE.AvailabilityState", evse=1) == "Occupied"
    assert get(bench, "Connector.AvailabilityState", evse=1, connector=1) == "Occupied"
    assert get(bench, "ChargingStation.AvailabilityState") == "Available"
