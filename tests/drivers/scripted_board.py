"""A board of two channels whose wire is an object: for what polled boards have in common."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from hal.api import BoardSnapshot, Fault, Permit, PilotState
from hal.context import DriverContext
from hal.drivers.polled import PolledBoard, PolledOptions
from hal.errors import DeviceError, Refused, Timeout


class Scripted(PolledBoard):
    """A board of two channels whose wire is this object: `written` is what went over it, in order."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, poll_s: float = 0.05) -> None:
        super().__init__("left", (1, 2), PolledOptions(poll_s=poll_s), DriverContext(clock, {}))
        self.written: list[str] = []
        self.permitted: dict[int, float] = {1: 0.0, 2: 0.0}
        self.half_way: asyncio.Event | None = None
        self.renewable: asyncio.Event | None = None
        self.failures: dict[int, DeviceError] = {}
        self.refusal = ""
        self.faults: set[Fault] = set()
        self.withdrawals_fail = 0
        self.looked_at: list[float] = []

    async def _find(self) -> None:
        if error := self.failures.get(0):
            raise error

    async def _look(self, channel: int) -> BoardSnapshot:
        self.looked_at.append(self._clock())
        if error := self.failures.get(channel):
            raise error
        return BoardSnapshot(
            channel=channel,
            sampled_at=self._clock(),
            pilot=PilotState.C,
            contactor_closed=self.permitted[channel] > 0,
            limit_a=self.permitted[channel],
            faults=frozenset(self.faults),
        )

    async def _give(self, channel: int, permit: Permit, current: Callable[[], None]) -> None:
        self.written.append(f"limit {permit.limit_a:g}")
        if self.half_way is not None:
            await self.half_way.wait()
        if self.refusal:
            raise Refused(self.name, self.refusal)
        current()
        self.written.append(f"enable {channel}")
        self.permitted[channel] = permit.limit_a

    async def _renew(self, channel: int, permit: Permit, current: Callable[[], None]) -> None:
        del permit, current
        self.written.append(f"renew {channel}")
        if self.renewable is not None:
            await self.renewable.wait()

    async def _withdraw(self, channel: int) -> None:
        if self.withdrawals_fail:
            self.withdrawals_fail -= 1
            raise Timeout(self.name, "no answer")
        self.written.append(f"disable {channel}")
        self.permitted[channel] = 0.0

    async def _leave(self) -> None:
        self.written.append("left")


async def opened() -> Scripted:
    """Found, with nothing permitted."""
    board = Scripted()
    await board.open()
    board.written.clear()
    return board


async def drain(board: Scripted) -> None:
    """Listens to it until it is lost."""
    async for _ in board.events():
        pass
