"""`python -m bench.counted`: what the agent is told to do, for one event or call: instructions, and calls of Python.

CPU time is the machine's as much as the agent's; these two are the agent's alone, and differ by a few in a hundred from
run to run. The agent runs under valgrind for the instructions (fifty times slower: what it cannot do in time is not
counted as done), and under a profile function for the calls, which are listed by function with `--list`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from bench.listener import Listener
from bench.scenario import MEASURANDS, VARIABLES, Scenario, set_variable
from bench.setting import Setting

ROOT = Path(__file__).parent.parent
BOOT_WITHIN_S = 300
TOLD_WITHIN_S = 30
IDLE_S = 10
INTERVAL = "SampledDataCtrlr.TxUpdatedInterval"
UPDATED = "TransactionEvent/Updated"

_counts: Counter[tuple[str, str, str]] = Counter()


class Meter(Protocol):
    """Counts something in a process that it can start."""

    @property
    def command(self) -> Sequence[str]:
        """With what to start the agent."""
        ...

    def zero(self, pid: int) -> None:
        """Begin anew."""
        ...

    def read(self, pid: int) -> Counter[str]:
        """By thread, or by function; begins anew, too."""
        ...


class Instructions:
    """By thread, by callgrind."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._dumps = Counter[int]()
        into = f"--callgrind-out-file={folder}/callgrind.%p"
        by_thread = "--separate-threads=yes"
        self.command: Sequence[str] = ("valgrind", "-q", "--tool=callgrind", by_thread, into, sys.executable)

    def zero(self, pid: int) -> None:
        """Begin anew."""
        self._control("-z", pid)

    def read(self, pid: int) -> Counter[str]:
        """A number for the main thread, in which the core runs, and one for all others."""
        self._control("-d", pid)
        self._dumps[pid] += 1
        used = Counter[str]()
        for dump in self._folder.glob(f"callgrind.{pid}.{self._dumps[pid]}-*"):
            found = re.search(r"^(?:totals|summary): (\d+)", dump.read_text("utf-8", "replace"), re.MULTILINE)
            used["MainThread" if dump.name.endswith("-01") else "others"] += int(found.group(1)) if found else 0
        return used

    def _control(self, what: str, pid: int) -> None:
        tool = shutil.which("callgrind_control") or "callgrind_control"
        subprocess.run([tool, what, str(pid)], check=True, capture_output=True)  # noqa: S603 - valgrind's own


