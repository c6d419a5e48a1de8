"""The installer that is a program of the manufacturer's; its contract is docs/update.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from station.blocks.firmware.jobs import Outcome
from station.commands.installers import Confirmation, Installation
from station.commands.installers.programs import run

OUTCOMES: Final[Mapping[int, Outcome]] = {0: "active", 10: "restart", 11: "again", 12: "unverified"}
"""What an exit code of `install` means; any other one: failed."""


class Command:
    """Of one station."""

    takes_file: ClassVar[bool] = False

    def __init__(self, command: Sequence[str], patience_s: float) -> None:
        self._command = command
        self._patience_s = patience_s

    async def install(self, update: str, file: Path, digest: bytes = b"") -> Installation:
        """See `Installer`."""
        del update, digest
        ran = await run([*self._command, "install", str(file)], self._patience_s)
        return Installation(OUTCOMES.get(ran.code, "failed"), ran.words)

    async def confirm(self, update: str, file: Path, *, late: bool = False) -> Confirmation:
        """See `Installer`. It is never asked late: the boot loader sees to that."""
        del update, late
        ran = await run([*self._command, "confirm", str(file)], self._patience_s)
        return Confirmation((ran.words or f"exit code {ran.code}") if ran.code else "")
