"""GetLog with real parts: a whole agent, a CSMS, and servers that take, refuse, or never finish what they are sent."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.agent import PASSWORD, Agent
from tests.fileservers import Answer, FtpServer, HttpServer, Seen, SftpServer, tls_server
from tests.live_csms import LiveCsms

pytestmark = pytest.mark.system

HERE = "transfers: {this_machine: true}\n"


@pytest.fixture
def csms() -> Iterator[LiveCsms]:
    with LiveCsms(password=PASSWORD) as live:
        yield live


@pytest.fixture
def web() -> Iterator[HttpServer]:
    with HttpServer() as server:
        yield server


@pytest.fixture
def agent(tmp_path: Path, csms: LiveCsms) -> Iterator[Agent]:
    with Agent(tmp_path, csms.url, more=HERE) as running:
        csms.wait_for("BootNotification")
        yield running


def get_log(csms: LiveCsms, request_id: int, url: str, log_type: str = "DiagnosticsLog", **more: Any) -> dict[str, Any]:
    """GetLog without patience; gives the answer."""
    window = more.pop("window", {})
    request = {"requestId": request_id, "logType": log_type, "log": {"remoteLocation": url, **window}}
    return csms.call("GetLog", {**request, "retries": 0, "retryInterval": 1, **more})


def statuses(csms: LiveCsms) -> list[tuple[str, int | None]]:
    return [(each["status"], each.get("requestId")) for each in csms.script.received("LogStatusNotification")]


def until_told(csms: LiveCsms, status: str, request_id: int) -> None:
    csms.until(lambda: (status, request_id) in statuses(csms), f"{status} of {request_id}", timeout_s=60.0)


def unpacked(content: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


@pytest.mark.req("N01.FR.02", "N01.FR.04", "N01.FR.08", "N01.FR.09")
def test_diagnostics_tell_what_a_person_asks_first_and_no_secret(csms: LiveCsms, web: HttpServer, agent: Agent) -> None:
    """While a vehicle charges on."""
    agent.command("plug_in", evse=1)
    agent.command("swipe", id_token="04AABBCC", evses=[1])
    agent.until(lambda told: told["evses"][0].get("offered_a"), "a charging vehicle")

    answer = get_log(csms, 1, web.url("/logs/", credentials=True))
    until_told(csms, "Uploaded", 1)

    assert answer["status"] == "Accepted"
    assert list(web.files) == [f"/logs/{answer['filename']}"]
    assert statuses(csms) == [("Uploading", 1), ("Uploaded", 1)]
    parts = unpacked(web.files[f"/logs/{answer['filename']}"])
    assert set(parts) >= {"about.json", "status.json", "variables.txt", "security.jsonl", "agent.log"}
    told = [json.loads(line) for line in parts["messages.jsonl"].splitlines()]
    assert {("station", "Authorize"), ("csms", "GetLog")} <= {(each["by"], each["action"]) for each in told}
    assert "04AABBCC" not in parts["messages.jsonl"]
    assert json.loads(parts["status.json"])["identity"] == "CS001"
    assert json.loads(parts["status.json"])["evses"][0]["status"] == "Occupied"
    assert json.loads(parts["about.json"])["python"]
    assert "SecurityCtrlr.BasicAuthPassword = ***" in parts["variables.txt"]
    assert "link.up" in parts["agent.log"]
    everything = "".join(parts.values()) + agent.log
    assert PASSWORD not in everything
    assert "a password of its own" not in everything
    assert "password%20of" not in everything
    assert not list((agent.folder / "state" / "logs").iterdir())
    assert agent.command("status")["evses"][0]["offered_a"]


@pytest.mark.req("N01.FR.02", "N01.FR.03")
def test_the_security_log_is_told_with_its_chain(csms: LiveCsms, web: HttpServer, agent: Agent) -> None:
    answer = get_log(csms, 2, web.url("/logs/"), "SecurityLog")
    until_told(csms, "Uploaded", 2)

    parts = unpacked(web.files[f"/logs/{answer['filename']}"])
    shown = agent.command("security_log")
    told = [json.loads(line) for line in parts["security.jsonl"].splitlines()]
    assert set(parts) == {"security.jsonl", "head.json"}
    assert [(each["id"], each["type"]) for each in told] == [(e["id"], e["type"]) for e in shown["entries"]][
        : len(told)
    ]
    assert told[-1]["hash"] == json.loads(parts["head.json"])["hash"]


def test_only_the_time_that_is_asked_for_is_told(csms: LiveCsms, web: HttpServer, agent: Agent) -> None:
    """What the agent logged before and after it is left out."""
    until = datetime.now(UTC) - timedelta(hours=1)
    window = {"latestTimestamp": until.isoformat(timespec="seconds").replace("+00:00", "Z")}

    answer = get_log(csms, 3, web.url("/"), window=window)
    until_told(csms, "Uploaded", 3)

    parts = unpacked(web.files[f"/{answer['filename']}"])
    assert (parts["agent.log"], parts["security.jsonl"]) == ("", "")
    assert agent.log
    assert get_log(csms, 4, web.url("/"), "SecurityLog", window=window)["status"] == "Rejected"


@pytest.mark.parametrize("kind", ["ftp", "sftp"])
def test_other_ways_lead_there_too(tmp_path: Path, csms: LiveCsms, agent: Agent, kind: str) -> None:
    folder = tmp_path / "remote"
    folder.mkdir()
    with FtpServer(folder) if kind == "ftp" else SftpServer(folder) as server:
        answer = get_log(csms, 5, server.url("/"))
        until_told(csms, "Uploaded", 5)

    assert unpacked((folder / answer["filename"]).read_bytes())["status.json"]
    assert "a password of its own" not in agent.log


@pytest.mark.req("N01.FR.15")
def test_the_authority_of_the_csms_is_believed(tmp_path: Path, csms: LiveCsms) -> None:
    """Whom station.yaml names for the CSMS; another server gets nothing, and the CSMS hears why not."""
    (tmp_path / "other").mkdir()
    authority, context = tls_server(tmp_path)
    _, other = tls_server(tmp_path / "other")
    (tmp_path / "root.pem").write_text(authority.root_pem, "ascii")
    secrets = "  password_file: password\n  ca_file: root.pem\n"
    agent = Agent(tmp_path, csms.url, secrets=secrets, more=HERE)
    with HttpServer(context) as web, HttpServer(other) as stranger, agent:
        csms.wait_for("BootNotification")
        answer = get_log(csms, 6, web.url("/"))
        until_told(csms, "Uploaded", 6)
        get_log(csms, 7, stranger.url("/"))
        until_told(csms, "UploadFailure", 7)

        assert list(web.files) == [f"/{answer['filename']}"]
        assert stranger.seen == []


@pytest.mark.req("N01.FR.10")
def test_a_server_that_refuses_is_tried_again_and_then_told(csms: LiveCsms, web: HttpServer, agent: Agent) -> None:
    web.script = lambda _seen: Answer(403)

    get_log(csms, 8, web.url("/"), retries=2)
    until_told(csms, "PermissionDenied", 8)

    assert len(web.seen) == 3
    assert len({seen.body for seen in web.seen}) == 1  # the same file each time
    assert statuses(csms) == [("Uploading", 8), ("PermissionDenied", 8)]
    assert not list((agent.folder / "state" / "logs").iterdir())


@pytest.mark.req("N01.FR.12", "N01.FR.20")
def test_a_new_request_cuts_the_upload_that_runs(csms: LiveCsms, web: HttpServer, agent: Agent) -> None:
    """In the middle of a server that takes its time."""

    def slow(seen: Seen) -> Answer | None:
        if seen.path.startswith("/slow"):
            csms.until(lambda: ("Uploaded", 10) in statuses(csms), "the second one", timeout_s=60.0)
        return None

    web.script = slow
    get_log(csms, 9, web.url("/slow/"))
    csms.until(lambda: web.seen, "the first upload")

    assert get_log(csms, 10, web.url("/fast/"))["status"] == "AcceptedCanceled"
    until_told(csms, "Uploaded", 10)

    assert statuses(csms) == [("Uploading", 9), ("AcceptedCanceled", 9), ("Uploading", 10), ("Uploaded", 10)]
    assert agent.stop() == 0


def test_an_upload_survives_a_kill(csms: LiveCsms, web: HttpServer, agent: Agent) -> None:
    """The same file arrives, and the CSMS hears of one upload."""
    web.script = lambda _seen: Answer(503)
    get_log(csms, 11, web.url("/"), retries=100)
    csms.until(lambda: web.seen, "the first attempt")
    agent.kill()
    web.script = lambda _seen: None

    agent.start()
    until_told(csms, "Uploaded", 11)

    assert statuses(csms) == [("Uploading", 11), ("Uploaded", 11)]
    assert list(web.files.values()) == [web.seen[0].body]


def test_the_agent_ends_although_a_server_never_answers(csms: LiveCsms, agent: Agent, web: HttpServer) -> None:
    """Nobody waits for a thread."""
    web.script = lambda _seen: csms.until(lambda: False, "nothing", timeout_s=5.0) or None  # type: ignore[func-returns-value]  # it only waits
    get_log(csms, 12, web.url("/"))
    csms.until(lambda: web.seen, "the upload")

    assert agent.stop() == 0
