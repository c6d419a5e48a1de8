"""The SDM630 over its register map: what is read, when it was sampled, and what is not believed."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from hal.api import Meter, PerPhase, Quality
from hal.buses.modbus_rtu import ModbusRtu
from hal.context import DriverContext
from hal.drivers.modbus_meter import EnergyGuard, ModbusMeter
from hal.errors import BadOptions, BadReply, NotFound, Timeout
from tests.drivers.emulators.modbus_slave import ModbusSlave

DUMP = {
    0x00: 230.1, 0x02: 231.2, 0x04: 229.9,
    0x06: 16.0, 0x08: 15.9, 0x0A: 0.0,
    0x0C: 3680.0, 0x0E: 3670.5, 0x10: -2.0,
    0x34: 7348.5, 0x3C: -120.0, 0x46: 50.02,
    0x48: 11114.29, 0x4A: 0.5,
}  # fmt: skip
"""Input registers of an SDM630 as floats: two phases charging, the energy register of the live frame in the manual."""


PHASE_QUANTITIES = (("voltage", "v"), ("current", "a"), ("power", "w"))


class Rig(NamedTuple):
    """An SDM630 on a line."""

    slave: ModbusSlave
    meter: ModbusMeter


@asynccontextmanager
async def rig(path: Path, unit: int = 1, **options: object) -> AsyncIterator[Rig]:
    """The meter with `DUMP` in its registers; unused ones read as zero, as on the real one."""
    slave = ModbusSlave(path / "rs485")
    slave.line.plug()
    for address in range(80):
        slave.do_set(unit, "input", address, value=0)
    for address, value in DUMP.items():
        slave.do_set(unit, "input", address, float=value)
    bus = ModbusRtu("rs485-1", {"port": str(path / "rs485"), "baud": 115200, "quiet_s": 0.02, "reopen_s": 0.01})
    given = {"bus": "rs485-1", "template": "eastron-sdm630", "address": unit, "timeout_s": 0.1, **options}
    try:
        yield Rig(slave, ModbusMeter("main", given, DriverContext(time.monotonic, {"rs485-1": bus})))
    finally:
        await bus.close()
        slave.line.unplug()


def test_a_register_dump_becomes_a_reading(tmp_path: Path) -> None:
    """Integer milliwatt-hours, signed power split into import and export, one request for everything."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            before = time.monotonic()
            got = await r.meter.read()
            assert got.energy_import_mwh == 11_114_290_039  # 11114.29 kWh as the nearest float32
            assert got.energy_export_mwh == 500_000
            assert got.power_import_w == 7348.5
            assert got.power_export_w == 0
            assert got.power_import_phase_w == PerPhase(3680.0, 3670.5, 0.0)
            assert got.voltage_v == pytest.approx(PerPhase(230.1, 231.2, 229.9))
            assert got.current_a == pytest.approx(PerPhase(16.0, 15.9, 0.0))
            assert got.frequency_hz == pytest.approx(50.02)
            assert got.reactive_import_var == -120
            assert before <= got.sampled_at <= time.monotonic()
            assert len(r.slave.requests) == 1

    asyncio.run(scenario())


def test_the_live_frame_of_a_meter_in_the_field_is_understood(tmp_path: Path) -> None:
    """Recorded: unit 0x65 answers `65 04 04 46 2d a9 26` for its energy register, 11114.29 kWh."""

    async def scenario() -> None:
        async with rig(tmp_path, unit=0x65) as r:
            r.slave.do_set(0x65, "input", 0x48, value=0x462D)
            r.slave.do_set(0x65, "input", 0x49, value=0xA926)
            assert (await r.meter.read()).energy_import_mwh == 11_114_287_109

    asyncio.run(scenario())


def test_what_is_left_out_is_not_read_and_not_promised(tmp_path: Path) -> None:
    """`info` says what the map holds; `without` makes the request shorter."""

    async def scenario() -> None:
        without = [f"{quantity}_l{phase}_{unit}" for quantity, unit in PHASE_QUANTITIES for phase in (1, 2, 3)]
        async with rig(tmp_path, without=without) as r:
            assert isinstance(r.meter, Meter)
            assert r.meter.info.phases == 1
            assert r.meter.info.quantities >= {"energy_import_mwh", "power_import_w", "power_export_w"}
            assert "voltage_v" not in r.meter.info.quantities
            assert (await r.meter.read()).voltage_v is None
            assert r.slave.requests[0][2:6] == bytes.fromhex("00340018")

    asyncio.run(scenario())


