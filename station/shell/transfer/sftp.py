"""SFTP, by asyncssh, which the extra `sftp` installs. What broke off goes on at its offset.

The library is asynchronous: it gets an event loop of its own in the transfer's thread, so that its cryptography never
holds up the core. The path of the URL is absolute; `/~/` begins it where the login leads.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, cast

import asyncssh

from station.location import Location
from station.shell.linkdown import one_line
from station.shell.transfer.hostkeys import HostKeys
from station.shell.transfer.line import Line, closing
from station.shell.transfer.ways import Failed, Incoming, Kind, Outgoing

PIECE = 32768
"""Bytes in one request: every server takes so many."""

_REFUSED = (asyncssh.PermissionDenied, asyncssh.SFTPPermissionDenied, asyncssh.SFTPWriteProtect)
_NOT_SUPPORTED = (asyncssh.SFTPOpUnsupported, asyncssh.ProtocolNotSupported, asyncssh.KeyExchangeFailed)


def upload(line: Line, to: Location, what: Outgoing) -> None:
    """See `ways.Way`."""
    _run(line, to, lambda sftp: _bring(line, sftp, to, what))


def download(line: Line, source: Location, into: Incoming) -> None:
    """See `ways.Way`."""
    _run(line, source, lambda sftp: _fetch(line, sftp, source, into))


async def _bring(line: Line, sftp: asyncssh.SFTPClient, to: Location, what: Outgoing) -> None:
    path = _path(to)
    if path.endswith("/") or await sftp.isdir(path):
        path = f"{path.rstrip('/')}/{what.name}" if path else what.name
    at = 0
    if what.moved and await sftp.exists(path):
        there = (await sftp.stat(path)).size or 0
        at = there if there <= what.moved else 0  # what we did not send is not ours to continue
    with what.path.open("rb") as file:
        file.seek(at)
        async with sftp.open(path, "r+b" if at else "wb") as remote:
            while piece := file.read(PIECE):
                await remote.write(piece, at)
                at += len(piece)
                await _moved(line, len(piece))


async def _fetch(line: Line, sftp: asyncssh.SFTPClient, source: Location, into: Incoming) -> None:
    path = _path(source)
    told = await sftp.stat(path)
    into.check(told.size or 0)
    validator = f"{told.size}/{told.mtime}"
    at = into.part if validator == into.validator else 0
    async with sftp.open(path, "rb") as remote:
        with into.open(validator) as file:
            while piece := await remote.read(PIECE, at):
                at += len(piece)
                into.check(at)
                file.write(cast("bytes", piece))
                await _moved(line, len(piece))
    if told.size is not None and at != told.size:
        raise Failed(Kind.FAILED, f"{source.shown}: it ended after {at} of {told.size} bytes")


async def _moved(line: Line, count: int) -> None:
    """As `Line.moved`, for a thread that has a loop: it answers the server while it waits."""
    line.moved_bytes += count
    wait_s = line.pause_s(count)
    if wait_s > 0:
        await asyncio.sleep(wait_s)
    line.check()


def _path(location: Location) -> str:
    return location.path.removeprefix("/~/") if location.path.startswith("/~/") else location.path


# --- the connection


class _Client(asyncssh.SSHClient):
    """Judges a server that no `known_hosts` names."""

    def __init__(self, keys: HostKeys) -> None:
        self._keys = keys

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        del addr
        return self._keys.accepts(f"{host}:{port}", key.get_fingerprint())


Work = Callable[[asyncssh.SFTPClient], Coroutine[Any, Any, None]]


def _run(line: Line, location: Location, work: Work) -> None:
    try:
        with closing(line.connect(location.host, location.port)) as sock:
            sock.setblocking(False)  # noqa: FBT003 - its only argument
            asyncio.run(_cuttable(line, _session(line, location, work, sock)))
    except asyncio.CancelledError:
        line.check()
        raise Failed(Kind.FAILED, f"{location.shown}: the connection ended") from None
    except asyncssh.HostKeyNotVerifiable as error:
        raise Failed(Kind.PERMISSION_DENIED, f"{location.shown}: its key is not the one that is known") from error
    except (asyncssh.Error, asyncssh.SFTPError) as error:
        kind = Kind.PERMISSION_DENIED if isinstance(error, _REFUSED) else Kind.FAILED
        kind = Kind.NOT_SUPPORTED if isinstance(error, _NOT_SUPPORTED) else kind
        raise Failed(kind, f"{location.shown}: {type(error).__name__} {one_line(error.reason)}") from error


async def _cuttable(line: Line, work: Coroutine[Any, Any, None]) -> None:
    """Ends when the line is cut, in the middle of whatever it waits for."""
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)

    def cut() -> None:
        loop.call_soon_threadsafe(task.cancel)

    try:
        line.hold(cut)
    except Exception:
        task.cancel()
        raise
    await task


async def _session(line: Line, location: Location, work: Work, sock: socket.socket) -> None:
    async with _connected(line, location, sock) as connection, connection.start_sftp_client() as sftp:
        line.phase()
        await work(sftp)


@contextlib.asynccontextmanager
async def _connected(
    line: Line, location: Location, sock: socket.socket
) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """Logged in by the URL's password: neither an agent's nor a user's keys are at a charger."""
    trust = line.trust
    connection = await asyncssh.connect(
        location.host,
        location.port,
        sock=sock,
        username=location.user or "anonymous",
        password=location.password,
        client_factory=lambda: (
            _Client(HostKeys(trust.host_keys)) if trust.known_hosts is None else asyncssh.SSHClient()
        ),
        known_hosts=str(trust.known_hosts) if trust.known_hosts is not None else ([], [], []),
        client_keys=None,
        agent_path=None,
        config=None,
        login_timeout=line.pace.connect_s,
    )
    try:
        yield connection
    finally:
        connection.abort()
