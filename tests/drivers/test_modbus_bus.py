"""The owner of an RS-485 line against devices that answer late, damaged, out of turn, or not at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import serial

from hal.buses import build
from hal.buses.modbus import ModbusDevice, Table, Timing
from hal.buses.modbus_rtu import ModbusRtu
from hal.errors import BadOptions, BadReply, DeviceError, NotFound, Refused, Timeout
from tests.drivers.boards import until
from tests.drivers.emulators.modbus_slave import ModbusSlave, crc16

QUICK = Timing(timeout_s=0.15, retries=0, forget_s=3.0)


class Rig(NamedTuple):
    """A line with two devices, 1 and 2, whose input register n holds n and 1000 + n."""

    slave: ModbusSlave
    bus: ModbusRtu
    device: ModbusDevice
    other: ModbusDevice


@asynccontextmanager
async def rig(path: Path, timing: Timing = QUICK, other: Timing = QUICK, baud: int = 115200) -> AsyncIterator[Rig]:
    """The line, plugged in; unplugged at the end."""
    slave = ModbusSlave(path / "rs485")
    slave.line.plug()
    for address in range(60):
        slave.do_set(1, "input", address, value=address)
        slave.do_set(2, "input", address, value=1000 + address)
        slave.do_set(1, "holding", address, value=0)
    options = {"port": str(path / "rs485"), "baud": baud, "quiet_s": 0.05, "reopen_s": 0.02}
    bus = ModbusRtu("rs485-1", options)
    try:
        yield Rig(slave, bus, bus.device("meter", 1, timing), bus.device("evse", 2, other))
    finally:
        await bus.close()
        slave.line.unplug()


async def attempt(device: ModbusDevice, address: int, count: int = 2) -> tuple[int, ...] | DeviceError:
    """What a read gives: the registers or the error."""
    try:
        return (await device.read(Table.INPUT, address, count)).values
    except DeviceError as error:
        return error


@pytest.mark.parametrize("late_s", [0.16, 0.2, 0.23, 0.3, 0.35, 0.5, 0.9])
def test_a_late_reply_is_never_taken_for_the_answer_to_the_next_request(tmp_path: Path, late_s: float) -> None:
    """A client that takes it gives another register's value without an error; here a read is right or an error."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            right = 0
            for address in range(0, 24, 2):
                if address in (2, 10):
                    r.slave.do_delay(late_s)
                got = await attempt(r.device, address)
                assert isinstance(got, Timeout) or got == (address, address + 1)
                right += not isinstance(got, Timeout)
            assert right >= 4

    asyncio.run(scenario())


def test_several_late_replies_in_a_row_settle_before_a_value_is_believed(tmp_path: Path) -> None:
    """A device that is slow for a while: all its owed replies come in a burst, and none is believed."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            r.slave.do_delay(0.4, count=3)
            answers = [(address, await attempt(r.device, address)) for address in range(0, 40, 2)]
            assert all(isinstance(got, Timeout) or got == (at, at + 1) for at, got in answers)
            assert answers[-1][1] == (38, 39)

    asyncio.run(scenario())


def test_a_cancelled_requester_leaves_the_transaction_to_the_line(tmp_path: Path) -> None:
    """The answer that nobody waits for any more is not given to the next requester."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            await attempt(r.device, 0)
            r.slave.do_turnaround(0.05)
            asked = asyncio.ensure_future(r.device.read(Table.INPUT, 4, 2))
            await asyncio.sleep(0.01)
            asked.cancel()

            assert await attempt(r.device, 8) == (8, 9)
            assert asked.cancelled()

    asyncio.run(scenario())


def test_a_reply_that_arrived_while_the_loop_stood_still_counts(tmp_path: Path) -> None:
    """A stall longer than the timeout (a slow fsync, a TPM) makes no false timeout: the data are looked at first."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            r.bus.paces[1].turnaround_s = 0.1  # so that nobody has looked when the stall begins
            asked = asyncio.ensure_future(attempt(r.device, 6))
            await until(lambda: r.slave.requests)
            time.sleep(0.4)  # noqa: ASYNC251 - the stall that is the subject of this test

            assert await asked == (6, 7)

    asyncio.run(scenario())


def test_a_dropped_and_a_damaged_reply_are_asked_for_again(tmp_path: Path) -> None:
    """One retry is the default: a single fault is not seen above the bus."""

    async def scenario() -> None:
        async with rig(tmp_path, Timing(timeout_s=0.15, retries=1)) as r:
            r.slave.do_drop()
            assert await attempt(r.device, 2) == (2, 3)
            r.slave.do_corrupt()
            assert await attempt(r.device, 4) == (4, 5)

    asyncio.run(scenario())


def test_damage_is_told_apart_from_silence_and_found_out_before_the_timeout(tmp_path: Path) -> None:
    """BadReply with the bytes; after a pause on the line, not after the whole timeout."""

    async def scenario() -> None:
        async with rig(tmp_path, Timing(timeout_s=5.0, retries=0)) as r:
            r.slave.do_corrupt()
            begun = time.monotonic()
            got = await attempt(r.device, 2)
            assert isinstance(got, BadReply)
            assert "01 04 04" in str(got)
            assert time.monotonic() - begun < 1.0

    asyncio.run(scenario())


def test_noise_before_a_reply_and_chatter_between_requests_are_skipped(tmp_path: Path) -> None:
    """The reply is found behind the noise, also when noise looks like the beginning of a reply."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            r.slave.do_garbage("0104ff00a5")
            assert await attempt(r.device, 2) == (2, 3)
            whole = bytes.fromhex("01040400090009")
            r.slave.do_babble((whole + crc16(whole)).hex())
            await asyncio.sleep(0.01)
            assert await attempt(r.device, 4) == (4, 5)

    asyncio.run(scenario())


