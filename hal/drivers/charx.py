"""Phoenix Contact CHARX SEC: a group of charging controllers behind one address, on Modbus TCP.

    buses: {charx: {kind: modbus-tcp, host: 192.168.4.2}}
    boards: {row: {driver: charx, bus: charx, channels: [1, 2], max_a: 32}}

Sources: UM EN CHARX SEC revision 08, appendix B1 and B3, by way of klconsultancy/aiophoenixcontactcharx registers.py,
models.py and CONTEXT.md; evcc charger/phoenix-charx.go and evcc#23178 (what 301 does outside of its range). The manual
itself was not at hand. Set "release mode" of every charging point to Modbus in the web interface; a lock that the
station moves must be set to external there. Channel n is charging point n, its registers begin at n x 1000.

| register | |
|---|---|
| 100, 110, 114 | designation (20 letters), software (8 letters), number of charging points |
| x100, x112, x120 | 1: tethered; meter (0 none); release mode (5 Modbus) |
| x238 | currents L1 to L3, mA, 32 bits, -1 unknown |
| x293 | errors, 32 bits |
| x297, x298, x299 | offered A; rating of the cable, A; state of IEC 61851-1, two letters: A1 to D2, E0, F0, IN |
| x300, x301 | release; most current: 6 to 80 A, less withdraws the release |
| x303 | lock |
| x306, x307 | current when nothing was written for so many seconds |

**The board watches its host**: told to offer 0 A after 10 s, which withdraws the release; armed when it is opened and
again with each renewal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import msgspec

from hal.api import LEASE_S, BoardSnapshot, Fault, Identity, LockState, Permit, PilotState
from hal.buses.modbus import Table
from hal.context import DriverContext, parse_options
from hal.drivers.channels import checked_channels
from hal.drivers.modbus_board import ModbusBoard, ModbusOptions, text
from hal.drivers.polled import flowing
from hal.errors import BadReply, NotFound, Refused

_POINT = 1000
_GLOBAL, _GLOBAL_COUNT = 100, 15
_CONFIG, _CONFIG_COUNT = 100, 21
_TETHERED, _METER, _RELEASE_MODE = 0, 12, 20  # in the configuration
_BY_MODBUS, _NO_METERS = 5, (0, 0xFFFF)
_STATUS, _STATUS_COUNT = 238, 66
_ERRORS, _OFFERED, _CABLE, _STATE, _LOCKED = 55, 59, 60, 61, 65  # in the status
_RELEASE, _LOCK, _WATCH = 300, 303, 306
_WATCHED = (0, int(LEASE_S))
_MODES = ("dashboard", "local list", "external control", "permanent", "OCPP", "Modbus")

_FAULTS = {
    1 << 0: Fault.OVER_TEMPERATURE,
    1 << 3: Fault.INTERNAL,  # configuration
    1 << 16: Fault.PROXIMITY,  # a cable of 13 or 20 A, rejected
    1 << 17: Fault.PROXIMITY,
    1 << 18: Fault.PROXIMITY,
    1 << 19: Fault.PILOT_LOST,
    1 << 21: Fault.LOCK_JAMMED,
    1 << 22: Fault.LOCK_JAMMED,
    1 << 23: Fault.LOCK_JAMMED,
    1 << 24: Fault.OVER_CURRENT,
    1 << 27: Fault.CONTACTOR_WELDED,
    1 << 28: Fault.DIODE,
    1 << 29: Fault.INTERNAL,  # supply of the controller
    1 << 30: Fault.RCD,
    1 << 31: Fault.INTERNAL,  # the residual current sensor
}
"""The other bits are no faults: derating, paused load management, a meter or reader that is missed, D refused."""


class Options(ModbusOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The driver's part of a configuration."""

    channels: tuple[Annotated[int, msgspec.Meta(ge=1, le=48)], ...] = (1,)
    lock: bool = False
    """The station moves the locks; else the controllers do."""


class _Point(msgspec.Struct, frozen=True):
    """What is set at a charging point."""

    tethered: bool
    metered: bool


