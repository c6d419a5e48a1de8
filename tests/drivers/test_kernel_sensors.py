"""hwmon chips and 1-wire thermometers: found by name, and never a number that was not measured."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hal import contract
from hal.api import SensorInfo, SensorReading
from hal.context import DriverContext
from hal.drivers import hwmon, kernel_files, w1_therm
from hal.errors import BadOptions, BadReply, DeviceError, NotFound, Timeout
from hal.registry import Registry
from tests.drivers.emulators.kernel_tree import HwmonTree, W1Tree


class Rig:
    """A sensor and its tree of files."""

    kind = "sensor"

    def __init__(
        self, driver: str, options: dict[str, object], plug: Callable[[], Any], unplug: Callable[[], Any]
    ) -> None:
        self._driver, self._options, self._plug, self._unplug = driver, options, plug, unplug

    def build(self, **options: object) -> Any:
        """A new driver for the same device."""
        return build(self._driver, **{**self._options, **options})

    def clock(self) -> float:
        """Real time."""
        return time.monotonic()

    async def wait(self, seconds: float) -> None:
        """Really wait."""
        await asyncio.sleep(seconds)

    async def unplug_device(self, *, gone: bool) -> None:
        """Its folder goes or comes."""
        (self._unplug if gone else self._plug)()


def build(driver: str, **options: object) -> Any:
    """A sensor."""
    return Registry().build("sensor", driver, "heat", options, DriverContext(time.monotonic, {}))


def read(sensor: Any) -> float | bool | str:
    """Opened, read once, closed."""

    async def once() -> SensorReading:
        await sensor.open()
        try:
            reading: SensorReading = await sensor.read()
        finally:
            await sensor.close()
        return reading

    return asyncio.run(once()).value


@pytest.fixture
def chips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HwmonTree:
    """Two equal thermometers, and a fan."""
    tree = HwmonTree(tmp_path)
    monkeypatch.setattr(hwmon, "FOLDER", tree.folder)
    fill(tree)
    return tree


def fill(tree: HwmonTree) -> None:
    """What the kernel found."""
    tree.add("pwmfan", "fan", fan1_input=2400)
    tree.add("lm75", "1-0048", temp1_input=42500)
    tree.add("lm75", "1-0049", temp1_input=-1250)
    tree.add("ina3221", "1-0040", in1_input=12050, in1_label="VIN", in2_input=5010, in2_label="5V", curr1_input=815)


@pytest.fixture
def wire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> W1Tree:
    """A DS18B20."""
    tree = W1Tree(tmp_path)
    monkeypatch.setattr(w1_therm, "FOLDER", tree.folder)
    return tree


@pytest.mark.parametrize("check", contract.checks("sensor"), ids=lambda check: check.promise)
@pytest.mark.parametrize("driver", ["hwmon", "w1"])
def test_the_driver_keeps_the_contract(chips: HwmonTree, wire: W1Tree, driver: str, check: contract.Check) -> None:
    """Nothing is skipped."""
    rig = {
        "hwmon": Rig("hwmon", {"chip": "pwmfan", "channel": "fan1"}, lambda: fill(chips), chips.clear),
        "w1": Rig("w1", {"address": wire.address}, wire.do_plug, wire.do_unplug),
    }[driver]
    assert asyncio.run(contract.run_one(check, rig)) == (check.promise, "passed", "")


@pytest.mark.parametrize(
    "options, value, unit",
    [
        ({"chip": "pwmfan", "channel": "fan1"}, 2400, "RPM"),
        ({"chip": "lm75", "device": "1-0048", "channel": "temp1"}, 42.5, "Celsius"),
        ({"chip": "lm75", "device": "1-0049", "channel": "temp1"}, -1.25, "Celsius"),
        ({"chip": "ina3221", "label": "5V", "kind": "in"}, 5.01, "V"),
        ({"chip": "ina3221", "channel": "curr1"}, 0.815, "A"),
    ],
)
@pytest.mark.usefixtures("chips")
def test_a_channel_is_found_by_its_names_and_read_in_its_unit(
    options: dict[str, object], value: float, unit: str
) -> None:
    """Chip, place, and channel or label."""
    sensor = build("hwmon", **options)
    assert read(sensor) == pytest.approx(value)
    assert sensor.info == SensorInfo(unit)


def test_numbers_that_change_at_the_next_boot_do_not_matter(chips: HwmonTree) -> None:
    """hwmon1 is another chip now."""
    sensor = build("hwmon", chip="lm75", device="1-0048", channel="temp1")
    assert read(sensor) == 42.5

    chips.clear()
    chips.add("lm75", "1-0049", temp1_input=10000)
    chips.add("lm75", "1-0048", temp1_input=43000)
    chips.add("pwmfan", "fan", fan1_input=0)

    assert read(sensor) == 43


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"chip": "lm75", "channel": "temp1"}, "several chips lm75: say which by `device`"),
        ({"chip": "lm76", "channel": "temp1"}, "no chip lm76 in"),
        ({"chip": "lm75", "device": "1-004a", "channel": "temp1"}, "no chip lm75 at 1-004a"),
        ({"chip": "ina3221", "label": "3V3", "kind": "in"}, "no in channel labelled '3V3'"),
        ({"chip": "pwmfan", "channel": "fan2"}, "fan2_input cannot be read"),
    ],
)
@pytest.mark.usefixtures("chips")
def test_what_is_not_there_is_told_by_its_name(options: dict[str, object], reason: str) -> None:
    """With what to do about it."""
    with pytest.raises(NotFound, match=reason):
        read(build("hwmon", **options))


def test_a_broken_wire_is_no_temperature(chips: HwmonTree) -> None:
    """The chip tells that its diode is open, and gives a number all the same."""
    chips.add("max6697", "1-001a", temp2_input=-64000, temp2_fault=1)
    with pytest.raises(BadReply, match="not connected"):
        read(build("hwmon", chip="max6697", channel="temp2"))


def test_a_chip_that_does_not_answer_is_no_number(chips: HwmonTree) -> None:
    """Neither what stood there before."""
    chip = chips.add("sht3x", "1-0044", temp1_input="")
    with pytest.raises(BadReply, match="not an integer"):
        read(build("hwmon", chip="sht3x", channel="temp1"))
    (chip / "temp1_input").unlink()
    (chip / "temp1_input").mkdir()
    with pytest.raises(BadReply, match="Is a directory"):
        read(build("hwmon", chip="sht3x", channel="temp1"))


def test_a_bus_that_hangs_keeps_nobody_waiting(chips: HwmonTree, monkeypatch: pytest.MonkeyPatch) -> None:
    """The read is given up, other work goes on meanwhile, and what the thread finds later troubles nobody."""
    monkeypatch.setattr(kernel_files, "READ_S", 0.05)
    chip = chips.add("slow", "1-0050")
    os.mkfifo(chip / "temp1_input")

    async def scenario() -> None:
        sensor = build("hwmon", chip="slow", channel="temp1")
        with pytest.raises(Timeout, match="gives nothing"):
            await sensor.open()
        (chip / "temp1_input").write_text("1000\n", "ascii")  # a pipe: now the reader's thread can end

    asyncio.run(scenario())


@pytest.mark.parametrize("celsius", [23.125, -10.125, 0.0, 85.0625])
def test_a_thermometer_is_read_in_degrees(wire: W1Tree, celsius: float) -> None:
    """Above and below zero, and zero itself."""
    wire.do_measure(celsius)
    assert read(build("w1", address=wire.address)) == pytest.approx(celsius, abs=0.001)


@pytest.mark.parametrize("trouble, reason", [("damage", "damaged"), ("short", "shorted"), ("starve", "lost its power")])
def test_what_looks_like_a_temperature_and_is_none(wire: W1Tree, trouble: str, reason: str) -> None:
    """The check fails, only zeros, the number of power-on."""
    getattr(wire, f"do_{trouble}")()
    with pytest.raises(BadReply, match=reason):
        read(build("w1", address=wire.address))


def test_85_degrees_that_were_measured_are_believed(wire: W1Tree) -> None:
    """A charger may be so hot."""
    wire.do_boil()
    assert read(build("w1", address=wire.address)) == 85


@pytest.mark.parametrize(
    "driver, options, place",
    [
        ("hwmon", {"chip": "lm75"}, ".channel"),
        ("hwmon", {"chip": "lm75", "channel": "temp1", "label": "cpu"}, ".channel"),
        ("hwmon", {"chip": "lm75", "channel": "pwm1"}, ".channel"),
        ("w1", {"address": "28-0316A2794AFF"}, ".address"),
    ],
)
def test_a_mistake_names_its_place(driver: str, options: dict[str, object], place: str) -> None:
    """Found when the driver is built."""
    with pytest.raises(BadOptions, match=place):
        build(driver, **options)


def test_errors_are_what_the_caller_can_act_on() -> None:
    """Not open: NotFound, as for every device."""
    with pytest.raises(DeviceError, match="is not open"):
        asyncio.run(build("hwmon", chip="lm75", channel="temp1").read())


def test_a_bus_that_hangs_holds_one_thread_and_not_one_for_each_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that nobody writes to, as long as it lasts; then it is read again."""
    monkeypatch.setattr(kernel_files, "READ_S", 0.05)
    path = tmp_path / "temp9_input"
    os.mkfifo(path)

    def waiting() -> int:
        return sum(thread.name == f"read {path.name}" for thread in threading.enumerate())

    async def scenario() -> None:
        for _ in range(3):
            with pytest.raises(Timeout, match="gives nothing"):
                await kernel_files.read("heat", path)
            assert waiting() == 1

        path.write_text("1", "ascii")  # whoever hung reads that
        for _ in range(1000):
            if not waiting():
                break
            await asyncio.sleep(0.005)
        path.unlink()
        path.write_text("42500", "ascii")
        assert await kernel_files.read("heat", path) == "42500"

    asyncio.run(scenario())
