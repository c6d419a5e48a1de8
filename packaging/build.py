"""Builds what is installed: the wheel, and the Debian package with the agent and its libraries in it.

    packaging/build.py wheel              dist/ocpp_station-VERSION-py3-none-any.whl
    packaging/build.py deb                dist/ocpp-station_VERSION-1_ARCHITECTURE.deb, for each architecture
    packaging/build.py sums               writes packaging/deb/SHA256SUMS anew, after requirements.lock was changed

Debian's own libraries are too old (12 has websockets 10, pymodbus 3.0 and no msgspec), so the pinned ones go into the
package, in a directory of its own. They come as wheels, each with the sum that SHA256SUMS names, for every Python the
package may meet: what is compiled has the version in its file's name, so all share one directory, and nothing is
compiled here. That is why a package for arm64 can be made on amd64.

The same commit gives the same bytes, wherever and whenever it is built: files and their order, modes, owners and times
are set here; the time is that of the commit, or SOURCE_DATE_EPOCH.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DEB = ROOT / "packaging" / "deb"
SUMS = DEB / "SHA256SUMS"
WHEELS = ROOT / ".cache" / "build" / "wheels"

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""Debian's names of architectures, and those of wheels."""

PYTHONS = ("3.11", "3.12", "3.13")
"""Debian 12 has 3.11, Debian 13 has 3.13; what is between costs little and leaves no gap in Depends."""

BUILD_ONLY = ("setuptools",)
"""Pinned, but not needed by what runs."""

LIBRARY = Path("opt/ocpp-station/lib")

INSTALLED = {
    "packaging/deb/ocpp-station": "opt/ocpp-station/bin/ocpp-station",
    "systemd/ocpp-station-launch": "opt/ocpp-station/bin/ocpp-station-launch",
    "systemd/ocpp-station-clock": "opt/ocpp-station/bin/ocpp-station-clock",
    "systemd/ocpp-station-clock.socket": "usr/lib/systemd/system/ocpp-station-clock.socket",
    "systemd/ocpp-station-clock@.service": "usr/lib/systemd/system/ocpp-station-clock@.service",
    "systemd/ocpp-station.service": "usr/lib/systemd/system/ocpp-station.service",
    "systemd/ocpp-station-reboot.path": "usr/lib/systemd/system/ocpp-station-reboot.path",
    "systemd/ocpp-station-reboot.service": "usr/lib/systemd/system/ocpp-station-reboot.service",
    "systemd/ocpp-station.sysusers.conf": "usr/lib/sysusers.d/ocpp-station.conf",
    "systemd/60-ocpp-station.rules": "usr/lib/udev/rules.d/60-ocpp-station.rules",
    "systemd/99-ocpp-station.rules": "usr/share/doc/ocpp-station/examples/99-ocpp-station.rules",
    "systemd/station.yaml.example": "usr/share/doc/ocpp-station/examples/station.yaml",
    "docs/station.schema.json": "usr/share/doc/ocpp-station/station.schema.json",
    "packaging/deb/copyright": "usr/share/doc/ocpp-station/copyright",
}
"""From the repository into the package, beside the libraries, the drop-ins and the documents."""


def main() -> int:
    """Build what is asked for; tells the files that were made."""
    parser = argparse.ArgumentParser(prog="packaging/build.py")
    parser.add_argument("what", choices=("wheel", "deb", "sums"))
    parser.add_argument("--output", type=Path, default=ROOT / "dist", metavar="FOLDER")
    parser.add_argument("--arch", action="append", choices=tuple(MACHINES), help="default: each of them")
    parser.add_argument("--revision", type=int, default=1, metavar="N", help="of the package, for the same version (1)")
    given = parser.parse_args()
    os.umask(0o022)
    given.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ocpp-station-build.") as folder:
        made = _made(given, Path(folder))
        for path in made:
            sys.stdout.write(f"{path}\n")
    return 0


def _made(given: argparse.Namespace, folder: Path) -> list[Path]:
    architectures: list[str] = given.arch or list(MACHINES)
    if given.what == "sums":
        for architecture in MACHINES:
            _fetch(architecture)
        found = sorted(path for path in WHEELS.rglob("*.whl") if path.parent.name in _sets())
        lines = sorted({f"{_sum(path)}  {path.name}" for path in found}, key=lambda line: line.split("  ")[1])
        SUMS.write_text("\n".join(lines) + "\n", "utf-8")
        return [SUMS]
    wheel = build_wheel(folder)
    if given.what == "wheel":
        return [Path(shutil.copy(wheel, given.output))]
    return [build_deb(folder, wheel, each, given.revision, given.output) for each in architectures]


# ---- the wheel


