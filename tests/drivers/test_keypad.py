"""Key pads: what is typed is a token when it is complete, and nobody completes what somebody else began."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hal.api import Token, TokenType
from hal.context import DriverContext
from hal.drivers.keypad import Options, Typing
from hal.errors import BadOptions, DeviceError, NotFound
from hal.pytest_plugin import Promise
from hal.registry import Registry
from tests.drivers.emulators.key_board import NAMES, KeyBoard


class Rig:
    """A key pad on a pipe."""

    kind = "reader"

    def __init__(self, folder: Path) -> None:
        self.keys = KeyBoard(folder / "event0")

    def build(self, **options: object) -> Any:
        """A new driver for it."""
        given = {"device": str(self.keys.link), "grab": False, **options}
        return Registry().build("reader", "keypad", "pin", given, DriverContext(self.clock, {}))

    def clock(self) -> float:
        """Real time."""
        return time.monotonic()

    async def wait(self, seconds: float) -> None:
        """Hurried."""
        await asyncio.sleep(seconds * 0.1)

    async def unplug_device(self, *, gone: bool) -> None:
        """The USB plug."""
        (self.keys.stop if gone else self.keys.start)()

    async def card(self) -> str:
        """A PIN."""
        self.keys.press("1", "2", "3", "4", "ENTER")
        return "1234"


@asynccontextmanager
async def plugged(folder: Path) -> AsyncIterator[Rig]:
    """It is there."""
    rig = Rig(folder)
    rig.keys.start()
    try:
        yield rig
    finally:
        rig.keys.stop()


@pytest.mark.driver("reader", complete=True)
def test_the_driver_keeps_the_contract_of_a_reader(promise: Promise, tmp_path: Path) -> None:
    """Nothing is skipped."""
    promise.is_kept_by(plugged(tmp_path))


class Seen(NamedTuple):
    """What came of it."""

    tokens: list[Token]
    ended: list[DeviceError]

    async def until(self, count: int) -> list[str]:
        """The identifiers when so many have come, or what there is."""
        for _ in range(1000):
            if len(self.tokens) >= count:
                break
            await asyncio.sleep(0.005)
        return [token.uid_hex for token in self.tokens]


@asynccontextmanager
async def listening(folder: Path, **options: object) -> AsyncIterator[tuple[KeyBoard, Seen]]:
    """A reader whose tokens are collected."""
    async with plugged(folder) as rig:
        reader, seen = rig.build(**options), Seen([], [])

        async def collect() -> None:
            try:
                async for token in reader.tokens():
                    seen.tokens.append(token)
            except DeviceError as error:
                seen.ended.append(error)

        await reader.open()
        task = asyncio.create_task(collect())
        await asyncio.sleep(0)
        yield rig.keys, seen
        await reader.close()
        await asyncio.wait({task})


@pytest.mark.parametrize("split", [0, 7])
def test_digits_of_every_block_of_keys_are_a_code(tmp_path: Path, split: int) -> None:
    """Row, number block, and the keys of a telephone; events may come in pieces. The same again is another one."""

    async def scenario() -> None:
        async with listening(tmp_path) as (keys, seen):
            keys.split = split
            keys.press(*"1234567890", "ENTER")
            keys.press("KP1", "KP2", "KP3", "KP4", "KP5", "KP6", "KP7", "KP8", "KP9", "KP0", "KPENTER")
            keys.press("N1", "N2", "N3", "N9", "N0", "POUND")
            keys.press("N1", "N2", "N3", "N9", "N0", "POUND")
            assert await seen.until(4) == ["1234567890", "1234567890", "12390", "12390"]
            assert {token.type for token in seen.tokens} == {TokenType.KEY_CODE}

    asyncio.run(scenario())


@pytest.mark.parametrize("clear", ["ESC", "BACKSPACE", "DELETE", "KPSTAR", "STAR"])
def test_whoever_mistypes_begins_anew(tmp_path: Path, clear: str) -> None:
    """Other keys mean nothing; too few digits are no code."""

    async def scenario() -> None:
        async with listening(tmp_path) as (keys, seen):
            keys.press("9", "9", clear, "1", "VOLUMEUP", "2", "3", "4", "ENTER")
            keys.press("ENTER", "1", "2", "3", "ENTER")
            keys.press("5", "6", "7", "8", "ENTER")
            assert await seen.until(2) == ["1234", "5678"]

    asyncio.run(scenario())


def test_keys_that_were_lost_spoil_what_was_typed(tmp_path: Path) -> None:
    """The kernel says so."""

    async def scenario() -> None:
        async with listening(tmp_path) as (keys, seen):
            keys.press("9", "9")
            keys.overrun()
            keys.press("1", "2", "3", "4", "ENTER")
            assert await seen.until(1) == ["1234"]

    asyncio.run(scenario())


def test_a_card_reader_that_types_is_debounced(tmp_path: Path) -> None:
    """Letters, too."""

    async def scenario() -> None:
        async with listening(tmp_path, type="ISO14443", debounce_s=30) as (keys, seen):
            for _ in range(2):
                keys.press(*"04A1B2C3", "ENTER")
            keys.press(*"0DEF", "ENTER")
            assert await seen.until(2) == ["04A1B2C3", "0DEF"]
            assert seen.tokens[0] == Token("04A1B2C3", TokenType.ISO14443)

    asyncio.run(scenario())


def test_a_key_pad_that_is_pulled_out_is_told(tmp_path: Path) -> None:
    """With its path, and nothing of what was typed."""

    async def scenario() -> None:
        async with listening(tmp_path) as (keys, seen):
            keys.press("9", "8", "7")
            await asyncio.sleep(0.02)
            keys.stop()
            for _ in range(1000):
                if seen.ended:
                    break
                await asyncio.sleep(0.005)
            (error,) = seen.ended
            assert isinstance(error, NotFound)
            assert "was unplugged" in str(error)
            assert "987" not in str(error)

    asyncio.run(scenario())


def test_the_device_is_taken_for_ourselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EVIOCGRAB; who has it already keeps it, and what is no input device is none."""
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(fcntl, "ioctl", lambda _fd, request, argument: asked.append((request, argument)))

    async def scenario() -> None:
        async with plugged(tmp_path) as rig:
            reader = rig.build(grab=True)
            await reader.open()
            await reader.close()
            assert asked == [(0x40044590, 1)]

            def busy(*_: object) -> None:
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

            monkeypatch.setattr(fcntl, "ioctl", busy)
            with pytest.raises(NotFound, match="cannot be taken: Device or resource busy"):
                await reader.open()
            monkeypatch.undo()
            with pytest.raises(NotFound, match="Inappropriate ioctl"):
                await reader.open()

    asyncio.run(scenario())


