"""The conversation where it goes wrong: rows nobody can read, replies that die with their connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from station.app import Station
from station.block import Block, Job, JobResult, Later
from station.facts import LinkLost, SecurityEventOccurred
from station.inputs import Done, Fate, Input
from station.now import Now
from station.ocpp.messages import (
    DataTransferRequest,
    DataTransferResponse,
    GetLocalListVersionRequest,
    GetLocalListVersionResponse,
)
from station.recovery import Culprit
from tests.bench import Bench


class Endless(Job, frozen=True, kw_only=True):
    """Slow work that never ends."""


CULPRIT = Culprit("DataTransfers", "DataTransferRequest")


def test_what_waited_for_a_reply_is_told_though_the_reply_died_with_its_connection(bench: Bench) -> None:
    """The job may never end, and its time for the reply is forgotten with the reply."""

    def slow(data: Any, now: Now) -> Later:
        del data
        bench.station.facts.emit(SecurityEventOccurred(type="TamperDetectionActivated"))
        return Later(Endless(), now.after(10), DataTransferResponse(status="Rejected"))

    bench.station.engine._routes[DataTransferRequest] = (Block(), CULPRIT, slow)
    bench.csms.send("DataTransfer", {"vendorId": "com.example"})

    bench.csms.disconnect()
    bench.advance(minutes=1)
    bench.csms.connect()
    bench.advance(minutes=1)

    told = [each["type"] for each in bench.csms.received("SecurityEventNotification")]
    assert "TamperDetectionActivated" in told


def test_a_reply_that_waits_for_a_job_does_not_wait_for_ever(bench: Bench) -> None:
    """At its time it is given without the job's result, whatever else is due."""

    def slow(data: Any, now: Now) -> Later:
        del data
        return Later(Endless(), now.after(7.5), DataTransferResponse(status="Rejected"))

    bench.station.engine._routes[DataTransferRequest] = (Block(), CULPRIT, slow)
    sent = bench.csms.send("DataTransfer", {"vendorId": "com.example"})

    bench.advance(seconds=7)
    assert not sent.done
    assert bench.station.exchange.next_deadline(bench.now) == pytest.approx(0.5)
    bench.advance(seconds=1)
    assert sent.answer == {"status": "Rejected"}


TOLD = ["TamperDetectionActivated", "MemoryExhaustion", "SecurityLogWasCleared"]


class Stage(Job, frozen=True, kw_only=True):
    """Long work, one piece at a time."""


class Staged(JobResult, frozen=True, kw_only=True):
    """A piece is done."""


@pytest.mark.parametrize("link_lost", [False, True])
def test_long_work_in_steps_gives_one_reply_and_what_it_told_waits_for_it(bench: Bench, *, link_lost: bool) -> None:
    """A result may lead to another piece; a lost connection releases what would wait for ever."""
    done = DataTransferResponse(status="Accepted")
    replies: list[Later | DataTransferResponse] = [
        Later(Stage(), bench.now.after(10), DataTransferResponse(status="Rejected")),
        Later(Stage(), bench.now.after(10), DataTransferResponse(status="Rejected")),
        done,
    ]

    def piece(data: Any, now: Now) -> Later | DataTransferResponse:
        del data, now
        bench.station.facts.emit(SecurityEventOccurred(type=TOLD[-len(replies)]))
        return replies.pop(0)

    bench.station.engine._routes[DataTransferRequest] = (Block(), CULPRIT, piece)
    bench.station.engine._results[Staged] = (Block(), CULPRIT, piece)
    bench.csms.forget()
    sent = bench.csms.send("DataTransfer", {"vendorId": "com.example"})
    if link_lost:
        bench.csms.disconnect()

    for _ in range(2):
        assert not sent.done
        assert link_lost or not bench.csms.received("SecurityEventNotification")
        bench.job_done(bench.job(Stage), Staged())
    if link_lost:
        bench.csms.connect()
    bench.advance(seconds=1)

    assert sent.done is not link_lost
    told = [each["type"] for each in bench.csms.received("SecurityEventNotification")]
    assert [each for each in told if each in TOLD] == TOLD
    assert not replies


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
    note = lambda _fact, _now: seen.append((csms.online, csms.connected))  # noqa: E731 - a row of a table
    row = (Block(), Culprit("Test", "LinkLost"), note)
    bench.station.engine._reactions.setdefault(LinkLost, []).append(row)
    assert csms.online

    bench.csms.disconnect()

    assert seen == [(False, False)]


@pytest.mark.parametrize(
    "answer, steps",
    [({}, 0), ({"totalCost": 1.5}, 1), ({"customData": {"vendorId": "com.example"}}, 1)],
)
def test_an_answer_that_says_nothing_takes_its_event_off_the_queue_without_a_step(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], steps: int
) -> None:
    """Each event has an answer, and hardly any of them is news."""
    bench.evse(1).plug_in()
    bench.evse(1).present_token("04AABBCC")
    bench.advance(minutes=1)
    bench.csms.on("TransactionEvent", answer)
    taken: list[object] = []
    step = bench.station.engine.step

    def counted(given: Input, now: Now) -> Done:
        if isinstance(given, Fate):
            taken.append(given)
        return step(given, now)

    monkeypatch.setattr(bench.station.engine, "step", counted)
    before = len(bench.csms.received("TransactionEvent"))
    bench.evse(1).ev("pause")
    bench.advance(seconds=1)

    assert len(bench.csms.received("TransactionEvent")) - before == 1
    assert len(taken) == steps
    assert not bench.station.csms.queued()


def test_the_first_answer_on_each_connection_tells_that_it_is_stable(bench: Bench) -> None:
    """Back-off of the link (field.md 1): once is enough, and each connection has to show it."""
    stable: list[float] = []
    bench.station.exchange.on_accepted = lambda: stable.append(bench.mono)

    for connections in (1, 2):
        bench.csms.disconnect()
        bench.csms.connect()
        bench.evse(1).plug_in()
        bench.evse(1).unplug()
        assert len(stable) == connections


MORE: dict[str, Callable[[Station], object]] = {
    "wrote into the database": lambda station: station.engine._db.execute("INSERT INTO meta VALUES ('a', 'b')"),
    "wants something": lambda station: station.ports.want(1, energise=True, limit_a=6.0),
}


@pytest.mark.parametrize("what", MORE)
def test_a_handler_that_is_said_to_read_and_does_more_is_found_on_the_bench(bench: Bench, what: str) -> None:
    """Its step is no transaction: that would be committed by nobody, or by another step."""

    def more(request: Any, now: Now) -> GetLocalListVersionResponse:
        del request, now
        MORE[what](bench.station)
        return GetLocalListVersionResponse(version_number=0)

    bench.station.engine._routes[GetLocalListVersionRequest] = (Block(), CULPRIT, more)

    with pytest.raises(AssertionError, match=f"a call that only reads {what}"):
        bench.csms.send("GetLocalListVersion", {})
