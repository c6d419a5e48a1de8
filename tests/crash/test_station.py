"""Power is cut at every write of a whole station, while it does what stations do; then it boots and must make it good.

What that means is said in oracle.py. Here a sample of the images is booted; all of them by `make powercut`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from station.now import Now
from station.state.sessions import Session, Sessions
from station.store import db as database
from station.store.outbox import Outbox
from station.store.rows import Row
from tests.crash.oracle import faults, judged
from tests.crash.recorder import Recorder
from tests.crash.scenarios import MarkingBench, Scenario, card_after_cable, the_csms_does_not_answer
from tests.crash.stations import KINDS, OF_ALL_KINDS, SCENARIOS, kind

SAMPLE = 45
"""Images of one scenario that are booted; which ones, a seed says."""
FEW = 12
"""The same where a scenario is done by stations of all kinds."""


@pytest.mark.req("E04.FR.01", "E04.FR.02", "E11.FR.01", "E12.FR.01", "B01.FR.08", "E06.FR.11")
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_a_power_cut_at_any_write_loses_nothing(recorder: Recorder, fast: Path, scenario: Scenario) -> None:
    assert judged(recorder, scenario, fast / "image", SCENARIOS[scenario], SAMPLE).wrong == []


@pytest.mark.parametrize("given", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("scenario", OF_ALL_KINDS, ids=lambda scenario: scenario.__name__)
def test_a_power_cut_loses_nothing_whatever_the_station_is_like(
    recorder: Recorder, fast: Path, scenario: Scenario, given: Mapping[str, Any]
) -> None:
    """Every start point, a transaction that goes on, a meter that signs."""
    assert judged(recorder, scenario, fast / "image", given, FEW).wrong == []


def caught(recorder: Recorder, scenario: Scenario, fast: Path) -> bool:
    """Whether a mutant is found in more than five of sixty images; those that follow are not booted."""
    found = filter(None, faults(recorder, scenario, fast / "image", kind(), 60))
    return len(list(itertools.islice(found, 6))) > 5


def test_mutant_synchronous_normal_is_caught(recorder: Recorder, fast: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that does not wait for the medium is seen to lose transactions."""
    monkeypatch.setattr(database, "_RUNNING", "NORMAL")

    assert caught(recorder, card_after_cable, fast)


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
    monkeypatch.setattr("tests.crash.oracle.MarkingBench", Early)

    assert caught(recorder, card_after_cable, fast)


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

    assert caught(recorder, the_csms_does_not_answer, fast)


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

    assert caught(recorder, card_after_cable, fast)
