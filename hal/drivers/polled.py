"""What boards have in common that must be asked: looking at them in turn, and keeping their leases.

A driver says how its device is reached (`_find`), looked at (`_look`), and given and denied permission (`_give`,
`_withdraw`), and may say how a permission that stands is renewed (`_renew`). A board that can watch its host is told to
by `_find`, and falls back by itself. As a second line, and as the only one for a board that cannot, the lease is kept
here: when it ends unrenewed, the permission is withdrawn. That covers a core that stands still; a wire that was cut, or
an agent that is gone, only the board itself can notice.

Invariant: what is written to allow never follows what was written to deny.
"""

from __future__ import annotations

import abc
import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated

import msgspec

from hal.api import LEASE_S, BoardEvent, BoardInfo, BoardSnapshot, Fault, Permit
from hal.context import DriverContext
from hal.drivers.channels import ChannelBoard, ChannelLine, OutletOptions, differs
from hal.errors import DeviceError, NotFound, Refused, Timeout
from hal.waits import to_beat, until_set

log = logging.getLogger(__name__)

_LEASE_S = LEASE_S
_FLOWS_FROM_MA = 500
_AGAIN_S = 1.0
"""Pause between attempts to withdraw a permission whose lease is over."""
_PATIENCE_POLLS = 3
_FRESH_POLLS = 2.0
"""What was seen longer ago says nothing of now."""
_HARMLESS = frozenset({Fault.LOCK_JAMMED})


