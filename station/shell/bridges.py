"""What the core answers to vehicles that speak ISO 15118, and what their SECC shows: calls to the boards that do so.

One call of a board after the other, so that the last word is the last; none of them keeps anybody waiting.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from hal.errors import DeviceError
from hal.iso15118 import Iso15118Bridge, SeccSetup
from station.effects import ContractVerdict, EvCertificate, VehicleAnswer

log = logging.getLogger(__name__)

CALL_S = 20.0
"""A call to a board that takes longer has failed; the vehicle waits no more anyway."""


class Bridges:
    """Those boards of a station that speak ISO 15118. Every method is called in the hardware's loop."""

    def __init__(self, boards: Mapping[str, object]) -> None:
        self._boards = {name: board for name, board in boards.items() if isinstance(board, Iso15118Bridge)}
        self._turns = {name: asyncio.Lock() for name in self._boards}
        self._setup: SeccSetup | None = None
        self._calls: set[asyncio.Task[None]] = set()

    def equip(self, setup: SeccSetup) -> None:
        """What all of them show and offer from now on."""
        self._setup = setup
        for name in self._boards:
            self.opened(name)

    def opened(self, name: str) -> None:
        """This board answers (again): it may have forgotten everything."""
        if self._setup is not None:
            self._begin(name, self._equipped)

    async def _equipped(self, board: Iso15118Bridge) -> None:
        if self._setup is not None:  # the newest, whichever call it was
            await board.equip(self._setup)

    def answer(self, name: str, channel: int, answer: VehicleAnswer) -> None:
        """Tell the vehicle at a channel."""

        async def tell(board: Iso15118Bridge) -> None:
            match answer:
                case ContractVerdict(accepted):
                    await board.authorized(channel, accepted=accepted)
                case EvCertificate(accepted, exi_response):
                    await board.certificate(channel, accepted=accepted, exi_response=exi_response)

        self._begin(name, tell)

    async def end(self) -> None:
        """Nothing more is told."""
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

    def _begin(self, name: str, tell: Callable[[Iso15118Bridge], Awaitable[None]]) -> None:
        if name not in self._boards:
            return
        task = asyncio.get_running_loop().create_task(self._in_turn(name, tell))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _in_turn(self, name: str, tell: Callable[[Iso15118Bridge], Awaitable[None]]) -> None:
        async with self._turns[name]:
            call = asyncio.ensure_future(tell(self._boards[name]))
            try:
                done, _ = await asyncio.wait({call}, timeout=CALL_S)
            finally:
                call.cancel()  # nothing to an ended one
            if not done:
                log.warning("vehicle.no_answer", extra={"device": name})
                return
            error = call.exception()
            if isinstance(error, DeviceError):  # the board is gone, or the vehicle
                log.warning("vehicle.not_told", extra={"device": name, "reason": str(error)})
            elif error is not None:
                log.error("device.bug", exc_info=error)
