"""The device that `ocpp-station hal` is asked for: one of station.yaml, or one that is tried before it stands there.

Of the latter the driver is named as an installed one is announced (`board.evse-wb`), and each option as station.yaml
would have it. `bus.KEY` makes a line of its own, which the device is put on; `bus=NAME` takes one of the file.
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from hal.context import DriverContext
from hal.errors import BadOptions
from hal.registry import KINDS, Registry
from station.commands.check import runs_already
from station.config import load, source
from station.shell.clock import Machine
from station.shell.drivers import Closable
from station.shell.wiring import BusEntry, DeviceEntry

LINE = "line"
"""The name of a bus that is in no file."""
_OF_BUS = "bus."


class InUse(Exception):  # noqa: N818 - reads as what it says
    """A running agent has the hardware of this file."""


class Chosen(NamedTuple):
    """A device and what it may stand on."""

    entry: DeviceEntry
    buses: tuple[BusEntry, ...]


def chosen(given: argparse.Namespace) -> Chosen:
    """What the command line means. Raises BadOptions, ConfigError, InUse."""
    if given.driver is None:
        return of_file(given.config, given.name)
    kind, dot, driver = given.driver.partition(".")
    if not dot or kind not in KINDS:
        raise BadOptions("--driver", "", f"{given.driver!r} is none of {', '.join(KINDS)}, a dot, a driver's name")
    options = _options(given.option)
    line = {key.removeprefix(_OF_BUS): options.pop(key) for key in list(options) if key.startswith(_OF_BUS)}
    line = _flags(given) | line
    if given.address is not None:
        options.setdefault("address", given.address)
    if given.template is not None:
        options.setdefault("template", given.template)
    entry = DeviceEntry(name=given.name or driver, kind=kind, driver=driver, options=options)
    if line:
        kind_of_bus = str(line.pop("kind", "modbus-rtu"))
        options.setdefault("world" if kind_of_bus == "sim" else "bus", LINE)
        return Chosen(entry, (BusEntry(name=LINE, kind=kind_of_bus, options=line),))
    shared = options.get("bus")
    return Chosen(entry, tuple(_buses(given.config, str(shared))) if shared is not None else ())


def of_file(path: str, name: str | None) -> Chosen:
    """A device of station.yaml. Raises BadOptions, ConfigError, InUse."""
    config = load(Path(path))
    devices = {device.name: device for device in config.wiring.devices}
    if name not in devices:
        known = f"no device has this name (there are: {', '.join(devices)}), or name one by --driver"
        raise BadOptions(f"device {name!r}", "", known)
    if runs_already(config):
        raise InUse
    return Chosen(devices[name], config.wiring.buses)


def _buses(path: str, name: str) -> Iterable[BusEntry]:
    """The one of station.yaml that is called so."""
    config = load(Path(path))
    found = [bus for bus in config.wiring.buses if bus.name == name]
    if not found:
        known = ", ".join(bus.name for bus in config.wiring.buses) or "none"
        raise BadOptions("--option", "", f"no bus is called {name!r} (there are: {known}); `bus.KEY` makes one")
    if runs_already(config):
        raise InUse
    return found


def _flags(given: argparse.Namespace) -> dict[str, Any]:
    """A Modbus line, by the words of `scan`."""
    if given.host:
        return over_network("--host", given.host)
    line = {"kind": "modbus-rtu", "port": given.port, "baud": given.baud, "parity": given.parity}
    return {key: value for key, value in line.items() if value is not None} if given.port else {}


def over_network(where: str, text: str) -> dict[str, Any]:
    """Modbus TCP at HOST, HOST:PORT or [ADDRESS]:PORT, as a bus of station.yaml. Raises BadOptions, of `where`."""
    host, port = text, ""
    if text.startswith("["):
        host, _, port = text.removeprefix("[").partition("]")
        port = port or ":"
    elif text.count(":") == 1:  # with several it is an address of IPv6
        host, colon, port = text.partition(":")
        port = colon + port
    if not host or (port and not port.startswith(":")) or not (port[1:] or "1").isdecimal():
        raise BadOptions(where, "", f"{text!r} is no HOST, HOST:PORT or [ADDRESS]:PORT")
    return {"kind": "modbus-tcp", "host": host} | ({"port": int(port[1:])} if port[1:] else {})


def _options(given: Iterable[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in given:
        key, equals, text = each.partition("=")
        parsed = source.parse(f"value: {text}\n".encode())
        if not equals or not key or parsed.mistakes:
            raise BadOptions("--option", "", f"{each!r} is no KEY=VALUE as station.yaml would have it")
        found[key] = parsed.data["value"]
    return found


@asynccontextmanager
async def built(meant: Chosen) -> AsyncIterator[tuple[Any, Mapping[str, object]]]:
    """The driver, not opened, and what it stands on, which is let go afterwards. Raises BadOptions."""
    clock, registry = Machine().mono, Registry()
    resources = {bus.name: registry.build_bus(bus.kind, bus.name, bus.options, clock) for bus in meant.buses}
    try:
        entry, context = meant.entry, DriverContext(clock, resources)
        yield registry.build(entry.kind, entry.driver, entry.name, entry.options, context), resources
    finally:
        for resource in resources.values():
            if isinstance(resource, Closable):
                await resource.close()
