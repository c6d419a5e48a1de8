"""What systemd's journal has kept of the agent's unit, where the agent may read it (group systemd-journal).

Blocks; for a thread of its own. Nothing where there is no journal: then what memory keeps (`logs.recent`) is all.
"""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from station.shell.logs import hidden

MOST_LINES = 20_000
PATIENCE_S = 60.0
_PIECE = 65536
_UNIT = re.compile(r"/([^/\n]+\.service)(?:/|$)", re.MULTILINE)


def unit(environment: Mapping[str, str], cgroup: Path = Path("/proc/self/cgroup")) -> str | None:
    """The unit that this process is of, if its output goes to the journal."""
    if "JOURNAL_STREAM" not in environment:
        return None
    try:
        found = _UNIT.findall(cgroup.read_text("utf-8", "replace"))
    except OSError:
        return None
    return str(found[-1]) if found else None


def lines(unit: str, oldest: float | None, latest: float | None, program: str = "journalctl") -> Iterator[bytes]:
    """The last lines of that time, in pieces."""
    command = [program, f"--unit={unit}", "--output=short-iso-precise", "--utc", "--no-pager", "--quiet"]
    command += [f"--lines={MOST_LINES}"]
    command += [f"--since=@{oldest:.0f}"] if oldest is not None else []
    command += [f"--until=@{latest:.0f}"] if latest is not None else []
    try:
        process = subprocess.Popen(  # noqa: S603 - the system's own program, arguments of ours
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError:  # it is not installed
        return
    patience = threading.Timer(PATIENCE_S, process.kill)
    patience.daemon = True
    patience.start()
    try:
        yield from _pieces(process)
    finally:
        patience.cancel()
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _pieces(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """Whole lines: what hides secrets must not find half of one."""
    if process.stdout is None:
        return
    while piece := process.stdout.read(_PIECE):
        piece += process.stdout.readline()
        yield hidden(piece.decode("utf-8", "replace")).encode()
