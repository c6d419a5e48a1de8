"""Power is cut at every write of a whole station, while it does what stations do; then it boots and must make it good.

The CSMS is the same before and after: it has seen what had left, and judges what comes by schema and order as always.
The promise: every transaction of which anything was ever seen, and every closing of a contactor, ends up with one
Started and one Ended, seqNo without a gap, registers that never fall; what was sent twice is the same but for
`offline`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hal.api import Fault
from station.shell.outlet import Allow
from station.store import db as database
from tests.bench import Bench
from tests.crash.medium import Image, images
from tests.crash.recorder import VFS, Recorder
from tests.csms import Csms

VARIABLES = {
    "TxCtrlr.TxStartPoint": "PowerPathClosed",
    "TxCtrlr.TxStopPoint": "EVConnected,Authorized",
    "SampledDataCtrlr.TxUpdatedInterval": "30",
}
SAMPLE = 120
"""Images of one scenario that are booted; which ones, a seed says."""

Scenario = Callable[[Bench], None]


class Sent(NamedTuple):
    """A mark: a frame left the station."""

    text: str


class Closed(NamedTuple):
    """A mark: the board was permitted to close a contactor."""

    evse_id: int


# --- what stations do


def card_after_cable(bench: Bench) -> None:
    bench.evse(1).plug_in()
    bench.evse(1).present_token("04AABBCC")
    bench.advance(seconds=70)
    bench.evse(1).present_token("04AABBCC")
    bench.advance(seconds=10)
    bench.evse(1).unplug()
    bench.advance(seconds=5)


def cable_after_card_and_pulled_at_the_car(bench: Bench) -> None:
    bench.evse(2).present_token("04AABBCC")
    bench.advance(seconds=5)
    bench.evse(2).plug_in()
    bench.advance(seconds=40)
    bench.evse(2).unplug()
    bench.advance(seconds=10)


def two_at_once(bench: Bench) -> None:
    bench.evse(1).plug_in()
    bench.evse(2).plug_in()
    bench.evse(1).present_token("04AABBCC")
    bench.evse(2).present_token("04DDEEFF")
    bench.advance(seconds=65)
    bench.evse(2).present_token("04DDEEFF")
    bench.advance(seconds=20)
    bench.evse(1).unplug()
    bench.advance(seconds=5)


def offline_from_beginning_to_end(bench: Bench) -> None:
    bench.csms.disconnect()
    bench.evse(1).plug_in()
    bench.evse(1).present_token("04AABBCC")
    bench.advance(seconds=65)
    bench.evse(1).unplug()
    bench.advance(seconds=5)
    bench.csms.connect()
    bench.advance(seconds=5)


def the_csms_does_not_answer(bench: Bench) -> None:
    bench.evse(1).plug_in()
    bench.evse(1).present_token("04AABBCC")
    bench.advance(seconds=5)
    bench.csms.silent("TransactionEvent")
    bench.advance(seconds=100)
    bench.csms.default("TransactionEvent")
    bench.evse(1).present_token("04AABBCC")
    bench.advance(minutes=6)


def started_and_stopped_from_afar(bench: Bench) -> None:
    token = {"idToken": "REMOTE", "type": "Central"}
    bench.csms.call("RequestStartTransaction", {"idToken": token, "remoteStartId": 7, "evseId": 1})
    bench.evse(1).plug_in()
    bench.advance(seconds=35)
    transaction = bench.events()[0]["transactionInfo"]["transactionId"]
    bench.csms.call("RequestStopTransaction", {"transactionId": transaction})
    bench.advance(seconds=10)


def a_fault_while_charging(bench: Bench) -> None:
    bench.evse(1).plug_in()
    bench.evse(1).present_token("04AABBCC")
    bench.advance(seconds=20)
    bench.evse(1).fault(Fault.GROUND_FAULT)
    bench.advance(seconds=20)
    bench.evse(1).fault(Fault.GROUND_FAULT, on=False)
    bench.evse(1).unplug()
    bench.advance(seconds=5)


SCENARIOS: list[Scenario] = [
    card_after_cable,
    cable_after_card_and_pulled_at_the_car,
    two_at_once,
    offline_from_beginning_to_end,
    the_csms_does_not_answer,
    started_and_stopped_from_afar,
    a_fault_while_charging,
]


class MarkingBench(Bench):
    """Every effect that leaves is marked in the recorder's log, in its place between the writes."""

    def __init__(self, recorder: Recorder, **given: Any) -> None:
        self._recorder = recorder
        super().__init__(recorder.root, vfs=VFS, **given)

    def sends(self, text: str) -> None:
        """A frame leaves."""
        self._recorder.mark(Sent(text))
        super().sends(text)

    def _act(self, action: Any) -> str | None:
        if isinstance(action, Allow):
            self._recorder.mark(Closed(action.evse_id))
        return super()._act(action)


def recorded(recorder: Recorder, scenario: Scenario) -> int:
    """Run a scenario on the recorder; gives where in the log the running station began."""
    bench = MarkingBench(recorder, variables=VARIABLES)
    bench.database.execute("PRAGMA wal_autocheckpoint = 30")  # so that checkpoints are cut, too
    start = len(recorder.log)
    scenario(bench)
    bench.database.close()
    return start


def sampled(recorder: Recorder, start: int, most: int) -> Iterator[Image]:
    """Some of the images, the same each time."""
    return images(recorder.log, start=start, most=most)


def made_good(root: Path, marks: Sequence[Any]) -> None:
    """The oracle: the same CSMS, a new station on what the medium held, and a while later all accounts are settled."""
    csms = Csms(message_timeout_s=35.0)
    for mark in marks:
        if isinstance(mark, Sent) and mark.text.startswith("[2,"):  # the answers to its own calls died with the cut
            csms.feed(mark.text)
    csms.order.link_lost()
    bench = Bench(root, csms=csms, connected=False, boot=False, variables=VARIABLES)
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
    permitted = {mark.evse_id for mark in marks if isinstance(mark, Closed)}
    billed = {event["evse"]["id"] for events in by_id.values() for event in events if "evse" in event}
    assert permitted <= billed, f"EVSE {permitted - billed} was energised and nobody will pay"


def energy(event: dict[str, Any]) -> list[float]:
    """The last energy register of an event, if it carries one: Ended repeats the first."""
    values = [
        value["value"]
        for one in event.get("meterValue", [])
        for value in one["sampledValue"]
        if value.get("measurand", "Energy.Active.Import.Register") == "Energy.Active.Import.Register"
    ]
    return values[-1:]


def violations(recorder: Recorder, scenario: Scenario, scratch: Path, most: int = SAMPLE) -> list[str]:
    """What went wrong in which image."""
    start = recorded(recorder, scenario)
    wrong = []
    for image in sampled(recorder, start, most):
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        image.write(scratch)
        try:
            made_good(scratch, image.marks)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong after a power cut is the finding
            wrong.append(f"{image.at} {image.variant}: {type(error).__name__}: {error}")
    return wrong


@pytest.mark.req("E04.FR.01", "E04.FR.02", "E11.FR.01", "E12.FR.01", "B01.FR.08")
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_a_power_cut_at_any_write_loses_nothing(recorder: Recorder, fast: Path, scenario: Scenario) -> None:
    assert violations(recorder, scenario, fast / "image") == []


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
