"""docs/troubleshooting.md: each command that it tells is run, and shows what the page says is seen by it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from station.cli import main
from tests.agent import PASSWORD, Agent
from tests.drivers.test_emulators import emulator
from tests.drivers.test_meter_maps import dump_of
from tests.live_csms import LiveCsms

pytestmark = pytest.mark.system

PAGE = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text("utf-8")
COMMANDS = set(re.findall(r"^ {4}ocpp-station (.+)$|`ocpp-station ([a-z].*?)`", PAGE, re.MULTILINE))

SHOWN: Mapping[str, str] = {
    "check": "agent                  is running",
    "status": "accepted  Accepted",
    "status --watch": "evse 1    Available",
    "messages": "-> BootNotification",
    "messages --follow": "<- BootNotification answer",
    "messages --last 50": '"status": "Accepted"',
    "messages --save messages.jsonl": "messages.jsonl: ",
    "security-log": "unchanged up to entry",
    "variables list Problem": "Connector@1.1.Problem = false",
    "variables list AvailabilityState": "Connector@1.1.AvailabilityState = Available",
    "variables list AuthCtrlr": "AuthCtrlr.LocalAuthorizeOffline",
    "variables list SmartChargingCtrlr": "SmartChargingCtrlr.Enabled",
    "variables list TxCtrlr": "TxCtrlr.TxBeforeAcceptedEnabled = false",
    "factory-reset --yes": "",
}
"""At a running station."""

OF_LINES: Mapping[str, str] = {
    "hal list": "eastron-sdm630",
    "hal scan rs485": "eastron-sdm630",
    "hal read meter": "energy_import",
    "hal record meter": '"holding"',
    "keys list": "station-1",
    "keys csr NAME": "BEGIN CERTIFICATE REQUEST",
}
"""At a station that does not run."""

LINES = """\
station: {{identity: CS1, vendor: Example, model: One}}
csms: {{url: "ws://127.0.0.1:9", security_profile: 1, password_file: password}}
state_directory: state
buses:
  rs485: {{kind: modbus-rtu, port: {port}, baud: 115200, quiet_s: 0.05}}
  can: {{kind: can, interface: socketcan, channel: can0}}
boards: {{board: {{driver: can, bus: can}}}}
meters: {{meter: {{driver: modbus, bus: rs485, template: eastron-sdm630, address: 1}}}}
evses: [{{board: board, meter: meter}}]
"""


def test_each_command_of_the_page_is_run() -> None:
    """By one of the tests below."""
    assert {"".join(each) for each in COMMANDS} == {*SHOWN, *OF_LINES}


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """A station that has been accepted."""
    with LiveCsms(password=PASSWORD) as csms, Agent(tmp_path, csms.url) as running:
        running.until(lambda status: status["registration"] == "Accepted", "the registration")
        yield running


def test_at_a_running_station_each_command_shows_what_the_page_says(
    agent: Agent, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last one starts it over."""
    monkeypatch.chdir(agent.folder)
    agent.until(lambda status: status["evses"][0]["status"] == "Available", "the hardware")

    for command, shown in SHOWN.items():
        with monkeypatch.context() as patch:
            if command.endswith(("--watch", "--follow")):
                patch.setattr(time, "sleep", _ctrl_c)
            assert main([*command.split(), "--config", "station.yaml"]) == 0, command
        assert shown in capsys.readouterr().out, command
    assert (agent.folder / "messages.jsonl").stat().st_size > 100


def _ctrl_c(seconds: float) -> None:
    raise KeyboardInterrupt(seconds)


def test_lines_and_keys_are_looked_at_while_no_agent_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "password").touch(0o600)
    (tmp_path / "password").write_text(PASSWORD, "utf-8")
    config = tmp_path / "station.yaml"
    with emulator("modbus_slave", tmp_path / "rs485") as emulated:
        emulated("load", dump=dump_of("eastron-sdm630"))
        config.write_text(LINES.format(port=tmp_path / "rs485"), "utf-8")
        main(["keys", "create", "station-1", "--config", str(config)])
        capsys.readouterr()

        for command, shown in OF_LINES.items():
            words = command.replace("NAME", "station-1").split()
            assert main([*words, "--config", str(config)]) == 0, command
            assert shown in capsys.readouterr().out, command


@pytest.mark.parametrize(
    "wrong, code, told",
    [("", 69, "no agent answers on"), ("log_levl: info\n", 78, "log_levl")],
    ids=["not running", "wrong file"],
)
def test_the_exit_codes_are_those_of_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: str, code: int, told: str
) -> None:
    agent = Agent(tmp_path, "ws://127.0.0.1:9", more=wrong)

    assert main(["status", "--config", str(agent.folder / "station.yaml")]) == code

    assert told in capsys.readouterr().err
    assert f"exit code {code}" in PAGE
