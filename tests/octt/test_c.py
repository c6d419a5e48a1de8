"""The OCA's test cases of block C (authorization), Core profile (part 6, 2.4)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bench import Bench
from tests.octt.states import (
    GROUP,
    INVALID,
    MESSAGE_TIMEOUT_S,
    VALID,
    VALID2,
    authorizes,
    cached,
    charging,
    charging_states,
    energy_transfer_started,
    ev_connected_pre_session,
    ev_disconnected,
    triggers,
    with_token,
)

CACHE = {"AuthCacheCtrlr.Enabled": "true", "AuthCtrlr.LocalPreAuthorize": "true"}
OFFLINE = {
    **CACHE,
    "AuthCtrlr.LocalAuthorizeOffline": "true",
    "AuthCtrlr.OfflineTxForUnknownIdEnabled": "true",
    "TxCtrlr.TxStartPoint": "PowerPathClosed",
    "TxCtrlr.TxStopPoint": "EVConnected,Authorized",
}
START_POINTS = ["EVConnected", "Authorized", "PowerPathClosed"]

Make = Callable[..., Bench]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A station with these variables."""

    def made(variables: dict[str, str] | None = None, **more: Any) -> Bench:
        points = {"TxCtrlr.TxStartPoint": "PowerPathClosed", "TxCtrlr.TxStopPoint": "EVConnected,Authorized"}
        return Bench(tmp_path, variables={**points, **(variables or {})}, **more)

    return made


def nothing_about_the_token(bench: Bench, token: str) -> None:
    """No TransactionEvent follows the refusal, and no energy flows."""
    before = len(bench.events())
    bench.advance(seconds=MESSAGE_TIMEOUT_S)
    assert all(found != token for _, _, found in with_token(bench))
    assert len(bench.events()) == before
    assert not bench.evse(1).contactor_closed


# --- C01: the CSMS is asked


@pytest.mark.octt("TC_C_02_CS", "TC_C_06_CS", "TC_C_07_CS", "TC_C_56_CS")
@pytest.mark.req("C01.FR.02")
@pytest.mark.parametrize("verdict", ["Invalid", "Blocked", "Expired", "Unknown"])
@pytest.mark.parametrize("start_point", START_POINTS)
def test_a_token_that_the_csms_refuses_starts_nothing(make: Make, start_point: str, verdict: str) -> None:
    bench = make({"TxCtrlr.TxStartPoint": start_point})
    bench.csms.on("Authorize", {"idTokenInfo": {"status": verdict}})
    ev_connected_pre_session(bench)

    bench.evse(1).present_token(INVALID)

    assert bench.csms.received("Authorize") == [{"idToken": {"idToken": INVALID, "type": "ISO14443"}}]
    nothing_about_the_token(bench, INVALID)


@pytest.mark.octt("TC_C_05_CS")
@pytest.mark.req("C01.FR.02")
def test_tc_c_05_cs_refused_before_the_cable_is_in(make: Make) -> None:
    bench = make({"TxCtrlr.TxStartPoint": "Authorized"}, lock=True)
    bench.csms.on("Authorize", {"idTokenInfo": {"status": "Invalid"}})

    bench.evse(1).present_token(INVALID)

    assert authorizes(bench) == [INVALID]
    nothing_about_the_token(bench, INVALID)
    assert bench.events() == []


@pytest.mark.octt("TC_C_04_CS")
@pytest.mark.req("C01.FR.02", "C01.FR.03")
def test_tc_c_04_cs_another_drivers_token_does_not_stop_it(make: Make) -> None:
    bench = make()
    charging(bench)

    bench.evse(1).present_token(VALID2)
    bench.advance(seconds=MESSAGE_TIMEOUT_S)

    assert authorizes(bench) == [VALID, VALID2]
    assert VALID2 not in [token for _, _, token in with_token(bench)]
    assert all(event["eventType"] != "Ended" for event in bench.events())
    assert bench.evse(1).charging


# --- C12: the cache, online


@pytest.mark.octt("TC_C_08_CS")
@pytest.mark.req("C12.FR.02", "C12.FR.04")
@pytest.mark.parametrize("start_point", START_POINTS)
def test_tc_c_08_cs_a_cached_token_charges_at_once(make: Make, start_point: str) -> None:
    bench = make({**CACHE, "TxCtrlr.TxStartPoint": start_point})
    cached(bench)
    ev_connected_pre_session(bench)

    bench.evse(1).present_token(VALID)

    energy_transfer_started(bench)
    assert authorizes(bench) == []
    assert [token for _, trigger, token in with_token(bench) if trigger == "Authorized"] == [VALID]


