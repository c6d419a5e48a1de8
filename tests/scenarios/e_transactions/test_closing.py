"""The last transaction waits for its stop register: whoever comes meanwhile is not lost, and not on its bill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.bench import Bench
from tests.scenarios.e_transactions.story import CARD, OTHER_CARD, bench, news, remote_start

BOTH = "EVConnected,Authorized"


def charging(path: Path, start: str = "EVConnected", **more: Any) -> Bench:
    """A transaction runs on EVSE 1, and its meter falls silent: whatever stops it has to wait."""
    station = bench(path, start, BOTH, **more)
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(100)
    station.world.lose("meter-1")
    return station


def closed(station: Bench) -> None:
    """The meter answers again; the closing is over, what follows it has begun."""
    closing = station.station.sessions.get(1).closing
    station.world.lose("meter-1", on=False)
    station.advance(20)

    assert closing is not None
    assert station.station.sessions.get(1).closing is None


@pytest.mark.req("E01.FR.02", "E01.FR.14", "E02.FR.06")
@pytest.mark.parametrize("stopped_by_card", [True, False])
def test_a_vehicle_that_plugs_in_meanwhile_is_a_new_one(tmp_path: Path, *, stopped_by_card: bool) -> None:
    """Its transaction starts when the last one has ended; the Ended tells nothing of the new plug."""
    station = charging(tmp_path)
    lines = news(station)
    if stopped_by_card:
        station.evse(1).present_token(CARD)
    station.evse(1).unplug()
    station.advance(1)
    station.evse(1).plug_in()
    closed(station)

    ended = (
        "Ended/StopAuthorized/Idle +token =Local"
        if stopped_by_card
        else "Ended/EVCommunicationLost/Idle =EVDisconnected"
    )
    assert lines() == [ended, "Started/CablePluggedIn/EVConnected +evse"]


@pytest.mark.parametrize("plug", ["before", "after", "late"])
def test_a_card_meanwhile_is_heard_when_the_last_transaction_has_ended(tmp_path: Path, plug: str) -> None:
    """The driver need not present it again, whether he plugs in before or after it, or after the closing."""
    station = charging(tmp_path)
    lines = news(station)
    station.evse(1).unplug()
    if plug == "before":
        station.evse(1).plug_in()
    station.evse(1).present_token(OTHER_CARD)
    if plug == "after":
        station.evse(1).plug_in()
    closed(station)
    if plug == "late":
        station.evse(1).plug_in()
        station.advance(1)

    trigger = "CablePluggedIn" if plug == "late" else "Authorized"
    assert lines()[:2] == [
        "Ended/EVCommunicationLost/Idle =EVDisconnected",
        f"Started/{trigger}/EVConnected +token +evse",
    ]
    assert station.events()[-1]["transactionInfo"]["chargingState"] == "Charging"
    assert station.events(1)[0]["idToken"]["idToken"] == OTHER_CARD


def test_of_two_cards_meanwhile_the_first_charges(tmp_path: Path) -> None:
    """As it is without a closing."""
    station = charging(tmp_path)
    station.evse(1).unplug()
    station.evse(1).plug_in()
    station.evse(1).present_token(OTHER_CARD)
    station.evse(1).present_token("04000001")
    closed(station)

    assert [event["idToken"]["idToken"] for event in station.events(1) if "idToken" in event] == [OTHER_CARD]


@pytest.mark.parametrize("card", [CARD, OTHER_CARD])
def test_the_vehicle_of_the_closing_transaction_does_not_start_again(tmp_path: Path, card: str) -> None:
    """A card that is held too long, or once more, does not begin another transaction."""
    station = charging(tmp_path)
    lines = news(station)
    station.evse(1).present_token(CARD)
    station.advance(1)
    station.evse(1).present_token(card)
    closed(station)

    assert lines() == ["Ended/StopAuthorized/EVConnected +token =Local"]
    assert not station.evse(1).contactor_closed


@pytest.mark.req("F01.FR.13", "F02.FR.01")
def test_a_remote_start_meanwhile_starts_a_transaction_of_its_own(tmp_path: Path) -> None:
    """The answer does not name the transaction that ends."""
    station = charging(tmp_path)
    lines = news(station)
    station.evse(1).unplug()
    station.evse(1).plug_in()
    answer = station.csms.call("RequestStartTransaction", remote_start(uid=OTHER_CARD))
    closed(station)

    assert answer == {"status": "Accepted"}
    assert lines()[1] == "Started/RemoteStart/EVConnected +token +evse +remote"
    assert station.evse(1).charging


@pytest.mark.req("F01.FR.24")
def test_a_remote_start_for_the_vehicle_of_the_closing_transaction_is_refused(tmp_path: Path) -> None:
    """It is still in the hands of its driver."""
    station = charging(tmp_path)
    station.evse(1).present_token(CARD)

    answer = station.csms.call("RequestStartTransaction", remote_start(uid=OTHER_CARD))

    assert answer["status"] == "Rejected"


def test_a_vehicle_that_charges_for_nothing_does_so_after_the_closing(tmp_path: Path) -> None:
    """Without authorization nobody presents a card again: it must not be forgotten."""
    station = charging(tmp_path, variables={"AuthCtrlr.Enabled": "false"})
    station.evse(1).unplug()
    station.evse(1).plug_in()
    closed(station)

    assert station.evse(1).charging


def test_a_driver_who_identified_himself_first_may_plug_in_at_an_evse_that_is_closing(tmp_path: Path) -> None:
    """At a reader of three EVSEs, two of them free, he takes the third."""
    station = charging(tmp_path, evses=3)
    lines = news(station)
    station.swipe(OTHER_CARD)
    station.evse(1).unplug()
    station.evse(1).plug_in()
    closed(station)

    assert lines()[1] == "Started/Authorized/EVConnected +token +evse"
    assert station.evse(1).charging


def test_who_comes_and_goes_while_it_closes_leaves_nothing_behind(tmp_path: Path) -> None:
    """No transaction, no authorization, no contactor for whoever comes next."""
    station = charging(tmp_path)
    lines = news(station)
    station.evse(1).unplug()
    station.evse(1).plug_in()
    station.evse(1).unplug()
    closed(station)

    assert lines() == ["Ended/EVCommunicationLost/Idle =EVDisconnected"]
    assert station.station.sessions.on_evse(1) is None
