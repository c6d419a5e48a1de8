"""`python -m bench`: start the agent, drive it through the scenario, print the table."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from bench import loads
from bench.listener import Listener
from bench.peers import table
from bench.process import calibrate, cpu_ns
from bench.scenario import Figures, Scenario, Sizes
from bench.setting import Setting

ROOT = Path(__file__).parent.parent
BOOT_WITHIN_S = 60
QUICK = Sizes(calls=100, repeats=2, sessions=2, idle_s=5, metering_s=6, mixed=500, entries=3000, flooding=10, flood_s=5)


class Boot(NamedTuple):
    """What a start cost until the BootNotification arrived."""

    cpu_ns: int
    wall_s: float


class Running(NamedTuple):
    """An agent that has booted and fallen silent."""

    csms: Listener
    pid: int
    boot: Boot


@asynccontextmanager
async def agent(setting: Setting, *, deflate: bool = False) -> AsyncIterator[Running]:
    """Start the agent, wait until it is silent, stop it in the end. RuntimeError if it does not boot."""
    boots: list[Boot] = []
    process: subprocess.Popen[bytes]
    csms = Listener(on_boot=lambda: boots.append(Boot(cpu_ns(process.pid), time.monotonic() - begin)))
    server = await csms.serve(setting.port, deflate=deflate)
    setting.port = server.sockets[0].getsockname()[1]
    config = setting.write(f"ws://127.0.0.1:{setting.port}/ocpp")
    with (setting.folder / "agent.log").open("ab") as log:
        begin = time.monotonic()
        process = subprocess.Popen(  # noqa: S603, ASYNC220 - our own agent, started once
            [Path(sys.executable).with_name("ocpp-station"), "run", "--config", config],
            stdout=log,
            stderr=log,
        )
        try:
            while not boots and process.poll() is None and time.monotonic() - begin < BOOT_WITHIN_S:  # noqa: ASYNC110 - a process
                await asyncio.sleep(0.05)
            await csms.quiet(2)
            if not boots:
                raise RuntimeError(f"the agent did not boot; see {log.name}")
            yield Running(csms, process.pid, boots[0])
        finally:
            process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(process.wait, 20)
            server.close()
            await server.wait_closed()


async def starts(setting: Setting, restarts: int) -> Figures:
    """A first start with an empty folder, then restarts, of which the best counts."""
    setting.clean()
    costs = []
    for _ in range(1 + restarts):
        unit_ms = calibrate()
        async with agent(setting) as running:
            costs.append(running.boot.cpu_ns / 1e6 / unit_ms)
    return {
        "CPU, first start to BootNotification": costs[0],
        "CPU, restart to BootNotification": min(costs[1:]),
    }


async def measure(setting: Setting, sizes: Sizes) -> Figures:
    """All figures."""
    figures = await starts(setting, sizes.repeats)
    async with agent(setting) as running:
        scenario = Scenario(running.csms, running.pid, setting.database, setting.control)
        before, told = scenario.memory()
        figures |= told
        figures |= await scenario.idle(sizes.idle_s)
        figures |= await scenario.get_variables(sizes.calls, sizes.repeats)
        figures |= await scenario.set_variables(max(sizes.calls // 5, 1))
        figures |= await scenario.report()
        figures |= await scenario.profiles(max(sizes.calls // 5, 2))
        figures |= await scenario.sessions(sizes.sessions)
        figures |= await scenario.metering(sizes.metering_s)
        after, _ = scenario.memory()
        figures["memory growth over the run: RSS"] = (after.rss - before.rss) / 1000
        figures |= await loads.mixed(scenario, sizes.mixed)
    setting.clean()
    async with agent(setting, deflate=True) as running:
        scenario = Scenario(running.csms, running.pid, setting.database, setting.control)
        deflated = await scenario.metering(sizes.metering_s / 2)
        figures["the same with deflate"] = deflated["bytes per Updated (4 measurands)"]
    return figures | await watched(setting, sizes) | await flooded(setting, sizes)


async def watched(setting: Setting, sizes: Sizes) -> Figures:
    """A station with three phases, a long list, and a thousand monitors."""
    other = Setting(setting.folder, phases=3)
    other.clean()
    async with agent(other) as running:
        scenario = Scenario(running.csms, running.pid, other.database, other.control)
        figures: Figures = {"monitors": await loads.monitors(scenario)}
        monitored = await scenario.metering(sizes.metering_s / 2)
        figures["two sessions at 1 Hz with these monitors: CPU"] = monitored["two sessions at 1 Hz: CPU"]
        return figures | await loads.local_list(scenario, sizes.repeats, sizes.entries)


async def flooded(setting: Setting, sizes: Sizes) -> Figures:
    """A station with many EVSEs, and an outage."""
    larger = Setting(setting.folder, sizes.flooding)
    larger.clean()
    async with agent(larger) as running:
        scenario = Scenario(running.csms, running.pid, larger.database, larger.control)
        return await loads.flood(scenario, sizes.flooding, sizes.flood_s)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything: shows that it runs, not more")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "bench", help="on a real disk, not in memory")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    given = parser.parse_args()
    sizes = QUICK if given.quick else Sizes()
    shutil.rmtree(given.folder, ignore_errors=True)
    given.folder.mkdir(parents=True)
    figures = asyncio.run(measure(Setting(given.folder), sizes))
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    sys.stdout.write(table(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
