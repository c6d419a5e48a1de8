"""The OCA's test cases of block B (provisioning): variables and reports (part 6, 2.3, with its errata)."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from device_model import catalogue
from tests.bench import Bench
from tests.scenarios.variables import asked, base_report, entries, get_all, put, set_all

THRESHOLD = "OCPPCommCtrlr.OfflineThreshold"
OFFLINE = "AuthCtrlr.LocalAuthorizeOffline"
LISTS = {"OptionList", "SequenceList", "MemberList"}

Entry = dict[str, Any]


def assert_fine(result: Entry, name: str, **expected: str) -> None:
    """One result: accepted, of this variable, with nothing to add but NoError."""
    component, _, variable = name.partition(".")
    assert result["attributeStatus"] == "Accepted"
    assert (result["component"]["name"], result["variable"]["name"]) == (component, variable)
    assert result.get("attributeStatusInfo", {"reasonCode": "NoError"})["reasonCode"] == "NoError"
    assert {key: result[key] for key in expected} == expected


# --- GetVariables


@pytest.mark.octt("TC_B_06_CS")
@pytest.mark.req("B06.FR.01", "B06.FR.02", "B06.FR.03", "B06.FR.04", "B06.FR.10")
def test_tc_b_06_cs(bench: Bench) -> None:
    """A single value."""
    put(bench, THRESHOLD, "300")

    (result,) = get_all(bench, asked(THRESHOLD, attributeType="Actual"))

    assert_fine(result, THRESHOLD, attributeType="Actual", attributeValue="300")


@pytest.mark.octt("TC_B_07_CS")
@pytest.mark.req("B06.FR.01", "B06.FR.02", "B06.FR.03", "B06.FR.04", "B06.FR.10")
def test_tc_b_07_cs(bench: Bench) -> None:
    """Several values."""
    put(bench, THRESHOLD, "300")
    put(bench, OFFLINE, "true")

    first, second = get_all(bench, *(asked(name, attributeType="Actual") for name in (THRESHOLD, OFFLINE)))

    assert_fine(first, THRESHOLD, attributeType="Actual", attributeValue="300")
    assert_fine(second, OFFLINE, attributeType="Actual", attributeValue="true")


def refused(result: Entry, status: str, component: str, variable: str) -> bool:
    """Whether a result says so of this variable, without a value."""
    names = (result["component"]["name"], result["variable"]["name"])
    return (result["attributeStatus"], *names) == (status, component, variable) and "attributeValue" not in result


@pytest.mark.octt("TC_B_32_CS")
@pytest.mark.req("B06.FR.06")
def test_tc_b_32_cs(bench: Bench) -> None:
    """An unknown component."""
    (result,) = get_all(bench, asked("UnknownComponent.OfflineThreshold"))

    assert refused(result, "UnknownComponent", "UnknownComponent", "OfflineThreshold")


@pytest.mark.octt("TC_B_33_CS")
@pytest.mark.req("B06.FR.07")
def test_tc_b_33_cs(bench: Bench) -> None:
    """An unknown variable."""
    (result,) = get_all(bench, asked("OCPPCommCtrlr.UnknownVariable"))

    assert refused(result, "UnknownVariable", "OCPPCommCtrlr", "UnknownVariable")


@pytest.mark.octt("TC_B_34_CS")
@pytest.mark.req("B06.FR.08")
def test_tc_b_34_cs(bench: Bench) -> None:
    """An attribute type that is not supported."""
    (result,) = get_all(bench, asked(THRESHOLD, attributeType="Target"))

    assert refused(result, "NotSupportedAttributeType", "OCPPCommCtrlr", "OfflineThreshold")
    assert result["attributeType"] == "Target"


# --- SetVariables


@pytest.mark.octt("TC_B_09_CS")
@pytest.mark.req("B05.FR.01", "B05.FR.02", "B05.FR.03", "B05.FR.10")
def test_tc_b_09_cs(bench: Bench) -> None:
    """A single value."""
    (result,) = set_all(bench, asked(THRESHOLD, attributeValue="300", attributeType="Actual"))

    assert_fine(result, THRESHOLD, attributeType="Actual")


@pytest.mark.octt("TC_B_10_CS")
@pytest.mark.req("B05.FR.01", "B05.FR.02", "B05.FR.03", "B05.FR.10")
def test_tc_b_10_cs(bench: Bench) -> None:
    """Several values."""
    first, second = set_all(
        bench,
        asked(THRESHOLD, attributeValue="300", attributeType="Actual"),
        asked(OFFLINE, attributeValue="true", attributeType="Actual"),
    )

    assert_fine(first, THRESHOLD, attributeType="Actual")
    assert_fine(second, OFFLINE, attributeType="Actual")


@pytest.mark.octt("TC_B_35_CS")
@pytest.mark.req("B05.FR.04")
def test_tc_b_35_cs(bench: Bench) -> None:
    """An unknown component."""
    (result,) = set_all(bench, asked("UnknownComponent.OfflineThreshold", attributeValue="300"))

    assert refused(result, "UnknownComponent", "UnknownComponent", "OfflineThreshold")


@pytest.mark.octt("TC_B_36_CS")
@pytest.mark.req("B05.FR.05")
def test_tc_b_36_cs(bench: Bench) -> None:
    """An unknown variable."""
    (result,) = set_all(bench, asked("OCPPCommCtrlr.UnknownVariable", attributeValue="300"))

    assert refused(result, "UnknownVariable", "OCPPCommCtrlr", "UnknownVariable")


@pytest.mark.octt("TC_B_37_CS")
@pytest.mark.req("B05.FR.06")
def test_tc_b_37_cs(bench: Bench) -> None:
    """An attribute type that is not supported."""
    (result,) = set_all(bench, asked(THRESHOLD, attributeValue="300", attributeType="Target"))

    assert refused(result, "NotSupportedAttributeType", "OCPPCommCtrlr", "OfflineThreshold")
    assert result["attributeType"] == "Target"


NOW = "2026-11-21T08:00:00Z"
TAKES: dict[str, dict[str, bool]] = {
    THRESHOLD: {"120": True, "120.1": False, "true": False, NOW: False, "abc": False},
    "AuthCtrlr.AuthorizeRemoteStart": {"120": False, "120.1": False, "true": True, NOW: False, "abc": False},
    "ClockCtrlr.NextTimeOffsetTransitionDateTime": {
        "120": False,
        "120.1": False,
        "true": False,
        NOW: True,
        "abc": False,
    },
}
"""What each variable takes; SmartChargingCtrlr.LimitChangeSignificance is tested where it is supported."""


@pytest.mark.octt("TC_B_11_CS")
@pytest.mark.req("B05.FR.07")
@pytest.mark.parametrize("name, value", [(name, value) for name, taken in TAKES.items() for value in taken])
def test_tc_b_11_cs(bench: Bench, name: str, value: str) -> None:
    """Five values for variables of different types: taken where they are well formed."""
    (result,) = set_all(bench, asked(name, attributeValue=value))

    assert result["attributeStatus"] == ("Accepted" if TAKES[name][value] else "Rejected")
    assert result["attributeType"] == "Actual"
    assert result.get("attributeStatusInfo", {"reasonCode": "InvalidValue"})["reasonCode"] == "InvalidValue"


@pytest.mark.octt("TC_B_39_CS")
@pytest.mark.req("B05.FR.09")
def test_tc_b_39_cs(bench: Bench) -> None:
    """A read-only variable."""
    (result,) = set_all(bench, asked("OCPPCommCtrlr.MessageTimeout[Default]", attributeValue="30"))

    assert refused(result, "Rejected", "OCPPCommCtrlr", "MessageTimeout")
    assert result["variable"]["instance"] == "Default"


# --- base reports


def check_pages(bench: Bench, request_id: int) -> None:
    """Of all reports: one that begins at 0, is of now, and says when it ends; each entry with its characteristics."""
    pages = bench.csms.received("NotifyReport")
    assert {page["requestId"] for page in pages} == {request_id}
    assert [page["seqNo"] for page in pages] == list(range(len(pages)))
    assert [page.get("tbc", False) for page in pages] == [True] * (len(pages) - 1) + [False]
    for page in pages:
        assert abs(datetime.fromisoformat(page["generatedAt"]) - bench.true_utc) <= timedelta(seconds=4)
    for entry in entries(bench, request_id):
        characteristics = entry["variableCharacteristics"]
        assert (characteristics["dataType"] in LISTS) <= bool(characteristics.get("valuesList")), entry


def report(bench: Bench, base: str) -> list[Entry]:
    """Steps 1 to 4 of the cases about base reports."""
    bench.csms.forget()
    found = base_report(bench, base, 42)
    check_pages(bench, 42)
    return found


def required(bench: Bench, *, writable: bool = False) -> set[str]:
    """The variables that the specification requires of what is built: Component.Variable[instance]."""
    standard = catalogue.load()
    there = {component.name for component, _ in bench.station.variables.model.components()}
    return {
        full(component.name, one.name, one.instance)
        for component in standard.components
        if component.name in there
        for one in component.variables
        if one.required and not (writable and one.access == "RO")
    }


def full(component: str, variable: str, instance: str = "") -> str:
    return f"{component}.{variable}" + (f"[{instance}]" if instance else "")


def names(found: list[Entry]) -> set[str]:
    return {full(e["component"]["name"], e["variable"]["name"], e["variable"].get("instance", "")) for e in found}


@pytest.mark.octt("TC_B_12_CS")
@pytest.mark.req("B07.FR.01", "B07.FR.03", "B07.FR.04", "B07.FR.07", "B07.FR.10", "B07.FR.12")
def test_tc_b_12_cs(tmp_path: Path) -> None:
    """ConfigurationInventory: the writable variables, all that are required among them."""
    bench = Bench(tmp_path, lock=True)  # where all cables are fixed, UnlockOnEVSideDisconnect is read-only
    found = report(bench, "ConfigurationInventory")

    mutabilities = {attribute["mutability"] for entry in found for attribute in entry["variableAttribute"]}
    assert mutabilities <= {"ReadWrite", "WriteOnly"}
    assert required(bench, writable=True) <= names(found)


@pytest.mark.octt("TC_B_13_CS")
@pytest.mark.req("B07.FR.01", "B07.FR.03", "B07.FR.04", "B07.FR.08", "B07.FR.10", "B07.FR.12")
def test_tc_b_13_cs(bench: Bench) -> None:
    """FullInventory: all that is required."""
    assert required(bench) <= names(report(bench, "FullInventory"))


@pytest.mark.octt("TC_B_14_CS")
@pytest.mark.req("B07.FR.01", "B07.FR.03", "B07.FR.04", "B07.FR.09", "B07.FR.10")
def test_tc_b_14_cs(bench: Bench) -> None:
    """SummaryInventory: how available the parts are."""
    found = report(bench, "SummaryInventory")

    tiers = [entry["component"]["name"] for entry in found if entry["variable"]["name"] == "AvailabilityState"]
    assert sorted(tiers) == ["ChargingStation", "Connector", "Connector", "EVSE", "EVSE"]


@pytest.mark.octt("TC_B_53_CS")
@pytest.mark.req("B07.FR.03", "B07.FR.08")
def test_tc_b_53_cs(bench: Bench) -> None:
    """FullInventory: all that is required is there, lists hold what they may, only passwords are withheld."""
    found = report(bench, "FullInventory")

    assert required(bench) <= names(found)
    for entry in found:
        allowed = entry["variableCharacteristics"].get("valuesList", "").split(",")
        for attribute in entry["variableAttribute"]:
            assert ("value" in attribute) == (attribute.get("mutability") != "WriteOnly"), entry
            if entry["variableCharacteristics"]["dataType"] in LISTS and attribute["value"]:
                assert set(attribute["value"].split(",")) <= set(allowed), entry
            if entry["variableCharacteristics"]["dataType"] == "OptionList":
                assert attribute["value"], entry


# --- custom reports


def custom(bench: Bench, **criteria: Any) -> list[Entry]:
    """GetReport, accepted; its entries."""
    bench.csms.forget()
    assert bench.csms.call("GetReport", {"requestId": 9, **criteria}) == {"status": "Accepted"}
    check_pages(bench, 9)
    return entries(bench, 9)


def of(component: str, variable: str, *, evse: int | None = None, instance: str = "") -> list[Entry]:
    """One componentVariable."""
    named: Entry = {"name": component} | ({"evse": {"id": evse}} if evse else {})
    return [{"component": named, "variable": {"name": variable} | ({"instance": instance} if instance else {})}]


def assert_availability(entry: Entry) -> None:
    """The AvailabilityState of an EVSE as the cases want it."""
    assert (entry["component"]["name"], entry["variable"]["name"]) == ("EVSE", "AvailabilityState")
    characteristics, (attribute,) = entry["variableCharacteristics"], entry["variableAttribute"]
    assert characteristics["dataType"] == "OptionList"
    assert characteristics["valuesList"] == "Available,Occupied,Reserved,Unavailable,Faulted"
    assert (attribute["mutability"], attribute.get("type", "Actual")) == ("ReadOnly", "Actual")


@pytest.mark.octt("TC_B_16_CS")
@pytest.mark.req("B08.FR.01", "B08.FR.03", "B08.FR.04", "B08.FR.09", "B08.FR.12", "B08.FR.14")
def test_tc_b_16_cs(bench: Bench) -> None:
    """By criterion Enabled: each variable of that name that is true, and nothing else."""
    inventory = report(bench, "FullInventory")

    found = custom(bench, componentCriteria=["Enabled"])

    assert {entry["variable"]["name"] for entry in found} == {"Enabled"}
    assert all(entry["variableAttribute"][0]["value"] == "true" for entry in found)
    told = [entry["component"] for entry in found]
    wanted = [
        e for e in inventory if e["variable"]["name"] == "Enabled" and e["variableAttribute"][0]["value"] == "true"
    ]
    assert all(entry["component"] in told for entry in wanted)
    for entry in found:
        (result,) = get_all(bench, {"component": entry["component"], "variable": entry["variable"]})
        assert (result["attributeStatus"], result["attributeValue"]) == ("Accepted", "true")


@pytest.mark.octt("TC_B_17_CS")
@pytest.mark.req("B08.FR.01", "B08.FR.03", "B08.FR.04", "B08.FR.11", "B08.FR.12", "B08.FR.14")
def test_tc_b_17_cs(bench: Bench) -> None:
    """One variable of one EVSE."""
    (entry,) = custom(bench, componentVariable=of("EVSE", "AvailabilityState", evse=1))

    assert entry["component"]["evse"] == {"id": 1}
    assert_availability(entry)


@pytest.mark.octt("TC_B_18_CS")
@pytest.mark.req("B08.FR.01", "B08.FR.03", "B08.FR.04", "B08.FR.05", "B08.FR.12", "B08.FR.14", "B08.FR.15")
def test_tc_b_18_cs(bench: Bench) -> None:
    """The same with criteria: found among what is Available, not among what has a Problem."""
    wanted = of("EVSE", "AvailabilityState", evse=1)

    (entry,) = custom(bench, componentCriteria=["Available"], componentVariable=wanted)
    assert_availability(entry)

    request = {"requestId": 10, "componentCriteria": ["Problem"], "componentVariable": wanted}
    answer = bench.csms.call("GetReport", request)
    assert answer["status"] == "EmptyResultSet"
    assert answer.get("statusInfo", {"reasonCode": "NotFound"})["reasonCode"] == "NotFound"


@pytest.mark.octt("TC_B_54_CS")
@pytest.mark.req("B08.FR.11", "B08.FR.21")
def test_tc_b_54_cs(bench: Bench) -> None:
    """Without an instance: all of them."""
    found = custom(bench, componentVariable=of("DeviceDataCtrlr", "ItemsPerMessage"))

    assert {"DeviceDataCtrlr.ItemsPerMessage[GetReport]", "DeviceDataCtrlr.ItemsPerMessage[GetVariables]"} <= names(
        found
    )


@pytest.mark.octt("TC_B_55_CS")
@pytest.mark.req("B08.FR.11")
def test_tc_b_55_cs(bench: Bench) -> None:
    """With an instance: that one."""
    found = custom(bench, componentVariable=of("DeviceDataCtrlr", "ItemsPerMessage", instance="GetReport"))

    assert names(found) == {"DeviceDataCtrlr.ItemsPerMessage[GetReport]"}


@pytest.mark.octt("TC_B_56_CS")
@pytest.mark.req("B08.FR.11", "B08.FR.23")
def test_tc_b_56_cs(bench: Bench) -> None:
    """Without an EVSE: all EVSEs."""
    found = custom(bench, componentVariable=of("EVSE", "AvailabilityState"))

    assert [entry["component"]["evse"]["id"] for entry in found] == [1, 2]
    for entry in found:
        assert_availability(entry)
