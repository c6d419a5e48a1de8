"""What the lamp of an EVSE shows in the course of a day."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hal.api import Fault, Indication
from tests.bench import Bench
from tests.scenarios.profiles import CARD, limit, put


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Two EVSEs."""
    return Bench(tmp_path)


def test_a_session_from_green_to_green(bench: Bench) -> None:
    """Free, plugged in, charging, full, unplugged; the other EVSE stays as it is."""
    assert bench.lamps == {1: Indication.AVAILABLE, 2: Indication.AVAILABLE}
    evse, seen = bench.evse(1), []
    happenings: list[Callable[[], None]] = [
        evse.plug_in,
        lambda: evse.present_token(CARD),
        lambda: evse.ev("pause"),
        lambda: evse.present_token(CARD),
        evse.unplug,
    ]
    for happens in happenings:
        happens()
        bench.advance(15)
        seen.append(bench.lamps[1])

    assert seen == [
        *(Indication.OCCUPIED, Indication.CHARGING, Indication.SUSPENDED),
        *(Indication.OCCUPIED, Indication.AVAILABLE),
    ]
    assert bench.lamps[2] is Indication.AVAILABLE


def test_a_limit_of_nothing_suspends_and_a_fault_is_red(bench: Bench) -> None:
    """Before all else."""
    bench.evse(1).plug_in()
    bench.evse(1).present_token(CARD)
    bench.advance(15)

    put(bench, limit(0))
    bench.advance(15)
    assert bench.lamps[1] is Indication.SUSPENDED
    bench.evse(1).fault(Fault.GROUND_FAULT)
    bench.advance(15)
    assert bench.lamps == {1: Indication.FAULTED, 2: Indication.AVAILABLE}


def test_what_is_out_of_service_or_kept_for_somebody_looks_so(bench: Bench) -> None:
    """And when the lamps are lit is not forgotten by a restart."""
    order = {"operationalStatus": "Inoperative", "evse": {"id": 1}}
    assert bench.csms.call("ChangeAvailability", order)["status"] == "Accepted"
    until = bench.true_utc.replace(year=bench.true_utc.year + 1).isoformat()
    wish = {"id": 1, "evseId": 2, "expiryDateTime": until, "idToken": {"idToken": CARD, "type": "ISO14443"}}
    assert bench.csms.call("ReserveNow", wish)["status"] == "Accepted"
    bench.advance(1)
    assert bench.lamps == {1: Indication.UNAVAILABLE, 2: Indication.RESERVED}

    bench.lamps.clear()
    bench.crash()
    bench.advance(30)
    assert bench.lamps == {1: Indication.UNAVAILABLE, 2: Indication.RESERVED}


def test_what_looks_the_same_is_not_said_again(bench: Bench) -> None:
    """No lamp is written without need."""
    bench.evse(1).plug_in()
    bench.evse(1).present_token(CARD)
    bench.advance(15)

    bench.lamps.clear()
    bench.advance(600)

    assert bench.lamps == {}
