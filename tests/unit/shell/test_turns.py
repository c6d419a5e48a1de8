"""The core's turns: at once if nothing waits, never one inside another, and always in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from station.effects import Effect
from station.now import BootId, Mono, Now, Wall
from station.shell.inbox import ROOM, Item
from station.shell.reconcile import Batch
from station.shell.turns import Turns, Work

NOW = Now(BootId(1), Mono(0.0), Wall(0.0))
Run = Callable[[Now], list[Effect]]


class Stage:
    """Turns whose work is remembered. `wait_s`: until the next deadline; one that has come is served once."""

    def __init__(self) -> None:
        self.done: list[object] = []
        self.wait_s: float | None = None
        self.moves = True
        self.within: Callable[[], None] = lambda: None
        self.turns = Turns(Work(lambda: NOW, self._step, self._tick, lambda _: self.wait_s))

    def _step(self, item: Item | Batch, now: Now) -> bool:
        if isinstance(item, Batch):
            self.done.append(item.number)
        else:
            item.run(now)
        within, self.within = self.within, lambda: None
        within()
        self.done.append("end")
        return self.moves

    def _tick(self, now: Now) -> None:
        assert now is NOW
        self.wait_s = None
        self.done.append("tick")

    def input(self, name: str) -> Run:
        """An input that can be recognised."""

        def run(_: Now) -> list[Effect]:
            self.done.append(name)
            return []

        return run


def play(scene: Callable[[Stage], Awaitable[None]]) -> Stage:
    """A scene with turns that have begun."""

    async def run() -> Stage:
        stage = Stage()
        stage.turns.begin()
        await rounds(2)
        await scene(stage)
        return stage

    return asyncio.run(run())


async def rounds(count: int = 10) -> None:
    """Let the loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)


def test_a_text_and_a_batch_are_stepped_in_the_turn_in_which_they_come() -> None:
    """Nothing else waits, so nobody has to be woken."""

    async def scene(stage: Stage) -> None:
        assert stage.turns.hear(stage.input("text")) is None
        assert stage.done == ["text", "end"]

        stage.turns.take(Batch(7, ()))
        assert stage.done == ["text", "end", 7, "end"]

    play(scene)


def test_what_comes_while_something_waits_comes_after_it() -> None:
    """In the order in which they came, each in a turn of its own."""

    async def scene(stage: Stage) -> None:
        stage.turns.inbox.put(stage.input("first"))
        stage.turns.hear(stage.input("second"))
        stage.turns.take(Batch(3, ()))
        assert stage.done == []

        await rounds(1)
        assert stage.done == ["first", "end"]
        await rounds()
        assert stage.done == ["first", "end", "second", "end", 3, "end"]

    play(scene)


def test_no_input_is_stepped_inside_of_another() -> None:
    """Whatever a step leads to, it ends first."""

    async def scene(stage: Stage) -> None:
        stage.within = lambda: stage.turns.take(Batch(2, ()))
        stage.turns.hear(stage.input("outer"))
        assert stage.done == ["outer", "end"]

        await rounds()
        assert stage.done == ["outer", "end", 2, "end"]

    play(scene)


def test_with_too_much_waiting_the_reader_is_told_to_wait() -> None:
    """And may go on when a turn has made room."""

    async def scene(stage: Stage) -> None:
        for number in range(ROOM):
            stage.turns.inbox.put(stage.input(str(number)))
        room = stage.turns.hear(stage.input("last"))
        assert room is not None
        await asyncio.wait_for(room, 5)

        await rounds(ROOM + 2)
        assert stage.done[-2:] == ["last", "end"]

    play(scene)


def test_a_deadline_that_has_come_is_served_between_inputs() -> None:
    """It does not wait until nothing is left to do."""

    async def scene(stage: Stage) -> None:
        stage.turns.inbox.put(stage.input("first"))
        stage.turns.inbox.put(stage.input("second"))
        stage.wait_s = 0.0

        await rounds()
        assert stage.done == ["first", "end", "tick", "second", "end"]

    play(scene)


def test_a_deadline_wakes_the_core() -> None:
    """Also one that has moved outside of a turn, if the core is told to look."""

    async def scene(stage: Stage) -> None:
        stage.wait_s = 0.0
        await rounds()
        assert stage.done == []

        stage.turns.look()
        await rounds()
        assert stage.done == ["tick"]

        stage.wait_s = 0.02
        stage.turns.take(Batch(1, ()))
        stage.wait_s = 0.0
        async with asyncio.timeout(5):
            while stage.done[-1] != "tick":  # noqa: ASYNC110 - an alarm of the loop
                await asyncio.sleep(0.01)
        assert stage.done == ["tick", 1, "end", "tick"]

    play(scene)


def test_an_input_that_moves_no_deadline_leaves_the_alarm_as_it_is() -> None:
    """Nobody is asked when it would be due; what was due is served in its turn."""

    async def scene(stage: Stage) -> None:
        stage.wait_s = 0.02
        stage.turns.take(Batch(1, ()))
        stage.moves, stage.wait_s = False, 0.0
        stage.turns.hear(stage.input("reads"))
        assert stage.done == [1, "end", "reads", "end"]

        async with asyncio.timeout(5):
            while stage.done[-1] != "tick":  # noqa: ASYNC110 - an alarm of the loop
                await asyncio.sleep(0.01)

    play(scene)


def test_a_deadline_is_served_though_only_such_inputs_wait() -> None:
    """Where turns are booked, each of them looks."""

    async def scene(stage: Stage) -> None:
        stage.moves, stage.wait_s = False, 0.0
        stage.turns.inbox.put(stage.input("first"))
        stage.turns.inbox.put(stage.input("second"))

        await rounds()
        assert stage.done == ["first", "end", "tick", "second", "end"]

    play(scene)


def test_a_step_that_raises_ends_the_turns() -> None:
    """The runner hears of it; nothing is stepped any more."""

    async def scene(stage: Stage) -> None:
        def broken(_: Now) -> list[Effect]:
            raise ValueError("broken")

        stage.turns.hear(broken)
        stage.turns.hear(stage.input("too late"))
        await rounds()

        assert stage.done == []
        with pytest.raises(ValueError, match="broken"):
            stage.turns.failed.result()

    play(scene)


def test_before_the_beginning_and_after_the_end_inputs_only_wait() -> None:
    """The last words are nobody else's turn."""

    async def scene(stage: Stage) -> None:
        stage.turns.end()
        stage.turns.hear(stage.input("waits"))
        stage.turns.take(Batch(1, ()))
        await rounds()
        assert stage.done == []
        assert len(stage.turns.inbox) == 2

    play(scene)
