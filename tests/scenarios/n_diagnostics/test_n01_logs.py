"""N01: a log is fetched, whatever happens on its way; and what is told of that when somebody asks (F06)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from station.blocks.diagnostics.logs import LONGEST_S, AssembleLog, LogAssembled, LogUploaded, UploadLog
from station.inputs import Ask
from tests.bench import Bench
from tests.scenarios.n_diagnostics.logs import LOCATION, assembled, get_log, statuses, uploaded, wanted


def trigger(bench: Bench, message: str = "LogStatusNotification") -> tuple[str, int | None]:
    """TriggerMessage, and what it brings."""
    bench.csms.forget()
    assert bench.csms.call("TriggerMessage", {"requestedMessage": message})["status"] == "Accepted"
    bench.settle()
    (told,) = bench.csms.received(message)
    return told["status"], told.get("requestId")


@pytest.mark.req("N01.FR.01", "N01.FR.02", "N01.FR.07", "N01.FR.08", "N01.FR.09")
def test_a_log_is_put_together_uploaded_and_told(bench: Bench) -> None:
    answer = get_log(bench, 7)
    assert answer["status"] == "Accepted"
    assert answer["filename"].startswith("CS-BENCH_diagnostics_2")
    assert answer["filename"].endswith("_7.zip")

    (assembly,) = wanted(bench, AssembleLog)
    assert (assembly.filename, assembly.log_type) == (answer["filename"], "DiagnosticsLog")
    assert statuses(bench) == []

    assembled(bench)
    (upload,) = wanted(bench, UploadLog)
    assert (upload.filename, upload.location) == (answer["filename"], LOCATION)
    assert statuses(bench) == [("Uploading", 7)]

    uploaded(bench)
    assert statuses(bench) == [("Uploading", 7), ("Uploaded", 7)]
    assert not bench.jobs
    assert bench.database.execute("SELECT COUNT(*) FROM log_upload").fetchone() == (0,)


@pytest.mark.req("N01.FR.03")
def test_the_time_that_is_asked_for_limits_what_is_told(bench: Bench) -> None:
    window = (bench.utc - timedelta(hours=2), bench.utc + timedelta(hours=1))

    answer = get_log(bench, log_type="SecurityLog", window=window)

    (job,) = wanted(bench, AssembleLog)
    assert answer["filename"].startswith("CS-BENCH_security_")
    assert job.log_type == "SecurityLog"
    assert (job.oldest, job.latest) == (window[0].timestamp(), window[1].timestamp())


@pytest.mark.req("N01.FR.05")
@pytest.mark.parametrize(
    "log_type, after, until, reason",
    [
        ("DiagnosticsLog", 1, None, "NotFound"),
        ("DiagnosticsLog", -1, -2, "InvalidValue"),
        ("SecurityLog", -3, -2, "NotFound"),
    ],
    ids=["future", "backwards", "nothing"],
)
def test_what_is_not_there_is_refused(
    bench: Bench, log_type: str, after: float, until: float | None, reason: str
) -> None:
    """A time to come, one that runs backwards, and one in which nothing was logged."""
    latest = bench.utc + timedelta(hours=until) if until is not None else None

    answer = get_log(bench, log_type=log_type, window=(bench.utc + timedelta(hours=after), latest))

    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", reason)
    assert "filename" not in answer
    assert not bench.jobs


@pytest.mark.parametrize(
    "location, reason",
    [
        ("gopher://files.example/", "UnsupportedParam"),
        ("files.example/logs", "UnsupportedParam"),
        ("sftp://files.example/", "UnsupportedParam"),
        ("https://user:secret@/x", "InvalidURL"),
        ("ftp://files.example/%0d%0aDELE", "InvalidURL"),
    ],
)
def test_a_place_to_which_there_is_no_way_is_refused(tmp_path: Path, location: str, reason: str) -> None:
    """FileTransferProtocols names the ways that there are. No secret of the URL is repeated."""
    bench = Bench(tmp_path, layout={"file_transfer_protocols": ("FTP", "HTTP", "HTTPS")})

    answer = get_log(bench, location=location)

    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", reason)
    assert "secret" not in str(answer)
    assert not bench.jobs


# --- attempts


@pytest.mark.req("N01.FR.10")
@pytest.mark.parametrize("failure", ["UploadFailure", "BadMessage", "PermissionDenied", "NotSupportedOperation"])
def test_only_the_last_failure_is_told_by_its_kind(bench: Bench, failure: str) -> None:
    get_log(bench, 5, retries=1, retryInterval=30)
    assembled(bench)
    assert not wanted(bench, UploadLog)[0].last

    uploaded(bench, "UploadFailure" if failure != "UploadFailure" else "BadMessage")
    bench.advance(seconds=29)
    assert not bench.jobs
    bench.advance(seconds=1)
    assembled(bench)
    assert wanted(bench, UploadLog)[0].last
    uploaded(bench, failure)

    assert statuses(bench) == [("Uploading", 5), (failure, 5)]
    bench.advance(hours=3)
    assert not bench.jobs


def test_without_a_word_about_retries_the_station_tries_four_times(bench: Bench) -> None:
    get_log(bench)
    began = bench.mono
    for _ in range(3):
        assembled(bench)
        uploaded(bench, "UploadFailure")
        bench.advance(minutes=1)
    assembled(bench)
    uploaded(bench, "an answer of another agent")

    assert statuses(bench) == [("Uploading", 1), ("UploadFailure", 1)]
    assert bench.mono - began == 180


def test_no_retries_is_one_attempt(bench: Bench) -> None:
    get_log(bench, retries=0)
    assembled(bench)
    assert wanted(bench, UploadLog)[0].last

    uploaded(bench, "PermissionDenied")

    assert statuses(bench) == [("Uploading", 1), ("PermissionDenied", 1)]


def test_attempts_that_take_longer_than_the_interval_do_not_rush(bench: Bench) -> None:
    """A pause of a second is the least, also where none is wanted."""
    get_log(bench, retries=2, retryInterval=0)
    assembled(bench)
    bench.advance(seconds=50)

    uploaded(bench, "UploadFailure")
    assert not bench.jobs
    bench.advance(seconds=1)

    assert wanted(bench, AssembleLog)


def test_what_cannot_be_put_together_is_a_failure(bench: Bench) -> None:
    """No room, most likely: nothing to try again."""
    get_log(bench, 3)

    assembled(bench, "no space left")

    assert statuses(bench) == [("UploadFailure", 3)]


@pytest.mark.parametrize("job", [AssembleLog, UploadLog])
def test_a_job_that_never_ends_is_given_up(bench: Bench, job: type[AssembleLog | UploadLog]) -> None:
    """Its worker has failed, or a server takes a byte now and then: the CSMS hears an end all the same."""
    get_log(bench, 3, retries=0)
    if job is UploadLog:
        assembled(bench)
    assert wanted(bench, job)

    bench.advance(seconds=LONGEST_S + 1)

    assert not bench.jobs
    assert statuses(bench)[-1] == ("UploadFailure", 3)


# --- one after the other


@pytest.mark.req("N01.FR.12", "N01.FR.20")
@pytest.mark.parametrize("phase", ["assembling", "uploading", "waiting"])
def test_a_new_request_takes_the_place_of_the_old_one(bench: Bench, phase: str) -> None:
    get_log(bench, 1)
    if phase != "assembling":
        assembled(bench)
    if phase == "waiting":
        uploaded(bench, "UploadFailure")
    before = statuses(bench)

    answer = get_log(bench, 2, "SecurityLog")

    assert answer["status"] == "AcceptedCanceled"
    assert answer["filename"].endswith("_2.zip")
    assert statuses(bench) == [*before, ("AcceptedCanceled", 1)]
    assert [job.request_id for job in wanted(bench, AssembleLog)] == [2]
    assert not wanted(bench, UploadLog)
    assembled(bench)
    uploaded(bench)
    bench.advance(hours=3)
    assert statuses(bench)[-2:] == [("Uploading", 2), ("Uploaded", 2)]
    assert sum(request_id == 1 for _, request_id in statuses(bench)) == len(before) + 1


def test_a_request_that_is_refused_leaves_the_old_one_alone(bench: Bench) -> None:
    get_log(bench, 1)

    assert get_log(bench, 2, location="gopher://x/")["status"] == "Rejected"
    assembled(bench)
    uploaded(bench)

    assert statuses(bench) == [("Uploading", 1), ("Uploaded", 1)]


def test_what_an_old_job_tells_late_is_no_news(bench: Bench) -> None:
    """Its result was on its way when it was cancelled."""
    get_log(bench, 1)
    old = bench.job(AssembleLog)
    get_log(bench, 2)

    bench._do(bench.station.exchange.job_done(old.generation, LogAssembled(request_id=1), bench.now))
    bench.settle()

    assert statuses(bench) == [("AcceptedCanceled", 1)]
    assert [job.request_id for job in wanted(bench, AssembleLog)] == [2]


# --- restarts, and a line that is cut


@pytest.mark.parametrize("phase", ["assembling", "uploading", "waiting"])
def test_a_restart_resumes_it(bench: Bench, phase: str) -> None:
    """Once the CSMS has accepted the station; what was told is not told again, and attempts are counted on."""
    answer = get_log(bench, 9, retries=1, location="ftp://user:secret@files.example/logs/")
    if phase != "assembling":
        assembled(bench)
    if phase == "waiting":
        uploaded(bench, "UploadFailure")
    bench.csms.connected = False
    bench.crash()
    bench.advance(minutes=5)
    assert not bench.jobs

    bench.csms.connect()

    (job,) = wanted(bench, AssembleLog)
    assert (job.request_id, job.filename) == (9, answer["filename"])
    assembled(bench)
    (upload,) = wanted(bench, UploadLog)
    assert upload.location == "ftp://user:secret@files.example/logs/"
    assert upload.last == (phase == "waiting")
    uploaded(bench)
    assert statuses(bench) == [("Uploading", 9), ("Uploaded", 9)]


def test_what_was_told_while_the_line_is_cut_arrives_later(bench: Bench) -> None:
    get_log(bench, 4)
    bench.csms.disconnect()
    assembled(bench)
    uploaded(bench)
    assert statuses(bench) == []

    bench.csms.connect()
    bench.advance(minutes=1)

    assert statuses(bench) == [("Uploading", 4), ("Uploaded", 4)]


def test_a_mistake_elsewhere_does_not_start_it_twice(bench: Bench) -> None:
    """The station reads its tables again, and the job runs on."""
    get_log(bench, 4)
    assembled(bench)

    _, effects = bench.station.exchange.ask(lambda _now: 1 / 0, bench.now)
    bench._do(effects)
    bench.settle()
    bench.advance(minutes=10)

    assert len(bench.jobs) == 1
    uploaded(bench)
    assert statuses(bench) == [("Uploading", 4), ("Uploaded", 4)]


def test_a_mistake_with_its_own_end_is_made_good(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step that heard the end is undone: so it is tried again, and the CSMS hears the end once."""
    get_log(bench, 4)
    assembled(bench)
    uploads = bench.station.log_uploads
    real = uploads.done

    def failing() -> None:
        real()
        monkeypatch.setattr(uploads, "done", real)
        raise ZeroDivisionError

    monkeypatch.setattr(uploads, "done", failing)
    uploaded(bench)
    assert statuses(bench) == [("Uploading", 4)]

    bench.advance(hours=3)
    assembled(bench)
    uploaded(bench)

    assert statuses(bench) == [("Uploading", 4), ("Uploaded", 4)]


