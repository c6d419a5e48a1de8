"""HTTP and HTTPS: put or posted, fetched whole or in parts; and servers that nobody would wish for."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import msgspec
import pytest

from station.shell.transfer.line import Pace
from station.shell.transfer.ways import Kind
from tests.fileservers import Answer, HttpServer, Seen, drip, hostile, tls_server
from tests.unit.shell.transfer.moving import CONTENT, QUICK, down, incoming, outgoing, refused, transfers, up

BASIC = "Basic bG9hZGVyOmEgcGFzc3dvcmQgb2YgaXRzIG93bg=="
"""USER and PASSWORD."""


# --- up


@pytest.mark.req("N01.FR.14")
def test_a_file_is_put_where_the_url_says(tmp_path: Path) -> None:
    with HttpServer() as server:
        up(transfers(tmp_path), server.url("/logs/x.zip?token=1"), outgoing(tmp_path))

        assert server.files == {"/logs/x.zip?token=1": CONTENT}
        assert server.seen[0].headers["Content-Type"] == "application/octet-stream"
        assert "Authorization" not in server.seen[0].headers


def test_in_a_directory_it_gets_its_own_name(tmp_path: Path) -> None:
    with HttpServer() as server:
        up(transfers(tmp_path), server.url("/logs/?token=1"), outgoing(tmp_path))

        assert list(server.files) == ["/logs/log.zip?token=1"]


@pytest.mark.req("N01.FR.19")
@pytest.mark.parametrize("status", [400, 404, 405, 415, 501])
def test_where_nothing_can_be_put_it_is_posted(tmp_path: Path, status: int) -> None:
    """With its type and its name, as a form sends a file."""
    with HttpServer() as server:
        server.script = lambda seen: Answer(status) if seen.method == "PUT" else None
        up(transfers(tmp_path), server.url("/logs/"), outgoing(tmp_path))

        post = server.seen[-1]
        assert post.method == "POST"
        assert server.files == {"/logs/log.zip": CONTENT}
        assert b"Content-Type: application/octet-stream\r\n" in post.body[:300]
        assert 'filename="log.zip"' in post.headers["Content-Disposition"]


@pytest.mark.parametrize(
    "put, post, kind",
    [
        (400, 400, Kind.BAD_MESSAGE),
        (401, 0, Kind.PERMISSION_DENIED),
        (403, 0, Kind.PERMISSION_DENIED),
        (404, 404, Kind.FAILED),
        (404, 401, Kind.PERMISSION_DENIED),
        (405, 405, Kind.NOT_SUPPORTED),
        (405, 413, Kind.BAD_MESSAGE),
        (413, 0, Kind.BAD_MESSAGE),
        (500, 0, Kind.FAILED),
        (303, 0, Kind.FAILED),
    ],
)
def test_a_refusal_is_told_by_its_kind(tmp_path: Path, put: int, post: int, kind: Kind) -> None:
    with HttpServer() as server:
        server.script = lambda seen: Answer(put if seen.method == "PUT" else post)
        failed = refused(transfers(tmp_path), server.url("/logs/a"), outgoing(tmp_path))

        assert failed.kind is kind
        assert [seen.method for seen in server.seen] == ["PUT", "POST"][: 1 + bool(post)]


def test_credentials_of_the_url_are_used_and_never_told(tmp_path: Path) -> None:
    with HttpServer() as server:
        server.script = lambda _seen: Answer(403)
        failed = refused(
            transfers(tmp_path), server.url("/a", credentials=True) + "?signature=secret", outgoing(tmp_path)
        )

        assert server.seen[0].headers["Authorization"] == BASIC
        assert "HTTP 403" in failed.detail
        assert not any(each in failed.detail for each in ("password", "loader", "secret"))


def test_a_redirection_is_followed_with_the_body_and_without_the_credentials(tmp_path: Path) -> None:
    """They are for the host that the CSMS named."""
    with HttpServer() as other, HttpServer() as server:
        server.script = lambda seen: Answer(307, {"Location": "/b" if seen.path == "/a" else other.url("/c")})
        up(transfers(tmp_path), server.url("/a", credentials=True), outgoing(tmp_path))

        assert [(seen.path, seen.headers.get("Authorization")) for seen in server.seen] == [
            ("/a", BASIC),
            ("/b", BASIC),
        ]
        assert other.files == {"/c": CONTENT}
        assert "Authorization" not in other.seen[0].headers


@pytest.mark.parametrize(
    "target",
    ["/next", "ftp://127.0.0.1/a", "https://127.0.0.1/a", "file:///etc/passwd", "http://[/a", "http://x:y/a", ""],
)
def test_redirections_end_and_stay_in_their_protocol(tmp_path: Path, target: str) -> None:
    with HttpServer() as server:
        server.script = lambda _seen: Answer(308, {"Location": target})
        failed = refused(transfers(tmp_path), server.url("/a"), outgoing(tmp_path))

        assert failed.kind is Kind.FAILED
        assert len(server.seen) == (6 if target in {"/next", ""} else 1)


def test_a_server_that_hangs_up_in_the_middle_is_a_failure(tmp_path: Path) -> None:
    with HttpServer() as server:
        server.reads = 1000

        assert refused(transfers(tmp_path), server.url("/a"), outgoing(tmp_path)).kind is Kind.FAILED


# --- TLS


@pytest.mark.req("N01.FR.15")
def test_a_server_is_believed_by_the_roots_of_the_csms(tmp_path: Path) -> None:
    authority, context = tls_server(tmp_path)
    with HttpServer(context) as server:
        up(transfers(tmp_path, authority.root_pem), server.url("/a"), outgoing(tmp_path))

        assert server.files == {"/a": CONTENT}


@pytest.mark.req("N01.FR.16")
def test_a_server_is_believed_by_the_roots_of_the_operating_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose place OpenSSL looks up in the environment."""
    authority, context = tls_server(tmp_path)
    (tmp_path / "system.pem").write_text(authority.root_pem, "ascii")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    with HttpServer(context) as server:
        up(transfers(tmp_path), server.url("/a"), outgoing(tmp_path))

        assert server.files == {"/a": CONTENT}


