"""Uploads and downloads as the rest of the shell uses them: each blocks in a thread of its own, and is watched.

    transfers = Transfers(trust, Pace())
    await transfers.upload(located("https://..."), Outgoing(path=..., name="log.zip"))

Raises Failed with a kind; cancelled, it cuts the connection and does not wait for the thread. What can be resumed is
known to `Outgoing` and `Incoming`: give the same one again.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable
from typing import cast

from station.location import Location
from station.shell.linkdown import Down, explain
from station.shell.names import Resolver
from station.shell.revocation import Revoked
from station.shell.threads import in_thread
from station.shell.transfer.line import Line, Pace, Trust
from station.shell.transfer.ways import Failed, Incoming, Kind, Outgoing, Way

log = logging.getLogger(__name__)

WAYS = {
    "ftp": "station.shell.transfer.ftp",
    "ftps": "station.shell.transfer.ftp",
    "http": "station.shell.transfer.http",
    "https": "station.shell.transfer.http",
    "sftp": "station.shell.transfer.sftp",
}
"""Modules are ways; each is imported when its scheme is used."""

LOOK_S = 5.0
GRACE_S = 10.0
"""So long after it was cut a thread may hang, in a look-up of a name for example; then it is left alone."""


class Transfers:
    """Moves files. `trust` is asked for each transfer, since roots come and go."""

    def __init__(self, trust: Callable[[], Trust], pace: Pace) -> None:
        self._trust = trust
        self._pace = pace
        self._revoked = Revoked(Resolver())

    async def upload(self, to: Location, what: Outgoing) -> None:
        """Bring a file to where `to` says. Raises Failed."""
        line = self._line()
        try:
            await self._watched(line, lambda: _way(to.scheme).upload(line, to, what), to)
        finally:
            what.moved += line.moved_bytes
        log.info("transfer.uploaded", extra={"to": to.shown, "bytes": what.size})

    async def download(self, source: Location, into: Incoming) -> None:
        """Fetch a file. Raises Failed; the part that has come stays."""
        line = self._line()
        await self._watched(line, lambda: _way(source.scheme).download(line, source, into), source)
        log.info("transfer.downloaded", extra={"source": source.shown, "bytes": into.path.stat().st_size})

    def _line(self) -> Line:
        """A transfer's; its thread asks about certificates by our loop."""
        line, loop = Line(self._trust(), self._pace), asyncio.get_running_loop()

        def judge(path: list[bytes]) -> None:
            how = line.trust.revocation
            asking = asyncio.run_coroutine_threadsafe(self._revoked(path, how), loop)
            try:
                asking.result(how.within_s + GRACE_S)
            except Down as down:
                raise Failed(Kind.FAILED, down.why.detail) from down

        line.judge = judge
        return line

    async def _watched(self, line: Line, work: Callable[[], None], where: Location) -> None:
        done = in_thread(lambda: _explained(line, work, where), "transfer")
        look_s = min(LOOK_S, line.pace.stall_s / 4)
        left = GRACE_S
        try:
            while not done.done():
                await asyncio.wait({done}, timeout=look_s)
                if line.reason is not None:
                    left -= look_s
                    if left <= 0:
                        raise line.reason
                elif line.stalled:
                    line.cut(Failed(Kind.STALLED, f"nothing moves: {where.shown}"))
            done.result()
        finally:
            if not done.done():
                line.cut(Failed(Kind.CANCELLED, "not wanted any more"))


def _way(scheme: str) -> Way:
    try:
        return cast("Way", importlib.import_module(WAYS[scheme]))
    except ImportError as missing:
        raise Failed(Kind.NOT_SUPPORTED, f"{scheme} is not installed: {missing.name}") from missing


def _explained(line: Line, work: Callable[[], None], where: Location) -> None:
    """Whatever is raised as Failed; what was raised because the line was cut, as the reason of that."""
    try:
        work()
        line.check()  # an end that is none looks like one to some libraries
    except Failed:
        line.check()
        raise
    except Exception as error:
        line.check()
        if isinstance(error, OSError | EOFError):
            raise Failed(Kind.FAILED, f"{where.shown}: {explain(error).detail}") from error
        log.exception("transfer.failed", extra={"where": where.shown})
        raise Failed(Kind.FAILED, f"{where.shown}: {type(error).__name__}") from error
