"""Which installer station.yaml names."""

from __future__ import annotations

import os

from station.commands.installers import Installer, Silent
from station.commands.installers.bundle import Bundle
from station.commands.installers.command import Command
from station.commands.installers.versions import Floor
from station.config import Config
from station.config.schema import Firmware


def chosen(config: Config, given: Firmware, silent: Silent) -> Installer:
    """It is checked before: one of them is named."""
    floor = Floor(config.state, given.oldest)
    if given.command is not None:
        return Command(given.command, given.patience_s)
    assert given.bundle is not None  # noqa: S101 - for mypy: the only other one
    within_s = given.bundle.healthy_within_s
    return Bundle(os.environ, floor, silent, within_s=within_s, patience_s=given.patience_s)
