"""Much of one thing: calls of every kind, a long list, many monitors, and the queue of an outage, delivered at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from bench.listener import Payload
from bench.process import memory
from bench.scenario import MEASURANDS, VARIABLES, Figures, Scenario, Units, set_variable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LIST_ENTRIES = 50_000
ENTRIES_A_MESSAGE = 1000
"""LocalAuthListCtrlr.ItemsPerMessage."""
MEASURED = ("Power", *(f"{name}[{line}]" for name in ("ACCurrent", "ACVoltage") for line in ("L1", "L2", "L3")))
OTHERS = (
    *("EVSE.AvailabilityState", "EVSE.Problem", "EVSE.Tripped", "EVSE.Overload", "PowerContactor.Active"),
    *("FiscalMetering.EnergyImportRegister", "FiscalMetering.EnergyImport", "FiscalMetering.Problem"),
)
FAR = {"UpperThreshold": 20_000.0, "LowerThreshold": -1.0, "Delta": 10_000.0, "Periodic": 900.0}
TOKEN = {"idToken": "04AABBCC", "type": "ISO14443"}


class Stall:
    """How long the agent's loop let one line on the control socket wait, at worst."""

    def __init__(self) -> None:
        self.longest_s = 0.0


@asynccontextmanager
async def stalls(scenario: Scenario, every_s: float = 0.001) -> AsyncIterator[Stall]:
    """Ask for what there is not: refused by the loop at once, without a step; so each wait is one for the loop."""
    stall = Stall()
    reader, writer = await asyncio.open_unix_connection(scenario.control)

    async def ask() -> None:
        while True:
            asked = time.monotonic()
            writer.write(b'{"cmd": "nothing"}\n')
            await reader.readline()
            stall.longest_s = max(stall.longest_s, time.monotonic() - asked)
            await asyncio.sleep(every_s)

    asking = asyncio.create_task(ask())
    try:
        yield stall
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        writer.close()


async def local_list(scenario: Scenario, repeats: int, entries: int = LIST_ENTRIES) -> Figures:
    """A full update of all entries; of the longest waits of each repeat the shortest, for other processes disturb."""
    longest = []
    for repeat in range(repeats):
        version = 1 + repeat * LIST_ENTRIES
        async with stalls(scenario) as stall:
            for first in range(0, entries, ENTRIES_A_MESSAGE):
                kind = "Differential" if first else "Full"
                request = {
                    "versionNumber": version + first,
                    "updateType": kind,
                    "localAuthorizationList": _listed(first),
                }
                answer = await scenario.csms.call("SendLocalList", request)
                if answer["status"] != "Accepted":
                    raise RuntimeError(f"SendLocalList: {answer}")
        longest.append(stall.longest_s)
    await scenario.csms.call(*_update(1 + repeats * LIST_ENTRIES, "Full", []))
    return {"longest stall while a list of 50,000 arrives": 1000 * min(longest)}


def _update(version: int, kind: str, entries: list[Payload]) -> tuple[str, Payload]:
    listed = {"localAuthorizationList": entries} if entries else {}
    return "SendLocalList", {"versionNumber": version, "updateType": kind, **listed}


def _listed(first: int) -> list[Payload]:
    return [
        {"idToken": {"idToken": f"{number:014X}", "type": "ISO14443"}, "idTokenInfo": {"status": "Accepted"}}
        for number in range(first, first + ENTRIES_A_MESSAGE)
    ]


