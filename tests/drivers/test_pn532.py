"""The PN532 driver against a chip that splits its frames, sleeps, dies and returns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.api import Token, TokenReader
from hal.context import DriverContext
from hal.drivers import pn532
from hal.drivers.pn532 import Pn532
from hal.drivers.pn532_frame import Answer, Parser, Signal, command, target
from hal.errors import BadOptions, BadReply, DeviceError, NotFound, Timeout
from tests.drivers.emulators.pn532_chip import Pn532Chip

ACK = bytes.fromhex("0000ff00ff00")


class Rig(NamedTuple):
    """A reader; `seen` is every token it gave, `ended` how its stream ended."""

    chip: Pn532Chip
    reader: Pn532
    seen: list[Token]
    ended: list[DeviceError]

    async def until(self, count: int) -> list[str]:
        """The UIDs when `count` tokens have come, or what there is after a second."""
        for _ in range(2000):
            if len(self.seen) >= count:
                break
            await asyncio.sleep(0.005)
        return [token.uid_hex for token in self.seen]


@asynccontextmanager
async def rig(path: Path, **options: object) -> AsyncIterator[Rig]:
    """An opened reader whose tokens are collected."""
    chip = Pn532Chip(path / "reader")
    chip.line.plug()
    given_options = {"port": str(path / "reader"), "debounce_s": 0.1, "check_s": 0.15, **options}
    reader = Pn532("front", given_options, DriverContext(time.monotonic, {}))
    r = Rig(chip, reader, [], [])

    async def collect() -> None:
        try:
            async for token in reader.tokens():
                r.seen.append(token)
        except DeviceError as error:
            r.ended.append(error)

    await reader.open()
    task = asyncio.create_task(collect())
    try:
        yield r
    finally:
        await reader.close()
        task.cancel()
        await asyncio.wait({task})
        chip.line.unplug()


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pn532, "_HELD_LOOK_S", 0.02)
    monkeypatch.setattr(pn532, "_FIRST_LOOK_S", 0.02)
    monkeypatch.setattr(pn532, "_ACK_S", 0.05)
    monkeypatch.setattr(pn532, "_ANSWER_S", 0.1)


@pytest.mark.parametrize("uid", ["04A1B2C3", "04A1B2C3D4E5F6", "04A1B2C3D4E5F60718AA"])
@pytest.mark.parametrize("split", [0, 1, 5])
def test_a_uid_comes_whole_in_upper_case_hex_byte_0_first(tmp_path: Path, uid: str, split: int) -> None:
    """4, 7 and 10 bytes, however the frames are cut."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            r.chip.do_split(split)
            await asyncio.sleep(0.05)
            r.chip.do_present(uid.lower())
            assert await r.until(1) == [uid]
            assert not r.seen[0].random_uid

    asyncio.run(scenario())


def test_a_card_that_stays_or_flickers_is_one_presentation(tmp_path: Path) -> None:
    """Held, lifted for a moment, put back: one token. Away for longer than the debounce time: another one."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            assert isinstance(r.reader, TokenReader)
            await asyncio.sleep(0.03)
            r.chip.do_present("04A1B2C3")
            await r.until(1)
            await asyncio.sleep(0.25)
            r.chip.do_remove()
            await asyncio.sleep(0.03)
            r.chip.do_present("04A1B2C3")
            await asyncio.sleep(0.1)
            assert len(r.seen) == 1

            r.chip.do_remove()
            await asyncio.sleep(0.25)
            r.chip.do_present("04A1B2C3")
            assert await r.until(2) == ["04A1B2C3", "04A1B2C3"]

    asyncio.run(scenario())


def test_another_card_counts_at_once(tmp_path: Path) -> None:
    """The debounce is for the same card only."""

    async def scenario() -> None:
        async with rig(tmp_path, debounce_s=60.0) as r:
            await asyncio.sleep(0.03)
            r.chip.do_present("04A1B2C3")
            await r.until(1)
            r.chip.do_present("DEADBEEF")
            assert await r.until(2) == ["04A1B2C3", "DEADBEEF"]

    asyncio.run(scenario())


def test_a_random_uid_is_marked_and_is_one_presentation(tmp_path: Path) -> None:
    """A phone tells another UID (08 ...) at each look: it must not become a swarm of tokens."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            await asyncio.sleep(0.03)
            for number in range(5):
                r.chip.do_present(f"08A1B2{number:02X}")
                await asyncio.sleep(0.03)
            assert await r.until(1) == ["08A1B200"]
            assert r.seen[0].random_uid

    asyncio.run(scenario())


