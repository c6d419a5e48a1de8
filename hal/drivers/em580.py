"""Carlo Gavazzi EM580: a meter that writes one signed OCMF record of each charging session.

    meters: {left: {driver: em580, bus: rs485-1, address: 1, evse_id: "DE*ABC*E1"}}

Wiring: RS-485, speed and parity by its menu. Source: EVerest's module CarloGavazzi_EM580 (main/helper.hpp,
powermeterImpl.cpp, docs/index.rst), which names the tables of the maker's protocol. Documented numbers are wire address
+ 300001.

A session begins by `B` and ends by `E`; then the record is there until it is confirmed. It is confirmed when the next
session begins, not when it was read: an agent that loses its power before it has stored the record asks END again, and
gets it again. A session that nobody ended is aborted by the next BEGIN.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated

import msgspec

from hal.api import MeterReading, SignedText, SignMoment
from hal.buses.modbus import Table
from hal.context import DriverContext
from hal.drivers.modbus_meter import ModbusMeter, Options
from hal.drivers.signing import raw, settled, text_at, wall_s, words
from hal.errors import BadReply, Refused

_SIGNATURE_TYPE, _KEY_DER = 0x24FF, 0x2600
_KEY_SIZE = {0: 46, 1: 62}
"""Registers of the DER public key, by the signature type: 256 and 384 bits. The block is read whole."""
_ID_STATUS, _ID_LEVEL, _ID_FLAGS, _ID_TYPE = 0x7000, 0x7001, 0x7002, 0x7006
_ID_DATA, _ID_SIZE = 0x7007, 20
_POINT_TYPE, _POINT, _POINT_SIZE = 0x701B, 0x701C, 20
_TIME = 0x7032  # int64 seconds since 1970, low word first
_MODALITY, _COMMAND = 0x7036, 0x7040
_BEGIN, _END, _ABORT = 0x42, 0x45, 0x41
_STATE, _SIZE, _FILE, _FILE_SIZE = 0x7100, 0x7101, 0x7110, 2031
_NOT_READY, _RUNNING, _READY, _CORRUPTED = 0, 1, 2, 3
_UNDEFINED = 2  # of the identification types: the label may be a card's, a transaction's or an app's


class Em580Options(Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """As any meter by a register map, and the map is known."""

    template: str = "carlo-gavazzi-em580"
    evse_id: Annotated[str, msgspec.Meta(max_length=39)] = ""
    """The charging point in the record (OCMF: CI)."""


class Em580(ModbusMeter):
    """Meter and SignedMeter."""

    takes = Em580Options

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        super().__init__(name, options, context)
        self._one = asyncio.Lock()

    async def sign(self, moment: SignMoment, label: str) -> MeterReading:
        """BEGIN and SAMPLE are in the record of END, which comes with `signed`.

        Raises NotFound, Timeout, BadReply (a corrupted record), Refused (no session to end).
        """
        async with self._one:
            signed = None
            if moment is SignMoment.BEGIN:
                await self._begin(label)
            elif moment is SignMoment.END:
                signed = await self._end()
            reading = await self.read()
        return msgspec.structs.replace(reading, signed=signed)

    async def _begin(self, label: str) -> None:
        state = await self._state()
        if state == _RUNNING:
            await self._set(_COMMAND, _ABORT)
            state = await settled(self.name, self._state, (_RUNNING,), "is in a session that cannot be aborted")
        if state != _NOT_READY:
            await self._set(_STATE, _NOT_READY)
        now = wall_s()
        if now is not None:
            await self._set(_TIME, *((now >> shift) & 0xFFFF for shift in (0, 16, 32, 48)))
        await self._set(_ID_STATUS, int(bool(label)))
        await self._set(_ID_LEVEL, 0)
        await self._set(_ID_FLAGS, 0, 0, 0, 0)
        await self._set(_ID_TYPE, _UNDEFINED)
        await self._set(_ID_DATA, *words(label, _ID_SIZE))
        await self._set(_POINT_TYPE, 0)
        await self._set(_POINT, *words(getattr(self.given, "evse_id", ""), _POINT_SIZE))
        await self._set(_MODALITY, 0)
        await self._set(_COMMAND, _BEGIN)
        state = await settled(self.name, self._state, (_NOT_READY,), "does not begin a session")
        if state != _RUNNING:
            raise BadReply(self.name, f"is in state {state} after the beginning of a session")

    async def _end(self) -> SignedText:
        state = await self._state()
        if state == _NOT_READY:
            raise Refused(self.name, "there is no session to end")
        if state == _RUNNING:
            await self._set(_COMMAND, _END)
            state = await settled(self.name, self._state, (_RUNNING, _NOT_READY), "does not end its session")
        if state != _READY:
            raise BadReply(self.name, "the record of the session is corrupted")
        size = (await self.device.read(Table.INPUT, _SIZE, 1)).values[0]
        if not 0 < size <= _FILE_SIZE:
            raise BadReply(self.name, f"a record of {size} registers")
        data = await text_at(self.device, Table.INPUT, _FILE, size)
        if not data.startswith("OCMF|"):
            raise BadReply(self.name, f"a record that is no OCMF: {data[:20]!r}")
        return SignedText(data=data, encoding="OCMF", public_key=await self._public_key())

    async def _public_key(self) -> str:
        """DER SubjectPublicKeyInfo as hex; its second byte tells how long it is. Empty for a meter without keys."""
        kind = (await self.device.read(Table.INPUT, _SIGNATURE_TYPE, 1)).values[0]
        if kind not in _KEY_SIZE:
            return ""
        der = raw((await self.device.read(Table.INPUT, _KEY_DER, _KEY_SIZE[kind])).values)
        return der[: 2 + der[1]].hex()

    async def _state(self) -> int:
        return (await self.device.read(Table.INPUT, _STATE, 1)).values[0]

    async def _set(self, address: int, *values: int) -> None:
        await self.device.write(address, values, multiple=True)
