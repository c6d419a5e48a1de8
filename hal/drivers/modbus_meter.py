"""A meter on a Modbus line, described by a register map (`hal.template`).

    meters: {main: {driver: modbus, bus: rs485-1, address: 1, template: eastron-sdm630}}

The bus may be of kind modbus-rtu or modbus-tcp, whatever the map says: behind a gateway the registers are the same.

Energy is billed, so it is doubted: a register that falls, or that rises by more than the meter can carry, is a BadReply
and the last value stays. Only when three readings in a row agree with each other and not with the past (the meter was
replaced, its register reset) are they believed, the first of them marked SUSPECT.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, NamedTuple, NoReturn

import msgspec

from hal.api import Identity, MeterInfo, MeterReading, PerPhase, Quality
from hal.buses.modbus import ModbusBus, Table, Timing
from hal.context import DriverContext, parse_options
from hal.decoding import Decoder
from hal.drivers.sunspec import locate
from hal.errors import BadReply, NotFound, Refused, Timeout
from hal.template import Block, Mark, MeterTemplate, Quantity, load, placed, plan, text

_AGREEMENTS = 3
_FORGET_S = 10.0
_S_PER_H = 3600.0
_MWH_PER_WH = 1000
_MOST: Mapping[str, float] = {
    "wh": 1e12,
    "varh": 1e12,
    "v": 1e4,
    "a": 1e4,
    "hz": 1e3,
    "factor": 10.0,
    "c": 1e3,
}
"""Beyond any station, by the end of a quantity's name: a device that starts or is broken tells such numbers."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The driver's part of a configuration."""

    bus: str
    template: str
    """A built-in register map, or the path of one."""
    address: Annotated[int, msgspec.Meta(ge=0, le=255)] | None = None
    """Instead of the one that it leaves the factory with."""
    without: tuple[Quantity, ...] = ()
    """Quantities of the template not to be read, for a shorter request or where one is not wired."""
    timeout_s: Annotated[float, msgspec.Meta(gt=0.0, le=60.0)] | None = None
    """Instead of the template's."""
    retries: Annotated[int, msgspec.Meta(ge=0, le=5)] = 1
    max_power_w: Annotated[float, msgspec.Meta(gt=0.0)] | None = None
    """Instead of the template's: more than this the installation cannot carry."""


class _Placed(NamedTuple):
    """A map with the addresses of this device, what is read of it each time, and how that is understood."""

    template: MeterTemplate
    blocks: tuple[Block, ...]
    reads: tuple[tuple[Table, int, int], ...]
    decoder: Decoder


