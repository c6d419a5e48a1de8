"""From catalogue and layout to a model."""

from __future__ import annotations

import msgspec
import pytest

from device_model import values
from device_model.build import (
    MEASURANDS,
    ConnectorLayout,
    Equipment,
    EvseLayout,
    InitialValue,
    Layout,
    Mistake,
    add_instance,
    build,
    configure,
)
from device_model.catalogue import Catalogue, VariableSpec
from device_model.model import (
    AttributeType,
    ComponentId,
    DeviceModel,
    Mutability,
    Refusal,
    Status,
    Variable,
    VariableId,
    describe,
)
from device_model.values import DataType

COMM = ComponentId("OCPPCommCtrlr")


def variable(model: DeviceModel, component: ComponentId, name: str, instance: str = "") -> Variable:
    """A variable that must be there."""
    found = model.find(component, VariableId(name, instance))
    assert isinstance(found, Variable), found
    return found


def test_the_three_tiers_stand_where_the_layout_puts_them(model: DeviceModel) -> None:
    """Part 1, 4.1 and 7: EVSEs and connectors are numbered from 1."""
    tiers = {
        (id_.name, id_.evse_id, id_.connector_id)
        for id_, _ in model.components()
        if id_.name in {"ChargingStation", "EVSE", "Connector"}
    }

    assert tiers == {
        ("ChargingStation", None, None),
        ("EVSE", 1, None), ("EVSE", 2, None), ("Connector", 1, 1), ("Connector", 2, 1),
    }  # fmt: skip


@pytest.mark.req("B07.FR.08")
def test_all_required_variables_of_what_was_built_are_there(model: DeviceModel, standard: Catalogue) -> None:
    """And all have a value but EVSE.Power, of which the highest is enough, and the clock, which the agent sets."""
    for id_, bucket in model.components():
        spec = standard.component(id_.name)
        assert spec is not None
        wanted = {(one.name.casefold(), one.instance.casefold()) for one in spec.variables if one.required}
        assert wanted <= set(bucket), id_
    unset = {
        describe(one) for one in model for holder in one.attributes[:1] if holder.readable and holder.value is None
    }
    required = {describe(one) for one in model if one.id.name in {"Power", "DateTime"}}
    spec_required = {"EVSE@1.Power", "EVSE@2.Power", "ClockCtrlr.DateTime"}
    assert spec_required <= unset
    assert not {name for name in unset - required if "Ctrlr." in name}


def test_limits_and_values_come_from_the_layout(model: DeviceModel) -> None:
    """Power by EVSE, phases by tier, measurands by what the meters can."""
    assert variable(model, ComponentId("EVSE", evse_id=1), "Power").characteristics.max_limit == 22_000
    assert variable(model, ComponentId("EVSE", evse_id=2), "Power").characteristics.max_limit == 50_000
    assert model.integer(ComponentId("EVSE", evse_id=1), "SupplyPhases") == 3
    assert model.text(ComponentId("EVSE", evse_id=2), "SupplyPhases") == "0"
    assert model.text(ComponentId("Connector", evse_id=1, connector_id=1), "ConnectorType") == "sType2"
    assert model.text("ChargingStation", "VendorName") == "Ohm & Sons"
    assert model.text("Controller", "FirmwareVersion") == "1.2.3"
    measurands = variable(model, ComponentId("SampledDataCtrlr"), "TxUpdatedMeasurands")
    assert measurands.characteristics.values == ("Energy.Active.Import.Register", "Power.Active.Import", "Voltage")
    assert measurands.characteristics.max_limit == len("Energy.Active.Import.Register,Power.Active.Import,Voltage")
    assert measurands.actual == "Energy.Active.Import.Register"


