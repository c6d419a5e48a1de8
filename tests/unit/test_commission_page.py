"""docs/commission.md, followed literally: its file, its commands in their order, and every key that is asked for."""

from __future__ import annotations

import io
import re
import shlex
import sys
from pathlib import Path

import pytest

from certs.throwaway import Authority
from station.cli import main
from station.commands.commissioning import steps
from station.commands.commissioning.questions import KEYS
from station.config import load

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "commission.md").read_text("utf-8")
COMMANDS = re.findall(r"^ {4}(ocpp-station commission .*)$", PAGE, re.MULTILINE)


class Follower:
    """Somebody who types what the page says, on a station of his own."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.stick = folder / "usb"
        self.stick.mkdir()
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        (folder / "docs").symlink_to(ROOT / "docs")
        (self.given,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
        (folder / "answers.yaml").write_text(self.given, "utf-8")
        monkeypatch.chdir(folder)

    def types(self, part: str, stdin: str = "") -> tuple[int, str]:
        """The command of the page that has this part: its exit code, and what it says."""
        (command,) = [each for each in COMMANDS if re.search(part, each)]
        words = shlex.split(command.replace("/media/usb", str(self.stick)))[1:]
        self._monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        config = [] if "--verify" in words or "--payload" in words else ["--config", "station.yaml"]
        code = main([*words, *config])
        return code, self._capsys.readouterr().out


@pytest.fixture
def follower(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Follower:
    """In an empty folder."""
    return Follower(tmp_path, capsys, monkeypatch)


def test_the_file_of_answers_sets_a_station_up(follower: Follower) -> None:
    """Nobody is at port 9000, which is the one error; the record is whole."""
    code, told = follower.types("--answers answers.yaml --yes$")

    assert (code, re.findall("^error *(.*?)  ", told, re.MULTILINE)) == (1, ["csms connection"])
    assert load(Path("station.yaml")).file.station.identity == "CS-2026-0001"
    assert follower.types("--verify commissioning.txt$")[0] == 0


def test_a_vehicle_is_charged_and_a_meter_compared(follower: Follower) -> None:
    """As the page's command says."""
    _, told = follower.types("--set energise=1")

    assert re.search("^ok +test EVSE 1 .*contactor open after", told, re.MULTILINE)
    assert re.search("^ok +reading meter-1 .*its display shows 0 kWh", told, re.MULTILINE)


def test_the_dialogue_asks_what_the_page_says(follower: Follower) -> None:
    """For a wallbox whose line is not there: its parts are errors, and the station is set up."""
    pki = Authority.create("Root", follower.folder)
    (follower.stick / "root.pem").write_text(pki.root_pem, "ascii")
    root = str(follower.stick / "root.pem")
    typed = ["CS-1", "", "", "", "", "wss://127.0.0.1:9/ocpp", "a password of this station", root, "", "Anna", "", "y"]

    code, told = follower.types("home-wallbox", stdin="".join(f"{line}\n" for line in typed))

    assert code == 1
    assert "Lines to look at, in turn (rs485; all; a port such as /dev/ttyUSB0@9600; Enter: no more): " in told
    assert re.search("^error +reading meter ", told, re.MULTILINE)
    assert re.search("^warning test EVSE 1 +no vehicle was charged: nobody agreed to it", told, re.MULTILINE)
    assert (follower.folder / "root.pem").exists()
    assert "by: Anna" in Path("commissioning.txt").read_text("utf-8")


@pytest.mark.parametrize("name", ["ocpp-station.yaml", "ocpp-station-00004711.yaml"])
def test_a_stick_does_the_same(follower: Follower, name: str) -> None:
    """One for any station, or one for each, by the serial number that the base file has."""
    (follower.stick / name).write_text(follower.given, "utf-8")
    base = (ROOT / "docs/examples/laptop.yaml").read_text("utf-8")
    (follower.folder / "docs").unlink()
    (follower.folder / "docs/examples").mkdir(parents=True)
    text = base.replace("  model: Laptop\n", '  model: Laptop\n  serial: "00004711"\n')
    (follower.folder / "docs/examples/laptop.yaml").write_text(text, "utf-8")

    assert follower.types("--answers /media/usb")[0] == 1

    assert load(Path("station.yaml")).file.station.identity == "CS-2026-0001"