def test_no_password_of_the_location_lies_on_the_disk_in_clear(tmp_path: Path) -> None:
    """It is sealed as the station's own password is."""
    bench = Bench(tmp_path)
    bench.station.log_uploads._seal = lambda text: text[::-1]

    get_log(bench, location="https://user:secret@files.example/")

    ((location, data),) = bench.database.execute("SELECT location, data FROM log_upload").fetchall()
    assert location == "https://user:secret@files.example/"[::-1]
    assert b"secret" not in data


def test_what_holds_no_secret_is_not_sealed(bench: Bench) -> None:
    """To seal takes a library that costs more than the request."""
    bench.station.log_uploads._seal = lambda text: str(1 / 0) + text

    assert get_log(bench)["status"] == "Accepted"

    assert bench.database.execute("SELECT location FROM log_upload").fetchone() == (LOCATION,)


def test_where_nothing_can_be_sealed_the_log_is_fetched_all_the_same(bench: Bench) -> None:
    """The key store is away. Only a restart makes an end of it, which is told."""
    bench.station.log_uploads._seal = lambda text: str(1 / 0) + text
    get_log(bench, 4, location="https://user:secret@files.example/", retries=1)
    assembled(bench)
    uploaded(bench, "UploadFailure")
    bench.advance(minutes=1)
    assembled(bench)
    assert wanted(bench, UploadLog)[0].location == "https://user:secret@files.example/"
    assert bench.database.execute("SELECT location FROM log_upload").fetchone() == ("",)

    bench.crash()
    assembled(bench)
    uploaded(bench, "UploadFailure")

    assert statuses(bench)[-1] == ("UploadFailure", 4)


