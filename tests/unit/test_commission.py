"""`ocpp-station commission`: from answers to a station that checks, or nothing has changed."""

from __future__ import annotations

import errno
import io
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from certs.throwaway import Authority
from station.cli import main
from station.commands import dropin
from station.commands.commissioning import record, writing
from station.config import ConfigError, load, source

PASSWORD = "a secret of sixteen"
BASE = """\
# The hardware, by its manufacturer.
station: {identity: EXAMPLE, vendor: Example, model: Wallbox}

csms:
  url: wss://example.invalid/ocpp
  security_profile: 2
  password_file: elsewhere
  # a comment of no section
  message_timeout_s: 50
state_directory: state   # kept here
control_socket: control.sock
simulator: {evses: 1}
"""
ANSWERS: dict[str, Any] = {
    "identity": "CS-1",
    "vendor": "Example",
    "model": "Wallbox",
    "serial": "0042",
    "security_profile": 1,
    "url": "ws://127.0.0.1:9/ocpp",
    "password": PASSWORD,
}

Commission = Callable[..., int]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a description of the hardware, and no station.yaml."""
    (tmp_path / "base.yaml").write_text(BASE, "utf-8")
    return tmp_path


@pytest.fixture
def commission(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Commission:
    """Runs the command; `typed` are the lines that somebody types."""

    def run(*arguments: str, typed: tuple[str, ...] = (), base: str | None = "base.yaml") -> int:
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in typed)))
        given = ["--base", str(folder / base)] if base else []
        return main(["commission", "--config", str(folder / "station.yaml"), *given, *arguments])

    return run


def answers(folder: Path, **changes: Any) -> str:
    """A file of answers; None leaves one out."""
    path = folder / "answers.yaml"
    told = {key: value for key, value in {**ANSWERS, **changes}.items() if value is not None}
    path.write_text(yaml.safe_dump(told), "utf-8")
    return str(path)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != "answers.yaml"}


def test_answers_from_a_file_make_a_station_that_checks(
    folder: Path, commission: Commission, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody is asked. On port 9 nobody answers, which the check tells, and so the exit code."""
    assert commission("--answers", answers(folder), "--yes") == 1

    told = capsys.readouterr().out
    config = load(folder / "station.yaml")
    assert (config.file.station.identity, config.file.csms.url) == ("CS-1", "ws://127.0.0.1:9/ocpp")
    assert (folder / "password").read_text("utf-8") == PASSWORD
    assert (folder / "password").stat().st_mode & 0o777 == 0o600
    assert (folder / "station.yaml").stat().st_mode & 0o777 == 0o640
    assert "ok      meter meter-1" in told
    assert "error   csms connection" in told
    assert PASSWORD not in told
    assert not (folder / "station.yaml.trial").exists()


def test_what_is_not_asked_stays_as_it_was(folder: Path, commission: Commission) -> None:
    """Other sections to the letter, other keys of a section, and comments."""
    commission("--answers", answers(folder), "--yes")

    text = (folder / "station.yaml").read_text("utf-8")
    assert text.startswith("# The hardware, by its manufacturer.\n")
    assert text.endswith("state_directory: state   # kept here\ncontrol_socket: control.sock\nsimulator: {evses: 1}\n")
    assert source.parse(text.encode()).data["csms"]["message_timeout_s"] == 50


def test_somebody_is_asked_and_asked_again_with_the_reason(
    folder: Path, commission: Commission, capsys: pytest.CaptureFixture[str]
) -> None:
    """Enter takes what is proposed."""
    typed = ("CS 1", "CS-1", "", "", "0042", "7", "1", "http://x", "ws://127.0.0.1:9/ocpp", "short", PASSWORD, "", "y")

    assert commission(typed=typed) == 1

    told = capsys.readouterr().out
    assert "Vendor [Example]: " in told
    assert "5 characters, a password has 16 to 64" in told
    assert told.count("Identity, as the CSMS knows the station") == 2
    assert told.count("Security profile: ") == 2
    assert told.count("URL of the CSMS") == 2
    assert PASSWORD not in told
    assert load(folder / "station.yaml").file.station.vendor == "Example"


class Person:
    """Types these lines, then presses Ctrl-C, or leaves."""

    def __init__(self, lines: tuple[str, ...], last: type[BaseException] | None) -> None:
        self._lines = iter(lines)
        self._last = last

    def readline(self) -> str:
        """The next one."""
        line = next(self._lines, None)
        if line is None and self._last is not None:
            raise self._last
        return "" if line is None else f"{line}\n"

    def isatty(self) -> bool:
        """No terminal, which would be asked in another way for the password."""
        return False