class Calls:
    """Of Python functions, by name and thread: the process runs `count` of this module."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "calls.json"
        self.command: Sequence[str] = (sys.executable, "-m", "bench.counted", f"--into={self._file}", "--")

    def zero(self, pid: int) -> None:
        """Begin anew."""
        self.read(pid)

    def read(self, pid: int) -> Counter[str]:
        """By thread, file and function."""
        self._file.unlink(missing_ok=True)
        os.kill(pid, signal.SIGUSR1)
        end = time.monotonic() + TOLD_WITHIN_S
        while not self._file.exists() and time.monotonic() < end:
            time.sleep(0.01)
        return Counter(json.loads(self._file.read_text("utf-8")))


def count(into: Path, arguments: Sequence[str]) -> int:
    """Be the agent, and write what was called at each SIGUSR1."""
    import threading  # noqa: PLC0415 - in the agent's process only

    from station import cli  # noqa: PLC0415 - as above

    def called(frame: Any, event: str, _argument: object) -> None:
        if event == "call":
            code = frame.f_code
            _counts[threading.current_thread().name, code.co_filename, code.co_qualname] += 1

    def tell(_number: int, _frame: object) -> None:
        sys.setprofile(None)  # what follows is not the agent's
        taken = dict(_counts)  # in one go: the other threads count on
        _counts.clear()
        told = {" ".join((thread, _short(file), name)): n for (thread, file, name), n in taken.items()}
        written = into.with_suffix(".new")
        written.write_text(json.dumps(told), "utf-8")
        written.rename(into)
        sys.setprofile(called)

    signal.signal(signal.SIGUSR1, tell)
    threading.setprofile(called)
    sys.setprofile(called)
    return cli.main(arguments)


def _short(file: str) -> str:
    return "/".join(Path(file).parts[-2:])


class Sizes(NamedTuple):
    """How long, how often, how many."""

    seconds: float
    interval_s: int
    evses: int


class Figure(NamedTuple):
    """What so many of one thing took."""

    name: str
    n: int
    used: Counter[str]


class Run:
    """One agent with a meter on it, whose events come every `interval_s` seconds from each EVSE."""

    def __init__(self, scenario: Scenario, meter: Meter, interval_s: int) -> None:
        self.scenario = scenario
        self.csms = scenario.csms
        self._meter = meter
        self._interval_s = interval_s
        self._pid = scenario.pid

    async def idle(self, seconds: float = IDLE_S) -> Figure:
        """What is used when nothing happens, for a second."""
        self._meter.zero(self._pid)
        await asyncio.sleep(seconds)
        return Figure("idle second", int(seconds), self._meter.read(self._pid))

    async def calls(self, n: int) -> Figure:
        """GetVariables of three."""
        items = [{"component": {"name": c}, "variable": {"name": v}} for c, v in VARIABLES]
        for first in (True, False):
            for _ in range(5 if first else n):
                await self.csms.call("GetVariables", {"getVariableData": items})
            if first:
                self._meter.zero(self._pid)
        return Figure("GetVariables of 3", n, self._meter.read(self._pid))

    async def metering(self, seconds: float) -> Figure:
        """Two sessions that tell four measurands."""
        await self.csms.call(*set_variable("SampledDataCtrlr", "TxUpdatedMeasurands", MEASURANDS))
        await self.csms.call(*set_variable("SampledDataCtrlr", "TxUpdatedInterval", self._interval_s))
        for evse_id in (1, 2):
            await self.scenario.start(evse_id)
        await asyncio.sleep(2 + self._interval_s)
        before = self.csms.counts[UPDATED]
        self._meter.zero(self._pid)
        await asyncio.sleep(seconds)
        used, n = self._meter.read(self._pid), self.csms.counts[UPDATED] - before
        return Figure("TransactionEvent of two EVSEs", n, used)

    async def flood(self, evses: int, seconds: float) -> list[Figure]:
        """An outage in which all EVSEs tell their meters, and the delivery of it."""
        await self.csms.call(*set_variable("SampledDataCtrlr", "TxUpdatedMeasurands", MEASURANDS))
        for evse_id in range(1, evses + 1):
            await self.scenario.start(evse_id)
        await self.scenario.command("network", up=False)
        await asyncio.sleep(1)
        await self.scenario.command("set_variable", name=INTERVAL, value=str(self._interval_s))
        self._meter.zero(self._pid)
        await asyncio.sleep(seconds)
        made = self._meter.read(self._pid)
        await self.scenario.command("set_variable", name=INTERVAL, value="0")
        before = self.csms.counts[UPDATED]
        self._meter.zero(self._pid)
        await self.scenario.command("network", up=True)
        await self.csms.until(lambda: self.csms.counts[UPDATED] > before, 120)
        await self.csms.quiet(3.0, 600)
        sent, n = self._meter.read(self._pid), self.csms.counts[UPDATED] - before
        return [Figure("made and stored, offline", n, made), Figure("sent and acknowledged", n, sent)]


async def running(setting: Setting, meter: Meter, interval_s: int, use: Callable[[Run], Any]) -> list[Figure]:
    """Start the agent under the meter, use it, stop it. RuntimeError if it does not boot."""
    booted = asyncio.Event()
    csms = Listener(on_boot=booted.set)
    setting.clean()
    server = await csms.serve(setting.port, deflate=False)
    setting.port = server.sockets[0].getsockname()[1]
    config = setting.write(f"ws://127.0.0.1:{setting.port}/ocpp")
    with (setting.folder / "agent.log").open("ab") as log:
        module = () if isinstance(meter, Calls) else ("-m", "station")
        command = [*meter.command, *module, "run", "--config", config]
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)  # noqa: S603, ASYNC220 - our own agent
        try:
            await asyncio.wait_for(booted.wait(), BOOT_WITHIN_S)
            await csms.quiet(5)
            scenario = Scenario(csms, process.pid, setting.database, setting.control)
            figures = await use(Run(scenario, meter, interval_s))
        finally:
            process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(process.wait, 120)
            server.close()
            await server.wait_closed()
    told: list[Figure] = figures
    return told


async def measure(folder: Path, meter: Meter, sizes: Sizes) -> AsyncIterator[Figure]:
    """All of it."""

    async def small(run: Run) -> list[Figure]:
        return [await run.idle(), await run.calls(100), await run.metering(sizes.seconds)]

    async def large(run: Run) -> list[Figure]:
        return await run.flood(sizes.evses, sizes.seconds)

    for figure in await running(Setting(folder), meter, sizes.interval_s, small):
        yield figure
    if sizes.evses:
        for figure in await running(Setting(folder, sizes.evses), meter, sizes.interval_s, large):
            yield figure


async def tell(figures: AsyncIterator[Figure], most: int) -> None:
    """Each figure, by thread, and the functions that are called most."""
    async for name, n, used in figures:
        sys.stdout.write(f"{name}: {used.total() / max(n, 1):,.0f} (of {n})\n")
        threads = Counter[str]()
        for key, value in used.items():
            threads[key.split(" ")[0]] += value
        for thread, value in threads.items():
            sys.stdout.write(f"    {value / max(n, 1):12,.1f} {thread}\n")
        for key, value in used.most_common(most):
            sys.stdout.write(f"    {value / max(n, 1):12,.2f} {key}\n")
        sys.stdout.flush()


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.counted", description=__doc__)
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--calls", action="store_true", help="count calls of Python, not instructions")
    parser.add_argument("--list", type=int, default=0, metavar="N", help="the N functions that are called most")
    parser.add_argument("--seconds", type=float, help="of metering, and of the outage; 20 or 60")
    parser.add_argument("--interval", type=int, help="seconds from event to event of an EVSE; 1 or 5: valgrind is slow")
    parser.add_argument("--evses", type=int, default=8, help="in the flood; 0: none")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "counted")
    given, rest = parser.parse_known_args()
    if given.into:
        return count(given.into, [each for each in rest if each != "--"])
    shutil.rmtree(given.folder, ignore_errors=True)
    given.folder.mkdir(parents=True)
    meter: Meter = Calls(given.folder) if given.calls else Instructions(given.folder)
    seconds, interval_s = (20, 1) if given.calls else (60, 5)
    sizes = Sizes(given.seconds or seconds, given.interval or interval_s, given.evses)
    asyncio.run(tell(measure(given.folder, meter, sizes), given.list))
    return 0


if __name__ == "__main__":
    sys.exit(main())