def test_a_server_that_nobody_vouches_for_gets_nothing(tmp_path: Path) -> None:
    """Not even the credentials."""
    (tmp_path / "other").mkdir()
    stranger, _ = tls_server(tmp_path / "other")
    _, context = tls_server(tmp_path)
    with HttpServer(context) as server:
        failed = refused(transfers(tmp_path, stranger.root_pem), server.url("/a", credentials=True), outgoing(tmp_path))

        assert (failed.kind, server.seen) == (Kind.FAILED, [])
        assert "certificate" in failed.detail


# --- down


def test_a_file_is_fetched(tmp_path: Path) -> None:
    with HttpServer() as server:
        server.files["/f"] = CONTENT
        into = incoming(tmp_path)
        down(transfers(tmp_path), server.url("/f"), into)

        assert into.path.read_bytes() == CONTENT


def torn(server: HttpServer, at: int) -> None:
    """The next answer ends early."""

    def script(seen: Seen) -> Answer:
        server.script = lambda _seen: None
        content = server.files[seen.path]
        return Answer(200, {"ETag": server.etag, "Content-Length": str(len(content))}, content[:at])

    server.script = script


def test_what_broke_off_goes_on_where_it_was(tmp_path: Path) -> None:
    with HttpServer() as server:
        server.files["/f"] = CONTENT
        into, moving = incoming(tmp_path), transfers(tmp_path)
        torn(server, 100_000)
        assert refused(moving, server.url("/f"), into).kind is Kind.FAILED

        down(moving, server.url("/f"), into)

        assert into.path.read_bytes() == CONTENT
        assert (server.seen[-1].headers["Range"], server.seen[-1].headers["If-Range"]) == ("bytes=100000-", '"1"')


def test_another_version_of_the_file_is_fetched_from_its_beginning(tmp_path: Path) -> None:
    with HttpServer() as server:
        server.files["/f"] = CONTENT
        into, moving = incoming(tmp_path), transfers(tmp_path)
        torn(server, 100_000)
        refused(moving, server.url("/f"), into)
        server.files["/f"], server.etag = CONTENT[::-1], '"2"'

        down(moving, server.url("/f"), into)

        assert into.path.read_bytes() == CONTENT[::-1]


def test_a_file_that_was_whole_already_is_not_fetched_again(tmp_path: Path) -> None:
    with HttpServer() as server:
        server.files["/f"] = CONTENT
        into, moving = incoming(tmp_path), transfers(tmp_path)
        down(moving, server.url("/f"), into)

        down(moving, server.url("/f"), into)
        assert into.path.read_bytes() == CONTENT

        server.files["/f"] = CONTENT[:1000]  # the same name, and yet another file
        down(moving, server.url("/f"), into)
        assert into.path.read_bytes() == CONTENT[:1000]