@pytest.mark.parametrize("last", [None, KeyboardInterrupt], ids=["end of input", "ctrl-c"])
@pytest.mark.parametrize("lines", range(10))
def test_who_stops_before_the_last_answer_changes_nothing(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    lines: int,
    last: type[BaseException] | None,
) -> None:
    """At each question; or the last one is answered by no."""
    typed = ("CS-1", "", "", "", "1", "ws://127.0.0.1:9/ocpp", PASSWORD, "Anna", "n")[:lines]
    before = files(folder)
    monkeypatch.setattr(sys, "stdin", Person(typed, last))

    assert main(["commission", "--config", str(folder / "station.yaml"), "--base", str(folder / "base.yaml")]) == 2

    assert "nothing was changed" in capsys.readouterr().err
    assert files(folder) == before


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"identity": None}, "identity is missing - --set identity=..."),
        ({"password": None}, "password is missing"),
        ({"identity": "CS 1"}, "identity: expected a text matching"),
        ({"security_profile": 2}, "url: "),
        ({"password": "short"}, "password: 5 characters"),
        ({"password": 0x123456789ABCDEF0}, "password: a password is a text - put it in quotes"),
        ({"password": ["abcdefgh", "ijklmnop"]}, "password: a password is a text"),
        ({"colour": "red"}, "nobody asks for 'colour' - there are: identity"),
        ({"security_profile": 2, "url": "wss://127.0.0.1:9", "ca_file": "none.pem"}, "ca_file: "),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_wrong_answer_of_a_file_is_told_and_nothing_changed(
    folder: Path, commission: Commission, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], told: str
) -> None:
    before = files(folder)

    assert commission("--answers", answers(folder, **changes), "--yes") == 2

    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert files(folder) == before


