"""`ocpp-station bundle` and `ocpp-station allow-firmware` as they are typed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from station.commands import line, local
from station.commands.errors import EX_NOT_RUNNING


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """As pip makes a folder of them, as far as a bundle needs to know it."""
    schema = tmp_path / "packages" / "station" / "store" / "schema"
    schema.mkdir(parents=True)
    (schema / "0001_initial.sql").touch()
    (schema / "0042_more.sql").touch()
    (schema / "min_reader").write_text("7\n")
    (tmp_path / "packages" / "station" / "version.py").write_text('VERSION = "1.4.2"\n')
    (tmp_path / "packages" / "bin").mkdir()
    (tmp_path / "packages" / "bin" / "ocpp-station").write_text("#!/of/this/machine\n")
    return tmp_path / "packages"


def test_a_bundle_is_made_and_shown(packages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(tmp_path / "a.bundle")

    assert line.main(["bundle", "make", str(packages), file, "--min-previous", "1.2"]) == 0
    made = capsys.readouterr().out
    assert line.main(["bundle", "show", file]) == 0

    assert capsys.readouterr().out == made
    assert made.startswith("ocpp-station 1.4.2, after 1.2 or newer; Python any, machine any\n")
    assert "database 42, readable from 7 on" in made


def test_compiled_packages_bind_it_to_what_is_said_of_them(
    packages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (packages / "fast.so").touch()
    command = ["bundle", "make", str(packages), str(tmp_path / "a.bundle"), "--python", "3.13", "--machine", "aarch64"]

    assert line.main(command) == 0

    assert "Python 3.13, machine aarch64" in capsys.readouterr().out


@pytest.mark.parametrize("more", [["--min-previous", "new"], []], ids=["no version", "no agent"])
def test_what_cannot_be_packed_is_told_in_a_line(
    packages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    folder = packages if more else tmp_path / "nothing"

    assert line.main(["bundle", "make", str(folder), str(tmp_path / "a.bundle"), *more]) == 1

    told = capsys.readouterr().err
    assert told.startswith("ocpp-station: ")
    assert told.count("\n") == 1
    assert not (tmp_path / "a.bundle").exists()


def test_what_is_no_bundle_is_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").write_text("rubbish")

    assert line.main(["bundle", "show", str(tmp_path / "a")]) == 1
    assert line.main(["bundle", "show", str(tmp_path / "b")]) == 1

    assert len(capsys.readouterr().err.splitlines()) == 2


def test_an_older_version_is_allowed_by_the_agent_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[dict[str, Any]] = []
    answers: list[dict[str, Any]] = [{"ok": True}, {"ok": False, "error": "'new' is no version"}]

    def ask(_address: str, given: dict[str, Any]) -> dict[str, Any]:
        asked.append(given)
        return answers.pop(0)

    command = ["allow-firmware", "1.3.0", "--socket", str(tmp_path / "socket")]

    assert line.main(command) == EX_NOT_RUNNING

    monkeypatch.setattr(local, "ask", ask)
    assert line.main(command) == 0
    assert capsys.readouterr().out == "firmware from 1.3.0 on is installed, until one has been\n"
    assert line.main(["allow-firmware", "new", "--socket", "x"]) == 1
    assert asked[0] == {"cmd": "allow_firmware", "version": "1.3.0"}
