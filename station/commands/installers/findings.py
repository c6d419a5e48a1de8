"""`check` looks whether updates could be installed here."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator, Sequence

from certs.trust import TrustStore
from station.commands.findings import Finding, Grade
from station.commands.installers.images import NotDone, System
from station.commands.installers.rauc import Rauc
from station.commands.installers.swupdate import Swupdate
from station.config import Config
from station.config.schema import Firmware

_MAKER = "ManufacturerRootCertificate"
_WHAT = "updates"


def findings(config: Config) -> Iterator[Finding]:
    """Of the section `firmware`."""
    given = config.file.firmware
    if given is None:
        return
    yield from _installer(config, given)
    image = given.rauc is not None or given.swupdate is not None
    if image and not config.file.reboot_command:
        detail = "nothing restarts the machine, and so no new system is ever started"
        yield Finding(Grade.ERROR, _WHAT, detail, "add `reboot_command:`")
    if not given.unsigned and not TrustStore(config.roots).bundle(_MAKER):
        detail = "nobody may sign firmware: every update is refused"
        yield Finding(Grade.WARNING, _WHAT, detail, f"let the CSMS install a {_MAKER}")


def _installer(config: Config, given: Firmware) -> Iterator[Finding]:
    if given.command is not None:
        yield _program("command", given.command)
    elif given.bundle is not None:
        yield _slots(config)
    elif given.swupdate is not None:
        yield _program("swupdate", given.swupdate.client)
        yield _system("swupdate", Swupdate(given.swupdate))
    else:
        yield _system("rauc", Rauc())


def _program(name: str, command: Sequence[str]) -> Finding:
    if shutil.which(command[0]) is None:
        return Finding(Grade.ERROR, _WHAT, f"{name}: {command[0]} is no program", "install it, or correct the path")
    return Finding(Grade.OK, _WHAT, f"{name}: {command[0]}")


def _slots(config: Config) -> Finding:
    nearest = next(parent for parent in (config.state, *config.state.absolute().parents) if parent.exists())
    if os.statvfs(nearest).f_flag & os.ST_NOEXEC:
        detail = f"bundle: {nearest} is mounted noexec, compiled packages cannot be loaded from there"
        return Finding(Grade.ERROR, _WHAT, detail, "mount it without noexec")
    return Finding(Grade.OK, _WHAT, f"bundle: versions of the agent in {config.state / 'slots'}")


def _system(name: str, system: System) -> Finding:
    try:
        return Finding(Grade.OK, _WHAT, f"{name}: {asyncio.run(system.running())} runs")
    except NotDone as error:
        return Finding(Grade.ERROR, _WHAT, str(error), "docs/update.md tells what it needs")
