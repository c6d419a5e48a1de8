"""Phoenix Contact EV-CC-AC1-M3: the bytes on its line, its states and errors, and what it keeps without power."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from hal.api import Fault, Identity, LockState, Permit, PilotState
from hal.errors import BadReply, Refused
from tests import virtualloop
from tests.drivers.boards import EvCcRig, running
from tests.drivers.emulators.ev_cc_board import EvCcBoard


def test_the_bytes_are_those_of_the_manual(tmp_path: Path) -> None:
    """Limit 22000 (55F0) by function 6, then coil 20000 (4E20) on by function 5; off in one write."""

    async def scenario() -> None:
        async with running(EvCcRig, tmp_path) as r:
            driver = r.build(lock=False)
            await driver.open()
            r.board.requests.clear()
            await driver.snapshot(1)
            await driver.allow(1, Permit(13.0, 3))
            await driver.deny(1)

            asked = [frame[:-2].hex(" ") for frame in r.board.requests]
            assert asked == [
                "01 03 5d c0 00 04",
                "01 03 5d d9 00 01",
                "01 06 55 f0 00 0d",
                "01 05 4e 20 ff 00",
                "01 05 4e 20 00 00",
            ]
            await driver.close()

    virtualloop.hurry(scenario())


STATES = [  # letters, errors (bits from 1) -> pilot, contactor, faults
    ("A1", [], PilotState.A, False, set()),
    ("B1", [], PilotState.B, False, set()),
    ("B2", [], PilotState.B, False, set()),
    ("C1", [], PilotState.C, False, set()),
    ("C2", [], PilotState.C, True, set()),
    ("D2", [], PilotState.D, True, set()),
    ("E0", [4], PilotState.E, False, {Fault.PILOT_LOST}),
    ("F0", [5], PilotState.F, False, set()),
    ("B1", [2], PilotState.B, False, {Fault.PROXIMITY}),
    ("B1", [3], PilotState.B, False, {Fault.PROXIMITY}),
    ("B2", [6], PilotState.B, False, {Fault.LOCK_JAMMED}),
    ("B2", [7], PilotState.B, False, {Fault.LOCK_JAMMED}),
    ("B2", [8], PilotState.B, False, {Fault.LOCK_JAMMED}),
    ("D1", [11], PilotState.D, False, set()),
    ("B1", [12], PilotState.B, True, {Fault.CONTACTOR_WELDED}),
    ("B1", [13], PilotState.B, False, {Fault.DIODE}),
    ("C1", [15], PilotState.C, False, {Fault.RCD}),
    ("B1", [16], PilotState.B, False, {Fault.INTERNAL}),
    ("C1", [13, 15], PilotState.C, False, {Fault.DIODE, Fault.RCD}),
]


@pytest.mark.parametrize("row", STATES, ids=lambda row: f"{row[0]} {row[1]}")
def test_each_state_and_error_is_understood(
    tmp_path: Path, row: tuple[str, list[int], PilotState, bool, set[Fault]]
) -> None:
    """Registers 24000 and 24025."""
    letters, errors, pilot, closed, faults = row

    async def scenario() -> None:
        async with running(EvCcRig, tmp_path) as r:
            driver = r.build(lock=False)
            await driver.open()
            r.board.shown[24000] = int.from_bytes(letters.encode(), "big")
            r.board.shown[24025] = sum(1 << number - 1 for number in errors)

            seen = await driver.snapshot(1)

            assert (seen.pilot, seen.contactor_closed, seen.faults) == (pilot, closed, faults)
            await driver.close()

    virtualloop.hurry(scenario())


def test_letters_that_are_no_state_are_a_bad_reply(tmp_path: Path) -> None:
    """Another device, or another register map."""

    async def scenario() -> None:
        async with running(EvCcRig, tmp_path) as r:
            r.board.shown[24000] = 0x1234
            driver = r.build()
            r.board.settle = lambda: None
            with pytest.raises(BadReply, match="0x1234, which is no state"):
                await driver.open()

    virtualloop.hurry(scenario())


def test_the_board_is_made_to_obey_once_and_keeps_it(tmp_path: Path) -> None:
    """It leaves the factory to obey its input EN; a switch that forbids the lock to be moved is named."""

    async def scenario() -> None:
        async with running(EvCcRig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            assert (r.board.held[4000], r.board.held[4002]) == (3, 3)
            await driver.close()
            r.board.requests.clear()
            await driver.open()
            assert not [frame for frame in r.board.requests if frame[1:3] == b"\x06\x0f"]
            await driver.close()

            r.board.lock_switch, r.board.held[4002] = False, 0
            with pytest.raises(Refused, match="register 4002 stays 0: check the switches S1"):
                await driver.open()

    virtualloop.hurry(scenario())


def test_rows_that_are_input_registers_are_found(tmp_path: Path) -> None:
    """The manual calls them holding registers; devices in the field answer them as input registers."""

    async def scenario() -> None:
        async with running(EvCcRig, tmp_path) as r:
            r.board = EvCcBoard(tmp_path / "port", states="input")
            r.board.start()
            await r.vehicle(1, connected=True)
            driver = r.build()
            await driver.open()
            await driver.allow(1, Permit(16.0, 3))
            assert (await driver.snapshot(1)).contactor_closed
            r.board.requests.clear()
            await driver.snapshot(1)
            assert [frame[1] for frame in r.board.requests] == [4, 4, 1]
            await driver.close()

    virtualloop.hurry(scenario())


def test_the_cable_limits_and_a_tethered_one_is_none(tmp_path: Path) -> None:
    """Its rating is told while it is plugged in; FFFF is a short circuit."""

    async def scenario() -> None:
        async with running(EvCcRig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            assert (await driver.snapshot(1)).cable_rating_a is None
            r.board.do_plug_in(cable_a=20)
            await driver.allow(1, Permit(32.0, 3))
            seen = await driver.snapshot(1)
            assert (seen.cable_rating_a, seen.limit_a) == (20.0, 20.0)
            r.board.do_error("pp")
            seen = await driver.snapshot(1)
            assert (seen.cable_rating_a, seen.faults) == (None, {Fault.PROXIMITY})
            await driver.close()

            r.board.errors = set()
            r.board.held[4009] = 1
            r.board.settle()
            await driver.open()
            assert (await driver.snapshot(1)).cable_rating_a is None
            await driver.close()

    virtualloop.hurry(scenario())


def test_the_lock_is_a_coil_and_a_jam_is_refused(tmp_path: Path) -> None:
    """It stays closed under current, and is as an earlier run left it."""

    async def scenario() -> None:
        async with running(EvCcRig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            await r.vehicle(1, connected=True)
            await driver.lock(1, locked=True)
            await driver.allow(1, Permit(16.0, 3))
            with pytest.raises(Refused, match="contactor is closed"):
                await driver.lock(1, locked=False)
            await driver.close()

            again = r.build()
            await again.open()
            assert (await again.snapshot(1)).lock is LockState.LOCKED
            await again.deny(1)
            r.board.do_error("unlocking")
            with pytest.raises(Refused, match="jammed"):
                await again.lock(1, locked=False)
            assert (await again.snapshot(1)).lock is LockState.JAMMED
            await again.close()

    virtualloop.hurry(scenario())


def test_after_a_loss_of_its_power_the_board_offers_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The enable is volatile. That nobody is watched is said."""

    async def scenario() -> None:
        async with running(EvCcRig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            await r.vehicle(1, connected=True)
            await driver.allow(1, Permit(16.0, 3))
            assert r.closed()
            r.board.do_power_cycle()
            assert not r.closed()
            assert await driver.identify() == Identity(
                "Phoenix Contact", "EV-CC-AC1-M3-CBC-SER-PCB", "0012345678", "1.20.3"
            )
            await driver.close()

    with caplog.at_level(logging.WARNING):
        virtualloop.hurry(scenario())
    assert "board.does_not_watch_its_host" in [record.message for record in caplog.records]
