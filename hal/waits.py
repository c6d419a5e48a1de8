"""Waiting that costs little: what is done many times a second, on a processor that should sleep.

`asyncio.wait_for` makes a task of what it waits for, and takes two turns of the loop more.
"""

from __future__ import annotations

import asyncio

_EARLY = 0.1
"""So much of a period before its beat, what happens stands for what the beat would have begun."""


async def until_set(event: asyncio.Event, seconds: float) -> None:
    """Waits until somebody sets `event`, and sets it after `seconds`."""
    loop = asyncio.get_running_loop()
    alarm = loop.call_later(seconds, event.set)
    try:
        await event.wait()
    finally:
        if loop.time() < alarm.when():  # else it has rung, and need not be looked for among the timers
            alarm.cancel()


async def until(instant: float) -> bool:
    """Sleeps until an instant of the loop's time; one that has passed costs no turn of the loop. Whether it slept."""
    loop = asyncio.get_running_loop()
    if instant <= loop.time():
        return False
    woken = loop.create_future()
    alarm = loop.call_at(instant, _wake, woken)
    try:
        await woken
    except asyncio.CancelledError:
        alarm.cancel()
        raise
    return True


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


def to_beat(now: float, period_s: float) -> float:
    """Seconds to the next common multiple of a period: who waits for it shares its wake-up with others who do."""
    return ((now + _EARLY * period_s) // period_s + 1) * period_s - now
