"""What becomes of events that cannot be delivered: for want of space, of an answer, or of the time of day."""

from __future__ import annotations

import itertools
import json
from datetime import datetime
from pathlib import Path

import pytest

from station.ocpp.messages import TransactionEventRequest
from station.ocpp.speaker import Rendered
from station.ocpp.v201 import Speaker201
from station.stamps import SETTLED_KEPT
from tests.bench import Bench
from tests.scenarios.e_transactions.story import CARD, bench, values


def charging(path: Path, queue_bytes: int = 64_000_000, /, **variables: str) -> Bench:
    station = bench(
        path,
        "EVConnected",
        "EVConnected,Authorized",
        queue_bytes=queue_bytes,
        variables={"AuthCtrlr.OfflineTxForUnknownIdEnabled": "true", **variables},
    )
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(5)
    return station


def security_events(station: Bench, kind: str) -> list[str]:
    told = station.csms.received("SecurityEventNotification")
    return [event["techInfo"] for event in told if event["type"] == kind]


@pytest.mark.req("E04.FR.07", "E04.FR.08", "E11.FR.04", "E11.FR.05", "E12.FR.04", "E12.FR.05")
def test_a_long_time_offline_costs_updated_events_only_and_the_csms_is_told_which(tmp_path: Path) -> None:
    """Started, Ended and the bill are whole; the gaps in seqNo are as many as were said to be dropped."""
    station = charging(tmp_path, 400_000, **{"SampledDataCtrlr.TxUpdatedInterval": "10"})
    station.csms.disconnect()
    station.advance(hours=3)
    station.evse(1).present_token(CARD)
    station.advance(10)
    station.csms.order.gaps_allowed = True
    station.csms.connect()
    station.advance(minutes=5)

    events = station.events()
    kinds = [event["eventType"] for event in events]
    gaps = events[-1]["seqNo"] + 1 - len(events)
    dropped = [int(info.split()[0]) for info in security_events(station, "MemoryExhaustion")]
    assert kinds == ["Started", *["Updated"] * (len(kinds) - 2), "Ended"]
    assert gaps > 100
    assert sum(dropped) == gaps
    (_, begin), (_, end) = (values(events[-1], f"Transaction.{each}")[0] for each in ("Begin", "End"))
    assert end - begin == pytest.approx(station.evse(1).energy_wh, abs=0.01)
    telling = [event["seqNo"] for event in events]
    assert all(later - earlier <= gaps for earlier, later in itertools.pairwise(telling))
    assert max(later - earlier for earlier, later in itertools.pairwise(telling)) < 64, "not evenly"


@pytest.mark.parametrize("restarted", [False, True])
def test_a_long_queue_is_judged_again_only_by_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, restarted: bool
) -> None:
    """What this run has judged leaves as it lies on the disk; an earlier run may have been another agent."""
    station = charging(tmp_path, **{"SampledDataCtrlr.TxUpdatedInterval": "10"})
    online = len(station.events())
    station.csms.disconnect()
    station.advance(seconds=2000)
    made_texts = station.database.execute("SELECT CAST(payload AS TEXT) FROM outbox ORDER BY id").fetchall()
    if restarted:
        station.crash()
    encoded: list[object] = []
    encode = Speaker201.encode

    def watched(its: Speaker201, told: TransactionEventRequest) -> Rendered:
        encoded.append(told)
        return encode(its, told)

    monkeypatch.setattr(Speaker201, "encode", watched)
    station.csms.connect()
    station.advance(5)

    late = station.events()[online:]
    assert len(made_texts) == 200
    assert late[:200] == [{**json.loads(text), "offline": True} for (text,) in made_texts]
    assert len(encoded) >= 200 if restarted else not encoded


@pytest.mark.req("E13.FR.02", "E13.FR.04")
def test_an_event_that_is_given_up_is_kept_and_reported_and_the_next_ones_go(tmp_path: Path) -> None:
    """The CSMS refuses one kind of event; it hears of what it will never get, and an operator can see it."""
    station = charging(
        tmp_path,
        **{
            "OCPPCommCtrlr.MessageAttempts[TransactionEvent]": "3",
            "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]": "2",
        },
    )
    station.csms.error("TransactionEvent")
    station.evse(1).ev("pause")
    station.advance(seconds=20)
    station.csms.default("TransactionEvent")
    station.evse(1).present_token(CARD)
    station.advance(20)

    name = station.events()[0]["transactionInfo"]["transactionId"]
    kept = station.database.execute("SELECT key, reason FROM undelivered").fetchall()
    sent = station.csms.transmissions("TransactionEvent")
    refused = [event for event in sent if event["transactionInfo"].get("chargingState") == "SuspendedEV"]
    assert len(refused) == 3
    assert len(kept) == station.station.outbox.undelivered() == 1
    assert kept[0][0] == name
    assert security_events(station, "MessageUndelivered") == [
        f"TransactionEvent of transaction {name}: given up after the last attempt"
    ]
    assert station.events()[-1]["eventType"] == "Ended"


