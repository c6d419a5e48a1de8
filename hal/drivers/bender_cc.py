"""Bender CC612, CC613 and stations built with them (MENNEKES, Ebee, Walther, Webasto Live ...), on Modbus TCP.

    buses: {cc613: {kind: modbus-tcp, host: 192.168.4.3}}
    boards: {left: {driver: bender-cc, bus: cc613, max_a: 32}}

Sources: "Modbus TCP slave protocol registers" (Open Modbus Charge Control Interface) of a CC613's own web interface, as
published with evcc discussion 10657 (registers 100 to 138); nymea-plugins-modbus mennekes/amtron-ecu-registers.json
(122, 706, 1000); evcc charger/bender.go (140, 212, 1002, and that 0xFFFFFFFF is no value). All are holding registers,
high word first, unit 255; a second outlet listens at port 503.

| register | |
|---|---|
| 100, 142 | firmware (4 letters), model (20 letters) |
| 104, 105 | status as in OCPP: 0 available ... 3 unavailable, 4 faulted; four words of 32 bits of error codes |
| 122 | control pilot: 1 A to 5 E |
| 131, 132 | current under a loss of communication, A; after so many seconds |
| 140 | relays: 0 off, 1 three phases, 5 one phase; not in older firmware |
| 212 | currents L1 to L3, mA, 32 bits |
| 706 | current signalled to the vehicle, A |
| 1000 | limit of the energy manager, A; 0 pauses |
| 1002 | its limit in W; in MENNEKES AMTRON 4You 500 and 4Business 700 only |

Set in its web interface: Modbus TCP server for energy management on, register address set "Ebee/Bender/MENNEKES", no
OCPP backend and free charging, for the station authorises. The controller moves its lock by itself.

**Phases** (`phase_switching: true`) can be switched where there is a register 1002: the controller takes one phase when
three of them at 6 A and 207 V would exceed that limit. So one phase carries 16 A at most. Others with firmware 5.33 or
newer switch by SEMP (HTTP), which this driver does not speak.

**The board watches its host**: told to offer 0 A after 10 s without communication; armed when it is opened.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Annotated

import msgspec

from hal.api import LEASE_S, BoardSnapshot, Fault, Identity, Permit, PilotState
from hal.context import DriverContext, parse_options
from hal.drivers.modbus_board import ModbusBoard, ModbusOptions, text
from hal.drivers.polled import flowing
from hal.errors import BadReply, Refused

log = logging.getLogger(__name__)

_FIRMWARE, _MODEL, _MODEL_COUNT = 100, 142, 10
_STATUS, _STATUS_COUNT, _FAULTED = 104, 9, 4
_PILOT = 122
_FALL_BACK, _FALLEN_BACK = 131, (0, int(LEASE_S))
_RELAYS, _ONE_PHASE = 140, 5
_CURRENTS, _CURRENTS_COUNT = 212, 6
_SIGNALLED = 706
_LIMIT = 1000
_POWER, _ONE_PHASE_W, _NO_LIMIT_W = 1002, 3 * 6 * 207 - 1, 0xFFFF
_NO_VALUE = 0xFFFFFFFF
_PILOTS = {1: PilotState.A, 2: PilotState.B, 3: PilotState.C, 4: PilotState.D, 5: PilotState.E}


class Options(ModbusOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The driver's part of a configuration."""

    address: Annotated[int, msgspec.Meta(ge=0, le=255)] = 255
    timeout_s: Annotated[float, msgspec.Meta(gt=0.0, le=10.0)] = 1.0
    phase_switching: bool = False
    """The controller changes between one and three phases by its power limit."""


