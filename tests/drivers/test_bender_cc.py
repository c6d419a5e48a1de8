"""Bender CC612/613: the bytes on its connection, its states, and what it does when its host is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from hal.api import Fault, Identity, Permit, PilotState
from hal.errors import BadReply, DeviceError, Refused
from tests import virtualloop
from tests.drivers.boards import BenderRig, running, until
from tests.drivers.emulators import bender_station
from tests.drivers.emulators.bender_station import BenderStation


def test_the_bytes_are_those_of_the_register_list(tmp_path: Path) -> None:
    """Unit 255; the limit of the energy manager is register 1000 (03E8), written by function 16; 0 pauses."""

    async def scenario() -> None:
        async with running(BenderRig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            r.board.requests.clear()
            await driver.allow(1, Permit(13.0, 3))
            await driver.deny(1)

            asked = [frame[6:].hex(" ") for frame in r.board.requests]
            assert asked == ["ff 10 03 e8 00 01 02 00 0d", "ff 10 03 e8 00 01 02 00 00"]
            assert (r.board.held[131], r.board.held[132]) == (0, 10)
            await driver.close()

    virtualloop.hurry(scenario())


def test_a_host_that_is_lost_leaves_nothing_energised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own timeout pauses: no driver, no agent is needed for that."""
    monkeypatch.setattr(bender_station, "SECOND_S", 0.03)

    async def scenario() -> None:
        async with running(BenderRig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            await r.vehicle(1, connected=True)
            await driver.allow(1, Permit(16.0, 3))
            assert r.closed()
            await driver.close()  # the agent is gone

            await until(lambda: not r.closed())

    virtualloop.hurry(scenario())


def test_the_timeout_is_written_once(tmp_path: Path) -> None:
    """It may be kept in flash."""

    async def scenario() -> None:
        async with running(BenderRig, tmp_path) as r:
            driver = r.build()
            written = []
            for _ in range(3):
                r.board.requests.clear()
                await driver.open()
                written.append(sum(frame[7:10] == b"\x10\x00\x83" for frame in r.board.requests))
                await driver.close()
            assert written == [1, 0, 0]

    virtualloop.hurry(scenario())


@pytest.mark.parametrize("refuses", [True, False])
def test_a_board_that_does_not_take_the_timeout_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, refuses: bool
) -> None:
    """Older firmware has no such registers to write, or another least current."""

    async def scenario() -> None:
        async with running(BenderRig, tmp_path) as r:
            taken = r.board.answer

            def answer(unit: int, pdu: bytes) -> Any:
                if pdu[:3] == b"\x10\x00\x83":
                    return b"\x90\x03" if refuses else pdu[:5]
                return taken(unit, pdu)

            r.board.answer = answer
            driver = r.build()
            await driver.open()
            await driver.close()

    virtualloop.hurry(scenario())

    assert [record.message for record in caplog.records].count("board.does_not_watch_its_host") == 1


STATES = [  # pilot, OCPP status, relays, signalled -> pilot, contactor, limit, phases, faults
    ((1, 0, 0, 0), (PilotState.A, False, 0, 3, set())),
    ((2, 1, 0, 16), (PilotState.B, False, 16, 3, set())),
    ((3, 1, 1, 16), (PilotState.C, True, 16, 3, set())),
    ((3, 1, 5, 16), (PilotState.C, True, 16, 1, set())),
    ((3, 1, 0, 0), (PilotState.C, False, 0, 3, set())),
    ((4, 1, 1, 10), (PilotState.D, True, 10, 3, set())),
    ((5, 4, 0, 0), (PilotState.E, False, 0, 3, {Fault.INTERNAL})),
    ((1, 3, 0, 0), (PilotState.A, False, 0, 3, set())),
]


