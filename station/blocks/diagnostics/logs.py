"""GetLog: a log is put together and uploaded, and the CSMS hears how that goes (N01).

Putting together and uploading are jobs; this says when, how often, and what is told. At most one is under way: a newer
request takes the place of the older one. It survives a restart, and goes on when the CSMS has accepted the station.
Invariant: whatever happens to the jobs, each request that was accepted ends with a status of its own, once.
"""

from __future__ import annotations

import logging
import re
from typing import get_args

import msgspec

from station.block import Block, Job, JobResult, Reactions, Results, Routes, on, result, route
from station.facts import MessageTriggered, RegistrationChanged
from station.location import BadLocation, Location, located
from station.now import BootId, Deadline, Mono, MonoDeadline, Now, Wall, to_wall
from station.ocpp.enums import UploadLogStatusEnumType
from station.ocpp.messages import GetLogRequest, GetLogResponse, LogStatusNotificationRequest
from station.ports import Csms, Jobs
from station.refusal import Refusal
from station.state.log_uploads import LogUpload, LogUploads
from station.state.security_log import SecurityLog
from station.state.variables import Variables

log = logging.getLogger(__name__)

RETRIES = 3
INTERVAL_S = 60
"""Unless the CSMS says how often and when (N01: left to the station)."""

LEAST_PAUSE_S = 1.0
LONGEST_S = 7200.0
"""A job that has told nothing for so long is given up: one attempt of a server that takes a byte now and then."""

PROTOCOLS = ("OCPPCommCtrlr", "FileTransferProtocols")
NAMES = {"DiagnosticsLog": "diagnostics", "SecurityLog": "security"}
FAILURE: UploadLogStatusEnumType = "UploadFailure"
_UNFIT = r"[^A-Za-z0-9.\-]+"


class AssembleLog(Job, frozen=True, kw_only=True):
    """Put the file together; if it is there already, that is what was wanted."""

    request_id: int
    log_type: str
    filename: str
    oldest: Wall | None
    latest: Wall | None


class LogAssembled(JobResult, frozen=True, kw_only=True):
    """The file is there, unless `reason` says why not."""

    request_id: int
    reason: str = ""


class UploadLog(Job, frozen=True, kw_only=True):
    """Try once to bring it where the CSMS wants it; after the `last` attempt the file is removed."""

    request_id: int
    filename: str
    location: str
    last: bool


class LogUploaded(JobResult, frozen=True, kw_only=True):
    """How an attempt ended: `status` is Uploaded, or the failure as LogStatusNotification words it."""

    request_id: int
    status: str
    reason: str = ""


