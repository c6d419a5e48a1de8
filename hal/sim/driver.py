"""The simulated world as ordinary drivers (named `sim`; a meter that signs is `sim-signed`).

Each finds its `SimWorld` among the context's resources by the option `world`. They wait for the world to tell or for
its next change, so at rest they wake nobody.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack
from typing import Annotated

import msgspec

from hal.api import (
    BoardEvent,
    BoardInfo,
    BoardSnapshot,
    Identity,
    Indication,
    LockState,
    MeterInfo,
    MeterReading,
    Permit,
    SensorInfo,
    SensorReading,
    SignMoment,
    Token,
)
from hal.context import DriverContext, parse_options
from hal.errors import BadOptions, NotFound, Refused
from hal.iso15118 import SeccSetup, VehicleStatus
from hal.schedules import ScheduleOffer
from hal.sim.evse import EvseSpec
from hal.sim.ocmf import OcmfSigner
from hal.sim.world import MAIN_METER, Listener, SimWorld


class WorldOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which world."""

    world: str = "sim"


class WorldLayout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The charging points of a world, numbered from 1: how many alike, or each as built."""

    evses: Annotated[int, msgspec.Meta(ge=1, le=100)] | tuple[EvseSpec, ...] = 2


def build_world(name: str, options: Mapping[str, object], clock: Callable[[], float]) -> SimWorld:
    """A world as a shared resource: `buses: {sim: {kind: sim, evses: 2}}`. Raises BadOptions."""
    given = parse_options(f"bus {name!r}", options, WorldLayout).evses
    specs = (EvseSpec(),) * given if isinstance(given, int) else given
    return SimWorld(dict(enumerate(specs, start=1)), clock)


class BoardOptions(WorldOptions, frozen=True, forbid_unknown_fields=True):
    """A board; its channels are the numbers of the world's EVSEs. No channels given: all of them."""

    channels: tuple[int, ...] = ()


