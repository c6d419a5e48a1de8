"""The CAN board driver over an slcan adapter: leases, two channels, silence, damage, unplugging."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from hal.api import Board, BoardEvent, BoardSnapshot, Fault, Identified, LockingBoard, LockState, Permit, PilotState
from hal.buses.can import CanBus
from hal.buses.can_ascii import Frame
from hal.context import DriverContext
from hal.drivers.can_board import CanBoard
from hal.drivers.can_map import Channel, crc8, load_map
from hal.errors import BadOptions, DeviceError, NotFound, Refused, Timeout
from tests.drivers.boards import until
from tests.drivers.emulators.slcan_board import SlcanBoard


class Rig(NamedTuple):
    """A board with two channels; `seen` is every event, `ended` how the stream ended."""

    board: SlcanBoard
    driver: CanBoard
    bus: CanBus
    seen: list[BoardSnapshot]
    ended: list[DeviceError]

    async def until(self, channel: int, pilot: str) -> BoardSnapshot:
        """The first event not looked at yet that shows this pilot."""
        for _ in range(2000):
            for index, event in enumerate(self.seen):
                if event.channel == channel and event.pilot.value == pilot:
                    del self.seen[: index + 1]
                    return event
            await asyncio.sleep(0.005)
        raise AssertionError(f"channel {channel} never showed {pilot}: {self.seen}")


class Clock:
    """Monotonic time that a test can push forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return time.monotonic() + self.ahead


@asynccontextmanager
async def rig(path: Path, clock: Clock | None = None, **options: object) -> AsyncIterator[Rig]:
    """The board opened, its events collected."""
    clock = clock or Clock()
    board = SlcanBoard(path / "can")
    board.start()
    bus = CanBus("can0", {"interface": "slcan", "channel": str(path / "can"), "bitrate": 250_000}, clock)
    given = {"bus": "can0", "channels": [1, 2], "reply_s": 0.05, **options}
    driver = CanBoard("left", given, DriverContext(clock, {"can0": bus}))
    r = Rig(board, driver, bus, [], [])

    async def collect() -> None:
        try:
            async for event in driver.events():
                assert isinstance(event, BoardSnapshot)
                r.seen.append(event)
        except DeviceError as error:
            r.ended.append(error)

    await driver.open()
    task = asyncio.create_task(collect())
    await asyncio.sleep(0)
    try:
        yield r
    finally:
        await driver.close()
        task.cancel()
        await asyncio.wait({task})
        board.stop()


def test_a_vehicle_charges_under_a_lease_and_unplugs(tmp_path: Path) -> None:
    """Plug-in, permission, contactor, another limit, unplug: each change is one event of its channel."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            assert isinstance(r.driver, Board)
            assert isinstance(r.driver, LockingBoard)
            r.board.do_plug_in(1, cable_a=20)
            plugged = await r.until(1, "B")
            assert (plugged.cable_rating_a, plugged.contactor_closed, plugged.limit_a) == (20, False, 0)

            await r.driver.allow(1, Permit(16.3, 3))
            assert not r.board.do_state(1)["closed"]
            r.board.do_vehicle(1, "C")
            charging = await r.until(1, "C")
            assert (charging.contactor_closed, charging.limit_a, charging.flowing) == (True, 16.3, True)

            await r.driver.allow(1, Permit(6.0, 1))
            assert r.board.do_state(1) | {"commands": 0} == {
                "pilot": "C", "closed": True, "limit_a": 6.0, "phases": 1, "lock": 1, "commands": 0
            }  # fmt: skip
            r.board.do_plug_out(1)
            assert not (await r.until(1, "A")).contactor_closed
            assert all(event.channel == 1 for event in r.seen)

    asyncio.run(scenario())


def test_an_extended_identifier_of_the_same_number_is_no_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What somebody else on the bus says is no vehicle."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            reply = r.board.reply
            with monkeypatch.context() as patch:
                patch.setattr(r.board, "reply", lambda data: reply(b"T00000" + data[1:]))
                r.board.do_plug_in(1)
                await asyncio.sleep(0.05)
                assert not (await r.driver.snapshot(1)).pilot.plugged
            r.board.do_vehicle(1, "C")
            await r.until(1, "C")

    asyncio.run(scenario())


def test_the_lease_ends_by_itself_and_is_cut_to_what_a_board_may_hold(tmp_path: Path) -> None:
    """An agent that hangs leaves nothing energised."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            r.board.do_plug_in(1)
            r.board.do_vehicle(1, "C")
            await r.driver.allow(1, Permit(16, 3, lease_s=0.2))
            assert (await r.driver.snapshot(1)).contactor_closed
            await asyncio.sleep(0.3)
            lapsed = await r.driver.snapshot(1)
            assert (lapsed.contactor_closed, lapsed.limit_a) == (False, 0)

            await r.driver.allow(1, Permit(16, 3, lease_s=3600.0))
            assert int.from_bytes(r.board.channels[1].commands[-1], "little") >> 24 & 0xFF == 100

    asyncio.run(scenario())


