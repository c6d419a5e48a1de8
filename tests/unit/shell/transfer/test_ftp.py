"""FTP and FTPS against a real server, and against some that are none."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from station.shell.transfer.ways import Kind
from tests.fileservers import USER, FtpServer, drip, hostile, tls_server
from tests.unit.shell.transfer.moving import CONTENT, QUICK, down, incoming, outgoing, refused, transfers, up


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """What the server has."""
    (tmp_path / "remote" / "logs").mkdir(parents=True)
    return tmp_path / "remote"


@pytest.mark.parametrize(
    "path, where",
    [
        ("", "log.zip"),
        ("/", "log.zip"),
        ("/logs", "logs/log.zip"),
        ("/logs/", "logs/log.zip"),
        ("/logs/a%20b", "logs/a b"),
    ],
)
def test_the_url_names_a_directory_or_the_file(tmp_path: Path, remote: Path, path: str, where: str) -> None:
    with FtpServer(remote) as server:
        up(transfers(tmp_path), server.url(path), outgoing(tmp_path))

    assert (remote / where).read_bytes() == CONTENT
    assert any(line in {"PASV", "EPSV"} for line in server.commands)
    assert not any(line.startswith(("PORT", "EPRT")) for line in server.commands)


def test_what_broke_off_is_continued(tmp_path: Path, remote: Path) -> None:
    """What earlier attempts have sent, and no more than that."""
    what = outgoing(tmp_path)
    (remote / "log.zip").write_bytes(CONTENT[:70_000])
    what.moved = 80_000
    with FtpServer(remote) as server:
        up(transfers(tmp_path), server.url("/"), what)

    assert (remote / "log.zip").read_bytes() == CONTENT
    assert "APPE log.zip" in server.commands
    assert what.moved == 80_000 + len(CONTENT) - 70_000


@pytest.mark.parametrize("moved", [0, 1000], ids=["first", "again"])
def test_a_file_of_others_is_replaced(tmp_path: Path, remote: Path, moved: int) -> None:
    what = outgoing(tmp_path)
    (remote / "log.zip").write_bytes(b"x" * 70_000)
    what.moved = moved
    with FtpServer(remote) as server:
        up(transfers(tmp_path), server.url("/"), what)

    assert (remote / "log.zip").read_bytes() == CONTENT


def test_what_is_there_already_is_not_sent_again(tmp_path: Path, remote: Path) -> None:
    """Only the confirmation was lost."""
    what = outgoing(tmp_path)
    (remote / "log.zip").write_bytes(CONTENT)
    what.moved = len(CONTENT)
    with FtpServer(remote) as server:
        up(transfers(tmp_path), server.url("/"), what)

    assert what.moved == len(CONTENT)


def test_a_wrong_password_and_a_place_that_is_not_there(tmp_path: Path, remote: Path) -> None:
    with FtpServer(remote) as server:
        denied = refused(transfers(tmp_path), server.url("/logs/", password="wrong-one"), outgoing(tmp_path))
        nowhere = refused(transfers(tmp_path), server.url("/nowhere/"), outgoing(tmp_path))

    assert (denied.kind, nowhere.kind) == (Kind.PERMISSION_DENIED, Kind.FAILED)
    assert not any(secret in denied.detail + nowhere.detail for secret in ("wrong-one", USER + ":"))


def test_a_file_is_fetched_and_what_broke_off_goes_on(tmp_path: Path, remote: Path) -> None:
    (remote / "f").write_bytes(CONTENT)
    into, moving = incoming(tmp_path), transfers(tmp_path)
    with FtpServer(remote) as server:
        down(moving, server.url("/f"), into)
        assert into.path.read_bytes() == CONTENT

        into.path.write_bytes(CONTENT[:100_000])
        down(moving, server.url("/f"), into)
        assert into.path.read_bytes() == CONTENT
        assert "REST 100000" in server.commands

        (remote / "f").write_bytes(CONTENT[:200_000])  # another version
        into.path.write_bytes(CONTENT[:100_000])
        down(moving, server.url("/f"), into)
        assert into.path.read_bytes() == CONTENT[:200_000]
        assert server.commands.count("REST 100000") == 1


def test_a_file_that_is_too_large_is_not_fetched(tmp_path: Path, remote: Path) -> None:
    (remote / "f").write_bytes(CONTENT)
    with FtpServer(remote) as server:
        failed = refused(transfers(tmp_path), server.url("/f"), incoming(tmp_path, limit_bytes=1000))

    assert failed.kind is Kind.TOO_LARGE


def test_ftps_protects_login_and_data(tmp_path: Path, remote: Path) -> None:
    """The server refuses a login and a data connection without TLS."""
    authority, _ = tls_server(tmp_path)
    with FtpServer(remote, authority) as server:
        up(transfers(tmp_path, authority.root_pem), server.url("/logs/"), outgoing(tmp_path))
        down(transfers(tmp_path, authority.root_pem), server.url("/logs/log.zip"), into := incoming(tmp_path))

    assert (remote / "logs" / "log.zip").read_bytes() == into.path.read_bytes() == CONTENT


def test_a_server_that_nobody_vouches_for_learns_no_password(tmp_path: Path, remote: Path) -> None:
    (tmp_path / "other").mkdir()
    stranger, _ = tls_server(tmp_path / "other")
    authority, _ = tls_server(tmp_path)
    with FtpServer(remote, authority) as server:
        failed = refused(transfers(tmp_path, stranger.root_pem), server.url("/"), outgoing(tmp_path))

    assert failed.kind is Kind.FAILED
    assert not any(line.startswith(("USER", "PASS")) for line in server.commands)


def test_ftps_never_goes_on_without_tls(tmp_path: Path, remote: Path) -> None:
    """A server, or whoever stands before it, that knows no TLS."""
    with FtpServer(remote) as server:
        failed = refused(transfers(tmp_path), server.url("/").replace("ftp:", "ftps:"), outgoing(tmp_path))

    assert failed.kind is Kind.NOT_SUPPORTED
    assert not any(line.startswith(("USER", "PASS")) for line in server.commands)


@pytest.mark.parametrize(
    "first, then",
    [(b"", b""), (b"220-hello\r\n", b"220-and hello\r\n"), (b"220 ", b"x")],
    ids=["silent", "replies", "reply"],
)
def test_a_server_that_never_comes_to_its_point_is_left(tmp_path: Path, first: bytes, then: bytes) -> None:
    def play(sock: socket.socket) -> None:
        sock.sendall(first)
        drip(b"", then, 0.05)(sock)

    with hostile(play) as port:
        failed = refused(transfers(tmp_path, pace=QUICK), f"ftp://127.0.0.1:{port}/f", incoming(tmp_path))

    assert failed.kind in {Kind.STALLED, Kind.FAILED}


@pytest.mark.parametrize(
    "flood", [b"220-hello\r\n" * 100_000, b"220-" + b"x" * 100_000, b"\xff\xfe\r\n", b"nonsense\r\n"]
)
def test_a_flood_of_words_ends_the_connection(tmp_path: Path, flood: bytes) -> None:
    def play(sock: socket.socket) -> None:
        sock.sendall(flood)

    with hostile(play) as port:
        failed = refused(transfers(tmp_path), f"ftp://127.0.0.1:{port}/f", incoming(tmp_path))

    assert failed.kind is Kind.FAILED