class EvseOptions(WorldOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A meter or a lock of one EVSE; meter 0 is the main meter."""

    evse: int


class ReaderOptions(WorldOptions, frozen=True, forbid_unknown_fields=True):
    """A reader for some EVSEs. None given: for all of them."""

    evses: tuple[int, ...] = ()


class DisplayOptions(WorldOptions, frozen=True, forbid_unknown_fields=True):
    """A display of so many characters; 0: it wraps by itself."""

    columns: int = 0
    rows: int = 0


class SensorOptions(WorldOptions, frozen=True, forbid_unknown_fields=True):
    """A sensor, what it measures at first, and in which unit."""

    value: float | bool | str = 0.0
    unit: str = ""


class _SimDevice:
    """What the simulated drivers share: a name, a world, and being lost."""

    def __init__(self, name: str, world: SimWorld) -> None:
        self.name = name
        self._world = world

    async def open(self) -> None:
        """Raises NotFound while the device is lost."""
        self._reach()

    async def close(self) -> None:
        """Lets go; there is nothing to let go of."""

    async def identify(self) -> Identity:
        """The simulator's own make. Raises NotFound while lost."""
        self._reach()
        return Identity(vendor="ocpp-station", model=type(self).__name__, serial=self.name, firmware="1")

    def _reach(self) -> SimWorld:
        if self._world.is_lost(self.name):
            raise NotFound(self.name, "the simulated device was unplugged")
        return self._world


def _known(driver: str, path: str, world: SimWorld, numbers: tuple[int, ...]) -> tuple[int, ...]:
    """The EVSEs meant by an option, all if none is named. Raises BadOptions for one that the world does not have."""
    for number in numbers:
        if number not in world.numbers:
            known = ", ".join(map(str, world.numbers))
            raise BadOptions(driver, path, f"the simulated world has no EVSE {number} (there are: {known})")
    return numbers or world.numbers


class SimBoard(_SimDevice):
    """The pilots, contactors and locks of a world. Abilities: LockingBoard, Iso15118Bridge, Identified."""

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        given = parse_options(name, options, BoardOptions)
        super().__init__(name, context.resource(name, ".world", given.world, SimWorld))
        self._channels = _known(name, ".channels", self._world, given.channels)

    def channels(self) -> tuple[int, ...]:
        """The EVSE numbers of the world that this board serves."""
        return self._channels

    def info(self, channel: int) -> BoardInfo:
        """What the charging point can do. Raises NotFound for a channel that does not exist."""
        return self._serving(channel).evse(channel).info

    async def snapshot(self, channel: int) -> BoardSnapshot:
        """The state now. Raises NotFound."""
        self._reach()
        return self._serving(channel).evse(channel).snapshot()

    async def allow(self, channel: int, permit: Permit) -> None:
        """Gives or renews a permission. Raises NotFound, Refused (a fault, or a limit out of range)."""
        self._reach()
        if reason := self._serving(channel).allow(channel, permit):
            raise Refused(self.name, reason)

    async def deny(self, channel: int) -> None:
        """Withdraws it. Raises NotFound."""
        self._reach()
        self._serving(channel).deny(channel)

    async def lock(self, channel: int, *, locked: bool) -> None:
        """Moves the lock. Raises NotFound, Refused (no lock, jammed, or the contactor is closed)."""
        self._reach()
        if reason := self._serving(channel).move_lock(channel, locked=locked):
            raise Refused(self.name, reason)

    async def vehicle(self, channel: int) -> VehicleStatus:
        """State of charge and identity of an ISO 15118 vehicle. Raises NotFound."""
        self._reach()
        ev = self._serving(channel).evse(channel).ev
        if ev is None or ev.spec.evcc_id is None:
            return VehicleStatus()
        return VehicleStatus(soc_percent=ev.battery.soc_percent, evcc_id=ev.spec.evcc_id)

    async def equip(self, setup: SeccSetup) -> None:
        """What vehicles are shown and offered. Raises NotFound."""
        self._reach().secc = setup

    async def authorized(self, channel: int, *, accepted: bool) -> None:
        """Ends a contract vehicle's wait. Raises NotFound."""
        self._reach()
        self._serving(channel).authorized(channel, accepted=accepted)

    async def offer(self, channel: int, schedules: tuple[ScheduleOffer, ...]) -> None:
        """Hands schedules to the vehicle, which chooses the first. Raises NotFound, Refused (it does not speak)."""
        self._reach()
        if reason := self._serving(channel).offer(channel, schedules):
            raise Refused(self.name, reason)

    async def certificate(self, channel: int, *, accepted: bool, exi_response: str) -> None:
        """Hands the vehicle its certificate. Raises NotFound, Refused (nothing is plugged in)."""
        self._reach()
        world = self._serving(channel)
        if world.evse(channel).ev is None:
            raise Refused(self.name, "the vehicle is gone")
        world.give_certificate(channel, accepted=accepted, exi_response=exi_response)

    async def events(self) -> AsyncIterator[BoardEvent]:
        """Each change as it happens, after one snapshot per channel. Raises NotFound when the board is lost."""
        world = self._reach()
        news: deque[BoardEvent] = deque()
        awake = asyncio.Event()

        def board(event: BoardEvent) -> None:
            if event.channel in self._channels:
                news.append(event)
                awake.set()

        with ExitStack() as stack:
            stack.callback(world.listen(Listener(board, awake.set)))
            stack.callback(world.watch(self.name, awake.set))
            news.extend(world.evse(channel).snapshot() for channel in self._channels)
            while True:
                awake.clear()
                while news:
                    yield news.popleft()
                    self._reach()
                await _until(awake, world.next_change() - world.clock())
                self._reach()
                world.catch_up()

    def _serving(self, channel: int) -> SimWorld:
        if channel not in self._channels:
            raise NotFound(self.name, f"no channel {channel} (there are: {', '.join(map(str, self._channels))})")
        return self._world


class SimMeter(_SimDevice):
    """The meter of one EVSE, or the main meter."""

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        given = parse_options(name, options, EvseOptions)
        super().__init__(name, context.resource(name, ".world", given.world, SimWorld))
        if given.evse != MAIN_METER:
            _known(name, ".evse", self._world, (given.evse,))
        self._evse = given.evse

    @property
    def info(self) -> MeterInfo:
        """What is measured: the main meter counts and adds up power only."""
        if self._evse == MAIN_METER:
            return MeterInfo(frozenset({"energy_import_mwh", "power_import_w", "frequency_hz"}))
        every = {"energy_import_mwh", "power_import_w", "power_import_phase_w", "voltage_v", "current_a"}
        return MeterInfo(frozenset(every | {"frequency_hz", "power_factor"}), self._world.evse(self._evse).spec.phases)

    async def read(self) -> MeterReading:
        """The meter now. Raises NotFound while lost."""
        return self._reach().reading(self._evse)


class SimSignedMeter(SimMeter):
    """The same with a signature on request (driver `sim-signed`). Ability: SignedMeter."""

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        super().__init__(name, options, context)
        self._signer = OcmfSigner(name)

    async def sign(self, moment: SignMoment, label: str) -> MeterReading:
        """A reading with its OCMF text. Raises NotFound while lost."""
        reading = await self.read()
        signed = self._signer.sign(moment, label, reading.energy_import_mwh, time.time())
        return msgspec.structs.replace(reading, signed=signed)


class SimReader(_SimDevice):
    """A card reader; the cards come from `SimWorld.swipe`."""

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        given = parse_options(name, options, ReaderOptions)
        super().__init__(name, context.resource(name, ".world", given.world, SimWorld))
        self._evses = _known(name, ".evses", self._world, given.evses)

    async def tokens(self) -> AsyncIterator[Token]:
        """Each card that is held to it from now on. Raises NotFound when the reader is lost."""
        world = self._reach()
        cards: deque[Token] = deque()
        awake = asyncio.Event()

        def present(token: Token) -> None:
            cards.append(token)
            awake.set()

        with ExitStack() as stack:
            stack.callback(world.add_reader(self.name, self._evses, present))
            stack.callback(world.watch(self.name, awake.set))
            while True:
                await awake.wait()
                awake.clear()
                self._reach()
                while cards:
                    yield cards.popleft()


class SimLock(_SimDevice):
    """The connector lock of one EVSE as a device of its own."""

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        given = parse_options(name, options, EvseOptions)
        super().__init__(name, context.resource(name, ".world", given.world, SimWorld))
        (self._evse,) = _known(name, ".evse", self._world, (given.evse,))

    async def state(self) -> LockState:
        """By its feedback. Raises NotFound while lost."""
        return self._reach().evse(self._evse).lock

    async def move(self, *, locked: bool) -> None:
        """Moves it. Raises NotFound, Refused (no lock, jammed, or the contactor is closed)."""
        if reason := self._reach().move_lock(self._evse, locked=locked):
            raise Refused(self.name, reason)


class SimDisplay(_SimDevice):
    """A display; what it shows stands in `SimWorld.displays` under its name."""

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        given = parse_options(name, options, DisplayOptions)
        super().__init__(name, context.resource(name, ".world", given.world, SimWorld))
        self.size = (given.columns, given.rows)

    async def show(self, text: str) -> None:
        """Shows it. Raises NotFound while lost."""
        self._reach().displays[self.name] = text


class SimLamp(_SimDevice):
    """A lamp; what it shows stands in `SimWorld.lamps` under its name."""

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        given = parse_options(name, options, WorldOptions)
        super().__init__(name, context.resource(name, ".world", given.world, SimWorld))

    async def indicate(self, indication: Indication) -> None:
        """Shows it. Raises NotFound while lost."""
        self._reach().lamps[self.name] = indication


class SimSensor(_SimDevice):
    """A sensor; `SimWorld.sensor` sets what it measures. Ability: SensorWatch."""

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        given = parse_options(name, options, SensorOptions)
        super().__init__(name, context.resource(name, ".world", given.world, SimWorld))
        self.info = SensorInfo(given.unit)
        self._world.sensors.setdefault(name, given.value)

    async def read(self) -> SensorReading:
        """What it measures. Raises NotFound while lost."""
        world = self._reach()
        return SensorReading(world.clock(), world.sensors[self.name])

    async def changes(self) -> AsyncIterator[SensorReading]:
        """The present value, then each that is set. Raises NotFound when the sensor is lost."""
        awake = asyncio.Event()
        stop = self._world.watch(self.name, awake.set)
        try:
            while True:
                awake.clear()
                yield await self.read()
                await awake.wait()
        finally:
            stop()


async def _until(awake: asyncio.Event, seconds: float) -> None:
    """Wait for the event, at most so many seconds; infinite seconds arm no timer."""
    if seconds <= 0 or awake.is_set():
        return
    timer: Callable[[], object] = lambda: None  # noqa: E731 - nothing to cancel without a timer
    if not math.isinf(seconds):
        timer = asyncio.get_running_loop().call_later(seconds, awake.set).cancel
    try:
        await awake.wait()
    finally:
        timer()
