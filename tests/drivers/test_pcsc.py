"""PC/SC readers: the driver, the real libpcsclite, and a daemon that is played."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hal.api import Token
from hal.context import DriverContext
from hal.drivers import pcsc_library
from hal.errors import BadOptions, DeviceError, NotFound
from hal.pytest_plugin import Promise
from hal.registry import Registry
from tests.drivers.emulators.pcsc_daemon import MAJOR, MINOR, PcscDaemon

SOCKET = Path(tempfile.gettempdir()) / f"pcscd-of-tests-{os.getpid()}"
"""The library reads its name once in a process."""


def missing() -> str:
    """What keeps these tests from running; empty: nothing."""
    os.environ["PCSCLITE_CSOCK_NAME"] = str(SOCKET)
    daemon = PcscDaemon(SOCKET)
    daemon.start()
    try:
        pcsc_library.Context(pcsc_library.load()).release()
    except OSError:
        return "libpcsclite1 is not installed"
    except pcsc_library.PcscError as error:
        return f"libpcsclite does not speak {MAJOR}.{MINOR}: {error}"
    finally:
        daemon.stop()
    return "" if daemon.client == (MAJOR, MINOR) else f"libpcsclite speaks {daemon.client}"


@pytest.fixture(scope="module", autouse=True)
def _library() -> None:
    if reason := missing():
        pytest.skip(f"PC/SC NOT TESTED: {reason}")


class Rig:
    """A reader behind the daemon."""

    kind = "reader"

    def __init__(self) -> None:
        self.daemon = PcscDaemon(SOCKET)

    def build(self, **options: object) -> Any:
        """A new driver for it."""
        return Registry().build("reader", "pcsc", "front", options, DriverContext(self.clock, {}))

    def clock(self) -> float:
        """Real time."""
        return time.monotonic()

    async def wait(self, seconds: float) -> None:
        """Hurried."""
        await asyncio.sleep(seconds * 0.1)

    async def unplug_device(self, *, gone: bool) -> None:
        """Its USB plug."""
        (self.daemon.unplug if gone else self.daemon.plug)()

    async def card(self) -> str:
        """A seven-byte card."""
        self.daemon.present("04a1b2c3d4e5f6")
        return "04A1B2C3D4E5F6"


@asynccontextmanager
async def running() -> AsyncIterator[Rig]:
    """The daemon runs."""
    rig = Rig()
    rig.daemon.start()
    try:
        yield rig
    finally:
        rig.daemon.stop()


class Seen(NamedTuple):
    """What came of it."""

    tokens: list[Token]
    ended: list[DeviceError]

    async def until(self, true: Callable[[], object]) -> None:
        """Wait for it, at most ten seconds."""
        for _ in range(2000):
            if true():
                return
            await asyncio.sleep(0.005)
        raise AssertionError(f"it did not come; seen: {self}")


@asynccontextmanager
async def listening(before: Callable[[PcscDaemon], None] = lambda _: None, **options: object) -> Any:
    """A reader whose tokens are collected; `before` happens before it is opened."""
    async with running() as rig:
        reader, seen = rig.build(debounce_s=0.05, **options), Seen([], [])

        async def collect() -> None:
            try:
                async for token in reader.tokens():
                    seen.tokens.append(token)
            except DeviceError as error:
                seen.ended.append(error)

        before(rig.daemon)
        await reader.open()
        task = asyncio.create_task(collect())
        await asyncio.sleep(0.01)
        yield rig.daemon, seen, reader
        await reader.close()
        await asyncio.wait({task})


@pytest.mark.driver("reader", complete=True)
def test_the_driver_keeps_the_contract_of_a_reader(promise: Promise) -> None:
    """Nothing is skipped."""
    promise.is_kept_by(running())


@pytest.mark.parametrize("uid", ["04A1B2C3", "04A1B2C3D4E5F6", "E00401020304AABB", "04A1B2C3D4E5F60718AA", "08A1B2C3"])
def test_a_uid_comes_whole_and_a_random_one_is_flagged(uid: str) -> None:
    """By the command of PC/SC part 3."""

    async def scenario() -> None:
        async with listening() as (daemon, seen, _):
            daemon.present(uid)
            await seen.until(lambda: seen.tokens)
            assert seen.tokens == [Token(uid, random_uid=uid.startswith("08"))]
            assert daemon.asked == [bytes.fromhex("FFCA000000")]

    asyncio.run(scenario())


def test_a_card_is_told_once_for_each_presentation() -> None:
    """Held, taken away, and back again; bytes can be turned round."""

    async def scenario() -> None:
        async with listening(reverse_uid=True) as (daemon, seen, _):
            daemon.present("04A1B2C3")
            await seen.until(lambda: seen.tokens)
            await asyncio.sleep(0.2)
            assert [token.uid_hex for token in seen.tokens] == ["C3B2A104"]
            daemon.remove()
            await asyncio.sleep(0.1)
            daemon.present("04A1B2C3")
            await seen.until(lambda: len(seen.tokens) == 2)

    asyncio.run(scenario())


def test_a_card_that_was_on_the_reader_at_opening_is_no_news() -> None:
    """Somebody left it there; another one is."""

    async def scenario() -> None:
        async with listening(lambda daemon: daemon.present("04A1B2C3")) as (daemon, seen, _):
            await asyncio.sleep(0.1)
            assert seen.tokens == []
            daemon.remove()
            daemon.present("04FFEEDD")
            await seen.until(lambda: seen.tokens)
            assert seen.tokens == [Token("04FFEEDD")]

    asyncio.run(scenario())


def test_a_card_without_a_number_or_too_quick_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    """A bank's chip in a contact slot; a card drawn past."""

    async def scenario() -> None:
        async with listening() as (daemon, seen, _):
            daemon.status = bytes.fromhex("6A81")
            daemon.present("04A1B2C3")
            await seen.until(lambda: caplog.records)
            daemon.remove()
            daemon.vanishes = True
            daemon.present("04A1B2C4")
            await asyncio.sleep(0.1)
            daemon.remove()
            daemon.vanishes, daemon.status = False, bytes.fromhex("9000")
            daemon.present("04A1B2C5")
            await seen.until(lambda: seen.tokens)
            assert seen.tokens == [Token("04A1B2C5")]

    asyncio.run(scenario())
    assert [record.__dict__["reason"] for record in caplog.records] == ["answers 6a81"]


