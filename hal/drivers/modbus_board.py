"""What polled boards on a Modbus line have in common: how they are configured, and texts in their registers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Annotated

import msgspec

from hal.buses.modbus import ModbusBus, Table, Timing
from hal.context import DriverContext
from hal.drivers.polled import PolledBoard, PolledOptions

log = logging.getLogger(__name__)

Gap = Annotated[float, msgspec.Meta(ge=0.0, le=2.0)]


class ModbusOptions(PolledOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where such a board is."""

    bus: str
    address: Annotated[int, msgspec.Meta(ge=0, le=255)] = 1
    timeout_s: Annotated[float, msgspec.Meta(gt=0.0, le=10.0)] = 0.5
    gap_s: Gap = 0.0
    """Least pause between two requests."""


class ModbusBoard(PolledBoard):
    """A PolledBoard with `_device` to ask. Raises BadOptions when built."""

    def __init__(self, name: str, channels: Sequence[int], options: ModbusOptions, context: DriverContext) -> None:
        super().__init__(name, channels, options, context)
        bus = context.resource(f"board {name!r}", ".bus", options.bus, ModbusBus)
        timing = Timing(timeout_s=options.timeout_s, gap_s=options.gap_s, retries=1)
        self._device = bus.device(name, options.address, timing)
        self._warned: set[str] = set()

    async def _leave(self) -> None:
        self._device.abandon()

    async def _holding(self, address: int, count: int) -> tuple[int, ...]:
        return (await self._device.read(Table.HOLDING, address, count)).values

    def _warn(self, event: str, **fields: object) -> None:
        """Tells an installer what he should know of this board: once."""
        if event not in self._warned:
            self._warned.add(event)
            log.warning(event, extra={"board": self.name, **fields})


def text(words: Sequence[int]) -> str:
    """Registers with two letters each, the first in the high byte; filled up with zeros or blanks."""
    letters = b"".join(word.to_bytes(2, "big") for word in words)
    return letters.split(b"\0")[0].decode("ascii", "replace").strip()
