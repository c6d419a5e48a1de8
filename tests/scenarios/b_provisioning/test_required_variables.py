"""An independent look at the device model: each variable that the specification requires of a built-in block is there.

The table is written from the appendix of components and variables and from part 2's "Referenced Components and
Variables" with its errata, not from the catalogue that the station is made of: a slip there is found here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.bench import Bench
from tests.scenarios.variables import base_report, get_all

RO, RW, WO, EITHER = "ReadOnly", "ReadWrite", "WriteOnly", "ReadOnly ReadWrite"
LISTS = {"OptionList", "MemberList", "SequenceList"}


class Fact(NamedTuple):
    """What the specification says of one variable. `least`, `most`: limits it names; True: there must be one."""

    name: str
    type: str
    mutability: str
    unit: str | None = None
    least: float | None = None
    most: float | bool | None = None
    values: str = ""
    """Members that the list of values must have."""


# The appendix names no unit for sizes, and part 1 wants one wherever there is one: it lists B for bytes.
FACTS = [
    Fact("AlignedDataCtrlr.Interval", "integer", RW, "s"),
    Fact("AlignedDataCtrlr.Measurands", "MemberList", RW, most=True, values="Energy.Active.Import.Register"),
    Fact("AlignedDataCtrlr.TxEndedInterval", "integer", RW, "s"),
    Fact("AlignedDataCtrlr.TxEndedMeasurands", "MemberList", RW, most=True, values="Energy.Active.Import.Register"),
    Fact("AuthCtrlr.AuthorizeRemoteStart", "boolean", EITHER),
    Fact("AuthCtrlr.LocalAuthorizeOffline", "boolean", RW),
    Fact("AuthCtrlr.LocalPreAuthorize", "boolean", RW),
    Fact("ChargingStation.Available", "boolean", EITHER),
    Fact("ChargingStation.AvailabilityState", "OptionList", RO, values="Available Occupied Unavailable Faulted"),
    Fact("ChargingStation.SupplyPhases", "integer", RO, most=3),
    Fact("ClockCtrlr.DateTime", "dateTime", RO),
    Fact("ClockCtrlr.TimeSource", "SequenceList", RW, values="Heartbeat"),
    Fact("Connector.Available", "boolean", EITHER),
    Fact("Connector.AvailabilityState", "OptionList", RO, values="Available Occupied Unavailable Faulted"),
    Fact("Connector.ConnectorType", "string", RO),
    Fact("Connector.SupplyPhases", "integer", RO, most=3),
    Fact("DeviceDataCtrlr.BytesPerMessage[GetReport]", "integer", RO, "B"),
    Fact("DeviceDataCtrlr.BytesPerMessage[GetVariables]", "integer", RO, "B"),
    Fact("DeviceDataCtrlr.BytesPerMessage[SetVariables]", "integer", RO, "B"),
    Fact("DeviceDataCtrlr.ItemsPerMessage[GetReport]", "integer", RO),
    Fact("DeviceDataCtrlr.ItemsPerMessage[GetVariables]", "integer", RO),
    Fact("DeviceDataCtrlr.ItemsPerMessage[SetVariables]", "integer", RO),
    Fact("DeviceDataCtrlr.ConfigurationValueSize", "integer", RO, most=1000),
    Fact("DeviceDataCtrlr.ReportingValueSize", "integer", RO, most=2500),
    Fact("EVSE.Available", "boolean", EITHER),
    Fact("EVSE.AvailabilityState", "OptionList", RO, values="Available Occupied Unavailable Faulted"),
    Fact("EVSE.Power", "decimal", RO, "W", most=True),
    Fact("EVSE.SupplyPhases", "integer", RO, most=3),
    Fact("LocalAuthListCtrlr.BytesPerMessage", "integer", RO, "B"),
    Fact("LocalAuthListCtrlr.Entries", "integer", RO, most=True),
    Fact("LocalAuthListCtrlr.ItemsPerMessage", "integer", RO),
    Fact("MonitoringCtrlr.BytesPerMessage[SetVariableMonitoring]", "integer", RO, "B"),
    Fact("MonitoringCtrlr.ItemsPerMessage[SetVariableMonitoring]", "integer", RO),
    Fact("OCPPCommCtrlr.ActiveNetworkProfile", "integer", RO),
    Fact("OCPPCommCtrlr.FileTransferProtocols", "MemberList", RO, values="HTTP HTTPS FTP FTPS SFTP"),
    Fact("OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]", "integer", RW, "s"),
    Fact("OCPPCommCtrlr.MessageAttempts[TransactionEvent]", "integer", RW),
    Fact("OCPPCommCtrlr.MessageTimeout[Default]", "integer", RO, "s"),
    Fact("OCPPCommCtrlr.NetworkConfigurationPriority", "SequenceList", RW, values="0 1"),
    Fact("OCPPCommCtrlr.NetworkProfileConnectionAttempts", "integer", RW),
    Fact("OCPPCommCtrlr.OfflineThreshold", "integer", RW, "s"),
    Fact("OCPPCommCtrlr.ResetRetries", "integer", RW),
    Fact("OCPPCommCtrlr.RetryBackOffRandomRange", "integer", RW, "s"),
    Fact("OCPPCommCtrlr.RetryBackOffRepeatTimes", "integer", RW),
    Fact("OCPPCommCtrlr.RetryBackOffWaitMinimum", "integer", RW, "s"),
    Fact("OCPPCommCtrlr.UnlockOnEVSideDisconnect", "boolean", EITHER),
    Fact("OCPPCommCtrlr.WebSocketPingInterval", "integer", RW, "s", least=0),
    Fact("SampledDataCtrlr.TxEndedInterval", "integer", RW, "s"),
    Fact("SampledDataCtrlr.TxEndedMeasurands", "MemberList", RW, most=True, values="Energy.Active.Import.Register"),
    Fact("SampledDataCtrlr.TxStartedMeasurands", "MemberList", RW, most=True, values="Energy.Active.Import.Register"),
    Fact("SampledDataCtrlr.TxUpdatedInterval", "integer", RW, "s"),
    Fact("SampledDataCtrlr.TxUpdatedMeasurands", "MemberList", RW, most=True, values="Energy.Active.Import.Register"),
    Fact("SecurityCtrlr.BasicAuthPassword", "string", WO, least=16, most=64),
    Fact("SecurityCtrlr.CertificateEntries", "integer", RO, most=True),
    Fact("SecurityCtrlr.OrganizationName", "string", RW),
    Fact("SecurityCtrlr.SecurityProfile", "integer", RO),
    Fact("TxCtrlr.EVConnectionTimeOut", "integer", RW, "s"),
    Fact("TxCtrlr.StopTxOnEVSideDisconnect", "boolean", EITHER),
    Fact("TxCtrlr.StopTxOnInvalidId", "boolean", RW),
    Fact("TxCtrlr.TxStartPoint", "MemberList", EITHER, values="EVConnected Authorized"),
    Fact("TxCtrlr.TxStopPoint", "MemberList", EITHER, values="EVConnected Authorized"),
]
PLACES: dict[str, list[dict[str, Any]]] = {
    "EVSE": [{"id": 1}, {"id": 2}],
    "Connector": [{"id": evse, "connectorId": connector} for evse in (1, 2) for connector in (1, 2)],
}
MAY_BE_EMPTY = {"AlignedDataCtrlr.TxEndedMeasurands"}
"""A list of nothing: no such values are wanted."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Two EVSEs of two sockets each, which was asked for all it has."""
    bench = Bench(tmp_path_factory.mktemp("station"), connectors=2, lock=True)
    base_report(bench, "FullInventory", 1)
    return bench


