"""The OCA's test cases of block F (remote control), Core profile (part 6, 2.7).

TriggerMessage is in test_f_trigger.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hal.api import Fault
from tests.bench import Bench
from tests.octt.session import DURATION_S, Session
from tests.octt.states import VALID, authorizes, id_token
from tests.scenarios.e_transactions.story import bench as station

POINTS = ["ParkingBayOccupancy", "EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer"]
REMOTE_START_ID = 4711
TOKEN = {"idToken": "REMOTE-1", "type": "Central"}

Make = Callable[..., Bench]

each_start = pytest.mark.parametrize("start", POINTS)
each_stop = pytest.mark.parametrize("stop", POINTS)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A station with these points and variables."""

    def made(
        variables: dict[str, str] | None = None,
        *,
        start: str = "PowerPathClosed",
        stop: str = "EVConnected,Authorized",
        lock: bool = False,
        **more: Any,
    ) -> Bench:
        return station(tmp_path, start, stop, variables=variables or {}, evses=2, lock=lock, **more)

    return made


def charging(bench: Bench, **who: Any) -> Session:
    """State is EnergyTransferStarted."""
    session = Session(bench, **who)
    session.energy_transfer_started()
    return session


def request_start(bench: Bench, token: dict[str, str], **more: Any) -> dict[str, Any]:
    """RequestStartTransaction for EVSE 1."""
    wish = {"idToken": token, "remoteStartId": REMOTE_START_ID, "evseId": 1, **more}
    return bench.csms.call("RequestStartTransaction", wish)


def assert_remote_start_told_once(session: Session) -> None:
    """F01.FR.19, F01.FR.25: one event has trigger RemoteStart, and it alone carries remoteStartId and idToken."""
    events = session.bench.events()
    (told,) = [event for event in events if event["triggerReason"] == "RemoteStart"]
    assert [event for event in events if "remoteStartId" in event["transactionInfo"]] == [told]
    assert [event for event in events if "idToken" in event] == [told]


# --- F01, F02: start


@pytest.mark.octt("TC_F_01_CS")
@pytest.mark.req(
    "F01.FR.03",
    "F01.FR.04",
    "F01.FR.05",
    "F01.FR.13",
    "F01.FR.17",
    "F01.FR.18",
    "F01.FR.19",
    "F01.FR.25",
    "F02.FR.01",
    "C05.FR.05",
)
@pytest.mark.parametrize("authorize", ["true", "false"])
@each_start
def test_tc_f_01_cs_cable_first(make: Make, start: str, authorize: str) -> None:
    session = Session(make({"AuthCtrlr.AuthorizeRemoteStart": authorize}, start=start), remote=True)
    session.ev_connected_pre_session()

    session.authorized()

    session.energy_transfer_started()
    assert_remote_start_told_once(session)


@pytest.mark.octt("TC_F_02_CS")
@pytest.mark.req("F02.FR.01", "F01.FR.01", "F02.FR.09", "F02.FR.11", "F02.FR.12", "F02.FR.21")
@each_start
def test_tc_f_02_cs_remote_first_the_token_is_checked(make: Make, start: str) -> None:
    session = Session(make({"AuthCtrlr.AuthorizeRemoteStart": "true"}, start=start), remote=True)
    session.parking_bay_occupied()

    session.authorized()

    session.energy_transfer_started()
    assert_remote_start_told_once(session)
    assert authorizes(session.bench) == [session.token]


@pytest.mark.req("F01.FR.01", "F02.FR.09")
def test_a_remote_start_whose_token_is_refused_starts_nothing(make: Make) -> None:
    bench = make({"AuthCtrlr.AuthorizeRemoteStart": "true"})
    bench.csms.on("Authorize", {"idTokenInfo": {"status": "Blocked"}})
    Session(bench).ev_connected_pre_session()

    assert request_start(bench, id_token(VALID))["status"] == "Accepted"
    bench.advance(minutes=2)

    assert authorizes(bench) == [VALID]
    assert bench.events() == []
    assert not bench.evse(1).contactor_closed


@pytest.mark.octt("TC_F_03_CS")
@pytest.mark.req("F02.FR.01", "F01.FR.02", "F02.FR.10", "F02.FR.05", "F02.FR.13", "C05.FR.01", "C05.FR.03")
@each_start
def test_tc_f_03_cs_remote_first_the_token_is_not_checked(make: Make, start: str) -> None:
    session = Session(make({"AuthCtrlr.AuthorizeRemoteStart": "false"}, start=start), remote=True)
    session.parking_bay_occupied()

    session.authorized()

    session.energy_transfer_started()
    assert_remote_start_told_once(session)
    assert authorizes(session.bench) == []


