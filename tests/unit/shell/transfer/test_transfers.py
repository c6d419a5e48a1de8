"""Who watches a transfer: it ends when nobody wants it any more, whatever its thread waits for."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from certs.tls import TlsSettings
from station.location import located
from station.shell.transfer import line as line_module
from station.shell.transfer import transfers as module
from station.shell.transfer.line import Line, Pace, Trust
from station.shell.transfer.transfers import Transfers
from station.shell.transfer.ways import Failed, Kind
from tests.fileservers import HttpServer, SftpServer, hostile
from tests.unit.shell.transfer.moving import CONTENT, QUICK, incoming, outgoing, refused, transfers


def running() -> bool:
    return any(thread.name == "transfer" for thread in threading.enumerate())


def until(condition: Callable[[], bool], patience_s: float = 20.0) -> bool:
    """Whether it comes true."""
    end = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.parametrize("scheme", ["http", "ftp", "sftp"])
def test_a_transfer_that_is_cancelled_leaves_its_connection(tmp_path: Path, scheme: str) -> None:
    """At once, although the server says nothing, and the thread goes, too."""
    hung_up = threading.Event()
    there = threading.Event()

    def play(sock: socket.socket) -> None:
        there.set()
        while sock.recv(4096):
            pass
        hung_up.set()

    async def scene(port: int) -> None:
        moving = transfers(tmp_path)
        task = asyncio.ensure_future(moving.download(located(f"{scheme}://127.0.0.1:{port}/f"), incoming(tmp_path)))
        await asyncio.to_thread(there.wait, 20.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with hostile(play) as port:
        asyncio.run(scene(port))

        assert hung_up.wait(20.0)
    assert until(lambda: not running())


def test_a_thread_that_hangs_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a look-up of a name, which nothing can interrupt."""
    free = threading.Event()

    def hang(*_: object, **__: object) -> None:
        free.wait(20.0)
        raise OSError("at last")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr(module, "GRACE_S", 0.2)
    began = time.monotonic()

    failed = refused(transfers(tmp_path, pace=QUICK), "http://nowhere.example/f", incoming(tmp_path))

    free.set()
    assert failed.kind is Kind.STALLED
    assert time.monotonic() - began < 10
    assert until(lambda: not running())


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{}/a",
        "http://localhost:{}/a",
        "http://127.1.2.3:{}/a",
        "http://2130706433:{}/a",
        "http://0x7f.1:{}/a",
        "http://0.0.0.0:{}/a",
        "http://[::ffff:127.0.0.1]:{}/a",
        "http://[::1]:{}/a",
        "http://169.254.169.254:{}/a",
        "http://[fe80::1%25lo]:{}/a",
        "ftp://127.0.0.1:{}/a",
        "ftps://localhost:{}/a",
        "sftp://127.0.0.1:{}/a",
        "https://127.0.0.1:{}/a",
    ],
)
def test_no_url_of_a_csms_leads_to_the_machine_itself(tmp_path: Path, url: str) -> None:
    """Whatever listens there may trust whoever comes from it; however the address is written, nobody is spoken to."""
    moving = Transfers(lambda: Trust(TlsSettings(), tmp_path / "hosts.json"), QUICK)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)

        for what in (incoming(tmp_path), outgoing(tmp_path)):
            refused(moving, url.format(server.getsockname()[1]), what)

        with pytest.raises(TimeoutError):
            server.accept()


def test_an_address_of_this_machine_on_another_network_is_known_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own one at the site: told by the connection, before a word is said."""
    monkeypatch.setattr(line_module, "check_distant", lambda _host, _address: None)
    moving = Transfers(lambda: Trust(TlsSettings(), tmp_path / "hosts.json"), QUICK)
    with HttpServer() as server:
        failed = refused(moving, server.url("/a"), outgoing(tmp_path))

        assert "is this machine itself" in failed.detail
        assert server.seen == []


def test_what_an_attempt_moved_is_known_to_the_next(tmp_path: Path) -> None:
    """Also when it failed: so much may lie on the server."""
    with HttpServer() as server:
        server.reads = 1000
        what = outgoing(tmp_path, CONTENT * 10)
        refused(transfers(tmp_path), server.url("/a"), what)

        assert 0 < what.moved <= len(CONTENT) * 10


def line(pace: Pace, now: Callable[[], float]) -> Line:
    return Line(Trust(TlsSettings(), Path("unused")), pace, now)


def test_a_trickle_is_a_stall_and_a_stream_is_none() -> None:
    now = 0.0
    slow, fast = (line(Pace(stall_s=60.0, least_bytes=2048), lambda: now) for _ in range(2))
    verdicts = []
    for _ in range(30):
        now += 5.0
        slow.moved(100)
        fast.moved(1000)
        verdicts.append((slow.stalled, fast.stalled))

    assert verdicts.index((True, False)) == 12  # the first look after more than 60 s
    assert not any(fast_stalls for _, fast_stalls in verdicts)


def test_a_new_phase_has_time_anew() -> None:
    """The server may take its time to confirm what it got."""
    now = 0.0
    watched = line(Pace(stall_s=60.0), lambda: now)
    now = 59.0
    watched.phase()
    now = 118.0

    assert not watched.stalled
    now = 120.0
    assert watched.stalled


def test_a_line_that_was_cut_takes_no_more_connections() -> None:
    """The reason is told to whoever tries."""
    watched = line(Pace(), time.monotonic)
    cut: list[str] = []
    watched.hold(lambda: cut.append("first"))
    watched.cut(Failed(Kind.CANCELLED, "enough"))
    watched.cut(Failed(Kind.STALLED, "too late"))

    assert cut == ["first"]
    with pytest.raises(Failed, match="enough"):
        watched.hold(lambda: cut.append("second"))
    assert cut == ["first", "second"]
    for act in (watched.check, watched.phase, lambda: watched.moved(1)):
        with pytest.raises(Failed, match="enough"):
            act()


def test_a_rate_is_limited_without_holding_up_the_end(tmp_path: Path) -> None:
    """Also where the way has a loop of its own."""
    (tmp_path / "remote").mkdir()
    pace = Pace(limit_bytes_s=1000)

    async def scene(url: str) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(transfers(tmp_path, pace=pace).upload(located(url), outgoing(tmp_path)), 1.0)

    with HttpServer() as web, SftpServer(tmp_path / "remote") as server:
        for url in (web.url("/a"), server.url("/a")):
            asyncio.run(scene(url))
            assert until(lambda: not running(), 10.0)

    assert not web.files
    assert (tmp_path / "remote" / "a").stat().st_size < len(CONTENT)
