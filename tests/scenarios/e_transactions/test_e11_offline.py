"""E04, E08, E11, E12, E14: the link is lost before, in, or at the end of a transaction."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import Bench
from tests.scenarios.e_transactions.story import CARD, bench, told

UNKNOWN_MAY = {"AuthCtrlr.OfflineTxForUnknownIdEnabled": "true"}


def charging(path: Path) -> Bench:
    station = bench(path, "EVConnected", "EVConnected,Authorized", variables=UNKNOWN_MAY)
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(70)
    return station


def offline(station: Bench) -> list[bool]:
    return [event.get("offline", False) for event in station.events()]


@pytest.mark.req("E04.FR.01", "E04.FR.02", "E04.FR.03", "E04.FR.04", "E12.FR.01", "E12.FR.02")
def test_a_transaction_of_an_offline_time_is_told_afterwards_whole_and_in_order(tmp_path: Path) -> None:
    """Started, Updated, Ended, all offline, with the times at which they happened."""
    station = bench(tmp_path, "EVConnected", "EVConnected,Authorized", variables=UNKNOWN_MAY)
    station.csms.disconnect()
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    began = station.utc
    station.advance(minutes=10)
    station.evse(1).present_token(CARD)
    station.advance(minutes=10)
    station.csms.connect()
    station.advance(5)

    events = station.events()

    assert told(station)[0] == "Started/CablePluggedIn/EVConnected +evse"
    assert told(station)[-1] == "Ended/StopAuthorized/EVConnected +token =Local"
    assert set(offline(station)) == {True}
    assert [event["seqNo"] for event in events] == list(range(len(events)))
    assert events[0]["timestamp"] == began.isoformat(timespec="seconds").replace("+00:00", "Z")


@pytest.mark.req("E11.FR.01", "E11.FR.02", "E11.FR.07", "E11.FR.03")
def test_what_happens_while_the_link_is_lost_is_told_when_it_is_back(tmp_path: Path) -> None:
    """Samples are taken on; they and what was not yet answered come with offline=true."""
    station = charging(tmp_path)
    online = len(station.events())
    station.csms.disconnect()
    station.advance(minutes=3)
    station.csms.connect()
    station.advance(5)

    assert told(station)[online:] == ["Updated/MeterValuePeriodic/Charging"] * 3
    assert offline(station) == [False] * online + [True] * 3


@pytest.mark.req("E08.FR.01", "E08.FR.04", "E08.FR.05", "E08.FR.06", "E08.FR.07", "E08.FR.08")
def test_the_same_card_stops_offline_too(tmp_path: Path) -> None:
    """Energy stops at once; the Ended comes with offline=true."""
    station = charging(tmp_path)
    station.csms.disconnect()
    station.evse(1).present_token(CARD)
    station.advance(5)
    stopped = not station.evse(1).contactor_closed
    station.csms.connect()
    station.advance(5)

    assert stopped
    assert told(station)[-1] == "Ended/StopAuthorized/EVConnected +token =Local"
    assert station.events()[-1]["offline"] is True
    assert [event["seqNo"] for event in station.events()] == list(range(len(station.events())))


def status(station: Bench, transaction: str | None) -> dict[str, object]:
    return station.csms.call("GetTransactionStatus", {"transactionId": transaction} if transaction else {})


@pytest.mark.req("E14.FR.01", "E14.FR.02", "E14.FR.03", "E14.FR.05", "E14.FR.06", "E14.FR.08")
def test_the_status_of_a_transaction_can_be_asked(tmp_path: Path) -> None:
    """Unknown, running, ended; and of none in particular."""
    station = charging(tmp_path)
    known = station.events()[0]["transactionInfo"]["transactionId"]

    assert status(station, "no-such-transaction") == {"ongoingIndicator": False, "messagesInQueue": False}
    assert status(station, known) == {"ongoingIndicator": True, "messagesInQueue": False}
    assert status(station, None) == {"messagesInQueue": False}

    station.evse(1).present_token(CARD)
    station.advance(5)

    assert status(station, known) == {"ongoingIndicator": False, "messagesInQueue": False}


@pytest.mark.req("E14.FR.04", "E14.FR.07")
def test_messages_that_wait_for_delivery_are_counted(tmp_path: Path) -> None:
    """An event without answer is in the queue."""
    station = charging(tmp_path)
    known = station.events()[0]["transactionInfo"]["transactionId"]
    station.csms.on("TransactionEvent", None)
    station.evse(1).present_token(CARD)
    station.advance(5)

    assert status(station, known) == {"ongoingIndicator": False, "messagesInQueue": True}
    assert status(station, None) == {"messagesInQueue": True}