def test_a_dead_meter_is_not_found_when_opened_and_a_timeout_when_read(tmp_path: Path) -> None:
    """Silence at the start is a wrong address or no power; later it is a fault."""

    async def scenario() -> None:
        async with rig(tmp_path, retries=0) as r:
            r.slave.do_silence([1])
            with pytest.raises(NotFound, match="unit 1 did not answer"):
                await r.meter.open()
            with pytest.raises(Timeout):
                await r.meter.read()
            r.slave.do_silence([])
            await r.meter.open()

    asyncio.run(scenario())


def test_a_register_that_falls_or_leaps_is_not_believed_and_the_last_value_stays(tmp_path: Path) -> None:
    """A damaged value that passed the CRC, a meter that restarts: never billed."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            first = await r.meter.read()
            for wrong in (11100.0, 11200.0, 0.0, float("nan")):
                r.slave.do_set(1, "input", 0x48, float=wrong)
                with pytest.raises(BadReply, match="energy register"):
                    await r.meter.read()
            r.slave.do_set(1, "input", 0x48, float=11114.3)
            assert 0 < (await r.meter.read()).energy_import_mwh - first.energy_import_mwh < 20_000

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "before, seconds, after, believed",
    [
        (7, 0, 7, True),  # it stands still
        (7, 0, 6, False),  # a milliwatt-hour less is a fall
        (0, 0, 1_000, True),  # a step of the register, in no time
        (0, 0, 1_001, False),
        (0, 3_600, 22_001_000, True),  # what 22 kW bring in an hour, and a step
        (0, 3_600, 22_001_001, False),
        (500, 1, 7_611, True),  # 6111.1 mWh in a second
        (500, 1, 7_612, False),
        (9, -5, 1_009, True),  # samples of one instant that came in the other order
        (9, -5, 1_010, False),
    ],
)
def test_energy_is_doubted_to_the_milliwatt_hour(before: int, seconds: float, after: int, *, believed: bool) -> None:
    """As much as the most power brings in the time between, and one step of the register: no more."""
    guard = EnergyGuard("main", max_power_w=22_000, resolution_wh=1)
    assert guard.judge(before, 1_000.0) is Quality.GOOD
    if believed:
        assert guard.judge(after, 1_000.0 + seconds) is Quality.GOOD
    else:
        with pytest.raises(BadReply, match=f"from {before / 1000:.3f} Wh to {after / 1000:.3f} Wh"):
            guard.judge(after, 1_000.0 + seconds)


@pytest.mark.parametrize("first", [0, 1])
def test_a_register_may_begin_at_nothing_but_not_below(first: int) -> None:
    """A new meter shows 0; a negative register is never believed, however often it is told."""
    assert EnergyGuard("main", max_power_w=22_000, resolution_wh=1).judge(first, 0) is Quality.GOOD
    guard = EnergyGuard("main", max_power_w=22_000, resolution_wh=1)
    for at in range(5):
        with pytest.raises(BadReply, match=r"from nothing to -0\.001 Wh"):
            guard.judge(-1, at)


def test_what_is_doubted_is_measured_by_the_doubted_before() -> None:
    """Each may be as far above the one before as power and register allow, to the milliwatt-hour."""
    for step, believed in ((1_000, True), (1_001, False)):
        guard = EnergyGuard("main", max_power_w=22_000, resolution_wh=1)
        guard.judge(5_000_000, 0)
        for told in (0, step):
            with pytest.raises(BadReply):
                guard.judge(told, 0)
        if believed:
            assert guard.judge(2 * step, 0) is Quality.SUSPECT
        else:
            with pytest.raises(BadReply):
                guard.judge(2 * step, 0)


def test_a_new_meter_is_believed_after_three_readings_that_agree() -> None:
    """The first is marked, so that a session can see that its register is not continuous."""
    guard = EnergyGuard("main", max_power_w=22_000, resolution_wh=1)
    assert guard.judge(5_000_000, 0) is Quality.GOOD
    for at in (10, 20):
        with pytest.raises(BadReply):
            guard.judge(0, at)
    assert guard.judge(1_000, 30) is Quality.SUSPECT
    assert guard.judge(2_000, 40) is Quality.GOOD
    with pytest.raises(BadReply):
        guard.judge(5_000_000, 50)


def test_doubted_readings_must_agree_with_each_other() -> None:
    """Three different absurd values are three errors, not a new beginning."""
    guard = EnergyGuard("main", max_power_w=22_000, resolution_wh=1)
    guard.judge(5_000_000, 0)
    for at, value in enumerate((0, 90_000_000, 7, 80_000_000, -1, 3), start=1):
        with pytest.raises(BadReply):
            guard.judge(value, at)
    assert guard.judge(5_000_001, 60) is Quality.GOOD


@pytest.mark.parametrize(
    "address, value, told",
    [
        (0x48, 1e30, "energy_import_wh 1e"),
        (0x4A, -1e30, "energy_export_wh -1e"),
        (0x00, 1e30, "voltage_l1_v 1e"),
        (0x06, 1e5, "current_l1_a 100000"),
        (0x46, 2.0**31, "frequency_hz 2.1"),
        (0x0C, 200_000.0, "power_l1_w 200000, and can carry"),
    ],
)
def test_a_number_that_cannot_be_is_no_reading(tmp_path: Path, address: int, value: float, told: str) -> None:
    """Also as the first one of all: an energy of 1e30 Wh would not even fit into a database."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            r.slave.do_set(1, "input", address, float=value)
            with pytest.raises(BadReply, match=re.escape(told)):
                await r.meter.read()

    asyncio.run(scenario())


