"""A signal of the board as a sensor: told when it changes, never older than it may be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from hal.api import Sensor, SensorInfo, SensorWatch
from hal.buses.can import CanBus
from hal.context import DriverContext
from hal.drivers.can_sensor import CanSensor
from hal.errors import BadOptions, NotFound, Timeout
from tests.drivers.emulators.slcan_board import SlcanBoard

PLUG = {"bus": "can0", "message": "Ch1_Health", "signal": "PlugTemperature", "unit": "Celsius"}


class Rig(NamedTuple):
    """Two sensors of one message."""

    board: SlcanBoard
    plug: CanSensor
    other: CanSensor


@asynccontextmanager
async def rig(path: Path, **options: object) -> AsyncIterator[Rig]:
    """Both opened, on a board that tells something at the beginning."""
    board = SlcanBoard(path / "can")
    board.start()
    bus = CanBus("can0", {"interface": "slcan", "channel": str(path / "can"), "bitrate": 250_000})
    context = DriverContext(time.monotonic, {"can0": bus})
    plug = CanSensor("plug", {**PLUG, **options}, context)
    other = CanSensor("contactor", {**PLUG, "signal": "ContactorTemperature"}, context)
    opening = asyncio.gather(plug.open(), other.open())
    while not opening.done():  # they may listen late, on a busy host
        board.do_temperatures(1, 25, 20, 40)
        await asyncio.sleep(0.02)
    await opening
    try:
        yield Rig(board, plug, other)
    finally:
        await plug.close()
        await other.close()
        board.stop()


def test_a_temperature_is_read_and_watched(tmp_path: Path) -> None:
    """Two sensors share a message; who watches hears changes only."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            assert isinstance(r.plug, Sensor)
            assert isinstance(r.plug, SensorWatch)
            assert r.plug.info == SensorInfo("Celsius")
            changes = r.plug.changes()
            assert (await anext(changes)).value == 20
            for degrees in (30, -5):
                r.board.do_temperatures(1, 25, degrees)
                r.board.do_temperatures(1, 26, degrees)
                assert (await anext(changes)).value == degrees
            assert (await r.plug.read()).value == -5

    asyncio.run(scenario())


def test_a_value_that_is_absent_damaged_or_old_is_none(tmp_path: Path) -> None:
    """-128 means: no such probe."""

    async def scenario() -> None:
        async with rig(tmp_path, silence_s=0.15) as r:
            r.board.do_temperatures(1, 25, 30)
            await asyncio.sleep(0.02)
            assert (await r.other.read()).value == 40
            r.board.channels[1].wrong_checks = 1
            r.board.do_temperatures(1, 25, 99)
            await asyncio.sleep(0.02)
            assert (await r.plug.read()).value == 30
            await asyncio.sleep(0.2)
            with pytest.raises(Timeout, match="does not come"):
                await r.plug.read()

    asyncio.run(scenario())


def test_an_extended_identifier_of_the_same_number_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another device on the bus must not be read as this one."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            reply = r.board.reply
            monkeypatch.setattr(r.board, "reply", lambda data: reply(b"T00000" + data[1:]))
            r.board.do_temperatures(1, 25, 99, 99)
            await asyncio.sleep(0.02)
            assert [(await sensor.read()).value for sensor in (r.plug, r.other)] == [20, 40]

    asyncio.run(scenario())


def test_an_unplugged_adapter_ends_the_watch(tmp_path: Path) -> None:
    """Lost by NotFound; found again when it is back."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            changes = r.plug.changes()
            await anext(changes)
            waiting = asyncio.ensure_future(anext(changes))
            await asyncio.sleep(0.01)
            r.board.do_unplug()
            with pytest.raises(NotFound):
                await waiting
            r.board.do_plug()
            opening = asyncio.ensure_future(r.plug.open())
            while not opening.done():
                r.board.do_temperatures(1, 25, 31)
                await asyncio.sleep(0.01)
            await opening
            assert (await anext(r.plug.changes())).value == 31

    asyncio.run(scenario())


def test_a_message_that_never_comes_is_not_found(tmp_path: Path) -> None:
    """A wrong identifier is found out when the station is set up, not in a hot summer."""

    async def scenario() -> None:
        board = SlcanBoard(tmp_path / "can")
        board.start()
        bus = CanBus("can0", {"interface": "slcan", "channel": str(tmp_path / "can"), "bitrate": 250_000})
        options = {**PLUG, "id_offset": 7, "silence_s": 0.05}
        with pytest.raises(NotFound, match="does not come"):
            await CanSensor("plug", options, DriverContext(time.monotonic, {"can0": bus})).open()
        board.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "wrong, place",
    [({"signal": "Heat"}, ".signal"), ({"message": "Ch9_Health"}, ".message"), ({"bus": "can7"}, ".bus")],
)
def test_a_wrong_option_names_its_place(wrong: dict[str, object], place: str) -> None:
    """Found when the driver is built."""
    bus = CanBus("can0", {"interface": "slcan", "channel": "/dev/null", "bitrate": 250_000})
    with pytest.raises(BadOptions) as caught:
        CanSensor("plug", {**PLUG, **wrong}, DriverContext(time.monotonic, {"can0": bus}))
    assert caught.value.path == place
