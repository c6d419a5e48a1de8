"""The workers of block L, brought along when one is needed: what they import costs a start more than all else."""

from __future__ import annotations

import asyncio
import importlib
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

_MODULE = "station.commands.firmware"
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
