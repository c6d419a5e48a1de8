"""A module that is imported only when it is asked for something."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from station.shell.postponed import answering, postponed, withheld


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package with a costly module."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "costly.py").write_text("ANSWER = 42\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield "shelf"
    for name in ("shelf", "shelf.costly"):
        sys.modules.pop(name, None)


def test_what_is_never_asked_is_never_imported(package: str) -> None:
    """The library is imported, the costly module is not; later importers get the real one."""
    with postponed(f"{package}.costly"):
        costly = importlib.import_module(f"{package}.costly")
        assert "ANSWER" not in vars(costly)

    assert f"{package}.costly" not in sys.modules
    assert importlib.import_module(f"{package}.costly").ANSWER == 42


def test_what_is_asked_is_imported(package: str) -> None:
    """At once, inside, and also later on."""
    with postponed(f"{package}.costly"):
        costly = importlib.import_module(f"{package}.costly")
        assert costly.ANSWER == 42
        assert importlib.import_module(f"{package}.costly") is not costly

    assert costly.ANSWER == 42
    assert "ANSWER" in vars(sys.modules[f"{package}.costly"])


def test_what_is_there_already_stays(package: str) -> None:
    """Somebody else needed it before."""
    real = importlib.import_module(f"{package}.costly")
    with postponed(f"{package}.costly"):
        assert importlib.import_module(f"{package}.costly") is real

    assert sys.modules[f"{package}.costly"] is real


def test_names_that_it_lacks_are_missing_there_too(package: str) -> None:
    """`hasattr` tells the truth."""
    with postponed(f"{package}.costly"):
        assert not hasattr(importlib.import_module(f"{package}.costly"), "QUESTION")


def test_several_may_be_postponed_and_of_the_top_level_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each by itself: the one that is asked is imported, the other is not."""
    for name in ("dear_one", "dear_two"):
        (tmp_path / f"{name}.py").write_text("ANSWER = 42\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with postponed("dear_one", "dear_two"):
        one, two = (importlib.import_module(name) for name in ("dear_one", "dear_two"))
        assert one.ANSWER == 42

    assert "dear_one" in sys.modules
    assert "dear_two" not in sys.modules
    assert "ANSWER" not in vars(two)
    monkeypatch.delitem(sys.modules, "dear_one")


def test_a_module_whose_package_is_imported_inside_is_postponed_too(package: str) -> None:
    """The package finds the empty one, and hands it on."""
    folder = Path(importlib.import_module(package).__path__[0])
    del sys.modules[package]
    (folder / "__init__.py").write_text("from . import costly\n", "utf-8")
    importlib.invalidate_caches()
    with postponed(f"{package}.costly"):
        shelf = importlib.import_module(package)
        assert "ANSWER" not in vars(shelf.costly)

    assert f"{package}.costly" not in sys.modules
    assert shelf.costly.ANSWER == 42
    assert "ANSWER" in vars(importlib.import_module(f"{package}.costly"))


def test_an_answer_that_is_known_imports_nothing_and_every_other_does(package: str) -> None:
    """A library that wants one word of a costly module."""
    with answering(f"{package}.costly", QUESTION="?"):
        costly = importlib.import_module(f"{package}.costly")
        assert costly.QUESTION == "?"
        assert f"{package}.costly" in sys.modules

    assert f"{package}.costly" not in sys.modules
    assert costly.ANSWER == 42


def test_what_is_withheld_is_not_found_until_the_end(package: str) -> None:
    """A library that can do without takes its other way."""
    with withheld(f"{package}.costly"), pytest.raises(ImportError):
        importlib.import_module(f"{package}.costly")

    assert importlib.import_module(f"{package}.costly").ANSWER == 42


@pytest.mark.parametrize(
    "host, header",
    [("csms.example", "csms.example:9000"), ("192.0.2.1", "192.0.2.1:9000"), ("2001:db8::1", "[2001:db8::1]:9000")],
)
def test_the_websocket_library_brackets_addresses_of_ipv6_and_looks_at_no_others(host: str, header: str) -> None:
    """In a process of its own, where nobody has imported `ipaddress` yet: 6 M instructions of each start."""
    code = f"""
import sys
from station.commands.start import RARELY
from station.shell.postponed import postponed
with postponed(*RARELY):
    import station.commands.run
import station.shell.websocket
from websockets.headers import build_host
print(build_host({host!r}, 9000, False), "ipaddress" in sys.modules)
"""
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()  # noqa: S603 - our own code
    assert told[0] == header
    assert (told[1] == "True") == (":" in host)
