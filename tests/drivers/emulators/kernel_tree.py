"""Folders of files as the kernel shows them: hwmon chips, 1-wire thermometers, LEDs, with what goes wrong with them.

Written from Linux, Documentation/hwmon/sysfs-interface.rst, w1/slaves/w1_therm.rst, leds/leds-class.rst and
ledtrig-timer, and the data sheet of the DS18B20, without code of the drivers. A file cannot fail to be read as a bus
does: an attribute that gives EIO is played by a folder in its place (EISDIR).
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


class LedTree:
    """/sys/class/leds. `put` writes an attribute as the kernel takes it; `shows` is what one sees."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "class" / "leds"
        self.writes = 0

    def add(self, name: str, most: int = 255) -> None:
        """An LED that somebody else had set to follow the disk."""
        led = self.folder / name
        led.mkdir(parents=True)
        for attribute, value in {
            "max_brightness": most,
            "brightness": 0,
            "trigger": "none [disk-activity] timer",
        }.items():
            (led / attribute).write_text(f"{value}\n", "ascii")

    def put(self, path: Path, text: str) -> None:
        """Triggers come and go with their attributes; a brightness of 0 ends a trigger; a number must be one."""
        self.writes += 1
        led = path.parent
        if not path.exists():
            raise FileNotFoundError(2, "No such file or directory")
        if path.name == "trigger":
            self._trigger(led, text)
        elif path.name == "brightness" and int(text) == 0:
            self._trigger(led, "none")
        if path.name != "trigger":
            path.write_text(str(int(text)), "ascii")

    def _trigger(self, led: Path, name: str) -> None:
        assert name in {"none", "timer", "disk-activity"}
        (led / "trigger").write_text(name, "ascii")
        for attribute in ("delay_on", "delay_off"):
            if name == "timer":
                (led / attribute).write_text("500", "ascii")
            else:
                (led / attribute).unlink(missing_ok=True)
        if name == "none":
            (led / "brightness").write_text("0", "ascii")

    def shows(self, name: str) -> str:
        """`off`, `on`, or `on/off` in ms; the brightness with it where it is not the most."""
        led = self.folder / name
        texts = {path.name: path.read_text("ascii").strip() for path in led.iterdir()}
        if texts["brightness"] == "0":
            return "off"
        assert texts["brightness"] == texts["max_brightness"]
        return f"{texts['delay_on']}/{texts['delay_off']}" if texts["trigger"] == "timer" else "on"