def test_the_slot_of_a_sam_is_no_reader_unless_it_is_named() -> None:
    """A card always is in it."""

    async def scenario() -> None:
        async with running() as rig:
            rig.daemon.readers = ["ACS ACR1252 1S CL Reader SAM 0", "ACS ACR1252 1S CL Reader PICC 0"]
            for wanted, found in (("", "PICC"), ("ACR1252", "PICC"), ("SAM", "SAM")):
                reader = rig.build(reader=wanted)
                await reader.open()
                assert found in (await reader.identify()).model
                await reader.close()
            with pytest.raises(NotFound, match=r"no reader is called 'Omnikey' \(there are: ACS ACR1252"):
                await rig.build(reader="Omnikey").open()

    asyncio.run(scenario())


@pytest.mark.parametrize("how, reason", [("unplug", "the reader is gone"), ("stop", "pcscd")])
def test_a_reader_or_a_daemon_that_is_gone_is_told(how: str, reason: str) -> None:
    """And found when it is back."""

    async def scenario() -> None:
        async with listening() as (daemon, seen, reader):
            getattr(daemon, how)()
            await seen.until(lambda: seen.ended)
            assert isinstance(seen.ended[0], NotFound)
            assert reason in str(seen.ended[0])
            with pytest.raises(NotFound):
                await reader.open()
            {"unplug": daemon.plug, "stop": daemon.start}[how]()
            await reader.open()

    asyncio.run(scenario())


def test_without_a_library_or_a_daemon_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy."""
    reader = Rig().build()
    with pytest.raises(NotFound, match="pcscd does not run"):
        asyncio.run(reader.open())

    def load() -> None:
        raise OSError("libpcsclite.so.1: cannot open shared object file")

    monkeypatch.setattr(pcsc_library, "load", load)
    with pytest.raises(NotFound, match="install libpcsclite1 and pcscd"):
        asyncio.run(reader.open())


def test_a_misspelt_option_is_a_mistake() -> None:
    """Found when the driver is built."""
    with pytest.raises(BadOptions, match="readers"):
        Rig().build(readers="ACR")
