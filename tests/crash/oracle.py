"""The oracle of the power cuts: a station boots from what the medium held, and all accounts must come out right.

The CSMS is the same before and after: it has seen what had left, and judges what comes by schema and order as always.
The meters are the same, too: each shows what it showed last and, where the contactor was closed, what flowed until its
lease ran out. The promise: every transaction of which anything was ever seen, and every closing of a contactor, ends up
with one Started and one Ended, seqNo without a gap, registers that never fall, and every milliwatt-hour on a bill; what
was sent twice is the same but for `offline`; what was answered with Accepted holds. In every second image the wire was
cut, too: what was not answered had not arrived.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench import Bench
from tests.crash.medium import Image, fault_of, images
from tests.crash.recorder import Recorder
from tests.crash.scenarios import (
    Answered,
    Closed,
    MarkingBench,
    Promise,
    Scenario,
    Sent,
    Showed,
    Thins,
    the_first_boot_of_all,
)
from tests.csms import Csms
from tests.properties import records
from tests.scenarios.e_transactions.story import bay

DARK_MWH = 30_000
"""What flows after the cut through a contactor that was closed."""


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


class Cut(NamedTuple):
    """How the power went. `wire`: what was not answered had not arrived. `stays`: the vehicles are still there."""

    wire: bool = False
    stays: bool = False

    @classmethod
    def number(cls, at: int) -> Cut:
        """All four, in turn."""
        return cls(wire=at % 2 == 1, stays=at % 4 < 2)


def made_good(root: Path, marks: Sequence[Any], given: Mapping[str, Any], cut: Cut) -> None:
    """The oracle: the same CSMS, a new station on what the medium held, and a while later all accounts are settled."""
    thins = any(isinstance(mark, Thins) for mark in marks)
    bench = Bench(root, csms=_csms(marks, cut, thins=thins), connected=False, boot=False, **given)
    bench.ids.count = 1_000_000  # ids of this run differ from those before the cut
    bench.mono = 50_000.0
    bench.offset += 3600 - 49_000
    bench.true_offset = bench.offset
    _set_up(bench, marks, cut)
    bench.boot()
    try:
        bench.csms.connect()
        bench.advance(minutes=2)
        for number in bench.world.numbers:
            if bench.world.evse(number).ev is not None:
                bench.evse(number).unplug()
            bay(bench, occupied=False, evse_id=number)
        bench.advance(minutes=1)
        assert bench.database.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert not bench.station.csms.queued(), "something is still queued"
        settled(bench, marks, thins=thins)
        broken = [mark.what for mark in marks if isinstance(mark, Promise) and not mark.holds(bench)]
        assert not broken, f"forgotten: {broken}"
    finally:
        bench.database.close()


def _csms(marks: Sequence[Any], cut: Cut, *, thins: bool) -> Csms:
    """It has seen what had arrived."""
    csms = Csms(message_timeout_s=35.0)
    csms.order.gaps_allowed = thins
    answered = {mark.message_id for mark in marks if isinstance(mark, Answered)}
    for mark in marks:
        if isinstance(mark, Sent) and mark.text.startswith("[2,"):  # the answers to its own calls died with the cut
            message_id, action = json.loads(mark.text)[1:3]
            if action == "BootNotification":
                csms.order.rebooted()
            if not cut.wire or message_id in answered:
                csms.feed(mark.text)
    csms.order.link_lost()
    return csms


def _set_up(bench: Bench, marks: Sequence[Any], cut: Cut) -> None:
    """The hardware as the cut left it."""
    for mark in {mark.evse_id: mark for mark in marks if isinstance(mark, Showed)}.values():
        register_mwh = mark.mwh + DARK_MWH * mark.closed
        bench.world.meter(mark.evse_id, energy_import_wh=register_mwh / 1000)
        if mark.plugged and cut.stays:
            bench.world.plug_in(mark.evse_id, mark.plugged)


def settled(bench: Bench, marks: Sequence[Any], *, thins: bool = False) -> None:
    """Every transaction that was seen is whole, every permission to charge belongs to one, all energy to some."""
    stories = records.stories(bench.csms.received("TransactionEvent"))
    billed = dict.fromkeys(bench.world.numbers, 0.0)
    for story in stories.values():
        kinds = [event["eventType"] for event in story]
        assert (kinds[0], kinds[-1]) == ("Started", "Ended"), kinds
        assert kinds.count("Started") == kinds.count("Ended") == 1, kinds
        numbers = [event["seqNo"] for event in story]
        assert numbers == (sorted(set(numbers)) if thins else list(range(len(story)))), numbers
        records.check_registers(story)
        evse = records.evse_of(story)
        if evse is not None:
            billed[evse] += records.billed_wh(story)
    permitted = {mark.transaction_id for mark in marks if isinstance(mark, Closed)} - {None}
    assert permitted <= set(stories), f"{permitted - set(stories)} was energised and nobody will pay"
    for number, wh in billed.items():
        counted = bench.evse(number).energy_wh
        assert abs(counted - wh) < 0.01, f"EVSE {number}: {wh} Wh are billed of {counted}"


class Verdict(NamedTuple):
    """`images`: how many were booted. `wrong`: what went wrong in which."""

    images: int
    wrong: list[str]


def judged(
    recorder: Recorder, scenario: Scenario, scratch: Path, given: Mapping[str, Any], most: int | None
) -> Verdict:
    """Boot `most` of the images of a scenario, or all; `given`: what the station is like."""
    count, wrong = 0, []
    for fault in faults(recorder, scenario, scratch, given, most):
        count += 1
        wrong += [fault] if fault else []
    return Verdict(count, wrong)


def faults(
    recorder: Recorder, scenario: Scenario, scratch: Path, given: Mapping[str, Any], most: int | None
) -> Iterator[str]:
    """As `judged`, image by image: what is wrong with it, or ""."""
    start = recorded(recorder, scenario, given)

    def judge(image: Image) -> None:
        made_good(scratch, image.marks, given, Cut.number(image.at))

    for image in images(recorder.log, start=start, most=most):
        fault = fault_of(image, scratch, judge)
        yield fault and f"{image.at} {image.variant}: {fault}"
