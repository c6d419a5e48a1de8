"""The OCA's test cases of block C (authorization): the cache, online and offline (part 6, 2.4: C10 to C13, C15)."""

from __future__ import annotations

import pytest

from tests.octt.memory import cached, judged, verdict
from tests.octt.provisioned import reset
from tests.octt.session import Session
from tests.octt.states import INVALID, MESSAGE_TIMEOUT_S, VALID, authorizes, id_token
from tests.octt.stations import BACK_OFF_S, OFFLINE, POINTS, Make, each_start
from tests.octt.test_c import CACHE, asked_in_vain
from tests.scenarios.e_transactions.story import values

OFFLINE_WITH_CACHE = {**OFFLINE, **CACHE, "AuthCtrlr.OfflineTxForUnknownIdEnabled": "true"}


# --- C12: online


@pytest.mark.octt("TC_C_08_CS")
@pytest.mark.req("C12.FR.02", "C12.FR.04")
@each_start
def test_tc_c_08_cs_a_cached_token_charges_at_once(make: Make, start: str) -> None:
    bench = make(CACHE, start=start)
    cached(bench)
    session = Session(bench)
    session.ev_connected_pre_session()

    session.authorized(known=True)

    session.energy_transfer_started()


@pytest.mark.octt("TC_C_09_CS", "TC_C_10_CS", "TC_C_11_CS")
@pytest.mark.req("C12.FR.05", "C10.FR.03")
@pytest.mark.parametrize("status", ["Invalid", "Blocked", "Expired"])
@each_start
def test_a_token_cached_as_refused_is_asked_again(make: Make, start: str, status: str) -> None:
    bench = make(CACHE, start=start)
    cached(bench, INVALID, status)
    judged(bench, status)
    session = Session(bench, token=INVALID)
    session.ev_connected_pre_session()

    asked_in_vain(session)


@pytest.mark.octt("TC_C_12_CS")
@pytest.mark.req("C12.FR.05", "C10.FR.03")
@each_start
def test_tc_c_12_cs_cached_as_invalid_but_accepted_now(make: Make, start: str) -> None:
    bench = make(CACHE, start=start)
    cached(bench, VALID, "Invalid")
    session = Session(bench)
    session.ev_connected_pre_session()

    session.authorized()

    session.energy_transfer_started()


@pytest.mark.octt("TC_C_13_CS")
@pytest.mark.req("C12.FR.02", "C12.FR.04")
@each_start
def test_tc_c_13_cs_cached_token_first_cable_after(make: Make, start: str) -> None:
    bench = make(CACHE, start=start)
    cached(bench)
    session = Session(bench)
    session.parking_bay_occupied()

    session.authorized(known=True)
    bench.advance(10)

    session.nothing_else()
    assert not bench.evse(1).contactor_closed
    session.ev_connected_pre_session()
    session.energy_transfer_started()


@pytest.mark.octt("TC_C_57_CS")
@pytest.mark.req("C12.FR.05", "C10.FR.03")
@each_start
def test_tc_c_57_cs_what_the_cache_refuses_is_not_asked_again(make: Make, start: str) -> None:
    bench = make({**CACHE, "AuthCacheCtrlr.DisablePostAuthorize": "true"}, start=start)
    cached(bench, INVALID, "Invalid")
    session = Session(bench, token=INVALID)
    session.ev_connected_pre_session()

    asked_in_vain(session, known=True)


# --- C12, C15: offline, and the CSMS's later verdict


def charged_offline(make: Make, start: str, duration_s: float, **variables: str) -> Session:
    """A driver whose cached token the CSMS has come to find Invalid charges while the link is down; then it returns.

    What was queued tells of him and of his energy.
    """
    bench = make({**OFFLINE_WITH_CACHE, **variables}, start=start)
    cached(bench)
    session = Session(bench)
    session.ev_connected_pre_session()
    bench.csms.disconnect()
    session.present()
    bench.advance(duration_s)
    assert bench.evse(1).charging
    judged(bench, "Invalid")
    bench.csms.connect()
    bench.advance(1)

    queue = session.queued()
    (first,) = [event for event in queue if "idToken" in event]
    assert first["idToken"] == id_token(VALID)
    assert first["triggerReason"] == ("ChargingStateChanged" if start == "EnergyTransfer" else "Authorized")
    assert "ChargingStateChanged" in {event["triggerReason"] for event in queue}
    assert "Charging" in {event["transactionInfo"].get("chargingState") for event in queue}
    assert authorizes(bench) == []
    return session


