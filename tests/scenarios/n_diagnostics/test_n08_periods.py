"""N08: values told by the clock; N07, N08: what of all that is queued while nobody listens."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.scenarios.n_diagnostics.monitors import (
    POWER,
    STATE,
    TEMPERATURE,
    clear,
    events,
    put,
    seen,
    station,
    temperature,
)
from tests.scenarios.variables import put as put_variable

CARD = "04AABBCC"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Nothing is monitored yet; what is of severity 5 or worse is queued."""
    return station(tmp_path)


def at(bench: Bench) -> list[float]:
    """When the events were, in seconds of the clock."""
    return [datetime.fromisoformat(event["timestamp"]).timestamp() for event in events(bench)]


@pytest.mark.req("N08.FR.04", "N08.FR.05", "N08.FR.06")
def test_a_periodic_monitor_tells_the_value_every_period_from_when_it_was_set(bench: Bench) -> None:
    bench.advance(seconds=12)
    since = bench.utc.timestamp()
    id_ = put(bench, STATE, "Periodic", 60, evse=1)
    bench.advance(seconds=200)

    assert at(bench) == [since + 60, since + 120, since + 180]
    assert seen(bench) == [("Periodic", "Available", False)] * 3
    assert {event["variableMonitoringId"] for event in events(bench)} == {id_}
    assert [message["seqNo"] for message in bench.csms.received("NotifyEvent")] == [0, 0, 0]

    clear(bench, id_)
    bench.csms.forget()
    bench.advance(hours=1)
    assert events(bench) == []


@pytest.mark.req("N08.FR.05", "N08.FR.07")
def test_a_clock_aligned_monitor_keeps_to_the_grid(bench: Bench) -> None:
    bench.advance(seconds=100)
    put(bench, STATE, "PeriodicClockAligned", 900, evse=1)
    bench.advance(hours=1)

    assert [moment % 900 for moment in at(bench)] == [0, 0, 0, 0]
    assert {event["trigger"] for event in events(bench)} == {"Periodic"}


@pytest.mark.req("N08.FR.06", "N08.FR.07")
def test_periods_go_on_after_a_crash(bench: Bench) -> None:
    put(bench, STATE, "Periodic", 60, evse=1)
    put(bench, STATE, "PeriodicClockAligned", 900, evse=1)
    bench.crash()
    bench.csms.forget()
    bench.advance(hours=1)

    assert 63 <= len(events(bench)) <= 65


def test_what_is_due_at_one_instant_is_told_in_one_message(bench: Bench) -> None:
    for severity in range(6, 10):
        put(bench, STATE, "PeriodicClockAligned", 900, severity, evse=1)
    bench.advance(minutes=15)

    (message,) = bench.csms.received("NotifyEvent")
    assert len(message["eventData"]) == 4
    assert len({event["eventId"] for event in message["eventData"]}) == 4


@pytest.mark.req("N08.FR.04")
def test_many_events_come_in_parts(bench: Bench) -> None:
    """Counted from 0, with tbc on all but the last."""
    for name in ("Power", "AvailabilityState", "ACCurrent[L1]", "ACCurrent[L2]", "ACCurrent[L3]", "Problem"):
        for evse in (1, 2):
            for severity in range(6, 10):
                put(bench, f"EVSE.{name}", "Periodic", 60, severity, evse=evse)
                put(bench, f"EVSE.{name}", "PeriodicClockAligned", 60, severity, evse=evse)
    bench.advance(seconds=60)

    messages = bench.csms.received("NotifyEvent")
    assert [(message["seqNo"], message["tbc"]) for message in messages][-2:] == [(0, True), (1, False)]
    assert len(events(bench)) == 96


@pytest.mark.req("N07.FR.04", "N08.FR.03")
def test_what_is_severe_enough_is_queued_and_the_rest_is_judged_later(bench: Bench) -> None:
    put(bench, TEMPERATURE, "UpperThreshold", 70, 5)
    put(bench, TEMPERATURE, "UpperThreshold", 60, 6)
    put(bench, STATE, "Periodic", 60, 5, evse=1)
    put(bench, STATE, "Periodic", 60, 6, evse=2)
    since = bench.utc.timestamp()
    bench.csms.disconnect()

    temperature(bench, 75, 65)
    bench.advance(seconds=128)
    bench.csms.connect()
    bench.advance(seconds=1)

    told = [(event["trigger"], event["actualValue"], event.get("cleared", False)) for event in events(bench)]
    assert told == [
        ("Alerting", "75", False),
        ("Alerting", "65", True),
        ("Periodic", "Available", False),
        ("Periodic", "Available", False),
        ("Alerting", "65", False),  # of severity 6: what is, not what has been
    ]
    assert [round(moment - since) for moment in at(bench)] == [0, 1, 60, 120, 130]
    assert {event["component"]["evse"]["id"] for event in events(bench) if "evse" in event["component"]} == {1}