class ModbusMeter:
    """Meter protocol over a register map. Raises BadOptions for an unknown bus, template, address or quantity."""

    takes: type[Options] = Options
    """What may be said of it; a driver that is derived from this one takes more."""

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        owner = f"meter {name!r}"
        given = parse_options(owner, options, self.takes)
        self.given = given
        template = load(owner, given.template)
        registers = {quantity: at for quantity, at in template.registers.items() if quantity not in given.without}
        if "energy_import_wh" not in registers:
            registers["energy_import_wh"] = template.registers["energy_import_wh"]
        self.name = name
        self.template = msgspec.structs.replace(template, registers=registers)
        """The map as it is read: without what was left out."""
        self._placed: _Placed | None = None
        bus = context.resource(owner, ".bus", given.bus, ModbusBus)
        address = template.bus.address if given.address is None else given.address
        self.device = bus.device(name, address, _timing(template, given))
        limits = template.limits
        max_power_w = given.max_power_w or limits.max_power_w
        self._most = {quantity: _MOST.get(quantity.rpartition("_")[2], max_power_w) for quantity in registers}
        self._guard = EnergyGuard(name, max_power_w, limits.resolution_wh)
        self._info = _info(set(registers))

    @property
    def info(self) -> MeterInfo:
        """What the register map holds."""
        return self._info

    async def open(self) -> None:
        """Reads once. Raises NotFound if nothing answers at this address, else as `read`."""
        try:
            await self.read()
        except Timeout as error:
            raise NotFound(self.name, error.reason) from None

    async def close(self) -> None:
        """Ends whatever waits for this meter; the line belongs to its bus."""
        self.device.abandon()
        self._placed = None

    async def identify(self) -> Identity:
        """What the map has places for. A register that the device refuses is unknown. Raises as `read`."""
        template = await self.located()
        told = {"vendor": template.vendor, "model": template.model}
        for field in template.identity.__struct_fields__:
            mark: Mark | None = getattr(template.identity, field)
            if mark is not None:
                try:
                    got = await self.device.read(Table[mark.table.upper()], mark.address, mark.size)
                except Refused:
                    continue
                told[field] = text(mark, got.values) or told.get(field, "")
        return Identity(**told)

    async def read(self) -> MeterReading:
        """Reads every block. Raises NotFound, Timeout, BadReply (damaged, or what cannot be), Refused."""
        here = self._placed or await self._locate()
        got = [await self.device.read(*block) for block in here.reads]
        values = here.decoder.values([registers.values for registers in got])
        if "energy_import_wh" not in values:
            raise BadReply(self.name, "the energy register holds no number")
        for quantity, value in values.items():
            if abs(value) > self._most[quantity]:
                self._beyond(quantity, value)
        energy_at = got[here.decoder.energy_block].sampled_at
        return reading(values, energy_at, self._guard.judge(_mwh(values["energy_import_wh"]), energy_at))

    def _beyond(self, quantity: Quantity, value: float) -> NoReturn:
        """Raises BadReply for a number that cannot be, however sound the frame was."""
        most, watts = self._most[quantity], quantity.endswith("_w")
        can = f"can carry no more than {most:.0f} W" if watts else f"{most:g} is beyond any"
        raise BadReply(self.name, f"told {quantity} {value:g}, and {can}")

    async def located(self) -> MeterTemplate:
        """The map with the addresses of this device: found out once after each opening. Raises as `read`."""
        return (self._placed or await self._locate()).template

    @property
    def blocks(self) -> tuple[Block, ...]:
        """What is read each time, once the meter was located."""
        return self._placed.blocks if self._placed else ()

    async def _locate(self) -> _Placed:
        template = self.template
        if template.sunspec is not None:
            place = await locate(self.device, template.sunspec)
            template = placed(template, place.model_at, place.common_at)
        blocks = plan(template.registers.values(), template.bus.max_registers, template.bus.max_gap)
        reads = tuple((Table[block.table.upper()], block.address, block.size) for block in blocks)
        self._placed = _Placed(template, blocks, reads, Decoder(template, blocks))
        return self._placed


def _timing(template: MeterTemplate, given: Options) -> Timing:
    timeout_s = template.bus.timeout_s if given.timeout_s is None else given.timeout_s
    return Timing(
        timeout_s=timeout_s, gap_s=template.bus.gap_s, retries=given.retries, forget_s=max(_FORGET_S, 2 * timeout_s)
    )


# ---------------------------------------------------------------------------------------------------- plausibility


class _Sample(NamedTuple):
    mwh: int
    at: float


class EnergyGuard:
    """Judges each value of an energy register by the one before it. Pure."""

    def __init__(self, name: str, max_power_w: float, resolution_wh: float) -> None:
        self._name = name
        self._max_power_w = max_power_w
        self._resolution_mwh = resolution_wh * _MWH_PER_WH
        self._last: _Sample | None = None
        self._doubted: list[_Sample] = []

    def judge(self, mwh: int, at: float) -> Quality:
        """GOOD, or SUSPECT for the first value of a new beginning. Raises BadReply for one that cannot be."""
        sample = _Sample(mwh, at)
        if mwh >= 0 and (self._last is None or self._follows(self._last, sample)):
            self._last = sample
            self._doubted.clear()
            return Quality.GOOD
        if mwh < 0 or (self._doubted and not self._follows(self._doubted[-1], sample)):
            self._doubted.clear()
        self._doubted.append(sample)
        if mwh >= 0 and len(self._doubted) >= _AGREEMENTS:
            self._last = sample
            self._doubted.clear()
            return Quality.SUSPECT
        known = "nothing" if self._last is None else f"{self._last.mwh / _MWH_PER_WH:.3f} Wh"
        raise BadReply(self._name, f"energy register went from {known} to {mwh / _MWH_PER_WH:.3f} Wh")

    def _follows(self, before: _Sample, after: _Sample) -> bool:
        possible = self._max_power_w * max(0.0, after.at - before.at) / _S_PER_H * _MWH_PER_WH
        return 0 <= after.mwh - before.mwh <= possible + self._resolution_mwh


