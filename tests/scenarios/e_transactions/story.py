"""TransactionEvents as a story: one short line per event, so that a whole session can be read and compared.

Started/Authorized/Idle +token           eventType/triggerReason/chargingState, then what it carries once
Ended/StopAuthorized/EVConnected +token =Local
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from station.facts import BayOccupancyChanged
from tests.bench import Bench

CARD = "04A1B2C3"
OTHER_CARD = "04FFEEDD"


def bench(path: Path, start: str, stop: str, *, evses: int = 1, lock: bool = False, **more: Any) -> Bench:
    """A station with these start and stop points and a bay detector. `variables` are added to them."""
    variables = {"TxCtrlr.TxStartPoint": start, "TxCtrlr.TxStopPoint": stop, **more.pop("variables", {})}
    return Bench(
        path, evses=evses, lock=lock, variables=variables, layout={**ALL_POINTS, **more.pop("layout", {})}, **more
    )


ALL_POINTS = {
    "tx_start_points": (
        *("ParkingBayOccupancy", "EVConnected", "Authorized"),
        *("DataSigned", "PowerPathClosed", "EnergyTransfer"),
    ),
    "tx_stop_points": ("ParkingBayOccupancy", "EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer"),
}


def bay(station: Bench, *, occupied: bool, evse_id: int = 1) -> None:
    """The detector of a parking bay sees a vehicle, or none."""
    station.hardware.tell(BayOccupancyChanged(evse_id=evse_id, at=station.now.instant, occupied=occupied))
    station.settle()


def line(event: dict[str, Any]) -> str:
    """One event."""
    info = event["transactionInfo"]
    words = [f"{event['eventType']}/{event['triggerReason']}/{info.get('chargingState')}"]
    words += [f"+{word}" for name, word in _ONCE if name in event]
    words += [f"+{word}" for name, word in _ONCE_INSIDE if name in info]
    if "stoppedReason" in info:
        words.append(f"={info['stoppedReason']}")
    return " ".join(words)


_ONCE = (("idToken", "token"), ("evse", "evse"), ("reservationId", "reservation"))
_ONCE_INSIDE = (("remoteStartId", "remote"),)


def told(station: Bench, number: int | None = None) -> list[str]:
    """What the CSMS has received so far, of one transaction if `number` is given."""
    return [line(event) for event in station.events(number)]


def news(station: Bench) -> Callable[[], list[str]]:
    """A function that gives the lines that came since it was last called."""
    seen = len(station.events())

    def since() -> list[str]:
        nonlocal seen
        lines = told(station)[seen:]
        seen += len(lines)
        return lines

    return since


def values(event: dict[str, Any], context: str) -> list[tuple[datetime, float]]:
    """(time, import register in Wh) of the meter values of one context."""
    return [
        (datetime.fromisoformat(meter_value["timestamp"]), sampled["value"])
        for meter_value in event.get("meterValue", ())
        for sampled in meter_value["sampledValue"]
        if sampled.get("context", "Sample.Periodic") == context
        and sampled["measurand"] == "Energy.Active.Import.Register"
        if "phase" not in sampled
    ]


def variable(component: str, name: str, value: str) -> dict[str, Any]:
    """SetVariables of one variable."""
    return {
        "setVariableData": [
            {"component": {"name": component}, "variable": {"name": name}, "attributeValue": value},
        ]
    }


def remote_start(evse_id: int = 1, number: int = 7, uid: str = CARD) -> dict[str, Any]:
    """RequestStartTransaction."""
    return {"remoteStartId": number, "evseId": evse_id, "idToken": {"idToken": uid, "type": "Central"}}


def invalid(status: str = "Invalid") -> dict[str, Any]:
    """The answer to a TransactionEvent whose token is not accepted."""
    return {"idTokenInfo": {"status": status}}
