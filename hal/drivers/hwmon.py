"""Temperatures, fans, voltages and currents that the kernel measures (hwmon), found by name instead of by number.

    sensors:
      board: {driver: hwmon, chip: lm75, device: 1-0048, channel: temp1, component: Controller, variable: Temperature}
      fan: {driver: hwmon, chip: pwmfan, channel: fan1, component: AirCoolingSystem, variable: FanSpeed}

Wiring: whatever the kernel has a driver for (device tree). Source: Linux, Documentation/hwmon/sysfs-interface.rst:
`name`, `device`, `*_label`, `*_input` in thousandths (fans in rpm, power in millionths), `*_fault`. The number in
`hwmonN` changes from boot to boot with the order in which drivers load: it is looked up at each opening.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec

from hal.api import Identity, SensorInfo, SensorReading
from hal.context import DriverContext, parse_options
from hal.drivers import kernel_files
from hal.errors import BadOptions, BadReply, NotFound

FOLDER: Final = Path("/sys/class/hwmon")


class Kind(NamedTuple):
    """What a channel measures: its unit, and what one count means."""

    unit: str
    scale: float


KINDS: Final[Mapping[str, Kind]] = {
    "temp": Kind("Celsius", 0.001),
    "fan": Kind("RPM", 1.0),
    "in": Kind("V", 0.001),
    "curr": Kind("A", 0.001),
    "power": Kind("W", 0.000001),
    "humidity": Kind("Percent", 0.001),
}


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The driver's part of a configuration."""

    chip: Annotated[str, msgspec.Meta(min_length=1)]
    """What the kernel's driver calls itself: the file `name`."""
    channel: Annotated[str, msgspec.Meta(pattern="^(temp|fan|in|curr|power|humidity)[0-9]+$")] | None = None
    label: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    """Instead of the channel: what stands in the file `*_label`."""
    device: str | None = None
    """Which of several equal chips: its place on the bus, such as `1-0048`."""
    kind: Annotated[str, msgspec.Meta(pattern="^(temp|fan|in|curr|power|humidity)$")] = "temp"
    """With a label: what is measured."""


class Hwmon:
    """Sensor. Raises BadOptions when built."""

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        driver = f"sensor {name!r}"
        self._options = given = parse_options(driver, options, Options)
        if (given.channel is None) is (given.label is None):
            raise BadOptions(driver, ".channel", "give the channel (such as temp1) or its label, and not both")
        self.name = name
        self._kind = KINDS[given.channel.rstrip("0123456789") if given.channel else given.kind]
        self.info = SensorInfo(self._kind.unit)
        self._clock: Callable[[], float] = context.clock
        self._input: Path | None = None

    async def open(self) -> None:
        """Finds the chip and reads it once. Raises NotFound, Timeout, BadReply."""
        self._input = await self._find()
        await self.read()

    async def close(self) -> None:
        """Nothing is held open; where the chip is, is looked up again."""
        self._input = None

    async def identify(self) -> Identity:
        """The chip."""
        return Identity(model=self._options.chip, serial=self._options.device or "")

    async def read(self) -> SensorReading:
        """The value now. Raises NotFound (the chip is gone), Timeout (its bus is busy), BadReply (broken wire)."""
        path = self._input
        if path is None:
            raise NotFound(self.name, "is not open")
        broken = path.with_name(path.name.replace("_input", "_fault"))
        if kernel_files.found(path.parent, broken.name) and (await kernel_files.read(self.name, broken)).strip() != "0":
            raise BadReply(self.name, f"{broken} tells a fault: the sensor is not connected")
        value = kernel_files.integer(self.name, path, await kernel_files.read(self.name, path))
        return SensorReading(self._clock(), value * self._kind.scale)

    async def _find(self) -> Path:
        given = self._options
        fitting = [
            named.parent
            for named in kernel_files.found(FOLDER, "hwmon*/name")
            if (await kernel_files.read(self.name, named)).strip() == given.chip and self._is_there(named.parent)
        ]
        if len(fitting) != 1:
            which = given.chip + (f" at {given.device}" if given.device else "")
            reason = f"no chip {which} in {FOLDER}" if not fitting else f"several chips {which}: say which by `device`"
            raise NotFound(self.name, reason)
        return await self._channel(fitting[0])

    def _is_there(self, folder: Path) -> bool:
        """Whether the chip is the one that is meant, if several are called the same."""
        return self._options.device in {None, (folder / "device").resolve().name}

    async def _channel(self, folder: Path) -> Path:
        """The file of the channel, by its name or label."""
        given = self._options
        if given.channel is not None:
            return folder / f"{given.channel}_input"
        for label in kernel_files.found(folder, f"{given.kind}*_label"):
            if (await kernel_files.read(self.name, label)).strip() == given.label:
                return label.with_name(label.name.replace("_label", "_input"))
        raise NotFound(self.name, f"{given.chip} has no {given.kind} channel labelled {given.label!r}")
