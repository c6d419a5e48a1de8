"""The OCA's test cases of block C (authorization): the CSMS is asked, groups, the master pass (part 6, 2.4).

What the cache knows is in test_c_cache.py.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.octt.memory import cached, judged, unjudged, verdict
from tests.octt.session import Session
from tests.octt.states import GROUP, INVALID, MESSAGE_TIMEOUT_S, VALID, VALID2, authorizes, id_token
from tests.octt.stations import Make, each_start, each_stop

CACHE = {
    "AuthCacheCtrlr.Enabled": "true",
    "AuthCtrlr.LocalPreAuthorize": "true",
    "AuthCacheCtrlr.DisablePostAuthorize": "false",
}
MASTER = "04AA55AA55"
MASTERS: dict[str, Any] = {"groupIdToken": {"idToken": "masters", "type": "Central"}}


def asked_in_vain(session: Session, *, known: bool = False) -> None:
    """The token is presented and refused: the CSMS was asked about it, no event follows, and no energy flows."""
    told = len(session.bench.events())
    asked = len(authorizes(session.bench))

    session.present()
    session.bench.advance(MESSAGE_TIMEOUT_S)

    assert session.bench.csms.received("Authorize")[asked:] == ([] if known else [{"idToken": id_token(session.token)}])
    assert session.bench.events()[told:] == []
    assert not session.bench.evse(session.evse).contactor_closed


def goes_on(session: Session, other: str) -> None:
    """Another token is presented: the CSMS was asked about it, and the transaction neither knows of it nor ends."""
    asked = len(authorizes(session.bench))

    session.present(other)
    session.bench.advance(MESSAGE_TIMEOUT_S)

    assert session.bench.csms.received("Authorize")[asked:] == [{"idToken": id_token(other)}]
    session.nothing_else()
    assert session.bench.evse(1).charging


# --- C01: the CSMS is asked


@pytest.mark.octt("TC_C_02_CS", "TC_C_06_CS", "TC_C_07_CS", "TC_C_56_CS")
@pytest.mark.req("C01.FR.02")
@pytest.mark.parametrize("status", ["Invalid", "Blocked", "Expired", "Unknown"])
@each_start
def test_a_token_that_the_csms_refuses_starts_nothing(make: Make, start: str, status: str) -> None:
    bench = make(start=start)
    judged(bench, status)
    session = Session(bench, token=INVALID)
    session.ev_connected_pre_session()

    asked_in_vain(session)


@pytest.mark.octt("TC_C_05_CS")
@pytest.mark.req("C01.FR.02")
def test_tc_c_05_cs_refused_before_the_cable_is_in(make: Make) -> None:
    bench = make(start="Authorized")
    judged(bench, "Invalid")

    asked_in_vain(Session(bench, token=INVALID))

    assert bench.events() == []


@pytest.mark.octt("TC_C_04_CS")
@pytest.mark.req("C01.FR.02", "C01.FR.03")
@each_stop
def test_tc_c_04_cs_another_drivers_token_does_not_stop_it(make: Make, stop: str) -> None:
    session = Session(make(stop=stop))
    session.energy_transfer_started()

    goes_on(session, VALID2)


# --- C09: groups


@pytest.mark.octt("TC_C_39_CS")
@pytest.mark.req("C09.FR.03", "C09.FR.05")
@each_start
@each_stop
def test_tc_c_39_cs_another_token_of_the_group_stops_it(make: Make, start: str, stop: str) -> None:
    bench = make(start=start, stop=stop)
    judged(bench, groupIdToken=GROUP)
    session = Session(bench)
    session.ev_connected_pre_session()
    session.authorized()
    session.energy_transfer_started()

    session.stop_authorized(VALID2)

    assert authorizes(bench) == [VALID, VALID2]
    session.ev_connected_post_session()
    session.ev_disconnected()
    session.parking_bay_unoccupied()


@pytest.mark.octt("TC_C_41_CS")
@pytest.mark.req("C09.FR.03", "C09.FR.07")
@each_stop
def test_tc_c_41_cs_a_cached_token_of_the_group_stops_it_without_asking(make: Make, stop: str) -> None:
    bench = make(CACHE, start="EVConnected", stop=stop)
    cached(bench, VALID, groupIdToken=GROUP)
    cached(bench, VALID2, groupIdToken=GROUP)
    session = Session(bench)
    session.ev_connected_pre_session()
    session.authorized(known=True)
    session.energy_transfer_started()

    session.stop_authorized(VALID2)

    assert authorizes(bench) == []
    session.ev_connected_post_session()
    session.ev_disconnected()
    session.parking_bay_unoccupied()


@pytest.mark.octt("TC_C_42_CS")
@pytest.mark.req("C09.FR.11")
@each_start
def test_tc_c_42_cs_an_invalid_token_of_the_group_does_not_stop_it(make: Make, start: str) -> None:
    bench = make(start=start)
    judged(bench, groupIdToken=GROUP)
    session = Session(bench)
    session.ev_connected_pre_session()
    session.authorized()
    session.energy_transfer_started()
    judged(bench, "Invalid", groupIdToken=GROUP)

    goes_on(session, INVALID)


@pytest.mark.octt("TC_C_44_CS")
@pytest.mark.req("C09.FR.03", "C09.FR.07")
@each_start
def test_tc_c_44_cs_a_cached_invalid_token_of_the_group_is_asked_and_does_not_stop_it(make: Make, start: str) -> None:
    bench = make(CACHE, start=start)
    cached(bench, VALID, groupIdToken=GROUP)
    cached(bench, INVALID, "Invalid", groupIdToken=GROUP)
    judged(bench, groupIdToken=GROUP)
    session = Session(bench)
    session.ev_connected_pre_session()
    session.authorized(known=True)
    session.energy_transfer_started()
    judged(bench, "Invalid", groupIdToken=GROUP)

    goes_on(session, INVALID)


# --- C16: the master pass


def stopped_by_master(session: Session) -> None:
    """What is told of each transaction that a master pass stops, with whatever follows until the bay is empty."""
    token, session.token = session.token, MASTER
    session.told_stop_authorized(reasons="MasterPass")
    session.nothing_else()
    assert not session.bench.evse(session.evse).contactor_closed
    session.ev_connected_post_session()
    session.unplug()
    if session.running:
        session.next(triggerReason="EVCommunicationLost", chargingState="Idle")
    session.bay_is(occupied=False)
    if session.running:
        session.next(triggerReason="EVDeparted")
    assert session.last["eventType"] == "Ended"
    assert session.last["transactionInfo"]["stoppedReason"] == "MasterPass"
    session.token = token


@pytest.mark.octt("TC_C_14_CS")
@pytest.mark.req("C12.FR.09", "C16.FR.03")
@each_stop
def test_tc_c_14_cs_a_cached_master_pass_stops_it(make: Make, stop: str) -> None:
    bench = make({**CACHE, "AuthCtrlr.MasterPassGroupId": "masters"}, stop=stop)
    judged(bench, **MASTERS)
    Session(bench, token=MASTER).present()
    unjudged(bench)
    session = Session(bench)
    session.energy_transfer_started()
    bench.csms.forget()

    session.present(MASTER)

    assert authorizes(bench) == []
    stopped_by_master(session)


@pytest.mark.octt("TC_C_45_CS")
@pytest.mark.req("C16.FR.03")
@pytest.mark.parametrize("start", ["Authorized", "PowerPathClosed", "Authorized,PowerPathClosed"])
def test_tc_c_45_cs_a_master_pass_does_not_start(make: Make, start: str) -> None:
    bench = make({"AuthCtrlr.MasterPassGroupId": "masters"}, start=start)
    judged(bench, **MASTERS)
    session = Session(bench, token=MASTER)

    asked_in_vain(session)

    session.ev_connected_pre_session()
    bench.advance(MESSAGE_TIMEOUT_S)
    session.nothing_else()
    assert bench.events() == []
    assert not bench.evse(1).contactor_closed


@pytest.mark.octt("TC_C_49_CS")
@pytest.mark.req("C16.FR.02", "C16.FR.07")
@each_stop
def test_tc_c_49_cs_a_master_pass_stops_all(make: Make, stop: str) -> None:
    bench = make({"AuthCtrlr.MasterPassGroupId": "masters"}, stop=stop)
    first = Session(bench, evse=1, token=VALID)
    first.energy_transfer_started()
    second = Session(bench, evse=2, token=VALID2)
    second.energy_transfer_started()
    bench.csms.on("Authorize", verdict(**MASTERS))

    first.present(MASTER)

    assert bench.csms.received("Authorize")[-1] == {"idToken": id_token(MASTER)}
    stopped_by_master(first)
    stopped_by_master(second)
