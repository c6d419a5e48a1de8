"""The jobs of GetLog (N01): a log is put together in a file below the state directory, and uploaded from there.

The file stays until it has arrived or was given up, so that attempts, also those after a restart, send the same one and
may continue what broke off. There is one at most.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from station.app import Station
from station.block import Job
from station.blocks.diagnostics.logs import AssembleLog, LogAssembled, LogUploaded, UploadLog
from station.commands import network
from station.commands.contents import Contents
from station.config import Config
from station.location import BadLocation, located
from station.now import Now
from station.shell import bundle
from station.shell.jobs import Worker
from station.shell.runner import Runner
from station.shell.threads import in_thread
from station.shell.transfer.line import Pace, Trust
from station.shell.transfer.transfers import Transfers
from station.shell.transfer.ways import Failed, Kind, Outgoing
from station.store import files

log = logging.getLogger(__name__)

FOLDER = "logs"
HOST_KEYS = "ssh-hosts.json"
STEP_S = 20.0
"""How long the core may take for one question."""
_TOLD = frozenset({Kind.BAD_MESSAGE, Kind.PERMISSION_DENIED, Kind.NOT_SUPPORTED})
"""Kinds for which LogStatusNotification has a word of its own."""
_KBIT = 125


class LogFiles:
    """Does the jobs of one station."""

    def __init__(self, config: Config, station: Station, runner: Runner) -> None:
        self._config = config
        self._station = station
        self._runner = runner
        self._transfers = transfers(config)
        self._folder = config.state / FOLDER
        self._spare: Path | None = None
        self._outgoing: Outgoing | None = None

    def workers(self) -> Mapping[type[Job], Worker]:
        """By the kind of job."""
        return {AssembleLog: self.assemble, UploadLog: self.upload}

    async def assemble(self, job: AssembleLog) -> LogAssembled:
        """See the job."""
        for folder in self._folders():
            bundle.sweep(folder, job.filename)
        if self._file(job.filename) is not None:
            return LogAssembled(request_id=job.request_id)
        whoup = threading.Event()
        loop = asyncio.get_running_loop()

        def ask(command: Callable[[Now], Any]) -> Any:
            return asyncio.run_coroutine_threadsafe(self._runner.ask(command), loop).result(STEP_S)

        parts = Contents(self._config, self._station, self._runner, ask)
        try:
            await in_thread(lambda: self._pack(job, parts, lambda: not whoup.is_set()), "bundle")
        except Exception as error:  # the CSMS hears of any end
            log.exception("log.assembly")
            return LogAssembled(request_id=job.request_id, reason=str(error) or type(error).__name__)
        finally:
            whoup.set()
        return LogAssembled(request_id=job.request_id)

    def _pack(self, job: AssembleLog, contents: Contents, wanted: Callable[[], bool]) -> None:
        """In the state directory; where that takes no writes, which a log may be to tell, among the temporary files."""
        try:
            bundle.pack(self._folder / job.filename, contents.parts(job), wanted)
        except OSError as error:
            log.warning("log.folder", extra={"folder": str(self._folder), "reason": str(error)})
            self._spare = self._spare or Path(tempfile.mkdtemp(prefix="ocpp-station-"))
            bundle.pack(self._spare / job.filename, contents.parts(job), wanted)

    async def upload(self, job: UploadLog) -> LogUploaded:
        """See the job."""
        path = self._file(job.filename)
        if path is None:
            return LogUploaded(request_id=job.request_id, status=Kind.FAILED.value, reason="the file is gone")
        if self._outgoing is None or self._outgoing.path != path:
            self._outgoing = Outgoing(path=path, name=job.filename)
        try:
            await self._transfers.upload(located(job.location), self._outgoing)
        except (Failed, BadLocation, OSError) as error:
            kind = error.kind if isinstance(error, Failed) and error.kind in _TOLD else Kind.FAILED
            reason = error.detail if isinstance(error, Failed) else str(error)
            done = LogUploaded(request_id=job.request_id, status=kind.value, reason=reason)
        else:
            done = LogUploaded(request_id=job.request_id, status="Uploaded")
        if job.last or done.status == "Uploaded":
            files.remove(path)
            self._leave()
        return done

    def _file(self, name: str) -> Path | None:
        """Where the file is, if it is whole."""
        return next((path for folder in self._folders() if (path := folder / name).is_file()), None)

    def _folders(self) -> list[Path]:
        return [self._folder] if self._spare is None else [self._folder, self._spare]

    def _leave(self) -> None:
        """The temporary directory, if there was need of one."""
        if self._spare is not None:
            with contextlib.suppress(OSError):
                self._spare.rmdir()
            self._spare = None


def transfers(config: Config) -> Transfers:
    """As station.yaml limits them, believing whom the CSMS link believes and the operating system's authorities."""
    given = config.file.transfers
    pace = Pace(limit_bytes_s=given.rate_limit_kbit_s * _KBIT if given.rate_limit_kbit_s is not None else None)
    known = config.locate(given.known_hosts) if given.known_hosts is not None else None

    def trust() -> Trust:
        who = network.credentials(config)
        return Trust(who.tls, config.state / HOST_KEYS, known, who.revocation, given.this_machine)

    return Transfers(trust, pace)