@pytest.mark.parametrize("after", ["a reset", "a wrap-around"])
def test_a_register_that_begins_anew_is_doubted_and_then_marked(tmp_path: Path, after: str) -> None:
    """A meter that was reset, or whose register ran over: three readings that agree are believed, the first marked."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            r.slave.do_set(1, "input", 0x48, float=11114.29 if after == "a reset" else 999999.9)
            assert (await r.meter.read()).quality is Quality.GOOD
            r.slave.do_set(1, "input", 0x48, float=0.0)
            for _ in range(2):
                with pytest.raises(BadReply, match=r"to 0\.000 Wh"):
                    await r.meter.read()
            anew = await r.meter.read()
            assert (anew.quality, anew.energy_import_mwh) == (Quality.SUSPECT, 0)
            r.slave.do_set(1, "input", 0x48, float=0.05)
            assert (await r.meter.read()).quality is Quality.GOOD

    asyncio.run(scenario())


@pytest.mark.parametrize("fault", ["noise", "silence", "late", "wrong CRC", "wrong unit"])
def test_one_fault_of_the_line_is_not_seen_in_a_reading(tmp_path: Path, fault: str) -> None:
    """The second attempt of the bus makes it good."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            causes: dict[str, Callable[[], None]] = {
                "noise": r.slave.do_garbage,
                "silence": r.slave.do_drop,
                "late": lambda: r.slave.do_delay(0.13),
                "wrong CRC": r.slave.do_corrupt,
                "wrong unit": r.slave.do_wrong_unit,
            }
            await r.meter.open()
            causes[fault]()
            assert (await r.meter.read()).energy_import_mwh == 11_114_290_039

    asyncio.run(scenario())


def test_an_unplugged_adapter_comes_back_without_help(tmp_path: Path) -> None:
    """NotFound while it is gone; the next read after its return works."""

    async def scenario() -> None:
        async with rig(tmp_path) as r:
            await r.meter.open()
            r.slave.do_unplug()
            with pytest.raises(NotFound):
                await r.meter.read()
            r.slave.do_plug()
            await asyncio.sleep(0.02)
            assert (await r.meter.read()).energy_export_mwh == 500_000

    asyncio.run(scenario())


def test_a_wrong_option_names_its_place(tmp_path: Path) -> None:
    """Found when the driver is built, before any device is touched."""
    context = DriverContext(time.monotonic, {"rs485-1": ModbusRtu("rs485-1", {"port": str(tmp_path)})})
    good = {"bus": "rs485-1", "template": "eastron-sdm630"}
    for wrong, place in (({"bus": "rs485-2"}, ".bus"), ({"address": 300}, ".address"), ({"baud": 1}, ".baud")):
        with pytest.raises(BadOptions) as caught:
            ModbusMeter("main", {**good, **wrong}, context)
        assert caught.value.path == place
