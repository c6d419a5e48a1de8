"""Extensions that vendors bring for messages of their own (block P), found by their entry points.

Only those that station.yaml names are loaded: what is installed is not thereby wanted. One that cannot be loaded is
left out, and the station charges without it.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Container, Iterator

import msgspec

from station.blocks.data_transfer import Installed
from station.commands.findings import Finding, Grade
from station.config import Config
from station.extension import Extension
from station.setup import Setup

log = logging.getLogger(__name__)

GROUP = "ocpp_station.data_transfer"
LONGEST_VENDOR = 50
"""Characters: the vendor's id is the instance of a variable, by which the CSMS switches it off."""


class BadExtension(Exception):  # noqa: N818 - reads as what it says
    """It cannot be used; the text says why."""


def equipped(setup: Setup, config: Config) -> Setup:
    """With the extensions that the file names."""
    if not config.file.extensions:
        return setup
    installed: dict[str, Installed] = {}
    for name, options in config.file.extensions.items():
        try:
            found = _found(name, taken=installed)
        except BadExtension as bad:
            log.error("extension.left_out", extra={"extension": name, "reason": str(bad)})  # noqa: TRY400 - it says all
            continue
        made = functools.partial(found, options=options)
        installed[found.vendor_id] = Installed(found.vendor_id, made)
    layout = msgspec.structs.replace(setup.layout, custom_vendors=tuple(installed))
    return msgspec.structs.replace(setup, layout=layout, extensions=tuple(installed.values()))


def findings(config: Config) -> Iterator[Finding]:
    """For `ocpp-station check`."""
    for name in config.file.extensions:
        try:
            found = _found(name)
        except BadExtension as bad:
            remedy = "install its package beside the agent, or take it out of the file"
            yield Finding(Grade.ERROR, "extension", f"{name}: {bad}", remedy)
        else:
            yield Finding(Grade.OK, "extension", f"{name}: messages of {found.vendor_id}")


def _found(name: str, taken: Container[str] = ()) -> type[Extension]:
    """The class that is announced by this name. Raises BadExtension, also for a vendor that is taken."""
    from importlib import metadata  # noqa: PLC0415 - dear, and only where there are extensions

    points = list(metadata.entry_points(group=GROUP, name=name))
    if not points:
        raise BadExtension(f"no installed package announces it ({GROUP})")
    if len({point.value for point in points}) > 1:
        raise BadExtension("several installed packages announce it")
    try:
        found = points[0].load()
    except Exception as error:
        raise BadExtension(f"{points[0].value} cannot be imported: {type(error).__name__} {error}") from error
    if not (isinstance(found, type) and issubclass(found, Extension)):
        raise BadExtension(f"{points[0].value} is no Extension")
    vendor_id = getattr(found, "vendor_id", None)
    if not isinstance(vendor_id, str) or not 0 < len(vendor_id) <= LONGEST_VENDOR:
        raise BadExtension(f"{points[0].value} has no vendor_id of 1 to {LONGEST_VENDOR} characters")
    if vendor_id in taken:
        raise BadExtension(f"another one is of {vendor_id!r}, too")
    return found
