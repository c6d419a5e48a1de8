"""Real servers for files on loopback, in threads: HTTP(S), FTP(S), SFTP; and one that says whatever a test wants.

with HttpServer() as server:
    server.url("/logs/")
    server.files["/logs/a.zip"]
"""

from __future__ import annotations

import asyncio
import contextlib
import email
import http.server
import re
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import asyncssh

from certs.throwaway import Authority, Wish
from tests.live_csms import server_context

PATIENCE_S = 20.0
USER, PASSWORD = "loader", "a password of its own"


class Seen(NamedTuple):
    """A request as it came. `length`: what its body has, or was to have."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Listening
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        self._serve()

    do_POST = do_GET = do_PUT  # noqa: N815 - named by the library

    def _serve(self) -> None:
        owner = self.server.owner
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(min(length, owner.reads) if owner.reads is not None else length)
        seen = Seen(self.command, self.path, dict(self.headers.items()), body)
        owner.seen.append(seen)
        if len(body) < length:  # it hangs up in the middle
            self.close_connection = True
            return
        answer = owner.answer(seen)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "Content-Length" not in answer.headers:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(answer.body)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by the library
        del format, args


class _Listening(http.server.ThreadingHTTPServer):
    daemon_threads = True
    owner: HttpServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news here."""
        del request, client_address


class Answer(NamedTuple):
    """What is answered. A Content-Length of one's own may lie."""

    status: int = 200
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed
    body: bytes = b""


class HttpServer:
    """Keeps what is put (or posted as a form), gives what it has, by ranges too. `script`: answers instead of that.

    `reads`: so much of a body is read, then it hangs up.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.files: dict[str, bytes] = {}
        self.etag = '"1"'
        self.seen: list[Seen] = []
        self.reads: int | None = None
        self.script: Callable[[Seen], Answer | None] = lambda _seen: None
        self._server = _Listening(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._scheme = "https" if tls else "http"
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE_S)

    def url(self, path: str, *, credentials: bool = False) -> str:
        """Where it is."""
        who = f"{USER}:{PASSWORD.replace(' ', '%20')}@" if credentials else ""
        return f"{self._scheme}://{who}127.0.0.1:{self._server.server_port}{path}"

    def answer(self, seen: Seen) -> Answer:
        """By the script, else like a simple server."""
        scripted = self.script(seen)
        if scripted is not None:
            return scripted
        if seen.method == "PUT":
            self.files[seen.path] = seen.body
            return Answer(201)
        if seen.method == "POST":
            name, content = posted(seen)
            self.files[f"{seen.path}{name}"] = content
            return Answer(200)
        return self._given(seen)

    def _given(self, seen: Seen) -> Answer:
        content = self.files.get(seen.path)
        if content is None:
            return Answer(404)
        range_ = re.fullmatch(r"bytes=(\d+)-", seen.headers.get("Range", ""))
        headers = {"ETag": self.etag}
        if range_ is None or seen.headers.get("If-Range", self.etag) != self.etag:
            return Answer(200, headers, content)
        start = int(range_[1])
        if start >= len(content):
            return Answer(416, {"Content-Range": f"bytes */{len(content)}"})
        headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return Answer(206, headers, content[start:])


def posted(seen: Seen) -> tuple[str, bytes]:
    """Name and content of the file of a form, as the standard library's parser for mails reads it."""
    message = email.message_from_bytes(f"Content-Type: {seen.headers['Content-Type']}\r\n\r\n".encode() + seen.body)
    _, part = message.walk()
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return str(part.get_filename()), content


# --- FTP


