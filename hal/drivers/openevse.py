"""OpenEVSE: a control pilot, relays and their checks, over RAPI on a UART; and its thermometers.

    buses: {evse: {kind: rapi, port: /dev/ocpp/openevse}}
    boards: {left: {driver: openevse, bus: evse, max_a: 32}}
    sensors: {ambient: {driver: openevse, bus: evse, thermometer: ds3231}}

Source: OpenEVSE/open_evse firmware/open_evse: rapi_proc.h, rapi_proc.cpp, J1772EvseController.cpp; RAPI 3.0 and newer.

| command | |
|---|---|
| `$GS` | state, seconds charged, pilot state, flags: 0040 relay closed, 0100 vehicle connected |
| `$GC` | least, most by hardware, offered, most as configured, A |
| `$GG` | mA, mV; -1 without an ammeter |
| `$GP` | three temperatures in 0.1 degrees Celsius; -2560 is absent |
| `$G5`, `$S5` | lock (Mennekes): 0 or 1, A automatic or M manual |
| `$SC n V` | offer n A, not kept in EEPROM; never more than was configured |
| `$FE`, `$FS` | enable; sleep: no PWM, the vehicle is seen, the relay opens when it let go, after 3 s at most |
| `$SY s n` | watch the host: n A when no pulse (`$SY`) has come for s seconds; refused pulse: one was missed |
| `$SB`, `$S4 0` | end the lock after power-up, the lock until somebody is authorised |

**The board watches its host, and falls back to its least current, not to none**: firmware offers 6 A even if told 0.
What a missed pulse has lowered is raised again by the command that arms the watch, not by its acknowledgement
(`$SY 165`), which would offer the most that the board may until the limit is set anew. After power-up a board charges
whoever plugs in, unless its boot lock is enabled (firmware option BOOTLOCK): do so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Annotated, Literal, NamedTuple

import msgspec

from hal.api import LEASE_S, BoardSnapshot, Fault, Identity, LockState, Permit, PilotState, SensorInfo, SensorReading
from hal.buses.rapi import Answer, RapiBus
from hal.context import DriverContext, parse_options
from hal.drivers.polled import PolledBoard, PolledOptions
from hal.errors import BadReply, DeviceError, NotFound, Refused, Timeout

log = logging.getLogger(__name__)

_RELAY_CLOSED, _CONNECTED = 0x0040, 0x0100
_SLEEPING, _DISABLED = 0xFE, 0xFF
_PILOTS = {1: PilotState.A, 2: PilotState.B, 3: PilotState.C, 4: PilotState.D}
_OFFERING = frozenset({2, 3, 4})
_DIODE, _STUCK = 0x05, 0x08
_FAULTS = {
    _DIODE: Fault.DIODE,
    0x06: Fault.RCD,
    0x07: Fault.GROUND_FAULT,
    _STUCK: Fault.CONTACTOR_WELDED,
    0x09: Fault.INTERNAL,  # the self-test of its residual current detection
    0x0A: Fault.OVER_TEMPERATURE,
    0x0B: Fault.OVER_CURRENT,
    0x0E: Fault.CONTACTOR_OPEN,
}
_OTHER_FAULTS = range(0x0C, 0x10)
_FLOWS_FROM_MA = 500
_NO_AMMETER = -1
_ABSENT = -2560
_LIMIT_LOOKS = 5
"""The current that is offered changes by a command, with the state, or slowly by heat: it is not asked each time."""
_THERMOMETERS = ("ds3231", "mcp9808", "tmp007")


class Options(PolledOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The driver's part of a configuration."""

    bus: str
    phases: Annotated[int, msgspec.Meta(ge=1, le=3)] = 1
    lock: bool = False
    """The board drives a connector lock (firmware option MENNEKES_LOCK)."""


