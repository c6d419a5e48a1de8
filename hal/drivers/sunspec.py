"""Where a device keeps its SunSpec models: a marker, then models one after the other, each with its number and length.

SunSpec Device Information Model Specification, chapter 4: `SunS`, the common model (1), any others, and 0xFFFF at the
end. Only read.
"""

from __future__ import annotations

from typing import NamedTuple

from hal.buses.modbus import ModbusDevice, Table
from hal.errors import BadReply, NotFound, Refused
from hal.template import SunSpec

_MARKER = (0x5375, 0x6E53)
_END = 0xFFFF
_COMMON = 1
_MAX_MODELS = 64
_LAST = 0xFFFF


class Place(NamedTuple):
    """The address of a model's first register, and of the common model's."""

    model_at: int
    common_at: int


async def locate(device: ModbusDevice, wanted: SunSpec) -> Place:
    """Finds the first of the wanted models. Raises NotFound (no SunSpec device, or none of them), Timeout, BadReply."""
    for base in wanted.bases:
        try:
            marker = (await device.read(Table.HOLDING, base, 2)).values
        except Refused:
            continue
        if marker == _MARKER:
            return await _walk(device, wanted, base + 2)
    raise NotFound(device.name, f"no SunSpec device: there is no marker at {', '.join(map(str, wanted.bases))}")


async def _walk(device: ModbusDevice, wanted: SunSpec, at: int) -> Place:
    common_at, seen = at, []
    for _ in range(_MAX_MODELS):
        model, length = (await device.read(Table.HOLDING, at, 2)).values
        if model in wanted.models:
            return Place(at, common_at)
        if model == _END or at + 2 + length > _LAST:
            break
        if model == _COMMON:
            common_at = at
        seen.append(model)
        at += 2 + length
    else:
        raise BadReply(device.name, f"more than {_MAX_MODELS} SunSpec models")
    raise NotFound(device.name, f"has the SunSpec models {seen}, and none of {list(wanted.models)}")
