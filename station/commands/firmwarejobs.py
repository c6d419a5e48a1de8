"""The workers of block L, brought along when one is needed: what they import costs a start more than all else.

And who tells a boot loader that the system has started.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Mapping
from typing import Any

from station.block import Job, JobResult
from station.blocks.firmware.jobs import (
    ConfirmFirmware,
    DownloadFirmware,
    DropFirmware,
    InstallFirmware,
    JudgeSigner,
    VerifyFirmware,
)
from station.commands.installers import Silent
from station.config import Config
from station.shell.jobs import Worker
from station.shell.threads import in_thread

log = logging.getLogger(__name__)

STARTED_S = 5.0
"""What runs for so long has started."""
AGAIN_S = 10.0
_MODULE = "station.commands.firmware"
_CHOICE = "station.commands.installers.choice"
_KINDS: tuple[type[Job], ...] = (
    ConfirmFirmware,
    DownloadFirmware,
    DropFirmware,
    InstallFirmware,
    JudgeSigner,
    VerifyFirmware,
)


class FirmwareJobs:
    """Of one station. `silent`: the EVSEs whose hardware does not answer now."""

    def __init__(self, config: Config, silent: Silent) -> None:
        self._config = config
        self._silent = silent
        self._workers: Mapping[type[Job], Worker] | None = None
        self._making = asyncio.Lock()

    def workers(self) -> Mapping[type[Job], Worker]:
        """By the kind of job; none where there is no installer."""
        return dict.fromkeys(_KINDS, self._do) if self._config.file.firmware is not None else {}

    async def _do(self, job: Job) -> JobResult:
        """The modules are imported in a thread: the core goes on meanwhile."""
        async with self._making:
            if self._workers is None:
                module: Any = await in_thread(lambda: importlib.import_module(_MODULE), "import")
                self._workers = module.FirmwareFiles(self._config, self._silent).workers()
        assert self._workers is not None  # noqa: S101 - for mypy: made above
        return await self._workers[type(job)](job)


class Starts:
    """Tells the boot loader of a whole system that it has started, where that may count each start (`Images.stay`)."""

    def __init__(self, config: Config, silent: Silent) -> None:
        self._config = config
        self._silent = silent

    @property
    def counted(self) -> bool:
        """Whether there may be such a one."""
        given = self._config.file.firmware
        return given is not None and (given.rauc is not None or given.swupdate is not None)

    async def run(self) -> None:
        """Once; who does it may not be up yet, or be at work."""
        await asyncio.sleep(STARTED_S)
        module: Any = await in_thread(lambda: importlib.import_module(_CHOICE), "import")
        images = module.chosen(self._config, self._config.file.firmware, self._silent)
        told = ""
        while reason := await images.stays():
            if reason != told:
                log.warning("firmware.start_not_told", extra={"reason": reason})
            told = reason
            await asyncio.sleep(AGAIN_S)
        await asyncio.Event().wait()  # all is done
