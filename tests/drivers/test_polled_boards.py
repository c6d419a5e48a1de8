"""Every board that is polled keeps the contract, tells the truth or an error on a bad line, and outlives no lease."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from hal import contract
from hal.api import LEASE_S, BoardSnapshot, Permit
from hal.drivers import polled
from hal.errors import DeviceError, Refused, Timeout
from tests import virtualloop
from tests.drivers.boards import HURRY, RIGS, Disturbance, running, until
from tests.drivers.emulators import bender_station, charx_station


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases of 0.6 s, withdrawn again at once if that failed."""
    monkeypatch.setattr(polled, "_LEASE_S", LEASE_S * HURRY)
    monkeypatch.setattr(polled, "_AGAIN_S", 0.02)
    monkeypatch.setattr(charx_station, "SECOND_S", HURRY)
    monkeypatch.setattr(bender_station, "SECOND_S", HURRY)


@pytest.mark.parametrize(
    "rig, check",
    [
        pytest.param(rig, check, id=f"{rig.driver}: {check.promise}")
        for rig in RIGS
        for check in contract.checks("board")
    ],
)
def test_the_driver_keeps_the_contract(tmp_path: Path, rig: type[Any], check: contract.Check) -> None:
    """Nothing is skipped."""

    async def scenario() -> contract.Result:
        async with running(rig, tmp_path) as harness:
            return await contract.run_one(check, harness)

    result = virtualloop.hurry(scenario())

    assert result == (check.promise, "passed", "")


each = pytest.mark.parametrize("rig", [pytest.param(rig, id=rig.driver) for rig in RIGS])


