"""`ocpp-station hal scan | read | record`: what is on a Modbus line, what a meter shows, and a dump of its registers.

A line is that of a bus in station.yaml, or of `--port` or `--host`; a meter is one of station.yaml, or what stands at
`--address` by `--template`, or any device by `--driver` (`hal_device`). Reading and recording write nothing but what a
driver writes when it is opened. A running agent holds its ports: stop it first.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import msgspec

from hal import survey, template
from hal.api import Meter, MeterReading, PerPhase
from hal.buses.modbus import ModbusBus, Table
from hal.context import DriverContext
from hal.drivers.modbus_meter import ModbusMeter
from hal.errors import BadOptions, DeviceError
from hal.registry import Registry
from station.commands import errors
from station.commands.findings import REMEDIES
from station.commands.hal_contract import tell_in_use
from station.commands.hal_device import InUse, built, chosen, over_network
from station.commands.trials import answers, who
from station.config import ConfigError, load
from station.shell.clock import Machine

_UNITS: Sequence[tuple[str, str, float]] = (
    ("_mwh", "kWh", 1e-6),
    ("_mvarh", "kvarh", 1e-6),
    ("_w", "W", 1),
    ("_v", "V", 1),
    ("_a", "A", 1),
    ("_hz", "Hz", 1),
    ("_var", "var", 1),
    ("_c", "Celsius", 1),
)
"""The end of a field's name, the unit that people read, and its factor."""
_SCAN_TIMEOUT_S = 0.3
_EX_FAILED = 1


def scan(given: argparse.Namespace) -> int:
    """Who answers on a line."""
    return _told(_scan(given))


def read(given: argparse.Namespace) -> int:
    """What a meter shows, in units."""
    return _told(_read(given))


def record(given: argparse.Namespace) -> int:
    """A register dump: to a file, or to stdout."""
    return _told(_record(given))


def _told(work: Coroutine[Any, Any, int]) -> int:
    """Runs; every way in which it may fail is one line."""
    try:
        return asyncio.run(work)
    except ConfigError as error:
        return errors.tell_config(error)
    except BadOptions as error:
        return errors.tell(str(error), "", errors.EX_CONFIG)
    except DeviceError as error:
        return errors.tell(str(error), REMEDIES.get(type(error), ""), _EX_FAILED)
    except InUse:
        return tell_in_use()


async def _scan(given: argparse.Namespace) -> int:
    bus = _bus(given)
    count = 0
    try:
        async for found in survey.scan(bus, _addresses(given.addresses), given.timeout or _SCAN_TIMEOUT_S):
            count += 1
            for line in _lines_of(found):
                sys.stdout.write(line + "\n")
            sys.stdout.flush()
    finally:
        await bus.close()
    if not count:
        remedy = "check power, wiring (A and B swapped?), speed and parity; addresses beyond: --addresses 1-247"
        return errors.tell(f"nobody answers at {given.addresses}", remedy, _EX_FAILED)
    return 0


def _lines_of(found: survey.Found) -> Iterator[str]:
    if found.trouble:
        yield f"{found.address:>3}  answers, but {found.trouble} (speed and parity right? two devices at one address?)"
    elif not found.fits:
        yield f"{found.address:>3}  answers to Modbus, but by no register map of a meter"
    for fit in found.fits:
        told = " ".join(filter(None, (fit.identity.vendor, fit.identity.model, fit.identity.serial)))
        yield f"{found.address:>3}  {fit.template:<22}{fit.reading.energy_import_mwh / 1e6:>14.3f} kWh  {told}"


async def _read(given: argparse.Namespace) -> int:
    async with _device(given) as device:
        await device.open()
        try:
            sys.stdout.write(f"{device.name}: {await who(device) or type(device).__name__}\n")
            for line in [line async for line in _shown(device)]:
                sys.stdout.write(f"  {line}\n")
        finally:
            await device.close()
    return 0


async def _shown(device: Any) -> AsyncIterator[str]:
    if isinstance(device, Meter):
        for line in shown(await device.read()):
            yield line
        return
    async for line in answers(device):
        yield line


async def _record(given: argparse.Namespace) -> int:
    async with _device(given) as meter:
        if not isinstance(meter, ModbusMeter):
            raise BadOptions("hal", "", f"{meter.name} has no registers to record: it is no meter on Modbus")
        await meter.open()
        try:
            by = await who(meter)
            found = await survey.dump(meter, [_range(text) for text in given.also])
        finally:
            await meter.close()
    origin = f"recorded {datetime.now(UTC):%Y-%m-%d} of {by}"
    text = (
        json.dumps({"template": found["template"], "unit": found["unit"], "origin": origin, **found}, indent=1) + "\n"
    )
    if given.output is None:
        sys.stdout.write(text)
    else:
        await asyncio.to_thread(Path(given.output).write_text, text, encoding="utf-8")
    return 0


