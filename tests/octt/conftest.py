"""The station of the OCA's test cases."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import Bench
from tests.octt.stations import Make
from tests.scenarios.e_transactions.story import bench as station


@pytest.fixture
def tmp_path(fast: Path) -> Path:
    """In memory: what the disk keeps is the crash tests' to ask."""
    return fast


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A station with these variables and points, and two EVSEs."""

    def made(
        variables: dict[str, str] | None = None, *, start: str = "PowerPathClosed", stop: str = "EVConnected,Authorized"
    ) -> Bench:
        return station(tmp_path, start, stop, variables=variables or {}, evses=2)

    return made
