"""The numbers in a meter's registers: a map and the blocks that are read of it, made into places in their bytes. Pure.

That is done once; a reading, which comes each second, is then one packing of each block and one unpacking of each
number.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from hal.template import FORMAT, MAX_EXPONENT, Block, MeterTemplate, Quantity, Register


class _Place(NamedTuple):
    """Where a number stands in which view, and what it means."""

    quantity: Quantity
    view: int
    offset: int
    unpack: Callable[[bytes, int], tuple[Any, ...]]
    scale: float
    absent: int | None
    exponent: tuple[int, int] | None
    """The block and the place in it."""


class Decoder:
    """What was read of `blocks`, as the map of `template` understands it. Each register lies in a block (`plan`)."""

    def __init__(self, template: MeterTemplate, blocks: Sequence[Block]) -> None:
        self._blocks = blocks
        self._default = template.bus.word_order
        self._views: dict[tuple[int, bool], Callable[..., bytes]] = {}
        """The bytes of which block, backwards or not: with the low word first each number is then high word first."""
        self._places = [self._place(quantity, register) for quantity, register in template.registers.items()]
        energy = template.registers["energy_import_wh"]
        self.energy_block = self._block_of(energy.table, energy.address)
        """In which of the blocks the energy stands."""

    def values(self, words: Sequence[Sequence[int]]) -> dict[Quantity, float]:
        """The quantities in the registers of each block; without those of which the device says that it has none."""
        views = [pack(*(words[at][::-1] if back else words[at])) for (at, back), pack in self._views.items()]
        values: dict[Quantity, float] = {}
        for quantity, view, offset, unpack, scale, absent, exponent in self._places:
            raw = unpack(views[view], offset)[0]
            if raw == absent:
                continue
            value = raw * scale
            if exponent is not None:
                power = words[exponent[0]][exponent[1]]
                power -= (power & 0x8000) << 1
                if abs(power) > MAX_EXPONENT:  # 0x8000 is "not implemented"
                    continue
                value = value * 10**power if power >= 0 else value / 10**-power
            if value - value == 0:  # NaN and infinities differ from themselves
                values[quantity] = value
        return values

    def _place(self, quantity: Quantity, register: Register) -> _Place:
        at = self._block_of(register.table, register.address)
        block, backwards = self._blocks[at], (register.word_order or self._default) == "little"
        self._views.setdefault((at, backwards), struct.Struct(f">{block.size}H").pack)
        word = register.address - block.address
        exponent = None
        if register.exponent_at is not None:
            exponent_in = self._block_of(register.table, register.exponent_at)
            exponent = (exponent_in, register.exponent_at - self._blocks[exponent_in].address)
        return _Place(
            quantity=quantity,
            view=list(self._views).index((at, backwards)),
            offset=2 * (block.size - word - register.size if backwards else word),
            unpack=struct.Struct(">" + FORMAT[register.type]).unpack_from,
            scale=register.scale,
            absent=register.absent,
            exponent=exponent,
        )

    def _block_of(self, table: str, address: int) -> int:
        return next(
            at
            for at, block in enumerate(self._blocks)
            if block.table == table and block.address <= address < block.address + block.size
        )
