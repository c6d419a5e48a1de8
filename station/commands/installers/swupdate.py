"""SWUpdate, asked by its own client over its socket.

SWUpdate checks the image's own signature and hardware revision. Which copy of the system runs, and which one the boot
loader starts, differs from machine to machine: commands of station.yaml know it.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from station.commands.installers.images import NotDone, Refused
from station.commands.installers.programs import run
from station.config.schema import Swupdate as Given
from station.shell.threads import in_thread

_HEADER = 110
_LARGEST = 1_000_000
_SIZES = re.compile(rb"07070[12][0-9a-fA-F]{48}(?P<size>[0-9a-fA-F]{8})[0-9a-fA-F]{32}(?P<length>[0-9a-fA-F]{8})")
_VERSION = re.compile(r'\bversion\s*[=:]\s*"([^"]*)"')
_ANSWER_S = 60.0


class Swupdate:
    """See `System`."""

    def __init__(self, given: Given) -> None:
        self._given = given

    async def version_of(self, file: Path) -> str:
        """As its description says, which is the first file in it."""
        try:
            text = await in_thread(lambda: description(file), "firmware")
        except OSError as error:
            raise NotDone(str(error)) from error
        found = _VERSION.search(text)
        if found is None:
            raise Refused("its sw-description names no version")
        return found.group(1)

    async def running(self) -> str:
        """What the command prints."""
        ran = await run(self._given.running, _ANSWER_S, apart=True)
        if ran.code or not ran.output.strip():
            raise NotDone(f"which copy runs is not known: {ran.words or ran.code}")
        return ran.output.strip()

    async def install(self, file: Path, by: float) -> None:
        """Into the copy that SWUpdate knows as the other one."""
        ran = await run([*self._given.client, str(file)], max(by - time.monotonic(), 1.0))
        if ran.code:
            raise NotDone(f"SWUpdate: {ran.words or f'exit code {ran.code}'}")

    async def mark(self, *, good: bool) -> None:
        """Where a command for it is given."""
        command = self._given.mark_good if good else self._given.mark_bad
        if command is None:
            return
        ran = await run(command, _ANSWER_S)
        if ran.code:
            raise NotDone(f"{command[0]}: {ran.words or f'exit code {ran.code}'}")


def description(file: Path) -> str:
    """The text of sw-description, at the beginning of the cpio archive. Raises Refused, OSError."""
    with file.open("rb") as raw:
        header = raw.read(_HEADER)
        sizes = _SIZES.match(header)
        if sizes is None:
            raise Refused("it is no image of SWUpdate")
        size, length = int(sizes["size"], 16), int(sizes["length"], 16)
        name = raw.read(length + -(_HEADER + length) % 4) if length < _HEADER else b""
        if name.rstrip(b"\0") != b"sw-description" or size > _LARGEST:
            raise Refused("it does not begin with its sw-description")
        return raw.read(size).decode("utf-8", "replace")
