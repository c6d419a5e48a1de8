"""H03: the driver comes. His token, or his group's, uses the reservation up; others are not served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.bench import Bench
from tests.scenarios.e_transactions.story import bench as station
from tests.scenarios.reservations import CARD, OTHER_CARD, cancel, reserve, statuses, token, updates, used
from tests.scenarios.variables import get

GROUP = {"idToken": "family", "type": "Central"}
OTHER_GROUP = {"idToken": "neighbours", "type": "Central"}
STOPS = "EVConnected,Authorized"


def in_group(group: dict[str, str]) -> dict[str, Any]:
    """The CSMS's verdict on a token of a group."""
    return {"idTokenInfo": {"status": "Accepted", "groupIdToken": group}}


def remote_start(bench: Bench, uid: str = CARD, **more: Any) -> str:
    """RequestStartTransaction; gives the status."""
    request = {"remoteStartId": 7, "idToken": token(uid), **more}
    return str(bench.csms.call("RequestStartTransaction", request)["status"])


@pytest.mark.req("E01.FR.13", "E03.FR.03", "H01.FR.15", "H03.FR.01", "H03.FR.09", "H03.FR.10")
@pytest.mark.parametrize("start", ["EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer"])
def test_the_first_event_after_the_token_tells_the_reservation_once(tmp_path: Path, start: str) -> None:
    """Token first: the connector is Available at once, though somebody is expected there."""
    bench = station(tmp_path, start, STOPS)
    reserve(bench, 9, evseId=1)
    bench.csms.forget()

    bench.evse(1).present_token(CARD)
    assert statuses(bench) == {(1, 1): "Available"}

    bench.evse(1).plug_in()
    bench.advance(minutes=10)
    assert bench.evse(1).charging
    assert used(bench) == [("Started", 9)]
    assert updates(bench) == []
    assert reserve(bench, 9, evseId=1) == "Occupied"


@pytest.mark.req("E02.FR.03", "G01.FR.06", "G01.FR.09", "G03.FR.09", "H03.FR.09", "H03.FR.10")
@pytest.mark.parametrize("start", ["EVConnected", "Authorized", "PowerPathClosed"])
def test_cable_first_it_stays_reserved_until_the_token_comes(tmp_path: Path, start: str) -> None:
    bench = station(tmp_path, start, STOPS)
    reserve(bench, 9, evseId=1)
    bench.csms.forget()

    bench.evse(1).plug_in()
    bench.advance(10)
    assert statuses(bench) == {}
    assert [event["eventType"] for event in bench.events()] == (["Started"] if start == "EVConnected" else [])

    bench.evse(1).present_token(CARD)
    bench.advance(10)
    assert statuses(bench) == {(1, 1): "Occupied"}
    assert used(bench) == [("Updated" if start == "EVConnected" else "Started", 9)]
    assert bench.evse(1).charging


@pytest.mark.req("H03.FR.03")
def test_who_reserved_any_evse_may_take_one_that_is_not_reserved(tmp_path: Path) -> None:
    """S3: plugged in, the EVSE is Occupied and the other one kept; with the token that is over."""
    bench = station(tmp_path, "EVConnected", STOPS, evses=2)
    reserve(bench, 9)
    bench.csms.forget()

    bench.evse(2).plug_in()
    assert statuses(bench) == {(1, 1): "Reserved", (2, 1): "Occupied"}
    bench.evse(2).present_token(CARD)

    assert statuses(bench) == {(1, 1): "Available", (2, 1): "Occupied"}
    assert used(bench) == [("Updated", 9)]


