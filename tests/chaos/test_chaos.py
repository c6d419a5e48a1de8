"""The short form of the chaos test; the long one is `make chaos`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.storm import KINDS, Storm

pytestmark = pytest.mark.system


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        yield Path(folder)


@pytest.mark.req("E04.FR.01", "E04.FR.02", "E04.FR.04", "E11.FR.01", "E11.FR.02", "E11.FR.07", "E12.FR.01", "E12.FR.02")
def test_a_bad_line_and_kill_9_cost_no_transaction_and_no_energy(short: Path) -> None:
    """The CSMS's record is the truth: ids, Started and Ended, seqNo, times, registers, who pays, the offline flag."""
    counts = Storm(short, KINDS[0], 7, time.monotonic() + 100).run(sessions=4, kills=2)

    assert counts["sessions"] >= 4
    assert counts["kills"] >= 2
