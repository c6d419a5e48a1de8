"""Sensors and components of station.yaml: what they become in the device model, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from device_model import catalogue
from device_model.build import build
from device_model.model import ComponentId, Variable, VariableId
from hal.api import Fault
from station.blocks.smart_charging.derating import Curve
from station.blocks.smart_charging.external import Fed, Signal
from station.config import load
from station.setup import FEATURES
from station.shell.easing import Gentleness
from station.shell.guards import Guard
from station.shell.outlet import Timing
from station.shell.wiring import LampEntry
from tests.unit.test_config import GOOD, Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """With a password."""
    return Folder(tmp_path)


def sensors(*entries: str) -> str:
    """A file whose simulated station has these sensors."""
    return (
        GOOD
        + "sensors:\n"
        + "".join(f"  s{n}: {{driver: sim, world: simulator, {e}}}\n" for n, e in enumerate(entries, 1))
    )


def variable(folder: Folder, text: str, component: ComponentId, named: VariableId) -> Variable:
    """What the station of this file has."""
    model = build(catalogue.load(), folder.load(text).layout, FEATURES)
    found = model.find(component, named)
    assert isinstance(found, Variable), found
    return found


@pytest.mark.parametrize(
    "entry, component, named, unit",
    [
        (
            "component: TemperatureSensor, variable: Temperature",
            ComponentId("TemperatureSensor"),
            "Temperature",
            "Celsius",
        ),
        ("component: Controller, variable: Temperature", ComponentId("Controller"), "Temperature", "Celsius"),
        ("component: RCD, evse: 2, variable: Tripped", ComponentId("RCD", "", 2), "Tripped", None),
        (
            "component: AirCoolingSystem, instance: Rear, variable: FanSpeed",
            ComponentId("AirCoolingSystem", "Rear"),
            "FanSpeed",
            "RPM",
        ),
        (
            "component: Connector, evse: 1, connector: 1, variable: Temperature",
            ComponentId("Connector", "", 1, 1),
            "Temperature",
            "Celsius",
        ),
        ("component: DataLink, variable: SignalStrength, unit: dbm", ComponentId("DataLink"), "SignalStrength", "dBm"),
    ],
)
def test_what_a_sensor_names_is_made(
    folder: Folder, entry: str, component: ComponentId, named: str, unit: str | None
) -> None:
    """Equipment of the catalogue with all its variables, or one more variable of what is there anyway."""
    assert variable(folder, sensors(entry), component, VariableId(named)).characteristics.unit == unit


def test_one_phase_is_meant_by_the_instance_of_the_variable(folder: Folder) -> None:
    """Variables with instances are fed like any other."""
    entry = "component: ChargingStation, variable: ACVoltage, variable_instance: L2"
    part = folder.load(sensors(entry)).setup("PowerUp").parts["s1"]

    assert part.component == ComponentId("ChargingStation")
    assert part.variable == VariableId("ACVoltage", "L2")


OWN = """\
components:
  - name: PowerModule
    instance: "1"
    evse: 2
    variables:
      - {name: Temperature, max: 90}
      - {name: Cycles, type: integer, min: 0}
      - {name: Batch, value: "2026-11"}
      - {name: Mode, type: OptionList, values: [Eco, Boost], access: RW, value: Eco}
