"""Secrets that systemd hands over: files of root's, which the agent's user could not read by itself (LoadCredential=).

station.yaml names the file as ever; `ocpp-station drop-in` writes the line of the unit. Under the unit the copy is read
that systemd has made for the agent alone; elsewhere, as in `check` by root, the file itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def name_of(file: Path) -> str:
    """What the credential of a file is called: `etc.ocpp-station.password`."""
    return str(file.absolute()).strip("/").replace("/", ".")


def handed(file: Path, environment: Mapping[str, str] = os.environ) -> Path:
    """The copy of a file that systemd has handed over; the file itself if there is none."""
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return file
    copy = Path(folder) / name_of(file)
    return copy if copy.exists() else file