def test_a_card_that_was_held_before_is_not_a_token(tmp_path: Path) -> None:
    """A card forgotten on the reader starts nothing when the station starts."""

    async def scenario() -> None:
        chip = Pn532Chip(tmp_path / "reader")
        chip.line.plug()
        chip.do_present("04A1B2C3")
        reader = Pn532("front", {"port": str(tmp_path / "reader")}, DriverContext(time.monotonic, {}))
        await reader.open()
        first = asyncio.ensure_future(anext(reader.tokens()))
        done, _ = await asyncio.wait({first}, timeout=0.2)
        assert not done
        first.cancel()
        await reader.close()
        chip.line.unplug()

    asyncio.run(scenario())


def test_the_host_can_poll_where_the_chip_cannot_be_interrupted(tmp_path: Path) -> None:
    """`poll_s`: the chip answers 'none' at once, the driver asks again."""

    async def scenario() -> None:
        async with rig(tmp_path, poll_s=0.03) as r:
            await asyncio.sleep(0.1)
            r.chip.do_present("04A1B2C3")
            assert await r.until(1) == ["04A1B2C3"]

    asyncio.run(scenario())


@pytest.mark.parametrize("sleeps", [0, 1, 2])
def test_a_chip_that_lost_its_power_is_set_up_again(tmp_path: Path, sleeps: int) -> None:
    """The watchdog of a silent reader; a chip that sleeps through a wake-up is woken again."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            await asyncio.sleep(0.05)
            r.chip.do_brown_out(sleeps)
            await asyncio.sleep(0.6)
            r.chip.do_present("04A1B2C3")
            assert await r.until(1) == ["04A1B2C3"]
            assert r.chip.commands.count(0x14) >= 2
            assert not r.ended

    asyncio.run(scenario())


def test_a_chip_that_stays_dead_ends_the_stream(tmp_path: Path) -> None:
    """A dead reader is reported, not waited for; opening it again works when it is back."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            await asyncio.sleep(0.05)
            r.chip.do_brown_out(1000)
            await asyncio.sleep(0.8)
            assert [type(error) for error in r.ended] == [Timeout]
            with pytest.raises(NotFound, match="nothing answers"):
                await r.reader.open()
            r.chip.do_brown_out(0)
            await r.reader.open()

    asyncio.run(scenario())


@pytest.mark.parametrize("fault", ["drop", "corrupt", "garbage", "delay"])
def test_a_single_fault_on_the_line_loses_no_later_card(tmp_path: Path, fault: str) -> None:
    """Dropped, damaged, noisy and late answers."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            await asyncio.sleep(0.05)
            if fault == "delay":
                r.chip.do_delay(0.12)
            else:
                getattr(r.chip, f"do_{fault}")()
            r.chip.do_present("04A1B2C3")
            await asyncio.sleep(0.3)
            r.chip.do_remove()
            await asyncio.sleep(0.3)
            r.chip.do_present("DEADBEEF")
            await asyncio.sleep(0.3)
            assert r.seen[-1].uid_hex == "DEADBEEF"
            assert not r.ended

    asyncio.run(scenario())


def test_an_unplugged_reader_is_lost_and_can_be_opened_again(tmp_path: Path) -> None:
    """The same symlink, another device node."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            await asyncio.sleep(0.03)
            r.chip.do_unplug()
            await asyncio.sleep(0.05)
            assert [type(error) for error in r.ended] == [NotFound]
            with pytest.raises(NotFound, match="cannot open"):
                await r.reader.open()

            r.chip.do_plug()
            await r.reader.open()
            token = asyncio.ensure_future(anext(r.reader.tokens()))
            await asyncio.sleep(0.05)
            r.chip.do_present("04A1B2C3")
            assert (await token).uid_hex == "04A1B2C3"

    asyncio.run(scenario())