def test_deny_opens_and_may_be_repeated(tmp_path: Path) -> None:
    """Idempotent, and accepted when it returns."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            r.board.do_plug_in(1)
            r.board.do_vehicle(1, "C")
            await r.driver.allow(1, Permit(16, 3))
            await r.driver.deny(1)
            await r.driver.deny(1)
            assert not r.board.do_state(1)["closed"]

    asyncio.run(scenario())


def test_channels_are_told_apart(tmp_path: Path) -> None:
    """One board, two vehicles: limits, contactors and events do not mix."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            for channel, limit in ((1, 10.0), (2, 25.0)):
                r.board.do_plug_in(channel)
                r.board.do_vehicle(channel, "C")
                await r.driver.allow(channel, Permit(limit, 3))
            first, second = await r.driver.snapshot(1), await r.driver.snapshot(2)
            assert (first.limit_a, second.limit_a) == (10.0, 25.0)
            await r.driver.deny(1)
            assert (r.board.do_state(1)["closed"], r.board.do_state(2)["closed"]) == (False, True)

    asyncio.run(scenario())


def test_what_a_board_refuses_is_refused_with_its_reason(tmp_path: Path) -> None:
    """A limit beyond the channel's is not even sent."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            r.board.do_fault(1, "ResidualCurrent")
            with pytest.raises(Refused, match="left channel 1: a fault is active"):
                await r.driver.allow(1, Permit(16, 3))
            assert (await r.driver.snapshot(1)).faults == {Fault.RCD}
            sent = len(r.board.channels[1].commands)
            for wrong in (Permit(40, 3), Permit(5.9, 3), Permit(16, 4)):
                with pytest.raises(Refused, match="is not 6 to 32 A"):
                    await r.driver.allow(1, wrong)
            assert len(r.board.channels[1].commands) == sent
            with pytest.raises(NotFound, match="no channel 3"):
                await r.driver.allow(3, Permit(16, 3))

    asyncio.run(scenario())


def test_a_fault_opens_the_contactor_on_the_board(tmp_path: Path) -> None:
    """The driver tells it; nobody has to command it."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            r.board.do_plug_in(1)
            r.board.do_vehicle(1, "C")
            await r.driver.allow(1, Permit(16, 3))
            r.board.do_fault(1, "EmergencyStop")
            await asyncio.sleep(0.02)
            stopped = await r.driver.snapshot(1)
            assert not stopped.contactor_closed
            assert stopped.faults == {Fault.EMERGENCY_STOP}

    asyncio.run(scenario())


def test_the_lock_moves_jams_and_stays_while_the_contactor_is_closed(tmp_path: Path) -> None:
    """A move ends when its feedback has come."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            r.board.do_lock(1, seconds=0.05)
            await r.driver.lock(1, locked=True)
            assert (await r.driver.snapshot(1)).lock is LockState.LOCKED

            r.board.do_plug_in(1)
            r.board.do_vehicle(1, "C")
            await r.driver.allow(1, Permit(16, 3))
            with pytest.raises(Refused, match="contactor is closed"):
                await r.driver.lock(1, locked=False)
            assert r.board.do_state(1)["closed"], "a lock command must not touch the permit"

            await r.driver.deny(1)
            r.board.do_lock(1, state=2, seconds=0.02, jam=True)
            with pytest.raises(Refused, match="jammed"):
                await r.driver.lock(1, locked=False)
            r.board.do_lock(1, state=3, seconds=0.02)
            await r.driver.lock(1, locked=False)
            assert (await r.driver.snapshot(1)).lock is LockState.UNLOCKED

    asyncio.run(scenario())


@pytest.mark.parametrize("fault", ["drop", "corrupt", "delay", "wrong_check"])
def test_a_faulty_line_costs_a_repetition_not_the_command(tmp_path: Path, fault: str) -> None:
    """Three sends; each with a counter of its own, so that an old answer does not count."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            r.board.do_plug_in(1)
            r.board.do_vehicle(1, "C")
            if fault == "delay":
                r.board.do_delay(0.08)
            elif fault == "wrong_check":
                r.board.do_wrong_check(1, 2)
            else:
                getattr(r.board, f"do_{fault}")()
            await r.driver.allow(1, Permit(16, 3))
            assert (await r.driver.snapshot(1)).limit_a == 16

    asyncio.run(scenario())


