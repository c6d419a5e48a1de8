"""`ocpp-station commission` looks at Modbus lines and takes who answers into station.yaml."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from station.cli import main
from station.commands.commissioning import lines
from station.config import load
from tests.drivers.test_emulators import Process, emulator
from tests.drivers.test_meter_maps import dump_of
from tests.unit.test_commission_trial import ANSWERS

BASE = """\
station: {{identity: EXAMPLE, vendor: Example, model: Wallbox}}
csms: {{url: "ws://example.invalid", security_profile: 1, password_file: password}}
state_directory: state
control_socket: null
buses: {{rs485: {{kind: modbus-rtu, port: {port}, baud: 115200, quiet_s: 0.02}}}}
boards: {{outlet: {{driver: evse-wb, bus: rs485, address: 5}}}}
meters: {{old: {{driver: modbus, bus: rs485, template: eastron-sdm630, address: 7}}}}   # it was exchanged
# the one outlet
evses: [{{board: outlet, meter: old, connectors: [{{type: cType2}}]}}]
"""

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Process]:
    """An RS-485 line with an SDM630 at 1, an ABB B23 at 3, and a board at 5; nobody is at 7."""
    with emulator("modbus_slave", tmp_path / "rs485") as emulated:
        emulated("load", dump=dump_of("eastron-sdm630"))
        emulated("load", dump=dump_of("abb-b23-b24") | {"unit": 3})
        for address in (*range(1000, 1008), *range(2000, 2008)):
            emulated("set", unit=5, table="holding", address=address, value=1 if address == 1002 else 0)
        yield emulated


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Commission with these answers; the exit code, and all that was said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lines, "ADDRESSES", range(1, 6))
    monkeypatch.setattr(lines, "_TIMEOUT_S", 0.1)
    (tmp_path / "base.yaml").write_text(BASE.format(port=tmp_path / "rs485"), "utf-8")

    def runs(typed: str | None = None, **more: Any) -> tuple[int, str]:
        (tmp_path / "answers.yaml").write_text(yaml.safe_dump({**ANSWERS, **more}), "utf-8")
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed or ""))
        alone = ["--yes"] if typed is None else []
        given = ["--base", "base.yaml", "--config", "station.yaml", "--answers", "answers.yaml"]
        code = main(["commission", *given, *alone])
        told = capsys.readouterr()
        return code, told.out + told.err

    return runs


@pytest.mark.usefixtures("line")
def test_who_answers_is_told_and_taken_as_somebody_has_said(run: Run) -> None:
    """In the record, too. Nothing was written to any device before the file was right."""
    code, told = run(scan=True, take={"rs485/3": "left@1"}, displays={"left": 12345.7})

    assert code == 1, told  # nobody is the CSMS
    assert "address 1: eastron-sdm630, Eastron, " in told or "address 1: eastron-sdm630" in told
    assert "address 3: abb-b23-b24, ABB B23 112-100 3051234 B1.24.0, 12345.670 kWh (in no section of the file)" in told
    assert "address 5 answers, by no register map of a meter (board outlet)" in told
    assert "address 7, meter old, does not answer -> its power, wiring, address, speed?" in told
    file = load(Path("station.yaml")).file
    assert file.evses[0].meter == "left"
    assert file.meters["left"] == {"driver": "modbus", "template": "abb-b23-b24", "bus": "rs485", "address": 3}
    text = Path("station.yaml").read_text("utf-8")
    assert "# the one outlet" in text
    record = Path("commissioning.txt").read_text("utf-8")
    assert "ok      scan rs485/3           taken as meter left, of EVSE 1" in record
    assert "ok      reading left           EVSE 1, ABB B23" in record


@pytest.mark.usefixtures("line")
def test_somebody_takes_what_answers_at_a_port_that_is_in_no_file(run: Run, tmp_path: Path) -> None:
    """Wrong answers are told, with what there is, and asked for again."""
    typed = [
        "rs486",
        f"{tmp_path}/rs485@115200",
        "left meter",
        "outlet@1",
        "left@2",
        "left=abb-b23-b24@1",
        "left=eastron-sdm72d-v2@1",
    ]
    typed += ["", "right", "second=evse-wb@3", "second=evse-wb@2", "", "y"]
    base = (tmp_path / "base.yaml").read_text("utf-8").replace(str(tmp_path / "rs485"), "/dev/none")
    (tmp_path / "base.yaml").write_text(base, "utf-8")

    _, told = run(typed="\n".join(typed) + "\n")

    assert "no Modbus line is called 'rs486' (there are: rs485) - or name a port" in told
    assert "'left meter' is none of NAME, NAME@EVSE" in told
    assert "another device is called 'outlet'" in told
    assert "no EVSE 2 (there are 1)" in told
    assert "what is it? NAME=DRIVER, with one of: eastron-sdm630, eastron-sdm72d-v2" in told
    file = load(Path("station.yaml")).file
    assert file.buses["line-1"] == {"kind": "modbus-rtu", "port": f"{tmp_path}/rs485", "baud": 115200}
    assert (file.meters["left"]["template"], file.meters["left"]["bus"]) == ("eastron-sdm72d-v2", "line-1")
    assert "right" not in file.meters
    assert [each.board for each in file.evses] == ["outlet", "second"]


@pytest.mark.usefixtures("line")
def test_a_device_of_the_file_is_found_at_its_new_address(run: Run) -> None:
    """Taken by its own name it keeps what else the file says of it."""
    run(take={"rs485/1": "old"})

    assert load(Path("station.yaml")).file.meters["old"] == {
        "driver": "modbus",
        "bus": "rs485",
        "template": "eastron-sdm630",
        "address": 1,
    }


def test_looking_only_reads(run: Run, line: Process) -> None:
    """Whoever stops then has changed nothing at all."""
    code, _ = run(typed="rs485\n\n\n\nn\n")

    assert code == 2
    assert set(line("functions")) <= {1, 2, 3, 4}
    assert {path.name for path in Path().iterdir() if path.is_file()} == {"base.yaml", "answers.yaml"}


@pytest.mark.usefixtures("line")
@pytest.mark.parametrize(
    "more, told",
    [
        ({"scan": ["rs486"]}, "scan: no Modbus line is called 'rs486' (there are: rs485)"),
        ({"take": {"rs485/2": "left@1"}}, "scan: nobody answers at 'rs485/2' (there are: rs485/1"),
        ({"take": {"rs485/3": "left@9"}}, "scan: no EVSE 9"),
        ({"take": {"rs485/1": "left@1", "rs485/3": "left"}}, "scan: 'left' is taken already, at rs485/1"),
        ({"take": {"rs485/5": "second"}}, "scan: what is it? NAME=DRIVER, with one of: bender-cc"),
        ({"scan": 7}, "scan"),
    ],
    ids=str,
)
def test_a_wrong_answer_changes_nothing(run: Run, more: dict[str, Any], told: str) -> None:
    """Exit code 2."""
    code, said = run(**more)

    assert code == 2
    assert told in said.splitlines()[-1]
    assert {path.name for path in Path().iterdir() if path.is_file()} == {"base.yaml", "answers.yaml"}


def test_a_line_that_is_not_there_is_a_finding(run: Run) -> None:
    """With its remedy; the rest goes on."""
    code, told = run(scan=True)

    assert code == 1
    assert "may this user open the port?" in told
    assert "error   scan rs485" in Path("commissioning.txt").read_text("utf-8")
