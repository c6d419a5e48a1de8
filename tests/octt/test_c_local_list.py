"""The OCA's test cases of block C that need the local authorization list (part 6, 2.4)."""

from __future__ import annotations

import pytest

from tests.octt.memory import cached, in_local_list, judged, listed
from tests.octt.session import Session
from tests.octt.states import GROUP, INVALID, VALID, VALID2, authorizes
from tests.octt.stations import BACK_OFF_S, OFFLINE, Make, each_start, each_stop
from tests.octt.test_c import asked_in_vain, goes_on

LIST = {
    "LocalAuthListCtrlr.Enabled": "true",
    "LocalAuthListCtrlr.DisablePostAuthorize": "false",
    "AuthCtrlr.LocalPreAuthorize": "true",
}
OFFLINE_WITH_LIST = {**OFFLINE, **LIST, "AuthCtrlr.OfflineTxForUnknownIdEnabled": "false"}


# --- C13: offline


@pytest.mark.octt("TC_C_21_CS")
@pytest.mark.req("C13.FR.02", "C13.FR.03", "C13.FR.05")
@each_start
@each_stop
def test_tc_c_21_cs_offline_an_accepted_entry_charges(make: Make, start: str, stop: str) -> None:
    bench = make(OFFLINE_WITH_LIST, start=start, stop=stop)
    in_local_list(bench, listed(VALID))
    session = Session(bench)
    bench.csms.disconnect()
    session.bay_is(occupied=True)
    session.present()
    session.plug()
    bench.advance(BACK_OFF_S)
    assert bench.evse(1).charging

    session.present()
    session.unplug()
    session.bay_is(occupied=False)
    bench.csms.connect()
    bench.advance(5)

    queue = session.queued()
    assert "StopAuthorized" in {event["triggerReason"] for event in queue}
    assert not session.running
    session.nothing_else()
    assert authorizes(bench) == []


@pytest.mark.octt("TC_C_22_CS", "TC_C_23_CS", "TC_C_24_CS")
@pytest.mark.req("C13.FR.02", "C13.FR.05")
@pytest.mark.parametrize("status", ["Invalid", "Blocked", "Expired"])
@each_start
def test_offline_any_other_entry_does_not_charge(make: Make, start: str, status: str) -> None:
    bench = make(OFFLINE_WITH_LIST, start=start)
    in_local_list(bench, listed(INVALID, status))
    session = Session(bench, token=INVALID)
    bench.csms.disconnect()
    session.bay_is(occupied=True)

    session.present()

    bench.advance(BACK_OFF_S)
    bench.csms.connect()
    bench.advance(5)
    if start == "ParkingBayOccupancy":
        (event,) = session.queued()
        assert event["triggerReason"] == "EVDetected"
    session.nothing_else()
    session.plug()
    bench.advance(60)
    assert not bench.evse(1).contactor_closed


@pytest.mark.octt("TC_C_25_CS")
@pytest.mark.req("C13.FR.01", "C14.FR.01")
@each_start
def test_tc_c_25_cs_the_list_wins_over_the_cache(make: Make, start: str) -> None:
    unknown = {"AuthCtrlr.OfflineTxForUnknownIdEnabled": "true", "TxCtrlr.StopTxOnInvalidId": "false"}
    bench = make({**OFFLINE_WITH_LIST, **unknown}, start=start)
    cached(bench, VALID)
    in_local_list(bench, listed(VALID, "Invalid"))
    session = Session(bench)
    session.ev_connected_pre_session()
    bench.csms.disconnect()

    session.present()
    bench.advance(BACK_OFF_S)

    assert not bench.evse(1).contactor_closed
    bench.csms.connect()
    bench.advance(5)
    session.nothing_else()


# --- C14: online


@pytest.mark.octt("TC_C_27_CS")
@pytest.mark.req("C14.FR.02", "C14.FR.04", "C13.FR.03")
@each_start
def test_tc_c_27_cs_online_an_accepted_entry_charges_at_once(make: Make, start: str) -> None:
    bench = make(LIST, start=start)
    in_local_list(bench, listed(VALID))
    session = Session(bench)

    session.authorized(known=True)

    session.ev_connected_pre_session()
    session.energy_transfer_started()


@pytest.mark.octt("TC_C_28_CS", "TC_C_29_CS", "TC_C_30_CS")
@pytest.mark.req("C14.FR.03")
@pytest.mark.parametrize("status", ["Invalid", "Blocked", "Expired"])
@each_start
def test_online_any_other_entry_is_asked(make: Make, start: str, status: str) -> None:
    bench = make(LIST, start=start)
    in_local_list(bench, listed(INVALID, status))
    judged(bench, status)
    session = Session(bench, token=INVALID)
    session.ev_connected_pre_session()

    asked_in_vain(session)


@pytest.mark.octt("TC_C_31_CS")
@pytest.mark.req("C14.FR.03")
@each_start
def test_tc_c_31_cs_listed_as_invalid_but_accepted_now(make: Make, start: str) -> None:
    bench = make(LIST, start=start)
    in_local_list(bench, listed(VALID, "Invalid"))
    session = Session(bench)

    session.authorized()

    session.ev_connected_pre_session()
    session.energy_transfer_started()


@pytest.mark.octt("TC_C_58_CS")
@pytest.mark.req("C14.FR.03")
@each_start
def test_tc_c_58_cs_what_the_list_refuses_is_not_asked_again(make: Make, start: str) -> None:
    bench = make({**LIST, "LocalAuthListCtrlr.DisablePostAuthorize": "true"}, start=start)
    in_local_list(bench, listed(INVALID, "Invalid"))
    session = Session(bench, token=INVALID)
    session.ev_connected_pre_session()

    asked_in_vain(session, known=True)


# --- C09: groups


@pytest.mark.octt("TC_C_40_CS")
@pytest.mark.req("C09.FR.03", "C09.FR.04", "C09.FR.07", "C01.FR.03")
@each_stop
def test_tc_c_40_cs_a_listed_token_of_the_group_stops_it_without_asking(make: Make, stop: str) -> None:
    bench = make(LIST, start="EVConnected", stop=stop)
    in_local_list(bench, listed(VALID, groupIdToken=GROUP), listed(VALID2, groupIdToken=GROUP))
    session = Session(bench)
    session.ev_connected_pre_session()
    session.authorized(known=True)
    session.energy_transfer_started()

    session.stop_authorized(VALID2)

    assert authorizes(bench) == []
    session.ev_connected_post_session()
    session.ev_disconnected()
    session.parking_bay_unoccupied()


@pytest.mark.octt("TC_C_43_CS")
@pytest.mark.req("C09.FR.07", "C09.FR.11")
@each_start
def test_tc_c_43_cs_a_listed_invalid_token_of_the_group_is_asked_and_does_not_stop_it(make: Make, start: str) -> None:
    bench = make(LIST, start=start)
    in_local_list(bench, listed(VALID, groupIdToken=GROUP), listed(INVALID, "Invalid", groupIdToken=GROUP))
    judged(bench, groupIdToken=GROUP)
    session = Session(bench)
    session.ev_connected_pre_session()
    session.authorized(known=True)
    session.energy_transfer_started()
    judged(bench, "Invalid", groupIdToken=GROUP)

    goes_on(session, INVALID)
