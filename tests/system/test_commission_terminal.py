"""`ocpp-station commission` on a real terminal: stopped at any question, secrets unseen, gone on with later."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from certs.throwaway import Authority
from station.commands.commissioning.given import payload
from station.config import load
from tests.system.terminal import Terminal

pytestmark = pytest.mark.system
PASSWORD = "a secret of sixteen"
BASE = """\
station: {identity: CS-1, vendor: Example, model: Wallbox, serial: "0042"}
csms: {url: "wss://127.0.0.1:9", security_profile: 2, password_file: elsewhere}
state_directory: state
control_socket: control.sock
simulator: {evses: 1}
"""
BEGIN = ("Identity", "Vendor", "Model", "Serial", "Security profile", "URL")
ROOT_AND_STORE = ("PEM file of who", "Where private keys")
BY_PASSWORD = (*BEGIN, "Password", *ROOT_AND_STORE, "Who sets", "Write .*y/N")
_OWN_KEY = ("Name of the station's key", "PEM file of the station's cert")
BY_KEY = (*BEGIN, *ROOT_AND_STORE, *_OWN_KEY, "Who sets", "Make the key")
AT = {2: ("Identity", "Password", "Write .*y/N"), 3: ("Name of the station's key", "Who sets", "Make the key")}
"""Where somebody presses Ctrl-C; every question of the dialogue in tests/unit/test_commission.py."""

SAID: Mapping[str, str] = {"Password": PASSWORD, "PEM file of who": "root.pem", "PEM file of the station's cert": "-"}


class Bench:
    """A folder with a description of simulated hardware and a root, in which somebody commissions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "station.yaml"
        (folder / "base.yaml").write_text(BASE, "utf-8")
        self.pki = Authority.create("Root", folder)
        (folder / "root.pem").write_text(self.pki.root_pem, "ascii")

    def terminal(self, *words: str) -> Terminal:
        """Where the command runs."""
        given = ("--base", str(self.folder / "base.yaml"), "--config", str(self.file))
        return Terminal("commission", *given, *words)

    def files(self) -> dict[str, bytes]:
        """Everything there is."""
        return {str(each): each.read_bytes() for each in self.folder.rglob("*") if each.is_file()}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """In a folder of its own."""
    return Bench(tmp_path)


def answer(terminal: Terminal, question: str, profile: int) -> None:
    """Enter, but for what has no proposal."""
    said = {**SAID, "Security profile": str(profile), "Write .*y/N": "y", "Make the key": "y"}
    terminal.answers(question, said.get(question, ""))


@pytest.mark.parametrize("profile, at", [(profile, at) for profile, questions in AT.items() for at in questions])
def test_ctrl_c_at_a_question_changes_nothing(bench: Bench, profile: int, at: str) -> None:
    """Not a file is new, and the command says so."""
    before = bench.files()

    with bench.terminal() as terminal:
        for question in BY_PASSWORD if profile == 2 else BY_KEY:
            if question == at:
                terminal.sees(question)
                break
            answer(terminal, question, profile)
        terminal.interrupts()
        assert terminal.ends() == 2

    assert "stopped: nothing was changed" in terminal.screen
    assert "Traceback" not in terminal.screen
    assert bench.files() == before


@pytest.mark.parametrize("at", ["What does the display", "Charge a vehicle at EVSE 1"])
def test_ctrl_c_after_that_leaves_a_station_that_is_set_up(bench: Bench, at: str) -> None:
    """And no record; the same command once more makes it. The password stays unseen, and may stay as it is."""
    with bench.terminal() as terminal:
        for question in BY_PASSWORD:
            answer(terminal, question, 2)
        if at != "What does the display":
            terminal.answers("What does the display", "")
        terminal.sees(at)
        terminal.interrupts()
        assert terminal.ends() == 1
    assert "the station is set up, and was not recorded - the same command once more" in terminal.screen
    assert PASSWORD not in terminal.screen
    assert load(bench.file).file.csms.security_profile == 2
    assert not (bench.folder / "commissioning.txt").exists()

    with Terminal("commission", "--config", str(bench.file)) as again:
        for question in BY_PASSWORD:
            again.answers(question, "y" if question == BY_PASSWORD[-1] else "")
        again.answers("What does the display", "0")
        again.answers("Charge a vehicle at EVSE 1", "y")
        assert again.ends() == 1  # nobody is the CSMS

    assert "[as it is]: " in again.screen
    assert (bench.folder / "password").read_text("utf-8") == PASSWORD
    assert (bench.folder / "password").stat().st_mode & 0o777 == 0o600
    assert "ok      test EVSE 1            plugged in" in (bench.folder / "commissioning.txt").read_text("utf-8")


def test_a_key_is_made_and_its_certificate_put_in_later(bench: Bench) -> None:
    """Between the two the terminal may be another one."""
    with bench.terminal() as terminal:
        for question in BY_KEY:
            answer(terminal, question, 3)
        assert terminal.ends() == 3
    request = (bench.folder / "station-1.csr").read_text("ascii")
    (bench.folder / "station.pem").write_text(bench.pki.sign_request(request), "ascii")

    with bench.terminal("--set", "certificate=station.pem") as later:
        later.sees("goes on from")
        for question in BY_KEY:
            if question != "PEM file of the station's cert":
                later.answers(
                    "Write .*y/N" if question == "Make the key" else question,
                    SAID.get(question, "") or "y" * (question == "Make the key"),
                )
        later.answers("What does the display", "")
        later.answers("Charge a vehicle at EVSE 1", "")
        assert later.ends() == 1

    assert "belongs to the certificate" in later.screen
    assert "signer: station-1, public key " in (bench.folder / "commissioning.txt").read_text("utf-8")


def test_the_text_of_a_qr_code_is_pasted_unseen(bench: Bench) -> None:
    """It holds the password. What it does not say is asked."""
    answers = {"identity": "CS-7", "security_profile": 1, "url": "ws://127.0.0.1:9", "password": PASSWORD}

    with bench.terminal("--answers", "-") as terminal:
        terminal.answers("Text of the QR code .it is not shown.: ", payload(answers))
        for question in ("Vendor", "Model", "Serial", "Who sets"):
            terminal.answers(question, "")
        terminal.answers("Write .*y/N", "y")
        terminal.answers("What does the display", "")
        terminal.answers("Charge a vehicle at EVSE 1", "n")
        assert terminal.ends() == 1

    assert "ocpp-station:" not in terminal.screen.replace("ocpp-station: ", "")
    assert PASSWORD not in terminal.screen
    assert load(bench.file).file.station.identity == "CS-7"


@pytest.mark.parametrize("words, at", [((), "Password"), (("--answers", "-"), "Text of the QR code")])
def test_bytes_that_are_no_text_are_asked_for_again_unseen(bench: Bench, words: tuple[str, ...], at: str) -> None:
    """As of a scanner or a terminal of another encoding."""
    with bench.terminal(*words) as terminal:
        for question in BY_PASSWORD[: BY_PASSWORD.index("Password")] if at == "Password" else ():
            answer(terminal, question, 2)
        terminal.sees(at)
        terminal.types_bytes(b"\xff\xfe of Latin 1\n")
        terminal.sees("that was no plain text in UTF-8: once more")
        terminal.sees(at)
        terminal.interrupts()
        assert terminal.ends() == 2

    assert "Latin 1" not in terminal.screen
    assert "Traceback" not in terminal.screen
