"""Readings of one process: CPU, memory, wake-ups, disk, and the commits of its database."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import NamedTuple

WAL_HEADER = 32
FRAME_HEADER = 24


class Reading(NamedTuple):
    """What a process has used since it started; subtract two of them."""

    at: float
    cpu_ns: int
    main_ns: int
    """Of it the main thread's, in which the core runs."""
    wakeups: int
    disk_bytes: int
    commits: int

    def since(self, before: Reading) -> Reading:
        """The difference."""
        return Reading(
            self.at - before.at,
            self.cpu_ns - before.cpu_ns,
            self.main_ns - before.main_ns,
            self.wakeups - before.wakeups,
            self.disk_bytes - before.disk_bytes,
            self.commits - before.commits,
        )


class Memory(NamedTuple):
    """Kilobytes: resident, the process's own, and what is not backed by a file."""

    rss: int
    uss: int
    anonymous: int


def cpu_ns(pid: int) -> int:
    """CPU time of all threads, ended ones too: the process CPU clock of another process (clock_getcpuclockid)."""
    return time.clock_gettime_ns((~pid << 3) | 2)


def reading(pid: int, log: Log) -> Reading:
    """A reading now. `disk_bytes` are whole pages dirtied, also those written again before they reached the disk."""
    wakeups = sum(
        field(task / "status", "voluntary_ctxt_switches")
        for task in Path(f"/proc/{pid}/task").iterdir()
        if task.exists()
    )
    written = field(Path(f"/proc/{pid}/io"), "write_bytes")
    return Reading(time.monotonic(), cpu_ns(pid), main_ns(pid), wakeups, written, log.commits())


def main_ns(pid: int) -> int:
    """CPU time of the main thread, by the scheduler's own count."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text("ascii").split()[0])


def memory(pid: int) -> Memory:
    """Memory now."""
    rollup = Path(f"/proc/{pid}/smaps_rollup")
    own = field(rollup, "Private_Clean") + field(rollup, "Private_Dirty")
    return Memory(field(rollup, "Rss"), own, field(rollup, "Anonymous"))


def field(path: Path, name: str) -> int:
    """A number from a file of `name: value` lines; 0 if the file has gone."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(name + ":")), 0)


class Log:
    """The write-ahead log of a database: how many commits it took, each one fsync (synchronous=FULL).

    A frame that ends a transaction carries the size of the database in its header. After a checkpoint the log begins
    anew from the front with another salt; what it has not reached yet still shows the round before.
    Invariant: between two looks the log begins anew at most once (after a thousand pages).
    """

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + "-wal")
        self._salt = b""
        self._seen = 0
        """Frames of the present round that are counted."""
        self._commits = 0

    def commits(self) -> int:
        """Commits since the round of the first look began."""
        try:
            data = self._path.read_bytes()
        except OSError:
            return self._commits
        if len(data) >= WAL_HEADER:
            salt = data[16:24]
            if salt != self._salt:
                self._count(data, self._salt)
                self._salt, self._seen = salt, 0
            self._count(data, salt)
        return self._commits

    def _count(self, data: bytes, salt: bytes) -> None:
        """Count the commits among the frames of a round that were not there at the last look."""
        size = int.from_bytes(data[8:12], "big") + FRAME_HEADER
        for number in range(self._seen, (len(data) - WAL_HEADER) // size):
            at = WAL_HEADER + number * size
            frame = data[at : at + FRAME_HEADER]
            if frame[8:16] == salt:
                self._seen = number + 1
                self._commits += frame[4:8] != bytes(4)


def calibrate() -> float:
    """CPU milliseconds of a fixed workload, the median of five: the unit to divide by."""
    document = {"a": [{f"k{i}": i * 1.5, "s": "x" * 20} for i in range(20)], "b": {"c": True, "d": None}}
    taken = []
    for _ in range(5):
        begin = time.thread_time_ns()
        for _ in range(400):
            json.loads(json.dumps(document))
        taken.append((time.thread_time_ns() - begin) / 1e6)
    return sorted(taken)[2]


REFERENCE_UNIT_MS = 13.4
"""The unit on the machine on which the peers were measured."""
