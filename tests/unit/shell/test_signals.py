"""SIGTERM and SIGINT become a call in the loop, and are nobody's afterwards."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from station.shell.signals import HEEDED, heeded


@pytest.mark.parametrize("number", HEEDED)
def test_a_signal_wakes_the_loop_and_is_told_there(number: signal.Signals) -> None:
    """However long the loop would have slept; and again, each time."""

    async def scene() -> int:
        told = asyncio.Event()
        count = 0

        def tell() -> None:
            nonlocal count
            count += 1
            told.set()

        with heeded(tell):
            for _ in range(2):
                told.clear()
                asyncio.get_running_loop().call_soon(os.kill, os.getpid(), number)
                await asyncio.wait_for(told.wait(), 10)
        return count

    assert asyncio.run(scene()) == 2


def test_afterwards_the_signals_are_heard_as_before() -> None:
    """A test, or a demo, that ran an agent can still be interrupted."""
    before = [signal.getsignal(number) for number in HEEDED]

    async def scene() -> None:
        with heeded(lambda: None):
            assert [signal.getsignal(number) for number in HEEDED] != before

    asyncio.run(scene())

    assert [signal.getsignal(number) for number in HEEDED] == before
