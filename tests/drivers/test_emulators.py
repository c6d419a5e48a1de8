"""Each emulator as a process of its own, commanded on stdin: what system tests use."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hal.buses.can import CanBus
from hal.buses.modbus_rtu import ModbusRtu
from hal.context import DriverContext
from hal.drivers.can_board import CanBoard
from hal.drivers.modbus_meter import ModbusMeter
from hal.drivers.pn532 import Pn532

ROOT = Path(__file__).parents[2]


class Process:
    """An emulator and its control channel."""

    def __init__(self, running: subprocess.Popen[str]) -> None:
        self._running = running

    def __call__(self, cmd: str, **fields: object) -> Any:
        """Gives a command; its result."""
        assert self._running.stdin
        self._running.stdin.write(json.dumps({"cmd": cmd, **fields}) + "\n")
        self._running.stdin.flush()
        answer = self.answer()
        assert answer.get("ok"), answer
        return answer.get("result")

    def answer(self) -> Any:
        """The next line it says."""
        assert self._running.stdout
        return json.loads(self._running.stdout.readline())


@contextmanager
def emulator(name: str, link: Path) -> Iterator[Process]:
    """Started; it ends with its stdin."""
    command = [sys.executable, "-m", f"tests.drivers.emulators.{name}", "--link", str(link)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:  # noqa: S603 - ours
        process = Process(running)
        assert process.answer() == {"ok": True, "link": str(link)}
        yield process
        assert running.stdin
        running.stdin.close()
        assert running.wait(5) == 0
    assert not link.is_symlink()


def test_a_meter_in_another_process(tmp_path: Path) -> None:
    """Set registers, drop a frame, pull the adapter out and put it back."""

    async def scenario(meter: ModbusMeter, emulated: Process, bus: ModbusRtu) -> None:
        for address in range(80):
            emulated("set", unit=1, table="input", address=address, value=0)
        emulated("set", unit=1, table="input", address=0x48, float=11114.29)
        emulated("drop")
        await meter.open()
        assert (await meter.read()).energy_import_mwh == 11_114_290_039
        emulated("unplug")
        emulated("plug")
        await asyncio.sleep(0.05)
        await meter.read()
        await bus.close()

    with emulator("modbus_slave", tmp_path / "rs485") as emulated:
        bus = ModbusRtu("bus", {"port": str(tmp_path / "rs485"), "reopen_s": 0.02})
        options = {"bus": "bus", "template": "eastron-sdm630", "timeout_s": 0.3}
        meter = ModbusMeter("main", options, DriverContext(time.monotonic, {"bus": bus}))
        asyncio.run(scenario(meter, emulated, bus))


def test_a_reader_in_another_process(tmp_path: Path) -> None:
    """Present a card."""

    async def scenario(reader: Pn532, emulated: Process) -> None:
        await reader.open()
        token = asyncio.ensure_future(anext(reader.tokens()))
        await asyncio.sleep(0.01)
        emulated("present", uid="04A1B2C3")
        assert (await token).uid_hex == "04A1B2C3"
        await reader.close()

    with emulator("pn532_chip", tmp_path / "reader") as emulated:
        asyncio.run(
            scenario(Pn532("front", {"port": str(tmp_path / "reader")}, DriverContext(time.monotonic, {})), emulated)
        )


def test_a_board_in_another_process(tmp_path: Path) -> None:
    """Plug a vehicle in and out; a command that does not exist is told and harmless."""

    async def scenario(board: CanBoard, emulated: Process) -> None:
        await board.open()
        emulated("plug_in", channel=1, cable_a=20)
        await asyncio.sleep(0.05)
        assert (await board.snapshot(1)).cable_rating_a == 20
        with pytest.raises(AssertionError, match="do_nonsense"):
            emulated("nonsense")
        assert emulated("state", channel=1)["pilot"] == "B"
        await board.close()

    with emulator("slcan_board", tmp_path / "can") as emulated:
        options = {"interface": "slcan", "channel": str(tmp_path / "can"), "bitrate": 250_000}
        context = DriverContext(time.monotonic, {"bus": CanBus("bus", options)})
        asyncio.run(scenario(CanBoard("left", {"bus": "bus"}, context), emulated))