@pytest.mark.octt("TC_C_09_CS", "TC_C_10_CS", "TC_C_11_CS")
@pytest.mark.req("C12.FR.05", "C10.FR.03")
@pytest.mark.parametrize("verdict", ["Invalid", "Blocked", "Expired"])
def test_a_token_cached_as_refused_is_asked_again(make: Make, verdict: str) -> None:
    bench = make(CACHE)
    bench.csms.on("Authorize", {"idTokenInfo": {"status": verdict}})
    ev_connected_pre_session(bench)
    bench.evse(1).present_token(INVALID)
    bench.csms.forget()

    bench.evse(1).present_token(INVALID)

    assert authorizes(bench) == [INVALID]
    nothing_about_the_token(bench, INVALID)


@pytest.mark.octt("TC_C_12_CS")
@pytest.mark.req("C12.FR.05", "C10.FR.03")
def test_tc_c_12_cs_cached_as_invalid_but_accepted_now(make: Make) -> None:
    bench = make(CACHE)
    bench.csms.on("Authorize", [{"idTokenInfo": {"status": "Invalid"}}, {"idTokenInfo": {"status": "Accepted"}}])
    ev_connected_pre_session(bench)
    bench.evse(1).present_token(VALID)
    assert not bench.evse(1).charging

    bench.evse(1).present_token(VALID)

    assert authorizes(bench) == [VALID, VALID]
    energy_transfer_started(bench)


@pytest.mark.octt("TC_C_13_CS")
@pytest.mark.req("C12.FR.02", "C12.FR.04")
def test_tc_c_13_cs_cached_token_first_cable_after(make: Make) -> None:
    bench = make({**CACHE, "TxCtrlr.TxStartPoint": "Authorized"})
    cached(bench)

    bench.evse(1).present_token(VALID)
    bench.advance(seconds=5)

    assert with_token(bench) == [("Started", "Authorized", VALID)]
    assert not bench.evse(1).contactor_closed
    ev_connected_pre_session(bench)
    energy_transfer_started(bench)
    assert authorizes(bench) == []


@pytest.mark.octt("TC_C_14_CS")
@pytest.mark.req("C12.FR.09", "C16.FR.03")
def test_tc_c_14_cs_a_cached_master_pass_stops_and_never_starts(make: Make) -> None:
    bench = make({**CACHE, "AuthCtrlr.MasterPassGroupId": "masters"})
    group = {"groupIdToken": {"idToken": "masters", "type": "Central"}}
    bench.csms.on("Authorize", {"idTokenInfo": {"status": "Accepted", **group}})
    ev_connected_pre_session(bench)
    bench.evse(1).present_token("04AA55AA55")
    bench.advance(seconds=5)
    assert bench.events() == []
    bench.csms.default("Authorize")
    bench.evse(1).present_token(VALID)
    energy_transfer_started(bench)

    bench.evse(1).present_token("04AA55AA55")
    bench.advance(seconds=10)

    assert authorizes(bench) == ["04AA55AA55", VALID]
    assert bench.events()[-1]["transactionInfo"]["stoppedReason"] == "MasterPass"


@pytest.mark.octt("TC_C_57_CS")
@pytest.mark.req("C12.FR.05", "C10.FR.03")
def test_tc_c_57_cs_what_the_cache_refuses_is_not_asked_again(make: Make) -> None:
    bench = make({**CACHE, "AuthCacheCtrlr.DisablePostAuthorize": "true"})
    bench.csms.on("Authorize", {"idTokenInfo": {"status": "Invalid"}})
    ev_connected_pre_session(bench)
    bench.evse(1).present_token(INVALID)
    bench.csms.forget()

    bench.evse(1).present_token(INVALID)

    assert authorizes(bench) == []
    nothing_about_the_token(bench, INVALID)


# --- C12, C15: the cache offline, and the CSMS's later verdict


