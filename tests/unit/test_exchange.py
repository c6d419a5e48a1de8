"""The conversation where it goes wrong: rows nobody can read, replies that die with their connection."""

from __future__ import annotations

from typing import Any

from station.block import Job, Later
from station.facts import LinkLost, SecurityEventOccurred
from station.now import Now
from station.ocpp.messages import DataTransferResponse
from station.recovery import Culprit
from tests.bench import Bench


class Endless(Job, frozen=True, kw_only=True):
    """Slow work that never ends."""


def test_what_waited_for_a_reply_is_told_though_the_reply_died_with_its_connection(bench: Bench) -> None:
    """The job may never end, and its time for the reply is forgotten with the reply."""

    def slow(data: Any, now: Now) -> Later:
        del data
        bench.station.facts.emit(SecurityEventOccurred(type="TamperDetectionActivated"))
        return Later(Endless(), now.after(10), DataTransferResponse(status="Rejected"))

    bench.station.data_transfers._vendors = {"com.example": {"": slow}}  # type: ignore[dict-item]  # a slow one
    bench.csms.send("DataTransfer", {"vendorId": "com.example"})

    bench.csms.disconnect()
    bench.advance(minutes=1)
    bench.csms.connect()
    bench.advance(minutes=1)

    told = [each["type"] for each in bench.csms.received("SecurityEventNotification")]
    assert "TamperDetectionActivated" in told


def test_a_row_of_a_newer_agent_is_kept_apart_and_does_not_end_this_one(bench: Bench) -> None:
    """After a roll-back the queue may hold actions that this agent has no words for."""
    bench.evse(1).plug_in()
    bench.evse(1).present_token("04AABBCC")
    bench.advance(minutes=1)
    bench.csms.disconnect()
    bench.evse(1).ev("pause")
    bench.advance(seconds=1)
    with bench.database.transaction():
        bench.database.execute("UPDATE outbox SET action = 'Teleport' WHERE id = (SELECT max(id) FROM outbox)")

    bench.csms.order.gaps_allowed = True  # one event will be missing
    bench.crash()
    bench.csms.connect()
    bench.advance(minutes=1)

    kept = bench.database.execute("SELECT action, reason FROM undelivered").fetchall()
    assert kept == [("Teleport", "KeyError('Teleport')")]
    assert bench.csms.received("TransactionEvent")[-1]["eventType"] == "Ended"


def test_who_hears_that_the_link_is_lost_knows_that_it_is(bench: Bench) -> None:
    """What is told in that very step was told offline."""
    seen: list[tuple[bool, bool]] = []
    csms = bench.station.csms
    row = (Culprit("Test", "LinkLost"), lambda _fact, _now: seen.append((csms.online, csms.connected)))
    bench.station.engine._reactions.setdefault(LinkLost, []).append(row)
    assert csms.online

    bench.csms.disconnect()

    assert seen == [(False, False)]
