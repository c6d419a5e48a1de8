"""Trying what a configuration names: each device opened and asked once, the CSMS dialled once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from hal.api import Board, Identified, Lock, Meter, Sensor
from hal.errors import BadOptions, DeviceError, Timeout
from hal.registry import Registry
from station.commands.findings import REMEDIES, Finding, Grade
from station.commands.network import as_renewed
from station.config import Config
from station.shell.clock import Machine
from station.shell.dial import Dialer, Line
from station.shell.drivers import Drivers
from station.shell.linkdown import Down, DownKind
from station.shell.network import LinkOptions, NetworkProfile
from station.shell.wiring import Wiring

ANSWER_S = 8.0
"""How long a device may take to answer."""

DIAL_S = 20.0

STAGES: Sequence[tuple[str, frozenset[DownKind]]] = (
    ("csms address", frozenset({DownKind.CONFIG, DownKind.DNS})),
    ("csms connection", frozenset({DownKind.REFUSED, DownKind.UNREACHABLE, DownKind.TIMEOUT})),
    ("csms TLS", frozenset(kind for kind in DownKind if kind.value.startswith("tls_"))),
    ("csms WebSocket", frozenset(kind for kind in DownKind if kind.value.startswith("http_")) | {DownKind.HANDSHAKE}),
    ("csms OCPP version", frozenset({DownKind.SUBPROTOCOL})),
)
"""On the way to a connection, and what each can fail by."""


async def devices(wiring: Wiring) -> list[Finding]:
    """Every device, opened, asked and closed. Devices of one bus wait for each other there."""
    try:
        drivers = Drivers(wiring, Machine().mono, Registry())
    except BadOptions as error:
        return [Finding(Grade.ERROR, error.driver, error.reason)]
    kinds: Sequence[tuple[str, Mapping[str, Any]]] = (
        ("board", drivers.boards),
        ("meter", drivers.meters),
        ("reader", drivers.readers),
        ("lock", drivers.locks),
        ("sensor", drivers.sensors),
        ("display", drivers.displays),
        ("lamp", drivers.lamps),
    )
    try:
        return [await _tried(f"{kind} {name}", device) for kind, named in kinds for name, device in named.items()]
    finally:
        await drivers.close()


async def _tried(what: str, device: Any) -> Finding:
    asking = asyncio.ensure_future(_asked(device))
    await asyncio.wait({asking}, timeout=ANSWER_S)
    if not asking.done():
        asking.cancel()
        return Finding(Grade.ERROR, what, f"no answer within {ANSWER_S:g} s", REMEDIES[Timeout])
    error = asking.exception()
    if error is None:
        return Finding(Grade.OK, what, asking.result())
    if isinstance(error, DeviceError):
        return Finding(Grade.ERROR, what, error.reason, REMEDIES.get(type(error), ""))
    return Finding(Grade.ERROR, what, f"{type(error).__name__}: {error}", "a bug of the driver: report it")


async def _asked(device: Any) -> str:
    """What a device has to say for itself. Raises DeviceError."""
    try:
        await device.open()
        parts = [await who(device), *[part async for part in answers(device)]]
        return ", ".join(filter(None, parts)) or "answers"
    finally:
        await device.close()


async def who(device: Any) -> str:
    """Make, model, serial number, firmware of an opened device, as far as it tells them. Raises DeviceError."""
    if not isinstance(device, Identified):
        return ""
    told = await device.identify()
    firmware = f"firmware {told.firmware}" if told.firmware else ""
    return " ".join(filter(None, (told.vendor, told.model, told.serial, firmware)))


async def answers(device: Any) -> AsyncIterator[str]:
    """What an opened device shows now. Raises DeviceError."""
    if isinstance(device, Meter):
        reading = await device.read()
        yield f"{reading.energy_import_mwh / 1e6:.3f} kWh"
        if reading.power_import_w is not None:
            yield f"{reading.power_import_w:.0f} W"
    elif isinstance(device, Board):
        for channel in device.channels():
            shown = await device.snapshot(channel)
            faults = " with " + ", ".join(sorted(fault.value for fault in shown.faults)) if shown.faults else ""
            yield f"channel {channel}: pilot {shown.pilot.value}{faults}"
    elif isinstance(device, Lock):
        yield (await device.state()).value
    elif isinstance(device, Sensor):
        yield f"{(await device.read()).value} {device.info.unit}".rstrip()


async def reach(config: Config, password: str) -> list[Finding]:
    """One connection to the CSMS, closed at once: which stage it came to, and why not further."""
    csms = config.file.csms
    profile = NetworkProfile(
        slot=0,
        url=csms.url,
        security_profile=csms.security_profile,
        subprotocols=tuple(f"ocpp{version}" for version in csms.versions),
    )
    who = msgspec.structs.replace(as_renewed(config), password=password)
    try:
        line = await Dialer()(profile, who, LinkOptions(connect_timeout_s=DIAL_S, compression=csms.compression))
    except Down as down:
        return list(_came_to(config, down))
    try:
        secured = line.tls or "without TLS"
        found = f"{csms.url}: {secured}, {line.subprotocol}" + "; compressed" * line.compressed
        return [Finding(Grade.OK, "csms", found), *_unasked(config, line)]
    finally:
        await line.close()


def _unasked(config: Config, line: Line) -> Iterator[Finding]:
    """Where the path to a root is not known, neither a responder nor a list can be asked."""
    if line.tls and not line.path and (config.file.csms.revocation != "off" or config.file.csms.crl_files):
        detail = "whether certificates were revoked is never found out: this Python does not tell their path"
        yield Finding(Grade.WARNING, "revocation", detail, "use CPython, best 3.13 or newer")


def _came_to(config: Config, down: Down) -> list[Finding]:
    """The stages that were passed, then the one that was not."""
    kind = down.why.kind
    names = [name for name, kinds in STAGES if kind in kinds]
    failed = names[0] if names else "csms"
    found = []
    for name, _ in STAGES:
        if name == failed or not names:
            break
        if name != "csms TLS" or config.file.csms.security_profile > 1:
            found.append(Finding(Grade.OK, name, "ok"))
    return [*found, Finding(Grade.ERROR, failed, down.why.detail, down.why.remedy)]
