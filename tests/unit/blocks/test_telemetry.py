"""What a meter shows, as variables: which number is whose."""

from __future__ import annotations

from device_model.model import Attribute, ComponentId, DeviceModel, Variable, VariableId
from device_model.values import Characteristics, DataType
from hal.api import MeterReading, PerPhase
from station.blocks.diagnostics import telemetry

POWER = VariableId("Power")
LINES = ("L1", "L2", "L3")
EVSE, METER = ComponentId("EVSE", "", 1), ComponentId("FiscalMetering", "", 1)
STATION, FEED = ComponentId("ChargingStation"), ComponentId("ElectricalFeed")
READING = MeterReading(
    sampled_at=0.0,
    energy_import_mwh=1_234_567,
    energy_export_mwh=10,
    power_import_w=7360.0,
    current_a=PerPhase(1.0, 2.0, 3.0),
    voltage_v=PerPhase(231.0, 232.0, None),
)


def model_of(place: ComponentId, *others: tuple[ComponentId, VariableId]) -> DeviceModel:
    """What may be measured at a place, and others."""
    names = (POWER, *(VariableId(name, line) for name in ("ACCurrent", "ACVoltage") for line in LINES))
    where = (*((place, name) for name in names), *others)
    return DeviceModel(Variable(at, name, Characteristics(DataType.DECIMAL), (Attribute(),)) for at, name in where)


def shown(model: DeviceModel) -> dict[str, str | None]:
    """All values by name."""
    return {f"{each.component.name}.{each.id.name}{each.id.instance}": each.actual for each in model}


def test_the_meter_of_an_evse_shows_what_flows_and_its_registers() -> None:
    """Registers in Wh, to the milliwatt-hour."""
    model = model_of(EVSE, (METER, telemetry.IMPORTED), (METER, telemetry.EXPORTED))

    telemetry.gauges(model.find, 1).show(telemetry.figures(READING))

    assert shown(model) == {
        "EVSE.Power": "7360",
        "EVSE.ACCurrentL1": "1",
        "EVSE.ACCurrentL2": "2",
        "EVSE.ACCurrentL3": "3",
        "EVSE.ACVoltageL1": "231",
        "EVSE.ACVoltageL2": "232",
        "EVSE.ACVoltageL3": "",
        "FiscalMetering.EnergyImportRegister": "1234.567",
        "FiscalMetering.EnergyExportRegister": "0.01",
    }


def test_the_main_meter_shows_the_feed_of_the_station() -> None:
    """Its registers are nobody's."""
    model = model_of(STATION, (FEED, POWER))

    telemetry.gauges(model.find, 0).show(telemetry.figures(READING))

    assert shown(model)["ElectricalFeed.Power"] == shown(model)["ChargingStation.Power"] == "7360"


def test_what_a_station_lacks_is_shown_nowhere_and_what_a_meter_lacks_is_unreadable() -> None:
    """A meter of one phase, and a model with a register alone."""
    register = Variable(METER, telemetry.IMPORTED, Characteristics(DataType.DECIMAL), (Attribute(),))
    model, whole = DeviceModel([register]), model_of(EVSE)
    lean = MeterReading(sampled_at=0.0, energy_import_mwh=5)

    telemetry.gauges(model.find, 1).show(telemetry.figures(lean))
    telemetry.gauges(whole.find, 1).show(telemetry.figures(lean))

    assert shown(model) == {"FiscalMetering.EnergyImportRegister": "0.005"}
    assert set(shown(whole).values()) == {""}
