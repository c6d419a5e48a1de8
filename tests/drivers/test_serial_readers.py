"""Readers that only talk: tags and lines cut out of noisy streams, once per presentation."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.api import Token, TokenType
from hal.buses import serial
from hal.context import DriverContext
from hal.drivers import serial_reader
from hal.drivers.rdm6300 import Frames
from hal.errors import BadOptions, DeviceError, NotFound
from hal.registry import Registry
from tests.drivers.emulators.line_talker import LineTalker
from tests.drivers.emulators.rdm6300_module import Rdm6300Module

EXAMPLE = b"\x0262E3086CED08\x03"
"""From the data sheet."""


class Rig(NamedTuple):
    """A reader; `seen` is every token it gave, `ended` how its stream ended."""

    emulator: Any
    seen: list[Token]
    ended: list[DeviceError]

    async def until(self, true: Callable[[], object]) -> None:
        """Wait for it, at most ten seconds."""
        for _ in range(2000):
            if true():
                return
            await asyncio.sleep(0.005)
        raise AssertionError(f"it did not come; seen: {self.seen}, ended: {self.ended}")

    async def rest(self) -> None:
        """Long enough for what was sent to arrive."""
        await asyncio.sleep(0.05)


@asynccontextmanager
async def rig(
    emulator: Any, driver: str, before: Callable[[], None] = lambda: None, **given: Any
) -> AsyncIterator[Rig]:
    """An opened reader whose tokens are collected; `before` happens before it is opened."""
    options: Mapping[str, object] = {"port": str(emulator.line.link), **given}
    reader: Any = Registry().build("reader", driver, "front", options, DriverContext(time.monotonic, {}))
    r = Rig(emulator, [], [])

    async def collect(tokens: AsyncIterator[Token]) -> None:
        try:
            async for token in tokens:
                r.seen.append(token)
        except DeviceError as error:
            r.ended.append(error)

    emulator.start()
    before()
    await reader.open()
    task = asyncio.create_task(collect(reader.tokens()))
    await asyncio.sleep(0)
    try:
        yield r
    finally:
        await reader.close()
        await asyncio.wait({task}, timeout=5)
        emulator.stop()


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_reader, "FIRST_LISTEN_S", 0.03)


@pytest.fixture
def module(tmp_path: Path) -> Rdm6300Module:
    """An RDM6300 that repeats ten times as fast."""
    module = Rdm6300Module(tmp_path / "reader")
    module.repeat_s = 0.0065
    return module


def test_a_tag_that_is_held_is_told_once(module: Rdm6300Module) -> None:
    """However often the module repeats it."""

    async def scenario() -> None:
        async with rig(module, "rdm6300", debounce_s=0.1) as r:
            module.do_present("010063E9AE")
            await r.until(lambda: r.seen)
            await asyncio.sleep(0.25)  # far longer than the debouncing, which each repetition prolongs
            assert r.seen == [Token("010063E9AE", TokenType.EM4100)]

            module.do_remove()
            await asyncio.sleep(0.2)
            module.do_present("010063E9AE", count=1)
            await r.until(lambda: len(r.seen) == 2)

    asyncio.run(scenario())


def test_a_tag_that_was_held_at_opening_is_no_news(module: Rdm6300Module) -> None:
    """A tag that someone glued to the reader starts nothing after each restart; another one does."""

    async def scenario() -> None:
        async with rig(module, "rdm6300", lambda: module.do_present("010063E9AE")) as r:
            await r.rest()
            assert r.seen == []

            module.do_present("62E3086CED")
            await r.until(lambda: r.seen)
            assert [token.uid_hex for token in r.seen] == ["62E3086CED"]

    asyncio.run(scenario())


def test_a_damaged_frame_is_nobodys_tag(module: Rdm6300Module) -> None:
    """One flipped digit: passed over, and the repetition is heard."""

    async def scenario() -> None:
        async with rig(module, "rdm6300") as r:
            module.do_corrupt(1)
            module.do_present("62E3086CED", count=1)
            await r.rest()
            assert r.seen == []

            module.do_garbage("02023132")
            module.do_present("62E3086CED", count=1)
            await r.until(lambda: r.seen)
            assert r.seen[0].uid_hex == "62E3086CED"

    asyncio.run(scenario())


def test_a_tag_can_be_told_by_the_number_that_is_printed_on_it(module: Rdm6300Module) -> None:
    """0x0063E9AE."""

    async def scenario() -> None:
        async with rig(module, "rdm6300", spelling="printed") as r:
            module.do_present("010063E9AE", count=1)
            await r.until(lambda: r.seen)
            assert r.seen == [Token("0006547886", TokenType.EM4100)]

    asyncio.run(scenario())


def test_a_reader_that_is_pulled_out_is_told(module: Rdm6300Module) -> None:
    """By NotFound; opened again it reads."""

    async def scenario() -> None:
        async with rig(module, "rdm6300") as r:
            module.do_unplug()
            await r.until(lambda: r.ended)
            assert isinstance(r.ended[0], NotFound)

    asyncio.run(scenario())


@given(st.binary(max_size=40).filter(lambda noise: 2 not in noise), st.lists(st.integers(0, 60), max_size=6))
def test_frames_are_found_behind_noise_however_they_are_cut(noise: bytes, cuts: list[int]) -> None:
    """The example of the data sheet, twice."""
    stream = noise + EXAMPLE + noise + EXAMPLE
    frames, found = Frames(), []
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(stream)], strict=True):
        found += frames.feed(stream[begin:end])
    assert [token.uid_hex for token in found] == ["62E3086CED"] * 2


@given(st.binary(max_size=60))
def test_noise_costs_at_most_the_frame_behind_it(noise: bytes) -> None:
    """Never an exception, never the frame after that."""
    frames = Frames()
    frames.feed(noise)
    frames.feed(EXAMPLE)
    assert [token.uid_hex for token in frames.feed(EXAMPLE)][-1:] == ["62E3086CED"]


# --- lines


def lines(path: Path, said: str, **options: Any) -> list[Token]:
    """What becomes of what a reader writes, which is sent in pieces of three bytes."""
    seen: list[Token] = []

    async def scenario() -> None:
        talker = LineTalker(path / "reader")
        async with rig(talker, "line", **options) as r:
            talker.do_pace(115200, 3)
            talker.do_say(said, end="")
            talker.do_say("UID=00FFEEDD", end="\r\n")  # the last of it
            await r.until(lambda: any(token.uid_hex in {"00FFEEDD", "DDEEFF00"} for token in r.seen))
            seen.extend(r.seen[:-1])

    asyncio.run(scenario())
    return seen


CARD = r"UID=(?P<uid>[0-9A-Fa-f: ]+)"


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\n\r\r\n"])
def test_a_line_ends_as_its_reader_likes(tmp_path: Path, end: str) -> None:
    """And is a card if the pattern matches it as a whole."""
    said = f"hello{end}UID=04a1b2c3{end} UID=04:11:22:33:44:55:66 {end}xUID=04FFFFFF{end}UID=123{end}"
    assert lines(tmp_path, said, pattern=CARD) == [Token("04A1B2C3"), Token("04112233445566")]


def test_the_same_line_again_is_the_same_presentation(tmp_path: Path) -> None:
    """A scanner that reads a code twice."""
    assert lines(tmp_path, "UID=04A1B2C3\r\nUID=04A1B2C3\r\n", pattern=CARD) == [Token("04A1B2C3")]


def test_bytes_can_be_turned_round(tmp_path: Path) -> None:
    """For a list that was written by another reader."""
    assert lines(tmp_path, "UID=04A1B2C3\n", pattern=CARD, reverse_uid=True) == [Token("C3B2A104")]


def test_what_is_no_card_is_told_as_it_came(tmp_path: Path) -> None:
    """A code of letters."""
    pattern = "(UID=)?(?P<uid>[!-~]+)"
    assert lines(tmp_path, "aBc-12\n", pattern=pattern, type="Central") == [Token("aBc-12", TokenType.CENTRAL)]


def test_an_endless_line_is_noise_and_costs_only_itself(tmp_path: Path) -> None:
    """Nothing grows, and the remainder of it is no card."""
    assert lines(tmp_path, "UID=" + "04" * 300 + "\nUID=04A1B2C3\n", pattern=CARD) == [Token("04A1B2C3")]


def test_a_line_that_is_not_understood_is_logged_without_its_text(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be a PIN."""
    lines(tmp_path, "PIN 4711\n", pattern=CARD)

    (record,) = caplog.records
    assert (record.message, record.__dict__["characters"]) == ("reader.line_unknown", 8)
    assert "4711" not in str(record.__dict__)


