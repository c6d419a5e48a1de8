"""What fails is restarted, with growing pauses, and takes nobody along."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import pytest

from hal.errors import NotFound
from station.shell import supervise as module
from station.shell.supervise import supervise
from tests import virtualloop


def lives(run: Callable[[], object], count: int) -> tuple[list[float], list[str]]:
    """When each of `count` lives began, and why each ended."""
    began: list[float] = []
    reasons: list[str] = []

    async def live() -> None:
        began.append(round(asyncio.get_running_loop().time()))
        result = run()
        if asyncio.iscoroutine(result):
            await result

    async def main() -> None:
        done = asyncio.Event()

        def failed(reason: str) -> None:
            reasons.append(reason)
            if len(reasons) == count:
                done.set()

        task = asyncio.ensure_future(supervise("device", live, failed))
        await done.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    virtualloop.run(main())
    return began, reasons


def test_pauses_double_up_to_a_minute() -> None:
    """1, 2, 4 ... 60 s."""

    def run() -> None:
        raise NotFound("meter-1", "no such port")

    began, reasons = lives(run, 9)

    assert [after - before for before, after in itertools.pairwise(began)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert set(reasons) == {"meter-1: no such port"}


def test_a_healthy_life_starts_the_pauses_anew() -> None:
    """A device that ran for more than a minute failed for another reason."""
    spans = iter([0, 0, 0, module.HEALTHY_S + 1, 0])

    async def run() -> None:
        await asyncio.sleep(next(spans))
        raise NotFound("meter-1", "gone")

    began, _ = lives(run, 5)

    assert [after - before for before, after in itertools.pairwise(began)] == [1, 2, 4, 62]


def test_a_bug_and_an_unexpected_end_are_failures_too() -> None:
    """Whatever a driver raises, and if it just returns."""
    results = iter([ZeroDivisionError("x"), None])

    def run() -> None:
        error = next(results)
        if error is not None:
            raise error

    _, reasons = lives(run, 2)

    assert reasons == ["ZeroDivisionError: x", "it ended"]
