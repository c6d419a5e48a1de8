"""A database in a temporary directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from station.store.db import Database
from tests.crash.medium import memory


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    """An empty database, as at the very first start."""
    database = Database.open(tmp_path / "station.db")
    yield database
    database.close()


@pytest.fixture
def fast() -> Iterator[Path]:
    """A directory in memory if the machine has one: many images are written to it."""
    with memory() as path:
        yield path
