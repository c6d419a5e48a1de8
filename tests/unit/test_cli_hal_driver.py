"""`ocpp-station hal read | record | test --driver`: a device is tried before it stands in any station.yaml."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hal.errors import BadOptions
from station.cli import main
from station.commands.hal_device import over_network
from station.commands.run import owned
from tests.drivers.test_emulators import Process, emulator
from tests.drivers.test_meter_maps import dump_of

METER = ("--driver", "meter.modbus", "--option", "template=abb-b23-b24")
BOARD = ("--driver", "board.evse-wb", "--option", "address=1")


@pytest.fixture
def line(tmp_path: Path) -> Iterator[tuple[str, Process]]:
    """An RS-485 line with an ABB B23 at 3."""
    with emulator("modbus_slave", tmp_path / "rs485") as emulated:
        emulated("load", dump=dump_of("abb-b23-b24") | {"unit": 3})
        yield str(tmp_path / "rs485"), emulated


@pytest.fixture
def nowhere(tmp_path: Path) -> tuple[str, str]:
    """There is no station.yaml."""
    return "--config", str(tmp_path / "station.yaml")


def test_a_meter_is_read_by_its_driver_alone(
    line: tuple[str, Process], nowhere: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The options are those that station.yaml would have."""
    where = ["--option", f"bus.port={line[0]}", "--option", "bus.baud=115200", "--option", "address=3"]

    assert main(["hal", "read", *METER, *where, *nowhere]) == 0

    told = capsys.readouterr().out
    assert told.startswith("modbus: ABB B23 112-100 3051234 firmware B1.24.0\n")
    assert "energy_import           12345.670 kWh" in told


def test_the_words_of_scan_make_the_line_too(
    line: tuple[str, Process], nowhere: tuple[str, str], tmp_path: Path
) -> None:
    """And a dump of its registers comes out."""
    where = ["--port", line[0], "--baud", "115200", "--address", "3", "--output", str(tmp_path / "dump.json")]

    assert main(["hal", "record", "left", *METER, *where, *nowhere]) == 0

    made = json.loads((tmp_path / "dump.json").read_text())
    assert (made["template"], made["unit"]) == ("abb-b23-b24", 3)


def test_a_device_is_put_on_a_line_of_the_file(
    line: tuple[str, Process], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A running agent keeps its lines."""
    config = tmp_path / "station.yaml"
    config.write_text(f"""\
station: {{identity: CS1, vendor: Acme, model: One}}
csms: {{url: "ws://localhost:9000", security_profile: 1, password_file: password}}
state_directory: state
buses: {{rs485: {{kind: modbus-rtu, port: {line[0]}, baud: 115200}}}}
simulator: {{evses: 1}}
""")
    (tmp_path / "password").write_text("0123456789abcdef0123")
    (tmp_path / "password").chmod(0o600)
    given = ["hal", "read", *METER, "--option", "address=3", "--option", "bus=rs485", "--config", str(config)]

    assert main(given) == 0
    assert "12345.670 kWh" in capsys.readouterr().out
    with owned(tmp_path / "state"):
        assert main(given) == 75
    assert "an agent runs with this hardware" in capsys.readouterr().err


def test_any_device_of_the_file_is_read_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Boards and sensors, too, and meters that are on no line."""
    config = tmp_path / "station.yaml"
    config.write_text("""\
station: {identity: CS1, vendor: Acme, model: One}
csms: {url: "ws://localhost:9000", security_profile: 1, password_file: password}
state_directory: state
simulator: {evses: 2, energy_wh: 1500}
""")
    (tmp_path / "password").write_text("0123456789abcdef0123")
    (tmp_path / "password").chmod(0o600)

    assert main(["hal", "read", "simulator", "--config", str(config)]) == 0
    assert "channel 2: pilot A" in capsys.readouterr().out
    assert main(["hal", "read", "meter-2", "--config", str(config)]) == 0
    assert "energy_import           1.500 kWh" in capsys.readouterr().out
    assert main(["hal", "record", "simulator", "--config", str(config)]) == 78
    assert "has no registers to record" in capsys.readouterr().err


def test_a_board_is_tested_and_shown_before_it_stands_in_a_file(
    nowhere: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The contract of any driver; its contactor stays open."""
    with emulator("evse_wb_board", tmp_path / "line") as board:
        where = ["--port", str(tmp_path / "line")]
        board("plug_in")

        assert main(["hal", "read", *BOARD, *where, *nowhere]) == 0
        shown = capsys.readouterr().out
        assert main(["hal", "test", *BOARD, *where, *nowhere]) == 0

        assert not board("state")["relay"]
    assert "channel 1: pilot B" in shown
    assert "passed   It opens and closes, again and again." in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, told",
    [
        (["test", "--driver", "evse-wb"], "'evse-wb' is none of board, meter"),
        (["test", "--driver", "board.evse-wp"], "no board driver has this name (there are: bender-cc"),
        (["test", *BOARD, "--option", "port"], "'port' is no KEY=VALUE"),
        (["test", *BOARD], "'bus' is missing"),
        (["test", *BOARD, "--option", "bus.kind=rs485"], "rs485"),
        (["test", *BOARD, "--port", "/dev/null", "--option", "colour=red"], "unknown here (there are: address"),
        (["record", "--driver", "sensor.sysfs", "--option", "path=/x"], "has no registers to record"),
    ],
)
def test_what_cannot_be_built_is_told_and_nothing_is_touched(
    nowhere: tuple[str, str], capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    """Exit code 78, one line."""
    assert main(["hal", *words, *nowhere]) == 78

    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "text, host, port",
    [
        ("10.0.0.7", "10.0.0.7", None),
        ("gateway.lan:1502", "gateway.lan", 1502),
        ("fd00::7", "fd00::7", None),
        ("[fd00::7]:1502", "fd00::7", 1502),
        ("[fd00::7]", "fd00::7", None),
    ],
)
def test_a_line_over_the_network_is_named_as_addresses_are(text: str, host: str, port: int | None) -> None:
    options = over_network("--host", text)

    assert options == {"kind": "modbus-tcp", "host": host} | ({} if port is None else {"port": port})


@pytest.mark.parametrize("text", ["", ":502", "gateway:modbus", "[fd00::7]502", "[fd00::7]:x", "[]"])
def test_what_is_no_address_is_told_and_not_guessed(text: str) -> None:
    with pytest.raises(BadOptions, match="HOST:PORT"):
        over_network("--host", text)
