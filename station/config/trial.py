"""Building every driver once, to hear what is wrong with its options; nothing is opened.

It also tells what each meter measures and whether it signs: the device model must know before the hardware runs.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from hal.api import Board, Meter, Sensor, SignedMeter
from hal.context import DriverContext
from hal.errors import BadOptions, DeviceError
from hal.registry import Registry
from station.config.devices import SECTIONS
from station.config.mistakes import Mistake, Path
from station.config.shape import plain, remedy
from station.shell.wiring import Wiring

QUANTITIES: Mapping[str, tuple[str, ...]] = {
    "energy_import_mwh": ("Energy.Active.Import.Register",),
    "energy_export_mwh": ("Energy.Active.Export.Register",),
    "energy_reactive_import_mvarh": ("Energy.Reactive.Import.Register",),
    "power_import_w": ("Power.Active.Import", "Power.Offered"),
    "power_export_w": ("Power.Active.Export",),
    "reactive_import_var": ("Power.Reactive.Import",),
    "power_factor": ("Power.Factor",),
    "current_a": ("Current.Import", "Current.Offered"),
    "voltage_v": ("Voltage",),
    "frequency_hz": ("Frequency",),
    "soc_percent": ("SoC",),
}
"""What a meter's quantity gives to the measurands of the device model."""


class Trial(NamedTuple):
    """What building the drivers showed. `measurands` by the meter's name; `signing`: the names of those that sign."""

    mistakes: list[Mistake]
    measurands: dict[str, tuple[str, ...]]
    signing: frozenset[str]
    units: dict[str, str]
    """What each sensor measures in, by its name."""


def build(wiring: Wiring) -> Trial:
    """Build every driver of the wiring."""
    registry, clock = Registry(), time.monotonic
    mistakes: list[Mistake] = []
    resources: dict[str, object] = {}
    for bus in wiring.buses:
        try:
            resources[bus.name] = registry.build_bus(bus.kind, bus.name, bus.options, clock)
        except Exception as error:  # noqa: BLE001 - whatever a driver raises, its entry is to be looked at
            mistakes.append(_mistake(("buses", bus.name), error, bus.options))
    sections = {kind: section for section, (kind, _) in SECTIONS.items()}
    made: dict[str, object] = {}
    broken = {bus.name for bus in wiring.buses} - resources.keys()
    for entry in wiring.devices:
        if broken & {value for value in entry.options.values() if isinstance(value, str)}:
            continue  # its bus is told already
        try:
            context = DriverContext(clock, resources)
            made[entry.name] = registry.build(entry.kind, entry.driver, entry.name, entry.options, context)
        except Exception as error:  # noqa: BLE001 - the same
            mistakes.append(_mistake((sections[entry.kind], entry.name), error, entry.options))
    mistakes += _channels(wiring, made)
    meters = {entry.name for entry in wiring.devices if entry.kind == "meter"} & made.keys()  # a sensor is shaped alike
    measurands = {name: _measurands(cast("Meter", made[name])) for name in meters}
    signing = frozenset(name for name in meters if isinstance(made[name], SignedMeter))
    sensors = {entry.name for entry in wiring.devices if entry.kind == "sensor"} & made.keys()
    return Trial(mistakes, measurands, signing, {name: cast("Sensor", made[name]).info.unit for name in sensors})


def _channels(wiring: Wiring, made: Mapping[str, object]) -> list[Mistake]:
    found = []
    for place, evse in enumerate(wiring.evses):
        board = made.get(evse.board)
        if isinstance(board, Board) and evse.channel not in board.channels():
            known = ", ".join(map(str, board.channels()))
            path: Path = ("evses", place, "board")
            found.append(Mistake(path, f"{evse.board!r} has no channel {evse.channel}", f"there are: {known}"))
    return found


def _measurands(meter: Meter) -> tuple[str, ...]:
    return tuple(name for quantity in QUANTITIES if quantity in meter.info.quantities for name in QUANTITIES[quantity])


def _mistake(path: Path, error: Exception, options: Any) -> Mistake:
    if isinstance(error, BadOptions):
        _, marker, file = error.driver.partition(": template ")
        if marker:  # the mistake is in another file
            place = f"{error.path.removeprefix('.')}: " if error.path else ""
            return Mistake((*path, "template"), f"{file}: {place}{plain(error.reason)}", "correct that file")
        steps = [int(step) if step.isdigit() else step for step in re.split(r"[.\[\]]+", error.path) if step]
        return Mistake((*path, *steps), plain(error.reason), remedy(_at(options, steps), error.reason))
    if isinstance(error, (DeviceError, OSError)):
        return Mistake(path, str(error))
    return Mistake(path, f"the driver cannot be built: {type(error).__name__}: {error}", "report it with this line")


def _at(options: Any, steps: list[str | int]) -> Any:
    """What stands there; None if nothing does."""
    for step in steps:
        try:
            options = options[step]
        except (TypeError, LookupError):
            return None
    return options
