"""Whatever is wrong outside of the agent is told in one line with a remedy, without a traceback, and tried again."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import serial

from certs.throwaway import Authority, Wish
from tests.agent import CONFIG, PASSWORD, Agent
from tests.live_csms import LiveCsms, server, server_context
from tests.system.rig import CONSOLE_SCRIPT, Post
from tests.system.site import Site

pytestmark = pytest.mark.system

EX_CONFIG = 78
NAMES = ("localhost", "127.0.0.1")
SECURE = "  password_file: password\n  ca_file: root.pem\n"


def ran(command: str, folder: Path) -> tuple[int, str]:
    """A command on the folder's station.yaml that ends by itself: its exit code, and all that it said."""
    done = subprocess.run(  # noqa: S603 - our own agent
        [*CONSOLE_SCRIPT, command, "--config", str(folder / "station.yaml")],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=folder,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


# --- station.yaml


GOOD = CONFIG.format(url="ws://localhost:1/ocpp", profile=1, secrets="  password_file: password\n", more="{more}")


def with_more(more: str) -> Callable[[str], str]:
    return lambda text: text.replace("{more}", more)


def instead(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new).replace("{more}", "")


@pytest.mark.parametrize(
    "change, line, told",
    [
        (instead("simulator: {evses: 2}", "simulator: {evses: 2"), 10, "not YAML"),
        (instead("  url:", "\turl:"), 3, "YAML is indented by spaces"),
        (with_more("log_levl: info\n"), 13, "did you mean 'log_level'?"),
        (instead("identity: CS001", "identity: 1"), 1, "put it in quotes"),
        (instead("vendor: Example, ", ""), 1, "add `vendor: ...`"),
        (with_more("readers: {front: {driver: pn523, port: x}}\n"), 13, ", pn532, "),
        (with_more("readers: {simulator: {driver: pn532, port: x}}\n"), 13, "give each device a name of its own"),
        (with_more("log_level: info\nlog_level: debug\n"), 14, "first in line 13"),
        (with_more("meters: {m: {driver: modbus, bus: rs485, template: eastron-sdm630}}\n"), 13, "'rs485'"),
        (instead("password_file: password", "password_file: gone"), 5, "correct the path"),
        (lambda _: "", 1, "station.yaml.example"),
    ],
    ids=[
        *("syntax", "tab", "unknown-key", "wrong-type", "missing-key", "unknown-driver", "name-used-twice"),
        *("key-written-twice", "missing-bus", "missing-file", "empty"),
    ],
)
def test_a_mistake_in_the_file_is_told_with_its_line(
    tmp_path: Path, change: Callable[[str], str], line: int, told: str
) -> None:
    """Exit code 78, which systemd does not restart; nothing was created."""
    password = tmp_path / "password"
    password.write_text(PASSWORD, "utf-8")
    password.chmod(0o600)
    (tmp_path / "station.yaml").write_text(change(GOOD), "utf-8")

    code, said = ran("run", tmp_path)

    assert code == EX_CONFIG
    assert any(each.startswith(f"station.yaml:{line}:") and told in each for each in said.splitlines()), said
    assert said.splitlines()[-1].endswith("in the configuration")
    assert "Traceback" not in said
    assert PASSWORD not in said
    assert not (tmp_path / "state").exists()


# --- streams


@pytest.mark.parametrize(
    "words, code",
    [
        ("hal list >&-", 0),
        ("hal list >/dev/full", 1),
        ("hal list | true", 0),
        ("check --config nowhere >/dev/full", 1),
        ("run --config nowhere 2>&-", EX_CONFIG),
        ("run --config nowhere 2>/dev/full", EX_CONFIG),
        ("run --config nowhere <&- >&- 2>&-", EX_CONFIG),
    ],
)
def test_the_exit_code_is_right_although_nobody_can_read(tmp_path: Path, words: str, code: int) -> None:
    """A closed stream, a full disk: systemd must not restart what a person has to correct."""
    done = subprocess.run(  # noqa: S603 - our own agent
        ["bash", "-c", f"set -o pipefail; {' '.join(CONSOLE_SCRIPT)} {words}"],  # noqa: S607 - the system's
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        check=False,
    )

    assert done.returncode == code
    assert "Traceback" not in done.stdout + done.stderr
    assert "Exception ignored" not in done.stderr


# --- ports


READER = "readers: {front: {driver: pn532, port: reader}}\n"


@pytest.fixture
def csms() -> Iterator[LiveCsms]:
    with LiveCsms(password=PASSWORD) as live:
        yield live


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path) as charger:
        yield charger


