"""What sensors measure and devices say of themselves is in the device model at once, and never on the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from device_model.build import Equipment
from device_model.catalogue import load
from device_model.model import ComponentId, VariableId
from hal.api import Identity
from station.facts import DeviceIdentified, DeviceLost, DeviceReturned, SensorRead
from station.inputs import Happened
from station.state.equipment import Part
from tests.bench import MEASURANDS, Bench
from tests.scenarios.variables import asked as named
from tests.scenarios.variables import entries, get, get_all, set_all

GENERIC = {one.name: one for one in load().generic}
BOARD = Equipment("Controller", "left", variables=tuple(GENERIC[n] for n in ("Active", "Problem", "FirmwareVersion")))
TEXT = GENERIC["DataText"]
PARTS = {
    "left": Part(ComponentId("Controller", "left")),
    "meter": Part(ComponentId("FiscalMetering", "", 1)),
    "reader": Part(ComponentId("TokenReader")),
    "heat": Part(ComponentId("TemperatureSensor", "", 1), VariableId("Temperature")),
    "flood": Part(ComponentId("FloodSensor"), VariableId("Tripped")),
    "level": Part(ComponentId("FloodSensor"), VariableId("Percent")),
}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A station with a few sensors."""
    equipment = (Equipment("TemperatureSensor", evse_id=1), Equipment("FloodSensor"), BOARD)
    return Bench(tmp_path, layout={"equipment": equipment}, parts=PARTS)


def happen(bench: Bench, *facts: object) -> None:
    bench._do(bench.station.exchange.give(Happened(facts), bench.now))
    bench.settle()


def read(bench: Bench, component: str, variable: str, value: str, **more: Any) -> None:
    """A sensor has measured."""
    happen(bench, SensorRead(component=component, variable=variable, value=value, at=bench.now.instant, **more))


def of_board(bench: Bench, variable: str) -> str:
    """A variable of the board."""
    element = named(f"Controller.{variable}")
    element["component"]["instance"] = "left"
    (result,) = get_all(bench, element)
    assert result["attributeStatus"] == "Accepted", result
    return str(result["attributeValue"])


def test_a_measured_value_is_read_back_at_once(bench: Bench) -> None:
    """Each new one, also beyond what is usual."""
    read(bench, "TemperatureSensor", "Temperature", "21.5", evse_id=1)
    assert get(bench, "TemperatureSensor.Temperature", evse=1) == "21.5"
    assert get(bench, "TemperatureSensor.Active", evse=1) == "true"

    read(bench, "TemperatureSensor", "Temperature", "-300", evse_id=1)
    assert get(bench, "TemperatureSensor.Temperature", evse=1) == "-300"


def test_one_phase_of_several_is_fed(bench: Bench) -> None:
    """By the instance of the variable."""
    read(bench, "ChargingStation", "ACVoltage", "231.2", variable_instance="L1")

    assert get(bench, "ChargingStation.ACVoltage[L1]") == "231.2"
    assert get(bench, "ChargingStation.ACVoltage[L2]") == ""


def test_a_line_that_is_on_is_true(bench: Bench) -> None:
    """Inputs of a controller are numbers."""
    read(bench, "FloodSensor", "Tripped", "1")
    assert get(bench, "FloodSensor.Tripped") == "true"

    read(bench, "FloodSensor", "Tripped", "0")
    assert get(bench, "FloodSensor.Tripped") == "false"


@pytest.mark.parametrize("value", ["warm", "1e3", "nan", ""])
def test_what_is_no_value_cannot_be_read(bench: Bench, value: str, caplog: pytest.LogCaptureFixture) -> None:
    """An old value is not told as the present one; the log says so once."""
    read(bench, "TemperatureSensor", "Temperature", "21.5", evse_id=1)

    for _ in range(3):
        read(bench, "TemperatureSensor", "Temperature", value, evse_id=1)

    assert get(bench, "TemperatureSensor.Temperature", evse=1) == ""
    assert [record.message for record in caplog.records].count("sensor.unusable") == 1


def test_a_sensor_of_nothing_disturbs_nobody(bench: Bench) -> None:
    """A simulated one may name what it likes."""
    read(bench, "Cabinet", "Humour", "good")
    read(bench, "TemperatureSensor", "Humour", "good", evse_id=1)

    assert get(bench, "ChargingStation.Problem") == "false"


def test_a_lost_sensor_is_a_problem_and_its_value_cannot_be_read(bench: Bench) -> None:
    """Until it is back; the other sensor of the component has its own value."""
    read(bench, "FloodSensor", "Tripped", "true")
    read(bench, "FloodSensor", "Percent", "5")

    happen(bench, DeviceLost(device="flood", evse_ids=(), reason="gone", at=bench.now.instant))
    happen(bench, DeviceLost(device="level", evse_ids=(), reason="gone", at=bench.now.instant))
    happen(bench, DeviceReturned(device="level", evse_ids=(), at=bench.now.instant))
    read(bench, "FloodSensor", "Percent", "6")

    assert get(bench, "FloodSensor.Tripped") == ""
    assert get(bench, "FloodSensor.Percent") == "6"


