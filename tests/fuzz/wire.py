"""What servers and neighbours answer: HTTP and FTP, an OCSP responder, the control socket, URLs that a CSMS gives."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from certs.tls import TlsSettings
from station.commands.control import commands
from station.location import BadLocation, Location, located
from station.shell import revocation
from station.shell.control import Control
from station.shell.runner import Runner
from station.shell.transfer import ftp, http
from station.shell.transfer.line import Line, Pace, Trust
from station.shell.transfer.ways import Failed, Incoming, Outgoing
from tests.bench import Bench
from tests.fuzz.target import Run, Target
from tests.unit.test_control_commands import Stepping, config

LIMIT = 5000
CONTENT = b"a log " * 50
PASSWORD = "a-password-of-the-url"
SECRETS = (PASSWORD.encode(), base64.b64encode(f"loader:{PASSWORD}".encode()))
HOST = "files.example"


def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="ocpp-station-fuzz-"))


class Peer(socket.socket):
    """A connection to the one server there is, whose words are known beforehand."""

    def getpeername(self) -> tuple[str, int]:
        """As of TCP."""
        return HOST, 21

    @property
    def family(self) -> socket.AddressFamily:
        """The same."""
        return socket.AF_INET


class Scripted(Line):
    """A line on which the server has said all it will say before it is asked. `to`: whom somebody has connected to."""

    def __init__(self, folder: Path, words: bytes) -> None:
        super().__init__(Trust(TlsSettings(), folder / "hosts.json"), Pace(connect_s=1, stall_s=1))
        self._words = words
        self._ends: list[socket.socket] = []
        self.to: list[tuple[str, int]] = []
        self.heard: list[tuple[str, bytes]] = []

    def connect(self, host: str, port: int) -> socket.socket:
        """The first connection gets the words, others what a data connection of FTP carries."""
        self.to.append((host, port))
        ours, theirs = socket.socketpair()
        self._ends.append(theirs)
        theirs.sendall(self._words if port < 1024 else CONTENT)
        theirs.shutdown(socket.SHUT_WR)
        peer = Peer(socket.AF_UNIX, socket.SOCK_STREAM, 0, ours.detach())
        peer.settimeout(1)
        return peer

    def end(self) -> None:
        """What each server has heard."""
        for (host, _), each in zip(self.to, self._ends, strict=True):
            each.settimeout(0)
            heard = b""
            with contextlib.suppress(OSError):
                while piece := each.recv(65536):
                    heard += piece
            each.close()
            self.heard.append((host, heard))


Move = Callable[[Line, Location, Path], None]


def moved(way: Any, url: str) -> Run:
    """A download and an upload: no more on the disk than allowed, nowhere else, and nobody else hears the password."""
    folder = _folder()
    target, log = folder / "image", folder / "log.zip"
    log.write_bytes(CONTENT)
    where = located(url)

    def down(line: Line) -> None:
        way.download(line, where, Incoming(path=target, limit_bytes=LIMIT))

    def up(line: Line) -> None:
        way.upload(line, where, Outgoing(path=log, name="log.zip"))

    def run(data: bytes) -> bool:
        done = [_moved(folder, data, move) for move in (down, up)]
        assert {each.name for each in folder.iterdir()} <= {"image", "log.zip"}
        assert not target.exists() or target.stat().st_size <= LIMIT
        assert log.read_bytes() == CONTENT
        target.unlink(missing_ok=True)
        return any(done)

    return run


def _moved(folder: Path, words: bytes, move: Callable[[Line], None]) -> bool:
    line = Scripted(folder, words)
    try:
        move(line)
    except (Failed, OSError, EOFError) as error:
        assert PASSWORD not in str(error)
        return False
    finally:
        line.end()
        assert len(line.to) <= 2 * (http.REDIRECTS + 1)
        for host, heard in line.heard:
            assert host == HOST or not any(secret in heard for secret in SECRETS), host
    return True


def http_answers() -> tuple[Sequence[bytes], Run]:
    """See `moved`."""
    head = b'HTTP/1.1 200 OK\r\nETag: "1"\r\n'
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    plain = head + b"Content-Length: 5\r\n\r\nhello"
    return [plain, chunked], moved(http, f"http://loader:{PASSWORD}@{HOST}/firmware/2.bin")


def ftp_answers() -> tuple[Sequence[bytes], Run]:
    """See `moved`. Whatever address a server names, data goes to and comes from the server itself."""
    ours = f"213 {len(CONTENT)}"
    words = [
        "220 here",
        "331 who",
        "230 in",
        "200 binary",
        ours,
        "213 20260101000000",
        "227 =10,0,0,1,200,1",
        "150",
        "226",
    ]
    up = [*words[:4], "550 no directory", "227 Entering (10,0,0,1,200,1)", "150 send", "226 thanks", "221 bye"]
    move = moved(ftp, f"ftp://loader:{PASSWORD}@{HOST}/firmware/2.bin")
    return ["\r\n".join([*each, ""]).encode() for each in (words, up)], move


def responses() -> tuple[Sequence[bytes], Run]:
    """A responder's HTTP: a body, or no answer."""

    def run(data: bytes) -> bool:
        try:
            body = revocation._body(data)
        except ValueError as error:
            assert str(error).isprintable()
            return False
        return data.endswith(body)

    return [b"HTTP/1.0 200 OK\r\nContent-Type: application/ocsp-response\r\n\r\nan answer"], run


