"""CHARX SEC: the bytes on its connection, its charging points, its errors, and its watchdog."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hal.api import Fault, Identity, LockState, Permit, PilotState
from hal.errors import BadOptions, BadReply, NotFound, Refused
from tests import virtualloop
from tests.drivers.boards import CharxRig, running, until
from tests.drivers.emulators import charx_station


def test_the_bytes_are_those_of_the_register_table(tmp_path: Path) -> None:
    """Point 2 begins at 2000: watchdog first (07D0 + 132), then release and current in one write (07D0 + 12C)."""

    async def scenario() -> None:
        async with running(CharxRig, tmp_path) as r:
            driver = r.build(channels=[2])
            await driver.open()
            r.board.requests.clear()
            await driver.snapshot(2)
            await driver.allow(2, Permit(13.0, 3))
            await driver.deny(2)

            asked = [frame[6:].hex(" ") for frame in r.board.requests]
            assert asked == [
                "01 03 08 be 00 42",
                "01 10 09 02 00 02 04 00 00 00 0a",
                "01 10 08 fc 00 02 04 00 01 00 0d",
                "01 10 08 fc 00 01 02 00 00",
            ]
            await driver.close()

    virtualloop.hurry(scenario())


def test_a_host_that_is_lost_leaves_nothing_energised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watchdog of the board is armed with 0 A: no driver, no agent is needed for that."""
    monkeypatch.setattr(charx_station, "SECOND_S", 0.03)

    async def scenario() -> None:
        async with running(CharxRig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            await r.vehicle(1, connected=True)
            await driver.allow(1, Permit(16.0, 3))
            assert r.closed()
            await driver.close()  # the agent is gone

            await until(lambda: not r.closed())

            assert r.board.do_state(1)["release"] == 0

    virtualloop.hurry(scenario())


def test_renewals_keep_the_watchdog_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the core lives the vehicle charges."""
    monkeypatch.setattr(charx_station, "SECOND_S", 0.04)

    async def scenario() -> None:
        async with running(CharxRig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            await r.vehicle(1, connected=True)
            for _ in range(8):
                await driver.allow(1, Permit(16.0, 3))
                assert r.closed()
                await asyncio.sleep(0.16)
            await driver.close()

    virtualloop.hurry(scenario())


def test_a_board_that_does_not_take_the_watchdog_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Firmware that knows no 0 A keeps what it had: the installer must know."""

    async def scenario() -> None:
        async with running(CharxRig, tmp_path) as r:
            taken = r.board.written

            def written(unit: int, address: int, values: tuple[int, ...]) -> None:
                if address % 1000 == 306:
                    r.board.held[address] = 6
                taken(unit, address, values)

            r.board.written = written
            driver = r.build()
            await driver.open()
            await driver.close()

    virtualloop.hurry(scenario())

    (record,) = [record for record in caplog.records if record.message == "board.does_not_watch_its_host"]
    assert (record.__dict__["current_a"], record.__dict__["after_s"]) == (6, 10)


STATES = [  # letters, errors (bits as the manual counts, from 1) -> pilot, contactor, faults
    ("A1", [], PilotState.A, False, set()),
    ("A2", [], PilotState.A, False, set()),
    ("B1", [], PilotState.B, False, set()),
    ("B2", [], PilotState.B, False, set()),
    ("C1", [], PilotState.C, False, set()),
    ("C2", [], PilotState.C, True, set()),
    ("C\0", [], PilotState.C, False, set()),
    ("D1", [27], PilotState.D, False, set()),
    ("D2", [], PilotState.D, True, set()),
    ("E0", [20], PilotState.E, False, {Fault.PILOT_LOST}),
    ("F0", [], PilotState.F, False, set()),
    ("IN", [], PilotState.F, False, set()),
    ("B1", [1], PilotState.B, False, {Fault.OVER_TEMPERATURE}),
    ("C2", [2, 5, 26], PilotState.C, True, set()),
    ("B1", [4], PilotState.B, False, {Fault.INTERNAL}),
    ("B1", [17], PilotState.B, False, {Fault.PROXIMITY}),
    ("B1", [19], PilotState.B, False, {Fault.PROXIMITY}),
    ("B2", [22], PilotState.B, False, {Fault.LOCK_JAMMED}),
    ("B2", [23], PilotState.B, False, {Fault.LOCK_JAMMED}),
    ("C1", [25], PilotState.C, False, {Fault.OVER_CURRENT}),
    ("A1", [28], PilotState.A, True, {Fault.CONTACTOR_WELDED}),
    ("B1", [29], PilotState.B, False, {Fault.DIODE}),
    ("C1", [31], PilotState.C, False, {Fault.RCD}),
    ("C1", [32, 31], PilotState.C, False, {Fault.INTERNAL, Fault.RCD}),
]


@pytest.mark.parametrize("row", STATES, ids=lambda row: f"{row[0]} {row[1]}")
def test_each_state_and_error_is_understood(
    tmp_path: Path, row: tuple[str, list[int], PilotState, bool, set[Fault]]
) -> None:
    """Registers x293 and x299."""
    shown, bits, pilot, closed, faults = row
    errors = sum(1 << bit - 1 for bit in bits)

    async def scenario() -> None:
        async with running(CharxRig, tmp_path) as r:
            driver = r.build(lock=False, channels=[1])
            await driver.open()
            r.board.points[1].set(299, int.from_bytes(shown.encode(), "big"))
            r.board.points[1].set(293, errors >> 16)
            r.board.points[1].set(294, errors & 0xFFFF)
            r.board.points[1].set(297, 16)

            seen = await driver.snapshot(1)

            assert (seen.pilot, seen.contactor_closed, seen.faults) == (pilot, closed, faults)
            assert seen.limit_a == (16 if shown in {"B2", "C2", "D2"} else 0)  # to nobody, or without PWM: none
            await driver.close()

    virtualloop.hurry(scenario())


def test_points_are_told_apart(tmp_path: Path) -> None:
    """Two vehicles, two limits; one that is denied leaves the other charging."""

    async def scenario() -> None:
        async with running(CharxRig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            for channel, limit in ((1, 10.0), (2, 25.0)):
                r.board.do_plug_in(channel)
                r.board.do_vehicle("C", channel)
                await driver.allow(channel, Permit(limit, 3))
            assert [(await driver.snapshot(channel)).limit_a for channel in (1, 2)] == [10.0, 25.0]
            await driver.deny(1)
            assert [(await driver.snapshot(channel)).contactor_closed for channel in (1, 2)] == [False, True]
            await driver.close()

    virtualloop.hurry(scenario())


def test_a_point_that_is_missing_or_obeys_another_is_named(tmp_path: Path) -> None:
    """What an installer must set in the web interface."""

    async def scenario() -> None:
        async with running(CharxRig, tmp_path) as r:
            with pytest.raises(NotFound, match="has 2 charging points, none is number 3"):
                await r.build(channels=[3]).open()
            r.board.points[2].set(120, 4)
            with pytest.raises(Refused, match="charging point 2 is released by OCPP: set it to Modbus"):
                await r.build().open()
            r.board.points[2].set(120, 77)
            with pytest.raises(Refused, match="released by 77"):
                await r.build().open()
            with pytest.raises(BadOptions, match="name each channel once"):
                r.build(channels=[1, 1])

    virtualloop.hurry(scenario())


def test_whether_current_flows_is_known_by_its_meter(tmp_path: Path) -> None:
    """-1 is a phase that the meter does not know; without a meter nothing is said."""

    async def scenario() -> None:
        async with running(CharxRig, tmp_path) as r:
            driver = r.build(channels=[1])
            await driver.open()
            await r.vehicle(1, connected=True)
            await driver.allow(1, Permit(16.0, 3))
            flows = []
            for milliamps in (16_000, 120, -1):
                r.board.points[1].milliamps = milliamps
                r.board.points[1].settle()
                flows.append((await driver.snapshot(1)).flowing)
            assert flows == [True, False, None]
            await driver.close()

            r.board.points[1].set(112, 0)
            await driver.open()
            assert (await driver.snapshot(1)).flowing is None
            await driver.close()

    virtualloop.hurry(scenario())


def test_the_lock_is_the_stations_where_it_was_configured_so(tmp_path: Path) -> None:
    """A tethered cable has none; it stays closed under current; a jam is refused."""

    async def scenario() -> None:
        async with running(CharxRig, tmp_path) as r:
            r.board.points[2].set(100, 1)
            driver = r.build()
            await driver.open()
            assert (await driver.snapshot(2)).lock is LockState.ABSENT
            with pytest.raises(Refused, match="no lock that the station moves"):
                await driver.lock(2, locked=True)
            await r.vehicle(1, connected=True)
            await driver.lock(1, locked=True)
            await driver.allow(1, Permit(16.0, 3))
            with pytest.raises(Refused, match="contactor is closed"):
                await driver.lock(1, locked=False)
            await driver.deny(1)
            r.board.do_error("unlocking")
            with pytest.raises(Refused, match="jammed"):
                await driver.lock(1, locked=False)
            await driver.close()

    virtualloop.hurry(scenario())


def test_it_tells_its_make_and_what_is_no_state_is_a_bad_reply(tmp_path: Path) -> None:
    """Designation and software; another device behind the address."""

    async def scenario() -> None:
        async with running(CharxRig, tmp_path) as r:
            driver = r.build(channels=[1])
            await driver.open()
            assert await driver.identify() == Identity("Phoenix Contact", "CHARX SEC-3100", "", "1.7.3")
            r.board.points[1].set(299, 0x1234)
            with pytest.raises(BadReply, match="0x1234, which is no state"):
                await driver.snapshot(1)
            await driver.close()

    virtualloop.hurry(scenario())


def test_one_point_that_is_silent_is_its_own_fault_and_not_the_boards(tmp_path: Path) -> None:
    """A controller behind the group is gone: the gateway refuses its registers, the other point goes on."""

    async def scenario() -> None:
        async with running(CharxRig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            events = driver.events()
            first = {(await anext(events)).channel for _ in range(2)}
            assert first == {1, 2}
            for register in range(2232, 2309):
                del r.board.held[register]
            told = await anext(events)
            assert (told.channel, told.faults) == (2, {Fault.INTERNAL})

            await r.vehicle(1, connected=True)
            assert (await anext(events)).channel == 1
            await driver.close()

    virtualloop.hurry(scenario())
