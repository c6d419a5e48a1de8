"""Which installer station.yaml names."""

from __future__ import annotations

import os

from station.commands.installers import Installer, Silent
from station.commands.installers.bundle import Bundle
from station.commands.installers.command import Command
from station.commands.installers.images import Bounds, Images
from station.commands.installers.rauc import Rauc
from station.commands.installers.swupdate import Swupdate
from station.commands.installers.versions import Floor
from station.config import Config, schema
from station.config.checks import VERSION


def chosen(config: Config, given: schema.Firmware, silent: Silent) -> Installer:
    """It is checked before: one of them is named."""
    floor = Floor(config.state, given.oldest)
    if given.command is not None:
        return Command(given.command, given.patience_s)
    if given.bundle is not None:
        within_s = given.bundle.healthy_within_s
        return Bundle(os.environ, floor, silent, within_s=within_s, patience_s=given.patience_s)
    image = given.rauc or given.swupdate
    assert image is not None  # noqa: S101 - for mypy: the only ones left
    version = config.file.station.firmware_version
    bounds = Bounds(version if VERSION.fullmatch(version) else "", given.patience_s, image.healthy_within_s)
    system = Swupdate(image) if isinstance(image, schema.Swupdate) else Rauc()
    return Images(system, config.state, floor, silent, bounds)
