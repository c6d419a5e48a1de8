"""Fixtures of the crash tests: a recorded directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from station.store import files
from tests.crash.recorder import Recorder, RecordingOs


@pytest.fixture
def recorder(fast: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """A recorder of an empty directory, through which SQLite (`vfs=recorder.VFS`) and station.store.files write."""
    root = fast / "live"
    root.mkdir()
    with Recorder(root) as recorder:
        monkeypatch.setattr(files, "os", RecordingOs(recorder))
        yield recorder
