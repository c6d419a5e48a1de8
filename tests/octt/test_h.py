"""The OCA's test cases of block H (reservation), Reservation profile (part 6, 2.9)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from device_model.build import ConnectorLayout, EvseLayout
from tests.bench import MEASURANDS, Bench
from tests.octt.provisioned import change, places, statuses, unavailable
from tests.octt.session import ENERGY_S, Session
from tests.octt.states import GROUP, MESSAGE_TIMEOUT_S, VALID, VALID2, id_token
from tests.scenarios.e_transactions.story import bench as station
from tests.scenarios.reservations import cancel, reserve, updates
from tests.scenarios.variables import get

RESERVATION = 77
EXPIRY_S = 60

Make = Callable[..., Bench]

each_start = pytest.mark.parametrize("start", ["EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer"])
by_card_and_remotely = pytest.mark.parametrize("remote", [False, True])


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A station of two EVSEs with two connectors each."""

    def made(variables: dict[str, str] | None = None, *, start: str = "PowerPathClosed", **more: Any) -> Bench:
        more = {"evses": 2, "connectors": 2, **more}
        return station(tmp_path, start, "EVConnected,Authorized", variables=variables or {}, **more)

    return made


def told(bench: Bench, evse: int, connector_status: str) -> bool:
    """Whether all connectors of the EVSE, and none else, were told to have this status."""
    return statuses(bench) == {place: connector_status for place in places(bench) if place[0] == evse}


def reserved(bench: Bench, evse: int = 1, uid: str = VALID, number: int = RESERVATION, **more: Any) -> None:
    """Reserved: accepted, and told of all connectors of the EVSE."""
    bench.csms.forget()
    assert reserve(bench, number, uid, expires_s=EXPIRY_S, evseId=evse, **more) == "Accepted"
    assert told(bench, evse, "Reserved")
    bench.csms.forget()


def charges(bench: Bench, uid: str = VALID, *, evse: int = 1, remote: bool = False, used: int | None = None) -> Session:
    """Authorized, then EnergyTransferStarted. `used`: the reservation that the transaction has to tell."""
    session = Session(bench, evse=evse, token=uid, remote=remote, reservation=used)
    session.authorized()
    session.energy_transfer_started()
    return session


def of_group(_request: dict[str, Any]) -> dict[str, Any]:
    """The CSMS's verdict: a token of the group."""
    return {"idTokenInfo": {"status": "Accepted", "groupIdToken": GROUP}}


# --- a specific EVSE --------------------------------------------------------------------------------------------------


@pytest.mark.octt("TC_H_01_CS")
@pytest.mark.req("H01.FR.15", "H01.FR.23", "H03.FR.01", "H03.FR.09", "H03.FR.10")
@pytest.mark.req("E03.FR.03", "F02.FR.06")
@by_card_and_remotely
@each_start
def test_tc_h_01_cs(make: Make, start: str, remote: bool) -> None:  # noqa: FBT001 - a parameter of the case
    """Accepted, used by its token: Available once that is presented."""
    bench = make(start=start)
    reserved(bench)

    session = Session(bench, remote=remote, reservation=RESERVATION)
    session.authorized()
    assert told(bench, 1, "Available")

    session.energy_transfer_started()


@pytest.mark.octt("TC_H_02_CS")
@pytest.mark.req("H03.FR.01", "G01.FR.09", "G03.FR.09")
@each_start
def test_tc_h_02_cs_main_a(make: Make, start: str) -> None:
    """Another token at the reader does not charge; the connector stays Reserved, whatever is plugged in."""
    bench = make(start=start)
    reserved(bench)
    session = Session(bench, token=VALID2)
    session.plug()
    assert statuses(bench) == {}
    session.told_connected()

    session.present()
    bench.advance(MESSAGE_TIMEOUT_S)

    session.nothing_else()
    assert statuses(bench) == {}
    assert not bench.evse(1).contactor_closed


@pytest.mark.octt("TC_H_02_CS")
@pytest.mark.req("F01.FR.21")
@each_start
def test_tc_h_02_cs_main_b(make: Make, start: str) -> None:
    """Another token in a RequestStartTransaction is rejected."""
    bench = make(start=start)
    reserved(bench)
    Session(bench).plug()

    request = {"remoteStartId": 4711, "evseId": 1, "idToken": id_token(VALID2)}
    assert bench.csms.call("RequestStartTransaction", request)["status"] == "Rejected"
    bench.advance(MESSAGE_TIMEOUT_S)
    assert not bench.evse(1).contactor_closed


