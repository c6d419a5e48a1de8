"""EVSE-WB: the bytes on its line, every state of its registers, and what it does after a loss of power."""

from __future__ import annotations

import asyncio
import itertools
import logging
from pathlib import Path

import pytest

from hal.api import Fault, Identified, Permit, PilotState
from hal.drivers.evse_wb import Options
from hal.errors import BadOptions, BadReply, NotFound
from tests import virtualloop
from tests.drivers.boards import EvseWbRig, now, running
from tests.drivers.emulators.modbus_slave import crc16


def test_the_bytes_are_those_of_the_data_sheet(tmp_path: Path) -> None:
    """Function 3 for the eight registers from 1000 (03E8), function 16 (10) even for the single one that is written."""

    async def scenario() -> None:
        async with running(EvseWbRig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            r.board.requests.clear()
            await driver.snapshot(1)
            await driver.allow(1, Permit(13.0, 3))
            await driver.deny(1)

            asked = [frame[:-2].hex(" ") for frame in r.board.requests]
            assert asked == ["01 03 03 e8 00 08", "01 10 03 e8 00 01 02 00 0d", "01 10 03 e8 00 01 02 00 00"]
            assert all(crc16(frame[:-2]) == frame[-2:] for frame in r.board.requests)
            await driver.close()

    virtualloop.hurry(scenario())


def test_what_the_board_holds_is_not_written_again(tmp_path: Path) -> None:
    """It does not watch its host: a renewal needs the line only if the look before showed another current."""

    async def scenario() -> None:
        async with running(EvseWbRig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            written = []
            for held in (0, 16, 16, 6, 16):
                r.board.held[1000] = held
                await driver.snapshot(1)
                r.board.requests.clear()
                await driver.allow(1, Permit(16.0, 3))
                written.append([frame[1] for frame in r.board.requests])
            assert written == [[0x10], [], [], [0x10], []]
            await driver.close()

    virtualloop.hurry(scenario())


STATES = [  # registers 1002 and 1007 -> pilot, contactor, faults
    ((1, 0x00), (PilotState.A, False, set())),
    ((2, 0x00), (PilotState.B, False, set())),
    ((3, 0x01), (PilotState.C, True, set())),
    ((3, 0x00), (PilotState.C, False, set())),
    ((4, 0x01), (PilotState.D, True, set())),
    ((5, 0x02), (PilotState.E, False, {Fault.DIODE})),
    ((5, 0x04), (PilotState.D, False, set())),
    ((5, 0x08), (PilotState.F, False, {Fault.INTERNAL})),
    ((5, 0x10), (PilotState.F, False, {Fault.RCD})),
    ((5, 0x20), (PilotState.F, False, {Fault.RCD})),
    ((3, 0x10), (PilotState.C, False, set())),  # newer firmware tests its RCD
    ((2, 0x21), (PilotState.B, True, {Fault.RCD})),
]


@pytest.mark.parametrize("registers, shown", STATES)
def test_each_state_of_the_registers_is_understood(
    tmp_path: Path, registers: tuple[int, int], shown: tuple[PilotState, bool, set[Fault]]
) -> None:
    """Vehicle, relay and failed checks."""

    async def scenario() -> None:
        async with running(EvseWbRig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            r.board.held[1002], r.board.held[1007] = registers

            seen = await driver.snapshot(1)

            assert (seen.pilot, seen.contactor_closed, seen.faults) == shown
            await driver.close()

    virtualloop.hurry(scenario())


def test_a_state_that_is_none_is_a_bad_reply(tmp_path: Path) -> None:
    """Another device at this address."""

    async def scenario() -> None:
        async with running(EvseWbRig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            r.board.held[1002] = 4711
            with pytest.raises(BadReply, match="1002 holds 4711"):
                await driver.snapshot(1)
            await driver.close()

    virtualloop.hurry(scenario())


def test_the_cable_limits_and_a_fixed_rating_is_no_cable(tmp_path: Path) -> None:
    """The proximity pilot is told while a vehicle is there; register 2007 set means a tethered cable."""

    async def scenario() -> None:
        async with running(EvseWbRig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            assert (await driver.snapshot(1)).cable_rating_a is None
            r.board.do_plug_in(cable_a=13)
            await driver.allow(1, Permit(16.0, 3))
            seen = await driver.snapshot(1)
            assert (seen.cable_rating_a, seen.limit_a) == (13.0, 13.0)
            await driver.close()

            r.board.do_config(2007, 16)
            await driver.open()
            assert (await driver.snapshot(1)).cable_rating_a is None
            await driver.close()

    virtualloop.hurry(scenario())


@pytest.mark.parametrize("firmware, written, shown", [(18, 1634, 16.34), (16, 16, 16.0)])
def test_hundredths_of_an_ampere_where_the_firmware_has_them(
    tmp_path: Path, firmware: int, written: int, shown: float
) -> None:
    """Bit 7 of register 2005 means something else before firmware 17."""

    async def scenario() -> None:
        async with running(EvseWbRig, tmp_path) as r:
            r.board.outlet.firmware = firmware
            r.board.do_config(2005, 0x88)
            r.board.do_power_cycle()
            r.board.do_plug_in()
            driver = r.build()
            await driver.open()
            await driver.allow(1, Permit(16.34, 3))

            assert r.board.held[1000] == written
            assert (await driver.snapshot(1)).limit_a == shown
            await driver.close()

    virtualloop.hurry(scenario())


def test_after_a_loss_of_its_power_the_board_offers_nothing(tmp_path: Path) -> None:
    """It left the factory to offer 16 A to whoever plugs in; that is changed once, and not written again."""

    async def scenario() -> None:
        async with running(EvseWbRig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            await r.vehicle(1, connected=True)
            await driver.allow(1, Permit(16.0, 3))
            assert r.closed()

            r.board.do_power_cycle()

            assert not r.closed()
            await driver.close()
            r.board.requests.clear()
            await driver.open()
            assert not [frame for frame in r.board.requests if frame[:4].hex() == "011007d0"]
            await driver.close()

    virtualloop.hurry(scenario())


def test_that_it_does_not_watch_its_host_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An installer must know what the board does not guarantee."""

    async def scenario() -> None:
        async with running(EvseWbRig, tmp_path) as r:
            driver = r.build()
            for _ in range(2):
                await driver.open()
                await driver.close()
            assert isinstance(driver, Identified)
            assert (await driver.identify()).firmware == "18"

    with caplog.at_level(logging.WARNING):
        virtualloop.hurry(scenario())

    assert [record.message for record in caplog.records].count("board.does_not_watch_its_host") == 1


def test_the_board_is_asked_no_faster_than_it_likes(tmp_path: Path) -> None:
    """200 ms between two requests, as the data sheet wants, if nothing else is configured; `timeout_s` is kept, too."""

    async def scenario() -> None:
        async with running(EvseWbRig, tmp_path) as r:
            driver = r.build(gap_s=0.2)
            await driver.open()
            asked_at = []
            for _ in range(3):
                await driver.snapshot(1)
                asked_at.append(now())
            assert all(after - before >= 0.2 for before, after in itertools.pairwise(asked_at))

            r.board.do_drop(1_000)
            for timeout_s in (0.1, 0.4):
                impatient = r.build(gap_s=0.0, timeout_s=timeout_s)
                began = now()
                with pytest.raises(NotFound):
                    await impatient.open()
                assert 2 * timeout_s <= now() - began < 2 * timeout_s + 0.5  # asked twice
            await driver.close()

        assert Options(bus="bus").gap_s == 0.2

    virtualloop.hurry(scenario())


def test_who_waits_for_a_board_that_is_closed_is_told_at_once(tmp_path: Path) -> None:
    """And not when the board would have had to answer."""

    async def scenario() -> None:
        async with running(EvseWbRig, tmp_path) as r:
            driver = r.build(timeout_s=5.0)
            await driver.open()
            r.board.do_drop(1_000)
            asked = [asyncio.ensure_future(driver.snapshot(1)) for _ in range(2)]
            await asyncio.sleep(0.05)
            began = now()
            await driver.close()
            await asyncio.wait(asked)
            assert [type(each.exception()) for each in asked] == [NotFound, NotFound]
            assert now() - began < 1

    virtualloop.hurry(scenario())


def test_limits_that_permit_nothing_are_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    """Found when the driver is built, not at the first session."""
    with pytest.raises(BadOptions, match="min_a 6 is more than max_a 5"):
        EvseWbRig(tmp_path).build(max_a=5.0)
    assert EvseWbRig(tmp_path).build(max_a=6.0).info(1).max_a == 6.0  # the one current of an outlet
