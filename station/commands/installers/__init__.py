"""Installers: what makes a file that was fetched and checked the firmware that runs (L01, L02; docs/update.md).

command.py    a program of the manufacturer's
bundle.py     the agent itself, a directory for each version;  slots.py  which of them is started
rauc.py       system images by RAUC              swupdate.py   by SWUpdate

archive.py    how a bundle is packed             manifest.py   what it says of itself;  make.py  makes one
versions.py   which version may follow which     programs.py   runs other programs
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol

from station.blocks.firmware.jobs import Outcome

Silent = Callable[[], Awaitable[frozenset[int]]]
"""The EVSEs whose hardware does not answer now."""


class Installation(NamedTuple):
    """How it ended, and a line about it for people."""

    outcome: Outcome
    words: str = ""


class Confirmation(NamedTuple):
    """Without a `reason` the new firmware runs, and stays. `restart`: it does not, once there was one."""

    reason: str = ""
    restart: bool = False


class Installer(Protocol):
    """Both calls may be cut off anywhere, and are then made again. `update` names the update."""

    takes_file: ClassVar[bool]
    """Whether `install` may leave the file to others, who alone can read it then: they check a signature of its own."""

    async def install(self, update: str, file: Path, digest: bytes = b"") -> Installation:
        """Put the firmware in place; what is there runs on until a restart.

        `digest`: the SHA-256 of what the manufacturer has signed, a moment ago; empty if he has signed nothing.
        """
        ...

    async def confirm(self, update: str, file: Path, *, late: bool = False) -> Confirmation:
        """The CSMS has accepted the station, or has not in good time (`late`): then the firmware before shall run."""
        ...
