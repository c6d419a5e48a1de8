"""The OCA's test cases of block C that need the local authorization list (part 6, 2.4)."""

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
    energy_transfer_started,
    ev_connected_pre_session,
    ev_disconnected,
    in_local_list,
    listed,
    triggers,
    with_token,
)

LIST = {"LocalAuthListCtrlr.Enabled": "true", "AuthCtrlr.LocalPreAuthorize": "true"}
OFFLINE = {
    **LIST,
    "AuthCtrlr.OfflineTxForUnknownIdEnabled": "false",
    "AuthCtrlr.LocalAuthorizeOffline": "true",
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


def nothing_follows(bench: Bench) -> None:
    """No TransactionEvent follows, and no energy flows."""
    before = len(bench.events())
    bench.advance(seconds=MESSAGE_TIMEOUT_S)
    assert len(bench.events()) == before
    assert not bench.evse(1).contactor_closed


# --- C13: offline


@pytest.mark.octt("TC_C_21_CS")
@pytest.mark.req("C13.FR.02", "C13.FR.03", "C13.FR.05")
def test_tc_c_21_cs_offline_an_accepted_entry_charges(make: Make) -> None:
    bench = make(OFFLINE)
    in_local_list(bench, listed(VALID))
    bench.csms.disconnect()
    bench.evse(1).plug_in()
    bench.evse(1).present_token(VALID)
    bench.advance(minutes=1)
    assert bench.evse(1).charging

    bench.evse(1).present_token(VALID)
    bench.advance(seconds=10)
    bench.evse(1).unplug()
    bench.advance(seconds=5)
    bench.csms.connect()
    bench.advance(seconds=5)

    events = bench.events()
    assert events[0]["idToken"]["idToken"] == VALID
    assert all(event["offline"] for event in events)
    assert "StopAuthorized" in triggers(bench)
    assert authorizes(bench) == []


@pytest.mark.octt("TC_C_22_CS", "TC_C_23_CS", "TC_C_24_CS")
@pytest.mark.req("C13.FR.02", "C13.FR.05")
@pytest.mark.parametrize("status", ["Invalid", "Blocked", "Expired"])
def test_offline_any_other_entry_does_not_charge(make: Make, status: str) -> None:
    bench = make(OFFLINE)
    in_local_list(bench, listed(INVALID, status))
    bench.csms.disconnect()

    bench.evse(1).present_token(INVALID)
    bench.evse(1).plug_in()
    bench.advance(minutes=1)
    assert not bench.evse(1).contactor_closed
    bench.csms.connect()
    bench.advance(seconds=5)

    assert bench.events() == []


@pytest.mark.octt("TC_C_25_CS")
@pytest.mark.req("C13.FR.01", "C14.FR.01")
def test_tc_c_25_cs_the_list_wins_over_the_cache(make: Make) -> None:
    bench = make({**OFFLINE, "AuthCtrlr.OfflineTxForUnknownIdEnabled": "true", "TxCtrlr.StopTxOnInvalidId": "false"})
    cached(bench, VALID)
    in_local_list(bench, listed(VALID, "Invalid"))
    ev_connected_pre_session(bench)
    bench.csms.disconnect()

    bench.evse(1).present_token(VALID)
    bench.advance(minutes=1)
    assert not bench.evse(1).contactor_closed
    bench.csms.connect()
    bench.advance(seconds=5)

    assert bench.events() == []


# --- C14: online


@pytest.mark.octt("TC_C_27_CS")
@pytest.mark.req("C14.FR.02", "C14.FR.04", "C13.FR.03")
@pytest.mark.parametrize("start_point", START_POINTS)
def test_tc_c_27_cs_online_an_accepted_entry_charges_at_once(make: Make, start_point: str) -> None:
    bench = make({**LIST, "TxCtrlr.TxStartPoint": start_point})
    in_local_list(bench, listed(VALID))

    bench.evse(1).present_token(VALID)
    bench.advance(seconds=1)
    if start_point == "Authorized":
        assert with_token(bench) == [("Started", "Authorized", VALID)]
    ev_connected_pre_session(bench)

    energy_transfer_started(bench)
    assert authorizes(bench) == []
    assert [token for *_, token in with_token(bench)] == [VALID]


@pytest.mark.octt("TC_C_28_CS", "TC_C_29_CS", "TC_C_30_CS")
@pytest.mark.req("C14.FR.03")
@pytest.mark.parametrize("status", ["Invalid", "Blocked", "Expired"])
def test_online_any_other_entry_is_asked(make: Make, status: str) -> None:
    bench = make({**LIST, "LocalAuthListCtrlr.DisablePostAuthorize": "false"})
    in_local_list(bench, listed(INVALID, status))
    bench.csms.on("Authorize", {"idTokenInfo": {"status": status}})
    ev_connected_pre_session(bench)

    bench.evse(1).present_token(INVALID)

    assert bench.csms.received("Authorize") == [{"idToken": {"idToken": INVALID, "type": "ISO14443"}}]
    nothing_follows(bench)


@pytest.mark.octt("TC_C_31_CS")
@pytest.mark.req("C14.FR.03")
def test_tc_c_31_cs_listed_as_invalid_but_accepted_now(make: Make) -> None:
    bench = make({**LIST, "LocalAuthListCtrlr.DisablePostAuthorize": "false"})
    in_local_list(bench, listed(VALID, "Invalid"))

    bench.evse(1).present_token(VALID)
    bench.advance(seconds=1)
    assert authorizes(bench) == [VALID]
    ev_connected_pre_session(bench)

    energy_transfer_started(bench)


@pytest.mark.octt("TC_C_58_CS")
@pytest.mark.req("C14.FR.03")
def test_tc_c_58_cs_what_the_list_refuses_is_not_asked_again(make: Make) -> None:
    bench = make({**LIST, "LocalAuthListCtrlr.DisablePostAuthorize": "true"})
    in_local_list(bench, listed(INVALID, "Invalid"))
    ev_connected_pre_session(bench)

    bench.evse(1).present_token(INVALID)

    assert authorizes(bench) == []
    nothing_follows(bench)


# --- C09: groups


@pytest.mark.octt("TC_C_40_CS")
@pytest.mark.req("C09.FR.03", "C09.FR.04", "C09.FR.07", "C01.FR.03")
def test_tc_c_40_cs_a_listed_token_of_the_group_stops_it_without_asking(make: Make) -> None:
    bench = make(LIST)
    in_local_list(bench, listed(VALID, groupIdToken=GROUP), listed(VALID2, groupIdToken=GROUP))
    ev_connected_pre_session(bench)
    bench.evse(1).present_token(VALID)
    energy_transfer_started(bench)

    bench.evse(1).present_token(VALID2)
    bench.advance(seconds=10)

    assert authorizes(bench) == []
    assert [(trigger, token) for _, trigger, token in with_token(bench)] == [
        ("Authorized", VALID),
        ("StopAuthorized", VALID2),
    ]
    assert not bench.evse(1).charging
    ev_disconnected(bench)


@pytest.mark.octt("TC_C_43_CS")
@pytest.mark.req("C09.FR.07", "C09.FR.11")
def test_tc_c_43_cs_a_token_of_the_group_listed_as_invalid_is_asked_and_does_not_stop_it(make: Make) -> None:
    bench = make(LIST)
    in_local_list(bench, listed(VALID, groupIdToken=GROUP), listed(INVALID, "Invalid", groupIdToken=GROUP))
    bench.csms.on("Authorize", {"idTokenInfo": {"status": "Invalid", "groupIdToken": GROUP}})
    ev_connected_pre_session(bench)
    bench.evse(1).present_token(VALID)
    energy_transfer_started(bench)

    bench.evse(1).present_token(INVALID)
    bench.advance(seconds=MESSAGE_TIMEOUT_S)

    assert authorizes(bench) == [INVALID]
    assert "StopAuthorized" not in triggers(bench)
    assert bench.evse(1).charging