def shown(reading: MeterReading) -> Iterator[str]:
    """A line for each quantity that was read, in units for people."""
    for field, value in msgspec.structs.asdict(reading).items():
        if value is None or field in {"sampled_at", "quality", "signed"}:
            continue
        suffix, unit, scale = next((u for u in _UNITS if field.endswith(u[0])), ("", "", 1))
        each = value if isinstance(value, PerPhase | tuple) else (value,)
        numbers = "  ".join("-" if one is None else f"{one * scale:.3f}" for one in each)
        yield f"{field.removesuffix(suffix):<24}{numbers} {unit}".rstrip()


# ------------------------------------------------------------------------------------------------- what is meant


def _bus(given: argparse.Namespace) -> ModbusBus:
    """The line that is meant. Raises BadOptions, ConfigError."""
    if given.port or given.host:
        return _own_bus(given)
    buses = {name: bus for name, bus in _of_file(given).items() if str(bus.get("kind", "")).startswith("modbus-")}
    if given.name is None and len(buses) == 1:
        given.name = next(iter(buses))
    if given.name not in buses:
        known = ", ".join(sorted(buses)) or "none"
        raise BadOptions("hal", "", f"which Modbus line? Name a bus (there are: {known}), or give --port or --host")
    return _built(given.name, buses[given.name])


def _own_bus(given: argparse.Namespace) -> ModbusBus:
    """A line that is in no file: speed and parity as given, else as the meter leaves its factory."""
    if given.host:
        return _built("line", over_network("--host", given.host))
    factory = template.load("hal", given.template).bus if given.template else None
    options: dict[str, object] = {"kind": "modbus-rtu", "port": given.port, "quiet_s": 0.1}
    for key in ("baud", "parity"):
        value = getattr(given, key) or (getattr(factory, key) if factory is not None else None)
        if value is not None:
            options[key] = value
    return _built("line", options)


def _built(name: str, options: Mapping[str, object]) -> ModbusBus:
    rest = {key: value for key, value in options.items() if key != "kind"}
    return cast("ModbusBus", Registry().build_bus(str(options["kind"]), name, rest, Machine().mono))


@asynccontextmanager
async def _device(given: argparse.Namespace) -> AsyncIterator[Any]:
    """The device that is meant, not opened. Raises BadOptions, ConfigError, InUse."""
    if given.driver is not None or _elsewhere(given):
        async with built(chosen(given)) as (device, _):
            yield device
        return
    meter, bus = _meter(given)
    try:
        yield meter
    finally:
        await bus.close()


def _elsewhere(given: argparse.Namespace) -> bool:
    """Whether a device of the file is meant that is no meter on a Modbus line."""
    if given.port or given.host:
        return False
    file = load(Path(given.config))
    named = [each for each in file.wiring.devices if each.name == given.name]
    return any(each.kind != "meter" or "bus" not in each.options for each in named)


def _meter(given: argparse.Namespace) -> tuple[ModbusMeter, ModbusBus]:
    """The meter that is meant, and its line. Raises BadOptions, ConfigError."""
    if given.port or given.host:
        if not given.template:
            raise BadOptions(
                "hal", "", f"which register map? Give --template (there are: {', '.join(template.names())})"
            )
        bus = _own_bus(given)
        options: dict[str, object] = {"bus": bus.name, "template": given.template}
        if given.address is not None:
            options["address"] = given.address
        return ModbusMeter(given.template, options, DriverContext(bus.clock, {bus.name: bus})), bus
    file = load(Path(given.config)).file
    options = dict(file.meters.get(given.name or "", {}))
    if "bus" not in options:
        known = ", ".join(name for name, of in file.meters.items() if "bus" in of) or "none"
        raise BadOptions(
            "hal", "", f"which meter? Name one (there are: {known}), or give --port or --host, and --template"
        )
    driver = str(options.pop("driver"))
    bus = _built(str(options["bus"]), file.buses[str(options["bus"])])
    context = DriverContext(bus.clock, {bus.name: bus})
    return cast("ModbusMeter", Registry().build("meter", driver, str(given.name), options, context)), bus


def _of_file(given: argparse.Namespace) -> Mapping[str, Mapping[str, object]]:
    return load(Path(given.config)).file.buses


def _addresses(text: str) -> list[int]:
    """`1-32`, `7`, `1-3,42`. Raises BadOptions."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not (first.isdecimal() and (last or first).isdecimal() and int(first) <= int(last or first) <= 255):  # noqa: PLR2004 - a byte
            raise BadOptions("hal", ".addresses", f"{text!r} is none of 1-32, 7 or 1-3,42")
        found.extend(range(int(first), int(last or first) + 1))
    return found


def _range(text: str) -> tuple[Table, int, int]:
    """`holding:0x5000+32`. Raises BadOptions."""
    table, _, rest = text.partition(":")
    address, _, count = rest.partition("+")
    try:
        return Table[table.upper()], int(address, 0), int(count or "1", 0)
    except (KeyError, ValueError):
        raise BadOptions("hal", ".also", f"{text!r} is no range such as holding:0x5000+32") from None
