"""The wires: one owner per wire, shared by every driver on it (design 8).

`build` makes a bus owner from the `buses:` part of a configuration; drivers find it by its name in
`DriverContext.resources`. A bus owner is built without touching the device, opens it when first used, and reopens it
when it was unplugged.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Protocol, cast

from hal.errors import BadOptions

KINDS: Mapping[str, str] = {
    "modbus-rtu": "hal.buses.modbus_rtu:ModbusRtu",
    "modbus-tcp": "hal.buses.modbus_tcp:ModbusTcp",
    "can": "hal.buses.can:CanBus",
    "gpio": "hal.buses.gpio:GpioChip",
    "rapi": "hal.buses.rapi:RapiBus",
}
"""Kind of bus -> `module:class`, imported when a configuration names it."""


class Bus(Protocol):
    """What every bus owner has."""

    name: str
    """The configured name, by which drivers refer to it."""

    async def close(self) -> None:
        """Lets go of the wire; whoever still waits gets NotFound. Harmless twice; the next use opens it again."""
        ...


class _BusClass(Protocol):
    def __call__(self, name: str, options: Mapping[str, object], clock: Callable[[], float]) -> Bus: ...


def build(kind: str, name: str, options: Mapping[str, object], clock: Callable[[], float]) -> Bus:
    """The owner of the wire called `name`; touches no device. Raises BadOptions for an unknown kind or option."""
    target = KINDS.get(kind)
    if target is None:
        raise BadOptions(f"bus {name!r}", ".kind", f"no kind {kind!r} of bus (there are: {', '.join(KINDS)})")
    module, _, attribute = target.partition(":")
    return cast("_BusClass", getattr(importlib.import_module(module), attribute))(name, options, clock)