def test_an_answer_that_comes_too_late_acknowledges_all_the_same(tmp_path: Path) -> None:
    """The message timed out and waits for its next attempt; the answer comes, and there is none."""
    station = charging(tmp_path, **{"OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]": "60"})
    station.csms.hold()
    station.evse(1).ev("pause")
    station.advance(50)
    station.csms.release()
    station.advance(minutes=10)

    sent = station.csms.transmissions("TransactionEvent")
    paused = [event for event in sent if event["transactionInfo"].get("chargingState") == "SuspendedEV"]
    assert len([event for event in paused if "meterValue" not in event]) == 1
    assert station.station.outbox.undelivered() == 0


@pytest.mark.req("E04.FR.01", "E04.FR.02", "E04.FR.03")
def test_a_transaction_before_the_time_was_known_is_told_with_the_right_times(tmp_path: Path) -> None:
    """A clock that lost its battery says 2020; the CSMS's first answer puts right what is still in the queue."""
    station = charging(tmp_path, **{"TxCtrlr.TxBeforeAcceptedEnabled": "true"})
    station.evse(1).present_token(CARD)
    station.advance(10)
    station.evse(1).unplug()
    station.csms.disconnect()
    station.crash(boot=False)
    station.offset -= 6 * 365 * 86_400
    station.trusted = False
    station.boot()
    began = station.true_utc
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(minutes=30)
    ended = station.true_utc
    station.evse(1).present_token(CARD)
    station.advance(10)
    station.csms.connect()
    station.advance(minutes=2)

    events = station.events(1)
    assert station.clock_set
    assert all(event["offline"] for event in events)
    told = [datetime.fromisoformat(event["timestamp"]) for event in (events[0], events[-1])]
    assert [round((time - true).total_seconds()) for time, true in zip(told, (began, ended), strict=True)] == [0, 0]
    measured = [meter["timestamp"] for event in events[:-1] for meter in event.get("meterValue", ())]
    assert measured == sorted(measured)
    assert datetime.fromisoformat(measured[0]) >= told[0]


def test_of_messages_that_were_settled_no_time_is_kept_for_long(tmp_path: Path) -> None:
    """A transaction of days has a hundred thousand of them."""
    station = charging(tmp_path, **{"SampledDataCtrlr.TxUpdatedInterval": "1"})
    station.advance(minutes=5)

    assert len(station.events()) > 4 * SETTLED_KEPT
    assert len(station.station.stamps._shifts) <= SETTLED_KEPT


def test_a_clock_that_jumps_moves_no_event_that_was_told_and_lets_no_time_fall(tmp_path: Path) -> None:
    """Backwards by an hour and forwards by a day while charging: order and duration stay true."""
    station = charging(tmp_path, **{"SampledDataCtrlr.TxUpdatedInterval": "60"})
    for jump_s in (-3600, 86_400, -86_400):
        station.advance(minutes=5)
        station.true_offset += jump_s
        station.csms.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
    station.advance(minutes=5)
    station.evse(1).present_token(CARD)
    station.advance(10)

    events = station.events()
    stamps = [event["timestamp"] for event in events]
    assert len(station.clock_set) >= 3
    assert stamps == sorted(stamps)
    assert [event["seqNo"] for event in events] == list(range(len(events)))
    assert len([event for event in events if event["triggerReason"] == "MeterValuePeriodic"]) == 20


@pytest.mark.req("E04.FR.08")
def test_only_updated_events_may_be_dropped_for_want_of_space(tmp_path: Path) -> None:
    """Of two whole sessions that wait: which of their rows the quota may take."""
    station = charging(tmp_path, **{"SampledDataCtrlr.TxUpdatedInterval": "10"})
    station.csms.disconnect()
    for _ in range(2):
        station.advance(60)
        station.evse(1).present_token(CARD)
        station.advance(10)
    rows = station.database.execute(
        "SELECT droppable, payload FROM outbox WHERE action = 'TransactionEvent'"
    ).fetchall()

    kinds = {(bool(droppable), json.loads(payload)["eventType"]) for droppable, payload in rows}
    assert kinds == {(False, "Started"), (True, "Updated"), (False, "Ended")}