def test_a_channel_that_does_not_answer_is_a_timeout_for_it_alone(tmp_path: Path) -> None:
    """The other channel charges on."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            r.board.do_silence(1)
            with pytest.raises(Timeout, match="left channel 1"):
                await r.driver.allow(1, Permit(16, 3))
            await r.driver.allow(2, Permit(16, 3))

    asyncio.run(scenario())


def test_a_channel_that_falls_silent_is_told_once_and_its_return_too(tmp_path: Path) -> None:
    """Three periods without a report: an internal fault of that channel, a Timeout for who asks."""

    async def scenario() -> None:
        clock = Clock()
        async with rig(tmp_path, clock) as r:
            r.board.do_plug_in(1)
            await r.until(1, "B")
            r.board.do_silence(1)
            clock.ahead += 3.1
            r.board.do_plug_in(2)
            silent = await r.until(1, "B")
            assert silent.faults == {Fault.INTERNAL}
            with pytest.raises(Timeout, match="silent"):
                await r.driver.snapshot(1)
            r.board.do_silence(1, on=False)
            assert (await r.until(1, "B")).faults == frozenset()
            assert not r.ended

    asyncio.run(scenario())


def test_a_board_without_power_is_lost(tmp_path: Path) -> None:
    """All channels silent: the stream ends, and the board cannot be opened until it is back."""

    async def scenario() -> None:
        clock = Clock()
        async with rig(tmp_path, clock) as r:
            for channel in (1, 2):
                r.board.do_silence(channel)
            clock.ahead += 31
            r.driver._news.set()  # what the end of the waiting time does
            await asyncio.sleep(0.01)
            assert [type(error) for error in r.ended] == [Timeout]
            with pytest.raises(NotFound, match="no channel answers"):
                await r.driver.open()
            r.board.do_silence(2, on=False)
            await r.driver.open()
            first = [event async for event in _first(r.driver, 2)]
            assert first[0].faults == {Fault.INTERNAL}
            assert first[1].faults == frozenset()

    asyncio.run(scenario())


async def _first(driver: CanBoard, count: int) -> AsyncIterator[BoardSnapshot]:
    events: AsyncIterator[BoardEvent] = driver.events()
    for _ in range(count):
        event = await anext(events)
        assert isinstance(event, BoardSnapshot)
        yield event


def test_an_unplugged_adapter_ends_the_stream_once_and_everything_works_when_it_returns(tmp_path: Path) -> None:
    """python-can's Notifier would spin; here the loop stays idle."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            r.board.do_unplug()
            await asyncio.sleep(0.02)
            assert [type(error) for error in r.ended] == [NotFound]
            before = time.process_time()
            await asyncio.sleep(0.2)
            assert time.process_time() - before < 0.05
            with pytest.raises(NotFound):
                await r.driver.allow(1, Permit(16, 3))
            with pytest.raises(NotFound, match="cannot open"):
                await r.driver.open()

            r.board.do_plug()
            await r.driver.open()
            await r.driver.allow(1, Permit(16, 3))
            assert (await r.driver.snapshot(1)).limit_a == 16

    asyncio.run(scenario())


def test_a_command_in_flight_fails_when_the_adapter_is_pulled_out(tmp_path: Path) -> None:
    """At once, not after three timeouts."""

    async def scenario() -> None:
        async with rig(tmp_path, reply_s=5.0) as r:
            r.board.do_silence(1)
            asked = asyncio.ensure_future(r.driver.allow(1, Permit(16, 3)))
            await asyncio.sleep(0.02)
            r.board.do_unplug()
            with pytest.raises(NotFound):
                await asyncio.wait_for(asked, 1)

    asyncio.run(scenario())


def test_an_older_permission_is_not_repeated_after_a_newer_word(tmp_path: Path) -> None:
    """Allow goes unanswered, deny overtakes it: the allow must not come again behind it."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            r.board.do_drop(1)
            asked = asyncio.ensure_future(r.driver.allow(1, Permit(16, 3)))
            await asyncio.sleep(0.01)
            await r.driver.deny(1)
            with pytest.raises(Timeout, match="newer command"):
                await asked
            assert r.board.do_state(1)["limit_a"] == 0

    asyncio.run(scenario())


def test_other_traffic_and_frames_in_pieces_do_not_disturb(tmp_path: Path) -> None:
    """A busy bus at a slow adapter."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            r.board.do_pace(115_200, chunk=7)
            r.board.do_flood(20)
            r.board.do_plug_in(1)
            assert (await r.until(1, "B")).pilot is PilotState.B
            r.board.do_babble("74313030385f5f0d")
            await r.driver.allow(1, Permit(16, 3))

    asyncio.run(scenario())


