"""What the lamps shall show, and showing it: in the hardware's loop, a task for each lamp."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hal.api import Indication, Lamp


class Shining:
    """What was last told of each EVSE. A lamp that comes (back) shows it at once."""

    def __init__(self) -> None:
        self._indications: dict[int, Indication] = {}
        self._due: dict[str, tuple[int, asyncio.Event]] = {}

    def tell(self, evse_id: int, indication: Indication) -> None:
        """An EVSE looks like this from now on."""
        self._indications[evse_id] = indication
        for served, due in self._due.values():
            if served == evse_id:
                due.set()

    async def serve(self, lamp: Lamp, evse_id: int, answers: Callable[[], None]) -> None:
        """Show it on an open lamp, for ever. Raises what the lamp raises."""
        due = asyncio.Event()
        due.set()
        self._due[lamp.name] = (evse_id, due)
        while True:
            await due.wait()
            due.clear()
            if (indication := self._indications.get(evse_id)) is not None:
                await lamp.indicate(indication)
            answers()