@pytest.mark.octt("TC_H_03_CS")
@pytest.mark.req("H01.FR.11")
def test_tc_h_03_cs(make: Make) -> None:
    """Occupied: the EVSE is reserved."""
    bench = make()
    reserved(bench)

    assert reserve(bench, RESERVATION + 1, VALID2, evseId=1) == "Occupied"


@pytest.mark.octt("TC_H_04_CS")
@pytest.mark.req("H01.FR.11")
@each_start
def test_tc_h_04_cs(make: Make, start: str) -> None:
    """Occupied: the EVSE is in use."""
    bench = make(start=start)
    Session(bench).energy_transfer_started()

    assert reserve(bench, RESERVATION, VALID2, evseId=1) == "Occupied"


@pytest.mark.octt("TC_H_06_CS")
@pytest.mark.req("H01.FR.14")
def test_tc_h_06_cs(make: Make) -> None:
    """Unavailable."""
    bench = make()
    unavailable(bench, 1)

    assert reserve(bench, RESERVATION, VALID2, evseId=1) == "Unavailable"


@pytest.mark.octt("TC_H_07_CS")
@pytest.mark.req("H04.FR.01", "H04.FR.02", "H04.FR.03")
def test_tc_h_07_cs(make: Make) -> None:
    """It expires: Available again, which is told first, and another may charge."""
    bench = make()
    reserved(bench)

    bench.advance(EXPIRY_S)

    assert told(bench, 1, "Available")
    assert updates(bench) == [(RESERVATION, "Expired")]
    assert bench.csms.actions()[-1] == "ReservationStatusUpdate"
    charges(bench, VALID2)


@pytest.mark.octt("TC_H_17_CS")
@pytest.mark.req("H02.FR.02", "H02.FR.03", "H02.FR.04")
def test_tc_h_17_cs(make: Make) -> None:
    """Cancelled: Available again; the CSMS knows, and hears nothing besides."""
    bench = make()
    reserved(bench)

    assert cancel(bench, RESERVATION) == "Accepted"
    bench.settle()

    assert told(bench, 1, "Available")
    assert updates(bench) == []


@pytest.mark.octt("TC_H_18_CS")
@pytest.mark.req("H02.FR.01")
def test_tc_h_18_cs(make: Make) -> None:
    """There is nothing to cancel."""
    assert cancel(make(), 1) == "Rejected"


@pytest.mark.octt("TC_H_19_CS")
@pytest.mark.req("H01.FR.15", "H03.FR.04", "H03.FR.08")
@each_start
def test_tc_h_19_cs(make: Make, start: str) -> None:
    """Used by another token of the group, which the CSMS tells when it is asked."""
    bench = make(start=start)
    reserved(bench, groupIdToken=GROUP)
    bench.csms.on("Authorize", of_group)

    charges(bench, VALID2, used=RESERVATION)


@pytest.mark.octt("TC_H_21_CS")
@pytest.mark.req("H01.FR.17")
def test_tc_h_21_cs(make: Make) -> None:
    """Out of service: the reservation is over, which is told after the status; once back, anybody may charge."""
    bench = make()
    reserved(bench)

    unavailable(bench, 1)
    assert updates(bench) == [(RESERVATION, "Removed")]
    assert bench.csms.actions()[-1] == "ReservationStatusUpdate"

    bench.csms.forget()
    assert change(bench, "Operative", 1) == "Accepted"
    assert told(bench, 1, "Available")
    charges(bench, VALID2)


@pytest.mark.octt("TC_H_22_CS")
@pytest.mark.req("H01.FR.01")
def test_tc_h_22_cs(make: Make) -> None:
    """Configured to reject."""
    bench = make({"ReservationCtrlr.Enabled": "false"})

    assert reserve(bench, RESERVATION, VALID, evseId=1) == "Rejected"
    assert statuses(bench) == dict.fromkeys(places(bench), "Available")


@pytest.mark.octt("TC_H_23_CS")
@pytest.mark.req("H01.FR.02")
def test_tc_h_23_cs(make: Make) -> None:
    """Replaced: it is for the other token now."""
    bench = make()
    reserved(bench)

    reserved(bench, uid=VALID2)

    bench.evse(1).present_token(VALID)
    bench.advance(ENERGY_S)
    assert bench.events() == []
    bench.csms.forget()
    charges(bench, VALID2, used=RESERVATION)


# --- any EVSE ---------------------------------------------------------------------------------------------------------


