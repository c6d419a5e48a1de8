"""A control-pilot and contactor board on CAN, described by a DBC and a map of its signals (`hal.drivers.can_map`).

    boards: {left: {driver: can, bus: can0, channels: [1, 2]}}

The board of docs/board-protocol.md needs no map. Permission is a lease that the board ends by itself; each command is
answered by a status that carries its counter. A board reports changes at once and itself every second while a vehicle
or a permit is there (every 10 s otherwise): three periods of silence on one channel are that channel's fault, on all
channels the loss of the board.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Literal

import msgspec

from hal.api import LEASE_S, BoardEvent, BoardInfo, BoardSnapshot, Identity, LockState, Permit
from hal.buses.can import CanBus
from hal.buses.can_ascii import Frame
from hal.context import DriverContext, parse_options
from hal.drivers.can_map import Channel, load_map
from hal.drivers.channels import ChannelBoard, ChannelLine, OutletOptions, checked_channels, differs
from hal.errors import DeviceError, NotFound, Refused, Timeout
from hal.waits import to_beat, until_set

_COUNTERS = 16  # four bits
_SILENT_PERIODS = 3.0
_BEAT_S = 1.0
_SENDS = 3
_LOCK_S = 5.0
_MAX_WAITING = 256  # changes that nobody has read: far more than a board makes in a stall of the agent


class Options(OutletOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The driver's part of a configuration."""

    bus: str
    template: str = "reference-board"
    """A built-in map of signals, or the path of one."""
    channels: tuple[Annotated[int, msgspec.Meta(ge=1, le=64)], ...] = (1,)
    id_offset: Annotated[int, msgspec.Meta(ge=0, le=0x1FFFFFFF)] = 0
    """Added to every identifier of the DBC: the second board on a bus."""
    phase_switching: bool = False
    connectors: Annotated[int, msgspec.Meta(ge=1, le=8)] = 1
    reply_s: Annotated[float, msgspec.Meta(gt=0.0, le=5.0)] = 0.2
    """Longest wait for the answer to a command, which is sent three times."""


class _Line(ChannelLine):
    """One channel: its frames, when it spoke last, and who waits for an answer."""

    def __init__(self, channel: Channel, name: str) -> None:
        super().__init__(channel.number)
        self.channel = channel
        self.name = f"{name} channel {channel.number}"
        self.heard_at = 0.0
        self.told_silent = False
        self.counter = 0
        self.waiting: dict[int, asyncio.Future[None]] = {}