def test_a_part_that_was_not_asked_for_is_refused(tmp_path: Path) -> None:
    with HttpServer() as server:
        server.files["/f"] = CONTENT
        into, moving = incoming(tmp_path), transfers(tmp_path)
        torn(server, 100_000)
        refused(moving, server.url("/f"), into)
        server.script = lambda _seen: Answer(206, {"Content-Range": f"bytes 0-9/{len(CONTENT)}"}, b"0123456789")
        assert refused(moving, server.url("/f"), into).kind is Kind.FAILED

        server.script = lambda _seen: None
        down(moving, server.url("/f"), into)

        assert into.path.read_bytes() == CONTENT


@pytest.mark.parametrize("lie", ["", "100", "999999999"])
def test_a_file_that_is_too_large_is_refused_whatever_the_server_says(tmp_path: Path, lie: str) -> None:
    with HttpServer() as server:
        headers = {"Content-Length": lie} if lie else {"Transfer-Encoding": "chunked", "Content-Length": "0"}
        body = CONTENT if lie else b"%x\r\n%b\r\n" % (len(CONTENT), CONTENT) * 10
        server.script = lambda _seen: Answer(200, headers, body)
        into = incoming(tmp_path, limit_bytes=10_000)

        if lie == "100":
            down(transfers(tmp_path), server.url("/f"), into)  # no more than was announced
        else:
            assert refused(transfers(tmp_path), server.url("/f"), into).kind is Kind.TOO_LARGE

        assert into.path.stat().st_size <= 10_000 if into.path.exists() else True


# --- strangers


@pytest.mark.parametrize(
    "first, then",
    [
        (b"", b""),
        (b"HTTP/1.1 200 OK\r\n", b"X: 1\r\n" * 3),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 100),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x" * 10),
    ],
    ids=["silent", "headers", "header", "continue", "body"],
)
def test_a_server_that_never_comes_to_its_point_is_left(tmp_path: Path, first: bytes, then: bytes) -> None:
    """Whatever it says now and then."""
    pace = msgspec.structs.replace(QUICK, least_bytes=4096)
    with hostile(drip(first, then, 0.05)) as port:
        began = time.monotonic()
        failed = refused(transfers(tmp_path, pace=pace), f"http://127.0.0.1:{port}/f", incoming(tmp_path))

    assert failed.kind in {Kind.STALLED, Kind.FAILED}
    assert time.monotonic() - began < 15


@pytest.mark.parametrize(
    "flood",
    [b"SSH-2.0-no\r\n" * 5000, b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 100_000, b"HTTP/1.1 200 " + b"x" * 200_000],
)
def test_a_flood_of_headers_ends_the_connection(tmp_path: Path, flood: bytes) -> None:
    def play(sock: socket.socket) -> None:
        sock.recv(4096)
        sock.sendall(flood)

    with hostile(play) as port:
        failed = refused(transfers(tmp_path), f"http://127.0.0.1:{port}/f", incoming(tmp_path))

    assert failed.kind is Kind.FAILED


def test_a_server_that_takes_nothing_is_left(tmp_path: Path) -> None:
    """Its window is closed, and stays so."""

    def play(sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        time.sleep(2.5)

    with hostile(play) as port:
        what = outgoing(tmp_path, CONTENT * 40)
        failed = refused(transfers(tmp_path, pace=QUICK), f"http://127.0.0.1:{port}/f", what)

    assert failed.kind in {Kind.STALLED, Kind.FAILED}


def test_a_limit_of_the_rate_is_kept(tmp_path: Path) -> None:
    with HttpServer() as server:
        began = time.monotonic()
        pace = Pace(limit_bytes_s=100_000)
        up(transfers(tmp_path, pace=pace), server.url("/a"), outgoing(tmp_path, CONTENT[:100_000]))

        assert time.monotonic() - began > 0.9
        assert len(server.files["/a"]) == 100_000


def test_who_does_not_answer_on_the_port_is_named_without_secrets(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    failed = refused(transfers(tmp_path), f"http://me:secret@127.0.0.1:{port}/a", outgoing(tmp_path))

    assert failed.kind is Kind.FAILED
    assert f"http://127.0.0.1:{port}/a" in failed.detail
    assert "secret" not in failed.detail
