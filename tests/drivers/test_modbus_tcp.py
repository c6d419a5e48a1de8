"""The owner of a Modbus TCP connection against gateways that are late, close, or are none."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hal import contract
from hal.buses import build
from hal.buses.modbus import ModbusDevice, Table, Timing
from hal.buses.modbus_tcp import ModbusTcp, _Line
from hal.context import DriverContext
from hal.errors import BadOptions, BadReply, DeviceError, NotFound, Refused, Timeout
from hal.registry import Registry
from tests.drivers.emulators.modbus_gateway import ModbusGateway

DUMPS = Path(__file__).parent / "dumps"
QUICK = Timing(timeout_s=0.15, retries=0)


class Rig(NamedTuple):
    """A gateway with unit 1, whose input register n holds n, and unit 255."""

    gateway: ModbusGateway
    bus: ModbusTcp
    device: ModbusDevice
    other: ModbusDevice


@asynccontextmanager
async def rig(timing: Timing = QUICK) -> AsyncIterator[Rig]:
    """Up and listening; gone at the end."""
    gateway = ModbusGateway()
    for unit in (1, 255):
        gateway.do_words(unit, "input", 0, range(60))
        gateway.do_words(unit, "holding", 0, [0] * 20)
        gateway.do_words(unit, "coil", 100, [1, 0, 0, 1, 1, 0, 0, 0, 1, 1])
    await gateway.start()
    bus = ModbusTcp("charx", {"host": "127.0.0.1", "port": gateway.port, "reopen_s": 0.02})
    try:
        yield Rig(gateway, bus, bus.device("board", 1, timing), bus.device("meter", 255, timing))
    finally:
        await bus.close()
        await gateway.stop()


async def attempt(device: ModbusDevice, address: int) -> tuple[int, ...] | DeviceError:
    """What a read gives: two registers or the error."""
    try:
        return (await device.read(Table.INPUT, address, 2)).values
    except DeviceError as error:
        return error


def test_registers_and_bits_are_read_and_written() -> None:
    """Function codes 1, 4, 5, 6 and 16; one connection for all; unit 255 is a unit here."""

    async def scenario() -> None:
        async with rig() as r:
            assert await attempt(r.device, 4) == (4, 5)
            assert await attempt(r.other, 6) == (6, 7)
            assert (await r.device.read(Table.COIL, 100, 10)).values == (1, 0, 0, 1, 1, 0, 0, 0, 1, 1)
            await r.device.write_coil(101, on=True)
            await r.device.write_coil(103, on=False)
            assert (await r.device.read(Table.COIL, 100, 4)).values == (1, 1, 0, 0)
            await r.device.write(3, [4711])
            await r.device.write(4, [1, 2])
            await r.device.write(6, [9], multiple=True)
            assert (await r.device.read(Table.HOLDING, 3, 4)).values == (4711, 1, 2, 9)
            assert [request[7] for request in r.gateway.requests[-4:-1]] == [6, 16, 16]
            assert r.gateway.connections == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("late_s", [0.16, 0.3, 0.5])
def test_a_late_reply_is_known_by_its_number(late_s: float) -> None:
    """Every read is right or an error, on the connection that is kept."""

    async def scenario() -> None:
        async with rig() as r:
            for address in range(0, 24, 2):
                if address in (2, 10):
                    r.gateway.do_delay(late_s)
                got = await attempt(r.device, address)
                assert isinstance(got, Timeout) if address in (2, 10) else got == (address, address + 1)
            assert r.gateway.connections == 1

    asyncio.run(scenario())


def test_a_single_lost_reply_is_asked_for_again() -> None:
    """One retry is the default: it is not seen above the bus."""

    async def scenario() -> None:
        async with rig(Timing(timeout_s=0.15, retries=1)) as r:
            r.gateway.do_drop()
            assert await attempt(r.device, 2) == (2, 3)

    asyncio.run(scenario())


def test_a_connection_that_fails_again_is_given_up_for_a_new_one() -> None:
    """A peer that lost its power keeps no half of the old one."""

    async def scenario() -> None:
        async with rig() as r:
            r.gateway.do_drop(2)
            assert isinstance(await attempt(r.device, 2), Timeout)
            assert isinstance(await attempt(r.device, 2), Timeout)
            assert await attempt(r.device, 2) == (2, 3)
            assert r.gateway.connections == 2

    asyncio.run(scenario())


def test_a_connection_closed_by_the_peer_is_opened_again_without_a_word() -> None:
    """Gateways hang up when nobody has asked for a while, even while the question is on its way."""

    async def scenario() -> None:
        async with rig() as r:
            await attempt(r.device, 2)
            r.gateway.do_hang_up()
            await asyncio.sleep(0.02)
            assert await attempt(r.device, 4) == (4, 5)
            r.gateway.do_hang_up_instead()
            assert await attempt(r.device, 6) == (6, 7)
            assert r.gateway.connections == 3

    asyncio.run(scenario())


def test_a_peer_that_hangs_up_on_each_question_is_there_but_does_not_answer() -> None:
    """A Timeout, with which a board has patience, not the NotFound of one that lost its power; tried again first."""

    async def scenario() -> None:
        async with rig(Timing(timeout_s=5.0, retries=1)) as r:
            await attempt(r.device, 2)
            r.gateway.do_hang_up_instead(2)
            assert await attempt(r.device, 4) == (4, 5)
            r.gateway.do_hang_up_instead(1_000)
            hung_up = await attempt(r.device, 6)
            assert isinstance(hung_up, Timeout)
            assert "closed the connection instead of answering" in hung_up.reason

    asyncio.run(scenario())


def test_a_gateway_without_power_is_not_found_and_works_again_when_it_returns() -> None:
    """NotFound at once, not after a timeout; no restart needed."""

    async def scenario() -> None:
        async with rig() as r:
            await attempt(r.device, 2)
            await r.gateway.stop()
            gone = await attempt(r.device, 2)
            assert isinstance(gone, NotFound)
            assert gone.device == "board"
            await asyncio.sleep(0.03)
            assert isinstance(await attempt(r.other, 2), NotFound)

            await r.gateway.start()
            await asyncio.sleep(0.03)
            assert await attempt(r.device, 2) == (2, 3)

    asyncio.run(scenario())


def test_what_is_not_modbus_is_told_and_the_connection_given_up() -> None:
    """A web server, another unit's answer, an exception."""

    async def scenario() -> None:
        async with rig() as r:
            r.gateway.do_garbage()
            got = await attempt(r.device, 2)
            assert isinstance(got, BadReply)
            assert "48 54 54 50" in str(got)
            r.gateway.do_wrong_unit()
            assert isinstance(await attempt(r.device, 2), BadReply)
            r.gateway.do_refuse(2)
            assert isinstance(await attempt(r.device, 2), Refused)
            assert await attempt(r.device, 2) == (2, 3)

    asyncio.run(scenario())


