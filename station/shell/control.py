"""The control socket: one JSON object a line, one line back, at once (design 9).

It tells the state, reads and sets variables by the rules that bind the CSMS, and commands simulated hardware. Who may
connect is said by the file's mode and group; still he may be hostile: lines, connections and silence are bounded, and
what cannot be understood is answered with what can.
Invariant: every line gets exactly one answer, in the order of the lines; an unreadable one costs nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import logging
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from hal.errors import NotFound

log = logging.getLogger(__name__)

LONGEST_LINE = 65_536
MOST_CLIENTS = 16
SILENCE_S = 600.0
"""A client that says nothing for so long is sent away."""

PATIENCE_S = 10.0
"""And one that does not read what it asked for."""

Answer = Mapping[str, Any]
Handler = Callable[[bytes], Awaitable[Answer]]
"""Does one command, given its whole line. Raises CommandError, and ValueError for a wrong argument."""


class CommandError(Exception):
    """A command cannot be done; the text is for people."""


class _Head(msgspec.Struct):
    """What every line has."""

    cmd: str


class Address(msgspec.Struct, frozen=True):
    """Where to listen: a path, or a port of loopback."""

    path: Path | None = None
    host: str = ""
    port: int = 0

    @classmethod
    def of(cls, text: str, folder: Path) -> Address:
        """From the configuration: relative paths begin at `folder`."""
        host, colon, port = text.rpartition(":")
        if colon and "/" not in text:
            return cls(host=host.strip("[]"), port=int(port))
        return cls(path=folder / text)


class Control:
    """Serves commands on one address. `ready` is called when it listens; `group` may use the socket besides us."""

    def __init__(
        self, address: Address | None, group: str | None, commands: Mapping[str, Handler], ready: Callable[[], None]
    ) -> None:
        self._address = address
        self._group = group
        self._commands = commands
        self._ready = ready
        self._clients: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until cancelled. Raises NotFound if the address cannot be used; a station charges without it."""
        if self._address is None:
            self._ready()
            await asyncio.get_running_loop().create_future()
            return
        try:
            server = await self._listen(self._address)
        except OSError as error:
            self._ready()
            raise NotFound("control socket", error.strerror or str(error)) from error
        try:
            self._ready()
            await server.serve_forever()
        finally:
            for client in self._clients:
                client.cancel()
            if self._address.path is not None:
                self._address.path.unlink(missing_ok=True)

    async def _listen(self, address: Address) -> asyncio.AbstractServer:
        if address.path is None:
            return await asyncio.start_server(self._accept, address.host, address.port, limit=LONGEST_LINE)
        _clear(address.path)
        mask = os.umask(0o177)  # nobody may connect between bind and chmod
        try:
            server = await asyncio.start_unix_server(self._accept, address.path, limit=LONGEST_LINE)
        finally:
            os.umask(mask)
        if self._group is not None:
            try:
                os.chown(address.path, -1, grp.getgrnam(self._group).gr_gid)
                address.path.chmod(0o660)
            except (KeyError, OSError) as error:
                log.warning("control.group", extra={"group": self._group, "reason": str(error)})
        return server

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = asyncio.current_task()
        if client is None or len(self._clients) >= MOST_CLIENTS:
            writer.write(_refusal(f"{MOST_CLIENTS} clients are connected already"))
            writer.close()
            return
        self._clients.add(client)
        try:
            await self._converse(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._clients.discard(client)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                line = await asyncio.wait_for(reader.readline(), SILENCE_S)
            except TimeoutError:
                return
            except ValueError:  # the limit of the reader
                await _say(writer, _refusal(f"a line is longer than {LONGEST_LINE} bytes"))
                return
            if not line:
                return
            if line.strip():
                await _say(writer, msgspec.json.encode(await self.answer(line)) + b"\n")

    async def answer(self, line: bytes) -> Answer:
        """The answer to one line. Never raises."""
        try:
            head = msgspec.json.decode(line, type=_Head)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            return {"ok": False, "error": f'expected one JSON object with "cmd" a line: {error}'}
        handler = self._commands.get(head.cmd)
        if handler is None:
            known = ", ".join(self._commands)
            return {"ok": False, "error": f"no command {head.cmd!r} (there are: {known})"}
        try:
            return {"ok": True, **await handler(line)}
        except msgspec.ValidationError as error:
            return {"ok": False, "error": f"{head.cmd}: {error}".replace("`", "")}
        except (CommandError, ValueError, RecursionError) as error:
            return {"ok": False, "error": f"{head.cmd}: {error}"}
        except Exception:
            log.exception("control.bug", extra={"cmd": head.cmd})
            return {"ok": False, "error": f"{head.cmd}: an error in the agent; its log tells more"}


async def _say(writer: asyncio.StreamWriter, line: bytes) -> None:
    """Raises TimeoutError, and cuts the connection, if the client does not read: its place is for others."""
    writer.write(line)
    try:
        await asyncio.wait_for(writer.drain(), PATIENCE_S)
    except TimeoutError:
        writer.transport.abort()
        raise


def _refusal(reason: str) -> bytes:
    return msgspec.json.encode({"ok": False, "error": reason}) + b"\n"


def _clear(path: Path) -> None:
    """Make room for the socket: what a killed agent left is removed, anything else is not ours. Raises OSError."""
    if path.is_socket() and _is_served(path):
        raise OSError(f"another agent serves {path}")
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise OSError(f"{path} exists and is no socket")
        path.unlink()


def _is_served(path: Path) -> bool:
    """Whether somebody listens there."""
    with socket.socket(socket.AF_UNIX) as wire:
        wire.settimeout(0.0)
        try:
            wire.connect(str(path))
        except BlockingIOError:  # somebody, and he is busy
            return True
        except OSError:
            return False
    return True