@pytest.mark.parametrize(
    "wrong, place",
    [
        ({"pattern": "(["}, ".pattern: is no regular expression"),
        ({"pattern": "[0-9]+"}, ".pattern: names no group"),
        ({"pattern": CARD, "type": "Central", "reverse_uid": True}, ".reverse_uid: is for cards"),
        ({"pattern": CARD, "type": "Nonsense"}, ".type"),
    ],
)
def test_a_mistake_names_its_place(wrong: dict[str, object], place: str) -> None:
    """Found when the driver is built."""
    with pytest.raises(BadOptions, match=place.replace("(", r"\(")):
        Registry().build("reader", "line", "front", {"port": "/dev/null", **wrong}, DriverContext(time.monotonic, {}))


@pytest.mark.parametrize("driver", ["rdm6300", "line", "pn532"])
def test_an_adapter_that_opens_slowly_holds_up_nobody_else(monkeypatch: pytest.MonkeyPatch, driver: str) -> None:
    """One that is broken may take for ever: the loop goes on meanwhile."""
    gate = threading.Event()

    def slow(name: str, _settings: object) -> None:
        assert gate.wait(10), "the loop stood still"
        raise NotFound(name, "was slow, and is not there")

    monkeypatch.setattr(serial, "_opened", slow)
    options = {"port": "/dev/slow"} | ({"pattern": "(?P<uid>.*)"} if driver == "line" else {})
    reader: Any = Registry().build("reader", driver, "front", options, DriverContext(time.monotonic, {}))

    async def scenario() -> None:
        opening = asyncio.ensure_future(reader.open())
        await asyncio.sleep(0.01)
        assert not opening.done()
        gate.set()
        with pytest.raises(NotFound, match="was slow"):
            await opening

    asyncio.run(scenario())
