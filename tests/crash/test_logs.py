"""Power is cut at every write while logs are fetched: each request that was accepted ends once, told by its own number.

What the CSMS had heard before the cut counts: nothing is told anew that it knows, but a message whose receipt was not
yet noted, which has its old id.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from station.blocks.diagnostics.logs import AssembleLog, UploadLog
from station.state.log_uploads import LogUploads
from tests.bench import Bench
from tests.crash.medium import Image, fault_of, images
from tests.crash.recorder import Recorder
from tests.crash.scenarios import MarkingBench, Sent
from tests.scenarios.n_diagnostics.logs import assembled, get_log, uploaded, wanted

LATER_IDS = 10_000
"""New messages of the station that comes back are none of those that were sent before."""


class Heard(NamedTuple):
    """A LogStatusNotification as it arrived."""

    message_id: str
    status: str
    request_id: int


def fetched(bench: Bench) -> None:
    """One log at the second attempt, one that gives way to a third."""
    get_log(bench, 1, retries=1, retryInterval=5)
    assembled(bench)
    uploaded(bench, "UploadFailure")
    bench.advance(seconds=5)
    assembled(bench)
    uploaded(bench)
    get_log(bench, 2, "SecurityLog")
    assembled(bench)
    get_log(bench, 3)
    assembled(bench)
    uploaded(bench)
    bench.advance(minutes=2)


def frames(image: Image) -> Iterator[list[object]]:
    """What had left."""
    return (json.loads(mark.text) for mark in image.marks if isinstance(mark, Sent))


def heard(before: Iterator[list[object]]) -> Iterator[Heard]:
    for kind, message_id, action, payload, *_ in (frame for frame in before if frame[0] == 2):
        assert kind == 2
        if action == "LogStatusNotification" and isinstance(payload, dict):
            yield Heard(str(message_id), payload["status"], payload["requestId"])


def goes_on(root: Path, image: Image, requests: dict[str, int]) -> None:
    """The oracle. `requests`: the number of each GetLog by the id of its message."""
    accepted = {requests[str(frame[1])] for frame in frames(image) if frame[0] == 3 and str(frame[1]) in requests}
    bench = Bench(root, boot=False)
    bench.ids.count = LATER_IDS
    try:
        bench.boot()
        for _ in range(3):
            bench.advance(minutes=1)
            if wanted(bench, AssembleLog):
                assembled(bench)
            if wanted(bench, UploadLog):
                uploaded(bench)
        bench.advance(minutes=1)
        later = [(f.message_id, f.content) for f in bench.csms.frames("LogStatusNotification")]
    finally:
        bench.database.close()
    told = [*heard(frames(image)), *(Heard(id_, c["status"], c["requestId"]) for id_, c in later)]
    messages = list(dict.fromkeys(told))  # a repetition is the same message
    for request_id in {each.request_id for each in messages} | accepted:
        statuses = [each.status for each in messages if each.request_id == request_id]
        assert statuses in (["Uploading", "Uploaded"], ["AcceptedCanceled"], ["Uploading", "AcceptedCanceled"]), (
            f"of {request_id} it was told {statuses}"
        )


def failures(recorder: Recorder, scratch: Path, most: int) -> Iterator[str]:
    """What went wrong after which cut, one after the other."""
    bench = MarkingBench(recorder)
    start = len(recorder.log)
    fetched(bench)
    calls = [
        frame for frame in bench.csms.log if frame.by == "csms" and frame.action == "GetLog" and frame.kind == "CALL"
    ]
    requests = {frame.message_id: int(frame.content["requestId"]) for frame in calls}
    bench.database.close()
    for image in images(recorder.log, start=start, most=most):
        if fault := fault_of(image, scratch, lambda image: goes_on(scratch, image, requests)):
            yield f"{image.at} {image.variant}: {fault}"


@pytest.mark.req("N01.FR.07", "N01.FR.08", "N01.FR.09", "N01.FR.20")
def test_a_power_cut_at_any_write_ends_no_request_twice_and_forgets_none(recorder: Recorder, fast: Path) -> None:
    assert list(failures(recorder, fast / "image", most=120)) == []


def test_mutant_a_request_that_is_kept_in_memory_is_caught(
    recorder: Recorder, fast: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A station that accepts without writing it down is seen to forget."""

    def forgetful(self: LogUploads, upload: object) -> None:
        self.wanted = upload  # type: ignore[assignment]  # as the real one, but for the disk

    monkeypatch.setattr(LogUploads, "keep", forgetful)

    assert any(failures(recorder, fast / "image", most=120))
