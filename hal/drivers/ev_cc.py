"""Phoenix Contact EV Charge Control Basic (EV-CC-AC1-M3): pilots, contactor and lock of one outlet, on Modbus RTU.

    boards: {left: {driver: ev-cc, bus: rs485-1, address: 1, max_a: 32, lock: true}}

Source: user manual 106377_en_04, table 9-2 (pages 54 to 57 and 60 to 62 were at hand). Wiring: RS-485, 9600 or 19200
baud by switch S2/1, address by S2/2 to 6. The read-only rows of the table are holding registers by its first column,
and input registers to evcc (charger/phoenix-ev-ser.go): what the device refuses as one is read as the other.

| address | |
|---|---|
| input 1000, 1021, 1031 | order designation (32 letters), serial number (12), firmware |
| holding 4000 | 3: charging is enabled by coil 20000; kept |
| holding 4002 | 3: the lock is moved by coil 20002 (needs switch S1/3 on); kept |
| holding 4009 | 1: tethered cable (case C) |
| coil 20000, 20002 | enable; lock |
| holding 22000 | most current, 6 to 63 A |
| 24000 | state of IEC 61851-1, two letters: A1 to D2 (2: PWM on), E0, F0 |
| 24001 | rating of the cable by the proximity pilot: 13, 20, 32, 63 A, 0 without a plug, FFFF shorted |
| 24003 | current offered, A |
| 24025 | errors, numbered from 1: the table has a bit 16 |

**The board does not watch its host** by any register of these pages. Its enable is volatile, so that after a loss of
its own power it offers nothing. What can be had by wiring: with S1/2 on and register 4001 = 1 it goes to state F when
its input XR opens: a contact that falls when the station's computer dies does what a register cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from hal.api import BoardSnapshot, Fault, Identity, LockState, Permit, PilotState
from hal.buses.modbus import Registers, Table
from hal.context import DriverContext, parse_options
from hal.drivers.modbus_board import ModbusBoard, ModbusOptions, text
from hal.errors import BadReply, Refused

_NAME, _NAME_COUNT, _SERIAL, _FIRMWARE = 1000, 34, 21, 31
_ENABLED_BY, _LOCKED_BY, _BY_COIL = 4000, 4002, 3
_CONNECTION, _TETHERED = 4009, 1
_ENABLE, _LOCK = 20000, 20002
_LIMIT = 22000
_STATE, _STATE_COUNT, _ERRORS = 24000, 4, 24025
_PWM_ON = "2"
_SHORTED = 0xFFFF


def _bit(number: int) -> int:
    return 1 << number - 1


_FAULTS = {
    _bit(2): Fault.PROXIMITY,  # a cable of 13 A, rejected
    _bit(3): Fault.PROXIMITY,
    _bit(4): Fault.PILOT_LOST,
    _bit(6): Fault.LOCK_JAMMED,
    _bit(7): Fault.LOCK_JAMMED,
    _bit(8): Fault.LOCK_JAMMED,
    _bit(12): Fault.CONTACTOR_WELDED,
    _bit(13): Fault.DIODE,
    _bit(15): Fault.RCD,
    _bit(16): Fault.INTERNAL,  # self-test of the residual current monitor
}


class Options(ModbusOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The driver's part of a configuration."""

    lock: bool = False
    """The station moves the lock; else the board does: closed while a vehicle is connected."""


class _State(NamedTuple):
    pilot: PilotState
    pwm: bool


