"""`ocpp-station drop-in`: the unit's list of devices and secrets, made from station.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from station.commands.dropin import SERIAL, kinds, lines
from station.config import Config, load
from station.config.credentials import handed, name_of

STATION = """\
station: {identity: CS-1, vendor: V, model: M}
csms: {url: "wss://csms.example.com/ocpp", security_profile: 2, password_file: password, system_roots: true}
state_directory: state
"""
SIMULATED = STATION + "simulator: {evses: 1}\n"


def config(folder: Path, text: str) -> Config:
    """A file with a password beside it."""
    (folder / "password").write_text("sixteen-letters-and-more\n", "utf-8")
    (folder / "password").chmod(0o600)
    path = folder / "station.yaml"
    path.write_text(text, "utf-8")
    return load(path)


def told(folder: Path, text: str) -> list[str]:
    """The drop-in without its comments."""
    return [line for line in lines(config(folder, text), folder / "station.yaml") if line[0] != "#"]


def test_a_station_without_buses_may_touch_no_device(tmp_path: Path) -> None:
    """Only its password is handed over."""
    secret = tmp_path / "password"

    assert told(tmp_path, SIMULATED) == ["[Service]", "DeviceAllow=", f"LoadCredential={name_of(secret)}:{secret}"]


def test_each_bus_adds_the_kind_of_its_device_and_no_other(tmp_path: Path) -> None:
    """A serial line by its kind, CAN by its family of addresses; GPIO is not there, so nothing opens it."""
    text = STATION + (
        "buses:\n"
        "  line: {kind: modbus-rtu, port: /dev/ttyUSB77, baud: 9600}\n"
        "  can: {kind: can, interface: socketcan, channel: can0}\n"
        "boards: {board: {driver: can, bus: can, channels: [1], max_a: 32}}\n"
        "meters: {left: {driver: modbus, bus: line, template: eastron-sdm630, address: 1}}\n"
        "readers: {front: {driver: pn532, port: /dev/ttyACM77}}\n"
        "evses: [{board: board, meter: left}]\n"
    )

    made = told(tmp_path, text)

    assert [line for line in made if line.startswith("DeviceAllow")] == [
        "DeviceAllow=",
        "DeviceAllow=char-ttyACM rw",
        "DeviceAllow=char-ttyUSB rw",
    ]
    assert "RestrictAddressFamilies=AF_CAN" in made


def test_keys_in_a_tpm_and_a_clock_to_set_bring_what_they_need(tmp_path: Path) -> None:
    """As the drop-ins of the same names do by hand."""
    made = told(tmp_path, SIMULATED + "keys: {store: tpm}\nclock: {set_system_clock: true}\n")

    assert {"DeviceAllow=char-tpm rw", "SupplementaryGroups=tss"} <= set(made)
    assert made[-3:] == ["[Unit]", "Wants=ocpp-station-clock.socket", "After=ocpp-station-clock.socket"]


def test_a_path_stands_for_itself_and_for_nothing_else(tmp_path: Path) -> None:
    """Not for two of them, nor for what systemd puts in place of a %."""
    folder = tmp_path / "50%u"
    folder.mkdir()
    text = STATION + (
        "buses: {io: {kind: gpio, chip: /dev/gpiochip77}}\n"
        "boards:\n"
        "  board:\n"
        "    {driver: gpio, bus: io, contactor: {line: 5}, pulse_s: 0.1, closed: {line: 6}, plugged: {line: 12},\n"
        "     ready: {line: 13}, pwm: '/sys/class/pwm/a -/etc %h', min_a: 6, max_a: 16}\n"
        "evses: [{board: board}]\n"
    )

    made = told(folder, text)

    assert 'ReadWritePaths="-/sys/class/pwm/a -/etc %%h" -/sys/devices/platform' in made
    secret = str(folder / "password").replace("%", "%%")
    assert f"LoadCredential={secret.strip('/').replace('/', '.')}:{secret}" in made


@pytest.mark.parametrize(
    "device, expected",
    [
        ("/dev/ttyUSB77", ("char-ttyUSB",)),
        ("/dev/serial/by-path/x", ("char-ttyUSB", "char-ttyACM")),
        ("/dev/ocpp/away", SERIAL),
        ("/dev/gpiochip77", ("char-gpiochip",)),
        ("/dev/input/by-id/x", ("char-input",)),
    ],
)
def test_a_device_that_is_away_is_known_by_its_name(device: str, expected: tuple[str, ...]) -> None:
    """An adapter may come later than the unit."""
    assert kinds(device) == expected


def test_a_device_that_is_here_is_of_the_kind_that_the_kernel_tells() -> None:
    """Boards call their UARTs what they like: /dev/ttymxc0 is of the kind IMX-uart."""
    drivers = "Character devices:\n  1 IMX-uart\n  1 /dev/odd\n 11 ttyS\n\nBlock devices:\n  1 ramdisk\n"

    assert kinds("/dev/null", drivers) == ("char-IMX-uart",)


def test_the_copy_that_systemd_hands_over_is_read_instead_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file may be root's alone; without a copy it is read itself."""
    made = config(tmp_path, SIMULATED)
    copies = tmp_path / "credentials"
    copies.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(copies))
    assert made.locate("password") == tmp_path / "password"

    copy = copies / name_of(tmp_path / "password")
    copy.write_text("another-sixteen-letters", "utf-8")

    assert made.locate("password") == copy
    assert handed(tmp_path / "password", {}) == tmp_path / "password"
