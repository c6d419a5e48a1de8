"""Which extensions are loaded, and what is wrong with those that are not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from station.commands import extensions
from station.commands.findings import Grade
from station.config import Config, load
from station.extension import Way
from tests.unit.test_control_commands import config

CODE = """\
from station.extension import Extension

class Good(Extension):
    vendor_id = "com.good"

class Rival(Extension):
    vendor_id = "com.good"

class Nameless(Extension):
    pass

class Longwinded(Extension):
    vendor_id = "com." + "x" * 50

class NoExtension:
    vendor_id = "com.none"

value = 7
"""

Given = Callable[..., Config]
NO_WAY = cast("Way", None)
"""Nothing is sent at the start."""


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Given:
    """A configuration with extensions by name; their package is announced as an installed one is."""
    (tmp_path / "brought_for_a_test.py").write_text(CODE, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "brought_for_a_test", raising=False)

    def made(package: str, **announced: str) -> None:
        folder = tmp_path / f"{package}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", "utf-8")
        lines = "".join(f"{name} = brought_for_a_test{target}\n" for name, target in announced.items())
        (folder / "entry_points.txt").write_text(f"[{extensions.GROUP}]\n{lines}", "utf-8")

    def configured(*names: str) -> Config:
        made(
            "one",
            good=":Good",
            rival=":Rival",
            nameless=":Nameless",
            longwinded=":Longwinded",
            none=":NoExtension",
            value=":value",
            missing=":Missing",
            twice=":Good",
        )
        made("two", twice=":Rival")
        config(tmp_path, socket="c.sock", simulated=True)
        text = (tmp_path / "station.yaml").read_text("utf-8")
        named = "".join(f"  {name}: {{pin: 17}}\n" for name in names)
        (tmp_path / "station.yaml").write_text(f"{text}extensions:\n{named}", "utf-8")
        return load(tmp_path / "station.yaml")

    return configured


def test_what_the_file_names_is_loaded_with_its_options(given: Given) -> None:
    found = given("good")

    setup = extensions.equipped(found.setup("PowerUp"), found)

    (installed,) = setup.extensions
    assert installed.vendor_id == "com.good"
    assert setup.layout.custom_vendors == ("com.good",)
    made = installed.make(NO_WAY)
    assert (type(made).__name__, made.options) == ("Good", {"pin": 17})
    assert [(each.grade, each.detail) for each in extensions.findings(found)] == [
        (Grade.OK, "good: messages of com.good")
    ]


@pytest.mark.parametrize(
    "name, reason",
    [
        ("unheard-of", "no installed package announces it"),
        ("missing", "cannot be imported: AttributeError"),
        ("none", "is no Extension"),
        ("value", "is no Extension"),
        ("nameless", "has no vendor_id"),
        ("longwinded", "has no vendor_id of 1 to 50 characters"),
        ("twice", "several installed packages announce it"),
    ],
)
def test_what_cannot_be_used_is_left_out_and_check_says_why(
    given: Given, caplog: pytest.LogCaptureFixture, name: str, reason: str
) -> None:
    """The others are loaded all the same."""
    found = given(name, "good")

    setup = extensions.equipped(found.setup("PowerUp"), found)

    assert [each.vendor_id for each in setup.extensions] == ["com.good"]
    (record,) = [each for each in caplog.records if each.getMessage() == "extension.left_out"]
    assert reason in vars(record)["reason"]
    wrong, right = extensions.findings(found)
    assert (wrong.grade, right.grade) == (Grade.ERROR, Grade.OK)
    assert reason in wrong.detail
    assert wrong.remedy


def test_of_two_for_one_vendor_the_first_is_used(given: Given, caplog: pytest.LogCaptureFixture) -> None:
    found = given("rival", "good")

    setup = extensions.equipped(found.setup("PowerUp"), found)

    assert [type(each.make(NO_WAY)).__name__ for each in setup.extensions] == ["Rival"]
    assert "extension.left_out" in caplog.text


def test_without_any_nothing_is_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To read what is installed costs more than the rest of a start."""
    found = config(tmp_path, socket="c.sock", simulated=True)
    monkeypatch.setattr(extensions, "_found", lambda *_: 1 / 0)
    setup = found.setup("PowerUp")

    assert extensions.equipped(setup, found) is setup
    assert list(extensions.findings(found)) == []