def charged_offline(make: Make, **variables: str) -> Bench:
    """A driver whose cached token the CSMS has come to find Invalid charges while the link is down; then it returns."""
    bench = make({**OFFLINE, **variables})
    cached(bench)
    ev_connected_pre_session(bench)
    bench.csms.disconnect()
    bench.evse(1).present_token(VALID)
    bench.advance(seconds=5)
    assert bench.evse(1).charging
    bench.csms.on("TransactionEvent", lambda sent: {"idTokenInfo": {"status": "Invalid"}} if "idToken" in sent else {})
    bench.csms.connect()
    bench.advance(seconds=1)
    offline = [event for event in bench.events() if event.get("offline")]
    assert ("Started", "Authorized", VALID) in with_token(bench)
    assert "ChargingStateChanged" in [event["triggerReason"] for event in offline]
    return bench


@pytest.mark.octt("TC_C_15_CS")
@pytest.mark.req("C12.FR.02", "C15.FR.07")
def test_tc_c_15_cs_invalid_after_the_fact_but_some_energy_is_granted(make: Make) -> None:
    bench = charged_offline(make, **{"TxCtrlr.StopTxOnInvalidId": "false", "TxCtrlr.MaxEnergyOnInvalidId": "10000"})

    bench.advance(minutes=5)
    assert "Deauthorized" not in triggers(bench)
    assert "SuspendedEVSE" not in charging_states(bench)[1:]

    bench.advance(hours=2)
    assert not bench.evse(1).charging
    started = bench.events()[0]["meterValue"][0]["sampledValue"][0]["value"]
    assert 10_000 <= bench.evse(1).energy_wh - started < 10_600


@pytest.mark.octt("TC_C_16_CS")
@pytest.mark.req("C12.FR.02", "C15.FR.04")
def test_tc_c_16_cs_invalid_after_the_fact_ends_it(make: Make) -> None:
    bench = charged_offline(make, **{"TxCtrlr.StopTxOnInvalidId": "true", "TxCtrlr.MaxEnergyOnInvalidId": "0"})

    bench.advance(seconds=10)

    last = bench.events()[-1]
    assert (last["triggerReason"], last["transactionInfo"]["stoppedReason"]) == ("Deauthorized", "DeAuthorized")
    assert not bench.evse(1).contactor_closed


@pytest.mark.octt("TC_C_17_CS")
@pytest.mark.req("C12.FR.02", "C15.FR.06")
def test_tc_c_17_cs_invalid_after_the_fact_suspends_it(make: Make) -> None:
    bench = charged_offline(make, **{"TxCtrlr.StopTxOnInvalidId": "false", "TxCtrlr.MaxEnergyOnInvalidId": "0"})

    bench.advance(seconds=10)

    assert charging_states(bench)[-1] == "SuspendedEVSE"
    assert all(event["eventType"] != "Ended" for event in bench.events())
    assert not bench.evse(1).charging


@pytest.mark.octt("TC_C_18_CS")
@pytest.mark.req("C12.FR.02", "C15.FR.04")
def test_tc_c_18_cs_granted_energy_does_not_matter_when_invalid_tokens_end_it(make: Make) -> None:
    bench = charged_offline(make, **{"TxCtrlr.StopTxOnInvalidId": "true", "TxCtrlr.MaxEnergyOnInvalidId": "500"})

    bench.advance(seconds=10)

    last = bench.events()[-1]
    assert last["triggerReason"] == "Deauthorized"
    assert not last.get("offline")
    assert not bench.evse(1).charging


@pytest.mark.octt("TC_C_26_CS")
@pytest.mark.req("C15.FR.02", "C15.FR.06", "C15.FR.08", "C13.FR.04")
def test_tc_c_26_cs_an_unknown_token_offline(make: Make) -> None:
    bench = make({**OFFLINE, "TxCtrlr.StopTxOnInvalidId": "false", "TxCtrlr.MaxEnergyOnInvalidId": "0"})
    bench.csms.disconnect()
    bench.evse(1).plug_in()
    bench.evse(1).present_token(INVALID)
    bench.advance(seconds=20)
    assert bench.evse(1).charging
    bench.csms.on("TransactionEvent", lambda sent: {"idTokenInfo": {"status": "Invalid"}} if "idToken" in sent else {})

    bench.csms.connect()
    offline = len(bench.events())
    assert offline
    assert all(event["offline"] for event in bench.events()[:2])
    bench.advance(seconds=5)
    assert "SuspendedEVSE" in charging_states(bench)
    assert not bench.evse(1).charging

    bench.evse(1).present_token(INVALID)
    bench.advance(seconds=5)
    bench.evse(1).unplug()
    bench.advance(seconds=5)

    assert "StopAuthorized" in triggers(bench)
    assert bench.events()[-1]["eventType"] == "Ended"


