"""Power is cut at every write of a whole station, while it does what stations do; then it boots and must make it good.

The CSMS is the same before and after: it has seen what had left, and judges what comes by schema and order as always.
The promise: every transaction of which anything was ever seen, and every closing of a contactor, ends up with one
Started and one Ended, seqNo without a gap, registers that never fall; what was sent twice is the same but for
`offline`; what was answered with Accepted holds. In every second image the wire was cut, too: what was not answered
had not arrived.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from station.now import Now
from station.state.sessions import Session, Sessions
from station.store import db as database
from station.store.outbox import Outbox
from station.store.rows import Row
from tests.bench import Bench
from tests.crash.medium import Image, images
from tests.crash.recorder import Recorder
from tests.crash.scenarios import (
    SCENARIOS,
    VARIABLES,
    Answered,
    Closed,
    MarkingBench,
    Promise,
    Scenario,
    Sent,
    card_after_cable,
    the_csms_does_not_answer,
    the_csms_takes_the_permission_back,
    the_first_boot_of_all,
)
from tests.csms import Csms

PLAIN: Mapping[str, Any] = {"variables": VARIABLES}
SAMPLE = 120
"""Images of one scenario that are booted; which ones, a seed says."""


def recorded(recorder: Recorder, scenario: Scenario, given: Mapping[str, Any]) -> int:
    """Run a scenario on the recorder; gives where in the log it began, with a station that runs unless it boots it."""
    first = scenario is the_first_boot_of_all
    bench = MarkingBench(recorder, boot=not first, **given)
    if not first:
        bench.database.execute("PRAGMA wal_autocheckpoint = 30")  # so that checkpoints are cut, too
    start = len(recorder.log)
    scenario(bench)
    bench.database.close()
    return start


def sampled(recorder: Recorder, start: int, most: int) -> Iterator[Image]:
    """Some of the images, the same each time."""
    return images(recorder.log, start=start, most=most)


def made_good(root: Path, marks: Sequence[Any], given: Mapping[str, Any] = PLAIN, *, wire_too: bool = False) -> None:
    """The oracle: the same CSMS, a new station on what the medium held, and a while later all accounts are settled.

    `wire_too`: what was sent and not yet answered has not arrived either.
    """
    csms = Csms(message_timeout_s=35.0)
    answered = {mark.message_id for mark in marks if isinstance(mark, Answered)}
    for mark in marks:
        if isinstance(mark, Sent) and mark.text.startswith("[2,"):  # the answers to its own calls died with the cut
            message_id, action = json.loads(mark.text)[1:3]
            if action == "BootNotification":
                csms.order.rebooted()
            if not wire_too or message_id in answered:
                csms.feed(mark.text)
    csms.order.link_lost()
    bench = Bench(root, csms=csms, connected=False, boot=False, **given)
    bench.ids.count = 1_000_000  # ids of this run differ from those before the cut
    bench.mono = 50_000.0
    bench.offset += 3600 - 49_000
    bench.true_offset = bench.offset
    bench.boot()
    try:
        bench.csms.connect()
        bench.advance(minutes=3)
        assert bench.database.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert not bench.station.csms.queued(), "something is still queued"
        settled(bench, marks)
        broken = [mark.what for mark in marks if isinstance(mark, Promise) and not mark.holds(bench)]
        assert not broken, f"forgotten: {broken}"
    finally:
        bench.database.close()


def settled(bench: Bench, marks: Sequence[Any]) -> None:
    """Every transaction that was seen is whole, and every permission to charge belongs to one."""
    by_id: dict[str, list[dict[str, Any]]] = {}
    for event in bench.csms.received("TransactionEvent"):
        by_id.setdefault(event["transactionInfo"]["transactionId"], []).append(event)
    for events in by_id.values():
        kinds = [event["eventType"] for event in events]
        assert (kinds[0], kinds[-1]) == ("Started", "Ended"), kinds
        assert kinds.count("Started") == kinds.count("Ended") == 1, kinds
        assert [event["seqNo"] for event in events] == list(range(len(events)))
        registers = [value for event in events for value in energy(event)]
        assert registers == sorted(registers), f"the register fell: {registers}"
    permitted = {mark.transaction_id for mark in marks if isinstance(mark, Closed)}
    assert permitted <= set(by_id), f"{permitted - set(by_id)} was energised and nobody will pay"


def energy(event: dict[str, Any]) -> list[float]:
    """The last energy register of an event, if it carries one: Ended repeats the first."""
    values = [
        value["value"]
        for one in event.get("meterValue", [])
        for value in one["sampledValue"]
        if value.get("measurand", "Energy.Active.Import.Register") == "Energy.Active.Import.Register"
    ]
    return values[-1:]


def violations(
    recorder: Recorder, scenario: Scenario, scratch: Path, most: int = SAMPLE, given: Mapping[str, Any] = PLAIN
) -> list[str]:
    """What went wrong in which image; `given`: what the station is like."""
    start = recorded(recorder, scenario, given)
    wrong = []
    for image in sampled(recorder, start, most):
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        image.write(scratch)
        try:
            made_good(scratch, image.marks, given, wire_too=image.at % 2 == 1)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong after a power cut is the finding
            wrong.append(f"{image.at} {image.variant}: {type(error).__name__}: {error}")
    return wrong


@pytest.mark.req("E04.FR.01", "E04.FR.02", "E11.FR.01", "E12.FR.01", "B01.FR.08")
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_a_power_cut_at_any_write_loses_nothing(recorder: Recorder, fast: Path, scenario: Scenario) -> None:
    assert violations(recorder, scenario, fast / "image") == []


def kind(start: str, stop: str, **more: Any) -> Mapping[str, Any]:
    """A station with these start and stop points."""
    signs = {"SampledDataCtrlr.SignReadings": "true"} if more.get("signing") else {}
    return {"variables": {**VARIABLES, "TxCtrlr.TxStartPoint": start, "TxCtrlr.TxStopPoint": stop, **signs}, **more}


KINDS = {
    "from the cable on": kind("EVConnected", "EVConnected"),
    "from the card on": kind("Authorized", "Authorized"),
    "either": kind("EVConnected,Authorized", "PowerPathClosed"),
    "resumed": kind("Authorized", "EVConnected,Authorized", resume=True),
    "signed": kind("PowerPathClosed", "EVConnected,Authorized", signing=True),
}


@pytest.mark.parametrize("given", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("scenario", [card_after_cable, the_csms_takes_the_permission_back], ids=lambda s: s.__name__)
def test_a_power_cut_loses_nothing_whatever_the_station_is_like(
    recorder: Recorder, fast: Path, scenario: Scenario, given: Mapping[str, Any]
) -> None:
    """Every start and stop point that needs no energy first, a transaction that goes on, a meter that signs."""
    assert violations(recorder, scenario, fast / "image", most=30, given=given) == []


def test_mutant_synchronous_normal_is_caught(recorder: Recorder, fast: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that does not wait for the medium is seen to lose transactions."""
    monkeypatch.setattr(database, "_RUNNING", "NORMAL")

    assert len(violations(recorder, card_after_cable, fast / "image", most=60)) > 5


