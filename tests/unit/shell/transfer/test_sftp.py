"""SFTP against a real server: files, hosts that are known, and what breaks off."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from station.shell.transfer import transfers as module
from station.shell.transfer.hostkeys import MOST, HostKeys
from station.shell.transfer.ways import Kind
from tests.fileservers import SftpServer, drip, hostile
from tests.unit.shell.transfer.moving import CONTENT, QUICK, down, incoming, outgoing, refused, transfers, up


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """What the server has."""
    (tmp_path / "remote" / "logs").mkdir(parents=True)
    return tmp_path / "remote"


@pytest.mark.parametrize(
    "path, where", [("/", "log.zip"), ("/~/", "log.zip"), ("/logs", "logs/log.zip"), ("/logs/a%20b", "logs/a b")]
)
def test_the_url_names_a_directory_or_the_file(tmp_path: Path, remote: Path, path: str, where: str) -> None:
    with SftpServer(remote) as server:
        up(transfers(tmp_path), server.url(path), outgoing(tmp_path))

    assert (remote / where).read_bytes() == CONTENT


def test_what_broke_off_is_continued(tmp_path: Path, remote: Path) -> None:
    what = outgoing(tmp_path)
    (remote / "log.zip").write_bytes(CONTENT[:70_000])
    what.moved = 80_000
    with SftpServer(remote) as server:
        up(transfers(tmp_path), server.url("/"), what)

    assert (remote / "log.zip").read_bytes() == CONTENT
    assert what.moved == 80_000 + len(CONTENT) - 70_000


def test_a_file_of_others_is_replaced(tmp_path: Path, remote: Path) -> None:
    (remote / "log.zip").write_bytes(b"x" * 700_000)
    with SftpServer(remote) as server:
        up(transfers(tmp_path), server.url("/"), outgoing(tmp_path))

    assert (remote / "log.zip").read_bytes() == CONTENT


def test_a_file_is_fetched_and_what_broke_off_goes_on(tmp_path: Path, remote: Path) -> None:
    (remote / "f").write_bytes(CONTENT)
    into, moving = incoming(tmp_path), transfers(tmp_path)
    with SftpServer(remote) as server:
        down(moving, server.url("/f"), into)
        assert into.path.read_bytes() == CONTENT

        into.path.write_bytes(b"X" * 100_000)  # as nobody would: it shows that the part is kept
        down(moving, server.url("/f"), into)

    assert into.path.read_bytes() == b"X" * 100_000 + CONTENT[100_000:]


def test_a_file_that_is_too_large_is_not_fetched(tmp_path: Path, remote: Path) -> None:
    (remote / "f").write_bytes(CONTENT)
    with SftpServer(remote) as server:
        failed = refused(transfers(tmp_path), server.url("/f"), incoming(tmp_path, limit_bytes=1000))

    assert failed.kind is Kind.TOO_LARGE


def test_a_wrong_password_and_a_place_that_is_not_there(tmp_path: Path, remote: Path) -> None:
    with SftpServer(remote) as server:
        denied = refused(transfers(tmp_path), server.url("/", password="wrong-one"), outgoing(tmp_path))
        nowhere = refused(transfers(tmp_path), server.url("/nowhere/"), outgoing(tmp_path))

    assert (denied.kind, nowhere.kind) == (Kind.PERMISSION_DENIED, Kind.FAILED)
    assert "wrong-one" not in denied.detail + nowhere.detail


def test_a_server_that_shows_another_key_gets_nothing(tmp_path: Path, remote: Path) -> None:
    """Somebody else may have taken its place."""
    with SftpServer(remote) as server:
        up(transfers(tmp_path), server.url("/a"), outgoing(tmp_path))
        port = server.port

    with SftpServer(remote, port=port) as impostor:
        failed = refused(transfers(tmp_path), impostor.url("/b"), outgoing(tmp_path))

    assert failed.kind is Kind.PERMISSION_DENIED
    assert not (remote / "b").exists()


def test_only_hosts_of_the_file_are_known_if_there_is_one(tmp_path: Path, remote: Path) -> None:
    known = tmp_path / "known_hosts"
    with SftpServer(remote) as server:
        known.write_text("", "ascii")
        assert refused(transfers(tmp_path, known_hosts=known), server.url("/a"), outgoing(tmp_path)).kind is (
            Kind.PERMISSION_DENIED
        )

        key = server.key.export_public_key().decode()
        known.write_text(f"[127.0.0.1]:{server.port} {key}", "ascii")
        up(transfers(tmp_path, known_hosts=known), server.url("/a"), outgoing(tmp_path))

    assert (remote / "a").read_bytes() == CONTENT
    assert not (tmp_path / "hosts.json").exists()


def test_known_hosts_are_no_more_than_a_few_and_never_overlooked(tmp_path: Path) -> None:
    keys = HostKeys(tmp_path / "sub" / "hosts.json")
    assert all(keys.accepts(f"host-{n}:22", f"key-{n}") for n in range(MOST + 5))

    assert not keys.accepts("host-50:22", "another")
    assert keys.accepts("host-0:22", "another")  # so long ago that it is forgotten
    assert len(msgspec.json.decode((tmp_path / "sub" / "hosts.json").read_bytes())) == MOST

    (tmp_path / "sub" / "hosts.json").write_bytes(b"{")
    with pytest.raises(OSError, match="damaged"):
        keys.accepts("host-1:22", "any")


@pytest.mark.parametrize("then", [b"", b"hello\r\n"], ids=["silent", "banner"])
def test_a_server_that_never_comes_to_its_point_is_left(tmp_path: Path, then: bytes) -> None:
    with hostile(drip(b"", then, 0.05)) as port:
        failed = refused(transfers(tmp_path, pace=QUICK), f"sftp://127.0.0.1:{port}/f", incoming(tmp_path))

    assert failed.kind in {Kind.STALLED, Kind.FAILED}


def test_without_the_library_it_is_not_supported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra `sftp` is not installed everywhere."""
    monkeypatch.setitem(module.WAYS, "sftp", "station.shell.transfer.no_such_way")

    failed = refused(transfers(tmp_path), "sftp://127.0.0.1/f", incoming(tmp_path))

    assert failed.kind is Kind.NOT_SUPPORTED
