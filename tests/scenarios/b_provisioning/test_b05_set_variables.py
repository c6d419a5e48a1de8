"""B05: the CSMS sets variables, each element for itself."""

from __future__ import annotations

from typing import Any

import pytest

from tests.bench import Bench
from tests.scenarios.variables import asked, base_report, get, put, set_all

THRESHOLD = "OCPPCommCtrlr.OfflineThreshold"


@pytest.mark.req("B05.FR.01", "B05.FR.02", "B05.FR.04", "B05.FR.05", "B05.FR.06", "B05.FR.07", "B05.FR.08", "B05.FR.09")
def test_each_element_has_its_result_in_its_place(bench: Bench) -> None:
    """One bad element changes nothing for its neighbours; names are echoed as they were asked."""
    elements = [
        asked(THRESHOLD, attributeValue="77"),
        asked("NoSuchCtrlr.OfflineThreshold", attributeValue="77"),
        asked("OCPPCommCtrlr.NoSuchVariable", attributeValue="77"),
        asked(THRESHOLD, attributeValue="77", attributeType="Target"),
        asked(THRESHOLD, attributeValue="abc"),
        asked(THRESHOLD, attributeValue="-1"),
        asked("OCPPCommCtrlr.MessageTimeout[Default]", attributeValue="20"),
        asked("AuthCtrlr.LocalPreAuthorize", attributeValue="true"),
    ]

    results = set_all(bench, *elements)

    assert [result["attributeStatus"] for result in results] == [
        "Accepted",
        "UnknownComponent",
        "UnknownVariable",
        "NotSupportedAttributeType",
        "Rejected",
        "Rejected",
        "Rejected",
        "Accepted",
    ]
    assert [(r["component"], r["variable"]) for r in results] == [(e["component"], e["variable"]) for e in elements]
    assert get(bench, THRESHOLD) == "77"
    assert get(bench, "AuthCtrlr.LocalPreAuthorize") == "true"


@pytest.mark.req("B05.FR.03", "B05.FR.12")
@pytest.mark.parametrize("given, echoed", [({}, "Actual"), ({"attributeType": "Actual"}, "Actual")])
def test_the_attribute_type_is_echoed(bench: Bench, given: dict[str, Any], echoed: str) -> None:
    """Actual where none was named."""
    (result,) = set_all(bench, asked(THRESHOLD, attributeValue="10", **given))

    assert result["attributeType"] == echoed


@pytest.mark.req("B05.FR.03")
def test_an_unsupported_attribute_type_is_echoed_too(bench: Bench) -> None:
    (result,) = set_all(bench, asked(THRESHOLD, attributeValue="10", attributeType="MaxSet"))

    assert (result["attributeStatus"], result["attributeType"]) == ("NotSupportedAttributeType", "MaxSet")


@pytest.mark.parametrize(
    "name, value, reason",
    [
        ("OCPPCommCtrlr.OfflineThreshold", "1.5", "InvalidValue"),
        ("OCPPCommCtrlr.OfflineThreshold", "007", "InvalidValue"),
        ("OCPPCommCtrlr.OfflineThreshold", "true", "InvalidValue"),
        ("AuthCtrlr.AuthorizeRemoteStart", "yes", "InvalidValue"),
        ("ClockCtrlr.NextTimeOffsetTransitionDateTime", "tomorrow", "InvalidValue"),
        ("TxCtrlr.TxStartPoint", "PowerPathClosed,Whenever", "InvalidValue"),
        ("TxCtrlr.TxStartPoint", "PowerPathClosed,PowerPathClosed", "InvalidValue"),
        ("OCPPCommCtrlr.WebSocketPingInterval", "-1", "ValueTooLow"),
        ("OCPPCommCtrlr.HeartbeatInterval", "0", "ValueTooLow"),
        ("AlignedDataCtrlr.Interval", "86401", "ValueTooHigh"),
    ],
)
@pytest.mark.req("B05.FR.07", "B05.FR.08")
def test_a_bad_value_is_rejected_with_its_reason(bench: Bench, name: str, value: str, reason: str) -> None:
    """And the old value stays."""
    before = get(bench, name)

    (result,) = set_all(bench, asked(name, attributeValue=value))

    assert (result["attributeStatus"], result["attributeStatusInfo"]["reasonCode"]) == ("Rejected", reason)
    assert get(bench, name) == before