def test_a_row_that_cannot_be_read_prevents_nothing(bench: Bench) -> None:
    get_log(bench, 4)
    bench._do(
        bench.station.exchange.give(
            Ask(lambda _now: bench.database.execute("UPDATE log_upload SET data = x'00'")), bench.now
        )
    )

    bench.crash()

    assert not bench.jobs
    assert get_log(bench, 5)["status"] == "Accepted"


# --- who asks


@pytest.mark.req("F06.FR.14", "F06.FR.15", "N01.FR.07")
def test_who_asks_hears_whether_a_log_is_being_uploaded(bench: Bench) -> None:
    assert trigger(bench) == ("Idle", None)

    get_log(bench, 4, retries=1)
    assert trigger(bench) == ("Idle", None)  # nothing is uploaded yet

    assembled(bench)
    assert trigger(bench) == ("Uploading", 4)

    uploaded(bench, "UploadFailure")
    assert trigger(bench) == ("Uploading", 4)  # it goes on

    bench.advance(minutes=2)
    assembled(bench)
    uploaded(bench, "UploadFailure")
    assert trigger(bench) == ("Idle", None)


@pytest.mark.req("F06.FR.16")
@pytest.mark.parametrize("evse", [{}, {"evse": {"id": 1}}, {"evse": {"id": 99}}])
def test_of_firmware_there_is_nothing_to_tell(bench: Bench, evse: dict[str, Any]) -> None:
    """No update was ever asked for."""
    bench.csms.forget()
    answer = bench.csms.call("TriggerMessage", {"requestedMessage": "FirmwareStatusNotification", **evse})
    bench.settle()

    assert answer["status"] == "Accepted"
    assert bench.csms.received("FirmwareStatusNotification") == [{"status": "Idle"}]


def test_a_result_of_nothing_is_no_news(bench: Bench) -> None:
    """Such as that of a job of an earlier run."""
    for told in (LogAssembled(request_id=1), LogUploaded(request_id=1, status="Uploaded")):
        bench._do(bench.station.exchange.job_done(99, told, bench.now))
    bench.settle()

    assert statuses(bench) == []
