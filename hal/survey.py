"""What is on a Modbus line: who answers, which register map fits, and a dump of the registers. It only reads.

Bounded: two short questions per address, and for one that answers each map once. A map fits if the meter answers all of
it and the mains look like mains; maps of one family may fit alike.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, NamedTuple

from hal import template
from hal.api import Identity, MeterReading
from hal.buses.modbus import ModbusBus, ModbusDevice, Table, Timing
from hal.context import DriverContext
from hal.drivers.modbus_meter import ModbusMeter
from hal.errors import BadReply, DeviceError, NotFound, Refused, Timeout

_QUESTIONS = ((Table.HOLDING, 0, 1), (Table.INPUT, 0, 2))
"""An exception is an answer, too; some devices are silent to a function that they do not know."""
_VOLTS = (80.0, 300.0)
_HERTZ = (45.0, 65.0)
_WORDS = 64


class Fit(NamedTuple):
    """A map that fits, and who the device says that it is. Of several, the one that tells most comes first."""

    template: str
    identity: Identity
    reading: MeterReading


class Found(NamedTuple):
    """Somebody at an address. `trouble`: what was wrong with the answer, such as two devices with one address."""

    address: int
    fits: tuple[Fit, ...] = ()
    trouble: str = ""


async def scan(bus: ModbusBus, addresses: Iterable[int], timeout_s: float) -> AsyncIterator[Found]:
    """Everybody who answers, as they are found. Raises NotFound if the line is not there, BadOptions for an address."""
    for address in addresses:
        device = bus.device(f"address {address}", address, Timing(timeout_s=timeout_s, retries=0))
        try:
            present = await _answers(device)
        except BadReply as error:
            yield Found(address, trouble=error.reason)
        else:
            if present:
                found = [fit async for fit in fits(bus, address, max(timeout_s, 1.0))]
                yield Found(address, tuple(sorted(found, key=_richest)))


async def fits(bus: ModbusBus, address: int, timeout_s: float) -> AsyncIterator[Fit]:
    """The maps that a meter can be read by."""
    context = DriverContext(bus.clock, {bus.name: bus})
    for name in template.names():
        options = {"bus": bus.name, "template": name, "address": address, "timeout_s": timeout_s, "retries": 0}
        meter = ModbusMeter(name, options, context)
        try:
            reading = await meter.read()
            if _is_mains(reading):
                yield Fit(name, await meter.identify(), reading)
        except NotFound:
            if meter.template.sunspec is None:
                raise
        except DeviceError:
            pass  # it does not answer to this map
        finally:
            await meter.close()


async def dump(meter: ModbusMeter, more: Iterable[tuple[Table, int, int]] = ()) -> dict[str, Any]:
    """The registers that are read of a meter, those that say who it is, and `more` (table, address, count).

    What the device refuses is left out. In the form of `tests/drivers/dumps`. Raises as `Meter.read`.
    """
    place = await meter.located()
    held: dict[Table, dict[int, int]] = {}
    ranges = [(Table[block.table.upper()], block.address, block.size) for block in meter.blocks]
    marks = (getattr(place.identity, field) for field in place.identity.__struct_fields__)
    ranges += [(Table[mark.table.upper()], mark.address, mark.size) for mark in marks if mark is not None]
    for table, address, count in (*ranges, *more):
        for at in range(address, address + count, _WORDS):
            size = min(_WORDS, address + count - at)
            try:
                values = (await meter.device.read(table, at, size)).values
            except Refused:
                continue
            held.setdefault(table, {}).update(zip(range(at, at + size), values, strict=True))
    registers = {table.name.lower(): runs(words) for table, words in held.items()}
    return {"template": place.name, "unit": meter.device.unit, "registers": registers}


def runs(words: Mapping[int, int]) -> dict[str, str]:
    """Registers that stand in a row, by the address of the first: four hex digits each."""
    found: dict[int, list[int]] = {}
    start, after = 0, None
    for address in sorted(words):
        if address != after:
            start = address
        found.setdefault(start, []).append(words[address])
        after = address + 1
    return {f"0x{at:04X}": " ".join(f"{word:04X}" for word in row) for at, row in found.items()}


async def _answers(device: ModbusDevice) -> bool:
    for table, address, count in _QUESTIONS:
        try:
            await device.read(table, address, count)
        except Timeout:
            continue
        except Refused:
            return True
        return True
    return False


def _richest(fit: Fit) -> tuple[int, str]:
    told = (getattr(fit.reading, field) for field in fit.reading.__struct_fields__)
    values = [one for of in told for one in (of if isinstance(of, tuple) else (of,))]
    return -sum(value is not None for value in values), fit.template


def _is_mains(reading: MeterReading) -> bool:
    volts = reading.voltage_v.l1 if reading.voltage_v is not None else None
    hertz = reading.frequency_hz
    return volts is not None and _VOLTS[0] <= volts <= _VOLTS[1] and (hertz is None or _HERTZ[0] <= hertz <= _HERTZ[1])
