"""The memory states of the OCA's test cases (part 6, 2.19 with its errata)."""

from __future__ import annotations

from typing import Any

from tests.bench import Bench
from tests.octt.session import Session
from tests.octt.states import VALID, id_token


def verdict(status: str = "Accepted", **info: Any) -> dict[str, Any]:
    """What the CSMS says about a token, in Authorize and in TransactionEvent."""
    return {"idTokenInfo": {"status": status, **info}}


def judged(bench: Bench, status: str = "Accepted", **info: Any) -> None:
    """From now on the CSMS judges every token like this."""
    answer = verdict(status, **info)
    bench.csms.on("Authorize", answer)
    bench.csms.on("TransactionEvent", lambda sent: answer if "idToken" in sent else {})


def unjudged(bench: Bench) -> None:
    """The CSMS accepts every token again."""
    bench.csms.default("Authorize")
    bench.csms.default("TransactionEvent")


def cached(bench: Bench, token: str = VALID, status: str = "Accepted", **info: Any) -> None:
    """IdTokenCached: the CSMS judged the token in an earlier visit, and the station remembers."""
    judged(bench, status, **info)
    session = Session(bench, token=token)
    if status == "Accepted":
        session.authorized()
        session.energy_transfer_started()
        session.stop_authorized()
        session.parking_bay_unoccupied()
    else:
        session.parking_bay_occupied()
        session.present()
        session.bay_is(occupied=False)
    unjudged(bench)
    bench.csms.forget()


def listed(token: str = VALID, status: str = "Accepted", **info: Any) -> dict[str, Any]:
    """One entry of a SendLocalList."""
    return {"idToken": id_token(token), **verdict(status, **info)}


def in_local_list(bench: Bench, *entries: dict[str, Any], version: int = 1) -> None:
    """IdTokenLocalAuthList: the CSMS has sent a list with these entries, and it was accepted."""
    update = {"updateType": "Full", "versionNumber": version, "localAuthorizationList": list(entries)}
    assert bench.csms.call("SendLocalList", update) == {"status": "Accepted"}
    bench.csms.forget()
