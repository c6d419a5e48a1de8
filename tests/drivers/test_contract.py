"""The drivers for real devices keep the contract, against emulators that speak their bytes on ptys."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from hal import contract
from hal.buses.can import CanBus
from hal.buses.modbus_rtu import ModbusRtu
from hal.context import DriverContext
from hal.drivers import pn532, serial_reader
from hal.registry import Registry
from tests.drivers.emulators import slcan_board
from tests.drivers.emulators.line import Emulator
from tests.drivers.emulators.line_talker import LineTalker
from tests.drivers.emulators.modbus_slave import ModbusSlave
from tests.drivers.emulators.pn532_chip import Pn532Chip
from tests.drivers.emulators.rdm6300_module import Rdm6300Module
from tests.drivers.emulators.slcan_board import SlcanBoard

HURRY = 0.03
"""A second of the contract in real seconds; the board's leases run as fast."""


class Rig:
    """A driver, its bus and its emulator."""

    kind: str
    driver: str
    options: dict[str, object]

    def __init__(self, emulator: Emulator, bus: Any) -> None:
        self.emulator = emulator
        self.bus = bus

    def build(self) -> Any:
        """A new driver for the same device."""
        context = DriverContext(self.clock, {"bus": self.bus})
        return Registry().build(self.kind, self.driver, "device", self.options, context)

    def clock(self) -> float:
        """Real time."""
        return time.monotonic()

    async def wait(self, seconds: float) -> None:
        """Let it pass, hurried."""
        await asyncio.sleep(seconds * HURRY)

    async def unplug_device(self, *, gone: bool) -> None:
        """Take the USB adapter away or give it back."""
        if gone:
            self.emulator.line.unplug()
        else:
            self.emulator.line.plug()
            await asyncio.sleep(0.03)


class MeterRig(Rig):
    """An SDM630."""

    kind, driver = "meter", "modbus"
    options = {"bus": "bus", "template": "eastron-sdm630", "timeout_s": 0.2}  # noqa: RUF012 - never changed

    def __init__(self, path: Path) -> None:
        slave = ModbusSlave(path / "port")
        for address in range(80):
            slave.do_set(1, "input", address, value=0)
        slave.do_set(1, "input", 0x48, float=11114.29)
        super().__init__(slave, ModbusRtu("bus", {"port": str(path / "port"), "baud": 115200, "reopen_s": 0.02}))


class BoardRig(Rig):
    """The reference board with two channels."""

    kind, driver = "board", "can"
    options = {"bus": "bus", "channels": [1, 2]}  # noqa: RUF012 - never changed

    def __init__(self, path: Path) -> None:
        self.board = SlcanBoard(path / "port")
        options = {"interface": "slcan", "channel": str(path / "port"), "bitrate": 250_000}
        super().__init__(self.board, CanBus("bus", options))

    async def vehicle(self, channel: int, *, connected: bool) -> None:
        """A vehicle that asks for current at once."""
        if connected:
            self.board.do_plug_in(channel)
            self.board.do_vehicle(channel, "C")
        else:
            self.board.do_plug_out(channel)
        await asyncio.sleep(0.01)

    async def fault(self, channel: int, *, present: bool) -> None:
        """A ground fault."""
        self.board.do_fault(channel, "GroundFault", on=present)


class ReaderRig(Rig):
    """A PN532."""

    kind, driver = "reader", "pn532"

    def __init__(self, path: Path) -> None:
        self.chip = Pn532Chip(path / "port")
        self.options = {"port": str(path / "port")}
        super().__init__(self.chip, None)

    async def card(self) -> str:
        """A seven-byte card."""
        self.chip.do_present("04a1b2c3d4e5f6")
        return "04A1B2C3D4E5F6"


class TagRig(Rig):
    """An RDM6300."""

    kind, driver = "reader", "rdm6300"

    def __init__(self, path: Path) -> None:
        self.module = Rdm6300Module(path / "port")
        self.options = {"port": str(path / "port")}
        super().__init__(self.module, None)

    async def card(self) -> str:
        """A tag, held for three frames."""
        self.module.do_present("010063e9ae", count=3)
        return "010063E9AE"


class LineRig(Rig):
    """A reader that writes lines."""

    kind, driver = "reader", "line"

    def __init__(self, path: Path) -> None:
        self.talker = LineTalker(path / "port")
        self.options = {"port": str(path / "port"), "pattern": "card (?P<uid>[0-9a-f]+)"}
        super().__init__(self.talker, None)

    async def card(self) -> str:
        """A card of ten bytes."""
        self.talker.do_say("card 04a1b2c3d4e5f60718aa")
        return "04A1B2C3D4E5F60718AA"


class SensorRig(Rig):
    """The plug's temperature, told by the board whenever its adapter is opened and 50 times a second."""

    kind, driver = "sensor", "can"
    options = {"bus": "bus", "message": "Ch1_Health", "signal": "PlugTemperature", "unit": "Celsius", "silence_s": 0.3}  # noqa: RUF012 - never changed

    def __init__(self, path: Path) -> None:
        board = SlcanBoard(path / "port")
        options = {"interface": "slcan", "channel": str(path / "port"), "bitrate": 250_000}
        super().__init__(board, CanBus("bus", options))

        def tell() -> None:
            board.do_temperatures(1, 25, 30)
            asyncio.get_running_loop().call_later(0.02, tell)

        tell()


RIGS = (MeterRig, BoardRig, ReaderRig, TagRig, LineRig, SensorRig)


@pytest.mark.parametrize(
    "rig, check",
    [
        pytest.param(rig, check, id=f"{rig.driver} {rig.kind}: {check.promise}")
        for rig in RIGS
        for check in contract.checks(rig.kind)
    ],
)
def test_the_driver_keeps_the_contract(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rig: type[Any], check: contract.Check
) -> None:
    """Nothing is skipped."""
    monkeypatch.setattr(slcan_board, "LEASE_UNIT_S", 0.1 * HURRY)
    monkeypatch.setattr(pn532, "_ACK_S", 0.05)
    monkeypatch.setattr(pn532, "_FIRST_LOOK_S", 0.02)
    monkeypatch.setattr(serial_reader, "FIRST_LISTEN_S", 0.02)

    async def scenario() -> contract.Result:
        harness = rig(tmp_path)
        harness.emulator.start()
        try:
            return await contract.run_one(check, harness)
        finally:
            harness.emulator.stop()
            if harness.bus is not None:
                await harness.bus.close()

    result = asyncio.run(scenario())

    assert result == (check.promise, "passed", "")