def with_reader(folder: Path, csms: LiveCsms) -> Agent:
    """A simulated station with a real reader."""
    return Agent(folder, csms.url, more=READER.replace("port: reader", f"port: {folder / 'reader'}"))


def test_a_port_that_is_missing_is_told_and_used_when_it_comes(tmp_path: Path, csms: LiveCsms, site: Site) -> None:
    """The station works without it meanwhile."""
    site.pull("reader")
    with with_reader(tmp_path, csms) as agent:
        csms.wait_for("BootNotification")
        told = agent.until_logged("device.failed", device="front")
        assert f"cannot open {tmp_path / 'reader'}: No such file or directory" in told[0]

        site.put_back("reader")
        site.until(lambda: site.reader.looks, "the reader to be used")

        assert "Traceback" not in agent.log


def test_a_port_that_another_program_holds_is_told_and_used_when_it_is_free(
    tmp_path: Path, csms: LiveCsms, site: Site
) -> None:
    """Two owners of one wire would read each other's answers."""
    with serial.Serial(str(tmp_path / "reader"), exclusive=True), with_reader(tmp_path, csms) as agent:
        told = agent.until_logged("device.failed", device="front")
        assert "in use by another program" in told[0]
    with with_reader(tmp_path, csms) as agent:
        site.until(lambda: site.reader.looks, "the reader to be used")
        assert "Traceback" not in agent.log


# --- the CSMS


def told_why(agent: Agent, kind: str, count: int = 2) -> str:
    """The agent has failed to connect so often for this reason, said so with a remedy, and goes on."""
    lines = agent.until_logged("link.down", count, kind=kind)
    assert all(" remedy=" in line for line in lines)
    assert agent.process
    assert agent.process.poll() is None
    assert "Traceback" not in agent.log
    assert PASSWORD not in agent.log
    return lines[0]


def checked(agent: Agent, row: str, remedy: str) -> None:
    """`check` says the same in a row of its table, and exits with 1."""
    (agent.folder / "state").rename(agent.folder / "state of the run")
    code, said = ran("check", agent.folder)
    assert code == 1, said
    rows = said.splitlines()
    wrong = next(place for place, line in enumerate(rows) if line.startswith("error"))
    assert row in rows[wrong]
    assert remedy in rows[wrong + 1]
    assert "Traceback" not in said
    assert PASSWORD not in said


def test_a_wrong_password_is_told_and_the_right_one_accepted(tmp_path: Path) -> None:
    """Security profile 2."""
    pki = Authority.create("Test root", tmp_path)
    (tmp_path / "root.pem").write_text(pki.root_pem, "ascii")
    with (
        LiveCsms(password="another password", tls=server(pki)) as csms,
        Agent(tmp_path, csms.url, profile=2, secrets=SECURE) as agent,
    ):
        told_why(agent, "http_401")
        csms.password = PASSWORD
        csms.wait_for("BootNotification")


def test_a_csms_of_another_authority_is_not_believed(tmp_path: Path) -> None:
    """Not even a password is sent to it."""
    (tmp_path / "other").mkdir()
    other = Authority.create("Test root", tmp_path / "other")
    ours = Authority.create("Test root", tmp_path)
    (tmp_path / "root.pem").write_text(ours.root_pem, "ascii")
    with (
        LiveCsms(password=PASSWORD, tls=server(other)) as csms,
        Agent(tmp_path, csms.url, profile=2, secrets=SECURE) as agent,
    ):
        told_why(agent, "tls_certificate")
        assert not csms.handshakes
        agent.kill()
        checked(agent, "csms TLS", "installed root")