class BenderCc(ModbusBoard):
    """Board with the one channel 1. Raises BadOptions when built."""

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        given = parse_options(f"board {name!r}", options, Options)
        super().__init__(name, (1,), given, context)
        self._info = msgspec.structs.replace(self._info, phase_switching=given.phase_switching)
        self._tells_relays = True
        self._codes: tuple[int, ...] = ()
        self._identity = Identity("Bender", "CC612/CC613")

    async def identify(self) -> Identity:
        """As read when the board was opened."""
        return self._identity

    async def _find(self) -> None:
        firmware = text(await self._holding(_FIRMWARE, 2))
        try:
            model = text(await self._holding(_MODEL, _MODEL_COUNT))
        except Refused:  # older than 5.22
            model = "CC612/CC613"
        self._identity = Identity("Bender", model, "", firmware)
        try:
            await self._holding(_RELAYS, 1)
        except Refused:
            self._tells_relays = False
            self._warn("board.tells_no_relays")
        if self._info.phase_switching:
            try:
                await self._holding(_POWER, 1)
            except Refused:
                raise Refused(self.name, "has no power limit (register 1002) to switch phases by") from None
        await self._arm()

    async def _arm(self) -> None:
        """Written if it is new: it may be kept in flash."""
        kept = await self._holding(_FALL_BACK, len(_FALLEN_BACK))
        if kept != _FALLEN_BACK:
            try:
                await self._device.write(_FALL_BACK, _FALLEN_BACK)
            except Refused as error:
                self._warn("board.does_not_watch_its_host", reason=error.reason)
                return
            kept = await self._holding(_FALL_BACK, len(_FALLEN_BACK))
        if kept != _FALLEN_BACK:
            self._warn("board.does_not_watch_its_host", current_a=kept[0], after_s=kept[1])

    async def _look(self, channel: int) -> BoardSnapshot:
        sampled_at = self._clock()
        status, *codes = await self._holding(_STATUS, _STATUS_COUNT)
        self._note(tuple(codes))
        (state,) = await self._holding(_PILOT, 1)
        pilot = _PILOTS.get(state)
        if pilot is None:
            raise BadReply(self.name, f"register 122 holds {state}, which is no state")
        offered = await self._offered() if pilot.plugged else 0
        relays = (await self._holding(_RELAYS, 1))[0] if self._tells_relays else int(pilot.ready and offered > 0)
        return BoardSnapshot(
            channel=channel,
            sampled_at=sampled_at,
            pilot=pilot,
            contactor_closed=relays != 0,
            limit_a=float(offered),
            phases=await self._phases(relays),
            flowing=flowing(await self._holding(_CURRENTS, _CURRENTS_COUNT), no_value_from=_NO_VALUE)
            if relays
            else False,
            faults=frozenset({Fault.INTERNAL} if status == _FAULTED else ()),
        )

    async def _offered(self) -> int:
        """What is signalled to a vehicle; while the limit pauses, the register of it may be old."""
        (limit,) = await self._holding(_LIMIT, 1)
        return (await self._holding(_SIGNALLED, 1))[0] if limit else 0

    async def _phases(self, relays: int) -> int:
        """As the relays are, or would be."""
        if relays or not self._info.phase_switching:
            return 1 if relays == _ONE_PHASE else self._info.phases
        return 1 if (await self._holding(_POWER, 1))[0] <= _ONE_PHASE_W else self._info.phases

    async def _give(self, channel: int, permit: Permit, current: Callable[[], None]) -> None:
        del channel
        if self._info.phase_switching:
            limit_w = _NO_LIMIT_W if permit.phases == self._info.phases else _ONE_PHASE_W
            await self._device.write(_POWER, [limit_w], multiple=True)
            current()
        await self._device.write(_LIMIT, [int(permit.limit_a)], multiple=True)

    async def _withdraw(self, channel: int) -> None:
        del channel
        await self._device.write(_LIMIT, [0], multiple=True)

    def _note(self, codes: tuple[int, ...]) -> None:
        """The error codes mean what its own documentation says; here they are for people."""
        if codes != self._codes:
            self._codes = codes
            shown = " ".join(f"{codes[at] << 16 | codes[at + 1]:08x}" for at in range(0, len(codes), 2))
            log.warning("board.error_codes", extra={"board": self.name, "codes": shown})
