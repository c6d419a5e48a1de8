"""The phases of the measurement: each reads the process before and after and gives named figures (bench/peers.py)."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bench.listener import Listener, Payload
from bench.process import REFERENCE_UNIT_MS, Log, Memory, Reading, calibrate, memory, reading

VARIABLES = (
    ("OCPPCommCtrlr", "HeartbeatInterval"),
    ("SampledDataCtrlr", "TxUpdatedInterval"),
    ("SecurityCtrlr", "SecurityProfile"),
)
MEASURANDS = "Energy.Active.Import.Register,Power.Active.Import,Current.Import,Voltage"

Figures = dict[str, float]


class Sizes(NamedTuple):
    """How long and how often."""

    calls: int = 1000
    repeats: int = 5
    sessions: int = 10
    idle_s: float = 60
    metering_s: float = 60
    mixed: int = 10_000
    entries: int = 50_000
    flooding: int = 32
    """So many EVSEs make events, one a second each, for `flood_s`."""
    flood_s: float = 31


class Units(NamedTuple):
    """CPU in units: the process, and of it the main thread, in which the core runs; the rest is the hardware's."""

    whole: float = 0.0
    core: float = 0.0

    def by_thread(self, when: str) -> Figures:
        """The rows that tell the parts of an event's CPU."""
        return {
            f"{when}, of it: the core's thread": self.core,
            f"{when}, of it: the hardware's thread, simulated": self.whole - self.core,
        }


class Span:
    """A stretch of the run; `used` is complete when it has ended.

    The unit is taken at both ends: what else a machine does may halve its speed from one minute to the next.
    """

    def __init__(self) -> None:
        self.used = Reading(0, 0, 0, 0, 0, 0)
        self.unit_ns = calibrate() * 1e6
        self.received = 0
        self.counts: Counter[str] = Counter()

    def end(self, used: Reading) -> None:
        """It is over."""
        self.used = used
        self.unit_ns = (self.unit_ns + calibrate() * 1e6) / 2

    def units(self, n: float = 1) -> float:
        """CPU in units, for each of `n`."""
        return self.used.cpu_ns / self.unit_ns / n

    def shares(self, n: float = 1) -> Units:
        """The same by thread."""
        return Units(self.units(n), self.used.main_ns / self.unit_ns / n)

    @property
    def percent(self) -> float:
        """CPU of the peers' machine."""
        return 100 * self.units() * REFERENCE_UNIT_MS / 1000 / self.used.at


