"""Which drivers there are. A driver's module is imported when its name is used, and not before.

Built-in drivers stand in `BUILT_IN`: kind -> name -> `module:class`. A driver of another package announces itself in
the entry-point group `ocpp_station.hal` as `kind.name` (`meter.acme-42 = "acme.meter:Acme42"`). Entry points are looked
up only for a name that is not built in, because reading them costs more than the import of a driver.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import cast

import msgspec

from hal import buses
from hal.context import DriverContext, DriverFactory
from hal.errors import BadOptions

ENTRY_POINT_GROUP = "ocpp_station.hal"

KINDS = ("board", "meter", "reader", "lock", "display", "lamp", "sensor")
"""The kinds of device; `hal.api` has the protocol of each: Board, Meter, TokenReader, Lock, Display, Lamp, Sensor."""

BUILT_IN: Mapping[str, Mapping[str, str]] = {
    "board": {
        "bender-cc": "hal.drivers.bender_cc:BenderCc",
        "can": "hal.drivers.can_board:CanBoard",
        "charx": "hal.drivers.charx:Charx",
        "ev-cc": "hal.drivers.ev_cc:EvCc",
        "evse-wb": "hal.drivers.evse_wb:EvseWb",
        "gpio": "hal.drivers.gpio_board:GpioBoard",
        "openevse": "hal.drivers.openevse:OpenEvse",
        "sim": "hal.sim.driver:SimBoard",
    },
    "meter": {
        "bsm-ws36a": "hal.drivers.bsm_ws36a:BsmWs36a",
        "em580": "hal.drivers.em580:Em580",
        "modbus": "hal.drivers.modbus_meter:ModbusMeter",
        "sim": "hal.sim.driver:SimMeter",
        "sim-signed": "hal.sim.driver:SimSignedMeter",
    },
    "reader": {
        "keypad": "hal.drivers.keypad:Keypad",
        "line": "hal.drivers.line_reader:LineReader",
        "pcsc": "hal.drivers.pcsc:Pcsc",
        "pn532": "hal.drivers.pn532:Pn532",
        "rdm6300": "hal.drivers.rdm6300:Rdm6300",
        "sim": "hal.sim.driver:SimReader",
    },
    "lock": {
        "gpio": "hal.drivers.gpio_lock:GpioLock",
        "sim": "hal.sim.driver:SimLock",
    },
    "display": {"sim": "hal.sim.driver:SimDisplay"},
    "lamp": {
        "led": "hal.drivers.led:Led",
        "sim": "hal.sim.driver:SimLamp",
    },
    "sensor": {
        "can": "hal.drivers.can_sensor:CanSensor",
        "gpio": "hal.drivers.gpio_input:GpioInput",
        "hwmon": "hal.drivers.hwmon:Hwmon",
        "openevse": "hal.drivers.openevse:OpenEvseThermometer",
        "sysfs": "hal.drivers._blueprint:SysfsSensor",
        "sim": "hal.sim.driver:SimSensor",
        "w1": "hal.drivers.w1_therm:W1Therm",
    },
}

WORLD = "hal.sim.driver:build_world"
"""A simulated world: what the simulated drivers share as others share a bus."""


class DriverEntry(msgspec.Struct, frozen=True):
    """A driver that can be named in a configuration."""

    kind: str
    name: str
    target: str
    """`module:class`."""


class Registry:
    """Finds driver classes by kind and name.

    `extra` are further drivers of the program itself (a bench, a test). Raises ValueError for an extra that has the
    name of a built-in one: two drivers of one name are a mistake, never a choice.
    """

    def __init__(self, extra: Iterable[DriverEntry] = ()) -> None:
        self._table: dict[tuple[str, str], str] = {
            (kind, name): target for kind, named in BUILT_IN.items() for name, target in named.items()
        }
        for entry in extra:
            self._add(entry)

    def _add(self, entry: DriverEntry) -> None:
        if entry.kind not in KINDS:
            raise ValueError(f"driver {entry.name!r}: no kind {entry.kind!r} (there are: {', '.join(KINDS)})")
        taken = self._table.get((entry.kind, entry.name))
        if taken is not None:
            raise ValueError(f"two {entry.kind} drivers are called {entry.name!r}: {taken} and {entry.target}")
        self._table[entry.kind, entry.name] = entry.target

    def all(self) -> list[DriverEntry]:
        """Every driver that can be named, installed ones included, by kind and name; imports no driver."""
        found = {**_entry_points(), **self._table}
        return [DriverEntry(kind, name, target) for (kind, name), target in sorted(found.items())]

    def find(self, kind: str, name: str) -> DriverFactory:
        """The class of a driver, imported now.

        Raises BadOptions for an unknown kind or name (listing what there is), for two installed drivers of one name,
        and for a driver whose module or library is missing.
        """
        if kind not in KINDS:
            raise BadOptions(f"{kind} {name!r}", "", f"no kind {kind!r} of device (there are: {', '.join(KINDS)})")
        target = self._table.get((kind, name))
        if target is None:
            target = _entry_points().get((kind, name))
        if target is None:
            known = ", ".join(entry.name for entry in self.all() if entry.kind == kind)
            raise BadOptions(f"{kind} {name!r}", ".driver", f"no {kind} driver has this name (there are: {known})")
        return cast("DriverFactory", _load(kind, name, target))

    def build(self, kind: str, driver: str, name: str, options: Mapping[str, object], context: DriverContext) -> object:
        """A driver called `name`, constructed but not opened. Raises BadOptions, also for what `find` says."""
        return self.find(kind, driver)(name, options, context)

    def build_bus(self, kind: str, name: str, options: Mapping[str, object], clock: Callable[[], float]) -> object:
        """What drivers share, called `name`: the owner of a wire (`hal.buses`), or with kind `sim` a simulated world.

        Constructed but not opened. Raises BadOptions.
        """
        if kind == "sim":
            return _load("bus", kind, WORLD)(name, options, clock)
        return buses.build(kind, name, options, clock)


def _load(kind: str, name: str, target: str) -> Callable[..., object]:
    module, _, attribute = target.partition(":")
    try:
        return cast("Callable[..., object]", getattr(importlib.import_module(module), attribute))
    except (ImportError, AttributeError) as error:
        raise BadOptions(f"{kind} {name!r}", ".driver", f"cannot be loaded from {target}: {error}") from error


def _entry_points() -> dict[tuple[str, str], str]:
    """Installed drivers: (kind, name) -> target. Raises BadOptions when two packages claim one name."""
    from importlib import metadata  # noqa: PLC0415 - costs more than the drivers; needed for foreign names only

    found: dict[tuple[str, str], str] = {}
    for point in metadata.entry_points(group=ENTRY_POINT_GROUP):
        kind, _, name = point.name.partition(".")
        if found.get((kind, name), point.value) != point.value:
            reason = f"two installed packages claim this name: {found[kind, name]} and {point.value}"
            raise BadOptions(f"{kind} {name!r}", ".driver", reason)
        found[kind, name] = point.value
    return found
