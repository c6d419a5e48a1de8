"""EVSE-WB and EVSE-DIN of ev-racing ("SimpleEVSE"): a control pilot, a proximity pilot and a relay, on Modbus RTU.

    boards: {left: {driver: evse-wb, bus: rs485-1, address: 1, max_a: 16}}

Sources: "EVSE Wallbox, DIN, W16 datasheet" (ev-racing.cz, 2019 and 2020), chapter Modbus; openWB_lite docs/infos.md for
0.01 A steps; the two versions of register 1007 also in kortas87/evse-scripts. All are holding registers, read by
function 3, written by function 16, with 200 ms between requests. 9600 8N1.

| register | |
|---|---|
| 1000 | current to offer, A; 0 is off. 0.01 A where 2005 bit 7 is set and the firmware is 17 or newer |
| 1001 | current offered |
| 1002 | vehicle: 1 ready (A), 2 present (B), 3 charging (C), 4 with ventilation (D), 5 failure |
| 1003 | rating of the cable, A |
| 1005 | firmware |
| 1006 | pilot: 1 steady 12 V, 2 PWM, 3 off |
| 1007 | bit 0 relay on, 1 diode check failed, 2 ventilation missing, 3 recovering, 5 RCD (bit 4 in older firmware) |
| 2000 | current offered after power-up |
| 2005 | configuration bits |
| 2007 | cable detection: 0 by the proximity pilot, else a fixed rating |

**The board does not watch its host.** It goes on with the last current when the agent or the wire is gone. What can be
armed is: after a loss of its own power it offers nothing (2000 = 0). The RCD and the supply must suffice for the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from hal.api import BoardSnapshot, Fault, Identity, Permit, PilotState
from hal.buses.modbus import Table
from hal.context import DriverContext, parse_options
from hal.drivers.modbus_board import Gap, ModbusBoard, ModbusOptions
from hal.errors import BadReply, Refused

_CURRENT, _STATUS_COUNT = 1000, 8
_BOOT_CURRENT, _FLAGS, _CABLE_DETECTION = 2000, 2005, 2007
_CONFIG_COUNT = 8
_PWM = 2
_FINE_STEPS = 1 << 7
_FINE_SINCE = 17
_MAX_WHOLE_A = 80
"""The most a board offers: what is more in its registers is counted in 0.01 A."""

_PILOTS = {1: PilotState.A, 2: PilotState.B, 3: PilotState.C, 4: PilotState.D}
_FAILURE = 5
_RELAY_ON, _DIODE, _NO_VENTILATION, _RCD_OLD, _RCD = 1 << 0, 1 << 1, 1 << 2, 1 << 4, 1 << 5


class Options(ModbusOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The driver's part of a configuration."""

    gap_s: Gap = 0.2


class EvseWb(ModbusBoard):
    """Board with the one channel 1. Raises BadOptions when built."""

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        super().__init__(name, (1,), parse_options(f"board {name!r}", options, Options), context)
        self._firmware = 0
        self._fine = False
        self._tethered = False
        self._commanded = 0

    async def identify(self) -> Identity:
        """The firmware, as read when the board was opened."""
        return Identity("ev-racing", "EVSE-WB", "", str(self._firmware))

    async def _find(self) -> None:
        self._firmware = (await self._holding(_CURRENT, _STATUS_COUNT))[5]
        config = await self._holding(_BOOT_CURRENT, _CONFIG_COUNT)
        self._fine = self._firmware >= _FINE_SINCE and bool(config[_FLAGS - _BOOT_CURRENT] & _FINE_STEPS)
        self._tethered = config[_CABLE_DETECTION - _BOOT_CURRENT] != 0
        if config[0] != 0:
            await self._arm()
        self._warn("board.does_not_watch_its_host")

    async def _arm(self) -> None:
        """Nothing shall be offered after power-up. Written once: it is kept in the board's EEPROM."""
        try:
            await self._device.write(_BOOT_CURRENT, [0], multiple=True)
            kept = (await self._holding(_BOOT_CURRENT, 1))[0]
        except Refused as error:
            self._warn("board.offers_after_power_up", reason=error.reason)
            return
        if kept:
            self._warn("board.offers_after_power_up", current_a=kept)

    async def _look(self, channel: int) -> BoardSnapshot:
        got = await self._device.read(Table.HOLDING, _CURRENT, _STATUS_COUNT)
        self._commanded, offered, vehicle, cable_a, _, _, evse, status = got.values
        if vehicle not in _PILOTS and vehicle != _FAILURE:
            raise BadReply(self.name, f"register 1002 holds {vehicle}, which is no vehicle state")
        pilot = _PILOTS.get(vehicle) or _failed(status)
        return BoardSnapshot(
            channel=channel,
            sampled_at=got.sampled_at,
            pilot=pilot,
            contactor_closed=bool(status & _RELAY_ON),
            limit_a=_amperes(offered) if evse == _PWM else 0.0,
            phases=self._info.phases,
            cable_rating_a=float(cable_a) if pilot.plugged and cable_a and not self._tethered else None,
            faults=_faults(vehicle, status),
        )

    async def _give(self, channel: int, permit: Permit, current: Callable[[], None]) -> None:
        del channel, current  # one write
        await self._device.write(_CURRENT, [self._steps(permit.limit_a)], multiple=True)

    async def _renew(self, channel: int, permit: Permit, current: Callable[[], None]) -> None:
        if self._commanded != self._steps(permit.limit_a):  # else it need not hear of us: it does not watch
            await self._give(channel, permit, current)

    async def _withdraw(self, channel: int) -> None:
        del channel
        await self._device.write(_CURRENT, [0], multiple=True)

    def _steps(self, limit_a: float) -> int:
        """As register 1000 counts them."""
        return math.floor(limit_a * 100 + 1e-6) if self._fine else int(limit_a)


def _amperes(value: int) -> float:
    return value / 100 if value > _MAX_WHOLE_A else float(value)


def _failed(status: int) -> PilotState:
    """The pilot behind state 5: it says nothing about the vehicle, unless the reason does."""
    if status & _NO_VENTILATION:
        return PilotState.D
    return PilotState.E if status & _DIODE else PilotState.F


def _faults(vehicle: int, status: int) -> frozenset[Fault]:
    """In older firmware bit 4 is the RCD's failure, in newer its test, which is none while the vehicle's state is."""
    found = set()
    if status & _DIODE:
        found.add(Fault.DIODE)
    if status & _RCD or (status & _RCD_OLD and vehicle == _FAILURE):
        found.add(Fault.RCD)
    if vehicle == _FAILURE and not found and not status & _NO_VENTILATION:
        found.add(Fault.INTERNAL)
    return frozenset(found)