# -------------------------------------------------------------------------------------------------- values to reading


def reading(values: Mapping[Quantity, float], sampled_at: float, quality: Quality) -> MeterReading:
    """A reading from the numbers of a register map; what is missing is None. Needs `energy_import_wh`."""
    get = values.get
    power = get("power_w")
    export, reactive = get("energy_export_wh"), get("energy_reactive_import_varh")
    l1, l2, l3 = get("energy_import_l1_wh"), get("energy_import_l2_wh"), get("energy_import_l3_wh")
    return MeterReading(
        sampled_at=sampled_at,
        energy_import_mwh=_mwh(values["energy_import_wh"]),
        energy_export_mwh=None if export is None else _mwh(export),
        power_import_w=_import(power),
        power_export_w=None if power is None else max(0.0, -power),
        power_import_phase_w=_phases(
            _import(get("power_l1_w")), _import(get("power_l2_w")), _import(get("power_l3_w"))
        ),
        energy_import_phase_mwh=None if l1 is l2 is l3 is None else (_of(l1), _of(l2), _of(l3)),
        voltage_v=_phases(get("voltage_l1_v"), get("voltage_l2_v"), get("voltage_l3_v")),
        current_a=_phases(get("current_l1_a"), get("current_l2_a"), get("current_l3_a")),
        current_neutral_a=get("current_neutral_a"),
        frequency_hz=get("frequency_hz"),
        reactive_import_var=get("reactive_import_var"),
        energy_reactive_import_mvarh=None if reactive is None else _mwh(reactive),
        power_factor=get("power_factor"),
        temperature_c=get("temperature_c"),
        quality=quality,
    )


def _mwh(wh: float) -> int:
    """The one rounding of energy: to the nearest milliwatt-hour."""
    return round(wh * _MWH_PER_WH)


def _import(watts: float | None) -> float | None:
    return None if watts is None else max(0.0, watts)


def _of(wh: float | None) -> int | None:
    return None if wh is None else _mwh(wh)


def _phases(l1: float | None, l2: float | None, l3: float | None) -> PerPhase | None:
    return None if l1 is l2 is l3 is None else PerPhase(l1, l2, l3)


_FIELD_OF: Mapping[str, tuple[str, ...]] = {
    "energy_import_wh": ("energy_import_mwh",),
    "energy_export_wh": ("energy_export_mwh",),
    "energy_reactive_import_varh": ("energy_reactive_import_mvarh",),
    "power_w": ("power_import_w", "power_export_w"),
}
_PHASE_FIELD_OF: Mapping[str, str] = {
    "energy_import_l": "energy_import_phase_mwh",
    "power_l": "power_import_phase_w",
    "voltage_l": "voltage_v",
    "current_l": "current_a",
}


def _info(quantities: set[Quantity]) -> MeterInfo:
    fields: set[str] = set()
    phases = 1
    for quantity in quantities:
        stem, _, rest = quantity.partition("_l")
        field = _PHASE_FIELD_OF.get(f"{stem}_l") if rest[:1] in ("1", "2", "3") else None
        if field is not None:
            phases = max(phases, int(rest[0]))
        fields.update((field,) if field is not None else _FIELD_OF.get(quantity, (quantity,)))
    return MeterInfo(frozenset(fields), phases)
