"""The wheel and the Debian package: complete, reproducible, and runnable by the system's Python alone."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import time
import zipfile
from pathlib import Path

import pytest

from tests.system import packages
from tests.system.packages import ROOT, build, needs_dpkg

pytestmark = [pytest.mark.system, needs_dpkg]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of this machine."""
    return packages.package(tmp_path_factory)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """The same commit and working tree in another directory, with other times and modes."""
    copy = tmp_path / "a" / "longer way"
    git("clone", "--quiet", "--shared", str(ROOT), str(copy))
    for name in git("-C", str(ROOT), "ls-files", "-z").split("\0"):
        if name and (ROOT / name).is_file():
            target = copy / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)
            target.chmod(0o775 if (ROOT / name).stat().st_mode & 0o100 else 0o664)
    git("-C", str(copy), "add", "--all")
    (copy / ".cache").symlink_to(ROOT / ".cache")
    (copy / "station" / "left_behind.py").write_text("", "utf-8")  # git knows nothing of it
    return copy


def git(*words: str) -> str:
    """What git says."""
    command = [str(shutil.which("git")), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout  # noqa: S603 - ours


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.timeout(400)  # the first time it fetches the libraries for three Pythons
def test_two_builds_in_different_places_give_the_same_package(package: Path, elsewhere: Path, tmp_path: Path) -> None:
    """Another directory, other times of files, another umask of whoever checked out, another time zone."""
    again = build(
        *("deb", "--arch", packages.ARCHITECTURE), root=elsewhere, output=tmp_path, environment={"TZ": "Asia/Tokyo"}
    )

    assert again.name == package.name
    assert digest(again) == digest(package)


def test_two_builds_in_different_places_give_the_same_wheel(elsewhere: Path, tmp_path: Path) -> None:
    """And it brings every file that the agent reads beside its modules."""
    here = build("wheel", output=tmp_path / "1")
    there = build("wheel", root=elsewhere, output=tmp_path / "2", environment={"TZ": "Asia/Tokyo"})

    assert digest(here) == digest(there)
    packed = set(zipfile.ZipFile(here).namelist())
    tracked = git("-C", str(ROOT), "ls-files", "-z", "station", "hal", "device_model", "certs").split("\0")
    assert {name for name in tracked if name and not name.endswith(".md")} <= packed


def test_each_file_bears_the_time_of_the_commit_and_belongs_to_root(package: Path) -> None:
    """What makes two builds differ most often, read from the package itself."""
    listed = subprocess.run(  # noqa: S603 - our own
        ["dpkg-deb", "--contents", str(package)],  # noqa: S607 - the system's
        check=True,
        capture_output=True,
        text=True,
        env={"TZ": "UTC", "PATH": "/usr/bin:/bin"},
    ).stdout.splitlines()

    seconds = int(git("-C", str(ROOT), "log", "-1", "--format=%ct"))
    commit = time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
    stamps = {" ".join(line.split()[3:5]) for line in listed}
    assert stamps == {commit}
    assert {line.split()[1] for line in listed} == {"root/root"}
    assert {line[:10] for line in listed} == {"drwxr-xr-x", "-rwxr-xr-x", "-rw-r--r--", "lrwxrwxrwx"}


def test_what_the_pages_name_is_in_the_package(package: Path) -> None:
    """Each example, and the schema by which an editor completes it: docs/commission.md begins from them."""
    listed = subprocess.run(["dpkg-deb", "--contents", str(package)], check=True, capture_output=True, text=True)  # noqa: S603, S607 - our own
    packed = {line.split()[-1] for line in listed.stdout.splitlines()}
    examples = [path.name for path in (ROOT / "docs" / "examples").glob("*.yaml")]

    wanted = {f"./usr/share/doc/ocpp-station/{name}" for name in ("commission.md", "station.schema.json")}
    assert wanted | {f"./usr/share/doc/ocpp-station/examples/{name}" for name in examples} <= packed
    assert "home-wallbox.yaml" in examples


def test_the_packaged_agent_needs_nothing_but_the_packages_own_libraries(package: Path, tmp_path: Path) -> None:
    """A Python without site-packages finds all that the agent imports, drivers of each bus included."""
    subprocess.run(["dpkg-deb", "--extract", str(package), str(tmp_path)], check=True, timeout=60)  # noqa: S603, S607 - our own
    library = tmp_path / "opt" / "ocpp-station" / "lib"
    program = (
        f"import sys; sys.path.insert(0, {str(library)!r}); import can, cantools, pymodbus, serial, websockets, yaml\n"
        "from station.cli import main; sys.exit(main(['hal', 'list']))"
    )

    done = subprocess.run(  # noqa: S603 - our own
        [shutil.which("python3.11") or shutil.which("python3") or "", "-I", "-S", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert "eastron-sdm630" in done.stdout


def test_what_is_pinned_is_what_is_packaged() -> None:
    """Each library of requirements.lock is in SHA256SUMS in its version, what is compiled for both architectures."""
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    pinned = dict(re.findall(r"^([\w-]+)==(\S+)$", lock, re.MULTILINE))
    names = [line.split()[1] for line in (ROOT / "packaging" / "deb" / "SHA256SUMS").read_text("utf-8").splitlines()]

    for name, version in pinned.items():
        if name == "setuptools":
            continue
        stem = f"{name.replace('-', '_').lower()}-{version}-"
        wheels = [each for each in names if each.startswith(stem)]
        assert wheels, name
        assert all(
            wheel.endswith("-none-any.whl") or any(f"{machine}.whl" in each for each in wheels)
            for wheel in wheels
            for machine in ("x86_64", "aarch64")
        ), name
