"""RAUC, asked over D-Bus (de.pengutronix.rauc.Installer, 1.8 and newer) by systemd's `busctl`.

RAUC checks the bundle's own signature and whether it fits, writes the slot that does not run, and lets the boot loader
start it. The agent needs no rights but to talk to it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

import msgspec

from station.commands.installers.images import LOOK_S, NotDone, Refused
from station.commands.installers.programs import run

log = logging.getLogger(__name__)

_BUS = ("busctl", "--system", "--json=short")
_INSTALLER = ("de.pengutronix.rauc", "/", "de.pengutronix.rauc.Installer")
_ANSWER_S = 300.0
"""So long RAUC may read a bundle before it answers."""


class Rauc:
    """See `System`."""

    async def version_of(self, file: Path) -> str:
        """RAUC looks at its signature for this, too."""
        (ours,) = await _properties("Compatible")
        try:
            compatible, version = await _call("Info", "s", str(file))
        except NotDone as error:
            raise Refused(str(error)) from error
        if compatible != ours:
            raise Refused(f"it is for {compatible!r}, this is {ours!r}")
        return str(version)

    async def running(self) -> str:
        """The name of the booted slot."""
        (slots,) = await _call("GetSlotStatus")
        for name, told in slots:
            if told.get("state", {}).get("data") == "booted":
                return str(name)
        raise NotDone("RAUC does not know which slot was booted")

    async def install(self, file: Path, by: float) -> None:
        """What an earlier run of the agent has begun comes to its end first."""
        await _until_idle(by)
        await _call("InstallBundle", "sa{sv}", str(file), "0")
        if error := await _until_idle(by):
            raise NotDone(error)

    async def mark(self, *, good: bool) -> None:
        """The booted slot. What is bad is not started again."""
        _, words = await _call("Mark", "ss", "good" if good else "bad", "booted")
        log.info("firmware.marked", extra={"good": good, "words": words})
        if not good:
            await _call("Mark", "ss", "active", "other")


async def _until_idle(by: float) -> str:
    """What went wrong in what RAUC did last; empty if nothing. Raises NotDone if it does not end."""
    told: object = None
    while True:
        operation, progress, error = await _properties("Operation", "Progress", "LastError")
        if operation == "idle":
            return str(error)
        if progress != told:
            log.info("firmware.progress", extra={"percent": progress[0], "step": progress[1]})
            told = progress
        if time.monotonic() > by:
            raise NotDone("RAUC does not come to an end")
        await asyncio.sleep(LOOK_S)


async def _call(method: str, *arguments: str) -> list[Any]:
    """What it gives, which may be nothing."""
    given = await _asked("call", method, *arguments)
    return list(given[0]) if given else []


async def _properties(*names: str) -> list[Any]:
    return await _asked("get-property", *names)


async def _asked(what: str, *words: str) -> list[Any]:
    ran = await run([*_BUS, f"--timeout={_ANSWER_S:g}", what, *_INSTALLER, *words], _ANSWER_S + 5.0, apart=True)
    if ran.code:
        raise NotDone(f"RAUC: {ran.words}")
    try:
        return [msgspec.json.decode(line)["data"] for line in ran.output.splitlines() if line]
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise NotDone(f"RAUC: its answer is none: {ran.output[:80]!r}") from error