def test_a_reply_in_fifo_steps_is_read_whole(tmp_path: Path) -> None:
    """41 bytes at 9600 Bd in steps of 8, as a UART gives them."""

    async def scenario() -> None:
        async with rig(tmp_path, baud=9600) as r:
            r.slave.do_pace(9600)
            assert await attempt(r.device, 0, 18) == tuple(range(18))
            assert await attempt(r.device, 20, 18) == tuple(range(20, 38))

    asyncio.run(scenario())


def test_an_exception_is_a_refusal_with_its_reason(tmp_path: Path) -> None:
    """Not a timeout, and not repeated."""

    async def scenario() -> None:
        async with rig(tmp_path, Timing(timeout_s=0.15, retries=3)) as r:
            with pytest.raises(Refused, match="meter: Modbus exception 2"):
                await r.device.read(Table.INPUT, 5000, 2)
            assert len(r.slave.requests) == 1

    asyncio.run(scenario())


def test_writes_are_confirmed_by_their_echo(tmp_path: Path) -> None:
    """Function 6 for one register, 16 for several; a value that does not fit is refused before anything is sent."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            await r.device.write(3, [4711])
            await r.device.write(10, [1, 2, 3])
            assert [r.slave.do_get(1, "holding", at) for at in (3, 10, 11, 12)] == [4711, 1, 2, 3]
            with pytest.raises(ValueError, match="0 to 65535"):
                await r.device.write(3, [70000])

    asyncio.run(scenario())


def test_a_silent_device_takes_turns_with_its_neighbour(tmp_path: Path) -> None:
    """Two devices on one line: the dead one costs the other at most one timeout per question."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            r.slave.do_silence([1])
            dead = [asyncio.ensure_future(attempt(r.device, 0)) for _ in range(4)]
            alive = [asyncio.ensure_future(attempt(r.other, at)) for at in (0, 2, 4)]
            assert await asyncio.gather(*alive) == [(1000, 1001), (1002, 1003), (1004, 1005)]
            assert sum(task.done() for task in dead) <= 3
            assert all(isinstance(got, Timeout) for got in await asyncio.gather(*dead))

    asyncio.run(scenario())


def test_the_gap_that_one_device_needs_does_not_delay_the_other(tmp_path: Path) -> None:
    """EVSE-DIN wants 200 ms between requests; the meter beside it does not wait for that."""

    async def scenario() -> None:
        async with rig(tmp_path, other=Timing(gap_s=0.3)) as r:
            await attempt(r.other, 0)
            begun = time.monotonic()
            slow = asyncio.ensure_future(attempt(r.other, 2))
            await asyncio.sleep(0)
            await attempt(r.device, 0)
            assert time.monotonic() - begun < 0.2
            await slow
            assert time.monotonic() - begun >= 0.29

    asyncio.run(scenario())


def test_an_unplugged_adapter_is_not_found_and_works_again_when_it_returns(tmp_path: Path) -> None:
    """The same symlink, another device node behind it."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            assert await attempt(r.device, 0) == (0, 1)
            r.slave.do_turnaround(0.1)
            asked = asyncio.ensure_future(attempt(r.device, 2))
            await asyncio.sleep(0.03)
            r.slave.do_unplug()
            gone = await asked
            assert isinstance(gone, NotFound)
            assert gone.device == "meter"
            assert isinstance(await attempt(r.other, 2), NotFound)

            r.slave.do_plug()
            await asyncio.sleep(0.03)
            assert await attempt(r.device, 4) == (4, 5)

    asyncio.run(scenario())


def test_a_port_that_opens_slowly_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is opened beside the loop; one that nobody waits for any more when it is open is closed again."""
    opened: list[str] = []
    closed: list[str] = []

    class Slow(serial.Serial):
        """An adapter that takes its time."""

        def open(self) -> None:
            """As slow as a hub with a bad cable."""
            time.sleep(0.2)
            super().open()
            opened.append(str(self.port))

        def close(self) -> None:
            """Counted, if it was open."""
            if self.is_open:
                closed.append(str(self.port))
            super().close()

    monkeypatch.setattr(serial, "Serial", Slow)

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            asked = asyncio.ensure_future(attempt(r.device, 4))
            longest, last = 0.0, time.monotonic()
            while not asked.done():
                await asyncio.sleep(0.001)
                now = time.monotonic()
                longest, last = max(longest, now - last), now
            assert await asked == (4, 5)
            assert longest < 0.15

            await r.bus.close()
            asked = asyncio.ensure_future(attempt(r.device, 4))
            await asyncio.sleep(0.05)
            await r.bus.close()
            assert isinstance(await asked, NotFound)
            async with asyncio.timeout(10):
                while len(opened) < 2 or len(closed) < 2:  # noqa: ASYNC110 - told by another thread
                    await asyncio.sleep(0.01)
            assert await attempt(r.device, 4) == (4, 5)

    asyncio.run(scenario())


