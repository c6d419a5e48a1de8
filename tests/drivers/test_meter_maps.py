"""Every register map that is shipped, read against a register dump made from the maker's manual and not from the map.

The dumps stand in `dumps/`, in the form that `ocpp-station hal record` writes; each says where it comes from. They hold
the registers between those that are read, too, with other values, and nothing where the manual documents nothing: a
wrong address, word order or scale reads something else, a request that is too long is refused.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hal import template
from hal.api import Identity, MeterReading, PerPhase
from hal.buses.modbus_rtu import ModbusRtu
from hal.buses.modbus_tcp import ModbusTcp
from hal.context import DriverContext
from hal.drivers.modbus_meter import ModbusMeter
from hal.errors import BadReply, NotFound
from tests.drivers.emulators.modbus_gateway import ModbusGateway
from tests.drivers.emulators.modbus_slave import ModbusSlave

DUMPS = Path(__file__).parent / "dumps"

THREE = {
    "power_import_w": 7348.5,
    "power_export_w": 0.0,
    "power_import_phase_w": PerPhase(3680.0, 3670.5, 0.0),
    "voltage_v": PerPhase(230.1, 231.2, 229.9),
    "current_a": PerPhase(16.0, 15.9, 0.25),
    "frequency_hz": 50.02,
}
"""The same moment in the life of every three-phase meter: two phases charge, and L3 gives 2 W back."""

ONE = {
    "power_import_w": 2311.5,
    "power_export_w": 0.0,
    "voltage_v": PerPhase(229.7),
    "current_a": PerPhase(10.25),
    "frequency_hz": 49.98,
}


class Expected(NamedTuple):
    """What a dump says, by its manual."""

    reading: dict[str, Any]
    identity: Identity
    requests: int
    """For one reading: more cost more time on the line."""


EXPECTED = {
    "eastron-sdm630": Expected(
        THREE | {"energy_import_mwh": 11_114_290_039, "energy_export_mwh": 500_000, "reactive_import_var": -120.0},
        Identity("Eastron", "SDM630", "17430021"),
        1,
    ),
    "eastron-sdm72d-v2": Expected(
        THREE | {"energy_import_mwh": 11_114_290_039, "energy_export_mwh": 500_000},
        Identity("Eastron", "SDM72D-M V2", "21078099"),
        2,
    ),
    "eastron-sdm120": Expected(
        ONE
        | {"energy_import_mwh": 345_678_009, "energy_export_mwh": 125_000}
        | {"reactive_import_var": -447.0, "power_factor": 0.982},
        Identity("Eastron", "SDM120", "20250911"),
        2,
    ),
    "eastron-sdm230": Expected(
        ONE | {"energy_import_mwh": 345_678_009, "energy_export_mwh": 125_000},
        Identity("Eastron", "SDM230", "23112233"),
        2,
    ),
    "abb-b23-b24": Expected(
        THREE
        | {"energy_import_mwh": 12_345_670_000, "energy_export_mwh": 8_900_000}
        | {"reactive_import_var": -120.0, "power_factor": 0.991},
        Identity("ABB", "B23 112-100", "3051234", "B1.24.0"),
        2,
    ),
    "carlo-gavazzi-em340": Expected(
        THREE
        | {"energy_import_mwh": 8_211_200_000, "energy_export_mwh": 700_000, "frequency_hz": 50.0}
        | {"energy_import_phase_mwh": (4_100_000_000, 4_111_100_000, 100_000)}
        | {"reactive_import_var": -120.0, "power_factor": 0.991},
        Identity("Carlo Gavazzi", "EM340", "BN0120123456C"),
        2,
    ),
    "carlo-gavazzi-em580": Expected(
        THREE
        | {"energy_import_mwh": 8_211_234_000, "energy_export_mwh": 777_000, "frequency_hz": 50.0}
        | {"reactive_import_var": -120.0},
        Identity("Carlo Gavazzi", "EM580", "BK0010042001N", "2.1.7"),
        3,
    ),
    "schneider-iem3155": Expected(
        THREE | {"energy_import_mwh": 123_456_789_000, "energy_export_mwh": 321_000, "reactive_import_var": -120.0},
        Identity("Schneider Electric", "iEM3155", "15263748", "1305"),
        6,
    ),
    "phoenix-eem-3xx": Expected(
        THREE
        | {"energy_import_mwh": 8_211_112_600, "energy_export_mwh": 600, "current_neutral_a": 0.75}
        | {"energy_import_phase_mwh": (4_100_000_100, 4_111_111_200, 1_300), "reactive_import_var": -120.0},
        Identity("Phoenix Contact", "EEM-EM3xx / EEM-DM3xx", "1234567890", "1.07"),
        2,
    ),
    "klefr-692x": Expected(
        THREE
        | {"energy_import_mwh": 8_211_250_000, "energy_export_mwh": 500_000, "reactive_import_var": -120.0}
        | {"energy_import_phase_mwh": (4_100_125_000, 4_111_000_000, 125_000)},
        Identity("Klefr", "692x", "15060001"),
        2,
    ),
    "klefr-693x": Expected(
        ONE | {"energy_import_mwh": 345_500_000, "energy_export_mwh": 250_000},
        Identity("Klefr", "693x / 694x", "15060001"),
        2,
    ),
    "bauer-bsm-ws36a": Expected(
        THREE
        | {"energy_import_mwh": 52_620_000, "frequency_hz": 50.0, "power_import_w": 7350.0}
        | {"power_import_phase_w": PerPhase(3680.0, 3670.0, 0.0), "current_a": PerPhase(16.0, 15.9, 0.2)},
        Identity("BAUER Electronic", "BSM-WS36A-H01-1311-0000", "001BZR1521070006", "1.9:32CA:AFF4"),
        1,
    ),
    "sunspec-meter": Expected(
        THREE
        | {"energy_import_mwh": 11_114_290_000, "energy_export_mwh": 500_000}
        | {"power_import_w": 7349.0, "power_import_phase_w": PerPhase(3680.0, 3671.0, 0.0)},
        Identity("Metersmith", "M-3", "SN-4711", "1.07"),
        1,
    ),
    "sunspec-meter-float": Expected(
        THREE | {"energy_import_mwh": 11_114_290_000, "energy_export_mwh": 500_000, "reactive_import_var": -120.0},
        Identity("Metersmith", "F-3", "SN-0815", "2.0"),
        1,
    ),
}


def dump_of(name: str) -> dict[str, Any]:
    """A register dump."""
    found: dict[str, Any] = json.loads((DUMPS / f"{name}.json").read_text())
    return found


class Rig(NamedTuple):
    """A meter with the registers of a dump."""

    device: ModbusSlave | ModbusGateway
    meter: ModbusMeter


@asynccontextmanager
async def rig(path: Path, name: str, **options: object) -> AsyncIterator[Rig]:
    """On a serial line; behind a connection if its address is one that only TCP has."""
    dump = dump_of(name)
    given: dict[str, object] = {"bus": "bus", "template": name, "timeout_s": 0.3, "retries": 0, **options}
    bus: ModbusRtu | ModbusTcp
    device: ModbusSlave | ModbusGateway
    if int(dump["unit"]) <= ModbusRtu.units[-1]:
        device = ModbusSlave(path / "port")
        device.line.plug()
        bus = ModbusRtu("bus", {"port": str(path / "port"), "baud": 115200, "quiet_s": 0.02})
    else:
        device = ModbusGateway()
        await device.start()
        bus = ModbusTcp("bus", {"host": "127.0.0.1", "port": device.port})
    device.do_load(dump)
    if dump["unit"] != template.load("meter", name).bus.address:
        given.setdefault("address", dump["unit"])
    try:
        yield Rig(device, ModbusMeter("main", given, DriverContext(time.monotonic, {"bus": bus})))
    finally:
        await bus.close()
        if isinstance(device, ModbusGateway):
            await device.stop()
        else:
            device.line.unplug()


def rounded(value: Any) -> Any:
    """A float without what 32 bits add to it; energy is in integers, which are exact."""
    if isinstance(value, tuple) and not isinstance(value, PerPhase):
        return value
    if isinstance(value, PerPhase):
        return PerPhase(*map(rounded, value))
    return round(value, 3) if isinstance(value, float) else value


def test_no_map_is_shipped_without_a_dump() -> None:
    """Nor a dump without what it should read as."""
    assert template.names() == sorted(EXPECTED) == sorted(path.stem for path in DUMPS.glob("*.json"))
    assert all(dump_of(name)["origin"] for name in EXPECTED)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_map_reads_what_the_manual_says(tmp_path: Path, name: str) -> None:
    """Every quantity, to the last digit that the meter tells; nothing else; in so many requests."""

    async def scenario() -> None:
        async with rig(tmp_path, name) as r:
            await r.meter.open()
            before = len(r.device.requests)
            got = await r.meter.read()
            told = {field: getattr(got, field) for field in MeterReading.__struct_fields__}
            told = {field: value for field, value in told.items() if value is not None}
            del told["sampled_at"], told["quality"]
            assert sorted(told) == sorted(EXPECTED[name].reading)
            for field, value in EXPECTED[name].reading.items():
                assert rounded(told[field]) == value, field
            assert set(told) == r.meter.info.quantities
            assert len(r.device.requests) - before == EXPECTED[name].requests

    asyncio.run(scenario())


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_meter_says_who_it_is(tmp_path: Path, name: str) -> None:
    """Serial number and firmware as the registers have them; the map fills in the rest."""

    async def scenario() -> None:
        async with rig(tmp_path, name) as r:
            assert await r.meter.identify() == EXPECTED[name].identity

    asyncio.run(scenario())


def test_a_meter_that_refuses_to_say_its_number_is_known_by_its_map(tmp_path: Path) -> None:
    """Older firmware has no such register; that is no fault."""

    async def scenario() -> None:
        async with rig(tmp_path, "eastron-sdm630") as r:
            r.device.registers[1]["holding"].clear()
            assert await r.meter.identify() == Identity("Eastron", "SDM630")

    asyncio.run(scenario())


def test_a_value_that_the_meter_does_not_have_is_left_out(tmp_path: Path) -> None:
    """All ones, the largest number, not a number, a scale factor of 0x8000: each maker has a way to say so."""

    async def scenario() -> None:
        async with rig(tmp_path, "abb-b23-b24") as r:
            r.device.do_words(1, "holding", 0x5B14, [0x7FFF, 0xFFFF])
            r.device.do_words(1, "holding", 0x5B10, [0xFFFF, 0xFFFF])
            got = await r.meter.read()
            assert got.power_import_w is None
            assert got.current_a == PerPhase(16.0, 15.9)
            r.device.do_words(1, "holding", 0x5000, [0xFFFF] * 4)
            with pytest.raises(BadReply, match="no number"):
                await r.meter.read()
        async with rig(tmp_path, "bauer-bsm-ws36a") as r:
            r.device.do_words(42, "holding", 40096, [0x8000])
            assert (await r.meter.read()).current_a is None

    asyncio.run(scenario())


def test_a_device_without_the_models_that_are_looked_for_is_not_found(tmp_path: Path) -> None:
    """And says which it has."""

    async def scenario() -> None:
        async with rig(tmp_path, "sunspec-meter", template="sunspec-meter-float", address=126) as r:
            with pytest.raises(NotFound, match=r"has the SunSpec models \[1, 103, 203\]"):
                await r.meter.open()
        async with rig(tmp_path, "eastron-sdm630", template="sunspec-meter") as r:
            with pytest.raises(NotFound, match="no marker at 40000, 50000, 0"):
                await r.meter.open()

    asyncio.run(scenario())


def test_models_that_have_moved_are_found_when_the_meter_is_opened_again(tmp_path: Path) -> None:
    """A firmware update puts another model before the meter's; addresses are not remembered beyond a loss."""

    async def scenario() -> None:
        async with rig(tmp_path, "sunspec-meter") as r:
            await r.meter.open()
            held = r.device.registers[126]["holding"]
            words = [held[at] for at in sorted(held)]
            held.clear()
            r.device.do_words(126, "holding", 50000, [*words[:70], 17, 2, 7, 7, *words[70:]])
            await r.meter.close()
            await r.meter.open()
            assert (await r.meter.read()).energy_import_mwh == 11_114_290_000

    asyncio.run(scenario())


def test_power_that_no_meter_can_carry_is_damage(tmp_path: Path) -> None:
    """What passed the checksum is not therefore true."""

    async def scenario() -> None:
        async with rig(tmp_path, "eastron-sdm630") as r:
            r.device.do_set(1, "input", 0x34, float=3.4e7)
            with pytest.raises(BadReply, match=r"power_w 3\.4e\+07, and can carry no more than 80000 W"):
                await r.meter.read()
        async with rig(tmp_path, "eastron-sdm630", max_power_w=5000) as r:
            with pytest.raises(BadReply, match="no more than 5000 W"):
                await r.meter.read()

    asyncio.run(scenario())
