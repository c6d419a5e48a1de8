"""Which version may follow which."""

from __future__ import annotations

from pathlib import Path

import pytest

from station.commands.installers.versions import NAME, BadVersion, Floor, key, newest


def test_versions_are_compared_by_their_numbers() -> None:
    mixed = ["1.10", "2026.11-12", "0.10", "0", "2026.11", "1.9.9", "2026.11-3", "0.9"]
    ordered = ["0", "0.9", "0.10", "1.9.9", "1.10", "2026.11", "2026.11-3", "2026.11-12"]

    assert sorted(mixed, key=key) == ordered
    assert key("1.10") == key("1.10.0")
    assert newest("", "1.9", "1.10", "") == "1.10"


@pytest.mark.parametrize(
    "text", ["", "v1", "1.2rc1", "1..2", "-1", "1.", "1 ", "1.2\n", "\u0661", "9" * 10, "1" + ".1" * 8]
)
def test_what_cannot_be_compared_is_no_version(text: str) -> None:
    with pytest.raises(BadVersion):
        key(text)


@pytest.mark.parametrize("version, taken", [("1.9", False), ("1.10", True), ("1.10.1", True)])
def test_what_is_older_than_what_runs_is_refused(tmp_path: Path, version: str, taken: bool) -> None:  # noqa: FBT001 - a table
    assert (Floor(tmp_path).refusal(version, "1.10") == "") is taken


def test_what_has_proven_itself_is_the_floor_whatever_runs(tmp_path: Path) -> None:
    """Somebody may have started an older one since."""
    Floor(tmp_path).raise_to("2.0")
    Floor(tmp_path).raise_to("1.5")

    assert Floor(tmp_path).refusal("1.9", "1.0") == "1.9 is older than 2.0, and nothing older is installed"
    assert not Floor(tmp_path).refusal("2.0", "1.0")


def test_an_older_one_is_allowed_once(tmp_path: Path) -> None:
    floor = Floor(tmp_path)
    floor.raise_to("2.0")

    floor.allow("1.5")

    assert not floor.refusal("1.5", "2.0")
    assert floor.refusal("1.4", "2.0")

    floor.raise_to("1.6")

    assert floor.refusal("1.5", "1.6")
    assert not floor.refusal("1.6", "1.6")


def test_below_the_floor_of_the_configuration_nothing_is_allowed(tmp_path: Path) -> None:
    floor = Floor(tmp_path, oldest="1.5")
    floor.raise_to("2.0")

    floor.allow("1.0")

    assert floor.refusal("1.4", "2.0") == "1.4 is older than 1.5, and nothing older is installed"
    assert not floor.refusal("1.5", "2.0")


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"floor": 1}', b"\xff"])
def test_a_floor_that_cannot_be_read_allows_nothing(tmp_path: Path, raw: bytes) -> None:
    """What runs is one, too."""
    (tmp_path / NAME).write_bytes(raw)

    assert Floor(tmp_path).refusal("1.9", "2.0")


def test_a_permission_that_is_no_version_is_none(tmp_path: Path) -> None:
    with pytest.raises(BadVersion):
        Floor(tmp_path).allow("all of them")

    assert not (tmp_path / NAME).exists()
