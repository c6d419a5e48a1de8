"""The driver to copy keeps the contract, and so does its test: this is the one to copy with it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from hal.api import SensorReading
from hal.context import DriverContext
from hal.errors import BadOptions, BadReply, NotFound
from hal.pytest_plugin import Promise
from hal.registry import Registry


class FileHarness:
    """A file in place of the kernel's."""

    kind = "sensor"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "temp1_input"
        self.path.write_text("42500\n", "ascii")

    def build(self, **options: object) -> Any:
        """A new driver for the same file."""
        context = DriverContext(self.clock, {})
        return Registry().build("sensor", "sysfs", "heat", {"path": str(self.path), **options}, context)

    def clock(self) -> float:
        """Real time."""
        return time.monotonic()

    async def wait(self, seconds: float) -> None:
        """Really wait."""
        await asyncio.sleep(seconds)

    async def unplug_device(self, *, gone: bool) -> None:
        """The file vanishes with its device."""
        if gone:
            self.path.unlink()
        else:
            self.path.write_text("42500\n", "ascii")


@pytest.fixture
def harness(tmp_path: Path) -> FileHarness:
    """A file that says 42.5 degrees."""
    return FileHarness(tmp_path)


@pytest.mark.driver("sensor", complete=True)
def test_the_blueprint_keeps_the_contract(promise: Promise, harness: FileHarness) -> None:
    """Each promise of a sensor, none left out."""
    promise.is_kept_by(harness)


def test_a_count_is_scaled_to_its_unit(harness: FileHarness) -> None:
    """42500 millidegrees."""
    sensor = harness.build()
    reading: SensorReading = asyncio.run(sensor.read())

    assert (reading.value, sensor.info.unit) == (42.5, "Celsius")


def test_a_file_without_a_number_is_a_bad_reply(harness: FileHarness) -> None:
    """The error shows what stood there."""
    harness.path.write_text("fault", "ascii")
    with pytest.raises(BadReply, match=r"heat: .* holds 'fault'"):
        asyncio.run(harness.build().read())


def test_a_file_that_is_not_there_is_not_found(harness: FileHarness) -> None:
    """By its path."""
    with pytest.raises(NotFound, match="no_such_file"):
        asyncio.run(harness.build(path="no_such_file").read())


def test_a_misspelt_option_is_a_mistake(harness: FileHarness) -> None:
    """With its name."""
    with pytest.raises(BadOptions, match="factor"):
        harness.build(factor=1)