def typed(options: dict[str, Any], *keys: tuple[float, str]) -> list[str]:
    """What keys at these times come to."""
    typing = Typing(Options(device="x", **options))
    return [text for at, name in keys if (text := typing.key(NAMES[name], at)) is not None]


def test_nobody_completes_what_somebody_else_began() -> None:
    """After a rest it begins anew."""
    keys = [(0.0, "1"), (5.0, "2"), (14.0, "3"), (25.0, "4"), (26.0, "5"), (27.0, "6"), (28.0, "7"), (29.0, "ENTER")]
    assert typed({}, *keys) == ["4567"]


def test_a_code_of_fixed_length_needs_no_enter() -> None:
    """Fewer are none."""
    assert typed({"digits": 4}, *((n * 1.0, key) for n, key in enumerate("12345678"))) == ["1234", "5678"]
    assert typed({"digits": 4}, (0.0, "1"), (1.0, "ENTER"), *((n + 2.0, key) for n, key in enumerate("9876"))) == [
        "9876"
    ]


def test_an_endless_number_is_none() -> None:
    """Somebody leans on the keys: nothing grows, and what follows is right again."""
    keys = [(0.01 * n, "1") for n in range(500)]
    assert typed({}, *keys, (6.0, "ENTER"), *((7.0, key) for key in "1234"), (8.0, "ENTER")) == ["1234"]


def test_a_mistake_names_its_place() -> None:
    """Found when the driver is built."""
    with pytest.raises(BadOptions, match="digits"):
        Rig(Path()).build(digits=0)
