"""C01: one reader for several EVSEs. A waiting vehicle is meant, else the one that is plugged in next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.bench import Bench

CARD = "04AABBCC"
OTHER = "04DDEEFF"
CENTRAL = {"idToken": "REMOTE-1", "type": "Central"}
POINTS = {"TxCtrlr.TxStartPoint": "PowerPathClosed", "TxCtrlr.TxStopPoint": "EVConnected,Authorized"}


def station(path: Path, variables: dict[str, str] | None = None, **more: Any) -> Bench:
    """One with these variables."""
    return Bench(path, variables={**POINTS, **(variables or {})}, **more)


def payers(bench: Bench) -> dict[int, str]:
    """Whose token is told for which EVSE."""
    return {event["evse"]["id"]: event["idToken"]["idToken"] for event in bench.events() if "evse" in event}


def test_one_reader_for_two_evses_the_plug_shows_which_is_meant(tmp_path: Path) -> None:
    bench = station(tmp_path)
    bench.swipe(CARD)
    bench.advance(seconds=5)

    bench.evse(2).plug_in()
    bench.advance(seconds=10)

    assert bench.evse(2).charging
    assert bench.events()[0]["evse"] == {"id": 2, "connectorId": 1}
    assert bench.events()[0]["idToken"]["idToken"] == CARD


def test_one_reader_for_two_evses_a_waiting_vehicle_is_meant(tmp_path: Path) -> None:
    bench = station(tmp_path)
    bench.evse(2).plug_in()

    bench.swipe(CARD)
    bench.advance(seconds=10)

    assert bench.evse(2).charging


def test_a_driver_who_never_plugs_in_at_a_shared_reader_is_forgotten(tmp_path: Path) -> None:
    bench = station(tmp_path, {"TxCtrlr.EVConnectionTimeOut": "60"})
    bench.swipe(CARD)
    bench.advance(seconds=61)

    bench.evse(2).plug_in()
    bench.advance(minutes=1)

    assert bench.events() == []


def test_the_same_card_again_before_plug_in_takes_it_back(tmp_path: Path) -> None:
    bench = station(tmp_path)
    bench.swipe(CARD)
    bench.advance(seconds=5)
    bench.swipe(CARD)
    bench.advance(seconds=5)

    bench.evse(1).plug_in()
    bench.advance(minutes=1)

    assert bench.events() == []


@pytest.mark.parametrize("taken", [False, True])
def test_while_a_driver_is_on_his_way_nobody_else_s_card_takes_his_plug(tmp_path: Path, *, taken: bool) -> None:
    """Neither may pay for the other; nor where only one EVSE is left. Once the first has plugged in it is his turn."""
    bench = station(tmp_path)
    bench.swipe(CARD)
    if taken:
        bench.csms.call("RequestStartTransaction", {"remoteStartId": 1, "evseId": 2, "idToken": CENTRAL})
    bench.swipe(OTHER)
    refused = bench.shown[-1]
    bench.evse(1).plug_in()
    bench.advance(seconds=10)

    bench.swipe(OTHER)
    bench.evse(2).plug_in()
    bench.advance(seconds=10)

    assert refused == "Not possible at this time"
    assert payers(bench) == {1: CARD, 2: CENTRAL["idToken"] if taken else OTHER}


@pytest.mark.req("C01.FR.21")
@pytest.mark.parametrize("start_point", ["Authorized", "PowerPathClosed"])
@pytest.mark.parametrize("plugged", [(), (2,), (1, 2)])
def test_one_reader_for_two_evses_the_one_that_the_token_may_use_is_meant(
    tmp_path: Path, start_point: str, plugged: tuple[int, ...]
) -> None:
    bench = station(tmp_path, {"TxCtrlr.TxStartPoint": start_point})
    bench.csms.on("Authorize", {"idTokenInfo": {"status": "Accepted", "evseId": [2]}})
    for evse in plugged:
        bench.evse(evse).plug_in()

    bench.swipe(CARD)
    bench.advance(seconds=5)
    for evse in {1, 2} - set(plugged):
        bench.evse(evse).plug_in()
    bench.advance(seconds=10)

    assert bench.evse(2).charging
    assert not bench.evse(1).contactor_closed


@pytest.mark.req("C01.FR.21")
def test_a_token_for_an_evse_of_another_reader_is_refused(tmp_path: Path) -> None:
    bench = station(tmp_path, evses=3)
    bench.csms.on("Authorize", {"idTokenInfo": {"status": "Accepted", "evseId": [7]}})

    bench.swipe(CARD)
    for evse in (1, 2, 3):
        bench.evse(evse).plug_in()
    bench.advance(seconds=10)

    assert bench.shown[-2:] == ["Not valid here", ""] or bench.shown[-1] == "Not valid here"
    assert not any(bench.evse(evse).contactor_closed for evse in (1, 2, 3))


def test_a_driver_on_his_way_does_not_hold_up_one_who_chose_his_evse(tmp_path: Path) -> None:
    """The reader of that EVSE alone shows which he means."""
    bench = station(tmp_path)
    bench.swipe(CARD)
    bench.evse(2).present_token(OTHER)
    bench.evse(1).plug_in()
    bench.evse(2).plug_in()
    bench.advance(seconds=10)

    assert payers(bench) == {1: CARD, 2: OTHER}
