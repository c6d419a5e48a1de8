"""Whatever people, vehicles, faults and limits do, in whatever order: the bill is right, nobody charges unasked."""

from __future__ import annotations

import functools
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hal.api import Fault
from station.facts import LimitChanged
from station.state.limits import Limit
from tests.bench import Bench
from tests.scenarios.e_transactions.story import CARD, OTHER_CARD, bench, invalid, remote_start, values

POINTS = [
    ("PowerPathClosed", "EVConnected,Authorized"),
    ("EVConnected", "EVConnected"),
    ("EVConnected", "PowerPathClosed"),
    ("Authorized", "EVConnected,Authorized"),
    ("Authorized", "EVConnected"),
    ("EnergyTransfer", "PowerPathClosed"),
    ("EVConnected,Authorized", "EVConnected,EnergyTransfer"),
]
"""Combinations that no vehicle can leave without ending its transaction."""

FAULTS = [Fault.OVER_TEMPERATURE, Fault.GROUND_FAULT, Fault.INTERNAL]


def limit(station: Bench, amperes: float | None) -> None:
    station.station.limits.set(1, None if amperes is None else Limit(amperes))
    station.hardware.tell(LimitChanged(evse_id=1))
    station.settle()


def plug_in(station: Bench) -> None:
    if station.world.evse(1).ev is None:
        station.evse(1).plug_in()


def unplug(station: Bench) -> None:
    if station.world.evse(1).ev is not None:
        station.evse(1).unplug()


def wish(station: Bench, state: str) -> None:
    if station.world.evse(1).ev is not None:
        station.evse(1).ev(state)


def remotely_stop(station: Bench) -> None:
    for session in station.station.sessions.running():
        if station.csms.connected:
            station.csms.call("RequestStopTransaction", {"transactionId": session.transaction_id})


def remotely_start(station: Bench) -> None:
    if station.csms.connected:
        station.csms.call("RequestStartTransaction", remote_start())


def break_down(station: Bench, *, fault: Fault, on: bool = True) -> None:
    station.evse(1).fault(fault, on=on)


def link(station: Bench, *, up: bool) -> None:
    if station.csms.connected != up:
        (station.csms.connect if up else station.csms.disconnect)()


DEEDS: dict[str, Callable[[Bench], Any]] = {
    "plug": plug_in,
    "unplug": unplug,
    "card": lambda station: station.evse(1).present_token(CARD),
    "other card": lambda station: station.evse(1).present_token(OTHER_CARD),
    "pause": lambda station: wish(station, "pause"),
    "charge": lambda station: wish(station, "charge"),
    "limit 0": lambda station: limit(station, 0.0),
    "limit 10": lambda station: limit(station, 10.0),
    "no limit": lambda station: limit(station, None),
    "remote start": remotely_start,
    "remote stop": remotely_stop,
    "offline": lambda station: link(station, up=False),
    "online": lambda station: link(station, up=True),
    "invalid": lambda station: station.csms.on("TransactionEvent", invalid()),
    "valid": lambda station: station.csms.default("TransactionEvent"),
    "power cut": lambda station: station.crash(down_s=3.0),
    "a second": lambda station: station.advance(1),
    "a minute": lambda station: station.advance(61),
}
DEEDS |= {f"fault {fault.value}": functools.partial(break_down, fault=fault) for fault in FAULTS}
DEEDS |= {f"mended {fault.value}": functools.partial(break_down, fault=fault, on=False) for fault in FAULTS}


def nobody_charges_unasked(station: Bench) -> None:
    """A closed contactor belongs to an authorized session whose start register is in the table."""
    if station.evse(1).contactor_closed:
        session = station.station.sessions.get(1)
        assert session.authorized
        assert session.secured
        row = station.database.execute("SELECT count(*) FROM session WHERE evse_id = 1").fetchone()
        assert row == (1,)


def everybody_leaves(station: Bench) -> None:
    """Everything is mended and connected, the vehicle drives away, and nobody comes for a while."""
    for fault in FAULTS:
        station.evse(1).fault(fault, on=False)
    link(station, up=True)
    unplug(station)
    station.advance(minutes=5)


def the_bill_is_right(station: Bench) -> None:
    """Each transaction: one Started, numbers without gaps, one Ended at last, registers and times that never fall."""
    events = defaultdict(list)
    for event in station.events():
        events[event["transactionInfo"]["transactionId"]].append(event)
    for story in events.values():
        kinds = [event["eventType"] for event in story]
        assert kinds == ["Started", *["Updated"] * (len(story) - 2), "Ended"]
        assert [event["seqNo"] for event in story] == list(range(len(story)))
        assert [event["timestamp"] for event in story] == sorted(event["timestamp"] for event in story)
        registers = [wh for event in story[:-1] for context in RUNNING for _, wh in values(event, context)]
        registers += [wh for _, wh in values(story[-1], "Transaction.End")]
        assert registers == sorted(registers)
        for once in ("reservationId",):
            assert sum(once in event for event in story) <= 1
        assert sum("remoteStartId" in event["transactionInfo"] for event in story) <= sum(
            event["triggerReason"] == "RemoteStart" for event in story
        )
        assert [event for event in story if "stoppedReason" in event["transactionInfo"]] == story[-1:]


RUNNING = ("Transaction.Begin", "Sample.Periodic")


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(points=st.sampled_from(POINTS), deeds=st.lists(st.sampled_from(sorted(DEEDS)), min_size=3, max_size=25))
def test_any_order_of_events_makes_whole_transactions(points: tuple[str, str], deeds: list[str]) -> None:
    """Exactly one Started and one Ended, contiguous seqNo, monotonic energy, no energy without authorization."""
    with tempfile.TemporaryDirectory() as path:
        station = bench(Path(path), *points, variables={"AuthCtrlr.OfflineTxForUnknownIdEnabled": "true"})
        for deed in deeds:
            DEEDS[deed](station)
            nobody_charges_unasked(station)
        everybody_leaves(station)
        nobody_charges_unasked(station)
        the_bill_is_right(station)
        assert station.station.sessions.running() == []
        station.station.db.connection.close()


def test_the_energy_told_is_the_energy_delivered(tmp_path: Path) -> None:
    """Several sessions, with pauses, a limit and a restart between them: the bills add up to the meter."""
    station = bench(tmp_path, "PowerPathClosed", "EVConnected,Authorized")
    for _ in range(4):
        plug_in(station)
        station.evse(1).present_token(CARD)
        station.advance(137)
        limit(station, 0.0)
        station.advance(11)
        limit(station, 13.0)
        station.advance(59)
        station.evse(1).present_token(CARD)
        station.advance(3)
        unplug(station)
        station.advance(10)
    total = 0.0
    for event in station.events():
        if event["eventType"] == "Ended":
            (_, begin), (_, end) = values(event, "Transaction.Begin")[0], values(event, "Transaction.End")[0]
            total += end - begin

    assert total == pytest.approx(station.evse(1).energy_wh, abs=0.01)
