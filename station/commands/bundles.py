"""`ocpp-station bundle`: makes and shows bundles; and the one word that lets an older version in (docs/update.md)."""

from __future__ import annotations

import sys
from pathlib import Path

from station.commands import errors, local
from station.commands.installers.archive import BadBundle
from station.commands.installers.make import Made, make, show
from station.commands.installers.manifest import Manifest
from station.commands.installers.versions import BadVersion


def make_bundle(folder: str, bundle: str, made: Made) -> int:
    """Of the packages in `folder`; the exit code."""
    try:
        told = make(Path(folder), Path(bundle), made)
    except (BadBundle, BadVersion, OSError) as error:
        return errors.tell(str(error), "give the folder that `pip install --target` has made", 1)
    return _told(told)


def show_bundle(bundle: str) -> int:
    """What it says of itself; the exit code."""
    try:
        told = show(Path(bundle))
    except (BadBundle, OSError) as error:
        return errors.tell(f"{bundle}: {error}", "", 1)
    return _told(told)


def _told(told: Manifest) -> int:
    sys.stdout.write(
        f"{told.product} {told.version}, after {told.min_previous} or newer; "
        f"Python {told.python}, machine {told.machine}\n"
        f"{len(told.files)} files, {told.size} bytes; database {told.schema}, readable from {told.min_reader} on\n"
    )
    return 0


def allow_older(address: str, version: str) -> int:
    """Ask the running agent to take versions from this one on, once; the exit code."""
    try:
        answer = local.ask(address, {"cmd": "allow_firmware", "version": version})
    except local.NotRunning as gone:
        return errors.tell(str(gone), "is ocpp-station.service running?", errors.EX_NOT_RUNNING)
    if not answer.get("ok"):
        return errors.tell(str(answer.get("error")), "", 1)
    sys.stdout.write(f"firmware from {version} on is installed, until one has been\n")
    return 0