@pytest.mark.octt("TC_C_15_CS")
@pytest.mark.req("C12.FR.02", "C15.FR.07")
@each_start
def test_tc_c_15_cs_invalid_after_the_fact_but_some_energy_is_granted(make: Make, start: str) -> None:
    granted = {"TxCtrlr.StopTxOnInvalidId": "false", "TxCtrlr.MaxEnergyOnInvalidId": "10000"}
    session = charged_offline(make, start, BACK_OFF_S, **granted)
    bench = session.bench

    bench.advance(MESSAGE_TIMEOUT_S)
    session.nothing_else()
    assert bench.evse(1).charging

    bench.advance(hours=2)
    session.next(eventType="Updated", chargingState="SuspendedEVSE")
    session.nothing_else()
    assert not bench.evse(1).charging
    begin = next(reading for event in bench.events() for _, reading in values(event, "Transaction.Begin"))
    assert 10_000 <= bench.evse(1).energy_wh - begin < 10_600


def ended_as_invalid(session: Session) -> None:
    """Step 5: the transaction is deauthorized, told at once, and energy has stopped."""
    session.bench.advance(5)
    session.deauthorized()
    assert not session.last.get("offline", False)
    assert not session.bench.evse(1).charging


@pytest.mark.octt("TC_C_16_CS")
@pytest.mark.req("C12.FR.02", "C15.FR.04")
@each_start
def test_tc_c_16_cs_invalid_after_the_fact_ends_it(make: Make, start: str) -> None:
    ends = {"TxCtrlr.StopTxOnInvalidId": "true", "TxCtrlr.MaxEnergyOnInvalidId": "0"}

    ended_as_invalid(charged_offline(make, start, 5, **ends))


@pytest.mark.octt("TC_C_17_CS")
@pytest.mark.req("C12.FR.02", "C15.FR.06")
@each_start
def test_tc_c_17_cs_invalid_after_the_fact_suspends_it(make: Make, start: str) -> None:
    suspends = {"TxCtrlr.StopTxOnInvalidId": "false", "TxCtrlr.MaxEnergyOnInvalidId": "0"}
    session = charged_offline(make, start, 5, **suspends)

    session.bench.advance(5)

    session.next(eventType="Updated", triggerReason="ChargingStateChanged", chargingState="SuspendedEVSE")
    session.nothing_else()
    assert not session.bench.evse(1).charging


@pytest.mark.octt("TC_C_18_CS")
@pytest.mark.req("C12.FR.02", "C15.FR.04")
@each_start
def test_tc_c_18_cs_granted_energy_does_not_matter_when_invalid_tokens_end_it(make: Make, start: str) -> None:
    ends = {"TxCtrlr.StopTxOnInvalidId": "true", "TxCtrlr.MaxEnergyOnInvalidId": "500"}

    ended_as_invalid(charged_offline(make, start, BACK_OFF_S, **ends))


@pytest.mark.octt("TC_C_26_CS")
@pytest.mark.req("C15.FR.02", "C15.FR.06", "C15.FR.08", "C13.FR.04")
@each_start
@pytest.mark.parametrize("stop", POINTS[:-1])
def test_tc_c_26_cs_an_unknown_token_offline(make: Make, start: str, stop: str) -> None:
    suspends = {"TxCtrlr.StopTxOnInvalidId": "false", "TxCtrlr.MaxEnergyOnInvalidId": "0"}
    bench = make({**OFFLINE_WITH_CACHE, **suspends}, start=start, stop=stop)
    session = Session(bench, token=INVALID)
    bench.csms.disconnect()
    session.bay_is(occupied=True)
    session.present()
    session.plug()
    bench.advance(BACK_OFF_S)
    assert bench.evse(1).charging
    judged(bench, "Invalid")

    bench.csms.connect()
    bench.advance(5)

    session.connector_is("Occupied")
    assert id_token(INVALID) in [event.get("idToken") for event in session.queued()]
    session.next(triggerReason="ChargingStateChanged", chargingState="SuspendedEVSE")
    assert not bench.evse(1).charging
    session.stop_authorized()
    session.ev_connected_post_session()
    session.ev_disconnected()


