"""The queue: order, gates, attempts, outcomes, and what survives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from station.now import Mono
from station.store.outbox import Gate
from station.store.rows import Again, Answered, NotSent, Refused, TimedOut, Told, Why
from tests.unit.store.queue import ERROR, Post


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    """An empty queue with an open link, registered."""
    post = Post(tmp_path / "station.db")
    yield post
    post.db.close()


# -- order ----------------------------------------------------------------------------------------------------------


def test_one_row_is_in_flight_at_a_time(post: Post) -> None:
    """Part 4: no second CALL before the first is answered."""
    post.event("A")
    post.event("B")
    post.ask()

    first = post.send()

    assert first is not None
    assert post.send() is None
    post.outbox.acknowledged(first.message_id, None, post.now)
    assert post.send() is not None


def test_the_lanes_go_in_order_of_urgency(post: Post) -> None:
    """Boot, asks, transactions, security and status of jobs, connectors, reports, heartbeat."""
    post.tell("Heartbeat", "heartbeat")
    post.report("report")
    post.tell("StatusNotification", "status", key="1/1")
    post.tell("SecurityEventNotification", "security")
    post.event("A", "transaction")
    post.ask("Authorize", "ask")
    post.ask("BootNotification", "boot")

    assert post.delivered() == ["boot", "ask", "transaction", "security", "status", "report", "heartbeat"]


@pytest.mark.req("E04.FR.02")
def test_events_of_a_transaction_leave_in_order_over_a_restart(post: Post) -> None:
    """Oldest first, whatever the boot they come from."""
    for n in range(3):
        post.event("A", f"A{n}")
    post = post.restart()
    post.event("A", "A3")

    post.outbox.gate(Gate.OPEN)

    assert post.delivered() == ["A0", "A1", "A2", "A3"]


def test_nothing_told_in_a_step_leaves_before_its_commit(post: Post) -> None:
    """A step that is rolled back has told nothing, and asked nothing."""
    with post.db.transaction():
        post.outbox.tell(post.told("TransactionEvent", "A", key="A"))
        assert post.outbox.next(post.now) is None
    assert post.delivered() == ["A"]

    def fails() -> None:
        with post.db.transaction():
            post.outbox.tell(post.told("TransactionEvent", "B", key="B"))
            post.outbox.ask(post.told("Authorize"))
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    post.tell("StatusNotification", "status")
    assert post.delivered() == ["status"]
    assert post.outbox.outcomes() == []
    assert post.stored() == ["A"]  # acknowledged, and deleted with a later commit


def test_a_backlog_leaves_a_turn_to_the_others(post: Post) -> None:
    """Two days of events must not hold back the status of a connector for an hour."""
    for n in range(20):
        post.event("A", f"A{n}")
    post.tell("StatusNotification", "status", key="1/1")
    post.report("page 1", "page 2")

    sent = post.delivered()

    assert sent.index("status") == 8
    assert sent.index("page 1") == 17
    assert [text for text in sent if text.startswith("A")] == [f"A{n}" for n in range(20)]


def test_messages_are_told_inside_a_step_and_by_the_table(post: Post) -> None:
    """Mistakes of a block show at once."""
    with pytest.raises(RuntimeError, match="inside a step"):
        post.outbox.tell(post.told("Heartbeat"))
    with post.db.transaction():
        with pytest.raises(ValueError, match="not simply told"):
            post.outbox.tell(post.told("Authorize"))
        with pytest.raises(ValueError, match="not asked"):
            post.outbox.ask(post.told("Heartbeat"))
        with pytest.raises(ValueError, match="no stream"):
            post.outbox.stream(post.told("Heartbeat"), iter(()))
        with pytest.raises(ValueError, match="transaction id"):
            post.outbox.tell(post.told("TransactionEvent"))
        with pytest.raises(KeyError):
            post.outbox.tell(post.told("Nonsense"))


def test_ids_are_never_used_twice(post: Post) -> None:
    """An id that came back would let a late answer acknowledge the wrong event."""
    seen = set()
    for _ in range(3):
        for _ in range(3):
            row = post.event("A")
            assert row.id not in seen
            seen.add(row.id)
            post.deliver()
        post = post.restart()
        post.outbox.gate(Gate.OPEN)


# -- gates ------------------------------------------------------------------------------------------------------------


def test_before_the_first_answer_only_the_boot_notification_leaves(post: Post) -> None:
    """B01.FR.08."""
    post.outbox.gate(Gate.BOOT)
    post.event("A", "A")
    post.tell("StatusNotification", "status")
    post.tell("SecurityEventNotification", "asked for", asked=True)
    post.ask("BootNotification", "boot")

    assert post.delivered() == ["boot"]

    post.outbox.gate(Gate.OPEN)
    assert post.delivered() == ["A", "asked for", "status"]


@pytest.mark.req("B02.FR.02")
def test_while_pending_only_what_was_asked_for_leaves(post: Post) -> None:
    """TriggerMessage and GetBaseReport work; nothing else of ours goes out."""
    post.tell("LogStatusNotification", "old log status")
    post = post.restart()
    post.outbox.gate(Gate.PENDING)
    post.event("A", "A")
    post.event("A", "asked, but later than A", asked=True)
    post.tell("FirmwareStatusNotification", "asked", asked=True)
    post.tell("StatusNotification", "asked status", key="1/1", asked=True)
    post.tell("StatusNotification", "status", key="2/1")
    post.report("page 1", "page 2", asked=True)
    post.report("page of nobody")
    post.ask("SignCertificate", "asked csr", asked=True)
    post.ask("Authorize", "card")

    assert post.delivered() == ["asked csr", "asked", "asked status", "page 1", "page 2"]
    assert [(o.row.payload, o.why) for o in post.outbox.outcomes() if isinstance(o, NotSent)] == [
        (b"page of nobody", Why.GATED),
        (b"card", Why.GATED),
    ]

    post.outbox.gate(Gate.OPEN)
    assert post.delivered() == ["A", "asked, but later than A", "old log status", "status"]


def test_a_new_registration_takes_back_questions_that_have_not_left(post: Post) -> None:
    """Another network profile: the registration is unknown again."""
    post.ask("Authorize", context="card 1")

    post.outbox.gate(Gate.BOOT)

    (outcome,) = post.outbox.outcomes()
    assert isinstance(outcome, NotSent)
    assert (outcome.why, outcome.row.context) == (Why.GATED, "card 1")
    assert post.outbox.outcomes() == []


# -- offline ----------------------------------------------------------------------------------------------------------


@pytest.mark.req("E04.FR.03", "E11.FR.07")
def test_what_is_not_answered_when_the_link_drops_is_offline(post: Post) -> None:
    """In flight, waiting, and told while offline; what is told afterwards is not."""
    post.event("A", "answered")
    post.deliver()
    post.event("A", "in flight")
    post.event("A", "waiting")
    assert (row := post.send()) is not None
    assert not row.offline
    post.lose_link()
    post.event("A", "told offline")
    assert post.send() is None

    post.outbox.gate(Gate.OPEN)
    post.event("A", "told online")

    flags = {}
    while (row := post.deliver()) is not None:
        flags[row.payload.decode()] = row.offline
    assert flags == {"in flight": True, "waiting": True, "told offline": True, "told online": False}


@pytest.mark.req("E11.FR.07")
def test_what_was_queued_before_a_restart_is_offline(post: Post) -> None:
    """The link went away with the process."""
    post.event("A", "A0")
    post = post.restart()

    post.outbox.gate(Gate.OPEN)

    assert (row := post.deliver()) is not None
    assert row.offline


def test_a_lost_link_is_no_attempt_and_ends_the_waiting(post: Post) -> None:
    """After the reconnection sending starts again at once, with the attempts counted so far."""
    post.event("A", "A0")
    post.refuse()
    post.send()
    post.lose_link()

    post.outbox.gate(Gate.OPEN)

    row = post.send()
    assert row is not None
    assert row.attempts == 1


def test_status_is_coalesced_only_while_it_cannot_go(post: Post) -> None:
    """Online the history is told in order; after an outage only what holds now."""
    for text in ("Occupied", "Available"):
        post.tell("StatusNotification", f"1 {text}", key="1/1")
    assert post.delivered() == ["1 Occupied", "1 Available"]

    post.tell("StatusNotification", "1 Reserved", key="1/1")
    post.lose_link()
    for text in ("1 Occupied", "2 Occupied", "1 Available"):
        post.tell("StatusNotification", text, key=text[0])
    post.outbox.gate(Gate.OPEN)

    assert post.delivered() == ["1 Reserved", "2 Occupied", "1 Available"]


def test_status_of_an_earlier_boot_is_not_told(post: Post) -> None:
    """B01.FR.05 tells all of them anew; none of it touches the disk."""
    post.tell("StatusNotification", "old", key="1/1")
    post = post.restart()
    post.outbox.gate(Gate.OPEN)

    assert post.delivered() == []


def test_moments_are_now_or_never_unless_all_is_queued(post: Post) -> None:
    """QueueAllMessages keeps meter values; a heartbeat of yesterday is worth nothing."""
    post.lose_link()
    post.tell("MeterValues", "lost")
    post.outbox.configure(post.outbox.settings._replace(queue_all=True))
    post.tell("MeterValues", "kept")
    post.tell("Heartbeat", "heartbeat")

    post = post.restart()
    post.outbox.gate(Gate.OPEN)

    assert post.delivered() == ["kept"]


# The rules of N07.FR.04; a station proves them when its block N is built.
def test_monitoring_events_are_queued_if_severe_enough(post: Post) -> None:
    """OfflineQueuingSeverity: that severity and all lower numbers."""
    post.outbox.configure(post.outbox.settings._replace(queuing_severity=4))
    post.lose_link()
    for severity in (0, 4, 5, 9):
        post.tell("NotifyEvent", f"severity {severity}", severity=severity)

    post.outbox.gate(Gate.OPEN)
    post.tell("NotifyEvent", "online", severity=9)

    assert post.delivered() == ["severity 0", "severity 4", "online"]


# -- attempts ---------------------------------------------------------------------------------------------------------


@pytest.mark.req("E13.FR.02", "E13.FR.03", "E13.FR.04")
def test_a_refused_event_is_sent_again_and_then_given_up(post: Post) -> None:
    """Three attempts, after 60 s and 120 s more; then `undelivered`, and the queue goes on."""
    post.event("A", "A0")
    post.event("A", "A1")
    sent_at, ids = [], set()

    outcome = None
    while not isinstance(outcome, Refused):
        row = post.send()
        assert row is not None
        sent_at.append(post.mono)
        ids.add(row.message_id)
        outcome = post.outbox.refused(row.message_id, ERROR, post.now)
        post.step()
        due = post.outbox.next_due(post.now)
        post.mono = due if due is not None else post.mono

    assert sent_at == [100, 160, 280]
    assert len(ids) == 1
    assert outcome.undelivered
    assert outcome.row.attempts == 3
    assert post.kept("undelivered") == [("A0", "refused: InternalError: not today")]
    assert post.delivered() == ["A1"]


def test_a_timeout_counts_as_an_attempt(post: Post) -> None:
    """The link stays; the wait begins when the time was up."""
    post.event("A", "A0")
    row = post.send()
    assert row is not None
    post.mono += 30

    again = post.outbox.timed_out(row.message_id, post.now)

    assert isinstance(again, Again)
    assert again.at == Mono(130 + 60)
    assert post.send() is None
    post.mono = 190
    assert post.send() is not None


def test_a_waiting_transaction_holds_up_nobody_else(post: Post) -> None:
    """A back-off blocks its own transaction alone."""
    post.event("A", "A0")
    post.event("A", "A1")
    post.event("B", "B0")
    post.refuse()
    post.ask("Authorize", "card")

    assert post.delivered() == ["card", "B0"]

    post.mono += 60
    assert post.delivered() == ["A0", "A1"]


def test_attempts_survive_a_restart(post: Post) -> None:
    """MessageAttempts counts transmissions, not runs of the agent."""
    post.event("A", "A0")
    post.refuse()
    post.step()
    post = post.restart()
    post.outbox.gate(Gate.OPEN)
    post.refuse()
    post.step()
    post = post.restart()
    post.outbox.gate(Gate.OPEN)

    assert isinstance(post.refuse(), Refused)


def test_an_attempt_counts_once_though_its_step_runs_twice(post: Post) -> None:
    """A failing step does not undo it; the next commit writes it."""
    post.event("A", "A0")
    post.refuse()

    def fails() -> None:
        with post.db.transaction():
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    post.step()

    assert post.db.execute("SELECT attempts FROM outbox").fetchall() == [(1,)]


@pytest.mark.req("A04.FR.02")
def test_a_security_event_is_never_given_up(post: Post) -> None:
    """Guaranteed delivery; the waits are bounded, though the interval be 0."""
    post.outbox.configure(post.outbox.settings._replace(attempts=1, interval_s=0))
    post.tell("SecurityEventNotification", "tampered")

    waits = []
    for _ in range(500):
        again = post.refuse()
        assert isinstance(again, Again)
        waits.append(again.at - post.mono)
        post.mono = again.at

    assert waits[:3] == [10, 20, 30]
    assert waits[-1] == 3600
    assert post.delivered() == ["tampered"]


def test_an_answer_that_is_late_acknowledges_once(post: Post) -> None:
    """It may come while the event waits for its next attempt, or while that is in flight."""
    post.event("A", "A0")
    first = post.send()
    assert first is not None
    post.outbox.timed_out(first.message_id, post.now)
    post.mono += 60
    second = post.send()
    assert second is not None
    assert second.message_id == first.message_id

    assert isinstance(post.outbox.acknowledged(first.message_id, "late", post.now), Answered)
    assert post.outbox.acknowledged(second.message_id, "again", post.now) is None
    assert post.outbox.timed_out(second.message_id, post.now) is None
    assert post.send() is None
    post.event("B", "B0")
    assert post.delivered() == ["B0"]


def test_a_row_that_cannot_be_rendered_blocks_nothing(post: Post) -> None:
    """It is kept in `undelivered`, with the reason."""
    post.event("A", "A0")
    post.event("A", "A1")
    row = post.outbox.next(post.now)
    assert row is not None

    outcome = post.outbox.not_rendered(row, "a token of 255 characters")
    post.step()

    assert outcome.why is Why.NOT_RENDERED
    assert post.kept("undelivered") == [("A0", "a token of 255 characters")]
    assert post.delivered() == ["A1"]


# -- asks: exactly one outcome ----------------------------------------------------------------------------------------


def test_an_ask_while_offline_is_not_sent(post: Post) -> None:
    """The driver at the card reader needs a decision now (C13)."""
    post.lose_link()

    post.ask("Authorize", context="card")

    (outcome,) = post.outbox.outcomes()
    assert isinstance(outcome, NotSent)
    assert (outcome.why, outcome.row.context) == (Why.OFFLINE, "card")
    post.outbox.gate(Gate.OPEN)
    assert post.send() is None


def test_an_ask_that_waited_too_long_is_not_sent(post: Post) -> None:
    """`by` passes while another message is in flight."""
    post.event("A")
    post.send()
    post.ask("Authorize", by=105)
    assert post.outbox.next_due(post.now) == Mono(105)
    post.mono = 105

    post.step()

    (outcome,) = post.outbox.outcomes()
    assert isinstance(outcome, NotSent)
    assert outcome.why is Why.TOO_LATE
    assert post.outbox.next_due(post.now) is None


def test_an_ask_in_flight_times_out_at_its_own_time(post: Post) -> None:
    """The vehicle waits 5 s, MessageTimeout is 30 s: the late answer is dropped, the wire is free when it comes."""
    row = post.ask("Get15118EVCertificate", by=105)
    post.send()
    post.mono = 105
    post.step()
    (outcome,) = post.outbox.outcomes()
    assert isinstance(outcome, TimedOut)

    post.event("A", "A0")
    assert post.send() is None
    post.mono = 110
    assert post.outbox.acknowledged(row.message_id, "late", post.now) is None

    assert post.delivered() == ["A0"]
    assert post.outbox.outcomes() == []


def test_an_ask_is_not_repeated(post: Post) -> None:
    """A CALLERROR or a timeout is its outcome; a link lost meanwhile, too."""
    post.ask()
    assert isinstance(post.refuse(), Refused)

    row = post.ask()
    post.send()
    assert isinstance(post.outbox.timed_out(row.message_id, post.now), TimedOut)

    post.ask()
    post.send()
    post.lose_link()
    (outcome,) = post.outbox.outcomes()
    assert isinstance(outcome, NotSent)
    assert outcome.why is Why.LINK_LOST
    post.outbox.gate(Gate.OPEN)
    assert post.send() is None


# -- streams -----------------------------------------------------------------------------------------------------------


def test_pages_are_made_one_by_one_and_events_pass_between(post: Post) -> None:
    """5,000 variables must not hold up a transaction, nor fill the memory."""
    made = []

    def pages() -> Iterator[Told]:
        for n in range(4):
            made.append(n)
            yield post.told("NotifyReport", f"page {n}")

    source = pages()
    with post.db.transaction():
        post.outbox.stream(next(source), source)

    assert post.delivered(most=1) == ["page 0"]
    assert made == [0]
    post.event("A", "A0")
    assert post.delivered(most=2) == ["A0", "page 1"]
    assert made == [0, 1]
    post.refuse()
    assert post.delivered() == ["page 3"]


def test_a_report_ends_with_the_link(post: Post) -> None:
    """It is given up, once, and nothing of it is stored."""
    rest = post.report("page 0", "page 1", "page 2")
    post.deliver()
    post.send()
    post.lose_link()
    post.outbox.gate(Gate.OPEN)

    assert post.send() is None
    assert [type(outcome) for outcome in post.outbox.outcomes()] == [NotSent]
    assert next(rest).payload == b"page 2"
    assert post.stored() == []


def test_a_report_whose_page_raises_is_over(post: Post) -> None:
    """The exception passes once; the queue goes on."""

    def pages() -> Iterator[Told]:
        yield post.told("NotifyReport", "page 0")
        raise KeyError("bug")

    source = pages()
    with post.db.transaction():
        post.outbox.stream(next(source), source)
    post.deliver()

    with pytest.raises(KeyError):
        post.send()

    post.event("A", "A0")
    assert post.delivered() == ["A0"]


# -- replies first ----------------------------------------------------------------------------------------------------


def test_messages_of_a_step_wait_for_its_reply(post: Post) -> None:
    """FR.05: the CALLs that a request causes follow its response; other steps' messages pass."""
    with post.db.transaction():
        post.outbox.hold("reply 7")
        post.outbox.tell(post.told("TransactionEvent", "A0", key="A"))
        post.outbox.tell(post.told("StatusNotification", "status"))
    post.event("A", "A1")
    post.event("B", "B0")

    assert post.delivered() == ["B0"]

    post.outbox.release("reply 7")
    assert post.delivered() == ["A0", "A1", "status"]


