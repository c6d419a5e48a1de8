"""Small bundles for tests, right and wrong, and a station's directory of versions.

A version here is a start.py that says its version, and writes down that it was started.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from station.commands.installers.archive import Writer
from station.commands.installers.bundle import Bundle
from station.commands.installers.manifest import Entry, Manifest
from station.commands.installers.slots import VARIABLE, Slots
from station.commands.installers.versions import Floor

LAUNCHER = Path(__file__).parent.parent / "systemd" / "ocpp-station-launch"
START = """\
import sys
if sys.argv[1:] == ["--version"]:
    print("ocpp-station {version}")
else:
    print("version {version} runs", *sys.argv[1:])
"""


def content(version: str, **more: str) -> dict[str, bytes]:
    """The files of a version. `more` by their names without the point: `start_py` is another start.py."""
    texts = {"start.py": START.format(version=version), "lib/station/__init__.py": "", "lib/big.bin": version * 40_000}
    texts |= {name.replace("_py", ".py"): text for name, text in more.items()}
    return {name: text.encode() for name, text in sorted(texts.items())}


def told(files: Mapping[str, bytes], version: str, **more: Any) -> Manifest:
    """Their manifest."""
    entries = {name: Entry(hashlib.sha256(data).hexdigest(), len(data)) for name, data in files.items()}
    known: dict[str, Any] = {"product": "ocpp-station", "version": version, "schema": 1, "min_reader": 1}
    return Manifest(**{**known, "files": entries, **more})


def bundle(path: Path, version: str = "9.0.0", *, start: str = "", **more: Any) -> Path:
    """A file that can be installed, unless `more` says something else in its manifest."""
    files = content(version, **({"start_py": start} if start else {}))
    return packed(path, msgspec.json.encode(told(files, version, **more)), files)


def packed(path: Path, manifest: bytes, files: Mapping[str, bytes]) -> Path:
    """As the manufacturer's tool packs, whatever is in it."""
    with Writer(path) as writer:
        writer.add("manifest.json", manifest)
        for name, data in files.items():
            writer.add(name, data)
    return path


def zipped(path: Path, blocks: bytes) -> Path:
    """Any bytes as the inside of a bundle."""
    path.write_bytes(gzip.compress(blocks, mtime=0))
    return path


class Place:
    """A station's directory of versions, its launcher, and its installer.

    Beside the launcher lie a packaged agent and a Python, as in /opt/ocpp-station/bin.
    """

    def __init__(self, folder: Path, root: Path | None = None) -> None:
        self.root = root or folder / "slots"
        self.floor = Floor(self.root)
        self.slots = Slots(self.root)
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True, exist_ok=True)
        self.silent: frozenset[int] = frozenset()
        launcher = self.bin / LAUNCHER.name
        launcher.write_bytes(LAUNCHER.read_bytes())
        self._program("ocpp-station", '#!/bin/sh\necho "the packaged agent runs $*"\n')
        launcher.chmod(0o755)

    def _program(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(text, "utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def installer(self, within_s: float = 900.0, patience_s: float = 60.0) -> Bundle:
        """As a station that was started by the launcher has it."""

        async def silent() -> frozenset[int]:
            return self.silent

        given = {VARIABLE: str(self.root)}
        return Bundle(given, self.floor, silent, within_s=within_s, patience_s=patience_s)

    def install(self, file: Path, update: str = "update-1", digest: bytes = b"", **more: float) -> tuple[str, str]:
        """The outcome, and the words."""
        return tuple(asyncio.run(self.installer(**more).install(update, file, digest)))  # type: ignore[return-value]  # its two

    def start(self, *arguments: str, python: str = "", check: bool = True, runtime: str = "") -> str:
        """What the launcher starts says. `runtime`: the service's directory in memory, where it counts failures."""
        environment = {**os.environ, VARIABLE: str(self.root), "OCPP_STATION_PYTHON": python or sys.executable}
        environment["RUNTIME_DIRECTORY"] = runtime
        done = subprocess.run(  # noqa: S603 - our own launcher
            [str(self.bin / LAUNCHER.name), *(arguments or ("run",))],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=check,
            timeout=60,
        )
        return done.stdout.strip()

    def pointers(self) -> dict[str, str]:
        """What is named."""
        return {
            path.name: path.read_text("utf-8").strip()
            for path in sorted(self.root.glob("*"))
            if path.is_file() and path.name.startswith(("current", "trial", "failed", "reason"))
        }
