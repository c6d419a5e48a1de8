"""Inventories, custom reports and their pages."""

from __future__ import annotations

import pytest

from device_model.model import AttributeType, ComponentId, DeviceModel, Mutability, VariableId, describe
from device_model.report import Base, Criterion, Entry, Filter, base_report, custom_report, pages, reported_value

FAN = ComponentId("AirCoolingSystem", evse_id=2)


def names(entries: object) -> list[str]:
    """The full names of what is in a report."""
    return [describe(entry.variable) for entry in entries]  # type: ignore[attr-defined] # any iterable of entries


@pytest.mark.req("B07.FR.08", "B07.FR.11")
def test_a_full_inventory_has_every_variable_with_all_its_attributes(model: DeviceModel) -> None:
    """Also those that are unset, which show as empty."""
    entries = list(base_report(model, Base.FULL))

    assert [entry.variable for entry in entries] == list(model)
    speed = next(entry for entry in entries if describe(entry.variable) == "AirCoolingSystem@2.FanSpeed")
    assert {one.type for one in speed.attributes} == set(AttributeType)
    assert [reported_value(one) for one in speed.attributes] == ["", "", "", ""]


@pytest.mark.req("B07.FR.03", "B08.FR.03")
def test_a_write_only_value_is_in_no_report(model: DeviceModel) -> None:
    """The variable is, its value is not."""
    password = VariableId("BasicAuthPassword")
    model.set_by_csms(ComponentId("SecurityCtrlr"), password, "correct-horse-battery")

    reports = [
        base_report(model, Base.FULL),
        base_report(model, Base.CONFIGURATION),
        custom_report(model, (), [Filter("SecurityCtrlr", variable="BasicAuthPassword")]),
    ]

    for entries in reports:
        (attribute,) = next(entry.attributes for entry in entries if entry.variable.id == password)
        assert reported_value(attribute) is None


@pytest.mark.req("B07.FR.07")
def test_a_configuration_inventory_has_all_that_can_be_set_and_nothing_else(model: DeviceModel) -> None:
    """Of the fan the set points, not the measured speed."""
    entries = list(base_report(model, Base.CONFIGURATION))

    assert all(one.mutability is not Mutability.READ_ONLY for entry in entries for one in entry.attributes)
    settable = {id(variable) for variable in model if any(one.writable for one in variable.attributes)}
    assert {id(entry.variable) for entry in entries} == settable
    speed = next(entry for entry in entries if describe(entry.variable) == "AirCoolingSystem@2.FanSpeed")
    assert [one.type.value for one in speed.attributes] == ["Target", "MinSet", "MaxSet"]


@pytest.mark.req("B07.FR.09")
def test_a_summary_has_availability_and_what_is_wrong(model: DeviceModel) -> None:
    """All tiers, and each component in an abnormal state."""
    well = names(base_report(model, Base.SUMMARY))
    model.set_by_station(FAN, VariableId("Problem"), "true")
    ill = names(base_report(model, Base.SUMMARY))

    assert well == [
        "ChargingStation.AvailabilityState",
        "EVSE@1.AvailabilityState",
        "EVSE@2.AvailabilityState",
        "Connector@1.1.AvailabilityState",
        "Connector@2.1.AvailabilityState",
    ]
    assert set(ill) - set(well) == {"AirCoolingSystem@2.Problem"}


@pytest.mark.req("B08.FR.09")
def test_enabled_components_are_told_by_that_variable(model: DeviceModel) -> None:
    """Every variable Enabled that is true, and nothing else."""
    model.set_by_csms(ComponentId("ReservationCtrlr"), VariableId("Enabled"), "false")

    entries = list(custom_report(model, [Criterion.ENABLED]))

    assert all(entry.variable.id.name == "Enabled" and entry.variable.actual == "true" for entry in entries)
    enabled = [describe(one) for one in model if one.id.name == "Enabled" and one.actual == "true"]
    assert names(entries) == enabled
    assert "ReservationCtrlr.Enabled" not in enabled
    assert {"TariffCostCtrlr.Enabled[Tariff]", "TariffCostCtrlr.Enabled[Cost]"} <= set(enabled)


@pytest.mark.req("B08.FR.07", "B08.FR.08", "B08.FR.10", "B08.FR.13")
def test_criteria_find_components_that_meet_one_of_them(model: DeviceModel) -> None:
    """Without the variable a component counts as active, enabled and available, but as having no problem."""
    lock = ComponentId("ConnectorPlugRetentionLock", evse_id=1, connector_id=1)
    model.set_by_station(FAN, VariableId("Problem"), "true")
    model.set_by_station(lock, VariableId("Active"), "true")

    problem = names(custom_report(model, [Criterion.PROBLEM]))
    active = names(custom_report(model, [Criterion.ACTIVE]))
    either = names(custom_report(model, [Criterion.PROBLEM, Criterion.ACTIVE]))
    available = names(custom_report(model, [Criterion.AVAILABLE]))

    assert problem == ["AirCoolingSystem@2.Problem"]
    assert "ConnectorPlugRetentionLock@1.1.Active" in active
    assert "TxCtrlr.Available" in active
    assert not any(name.startswith("AirCoolingSystem") for name in active)
    assert set(either) == {*problem, *active}
    assert "EVSE@1.Available" in available
    assert "ConnectedEV@2.Available" not in available


