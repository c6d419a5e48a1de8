"""One timer for all, in virtual time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import pytest

from station.shell.alarms import Alarms
from tests.virtualloop import VirtualLoop, run


class Stage:
    """Alarms, and who was woken when."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.alarms = Alarms(self.loop.time)
        self.woken: list[tuple[str, float]] = []
        self.alarms.rung = lambda: self.woken.append(("all", round(self.loop.time(), 3)))

    def waker(self, name: str) -> Callable[[], None]:
        """Notes its name and the time."""
        return lambda: self.woken.append((name, round(self.loop.time(), 3)))


def test_each_is_woken_at_its_instant_once_and_those_of_the_same_one_together() -> None:
    """And then, once, whoever looks after all of them."""

    async def play() -> None:
        stage = Stage()
        for name, at in (("c", 9.0), ("a", 5.0), ("b", 5.0)):
            stage.alarms.set(stage.waker(name), at)
        await asyncio.sleep(20)
        assert stage.woken == [("a", 5), ("b", 5), ("all", 5), ("c", 9), ("all", 9)]

    run(play())


def test_an_instant_is_moved_both_ways_and_dropped() -> None:
    """The last word counts; for what was dropped nobody is woken."""

    async def play() -> None:
        stage = Stage()
        later, sooner, gone = (stage.waker(name) for name in ("later", "sooner", "gone"))
        stage.alarms.set(later, 5.0)
        stage.alarms.set(sooner, 8.0)
        stage.alarms.set(gone, 3.0)
        stage.alarms.set(later, 10.0)
        stage.alarms.set(sooner, 2.0)
        stage.alarms.set(gone, math.inf)
        await asyncio.sleep(2.5)
        stage.alarms.set(gone, 4.0)
        stage.alarms.drop(gone)
        await asyncio.sleep(20)
        assert [each for each in stage.woken if each[0] != "all"] == [("sooner", 2), ("later", 10)]

    run(play())


def test_who_is_dropped_by_another_that_is_woken_at_the_same_instant_is_not() -> None:
    """A call that was answered in the turn in which it would have been given up."""

    async def play() -> None:
        stage = Stage()
        gone = stage.waker("gone")
        stage.alarms.set(lambda: stage.alarms.drop(gone), 5.0)
        stage.alarms.set(gone, 5.0)
        await asyncio.sleep(20)
        assert stage.woken == [("all", 5)]

    run(play())


def test_one_that_raises_keeps_no_other_from_being_woken() -> None:
    """A mistake is the loop's to report; the timer goes on."""

    async def play() -> None:
        stage = Stage()
        reported: list[object] = []
        stage.loop.set_exception_handler(lambda _loop, context: reported.append(context["exception"]))

        def broken() -> None:
            raise ZeroDivisionError

        stage.alarms.set(broken, 1.0)
        stage.alarms.set(stage.waker("other"), 1.0)
        stage.alarms.set(stage.waker("later"), 2.0)
        await asyncio.sleep(5)
        assert [each for each in stage.woken if each[0] != "all"] == [("other", 1), ("later", 2)]
        assert [type(each) for each in reported] == [ZeroDivisionError]

    run(play())


@pytest.mark.parametrize("n", [1, 32])
def test_however_many_wait_the_loop_has_one_timer(n: int) -> None:
    """What a loop keeps for each timer is more than what is done at its end."""
    loop = VirtualLoop()

    async def play() -> None:
        stage = Stage()
        for number in range(n):
            stage.alarms.set(stage.waker(str(number)), 5.0)
        assert len(loop._scheduled) == 1  # type: ignore[attr-defined] # the loop's own queue
        await asyncio.sleep(6)
        assert len(stage.woken) == n + 1

    try:
        loop.run_until_complete(play())
    finally:
        loop.close()


def test_what_was_dropped_wakes_nobody_and_nobody_later_for_it() -> None:
    """Not even to find that there is nothing to do."""

    async def play() -> None:
        stage = Stage()
        gone, later = stage.waker("gone"), stage.waker("later")
        stage.alarms.set(gone, 3.0)
        stage.alarms.set(later, 5.0)
        stage.alarms.drop(gone)
        stage.alarms.set_unless_sooner(gone, 6.0)
        stage.alarms.drop(gone)
        await asyncio.sleep(20)
        assert stage.woken == [("later", 5), ("all", 5)]

    run(play())
