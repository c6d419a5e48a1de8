"""The catalogue: complete, consistent, and the generated file up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from device_model import catalogue, values
from device_model.catalogue import Catalogue, ComponentSpec, VariableSpec
from device_model.values import Characteristics, DataType

CONTROLLERS = """
    AlignedDataCtrlr AuthCacheCtrlr AuthCtrlr CHAdeMOCtrlr ClockCtrlr CustomizationCtrlr DeviceDataCtrlr
    DisplayMessageCtrlr ISO15118Ctrlr LocalAuthListCtrlr MonitoringCtrlr OCPPCommCtrlr ReservationCtrlr SampledDataCtrlr
    SecurityCtrlr SmartChargingCtrlr TariffCostCtrlr TxCtrlr
"""
PHYSICAL = """
    AcDcConverter AcPhaseSelector AccessBarrier Actuator AirCoolingSystem AreaVentilation BayOccupancySensor
    BeaconLighting CPPWMController CableBreakawaySensor CaseAccessSensor ChargingStation ChargingStatusIndicator
    ConnectedEV Connector ConnectorHolsterRelease ConnectorHolsterSensor ConnectorPlugRetentionLock
    ConnectorProtectionRelease ControlMetering Controller DataLink Display DistributionPanel ELVSupply EVRetentionLock
    EVSE ElectricalFeed EmergencyStopSensor EnvironmentalLighting ExternalTemperatureSensor FiscalMetering FloodSensor
    GroundIsolationProtection Heater HumiditySensor LightSensor LiquidCoolingSystem LocalAvailabilitySensor
    LocalController LocalEnergyStorage OverCurrentProtection OverCurrentProtectionRecloser PowerContactor RCD
    RCDRecloser RealTimeClock ShockSensor SpacesCountSignage Switch TemperatureSensor TiltSensor TokenReader UIInput
    UpstreamProtectionTrigger VehicleIdSensor
"""
REQUIRED = """
    OCPPCommCtrlr.ActiveNetworkProfile OCPPCommCtrlr.FileTransferProtocols OCPPCommCtrlr.MessageTimeout[Default]
    OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent] OCPPCommCtrlr.MessageAttempts[TransactionEvent]
    OCPPCommCtrlr.NetworkConfigurationPriority OCPPCommCtrlr.NetworkProfileConnectionAttempts
    OCPPCommCtrlr.OfflineThreshold OCPPCommCtrlr.ResetRetries OCPPCommCtrlr.RetryBackOffRepeatTimes
    OCPPCommCtrlr.RetryBackOffRandomRange OCPPCommCtrlr.RetryBackOffWaitMinimum OCPPCommCtrlr.WebSocketPingInterval
    OCPPCommCtrlr.UnlockOnEVSideDisconnect
    DeviceDataCtrlr.ItemsPerMessage[GetReport] DeviceDataCtrlr.ItemsPerMessage[GetVariables]
    DeviceDataCtrlr.ItemsPerMessage[SetVariables] DeviceDataCtrlr.BytesPerMessage[GetReport]
    DeviceDataCtrlr.BytesPerMessage[GetVariables] DeviceDataCtrlr.BytesPerMessage[SetVariables]
    ClockCtrlr.DateTime ClockCtrlr.TimeSource
    SecurityCtrlr.OrganizationName SecurityCtrlr.CertificateEntries SecurityCtrlr.SecurityProfile
    AuthCtrlr.AuthorizeRemoteStart AuthCtrlr.LocalAuthorizeOffline AuthCtrlr.LocalPreAuthorize
    LocalAuthListCtrlr.Entries LocalAuthListCtrlr.ItemsPerMessage LocalAuthListCtrlr.BytesPerMessage
    TxCtrlr.EVConnectionTimeOut TxCtrlr.StopTxOnEVSideDisconnect TxCtrlr.StopTxOnInvalidId TxCtrlr.TxStartPoint
    TxCtrlr.TxStopPoint
    SampledDataCtrlr.TxStartedMeasurands SampledDataCtrlr.TxUpdatedMeasurands SampledDataCtrlr.TxUpdatedInterval
    SampledDataCtrlr.TxEndedMeasurands SampledDataCtrlr.TxEndedInterval
    AlignedDataCtrlr.Measurands AlignedDataCtrlr.Interval AlignedDataCtrlr.TxEndedMeasurands
    AlignedDataCtrlr.TxEndedInterval
    SmartChargingCtrlr.ProfileStackLevel SmartChargingCtrlr.RateUnit SmartChargingCtrlr.PeriodsPerSchedule
    SmartChargingCtrlr.Entries[ChargingProfiles] SmartChargingCtrlr.LimitChangeSignificance
    TariffCostCtrlr.TariffFallbackMessage TariffCostCtrlr.TotalCostFallbackMessage TariffCostCtrlr.Currency
    MonitoringCtrlr.ItemsPerMessage[SetVariableMonitoring] MonitoringCtrlr.BytesPerMessage[SetVariableMonitoring]
    DisplayMessageCtrlr.DisplayMessages DisplayMessageCtrlr.SupportedFormats DisplayMessageCtrlr.SupportedPriorities
    ISO15118Ctrlr.ContractValidationOffline
    ChargingStation.Available ChargingStation.AvailabilityState ChargingStation.SupplyPhases
    EVSE.Available EVSE.AvailabilityState EVSE.SupplyPhases EVSE.Power
    Connector.Available Connector.AvailabilityState Connector.SupplyPhases Connector.ConnectorType
