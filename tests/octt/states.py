"""The reusable states of the OCA's test cases that several blocks need, with the checks that belong to them."""

from __future__ import annotations

from typing import Any

from tests.bench import Bench

VALID = "04AABBCC11"
VALID2 = "04DDEEFF22"
INVALID = "04BADBAD00"
GROUP = {"idToken": "family", "type": "Central"}
MESSAGE_TIMEOUT_S = 40.0
"""How long the test tool waits to see that nothing follows."""


def id_token(token: str) -> dict[str, str]:
    """A card's token, as messages carry it."""
    return {"idToken": token, "type": "ISO14443"}


def status(bench: Bench) -> dict[str, Any]:
    """The last StatusNotification."""
    last: dict[str, Any] = bench.csms.received("StatusNotification")[-1]
    return last


def ev_connected_pre_session(bench: Bench, evse: int = 1) -> None:
    """EVConnectedPreSession: the vehicle is plugged in and asks for energy; the connector is told Occupied."""
    bench.evse(evse).plug_in()
    bench.advance(seconds=1)
    told = status(bench)
    assert (told["evseId"], told["connectorStatus"]) == (evse, "Occupied")


def energy_transfer_started(bench: Bench, evse: int = 1) -> None:
    """EnergyTransferStarted: energy flows, and the last chargingState told of this EVSE's transaction is Charging."""
    bench.advance(seconds=10)
    assert bench.evse(evse).charging
    assert charging_states(bench)[-1] == "Charging"


def charging(bench: Bench, token: str = VALID, evse: int = 1) -> None:
    """From the idle station to EnergyTransferStarted, locally."""
    ev_connected_pre_session(bench, evse)
    bench.evse(evse).present_token(token)
    energy_transfer_started(bench, evse)


def ev_disconnected(bench: Bench, evse: int = 1) -> None:
    """EVDisconnected: the connector is Available again."""
    bench.evse(evse).unplug()
    bench.advance(seconds=2)
    assert status(bench)["connectorStatus"] == "Available"


def charging_states(bench: Bench) -> list[str]:
    """The charging states told, in order."""
    infos = [event["transactionInfo"] for event in bench.events()]
    return [info["chargingState"] for info in infos if "chargingState" in info]


def authorizes(bench: Bench) -> list[str]:
    """The tokens that the CSMS was asked about."""
    return [request["idToken"]["idToken"] for request in bench.csms.received("Authorize")]


def with_token(bench: Bench) -> list[tuple[str, str, str]]:
    """(eventType, triggerReason, token) of the events that carry one."""
    return [
        (event["eventType"], event["triggerReason"], event["idToken"]["idToken"])
        for event in bench.events()
        if "idToken" in event
    ]


def triggers(bench: Bench) -> list[str]:
    """The trigger reasons told, in order."""
    return [event["triggerReason"] for event in bench.events()]


def cached(bench: Bench, token: str = VALID, **info: Any) -> None:
    """IdTokenCached: the CSMS judged the token in an earlier visit, and the station remembers."""
    bench.csms.on("Authorize", {"idTokenInfo": {"status": "Accepted", **info}})
    bench.csms.on("TransactionEvent", {})
    bench.evse(1).plug_in()
    bench.evse(1).present_token(token)
    bench.advance(seconds=5)
    bench.evse(1).present_token(token)
    bench.advance(seconds=10)
    bench.evse(1).unplug()
    bench.advance(seconds=5)
    bench.csms.default("Authorize")
    bench.csms.default("TransactionEvent")
    bench.csms.forget()


def listed(token: str = VALID, status: str = "Accepted", **info: Any) -> dict[str, Any]:
    """One entry of a SendLocalList."""
    return {"idToken": {"idToken": token, "type": "ISO14443"}, "idTokenInfo": {"status": status, **info}}


def in_local_list(bench: Bench, *entries: dict[str, Any], version: int = 1) -> None:
    """IdTokenLocalAuthList: the CSMS has sent a list with these entries, and it was accepted."""
    update = {"updateType": "Full", "versionNumber": version, "localAuthorizationList": list(entries)}
    assert bench.csms.call("SendLocalList", update) == {"status": "Accepted"}
    bench.csms.forget()
