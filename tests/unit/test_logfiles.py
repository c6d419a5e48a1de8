"""The jobs of GetLog in a hard case: where to put a file when the disk takes none, and what happens to it."""

from __future__ import annotations

import asyncio
import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from station.blocks.diagnostics.logs import AssembleLog, UploadLog
from station.commands.logfiles import LogFiles
from station.config.schema import Transfers
from station.now import Now, Wall
from station.shell.runner import Runner
from tests.bench import Bench
from tests.fileservers import HttpServer
from tests.unit.test_control_commands import config


class Core:
    """Steps the bench's station, as the runner would."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.asked = 0

    async def ask(self, command: Callable[[Now], Any]) -> Any:
        """In a step of its own; raises what it raised."""
        self.asked += 1
        result, _ = self.bench.station.exchange.ask(command, self.bench.now)
        if isinstance(result, Exception):
            raise result
        return result


@pytest.fixture
def core(tmp_path: Path) -> Core:
    """A station that has something in its security log."""
    (tmp_path / "bench").mkdir()
    return Core(Bench(tmp_path / "bench"))


@pytest.fixture
def log_files(tmp_path: Path, core: Core, monkeypatch: pytest.MonkeyPatch) -> LogFiles:
    """With temporary files in a folder of the test's."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    given = config(tmp_path, socket="c.sock", simulated=True)
    near = msgspec.structs.replace(given.file, transfers=Transfers(this_machine=True))
    given = msgspec.structs.replace(given, file=near)
    return LogFiles(given, core.bench.station, cast("Runner", core))


def assembly(name: str = "x.zip", latest: float | None = None) -> AssembleLog:
    return AssembleLog(
        request_id=1,
        log_type="SecurityLog",
        filename=name,
        oldest=None,
        latest=Wall(latest) if latest is not None else None,
    )


def upload(url: str, *, last: bool = True, name: str = "x.zip") -> UploadLog:
    return UploadLog(request_id=1, filename=name, location=url, last=last)


def test_where_the_state_directory_takes_no_file_another_place_does(tmp_path: Path, log_files: LogFiles) -> None:
    """Its log is wanted just then. Nothing stays."""
    (tmp_path / "state").mkdir(exist_ok=True)
    (tmp_path / "state" / "logs").write_text("in the way", "ascii")

    with HttpServer() as server:
        assembled = asyncio.run(log_files.assemble(assembly()))
        refused = asyncio.run(log_files.upload(upload("http://127.0.0.1:9/", last=False)))
        uploaded = asyncio.run(log_files.upload(upload(server.url("/"))))

        assert (assembled.reason, refused.status, uploaded.status) == ("", "UploadFailure", "Uploaded")
        assert list(server.files) == ["/x.zip"]
    assert list((tmp_path / "tmp").iterdir()) == []


def test_where_there_is_no_place_at_all_the_csms_hears_so(
    tmp_path: Path, log_files: LogFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").mkdir(exist_ok=True)
    (tmp_path / "state" / "logs").write_text("in the way", "ascii")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))

    assert "No such file" in asyncio.run(log_files.assemble(assembly())).reason
    assert asyncio.run(log_files.upload(upload("http://127.0.0.1:9/"))).reason == "the file is gone"


def test_a_station_that_fails_to_tell_is_a_failure_that_is_told(
    core: Core, log_files: LogFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it is: the CSMS waits for an end."""

    def fail() -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(core.bench.station.security_log, "head", fail)

    assert asyncio.run(log_files.assemble(assembly())).reason == "a bug"


def test_a_long_log_is_asked_for_page_by_page(tmp_path: Path, core: Core, log_files: LogFiles) -> None:
    """No step of the core takes long, and each event is told once, in order, with the hash that chains it."""
    log, now = core.bench.station.security_log, core.bench.now

    def fill(_now: Now) -> None:
        for n in range(450):
            log.add("Event", str(n), now.instant, Wall(now.wall + n))

    core.bench.station.exchange.ask(fill, now)
    before = core.asked

    asyncio.run(log_files.assemble(assembly(latest=now.wall + 300)))

    with zipfile.ZipFile(tmp_path / "state" / "logs" / "x.zip") as archive:
        told = [json.loads(line) for line in archive.read("security.jsonl").splitlines()]
    events = [each for each in told if each["type"] == "Event"]
    assert [each["info"] for each in events] == [str(n) for n in range(301)]
    chain = {entry.id: hash_.hex() for entry, hash_ in log.chained(0, 1000)}
    assert all(chain[each["id"]] == each["hash"] for each in told)
    assert core.asked - before == 5  # the head, three pages, and the end


def test_what_an_earlier_request_left_is_removed(tmp_path: Path, log_files: LogFiles) -> None:
    """A file that is there already is the one that was wanted."""
    for name in ("old.zip", "x.zip"):
        asyncio.run(log_files.assemble(assembly(name)))
    written = (tmp_path / "state" / "logs" / "x.zip").stat().st_mtime_ns

    asyncio.run(log_files.assemble(assembly()))

    assert [each.name for each in (tmp_path / "state" / "logs").iterdir()] == ["x.zip"]
    assert (tmp_path / "state" / "logs" / "x.zip").stat().st_mtime_ns == written


@pytest.mark.parametrize("url", ["https://user:secret@", "gopher://x/"])
def test_a_place_that_is_none_is_a_failure(log_files: LogFiles, url: str) -> None:
    """Such as one that an older agent stored."""
    asyncio.run(log_files.assemble(assembly()))

    done = asyncio.run(log_files.upload(upload(url)))

    assert done.status == "UploadFailure"
    assert "secret" not in done.reason
