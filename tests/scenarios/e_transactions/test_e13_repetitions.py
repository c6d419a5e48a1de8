"""E13: a TransactionEvent that is sent again is the same message, whatever has become of the clock meanwhile."""

from __future__ import annotations

from pathlib import Path

from tests.bench import Bench
from tests.scenarios.e_transactions.story import CARD, bench


def charging(path: Path) -> Bench:
    station = bench(path, "EVConnected", "EVConnected,Authorized")
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(30)
    return station


def test_a_repetition_has_the_times_of_the_first_transmission(tmp_path: Path) -> None:
    """Same message id, same payload, although the CSMS's clock told another time between the two."""
    station = charging(tmp_path)
    station.csms.silent("TransactionEvent")
    station.evse(1).ev("pause")
    station.advance(40)
    station.true_offset += 3600
    station.csms.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
    station.csms.default("TransactionEvent")
    station.advance(200)
    paused = [
        event
        for event in station.csms.transmissions("TransactionEvent")
        if event["transactionInfo"].get("chargingState") == "SuspendedEV" and "meterValue" not in event
    ]

    assert station.clock_set
    assert len(paused) == 2
    assert paused[0] == paused[1]


def test_a_queued_event_is_never_earlier_than_one_the_csms_has(tmp_path: Path) -> None:
    """Told offline, sent after the CSMS's clock was set back: its time does not fall behind the event before."""
    station = charging(tmp_path)
    station.csms.disconnect()
    station.advance(1)
    station.evse(1).ev("pause")
    station.advance(20)
    station.true_offset -= 100
    station.csms.hold()
    station.csms.connect()
    station.csms.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
    station.csms.release()
    station.advance(300)
    stamps = [event["timestamp"] for event in station.events()]

    assert station.clock_set
    assert stamps == sorted(stamps)
