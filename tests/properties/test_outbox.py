"""The queue against a model of it: whatever happens in whatever order, nothing is lost, overtaken or answered twice."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from station.store import spool
from station.store.outbox import Gate
from station.store.rows import Again, Answered, Delivery, NotSent, Outcome, Refused, Row, TimedOut
from tests.unit.store.queue import ERROR, Post

TRANSACTIONS = st.sampled_from(["A", "B", "C"])
ATTEMPTS = 2


class QueueMachine(RuleBasedStateMachine):
    """Any sequence of what an engine, a CSMS and a power supply can do to the queue."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(spool, "WINDOW", 3)  # most of the queue lies on disk
        self.folder = Path(tempfile.mkdtemp())
        self.post = Post(self.folder / "station.db", Gate.CLOSED)
        self._configure()
        self.open = False
        self.serial = 0
        self.waiting: dict[str, list[tuple[str, str]]] = {}  # by order key: (message id, text), oldest first
        self.offline: set[str] = set()
        self.settled_now: set[str] = set()  # in this run: must not leave again
        self.repeats: dict[str, str] = {}  # answered, perhaps not yet deleted: a restart may bring them back
        self.asks: dict[str, int] = {}  # outcomes of each
        self.flying: Row | None = None
        self.late: list[str] = []
        self.sent_as: dict[str, str] = {}
        self.not_before: dict[str, float] = {}

    def teardown(self) -> None:
        """In the end all arrives."""
        try:
            self._drain()
        finally:
            self.post.db.close()
            shutil.rmtree(self.folder)
            self.patch.undo()

    # -- telling ----------------------------------------------------------------------------------------------------

    def _text(self, prefix: str) -> str:
        self.serial += 1
        return f"{prefix}{self.serial}"

    def _expect(self, key: str, row: Row) -> None:
        self.waiting.setdefault(key, []).append((row.message_id, row.payload.decode()))
        if not self.open:
            self.offline.add(row.message_id)

    @initialize()
    def begin_online(self) -> None:
        """Most of life."""
        self.gate(Gate.OPEN)

    @rule(tx=TRANSACTIONS, number=st.integers(1, 6))
    def events(self, tx: str, number: int) -> None:
        """Transaction events."""
        for _ in range(number):
            self._expect(tx, self.post.event(tx, self._text(tx)))

    @rule(number=st.integers(1, 4))
    def security_events(self, number: int) -> None:
        """Guaranteed delivery."""
        for _ in range(number):
            self._expect("security", self.post.tell("SecurityEventNotification", self._text("security")))

    @rule(asked=st.booleans())
    def status(self, asked: bool) -> None:  # noqa: FBT001  # drawn
        """In memory only; what becomes of it is not counted here, but it shares the wire."""
        self.post.tell("StatusNotification", self._text("status"), key="1/1", asked=asked)

    @rule(patience=st.sampled_from([None, 5.0, 100.0]), action=st.sampled_from(["Authorize", "BootNotification"]))
    def ask(self, patience: float | None, action: str) -> None:
        """A question."""
        by = None if patience is None else self.post.mono + patience
        self.asks[self.post.ask(action, self._text("ask"), by=by).message_id] = 0

    @rule(pages=st.integers(1, 3))
    def report(self, pages: int) -> None:
        """Some pages."""
        self.post.report(*(self._text("page") for _ in range(pages)))

    def step_that_fails(self) -> None:
        """Nothing it told exists."""
        with contextlib.suppress(KeyError), self.post.db.transaction():
            self.post.outbox.tell(self.post.told("TransactionEvent", "never", key="A"))
            self.post.outbox.ask(self.post.told("Authorize", "never"))
            self.post.outbox.tell(self.post.told("Nonsense"))

    # -- the wire ---------------------------------------------------------------------------------------------------

    @rule(gate=st.sampled_from([Gate.BOOT, Gate.PENDING, *[Gate.OPEN] * 6]))
    def gate(self, gate: Gate) -> None:
        """A connection stands; the registration changes."""
        self.post.outbox.gate(gate)
        self.open = True

    @rule(reopen=st.booleans(), what=st.sampled_from(["link", "power", "step", "step"]))
    def trouble(self, reopen: bool, what: str) -> None:  # noqa: FBT001  # drawn
        """What goes wrong; often it is over at once."""
        {"link": self.link_lost, "power": self.power_fails, "step": self.step_that_fails}[what]()
        if reopen:
            self.gate(Gate.OPEN)

    def link_lost(self) -> None:
        """No attempt of anything."""
        self.post.lose_link()
        self.open = False
        self.flying = None
        self.not_before.clear()
        self.offline |= {message_id for rows in self.waiting.values() for message_id, _ in rows}

    @rule()
    def send(self) -> None:
        """What the queue says is next is what may go."""
        row = self.post.send()
        if self.flying is not None or not self.open:
            assert row is None
        if row is None:
            return
        assert row.message_id not in self.settled_now, "a settled row left again"
        assert self.sent_as.setdefault(row.message_id, row.payload.decode()) == row.payload.decode()
        assert self.post.mono >= self.not_before.get(row.message_id, 0.0), "too early"
        key = self._key(row)
        if key is not None:
            if row.message_id in self.repeats:
                self.waiting.setdefault(key, []).insert(0, (row.message_id, self.repeats.pop(row.message_id)))
                self.offline.add(row.message_id)
            assert self.waiting[key][0] == (row.message_id, row.payload.decode()), "overtaken"
            assert row.offline == (row.message_id in self.offline)
        self.flying = row

    @rule(number=st.integers(1, 5))
    def exchanges(self, number: int) -> None:
        """Rows go out and are answered."""
        for _ in range(number):
            if self.flying is None:
                self.send()
            if self.flying is not None:
                self.answered()

    @rule(refused=st.booleans())
    def exchange_that_fails(self, refused: bool) -> None:  # noqa: FBT001  # drawn
        """A row goes out, with no luck."""
        if self.flying is None:
            self.send()
        if self.flying is not None:
            self.failed(refused)

    def answered(self) -> None:
        """A CALLRESULT."""
        row = self._landed()
        outcome = self.post.outbox.acknowledged(row.message_id, "fine", self.post.now)
        self._outcome(row, outcome)

    def failed(self, refused: bool) -> None:  # noqa: FBT001  # as drawn
        """A CALLERROR or no answer."""
        row = self._landed()
        outbox = self.post.outbox
        failed = (
            outbox.refused(row.message_id, ERROR, self.post.now)
            if refused
            else outbox.timed_out(row.message_id, self.post.now)
        )
        if isinstance(failed, Again):
            assert row.stored or row.delivery is Delivery.LATEST
            self.not_before[row.message_id] = failed.at
            if not refused:
                self.late.append(row.message_id)
            return
        if row.action == "TransactionEvent":
            assert isinstance(failed, Refused | TimedOut)
            assert failed.undelivered
            assert failed.row.attempts == ATTEMPTS
        self._outcome(row, failed)
        self.repeats.pop(row.message_id, None)

    @precondition(lambda self: self.late)
    @rule(data=st.data())
    def answered_late(self, data: st.DataObject) -> None:
        """It counts once, unless the row has been settled since."""
        message_id = data.draw(st.sampled_from(self.late))
        outcome = self.post.outbox.acknowledged(message_id, "late", self.post.now)
        if self.flying is not None and self.flying.message_id == message_id:
            self.flying = None
        if outcome is None:
            assert message_id in self.settled_now or not any(
                message_id == waiting for rows in self.waiting.values() for waiting, _ in rows
            )
        else:
            self._outcome(outcome.row, outcome)

    # -- time, disk and power -----------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 20, 60, 200]))
    def time_passes(self, seconds: int) -> None:
        """And what is due is done."""
        self.post.mono += seconds
        self.post.step()
        due = self.post.outbox.next_due(self.post.now)
        assert due is None or due > self.post.mono
        self._take_outcomes()

    def power_fails(self) -> None:
        """All that was in memory is gone."""
        self.post = self.post.restart()
        self._configure()
        self.open = False
        self.flying = None
        self.late.clear()
        self.settled_now.clear()
        self.asks.clear()
        self.not_before.clear()
        self.offline |= {message_id for rows in self.waiting.values() for message_id, _ in rows}

    @invariant()
    def every_ask_has_at_most_one_outcome(self) -> None:
        """Those that came by themselves are fetched here, as the engine does after each step."""
        self._take_outcomes()
        assert all(count <= 1 for count in self.asks.values())

    @invariant()
    def the_queue_knows_what_it_holds(self) -> None:
        """GetTransactionStatus; repeats after a restart are in the queue, too."""
        for tx in ("A", "B", "C"):
            if self.waiting.get(tx):
                assert self.post.outbox.has_transactions(tx)
            elif not self.repeats:
                assert not self.post.outbox.has_transactions(tx)

    def _configure(self) -> None:
        self.post.outbox.configure(self.post.outbox.settings._replace(attempts=ATTEMPTS, interval_s=20))

    # -- the model --------------------------------------------------------------------------------------------------

    def _key(self, row: Row) -> str | None:
        if row.action == "TransactionEvent":
            return row.key
        return "security" if row.action == "SecurityEventNotification" else None

    def _landed(self) -> Row:
        row, self.flying = self.flying, None
        assert row is not None
        return row

    def _outcome(self, row: Row, outcome: Outcome | None) -> None:
        """A row has come to its end (None: it had before)."""
        if row.delivery is Delivery.ASK:
            self.asks[row.message_id] += outcome is not None
            return
        key = self._key(row)
        if key is None:
            return
        assert outcome is not None
        self.waiting[key] = [entry for entry in self.waiting[key] if entry[0] != row.message_id]
        self.settled_now.add(row.message_id)
        if isinstance(outcome, Answered):
            self.repeats[row.message_id] = row.payload.decode()

    def _take_outcomes(self) -> None:
        for outcome in self.post.outbox.outcomes():
            assert isinstance(outcome, NotSent | TimedOut)
            if outcome.row.message_id in self.asks:
                self.asks[outcome.row.message_id] += 1

    def _drain(self) -> None:
        """Let all go out, and count."""
        if self.flying is not None:
            self.link_lost()
        self.post.outbox.gate(Gate.OPEN)
        self.open = True
        for _ in range(10_000):
            self.send()
            if self.flying is not None:
                self.answered()
            elif (due := self.post.outbox.next_due(self.post.now)) is not None:
                self.post.mono = float(due)
                self.post.step()
                self._take_outcomes()
            else:
                break
        self._take_outcomes()
        assert not any(self.waiting.values()), f"lost: {self.waiting}"
        assert set(self.asks.values()) <= {1}
        assert self.post.stored() == []


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