def test_what_an_evse_lacks_is_not_there(model: DeviceModel) -> None:
    """A lock, phases, ISO 15118: each only where it is."""
    lock = VariableId("Problem")

    assert isinstance(model.find(ComponentId("ConnectorPlugRetentionLock", evse_id=1, connector_id=1), lock), Variable)
    assert model.find(ComponentId("ConnectorPlugRetentionLock", evse_id=2, connector_id=1), lock) is (
        Status.UNKNOWN_COMPONENT
    )
    assert model.find(ComponentId("ConnectedEV", evse_id=1), VariableId("VehicleID")) is Status.UNKNOWN_COMPONENT
    assert isinstance(model.find(ComponentId("ConnectedEV", evse_id=2), VariableId("VehicleID")), Variable)
    assert model.find(ComponentId("EVSE", evse_id=2), VariableId("ACVoltage", "L1")) is Status.UNKNOWN_VARIABLE
    assert isinstance(model.find(ComponentId("EVSE", evse_id=1), VariableId("ACVoltage", "L3")), Variable)


def test_a_controller_without_its_feature_is_absent(standard: Catalogue, layout: Layout) -> None:
    """Yet a block that asks for its value gets the catalogue's."""
    bare = build(standard, layout)

    assert bare.find(ComponentId("ReservationCtrlr"), VariableId("Enabled")) is Status.UNKNOWN_COMPONENT
    assert bare.boolean("ReservationCtrlr", "Enabled") is True
    assert isinstance(bare.find(ComponentId("TxCtrlr"), VariableId("TxStartPoint")), Variable)
    assert bare.find(ComponentId("SampledDataCtrlr"), VariableId("SignReadings")) is Status.UNKNOWN_VARIABLE


def test_a_station_can_sign_where_one_of_its_meters_can(standard: Catalogue, layout: Layout) -> None:
    """The controllers are the station's, the meter is the EVSE's."""
    evses = (msgspec.structs.replace(layout.evses[0], signs=True), *layout.evses[1:])
    able = build(standard, msgspec.structs.replace(layout, evses=evses))

    assert isinstance(able.find(ComponentId("SampledDataCtrlr"), VariableId("SignReadings")), Variable)
    assert isinstance(able.find(COMM, VariableId("PublicKeyWithSignedMeterValue")), Variable)
    assert isinstance(able.find(ComponentId("FiscalMetering", evse_id=1), VariableId("PublicKey")), Variable)
    assert not isinstance(able.find(ComponentId("FiscalMetering", evse_id=2), VariableId("PublicKey")), Variable)


@pytest.mark.req("J01.FR.13", "J02.FR.09")
def test_phases_are_named_as_the_grid_connection_sees_them(standard: Catalogue, layout: Layout) -> None:
    """EVSE 1 is wired with its first phase on the grid's second; the next one is not said to be turned."""
    evses = (msgspec.structs.replace(layout.evses[0], phase_rotation="STR", phases=3), *layout.evses[1:])
    model = build(standard, msgspec.structs.replace(layout, evses=evses))

    assert model.text(ComponentId("EVSE", evse_id=1), "PhaseRotation") == "STR"
    assert model.text("ElectricalFeed", "PhaseRotation") in {"RST", ""}


def test_fixed_cables_cannot_be_unlocked(standard: Catalogue, layout: Layout) -> None:
    """Part 2, 2.1.12: read-only and false where all cables are fixed."""
    cables = tuple(msgspec.structs.replace(evse, connectors=(ConnectorLayout("cType2"),)) for evse in layout.evses)
    fixed = build(standard, msgspec.structs.replace(layout, evses=cables))

    refusal = fixed.set_by_csms(COMM, VariableId("UnlockOnEVSideDisconnect"), "true")

    assert fixed.boolean("OCPPCommCtrlr", "UnlockOnEVSideDisconnect") is False
    assert isinstance(refusal, Refusal)
    assert refusal.flaw is None


def test_whatever_can_be_written_is_persistent(model: DeviceModel) -> None:
    """Part 2, chapter 2; and what is constant is neither written nor measured."""
    for one in model:
        for holder in one.attributes:
            assert holder.persistent is (holder.mutability is not Mutability.READ_ONLY), describe(one)
            assert not (holder.constant and holder.writable), describe(one)


