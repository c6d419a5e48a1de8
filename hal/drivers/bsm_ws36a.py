"""BAUER BSM-WS36A: a meter that signs snapshots and tells them as OCMF.

    meters: {left: {driver: bsm-ws36a, bus: rs485-1, address: 42}}

Wiring: RS-485, 19200 8E1, address 42 as it leaves the factory. Sources: chargeITmobility/bsm-python, doc/examples
(modbus-interface.md, snapshots.md, ocmf.md, time.md) and doc/modbus (register overview; protocol addresses, as here).

A snapshot is made by writing "updating" to its state and waiting until that is over. Start and end are used, which
switch nothing: the contactor belongs to the board. Meta1 becomes the OCMF identification. The record of a start or an
end stays in the meter until the next one is made, so END asked again tells the same again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from hal.api import MeterReading, SignedText, SignMoment
from hal.buses.modbus import ModbusBus, Table, Timing
from hal.context import DriverContext
from hal.drivers.modbus_meter import ModbusMeter, Options
from hal.drivers.signing import PATIENCE_S, raw, settled, text_at, wall_s, words
from hal.errors import BadReply, Refused
from hal.template import MAX_EXPONENT

_EPOCH = 40260  # uint32 local seconds, and the offset to UTC in minutes behind it
_META1, _META1_SIZE = 40279, 70
_KEY_BYTES, _KEY = 40450, 40451
_MAX_KEY_BYTES = 192
_UPDATING, _VALID = 2, 0
_FAILURES = {1: "invalid", 3: "failed", 4: "missing enable signal", 5: "no feedback from the contactor"}
_OCMF_SIZE = 496


class _Snapshot(NamedTuple):
    """Where a snapshot's model (64901) and its OCMF text (64903) begin."""

    at: int
    ocmf_at: int


_SNAPSHOTS: Mapping[SignMoment, _Snapshot] = {
    SignMoment.SAMPLE: _Snapshot(40521, 41791),
    SignMoment.BEGIN: _Snapshot(41283, 43291),
    SignMoment.END: _Snapshot(41537, 43791),
}
_STATE, _ENERGY, _SNAPSHOT_SIZE = 3, 6, 3
"""Offsets in a snapshot's model: its state; TotWhImp (2 registers) with its scale factor."""


class BsmOptions(Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """As any meter by a register map, and the map is known."""

    template: str = "bauer-bsm-ws36a"


class BsmWs36a(ModbusMeter):
    """Meter and SignedMeter."""

    takes = BsmOptions

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        super().__init__(name, options, context)
        bus = context.resource(f"meter {name!r}", ".bus", self.given.bus, ModbusBus)
        self._slow = bus.device(
            name, self.device.unit, Timing(timeout_s=PATIENCE_S, forget_s=2 * PATIENCE_S, retries=0)
        )
        self._clock = context.clock
        self._one = asyncio.Lock()

    async def sign(self, moment: SignMoment, label: str) -> MeterReading:
        """A snapshot with its OCMF text. Raises NotFound, Timeout, BadReply, Refused (the meter could not sign)."""
        async with self._one:
            if moment is SignMoment.BEGIN:
                await self._prepare(label)
            snapshot = _SNAPSHOTS[moment]
            await self.device.write(snapshot.at + _STATE, [_UPDATING], multiple=True)
            sampled_at = self._clock()
            state = await settled(self.name, lambda: self._state(snapshot), (_UPDATING,), "signs")
            if state != _VALID:
                raise Refused(self.name, f"made no snapshot: {_FAILURES.get(state, state)}")
            energy = (await self.device.read(Table.HOLDING, snapshot.at + _ENERGY, _SNAPSHOT_SIZE)).values
            data = await text_at(self.device, Table.HOLDING, snapshot.ocmf_at + 4, _OCMF_SIZE)
            if not data.startswith("OCMF|"):
                raise BadReply(self.name, f"a record that is no OCMF: {data[:20]!r}")
            signed = SignedText(data=data, encoding="OCMF", public_key=await self._public_key())
            reading = await self.read()
        energy_mwh = self._energy_mwh(energy)
        return msgspec.structs.replace(reading, energy_import_mwh=energy_mwh, sampled_at=sampled_at, signed=signed)

    async def _prepare(self, label: str) -> None:
        """Whom the session is for, and what time it is."""
        await self.device.write(_META1, words(label, _META1_SIZE))
        now = wall_s()
        if now is not None:
            await self.device.write(_EPOCH, [now >> 16, now & 0xFFFF, 0])

    async def _state(self, snapshot: _Snapshot) -> int:
        return (await self._slow.read(Table.HOLDING, snapshot.at + _STATE, 1)).values[0]

    async def _public_key(self) -> str:
        """DER SubjectPublicKeyInfo as hex, as the meter has it."""
        size = (await self.device.read(Table.HOLDING, _KEY_BYTES, 1)).values[0]
        if not 0 < size <= _MAX_KEY_BYTES:
            raise BadReply(self.name, f"a public key of {size} bytes")
        return raw((await self.device.read(Table.HOLDING, _KEY, (size + 1) // 2)).values)[:size].hex()

    def _energy_mwh(self, registers: tuple[int, ...]) -> int:
        """TotWhImp and its power of ten. Raises BadReply for a power that is none."""
        high, low, exponent = registers
        power = exponent - 0x10000 if exponent & 0x8000 else exponent
        if abs(power) > MAX_EXPONENT:
            raise BadReply(self.name, f"the scale factor of its energy is {power}")
        return round((high << 16 | low) * 1000 * 10.0**power)
