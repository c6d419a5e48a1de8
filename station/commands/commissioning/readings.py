"""Meters are read once, for whoever stands before them to compare with what their displays show."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Iterator
from typing import NamedTuple

from hal.api import MeterReading
from hal.errors import DeviceError
from hal.registry import Registry
from station.commands.commissioning.dialogue import asked
from station.commands.findings import REMEDIES, Finding, Grade
from station.commands.hal_lines import shown
from station.commands.trials import who
from station.shell.clock import Machine
from station.shell.drivers import Drivers, opened
from station.shell.wiring import Wiring

TOLERANCE_KWH = 1.0
"""Displays round, and time passes between two looks. A wrong scale or another meter is further off."""

_TOLD = ("energy_import ", "power_import ", "voltage ", "current ")
"""What is told of a reading, as `hal read` has it."""


class Seen(NamedTuple):
    """A meter, and what it told; `trouble` instead, if it did not."""

    name: str
    place: str
    identity: str = ""
    reading: MeterReading | None = None
    trouble: DeviceError | None = None


async def taken(wiring: Wiring) -> list[Seen]:
    """Of every meter, one after the other."""
    drivers = Drivers(wiring, Machine().mono, Registry())
    places = {evse.meter: f"EVSE {evse.evse_id}" for evse in wiring.evses if evse.meter}
    if wiring.main_meter is not None:
        places.setdefault(wiring.main_meter, "the station")
    try:
        return [await _seen(drivers, name, place) for name, place in places.items()]
    finally:
        await drivers.close()


async def _seen(drivers: Drivers, name: str, place: str) -> Seen:
    meter = drivers.meters[name]
    try:
        async with opened(meter):
            return Seen(name, place, await who(meter), await meter.read())
    except DeviceError as error:
        return Seen(name, place, trouble=error)


def told(seen: Seen) -> Iterator[str]:
    """For people: who it is, then its quantities in units."""
    yield f"meter {seen.name} of {seen.place}: {seen.identity or 'does not say who it is'}"
    if seen.reading is not None:
        yield from (f"  {line}" for line in shown(seen.reading) if line.startswith(_TOLD))


def by_person(seen: Seen) -> float | None:
    """What its display shows, as somebody types it; None: it was not looked at."""
    while True:
        try:
            line = asked(f"What does the display of {seen.name} show, in kWh? (Enter: not compared) ")
        except EOFError:
            return None
        if not line:
            return None
        with contextlib.suppress(ValueError):
            shown_kwh = float(line.removesuffix("kWh").replace(",", "."))
            if math.isfinite(shown_kwh):
                return shown_kwh
        sys.stdout.write("  expected a number of kilowatt-hours, such as 1234.5\n")


def judged(seen: Seen, display_kwh: float | None) -> Finding:
    """Whether the display shows the same."""
    what = f"reading {seen.name}"
    if seen.reading is None:
        trouble = seen.trouble
        return Finding(Grade.ERROR, what, getattr(trouble, "reason", ""), REMEDIES.get(type(trouble), ""))  # type: ignore[arg-type] # None has none
    kwh = seen.reading.energy_import_mwh / 1e6
    numbers = ", ".join(" ".join(line.split()) for line in told(seen) if line.startswith("  "))
    detail = f"{seen.place}, {seen.identity}: {numbers}"
    if display_kwh is None:
        return Finding(Grade.OK, what, f"{detail}; not compared with its display")
    if abs(display_kwh - kwh) <= TOLERANCE_KWH:
        return Finding(Grade.OK, what, f"{detail}; its display shows {display_kwh:g} kWh")
    remedy = "is it this meter (address), are its template and its display (import, total) right? ocpp-station hal scan"
    return Finding(Grade.ERROR, what, f"{detail}; its display shows {display_kwh:g} kWh", remedy)