class LogRetrieval(Block):
    """Block N: logs. `identity`: of the station, for the names of the files."""

    def __init__(  # noqa: PLR0913 - the wiring of a block, named at the one call
        self,
        *,
        uploads: LogUploads,
        security_log: SecurityLog,
        variables: Variables,
        csms: Csms,
        jobs: Jobs,
        identity: str,
    ) -> None:
        self._uploads = uploads
        self._security_log = security_log
        self._variables = variables
        self._csms = csms
        self._jobs = jobs
        self._identity = identity
        self._boot = BootId(0)
        self._begun = False  # in this run
        self._since: Mono | None = None  # when the job that runs was started
        self._retry_at: Mono | None = None

    def routes(self) -> Routes:
        """N01."""
        return [route(GetLogRequest, self.get_log)]

    def results(self) -> Results:
        """N01."""
        return [result(LogAssembled, self.assembled), result(LogUploaded, self.uploaded)]

    def reactions(self) -> Reactions:
        """What a restart interrupted, and the trigger."""
        return [on(RegistrationChanged, self.registered), on(MessageTriggered, self.triggered)]

    def load(self, now: Now) -> None:
        """In a new run no job is under way; after a recovery the one that was may still be, or is tried again."""
        if now.boot != self._boot or self._uploads.wanted is None:
            self._boot, self._since, self._retry_at = now.boot, None, None
            self._begun = False
        elif self._begun and self._since is None and self._retry_at is None:  # what ended it was undone
            self._retry_at = now.after(INTERVAL_S)

    # --- the request

    def get_log(self, request: GetLogRequest, now: Now) -> GetLogResponse:
        """N01.FR.01, N01.FR.05, N01.FR.12."""
        to = self._place(request.log.remote_location)
        refusal = to if isinstance(to, Refusal) else self._unavailable(request, now)
        if refusal is not None or isinstance(to, Refusal):
            return GetLogResponse(status="Rejected", status_info=refusal.info if refusal is not None else None)
        former = self._uploads.wanted
        if former is not None:  # N01.FR.20
            self._jobs.cancel(AssembleLog)
            self._jobs.cancel(UploadLog)
            self._csms.tell(LogStatusNotificationRequest(status="AcceptedCanceled", request_id=former.request_id))
        wanted = self._wanted(request, now)
        log.info("log.requested", extra={"type": wanted.log_type, "to": to.shown, "request": wanted.request_id})
        self._uploads.keep(wanted)
        self._assemble(wanted, now)
        return GetLogResponse(status="Accepted" if former is None else "AcceptedCanceled", filename=wanted.filename)

    def _place(self, url: str) -> Location | Refusal:
        """Where to, if there is a way."""
        scheme = url.partition(":")[0].upper()
        if scheme not in self._variables.members(*PROTOCOLS):
            return Refusal("UnsupportedParam", "remoteLocation: no such file transfer protocol")
        try:
            return located(url)
        except BadLocation as bad:
            return Refusal("InvalidURL", str(bad))

    def _unavailable(self, request: GetLogRequest, now: Now) -> Refusal | None:
        """Why nothing of what is wanted can be there."""
        oldest, latest = _window(request)
        if request.log_type not in NAMES:
            return Refusal("UnsupportedParam", "logType")
        if oldest is not None and latest is not None and latest < oldest:
            return Refusal("InvalidValue", "latestTimestamp is before oldestTimestamp")
        if oldest is not None and now.trusted and oldest > now.wall:
            return Refusal("NotFound", "oldestTimestamp is in the future")
        if request.log_type == "SecurityLog" and not self._security_log.has(oldest, latest):
            return Refusal("NotFound", "the security log has nothing of that time")
        return None

    def _wanted(self, request: GetLogRequest, now: Now) -> LogUpload:
        oldest, latest = _window(request)
        retries, interval_s = request.retries, request.retry_interval
        identity = re.sub(_UNFIT, "_", self._identity)
        name = f"{identity}_{NAMES[request.log_type]}_{now.utc:%Y%m%dT%H%M%SZ}_{request.request_id}.zip"
        return LogUpload(
            request_id=request.request_id,
            log_type="SecurityLog" if request.log_type == "SecurityLog" else "DiagnosticsLog",
            filename=name,
            oldest=oldest,
            latest=latest,
            retries=max(retries, 0) if retries is not None else RETRIES,
            interval_s=max(interval_s if interval_s is not None else INTERVAL_S, 0),
            location=request.log.remote_location,
        )

    # --- its way

    def registered(self, fact: RegistrationChanged, now: Now) -> None:
        """The CSMS has accepted the station: now the network and the time are there to go on (B02)."""
        wanted = self._uploads.wanted
        if fact.status == "Accepted" and wanted is not None and not self._begun:
            self._assemble(wanted, now)

    def _assemble(self, wanted: LogUpload, now: Now) -> None:
        self._begun, self._since, self._retry_at = True, now.mono, None
        self._jobs.start(
            AssembleLog(
                request_id=wanted.request_id,
                log_type=wanted.log_type,
                filename=wanted.filename,
                oldest=wanted.oldest,
                latest=wanted.latest,
            )
        )

    def assembled(self, done: LogAssembled, now: Now) -> None:
        """N01.FR.02, N01.FR.08."""
        wanted = self._uploads.wanted
        if wanted is None or wanted.request_id != done.request_id:
            return
        if done.reason:
            log.warning("log.not_assembled", extra={"reason": done.reason})
            self._end(wanted, FAILURE)
            return
        if not wanted.uploading:
            wanted = msgspec.structs.replace(wanted, uploading=True)
            self._uploads.keep(wanted)
            self._csms.tell(LogStatusNotificationRequest(status="Uploading", request_id=wanted.request_id))
        self._upload(wanted, now)

    def _upload(self, wanted: LogUpload, now: Now) -> None:
        self._since, self._retry_at = now.mono, None
        self._jobs.start(
            UploadLog(
                request_id=wanted.request_id,
                filename=wanted.filename,
                location=wanted.location,
                last=wanted.retries == 0,
            )
        )

    def uploaded(self, done: LogUploaded, now: Now) -> None:
        """N01.FR.09, N01.FR.10: of attempts that fail only the last one is told."""
        wanted = self._uploads.wanted
        if wanted is None or wanted.request_id != done.request_id:
            return
        if done.status == "Uploaded":
            self._end(wanted, "Uploaded")
            return
        log.warning("log.not_uploaded", extra={"reason": done.reason, "retries": wanted.retries})
        self._failed(wanted, _worded(done.status), now)

    def _failed(self, wanted: LogUpload, status: UploadLogStatusEnumType, now: Now) -> None:
        if not wanted.retries:
            self._end(wanted, status)
            return
        self._uploads.keep(msgspec.structs.replace(wanted, retries=wanted.retries - 1))
        began = self._since if self._since is not None else now.mono
        self._since = None
        self._retry_at = max(Mono(began + wanted.interval_s), now.after(LEAST_PAUSE_S))

    def _end(self, wanted: LogUpload, status: UploadLogStatusEnumType) -> None:
        self._uploads.done()
        self._since = self._retry_at = None
        self._csms.tell(LogStatusNotificationRequest(status=status, request_id=wanted.request_id))  # N01.FR.07

    # --- time, and who asks

    def next_due(self) -> Deadline | None:
        """The next attempt, or the end of patience with the present one."""
        if self._retry_at is not None:
            return MonoDeadline(self._retry_at)
        return MonoDeadline(Mono(self._since + LONGEST_S)) if self._since is not None else None

    def due(self, now: Now) -> None:
        """It has come."""
        wanted = self._uploads.wanted
        if wanted is None:
            self._since = self._retry_at = None
        elif self._retry_at is not None:
            self._assemble(wanted, now)  # the file is there, unless somebody has tidied up
        else:
            self._jobs.cancel(AssembleLog)
            self._jobs.cancel(UploadLog)
            self._failed(wanted, FAILURE, now)

    def triggered(self, fact: MessageTriggered, now: Now) -> None:
        """F06.FR.14, F06.FR.15."""
        del now
        if fact.requested != "LogStatusNotification":
            return
        wanted = self._uploads.wanted
        if wanted is not None and wanted.uploading:
            told = LogStatusNotificationRequest(status="Uploading", request_id=wanted.request_id)
        else:
            told = LogStatusNotificationRequest(status="Idle")  # N01.FR.13
        self._csms.tell(told, asked=True)


def _window(request: GetLogRequest) -> tuple[Wall | None, Wall | None]:
    oldest, latest = request.log.oldest_timestamp, request.log.latest_timestamp
    return to_wall(oldest) if oldest is not None else None, to_wall(latest) if latest is not None else None


def _worded(status: str) -> UploadLogStatusEnumType:
    """A failure as it may be told."""
    known: tuple[UploadLogStatusEnumType, ...] = get_args(UploadLogStatusEnumType)
    return next((each for each in known if each == status), FAILURE)