def test_a_password_does_not_stand_on_the_command_line(
    folder: Path, commission: Commission, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commission("--set", f"password={PASSWORD}", "--yes") == 2

    assert PASSWORD not in capsys.readouterr().err
    assert not (folder / "station.yaml").exists()


def test_a_setting_answers_before_the_file(folder: Path, commission: Commission) -> None:
    commission("--answers", answers(folder), "--set", "identity=CS-2", "--yes")

    assert load(folder / "station.yaml").file.station.identity == "CS-2"


def test_a_file_that_the_agent_would_refuse_is_undone(
    folder: Path, commission: Commission, capsys: pytest.CaptureFixture[str]
) -> None:
    """The mistakes are told by the name of the file; what was there is there, the password too."""
    commission("--answers", answers(folder), "--yes")
    before = files(folder)
    (folder / "wrong.yaml").write_text(BASE + "main_meter: grid\n", "utf-8")
    capsys.readouterr()

    given = answers(folder, identity="CS-9", password="another secret of sixteen")
    assert commission("--answers", given, "--yes", base="wrong.yaml") == 78

    assert "no meter is called 'grid'" in (told := capsys.readouterr().err)
    assert "trial" not in told
    after = files(folder)
    after.pop("wrong.yaml")
    assert after == before


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_terminal_that_goes_while_files_are_written_changes_nothing(
    folder: Path, commission: Commission, number: int
) -> None:
    """The new password is there already, and the file that belongs to it is still looked at."""
    commission("--answers", answers(folder), "--yes")
    before = files(folder)
    password = folder / "password-2"

    def goes(_config: object) -> None:
        assert password.read_bytes() == b"another secret of sixteen"
        os.kill(os.getpid(), number)

    path = folder / "station.yaml"
    text = path.read_text("utf-8").replace("password_file: password", "password_file: password-2")
    with pytest.raises(KeyboardInterrupt):
        writing.write(path, text, [writing.Piece(password, b"another secret of sixteen", given="password")], None, goes)

    assert files(folder) == before


def test_a_full_disk_is_told_by_its_place(
    folder: Path, commission: Commission, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's error names no file; what was there is there."""
    before = {**files(folder), **files(Path(answers(folder)).parent)}

    def full(_handle: int, _data: memoryview) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    code = commission("--answers", str(folder / "answers.yaml"), "--yes")
    monkeypatch.undo()

    assert code == 75
    assert f"{folder}: No space left on device - nothing was changed" in capsys.readouterr().err
    assert files(folder) == before


def test_the_station_is_commissioned_again_from_what_it_has(
    folder: Path, commission: Commission, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was there is kept, and that is said."""
    commission("--answers", answers(folder), "--yes")
    old = (folder / "station.yaml").read_bytes()
    capsys.readouterr()

    typed = ("", "", "", "", "", "ws://127.0.0.1:10/ocpp", "", "", "yes")
    assert commission(typed=typed, base=None) == 1

    assert "will be kept as station.yaml.before" in capsys.readouterr().out
    assert (folder / "station.yaml.before").read_bytes() == old
    config = load(folder / "station.yaml")
    assert (config.file.station.identity, config.file.csms.url) == ("CS-1", "ws://127.0.0.1:10/ocpp")


def test_a_password_that_the_service_is_handed_stays_until_the_drop_in_names_the_new_one(
    folder: Path, commission: Commission, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or it would not start: its credential is away. That the drop-in has to be made anew is said."""
    place = folder / "unit.d" / "10-station.conf"
    monkeypatch.setattr(dropin, "PLACE", str(place))
    commission("--answers", answers(folder), "--yes")
    place.parent.mkdir()
    assert main(["drop-in", "--config", str(folder / "station.yaml")]) == 0
    place.write_text(capsys.readouterr().out.partition("# What")[2], "utf-8")
    old, new = folder / "password", folder / "password-2"

    commission("--answers", answers(folder, password="another secret of sixteen"), "--yes")
    assert (old.read_text("utf-8"), new.read_text("utf-8")) == (PASSWORD, "another secret of sixteen")
    assert f"the service is still handed {old}: ocpp-station drop-in > " in capsys.readouterr().out
    assert main(["drop-in", "--config", str(folder / "station.yaml")]) == 0
    place.write_text(capsys.readouterr().out, "utf-8")
    commission("--answers", answers(folder, password="another secret of sixteen"), "--yes")

    assert "still handed" not in capsys.readouterr().out
    assert (old.exists(), new.exists()) == (False, True)
    assert not (folder / "station.yaml.unfinished").exists()


def test_certificates_are_taken_in_and_told_in_the_record(folder: Path, commission: Commission) -> None:
    """Security profile 3; a file that holds none is told."""
    root = Authority.create("Root", folder)
    issued = root.issue("0042")
    (folder / "root.pem").write_text(root.root_pem)
    (folder / "station.pem").write_text(issued.pem)
    (folder / "station.key").touch(0o600)
    (folder / "station.key").write_bytes(issued.key.read_bytes())
    given = {"security_profile": 3, "url": "wss://127.0.0.1:9/ocpp", "password": None, "ca_file": "root.pem"}

    assert commission("--answers", answers(folder, **given, certificate="base.yaml"), "--yes") == 2
    own = {"certificate": "station.pem", "key_file": "station.key"}
    assert commission("--answers", answers(folder, **given, **own), "--yes") == 1

    text = (folder / "commissioning.txt").read_text("utf-8")
    assert "\ncertificate: " in text
    assert re.search(r"^root: [^\n]*CN=Root[^\n]*, until \d{4}-\d\d-\d\d, sha256 [0-9a-f]{64}$", text, re.MULTILINE)
    assert "PRIVATE" not in text


def test_the_record_shows_a_change_and_holds_no_secret(
    folder: Path, commission: Commission, capsys: pytest.CaptureFixture[str]
) -> None:
    commission("--answers", answers(folder), "--yes")
    path = folder / "commissioning.txt"
    text = path.read_text("utf-8")
    assert f"seal elsewhere: {record.seal_of(text)}" in capsys.readouterr().out
    assert "station: CS-1, Example Wallbox, serial 0042" in text
    assert "result: error" in text
    assert PASSWORD not in text

    assert main(["commission", "--verify", str(path)]) == 0
    path.write_text(text.replace("serial 0042", "serial 0043"), "utf-8")
    assert main(["commission", "--verify", str(path)]) == 1

    assert "is not as it was made" in capsys.readouterr().err


@pytest.mark.parametrize(
    "base",
    [
        "station: {identity: A,\n  vendor: B}\ncsms:\n- 1\nkeypad: true\n",
        "csms: {}\nkeypad: true\nstation:\n    identity: A\n",
        "keypad: true\n",
    ],
)
def test_sections_are_found_however_they_are_written(base: str) -> None:
    told = {"station": {"identity": "X"}, "csms": {"url": "ws://x"}}
    if "- 1" in base:
        base = base.replace("csms:\n- 1\n", "csms:\n  url: ws://y\n")

    data = source.parse(writing.edited(base, told).encode()).data

    assert data["keypad"] is True
    assert (data["station"]["identity"], data["csms"]["url"]) == ("X", "ws://x")


def test_what_cannot_be_told_apart_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be told apart"):
        writing.edited("{station: {identity: A}, keypad: true}\n", {"station": {"identity": "X"}, "csms": {}})