@pytest.mark.req("B08.FR.05", "B08.FR.11")
def test_criteria_limit_the_components_of_the_filters(model: DeviceModel) -> None:
    """EVSE 1 is available and has no problem: the second report is empty."""
    wanted = [Filter("EVSE", evse_id=1, variable="AvailabilityState")]

    assert names(custom_report(model, [Criterion.AVAILABLE], wanted)) == ["EVSE@1.AvailabilityState"]
    assert names(custom_report(model, [Criterion.PROBLEM], wanted)) == []
    assert names(custom_report(model, (), wanted)) == ["EVSE@1.AvailabilityState"]


@pytest.mark.req("B08.FR.20", "B08.FR.21", "B08.FR.22", "B08.FR.23", "B08.FR.25")
def test_what_a_filter_leaves_out_stands_for_all(model: DeviceModel) -> None:
    """Variable, instances, connectors, EVSEs."""

    def asked(**given: object) -> list[str]:
        return names(custom_report(model, (), [Filter(**given)]))  # type: ignore[arg-type] # the fields of Filter

    assert set(asked(component="devicedatactrlr", variable="itemspermessage")) == {
        "DeviceDataCtrlr.ItemsPerMessage[GetReport]",
        "DeviceDataCtrlr.ItemsPerMessage[GetVariables]",
        "DeviceDataCtrlr.ItemsPerMessage[SetVariables]",
    }
    assert asked(component="DeviceDataCtrlr", variable="ItemsPerMessage", variable_instance="GetReport") == [
        "DeviceDataCtrlr.ItemsPerMessage[GetReport]"
    ]
    assert asked(component="EVSE", variable="AvailabilityState") == [
        "EVSE@1.AvailabilityState",
        "EVSE@2.AvailabilityState",
    ]
    assert asked(component="Connector", evse_id=1, variable="ConnectorType") == ["Connector@1.1.ConnectorType"]
    assert asked(component="Connector", evse_id=1, connector_id=2) == []
    whole = [describe(one) for one in model if one.component.name == "TxCtrlr"]
    assert asked(component="TxCtrlr") == whole
    assert asked(component="AirCoolingSystem", variable="FanSpeed") == [
        "AirCoolingSystem@2.FanSpeed",
        "AirCoolingSystem[Rear]@2.FanSpeed",
    ]
    assert asked(component="AirCoolingSystem", instance="rear", variable="FanSpeed") == [
        "AirCoolingSystem[Rear]@2.FanSpeed"
    ]
    assert asked(component="Unknown") == []


def test_a_variable_that_two_filters_name_is_told_once(model: DeviceModel) -> None:
    """A CSMS may overlap its wishes."""
    wanted = [Filter("EVSE"), Filter("EVSE", evse_id=1, variable="Power"), Filter("evse", variable="Power")]

    told = names(custom_report(model, (), wanted))

    assert len(told) == len(set(told))


def test_pages_keep_both_limits_and_lose_nothing(model: DeviceModel) -> None:
    """Only the last one says so; an entry larger than a page has one of its own."""

    def size_of(entry: Entry) -> int:
        return 5_000 if entry.variable.id.name == "FanSpeed" else 250

    made = list(pages(base_report(model, Base.FULL), 20, 2_000, size_of))

    told = [entry for page in made for entry in page.entries]
    assert [entry.variable for entry in told] == list(model)
    assert [page.last for page in made] == [False] * (len(made) - 1) + [True]
    for page in made:
        assert len(page.entries) <= 20
        assert sum(map(size_of, page.entries)) <= 2_000 or len(page.entries) == 1
    assert not list(pages([], 20, 2_000, size_of))


def test_pages_are_made_when_they_are_asked_for(model: DeviceModel) -> None:
    """A report goes on while the model gets new variables, and shows values of the moment."""
    made = pages(base_report(model, Base.FULL), 1, 10_000, lambda _: 1)
    next(made)

    model.set_by_csms(ComponentId("OCPPCommCtrlr"), VariableId("OfflineThreshold"), "77")
    model.remove(ComponentId("TokenReader"))

    rest = [entry.variable for page in made for entry in page.entries]
    assert "77" in [one.actual for one in rest if one.id.name == "OfflineThreshold"]
    assert any(one.component.name == "TokenReader" for one in rest)