# -- the disk ---------------------------------------------------------------------------------------------------------


def test_a_durable_row_is_on_disk_before_it_can_leave(post: Post) -> None:
    """And an answered one goes with the next commit that writes anyway."""
    post.event("A", "A0")
    assert post.stored() == ["A0"]

    post.deliver()
    assert post.stored() == ["A0"]

    post.event("A", "A1")
    assert post.stored() == ["A1"]


def test_answered_rows_go_after_half_a_minute_at_the_latest(post: Post) -> None:
    """If nothing else writes."""
    post.event("A", "A0")
    post.deliver()
    assert post.outbox.next_due(post.now) == post.mono + 30

    post.mono += 30
    post.step()

    assert post.stored() == []
    assert post.outbox.next_due(post.now) is None


def test_answered_rows_go_when_there_are_sixteen(post: Post) -> None:
    """A backlog that is being delivered."""
    for n in range(16):
        post.event("A", f"A{n}")
    post.delivered()
    assert post.outbox.next_due(post.now) == post.mono

    post.step()

    assert post.stored() == []


def test_an_orderly_stop_leaves_nothing_answered(post: Post) -> None:
    """So that the next boot repeats nothing."""
    post.event("A", "A0")
    post.deliver()
    with post.db.transaction():
        post.outbox.flush()

    assert post.stored() == []