@pytest.mark.req("N07.FR.04")
def test_what_came_and_went_unseen_is_not_told(bench: Bench) -> None:
    """Below the severity to be queued."""
    put(bench, STATE, "Delta", 1, 6, evse=1)
    bench.evse(1).plug_in()
    bench.csms.disconnect()
    bench.csms.forget()
    bench.evse(1).unplug()
    bench.advance(minutes=5)
    bench.evse(1).plug_in()
    bench.advance(minutes=5)
    bench.csms.connect()
    bench.advance(minutes=1)

    assert events(bench) == []


@pytest.mark.req("N07.FR.04", "N07.FR.13")
def test_a_queued_event_survives_a_crash(bench: Bench) -> None:
    put(bench, TEMPERATURE, "UpperThreshold", 70, 5)
    bench.csms.disconnect()
    temperature(bench, 75)
    bench.crash()
    bench.csms.connect()
    bench.advance(minutes=1)

    assert seen(bench) == [("Alerting", "75", False)]


def test_a_changed_offline_queuing_severity_counts_at_once(bench: Bench) -> None:
    put(bench, TEMPERATURE, "UpperThreshold", 70, 7)
    put_variable(bench, "MonitoringCtrlr.OfflineQueuingSeverity", "7")
    bench.csms.disconnect()
    temperature(bench, 75, 20)
    bench.csms.connect()
    bench.advance(seconds=1)

    assert seen(bench) == [("Alerting", "75", False), ("Alerting", "20", True)]


def test_event_ids_never_repeat(bench: Bench) -> None:
    """Over crashes, and by a database that was salvaged without them."""
    put(bench, TEMPERATURE, "UpperThreshold", 70, 6)
    for _ in range(5):
        temperature(bench, 75, 20, 75, 20)
        bench.crash()
        bench.advance(seconds=30)
    bench.station.db.connection.execute("DELETE FROM monitoring")
    bench.station.db.connection.execute("INSERT INTO meta VALUES ('salvaged_from', '1')")  # as store/salvage.py does
    bench.crash()
    bench.advance(seconds=1)
    temperature(bench, 75, 20)

    ids = [event["eventId"] for event in events(bench)]
    assert len(ids) == 22
    assert ids == sorted(set(ids))
    assert ids[-1] < 2**31


def test_a_transaction_gates_its_monitors(bench: Bench) -> None:
    put(bench, POWER, "Periodic", 60, evse=1, transaction=True)
    bench.advance(minutes=5)
    assert events(bench) == []

    bench.evse(1).plug_in()
    bench.evse(1).present_token(CARD)
    bench.advance(minutes=3)
    assert [event["actualValue"] for event in events(bench)][1:] == ["22080", "22080"]
    assert len({event["transactionId"] for event in events(bench)}) == 1
    bench.evse(1).unplug()
    bench.csms.forget()
    bench.advance(minutes=5)
    assert events(bench) == []


def test_a_csms_that_does_not_answer_bounds_what_waits(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values go on changing; what is lost is logged, and telling goes on when answers come."""
    monkeypatch.setattr("station.blocks.diagnostics.events.MOST_WAITING", {False: 10, True: 10})
    put(bench, TEMPERATURE, "Delta", 1, 6)
    bench.csms.hold()
    temperature(bench, *range(0, 60, 2))

    assert bench.station.outbox.in_memory() <= 12
    bench.csms.release()
    bench.advance(minutes=2)
    bench.csms.forget()
    temperature(bench, 99)
    assert seen(bench) == [("Delta", "99", False)]


def test_a_period_that_binary_fractions_cannot_say_ends_all_the_same(bench: Bench) -> None:
    """It must not be due at one instant for ever."""
    put(bench, STATE, "PeriodicClockAligned", 1.000_000_000_000_000_2, evse=1)
    bench.advance(seconds=10)

    assert 5 <= len(events(bench)) <= 10