class OpenEvse(PolledBoard):
    """Board with the one channel 1, and LockingBoard. Raises BadOptions when built."""

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        owner = f"board {name!r}"
        given = parse_options(owner, options, Options)
        super().__init__(name, (1,), given, context)
        self._bus = context.resource(owner, ".bus", given.bus, RapiBus)
        self._lock = given.lock
        self._firmware = ""
        self._watched = False
        self._restarted = False
        self._offered = _Offered()
        self._watch_s = f"{LEASE_S:.0f}"
        self._least_a = f"{int(given.min_a)}"

    async def identify(self) -> Identity:
        """The firmware, as read when the board was opened."""
        return Identity("OpenEVSE", "OpenEVSE", "", self._firmware)

    async def snapshot(self, channel: int) -> BoardSnapshot:
        """As the base class says: all of it is read."""
        self._offered = _Offered()
        return await super().snapshot(channel)

    async def lock(self, channel: int, *, locked: bool) -> None:
        """Moves the lock, which has no feedback. Raises Refused (no lock, contactor closed) or as `allow`."""
        seen = await self.snapshot(channel)
        if not self._lock:
            raise Refused(self.name, "has no lock")
        if not locked and seen.contactor_closed:
            raise Refused(self.name, "the contactor is closed")
        await self._do("S5", "1" if locked else "0")
        self.wake()

    # ------------------------------------------------------------------------------------------------- of PolledBoard

    async def _find(self) -> None:
        self._restarted = False
        self._bus.listen(self)
        version = await self._bus.ask("GV")
        if not version.ok or not version.words:
            raise BadReply(self.name, "does not tell its version")
        self._firmware = version.words[0]
        state = await self._state()
        if not state.closed:  # before anything is unlocked
            await self._do("FS")
        await self._bus.ask("SB")  # refused by firmware without a boot lock
        locked = await self._bus.ask("G4")
        if locked.ok and locked.words[:1] == ("1",):
            await self._do("S4", "0")
        if self._lock:
            await self._do("S5", "M")
        await self._arm()
        if self._restarted:  # as some do when their port is opened
            raise Timeout(self.name, "the board has restarted meanwhile")

    async def _arm(self) -> None:
        """The board shall watch us; it keeps that in EEPROM, and writes it only if it is new."""
        armed = await self._bus.ask("SY", self._watch_s, self._least_a)
        if not armed.ok and not self._watched:
            log.warning("board.does_not_watch_its_host", extra={"board": self.name})
        self._watched = armed.ok

    async def _look(self, channel: int) -> BoardSnapshot:
        """What is certain to be wanted is asked in one go; the rest when the state is known to be another."""
        last = self._lines[channel].last
        questions = ["GS"]
        if self._offered.looks >= _LIMIT_LOOKS or self._offered.code is None:
            questions.append("GC")
        if last is not None and last.contactor_closed:
            questions.append("GG")
        answers = await self._bus.ask_all(*((question,) for question in questions))
        told = dict(zip(questions, answers, strict=True))
        state = self._state_in(told["GS"])
        offered = await self._offered_in(state, told.get("GC"))
        flowing: bool | None = False
        if state.closed:
            current = told.get("GG") or await self._bus.ask("GG")
            measured = self._numbers(current.words, 1)[0] if current.ok else _NO_AMMETER
            flowing = None if measured == _NO_AMMETER else measured >= _FLOWS_FROM_MA
        return BoardSnapshot(
            channel=channel,
            sampled_at=state.sampled_at,
            pilot=state.pilot,
            contactor_closed=state.closed,
            limit_a=float(offered) if state.code in _OFFERING else 0.0,
            phases=self._info.phases,
            flowing=flowing,
            lock=await self._lock_state(),
            faults=state.faults,
        )

    async def _give(self, channel: int, permit: Permit, current: Callable[[], None]) -> None:
        del channel
        await self._pulse()
        current()
        limit = int(permit.limit_a)
        answer = await self._bus.ask("SC", str(limit), "V")
        offered = self._numbers(answer.words, 1)[0]
        if offered > limit:
            raise Refused(self.name, f"offers {offered} A at least, permitted are {limit}")
        current()
        await self._do("FE")
        self._offered = _Offered()

    async def _renew(self, channel: int, permit: Permit, current: Callable[[], None]) -> None:
        seen = self._lines[channel].last
        stands = seen is not None and seen.limit_a == int(permit.limit_a)
        if not stands or not await self._pulse():
            current()
            await self._give(channel, permit, current)

    async def _withdraw(self, channel: int) -> None:
        del channel
        await self._do("FS")
        self._offered = _Offered()

    async def _leave(self) -> None:
        self._bus.leave(self)

    # --------------------------------------------------------------------------------------------------- from the bus

    def told(self, words: tuple[str, ...]) -> None:
        """The board has changed its state, or has started: then all that it was told is gone."""
        if words[0] == "AB":
            self._restarted = True
            self.lost(NotFound(self.name, "the board has restarted"))
        elif words[0] in ("AT", "ST"):
            self.wake()

    def unplugged(self, error: DeviceError) -> None:
        """The port is gone."""
        self.lost(error)

    # --------------------------------------------------------------------------------------------------------- inside

    async def _pulse(self) -> bool:
        """A sign of life; False if one was missed, and the board has fallen back."""
        if not self._watched or (await self._bus.ask("SY")).ok:
            return True
        log.warning("board.missed_its_host", extra={"board": self.name})
        await self._arm()
        return False

    async def _offered_in(self, state: State, told: Answer | None) -> int:
        """The current offered: as just told, or read if it may have changed."""
        known = self._offered
        if told is not None or known.code != state.code:
            words = self._accepted("GC", told) if told is not None else await self._do("GC")
            known = _Offered(state.code, self._numbers(words, 3)[2])
        self._offered = known._replace(looks=known.looks + 1)
        return known.amperes

    async def _state(self) -> State:
        return self._state_in(await self._bus.ask("GS"))

    def _state_in(self, answer: Answer) -> State:
        if not answer.ok:
            raise BadReply(self.name, "refuses to tell its state")
        return State.of(self.name, answer.words, answer.sampled_at)

    async def _lock_state(self) -> LockState:
        if not self._lock:
            return LockState.ABSENT
        return LockState.LOCKED if (await self._do("G5"))[:1] == ("1",) else LockState.UNLOCKED

    async def _do(self, *words: str) -> tuple[str, ...]:
        """A command that must be accepted."""
        return self._accepted(" ".join(words), await self._bus.ask(*words))

    def _accepted(self, command: str, answer: Answer) -> tuple[str, ...]:
        if not answer.ok:
            raise Refused(self.name, f"refuses ${command}")
        return answer.words

    def _numbers(self, words: tuple[str, ...], least: int) -> list[int]:
        try:
            found = [int(word) for word in words]
        except ValueError:
            found = []
        if len(found) < least:
            raise BadReply(self.name, f"answered {' '.join(words) or 'nothing'}, which does not hold {least} numbers")
        return found


