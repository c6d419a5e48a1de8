"""Versions of the agent as their manufacturer makes them: of what is in the package, under another number."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from station.commands.installers.make import Made, make
from station.version import VERSION

NEEDED = {"station", "hal", "device_model", "certs", "websockets", "msgspec", "yaml", "_yaml", "cryptography"}
NEEDED |= {"cffi", "typing_extensions.py"}
"""What a station without buses uses of the package's library: the rest would only take time to be packed."""


def library(package: Path, folder: Path, version: str, python: str) -> Path:
    """The package's agent under another number, with the libraries that it uses. `python`: of the station, as 3.11."""
    subprocess.run(["dpkg-deb", "--extract", str(package), str(folder / "package")], check=True, timeout=60)  # noqa: S603, S607 - our own
    source, lib = folder / "package" / "opt/ocpp-station/lib", folder / "lib"
    lib.mkdir()
    for path in source.iterdir():
        if path.name in NEEDED or path.name.startswith("_cffi_backend"):
            shutil.move(path, lib / path.name)
    for path in lib.rglob("*.so"):
        if "cpython-" in path.name and f"cpython-{python.replace('.', '')}-" not in path.name:
            path.unlink()
    renamed(lib, VERSION, version)
    return lib


def renamed(lib: Path, before: str, version: str) -> None:
    """Another number."""
    path = lib / "station" / "version.py"
    text = path.read_text("utf-8")
    assert f'"{before}"' in text
    path.write_text(text.replace(f'"{before}"', f'"{version}"'), "utf-8")


def release(package: Path, folder: Path, version: str, python: str) -> bytes:
    """A bundle of it, made by the product's own tool."""
    made = Made(min_previous=VERSION, python=python)
    make(library(package, folder, version, python), folder / "bundle", made)
    return (folder / "bundle").read_bytes()
