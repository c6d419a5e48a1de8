"""H01: what can be reserved, what is kept for it, and what becomes of it when an EVSE goes out of service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from device_model.build import ConnectorLayout, EvseLayout
from hal.api import Fault
from tests.bench import MEASURANDS, Bench
from tests.scenarios.e_transactions.story import bay
from tests.scenarios.e_transactions.story import bench as station
from tests.scenarios.reservations import CARD, HOUR_S, OTHER_CARD, reserve, statuses, token, updates
from tests.scenarios.variables import get, put

THIRD_CARD = "04333333"


def of_types(*evses: tuple[str, ...]) -> dict[str, Any]:
    """A layout: for each EVSE the types of its connectors."""
    return {
        "evses": tuple(
            EvseLayout(
                connectors=tuple(ConnectorLayout(type=each, max_current_a=32.0) for each in types),
                measurands=MEASURANDS,
            )
            for types in evses
        )
    }


def shown(bench: Bench) -> list[str]:
    """The status of each connector, as the device model says it."""
    return [
        get(bench, "Connector.AvailabilityState", evse=evse, connector=connector)
        for evse, connector in bench.station.connectors.places()
    ]


@pytest.mark.req("H01.FR.03", "H01.FR.23")
def test_the_answer_comes_before_the_statuses_of_all_connectors(tmp_path: Path) -> None:
    bench = Bench(tmp_path, connectors=2)
    bench.csms.forget()

    assert reserve(bench, evseId=1) == "Accepted"

    assert statuses(bench) == {(1, 1): "Reserved", (1, 2): "Reserved"}
    assert next((f.by, f.action) for f in bench.csms.log if f.by == "station") == ("station", "ReserveNow")
    assert get(bench, "EVSE.AvailabilityState", evse=1) == "Reserved"
    assert get(bench, "ChargingStation.AvailabilityState") == "Available"


@pytest.mark.req("H01.FR.02")
def test_a_reservation_moves_to_another_evse(bench: Bench) -> None:
    """The one that was reserved before is free again."""
    reserve(bench, evseId=1)
    bench.csms.forget()

    assert reserve(bench, evseId=2) == "Accepted"

    assert statuses(bench) == {(1, 1): "Available", (2, 1): "Reserved"}
    bench.evse(1).plug_in()
    bench.evse(1).present_token(OTHER_CARD)
    bench.advance(10)
    assert bench.evse(1).charging


@pytest.mark.req("H01.FR.02", "H01.FR.11")
def test_what_cannot_be_replaced_stays_as_it_was(bench: Bench) -> None:
    reserve(bench, 1, evseId=1)
    bench.evse(2).plug_in()

    assert reserve(bench, 1, OTHER_CARD, evseId=2) == "Occupied"

    bench.csms.forget()
    bench.evse(1).present_token(CARD)
    assert statuses(bench) == {(1, 1): "Available"}


@pytest.mark.req("H01.FR.12", "H01.FR.14")
@pytest.mark.parametrize("named", [True, False])
def test_what_is_broken_or_out_of_service_is_told_as_such(tmp_path: Path, named: bool) -> None:  # noqa: FBT001 - a case
    bench = Bench(tmp_path, evses=2)
    where: dict[str, Any] = {"evseId": 1} if named else {}
    for evse in (1,) if named else (1, 2):
        bench.evse(evse).fault(Fault.RCD)
    assert reserve(bench, **where) == "Faulted"

    bench.evse(1).fault(Fault.RCD, on=False)
    bench.csms.call("ChangeAvailability", {"operationalStatus": "Inoperative", "evse": {"id": 1}})
    assert reserve(bench, **where) == "Unavailable"

    bench.csms.call("ChangeAvailability", {"operationalStatus": "Operative", "evse": {"id": 1}})
    assert reserve(bench, **where) == "Accepted"


def test_of_different_obstacles_the_one_that_passes_first_is_told(bench: Bench) -> None:
    bench.evse(1).fault(Fault.RCD)
    bench.evse(2).plug_in()

    assert reserve(bench) == "Occupied"


@pytest.mark.req("H01.FR.11")
def test_a_transaction_without_a_cable_occupies_its_evse(tmp_path: Path) -> None:
    """A vehicle stands in the bay: nobody else gets there, though the connector is Available."""
    bench = station(tmp_path, "ParkingBayOccupancy", "ParkingBayOccupancy", evses=1)
    bay(bench, occupied=True)

    assert reserve(bench, evseId=1) == "Occupied"


@pytest.mark.parametrize(
    "request_, code",
    [
        ({"evseId": 9}, "UnknownEvse"),
        ({"evseId": 0}, "UnknownEvse"),
        ({"connectorType": "cG105"}, "UnknownConnectorType"),
        ({"evseId": 1, "connectorType": "cG105"}, "UnknownConnectorType"),
        ({"expires_s": 0.0}, "InvalidValue"),
    ],
)
def test_what_makes_no_sense_is_rejected_with_its_reason(bench: Bench, request_: dict[str, Any], code: str) -> None:
    assert reserve(bench, **request_) == "Rejected"

    answer = next(f.content for f in reversed(bench.csms.log) if f.kind == "CALLRESULT")
    assert answer["statusInfo"]["reasonCode"] == code
    assert not bench.station.reservations.exist


@pytest.mark.req("H01.FR.07", "H01.FR.20")
def test_of_two_evses_one_is_kept_for_whoever_reserved_any(bench: Bench) -> None:
    """Who comes first chooses; then the other one is Reserved, until he is gone."""
    reserve(bench)
    bench.csms.forget()

    bench.evse(1).plug_in()
    assert statuses(bench) == {(1, 1): "Occupied", (2, 1): "Reserved"}

    bench.evse(1).present_token(OTHER_CARD)
    bench.advance(10)
    assert bench.evse(1).charging

    bench.evse(2).plug_in()
    bench.evse(2).present_token(THIRD_CARD)
    bench.advance(10)
    assert not bench.evse(2).charging
    assert shown(bench) == ["Occupied", "Reserved"]

    bench.evse(2).present_token(CARD)
    bench.advance(10)
    assert bench.evse(2).charging
    assert shown(bench) == ["Occupied", "Occupied"]


@pytest.mark.req("H01.FR.07")
def test_also_a_driver_who_has_not_plugged_in_yet_takes_one(bench: Bench) -> None:
    reserve(bench)
    bench.csms.forget()

    bench.evse(1).present_token(OTHER_CARD)

    assert statuses(bench) == {(2, 1): "Reserved"}
    bench.advance(minutes=5)  # EVConnectionTimeOut
    assert statuses(bench) == {(2, 1): "Available"}


@pytest.mark.req("H01.FR.06", "H01.FR.09", "H01.FR.24")
def test_a_type_of_connector_is_kept_even_from_those_who_reserved_any(tmp_path: Path) -> None:
    """The only EVSE with a G105 is Reserved with all its connectors; another one will do for the other driver."""
    bench = Bench(tmp_path, layout=of_types(("cCCS2", "cG105"), ("cCCS2", "cCCS2")))
    bench.csms.forget()

    assert reserve(bench, 1, CARD, connectorType="cG105") == "Accepted"
    assert statuses(bench) == {(1, 1): "Reserved", (1, 2): "Reserved"}
    assert reserve(bench, 2, OTHER_CARD) == "Accepted"
    assert shown(bench) == ["Reserved"] * 4
    assert reserve(bench, 3, THIRD_CARD, connectorType="cCCS2") == "Occupied"

    bench.evse(1).present_token(OTHER_CARD)
    assert shown(bench) == ["Reserved"] * 4
    bench.evse(2).present_token(OTHER_CARD)
    assert shown(bench) == ["Reserved", "Reserved", "Available", "Available"]


@pytest.mark.req("H01.FR.11", "H01.FR.07")
def test_an_evse_that_is_needed_for_another_cannot_be_reserved_by_name(bench: Bench) -> None:
    reserve(bench, 1)
    reserve(bench, 2, OTHER_CARD)

    assert reserve(bench, 3, THIRD_CARD, evseId=1) == "Occupied"


@pytest.mark.req("H01.FR.16")
def test_a_fault_ends_a_reservation(bench: Bench) -> None:
    """It stays so, though the fault passes."""
    reserve(bench, 5, evseId=1)
    bench.csms.forget()

    bench.evse(1).fault(Fault.RCD)
    bench.evse(1).fault(Fault.RCD, on=False)

    assert updates(bench) == [(5, "Removed")]
    assert statuses(bench) == {(1, 1): "Available"}


@pytest.mark.req("H01.FR.16", "H01.FR.17")
def test_of_those_who_reserved_any_the_last_one_loses_it(bench: Bench) -> None:
    """The earlier reservation can still be kept."""
    reserve(bench, 5)
    reserve(bench, 6, OTHER_CARD)
    bench.csms.forget()

    bench.evse(1).fault(Fault.RCD)
    assert updates(bench) == [(6, "Removed")]
    assert shown(bench) == ["Faulted", "Reserved"]

    bench.csms.call("ChangeAvailability", {"operationalStatus": "Inoperative"})
    assert updates(bench) == [(6, "Removed"), (5, "Removed")]


@pytest.mark.req("H01.FR.17")
def test_one_connector_less_ends_only_the_reservation_of_its_type(tmp_path: Path) -> None:
    bench = Bench(tmp_path, layout=of_types(("cCCS2", "cG105"), ("cCCS2", "cG105")))
    reserve(bench, 1, CARD, evseId=1, connectorType="cG105")
    reserve(bench, 2, OTHER_CARD, evseId=2, connectorType="cCCS2")

    for evse in (1, 2):
        out = {"operationalStatus": "Inoperative", "evse": {"id": evse, "connectorId": 2}}
        assert bench.csms.call("ChangeAvailability", out) == {"status": "Accepted"}

    assert updates(bench) == [(1, "Removed")]


@pytest.mark.req("H01.FR.01")
def test_while_disabled_nothing_is_kept_and_nothing_forgotten(bench: Bench) -> None:
    reserve(bench, evseId=1)

    assert put(bench, "ReservationCtrlr.Enabled", "false") == "Accepted"
    assert shown(bench) == ["Available", "Available"]
    assert reserve(bench, 2, evseId=2) == "Rejected"
    bench.evse(1).present_token(OTHER_CARD)
    bench.evse(1).plug_in()
    bench.advance(10)
    assert bench.evse(1).charging

    put(bench, "ReservationCtrlr.Enabled", "true")
    assert shown(bench) == ["Occupied", "Available"]
    bench.evse(1).present_token(OTHER_CARD)
    bench.evse(1).unplug()
    assert shown(bench) == ["Reserved", "Available"]
    assert updates(bench) == []


@pytest.mark.req("B01.FR.13")
def test_what_is_reserved_outlives_a_power_cut(bench: Bench) -> None:
    """With the time at which it ends, and with a vehicle that somebody has plugged in."""
    reserve(bench, 1, evseId=1)
    bench.evse(1).plug_in()
    bench.csms.forget()

    bench.crash()

    assert statuses(bench) == {(1, 1): "Reserved", (2, 1): "Available"}
    bench.evse(1).present_token(OTHER_CARD)
    bench.advance(10)
    assert not bench.evse(1).charging
    bench.advance(HOUR_S)
    assert updates(bench) == [(1, "Expired")]


@pytest.mark.req("B01.FR.13")
def test_so_does_what_is_kept_for_those_who_reserved_any(tmp_path: Path) -> None:
    bench = Bench(tmp_path, evses=1)
    reserve(bench)
    bench.evse(1).plug_in()

    bench.crash()

    assert shown(bench) == ["Reserved"]
    bench.evse(1).present_token(CARD)
    bench.advance(10)
    assert bench.evse(1).charging


@pytest.mark.req("B11.FR.05")
@pytest.mark.parametrize("evse", [None, 1])
def test_a_reset_that_waits_takes_no_reservation_away(bench: Bench, evse: int | None) -> None:
    """The EVSE is out of service until it is done, and Reserved again afterwards."""
    reserve(bench, evseId=1)
    bench.evse(2).present_token(OTHER_CARD)
    bench.evse(2).plug_in()
    bench.advance(10)

    request = {"type": "OnIdle"} | ({"evseId": evse} if evse else {})
    assert bench.csms.call("Reset", request)["status"] == ("Accepted" if evse else "Scheduled")
    bench.advance(10)
    bench.evse(2).present_token(OTHER_CARD)
    bench.evse(2).unplug()
    bench.advance(minutes=2)

    assert bench.reboots == ([] if evse else ["ScheduledReset"])
    assert updates(bench) == []
    assert shown(bench) == ["Reserved", "Available"]


def test_the_driver_who_is_refused_reads_why(bench: Bench) -> None:
    reserve(bench, evseId=1)

    bench.evse(1).present_token(OTHER_CARD)

    assert bench.shown[-1] == "Reserved for somebody else"
    assert bench.csms.received("Authorize") == [{"idToken": token(OTHER_CARD)}]