def test_a_qr_code_does_the_same(follower: Follower) -> None:
    """The line that --payload makes is what --answers - takes."""
    code, line = follower.types("--payload")
    assert (code, line.count("\n")) == (0, 1)
    assert line.startswith("ocpp-station:v=1&identity=CS-2026-0001&")

    assert follower.types("--answers -", stdin=line)[0] == 1

    config = load(Path("station.yaml"))
    assert (config.file.station.serial, config.file.csms.url) == ("00004711", "ws://127.0.0.1:9000/ocpp")
    assert Path("password").read_text("utf-8") == "a password of this station"


def test_the_line_may_stand_in_a_file(follower: Follower) -> None:
    """In place of the `KEY: VALUE` lines."""
    (follower.folder / "answers.yaml").write_text(follower.types("--payload")[1], "utf-8")

    assert follower.types("--answers answers.yaml --yes$")[0] == 1

    assert load(Path("station.yaml")).file.station.identity == "CS-2026-0001"


def test_what_is_done_at_the_station_stands_in_a_qr_code_too(follower: Follower) -> None:
    """Lists and mappings as in a file."""
    steps_ = "energise: [2]\ndisplays: {meter-1: 0.0}\nscan: false\n"
    (follower.folder / "answers.yaml").write_text(follower.given + steps_, "utf-8")

    _, told = follower.types("--answers -", stdin=follower.types("--payload")[1])

    assert re.search("^ok +test EVSE 2 ", told, re.MULTILINE)
    assert "its display shows 0 kWh" in told


def test_a_certificate_comes_later(follower: Follower) -> None:
    """The request that the first round has written is signed, and the command of the page goes on."""
    pki = Authority.create("Root", follower.folder)
    (follower.folder / "root.pem").write_text(pki.root_pem, "ascii")
    own = {"security_profile": 3, "key": "station-1", "ca_file": "root.pem", "url": "wss://127.0.0.1:9000"}
    more = [word for key, value in own.items() for word in ("--set", f"{key}={value}")]
    (first,) = [each for each in COMMANDS if each.endswith("--answers answers.yaml --yes")]
    assert main([*shlex.split(first)[1:], "--config", "station.yaml", *more]) == 3
    (follower.stick / "station.pem").write_text(pki.sign_request(Path("station-1.csr").read_text("ascii")), "ascii")

    code, told = follower.types("--set certificate=")

    assert code == 1
    assert "belongs to the certificate" in told
    assert load(Path("station.yaml")).file.csms.security_profile == 3
    assert follower.types("--certificate")[0] == 0


def test_every_key_that_is_asked_for_is_on_the_page() -> None:
    """In the order in which it is; and nothing is typed that no test types."""
    rows = re.findall(r"^\| (`.*?) \|", PAGE.partition("| asked |")[2].partition("\n\n")[0], re.MULTILINE)
    assert re.findall("`(.*?)`", " ".join(rows)) == list(KEYS)
    assert {key for key in steps.KEYS if f"`{key}`" not in PAGE} == set()
    parts = (
        "home-wallbox",
        "--answers answers.yaml",
        "--answers /media/usb",
        "--payload",
        "--answers -",
        "--set cert",
        "--verify",
    )
    assert [each for each in COMMANDS if not any(part in each for part in parts)] == []


@pytest.mark.parametrize(
    "text, told",
    [
        ("ocpp-station:v=2&identity=CS-1", "the QR code is of form '2' - this agent knows v=1"),
        ("ocpp-station:identity=CS-1", "the QR code is of form ''"),
        ("ocpp-station:v=1&identity", "the text of the QR code is damaged"),
        ("ocpp-station:v=1&identity=%FF", "the text of the QR code is damaged"),
        ("ocpp-station:v=1&vendor=A%0AB", "vendor: a line break or a character that cannot be seen"),
        ("ocpp-station:v=1&ca_file=a%00b", "ca_file: a line break or a character"),
        ("ocpp-station:v=1&identity=A&identity=B", "says something twice"),
        ("ocpp-station:v=1&colour=red", "nobody asks for 'colour'"),
        ("WIFI:S:guest;;", "no `KEY: VALUE` lines"),
        ("x" * 70_000, "has more than 65536 bytes"),
    ],
    ids=lambda text: text[:24],
)
@pytest.mark.usefixtures("follower")
def test_a_text_that_is_none_is_told_and_changes_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, text: str, told: str
) -> None:
    """One line, exit code 2."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))

    words = ["commission", "--base", "docs/examples/laptop.yaml", "--answers", "-", "--yes", "--config", "station.yaml"]
    assert main(words) == 2

    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not Path("station.yaml").exists()
