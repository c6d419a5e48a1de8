"""Who may charge where, and what is told of the tokens (C01-C06, C15, C16)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from hal.api import TokenType
from tests.bench import Bench
from tests.scenarios.e_transactions.story import bay

CARD = "04AABBCC"
POINTS = {"TxCtrlr.TxStartPoint": "PowerPathClosed", "TxCtrlr.TxStopPoint": "EVConnected,Authorized"}


def station(path: Path, variables: dict[str, str] | None = None, **more: Any) -> Bench:
    """One with these variables."""
    return Bench(path, variables={**POINTS, **(variables or {})}, **more)


@pytest.mark.req("C01.FR.01", "C06.FR.01")
@pytest.mark.parametrize("start_point", ["EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer"])
def test_no_energy_before_somebody_is_authorized(tmp_path: Path, start_point: str) -> None:
    bench = station(tmp_path, {"TxCtrlr.TxStartPoint": start_point})

    bench.evse(1).plug_in()
    bench.advance(hours=2)

    assert not bench.evse(1).contactor_closed
    assert bench.evse(1).energy_wh == 0

    bench.evse(1).present_token(CARD)
    bench.advance(seconds=10)
    assert bench.evse(1).charging


@pytest.mark.parametrize("enabled", ["true", "false"])
def test_a_token_that_no_message_can_hold_is_refused_and_hinders_nobody(tmp_path: Path, enabled: str) -> None:
    """An idToken has 36 characters at most: with a longer one nothing could be billed. The next driver is served."""
    bench = station(tmp_path, {"AuthCtrlr.Enabled": enabled, "AuthCtrlr.OfflineTxForUnknownIdEnabled": "true"})

    bench.evse(1).present_token("X" * 37, TokenType.EMAID)
    bench.advance(5)
    assert bench.csms.received("Authorize") == []

    bench.evse(1).present_token(CARD)
    bench.evse(1).plug_in()
    bench.advance(10)
    assert bench.evse(1).charging
    assert bench.events()[0]["eventType"] == "Started"
    assert bench.events()[0]["idToken"]["idToken"] == CARD


@pytest.mark.req("C01.FR.01")
def test_without_authorization_configured_a_token_is_taken_as_it_is(tmp_path: Path) -> None:
    bench = station(tmp_path, {"AuthCtrlr.Enabled": "false"})

    bench.evse(1).present_token(CARD)
    bench.evse(1).plug_in()
    bench.advance(seconds=10)

    assert bench.csms.received("Authorize") == []
    assert bench.evse(1).charging
    assert [event["idToken"]["idToken"] for event in bench.events() if "idToken" in event] == [CARD]


@pytest.mark.req("C01.FR.04", "C06.FR.03")
def test_authorize_is_sent_for_tokens_only(tmp_path: Path) -> None:
    bench = station(tmp_path)
    bench.evse(1).plug_in()
    bench.evse(1).present_token(CARD)
    bench.advance(minutes=5)
    bench.evse(1).ev("pause")
    bench.advance(minutes=1)
    bench.evse(1).ev("charge")
    bench.advance(minutes=1)
    bench.evse(1).unplug()
    bench.advance(minutes=5)

    assert len(bench.csms.received("Authorize")) == 1


@pytest.mark.req("C01.FR.21")
def test_a_token_that_is_good_elsewhere_does_not_charge_here(tmp_path: Path) -> None:
    bench = station(tmp_path)
    bench.csms.on("Authorize", {"idTokenInfo": {"status": "Accepted", "evseId": [2]}})
    for evse in (1, 2):
        bench.evse(evse).plug_in()
        bench.evse(evse).present_token(CARD)
    bench.advance(seconds=10)

    assert not bench.evse(1).contactor_closed
    assert bench.evse(2).charging


@pytest.mark.req("C01.FR.21")
def test_a_cached_token_that_is_good_elsewhere_does_not_charge_here(tmp_path: Path) -> None:
    bench = station(tmp_path, {"AuthCtrlr.LocalPreAuthorize": "true"})
    bench.csms.on("Authorize", {"idTokenInfo": {"status": "Accepted", "evseId": [2]}})
    bench.evse(1).plug_in()
    bench.evse(1).present_token(CARD)
    bench.evse(1).present_token(CARD)
    bench.advance(seconds=10)

    assert len(bench.csms.received("Authorize")) == 1
    assert not bench.evse(1).contactor_closed


@pytest.mark.req("C02.FR.01")
def test_the_start_button_tells_an_empty_token_without_authorization(tmp_path: Path) -> None:
    bench = station(tmp_path)
    bench.evse(1).plug_in()

    bench.evse(1).present_token("", TokenType.BUTTON)
    bench.advance(seconds=10)

    assert bench.csms.received("Authorize") == []
    assert bench.events()[0]["idToken"] == {"idToken": "", "type": "NoAuthorization"}
    assert bench.evse(1).charging


@pytest.mark.req("C03.FR.01")
@pytest.mark.parametrize("checks", ["true", "false"])
def test_a_token_of_type_central_is_never_asked_about(tmp_path: Path, checks: str) -> None:
    bench = station(tmp_path, {"AuthCtrlr.AuthorizeRemoteStart": checks})
    bench.evse(1).plug_in()

    token = {"idToken": "CARD-PAYMENT-1", "type": "Central"}
    bench.csms.call("RequestStartTransaction", {"idToken": token, "remoteStartId": 1, "evseId": 1})
    bench.advance(seconds=10)

    assert bench.csms.received("Authorize") == []
    assert bench.events()[0]["idToken"] == token


@pytest.mark.req("C04.FR.04")
def test_a_key_code_is_in_no_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    bench = station(tmp_path)
    bench.csms.on("Authorize", [{"idTokenInfo": {"status": "Invalid"}}, {"idTokenInfo": {"status": "Accepted"}}])
    bench.evse(1).plug_in()

    bench.evse(1).present_token("73915", TokenType.KEY_CODE)
    bench.evse(1).present_token("73915", TokenType.KEY_CODE)
    bench.advance(seconds=10)

    assert bench.csms.received("Authorize")[0]["idToken"]["type"] == "KeyCode"
    assert bench.evse(1).charging
    assert not [record for record in caplog.records if "73915" in repr(record.__dict__)]


@pytest.mark.req("C15.FR.01")
def test_a_token_accepted_as_unknown_is_not_cached(tmp_path: Path) -> None:
    bench = station(tmp_path, {"AuthCtrlr.OfflineTxForUnknownIdEnabled": "true", "AuthCtrlr.LocalPreAuthorize": "true"})
    bench.csms.disconnect()
    bench.evse(1).plug_in()
    bench.evse(1).present_token(CARD)
    bench.advance(seconds=10)
    bench.evse(1).unplug()
    bench.csms.on("TransactionEvent", {})
    bench.csms.connect()
    bench.advance(seconds=10)

    bench.evse(1).plug_in()
    bench.evse(1).present_token(CARD)

    assert len(bench.csms.received("Authorize")) == 1


@pytest.mark.req("C16.FR.07", "C16.FR.08")
def test_a_master_pass_is_told_as_the_reason(tmp_path: Path) -> None:
    bench = station(tmp_path, {"AuthCtrlr.MasterPassGroupId": "masters"})
    bench.evse(1).plug_in()
    bench.evse(1).present_token(CARD)
    bench.advance(seconds=10)
    master = {"status": "Accepted", "groupIdToken": {"idToken": "masters", "type": "Central"}}
    bench.csms.on("Authorize", {"idTokenInfo": master})

    bench.evse(1).present_token("04FFFFFF")
    bench.advance(seconds=10)

    ended = bench.events()[-1]
    assert (ended["eventType"], ended["transactionInfo"]["stoppedReason"]) == ("Ended", "MasterPass")


@pytest.mark.req("C01.FR.23")
def test_another_token_does_not_take_over_what_the_first_one_began(tmp_path: Path) -> None:
    """The cable was pulled, the bay keeps the transaction: its own token charges on, another one does not."""
    points = {"TxCtrlr.TxStartPoint": "EVConnected", "TxCtrlr.TxStopPoint": "ParkingBayOccupancy"}
    bench = station(tmp_path, points, layout={"tx_stop_points": ("ParkingBayOccupancy",)})
    bay(bench, occupied=True)
    bench.evse(1).plug_in()
    bench.evse(1).present_token(CARD)
    bench.advance(seconds=10)
    bench.evse(1).unplug()
    bench.evse(1).plug_in()
    other = {"idToken": {"idToken": "04DDEEFF", "type": "ISO14443"}, "remoteStartId": 1, "evseId": 1}

    bench.evse(1).present_token("04DDEEFF")
    remote = bench.csms.call("RequestStartTransaction", other)
    bench.advance(seconds=10)
    by_another = bench.evse(1).charging
    bench.evse(1).present_token(CARD)
    bench.advance(seconds=10)

    assert remote["status"] == "Rejected"
    assert not by_another
    assert bench.evse(1).charging
    assert {event["idToken"]["idToken"] for event in bench.events() if "idToken" in event} == {CARD}


@pytest.mark.req("C10.FR.04")
def test_a_verdict_that_led_to_no_transaction_is_remembered_too(tmp_path: Path) -> None:
    """Refused online; offline, where unknown tokens may charge, this one is not unknown."""
    bench = station(tmp_path, {"AuthCtrlr.OfflineTxForUnknownIdEnabled": "true"})
    bench.csms.on("Authorize", {"idTokenInfo": {"status": "Blocked"}})
    bench.evse(1).plug_in()
    bench.evse(1).present_token(CARD)
    bench.advance(seconds=5)
    bench.csms.disconnect()

    bench.evse(1).present_token(CARD)
    bench.advance(seconds=20)
    blocked = bench.evse(1).contactor_closed
    bench.evse(1).present_token("04DDEEFF")
    bench.advance(seconds=20)

    assert not blocked
    assert bench.evse(1).charging


@pytest.mark.req("C09.FR.07", "C01.FR.03")
def test_a_cached_token_of_the_group_stops_without_a_question_whatever_starts_with_one(tmp_path: Path) -> None:
    """LocalPreAuthorize false: it is asked about to start, not to stop."""
    bench = station(tmp_path, {"AuthCtrlr.LocalPreAuthorize": "false"})
    family = {"status": "Accepted", "groupIdToken": {"idToken": "family", "type": "Central"}}
    bench.csms.on("Authorize", {"idTokenInfo": family})
    bench.csms.on("TransactionEvent", lambda event: {"idTokenInfo": family} if "idToken" in event else {})
    for card in ("04DDEEFF", CARD):
        bench.evse(1).plug_in()
        bench.evse(1).present_token(card)
        bench.advance(seconds=10)
        if card != CARD:
            bench.evse(1).unplug()
            bench.advance(seconds=5)
    charged = bench.evse(1).charging
    bench.csms.forget()

    bench.evse(1).present_token("04DDEEFF")
    bench.advance(seconds=5)

    assert charged
    assert bench.csms.received("Authorize") == []
    assert not bench.evse(1).contactor_closed


@pytest.mark.req("C01.FR.26")
def test_who_is_authorized_and_does_not_plug_in_is_forgotten(tmp_path: Path) -> None:
    bench = station(tmp_path, {"TxCtrlr.EVConnectionTimeOut": "60"})
    bench.evse(1).present_token(CARD)
    bench.advance(seconds=61)

    bench.evse(1).plug_in()
    bench.advance(minutes=1)

    assert bench.events() == []
    assert not bench.evse(1).contactor_closed


def test_without_an_answer_the_station_decides_as_if_offline(tmp_path: Path) -> None:
    bench = station(tmp_path, {"AuthCtrlr.OfflineTxForUnknownIdEnabled": "true"})
    bench.csms.silent("Authorize")
    bench.evse(1).plug_in()

    bench.evse(1).present_token(CARD)
    bench.advance(minutes=1)

    assert bench.evse(1).charging


def test_a_cable_pulled_while_the_csms_thinks_starts_nothing(tmp_path: Path) -> None:
    bench = station(tmp_path, {"TxCtrlr.TxStartPoint": "PowerPathClosed"})
    bench.csms.hold()
    bench.evse(1).plug_in()
    bench.evse(1).present_token(CARD)
    bench.advance(seconds=3)
    bench.evse(1).unplug()

    bench.csms.release()
    bench.advance(seconds=5)

    assert bench.events() == []
    assert not bench.evse(1).contactor_closed


@pytest.mark.req("C06.FR.02")
def test_a_token_of_the_stations_own_kind_is_judged_by_the_csms_too(tmp_path: Path) -> None:
    """Local is said of what is no ISO card: a 125 kHz tag."""
    bench = station(tmp_path)
    bench.evse(1).plug_in()

    bench.evse(1).present_token("0102030405", TokenType.EM4100)
    bench.advance(seconds=10)

    assert bench.csms.received("Authorize") == [{"idToken": {"idToken": "0102030405", "type": "Local"}}]
    assert bench.evse(1).charging


def test_a_remote_start_that_meets_an_open_question_is_judged_next(tmp_path: Path) -> None:
    """It was told Accepted, so it may not be forgotten because a card is being judged."""
    bench = station(tmp_path, {"AuthCtrlr.AuthorizeRemoteStart": "true"})
    bench.csms.on("Authorize", [{"idTokenInfo": {"status": "Blocked"}}, {"idTokenInfo": {"status": "Accepted"}}])
    bench.evse(1).plug_in()
    bench.csms.hold()
    bench.evse(1).present_token(CARD)

    token = {"idToken": "APP-USER", "type": "Local"}
    answer = bench.csms.call("RequestStartTransaction", {"idToken": token, "remoteStartId": 1, "evseId": 1})
    bench.csms.release()
    bench.advance(seconds=10)

    assert answer["status"] == "Accepted"
    assert [each["idToken"]["idToken"] for each in bench.csms.received("Authorize")] == [CARD, "APP-USER"]
    assert bench.evse(1).charging


@pytest.mark.req("C01.FR.23")
@pytest.mark.parametrize("how", ["driver", "csms"])
def test_nobody_else_takes_over_a_transaction_that_is_no_longer_authorized(tmp_path: Path, how: str) -> None:
    """It still runs, for only the cable ends it; another token would not be its own."""
    bench = station(tmp_path, {"TxCtrlr.TxStopPoint": "EVConnected", "TxCtrlr.StopTxOnInvalidId": "true"})
    bench.evse(1).plug_in()
    bench.evse(1).present_token(CARD)
    bench.advance(seconds=10)
    if how == "driver":
        bench.evse(1).present_token(CARD)
    else:
        bench.csms.on("TransactionEvent", lambda sent: {"idTokenInfo": {"status": "Blocked"}} if sent else {})
        bench.evse(1).ev("pause")
    bench.advance(seconds=10)
    assert not bench.evse(1).contactor_closed
    bench.csms.default("TransactionEvent")

    bench.evse(1).present_token("04DDEEFF")
    bench.advance(seconds=30)

    assert not bench.evse(1).contactor_closed
    assert {event["idToken"]["idToken"] for event in bench.events() if "idToken" in event} == {CARD}
    bench.evse(1).unplug()
    bench.advance(seconds=5)
    assert bench.events()[-1]["eventType"] == "Ended"


@pytest.mark.req("C08.FR.01", "C08.FR.02")
def test_a_vehicle_that_speaks_iso_15118_is_identified_by_a_card_whenever_it_comes(tmp_path: Path) -> None:
    """External identification: the card is asked about as always, long after the plug, and again after a refusal."""
    bench = station(tmp_path)
    bench.csms.on("Authorize", [{"idTokenInfo": {"status": "Unknown"}}, {"idTokenInfo": {"status": "Accepted"}}])
    bench.evse(1).plug_in(evcc_id="DE8AA1A2B3C4")
    bench.advance(minutes=30)

    bench.evse(1).present_token("04DDEEFF")
    bench.advance(minutes=30)
    assert not bench.evse(1).contactor_closed
    bench.evse(1).present_token(CARD)
    bench.advance(seconds=10)

    assert [each["idToken"]["idToken"] for each in bench.csms.received("Authorize")] == ["04DDEEFF", CARD]
    assert bench.evse(1).charging


@pytest.mark.req("C15.FR.05")
def test_who_was_unknown_and_is_refused_afterwards_gets_his_cable_with_his_card(tmp_path: Path) -> None:
    bench = station(
        tmp_path,
        {
            "AuthCtrlr.OfflineTxForUnknownIdEnabled": "true",
            "TxCtrlr.StopTxOnInvalidId": "true",
            "TxCtrlr.TxStopPoint": "Authorized",
        },
        lock=True,
    )
    bench.csms.disconnect()
    bench.evse(1).plug_in()
    bench.evse(1).present_token(CARD)
    bench.advance(seconds=30)
    bench.csms.on("TransactionEvent", lambda sent: {"idTokenInfo": {"status": "Invalid"}} if "idToken" in sent else {})
    bench.csms.on("Authorize", {"idTokenInfo": {"status": "Invalid"}})
    bench.csms.connect()
    bench.advance(seconds=10)
    assert bench.events()[-1]["transactionInfo"]["stoppedReason"] == "DeAuthorized"

    bench.evse(1).present_token("04DDEEFF")
    bench.advance(seconds=5)
    assert bench.world.evse(1).snapshot().lock.value == "locked"
    bench.evse(1).present_token(CARD)
    bench.advance(seconds=5)

    assert bench.world.evse(1).snapshot().lock.value == "unlocked"
