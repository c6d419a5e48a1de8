"""Keeping something alive that may fail: log, tell, and start it again after 1 ... 60 s (design 6).

What runs under `supervise` may raise anything; it never takes its neighbours along. CancelledError passes: it is the
orderly end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from hal.errors import DeviceError

log = logging.getLogger(__name__)

FIRST_S = 1.0
LONGEST_S = 60.0
HEALTHY_S = 60.0
"""What ran at least this long starts again after the shortest pause."""


async def supervise(
    name: str,
    run: Callable[[], Awaitable[None]],
    failed: Callable[[str], None],
    *,
    first_s: float = FIRST_S,
    longest_s: float = LONGEST_S,
) -> None:
    """Run `run` again and again, calling `failed(reason)` after each end, expected or not. Ends when cancelled."""
    loop = asyncio.get_running_loop()
    pause = first_s
    while True:
        began = loop.time()
        try:
            await run()
            reason = "it ended"
        except DeviceError as error:
            reason = str(error)
            log.warning("device.failed", extra={"device": name, "reason": reason})
        except Exception as error:  # whatever a driver raises is its own trouble
            reason = f"{type(error).__name__}: {error}"
            log.exception("device.bug", extra={"device": name})
        failed(reason)
        if loop.time() - began >= HEALTHY_S:
            pause = first_s
        await asyncio.sleep(pause)
        pause = min(pause * 2, longest_s)