"""


def full_name(component: ComponentSpec, variable: VariableSpec) -> str:
    """Component.Variable[instance]."""
    return f"{component.name}.{variable.name}" + (f"[{variable.instance}]" if variable.instance else "")


def test_the_generated_file_is_what_the_yaml_files_say(standard: Catalogue) -> None:
    """`python -m device_model.catalogue` was run after the last change."""
    assert catalogue.compile_yaml() == standard
    assert Path(catalogue.__file__).with_name("catalogue.json").read_bytes() == catalogue.generate()


def test_all_standardised_components_are_there(standard: Catalogue) -> None:
    """Appendices 1.4, chapter 3: 18 controllers and 56 physical components."""
    assert sorted(one.name for one in standard.components) == sorted(CONTROLLERS.split() + PHYSICAL.split())
    assert (len(CONTROLLERS.split()), len(PHYSICAL.split())) == (18, 56)


def test_the_required_variables_are_those_of_the_specification(standard: Catalogue) -> None:
    """Part 2, referenced components and variables; part 4, chapter 8; errata 2.57 and 2.66."""
    required = {
        full_name(component, one)
        for component in standard.components
        if component.name.endswith("Ctrlr") or component.name in {"ChargingStation", "EVSE", "Connector"}
        for one in component.variables
        if one.required
    }

    assert required == set(REQUIRED.split())


def test_the_catalogue_has_no_fewer_variables_than_it_had(standard: Catalogue) -> None:
    """Compared with the appendices when written: none of their variables was missing."""
    counts = {one.name: len(one.variables) for one in standard.components}

    assert sum(counts.values()) >= 549
    assert (counts["OCPPCommCtrlr"], counts["SecurityCtrlr"], counts["ClockCtrlr"]) == (20, 13, 11)
    assert len(standard.generic) >= 76


def test_no_variable_is_in_a_component_twice(standard: Catalogue) -> None:
    """Names differ by more than case."""
    for component in standard.components:
        keys = [(one.name.casefold(), one.instance.casefold()) for one in component.variables]
        assert len(keys) == len(set(keys)), component.name


@pytest.mark.req("B08.FR.08", "B08.FR.09")
def test_every_component_can_tell_whether_it_is_available_and_enabled(standard: Catalogue) -> None:
    """Part 2, 2.13.1, and the chapter on controllers."""
    for component in standard.components:
        assert {"Available", "Enabled"} <= {one.name for one in component.variables}, component.name


def test_every_default_is_a_value_of_its_variable(standard: Catalogue) -> None:
    """What the station starts with, the CSMS could have set."""
    for component in standard.components:
        for one in component.variables:
            if not one.default or one.values_source:
                continue
            by = Characteristics(one.type, one.unit, one.min, one.max, one.values, pattern=one.pattern)
            assert values.check(one.default, by) == one.default, full_name(component, one)


def test_every_list_has_values_and_a_default(standard: Catalogue) -> None:
    """TC_B_53_CS: a list without a values list, or with a value outside it, is a fault."""
    for component in standard.components:
        for one in component.variables:
            if one.type in values.LISTS:
                assert one.values or one.values_source, full_name(component, one)
            if one.type is DataType.OPTION_LIST:
                assert one.default in one.values, full_name(component, one)


def test_the_values_lists_fit_into_a_report(standard: Catalogue) -> None:
    """VariableCharacteristicsType: valuesList up to 1000, unit up to 16, names up to 50 characters."""
    for component in standard.components:
        for one in component.variables:
            assert len(",".join(one.values)) <= 1000
            assert len(one.unit or "") <= 16
            assert max(len(component.name), len(one.name), len(one.instance)) <= 50


def test_defaults_are_known_without_a_station(standard: Catalogue) -> None:
    """Blocks may ask for what was not built; what nobody knows is a bug."""
    default = standard.defaults()
    assert default("reservationctrlr", "ENABLED", "") == "true"
    assert default("AuthCtrlr", "MasterPassGroupId", "") == ""
    assert default("AuthCtrlr", "NoSuchVariable", "") is None
    assert default("NoSuchCtrlr", "Enabled", "") is None


def test_a_mistake_in_a_yaml_file_names_the_file(tmp_path: Path) -> None:
    """The author of a component sees where to look."""
    (tmp_path / "mine.yaml").write_text(
        "generic: {Available: {type: boolean}, Enabled: {type: boolean}}\n"
        "MyCtrlr:\n  variables:\n    Speed: {type: integer, acces: RW}\n"
    )

    with pytest.raises(ValueError, match=r"mine\.yaml: MyCtrlr: .*acces"):
        catalogue.compile_yaml(tmp_path)
