"""How a CSMS reserves, and what it hears of it, in few words."""

from __future__ import annotations

from typing import Any

from tests.bench import Bench
from tests.csms import EPOCH, later

HOUR_S = 3600
CARD = "04A1B2C3"
OTHER_CARD = "04FFEEDD"


def token(uid: str, type_: str = "ISO14443") -> dict[str, str]:
    """An idToken, as messages carry it."""
    return {"idToken": uid, "type": type_}


def reserve(bench: Bench, number: int = 1, uid: str = CARD, *, expires_s: float = HOUR_S, **more: Any) -> str:
    """ReserveNow; gives the status. `more`: evseId, connectorType, groupIdToken. It ends `expires_s` from now."""
    since = (bench.true_utc - EPOCH).total_seconds()
    request = {"id": number, "idToken": token(uid), "expiryDateTime": later(since + expires_s).isoformat(), **more}
    return str(bench.csms.call("ReserveNow", request)["status"])


def cancel(bench: Bench, number: int = 1) -> str:
    """CancelReservation; gives the status."""
    return str(bench.csms.call("CancelReservation", {"reservationId": number})["status"])


def updates(bench: Bench) -> list[tuple[int, str]]:
    """The ReservationStatusUpdates, each by its id and status."""
    told = bench.csms.received("ReservationStatusUpdate")
    return [(each["reservationId"], each["reservationUpdateStatus"]) for each in told]


def statuses(bench: Bench) -> dict[tuple[int, int], str]:
    """The last status told of each connector since the log was forgotten."""
    told = bench.csms.received("StatusNotification")
    return {(each["evseId"], each["connectorId"]): each["connectorStatus"] for each in told}


def used(bench: Bench) -> list[tuple[str, int]]:
    """The TransactionEvents that tell of a reservation, each by its type and the reservation's id."""
    return [(each["eventType"], each["reservationId"]) for each in bench.events() if "reservationId" in each]
