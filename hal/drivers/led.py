"""The lamp of an EVSE: LEDs that the kernel drives, in up to four colours, steady or blinking.

    lamps:
      left: {driver: led, evse: 1, red: charger:red:status, green: charger:green:status, blue: charger:blue:status}

Wiring: GPIO, PWM or an LED chip, named in the device tree; all in /sys/class/leds. Source: Linux,
Documentation/leds/leds-class.rst (brightness up to max_brightness; 0 ends a trigger) and ledtrig-timer (`delay_on` and
`delay_off` in ms, there while the trigger `timer` is set). The kernel blinks by itself: nobody is woken.

Green is free, blue charges, red is broken; blinking waits for somebody: green for a driver's card, blue for the vehicle
or for current. `looks` says it differently: `{Available: {colours: [white]}}`. What is not wired is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from hal.api import Indication
from hal.context import DriverContext, parse_options
from hal.drivers import kernel_files
from hal.errors import BadOptions, NotFound

FOLDER: Final = Path("/sys/class/leds")

Colour = Literal["red", "green", "blue", "white"]


class Look(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which colours, and how long they are on and off by turns; steady without."""

    colours: tuple[Colour, ...] = ()
    blink_s: Annotated[float, msgspec.Meta(ge=0.05, le=10.0)] | None = None


LOOKS: Final[Mapping[Indication, Look]] = {
    Indication.AVAILABLE: Look(colours=("green",)),
    Indication.RESERVED: Look(colours=("red", "green")),
    Indication.OCCUPIED: Look(colours=("green",), blink_s=0.5),
    Indication.CHARGING: Look(colours=("blue",)),
    Indication.SUSPENDED: Look(colours=("blue",), blink_s=1.0),
    Indication.UNAVAILABLE: Look(colours=("red", "green"), blink_s=1.0),
    Indication.FAULTED: Look(colours=("red",)),
}


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The driver's part of a configuration: an LED for each colour."""

    red: str | None = None
    green: str | None = None
    blue: str | None = None
    white: str | None = None
    looks: Mapping[Indication, Look] = {}


class Led:
    """Lamp. Raises BadOptions when built."""

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        del context
        driver = f"lamp {name!r}"
        given = parse_options(driver, options, Options)
        self.name = name
        wired = {"red": given.red, "green": given.green, "blue": given.blue, "white": given.white}
        self._leds = {colour: FOLDER / led for colour, led in wired.items() if led is not None}
        if not self._leds:
            raise BadOptions(driver, ".green", "name at least one LED, for `red`, `green`, `blue` or `white`")
        self._looks = {**LOOKS, **given.looks}
        self._most: dict[str, str] = {}

    async def open(self) -> None:
        """Finds the LEDs, and puts them out. Raises NotFound, BadReply."""
        for colour, led in self._leds.items():
            self._most[colour] = (await kernel_files.read(self.name, led / "max_brightness")).strip()
            await self._off(led)

    async def close(self) -> None:
        """Puts them out: a lamp that nobody minds must not promise anything."""
        if self._most:
            self._most = {}
            for led in self._leds.values():
                try:
                    await self._off(led)
                except NotFound:
                    continue

    async def indicate(self, indication: Indication) -> None:
        """Shows it. Raises NotFound, BadReply."""
        if not self._most:
            raise NotFound(self.name, "is not open")
        look = self._looks[indication]
        for colour, led in self._leds.items():
            await self._off(led)  # also those that go on: so all blink in time
            if colour in look.colours and look.blink_s is None:
                await kernel_files.write(self.name, led / "brightness", self._most[colour])
        for colour, led in self._leds.items():
            if colour in look.colours and look.blink_s is not None:
                await self._blink(led, self._most[colour], str(round(look.blink_s * 1000)))

    async def _blink(self, led: Path, brightness: str, milliseconds: str) -> None:
        await kernel_files.write(self.name, led / "brightness", brightness)
        await kernel_files.write(self.name, led / "trigger", "timer")
        await kernel_files.write(self.name, led / "delay_on", milliseconds)
        await kernel_files.write(self.name, led / "delay_off", milliseconds)

    async def _off(self, led: Path) -> None:
        await kernel_files.write(self.name, led / "trigger", "none")
        await kernel_files.write(self.name, led / "brightness", "0")
