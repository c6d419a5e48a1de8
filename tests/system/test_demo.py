"""`ocpp-station demo --once`: what a newcomer runs first must be right."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder for temporary files whose path leaves room for a socket's name."""
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        yield Path(folder)


def test_a_session_from_plug_in_to_final_bill_is_right(short: Path) -> None:
    """With a certificate of the station (profile 3): exit code 0, a bill, and nothing left behind."""
    done = subprocess.run(
        [sys.executable, "-m", "station", "demo", "--once"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env={"TMPDIR": str(short), "PATH": "/usr/bin:/bin"},
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "by certificate of 4711-0001" in done.stdout
    assert "total" in done.stdout
    assert "WRONG" not in done.stdout
    assert "\x1b" not in done.stdout
    assert list(short.iterdir()) == []


def test_it_leaves_nothing_behind_when_it_is_ended(short: Path) -> None:
    """Whoever ends it early, by Ctrl-C or by a signal: agent and folder go with it."""
    with subprocess.Popen(
        [sys.executable, "-m", "station", "demo"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={"TMPDIR": str(short), "PATH": "/usr/bin:/bin"},
    ) as demo:
        assert demo.stdout is not None
        assert any("ocpp-station run --config" in line for line in demo.stdout)
        demo.terminate()

        assert demo.wait(60) == 130
    assert list(short.iterdir()) == []