def test_every_value_of_a_list_is_in_its_list(model: DeviceModel) -> None:
    """And every list has one, also those the layout fills."""
    for one in model:
        if one.characteristics.data_type in values.LISTS:
            assert one.characteristics.values, describe(one)
            assert values.check(one.actual or "", one.characteristics) == (one.actual or ""), describe(one)


def test_a_vendor_component_is_reportable_like_any_other(standard: Catalogue) -> None:
    """With its own variables, and Available and Enabled beside them."""
    noise = VariableSpec("Noise", DataType.DECIMAL, unit="dB", live=True, attributes={AttributeType.MAX_SET: "RW"})
    layout = Layout("V", "M", (EvseLayout(),), equipment=(Equipment("Microphone", evse_id=1, variables=(noise,)),))
    model = build(standard, layout)
    microphone = ComponentId("Microphone", evse_id=1)

    assert model.boolean(microphone, "Available")
    assert model.boolean(microphone, "Enabled")
    assert not isinstance(model.set_by_csms(microphone, VariableId("noise"), "70", AttributeType.MAX_SET), Refusal)


def test_equipment_at_an_evse_that_is_not_there_is_a_mistake(standard: Catalogue) -> None:
    """The configuration must not start with it."""
    with pytest.raises(IndexError):
        build(standard, Layout("V", "M", (EvseLayout(),), equipment=(Equipment("Heater", evse_id=2),)))


def test_an_open_variable_gets_its_instances_at_run_time(model: DeviceModel, standard: Catalogue) -> None:
    """ConnectedEV tells one protocol for each priority the car offers (part 2, 2.14.3)."""
    car, first = ComponentId("ConnectedEV", evse_id=2), VariableId("ProtocolSupportedByEV", "1")
    assert model.find(car, first) is Status.UNKNOWN_VARIABLE

    made = add_instance(model, standard, car, first)

    assert add_instance(model, standard, car, first) is made
    model.set_by_station(car, first, "urn:iso:15118:2:2013:MsgDef,2,0")
    assert model.text(car, "ProtocolSupportedByEV", "1").startswith("urn")
    with pytest.raises(LookupError):
        add_instance(model, standard, car, VariableId("VehicleID", "1"))


def test_instances_come_from_the_layout(standard: Catalogue) -> None:
    """Longer fields, vendor extensions: named by who built the station."""
    layout = Layout("V", "M", (EvseLayout(),), custom_vendors=("com.example",), field_lengths={"Authorize.idToken": 64})
    model = build(standard, layout)

    assert model.integer("OCPPCommCtrlr", "FieldLength", "Authorize.idToken") == 64
    assert model.boolean("CustomizationCtrlr", "CustomImplementationEnabled", "com.example")


def test_values_of_the_file_replace_the_defaults(model: DeviceModel) -> None:
    """Also of what the CSMS may only read; mistakes are told by their position, the rest is done."""
    given = [
        InitialValue(COMM, VariableId("offlinethreshold"), "120"),
        InitialValue(COMM, VariableId("OfflineThreshold"), "soon"),
        InitialValue(ComponentId("DeviceDataCtrlr"), VariableId("ItemsPerMessage", "GetVariables"), "20"),
        InitialValue(ComponentId("Nothing"), VariableId("X"), "1"),
        InitialValue(COMM, VariableId("OfflineThreshold"), "1", AttributeType.TARGET),
        InitialValue(ComponentId("SecurityCtrlr"), VariableId("BasicAuthPassword"), "short"),
    ]

    mistakes = configure(model, given)

    assert mistakes == [
        Mistake(1, "not an integer"),
        Mistake(3, "UnknownComponent"),
        Mistake(4, "NotSupportedAttributeType"),
        Mistake(5, "shorter than 16 characters"),
    ]
    assert model.integer("OCPPCommCtrlr", "OfflineThreshold") == 120
    model.restore()
    assert model.integer("OCPPCommCtrlr", "OfflineThreshold") == 120


def test_measurands_are_listed_once() -> None:
    """The 25 of MeasurandEnumType."""
    assert len(MEASURANDS) == len(set(MEASURANDS)) == 25