@pytest.mark.octt("TC_F_04_CS")
@pytest.mark.req("F02.FR.01", "F02.FR.07", "E03.FR.01", "E03.FR.05")
@pytest.mark.parametrize("start", ["ParkingBayOccupancy", "Authorized"])
def test_tc_f_04_cs_nobody_plugs_in(make: Make, start: str) -> None:
    bench = make({"TxCtrlr.EVConnectionTimeOut": "20"}, start=start)
    session = Session(bench, remote=True)
    session.authorized()

    bench.advance(20)

    session.next(eventType="Ended", triggerReason="EVConnectTimeout", stoppedReason="Timeout")
    session.nothing_else()
    session.bay_is(occupied=False)
    Session(bench, remote=True).authorized()


@pytest.mark.req("B02.FR.05")
@pytest.mark.parametrize("registration", ["Pending"])
def test_before_the_registration_is_accepted_remote_starts_and_stops_are_rejected(
    make: Make, registration: str
) -> None:
    bench = make(connected=False)
    bench.csms.on("BootNotification", {"status": registration})
    bench.csms.connect()

    start = request_start(bench, TOKEN)
    stop = bench.csms.call("RequestStopTransaction", {"transactionId": "unknown"})

    assert [answer["statusInfo"]["reasonCode"] for answer in (start, stop)] == ["CSNotAccepted"] * 2
    assert start["status"] == stop["status"] == "Rejected"


@pytest.mark.req("F01.FR.23", "F02.FR.25")
@pytest.mark.parametrize("faulted", [False, True])
def test_an_evse_that_is_out_of_service_or_faulted_is_not_started(make: Make, *, faulted: bool) -> None:
    bench = make()
    if faulted:
        bench.evse(1).fault(Fault.RCD)
    else:
        bench.csms.call("ChangeAvailability", {"operationalStatus": "Inoperative", "evse": {"id": 1}})

    assert request_start(bench, TOKEN)["status"] == "Rejected"
    bench.advance(minutes=5)
    bench.evse(1).plug_in()
    bench.advance(minutes=1)
    assert bench.events() == []


@pytest.mark.req("F01.FR.24", "F02.FR.26")
def test_an_evse_with_an_authorized_driver_is_not_started_again(make: Make) -> None:
    bench = make()
    charging(bench)

    answer = request_start(bench, TOKEN)

    assert answer["status"] == "Rejected"
    assert answer["statusInfo"]["reasonCode"] == "TxInProgress"
    assert "RemoteStart" not in [event["triggerReason"] for event in bench.events()]


@pytest.mark.req("F01.FR.20", "F02.FR.22", "F01.FR.06")
def test_without_an_evse_the_one_with_a_waiting_vehicle_is_chosen(make: Make) -> None:
    bench = make()
    Session(bench, evse=2).ev_connected_pre_session()

    answer = bench.csms.call("RequestStartTransaction", {"idToken": TOKEN, "remoteStartId": 1})
    bench.advance(seconds=10)

    assert answer["status"] == "Accepted"
    assert bench.evse(2).charging
    assert not bench.evse(1).contactor_closed


@pytest.mark.req("F01.FR.12", "F02.FR.20")
def test_without_smart_charging_a_charging_profile_is_passed_over(make: Make) -> None:
    bench = make({"SmartChargingCtrlr.Enabled": "false"})
    period = {"startPeriod": 0, "limit": 6.0}
    profile = {
        "id": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": [{"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [period]}],
    }
    bench.evse(1).plug_in()

    answer = request_start(bench, TOKEN, chargingProfile=profile)
    bench.advance(seconds=20)

    assert answer["status"] == "Accepted"
    assert bench.world.evse(1).current_a > 6.0


def test_an_unknown_evse_is_rejected(make: Make) -> None:
    bench = make()

    answer = request_start(bench, TOKEN, evseId=9)

    assert answer == {"status": "Rejected", "statusInfo": {"reasonCode": "UnknownEvse"}}


# --- F03: stop


@pytest.mark.octt("TC_F_08_CS")
@pytest.mark.req("F03.FR.02", "F03.FR.03", "F03.FR.07", "F03.FR.09")
@pytest.mark.parametrize("started_remotely", [False, True])
@each_stop
def test_tc_f_08_cs_remote_stop(make: Make, stop: str, *, started_remotely: bool) -> None:
    session = charging(make(stop=stop), remote=started_remotely)
    session.remote = True

    session.stop_authorized()

    session.ev_disconnected()
    session.parking_bay_unoccupied()


