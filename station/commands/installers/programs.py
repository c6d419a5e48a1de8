"""Runs another program: bounded in time and in what is kept of its words, killed with all its children."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Sequence
from typing import NamedTuple, cast

from station.shell.linkdown import one_line

log = logging.getLogger(__name__)

_PIECE = 4096
_LONGEST = 65_536
_END_S = 5.0


class Ran(NamedTuple):
    """How it ended: -1 if it could not be run or took too long. `words`: the last line that it said, for people."""

    code: int
    words: str
    output: str = ""


async def run(command: Sequence[str], patience_s: float, *, apart: bool = False) -> Ran:
    """`apart`: keep what it writes to stdout as `output`; else nothing is kept but the last words."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE if apart else asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        return Ran(-1, f"{command[0]}: {error.strerror}")
    streams = [process.stdout, *([process.stderr] if apart else [])]
    reading = [asyncio.ensure_future(_end_of(cast("asyncio.StreamReader", each))) for each in streams]
    ended = asyncio.ensure_future(process.wait())
    try:
        await asyncio.wait({ended}, timeout=patience_s)
        if not ended.done():
            return Ran(-1, f"not done within {patience_s:g} s")
        await asyncio.wait(reading, timeout=_END_S)
        said = [_text(each) for each in reading]
        lines = (said[-1].strip() or said[0].strip()).splitlines()
        ran = Ran(ended.result(), one_line(lines[-1]) if lines else "", said[0] if apart else "")
        log.info("firmware.command", extra={"command": command[0], "code": ran.code, "words": ran.words})
        return ran
    finally:
        if not ended.done():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await asyncio.wait({ended, *reading}, timeout=_END_S)
        for each in reading:
            each.cancel()


def _text(read: asyncio.Future[bytes]) -> str:
    """What has been read, if the end has come: a child may hold the pipe."""
    return read.result().decode("utf-8", "replace") if read.done() and not read.cancelled() else ""


async def _end_of(stream: asyncio.StreamReader) -> bytes:
    """The last bytes of what is said: that is never kept whole."""
    said = b""
    while piece := await stream.read(_PIECE):
        said = (said + piece)[-_LONGEST:]
    return said