@pytest.mark.parametrize(
    "rig, disturbance",
    [
        pytest.param(rig, disturbance, id=f"{rig.driver}: an answer {what}")
        for rig in RIGS
        for what, disturbance in rig.disturbances.items()
    ],
)
def test_on_a_bad_line_the_board_shows_the_truth_or_an_error(
    tmp_path: Path, rig: type[Any], disturbance: Disturbance
) -> None:
    """While the vehicle comes and goes, every third answer is disturbed: no snapshot shows what was before."""

    async def scenario() -> None:
        async with running(rig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            right = 0
            for turn in range(9):
                plugged = turn % 2 == 0
                await r.vehicle(1, connected=plugged)
                if turn % 3 == 1:
                    disturbance(r.board)
                try:
                    seen = await driver.snapshot(1)
                except DeviceError:
                    continue
                assert seen.pilot.plugged is plugged
                assert not seen.contactor_closed
                right += 1
            await driver.close()
            assert right >= 5

    virtualloop.hurry(scenario())


@each
def test_each_change_is_an_event_and_nothing_else_is(tmp_path: Path, rig: type[Any]) -> None:
    """Plug in, permission, charging, unplug; polls that see nothing new tell nothing."""

    async def scenario() -> None:
        async with running(rig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            seen: list[BoardSnapshot] = []

            async def collect() -> None:
                async for event in driver.events():
                    seen.append(event)  # noqa: PERF401 - read while it grows

            task = asyncio.ensure_future(collect())
            await until(lambda: len(seen) >= 1)
            await r.vehicle(1, connected=True)
            await until(lambda: seen[-1].pilot.plugged)
            await driver.allow(1, Permit(10.0, 3))
            await until(lambda: seen[-1].contactor_closed and seen[-1].limit_a == 10.0)
            assert r.closed()
            quiet = len(seen)
            await driver.allow(1, Permit(10.0, 3))
            await asyncio.sleep(0.3)
            assert len(seen) == quiet

            await r.vehicle(1, connected=False)
            await until(lambda: not seen[-1].pilot.plugged and not seen[-1].contactor_closed)
            await driver.close()
            await asyncio.wait({task})
            assert isinstance(task.exception(), DeviceError)

    virtualloop.hurry(scenario())


@each
def test_a_denial_in_the_middle_of_a_permission_is_the_last_word(tmp_path: Path, rig: type[Any]) -> None:
    """However many writes a permission takes, and whichever of them is on the wire."""

    async def scenario() -> None:
        async with running(rig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            await r.vehicle(1, connected=True)
            for write in range(5):
                r.board.do_delay(0.04, 20)
                allowing = asyncio.ensure_future(driver.allow(1, Permit(16.0, 3)))
                await asyncio.sleep(0.02 + 0.04 * write)
                await driver.deny(1)
                await asyncio.wait({allowing})
                assert allowing.exception() is None or isinstance(allowing.exception(), Timeout)
                await asyncio.sleep(0.1)  # long before a lease would end
                assert not r.closed()
            await driver.close()

    virtualloop.hurry(scenario())


@each
def test_a_permission_ends_by_itself_even_if_nobody_listens(tmp_path: Path, rig: type[Any]) -> None:
    """A core that stands still leaves nothing energised, and a lease is never longer than a board may hold it."""

    async def scenario() -> None:
        async with running(rig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            await r.vehicle(1, connected=True)
            await driver.allow(1, Permit(16.0, 3, lease_s=3600.0))
            await until(r.closed)

            await until(lambda: not r.closed())

            assert (await driver.snapshot(1)).limit_a == 0
            await driver.close()

    virtualloop.hurry(scenario())


@each
def test_a_permission_of_an_earlier_run_is_a_lease_from_now_on(tmp_path: Path, rig: type[Any]) -> None:
    """An agent that was killed and restarted goes on with the session, or the board opens."""

    async def scenario() -> None:
        async with running(rig, tmp_path) as r:
            before = r.build()
            await before.open()
            await r.vehicle(1, connected=True)
            await before.allow(1, Permit(16.0, 3))
            await until(r.closed)
            await before.close()  # the process is gone: nobody withdrew anything

            after = r.build()
            await after.open()
            assert (await after.snapshot(1)).contactor_closed
            await until(lambda: not r.closed())
            await after.close()

    virtualloop.hurry(scenario())


@each
def test_a_withdrawal_that_fails_is_repeated_until_it_works(tmp_path: Path, rig: type[Any]) -> None:
    """The lease ends while the wire is silent for a while."""

    async def scenario() -> None:
        async with running(rig, tmp_path) as r:
            driver = r.build(**r.impatient)
            await driver.open()
            await r.vehicle(1, connected=True)
            await driver.allow(1, Permit(16.0, 3, lease_s=0.1))
            await until(r.closed)
            r.board.do_drop(1_000_000)
            await asyncio.sleep(0.5)
            r.board.do_drop(0)

            await until(lambda: not r.closed())

            await driver.close()

    virtualloop.hurry(scenario())


@each
def test_a_limit_that_is_no_whole_ampere_is_rounded_down(tmp_path: Path, rig: type[Any]) -> None:
    """Never more than was permitted."""

    async def scenario() -> None:
        async with running(rig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            await r.vehicle(1, connected=True)
            await driver.allow(1, Permit(10.9, 3))

            assert 10.0 <= (await driver.snapshot(1)).limit_a <= 10.9
            await driver.close()

    virtualloop.hurry(scenario())


@each
def test_a_fault_refuses_a_permission_with_its_name(tmp_path: Path, rig: type[Any]) -> None:
    """The core is told why."""

    async def scenario() -> None:
        async with running(rig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            await r.fault(1, present=True)
            fault = next(iter((await driver.snapshot(1)).faults))

            with pytest.raises(Refused, match=f"a fault is active: {fault.value}"):
                await driver.allow(1, Permit(16.0, 3))
            await driver.close()

    virtualloop.hurry(scenario())


@each
def test_three_silent_polls_are_the_loss_of_the_board_one_is_not(tmp_path: Path, rig: type[Any]) -> None:
    """A single disturbed look costs no session."""

    async def scenario() -> None:
        async with running(rig, tmp_path) as r:
            driver = r.build(**r.impatient)
            await driver.open()
            seen: list[BoardSnapshot] = []
            events = driver.events()
            seen.append(await anext(events))
            r.board.do_drop(4)
            await r.vehicle(1, connected=True)
            seen.append(await anext(events))
            assert [event.pilot.plugged for event in seen] == [False, True]

            r.board.do_drop(1_000_000)
            with pytest.raises(Timeout):
                await anext(events)
            await driver.close()

    virtualloop.hurry(scenario())