@pytest.mark.parametrize("registers, shown", STATES)
def test_each_state_of_the_registers_is_understood(
    tmp_path: Path, registers: tuple[int, ...], shown: tuple[PilotState, bool, int, int, set[Fault]]
) -> None:
    """Pilot, status, relays and current."""

    async def scenario() -> None:
        async with running(BenderRig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            await driver.allow(1, Permit(16.0, 3))
            r.board.settle = lambda: None
            r.board.held.update(zip((122, 104, 140, 706), registers, strict=True))

            seen = await driver.snapshot(1)

            assert (seen.pilot, seen.contactor_closed, seen.limit_a, seen.phases, seen.faults) == shown
            await driver.close()

    virtualloop.hurry(scenario())


def test_a_current_that_is_signalled_no_more_is_not_shown(tmp_path: Path) -> None:
    """While the limit pauses, register 706 may still hold what was signalled before."""

    async def scenario() -> None:
        async with running(BenderRig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            r.board.settle = lambda: None
            for limit_a, shown in ((0, 0), (16, 13)):
                r.board.held.update({122: 2, 1000: limit_a, 706: 13})
                assert (await driver.snapshot(1)).limit_a == shown
            await driver.close()

    virtualloop.hurry(scenario())


def test_whether_current_flows_is_known_by_its_meter(tmp_path: Path) -> None:
    """0xFFFFFFFF is no value: some controllers show it for a moment."""

    async def scenario() -> None:
        async with running(BenderRig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            assert (await driver.snapshot(1)).flowing is False
            await r.vehicle(1, connected=True)
            await driver.allow(1, Permit(16.0, 3))
            flows = []
            for milliamps in (16_000, 120, 0xFFFFFFFF):
                r.board.milliamps = milliamps
                r.board.settle()
                flows.append((await driver.snapshot(1)).flowing)
            assert flows == [True, False, None]
            await driver.close()

    virtualloop.hurry(scenario())


def test_older_firmware_tells_neither_relays_nor_model(tmp_path: Path) -> None:
    """Then the contactor is taken for closed when the vehicle is ready and a current is signalled."""

    async def scenario() -> None:
        async with running(BenderRig, tmp_path) as r:
            await r.stop()
            r.board = BenderStation(tells_relays=False)
            await r.start()
            driver = r.build()
            await driver.open()
            assert await driver.identify() == Identity("Bender", "CC612/CC613", "", "5.33")
            await r.vehicle(1, connected=True)
            assert not (await driver.snapshot(1)).contactor_closed
            await driver.allow(1, Permit(16.0, 3))
            assert (await driver.snapshot(1)).contactor_closed
            await driver.close()

    virtualloop.hurry(scenario())


def test_error_codes_are_told_to_people_when_they_change(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What they mean stands in the documentation of the controller."""

    async def scenario() -> None:
        async with running(BenderRig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            r.board.do_error(0x00040001)
            for _ in range(3):
                assert (await driver.snapshot(1)).faults == {Fault.INTERNAL}
            await driver.close()

    virtualloop.hurry(scenario())

    told = [record.__dict__["codes"] for record in caplog.records if record.message == "board.error_codes"]
    assert told[-1] == "00040001 00000000 00000000 00000000"
    assert len(told) <= 2


def test_a_state_that_is_none_is_a_bad_reply(tmp_path: Path) -> None:
    """Another register address set is chosen in its web interface."""

    async def scenario() -> None:
        async with running(BenderRig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            r.board.settle = lambda: None
            r.board.held[122] = 0
            with pytest.raises(BadReply, match="register 122 holds 0"):
                await driver.snapshot(1)
            await driver.close()

    virtualloop.hurry(scenario())


def test_phases_are_switched_by_the_power_limit_and_shown_before_the_relays_close(tmp_path: Path) -> None:
    """3725 W is less than three phases at 6 A take; the limit in ampere follows. Two phases are taken for one."""

    async def scenario() -> None:
        async with running(BenderRig, tmp_path) as r:
            await r.stop()
            r.board = BenderStation(switches_phases=True)
            await r.start()
            driver = r.build(phase_switching=True)
            assert driver.info(1).phase_switching
            await driver.open()
            assert (await driver.snapshot(1)).phases == 3
            r.board.do_plug_in()
            shown = []
            for phases in (1, 3, 2):
                r.board.requests.clear()
                await driver.allow(1, Permit(20.0, phases))
                asked = [frame[7:].hex(" ") for frame in r.board.requests]
                watts = "ff ff" if phases == 3 else "0e 8d"
                assert asked == [f"10 03 ea 00 01 02 {watts}", "10 03 e8 00 01 02 00 14"]
                before = (await driver.snapshot(1)).phases
                r.board.do_vehicle("C")
                seen = await driver.snapshot(1)
                shown.append((before, seen.phases, r.board.relays, seen.limit_a))
                await driver.deny(1)
                r.board.do_vehicle("B")
            assert shown == [(1, 1, 5, 16.0), (3, 3, 1, 20.0), (1, 1, 5, 16.0)]
            await driver.close()

    virtualloop.hurry(scenario())


def test_a_denial_between_the_two_limits_is_the_last_word(tmp_path: Path) -> None:
    """The power limit is out, the current is not: it never follows the denial."""

    async def scenario() -> None:
        async with running(BenderRig, tmp_path) as r:
            await r.stop()
            r.board = BenderStation(switches_phases=True)
            await r.start()
            driver = r.build(phase_switching=True)
            await driver.open()
            await r.vehicle(1, connected=True)
            r.board.do_delay(0.05, 1)
            r.board.requests.clear()
            allowing = asyncio.ensure_future(driver.allow(1, Permit(16.0, 3)))
            await until(lambda: r.board.requests)
            await driver.deny(1)
            with pytest.raises(DeviceError, match="overtaken"):
                await allowing
            assert not r.closed()
            assert r.board.held[1000] == 0
            await driver.close()

    virtualloop.hurry(scenario())


def test_a_controller_that_cannot_switch_phases_is_refused_where_it_shall(tmp_path: Path) -> None:
    """Where it is not asked to, nothing is read or written there."""

    async def scenario() -> None:
        async with running(BenderRig, tmp_path) as r:
            with pytest.raises(Refused, match="register 1002"):
                await r.build(phase_switching=True).open()
            driver = r.build()
            assert not driver.info(1).phase_switching
            r.board.requests.clear()
            await driver.open()
            await driver.allow(1, Permit(16.0, 1))
            assert not any(frame[8:10] == b"\x03\xea" for frame in r.board.requests)
            await driver.close()

    virtualloop.hurry(scenario())
