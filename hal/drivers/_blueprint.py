"""The driver to copy: a complete one in a screen. Rename the file, the classes and the name in `hal.registry`.

What every driver has, in this order: what the device is and where its facts come from (class docstring), its options
as a struct that forbids unknown fields, a constructor that touches nothing, `open` and `close`, and one DeviceError per
kind of failure. Then: a test that runs `hal.contract` against an emulator or a recorded dump (`tests/drivers`), and the
line in the registry. It is registered as sensor `sysfs`, because it works.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from hal.api import SensorInfo, SensorReading
from hal.context import DriverContext, parse_options
from hal.errors import BadReply, NotFound


class SysfsOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options as they stand in station.yaml; every mistake is reported with its place."""

    path: str
    """The attribute file, such as `/sys/class/hwmon/hwmon0/temp1_input`."""
    scale: float = 0.001
    """What one count means, in `unit`."""
    unit: str = "Celsius"


class SysfsSensor:
    """A sensor that the kernel shows as a file with one integer: temperature, fan, voltage, current.

    Source: Linux, Documentation/hwmon/sysfs-interface (temperature in millidegrees Celsius, fan in rpm, voltage in mV).
    Wiring: none; any hwmon, IIO or thermal driver. Reading a file of sysfs does not block on a disk.
    """

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        given = parse_options(name, options, SysfsOptions)
        self.name = name
        self.info = SensorInfo(given.unit)
        self._path = Path(given.path)
        self._scale = given.scale
        self._clock = context.clock

    async def open(self) -> None:
        """Reads it once. Raises NotFound, BadReply."""
        await self.read()

    async def close(self) -> None:
        """Nothing is held open."""

    async def read(self) -> SensorReading:
        """The value now. Raises NotFound (no such file, or its device is gone), BadReply (no integer in it)."""
        try:
            text = self._path.read_text("ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise NotFound(self.name, f"{self._path} cannot be read: {error}") from error
        try:
            value = int(text) * self._scale
        except ValueError as error:
            raise BadReply(self.name, f"{self._path} holds {text[:20]!r}, not an integer") from error
        return SensorReading(self._clock(), value)
