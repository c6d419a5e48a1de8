"""What has come of a file, and what of it is believed after a power cut; the installer and its exit codes."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from station.blocks.firmware.jobs import ConfirmFirmware, InstallFirmware, Outcome
from station.commands import firmware
from station.commands.firmware import Fetched, FirmwareFiles
from station.config import load

CONFIG = """\
station: {{identity: CS001, vendor: Example, model: Twin, serial: "4711"}}
csms: {{url: "ws://csms.example/ocpp", security_profile: 1, password_file: password}}
state_directory: state
simulator: {{evses: 1}}
firmware: {{command: {command}, patience_s: {patience}}}
"""


def test_what_was_closed_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "image"
    with Fetched.resumed(path, 100).open('"1"') as file:
        file.write(b"first")

    again = Fetched.resumed(path, 100)
    assert (again.part, again.validator) == (5, '"1"')
    with again.open('"1"') as file:
        file.write(b" second")

    assert path.read_bytes() == b"first second"
    assert Fetched.resumed(path, 100).part == 12


def test_another_version_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "image"
    with Fetched.resumed(path, 100).open('"1"') as file:
        file.write(b"first")

    with Fetched.resumed(path, 100).open('"2"') as file:
        file.write(b"2nd")

    assert path.read_bytes() == b"2nd"


def test_what_was_not_surely_written_is_cut_off_after_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file's length may have reached the disk before its content."""
    monkeypatch.setattr(firmware, "SYNC_BYTES", 10)
    path = tmp_path / "image"
    file = Fetched.resumed(path, 100).open('"1"')
    file.write(b"0123456789")
    file.write(b"abc")
    file.flush()
    assert path.stat().st_size == 13

    after = Fetched.resumed(path, 100)

    assert (after.part, path.read_bytes()) == (10, b"0123456789")
    file.close()


def test_a_part_without_its_note_is_worth_nothing(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"of some other day")

    assert Fetched.resumed(path, 100).part == 0


def configured(folder: Path, command: str, patience_s: float = 20.0) -> FirmwareFiles:
    """The jobs of a station with this installer."""
    password = folder / "password"
    password.write_text("a password of 16 and more", "utf-8")
    password.chmod(0o600)
    (folder / "station.yaml").write_text(CONFIG.format(command=command, patience=patience_s), "utf-8")
    return FirmwareFiles(load(folder / "station.yaml"))


def files(folder: Path, program: str, patience_s: float = 20.0) -> FirmwareFiles:
    """An installer that is this program."""
    return configured(folder, f'["{sys.executable}", "-c", "{program}"]', patience_s)


@pytest.mark.req("L01.FR.29")
@pytest.mark.parametrize(
    "code, outcome", [(0, "active"), (10, "restart"), (11, "again"), (12, "unverified"), (1, "failed"), (77, "failed")]
)
def test_the_exit_code_says_how_it_ended(tmp_path: Path, code: int, outcome: Outcome) -> None:
    installer = files(tmp_path, f"import sys; print('one'); print('the last line'); sys.exit({code})")

    done = asyncio.run(installer.install(InstallFirmware(file="image")))

    assert (done.outcome, done.reason) == (outcome, "the last line")


def test_an_installer_that_never_ends_is_killed(tmp_path: Path) -> None:
    installer = files(tmp_path, "import time; time.sleep(600)", patience_s=0.5)

    done = asyncio.run(installer.install(InstallFirmware(file="image")))

    assert (done.outcome, done.reason) == ("failed", "not done within 0.5 s")


def test_confirm_is_given_the_file_and_answers_by_its_exit_code(tmp_path: Path) -> None:
    installer = files(tmp_path, "import sys; sys.exit(' '.join(sys.argv[1:]))")

    done = asyncio.run(installer.confirm(ConfirmFirmware(file="image")))

    assert done.reason == f"confirm {tmp_path / 'state' / 'firmware' / 'image'}"


def test_an_installer_that_is_not_there_has_failed(tmp_path: Path) -> None:
    installer = configured(tmp_path, "[/nowhere/installer]")

    done = asyncio.run(installer.install(InstallFirmware(file="image")))

    assert (done.outcome, done.reason) == ("failed", "/nowhere/installer: No such file or directory")
