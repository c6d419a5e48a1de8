"""What the tests of GetLog share: the request, and the jobs' ends as the shell would tell them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from station.blocks.diagnostics.logs import AssembleLog, LogAssembled, LogUploaded, UploadLog
from tests.bench import Bench

LOCATION = "https://files.example/logs/"


def get_log(
    bench: Bench,
    request_id: int = 1,
    log_type: str = "DiagnosticsLog",
    location: str = LOCATION,
    *,
    window: tuple[datetime | None, datetime | None] = (None, None),
    **more: Any,
) -> dict[str, Any]:
    """GetLog; gives the answer."""
    log = {"remoteLocation": location}
    for name, moment in zip(("oldestTimestamp", "latestTimestamp"), window, strict=True):
        if moment is not None:
            log[name] = moment.isoformat().replace("+00:00", "Z")
    return bench.csms.call("GetLog", {"requestId": request_id, "logType": log_type, "log": log, **more})


def statuses(bench: Bench) -> list[tuple[str, int | None]]:
    """What was told of logs, in order."""
    return [(each["status"], each.get("requestId")) for each in bench.csms.received("LogStatusNotification")]


def wanted(bench: Bench, kind: type[AssembleLog | UploadLog]) -> list[Any]:
    """The jobs of a kind that run."""
    return [each.job for each in bench.jobs if isinstance(each.job, kind)]


def assembled(bench: Bench, reason: str = "") -> None:
    """The file is there."""
    job = bench.job(AssembleLog)
    assert isinstance(job.job, AssembleLog)
    bench.job_done(job, LogAssembled(request_id=job.job.request_id, reason=reason))


def uploaded(bench: Bench, status: str = "Uploaded") -> None:
    """An attempt has ended."""
    job = bench.job(UploadLog)
    assert isinstance(job.job, UploadLog)
    bench.job_done(job, LogUploaded(request_id=job.job.request_id, status=status, reason="the test says so"))