@pytest.mark.parametrize("device, name, evse", [("reader", "TokenReader", None), ("meter", "FiscalMetering", 1)])
def test_a_lost_device_is_a_problem_of_its_component(bench: Bench, device: str, name: str, evse: int | None) -> None:
    """And none once it answers."""
    happen(bench, DeviceLost(device=device, evse_ids=(), reason="gone", at=bench.now.instant))
    assert get(bench, f"{name}.Problem", evse=evse) == "true"

    happen(bench, DeviceReturned(device=device, evse_ids=(), at=bench.now.instant))
    assert get(bench, f"{name}.Problem", evse=evse) == "false"


def test_a_board_is_a_controller_of_its_own(bench: Bench) -> None:
    """With its firmware, and inactive while it is lost; the agent's own controller is another."""
    who = Identity("Acme", "Pilot", "7", "2.1\x07")
    happen(bench, DeviceIdentified(device="left", kind="board", evse_ids=(1, 2), identity=who))
    assert of_board(bench, "FirmwareVersion") == "2.1?"
    assert get(bench, "Controller.FirmwareVersion") == "1.0"

    happen(bench, DeviceLost(device="left", evse_ids=(1, 2), reason="gone", at=bench.now.instant, board=True))
    assert (of_board(bench, "Active"), of_board(bench, "Problem")) == ("false", "true")

    happen(bench, DeviceReturned(device="left", evse_ids=(1, 2), at=bench.now.instant, board=True))
    assert (of_board(bench, "Active"), of_board(bench, "Problem")) == ("true", "false")


def test_meters_and_readers_say_who_they_are(bench: Bench) -> None:
    """What they do not say stays empty; a device that is not in the model is passed over."""
    meter = Identity("Eastron", "SDM630", "123456", "")
    happen(
        bench,
        DeviceIdentified(device="meter", kind="meter", evse_ids=(1,), identity=meter),
        DeviceIdentified(device="reader", kind="reader", evse_ids=(1, 2), identity=Identity("NXP", "PN532", "", "1.6")),
        DeviceIdentified(device="grid", kind="meter", evse_ids=(), identity=meter),
    )

    assert get(bench, "FiscalMetering.Manufacturer[Meter]", evse=1) == "Eastron"
    assert get(bench, "FiscalMetering.SerialNumber[Meter]", evse=1) == "123456"
    assert get(bench, "FiscalMetering.FirmwareVersion[Meter]", evse=1) == ""
    assert get(bench, "FiscalMetering.SerialNumber[Meter]", evse=2) == ""
    assert get(bench, "TokenReader.FirmwareVersion") == "1.6"


@pytest.mark.parametrize("size, told", [("100", 100), ("2500", 300)])
def test_long_values_end_where_reporting_value_size_says(tmp_path: Path, size: str, told: int) -> None:
    """In answers, reports and events alike."""
    variables = {"DeviceDataCtrlr.ReportingValueSize": size}
    bench = Bench(tmp_path, variables=variables, layout={"equipment": (Equipment("UIInput", variables=(TEXT,)),)})
    wanted = {"component": {"name": "UIInput"}, "variable": {"name": "DataText"}}
    delta = {**wanted, "value": 1.0, "type": "Delta", "severity": 5}
    read(bench, "UIInput", "DataText", "short")
    (set_,) = bench.csms.call("SetVariableMonitoring", {"setMonitoringData": [delta]})["setMonitoringResult"]
    assert set_["status"] == "Accepted"

    read(bench, "UIInput", "DataText", "x" * 300)

    assert len(get(bench, "UIInput.DataText")) == told
    bench.csms.call("GetReport", {"requestId": 7, "componentVariable": [wanted]})
    (entry,) = entries(bench, 7)
    assert len(entry["variableAttribute"][0]["value"]) == told
    (event,) = [event for message in bench.csms.received("NotifyEvent") for event in message["eventData"]]
    assert len(event["actualValue"]) == told


def test_longer_values_than_configuration_value_size_are_not_taken(tmp_path: Path) -> None:
    """And no list is told that is longer; its members stay whole."""
    bench = Bench(tmp_path, variables={"DeviceDataCtrlr.ConfigurationValueSize": "40"})
    element = named("AuthCtrlr.MasterPassGroupId", attributeValue="x" * 41)
    (refused,) = set_all(bench, named("SampledDataCtrlr.TxUpdatedMeasurands", attributeValue=",".join(MEASURANDS)))
    (mute,) = set_all(bench, element)

    assert refused["attributeStatus"] == mute["attributeStatus"] == "Rejected"
    assert refused["attributeStatusInfo"]["reasonCode"] == "TooLargeElement"
    wanted = {"component": {"name": "SampledDataCtrlr"}, "variable": {"name": "TxUpdatedMeasurands"}}
    bench.csms.call("GetReport", {"requestId": 8, "componentVariable": [wanted]})
    (entry,) = entries(bench, 8)
    assert entry["variableCharacteristics"]["valuesList"] == "Current.Import"


def test_nothing_of_it_is_written(bench: Bench) -> None:
    """A temperature each second for a day would wear the flash out."""
    bench.advance(minutes=2)
    before = (bench.path / "station.db-wal").read_bytes()

    for degrees in range(200):
        read(bench, "TemperatureSensor", "Temperature", str(degrees), evse_id=1)
    happen(bench, DeviceLost(device="heat", evse_ids=(1,), reason="gone", at=bench.now.instant))
    happen(bench, DeviceIdentified(device="meter", kind="meter", evse_ids=(1,), identity=Identity("a", "b", "c", "d")))

    assert (bench.path / "station.db-wal").read_bytes() == before