class EvCc(ModbusBoard):
    """Board with the one channel 1, and LockingBoard. Raises BadOptions when built."""

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        given = parse_options(f"board {name!r}", options, Options)
        super().__init__(name, (1,), given, context)
        self._lock = given.lock
        self._tethered = False
        self._states = Table.HOLDING
        self._identity = Identity("Phoenix Contact", "EV-CC-AC1-M3")

    async def identify(self) -> Identity:
        """As read when the board was opened."""
        return self._identity

    async def lock(self, channel: int, *, locked: bool) -> None:
        """Moves the lock; the board tells only if that failed. Raises Refused (no lock, jammed, contactor closed)."""
        seen = await self.snapshot(channel)
        if not self._lock:
            raise Refused(self.name, "has no lock that the station moves")
        if not locked and seen.contactor_closed:
            raise Refused(self.name, "the contactor is closed")
        await self._device.write_coil(_LOCK, on=locked)
        if (await self.snapshot(channel)).lock is LockState.JAMMED:
            raise Refused(self.name, "the lock is jammed")
        self.wake()

    # ------------------------------------------------------------------------------------------------- of PolledBoard

    async def _find(self) -> None:
        await self._own(_ENABLED_BY)
        if self._lock:
            await self._own(_LOCKED_BY)
        try:
            self._tethered = (await self._holding(_CONNECTION, 1))[0] == _TETHERED
        except Refused:  # only some variants have it
            self._tethered = False
        try:
            words = (await self._device.read(Table.INPUT, _NAME, _NAME_COUNT)).values
            self._identity = Identity("Phoenix Contact", text(words[:16]), text(words[_SERIAL:27]), _firmware(words))
        except Refused:
            pass
        self._warn("board.does_not_watch_its_host")

    async def _own(self, register: int) -> None:
        """Makes the board obey a coil. It keeps that: written if it is new."""
        if (await self._holding(register, 1))[0] == _BY_COIL:
            return
        await self._device.write(register, [_BY_COIL])
        if (kept := (await self._holding(register, 1))[0]) != _BY_COIL:
            raise Refused(self.name, f"register {register} stays {kept}: check the switches S1")

    async def _look(self, channel: int) -> BoardSnapshot:
        got = await self._read(_STATE, _STATE_COUNT)
        errors = (await self._read(_ERRORS, 1)).values[0]
        state = self._understood(got.values[0])
        rating, offered = got.values[1], got.values[3]
        faults = {fault for bit, fault in _FAULTS.items() if errors & bit}
        if rating == _SHORTED:
            faults.add(Fault.PROXIMITY)
        on = state.pwm and state.pilot.plugged
        return BoardSnapshot(
            channel=channel,
            sampled_at=got.sampled_at,
            pilot=state.pilot,
            contactor_closed=(on and state.pilot.ready) or Fault.CONTACTOR_WELDED in faults,
            limit_a=float(offered) if on else 0.0,
            phases=self._info.phases,
            cable_rating_a=None if self._tethered or not rating or rating == _SHORTED else float(rating),
            lock=await self._lock_state(faults),
            faults=frozenset(faults),
        )

    async def _lock_state(self, faults: set[Fault]) -> LockState:
        if not self._lock:
            return LockState.ABSENT
        wanted = (await self._device.read(Table.COIL, _LOCK, 1)).values[0]
        if Fault.LOCK_JAMMED in faults:
            return LockState.JAMMED
        return LockState.LOCKED if wanted else LockState.UNLOCKED

    async def _give(self, channel: int, permit: Permit, current: Callable[[], None]) -> None:
        del channel
        await self._device.write(_LIMIT, [int(permit.limit_a)])
        current()
        await self._device.write_coil(_ENABLE, on=True)

    async def _withdraw(self, channel: int) -> None:
        del channel
        await self._device.write_coil(_ENABLE, on=False)

    # --------------------------------------------------------------------------------------------------------- inside

    async def _read(self, address: int, count: int) -> Registers:
        """A read-only row of the table; see the module."""
        try:
            return await self._device.read(self._states, address, count)
        except Refused:
            self._states = Table.INPUT if self._states is Table.HOLDING else Table.HOLDING
            return await self._device.read(self._states, address, count)

    def _understood(self, word: int) -> _State:
        letters = text((word,))
        try:
            return _State(PilotState(letters[:1]), letters[1:] == _PWM_ON)
        except ValueError:
            raise BadReply(self.name, f"register 24000 holds {word:#06x}, which is no state") from None


def _firmware(words: tuple[int, ...]) -> str:
    """A letter and the major version, the version, the minor version."""
    major, version, minor = words[_FIRMWARE : _FIRMWARE + 3]
    return f"{major & 0xFF}.{version}.{minor}"