def named(element: dict[str, Any]) -> str:
    """`Component.Variable[instance]`; components that have instances are not in the table."""
    component, variable = element["component"], element["variable"]
    instance = f"[{variable['instance']}]" if "instance" in variable else ""
    return f"{component['name']}.{variable['name']}{instance}" + ("#" if "instance" in component else "")


def told(bench: Bench, fact: Fact) -> list[dict[str, Any]]:
    """What FullInventory has told of a variable, at each place."""
    reports = [page for page in bench.csms.received("NotifyReport") if page["requestId"] == 1]
    return [entry for page in reports for entry in page["reportData"] if named(entry) == fact.name]


def by_name(fact: Fact) -> str:
    return fact.name


@pytest.mark.req("B07.FR.08")
@pytest.mark.parametrize("fact", FACTS, ids=by_name)
def test_what_is_required_is_reported_as_specified(bench: Bench, fact: Fact) -> None:
    """Once at each place, with its type, unit, mutability and limits."""
    entries = told(bench, fact)

    places = PLACES.get(fact.name.partition(".")[0], [None])
    assert [entry["component"].get("evse") for entry in entries] == places
    for entry in entries:
        is_, attributes = entry["variableCharacteristics"], entry["variableAttribute"]
        (actual,) = [each for each in attributes if each.get("type", "Actual") == "Actual"]
        assert is_["dataType"] == fact.type
        assert is_.get("unit") == fact.unit
        assert actual["mutability"] in fact.mutability.split()
        assert actual.get("persistent", False) or actual["mutability"] == RO
        assert ("value" in actual) is (actual["mutability"] != WO)
        if fact.least is not None:
            assert is_["minLimit"] == fact.least
        if fact.most is not None:
            assert is_["maxLimit"] == fact.most if fact.most is not True else is_["maxLimit"] > 0
        assert set(fact.values.split()) <= set(is_.get("valuesList", "").split(","))
        assert ("valuesList" in is_) is (fact.type in LISTS)


