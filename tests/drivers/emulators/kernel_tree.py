"""Folders of files as the kernel shows them: hwmon chips and 1-wire thermometers, with what goes wrong with them.

Written from Linux, Documentation/hwmon/sysfs-interface.rst and Documentation/w1/slaves/w1_therm.rst, and the data sheet
of the DS18B20, without code of the drivers. A file cannot fail to be read as a bus does: an attribute that gives EIO is
played by a folder in its place (EISDIR).
"""

from __future__ import annotations

import shutil
from pathlib import Path


class HwmonTree:
    """/sys/class/hwmon. Chips get numbers in the order in which they come, as at boot."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "class" / "hwmon"
        self._devices = root / "devices"
        self.folder.mkdir(parents=True)

    def add(self, name: str, place: str, **files: object) -> Path:
        """A chip at a place on its bus, with these attributes."""
        device = self._devices / place
        device.mkdir(parents=True, exist_ok=True)
        chip = self.folder / f"hwmon{len(list(self.folder.iterdir()))}"
        chip.mkdir()
        (chip / "device").symlink_to(device)
        for attribute, value in {"name": name, **files}.items():
            (chip / attribute).write_text(f"{value}\n", "ascii")
        return chip

    def clear(self) -> None:
        """All drivers are unloaded."""
        for chip in self.folder.iterdir():
            shutil.rmtree(chip)


class W1Tree:
    """/sys/bus/w1/devices with one DS18B20."""

    def __init__(self, root: Path, address: str = "28-0316a2794aff") -> None:
        self.folder = root / "bus" / "w1" / "devices"
        self.address = address
        self._scratchpad(celsius=23.125)

    def do_measure(self, celsius: float) -> None:
        """So warm."""
        self._scratchpad(celsius)

    def do_damage(self) -> None:
        """A bit flips on the wire: the check fails, and the value kept is the last one."""
        self._scratchpad(23.125, check="NO")

    def do_short(self) -> None:
        """The data wire touches ground."""
        self._write(bytes(9), "YES", 0)

    def do_starve(self) -> None:
        """No current for the conversion: the register is as it was at power-on."""
        self._write(bytes.fromhex("50054b467fff0c101c"), "YES", 85_000)

    def do_boil(self) -> None:
        """Really 85 degrees: the same number, measured. Byte 6 counts down from 16 by the sixteenths of a degree."""
        self._write(bytes.fromhex("50054b467fff101077"), "YES", 85_000)

    def do_unplug(self) -> None:
        """It is not on the bus any more: the kernel takes its folder away."""
        shutil.rmtree(self.folder / self.address)

    def do_plug(self) -> None:
        """It is back."""
        self._scratchpad(23.125)

    def _scratchpad(self, celsius: float, check: str = "YES") -> None:
        raw = round(celsius * 16)
        data = raw.to_bytes(2, "little", signed=True) + bytes.fromhex("4b467fff0e1057")
        self._write(data, check, raw * 1000 // 16)

    def _write(self, data: bytes, check: str, milli: int) -> None:
        spelt = data.hex(" ")
        folder = self.folder / self.address
        folder.mkdir(parents=True, exist_ok=True)
        text = f"{spelt} : crc={data[-1]:02x} {check}\n{spelt} t={milli}\n"
        (folder / "w1_slave").write_text(text, "ascii")
