"""B02: the CSMS has not decided yet. The station answers, and sends only what it was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.bench import Bench
from tests.scenarios.variables import base_report, get, put

CARD = "04AABBCC"


def pending(path: Path, *, interval: int = 300, **given: Any) -> Bench:
    bench = Bench(path, boot=False, **given)
    bench.csms.on("BootNotification", {"status": "Pending", "interval": interval})
    bench.boot()
    bench.csms.forget()
    return bench


@pytest.mark.req("B02.FR.01")
def test_the_csms_may_read_and_write_variables(tmp_path: Path) -> None:
    bench = pending(tmp_path)

    assert put(bench, "OCPPCommCtrlr.OfflineThreshold", "300") == "Accepted"
    assert get(bench, "OCPPCommCtrlr.OfflineThreshold") == "300"
    assert bench.csms.actions() == []


@pytest.mark.req("B02.FR.01", "B02.FR.02", "B07.FR.01")
def test_a_report_that_was_asked_for_is_sent(tmp_path: Path) -> None:
    """All its pages, and nothing else."""
    bench = pending(tmp_path)

    entries = base_report(bench, "FullInventory")

    assert len(entries) > 100
    assert set(bench.csms.actions()) == {"NotifyReport"}


@pytest.mark.req("B02.FR.02")
def test_what_was_not_asked_for_waits(tmp_path: Path) -> None:
    """Plugs, cards, time: not a word before the verdict."""
    bench = pending(tmp_path, interval=86_400)

    bench.evse(1).plug_in()
    bench.evse(1).present_token(CARD)
    bench.advance(hours=12)
    bench.evse(1).unplug()
    bench.advance(minutes=5)

    assert bench.csms.actions() == []


@pytest.mark.req("B02.FR.02")
@pytest.mark.parametrize("message", ["Heartbeat", "StatusNotification", "MeterValues"])
def test_a_triggered_message_is_sent(tmp_path: Path, message: str) -> None:
    """TriggerMessage is the CSMS's own wish."""
    bench = pending(tmp_path)
    evse = {} if message == "Heartbeat" else {"evse": {"id": 1, "connectorId": 1}}

    answer = bench.csms.call("TriggerMessage", {"requestedMessage": message, **evse})
    bench.advance(seconds=5)

    assert answer["status"] == "Accepted"
    assert bench.csms.actions() == [message]


@pytest.mark.req("B02.FR.04", "B02.FR.08")
def test_the_introduction_is_repeated_after_the_interval_and_not_before(tmp_path: Path) -> None:
    bench = pending(tmp_path, interval=300)

    bench.advance(seconds=299)
    assert bench.csms.actions() == []

    bench.advance(seconds=2)
    assert bench.csms.actions() == ["BootNotification"]


@pytest.mark.req("B02.FR.04")
def test_a_reconnection_does_not_shorten_the_wait(tmp_path: Path) -> None:
    """The CSMS said when; a dropped line is no excuse."""
    bench = pending(tmp_path, interval=300)
    bench.advance(seconds=60)

    bench.csms.disconnect()
    bench.advance(seconds=30)
    bench.csms.connect()
    bench.advance(seconds=200)
    assert bench.csms.actions() == []

    bench.advance(seconds=15)
    assert bench.csms.actions() == ["BootNotification"]


@pytest.mark.req("B02.FR.04", "B01.FR.09")
def test_a_triggered_introduction_is_sent_at_once(tmp_path: Path) -> None:
    """With reason Triggered; accepted by it, the station tells its status."""
    bench = pending(tmp_path)
    bench.csms.default("BootNotification")

    assert bench.csms.call("TriggerMessage", {"requestedMessage": "BootNotification"}) == {"status": "Accepted"}

    assert bench.csms.received("BootNotification")[0]["reason"] == "Triggered"
    assert bench.csms.actions()[0] == "BootNotification"
    assert len(bench.csms.received("StatusNotification")) == 2


@pytest.mark.req("B02.FR.07")
def test_without_an_interval_the_station_has_its_own(tmp_path: Path) -> None:
    """A minute: prompt enough, and no flood."""
    bench = pending(tmp_path, interval=0)

    bench.advance(minutes=10, seconds=1)

    assert len(bench.csms.received("BootNotification")) == 10


@pytest.mark.req("B02.FR.05")
def test_remote_start_and_stop_are_rejected(tmp_path: Path) -> None:
    bench = pending(tmp_path)
    start = {"remoteStartId": 1, "evseId": 1, "idToken": {"idToken": CARD, "type": "ISO14443"}}

    started = bench.csms.call("RequestStartTransaction", start)
    stopped = bench.csms.call("RequestStopTransaction", {"transactionId": "unknown"})

    assert (started["status"], started["statusInfo"]["reasonCode"]) == ("Rejected", "CSNotAccepted")
    assert (stopped["status"], stopped["statusInfo"]["reasonCode"]) == ("Rejected", "CSNotAccepted")


@pytest.mark.req("B02.FR.06")
def test_the_connection_stays(tmp_path: Path) -> None:
    """Nothing of ours asks for a reconnection while the verdict is out."""
    bench = pending(tmp_path)

    bench.advance(hours=2)

    assert bench.intents == []
    assert bench.csms.connected


@pytest.mark.req("B03.FR.01")
@pytest.mark.parametrize("verdict", ["Pending", "Rejected"])
@pytest.mark.parametrize("enabled", ["true", "false"])
def test_whether_one_may_charge_before_the_verdict_is_configured(tmp_path: Path, verdict: str, enabled: str) -> None:
    """TxBeforeAcceptedEnabled: what was charged is told when the station is accepted, and not before."""
    variables = {"TxCtrlr.TxBeforeAcceptedEnabled": enabled, "AuthCtrlr.OfflineTxForUnknownIdEnabled": "true"}
    bench = Bench(tmp_path, boot=False, variables=variables)
    bench.csms.on("BootNotification", {"status": verdict, "interval": 600})
    bench.boot()
    bench.csms.forget()

    bench.evse(1).plug_in()
    bench.evse(1).present_token(CARD)
    bench.advance(minutes=5)
    assert bench.evse(1).charging is (enabled == "true")
    assert bench.csms.actions() == []

    bench.csms.default("BootNotification")
    bench.advance(minutes=6)
    assert ("TransactionEvent/Started" in bench.csms.actions()) is (enabled == "true")


def test_what_happened_meanwhile_is_told_when_the_verdict_is_good(tmp_path: Path) -> None:
    """The connector that was plugged in while Pending is Occupied; no intermediate state is told."""
    bench = pending(tmp_path, interval=60)
    bench.evse(1).plug_in()
    bench.csms.default("BootNotification")

    bench.advance(seconds=61)

    told = [(each["evseId"], each["connectorStatus"]) for each in bench.csms.received("StatusNotification")]
    assert told == [(1, "Occupied"), (2, "Available")]