class FtpServer:
    """pyftpdlib over a directory. `tls`: a context's files, explicit TLS demanded for login and data."""

    def __init__(self, folder: Path, tls: Authority | None = None) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # asyncore, which it brings along or imports
            from pyftpdlib.authorizers import DummyAuthorizer  # noqa: PLC0415 - warns when it is imported
            from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler  # noqa: PLC0415 - the same
            from pyftpdlib.servers import FTPServer  # noqa: PLC0415 - the same
        authorizer = DummyAuthorizer()
        authorizer.add_user(USER, PASSWORD, str(folder), perm="elradfmwMT")
        base = TLS_FTPHandler if tls else FTPHandler

        class Handler(base):  # type: ignore[misc,valid-type]  # untyped
            pass

        self.commands: list[str] = []
        Handler.authorizer = authorizer
        Handler.auth_failed_timeout = 0
        Handler.pre_process_command = _remembering(Handler.pre_process_command, self.commands)
        if tls is not None:
            issued = tls.issue("localhost", Wish(names=("localhost", "127.0.0.1")))
            Handler.certfile, Handler.keyfile = str(issued.chain), str(issued.key)
            Handler.tls_control_required = Handler.tls_data_required = True
        self._scheme = "ftps" if tls else "ftp"
        self._server = FTPServer(("127.0.0.1", 0), Handler)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        while not self._end.is_set():
            self._server.ioloop.loop(timeout=0.02, blocking=False)
        self._server.close_all()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join(PATIENCE_S)

    def url(self, path: str, *, password: str = PASSWORD) -> str:
        """Where it is, with credentials."""
        port = self._server.address[1]
        return f"{self._scheme}://{USER}:{password.replace(' ', '%20')}@127.0.0.1:{port}{path}"


def _remembering(real: Any, commands: list[str]) -> Any:
    def pre_process_command(self: Any, line: str, cmd: str, arg: str) -> None:
        commands.append(line)
        real(self, line, cmd, arg)

    return pre_process_command


# --- SFTP


class _Login(asyncssh.SSHServer):
    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USER, PASSWORD)


class SftpServer:
    """asyncssh over a directory. `key`: of the host; a new one if None."""

    def __init__(self, folder: Path, key: asyncssh.SSHKey | None = None, port: int = 0) -> None:
        self.key = key or asyncssh.generate_private_key("ssh-ed25519")
        self._folder = folder
        self._wanted_port = port
        self.port = 0
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._stop())
        self._loop.close()

    async def _listen(self) -> None:
        self._acceptor = await asyncssh.listen(
            "127.0.0.1",
            self._wanted_port,
            server_host_keys=[self.key],
            server_factory=_Login,
            sftp_factory=lambda chan: asyncssh.SFTPServer(chan, chroot=str(self._folder).encode()),
            reuse_address=True,
        )
        self.port = self._acceptor.get_port()

    async def _stop(self) -> None:
        self._acceptor.close()
        await asyncio.wait_for(self._acceptor.wait_closed(), PATIENCE_S)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(PATIENCE_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)

    def url(self, path: str, *, password: str = PASSWORD) -> str:
        """Where it is, with credentials."""
        return f"sftp://{USER}:{password.replace(' ', '%20')}@127.0.0.1:{self.port}{path}"


# --- anything else


@contextlib.contextmanager
def hostile(play: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that does to each connection what `play` does; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        end = threading.Event()

        def serve() -> None:
            while not end.is_set():
                with contextlib.suppress(OSError):
                    sock, _ = server.accept()
                    with sock, contextlib.suppress(OSError):
                        sock.settimeout(PATIENCE_S)
                        play(sock)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            end.set()
            thread.join(PATIENCE_S)


def drip(first: bytes, then: bytes, every_s: float) -> Callable[[socket.socket], None]:
    """Read a little, say `first`, then `then` again and again until the client has gone."""

    def play(sock: socket.socket) -> None:
        sock.recv(4096)
        sock.sendall(first)
        sock.settimeout(every_s)
        while True:
            with contextlib.suppress(TimeoutError):
                if not sock.recv(4096):
                    return
            sock.sendall(then)

    return play


def tls_server(folder: Path) -> tuple[Authority, ssl.SSLContext]:
    """An authority, and a server's context by a certificate of it for 127.0.0.1."""
    authority = Authority.create("Files root", folder)
    return authority, server_context(authority.issue("localhost", Wish(names=("localhost", "127.0.0.1"))))