class PolledOptions(OutletOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every such driver can be told about its outlets, and how often they are looked at."""

    poll_s: Annotated[float, msgspec.Meta(ge=0.05, le=10.0)] = 1.0
    """How often the board is looked at. Three looks without an answer are its loss."""


class _Line(ChannelLine):
    """One channel, and its lease."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.failed_looks = 0
        self.given: Permit | None = None
        """What was permitted last; it stands only while its lease runs."""
        self.given_at = math.inf
        self.lease_ends = -math.inf
        self.timer: asyncio.TimerHandle | None = None
        self.lapse: asyncio.Task[None] | None = None

    def let_go(self) -> None:
        """No timer any more."""
        for running in (self.timer, self.lapse):
            if running is not None:
                running.cancel()
        self.timer = self.lapse = None


class PolledBoard(ChannelBoard[_Line], abc.ABC):
    """A Board; see the module. Subclasses pass their channels and options."""

    def __init__(self, name: str, channels: Sequence[int], options: PolledOptions, context: DriverContext) -> None:
        info = BoardInfo(min_a=options.min_a, max_a=options.max_a, phases=options.phases)
        super().__init__(name, map(_Line, channels), info, context.clock)
        self._poll_s = options.poll_s
        self._woken = asyncio.Event()

    # --------------------------------------------------------------------------------- what a driver says of its device

    @abc.abstractmethod
    async def _find(self) -> None:
        """Reaches the device and arms its fall-back. Raises DeviceError."""

    @abc.abstractmethod
    async def _look(self, channel: int) -> BoardSnapshot:
        """Reads the state. Raises DeviceError."""

    @abc.abstractmethod
    async def _give(self, channel: int, permit: Permit, current: Callable[[], None]) -> None:
        """Writes the permission; before each write but the first calls `current`, which raises if it was overtaken."""

    async def _renew(self, channel: int, permit: Permit, current: Callable[[], None]) -> None:
        """Writes what a permission needs to stay, when a look after it was given has just shown the channel.

        For a driver that can see in its last look that the permission stands; else it is given once more.
        """
        await self._give(channel, permit, current)

    @abc.abstractmethod
    async def _withdraw(self, channel: int) -> None:
        """Writes that there is no permission: at once, in one write. Raises DeviceError."""

    @abc.abstractmethod
    async def _leave(self) -> None:
        """Lets go of the wire. Raises nothing."""

    # ----------------------------------------------------------------------------------------------------------- device

    async def open(self) -> None:
        """Reaches the board and looks at every channel. Raises NotFound (no answer), BadReply, Refused."""
        self._release()
        self._woken = asyncio.Event()
        try:
            await self._find()
            for line in self._lines.values():
                await self._take_over(line)
        except DeviceError as error:
            await self._leave()
            if isinstance(error, Timeout):
                raise NotFound(self.name, error.reason) from None
            raise
        self._lost = None
        for line in self._lines.values():
            if math.isfinite(line.lease_ends):
                self._watch(line)

    async def close(self) -> None:
        """Lets go of the board; harmless twice. A permission that stands there is in the hands of the board."""
        self.lost(NotFound(self.name, "was closed"))
        await self._leave()

    def lost(self, error: DeviceError) -> None:
        """The board is gone: whoever listens is told. For the driver."""
        self._lost = self._lost or error
        self._release()
        self._woken.set()

    def wake(self) -> None:
        """Something may have changed: look now. For a driver whose board says so."""
        self._woken.set()

    # ------------------------------------------------------------------------------------------------------------ board

    async def snapshot(self, channel: int) -> BoardSnapshot:
        """Read now. Raises NotFound (board, channel), Timeout, BadReply."""
        line = self._line(channel)
        self._check()
        line.last = await self._look(channel)
        return line.last

    async def allow(self, channel: int, permit: Permit) -> None:
        """Gives or renews the lease. Raises Refused (limit, fault), NotFound, Timeout (also: overtaken), BadReply."""
        line = self._line(channel)
        self._check()
        self._check_permit(line, permit)
        order, before, renewed = line.command(), line.lease_ends, self._renewed(line, permit)

        def current() -> None:
            if line.order != order or self._lost is not None:
                raise Timeout(self.name, "the permission was overtaken by a newer command")

        line.given = None
        line.lease_ends = self._clock() + min(_LEASE_S, permit.lease_s)  # from now: a lost answer may mean it arrived
        try:
            await (self._renew if renewed else self._give)(channel, permit, current)
        except Refused:
            if line.order == order:
                line.lease_ends = before
            raise
        finally:
            if line.order == order and self._lost is None and math.isfinite(line.lease_ends):
                self._watch(line)
        if line.order == order:
            line.given = permit
            line.given_at = line.given_at if renewed else self._clock()
        if not renewed:
            self._woken.set()

    async def deny(self, channel: int) -> None:
        """Ends the lease. Raises NotFound, Timeout, BadReply: then it is over all the same, see `_lapsed`."""
        line = self._line(channel)
        self._check()
        order, line.lease_ends = line.command(), min(line.lease_ends, self._clock())
        try:
            await self._withdraw(channel)
        except BaseException:  # a cancelled denial is one, too
            if line.order == order and self._lost is None and math.isfinite(line.lease_ends):
                self._watch(line, _AGAIN_S)
            raise
        if line.order == order:
            line.lease_ends = -math.inf
            line.let_go()
        self._woken.set()

    async def events(self) -> AsyncIterator[BoardEvent]:
        """Each channel's state, then each change. A channel that does not answer is told once, with an internal fault.

        Boards of one rhythm are looked at together. Raises NotFound (gone, closed), or the last error when no channel
        has answered for three polls.
        """
        told: dict[int, BoardSnapshot] = {}
        while True:
            self._woken.clear()
            for line in self._lines.values():
                self._check()
                seen = await self._seen(line)
                if line.number not in told or differs(told[line.number], seen):
                    told[line.number] = seen
                    yield seen
            self._check()
            await until_set(self._woken, to_beat(self._clock(), self._poll_s))

    # ----------------------------------------------------------------------------------------------------------- inside

    def _check_permit(self, line: _Line, permit: Permit) -> None:
        self._check_limits(permit)
        faults = sorted(fault.value for fault in line.last.faults - _HARMLESS) if line.last is not None else ()
        if faults:
            raise Refused(self.name, f"a fault is active: {', '.join(faults)}")

    async def _seen(self, line: _Line) -> BoardSnapshot:
        """What the channel shows; while it fails, what it showed last, and after more than three polls with a fault.

        Raises the failure when by then no channel has answered: that is the board's loss, and no channel's fault.
        """
        try:
            line.last, line.failed_looks = await self._look(line.number), 0
        except NotFound:
            raise
        except DeviceError:
            line.failed_looks += 1
            if all(other.failed_looks >= _PATIENCE_POLLS for other in self._lines.values()):
                raise
        return self._shown(line) if line.failed_looks <= _PATIENCE_POLLS else self._faulty(line)

    # ----------------------------------------------------------------------------------------------------------- leases

    def _renewed(self, line: _Line, permit: Permit) -> bool:
        """Whether this permission stands already, and the board was seen well while it did."""
        now, last = self._clock(), line.last
        if line.given != permit or now >= line.lease_ends or last is None or line.failed_looks:
            return False
        return last.sampled_at >= line.given_at and now - last.sampled_at < _FRESH_POLLS * self._poll_s

    def _release(self) -> None:
        for line in self._lines.values():
            line.let_go()
            line.given = None

    async def _take_over(self, line: _Line) -> None:
        """A board that is found charging goes on for a lease: of ours, or a new one if an earlier run gave it.

        What it offers to nobody is withdrawn: a board may have been set up to offer after power-up.
        """
        line.last, line.failed_looks = await self._look(line.number), 0
        if math.isfinite(line.lease_ends):
            return
        if line.last.contactor_closed:
            line.lease_ends = self._clock() + _LEASE_S
        else:
            await self._withdraw(line.number)
            line.last = await self._look(line.number)

    def _watch(self, line: _Line, least_s: float = 0.0) -> None:
        line.let_go()
        wait = max(least_s, line.lease_ends - self._clock())
        line.timer = asyncio.get_running_loop().call_later(wait, self._due, line)

    def _due(self, line: _Line) -> None:
        if self._clock() < line.lease_ends:
            self._watch(line)
        else:
            line.lapse = asyncio.get_running_loop().create_task(self._lapsed(line), name=f"lease {self.name}")

    async def _lapsed(self, line: _Line) -> None:
        """The lease is over: withdraws the permission, again and again until that has worked or another was given."""
        log.warning("board.lease_ended", extra={"board": self.name, "channel": line.number})
        order = line.command()
        while line.order == order and self._lost is None:
            try:
                await self._withdraw(line.number)
            except DeviceError as error:
                log.warning("board.not_withdrawn", extra={"board": self.name, "reason": str(error)})
                await asyncio.sleep(_AGAIN_S)
            else:
                line.lease_ends = -math.inf if line.order == order else line.lease_ends
                self._woken.set()
                return


def flowing(words: Sequence[int], *, no_value_from: int) -> bool | None:
    """By the currents of three phases in mA, high word first; None while no phase is known.

    `no_value_from`: from this number on the board means that it knows none.
    """
    currents = [words[at] << 16 | words[at + 1] for at in (0, 2, 4)]
    known = [milliamps for milliamps in currents if milliamps < no_value_from]
    return any(milliamps >= _FLOWS_FROM_MA for milliamps in known) if known else None
