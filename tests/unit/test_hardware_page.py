"""docs/hardware.md says how each device was verified: by tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

from hal.registry import BUILT_IN

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "hardware.md").read_text("utf-8")


def test_every_test_that_it_names_exists() -> None:
    """By file, or by name."""
    files = set(re.findall(r"`(tests/[\w/]+\.py)`", PAGE))
    assert len(files) >= 5
    assert not [file for file in files if not (ROOT / file).is_file()]

    sources = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) >= 8
    assert named <= set(re.findall(r"def (test_\w+)", sources))


def test_every_board_that_there_is_has_its_row() -> None:
    """In the table of boards; and in that of what happens when the station dies, by its name in the trade."""
    boards = PAGE.partition("## Boards")[2].partition("### When the station dies")[0]
    known = set(BUILT_IN["board"]) - {"sim"}
    assert {name for name in known if f"| `{name}`" not in boards} == set()
    fates = PAGE.partition("### When the station dies")[2].partition("### One phase or three")[0]
    assert len(re.findall(r"^\| [A-Z]", fates, re.MULTILINE)) == len(known)
