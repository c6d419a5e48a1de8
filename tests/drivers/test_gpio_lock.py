"""A connector lock and a contact on GPIO lines, in virtual time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hal.api import LockState, SensorReading
from hal.errors import NotFound, Refused
from tests.drivers.emulators.gpio_panel import LOCK, STOP, UNLOCK
from tests.drivers.gpio import Rig, scenario

# --- the lock


@scenario
async def test_a_motor_gets_its_pulse_and_its_rest_and_never_both_sides(tmp_path: Path) -> None:
    """Moves that come one upon the other."""
    rig = Rig("lock", tmp_path)
    lock = rig.build()
    await lock.open()
    await asyncio.gather(lock.move(locked=True), lock.move(locked=True))
    await lock.move(locked=False)

    edges = [(round(time, 1), line, high) for time, line, high in rig.panel.edges if line in {LOCK, UNLOCK}]
    assert edges == [(0, LOCK, True), (0.2, LOCK, False), (3.2, UNLOCK, True), (3.4, UNLOCK, False)]
    assert not rig.panel.burnt
    await lock.close()


@scenario
async def test_a_pulse_ends_though_its_requester_gave_up(tmp_path: Path) -> None:
    """Or the motor would burn."""
    rig = Rig("lock", tmp_path)
    lock = rig.build()
    await lock.open()
    task = asyncio.create_task(lock.move(locked=True))
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.sleep(1)

    assert not rig.panel.wires[LOCK]
    assert await lock.state() is LockState.LOCKED
    await lock.close()


@scenario
async def test_a_jammed_lock_was_tried_three_times_and_says_so_until_it_has_moved(tmp_path: Path) -> None:
    """Then by its feedback again."""
    rig = Rig("lock", tmp_path)
    lock = rig.build()
    await lock.open()
    rig.panel.jammed = True
    with pytest.raises(Refused, match="jammed: it does not close"):
        await lock.move(locked=True)
    assert [high for _, line, high in rig.panel.edges if line == LOCK] == [True, False] * 3
    assert await lock.state() is LockState.JAMMED

    rig.panel.jammed = False
    await lock.move(locked=True)
    assert await lock.state() is LockState.LOCKED
    await lock.close()


# --- a contact


@scenario
async def test_a_contact_tells_its_changes_and_nothing_else(tmp_path: Path) -> None:
    """The state first; an edge back and forth between two looks is none."""
    rig = Rig("sensor", tmp_path)
    contact = rig.build()
    await contact.open()
    seen: list[SensorReading] = []

    async def collect() -> None:
        async for reading in contact.changes():
            seen.append(reading)  # noqa: PERF401 - what came before the error counts

    task = asyncio.create_task(collect())
    await asyncio.sleep(1)
    rig.panel.set(STOP, high=True)
    await asyncio.sleep(1)
    rig.panel.set(STOP, high=False)
    rig.panel.set(STOP, high=True)
    await asyncio.sleep(1)
    rig.panel.do_unplug()
    with pytest.raises(NotFound, match="the chip is gone"):
        await task

    assert [(reading.value, reading.sampled_at) for reading in seen] == [(False, 0.0), (True, 1.0)]
