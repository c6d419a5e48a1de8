"""The local list at work: offline and online, with its expiry dates, before the cache (C09, C13, C14, C15)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hal.api import TokenType
from tests.bench import Bench
from tests.octt.memory import cached, in_local_list, listed
from tests.octt.states import GROUP, authorizes

CARD, OTHER = "04AABBCC11", "04DDEEFF22"
POINTS = {"TxCtrlr.TxStartPoint": "PowerPathClosed", "TxCtrlr.TxStopPoint": "EVConnected,Authorized"}
PRE, OFFLINE = "AuthCtrlr.LocalPreAuthorize", "AuthCtrlr.LocalAuthorizeOffline"
UNKNOWN = "AuthCtrlr.OfflineTxForUnknownIdEnabled"


def station(path: Path, **variables: str) -> Bench:
    given = {name.replace("_", "."): value for name, value in variables.items()}
    return Bench(path, variables={**POINTS, PRE: "true", OFFLINE: "true", **given})


def until(bench: Bench, hours: float) -> str:
    """A cacheExpiryDateTime so many hours from now."""
    return (bench.utc + timedelta(hours=hours)).isoformat().replace("+00:00", "Z")


def charges(bench: Bench, token: str = CARD) -> bool:
    """Whether this card gets energy."""
    bench.evse(1).plug_in()
    bench.evse(1).present_token(token)
    bench.advance(seconds=15)
    return bench.evse(1).charging


@pytest.mark.req("C13.FR.05", "C13.FR.06")
@pytest.mark.parametrize("unknown_may", ["true", "false"])
@pytest.mark.parametrize("hours,charged", [(1, True), (-1, False)])
def test_offline_an_entry_counts_until_its_date(
    tmp_path: Path, unknown_may: str, hours: float, *, charged: bool
) -> None:
    """An entry that has expired is not "unknown", either."""
    bench = station(tmp_path, AuthCtrlr_OfflineTxForUnknownIdEnabled=unknown_may)
    in_local_list(bench, listed(CARD, cacheExpiryDateTime=until(bench, hours)))
    bench.csms.disconnect()

    assert charges(bench) is charged


@pytest.mark.req("C13.FR.04", "C13.FR.06")
@pytest.mark.parametrize("unknown_may", ["true", "false"])
def test_offline_a_token_in_neither_store_charges_where_unknown_ones_may(tmp_path: Path, unknown_may: str) -> None:
    bench = station(tmp_path, AuthCtrlr_OfflineTxForUnknownIdEnabled=unknown_may)
    in_local_list(bench, listed(OTHER))
    bench.csms.disconnect()

    assert charges(bench) is (unknown_may == "true")


@pytest.mark.req("C14.FR.04", "C14.FR.05")
def test_online_an_entry_charges_until_its_date_and_is_asked_after_it(tmp_path: Path) -> None:
    bench = station(tmp_path, LocalAuthListCtrlr_DisablePostAuthorize="true")
    in_local_list(bench, listed(CARD, cacheExpiryDateTime=until(bench, 1)))
    assert charges(bench)
    assert authorizes(bench) == []
    bench.evse(1).unplug()
    bench.advance(hours=1)

    assert charges(bench)
    assert authorizes(bench) == [CARD]


@pytest.mark.req("C14.FR.05")
def test_an_expired_entry_is_not_replaced_by_the_cache(tmp_path: Path) -> None:
    bench = station(tmp_path)
    cached(bench, CARD)
    in_local_list(bench, listed(CARD, cacheExpiryDateTime=until(bench, -1)))
    bench.csms.on("Authorize", {"idTokenInfo": {"status": "Blocked"}})

    assert not charges(bench)
    assert authorizes(bench) == [CARD]


@pytest.mark.req("C13.FR.01", "C14.FR.01")
@pytest.mark.parametrize("connected", [True, False])
def test_the_list_accepts_what_the_cache_refuses(tmp_path: Path, *, connected: bool) -> None:
    bench = station(tmp_path)
    bench.csms.on("Authorize", {"idTokenInfo": {"status": "Blocked"}})
    assert not charges(bench)
    bench.evse(1).unplug()
    in_local_list(bench, listed(CARD))
    if not connected:
        bench.csms.disconnect()

    assert charges(bench)
    assert authorizes(bench) == []


@pytest.mark.req("C01.FR.05", "C14.FR.02")
def test_without_local_pre_authorize_an_accepted_entry_is_asked_all_the_same(tmp_path: Path) -> None:
    bench = station(tmp_path, AuthCtrlr_LocalPreAuthorize="false")
    in_local_list(bench, listed(CARD))

    assert charges(bench)
    assert authorizes(bench) == [CARD]


def test_a_disabled_list_is_not_looked_at(tmp_path: Path) -> None:
    bench = station(tmp_path)
    in_local_list(bench, listed(CARD))
    bench.station.variables.set("LocalAuthListCtrlr", "Enabled", "false")
    bench.csms.disconnect()

    assert not charges(bench)


def test_with_local_authorize_offline_off_nobody_known_charges_offline(tmp_path: Path) -> None:
    bench = station(tmp_path, AuthCtrlr_LocalAuthorizeOffline="false", AuthCtrlr_OfflineTxForUnknownIdEnabled="true")
    in_local_list(bench, listed(CARD))
    bench.csms.disconnect()

    assert not charges(bench)


def test_with_remote_authorization_disabled_the_stores_alone_decide(tmp_path: Path) -> None:
    """Also without LocalPreAuthorize; not even a timeout passes."""
    bench = station(tmp_path, AuthCtrlr_DisableRemoteAuthorization="true", AuthCtrlr_LocalPreAuthorize="false")
    in_local_list(bench, listed(CARD), listed(OTHER, "Blocked"))

    for token in ("04000001", OTHER):
        assert not charges(bench, token)
        bench.evse(1).unplug()
    assert charges(bench, CARD)
    assert authorizes(bench) == []


@pytest.mark.req("C01.FR.21")
def test_an_entry_for_other_evses_does_not_charge_here(tmp_path: Path) -> None:
    bench = station(tmp_path)
    in_local_list(bench, listed(CARD, evseId=[2]))

    assert not charges(bench)
    bench.evse(2).plug_in()
    bench.evse(2).present_token(CARD)
    bench.advance(seconds=15)

    assert bench.evse(2).charging
    assert authorizes(bench) == []


@pytest.mark.req("C01.FR.03", "C09.FR.07")
@pytest.mark.parametrize("info,stops", [({}, True), ({"status": "Blocked"}, False), ({"groupIdToken": None}, False)])
def test_offline_only_a_valid_token_of_the_group_stops(tmp_path: Path, info: dict[str, Any], *, stops: bool) -> None:
    bench = station(tmp_path)
    second = {"groupIdToken": GROUP, **info}
    second = {name: value for name, value in second.items() if value is not None}
    in_local_list(bench, listed(CARD, groupIdToken=GROUP), listed(OTHER, **second))
    bench.csms.disconnect()
    assert charges(bench)

    bench.evse(1).present_token(OTHER)
    bench.advance(seconds=10)

    assert bench.evse(1).charging is not stops


@pytest.mark.req("C09.FR.07")
def test_an_expired_token_of_the_group_does_not_stop_before_the_csms_says_so(tmp_path: Path) -> None:
    bench = station(tmp_path)
    in_local_list(
        bench,
        listed(CARD, groupIdToken=GROUP),
        listed(OTHER, groupIdToken=GROUP, cacheExpiryDateTime=until(bench, -1)),
    )
    bench.csms.on("Authorize", {"idTokenInfo": {"status": "Expired", "groupIdToken": GROUP}})
    assert charges(bench)

    bench.evse(1).present_token(OTHER)
    bench.advance(seconds=10)

    assert authorizes(bench) == [OTHER]
    assert bench.evse(1).charging


@pytest.mark.req("C09.FR.03")
def test_the_group_of_who_started_unknown_is_learnt_with_the_transaction(tmp_path: Path) -> None:
    """Started offline without being known; then the CSMS tells its group, and another of the group stops it."""
    bench = station(tmp_path, AuthCtrlr_OfflineTxForUnknownIdEnabled="true")
    in_local_list(bench, listed(OTHER, groupIdToken=GROUP))
    bench.csms.disconnect()
    assert charges(bench)
    accepted = {"idTokenInfo": {"status": "Accepted", "groupIdToken": GROUP}}
    bench.csms.on("TransactionEvent", lambda sent: accepted if "idToken" in sent else {})
    bench.csms.connect()
    bench.advance(seconds=5)

    bench.evse(1).present_token(OTHER)
    bench.advance(seconds=10)

    assert not bench.evse(1).charging
    assert authorizes(bench) == []


def test_a_token_is_judged_by_the_old_list_until_the_new_one_is_valid(tmp_path: Path) -> None:
    bench = station(tmp_path)
    in_local_list(bench, listed(CARD), version=5)
    bench.busy = True
    new = [listed(f"04{number:08X}") for number in range(1000)]
    sent = bench.csms.send("SendLocalList", {"updateType": "Full", "versionNumber": 8, "localAuthorizationList": new})

    assert charges(bench)

    assert not sent.done
    assert authorizes(bench) == []


@pytest.mark.req("C01.FR.02")
@pytest.mark.parametrize(
    "kind,type_",
    [
        (TokenType.ISO14443, "ISO14443"),
        (TokenType.ISO15693, "ISO15693"),
        (TokenType.EM4100, "Local"),
        (TokenType.KEY_CODE, "KeyCode"),
        (TokenType.MAC_ADDRESS, "MacAddress"),
        (TokenType.EMAID, "eMAID"),
        (TokenType.CENTRAL, "Central"),
    ],
)
def test_whatever_kind_of_token_is_presented_here_the_csms_is_asked(
    tmp_path: Path, kind: TokenType, type_: str
) -> None:
    """Central is taken unasked only from the CSMS itself, with a remote start (C03.FR.01)."""
    bench = station(tmp_path)
    bench.csms.on("Authorize", {"idTokenInfo": {"status": "Invalid"}})
    bench.evse(1).plug_in()

    bench.evse(1).present_token("DE8AA1A2B3C4", kind)
    bench.advance(seconds=10)

    assert bench.csms.received("Authorize") == [{"idToken": {"idToken": "DE8AA1A2B3C4", "type": type_}}]
    assert not bench.evse(1).contactor_closed
    told = bench.station.variables.members("AuthCtrlr", "SupportedIdTokenTypes")
    assert type_ in told


@pytest.mark.req("F02.FR.09")
@pytest.mark.parametrize("status,asked", [("Accepted", []), ("Blocked", [CARD])])
def test_a_remote_start_that_is_checked_is_checked_with_the_list_first(
    tmp_path: Path, status: str, asked: list[str]
) -> None:
    bench = station(tmp_path, AuthCtrlr_AuthorizeRemoteStart="true")
    in_local_list(bench, listed(CARD, status))
    bench.evse(1).plug_in()
    token = {"idToken": CARD, "type": "ISO14443"}

    bench.csms.call("RequestStartTransaction", {"idToken": token, "remoteStartId": 1, "evseId": 1})
    bench.advance(seconds=10)

    assert authorizes(bench) == asked
    assert bench.evse(1).charging
