"""Host names to addresses, in one daemon thread of our own (design section 6).

The C library's resolver can hang for minutes, and a thread that hangs in the default executor stops the process from
ending and starves everything else that uses it. Here one look-up runs at a time; who waits for it may give up without
harm; the last good addresses of a name serve while its server does not answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import socket
import threading
from collections.abc import Callable

import msgspec

from station.shell.linkdown import Down, DownKind

_MAX_REMEMBERED = 16


class Address(msgspec.Struct, frozen=True):
    """Where to connect to: what `socket.getaddrinfo` tells, without what nobody needs."""

    family: int
    endpoint: tuple[str, int] | tuple[str, int, int, int]


Lookup = Callable[[str, int], list[Address]]


def look_up(host: str, port: int) -> list[Address]:
    """All stream addresses of a host, in the system's order of preference. Blocks. Raises OSError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror:
        if host.lower() != "localhost":  # always this machine (RFC 6761), even on an image without /etc/hosts
            raise
        return [_literal("127.0.0.1", port), _literal("::1", port)]
    return [Address(family, endpoint) for family, _, _, _, endpoint in found]  # type: ignore[arg-type]  # IPv4 and 6


class Resolver:
    """Resolves names without ever blocking the event loop or the end of the process."""

    def __init__(self, lookup: Lookup = look_up) -> None:
        self._lookup = lookup
        self._jobs: queue.SimpleQueue[tuple[str, int, asyncio.Future[list[Address]]]] = queue.SimpleQueue()
        self._pending: dict[tuple[str, int], asyncio.Future[list[Address]]] = {}
        self._good: dict[tuple[str, int], list[Address]] = {}
        self._thread: threading.Thread | None = None

    async def resolve(self, host: str, port: int, timeout_s: float) -> list[Address]:
        """The addresses of `host`, at least one. Raises Down(DNS) if there is no answer and none was ever known."""
        with contextlib.suppress(ValueError):
            return [_literal(host, port)]
        key = (host, port)
        pending = self._pending.get(key)
        if pending is None or pending.done():
            pending = self._pending[key] = asyncio.get_running_loop().create_future()
            self._start()
            self._jobs.put((host, port, pending))
        await asyncio.wait({pending}, timeout=timeout_s)
        if not pending.done():
            return self._remembered(key, f"no answer for {host} within {timeout_s:g} s")
        self._pending.pop(key, None)
        error = pending.exception()
        if error:
            return self._remembered(key, f"{host}: {error}")
        if not pending.result():
            return self._remembered(key, f"{host} has no address")
        self._good.pop(key, None)
        self._good[key] = pending.result()
        if len(self._good) > _MAX_REMEMBERED:
            del self._good[next(iter(self._good))]
        return pending.result()

    def _remembered(self, key: tuple[str, int], problem: str) -> list[Address]:
        try:
            return self._good[key]
        except KeyError:
            raise Down(DownKind.DNS, problem) from None

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name="names", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            host, port, answer = self._jobs.get()
            found: list[Address] | Exception
            try:
                found = self._lookup(host, port)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer; this thread never ends
                found = error
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                answer.get_loop().call_soon_threadsafe(_deliver, answer, found)


def _deliver(answer: asyncio.Future[list[Address]], found: list[Address] | Exception) -> None:
    if answer.done():
        return
    if isinstance(found, Exception):
        answer.set_exception(found)
        answer.exception()  # read, so that an answer nobody waits for any more makes no noise
    else:
        answer.set_result(found)


def _literal(host: str, port: int) -> Address:
    """The address that a numeric host is. Raises ValueError for a name."""
    bare, _, scope = host.partition("%")
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            socket.inet_pton(family, bare)
            if family == socket.AF_INET:
                return Address(family, (bare, port))
            return Address(family, (bare, port, 0, socket.if_nametoindex(scope) if scope else 0))
    raise ValueError(host)
