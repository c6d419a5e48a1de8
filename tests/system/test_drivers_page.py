"""A driver of somebody else's, as docs/drivers.md shows it: built, installed by pip, tested, found and used."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]


def blocks(language: str) -> list[str]:
    """The blocks of this language in the page, in their order."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / "drivers.md").read_text("utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def tests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the author's tests."""
    folder = tmp_path_factory.mktemp("tests")
    _, test, conftest = blocks("python")
    (folder / "test_acme_meter.py").write_text(test, "utf-8")
    (folder / "conftest.py").write_text(conftest, "utf-8")
    return folder


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip has installed the package: a directory to be put on the path."""
    source, target = tmp_path_factory.mktemp("acme"), tmp_path_factory.mktemp("installed")
    (source / "pyproject.toml").write_text(blocks("toml")[0], "utf-8")
    (source / "acme_meter.py").write_text(blocks("python")[0], "utf-8")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index"]
    subprocess.run(  # noqa: S603 - our own arguments
        [*pip, "--no-build-isolation", "--no-deps", "--target", str(target), str(source)], check=True, timeout=120
    )
    return target


def run(path: Path, *command: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """A Python module as a command, with the package on its path."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(path), str(ROOT)])}
    return subprocess.run(  # noqa: S603 - our own arguments
        [sys.executable, "-m", *command],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_tests_of_the_page_pass(installed: Path, tests: Path) -> None:
    """Every promise of a meter, none skipped, and three more."""
    done = run(installed, "pytest", "-v", "-p", "no:cacheprovider", folder=tests)

    assert done.returncode == 0, done.stdout
    assert "A requester that gives up disturbs nobody after it." in done.stdout
    assert "11 passed" in done.stdout
    assert "skipped" not in done.stdout


def test_a_driver_that_breaks_a_promise_fails_its_test(installed: Path, tests: Path, tmp_path: Path) -> None:
    """The suite would say so: here the driver counts watt-hours for milliwatt-hours and forgets a quantity."""
    code = (installed / "acme_meter.py").read_text("utf-8")
    (tmp_path / "acme_meter.py").write_text(code.replace('"power_import_w"})', "})").replace("1_000_000", "1000"))
    for info in installed.glob("*.dist-info"):
        (tmp_path / info.name).symlink_to(info)

    done = run(tmp_path, "pytest", "-p", "no:cacheprovider", folder=tests)

    assert done.returncode == 1
    assert "info promises {'energy_import_mwh'}, the reading has {" in done.stdout
    assert "test_kilowatt_hours_become_milliwatt_hours" in done.stdout


def test_the_command_line_knows_the_driver(installed: Path) -> None:
    """By its kind and name, with the first line of its page."""
    done = run(installed, "station", "hal", "list")

    assert done.returncode == 0, done.stderr
    assert re.search(r"^meter +acme-42 +Acme 42, a meter on RS-232", done.stdout, re.MULTILINE)