# --- C10, C11: what the cache learns and forgets


@pytest.mark.octt("TC_C_32_CS")
@pytest.mark.req("C10.FR.02")
def test_tc_c_32_cs_the_cache_survives_a_reboot(make: Make) -> None:
    bench = make(CACHE)
    cached(bench)

    bench.crash()
    bench.advance(seconds=5)
    ev_connected_pre_session(bench)
    bench.evse(1).present_token(VALID)

    energy_transfer_started(bench)
    assert authorizes(bench) == []


@pytest.mark.octt("TC_C_33_CS")
@pytest.mark.req("C10.FR.04", "C12.FR.06")
def test_tc_c_33_cs_the_cache_learns_from_authorize(make: Make) -> None:
    bench = make(CACHE)
    charging(bench)
    bench.evse(1).present_token(VALID)
    bench.advance(seconds=10)
    ev_disconnected(bench)

    ev_connected_pre_session(bench)
    bench.evse(1).present_token(VALID)

    energy_transfer_started(bench)
    assert authorizes(bench) == [VALID]


@pytest.mark.octt("TC_C_34_CS")
@pytest.mark.req("C10.FR.05", "C12.FR.06")
def test_tc_c_34_cs_the_cache_learns_from_transaction_events(make: Make) -> None:
    bench = make(CACHE)
    cached(bench)
    bench.csms.on("TransactionEvent", lambda sent: {"idTokenInfo": {"status": "Invalid"}} if "idToken" in sent else {})
    bench.csms.on("Authorize", {"idTokenInfo": {"status": "Invalid"}})
    ev_connected_pre_session(bench)
    bench.evse(1).present_token(VALID)
    bench.advance(seconds=10)
    assert authorizes(bench) == []
    ev_disconnected(bench)

    ev_connected_pre_session(bench)
    bench.evse(1).present_token(VALID)

    assert authorizes(bench) == [VALID]


@pytest.mark.octt("TC_C_36_CS")
@pytest.mark.req("C10.FR.11")
def test_tc_c_36_cs_without_local_pre_authorize_the_csms_is_asked(make: Make) -> None:
    bench = make({**CACHE, "AuthCtrlr.LocalPreAuthorize": "false"})
    cached(bench)
    bench.csms.on("Authorize", {"idTokenInfo": {"status": "Invalid"}})

    bench.evse(1).present_token(VALID)

    assert authorizes(bench) == [VALID]


@pytest.mark.octt("TC_C_37_CS")
@pytest.mark.req("C11.FR.01", "C11.FR.02", "C11.FR.03")
def test_tc_c_37_cs_the_cache_is_cleared(make: Make) -> None:
    bench = make(CACHE)
    cached(bench)

    assert bench.csms.call("ClearCache") == {"status": "Accepted"}

    charging(bench)
    assert authorizes(bench) == [VALID]


@pytest.mark.octt("TC_C_38_CS")
@pytest.mark.req("C11.FR.01", "C11.FR.02", "C11.FR.04")
def test_tc_c_38_cs_a_disabled_cache_is_not_cleared(make: Make) -> None:
    bench = make({"AuthCacheCtrlr.Enabled": "false"})

    assert bench.csms.call("ClearCache")["status"] == "Rejected"


@pytest.mark.octt("TC_C_46_CS")
@pytest.mark.req("C10.FR.08")
def test_tc_c_46_cs_an_entry_lives_as_long_as_life_time_says(make: Make) -> None:
    bench = make({**CACHE, "AuthCacheCtrlr.LifeTime": "60"})
    cached(bench)
    bench.advance(seconds=61)

    charging(bench)

    assert authorizes(bench) == [VALID]


# --- C09: groups


@pytest.mark.octt("TC_C_39_CS")
@pytest.mark.req("C09.FR.03", "C09.FR.05")
def test_tc_c_39_cs_another_token_of_the_group_stops_it(make: Make) -> None:
    bench = make()
    accepted = {"idTokenInfo": {"status": "Accepted", "groupIdToken": GROUP}}
    bench.csms.on("Authorize", accepted)
    bench.csms.on("TransactionEvent", lambda sent: accepted if "idToken" in sent else {})
    charging(bench)

    bench.evse(1).present_token(VALID2)
    bench.advance(seconds=10)

    assert authorizes(bench) == [VALID, VALID2]
    assert with_token(bench)[-1][1:] == ("StopAuthorized", VALID2)
    assert not bench.evse(1).charging
    ev_disconnected(bench)