"""


def test_a_vendors_component_is_described_and_fed(folder: Folder) -> None:
    """Generic names bring their unit; what has no value and cannot be written may be measured."""
    text = sensors("component: PowerModule, instance: '1', evse: 2, variable: Cycles") + OWN
    module = ComponentId("PowerModule", "1", 2)

    temperature = variable(folder, text, module, VariableId("Temperature"))
    mode = variable(folder, text, module, VariableId("Mode"))

    assert (temperature.characteristics.unit, temperature.characteristics.max_limit) == ("Celsius", 90)
    assert mode.characteristics.values == ("Eco", "Boost")
    assert mode.actual == "Eco"
    assert variable(folder, text, module, VariableId("Batch")).actual == "2026-11"
    assert variable(folder, text, module, VariableId("Available")).actual == "true"


def test_every_board_meter_and_reader_has_its_component(folder: Folder) -> None:
    """Also by the copy that spares the next start the parser."""
    config = folder.load()
    config.state.mkdir()
    config.remember()

    for each in (config, load(folder.file)):
        parts = each.setup("PowerUp").parts
        assert parts["simulator"].component == ComponentId("Controller", "simulator")
        assert parts["meter-2"].component == ComponentId("FiscalMetering", "", 2)
        assert parts["reader"].component == ComponentId("TokenReader")
        model = build(catalogue.load(), each.layout, FEATURES)
        assert all(model.has(part.component) for part in parts.values())


@pytest.mark.parametrize(
    "entry, expected",
    [
        (
            "component: TemperatureSensr, variable: Temperature",
            ":9: sensors.s1.component: no component is called 'TemperatureSensr' - did you mean 'TemperatureSensor'",
        ),
        ("component: Zzz, variable: Temperature", "a vendor's own is described by `components:`"),
        (
            "component: TemperatureSensor, variable: Temperatur",
            "s1.variable: TemperatureSensor has no variable 'Temperatur' - did you mean 'Temperature'?",
        ),
        (
            "component: ConnectedEV, evse: 1, instance: X, variable: Temperature",
            "this station has no ConnectedEV there",
        ),
        (
            "component: OCPPCommCtrlr, variable: HeartbeatInterval",
            "OCPPCommCtrlr.HeartbeatInterval is told by the agent itself",
        ),
        (
            "component: OCPPCommCtrlr, variable: ActiveNetworkProfile",
            "OCPPCommCtrlr.ActiveNetworkProfile is told by the agent",
        ),
        ("component: EVSE, evse: 1, variable: AvailabilityState", "EVSE.AvailabilityState is told by the agent itself"),
        ("component: EVSE, evse: 1, variable: Power", "EVSE.Power is told by the agent itself"),
        ("component: CPPWMController, evse: 1, variable: State", "CPPWMController.State is told by the agent itself"),
        ("component: Controller, variable: SerialNumber", "Controller.SerialNumber is not measured"),
        (
            "component: ChargingStation, variable: ACVoltage, variable_instance: L4",
            "ChargingStation has no variable 'ACVoltage[L4]'",
        ),
        ("component: RCD, evse: 3, variable: Tripped", "sensors.s1.evse: no EVSE 3 - there are 2"),
        ("component: RCD, evse: 1, connector: 2, variable: Tripped", "EVSE 1 has no connector 2 - it has 1"),
        ("component: RCD, connector: 1, variable: Tripped", "a connector of no EVSE"),
        (
            "component: Controller, variable: Temperature, unit: RPM",
            "the sensor measures RPM, Controller.Temperature is in Celsius",
        ),
        ("component: RCD, variable: Tripped, unit: V", "the sensor measures V, RCD.Tripped is true or false"),
    ],
)
def test_a_sensor_that_can_feed_nothing_is_refused(folder: Folder, entry: str, expected: str) -> None:
    """At its line, with a remedy, before anything runs."""
    assert expected in "\n".join(folder.mistakes(sensors(entry)))


def test_two_sensors_for_one_variable_are_refused(folder: Folder) -> None:
    """They would overwrite each other."""
    entry = "component: Controller, variable: Temperature"

    assert folder.mistakes(sensors(entry, entry)) == [
        "station.yaml:10: sensors.s2: 's1' feeds the same variable - one sensor for each variable"
    ]


def test_a_simulated_sensor_is_told_at_its_place(folder: Folder) -> None:
    """Its entry is one of a list."""
    text = GOOD.replace("{evses: 2}", "{evses: 2, sensors: [{component: Nothing, variable: Temperature}]}")

    assert "simulator.sensors[1].component: no component is called 'Nothing'" in "\n".join(folder.mistakes(text))


def test_a_component_at_an_evse_that_is_not_there_is_refused(folder: Folder) -> None:
    """At its own place."""
    told = folder.mistakes(GOOD + OWN.replace("evse: 2", "evse: 7"))

    assert told == ["station.yaml:11: components[1].evse: no EVSE 7 - there are 2"]


def test_a_sensor_may_limit_the_station(folder: Folder) -> None:
    """A contact of the grid operator for all EVSEs, a value of an energy manager for one."""
    text = sensors(
        "component: GridContact, variable: Active, value: false",
        "component: Manager, variable: Current, value: 16, unit: A",
    )
    text += "components: [{name: GridContact, variables: [{name: Active, access: RO}]}, "
    text += "{name: Manager, variables: [{name: Current, type: decimal, unit: A, access: RO}]}]\n"
    text += "supply: {signals: [{sensor: s1, max_current_a: 6}, {sensor: s2, evse: 1, source: EMS}]}\n"

    setup = folder.load(text).setup("PowerUp")

    assert setup.signals == (
        Signal(fed=Fed("GridContact", "Active"), amperes=6.0),
        Signal(fed=Fed("Manager", "Current"), source="EMS", evse_id=1),
    )


def test_a_lamp_stands_for_an_evse(folder: Folder) -> None:
    """Which must be said, and be there."""
    lamps = "lamps: {left: {driver: led, evse: 2, green: a:green:status}}\n"

    config = folder.load(GOOD + lamps)

    assert config.wiring.lamps == (LampEntry(device="left", evse_id=2),)
    assert config.wiring.devices[-1].options == {"green": "a:green:status"}
    assert folder.mistakes(GOOD + lamps.replace("evse: 2", "evse: 3")) == [
        "station.yaml:8: lamps.left.evse: no EVSE 3 - there are 2"
    ]
    assert "lamps.left" in folder.mistakes(GOOD + lamps.replace("evse: 2, ", ""))[0]


TEMPERATURE = "component: TemperatureSensor, variable: Temperature, value: 20.5, unit: Celsius"


def test_a_sensor_may_mean_a_fault_or_less_current(folder: Folder) -> None:
    """At its EVSE, or at every one; then it is read more often, unless the file says how often."""
    text = sensors(
        f"{TEMPERATURE}, evse: 2, fault: OverTemperature, above: 90, until: 70, period_s: 2",
        f"{TEMPERATURE}, derate: {{from_c: 60, to_c: 80}}",
        "component: EmergencyStopSensor, variable: Tripped, value: false, fault: EmergencyStop",
        "component: RCD, variable: Tripped, value: false",
    )

    config = folder.load(text)

    entries = {entry.device: entry for entry in config.wiring.sensors}
    hot = Guard(device="s1", fault=Fault.OVER_TEMPERATURE, evse_ids=(2,), above=90.0, until=70.0)
    stop = Guard(device="s3", fault=Fault.EMERGENCY_STOP, evse_ids=(1, 2))
    assert [entries[f"s{n}"].guard for n in (1, 2, 3, 4)] == [hot, None, stop, None]
    assert [entries[f"s{n}"].period_s for n in (1, 2, 3, 4)] == [2, 5, 5, 60]
    fed = Fed("TemperatureSensor", "Temperature")
    assert config.setup("PowerUp").curves == (Curve(device="s2", fed=fed, evse_ids=(1, 2), from_c=60.0, to_c=80.0),)


@pytest.mark.parametrize(
    "entry, mistake",
    [
        (f"{TEMPERATURE}, above: 90", "sensors.s1.above: a limit of no fault"),
        (f"{TEMPERATURE}, fault: OverTemperature, above: 90, until: 90", "sensors.s1.until: does not lie below"),
        (f"{TEMPERATURE}, fault: OverTemperature, until: 90", "sensors.s1.until: does not lie below"),
        (f"{TEMPERATURE}, derate: {{from_c: 80, to_c: 80}}", "sensors.s1.derate.to_c: does not lie above"),
        (f"{TEMPERATURE}, derate: {{from_c: 80}}", "sensors.s1.derate"),
        (f"{TEMPERATURE}, fault: Fire", "sensors.s1.fault"),
    ],
)
def test_what_a_sensor_cannot_mean_is_a_mistake(folder: Folder, entry: str, mistake: str) -> None:
    """At its own line."""
    assert mistake in "\n".join(folder.mistakes(sensors(entry)))


def test_how_gently_current_changes_stands_under_supply(folder: Folder) -> None:
    """And is what the hardware thread is given."""
    gentle = folder.load(GOOD + "supply: {ramp_a_per_s: 2, phase_pause_s: 10, phase_dwell_s: 300}\n").timing.gentle

    assert gentle == Gentleness(ramp_a_per_s=2.0, phase_pause_s=10.0, phase_dwell_s=300.0)
    assert folder.load(GOOD).timing == Timing()


@pytest.mark.parametrize(
    "signals, mistake",
    [
        ("[{sensor: nobody}]", "supply.signals[1].sensor: no sensor 'nobody'"),
        ("[{sensor: s1, evse: 9}]", "supply.signals[1].evse: no EVSE 9"),
        ("[{sensor: s1}, {sensor: s2}]", "supply.signals[2]: another signal of SO limits the same"),
        ("[{sensor: s1}, {sensor: s1, source: EMS}]", "'s1' gives another signal already"),
    ],
)
def test_a_signal_that_nobody_gives_or_that_is_given_twice_is_a_mistake(
    folder: Folder, signals: str, mistake: str
) -> None:
    temperature = "component: TemperatureSensor, variable: Temperature"
    text = sensors(temperature, f"{temperature}, evse: 1")

    (found,) = folder.mistakes(text + f"supply: {{signals: {signals}}}\n")

    assert mistake in found