def control() -> tuple[Sequence[bytes], Run]:
    """The control socket of a real station: every line has one answer, and none is a bug's."""
    folder = _folder()
    bench = Bench(folder / "bench", variables={"SmartChargingCtrlr.ExternalControlSignalsEnabled": "true"})
    given = config(folder, socket="c.sock", simulated=False)
    found = commands(given, bench.station, cast("Runner", Stepping(bench)))
    found.pop("status")  # asks a whole runner
    server = Control(None, None, found, lambda: None)

    def run(data: bytes) -> bool:
        answers = [said(line) for line in data.split(b"\n") if line.strip()]
        return all(answers)

    def said(line: bytes) -> bool:
        answer = asyncio.run(server.answer(line))
        json.dumps(dict(answer))
        assert isinstance(answer["ok"], bool)
        assert "an error in the agent" not in str(answer.get("error")), line
        return bool(answer["ok"])

    lines = [
        {"cmd": "variables", "part": "Tx"},
        {"cmd": "get_variable", "name": "TxCtrlr.TxStartPoint"},
        {"cmd": "set_variable", "name": "OCPPCommCtrlr.WebSocketPingInterval", "value": "30"},
        {"cmd": "security_log"},
        {"cmd": "limit", "amperes": 8, "evse": 1, "duration_s": 60},
        {"cmd": "limit", "schedule": [[0, 16], [60, 8]], "duration_s": 90},
    ]
    return [json.dumps(line).encode() for line in lines], run


def urls() -> tuple[Sequence[bytes], Run]:
    """Where a CSMS wants a file: what goes over the wire holds no line of its own, what is shown no query."""

    def run(data: bytes) -> bool:
        try:
            where = located(data.decode("utf-8", "replace"))
        except BadLocation as error:
            assert str(error).isprintable()
            return False
        assert where.path.startswith("/")
        assert where.host
        assert 0 <= where.port <= 0xFFFF
        assert not any(
            ord(letter) < 0x20 for text in (where.host, where.path, where.user, where.password) for letter in text
        )
        assert "?" not in where.shown or where.scheme in {"ftp", "ftps", "sftp"}
        return True

    good = ["https://files.example/a.zip?token=1", "ftp://me:secret@files.example:2121/logs/", "sftp://[::1]/~/x"]
    return [each.encode() for each in good], run


TARGETS = {
    "http": Target(http_answers),
    "ftp": Target(ftp_answers),
    "ocsp-http": Target(responses),
    "control": Target(control, examples=60),
    "url": Target(urls, examples=100),
}