def test_mutant_effects_before_the_commit_is_caught(
    recorder: Recorder, fast: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A station that acts before it has written is seen to forget."""
    held: list[Any] = []

    def written_later(self: database.Database) -> Any:
        return _Late(real(self), recorder, held)

    class Early(MarkingBench):
        def _do(self, effects: Sequence[Any]) -> None:
            super()._do(effects)
            recorder.log.extend(held)
            held.clear()

    real = database.Database.transaction
    monkeypatch.setattr(database.Database, "transaction", written_later)
    monkeypatch.setattr("tests.crash.test_station.MarkingBench", Early)

    assert len(violations(recorder, card_after_cable, fast / "image", most=60)) > 5


class _Late:
    """A transaction whose writes reach the log only after the effects of its step."""

    def __init__(self, real: Any, recorder: Recorder, held: list[Any]) -> None:
        self._real, self._recorder, self._held = real, recorder, held

    def __enter__(self) -> None:
        self._real.__enter__()

    def __exit__(self, *error: object) -> Any:
        before = len(self._recorder.log)
        result = self._real.__exit__(*error)
        self._held.extend(self._recorder.log[before:])
        del self._recorder.log[before:]
        return result


def test_mutant_what_was_sent_is_forgotten_is_caught(
    recorder: Recorder, fast: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that goes when it leaves, and not when it is answered, is lost with the wire."""
    real = Outbox.sent

    def sent(self: Outbox, row: Row) -> None:
        real(self, row)
        if row.stored:
            self._ledger.settled(row, Now(row.instant.boot, row.instant.mono, row.stamped))

    monkeypatch.setattr(Outbox, "sent", sent)

    assert len(violations(recorder, the_csms_does_not_answer, fast / "image", most=60)) > 5


def test_mutant_a_seq_no_that_is_not_saved_is_caught(
    recorder: Recorder, fast: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session is written with its first event only."""
    real = Sessions.save

    def save(self: Sessions, session: Session, now: Now) -> Session:
        if session.seq_no > 1 and session.closing is None:
            self.keep(session)
            return session
        return real(self, session, now)

    monkeypatch.setattr(Sessions, "save", save)

    assert len(violations(recorder, card_after_cable, fast / "image", most=60)) > 5
