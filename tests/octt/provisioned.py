"""The reusable states of the OCA's test cases about booting, availability and networks, with their checks."""

from __future__ import annotations

from typing import Any

from tests.bench import Bench
from tests.scenarios.variables import get

STARTED = {"StartupOfTheDevice", "ResetOrReboot"}


def statuses(bench: Bench) -> dict[tuple[int, int], str]:
    """The last status told of each connector; none has the number 0."""
    told = bench.csms.received("StatusNotification")
    assert all(each["evseId"] and each["connectorId"] for each in told)
    return {(each["evseId"], each["connectorId"]): each["connectorStatus"] for each in told}


def places(bench: Bench) -> set[tuple[int, int]]:
    """All connectors."""
    return set(bench.station.connectors.places())


def booted(bench: Bench, **other: str) -> dict[str, Any]:
    """Booted, from step 3: the introduction, each connector's status, the event of the start; gives the introduction.

    `other`: statuses of connectors that are not Available, as `e1c1="Occupied"`.
    """
    bench.advance(seconds=1)
    introduction: dict[str, Any] = bench.csms.received("BootNotification")[-1]
    expected = {(evse, connector): other.get(f"e{evse}c{connector}", "Available") for evse, connector in places(bench)}
    assert statuses(bench) == expected
    assert {each["type"] for each in bench.csms.received("SecurityEventNotification")} <= STARTED
    assert bench.csms.received("SecurityEventNotification")
    return introduction


def reset(bench: Bench, kind: str = "OnIdle", evse: int | None = None) -> str:
    """ResetRequest; gives the status. What the station does then has happened when this returns."""
    bench.csms.forget()
    answer = bench.csms.call("Reset", {"type": kind} | ({"evseId": evse} if evse is not None else {}))
    bench.settle()
    return str(answer["status"])


def change(bench: Bench, to: str, evse: int | None = None, connector: int | None = None) -> str:
    """ChangeAvailabilityRequest; gives the status."""
    request: dict[str, Any] = {"operationalStatus": to}
    if evse is not None:
        request["evse"] = {"id": evse} | ({"connectorId": connector} if connector is not None else {})
    return str(bench.csms.call("ChangeAvailability", request)["status"])


def concerned(bench: Bench, evse: int | None, connector: int | None) -> set[tuple[int, int]]:
    """The connectors that a request addresses."""
    return {(e, c) for e, c in places(bench) if evse in {None, e} and connector in {None, c}}


def unavailable(bench: Bench, evse: int | None = None, connector: int | None = None) -> None:
    """Unavailable: accepted, and told of each connector concerned."""
    bench.csms.forget()
    assert change(bench, "Inoperative", evse, connector) == "Accepted"
    assert statuses(bench) == dict.fromkeys(concerned(bench, evse, connector), "Unavailable")


def other_slot(bench: Bench) -> tuple[int, int]:
    """The configuration slot to be used, and the active one."""
    active = int(get(bench, "OCPPCommCtrlr.ActiveNetworkProfile"))
    return (1 if active == 0 else 0), active


def network_profile(slot: int, level: int = 1, **more: Any) -> dict[str, Any]:
    """A SetNetworkProfileRequest for the test tool's other endpoint."""
    connection = {
        "messageTimeout": 30,
        "ocppCsmsUrl": f"{'ws' if level == 1 else 'wss'}://other.example/ocpp",
        "ocppInterface": "Wired0",
        "ocppTransport": "JSON",
        "ocppVersion": "OCPP20",
        "securityProfile": level,
        **more,
    }
    return {"configurationSlot": slot, "connectionData": connection}
