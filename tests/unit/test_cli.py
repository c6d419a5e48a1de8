"""The command line: one line and a remedy for people, exit codes for scripts, nothing heavy until it is needed."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingUnixStreamServer
from typing import Any

import pytest

from station.cli import main
from station.commands import local
from station.commands.check import certificates, clock, row, state_directory
from station.commands.findings import Finding, Grade
from station.config import Config, load
from station.shell.clock import BUILT, Machine
from station.version import VERSION

ROOT = Path(__file__).parents[2]

GOOD = """\
station: {identity: CS001, vendor: Example, model: Wallbox, serial: "0042"}
csms: {url: "ws://127.0.0.1:9/ocpp", security_profile: 1, password_file: password}
state_directory: state
control_socket: control.sock
simulator: {evses: 1}
"""

STATUS: dict[str, Any] = {
    "ok": True,
    "identity": "CS001",
    "version": VERSION,
    "time": "2026-11-21T08:00:00.000Z",
    "clock": "Heartbeat",
    "uptime_s": 93_784,
    "link": {"up": False, "kind": "dns", "reason": "no answer", "remedy": "check the host name"},
    "registration": "Accepted",
    "boot_reason": "PowerUp",
    "evses": [
        {
            "id": 1,
            "status": "Occupied",
            "connectors": [],
            "offered_a": 16.0,
            "transaction": {"id": "t-1", "charging_state": "Charging", "energy_wh": 1234.0, "power_w": 11_000.0},
        }
    ],
    "queue": {"transactions_waiting": True, "undelivered": 3},
    "store": "ok",
}

MESSAGES: dict[str, Any] = {
    "ok": True,
    "messages": [
        {
            "number": 1,
            "time": "2026-11-27T08:00:00.120Z",
            "by": "station",
            "kind": "call",
            "size": 90,
            "action": "Authorize",
            "id": "7",
            "payload": {"idToken": {"idToken": "***a1b2", "type": "x" * 200}},
        },
        {
            "number": 2,
            "time": "2026-11-27T08:00:00.170Z",
            "by": "csms",
            "kind": "error",
            "size": 40,
            "id": "7",
            "action": "Authorize",
            "took_s": 0.05,
            "code": "InternalError",
            "description": "\x1b[2J",
            "payload": {},
        },
        {"number": 3, "time": "2026-11-27T08:00:01.000Z", "by": "csms", "kind": "unreadable", "size": 70_000},
    ],
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A station.yaml and its password."""
    (tmp_path / "password").touch(0o600)
    (tmp_path / "password").write_text("a secret of sixteen", "utf-8")
    path = tmp_path / "station.yaml"
    path.write_text(GOOD, "utf-8")
    return path