@pytest.mark.req("B06.FR.01")
@pytest.mark.parametrize("fact", FACTS, ids=by_name)
def test_what_is_required_is_read_one_by_one_like_in_the_report(bench: Bench, fact: Fact) -> None:
    """A value that its own type takes; a password is refused."""
    entries = told(bench, fact)
    elements = [{key: entry[key] for key in ("component", "variable")} for entry in entries]

    for entry, result in zip(entries, get_all(bench, *elements), strict=True):
        if fact.mutability == WO:
            assert result["attributeStatus"] == "Rejected"
            continue
        assert result["attributeStatus"] == "Accepted"
        value = result["attributeValue"]
        assert value or fact.name in MAY_BE_EMPTY
        assert well_formed(value, entry["variableCharacteristics"]) or not value
        if fact.type != "dateTime":
            assert value == entry["variableAttribute"][0]["value"]


def well_formed(value: str, is_: dict[str, Any]) -> bool:
    """Whether a text is a value of the type, within the limits that the report names."""
    kind = is_["dataType"]
    if kind == "boolean":
        return value in {"true", "false"}
    if kind in {"integer", "decimal"}:
        number = int(value) if kind == "integer" else float(value)
        return bool(is_.get("minLimit", number) <= number <= is_.get("maxLimit", number))
    if kind in LISTS:
        return set(value.split(",")) <= set(is_["valuesList"].split(","))
    return kind != "dateTime" or value.endswith("Z")


def test_a_fixed_cable_is_never_unlocked_at_the_vehicle(tmp_path: Path) -> None:
    """Part 2, 2.1.12: then the variable can only be read and is false."""
    bench = Bench(tmp_path)
    base_report(bench, "FullInventory", 1)

    (entry,) = told(bench, Fact("OCPPCommCtrlr.UnlockOnEVSideDisconnect", "boolean", RO))

    assert (entry["variableAttribute"][0]["mutability"], entry["variableAttribute"][0]["value"]) == (RO, "false")


def test_absent_features_say_that_they_are_not_available(bench: Bench) -> None:
    """What is not built in must not be asked for: its controller is not there, or says so."""
    for controller in ("TariffCostCtrlr", "DisplayMessageCtrlr", "ISO15118Ctrlr"):
        wanted = {"component": {"name": controller}, "variable": {"name": "Available"}}
        (result,) = get_all(bench, wanted)
        assert result.get("attributeValue") != "true", controller
