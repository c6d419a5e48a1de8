"""What RAUC and SWUpdate have in common: a system image goes into the copy of the system that does not run.

They differ in how they are asked (`System`). Here is what holds for both: an older version is refused, new firmware has
to get well before it is made permanent, and goes back when it does not. The boot loader sees to a system that cannot
start at all, by counting its attempts.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol

import msgspec

from station.commands.installers import Confirmation, Installation, Silent
from station.commands.installers.versions import BadVersion, Floor
from station.shell.linkdown import one_line
from station.store import files

log = logging.getLogger(__name__)

NOTE = "firmware-trial"
LOOK_S = 1.0


class Refused(Exception):  # noqa: N818 - reads as what it says
    """It is no firmware for this station."""


class NotDone(Exception):  # noqa: N818 - reads as what it says
    """It failed, or nobody answers."""


class System(Protocol):
    """Everything raises NotDone."""

    async def version_of(self, file: Path) -> str:
        """Of an image. Raises Refused for one that is not for this station."""
        ...

    async def running(self) -> str:
        """Which copy of the system runs."""
        ...

    async def install(self, file: Path, by: float) -> None:
        """Into the other copy, which is started next. `by`: of the monotonic clock."""
        ...

    async def mark(self, *, good: bool) -> None:
        """Keep the copy that runs, or start the other one."""
        ...


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """What is tried. `before`: the copy that ran; `silent`: the EVSEs whose hardware did not answer even before.

    `over`: it has proven itself, or was left again.
    """

    update: str
    version: str
    before: str
    silent: frozenset[int]
    over: bool = False


class Bounds(NamedTuple):
    """`version`: of the firmware that runs, as far as station.yaml tells it. `within_s`: to get well in."""

    version: str
    patience_s: float
    within_s: float


class Images:
    """Of one station, whose state directory is `folder`."""

    takes_file: ClassVar[bool] = True

    def __init__(self, system: System, folder: Path, floor: Floor, silent: Silent, bounds: Bounds) -> None:
        self._system = system
        self._note = folder / NOTE
        self._floor = floor
        self._silent = silent
        self._bounds = bounds

    async def install(self, update: str, file: Path, digest: bytes = b"") -> Installation:
        """See `Installer`. An image has a signature of its own, which the system checks as it reads."""
        del digest
        by = time.monotonic() + self._bounds.patience_s
        try:
            version = await self._system.version_of(file)
            if reason := self._floor.refusal(version, self._bounds.version):
                return Installation("unverified", reason)
            silent, before = await self._silent(), await self._system.running()
            former = self._noted(update)
            if (
                former is not None and former.before != before
            ):  # a power cut was the restart; the other copy stays as it is
                return Installation("active", f"{former.version} runs already")
            self._keep(Note(update=update, version=version, before=before, silent=silent))
            await self._system.install(file, by)
        except (Refused, BadVersion) as error:
            return Installation("unverified", one_line(str(error)))
        except (NotDone, OSError) as error:
            return Installation("failed", one_line(str(error)))
        return Installation("restart", f"{version} is to be tried")

    async def confirm(self, update: str, file: Path, *, late: bool = False) -> Confirmation:
        """See `Installer`. Who does the work may not be up yet: it is asked again and again."""
        del file
        note = self._noted(update)
        if note is None:
            return Confirmation("nothing is known of this update here")
        end = time.monotonic() + self._bounds.within_s
        while True:
            try:
                return await self._confirm(note, end, late=late)
            except (NotDone, BadVersion, OSError) as error:
                if time.monotonic() > end:
                    return Confirmation(one_line(str(error)))
                log.warning("firmware.not_confirmed", extra={"reason": one_line(str(error))})
            await asyncio.sleep(LOOK_S)

    async def stays(self) -> str:
        """What runs is found good, unless it is on trial: a boot loader may count each start. Gives why it was not."""
        try:
            note, running = self._last(), await self._system.running()
            if note is None or note.over or running == note.before:
                await self._system.mark(good=True)
        except NotDone as error:
            return one_line(str(error))
        return ""

    def _keep(self, note: Note) -> None:
        files.replace(self._note, msgspec.json.encode(note))

    def _noted(self, update: str) -> Note | None:
        """What is tried, if it is this update."""
        note = self._last()
        return note if note is not None and note.update == update else None

    def _last(self) -> Note | None:
        try:
            return msgspec.json.decode(self._note.read_bytes(), type=Note)
        except (OSError, msgspec.DecodeError):
            return None

    async def _confirm(self, note: Note, end: float, *, late: bool) -> Confirmation:
        running = await self._system.running()
        if running == note.before:
            self._keep(msgspec.structs.replace(note, over=True))
            await self.stays()
            return Confirmation(f"{note.version} does not run: {running} was started again")
        if reason := "the CSMS has not accepted it in time" if late else await self._unwell(note, end):
            await self._system.mark(good=False)
            return Confirmation(f"{note.version} is given up: {reason}", restart=True)
        await self._system.mark(good=True)
        self._keep(msgspec.structs.replace(note, over=True))
        self._floor.raise_to(note.version)
        return Confirmation()

    async def _unwell(self, note: Note, end: float) -> str:
        """What is wrong with it, after it had time to get well."""
        while silent := await self._silent() - note.silent:
            if time.monotonic() > end:
                return f"the hardware of EVSE {', '.join(map(str, sorted(silent)))} does not answer"
            await asyncio.sleep(LOOK_S)
        return ""
