"""OpenEVSE over RAPI: its checks, its states, what it does when its host is lost, and its thermometers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hal import contract
from hal.api import BoardEvent, Fault, Identified, LockingBoard, LockState, Permit, PilotState
from hal.buses.rapi import RapiBus, framed, parsed
from hal.errors import BadReply, DeviceError, NotFound, Refused
from hal.registry import Registry
from tests import virtualloop
from tests.drivers.boards import OpenEvseRig, running, until
from tests.drivers.emulators import openevse_board

CHECKED = [  # the firmware's own examples (rapi_proc.h)
    ("GS", "$GS^30"),
    ("GC", "$GC^20"),
    ("GP", "$GP^33"),
    ("GV", "$GV^35"),
    ("F0 1", "$F0 1^43"),
    ("SK 0", "$SK 0^2C"),
    ("ST 0 0 0 0", "$ST 0 0 0 0^23"),
]


@pytest.mark.parametrize("words, line", CHECKED)
def test_the_check_of_a_line_is_the_firmwares(words: str, line: str) -> None:
    """XOR of all before the hat; a line that was damaged has no words."""
    assert framed(tuple(words.split())) == line.encode() + b"\r"
    assert parsed(b"noise" + line.encode()) == tuple(words.split())
    assert parsed(line.encode().replace(b"$", b"$x")) is None
    assert parsed(line.encode()[:-3]) is None


def test_a_host_that_is_lost_leaves_the_least_current_and_nothing_above_it_when_it_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The firmware cannot do less than 6 A by itself. Its acknowledgement would offer the full 32 A for a moment."""
    monkeypatch.setattr(openevse_board, "SECOND_S", 0.02)

    async def scenario() -> None:
        async with running(OpenEvseRig, tmp_path) as r:
            before = r.build()
            await before.open()
            await r.vehicle(1, connected=True)
            await before.allow(1, Permit(16.0, 1))
            await before.close()  # the agent is gone

            await until(lambda: r.board.capacity_a == 6)
            assert r.closed()

            after = r.build()
            await after.open()
            await after.allow(1, Permit(16.0, 1))
            assert (await after.snapshot(1)).limit_a == 16
            assert (r.board.most_offered_a, r.board.missed) == (16, 0)
            assert not any(command.startswith("$SY 165") for command in r.board.commands)
            await after.close()

    virtualloop.hurry(scenario())


def test_a_pulse_goes_with_each_renewal_and_the_eeprom_is_spared(tmp_path: Path) -> None:
    """An EEPROM bears 100,000 writes: the supervision is written once, the limit never."""

    async def scenario() -> None:
        async with running(OpenEvseRig, tmp_path) as r:
            driver = r.build()
            for _ in range(3):
                await driver.open()
                for _ in range(4):
                    await driver.allow(1, Permit(16.0, 1))
                await driver.close()

            assert sum(command.startswith("$SY :") for command in r.board.commands) == 12
            assert r.board.watch == (10, 6)
            assert r.board.eeprom_writes == 1

    virtualloop.hurry(scenario())


def words(commands: list[str]) -> list[str]:
    """Without ids and checks."""
    return [command.partition(" :")[0] for command in commands]


def test_a_permission_that_stands_is_renewed_by_a_pulse_alone(tmp_path: Path) -> None:
    """One that was missed, or another current that is offered, has all of it said again."""

    async def scenario() -> None:
        async with running(OpenEvseRig, tmp_path) as r:
            driver = r.build(lock=False)
            await driver.open()
            await r.vehicle(1, connected=True)
            await driver.allow(1, Permit(16.0, 1))
            said = []
            for missed, capacity_a in ((0, 16), (2, 16), (0, 6)):
                r.board.missed, r.board.capacity_a = missed, capacity_a
                await driver.snapshot(1)
                r.board.commands.clear()
                await driver.allow(1, Permit(16.0, 1))
                said.append(words(r.board.commands))
                assert (r.board.capacity_a, r.board.missed) == (16, 0)
            assert said == [["$SY"], ["$SY", "$SY 10 6", "$SY", "$SC 16 V", "$FE"], ["$SY", "$SC 16 V", "$FE"]]
            await driver.close()

    virtualloop.hurry(scenario())