@pytest.mark.octt("TC_H_08_CS")
@pytest.mark.req("H01.FR.04", "H01.FR.07", "H01.FR.15", "H01.FR.18", "H03.FR.03")
@pytest.mark.parametrize("evses", [1, 2])
@each_start
def test_tc_h_08_cs(make: Make, start: str, evses: int) -> None:
    """Accepted; Reserved is told where there is only one EVSE, and its token uses it."""
    bench = make(start=start, evses=evses)
    assert get(bench, "ReservationCtrlr.NonEvseSpecific") == "true"
    bench.csms.forget()

    assert reserve(bench, RESERVATION, VALID) == "Accepted"
    assert statuses(bench) == (dict.fromkeys(places(bench), "Reserved") if evses == 1 else {})

    charges(bench, VALID, used=RESERVATION)


@pytest.mark.octt("TC_H_09_CS")
@pytest.mark.req("H01.FR.11")
def test_tc_h_09_cs(make: Make) -> None:
    """Occupied: all are reserved."""
    bench = make()
    reserved(bench, 1)
    reserved(bench, 2, number=RESERVATION + 1)

    assert reserve(bench, RESERVATION + 2, VALID2) == "Occupied"


@pytest.mark.octt("TC_H_10_CS")
@pytest.mark.req("H01.FR.11")
def test_tc_h_10_cs(make: Make) -> None:
    """Occupied: all are in use."""
    bench = make()
    Session(bench, evse=1).energy_transfer_started()
    Session(bench, evse=2, token=VALID2).energy_transfer_started()

    assert reserve(bench, RESERVATION, VALID) == "Occupied"


@pytest.mark.octt("TC_H_12_CS")
@pytest.mark.req("H01.FR.14")
def test_tc_h_12_cs(make: Make) -> None:
    """Unavailable: the station is."""
    bench = make()
    unavailable(bench)

    assert reserve(bench, RESERVATION, VALID) == "Unavailable"


@pytest.mark.octt("TC_H_13_CS")
@pytest.mark.req("H01.FR.19")
def test_tc_h_13_cs(make: Make) -> None:
    """Rejected where only named EVSEs can be reserved."""
    bench = make({"ReservationCtrlr.NonEvseSpecific": "false"})

    assert reserve(bench, RESERVATION, VALID) == "Rejected"
    reserved(bench, 1)


@pytest.mark.octt("TC_H_14_CS")
@pytest.mark.req("H01.FR.20")
def test_tc_h_14_cs(make: Make) -> None:
    """As many reservations as there are EVSEs: all are Reserved."""
    bench = make()
    bench.csms.forget()

    assert reserve(bench, 1, VALID) == "Accepted"
    assert statuses(bench) == {}
    assert reserve(bench, 2, VALID2) == "Accepted"
    assert statuses(bench) == dict.fromkeys(places(bench), "Reserved")


@pytest.mark.octt("TC_H_24_CS")
@pytest.mark.req("H03.FR.06")
@each_start
def test_tc_h_24_cs(make: Make, start: str) -> None:
    """Used by another token of the group, on any EVSE."""
    bench = make(start=start, evses=1)
    bench.csms.forget()
    assert reserve(bench, RESERVATION, VALID, groupIdToken=GROUP) == "Accepted"
    assert statuses(bench) == dict.fromkeys(places(bench), "Reserved")
    bench.csms.on("Authorize", of_group)

    charges(bench, VALID2, used=RESERVATION)


# --- a type of connector ----------------------------------------------------------------------------------------------


def of_types(*types: str) -> dict[str, Any]:
    """A layout with an EVSE for each type."""
    made = [EvseLayout(connectors=(ConnectorLayout(type=each, max_current_a=32.0),)) for each in types]
    return {"evses": tuple(EvseLayout(connectors=evse.connectors, measurands=MEASURANDS) for evse in made)}


@pytest.mark.octt("TC_H_15_CS")
@pytest.mark.req("H01.FR.06", "H01.FR.09", "H01.FR.15", "H01.FR.24", "H03.FR.02")
@each_start
def test_tc_h_15_cs(make: Make, start: str) -> None:
    """The only connector of its type is Reserved, and used by its token."""
    bench = make(start=start, layout=of_types("sType2", "cType2"))
    bench.csms.forget()

    assert reserve(bench, RESERVATION, VALID, connectorType="cType2") == "Accepted"
    assert statuses(bench) == {(2, 1): "Reserved"}

    charges(bench, VALID, evse=2, used=RESERVATION)


@pytest.mark.octt("TC_H_16_CS")
@pytest.mark.req("H01.FR.11")
def test_tc_h_16_cs(make: Make) -> None:
    """Occupied: all connectors of the type are reserved."""
    bench = make(layout=of_types("cType2", "cType2"))
    reserved(bench, 1)
    reserved(bench, 2, number=RESERVATION + 1)

    assert reserve(bench, RESERVATION + 2, VALID2, connectorType="cType2") == "Occupied"
