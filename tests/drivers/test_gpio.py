"""GPIO lines: every driver's contract, and the contactor; in virtual time, on a panel of simulated hardware.

The port below the drivers (`hal.buses.gpio`) is tested apart, with a stand-in for libgpiod: no kernel here has GPIO.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hal import contract
from hal.api import BoardSnapshot, Fault, Permit, PilotState
from hal.context import DriverContext
from hal.drivers.gpio_board import duty_of
from hal.errors import BadOptions, NotFound, Refused
from hal.registry import Registry
from tests import virtualloop
from tests.drivers.emulators import gpio_panel
from tests.drivers.emulators.gpio_panel import CONTACTOR, MIRROR, RCD, STOP, Panel
from tests.drivers.gpio import BOARD, Rig, scenario


@pytest.mark.parametrize(
    "kind, check",
    [
        pytest.param(kind, check, id=f"{kind}: {check.promise}")
        for kind in ("board", "lock", "sensor")
        for check in contract.checks(kind)
    ],
)
def test_the_driver_keeps_the_contract(tmp_path: Path, kind: str, check: contract.Check) -> None:
    """Nothing is skipped."""

    async def scenario() -> contract.Result:
        return await contract.run_one(check, Rig(kind, tmp_path))

    assert virtualloop.run(scenario()) == (check.promise, "passed", "")


# --- the contactor


@asynccontextmanager
async def charging(folder: Path, **options: object) -> AsyncIterator[tuple[Rig, Any]]:
    """A board that charges a vehicle with 16 A."""
    rig = Rig("board", folder, **options)
    board = rig.build()
    await board.open()
    rig.panel.do_vehicle(connected=True)
    await board.allow(1, Permit(16.0 if "pwm" not in options else 32.0, 3))
    await asyncio.sleep(0.3)
    assert rig.panel.closed
    try:
        yield rig, board
    finally:
        await board.close()


async def snapshot(board: Any) -> BoardSnapshot:
    """Of the only channel."""
    seen: BoardSnapshot = await board.snapshot(1)
    return seen


def duty(rig: Rig) -> float:
    """What the pilot shows, in percent."""
    assert rig.panel.pwm is not None
    return int((rig.panel.pwm / "duty_cycle").read_text("ascii")) / 10_000


@scenario
async def test_a_contactor_is_held_by_pulses_and_falls_when_they_stop(tmp_path: Path) -> None:
    """A process that hangs keeps its lines as they are: the one-shot of the hardware lets go."""
    async with charging(tmp_path) as (rig, board):
        for _ in range(6):
            await asyncio.sleep(1.5)
            await board.allow(1, Permit(16.0, 3))
        edges = [time for time, line, _ in rig.panel.edges if line == CONTACTOR]
        assert {round(after - before, 3) for before, after in itertools.pairwise(edges)} == {0.1}
        assert rig.panel.closed

        board._pulse = lambda: None
        board._cancel("pulse")
        await asyncio.sleep(gpio_panel.HOLD_S + 0.1)

        assert not rig.panel.closed


@scenario
async def test_a_lease_that_is_not_renewed_ends_in_the_driver_too(tmp_path: Path) -> None:
    """The hardware's thread lives, the core does not."""
    async with charging(tmp_path) as (rig, _):
        await asyncio.sleep(9.5)
        assert rig.panel.closed
        await asyncio.sleep(2.0)
        assert (rig.panel.closed, duty(rig)) == (False, 100)


@pytest.mark.parametrize("lease_s", [3600.0, float("inf"), float("nan")])
def test_no_lease_is_longer_than_a_board_may_hold_it(tmp_path: Path, lease_s: float) -> None:
    """Whatever the core says."""

    @scenario
    async def lapses(tmp_path: Path) -> None:
        async with charging(tmp_path) as (rig, board):
            await board.allow(1, Permit(16.0, 3, lease_s=lease_s))
            await asyncio.sleep(9.5)
            assert rig.panel.closed
            await asyncio.sleep(2.0)
            assert not rig.panel.closed

    lapses(tmp_path)


@scenario
async def test_a_stop_lets_the_vehicle_let_go_first(tmp_path: Path) -> None:
    """No arc: the pilot is steady at once, the contactor opens when the vehicle has left state C."""
    async with charging(tmp_path) as (rig, board):
        await board.deny(1)

        assert ((await snapshot(board)).limit_a, duty(rig), rig.panel.closed) == (0, 100, True)
        await asyncio.sleep(0.9)
        assert rig.panel.closed
        await asyncio.sleep(0.5)
        assert not rig.panel.closed
        assert (await snapshot(board)).pilot is PilotState.B


@scenario
async def test_a_vehicle_that_does_not_let_go_has_three_seconds(tmp_path: Path) -> None:
    """Then it is opened under current; denied again meanwhile gives it no longer."""
    async with charging(tmp_path) as (rig, board):
        rig.panel.lets_go_s = None
        await board.deny(1)
        await asyncio.sleep(2.0)
        await board.deny(1)
        assert rig.panel.closed
        await asyncio.sleep(1.3)
        assert not rig.panel.closed


@scenario
async def test_a_permission_during_the_soft_stop_goes_on(tmp_path: Path) -> None:
    """The contactor stays closed: nobody has let go yet."""
    async with charging(tmp_path) as (rig, board):
        await board.deny(1)
        await asyncio.sleep(0.5)
        await board.allow(1, Permit(10.0, 3))
        await asyncio.sleep(4)
        assert (rig.panel.closed, round(duty(rig), 2)) == (True, 16.67)