@pytest.mark.octt("TC_F_09_CS")
@pytest.mark.req("F03.FR.08")
def test_tc_f_09_cs_no_such_transaction(make: Make) -> None:
    session = charging(make())

    answer = session.bench.csms.call("RequestStopTransaction", {"transactionId": f"no-{session.transaction_id}"[:36]})

    assert answer["status"] == "Rejected"
    session.bench.advance(DURATION_S)
    session.nothing_else()
    assert session.bench.evse(1).charging


@pytest.mark.req("F04.FR.02", "F04.FR.03")
def test_a_remote_stop_frees_the_cable_of_a_transaction_that_its_removal_ends(make: Make) -> None:
    """Energy stops, the lock opens, Updated; unplugged: Ended with reason Remote."""
    bench = make(stop="EVConnected", lock=True)
    session = charging(bench)
    locked = bench.world.evse(1).snapshot().lock.value

    bench.csms.call("RequestStopTransaction", {"transactionId": session.transaction_id})
    bench.advance(seconds=5)
    last = bench.events()[-1]
    stopped = (bench.evse(1).contactor_closed, bench.world.evse(1).snapshot().lock.value, last["eventType"])
    bench.evse(1).unplug()
    bench.advance(seconds=5)

    assert locked == "locked"
    assert stopped == (False, "unlocked", "Updated")
    assert bench.events()[-1]["eventType"] == "Ended"
    assert bench.events()[-1]["transactionInfo"]["stoppedReason"] == "Remote"


# --- F05: unlock


@pytest.mark.octt("TC_F_05_CS")
@pytest.mark.req("F05.FR.01", "F05.FR.02")
def test_tc_f_05_cs_never_while_a_driver_charges(make: Make) -> None:
    bench = make(lock=True)
    charging(bench)

    answer = bench.csms.call("UnlockConnector", {"evseId": 1, "connectorId": 1})

    assert answer == {"status": "OngoingAuthorizedTransaction"}
    bench.advance(seconds=5)
    assert bench.evse(1).charging


@pytest.mark.octt("TC_F_06_CS", "TC_F_07_CS")
@pytest.mark.req("F05.FR.01", "F05.FR.04", "F05.FR.06")
@pytest.mark.parametrize("cable", [True, False])
def test_a_connector_nobody_uses_is_unlocked(make: Make, monkeypatch: pytest.MonkeyPatch, *, cable: bool) -> None:
    """The lock is driven, whether a cable is seen or not."""
    bench = make(lock=True)
    if cable:
        Session(bench).ev_connected_pre_session()
    moved: list[tuple[int, bool]] = []
    move_lock = bench.world.move_lock

    def move(evse_id: int, *, locked: bool) -> str:
        moved.append((evse_id, locked))
        return move_lock(evse_id, locked=locked)

    monkeypatch.setattr(bench.world, "move_lock", move)

    assert bench.csms.call("UnlockConnector", {"evseId": 1, "connectorId": 1}) == {"status": "Unlocked"}
    assert moved == [(1, False)]


@pytest.mark.octt("TC_F_10_CS")
@pytest.mark.req("F05.FR.03")
@pytest.mark.parametrize("evse,connector", [(1, 999), (7, 1)])
def test_tc_f_10_cs_unknown_connector(make: Make, evse: int, connector: int) -> None:
    bench = make(lock=True)

    answer = bench.csms.call("UnlockConnector", {"evseId": evse, "connectorId": connector})

    assert answer == {"status": "UnknownConnector"}


@pytest.mark.req("F05.FR.05")
def test_a_jammed_lock_and_a_fixed_cable_are_told_as_unlock_failed(make: Make, tmp_path: Path) -> None:
    bench = make(lock=True)
    bench.world.jam_lock(1)
    Session(bench).ev_connected_pre_session()
    other = Bench(tmp_path / "other")

    jammed = bench.csms.call("UnlockConnector", {"evseId": 1, "connectorId": 1})
    fixed = other.csms.call("UnlockConnector", {"evseId": 1, "connectorId": 1})

    assert jammed["status"] == "UnlockFailed"
    assert fixed == {"status": "UnlockFailed", "statusInfo": {"reasonCode": "FixedCable"}}
