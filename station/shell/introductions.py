"""Asking devices who they are, beside their work: nothing waits for a name, and a device without one works as well."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from hal.api import Device, Identified
from hal.errors import DeviceError
from station.facts import DeviceIdentified, Fact

log = logging.getLogger(__name__)

PAUSES_S = (0.0, 1.0, 5.0, 30.0, 120.0)
"""Before each question: some devices learn their own serial number by and by."""


class Introductions:
    """All devices of one station. Everything runs in the hardware's loop."""

    def __init__(self, tell: Callable[[Fact], None]) -> None:
        self._tell = tell
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, kind: str, device: Device, evse_ids: tuple[int, ...]) -> None:
        """A device has been opened; what it says of itself is told as a fact."""
        earlier = self._tasks.pop(device.name, None)
        if earlier is not None:
            earlier.cancel()
        if isinstance(device, Identified):
            asking = self._ask(kind, device.name, device, evse_ids)
            self._tasks[device.name] = asyncio.get_running_loop().create_task(asking)

    async def end(self) -> None:
        """No more questions."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _ask(self, kind: str, name: str, device: Identified, evse_ids: tuple[int, ...]) -> None:
        for pause_s in PAUSES_S:
            await asyncio.sleep(pause_s)
            try:
                identity = await device.identify()
            except DeviceError as error:
                log.info("device.nameless", extra={"device": name, "reason": str(error)})
            except Exception:
                log.exception("device.bug", extra={"device": name})
                return
            else:
                self._tell(DeviceIdentified(device=name, kind=kind, evse_ids=evse_ids, identity=identity))
                return