@pytest.mark.req("H03.FR.04", "H03.FR.05", "H03.FR.06", "H03.FR.08")
@pytest.mark.parametrize("where", [{"evseId": 1}, {"connectorType": "cType2"}, {}])
def test_the_group_may_use_it_and_no_other_group(tmp_path: Path, where: dict[str, Any]) -> None:
    """The CSMS tells which group a token belongs to."""
    bench = Bench(tmp_path, evses=1)
    reserve(bench, 9, groupIdToken=GROUP, **where)
    bench.evse(1).plug_in()

    bench.csms.on("Authorize", in_group(OTHER_GROUP))
    bench.evse(1).present_token(OTHER_CARD)
    bench.advance(10)
    assert not bench.evse(1).charging

    bench.csms.on("Authorize", in_group({**GROUP, "idToken": "FAMILY"}))
    bench.evse(1).present_token("04777777")
    bench.advance(10)
    assert bench.evse(1).charging
    assert [number for _, number in used(bench)] == [9]


@pytest.mark.req("H03.FR.07")
def test_the_local_list_knows_the_group_without_a_connection(tmp_path: Path) -> None:
    variables = {"LocalAuthListCtrlr.Enabled": "true", "AuthCtrlr.LocalAuthorizeOffline": "true"}
    bench = Bench(tmp_path, variables=variables)
    entry = {"idToken": token(OTHER_CARD), **in_group(GROUP)}
    bench.csms.call("SendLocalList", {"updateType": "Full", "versionNumber": 1, "localAuthorizationList": [entry]})
    reserve(bench, 9, evseId=1, groupIdToken=GROUP)
    bench.csms.disconnect()

    bench.evse(1).present_token(OTHER_CARD)
    bench.evse(1).plug_in()
    bench.advance(10)
    assert bench.evse(1).charging

    bench.csms.connect()
    assert [number for _, number in used(bench)] == [9]


@pytest.mark.req("F01.FR.21", "F01.FR.22", "F02.FR.23", "F02.FR.24")
@pytest.mark.parametrize("cable_first", [True, False])
@pytest.mark.parametrize(
    "reserved, asked",
    [({}, {}), ({}, {"groupIdToken": GROUP}), ({"groupIdToken": GROUP}, {}), ({"groupIdToken": GROUP}, OTHER_GROUP)],
)
def test_a_remote_start_for_another_is_rejected(
    bench: Bench,
    reserved: dict[str, Any],
    asked: dict[str, Any],
    cable_first: bool,  # noqa: FBT001 - a case
) -> None:
    """By token, and by group if the reservation has one."""
    asked = {"groupIdToken": asked} if asked is OTHER_GROUP else asked
    reserve(bench, 9, evseId=1, **reserved)
    if cable_first:
        bench.evse(1).plug_in()

    assert remote_start(bench, OTHER_CARD, evseId=1, **asked) == "Rejected"

    assert remote_start(bench, CARD, evseId=1) == "Accepted"


@pytest.mark.req("F02.FR.06", "H03.FR.04", "H03.FR.09")
def test_a_remote_start_for_the_group_uses_it(bench: Bench) -> None:
    reserve(bench, 9, evseId=1, groupIdToken=GROUP)
    bench.csms.forget()

    assert remote_start(bench, OTHER_CARD, evseId=1, groupIdToken=GROUP) == "Accepted"
    assert statuses(bench) == {(1, 1): "Available"}
    bench.evse(1).plug_in()
    bench.advance(10)

    assert used(bench) == [("Started", 9)]


@pytest.mark.req("F01.FR.20", "H03.FR.01")
def test_without_an_evse_a_remote_start_goes_where_the_driver_has_reserved(bench: Bench) -> None:
    reserve(bench, 9, evseId=2)
    bench.csms.forget()

    assert remote_start(bench, CARD) == "Accepted"
    assert statuses(bench) == {(2, 1): "Available"}

    assert remote_start(bench, OTHER_CARD) == "Accepted"
    bench.evse(1).plug_in()
    bench.advance(10)
    assert bench.evse(1).charging


