"""The contract as tests of pytest: one per promise, and what is left out is said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RIG = """
from hal.api import SensorInfo, SensorReading

class Sensor:
    info = SensorInfo()
    name = "s"
    def __init__(self, late): self.late = late
    async def open(self): pass
    async def close(self): pass
    async def read(self): return SensorReading(5.0 - self.late, True)

class Rig:
    kind = "sensor"
    late = 0.0
    def build(self): return Sensor(self.late)
    def clock(self): return 5.0
    async def wait(self, seconds): pass
"""


def outcome(folder: Path, test: str) -> tuple[int, str]:
    """What pytest says of a test beside a `Rig`."""
    (folder / "conftest.py").write_text('pytest_plugins = ["hal.pytest_plugin"]\n', "utf-8")
    (folder / "test_it.py").write_text(f"import pytest\n{RIG}\n{test}\n", "utf-8")
    command = [sys.executable, "-m", "pytest", "-rs", "--strict-markers", "-p", "no:cacheprovider", "test_it.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - ours
    return done.returncode, done.stdout + done.stderr


def test_each_promise_is_a_test_and_what_a_rig_cannot_do_is_skipped(tmp_path: Path) -> None:
    """With what it lacks."""
    code, said = outcome(
        tmp_path, '@pytest.mark.driver("sensor")\ndef test_it(promise):\n    promise.is_kept_by(Rig())'
    )

    assert code == 0
    assert "3 passed, 1 skipped" in said
    assert "the harness cannot: Unplugs" in said


def test_a_rig_that_must_be_complete_fails_by_what_it_lacks(tmp_path: Path) -> None:
    """Else a promise that nobody put to the test looks kept."""
    code, said = outcome(
        tmp_path, '@pytest.mark.driver("sensor", complete=True)\ndef test_it(promise):\n    promise.is_kept_by(Rig())'
    )

    assert code == 1
    assert "the harness cannot: Unplugs" in said


def test_a_broken_promise_says_what_was_promised_and_what_came(tmp_path: Path) -> None:
    """In the words of the contract."""
    code, said = outcome(
        tmp_path,
        'Rig.late = 1.0\n@pytest.mark.driver("sensor")\ndef test_it(promise):\n    promise.is_kept_by(Rig())',
    )

    assert code == 1
    assert "A reading was sampled when it was read" in said
    assert "not sampled when it was read" in said


@pytest.mark.parametrize(
    "mark, reason", [("", "say which kind of driver"), ('@pytest.mark.driver("toaster")', "there is no contract for")]
)
def test_a_test_of_no_kind_is_a_mistake(tmp_path: Path, mark: str, reason: str) -> None:
    """Told when it is collected."""
    code, said = outcome(tmp_path, f"{mark}\ndef test_it(promise):\n    promise.is_kept_by(Rig())")

    assert code != 0
    assert reason in said