def test_the_current_offered_is_asked_when_it_may_have_changed_and_every_fifth_look(tmp_path: Path) -> None:
    """Whoever wants a snapshot has all of it read."""

    async def scenario() -> None:
        async with running(OpenEvseRig, tmp_path) as r:
            driver = r.build(lock=False, poll_s=0.1)
            await driver.open()
            await r.vehicle(1, connected=True)
            await driver.allow(1, Permit(16.0, 1))
            events = driver.events()
            await anext(events)
            r.board.commands.clear()
            r.board.capacity_a = 9  # by heat, say
            seen = await anext(events)
            assert seen.limit_a == 9
            assert words(r.board.commands) == ["$GS", "$GG"] * 4 + ["$GS", "$GC", "$GG"]

            r.board.capacity_a = 8
            assert (await driver.snapshot(1)).limit_a == 8
            await driver.allow(1, Permit(10.0, 1))
            assert (await anext(events)).limit_a == 10
            await driver.close()

    virtualloop.hurry(scenario())


def test_firmware_that_does_not_watch_its_host_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """HEARTBEAT_SUPERVISION is an option of the firmware."""

    async def scenario() -> None:
        async with running(OpenEvseRig, tmp_path) as r:
            r.board.supervises = False
            driver = r.build()
            await driver.open()
            await driver.allow(1, Permit(16.0, 1))
            await driver.allow(1, Permit(16.0, 1))
            await driver.close()

    with caplog.at_level(logging.WARNING):
        virtualloop.hurry(scenario())

    assert [record.message for record in caplog.records].count("board.does_not_watch_its_host") == 1