class _Offered(NamedTuple):
    """What `$GC` told, in which state, and how many looks ago."""

    code: int | None = None
    amperes: int = 0
    looks: int = 0


class State(msgspec.Struct, frozen=True):
    """The answer to `$GS`, understood."""

    code: int
    flags: int
    sampled_at: float

    @classmethod
    def of(cls, name: str, words: tuple[str, ...], sampled_at: float) -> State:
        """Raises BadReply for what is no state."""
        try:
            code, flags = int(words[0], 16), int(words[3], 16)
        except (IndexError, ValueError):
            raise BadReply(name, f"$GS was answered {' '.join(words)}") from None
        return cls(code, flags, sampled_at)

    @property
    def closed(self) -> bool:
        """The relay is closed, wanted or stuck."""
        return bool(self.flags & _RELAY_CLOSED) or self.code == _STUCK

    @property
    def pilot(self) -> PilotState:
        """Asleep or faulted it is known only whether a vehicle is there; disabled not even that."""
        if self.code in _PILOTS:
            return _PILOTS[self.code]
        if self.code == _DIODE:
            return PilotState.E
        if self.code == _SLEEPING or self.faults:
            return PilotState.B if self.flags & _CONNECTED else PilotState.A
        return PilotState.F

    @property
    def faults(self) -> frozenset[Fault]:
        """At most one: the firmware knows one state at a time."""
        found = _FAULTS.get(self.code) or (Fault.INTERNAL if self.code in _OTHER_FAULTS else None)
        return frozenset({found} if found else ())


class ThermometerOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The sensor's part of a configuration."""

    bus: str
    thermometer: Literal["ds3231", "mcp9808", "tmp007"] = "ds3231"
    """By its chip: the clock's, the ambient one, the infrared one that looks at the relay."""


class OpenEvseThermometer:
    """Sensor: one of the three temperatures of `$GP`. Raises BadOptions when built."""

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        owner = f"sensor {name!r}"
        given = parse_options(owner, options, ThermometerOptions)
        self.name = name
        self.info = SensorInfo("Celsius")
        self._bus = context.resource(owner, ".bus", given.bus, RapiBus)
        self._which = _THERMOMETERS.index(given.thermometer)

    async def open(self) -> None:
        """Reads it once. Raises NotFound (also: this chip is not there), BadReply."""
        try:
            await self.read()
        except Timeout as error:
            raise NotFound(self.name, error.reason) from None

    async def close(self) -> None:
        """The port belongs to its bus."""

    async def read(self) -> SensorReading:
        """The temperature now. Raises NotFound, Timeout, BadReply."""
        answer = await self._bus.ask("GP")
        try:
            tenths = int(answer.words[self._which])
        except (IndexError, ValueError):
            raise BadReply(self.name, f"$GP was answered {' '.join(answer.words)}") from None
        if tenths == _ABSENT:
            raise NotFound(self.name, f"the board has no {_THERMOMETERS[self._which].upper()}")
        return SensorReading(answer.sampled_at, tenths / 10)
