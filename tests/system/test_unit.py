"""The unit file as systemd itself judges it: valid, and closed but for what the agent needs."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parent.parent.parent / "systemd"
UNIT = "ocpp-station.service"

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"),
]


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with a program that exists on every machine in place of the agent's."""
    text = (SYSTEMD / UNIT).read_text("utf-8")
    path = tmp_path / UNIT
    path.write_text(text.replace("/opt/ocpp-station/bin/ocpp-station-launch", "/bin/true"), "utf-8")
    return path


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze; its words on stdout."""
    command = [str(shutil.which("systemd-analyze")), "--no-pager", *map(str, arguments)]
    return subprocess.run(  # noqa: S603 - our own arguments
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60
    )


def add(unit: Path, name: str) -> None:
    """Put a drop-in beside the unit, as an installer does."""
    folder = unit.parent / f"{UNIT}.d"
    folder.mkdir(exist_ok=True)
    shutil.copy(SYSTEMD / "drop-ins" / name, folder)


def test_systemd_accepts_the_unit_and_every_drop_in_without_a_word(unit: Path) -> None:
    """A misspelt setting is ignored by systemd at run time: it must be caught here."""
    for path in (SYSTEMD / "drop-ins").iterdir():
        add(unit, path.name)

    done = analyze("verify", unit)

    assert [line for line in done.stdout.splitlines() if UNIT in line] == []


@pytest.mark.parametrize(
    "drop_in, tenths", [("", 15), ("can.conf", 15), ("tpm.conf", 15), ("parts.conf", 12), ("clock.conf", 12), ("*", 15)]
)
def test_the_service_is_exposed_no_more_than_it_must(
    unit: Path, drop_in: str, tenths: int, record_property: Callable[[str, object], None]
) -> None:
    """Exposure in tenths of systemd's scale of 0 to 10."""
    for each in (SYSTEMD / "drop-ins").glob(drop_in or "nothing"):
        add(unit, each.name)

    done = analyze("security", "--offline=true", f"--threshold={tenths}", unit)

    assert done.returncode == 0, done.stdout
    level = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert level, done.stdout
    record_property("figure", f"exposure of the unit {f'with {drop_in}' if drop_in else 'as shipped'}: {level[1]}")


def test_who_sets_the_clock_can_do_nothing_else(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """So that the agent needs no right to; systemd understands every word of it."""
    for name in ("ocpp-station-clock@.service", "ocpp-station-clock.socket"):
        text = (SYSTEMD / name).read_text("utf-8").replace("/opt/ocpp-station/bin/ocpp-station-clock", "/bin/true")
        (tmp_path / name).write_text(text, "utf-8")

    said = analyze("verify", tmp_path / "ocpp-station-clock.socket", tmp_path / "ocpp-station-clock@.service")
    done = analyze("security", "--offline=true", "--threshold=10", tmp_path / "ocpp-station-clock@.service")

    assert [line for line in said.stdout.splitlines() if "ocpp-station-clock" in line] == []
    assert done.returncode == 0, done.stdout
    level = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert level, done.stdout
    record_property("figure", f"exposure of who sets the clock: {level[1]}")


def test_who_restarts_the_machine_is_understood_by_systemd() -> None:
    """Every word of it."""
    units = [SYSTEMD / f"ocpp-station-reboot.{kind}" for kind in ("path", "service")]

    said = analyze("verify", *units)

    assert [line for line in said.stdout.splitlines() if "ocpp-station-reboot" in line] == []


def test_the_station_is_started_again_for_ever() -> None:
    """Nobody is there to reset a start limit."""
    lines = (SYSTEMD / UNIT).read_text("utf-8").splitlines()

    assert {"Type=notify", "WatchdogSec=60", "Restart=always", "RestartSec=5", "StartLimitIntervalSec=0"} <= set(lines)