async def mixed(scenario: Scenario, n: int) -> Figures:
    """Calls of every kind, after as many of each as it takes to have met them all; what memory they leave behind."""
    await scenario.calls(n // 10, _mixed)
    await scenario.csms.quiet(2)
    before = memory(scenario.pid)
    await scenario.calls(n, _mixed)
    await scenario.csms.quiet(2)
    after = memory(scenario.pid)
    return {"memory growth over 10,000 mixed calls": (after.anonymous - before.anonymous) / 1000}


def _mixed(index: int) -> tuple[str, Payload]:
    items = [{"component": {"name": c}, "variable": {"name": v}} for c, v in VARIABLES]
    power = {**_named("EVSE.Power", 1), "type": "Delta", "severity": 7}
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    calls: tuple[tuple[str, Payload], ...] = (
        ("GetVariables", {"getVariableData": items}),
        set_variable("SampledDataCtrlr", "TxUpdatedInterval", 100 + index % 7),
        ("GetReport", {"requestId": index, "componentVariable": items}),
        ("TriggerMessage", {"requestedMessage": "StatusNotification", "evse": {"id": 1, "connectorId": 1}}),
        ("GetTransactionStatus", {"transactionId": f"unknown {index}"}),
        ("ReserveNow", {"id": index, "expiryDateTime": until, "idToken": TOKEN, "evseId": 1}),
        ("CancelReservation", {"reservationId": index - 1}),
        ("ChangeAvailability", {"operationalStatus": ("Inoperative", "Operative")[index // 14 % 2], "evse": {"id": 2}}),
        (
            "SendLocalList",
            {"versionNumber": index + 1, "updateType": "Full", "localAuthorizationList": _listed(index)[:9]},
        ),
        (
            "SetVariableMonitoring",
            {"setMonitoringData": [{**power, "type": "Delta", "value": 1 + index, "severity": 7}]},
        ),
        ("GetMonitoringReport", {"requestId": index}),
        ("CustomerInformation", {"requestId": index, "report": True, "clear": False, "idToken": TOKEN}),
        ("ClearCache", {}),
        ("UnlockConnector", {"evseId": 1, "connectorId": 1}),
    )
    return calls[index // 2 % len(calls)]


async def monitors(scenario: Scenario) -> int:
    """Ten severities of four types on the seven values of each meter, and of three on others; how many are accepted."""
    wanted = list(_monitors())
    accepted = 0
    for start in range(0, len(wanted), 100):
        request = {"setMonitoringData": wanted[start : start + 100]}
        results = (await scenario.csms.call("SetVariableMonitoring", request))["setMonitoringResult"]
        accepted += sum(result["status"] == "Accepted" for result in results)
    return accepted


def _monitors() -> Iterator[Payload]:
    for evse in (1, 2):
        for severity in range(10):
            for name in MEASURED:
                for type_, value in FAR.items():
                    yield {
                        **_named(f"EVSE.{name}", evse),
                        "type": type_,
                        "value": value + severity,
                        "severity": severity,
                    }
            for name in OTHERS:
                for type_ in ("Delta", "Periodic", "PeriodicClockAligned"):
                    yield {**_named(name, evse), "type": type_, "value": 900_000.0, "severity": severity}


def _named(name: str, evse: int) -> Payload:
    component, _, rest = name.partition(".")
    variable, _, instance = rest.rstrip("]").partition("[")
    return {
        "component": {"name": component, "evse": {"id": evse}},
        "variable": {"name": variable, **({"instance": instance} if instance else {})},
    }


async def flood(scenario: Scenario, evses: int, seconds: float) -> Figures:
    """An outage in which every EVSE tells its meter each second; then all of it is delivered.

    The events are made and stored in the first part, sent and acknowledged in the second: what one costs is the sum.
    """
    await scenario.csms.call(*set_variable("SampledDataCtrlr", "TxUpdatedMeasurands", MEASURANDS))
    for evse_id in range(1, evses + 1):
        await scenario.start(evse_id)
    await scenario.command("network", up=False)
    await asyncio.sleep(1)
    await scenario.command("set_variable", name="SampledDataCtrlr.TxUpdatedInterval", value="1")
    with scenario.span() as outage:
        await asyncio.sleep(seconds)
    await scenario.command("set_variable", name="SampledDataCtrlr.TxUpdatedInterval", value="0")
    before = scenario.csms.counts["TransactionEvent/Updated"]
    with scenario.span() as delivery:
        await scenario.command("network", up=True)
        await scenario.csms.until(lambda: scenario.csms.counts["TransactionEvent/Updated"] > before, 60)
        await scenario.csms.quiet(1.0)
    n = delivery.counts["TransactionEvent/Updated"]
    made, delivered = outage.shares(n / 1000), delivery.shares(n / 1000)
    both = Units(made.whole + delivered.whole, made.core + delivered.core)
    return {
        "CPU per TransactionEvent in a flood": both.whole,
        "of it: made and stored, while offline": made.whole,
        "of it: sent and acknowledged, afterwards": delivered.whole,
        **both.by_thread("in a flood"),
    }