def test_a_board_that_restarts_is_lost_and_asleep_when_it_is_found_again(tmp_path: Path) -> None:
    """After power-up it would charge whoever is plugged in, with all it may."""

    async def scenario() -> None:
        async with running(OpenEvseRig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            await r.vehicle(1, connected=True)
            events = driver.events()
            await anext(events)
            r.board.vehicle = "B"
            r.board.do_restart()
            with pytest.raises(NotFound, match="restarted"):
                await end_of(events)

            await driver.close()
            await driver.open()
            assert r.board.asleep
            await driver.close()

    virtualloop.hurry(scenario())


def test_a_board_that_restarts_while_it_is_opened_is_opened_again(tmp_path: Path) -> None:
    """Opening the port pulls its reset line where DTR is wired: what it was told before that is gone."""

    async def scenario() -> None:
        async with running(OpenEvseRig, tmp_path) as r:
            taken = r.board.received

            def received(data: bytes) -> None:
                if b"$SY" in data:
                    r.board.received = r.board.line._on_data = taken
                    r.board.do_restart()
                taken(data)

            r.board.received = r.board.line._on_data = received
            driver = r.build()
            with pytest.raises(NotFound, match="restarted meanwhile"):
                await driver.open()
            await driver.open()
            assert r.board.asleep
            await driver.close()

    virtualloop.hurry(scenario())


def test_the_locks_of_the_firmware_are_opened_only_when_nothing_can_charge_by_that(tmp_path: Path) -> None:
    """A vehicle waits at a board that is locked after power-up and until somebody is authorised."""

    async def scenario() -> None:
        async with running(OpenEvseRig, tmp_path) as r:
            r.board.auth_locked = r.board.boot_locked = True
            await r.vehicle(1, connected=True)
            driver = r.build()
            await driver.open()
            assert r.board.asleep
            assert not r.closed()
            order = [command.split()[0] for command in r.board.commands]
            assert order.index("$FS") < min(order.index("$SB"), order.index("$S4"))

            await driver.allow(1, Permit(16.0, 1))
            await until(r.closed)
            await driver.close()

    virtualloop.hurry(scenario())


def test_what_the_board_is_configured_for_is_not_exceeded_and_its_least_is_not_imposed(tmp_path: Path) -> None:
    """It offers less than permitted where it was told so, but never more."""

    async def scenario() -> None:
        async with running(OpenEvseRig, tmp_path) as r:
            r.board.configured_a = 10
            await r.vehicle(1, connected=True)
            driver = r.build(min_a=4)
            await driver.open()
            await driver.allow(1, Permit(16.0, 1))
            assert (await driver.snapshot(1)).limit_a == 10
            await driver.deny(1)

            with pytest.raises(Refused, match="offers 6 A at least, permitted are 4"):
                await driver.allow(1, Permit(4.0, 1))
            assert r.board.asleep
            await driver.close()

    virtualloop.hurry(scenario())


STATES = [  # vehicle, fault of the firmware -> pilot, contactor, fault
    ("A", "", PilotState.A, None),
    ("B", "", PilotState.B, None),
    ("C", "", PilotState.C, None),
    ("D", "", PilotState.D, None),
    ("C", "diode", PilotState.E, Fault.DIODE),
    ("C", "gfci", PilotState.B, Fault.RCD),
    ("A", "ground", PilotState.A, Fault.GROUND_FAULT),
    ("B", "stuck", PilotState.B, Fault.CONTACTOR_WELDED),
    ("B", "gfi_test", PilotState.B, Fault.INTERNAL),
    ("B", "hot", PilotState.B, Fault.OVER_TEMPERATURE),
    ("B", "current", PilotState.B, Fault.OVER_CURRENT),
    ("B", "closure", PilotState.B, Fault.CONTACTOR_OPEN),
]


@pytest.mark.parametrize("vehicle, trouble, pilot, fault", STATES)
def test_each_state_of_the_firmware_is_understood(
    tmp_path: Path, vehicle: str, trouble: str, pilot: PilotState, fault: Fault | None
) -> None:
    """`$GS`; a stuck relay is a contactor that is closed."""

    async def scenario() -> None:
        async with running(OpenEvseRig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            await driver.allow(1, Permit(16.0, 1))
            r.board.do_vehicle(vehicle)
            r.board.do_fault(trouble)

            seen = await driver.snapshot(1)

            assert (seen.pilot, seen.faults) == (pilot, {fault} - {None})
            assert seen.contactor_closed is (r.board.relay or trouble == "stuck")
            await driver.close()

    virtualloop.hurry(scenario())


def test_whether_current_flows_is_known_by_the_ammeter_alone(tmp_path: Path) -> None:
    """A vehicle that has had enough draws nothing; a board without an ammeter says -1."""

    async def scenario() -> None:
        async with running(OpenEvseRig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            assert (await driver.snapshot(1)).flowing is False
            await r.vehicle(1, connected=True)
            await driver.allow(1, Permit(16.0, 1))
            await until(r.closed)
            flows = []
            for milliamps in (16_000, 120, -1):
                r.board.milliamps = milliamps
                flows.append((await driver.snapshot(1)).flowing)
            assert flows == [True, False, None]
            await driver.close()

    virtualloop.hurry(scenario())


def test_the_lock_moves_and_stays_closed_under_current(tmp_path: Path) -> None:
    """The board is in its manual mode: it would lock and unlock by itself else."""

    async def scenario() -> None:
        async with running(OpenEvseRig, tmp_path) as r:
            assert isinstance(r.build(), LockingBoard)
            driver = r.build()
            await driver.open()
            await r.vehicle(1, connected=True)
            await driver.lock(1, locked=True)
            await driver.allow(1, Permit(16.0, 1))
            await until(r.closed)
            with pytest.raises(Refused, match="contactor is closed"):
                await driver.lock(1, locked=False)
            assert r.board.locked
            await driver.close()

            plain = r.build(lock=False)
            await plain.open()
            assert (await plain.snapshot(1)).lock is LockState.ABSENT
            with pytest.raises(Refused, match="has no lock"):
                await plain.lock(1, locked=True)
            await plain.close()

    virtualloop.hurry(scenario())


def test_firmware_without_sequence_ids_is_refused(tmp_path: Path) -> None:
    """Without them a late answer could be taken for another's."""

    async def scenario() -> None:
        async with running(OpenEvseRig, tmp_path) as r:
            r.board.old = True
            with pytest.raises(NotFound, match=r"no answer to \$GV"):
                await r.build().open()

    virtualloop.hurry(scenario())


def test_askers_have_their_turns_and_an_unplugged_port_tells_each(tmp_path: Path) -> None:
    """The board and its thermometers share one wire."""

    async def scenario() -> None:
        async with running(OpenEvseRig, tmp_path) as r:
            bus: RapiBus = r.bus
            answers = await asyncio.gather(*(bus.ask(word) for word in ("GC", "GP", "GV", "GC")))
            assert [answer.words[0] for answer in answers] == ["6", "251", "8.2.1", "6"]

            r.board.do_delay(0.3)
            waiting = [asyncio.ensure_future(bus.ask("GC")) for _ in range(2)]
            await asyncio.sleep(0.02)
            r.board.do_unplug()
            results = await asyncio.gather(*waiting, return_exceptions=True)
            assert all(isinstance(result, NotFound) for result in results)

    virtualloop.hurry(scenario())


def test_what_is_only_asked_goes_in_one_piece_and_what_changes_something_alone(tmp_path: Path) -> None:
    """In the order in which it was asked; three questions at once, no more than the controller keeps."""

    async def scenario() -> None:
        async with running(OpenEvseRig, tmp_path) as r:
            pieces: list[list[str]] = []
            received = r.board.received

            def note(data: bytes) -> None:
                pieces.append([line[1:3].decode() for line in data.split(b"\r") if line])
                received(data)

            r.board.line._on_data = note
            await asyncio.gather(*(r.bus.ask(*words.split()) for words in ("GC", "GP", "FS", "GV", "GC", "GS", "GG")))
            assert pieces == [["GC", "GP"], ["FS"], ["GV", "GC", "GS"], ["GG"]]

            pieces.clear()
            r.board.do_drop(1)
            answers = await r.bus.ask_all(("GC",), ("GP",))
            assert pieces == [["GC", "GP"], ["GC"]]
            assert [answer.words[0] for answer in answers] == ["6", "251"]

            pieces.clear()
            r.board.do_drop(3)
            await r.bus.ask_all(("GC",), ("GP",), ("GS",))
            assert pieces == [["GC", "GP", "GS"]] * 2

    virtualloop.hurry(scenario())


def test_answers_that_come_in_steps_are_looked_for_once(tmp_path: Path) -> None:
    """A UART tells every eight bytes; whoever asked for three things is woken for one."""

    async def scenario() -> None:
        async with running(OpenEvseRig, tmp_path) as r:
            await r.bus.ask("GV")
            r.board.do_pace(115200)
            looks: list[bytes] = []
            read = r.bus._port.read

            def noted() -> bytes:
                looks.append(read())
                return looks[-1]

            r.bus._port.read = noted
            await r.bus.ask_all(("GS",), ("GC",), ("GG",))
            assert len(looks) == 1
            assert looks[0].count(b"$OK") == 3

    virtualloop.hurry(scenario())


def test_an_answer_that_is_damaged_three_times_is_a_bad_reply(tmp_path: Path) -> None:
    """Told apart from silence: somebody should look at the wire."""

    async def scenario() -> None:
        async with running(OpenEvseRig, tmp_path) as r:
            assert isinstance(r.build(), Identified)
            await r.bus.ask("GV")
            r.board.do_corrupt(3)
            with pytest.raises(BadReply, match="damaged"):
                await r.bus.ask("GV")

    virtualloop.hurry(scenario())


async def end_of(events: AsyncIterator[BoardEvent]) -> None:
    """All there are."""
    async for _ in events:
        pass


class ThermometerRig(OpenEvseRig):
    """The clock's thermometer of an OpenEVSE."""

    kind, driver = "sensor", "openevse"
    options = {"bus": "bus", "thermometer": "ds3231"}  # noqa: RUF012 - never changed


@pytest.mark.parametrize("check", [pytest.param(c, id=c.promise) for c in contract.checks("sensor")])
def test_the_thermometer_keeps_the_contract(tmp_path: Path, check: contract.Check) -> None:
    """Nothing is skipped."""

    async def scenario() -> contract.Result:
        async with running(ThermometerRig, tmp_path) as harness:
            return await contract.run_one(check, harness)

    assert virtualloop.hurry(scenario()) == (check.promise, "passed", "")


def test_each_thermometer_is_its_own_and_one_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    """Tenths of a degree; -2560 is the firmware's word for none."""

    async def scenario() -> None:
        async with running(ThermometerRig, tmp_path) as r:
            read = {}
            for chip in ("ds3231", "mcp9808", "tmp007"):
                sensor = r.build(thermometer=chip)
                try:
                    await sensor.open()
                    read[chip] = (await sensor.read()).value
                except DeviceError as error:
                    read[chip] = type(error)
            assert read == {"ds3231": 25.1, "mcp9808": NotFound, "tmp007": 32.0}

    virtualloop.hurry(scenario())


def test_both_drivers_are_found_by_their_name() -> None:
    """`openevse` is a board and a sensor."""
    assert {entry.kind for entry in Registry().all() if entry.name == "openevse"} == {"board", "sensor"}


def test_a_current_that_is_no_number_is_a_bad_reply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As any other answer that cannot be read: told as what it is, and asked again."""

    async def scenario() -> None:
        async with running(OpenEvseRig, tmp_path) as r:
            driver = r.build()
            await driver.open()
            await r.vehicle(1, connected=True)
            await driver.allow(1, Permit(16.0, 1))
            with monkeypatch.context() as patch:
                patch.setattr(r.board, "_gg", lambda _: (True, "nan 230000"), raising=True)
                with pytest.raises(BadReply, match="does not hold 1 numbers"):
                    await driver.snapshot(1)
            assert (await driver.snapshot(1)).contactor_closed
            await driver.close()

    virtualloop.hurry(scenario())
