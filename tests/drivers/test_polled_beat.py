"""When polled boards are looked at, and what a renewal costs: all on one beat, and nothing said twice."""

from __future__ import annotations

import asyncio

import pytest

from hal.api import Permit
from hal.errors import BadReply, Timeout
from tests import virtualloop
from tests.drivers.boards import now
from tests.drivers.scripted_board import Scripted, drain


def test_boards_are_looked_at_together_on_the_beat_of_their_period() -> None:
    """All boards of one rhythm share the wake-up, whenever each was opened; a command is looked after at once."""

    async def scenario() -> None:
        boards = [Scripted(now, poll_s=1.0), Scripted(now, poll_s=1.0)]
        await asyncio.sleep(0.3)
        for board in boards:
            await board.open()
            await asyncio.sleep(0.25)
        listening = [asyncio.ensure_future(drain(board)) for board in boards]
        await asyncio.sleep(2.75)
        await boards[0].allow(1, Permit(16.0, 3))
        await asyncio.sleep(0.5)

        beats = [sorted({at for at in board.looked_at if at > 0.9}) for board in boards]
        assert beats[1] == [1.0, 2.0, 3.0, 4.0]
        assert beats[0] == [1.0, 2.0, 3.0, 3.55, 4.0]
        for task in listening:
            task.cancel()
        for board in boards:
            await board.close()

    virtualloop.run(scenario())


def test_a_look_just_before_the_beat_stands_for_it() -> None:
    """Else a timer that is a moment early would have everything asked twice."""

    async def scenario() -> None:
        board = Scripted(now, poll_s=1.0)
        await board.open()
        listening = asyncio.ensure_future(drain(board))
        await asyncio.sleep(1.95)
        board.wake()
        await asyncio.sleep(1.5)
        assert [at for at in board.looked_at[::2] if at > 0.9] == [1.0, 1.95, 3.0]
        listening.cancel()
        await board.close()

    virtualloop.run(scenario())


def test_a_permission_that_was_seen_to_stand_is_renewed_not_given_again() -> None:
    """And nobody looks at the board more often for that."""

    async def scenario() -> None:
        board = Scripted(now, poll_s=1.0)
        await board.open()
        listening = asyncio.ensure_future(drain(board))
        await board.allow(1, Permit(16.0, 3))
        board.written.clear()
        for _ in range(6):
            await asyncio.sleep(4.0)
            await board.allow(1, Permit(16.0, 3))
        assert board.written == ["renew 1"] * 6
        assert board.looked_at[-6:] == [21.0, 21.0, 22.0, 22.0, 23.0, 23.0]
        assert board.permitted[1] == 16.0  # its lease never ended
        listening.cancel()
        await board.close()

    virtualloop.run(scenario())


AGAINST = ("another limit", "denied", "denial failed", "lapsed", "reopened", "failed look", "no look", "none since")


@pytest.mark.parametrize("between", AGAINST)
def test_a_permission_that_may_not_stand_is_given_anew(between: str) -> None:
    """Whatever has spoken against it since it was given, and where nobody has looked lately."""

    async def scenario() -> None:
        board = Scripted(now, poll_s=1.0)
        await board.open()
        await asyncio.sleep(0.1)
        await board.allow(1, Permit(16.0, 3, lease_s=8.0))
        if between != "none since":
            await asyncio.sleep(0.1)
            await board.snapshot(1)
        await _comes_between(board, between)
        board.written.clear()

        await board.allow(1, Permit(16.0, 3, lease_s=8.0))

        assert board.written == ["limit 16", "enable 1"]
        await board.close()

    virtualloop.run(scenario())


async def _comes_between(board: Scripted, what: str) -> None:
    if what == "another limit":
        await board.allow(1, Permit(10.0, 3))
        await board.snapshot(1)
    elif what == "denied":
        await board.deny(1)
        await board.snapshot(1)
    elif what == "denial failed":
        board.withdrawals_fail = 1
        with pytest.raises(Timeout):
            await board.deny(1)
    elif what == "lapsed":
        await asyncio.sleep(9.0)
        await board.snapshot(1)
    elif what == "reopened":
        await board.close()
        await board.open()
    elif what == "failed look":
        board.failures[1] = BadReply("left", "noise")
        listening = asyncio.ensure_future(drain(board))
        await asyncio.sleep(1.0)
        listening.cancel()
        await asyncio.wait({listening})
    elif what == "no look":
        await asyncio.sleep(2.5)  # more than two periods


@pytest.mark.parametrize("by", ["a denial", "another limit", "a failure"])
def test_a_renewal_that_is_overtaken_or_fails_does_not_stand(by: str) -> None:
    """The same permission is given anew after that."""

    async def scenario() -> None:
        board = Scripted(now, poll_s=1.0)
        await board.open()
        await board.allow(1, Permit(16.0, 3))
        await asyncio.sleep(0.1)
        await board.snapshot(1)
        board.renewable = asyncio.Event()
        renewing = asyncio.ensure_future(board.allow(1, Permit(16.0, 3)))
        await asyncio.sleep(0.1)
        if by == "a denial":
            await board.deny(1)
        elif by == "another limit":
            await board.allow(1, Permit(10.0, 3))
        else:
            renewing.cancel()
        board.renewable.set()
        await asyncio.wait({renewing})
        await board.snapshot(1)
        board.written.clear()

        await board.allow(1, Permit(16.0, 3))

        assert board.written == ["limit 16", "enable 1"]
        await board.close()

    virtualloop.run(scenario())


def test_a_denial_that_fails_ends_the_lease_at_once_and_is_repeated_each_second() -> None:
    """Not only when the lease would have ended."""

    async def scenario() -> None:
        board = Scripted(now)
        await board.open()
        await board.allow(1, Permit(16.0, 3))
        await asyncio.sleep(2.0)
        board.withdrawals_fail = 3
        with pytest.raises(Timeout):
            await board.deny(1)
        await asyncio.sleep(2.9)
        assert board.permitted[1] == 16
        await asyncio.sleep(0.2)
        assert board.permitted[1] == 0
        await board.close()

    virtualloop.run(scenario())