# --- C10, C11: what the cache learns and forgets


@pytest.mark.octt("TC_C_32_CS")
@pytest.mark.req("C10.FR.02")
@pytest.mark.parametrize("how", ["reset", "power"])
@each_start
def test_tc_c_32_cs_the_cache_survives_a_reboot(make: Make, start: str, how: str) -> None:
    bench = make(CACHE, start=start)
    cached(bench)
    if how == "reset":
        assert reset(bench) == "Accepted"
    else:
        bench.crash()
    bench.advance(5)
    session = Session(bench)
    session.parking_bay_occupied()

    session.authorized(known=True)

    session.ev_connected_pre_session()
    session.energy_transfer_started()


@pytest.mark.octt("TC_C_33_CS")
@pytest.mark.req("C10.FR.04", "C12.FR.06")
@each_start
def test_tc_c_33_cs_the_cache_learns_from_authorize(make: Make, start: str) -> None:
    bench = make(CACHE, start=start)
    first = Session(bench)
    first.ev_connected_pre_session()
    first.authorized()
    first.energy_transfer_started()
    first.parking_bay_unoccupied()

    again = Session(bench)
    again.ev_connected_pre_session()

    again.authorized(known=True)


@pytest.mark.octt("TC_C_34_CS")
@pytest.mark.req("C10.FR.05", "C12.FR.06")
@pytest.mark.parametrize("start", POINTS[:-1])
def test_tc_c_34_cs_the_cache_learns_from_transaction_events(make: Make, start: str) -> None:
    variables = {**CACHE, "TxCtrlr.StopTxOnInvalidId": "true", "TxCtrlr.MaxEnergyOnInvalidId": "0"}
    bench = make(variables, start=start)
    cached(bench)
    judged(bench, "Invalid")
    session = Session(bench)
    session.ev_connected_pre_session(charge=False)  # a vehicle is slower than the CSMS
    session.authorized(known=True)
    session.deauthorized()
    session.ev_disconnected()
    session.parking_bay_unoccupied()

    again = Session(bench)
    again.ev_connected_pre_session()

    asked_in_vain(again)


@pytest.mark.octt("TC_C_36_CS")
@pytest.mark.req("C10.FR.11")
@each_start
def test_tc_c_36_cs_without_local_pre_authorize_the_csms_is_asked(make: Make, start: str) -> None:
    bench = make({**CACHE, "AuthCtrlr.LocalPreAuthorize": "false"}, start=start)
    cached(bench)
    bench.csms.on("Authorize", verdict("Invalid"))
    session = Session(bench)
    session.parking_bay_occupied()

    asked_in_vain(session)


@pytest.mark.octt("TC_C_37_CS")
@pytest.mark.req("C11.FR.01", "C11.FR.02", "C11.FR.03")
@each_start
def test_tc_c_37_cs_the_cache_is_cleared(make: Make, start: str) -> None:
    bench = make(CACHE, start=start)
    cached(bench)

    assert bench.csms.call("ClearCache") == {"status": "Accepted"}

    session = Session(bench)
    session.parking_bay_occupied()
    session.ev_connected_pre_session()
    session.authorized()
    session.energy_transfer_started()


@pytest.mark.octt("TC_C_38_CS")
@pytest.mark.req("C11.FR.01", "C11.FR.02", "C11.FR.04")
def test_tc_c_38_cs_a_disabled_cache_is_not_cleared(make: Make) -> None:
    bench = make({"AuthCacheCtrlr.Enabled": "false"})
    cached(bench)

    assert bench.csms.call("ClearCache")["status"] == "Rejected"


@pytest.mark.octt("TC_C_46_CS")
@pytest.mark.req("C10.FR.08")
@each_start
def test_tc_c_46_cs_an_entry_lives_as_long_as_life_time_says(make: Make, start: str) -> None:
    bench = make({**CACHE, "AuthCacheCtrlr.LifeTime": "60"}, start=start)
    cached(bench)
    session = Session(bench)
    session.ev_connected_pre_session()

    bench.advance(60)

    session.authorized()
