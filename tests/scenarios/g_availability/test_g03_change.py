"""G03, G04: the CSMS takes a connector, an EVSE or the station out of service, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hal.api import Fault
from tests.bench import Bench

CARD = "04AABBCC"
ON, OFF = "Operative", "Inoperative"
ALL = {(evse, connector) for evse in (1, 2) for connector in (1, 2)}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Two EVSEs with two connectors each."""
    bench = Bench(tmp_path, connectors=2)
    bench.csms.forget()
    return bench


def change(bench: Bench, to: str, evse: int | None = None, connector: int | None = None) -> str:
    request: dict[str, Any] = {"operationalStatus": to}
    if evse is not None:
        request["evse"] = {"id": evse} | ({"connectorId": connector} if connector is not None else {})
    return str(bench.csms.call("ChangeAvailability", request)["status"])


def told(bench: Bench) -> dict[tuple[int, int], str]:
    """The last status told of each connector since the log was emptied."""
    return {(s["evseId"], s["connectorId"]): s["connectorStatus"] for s in bench.csms.received("StatusNotification")}


def charge(bench: Bench, evse: int = 1) -> None:
    bench.evse(evse).plug_in()
    bench.evse(evse).present_token(CARD)
    bench.advance(seconds=30)
    assert bench.evse(evse).charging
    bench.csms.forget()


PARTS = [(None, None, ALL), (1, None, {(1, 1), (1, 2)}), (1, 2, {(1, 2)})]


@pytest.mark.parametrize("evse, connector, concerned", PARTS)
@pytest.mark.req(
    "G01.FR.07",
    "G03.FR.01",
    "G03.FR.02",
    "G03.FR.04",
    "G03.FR.06",
    "G04.FR.01",
    "G04.FR.02",
    "G04.FR.03",
    "G04.FR.05",
    "G04.FR.07",
)
def test_each_connector_concerned_is_told(
    bench: Bench, evse: int | None, connector: int | None, concerned: set[tuple[int, int]]
) -> None:
    """And no other: the whole station, an EVSE, or one connector."""
    assert change(bench, OFF, evse, connector) == "Accepted"
    assert told(bench) == dict.fromkeys(concerned, "Unavailable")

    bench.csms.forget()
    assert change(bench, ON, evse, connector) == "Accepted"
    assert told(bench) == dict.fromkeys(concerned, "Available")


@pytest.mark.req("G03.FR.07", "G04.FR.08")
def test_each_level_keeps_its_own_state(bench: Bench) -> None:
    """What was out of service by itself stays so when the whole comes back."""
    change(bench, OFF, 1, 1)
    change(bench, OFF, 1)
    change(bench, OFF)
    bench.csms.forget()

    change(bench, ON)
    assert told(bench) == {(2, 1): "Available", (2, 2): "Available"}

    change(bench, ON, 1)
    assert told(bench)[1, 2] == "Available"
    assert (1, 1) not in told(bench)

    change(bench, ON, 1, 1)
    assert told(bench)[1, 1] == "Available"


@pytest.mark.parametrize("evse, connector, concerned", PARTS)
@pytest.mark.req("G03.FR.03", "G04.FR.04")
@pytest.mark.parametrize("to", [ON, OFF])
def test_a_change_to_what_is_already_so_is_accepted(
    bench: Bench, to: str, evse: int | None, connector: int | None, concerned: set[tuple[int, int]]
) -> None:
    """The state is told again, for a CSMS may wait for it."""
    change(bench, to, evse, connector)
    bench.csms.forget()

    assert change(bench, to, evse, connector) == "Accepted"
    assert told(bench) == dict.fromkeys(concerned, "Available" if to == ON else "Unavailable")


@pytest.mark.parametrize("evse, connector, concerned", PARTS)
@pytest.mark.req("B01.FR.07", "G01.FR.02", "G03.FR.08", "G04.FR.09")
def test_the_order_survives_a_power_cut(
    bench: Bench, evse: int | None, connector: int | None, concerned: set[tuple[int, int]]
) -> None:
    change(bench, OFF, evse, connector)

    bench.crash()

    assert told(bench) == {place: "Unavailable" if place in concerned else "Available" for place in ALL}


