"""What polled boards have in common: commands that overtake each other, leases, a channel that fails."""

from __future__ import annotations

import asyncio

import pytest

from hal.api import BoardSnapshot, Fault, Permit, PilotState
from hal.drivers import polled
from hal.errors import BadReply, DeviceError, NotFound, Refused, Timeout
from tests import virtualloop
from tests.drivers.boards import now, until
from tests.drivers.scripted_board import Scripted, drain, opened


def test_a_permission_that_is_half_written_when_it_is_denied_is_not_finished() -> None:
    """The limit is out, the enable is not: the denial comes between, and stays the last word."""

    async def scenario() -> None:
        board = await opened()
        board.half_way = asyncio.Event()
        allowing = asyncio.ensure_future(board.allow(1, Permit(16.0, 3)))
        await asyncio.sleep(0)
        await board.deny(1)
        board.half_way.set()

        with pytest.raises(Timeout, match="overtaken"):
            await allowing
        assert board.written == ["limit 16", "disable 1"]
        await board.close()

    asyncio.run(scenario())


def test_a_denial_of_one_channel_overtakes_no_other() -> None:
    """Channels have their own order."""

    async def scenario() -> None:
        board = await opened()
        board.half_way = asyncio.Event()
        allowing = asyncio.ensure_future(board.allow(1, Permit(16.0, 3)))
        await asyncio.sleep(0)
        await board.deny(2)
        board.half_way.set()
        await allowing
        assert board.permitted == {1: 16.0, 2: 0.0}
        await board.close()

    asyncio.run(scenario())


def test_a_permission_is_not_finished_on_a_board_that_was_closed_meanwhile() -> None:
    """Who closed it believes that nothing is written any more."""

    async def scenario() -> None:
        board = await opened()
        board.half_way = asyncio.Event()
        allowing = asyncio.ensure_future(board.allow(1, Permit(16.0, 3)))
        await asyncio.sleep(0)
        await board.close()
        board.half_way.set()
        with pytest.raises(Timeout):
            await allowing
        assert board.written == ["limit 16", "left"]

    asyncio.run(scenario())


def test_a_lease_counts_from_the_question_even_if_its_answer_is_lost() -> None:
    """The permission may have arrived: it ends all the same."""

    async def scenario() -> None:
        board = await opened()
        board.half_way = asyncio.Event()
        allowing = asyncio.ensure_future(board.allow(1, Permit(16.0, 3, lease_s=0.2)))
        await asyncio.sleep(0)
        allowing.cancel()
        await asyncio.wait({allowing})

        await until(lambda: "disable 1" in board.written)
        await board.close()

    asyncio.run(scenario())


def test_a_permission_that_is_refused_changes_no_lease() -> None:
    """What was permitted before ends when it would have ended; where nothing was, nothing is withdrawn."""

    async def scenario() -> None:
        board = await opened()
        board.refusal = "no"
        with pytest.raises(Refused):
            await board.allow(2, Permit(16.0, 3, lease_s=0.05))
        board.refusal = ""
        await board.allow(1, Permit(16.0, 3, lease_s=0.3))
        board.refusal = "no"
        with pytest.raises(Refused):
            await board.allow(1, Permit(16.0, 3, lease_s=9.0))

        await until(lambda: board.permitted[1] == 0)
        assert "disable 2" not in board.written
        await board.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "limit_a, phases, taken",
    [
        (6.0, 1, True),
        (32.0, 3, True),
        (16.0, 2, True),
        (5.99, 3, False),
        (32.01, 3, False),
        (16.0, 0, False),
        (16.0, 4, False),
    ],
)
def test_a_permission_outside_of_what_the_channel_can_do_is_refused(
    limit_a: float, phases: int, *, taken: bool
) -> None:
    """Before anything is written, and with what it can."""

    async def scenario() -> None:
        board = await opened()
        if taken:
            await board.allow(1, Permit(limit_a, phases))
        else:
            with pytest.raises(Refused, match=r"is not 6 to 32 A on 1 to 3 phases"):
                await board.allow(1, Permit(limit_a, phases))
        assert bool(board.written) is taken
        await board.close()

    asyncio.run(scenario())


