"""The Debian package and the wheel, built once for all workers of a test run; and what a machine lacks to do so."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, "")


def missing() -> str:
    """What this machine lacks to build packages; empty if nothing."""
    if not ARCHITECTURE:
        return f"no wheels are pinned for {os.uname().machine}"
    if shutil.which("dpkg-deb") is None:
        return "dpkg-deb is not installed"
    if not (ROOT / ".git").exists():
        return "not a clone of the repository"
    return ""


needs_dpkg = pytest.mark.skipif(bool(missing()), reason=f"the Debian package NOT TESTED: {missing()}")


def build(*words: str, root: Path = ROOT, output: Path, environment: dict[str, str] | None = None) -> Path:
    """What one call of packaging/build.py makes."""
    done = subprocess.run(  # noqa: S603 - our own
        [sys.executable, str(root / "packaging" / "build.py"), *words, "--output", str(output)],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of this machine's architecture, built by whoever comes first."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "package"
    shared.mkdir(exist_ok=True)
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = sorted(shared.glob("*.deb"))
        return found[0] if found else build("deb", "--arch", ARCHITECTURE, output=shared)


def newer(package: Path, folder: Path) -> Path:
    """The same package as its next revision."""
    tree = folder / "tree"
    _run("dpkg-deb", "--raw-extract", str(package), str(tree))
    for name in ("control", "postinst"):
        path = tree / "DEBIAN" / name
        path.write_text(path.read_text("utf-8").replace("-1", "-2"), "utf-8")
    target = folder / package.name.replace("-1_", "-2_")
    _run("dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", str(tree), str(target))
    return target


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout  # noqa: S603 - our own