def test_an_answer_from_another_unit_is_not_believed(tmp_path: Path) -> None:
    """A second device with a wrong address: its answer counts for nobody who did not ask it."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            r.slave.do_wrong_unit()
            assert isinstance(await attempt(r.device, 2), DeviceError)
            assert await attempt(r.other, 2) == (1002, 1003)
            assert await attempt(r.device, 2) == (2, 3)

    asyncio.run(scenario())


def test_coils_are_read_and_written_one_by_one(tmp_path: Path) -> None:
    """Nine coils come in two bytes, the first one lowest; a write sets its own and no other."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            for at in range(9):
                r.slave.do_set(1, "coil", 20000 + at, value=int(at in (1, 8)))

            await r.device.write_coil(20003, on=True)
            await r.device.write_coil(20001, on=False)

            assert (await r.device.read(Table.COIL, 20000, 9)).values == (0, 0, 0, 1, 0, 0, 0, 0, 1)
            with pytest.raises(Refused, match="illegal address"):
                await r.device.write_coil(20009, on=True)

    asyncio.run(scenario())


@pytest.mark.parametrize("late_s", [0.16, 0.25, 0.4])
def test_a_late_coil_is_not_taken_for_another(tmp_path: Path, late_s: float) -> None:
    """Coils have no register to probe: the device refuses the probe, and even that tells that nothing older comes."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            for at in range(20):
                r.slave.do_set(1, "coil", 20000 + at, value=at % 2)
            right = 0
            for at in range(20):
                if at in (2, 9):
                    r.slave.do_delay(late_s)
                try:
                    got = (await r.device.read(Table.COIL, 20000 + at, 1)).values
                except Timeout:
                    continue
                assert got == (at % 2,)
                right += 1
            assert right >= 12

    asyncio.run(scenario())


def test_one_register_can_be_written_as_several(tmp_path: Path) -> None:
    """Some devices know function 16 only."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            await r.device.write(4, [7])
            await r.device.write(5, [8], multiple=True)

            assert [frame[1] for frame in r.slave.requests] == [6, 16]
            assert (r.slave.do_get(1, "holding", 4), r.slave.do_get(1, "holding", 5)) == (7, 8)

    asyncio.run(scenario())


def test_discrete_inputs_are_bits_that_cannot_be_written(tmp_path: Path) -> None:
    """Function 2."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            r.slave.do_words(1, "discrete", 8, [0, 1, 1])
            assert (await r.device.read(Table.DISCRETE, 8, 3)).values == (0, 1, 1)

    asyncio.run(scenario())


def test_closing_fails_who_waits_and_the_next_request_opens_again(tmp_path: Path) -> None:
    """Nobody waits for ever on a line that was closed."""

    async def scenario() -> None:
        async with rig(tmp_path, Timing(timeout_s=5.0)) as r:
            r.slave.do_silence([1])
            waiting = [asyncio.ensure_future(attempt(r.device, at)) for at in (0, 2)]
            await asyncio.sleep(0.005)
            await r.bus.close()
            assert all(isinstance(got, NotFound) for got in await asyncio.gather(*waiting))
            assert await attempt(r.other, 0) == (1000, 1001)

    asyncio.run(scenario())


def test_a_second_owner_of_a_line_is_refused(tmp_path: Path) -> None:
    """Two masters on one RS-485 line would read each other's answers."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            await attempt(r.device, 0)
            twin = ModbusRtu("twin", {"port": str(tmp_path / "rs485")})
            got = await attempt(twin.device("meter", 1, QUICK), 0)
            await twin.close()
            assert isinstance(got, NotFound)

    asyncio.run(scenario())


def test_a_wrong_option_is_named_with_its_place() -> None:
    """A configuration mistake is found before any device is touched."""
    with pytest.raises(BadOptions, match="parity"):
        build("modbus-rtu", "rs485-1", {"port": "/dev/null", "parity": "sometimes"}, time.monotonic)
    with pytest.raises(BadOptions, match="modbus-ascii"):
        build("modbus-ascii", "x", {}, time.monotonic)
    with pytest.raises(BadOptions, match="1 to 247"):
        ModbusRtu("rs485-1", {"port": "/dev/null"}).device("meter", 248, QUICK)
