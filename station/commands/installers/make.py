"""Makes bundles: a folder of installed packages becomes one file. Done by the manufacturer, not by a station.

The folder is what `pip install --target` makes. Bytecode is written anew, such that it is believed without a look at
the source: the same folder gives the same bytes, and a station starts without compiling.
"""

from __future__ import annotations

import compileall
import hashlib
import platform
import py_compile
import re
import shutil
import sys
import tempfile
from pathlib import Path

import msgspec

from station.commands.installers import manifest
from station.commands.installers.archive import BadBundle, Reader, Writer
from station.commands.installers.manifest import ANY, Entry, Manifest
from station.commands.installers.versions import key
from station.store.migrations import newest

_VERSION = re.compile(r'^VERSION = "([^"]+)"$', re.MULTILINE)
_LEFT_OUT = {"__pycache__", "bin"}
"""What is made anew, and what only people run: it names the interpreter of this machine."""

STARTER = '''\
"""Starts this version of the agent, with nothing of any other."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

from station.cli import main

if __name__ == "__main__":
    sys.exit(main())
'''


class Made(msgspec.Struct, frozen=True):
    """For which stations a bundle is."""

    min_previous: str = "0"
    python: str = ""
    machine: str = ""
    """Those of this machine, if they are not said and the folder holds compiled parts."""


def make(folder: Path, bundle: Path, made: Made) -> Manifest:
    """Pack it. Raises BadBundle, BadVersion, OSError."""
    key(made.min_previous)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "bundle"
        leave_out = shutil.ignore_patterns(*_LEFT_OUT, "direct_url.json", "RECORD")
        shutil.copytree(folder, root / "lib", ignore=leave_out)
        (root / manifest.START).write_text(STARTER, "utf-8")
        _compile(root / "lib")
        return pack(root, bundle, made)


def pack(root: Path, bundle: Path, made: Made) -> Manifest:
    """Pack what lies in `root` just so. Raises BadBundle, BadVersion, OSError."""
    paths = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    told = _described(root / "lib", made, {name: paths[name] for name in sorted(paths)})
    text = msgspec.json.format(msgspec.json.encode(told))
    manifest.read(text)
    with Writer(bundle) as writer:
        writer.add(manifest.NAME, text)
        for name in told.files:
            writer.add(name, paths[name].read_bytes())
    return told


def show(bundle: Path) -> Manifest:
    """What a bundle says of itself. Raises BadBundle, OSError."""
    with bundle.open("rb") as raw:
        return manifest.first(Reader(raw))[1]


def _compile(lib: Path) -> None:
    """With names as in the bundle: nothing of this machine gets into the bytes."""
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    if not compileall.compile_dir(
        lib, quiet=1, force=True, invalidation_mode=mode, stripdir=str(lib), prependdir="lib", workers=1
    ):
        raise BadBundle("something in it is no Python")


def _described(lib: Path, made: Made, paths: dict[str, Path]) -> Manifest:
    text = (lib / "station" / "version.py").read_text("utf-8")
    found = _VERSION.search(text)
    if found is None:
        raise BadBundle("station/version.py names no version")
    schema = lib / "station" / "store" / "schema"
    compiled = any(name.endswith(".so") for name in paths)
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Manifest(
        product=manifest.PRODUCT,
        version=found.group(1),
        min_previous=made.min_previous,
        python=made.python or (ours if compiled else ANY),
        machine=made.machine or (platform.machine() if compiled else ANY),
        schema=newest(schema),
        min_reader=int((schema / "min_reader").read_text("ascii")),
        files={name: _entry(path) for name, path in paths.items()},
    )


def _entry(path: Path) -> Entry:
    data = path.read_bytes()
    return Entry(hashlib.sha256(data).hexdigest(), len(data))
