"""`ocpp-station hal test`: what every driver promises, put to the test on the real device.

Alone it does what nobody has to be there for; a contactor stays open, a lock moves. With `--attended` a person plugs,
holds cards and pulls, as he is told; **then a board energises its outlet**, once he has said yes to that. A running
agent is not disturbed: stop it first. When a board was tested its contactor is open, or it is told that it is not.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hal import contract
from hal.api import Board
from hal.aside import in_thread
from hal.context import DriverContext
from hal.errors import BadOptions, DeviceError
from hal.registry import Registry
from station.commands import errors
from station.commands.findings import REMEDIES
from station.commands.hal_device import Chosen, InUse, built, chosen
from station.config import ConfigError
from station.shell.clock import Machine
from station.shell.wiring import DeviceEntry

PERSON_S = 120.0
"""How long a person may take to do what he is told."""
ENERGISES = "THE OUTLET WILL BE ENERGISED. Nobody touches it; there is a vehicle or a tester to plug in."
_DENIALS, _OPENS_S = 3, 0.5
_EX_FAILED = 1


def try_out(given: argparse.Namespace) -> int:
    """Print a line for each promise; 1 if one is broken."""
    try:
        return asyncio.run(_tried(chosen(given), attended=given.attended))
    except ConfigError as error:
        return errors.tell_config(error)
    except BadOptions as error:
        return errors.tell(str(error), "", errors.EX_CONFIG)
    except InUse:
        return tell_in_use()


def tell_in_use() -> int:
    """Devices are not taken from a running agent."""
    return errors.tell("an agent runs with this hardware", "stop it first: systemctl stop ocpp-station", errors.EX_BUSY)


async def _tried(meant: Chosen, *, attended: bool) -> int:
    async with built(meant) as (_, resources):  # so that wrong options are told before anything is asked
        return await _checked(meant.entry, resources, attended=attended)


async def _checked(entry: DeviceEntry, resources: Mapping[str, object], *, attended: bool) -> int:
    harness = (ATTENDED.get(entry.kind, Attended) if attended else Alone)(entry, resources, Machine().mono)
    try:
        await _there(harness)
        if attended and entry.kind == "board" and not await agreed(ENERGISES):
            return errors.tell("nobody said yes: nothing was energised", "", _EX_FAILED)
        try:
            broken = [check for check in contract.checks(entry.kind) if not await _kept(check, harness)]
        finally:
            closed = await _left_closed(harness) if entry.kind == "board" else ()
    except DeviceError as error:
        return errors.tell(str(error), REMEDIES.get(type(error), ""), _EX_FAILED)
    return _EX_FAILED if broken or closed else 0


async def _there(harness: Alone) -> None:
    """Whether it can be reached at all. Raises DeviceError."""
    device = harness.build()
    try:
        await device.open()
    finally:
        await device.close()


async def _kept(check: contract.Check, harness: Alone) -> bool:
    """Whether a promise is not broken; tells what came of it."""
    result = await contract.run_one(check, harness)
    detail = f"\n         {result.detail}" if result.detail else ""
    sys.stdout.write(f"{result.outcome:<9}{result.promise}{detail}\n")
    sys.stdout.flush()
    return result.outcome != "failed"


async def _left_closed(harness: Alone) -> Sequence[int]:
    """Denies every channel, whatever the tests have left; tells those whose contactor is not known to be open."""
    board: Board = harness.build()
    left = list(board.channels())
    for _ in range(_DENIALS):
        with contextlib.suppress(DeviceError):
            await board.open()
            for channel in tuple(left):
                await board.deny(channel)
                await harness.wait(_OPENS_S)
                if not (await board.snapshot(channel)).contactor_closed:
                    left.remove(channel)
        await board.close()
        if not left:
            break
    for channel in left:
        errors.tell(f"channel {channel} may still be energised", "switch its supply off", _EX_FAILED)
    return left


async def agreed(what: str) -> bool:
    """Whether a person types yes, and nothing else: neither Enter alone nor the end of the input."""
    try:
        return (await ask(f"{what} Type yes to go on:")).lower() == "yes"
    except EOFError:
        return False


async def ask(what: str) -> str:
    """Tell a person what to do, and wait until he says that it is done. Raises EOFError: nobody is there."""
    return (await in_thread(lambda: answer(f"-> {what} [Enter] "), "person")).strip()


def answer(prompt: str) -> str:
    """Blocking: what the person says. Raises EOFError."""
    return input(prompt)


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