def build_wheel(folder: Path) -> Path:
    """Of a copy of what git knows: nothing that lies about in a working tree gets in."""
    source = folder / "source"
    for name in _sources():
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)
        target.chmod(0o644)
    _run(
        *(sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "--no-build-isolation", "--no-cache-dir"),
        *("--wheel-dir", str(folder), str(source)),
        environment={"SOURCE_DATE_EPOCH": str(epoch())},
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


def _sources() -> list[str]:
    """What git tracks, as it is in the working tree; where there is no git, what the wheel is made of."""
    if (ROOT / ".git").exists():
        listed = _run("git", "-C", str(ROOT), "ls-files", "-z").split("\0")
        return sorted(name for name in listed if name and (ROOT / name).is_file())
    wanted = [ROOT / name for name in ("pyproject.toml", "README.md", "LICENSE")]
    for package in ("station", "hal", "device_model", "certs"):
        wanted += [path for path in (ROOT / package).rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return sorted(str(path.relative_to(ROOT)) for path in wanted)


def epoch() -> int:
    """The time that all files bear: when the commit was made."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    return int(given or _run("git", "-C", str(ROOT), "log", "-1", "--format=%ct"))


# ---- the libraries


def _sets() -> list[str]:
    return [f"{architecture}-{python}" for architecture in MACHINES for python in PYTHONS]


def _wanted() -> list[str]:
    lines = (ROOT / "requirements.lock").read_text("utf-8").splitlines()
    return [line for line in lines if "==" in line and line.split("==")[0] not in BUILD_ONLY]


def _fetch(architecture: str) -> None:
    """The wheels of an architecture into the cache, which keeps them."""
    wanted = _wanted()
    for python in PYTHONS:
        target = WHEELS / f"{architecture}-{python}"
        stamp = target / "complete"
        if stamp.exists() and stamp.read_text("utf-8").split() == wanted:
            continue
        shutil.rmtree(target, ignore_errors=True)
        machine = MACHINES[architecture]
        platforms = [f"--platform={each}_{machine}" for each in ("manylinux_2_28", "manylinux_2_17", "manylinux2014")]
        tag = "cp" + python.replace(".", "")
        abis = [f"--abi={each}" for each in (tag, "abi3", "none")]
        _run(
            *(sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "--only-binary=:all:", *platforms, *abis),
            *(f"--python-version={python}", "--implementation=cp", f"--dest={target}", *wanted),
        )
        stamp.write_text("\n".join(wanted), "utf-8")


def _checked(architecture: str) -> Iterator[Path]:
    """The wheels of an architecture, each the one that SHA256SUMS names."""
    known = {line.split("  ")[1]: line.split("  ")[0] for line in SUMS.read_text("utf-8").splitlines()}
    _fetch(architecture)
    for python in PYTHONS:
        for path in sorted((WHEELS / f"{architecture}-{python}").glob("*.whl")):
            if known.get(path.name) != _sum(path):
                raise SystemExit(f"{path} is not what {SUMS} names; if requirements.lock was changed: make deb-sums")
            yield path


def _unpack(wheel: Path, library: Path) -> None:
    """Files that several wheels bring must be the same; only how a wheel was made differs from Python to Python."""
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist():
            folder, _, name = info.filename.partition("/")
            if info.is_dir() or ".data/" in info.filename or name in {"RECORD", "WHEEL"}:
                continue
            target, content = library / folder / name, archive.read(info)
            if target.exists() and target.read_bytes() != content:
                raise SystemExit(f"{wheel.name}: another {info.filename} than in the wheel for another Python")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


# ---- the package


def build_deb(folder: Path, wheel: Path, architecture: str, revision: int, output: Path) -> Path:
    """The package of one architecture."""
    tree = folder / architecture
    for each in (*_checked(architecture), wheel):
        _unpack(each, tree / LIBRARY)
    for source, target in INSTALLED.items():
        _copy(ROOT / source, tree / target)
    for drop_in in (ROOT / "systemd" / "drop-ins").iterdir():
        _copy(drop_in, tree / "usr/share/ocpp-station/drop-ins" / drop_in.name)
    for document in (ROOT / "docs").glob("*.md"):
        if document.name != "conformance.md":
            _copy(document, tree / "usr/share/doc/ocpp-station" / document.name)
    for example in (ROOT / "docs" / "examples").glob("*.yaml"):
        _copy(example, tree / "usr/share/doc/ocpp-station/examples" / example.name)
    changes = gzip.compress((ROOT / "CHANGELOG.md").read_bytes(), 9, mtime=0)
    (tree / "usr/share/doc/ocpp-station/changelog.gz").write_bytes(changes)
    (tree / "usr/bin").mkdir()
    (tree / "usr/bin/ocpp-station").symlink_to("/opt/ocpp-station/bin/ocpp-station")
    version = f"{_version()}-{revision}"
    _control(tree, architecture, version)
    _settle(tree)
    made = output / f"ocpp-station_{version}_{architecture}.deb"
    words = ("dpkg-deb", "--root-owner-group", "-Zzstd", "--build", str(tree), str(made))
    _run(*words, environment={"SOURCE_DATE_EPOCH": str(epoch())})
    return made


def _control(tree: Path, architecture: str, version: str) -> None:
    target = tree / "DEBIAN"
    target.mkdir()
    files = [path for path in tree.rglob("*") if path.is_file() and not path.is_symlink()]
    contents = [path for path in files if target not in path.parents]
    kilobytes = sum(-(-path.stat().st_size // 1024) for path in contents)
    text = (DEB / "control").read_text("utf-8")
    fields = {"VERSION": version, "ARCHITECTURE": architecture, "SIZE": str(kilobytes)}
    for name, value in fields.items():
        text = text.replace(f"@{name}@", value)
    (target / "control").write_text(text, "utf-8")
    sums = (
        f"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}  {path.relative_to(tree)}"
        for path in sorted(contents)
    )
    (target / "md5sums").write_text("\n".join(sums) + "\n", "utf-8")
    for script in (DEB / "scripts").iterdir():
        (target / script.name).write_text(script.read_text("utf-8").replace("@VERSION@", version), "utf-8")
        (target / script.name).chmod(0o755)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)


def _settle(tree: Path) -> None:
    """One mode and one time for everything, whatever umask and clock say here."""
    time = epoch()
    for path in (tree, *tree.rglob("*")):
        if path.is_symlink():
            os.utime(path, (time, time), follow_symlinks=False)
            continue
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        os.utime(path, (time, time))


def _version() -> str:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _run(*command: str, environment: dict[str, str] | None = None) -> str:
    """A command that must succeed; what it says on stdout."""
    done = subprocess.run(  # noqa: S603 - our own
        command, env={**os.environ, **(environment or {})}, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"failed ({done.returncode}): {' '.join(command)}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
