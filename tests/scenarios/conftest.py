"""The directories of stations in virtual time lie in memory."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def tmp_path(fast: Path) -> Path:
    """What the disk keeps is the crash tests' to ask; here a commit need not wait for it."""
    return fast