def test_an_expired_certificate_is_told(tmp_path: Path) -> None:
    """With the word that helps."""
    pki = Authority.create("Test root", tmp_path)
    (tmp_path / "root.pem").write_text(pki.root_pem, "ascii")
    old = pki.issue("localhost", Wish(names=NAMES, valid=(-timedelta(minutes=50), -timedelta(minutes=1))))
    with (
        LiveCsms(password=PASSWORD, tls=server_context(old)) as csms,
        Agent(tmp_path, csms.url, profile=2, secrets=SECURE) as agent,
    ):
        assert "expired" in told_why(agent, "tls_certificate", 1)
        agent.kill()
        checked(agent, "expired", "clock")


def test_a_csms_that_speaks_another_version_is_told(tmp_path: Path) -> None:
    """It takes the connection without one of our subprotocols, or refuses it."""
    with (
        LiveCsms(password=PASSWORD, offers=("ocpp1.6",)) as csms,
        Agent(tmp_path, csms.url) as agent,
    ):
        told_why(agent, "subprotocol", 1)
        agent.kill()
        checked(agent, "csms OCPP version", "compare the versions")


GARBAGE = (
    ("hello", "-1"),
    ("[", "-1"),
    ("{}", "-1"),
    ("[]", "-1"),
    ("[2]", "-1"),
    ('[2, "", "Reset", {}]', ""),
    ('[9, "g1", {}]', "g1"),
    ('[2, "g2", "Nonsense", {}]', "g2"),
    ('[2, "g3", "Reset", {"type": 5}]', "g3"),
    ('[2, "g4", "Reset", []]', "g4"),
    ('[3, "nobody asked", {}]', "nobody asked"),
    ('[4, "nobody asked", "GenericError", "", {}]', "nobody asked"),
    ('[2, "g5", "Reset", {"type": "\\ud800"}]', "g5"),
    ("[" * 5000, "-1"),
    ('[2, "g6", "DataTransfer", {"vendorId": "' + "x" * 300 + '"}]', "g6"),
)


def test_garbage_from_the_csms_is_answered_or_passed_over(tmp_path: Path, csms: LiveCsms) -> None:
    """The connection stands, and the next proper CALL is answered."""
    with Agent(tmp_path, csms.url) as agent:
        csms.wait_for("StatusNotification", 2)
        for text, message_id in GARBAGE:
            csms.send_text(text, message_id)
        answer = csms.call("GetVariables", {"getVariableData": [CLOCK]})

        assert answer["getVariableResult"][0]["attributeStatus"] == "Accepted"
        assert len(csms.handshakes) == 1
        assert agent.until(lambda status: status["link"]["up"], "the link")
        assert "Traceback" not in agent.log
        errors = {frame.message_id: frame.content.code for frame in csms.script.log if frame.kind == "CALLERROR"}
        assert errors["g2"] in {"NotImplemented", "NotSupported"}
        assert errors["g3"] in {"TypeConstraintViolation", "FormatViolation", "PropertyConstraintViolation"}
        assert errors["g6"] == "PropertyConstraintViolation"


CLOCK = {"component": {"name": "ClockCtrlr"}, "variable": {"name": "DateTime"}}


def test_check_finds_everything_well(tmp_path: Path) -> None:
    """The real drivers, the real CSMS: exit code 0, a row for each."""
    pki = Authority.create("Test root", tmp_path)
    own = pki.issue("CS001", Wish(organization="Example"))
    own.chain.rename(tmp_path / "station.pem")
    own.key.rename(tmp_path / "station.key")
    (tmp_path / "root.pem").write_text(pki.root_pem, "ascii")
    with LiveCsms(tls=server(pki, client_root=pki.root_pem)) as csms, Site(tmp_path):
        post = Post(tmp_path, csms.url, "")

        code, said = ran("check", post.folder)

    assert code == 0, said
    assert "error" not in said
    for row in ("board board", "meter meter", "reader reader", "csms "):
        assert any(line.startswith("ok") and row in line for line in said.splitlines()), row
    assert not (tmp_path / "state").exists()