@pytest.mark.req("G03.FR.05", "G04.FR.06")
@pytest.mark.parametrize("evse, connector", [(None, None), (1, None), (1, 1)])
def test_a_running_transaction_is_finished_first(bench: Bench, evse: int | None, connector: int | None) -> None:
    """Scheduled; Unavailable when the transaction ends, though the cable is still plugged in."""
    charge(bench)

    assert change(bench, OFF, evse, connector) == "Scheduled"
    bench.advance(minutes=10)
    assert bench.evse(1).charging
    assert (1, 1) not in told(bench)

    bench.evse(1).present_token(CARD)
    bench.advance(seconds=10)
    assert bench.events()[-1]["eventType"] == "Ended"
    assert told(bench)[1, 1] == "Unavailable"


@pytest.mark.req("G04.FR.06", "G04.FR.07")
def test_what_is_free_becomes_unavailable_at_once(bench: Bench) -> None:
    charge(bench)

    change(bench, OFF)

    assert told(bench) == {(1, 2): "Unavailable", (2, 1): "Unavailable", (2, 2): "Unavailable"}


@pytest.mark.req("G03.FR.05")
def test_the_connector_beside_the_busy_one_does_not_wait(bench: Bench) -> None:
    charge(bench)

    assert change(bench, OFF, 1, 2) == "Accepted"
    assert told(bench) == {(1, 2): "Unavailable"}


@pytest.mark.req("G01.FR.05")
def test_a_vehicle_that_leaves_a_connector_out_of_service_leaves_it_unavailable(tmp_path: Path) -> None:
    """The transaction ends with the plug; not a moment Available is told."""
    bench = Bench(tmp_path, variables={"TxCtrlr.TxStopPoint": "EVConnected"})
    charge(bench)
    change(bench, OFF, 1)

    bench.evse(1).unplug()
    bench.advance(seconds=10)

    assert [each["connectorStatus"] for each in bench.csms.received("StatusNotification")] == ["Unavailable"]


def test_an_order_that_waits_can_be_taken_back(bench: Bench) -> None:
    charge(bench)
    assert change(bench, OFF, 1) == "Scheduled"

    assert change(bench, ON, 1) == "Accepted"

    bench.evse(1).present_token(CARD)
    bench.advance(seconds=10)
    assert (1, 1) not in told(bench) or told(bench)[1, 1] == "Occupied"


def test_the_same_order_twice_still_waits(bench: Bench) -> None:
    """It is not done yet, so it is not Accepted."""
    charge(bench)

    assert [change(bench, OFF, 1), change(bench, OFF, 1)] == ["Scheduled", "Scheduled"]


@pytest.mark.req("G03.FR.08", "G03.FR.05")
def test_an_order_that_waits_survives_a_power_cut(bench: Bench) -> None:
    """The transaction is over then, and the EVSE out of service."""
    charge(bench)
    change(bench, OFF, 1)

    bench.crash()
    bench.advance(seconds=10)

    assert told(bench)[1, 1] == "Unavailable"


@pytest.mark.req("G03.FR.06", "G04.FR.07")
def test_a_broken_evse_stays_faulted(bench: Bench) -> None:
    """Operative means: not Faulted."""
    bench.evse(1).fault(Fault.RCD)
    bench.csms.forget()

    change(bench, OFF)
    assert (1, 1) not in told(bench)

    bench.evse(1).fault(Fault.RCD, on=False)
    bench.advance(seconds=5)
    assert told(bench)[1, 1] == "Unavailable"


@pytest.mark.parametrize("evse, connector, reason", [(9, None, "UnknownEvse"), (1, 9, "UnknownConnectorId")])
@pytest.mark.req("G03.FR.02")
def test_an_unknown_part_is_rejected(bench: Bench, evse: int, connector: int | None, reason: str) -> None:
    request = {"id": evse} | ({"connectorId": connector} if connector else {})

    answer = bench.csms.call("ChangeAvailability", {"operationalStatus": "Inoperative", "evse": request})

    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", reason)
    assert told(bench) == {}


@pytest.mark.req("G03.FR.06")
def test_nobody_charges_where_it_is_out_of_service(bench: Bench) -> None:
    """Neither with a card nor from afar."""
    change(bench, OFF, 1)
    start = {"remoteStartId": 1, "evseId": 1, "idToken": {"idToken": CARD, "type": "ISO14443"}}

    bench.evse(1).plug_in()
    bench.evse(1).present_token(CARD)
    remote = bench.csms.call("RequestStartTransaction", start)
    bench.advance(minutes=1)

    assert remote["status"] == "Rejected"
    assert bench.events() == []
    assert not bench.evse(1).contactor_closed
