"""`ocpp-station hal scan | read | record` on a line with emulated meters."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from station.cli import main
from tests.drivers.test_emulators import Process, emulator
from tests.drivers.test_meter_maps import dump_of


@pytest.fixture
def line(tmp_path: Path) -> Iterator[tuple[str, Process]]:
    """An RS-485 line with an SDM630 at 1 and an ABB B23 at 3; 5 is something else."""
    with emulator("modbus_slave", tmp_path / "rs485") as emulated:
        emulated("load", dump=dump_of("eastron-sdm630"))
        emulated("load", dump=dump_of("abb-b23-b24") | {"unit": 3})
        emulated("set", unit=5, table="holding", address=1000, value=6)
        yield str(tmp_path / "rs485"), emulated


def station(folder: Path, port: str) -> str:
    """A station.yaml with this line."""
    path = folder / "station.yaml"
    path.write_text(f"""\
station: {{identity: CS1, vendor: Acme, model: One}}
csms: {{url: "ws://localhost:9000", security_profile: 1, password_file: {folder}/password}}
state_directory: {folder}
buses:
  rs485: {{kind: modbus-rtu, port: {port}, baud: 115200, quiet_s: 0.05}}
  can: {{kind: can, interface: socketcan, channel: can0}}
boards: {{board: {{driver: can, bus: can}}}}
meters: {{left: {{driver: modbus, bus: rs485, template: abb-b23-b24, address: 3}}}}
evses: [{{board: board, meter: left, connectors: [{{type: cType2}}]}}]
""")
    (folder / "password").write_text("0123456789abcdef0123")
    (folder / "password").chmod(0o600)
    return str(path)


def test_a_scan_tells_who_answers_and_by_which_map(
    line: tuple[str, Process], capsys: pytest.CaptureFixture[str]
) -> None:
    """Maps of one family fit alike; what is no meter is told, too; an address where nobody is costs half a second."""
    assert main(["hal", "scan", "--port", line[0], "--baud", "115200", "--addresses", "1-3,5", "--timeout", "0.2"]) == 0

    told = [row.split() for row in capsys.readouterr().out.splitlines()]
    assert [(row[0], row[1]) for row in told] == [
        ("1", "eastron-sdm630"),
        ("1", "eastron-sdm72d-v2"),
        ("1", "eastron-sdm120"),
        ("1", "eastron-sdm230"),
        ("3", "abb-b23-b24"),
        ("5", "answers"),
    ]
    assert told[4][2:] == ["12345.670", "kWh", "ABB", "B23", "112-100", "3051234"]


def test_a_scan_only_reads(line: tuple[str, Process]) -> None:
    """Whoever scans a running installation switches nothing."""
    path, emulated = line

    main(["hal", "scan", "--port", path, "--baud", "115200", "--addresses", "1,3,5", "--timeout", "0.2"])

    assert set(emulated("functions")) <= {1, 2, 3, 4}


def test_where_nobody_answers_a_scan_fails_with_what_to_look_at(
    line: tuple[str, Process], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1; a range that is none is a mistake of its own."""
    assert main(["hal", "scan", "--port", line[0], "--addresses", "7-8", "--timeout", "0.1"]) == 1
    assert "A and B swapped?" in capsys.readouterr().err

    assert main(["hal", "scan", "--port", line[0], "--addresses", "8-7"]) == 78
    assert "'8-7' is none of 1-32" in capsys.readouterr().err


def test_a_meter_of_the_configuration_is_read_in_units(
    line: tuple[str, Process], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its name in station.yaml, or by port, map and address without one."""
    config = station(tmp_path, line[0])

    assert main(["hal", "read", "left", "--config", config]) == 0
    told = capsys.readouterr().out
    assert "left: ABB B23 112-100 3051234 firmware B1.24.0" in told
    assert "energy_import           12345.670 kWh" in told
    assert "voltage                 230.100  231.200  229.900 V" in told

    where = ["--port", line[0], "--baud", "115200", "--template", "eastron-sdm630"]
    assert main(["hal", "read", *where]) == 0
    assert "energy_import           11114.290 kWh" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, reason",
    [
        (["read", "right"], "which meter? Name one (there are: left)"),
        (["scan", "rs486"], "which Modbus line? Name a bus (there are: rs485)"),
        (["read", "--port", "/dev/null"], "which register map?"),
        (["record", "left", "--also", "holding:0x50G0"], "no range such as"),
    ],
)
def test_what_is_not_meant_is_said_with_what_there_is(
    line: tuple[str, Process], tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], reason: str
) -> None:
    """Exit code 78, one line."""
    assert main(["hal", *words, "--config", station(tmp_path, line[0])]) == 78
    assert reason in capsys.readouterr().err


def test_a_record_is_a_dump_that_reads_like_the_meter(
    line: tuple[str, Process], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What comes out is what was put in, as far as it is read: a fixture for a test."""
    config, output = station(tmp_path, line[0]), tmp_path / "dump.json"

    also = ["--also", "holding:0x5008+8", "--also", "input:7"]
    assert main(["hal", "record", "left", "--config", config, "--output", str(output), *also]) == 0

    made: dict[str, Any] = json.loads(output.read_text())
    assert (made["template"], made["unit"]) == ("abb-b23-b24", 3)
    assert "ABB B23 112-100 3051234" in made["origin"]
    given, got = words_of(dump_of("abb-b23-b24")), words_of(made)
    assert got.items() <= given.items()
    assert {0x5000, 0x500F, 0x5B00, 0x5B3A, 0x8900, 0x8960} <= got.keys()
    assert main(["hal", "record", "left", "--config", config]) == 0
    assert json.loads(capsys.readouterr().out)["registers"].keys() == {"holding"}


def words_of(dump: dict[str, Any]) -> dict[int, str]:
    """The holding registers."""
    return {
        int(at, 16) + n: word
        for at, words in dump["registers"]["holding"].items()
        for n, word in enumerate(words.split())
    }


def test_a_port_that_is_not_there_is_told_with_a_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As it is for `check`."""
    assert main(["hal", "scan", "--port", str(tmp_path / "none"), "--addresses", "1"]) == 1
    assert "may this user open the port?" in capsys.readouterr().err