@pytest.fixture
def agent(config: Path) -> Iterator[list[dict[str, Any]]]:
    """Somebody who answers on the control socket; the commands that came."""
    heard: list[dict[str, Any]] = []

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            command = json.loads(self.rfile.readline())
            heard.append(command)
            known = {"status": STATUS, "messages": MESSAGES}
            answer = known.get(command["cmd"], {"ok": "evse" in command, "error": "which EVSE?"})
            self.wfile.write(json.dumps(answer).encode() + b"\n")

    with ThreadingUnixStreamServer(str(config.parent / "control.sock"), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield heard
        server.shutdown()
        thread.join()


# --- the program


def test_the_command_line_imports_nothing_heavy() -> None:
    """`--help` and mistakes come at once."""
    heavy = {"asyncio", "websockets", "yaml", "cryptography", "msgspec", "sqlite3", "station.app"}
    code = f"import sys; import station.cli; print({heavy!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)  # noqa: S603 - our own code

    assert done.stdout.strip() == "set()"


def test_the_agent_imports_no_library_it_may_not_need() -> None:
    """Neither parsers nor bus libraries nor cryptography: each costs a start tens of milliseconds."""
    heavy = (
        "yaml",
        "cryptography",
        "pymodbus",
        "can",
        "cantools",
        "importlib.metadata",
        "argparse",
        "email",
        "asyncssh",
        "ftplib",
        "http.client",
        "tempfile",
        "zipfile",
    )
    code = f"import sys; import station.commands.run; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)  # noqa: S603 - our own code

    assert done.stdout.strip() == "[]"


def test_the_version_is_the_packages() -> None:
    """A constant in the code, another in pyproject.toml."""
    assert tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"] == VERSION


@pytest.mark.parametrize("arguments, code", [(["--version"], 0), (["--help"], 0), ([], 2), (["fly"], 2)])
def test_exit_codes_of_the_command_line_itself(arguments: list[str], code: int) -> None:
    """As argparse has them."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == code


def test_the_exit_codes_of_run_are_documented(capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts and units rely on them."""
    with pytest.raises(SystemExit):
        main(["run", "--help"])

    told = capsys.readouterr().out
    assert all(f"\n  {code} " in told for code in (0, 1, 2, 3, 75, 78))


# --- status and sim


def test_status_is_for_people(agent: list[dict[str, Any]], config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What somebody at the charger wants to know first."""
    assert main(["status", "--config", str(config)]) == 0

    told = capsys.readouterr().out
    assert agent == [{"cmd": "status"}]
    assert "not connected: no answer - check the host name" in told
    assert "evse 1    Occupied, 16 A offered, Charging t-1, 1.234 kWh" in told
    assert "up 1 d 2:03:04" in told
    assert "transaction events wait; 3 given up and kept" in told


def test_who_watches_sees_it_written_over_and_goes_on_while_the_agent_is_away(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is cleared first, so that nothing flickers; Ctrl-C ends it."""
    answers: list[dict[str, Any] | None] = [STATUS, None, STATUS]
    waits = iter((None, None, KeyboardInterrupt))

    def ask(address: str, command: dict[str, Any]) -> dict[str, Any]:
        answer = answers.pop(0)
        if answer is None:
            raise local.NotRunning(f"no agent answers on {address}: {command}")
        return answer

    def wait(seconds: float) -> None:
        assert seconds == local.WATCH_EVERY_S
        if (end := next(waits)) is not None:
            raise end

    monkeypatch.setattr(local, "ask", ask)
    monkeypatch.setattr(time, "sleep", wait)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)

    assert main(["status", "--watch", "--config", str(config)]) == 0

    _, first, away, again = capsys.readouterr().out.split("\x1b[H")
    assert first == again
    assert "no agent answers on" in away
    for view in (first, away):
        rows = view.removesuffix("\x1b[J").splitlines()
        assert all(row.endswith("\x1b[K") for row in rows)
        assert view.endswith("\x1b[J")


def test_messages_are_one_line_each(
    agent: list[dict[str, Any]], config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Long ones are cut, and nothing that a CSMS says draws on the screen."""
    assert main(["messages", "--config", str(config)]) == 0

    first, second, third = capsys.readouterr().out.splitlines()
    assert agent == [{"cmd": "messages", "after": 0}]
    assert first.startswith('08:00:00.120 -> Authorize {"idToken": {"idToken": "***a1b2"')
    assert first.endswith("x...")
    assert second == "08:00:00.170 <- Authorize error (0.050 s) InternalError \\x1b[2J {}"
    assert third == "08:00:01.000 <- ? unreadable 70000 characters"


@pytest.mark.usefixtures("agent")
def test_messages_are_shown_whole_and_few_if_asked(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["messages", "--config", str(config), "--last", "3", "--full"]) == 0
    assert "x" * 200 in capsys.readouterr().out
    assert main(["messages", "--config", str(config), "--last", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["number"] == 3


@pytest.mark.usefixtures("agent")
def test_messages_are_kept_in_a_file_for_the_owner(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = config.parent / "messages.jsonl"

    assert main(["messages", "--config", str(config), "--save", str(file)]) == 0

    assert [json.loads(line) for line in file.read_text("utf-8").splitlines()] == MESSAGES["messages"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert "3 messages" in capsys.readouterr().out
    assert main(["messages", "--config", str(config), "--save", "/nowhere/at/all"]) == 1
    assert "name a file that you may write" in capsys.readouterr().err


def test_sim_turns_arguments_into_a_command(agent: list[dict[str, Any]], config: Path) -> None:
    """Values are JSON, or texts where they are not."""
    socket = str(config.parent / "control.sock")

    code = main(["sim", "--socket", socket, "swipe", "evse=1", "id_token=04AABB", "evses=[1]", "on=true"])

    assert code == 0
    assert agent == [{"cmd": "swipe", "evse": 1, "id_token": "04AABB", "evses": [1], "on": True}]


def test_a_command_that_is_refused_tells_why(
    agent: list[dict[str, Any]], config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit code 1."""
    assert main(["sim", "--config", str(config), "plug_in"]) == 1

    assert agent == [{"cmd": "plug_in"}]
    assert capsys.readouterr().err == "ocpp-station: which EVSE?\n"


@pytest.mark.parametrize("command", [["status"], ["sim", "plug_in"]])
def test_no_agent_is_told_in_one_line(command: list[str], config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its own exit code."""
    name, *rest = command

    assert main([name, "--config", str(config), *rest]) == 69

    told = capsys.readouterr().err
    assert "no agent answers on" in told
    assert told.count("\n") == 1


def test_an_argument_without_a_value_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Before anybody is asked."""
    assert main(["sim", "--socket", "/nowhere", "plug_in", "evse"]) == 2
    assert "write KEY=VALUE" in capsys.readouterr().err


def test_where_the_agent_listens_follows_from_the_configuration(config: Path) -> None:
    """A path beside the file, or a port as it is."""
    assert local.address_of(str(config), None) == str(config.parent / "control.sock")
    assert local.address_of(None, "127.0.0.1:7000") == "127.0.0.1:7000"
    config.write_text(GOOD.replace("control.sock", '"127.0.0.1:7001"'), "utf-8")
    assert local.address_of(str(config), None) == "127.0.0.1:7001"


# --- hal


def test_the_drivers_there_are_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """Each with a line of its own description, and the register maps."""
    assert main(["hal", "list"]) == 0

    told = capsys.readouterr().out
    assert "reader   pn532       PN532 card reader" in told
    assert "eastron-sdm630" in told
    assert "reference-board" in told


# --- check


def test_check_tells_every_mistake_of_the_file(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And tries nothing then."""
    config.write_text(GOOD + "log_levl: info\nmain_meter: grid\n", "utf-8")

    assert main(["check", "--config", str(config)]) == 1

    told = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in told] == ["error", "->", "error", "->"]


def test_check_tries_the_devices_and_the_csms(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Simulated devices answer; on port 9 nobody does, which is an error with a remedy."""
    assert main(["check", "--config", str(config)]) == 1

    told = capsys.readouterr().out
    assert "ok      meter meter-1" in told
    assert "channel 1: pilot A" in told
    assert "ok      csms address" in told
    assert "error   csms connection" in told
    assert "-> the host answers but not on this port" in told
    assert not (config.parent / "state").exists()


def test_check_leaves_a_running_agent_its_devices(
    agent: list[dict[str, Any]], config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is asked instead of tried."""
    state = config.parent / "state"
    state.mkdir()
    code = (
        "import fcntl,os,sys\nh=os.open(sys.argv[1],os.O_RDWR|os.O_CREAT)\nfcntl.flock(h,fcntl.LOCK_EX)\n"
        "print('held',flush=True)\nsys.stdin.read()"
    )
    with subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, "-c", code, str(state / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert main(["check", "--config", str(config)]) == 1

    told = capsys.readouterr().out
    assert agent == [{"cmd": "status"}]
    assert "ok      agent                  is running" in told
    assert "ok      evse 1                 Occupied" in told
    assert "error   csms                   not connected: no answer" in told
    assert "meter-1" not in told


@pytest.mark.parametrize(
    "wall, ntp, grade", [(3.0, True, Grade.ERROR), (BUILT + 1, False, Grade.WARNING), (BUILT + 1, True, Grade.OK)]
)
def test_check_looks_at_the_clock(wall: float, ntp: bool, grade: Grade) -> None:  # noqa: FBT001 - a column of the table
    """Certificates are judged by it."""

    class Fake(Machine):
        def wall(self) -> float:
            return wall

        def synchronised(self) -> bool:
            return ntp

    assert [finding.grade for finding in clock(Fake())] == [grade]


def test_check_looks_at_the_database(config: Path) -> None:
    """A damaged one is told before a station stands in the field with it."""
    loaded: Config = load(config)
    loaded.state.mkdir()
    (loaded.state / "station.db").write_bytes(b"SQLite format 3\0" + b"x" * 5000)

    grades = [(finding.what, finding.grade) for finding in state_directory(loaded)]

    assert grades == [("state directory", Grade.OK), ("database", Grade.ERROR)]


@pytest.mark.parametrize(
    "mode, grade", [(0o700, Grade.OK), (0o755, Grade.OK), (0o770, Grade.ERROR), (0o777, Grade.ERROR)]
)
def test_a_state_directory_that_others_may_write_is_told(config: Path, mode: int, grade: Grade) -> None:
    """Roots and a database of their own would count."""
    loaded = load(config)
    loaded.state.mkdir()
    loaded.state.chmod(mode)

    (found,) = state_directory(loaded)

    assert found.grade is grade


def test_check_needs_no_certificates_for_profile_1(config: Path) -> None:
    """And does not import the library for them."""
    assert list(certificates(load(config))) == []


def test_a_row_has_its_remedy_below_it() -> None:
    """Aligned, so that grades can be read down the column."""
    told = row(Finding(Grade.WARNING, "clock", "wrong", "set it"), colours=False)

    assert told == "warning clock                  wrong\n" + " " * 31 + "-> set it"