@pytest.mark.req("B05.FR.09")
def test_a_measured_variable_cannot_be_set(bench: Bench) -> None:
    (result,) = set_all(bench, asked("EVSE.AvailabilityState", evse=1, attributeValue="Faulted"))

    assert (result["attributeStatus"], result["attributeStatusInfo"]["reasonCode"]) == ("Rejected", "ReadOnly")


def test_names_are_found_whatever_their_case(bench: Bench) -> None:
    """Part 2: component and variable names are case-insensitive; the echo is as asked."""
    (result,) = set_all(bench, asked("ocppcommctrlr.OFFLINETHRESHOLD", attributeValue="33"))

    assert (result["attributeStatus"], result["variable"]["name"]) == ("Accepted", "OFFLINETHRESHOLD")
    assert get(bench, THRESHOLD) == "33"


@pytest.mark.req("B05.FR.10")
def test_every_writable_variable_survives_a_power_cut(bench: Bench) -> None:
    """Each is set to another value it may have; the next start knows all of them."""
    wanted = {}
    for entry in base_report(bench, "ConfigurationInventory"):
        value = other(entry)
        if value is not None:
            wanted[name_of(entry)] = value
            assert put_entry(bench, entry, value) in {"Accepted", "RebootRequired"}, entry
    assert len(wanted) > 30

    bench.crash()

    again = {name_of(entry): entry for entry in base_report(bench, "ConfigurationInventory", 2)}
    assert {name: again[name]["variableAttribute"][0]["value"] for name in wanted} == wanted


OWN_RULES = {"NetworkConfigurationPriority", "BasicAuthPassword", "HeartbeatInterval"}
"""Guarded, write-only, or set by each BootNotification."""


def other(entry: dict[str, object]) -> str | None:
    """Another value that the variable may have."""
    characteristics, (attribute, *_) = entry["variableCharacteristics"], entry["variableAttribute"]  # type: ignore[misc]  # JSON
    assert isinstance(characteristics, dict)
    if entry["variable"]["name"] in OWN_RULES:  # type: ignore[index]  # JSON
        return None
    match characteristics["dataType"]:
        case "boolean":
            return "false" if attribute["value"] == "true" else "true"  # type: ignore[has-type]  # JSON
        case "integer":
            return str(int(attribute["value"]) + 1)  # type: ignore[has-type]  # JSON
        case "MemberList" | "SequenceList" | "OptionList":
            return str(characteristics["valuesList"]).split(",")[-1]
        case _:
            return None


def name_of(entry: dict[str, object]) -> str:
    return f"{entry['component']}.{entry['variable']}"


def put_entry(bench: Bench, entry: dict[str, object], value: str) -> str:
    element = {"component": entry["component"], "variable": entry["variable"], "attributeValue": value}
    return str(set_all(bench, element)[0]["attributeStatus"])


def test_a_value_that_was_refused_does_not_come_back_after_a_power_cut(bench: Bench) -> None:
    put(bench, THRESHOLD, "50")
    put(bench, THRESHOLD, "many")

    bench.crash()

    assert get(bench, THRESHOLD) == "50"


@pytest.mark.req("B05.FR.01")
def test_too_many_elements_are_refused_as_a_whole(bench: Bench) -> None:
    """DeviceDataCtrlr.ItemsPerMessage[SetVariables] says how many; that many are taken."""
    most = int(get(bench, "DeviceDataCtrlr.ItemsPerMessage[SetVariables]"))
    elements = [asked(THRESHOLD, attributeValue=str(number)) for number in range(most + 1)]

    error = bench.csms.refused("SetVariables", {"setVariableData": elements})

    assert error.code == "OccurrenceConstraintViolation"
    assert get(bench, THRESHOLD) == "60"
    assert len(set_all(bench, *elements[:most])) == most


@pytest.mark.parametrize(
    "name, most",
    [
        ("OCPPCommCtrlr.NetworkProfileConnectionAttempts", 100),
        ("OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]", 86_400),
    ],
)
def test_no_value_leaves_the_station_trying_for_ever(bench: Bench, name: str, most: int) -> None:
    """A CSMS in false hands would keep it from every other, or what was charged from being told."""
    assert put(bench, name, str(most)) == "Accepted"
    assert put(bench, name, str(most + 1)) == "Rejected"
    assert get(bench, name) == str(most)