def test_a_jammed_lock_refuses_no_permission_as_other_faults_do() -> None:
    """Whether it is needed is what the core knows; all that is wrong is named."""

    async def scenario() -> None:
        board = await opened()
        board.faults = {Fault.LOCK_JAMMED}
        await board.snapshot(1)
        await board.allow(1, Permit(16.0, 3))
        assert board.permitted[1] == 16

        board.faults = {Fault.LOCK_JAMMED, Fault.RCD, Fault.DIODE}
        await board.snapshot(1)
        with pytest.raises(Refused, match=r"a fault is active: DiodeFault, ResidualCurrent$"):
            await board.allow(1, Permit(16.0, 3))
        await board.close()

    asyncio.run(scenario())


def test_a_withdrawal_that_is_repeated_stops_for_a_new_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wire is back, and so is the core: what it permits now is not taken away by an old lease."""
    monkeypatch.setattr(polled, "_AGAIN_S", 0.05)

    async def scenario() -> None:
        board = await opened()
        await board.allow(1, Permit(16.0, 3, lease_s=0.05))
        board.withdrawals_fail = 1
        await until(lambda: not board.withdrawals_fail)
        await board.allow(1, Permit(10.0, 3))
        await asyncio.sleep(0.2)
        assert board.permitted[1] == 10
        assert "disable 1" not in board.written
        await board.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("when", ["while the lease runs", "while its end is repeated"])
def test_a_denial_that_fails_is_repeated_until_it_works(monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """Whoever denied has been told, and may never ask again: nothing stays energised for that."""
    monkeypatch.setattr(polled, "_AGAIN_S", 0.05)

    async def scenario() -> None:
        board = await opened()
        ends = when == "while its end is repeated"
        board.withdrawals_fail = 3
        await board.allow(1, Permit(16.0, 3, lease_s=0.01 if ends else 10.0))
        await until(lambda: board.withdrawals_fail == 2 or not ends)

        with pytest.raises(Timeout):
            await board.deny(1)

        await until(lambda: not board.permitted[1])
        assert board.written == ["limit 16", "enable 1", "disable 1"]
        await board.close()

    asyncio.run(scenario())


def test_a_denial_that_fails_is_not_repeated_into_a_new_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last word counts."""
    monkeypatch.setattr(polled, "_AGAIN_S", 0.05)

    async def scenario() -> None:
        board = await opened()
        await board.allow(1, Permit(16.0, 3))
        board.withdrawals_fail = 1
        with pytest.raises(Timeout):
            await board.deny(1)
        await board.allow(1, Permit(10.0, 3))
        await asyncio.sleep(0.2)
        assert board.permitted[1] == 10
        assert "disable 1" not in board.written
        await board.close()

    asyncio.run(scenario())


def test_a_lease_that_is_no_number_is_one_of_the_usual_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one without end."""
    monkeypatch.setattr(polled, "_LEASE_S", 0.05)

    async def scenario() -> None:
        board = await opened()
        await board.allow(1, Permit(16.0, 3, lease_s=float("nan")))
        await until(lambda: not board.permitted[1])
        await board.close()

    asyncio.run(scenario())


def test_a_lease_that_ended_while_the_board_was_away_is_withdrawn_when_it_is_back() -> None:
    """One that has not goes on, so that a loose plug costs no session."""

    async def scenario() -> None:
        board = await opened()
        await board.allow(1, Permit(16.0, 3, lease_s=5.0))
        await board.allow(2, Permit(16.0, 3, lease_s=0.1))
        await board.close()
        await asyncio.sleep(0.2)
        assert board.permitted == {1: 16.0, 2: 16.0}

        await board.open()
        await until(lambda: board.permitted == {1: 16.0, 2: 0.0})
        await board.close()

    asyncio.run(scenario())


def test_what_is_offered_to_nobody_is_withdrawn_when_the_board_is_found() -> None:
    """Nothing is closed, so nothing is interrupted; what charges goes on for a lease."""

    async def scenario() -> None:
        board = Scripted()
        board.permitted[2] = 16.0
        await board.open()
        assert board.written == ["disable 1"]
        assert (await board.snapshot(2)).contactor_closed
        await board.close()

    asyncio.run(scenario())


def test_a_channel_that_fails_is_told_once_and_again_when_it_is_well() -> None:
    """One bad look is none; three are the channel's fault; the board is lost when no channel answers."""

    async def scenario() -> None:
        board = await opened()
        events = board.events()
        assert [(await anext(events)).channel for _ in range(2)] == [1, 2]

        board.failures[2] = BadReply("left", "noise")
        told = await anext(events)
        assert isinstance(told, BoardSnapshot)
        assert (told.channel, set(told.faults)) == (2, {Fault.INTERNAL})
        del board.failures[2]
        told = await anext(events)
        assert isinstance(told, BoardSnapshot)
        assert (told.channel, set(told.faults)) == (2, set())

        board.failures = {1: Timeout("left", "silent"), 2: BadReply("left", "noise")}
        with pytest.raises(DeviceError):
            await anext(events)
        await board.close()

    asyncio.run(scenario())