def test_another_chip_is_a_bad_reply(tmp_path: Path) -> None:
    """A PN531 or RC-S620 speaks the same frames, but not the same commands."""

    async def scenario() -> None:
        chip = Pn532Chip(tmp_path / "reader")
        chip.version = bytes.fromhex("33010607")
        chip.line.plug()
        reader = Pn532("front", {"port": str(tmp_path / "reader")}, DriverContext(time.monotonic, {}))
        with pytest.raises(BadReply, match="not a PN532"):
            await reader.open()
        chip.line.unplug()

    asyncio.run(scenario())


def test_an_idle_reader_asks_only_whether_the_chip_lives(tmp_path: Path) -> None:
    """Two commands and a question per check: the chip itself looks for cards."""

    async def scenario() -> None:
        async with rig(tmp_path, check_s=0.2) as r:
            await asyncio.sleep(0.05)
            before = len(r.chip.commands)
            await asyncio.sleep(0.42)
            assert len(r.chip.commands) - before <= 9

    asyncio.run(scenario())


def test_a_list_written_by_another_reader_can_be_served(tmp_path: Path) -> None:
    """`reverse_uid`: last byte first."""

    async def scenario() -> None:
        async with rig(tmp_path, reverse_uid=True) as r:
            await asyncio.sleep(0.03)
            r.chip.do_present("04A1B2C3")
            assert await r.until(1) == ["C3B2A104"]

    asyncio.run(scenario())


def test_a_wrong_option_names_its_place() -> None:
    """Found when the driver is built."""
    with pytest.raises(BadOptions, match="debounce_s"):
        Pn532("front", {"port": "/dev/null", "debounce_s": -1}, DriverContext(time.monotonic, {}))


def test_frames_from_the_manual() -> None:
    """UM0701-02 and libnfc: the command, the acknowledgement, no card, a card."""
    assert command(0x4A, b"\x01\x00").hex() == "0000ff04fcd44a0100e100"
    parser = Parser()
    assert parser.feed(ACK + bytes.fromhex("0000ff03fdd54b00e000")) == [Signal.ACK, Answer(0x4A, b"\x00")]
    assert parser.feed(bytes.fromhex("0000ff01ff7f8100")) == [Signal.ERROR]
    assert target(bytes.fromhex("0101000408" + "04deadbeef")) == Token("DEADBEEF")
    with pytest.raises(ValueError, match="no card"):
        target(bytes.fromhex("0101000408" + "07dead"))


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=4), st.data())
def test_frames_are_reassembled_over_any_split(bodies: list[bytes], data: st.DataObject) -> None:
    """What a read gives has nothing to do with where a frame ends."""
    stream = b""
    for body in bodies:
        framed = bytes((0xD5, 0x4B)) + body
        stream += ACK + bytes((0, 0, 0xFF, len(framed), -len(framed) & 0xFF)) + framed
        stream += bytes((-sum(framed) & 0xFF, 0))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    parser = Parser()
    events = [
        event for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True) for event in parser.feed(stream[a:b])
    ]
    assert events == [event for body in bodies for event in (Signal.ACK, Answer(0x4A, body))]


@given(st.binary(max_size=80))
def test_noise_never_breaks_the_parser(noise: bytes) -> None:
    """It may cost the frame behind it, never an exception and never the frames after that."""
    parser = Parser()
    parser.feed(noise)
    parser.feed(bytes(270))
    assert parser.feed(ACK)[-1:] == [Signal.ACK]
