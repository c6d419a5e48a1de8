"""The workers of GetLog, brought along when one is needed: what they import costs a start more than all else."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping
from typing import Any

from station.app import Station
from station.block import Job, JobResult
from station.blocks.diagnostics.logs import AssembleLog, UploadLog
from station.config import Config
from station.shell.jobs import Worker
from station.shell.runner import Runner
from station.shell.threads import in_thread

_MODULE = "station.commands.logfiles"


class LogJobs:
    """Of one station."""

    def __init__(self, config: Config, station: Station, runner: Runner) -> None:
        self._parts = (config, station, runner)
        self._made: Any = None
        self._making = asyncio.Lock()

    def workers(self) -> Mapping[type[Job], Worker]:
        """By the kind of job."""
        return {AssembleLog: self._assemble, UploadLog: self._upload}

    async def _assemble(self, job: AssembleLog) -> JobResult:
        done: JobResult = await (await self._log_files()).assemble(job)
        return done

    async def _upload(self, job: UploadLog) -> JobResult:
        done: JobResult = await (await self._log_files()).upload(job)
        return done

    async def _log_files(self) -> Any:
        """Imported in a thread: the core goes on meanwhile."""
        async with self._making:
            if self._made is None:
                module = await in_thread(lambda: importlib.import_module(_MODULE), "import")
                self._made = module.LogFiles(*self._parts)
        return self._made
