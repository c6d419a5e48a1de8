"""What each board does by itself when the station's computer dies under a charging car: docs/hardware.md, in seconds.

In virtual time, on quiet lines: the hardware's loop ends without a word, as a kill -9 or a cut wire ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, NamedTuple

import pytest

from station.shell.wiring import BusEntry, DeviceEntry
from tests import virtualloop
from tests.drivers.test_noisy_boards import KINDS, NETWORK, Day

PERMITTED_A = 16.0
DIES_AT_S, MINUTE_S = 60.0, 60.0
STEP_S = 0.1


class Fate(NamedTuple):
    """What is offered in the end, and after how many seconds that began; None: nothing changed."""

    offered_a: float
    after_s: tuple[float, float] | None


RENEWED_S = 4.0
FATES = {
    "evse-wb": Fate(PERMITTED_A, None),
    "ev-cc": Fate(PERMITTED_A, None),
    "charx": Fate(0.0, (10 - RENEWED_S, 10)),  # since the last write
    "bender-cc": Fate(0.0, (9, 10)),  # since the last look
    "openevse": Fate(6.0, (10 - RENEWED_S, 10)),  # since the last pulse
}


@pytest.mark.parametrize("driver", KINDS)
def test_each_board_falls_back_as_the_table_says_and_not_before(driver: str) -> None:
    """As long as the station lives nothing changes; a minute after its death all has happened that will."""
    kind, make = KINDS[driver]
    where = {"host": "memory"} if kind == NETWORK else {"port": "memory"}
    bus = BusEntry(name="wire", kind=kind, options=where)
    board = DeviceEntry(name="left", kind="board", driver=driver, options={"bus": "wire"})

    async def scenario() -> tuple[Day, list[tuple[float, float]]]:
        day = Day(bus, board, share=0.0)
        loop = asyncio.get_running_loop()
        car: Any = make(day.wire, day.note)
        living = asyncio.ensure_future(day.hub.run())
        await asyncio.sleep(5.0)
        car.comes()
        offers: list[tuple[float, float]] = []
        while loop.time() < DIES_AT_S + MINUTE_S:
            await asyncio.sleep(STEP_S)
            car.looks()
            if loop.time() >= DIES_AT_S and not living.done():
                living.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await living
                offers.clear()
            if not offers or offers[-1][1] != car.offered_a:
                offers.append((loop.time(), car.offered_a))
            assert loop.time() < 10 or living.done() or car.offered_a == PERMITTED_A
        return day, offers

    day, offers = virtualloop.run(scenario())

    fate = FATES[driver]
    assert [offered for _, offered in offers] == list(dict.fromkeys((PERMITTED_A, fate.offered_a)))
    if fate.after_s is not None:
        least_s, most_s = fate.after_s
        assert least_s - STEP_S <= offers[-1][0] - DIES_AT_S <= most_s + 2 * STEP_S
    switched = [closed for _, closed in day.switched]
    assert switched == ([True, False] if not fate.offered_a else [True])