@pytest.mark.octt("TC_C_41_CS")
@pytest.mark.req("C09.FR.03", "C09.FR.07")
def test_tc_c_41_cs_a_cached_token_of_the_group_stops_it_without_asking(make: Make) -> None:
    bench = make(CACHE)
    cached(bench, VALID, groupIdToken=GROUP)
    cached(bench, VALID2, groupIdToken=GROUP)
    charging(bench)

    bench.evse(1).present_token(VALID2)
    bench.advance(seconds=10)

    assert authorizes(bench) == []
    assert with_token(bench)[-1][1:] == ("StopAuthorized", VALID2)
    assert not bench.evse(1).charging


@pytest.mark.octt("TC_C_42_CS")
@pytest.mark.req("C09.FR.11")
def test_tc_c_42_cs_an_invalid_token_of_the_group_does_not_stop_it(make: Make) -> None:
    bench = make()
    verdicts = [{"idTokenInfo": {"status": verdict, "groupIdToken": GROUP}} for verdict in ("Accepted", "Invalid")]
    bench.csms.on("Authorize", list(verdicts))
    charging(bench)
    before = len(bench.events())

    bench.evse(1).present_token(INVALID)
    bench.advance(seconds=MESSAGE_TIMEOUT_S)

    assert authorizes(bench) == [VALID, INVALID]
    assert all(event["triggerReason"] == "MeterValuePeriodic" for event in bench.events()[before:])
    assert bench.evse(1).charging


@pytest.mark.octt("TC_C_44_CS")
@pytest.mark.req("C09.FR.03", "C09.FR.07")
def test_tc_c_44_cs_a_token_of_the_group_cached_as_invalid_is_asked_and_does_not_stop_it(make: Make) -> None:
    bench = make(CACHE)
    cached(bench, VALID, groupIdToken=GROUP)
    invalid = {"idTokenInfo": {"status": "Invalid", "groupIdToken": GROUP}}
    bench.csms.on("Authorize", invalid)
    bench.evse(1).present_token(INVALID)
    bench.advance(seconds=2)
    bench.csms.forget()
    charging(bench)

    bench.evse(1).present_token(INVALID)
    bench.advance(seconds=MESSAGE_TIMEOUT_S)

    assert authorizes(bench) == [INVALID]
    assert "StopAuthorized" not in triggers(bench)
    assert bench.evse(1).charging


# --- C16: master pass

MASTER = {"idTokenInfo": {"status": "Accepted", "groupIdToken": {"idToken": "masters", "type": "Central"}}}


@pytest.mark.octt("TC_C_45_CS")
@pytest.mark.req("C16.FR.03")
def test_tc_c_45_cs_a_master_pass_does_not_start(make: Make) -> None:
    bench = make({"AuthCtrlr.MasterPassGroupId": "masters"})
    bench.csms.on("Authorize", MASTER)
    ev_connected_pre_session(bench)

    bench.evse(1).present_token(VALID)

    assert authorizes(bench) == [VALID]
    nothing_about_the_token(bench, VALID)


@pytest.mark.octt("TC_C_49_CS")
@pytest.mark.req("C16.FR.02", "C16.FR.07")
def test_tc_c_49_cs_a_master_pass_stops_all(make: Make) -> None:
    bench = make({"AuthCtrlr.MasterPassGroupId": "masters"})
    charging(bench, VALID, evse=1)
    charging(bench, VALID2, evse=2)
    bench.csms.on("Authorize", MASTER)

    bench.evse(1).present_token("04AA55AA55")
    bench.advance(seconds=10)

    ended = [event for event in bench.events() if event["eventType"] == "Ended"]
    assert [event["transactionInfo"]["stoppedReason"] for event in ended] == ["MasterPass", "MasterPass"]
    assert {event["idToken"]["idToken"] for event in ended if "idToken" in event} <= {"04AA55AA55"}
    assert not bench.evse(1).contactor_closed
    assert not bench.evse(2).contactor_closed