def test_a_peer_that_never_stops_is_left() -> None:
    """What nobody asked for would fill the memory, whole frames of it keep the hardware's thread busy."""
    line = _Line()

    for _ in range(100):
        line.data_received(bytes.fromhex("0001 0000 0005 01 03 02 0000") * 100)

    assert line.lost
    assert len(line._buffer) <= 16_384


def test_a_request_beside_another_waits_for_its_turn() -> None:
    """One transaction at a time: gateways lose count of more."""

    async def scenario() -> None:
        async with rig() as r:
            r.gateway.do_turnaround(0.02)
            asked = [asyncio.ensure_future(attempt(r.device, at)) for at in (0, 2)]
            asked.append(asyncio.ensure_future(attempt(r.other, 4)))
            assert await asyncio.gather(*asked) == [(0, 1), (2, 3), (4, 5)]
            assert [request[6] for request in r.gateway.requests] == [1, 255, 1]
            assert r.gateway.at_once == 1

    asyncio.run(scenario())


def test_closing_fails_who_waits() -> None:
    """And the next request connects again."""

    async def scenario() -> None:
        async with rig(Timing(timeout_s=5.0)) as r:
            r.gateway.do_silence([1])
            waiting = asyncio.ensure_future(attempt(r.device, 0))
            await asyncio.sleep(0.02)
            await r.bus.close()
            assert isinstance(await waiting, NotFound)
            assert await attempt(r.other, 0) == (0, 1)

    asyncio.run(scenario())


class SunSpecRig:
    """A SunSpec meter behind a gateway, for the contract."""

    kind = "meter"

    def __init__(self, gateway: ModbusGateway, bus: ModbusTcp) -> None:
        self.gateway = gateway
        self.bus = bus

    def build(self) -> Any:
        """A new driver for the same meter."""
        options = {"bus": "bus", "template": "sunspec-meter", "address": 126, "timeout_s": 0.2}
        return Registry().build("meter", "modbus", "device", options, DriverContext(self.clock, {"bus": self.bus}))

    def clock(self) -> float:
        """Real time."""
        return time.monotonic()

    async def wait(self, seconds: float) -> None:
        """Let it pass, hurried."""
        await asyncio.sleep(seconds * 0.03)

    async def unplug_device(self, *, gone: bool) -> None:
        """Take its network away or give it back."""
        if gone:
            await self.gateway.stop()
        else:
            await self.gateway.start()
            await asyncio.sleep(0.03)


@pytest.mark.parametrize("check", contract.checks("meter"), ids=lambda check: check.promise)
def test_a_meter_behind_a_gateway_keeps_the_contract(check: contract.Check) -> None:
    """Nothing is skipped."""

    async def scenario() -> contract.Result:
        gateway = ModbusGateway()
        gateway.do_load(json.loads((DUMPS / "sunspec-meter.json").read_text()))
        await gateway.start()
        bus = ModbusTcp("bus", {"host": "127.0.0.1", "port": gateway.port, "reopen_s": 0.02})
        try:
            return await contract.run_one(check, SunSpecRig(gateway, bus))
        finally:
            await bus.close()
            await gateway.stop()

    assert asyncio.run(scenario()) == (check.promise, "passed", "")


def test_a_wrong_option_is_named_with_its_place() -> None:
    """Found before anything is dialled."""
    with pytest.raises(BadOptions, match=r"\.port"):
        build("modbus-tcp", "charx", {"host": "charx", "port": 0}, time.monotonic)
    with pytest.raises(BadOptions, match="0 to 255"):
        ModbusTcp("charx", {"host": "charx"}).device("board", 256, QUICK)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param("0001 0001 0007 01 04 04 0000 0001", id="of another protocol"),
        pytest.param("0001 0000 0005 01 04 04 0000", id="shorter than it says"),
        pytest.param("0001 0000 0009 01 04 04 0000 0001 0002", id="longer than it says"),
        pytest.param("0001 0000 0007 01 03 04 0000 0001", id="to another function"),
        pytest.param("0001 0000 0005 01 04 02 0001", id="of another count"),
    ],
)
def test_an_answer_that_is_nearly_one_is_none(answer: str) -> None:
    """The right number and unit are not enough."""

    async def scenario() -> None:
        async with rig() as r:
            r.gateway.do_garbage(answer)
            assert isinstance(await attempt(r.device, 0), BadReply)
            assert await attempt(r.device, 0) == (0, 1)

    asyncio.run(scenario())