@pytest.mark.req("H03.FR.01")
def test_at_a_common_reader_each_gets_the_evse_that_he_may_use(bench: Bench) -> None:
    reserve(bench, 9, evseId=2)
    bench.csms.forget()

    bench.swipe(CARD)
    assert statuses(bench) == {(2, 1): "Available"}
    bench.swipe(OTHER_CARD)
    bench.evse(1).plug_in()
    bench.advance(10)

    assert bench.evse(1).charging
    assert used(bench) == []


def test_who_plugs_in_at_anothers_evse_after_the_common_reader_is_told(bench: Bench) -> None:
    """He has the rest of his time for the other one."""
    reserve(bench, 9, evseId=1)

    bench.swipe(OTHER_CARD)
    bench.evse(1).plug_in()
    bench.advance(10)
    assert not bench.evse(1).charging
    assert "Reserved for somebody else" in bench.shown

    bench.evse(2).plug_in()
    bench.advance(10)
    assert bench.evse(2).charging


def test_who_plugs_in_where_anything_will_do_uses_his_reservation_there(bench: Bench) -> None:
    reserve(bench, 9)

    bench.swipe(CARD)
    bench.evse(2).plug_in()
    bench.advance(10)

    assert [number for _, number in used(bench)] == [9]


def test_where_charging_is_free_the_reserved_evse_is_not(tmp_path: Path) -> None:
    """Until the reservation ends; its own driver presents his token."""
    bench = Bench(tmp_path, variables={"AuthCtrlr.Enabled": "false"})
    reserve(bench, 9, evseId=1)
    reserve(bench, 10, evseId=2, uid=OTHER_CARD)

    for evse in (1, 2):
        bench.evse(evse).plug_in()
    bench.advance(minutes=1)
    assert not bench.evse(1).charging
    assert not bench.evse(2).charging

    bench.evse(2).present_token(OTHER_CARD)
    cancel(bench, 9)
    bench.advance(10)
    assert bench.evse(1).charging
    assert bench.evse(2).charging
    assert [number for _, number in used(bench)] == [10]


def test_a_driver_who_never_plugs_in_has_used_it_up_and_the_csms_hears(bench: Bench) -> None:
    """No transaction can tell, so a ReservationStatusUpdate does."""
    reserve(bench, 9, evseId=1)
    bench.evse(1).present_token(CARD)
    timeout_s = int(get(bench, "TxCtrlr.EVConnectionTimeOut"))

    assert updates(bench) == []
    bench.advance(timeout_s)

    assert updates(bench) == [(9, "Removed")]
    assert reserve(bench, 9, evseId=1) == "Accepted"


def test_a_power_cut_before_he_plugged_in_gives_it_back(bench: Bench) -> None:
    """The station has forgotten his authorization, which was in memory only, but not his reservation."""
    reserve(bench, 9, evseId=1)
    bench.evse(1).present_token(CARD)
    bench.csms.forget()

    bench.crash()
    assert statuses(bench)[1, 1] == "Reserved"

    bench.evse(1).present_token(CARD)
    bench.evse(1).plug_in()
    bench.advance(10)
    assert used(bench) == [("Started", 9)]


def test_while_its_driver_is_there_it_is_not_replaced(bench: Bench) -> None:
    """Else his transaction would tell of a reservation of somebody else."""
    reserve(bench, 9, evseId=1)
    bench.evse(1).present_token(CARD)

    assert reserve(bench, 9, OTHER_CARD, evseId=2) == "Occupied"


def test_the_same_id_is_another_reservation_once_its_transaction_runs(bench: Bench) -> None:
    """It is used up, so the CSMS may use the number again."""
    reserve(bench, 9, evseId=1)
    bench.evse(1).plug_in()
    bench.evse(1).present_token(CARD)
    bench.advance(10)
    bench.csms.forget()

    assert reserve(bench, 9, OTHER_CARD, evseId=2) == "Accepted"

    assert statuses(bench) == {(2, 1): "Reserved"}
    assert cancel(bench, 9) == "Accepted"
