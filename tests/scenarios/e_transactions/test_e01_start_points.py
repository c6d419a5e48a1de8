"""E01: what starts a transaction, and what the first events carry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hal.api import Fault
from station.facts import PlugInserted, PowerPathChanged
from tests.bench import Bench
from tests.scenarios.e_transactions.story import CARD, OTHER_CARD, bay, bench, news, remote_start, told, values

CARD_FIRST = ("card", "plug")
PLUG_FIRST = ("plug", "card")


def act(station: Bench, what: str) -> None:
    evse = station.evse(1)
    deeds: dict[str, Callable[[], None]] = {
        "card": lambda: evse.present_token(CARD),
        "plug": evse.plug_in,
        "unplug": evse.unplug,
        "pause": lambda: evse.ev("pause"),
        "minute": lambda: station.advance(60),
        "arrive": lambda: bay(station, occupied=True),
        "leave": lambda: bay(station, occupied=False),
    }
    deeds[what]()
    station.advance(3)


CHARGING = "Updated/ChargingStateChanged/Charging"
PERIODIC = "Updated/MeterValuePeriodic/Charging"
PAUSED = "Updated/ChargingStateChanged/SuspendedEV"
LOCAL = "Ended/StopAuthorized/EVConnected +token =Local"

STORIES = [
    (
        "Authorized",
        "Authorized",
        [
            ("card", ["Started/Authorized/Idle +token"]),
            ("plug", ["Updated/CablePluggedIn/EVConnected +evse", CHARGING]),
            ("minute", [PERIODIC]),
            ("pause", [PAUSED]),
            ("card", [LOCAL]),
            ("unplug", []),
        ],
    ),
    (
        "Authorized",
        "Authorized",
        [
            ("plug", []),
            ("card", ["Started/Authorized/EVConnected +token +evse", CHARGING]),
            ("card", [LOCAL]),
            ("unplug", []),
        ],
    ),
    (
        "PowerPathClosed",
        "EVConnected,Authorized",
        [
            ("card", []),
            ("plug", ["Started/CablePluggedIn/SuspendedEVSE +token +evse", CHARGING]),
            ("minute", [PERIODIC]),
            ("pause", [PAUSED]),
            ("card", [LOCAL]),
            ("unplug", []),
        ],
    ),
    (
        "PowerPathClosed",
        "PowerPathClosed",
        [
            ("plug", []),
            ("card", ["Started/Authorized/SuspendedEVSE +token +evse", CHARGING]),
            ("unplug", ["Ended/EVCommunicationLost/Idle =EVDisconnected"]),
        ],
    ),
    (
        "EVConnected",
        "EVConnected",
        [
            ("card", []),
            ("plug", ["Started/CablePluggedIn/EVConnected +token +evse", CHARGING]),
            ("minute", [PERIODIC]),
            ("card", ["Updated/StopAuthorized/Charging +token", "Updated/ChargingStateChanged/EVConnected"]),
            ("unplug", ["Ended/EVCommunicationLost/Idle =Local"]),
        ],
    ),
    (
        "EVConnected",
        "EVConnected,Authorized",
        [
            ("plug", ["Started/CablePluggedIn/EVConnected +evse"]),
            ("card", ["Updated/Authorized/EVConnected +token", CHARGING]),
            ("card", [LOCAL]),
            ("unplug", []),
        ],
    ),
    (
        "EnergyTransfer",
        "PowerPathClosed",
        [
            ("card", []),
            ("plug", ["Started/ChargingStateChanged/Charging +token +evse"]),
            ("minute", [PERIODIC]),
            ("pause", [PAUSED]),
            ("card", [LOCAL]),
            ("unplug", []),
        ],
    ),
    (
        "ParkingBayOccupancy",
        "ParkingBayOccupancy",
        [
            ("arrive", ["Started/EVDetected/Idle"]),
            ("plug", ["Updated/CablePluggedIn/EVConnected +evse"]),
            ("card", ["Updated/Authorized/EVConnected +token", CHARGING]),
            ("card", ["Updated/StopAuthorized/Charging +token", "Updated/ChargingStateChanged/EVConnected"]),
            ("unplug", ["Updated/EVCommunicationLost/Idle"]),
            ("leave", ["Ended/EVDeparted/Idle =Local"]),
        ],
    ),
    (
        "ParkingBayOccupancy,EVConnected,Authorized",
        "ParkingBayOccupancy",
        [
            ("card", ["Started/Authorized/Idle +token"]),
            ("arrive", ["Updated/EVDetected/Idle"]),
            ("plug", ["Updated/CablePluggedIn/EVConnected +evse", CHARGING]),
        ],
    ),
]


@pytest.mark.req(
    "E01.FR.01", "E01.FR.02", "E01.FR.03", "E01.FR.05", "E01.FR.06", "E01.FR.10", "E01.FR.15", "E01.FR.16", "E01.FR.18"
)
@pytest.mark.req("E02.FR.01", "E02.FR.06", "E02.FR.15", "E02.FR.20", "E03.FR.01", "E03.FR.12", "E06.FR.15", "E06.FR.01")
@pytest.mark.parametrize("start,stop,steps", STORIES)
def test_a_session_is_told_as_its_start_and_stop_points_say(
    tmp_path: Path, start: str, stop: str, steps: list[tuple[str, list[str]]]
) -> None:
    """The worked sequences: who does what, and which events that makes."""
    station = bench(tmp_path, start, stop)
    lines = news(station)

    story = []
    for what, _ in steps:
        act(station, what)
        story.append((what, lines()))

    assert story == steps
    assert not station.evse(1).contactor_closed or steps[-1][0] != "unplug"


@pytest.mark.req("E01.FR.07", "E02.FR.07", "E03.FR.06", "E06.FR.14", "E07.FR.11")
@pytest.mark.parametrize("start,stop,steps", STORIES[:8])
def test_the_events_of_a_transaction_are_numbered_from_zero_without_gaps(
    tmp_path: Path, start: str, stop: str, steps: list[tuple[str, list[str]]]
) -> None:
    """One Started at first, one Ended at last, seqNo 0, 1, 2 ..."""
    station = bench(tmp_path, start, stop)
    for what, _ in steps:
        act(station, what)

    events = station.events()

    assert [event["seqNo"] for event in events] == list(range(len(events)))
    assert [event["eventType"] for event in events].count("Started") == 1
    assert [event["eventType"] for event in events].index("Ended") == len(events) - 1


@pytest.mark.req("E01.FR.08", "E02.FR.08")
def test_transaction_ids_do_not_repeat_across_transactions_and_restarts(tmp_path: Path) -> None:
    """A CSMS knows transactions by their id alone."""
    station = bench(tmp_path, "EVConnected", "EVConnected", evses=2)
    for _ in range(2):
        station.evse(1).plug_in()
        station.evse(2).plug_in()
        station.evse(1).unplug()
        station.evse(2).unplug()
    station.crash()
    station.evse(1).plug_in()

    ids = {event["transactionInfo"]["transactionId"] for event in station.events()}

    assert len(ids) == 5


@pytest.mark.req("E01.FR.09", "E02.FR.09", "E03.FR.07", "J02.FR.10")
@pytest.mark.parametrize("start", ["EVConnected", "PowerPathClosed", "EnergyTransfer"])
def test_started_tells_the_start_value_when_the_evse_is_known(tmp_path: Path, start: str) -> None:
    """One value with Transaction.Begin in the Started event, at its time."""
    station = bench(tmp_path, start, "EVConnected", boot=False)
    station.world.meter(1, energy_import_wh=1234.5)
    station.boot()
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(5)

    started = station.events()[0]

    assert [wh for _, wh in values(started, "Transaction.Begin")] == [pytest.approx(1234.5, abs=0.5)]
    assert not [event for event in station.events()[1:] if values(event, "Transaction.Begin")]


@pytest.mark.req("E01.FR.16", "E01.FR.17", "E02.FR.21", "E03.FR.11")
@pytest.mark.parametrize("start,first", [("Authorized", "card"), ("ParkingBayOccupancy", "arrive")])
def test_the_start_value_waits_for_the_cable_when_the_evse_is_not_known(tmp_path: Path, start: str, first: str) -> None:
    """Started by the card or the bay: the value comes with the first event that names EVSE and connector."""
    station = bench(tmp_path, start, start)
    act(station, first)
    station.evse(1).plug_in()

    started, plugged, *_ = station.events()

    assert "meterValue" not in started
    assert "evse" not in started
    assert plugged["evse"] == {"id": 1, "connectorId": 1}
    assert len(values(plugged, "Transaction.Begin")) == 1


@pytest.mark.req("E01.FR.14")
def test_a_second_connector_of_an_evse_in_use_starts_nothing(tmp_path: Path) -> None:
    """One EVSE serves one vehicle: the plug beside it is not even told."""
    station = bench(tmp_path, "EVConnected", "EVConnected", connectors=2)
    station.evse(1).plug_in(1)
    station.hardware.tell(PlugInserted(evse_id=1, at=station.now.instant, connector_id=2))
    station.advance(5)
    before = told(station)

    station.evse(1).present_token(CARD)
    station.advance(5)
    with_connectors = [event["evse"] for event in station.events() if "evse" in event]

    assert before == ["Started/CablePluggedIn/EVConnected +evse"]
    assert with_connectors == [{"id": 1, "connectorId": 1}]
    assert {event["transactionInfo"]["transactionId"] for event in station.events()} == {
        station.events()[0]["transactionInfo"]["transactionId"]
    }


@pytest.mark.req("E02.FR.18", "E03.FR.13")
def test_the_number_of_phases_is_told_once_when_energy_starts(tmp_path: Path) -> None:
    """NumberOfPhasesUsed comes with Charging, and is not repeated while it stays the same."""
    station = bench(tmp_path, "PowerPathClosed", "PowerPathClosed")
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(130)

    phases = [event.get("numberOfPhasesUsed") for event in station.events()]

    assert phases[:2] == [None, 3]
    assert set(phases[2:]) == {None}


@pytest.mark.req("E02.FR.19", "E03.FR.14")
def test_another_number_of_phases_is_told_when_it_changes(tmp_path: Path) -> None:
    """From three phases to one: an event of its own, and again not repeated."""
    station = bench(tmp_path, "PowerPathClosed", "PowerPathClosed")
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(10)
    before = len(station.events())
    station.hardware.tell(PowerPathChanged(evse_id=1, at=station.now.instant, closed=True, phases=1))
    station.advance(130)
    after = station.events()[before:]

    assert told(station)[before] == "Updated/ChargingStateChanged/Charging"
    assert [event.get("numberOfPhasesUsed") for event in after] == [1, None, None]


@pytest.mark.req("E02.FR.20")
def test_a_refused_token_tells_no_event(tmp_path: Path) -> None:
    """The running, unauthorized transaction goes on as if nobody had been there."""
    station = bench(tmp_path, "EVConnected", "EVConnected")
    station.csms.on("Authorize", {"idTokenInfo": {"status": "Blocked"}})
    station.evse(1).plug_in()

    station.evse(1).present_token(OTHER_CARD)
    station.advance(30)

    assert told(station) == ["Started/CablePluggedIn/EVConnected +evse"]
    assert not station.evse(1).contactor_closed


@pytest.mark.req("F02.FR.01", "E01.FR.15", "F01.FR.13")
@pytest.mark.parametrize(
    "start,first,lines",
    [
        (
            "EVConnected",
            "plug",
            ["Started/CablePluggedIn/EVConnected +evse", "Updated/RemoteStart/EVConnected +token +remote"],
        ),
        (
            "Authorized",
            "remote",
            ["Started/RemoteStart/Idle +token +remote", "Updated/CablePluggedIn/EVConnected +evse"],
        ),
        ("EVConnected", "remote", ["Started/RemoteStart/EVConnected +token +evse +remote"]),
        ("PowerPathClosed", "remote", ["Started/RemoteStart/SuspendedEVSE +token +evse +remote"]),
        ("EnergyTransfer", "remote", ["Started/RemoteStart/Charging +token +evse +remote"]),
    ],
)
def test_the_first_event_after_a_remote_start_says_so(tmp_path: Path, start: str, first: str, lines: list[str]) -> None:
    """RemoteStart overrules whatever else happened; remoteStartId and token come with it, once."""
    station = bench(tmp_path, start, "EVConnected,Authorized")
    if first == "plug":
        station.evse(1).plug_in()
    answer = station.csms.call("RequestStartTransaction", remote_start())
    if first == "remote":
        station.advance(5)
        station.evse(1).plug_in()
    station.advance(4)

    assert told(station)[: len(lines)] == lines
    assert sum("+remote" in line for line in told(station)) == 1
    assert sum("+token" in line for line in told(station)) == 1
    assert ("transactionId" in answer) == (first == "plug")
    assert station.evse(1).charging


@pytest.mark.req("E01.FR.02")
def test_a_station_that_finds_a_vehicle_at_boot_starts_its_transaction_when_it_is_accepted(tmp_path: Path) -> None:
    """TxBeforeAcceptedEnabled is false: nothing starts before, and what waited starts then."""
    station = bench(tmp_path, "EVConnected", "EVConnected", connected=False)
    station.evse(1).plug_in()
    station.advance(30)
    before = station.station.sessions.running()

    station.csms.connect()
    station.advance(5)

    assert before == []
    assert told(station) == ["Started/CablePluggedIn/EVConnected +evse"]


def test_with_tx_before_accepted_enabled_a_transaction_starts_unregistered_and_is_told_later(tmp_path: Path) -> None:
    """TxCtrlr.TxBeforeAcceptedEnabled: queued, and told as offline."""
    enabled = {"TxCtrlr.TxBeforeAcceptedEnabled": "true"}
    station = bench(tmp_path, "EVConnected", "EVConnected", connected=False, variables=enabled)
    station.evse(1).plug_in()
    station.advance(30)

    station.csms.connect()
    station.advance(5)

    assert told(station)[0] == "Started/CablePluggedIn/EVConnected +evse"
    assert station.events()[0]["offline"] is True


def test_nothing_starts_on_a_faulted_evse_until_the_fault_is_gone(tmp_path: Path) -> None:
    """The plug went in while the EVSE was faulted: the transaction starts when it may."""
    station = bench(tmp_path, "EVConnected", "EVConnected")
    station.evse(1).fault(Fault.OVER_TEMPERATURE)
    station.evse(1).plug_in()
    station.advance(5)
    before = told(station)

    station.evse(1).fault(Fault.OVER_TEMPERATURE, on=False)
    station.advance(5)

    assert before == []
    assert told(station) == ["Started/CablePluggedIn/EVConnected +evse"]


@pytest.mark.req("E03.FR.01", "E01.FR.10")
@pytest.mark.parametrize(
    "start,first",
    [
        ("EVConnected", "Started/CablePluggedIn/EVConnected +token +evse"),
        ("PowerPathClosed", "Started/CablePluggedIn/SuspendedEVSE +token +evse"),
        ("EnergyTransfer", "Started/ChargingStateChanged/Charging +token +evse"),
    ],
)
def test_a_card_at_a_reader_of_several_evses_is_in_the_first_event(tmp_path: Path, start: str, first: str) -> None:
    """The plug shows which EVSE the driver meant; from then on all is as at a reader of one."""
    station = bench(tmp_path, start, "EVConnected", evses=2)
    lines = news(station)
    station.swipe(CARD)
    station.evse(2).plug_in()
    station.advance(5)
    told = lines()

    assert told[0] == first
    assert not any("+token" in line for line in told[1:])
    assert station.events()[0]["evse"] == {"id": 2, "connectorId": 1}
    assert station.evse(2).charging
