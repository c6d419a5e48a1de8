"""G01: the status of each connector, told when it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from hal.api import Fault
from station.blocks.authorization.words import WORDS
from tests.bench import Bench
from tests.scenarios.variables import get

CARD = "04AABBCC"


def told(bench: Bench) -> list[tuple[int, int, str]]:
    return [(s["evseId"], s["connectorId"], s["connectorStatus"]) for s in bench.csms.received("StatusNotification")]


@pytest.mark.req("G01.FR.01", "G01.FR.03", "G01.FR.04", "E02.FR.05")
def test_a_connector_is_occupied_while_a_vehicle_is_there(bench: Bench) -> None:
    bench.csms.forget()

    bench.evse(1).plug_in()
    bench.advance(minutes=5)
    bench.evse(1).unplug()

    assert told(bench) == [(1, 1, "Occupied"), (1, 1, "Available")]


@pytest.mark.req("G01.FR.08")
def test_the_other_connector_of_the_evse_is_not_told(tmp_path: Path) -> None:
    """It cannot be used, but it is no other than before; the EVSE as a whole is Occupied."""
    bench = Bench(tmp_path, connectors=2)
    bench.csms.forget()

    bench.evse(1).plug_in(2)

    assert told(bench) == [(1, 2, "Occupied")]
    assert get(bench, "EVSE.AvailabilityState", evse=1) == "Occupied"
    assert get(bench, "Connector.AvailabilityState", evse=1, connector=1) == "Available"


def statuses(bench: Bench) -> list[tuple[int, int, str]]:
    """What NotifyEvent has told of connectors."""
    events = [event for message in bench.csms.received("NotifyEvent") for event in message["eventData"]]
    assert all(event["trigger"] == "Delta" and event["variable"]["name"] == "AvailabilityState" for event in events)
    places = [event["component"]["evse"] for event in events if event["component"]["name"] == "Connector"]
    return [(at["id"], at["connectorId"], event["actualValue"]) for at, event in zip(places, events, strict=True)]


@pytest.mark.req("G01.FR.01", "G01.FR.03", "G01.FR.04", "B04.FR.02")
def test_a_station_may_tell_its_status_by_events(tmp_path: Path) -> None:
    """From the first acceptance on; what changed while the link was down once it is up, and nothing else."""
    bench = Bench(tmp_path, status_by_event=True)
    assert sorted(statuses(bench)) == [(1, 1, "Available"), (2, 1, "Available")]
    bench.csms.forget()

    bench.evse(1).plug_in()
    bench.csms.disconnect()
    bench.advance(seconds=20)
    bench.evse(1).unplug()
    bench.csms.connect()

    assert statuses(bench) == [(1, 1, "Occupied"), (1, 1, "Available")]
    assert told(bench) == []
    trigger = {"requestedMessage": "StatusNotification", "evse": {"id": 2, "connectorId": 1}}
    assert bench.csms.call("TriggerMessage", trigger)["status"] == "Accepted"
    assert told(bench) == [(2, 1, "Available")]


def test_the_time_is_that_of_the_change(bench: Bench) -> None:
    """Told later, it still says when it happened."""
    bench.csms.disconnect()
    bench.advance(minutes=1)
    bench.evse(1).plug_in()
    plugged = bench.utc
    bench.advance(minutes=30)
    bench.csms.forget()

    bench.csms.connect()

    (occupied,) = [s for s in bench.csms.received("StatusNotification") if s["evseId"] == 1]
    assert occupied["timestamp"] == plugged.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.req("G01.FR.01")
def test_a_fault_is_told_before_everything_else(bench: Bench) -> None:
    """Faulted comes before Occupied; mended, the connector is what its plug says."""
    bench.evse(1).plug_in()
    bench.csms.forget()

    bench.evse(1).fault(Fault.RCD)
    bench.advance(seconds=10)
    bench.evse(1).fault(Fault.RCD, on=False)
    bench.advance(seconds=10)

    assert told(bench) == [(1, 1, "Faulted"), (1, 1, "Occupied")]


@pytest.mark.req("G05.FR.01")
def test_where_the_lock_jams_nobody_charges(tmp_path: Path) -> None:
    """The device model tells which lock it is; the connector is not Faulted for it."""
    bench = Bench(tmp_path, lock=True)
    bench.world.jam_lock(1)

    bench.evse(1).plug_in()
    bench.evse(1).present_token(CARD)
    bench.advance(seconds=30)

    assert get(bench, "ConnectorPlugRetentionLock.Problem", evse=1, connector=1) == "true"
    assert not bench.evse(1).charging


@pytest.mark.req("G05.FR.04")
def test_the_driver_is_told_that_the_lock_does_not_move(tmp_path: Path) -> None:
    """Once for each time that it jams."""
    bench = Bench(tmp_path, lock=True)
    bench.world.jam_lock(1)
    bench.evse(1).plug_in()
    bench.evse(1).present_token(CARD)
    bench.advance(minutes=2)

    assert bench.shown.count(WORDS["en"]["lock"]) == 1


@pytest.mark.req("G01.FR.01")
def test_until_the_hardware_has_spoken_a_connector_is_unavailable(tmp_path: Path) -> None:
    """What is not known is not told as Available; then comes the truth."""
    bench = Bench(tmp_path, boot=False)
    bench.world.plug_in(1, 1)
    bench.world.lose("board")

    bench.boot()
    assert {status for _, _, status in told(bench)} == {"Unavailable"}

    bench.csms.forget()
    bench.world.lose("board", on=False)
    bench.found_board()
    bench.settle()
    assert told(bench) == [(1, 1, "Occupied"), (2, 1, "Available")]


def test_without_its_board_an_evse_is_faulted(bench: Bench) -> None:
    """And available again when the board has told its state."""
    bench.csms.forget()

    bench.hardware.lost("board", "silent", bench.mono)
    bench.settle()
    assert told(bench) == [(1, 1, "Faulted"), (2, 1, "Faulted")]
    assert get(bench, "ChargingStation.Problem") == "true"

    bench.csms.forget()
    bench.found_board()
    bench.settle()
    assert told(bench) == [(1, 1, "Available"), (2, 1, "Available")]


@pytest.mark.req("G01.FR.01", "G01.FR.04", "E10.FR.01")
def test_a_cable_that_the_lock_still_holds_keeps_its_connector_occupied(tmp_path: Path) -> None:
    """Pulled off the vehicle it fills the socket until its owner has it released, whatever happens in between."""
    variables = {"TxCtrlr.StopTxOnEVSideDisconnect": "true", "OCPPCommCtrlr.UnlockOnEVSideDisconnect": "false"}
    bench = Bench(tmp_path, lock=True, variables=variables)
    bench.evse(1).plug_in()
    bench.evse(1).present_token(CARD)
    bench.advance(minutes=1)
    bench.csms.forget()

    bench.evse(1).unplug()
    bench.advance(minutes=1)
    assert told(bench) == []

    bench.crash()
    bench.advance(minutes=1)
    assert sorted(told(bench)) == [(1, 1, "Occupied"), (2, 1, "Available")]

    bench.evse(1).present_token(CARD)
    bench.advance(minutes=1)
    assert told(bench)[-1] == (1, 1, "Available")