class Charx(ModbusBoard):
    """Board with a channel per charging point, and LockingBoard. Raises BadOptions when built."""

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        owner = f"board {name!r}"
        given = parse_options(owner, options, Options)
        super().__init__(name, checked_channels(owner, given.channels), given, context)
        self._lock = given.lock
        self._points: dict[int, _Point] = {}
        self._identity = Identity("Phoenix Contact", "CHARX SEC")

    async def identify(self) -> Identity:
        """As read when the board was opened."""
        return self._identity

    async def lock(self, channel: int, *, locked: bool) -> None:
        """Moves the lock; only its errors are told. Raises Refused (no lock, jammed, contactor closed)."""
        seen = await self.snapshot(channel)
        if seen.lock is LockState.ABSENT:
            raise Refused(self.name, f"charging point {channel} has no lock that the station moves")
        if not locked and seen.contactor_closed:
            raise Refused(self.name, "the contactor is closed")
        await self._write(channel, _LOCK, (int(locked),))
        if (await self.snapshot(channel)).lock is LockState.JAMMED:
            raise Refused(self.name, "the lock is jammed")
        self.wake()

    # ------------------------------------------------------------------------------------------------- of PolledBoard

    async def _find(self) -> None:
        words = await self._holding(_GLOBAL, _GLOBAL_COUNT)
        self._identity = Identity("Phoenix Contact", text(words[:10]), "", text(words[10:14]))
        for channel in self.channels():
            if channel > words[14]:
                raise NotFound(self.name, f"has {words[14]} charging points, none is number {channel}")
            config = await self._holding(channel * _POINT + _CONFIG, _CONFIG_COUNT)
            mode = config[_RELEASE_MODE]
            if mode != _BY_MODBUS:
                by = _MODES[mode] if mode < len(_MODES) else str(mode)
                raise Refused(self.name, f"charging point {channel} is released by {by}: set it to Modbus")
            self._points[channel] = _Point(config[_TETHERED] == 1, config[_METER] not in _NO_METERS)
            await self._arm(channel)

    async def _arm(self, channel: int) -> None:
        await self._write(channel, _WATCH, _WATCHED)
        kept = await self._holding(channel * _POINT + _WATCH, len(_WATCHED))
        if kept != _WATCHED:
            self._warn("board.does_not_watch_its_host", channel=channel, current_a=kept[0], after_s=kept[1])

    async def _look(self, channel: int) -> BoardSnapshot:
        got = await self._device.read(Table.HOLDING, channel * _POINT + _STATUS, _STATUS_COUNT)
        words, point = got.values, self._points[channel]
        errors = words[_ERRORS] << 16 | words[_ERRORS + 1]
        faults = {fault for bit, fault in _FAULTS.items() if errors & bit}
        pilot, on = self._understood(words[_STATE])
        return BoardSnapshot(
            channel=channel,
            sampled_at=got.sampled_at,
            pilot=pilot,
            contactor_closed=(on and pilot.ready) or Fault.CONTACTOR_WELDED in faults,
            limit_a=float(words[_OFFERED]) if on else 0.0,
            phases=self._info.phases,
            cable_rating_a=float(words[_CABLE]) if pilot.plugged and words[_CABLE] and not point.tethered else None,
            flowing=flowing(words[:6], no_value_from=1 << 31) if point.metered else None,
            lock=self._lock_state(point, faults, locked=words[_LOCKED] == 1),
            faults=frozenset(faults),
        )

    async def _give(self, channel: int, permit: Permit, current: Callable[[], None]) -> None:
        await self._write(channel, _WATCH, _WATCHED)
        current()
        await self._write(channel, _RELEASE, (1, int(permit.limit_a)))

    async def _withdraw(self, channel: int) -> None:
        await self._write(channel, _RELEASE, (0,))

    # --------------------------------------------------------------------------------------------------------- inside

    async def _write(self, channel: int, register: int, values: Sequence[int]) -> None:
        await self._device.write(channel * _POINT + register, values, multiple=True)

    def _understood(self, word: int) -> tuple[PilotState, bool]:
        """The pilot, and whether its PWM is on while a vehicle is there."""
        letters = text((word,))
        if letters == "IN":  # it starts
            return PilotState.F, False
        try:
            pilot = PilotState(letters[:1])
        except ValueError:
            raise BadReply(self.name, f"register 299 holds {word:#06x}, which is no state") from None
        return pilot, pilot.plugged and letters[1:] == "2"

    def _lock_state(self, point: _Point, faults: set[Fault], *, locked: bool) -> LockState:
        if not self._lock or point.tethered:
            return LockState.ABSENT
        if Fault.LOCK_JAMMED in faults:
            return LockState.JAMMED
        return LockState.LOCKED if locked else LockState.UNLOCKED