def test_an_answered_row_that_power_brings_back_is_the_same(post: Post) -> None:
    """Same id, same payload; only `offline` may differ."""
    first = post.event("A", "A0")
    post.deliver()
    post = post.restart()
    post.outbox.gate(Gate.OPEN)

    second = post.deliver()

    assert second is not None
    assert (second.message_id, second.payload, second.instant) == (first.message_id, first.payload, first.instant)


@pytest.mark.req("E14.FR.04", "E14.FR.05", "E14.FR.07", "E14.FR.08")
def test_the_queue_knows_which_transactions_it_holds(post: Post) -> None:
    """Until the last event is answered; after a restart, too."""
    for n in range(70):
        post.event("A", f"A{n}")
    post.event("B", "B0")
    has = post.outbox.has_transactions
    assert (has("A"), has("B"), has("C"), has()) == (True, True, False, True)

    post = post.restart()
    has = post.outbox.has_transactions
    assert (has("A"), has("B"), has("C"), has()) == (True, True, False, True)
    post.outbox.gate(Gate.OPEN)
    post.delivered(most=70)
    assert (has("A"), has("B"), has()) == (False, True, True)
    post.deliver()
    assert (has("B"), has()) == (False, False)
    with post.db.transaction():
        post.outbox.tell(post.told("TransactionEvent", key="D"))
        assert has("D")


