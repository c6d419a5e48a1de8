"""`ocpp-station hal test NAME`: what every driver promises, put to the test on the real device of station.yaml.

Alone it does what nobody has to be there for; a contactor stays open, a lock moves. With `--attended` a person plugs,
holds cards and pulls, as he is told; **then a board energises its outlet**. A running agent holds its ports: stop it
first.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hal import contract
from hal.aside import in_thread
from hal.context import DriverContext
from hal.errors import BadOptions
from hal.registry import Registry
from station.commands import errors
from station.config import Config, ConfigError, load
from station.shell.clock import Machine
from station.shell.drivers import Closable
from station.shell.wiring import DeviceEntry

PERSON_S = 120.0
"""How long a person may take to do what he is told."""
_EX_FAILED = 1


def try_out(given: argparse.Namespace) -> int:
    """Print a line for each promise; 1 if one is broken."""
    try:
        config = load(Path(given.config))
        entry = _entry(config, given.name)
    except ConfigError as error:
        return errors.tell_config(error)
    except BadOptions as error:
        return errors.tell(str(error), "", errors.EX_CONFIG)
    return asyncio.run(_tried(config, entry, attended=given.attended))


def _entry(config: Config, name: str | None) -> DeviceEntry:
    devices = {device.name: device for device in config.wiring.devices}
    if name not in devices:
        raise BadOptions(f"device {name!r}", "", f"no device has this name (there are: {', '.join(devices)})")
    return devices[name]


async def _tried(config: Config, entry: DeviceEntry, *, attended: bool) -> int:
    clock, registry = Machine().mono, Registry()
    resources = {bus.name: registry.build_bus(bus.kind, bus.name, bus.options, clock) for bus in config.wiring.buses}
    harness = (ATTENDED.get(entry.kind, Attended) if attended else Alone)(entry, resources, clock)
    broken = 0
    try:
        if attended and entry.kind == "board":
            await ask("THE OUTLET WILL BE ENERGISED. Nobody touches it; there is a vehicle or a tester to plug in.")
        for check in contract.checks(entry.kind):
            result = await contract.run_one(check, harness)
            broken += result.outcome == "failed"
            detail = f"\n         {result.detail}" if result.detail else ""
            sys.stdout.write(f"{result.outcome:<9}{result.promise}{detail}\n")
            sys.stdout.flush()
    finally:
        for resource in resources.values():
            if isinstance(resource, Closable):
                await resource.close()
    return _EX_FAILED if broken else 0


async def ask(what: str) -> str:
    """Tell a person what to do, and wait until he says that it is done."""
    return (await in_thread(lambda: answer(f"-> {what} [Enter] "), "person")).strip()


def answer(prompt: str) -> str:
    """Blocking: what the person says. The end of the input is a yes."""
    try:
        return input(prompt)
    except EOFError:
        return ""


class Alone:
    """The least of a harness: nobody is there."""

    def __init__(self, entry: DeviceEntry, resources: Mapping[str, object], clock: Callable[[], float]) -> None:
        self.kind = entry.kind
        self.clock = clock
        self._entry = entry
        self._context = DriverContext(clock, resources)

    def build(self) -> Any:
        """A new driver for the device."""
        entry = self._entry
        return Registry().build(entry.kind, entry.driver, entry.name, entry.options, self._context)

    async def wait(self, seconds: float) -> None:
        """Really."""
        await asyncio.sleep(seconds)


class Attended(Alone):
    """A person is there, who can pull the device from its line."""

    patience_s = PERSON_S

    async def unplug_device(self, *, gone: bool) -> None:
        """Its plug, or its power."""
        await ask(f"Take {self._entry.name} from its line, or its power away" if gone else "Give it back")


class WithVehicle(Attended):
    """Somebody plugs a vehicle or a tester in."""

    async def vehicle(self, channel: int, *, connected: bool) -> None:
        """One that asks for current."""
        what = "Plug in a vehicle that asks for current" if connected else "Unplug it"
        await ask(f"{what}, at channel {channel}")

    async def fault(self, channel: int, *, present: bool) -> None:
        """One that opens the contactor."""
        what = "Cause a fault: the tester's diode or earth button, or the emergency stop" if present else "Mend it"
        await ask(f"{what}, at channel {channel}")


class WithCard(Attended):
    """Somebody holds a card to the reader, of which he knows the number."""

    async def card(self) -> str:
        """Once."""
        said = await ask("Type the number of a card in hex, press Enter, and hold the card to the reader")
        return said.upper()


class WithBolt(Attended):
    """Somebody blocks the lock."""

    async def jam(self, *, jammed: bool) -> None:
        """With something that may be scratched."""
        await ask("Block the bolt of the lock" if jammed else "Let it go")


ATTENDED: Mapping[str, type[Attended]] = {"board": WithVehicle, "reader": WithCard, "lock": WithBolt}
"""What a person can do besides pulling the plug."""