class CanBoard(ChannelBoard[_Line]):
    """Board and LockingBoard. Raises BadOptions when built: unknown bus, map, channel or signal."""

    def __init__(self, name: str, options: Mapping[str, object], context: DriverContext) -> None:
        owner = f"board {name!r}"
        self._options = given = parse_options(owner, options, Options)
        checked_channels(owner, given.channels)
        self._bus = context.resource(owner, ".bus", given.bus, CanBus)
        self._map, dbc = load_map(owner, given.template)
        lines = (_Line(Channel(owner, self._map, dbc, number, given.id_offset), name) for number in given.channels)
        info = BoardInfo(
            min_a=given.min_a,
            max_a=given.max_a,
            phases=given.phases,
            phase_switching=given.phase_switching,
            connectors=given.connectors,
        )
        super().__init__(name, lines, info, context.clock)
        self._by_id = {identifier: line for line in self._lines.values() for identifier in line.channel.ids}
        self._changes: deque[BoardSnapshot] = deque(maxlen=_MAX_WAITING)
        self._news = asyncio.Event()

    # ------------------------------------------------------------------------------------------------- device

    async def open(self) -> None:
        """Opens the bus and asks every channel for its state. Raises NotFound if none answers."""
        self._lost, self._news = None, asyncio.Event()
        self._changes.clear()
        for line in self._lines.values():
            line.last, line.told_silent = None, False
        try:
            await self._bus.attach(self, set(self._by_id))
            answers = [await self._first(line) for line in self._lines.values()]
        except DeviceError as error:
            await self.close()
            raise NotFound(self.name, error.reason) from None
        if not any(answers):
            await self.close()
            raise NotFound(self.name, "no channel answers")

    async def close(self) -> None:
        """Leaves the bus; the lease, if there is one, ends by itself. Harmless twice."""
        await self._bus.detach(self)
        self.lost(NotFound(self.name, "was closed"))

    async def identify(self) -> Identity:
        """The firmware and serial number that the board told. Raises Timeout if it told none."""
        what, channel = self._map.identity, next(iter(self._lines.values())).channel
        if what is None or not channel.has(what.firmware_major):
            raise Timeout(self.name, "has not told who it is")
        versions = (channel.get(what.firmware_major), channel.get(what.firmware_minor))
        serial = channel.get(what.serial)
        firmware = ".".join(f"{number:.0f}" for number in versions if number is not None)
        return Identity(model=self._map.name, serial="" if serial is None else f"{serial:.0f}", firmware=firmware)

    # -------------------------------------------------------------------------------------------------- board

    async def snapshot(self, channel: int) -> BoardSnapshot:
        """The last report. Raises NotFound (board, channel), Timeout (silent for three periods)."""
        line = self._line(channel)
        self._check()
        if line.last is None or self._silent_in(line) <= 0:
            raise Timeout(line.name, f"silent for {self._clock() - line.heard_at:.0f} s")
        return line.last

    async def allow(self, channel: int, permit: Permit) -> None:
        """Gives or renews the lease. Raises Refused (limit, fault), NotFound, Timeout."""
        line = self._line(channel)
        self._check_limits(permit)
        line.command()
        await self._ask(line, Permit(permit.limit_a, permit.phases, min(LEASE_S, permit.lease_s)))
        self._check_refusal(line)

    async def deny(self, channel: int) -> None:
        """Ends the lease. Sent at once, whatever else waits. Raises NotFound, Timeout."""
        line = self._line(channel)
        line.command()
        await self._ask(line, "deny")

    async def lock(self, channel: int, *, locked: bool) -> None:
        """Moves the lock. Raises Refused (jammed, contactor closed, no lock), Timeout, NotFound."""
        line = self._line(channel)
        wanted = LockState.LOCKED if locked else LockState.UNLOCKED
        if self._map.command.lock is None or (await self.snapshot(channel)).lock is LockState.ABSENT:
            raise Refused(line.name, "has no lock")
        await self._ask(line, "unchanged", lock=locked)
        self._check_refusal(line)
        deadline = self._clock() + _LOCK_S
        while (state := line.last.lock if line.last else LockState.ABSENT) is not wanted:
            if state is LockState.JAMMED:
                raise Refused(line.name, "lock is jammed")
            if not await self._report(line, deadline - self._clock()):
                raise Timeout(line.name, f"lock did not become {wanted.value}")

    async def events(self) -> AsyncIterator[BoardEvent]:
        """Each channel's state, then each change. A channel that falls silent is told once, with an internal fault.

        Raises NotFound (interface lost, closed) or Timeout (every channel silent).
        """
        self._check()
        self._changes.clear()
        for line in self._lines.values():
            line.told_silent = line.last is None or self._silent_in(line) <= 0
            yield self._faulty(line) if line.told_silent else self._shown(line)
        while True:
            while self._changes:
                yield self._changes.popleft()
            self._check()
            for silent in self._fallen_silent():
                yield silent
            self._news.clear()
            if not self._changes and self._lost is None:
                await until_set(self._news, self._silence_shows_in())

    # ------------------------------------------------------------------------------------------- from the bus

    def heard(self, frame: Frame) -> None:
        """A frame of one of the channels."""
        line = self._by_id[frame.id]
        if not line.channel.heard(frame):
            return
        now = self._clock()
        state = line.channel.snapshot(now, self._options.phases, 1)
        if state is None:
            return
        before, line.last, line.heard_at = line.last, state, now
        ack = line.channel.get(self._map.status.ack)
        if ack is not None and (waiting := line.waiting.pop(int(ack), None)) and not waiting.done():
            waiting.set_result(None)
        for number in [key for key in line.waiting if key < 0]:
            if not (waiting := line.waiting.pop(number)).done():
                waiting.set_result(None)
        if before is None or line.told_silent or differs(before, state):
            line.told_silent = False
            self._changes.append(state)
            self._news.set()

    def lost(self, error: DeviceError) -> None:
        """The interface is gone: whoever waits is told."""
        if self._lost is None:
            self._lost = NotFound(self.name, error.reason)
        for line in self._lines.values():
            for waiting in line.waiting.values():
                if not waiting.done():
                    waiting.set_exception(self._lost)
                    waiting.exception()  # its asker may have been cancelled
            line.waiting.clear()
        self._news.set()

    # ---------------------------------------------------------------------------------------------- commands

    async def _first(self, line: _Line) -> bool:
        """Whether there is a first report: asked for where the board can be asked, else waited for. Raises NotFound."""
        if self._map.status.ack is None or self._map.command.permit.unchanged is None:
            return await self._report(line, self._map.period_idle_s * 1.5)
        try:
            await self._ask(line, "unchanged")
        except Timeout:
            return False
        return True

    async def _ask(
        self, line: _Line, permit: Permit | Literal["deny", "unchanged"], *, lock: bool | None = None
    ) -> None:
        """Sends a command until a status carries its counter. Raises Timeout (also: overtaken), NotFound."""
        order = line.order
        for attempt in range(_SENDS):
            self._check()
            if attempt and order != line.order:
                raise Timeout(line.name, "was not answered before a newer command")
            line.counter = (line.counter + 1) % _COUNTERS
            if line.last is not None and line.channel.get(self._map.status.ack) == line.counter:
                line.counter = (line.counter + 1) % _COUNTERS  # an old acknowledgement must not count for this one
            frame = line.channel.command(line.counter, permit, lock=lock)
            self._bus.send(frame)
            if self._map.status.ack is None or await self._answered(line, line.counter, self._options.reply_s):
                return
        raise Timeout(line.name, f"does not answer a command within {self._options.reply_s:g} s, sent {_SENDS} times")

    async def _answered(self, line: _Line, key: int, seconds: float) -> bool:
        """Waits until `heard` settles this key; False if it does not in time."""
        future = line.waiting[key] = asyncio.get_running_loop().create_future()
        try:
            done, _ = await asyncio.wait({future}, timeout=seconds)
        finally:
            line.waiting.pop(key, None)
        if done:
            future.result()
        return bool(done)

    async def _report(self, line: _Line, seconds: float) -> bool:
        """Waits for the next report of any kind. Its keys are negative, to be told from counters."""
        self._check()
        return seconds > 0 and await self._answered(line, min([0, *line.waiting]) - 1, seconds)

    def _check_refusal(self, line: _Line) -> None:
        refusal = line.channel.refusal()
        if refusal is not None:
            raise Refused(line.name, refusal)

    # ----------------------------------------------------------------------------------------------- silence

    def _silent_in(self, line: _Line) -> float:
        """Seconds until the channel counts as silent; 0 or less if it does."""
        idle = line.last is not None and not line.last.pilot.plugged and not line.last.limit_a
        period = self._map.period_idle_s if idle else self._map.period_active_s
        return line.heard_at + _SILENT_PERIODS * period - self._clock()

    def _silence_shows_in(self) -> float:
        """When to look whether a channel has fallen silent: on a beat, together with others that are looked at."""
        rest = max(0.01, min(self._silent_in(line) for line in self._lines.values() if not line.told_silent))
        return rest + to_beat(self._clock() + rest, min(_BEAT_S, self._map.period_active_s))

    def _fallen_silent(self) -> list[BoardSnapshot]:
        """Channels that have just fallen silent, as faulty. Raises Timeout if all have."""
        fallen = [line for line in self._lines.values() if not line.told_silent and self._silent_in(line) <= 0]
        for line in fallen:
            line.told_silent = True
        if all(line.told_silent for line in self._lines.values()):
            raise Timeout(self.name, "is silent")
        return [self._faulty(line) for line in fallen]