def test_a_long_queue_keeps_little_in_memory(post: Post) -> None:
    """Days without a link: order and completeness hold while the front of the queue moves over the disk."""
    post.lose_link()
    expected: dict[str, list[str]] = {"A": [], "B": [], "C": []}
    with post.db.transaction():
        for n in range(900):
            tx = "ABC"[n // 300]
            expected[tx].append(f"{tx}{n}")
            post.outbox.tell(post.told("TransactionEvent", f"{tx}{n}", key=tx))
    post.outbox.gate(Gate.OPEN)
    post.refuse()  # A waits, so that its 300 rows have to be passed over

    sent = []
    most = 0
    while (row := post.deliver()) is not None:
        sent.append(row.payload.decode())
        most = max(most, post.outbox.in_memory())
        if len(sent) == 450:
            post.event("A", "A900")
            post.mono += 60
        post.step()

    for tx in "BC":
        assert [text for text in sent if text[0] == tx] == expected[tx]
    assert [text for text in sent if text[0] == "A"] == [*expected["A"], "A900"]
    assert most <= 3 * 64
    with post.db.transaction():
        post.outbox.flush()
    assert post.stored() == []


@pytest.mark.req("E04.FR.08", "E11.FR.05", "E12.FR.05", "E04.FR.07", "E11.FR.04", "E12.FR.04", "J02.FR.12", "J02.FR.13")
def test_over_its_quota_every_second_updated_goes(post: Post) -> None:
    """Of the longest transaction first; never Started or Ended, never the oldest in a row; and it is told."""
    post.lose_link()
    post.outbox.configure(post.outbox.settings._replace(quota_bytes=300_000))
    filling = "x" * 800
    for tx, updates in (("short", 20), ("long", 400)):
        post.event(tx, f"{tx} Started")
        for n in range(updates):
            post.event(tx, f"{tx} {n:03} {filling}", droppable=True)
        post.event(tx, f"{tx} Ended")

    kept = [text[:9] for text in post.stored()]

    assert post.db.used_bytes() < 330_000
    assert {"short Sta", "short End", "long Star", "long Ende"} <= set(kept)
    assert [text for text in kept if text.startswith("short")] == [
        "short Sta", *(f"short {n:03}" for n in range(20)), "short End",
    ]  # fmt: skip
    thinned = post.outbox.thinned()
    assert {entry.transaction for entry in thinned} == {"long"}
    assert sum(entry.rows for entry in thinned) + len(kept) == 20 + 400 + 4
    assert post.outbox.thinned() == []
    post.outbox.gate(Gate.OPEN)
    assert [text[:9] for text in post.delivered()] == kept


def test_an_action_that_only_a_newer_agent_knows_is_still_delivered(post: Post) -> None:
    """After a roll-back of the image."""
    post.event("A", "A0")
    post.db.execute("UPDATE outbox SET action = 'NotifySettlement'")
    post = post.restart()
    post.outbox.gate(Gate.OPEN)

    row = post.deliver()

    assert row is not None
    assert row.action == "NotifySettlement"


def test_a_deadline_of_the_queue_is_never_in_the_past_once_it_was_due(post: Post) -> None:
    """Else the loop would spin."""
    post.event("A", "A0")
    post.refuse()
    post.event("B", "B0")
    post.send()
    post.ask(by=110)
    for at in (110.0, 130.0, 160.0, 300.0):
        post.mono = at
        post.step()
        due = post.outbox.next_due(post.now)
        assert due is None or due > Mono(at)
