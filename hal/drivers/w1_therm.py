"""DS18B20 and its relatives: thermometers on a 1-wire bus that the kernel drives (w1_therm).

    sensors: {cabinet: {driver: w1, address: 28-0316a2794aff, component: Controller, variable: Temperature}}

Wiring: data with 4.7 kOhm to 3.3 V; a `w1-gpio` overlay or a DS2482. Source: Linux, w1/slaves/w1_therm.rst (two lines:
nine bytes with their check, then `t=` in thousandths of a degree); data sheet DS18B20 (85 degrees is what the register
holds after power-on, and stays in it when the conversion had no current).

Three answers look like temperatures and are none: a failed check; 85.000 with byte 6 as it is at power-on (0C); and
nine bytes of zero, of which the check is right: a bus that is shorted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec

from hal.api import Identity, SensorInfo, SensorReading
from hal.context import DriverContext, parse_options
from hal.drivers import kernel_files
from hal.errors import BadReply

FOLDER: Final = Path("/sys/bus/w1/devices")
_FAMILIES: Final = {"10": "DS18S20", "22": "DS1822", "28": "DS18B20", "3b": "DS1825", "42": "DS28EA00"}
_ANSWER: Final = re.compile(
    r"(?P<bytes>(?:[0-9a-f]{2} ){9}): crc=[0-9a-f]{2} (?P<check>YES|NO)\n(?:[0-9a-f]{2} ){9}t=(?P<milli>-?[0-9]+)\n?"
)
_AT_POWER_ON: Final = 85_000


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The driver's part of a configuration."""

    address: Annotated[str, msgspec.Meta(pattern="^(10|22|28|3b|42)-[0-9a-f]{12}$")]
    """Family and number, as the folder is called in /sys/bus/w1/devices."""


class W1Therm:
    """Sensor. Raises BadOptions when built."""

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        given = parse_options(f"sensor {name!r}", options, Options)
        self.name = name
        self.info = SensorInfo("Celsius")
        self._address = given.address
        self._clock: Callable[[], float] = context.clock

    async def open(self) -> None:
        """Measures once. Raises NotFound, Timeout, BadReply."""
        await self.read()

    async def close(self) -> None:
        """Nothing is held open."""

    async def identify(self) -> Identity:
        """By its address."""
        family, _, number = self._address.partition("-")
        return Identity("Maxim", _FAMILIES[family], number)

    async def read(self) -> SensorReading:
        """Measures now. Raises NotFound (not on the bus), Timeout, BadReply (no measurement, see above)."""
        text = await kernel_files.read(self.name, FOLDER / self._address / "w1_slave")
        answer = _ANSWER.fullmatch(text)
        if answer is None:
            raise BadReply(self.name, f"answers {text[:40]!r}")
        scratchpad, milli = bytes.fromhex(answer["bytes"]), int(answer["milli"])
        if answer["check"] != "YES":
            raise BadReply(self.name, "a byte was damaged on the wire")
        if not any(scratchpad):
            raise BadReply(self.name, "only zeros: the bus is shorted")
        if milli == _AT_POWER_ON and scratchpad[6] == 0x0C:  # noqa: PLR2004 - byte 6 at power-on
            raise BadReply(self.name, "has lost its power: it did not measure")
        return SensorReading(self._clock(), milli / 1000)