def test_the_board_says_who_it_is(tmp_path: Path) -> None:
    """From its identity message, which it sends when asked at opening."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            assert isinstance(r.driver, Identified)
            identity = await r.driver.identify()
            assert (identity.model, identity.serial, identity.firmware) == ("reference-board", "4711", "2.7")

    asyncio.run(scenario())


def test_an_integrator_maps_the_signals_of_another_board(tmp_path: Path) -> None:
    """No lock, no acknowledgement, no check, signals in two messages, Motorola byte order."""
    (tmp_path / "acme.dbc").write_text(ACME_DBC)
    (tmp_path / "acme.yaml").write_text(ACME_MAP)

    async def scenario() -> None:
        bus = CanBus("can0", {"interface": "slcan", "channel": str(tmp_path / "can"), "bitrate": 500_000})
        options = {"bus": "can0", "template": str(tmp_path / "acme.yaml"), "channels": [1]}
        driver = CanBoard("acme", options, DriverContext(time.monotonic, {"can0": bus}))
        board = SlcanBoard(tmp_path / "can", channels=0)
        board.start()
        opening = asyncio.ensure_future(driver.open())
        await until(lambda: bus._users)
        board._transmit(0x310, bytes.fromhex("0300"))
        board._transmit(0x311, bytes.fromhex("0100a0"))
        await opening
        state = await driver.snapshot(1)
        assert (state.pilot, state.contactor_closed, state.limit_a) == (PilotState.C, True, 16.0)
        await driver.allow(1, Permit(10, 3))
        with pytest.raises(Refused, match="no lock"):
            await driver.lock(1, locked=True)
        await driver.close()
        board.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "change, place",
    [
        (("Pwm.Amps", "Pwm.Ampere"), ".status.limit_a"),
        (("message: Order", "message: Orders"), ".dbc"),
        (("limit_a: Amps", "limit_a: Ampere"), ".command"),
        (("1: ''", "2: ''"), ".channels"),
        (("C}", "G}"), ".status.pilot.values.3"),
        (("period_idle_s: 2", "period: 2"), ""),
    ],
)
def test_a_wrong_map_is_told_with_its_place(tmp_path: Path, change: tuple[str, str], place: str) -> None:
    """Before any frame is sent."""
    (tmp_path / "acme.dbc").write_text(ACME_DBC)
    (tmp_path / "acme.yaml").write_text(ACME_MAP.replace(*change))
    bus = CanBus("can0", {"interface": "slcan", "channel": "/dev/null", "bitrate": 500_000})
    with pytest.raises(BadOptions) as caught:
        CanBoard(
            "acme",
            {"bus": "can0", "template": str(tmp_path / "acme.yaml")},
            DriverContext(time.monotonic, {"can0": bus}),
        )
    assert caught.value.path == place


def test_the_check_is_the_published_one() -> None:
    """SAE J1850: the check of 123456789 is 4B; here over two zero bytes of identifier less."""
    assert crc8(0x3231, b"3456789") == 0x4B


def test_the_worked_example_of_the_protocol_is_right() -> None:
    """Whoever writes firmware checks it with this frame: docs/board-protocol.md."""
    board, dbc = load_map("test", "reference-board")
    frame = Channel("test", board, dbc, 1, 0).command(1, Permit(16.0, 3, 10.0))
    document = Path(__file__).parents[2] / "docs" / "board-protocol.md"

    assert frame == Frame(0x108, bytes.fromhex("0DA000640000101F"))
    assert frame.data.hex(" ").upper() in document.read_text()


ACME_DBC = """VERSION ""
BU_: Station Board
BO_ 784 Pilot: 2 Board
 SG_ State : 7|8@0+ (1,0) [0|0] "" Station
BO_ 785 Pwm: 3 Board
 SG_ Closed : 0|1@1+ (1,0) [0|1] "" Station
 SG_ Amps : 15|16@0+ (0.1,0) [0|0] "A" Station
BO_ 800 Order: 3 Station
 SG_ Go : 0|1@1+ (1,0) [0|1] "" Board
 SG_ Amps : 15|16@0+ (0.1,0) [0|0] "A" Board
"""
ACME_MAP = """
name: acme
dbc: acme.dbc
source: manual
channels: {1: ''}
period_idle_s: 2
status:
  pilot: {signal: Pilot.State, values: {1: A, 2: B, 3: C}}
  contactor_closed: Pwm.Closed
  limit_a: Pwm.Amps
command:
  message: Order
  permit: {signal: Go}
  limit_a: Amps
"""