def test_three_bad_looks_of_a_channel_are_passed_over_the_fourth_is_its_fault() -> None:
    """And one good look between them begins the count anew; the other channel is told nothing of it."""

    async def scenario() -> None:
        board = Scripted(now, poll_s=1.0)
        told: list[tuple[float, int, bool]] = []

        async def listen() -> None:
            async for event in board.events():
                assert isinstance(event, BoardSnapshot)
                told.append((now(), event.channel, Fault.INTERNAL in event.faults))

        await board.open()
        listening = asyncio.ensure_future(listen())
        await asyncio.sleep(0.5)
        board.failures[2] = BadReply("left", "noise")
        await asyncio.sleep(3.0)  # looks at 1, 2 and 3
        del board.failures[2]
        await asyncio.sleep(1.0)
        board.failures[2] = BadReply("left", "noise")
        await asyncio.sleep(3.4)  # looks at 5, 6 and 7
        assert told == [(0.0, 1, False), (0.0, 2, False)]
        await asyncio.sleep(1.0)
        assert told[2:] == [(8.0, 2, True)]
        listening.cancel()
        await board.close()

    virtualloop.run(scenario())


@pytest.mark.parametrize("last, error", [(Timeout("left", "silent"), Timeout), (BadReply("left", "noise"), BadReply)])
def test_the_third_look_that_no_channel_answers_is_the_loss_of_the_board(
    last: DeviceError, error: type[DeviceError]
) -> None:
    """Not the second; and a board that is not found is lost at once."""

    async def scenario() -> None:
        board = Scripted(now, poll_s=1.0)
        await board.open()
        lost = asyncio.ensure_future(drain(board))
        await asyncio.sleep(0.5)
        board.failures = {1: last, 2: last}
        await asyncio.sleep(2.4)  # looks at 1 and 2
        assert not lost.done()
        with pytest.raises(error):
            await lost
        assert now() == 3.0

        board.failures.clear()
        await board.open()
        lost = asyncio.ensure_future(drain(board))
        await asyncio.sleep(0.5)
        board.failures[2] = NotFound("left", "unplugged")
        with pytest.raises(NotFound, match="unplugged"):
            await lost
        assert now() == 4.0
        await board.close()

    virtualloop.run(scenario())


def test_a_channel_that_never_showed_itself_is_not_available() -> None:
    """Nobody is permitted by a guess."""

    async def scenario() -> None:
        board = Scripted(now, poll_s=1.0)
        await board.open()
        board._lines[2].last = None
        board.failures[2] = BadReply("left", "noise")
        events = board.events()
        await anext(events)
        told = await anext(events)
        assert isinstance(told, BoardSnapshot)
        assert (told.pilot, told.contactor_closed, told.faults) == (PilotState.F, False, frozenset())
        await board.close()

    virtualloop.run(scenario())


def test_a_board_that_does_not_answer_is_not_found_and_let_go_of() -> None:
    """Any other error of opening stays what it is."""

    async def scenario() -> None:
        board = Scripted()
        for error, kind in ((Timeout("left", "silent"), NotFound), (Refused("left", "no"), Refused)):
            board.failures[0] = error
            board.written.clear()
            with pytest.raises(kind):
                await board.open()
            assert board.written == ["left"]
            with pytest.raises(NotFound, match="not open"):
                await board.snapshot(1)

    asyncio.run(scenario())