class Scenario:
    """One station, its CSMS and its control socket."""

    def __init__(self, csms: Listener, pid: int, database: Path, control: Path) -> None:
        self.csms = csms
        self.pid = pid
        self.log = Log(database)
        self.control = control
        self._at_rest = Units()
        """What a second costs in which nothing happens."""

    @contextmanager
    def span(self) -> Iterator[Span]:
        """Readings at both ends."""
        span, counts = Span(), self.csms.counts.copy()
        received = self.csms.bytes_received()
        before = reading(self.pid, self.log)
        yield span
        span.end(reading(self.pid, self.log).since(before))
        span.received = self.csms.bytes_received() - received
        span.counts = self.csms.counts - counts

    async def command(self, cmd: str, **fields: object) -> Payload:
        """One line on the control socket. RuntimeError if it is refused."""
        reader, writer = await asyncio.open_unix_connection(self.control)
        writer.write(json.dumps({"cmd": cmd, **fields}).encode() + b"\n")
        answer: Payload = json.loads(await reader.readline())
        writer.close()
        await writer.wait_closed()
        if not answer.get("ok"):
            raise RuntimeError(f"{cmd}: {answer}")
        return answer

    # --- the phases ---------------------------------------------------------------------------------------------------

    def memory(self) -> tuple[Memory, Figures]:
        """After the boot, when the station has fallen silent."""
        now = memory(self.pid)
        names = ("RSS", "USS", "anonymous")
        return now, {f"memory after boot: {name}": kb / 1000 for name, kb in zip(names, now, strict=True)}

    async def idle(self, seconds: float) -> Figures:
        """Nothing happens."""
        with self.span() as span:
            await asyncio.sleep(seconds)
        self._at_rest = span.shares(span.used.at)
        return {
            "idle: CPU": span.percent,
            "idle: wake-ups": span.used.wakeups / span.used.at,
        }

    async def calls(self, n: int, make: Callable[[int], tuple[str, Payload]]) -> Span:
        """So many calls, one after another."""
        with self.span() as span:
            for index in range(n):
                await self.csms.call(*make(index))
        return span

    async def get_variables(self, n: int, repeats: int) -> Figures:
        """Calls one after another; the best of the repeats, for other processes disturb."""
        items = [{"component": {"name": c}, "variable": {"name": v}} for c, v in VARIABLES]
        spans = [await self.calls(n, lambda _: ("GetVariables", {"getVariableData": items})) for _ in range(repeats)]
        return {"CPU per GetVariables (3 items)": 1000 * min(span.units(n) for span in spans)}

    async def set_variables(self, n: int) -> Figures:
        """A value that differs each time."""
        span = await self.calls(n, lambda i: set_variable("SampledDataCtrlr", "TxUpdatedInterval", 100 + i % 7))
        return {
            "CPU per SetVariables": 1000 * span.units(n),
            "disk per SetVariables": span.used.disk_bytes / n / 1000,
        }

    async def report(self) -> Figures:
        """The whole device model, until its last page."""
        with self.span() as span:
            await self.csms.call("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})
            await self.csms.quiet(1.0)
        return {
            "GetBaseReport FullInventory: CPU per 300 variables": 300 * span.units(span.counts["reported"]),
            "GetBaseReport FullInventory: messages": span.counts["NotifyReport"],
        }

    async def profiles(self, n: int) -> Figures:
        """SetChargingProfile and GetCompositeSchedule in turn, 24 periods."""
        periods = [{"startPeriod": i * 900, "limit": 16.0 + i % 5} for i in range(24)]
        schedule = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": periods, "duration": 21600}
        profile = {
            "id": 1,
            "stackLevel": 1,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": [{**schedule, "startSchedule": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}],
        }

        def make(index: int) -> tuple[str, Payload]:
            if index % 2:
                return "GetCompositeSchedule", {"evseId": 1, "duration": 21600, "chargingRateUnit": "A"}
            return "SetChargingProfile", {"evseId": 1, "chargingProfile": profile}

        try:
            span = await self.calls(n, make)
        except RuntimeError as error:
            sys.stderr.write(f"not measured: {error}\n")
            return {}
        await self.csms.call("ClearChargingProfile", {"chargingProfileId": 1})
        return {"CPU per profile or composite call": 1000 * span.units(n)}

    async def start(self, evse_id: int) -> None:
        """Plug in, be started by the CSMS, charge."""
        await self.command("plug_in", evse=evse_id, connector=1)
        token = {"idToken": "04AABBCC", "type": "ISO14443"}
        await self.csms.call("RequestStartTransaction", {"evseId": evse_id, "remoteStartId": 1, "idToken": token})
        await self.csms.until(lambda: evse_id in self.csms.charging)

    async def stop(self, evse_id: int) -> None:
        """Be stopped by the CSMS, unplug."""
        transaction_id = self.csms.transactions[evse_id]
        await self.csms.call("RequestStopTransaction", {"transactionId": transaction_id})
        await self.command("unplug", evse=evse_id, connector=1)
        await self.csms.until(lambda: evse_id not in self.csms.transactions)
        await self.csms.quiet(0.3)

    async def sessions(self, n: int) -> Figures:
        """Whole sessions without an Updated by interval."""
        await self.csms.call(*set_variable("SampledDataCtrlr", "TxUpdatedInterval", 0))
        with self.span() as span:
            for _ in range(n):
                await self.start(1)
                await self.stop(1)
        return {
            "disk per session": span.used.disk_bytes / n / 1000,
            "commits per session": span.used.commits / n,
            "bytes from the station per session": span.received / n,
        }

    async def metering(self, seconds: float) -> Figures:
        """Two sessions that tell four measurands each second; an event does not bear what an idle station costs."""
        await self.csms.call(*set_variable("SampledDataCtrlr", "TxUpdatedMeasurands", MEASURANDS))
        await self.csms.call(*set_variable("SampledDataCtrlr", "TxUpdatedInterval", 1))
        for evse_id in (1, 2):
            await self.start(evse_id)
        await asyncio.sleep(2)
        with self.span() as span:
            await asyncio.sleep(seconds)
        for evse_id in (1, 2):
            await self.stop(evse_id)
        n = span.counts["TransactionEvent/Updated"]
        if not n:
            raise RuntimeError("no Updated came in the metering phase")
        rest_s = span.used.at / n
        used = Units(*(1000 * (own - rest * rest_s) for own, rest in zip(span.shares(n), self._at_rest, strict=True)))
        return {
            "two sessions at 1 Hz: CPU": span.percent,
            "two sessions at 1 Hz: wake-ups": span.used.wakeups / span.used.at,
            "CPU per TransactionEvent at 2/s": used.whole,
            **used.by_thread("at 2/s"),
            "disk per Updated": span.used.disk_bytes / n / 1000,
            "commits per Updated": span.used.commits / n,
            "bytes per Updated (4 measurands)": span.received / n,
        }


def set_variable(component: str, variable: str, value: object) -> tuple[str, Payload]:
    """A SetVariables of one item."""
    item: dict[str, Any] = {"component": {"name": component}, "variable": {"name": variable}}
    return "SetVariables", {"setVariableData": [{**item, "attributeValue": str(value)}]}