@pytest.mark.parametrize("line, fault", [(RCD, Fault.RCD), (STOP, Fault.EMERGENCY_STOP)])
def test_danger_opens_at_once_and_forbids_current_while_it_lasts(tmp_path: Path, line: int, fault: Fault) -> None:
    """No soft stop."""

    async def run() -> None:
        async with charging(tmp_path) as (rig, board):
            rig.panel.lets_go_s = None
            rig.panel.set(line, high=True)
            await asyncio.sleep(0.05 + gpio_panel.HOLD_S)
            assert not rig.panel.closed
            assert (await snapshot(board)).faults == {fault}
            with pytest.raises(Refused, match=fault.value):
                await board.allow(1, Permit(16.0, 3))

            rig.panel.set(line, high=False)
            await asyncio.sleep(5)
            assert not rig.panel.closed  # what was permitted before is over
            await board.allow(1, Permit(16.0, 3))
            await asyncio.sleep(0.5)
            assert rig.panel.closed

    virtualloop.run(run())


@scenario
async def test_a_contact_that_welded_is_told_by_its_mirror(tmp_path: Path) -> None:
    """And nothing is permitted until it has opened."""
    async with charging(tmp_path) as (rig, board):
        rig.panel.welded = True
        rig.panel.do_vehicle(connected=False)
        await asyncio.sleep(2)

        seen = await snapshot(board)
        assert seen.contactor_closed
        assert seen.faults == {Fault.CONTACTOR_WELDED}
        with pytest.raises(Refused, match="ContactorWelded"):
            await board.allow(1, Permit(16.0, 3))

        rig.panel.welded = False
        rig.panel._coil()
        await asyncio.sleep(0.1)
        assert (await snapshot(board)).faults == frozenset()


@scenario
async def test_a_contactor_that_was_welded_before_the_start_is_told_too(tmp_path: Path) -> None:
    """It was never asked to close in this run."""
    rig = Rig("board", tmp_path)
    rig.panel.wires[MIRROR], rig.panel.welded = False, True
    board = rig.build()
    await board.open()
    await asyncio.sleep(1)
    assert (await snapshot(board)).faults == {Fault.CONTACTOR_WELDED}
    await board.close()


@scenario
async def test_a_contactor_that_does_not_close_is_told_and_may_be_tried_again(tmp_path: Path) -> None:
    """Its coil's fuse: the vehicle is offered nothing, the line rests."""
    rig = Rig("board", tmp_path)
    board = rig.build()
    await board.open()
    rig.panel.stuck_open = True
    rig.panel.do_vehicle(connected=True)
    await board.allow(1, Permit(16.0, 3))
    await asyncio.sleep(2)
    assert (await snapshot(board)).faults == {Fault.CONTACTOR_OPEN}
    assert (duty(rig), rig.panel.wires[CONTACTOR]) == (100, False)

    rig.panel.stuck_open = False
    await board.deny(1)
    await board.allow(1, Permit(16.0, 3))
    await asyncio.sleep(1)
    assert rig.panel.closed
    await board.close()


@scenario
async def test_a_board_that_is_closed_leaves_nothing_on(tmp_path: Path) -> None:
    """An orderly stop of the agent, at once."""
    async with charging(tmp_path) as (rig, board):
        await board.close()
        assert (rig.panel.wires[CONTACTOR], duty(rig)) == (False, 100)
        await asyncio.sleep(gpio_panel.HOLD_S + 0.1)
        assert not rig.panel.closed
        with pytest.raises(NotFound, match="was closed"):
            await board.snapshot(1)


@scenario
async def test_a_level_stands_where_the_hardware_wants_one(tmp_path: Path) -> None:
    """`pulse_s: null`: one edge up, one down; the current is fixed without a pilot of ours."""
    rig = Rig("board", tmp_path, pulse_s=None, pwm=None, min_a=32, max_a=32)
    rig.panel.pwm, rig.panel.one_shot = None, False
    board = rig.build()
    await board.open()
    rig.panel.do_vehicle(connected=True)
    await board.allow(1, Permit(32.0, 3))
    await asyncio.sleep(3)
    assert (await snapshot(board)).limit_a == 32
    assert rig.panel.closed
    await board.deny(1)
    await asyncio.sleep(4)
    assert [high for _, line, high in rig.panel.edges if line == CONTACTOR] == [True, False]
    await board.close()


@pytest.mark.parametrize("amperes, percent", [(6, 10.0), (16, 26.67), (32, 53.33), (51, 85.0), (63, 89.2), (80, 96.0)])
def test_the_duty_cycle_is_that_of_the_standard(amperes: float, percent: float) -> None:
    """IEC 61851-1: amperes / 0.6 up to 51 A, amperes / 2.5 + 64 above."""
    assert duty_of(amperes) * 100 == pytest.approx(percent, abs=0.01)


@pytest.mark.parametrize(
    "wrong, place",
    [
        ({"min_a": 6, "max_a": 16}, ".pwm: without it the current is fixed"),
        ({"pwm": "/sys", "min_a": 32, "max_a": 16}, ".min_a: is more than"),
        ({"pwm": "/sys", "bus": "oi"}, ".bus: no Gpio is called 'oi'"),
        ({"pwm": "/sys", "faults": {"Fire": {"line": 1}}}, ".faults"),
        ({"pwm": "/sys", "pulse_s": ...}, "'pulse_s' is missing"),
    ],
)
def test_a_mistake_names_its_place(wrong: dict[str, Any], place: str) -> None:
    """Found when the driver is built; whether there are pulses must be said."""
    options = {key: value for key, value in {**BOARD, **wrong}.items() if value is not ...}
    with pytest.raises(BadOptions, match=place):
        Registry().build("board", "gpio", "left", options, DriverContext(lambda: 0.0, {"io": Panel()}))
