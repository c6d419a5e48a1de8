"""K05, F01, F02: a RequestStartTransaction brings the profile of its transaction along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.bench import Bench
from tests.scenarios import profiles
from tests.scenarios.profiles import DEFAULT, MAX, TX, amperes, ask, composite, limit, put, reported
from tests.scenarios.variables import put as set_variable

TOKEN = {"idToken": "04BEEF01", "type": "ISO14443"}
ACCEPTED = {"status": "Accepted"}
PROFILE = limit(8, purpose=TX, id=7)


def request(bench: Bench, profile: dict[str, Any] | None = PROFILE, **more: Any) -> str:
    """RequestStartTransaction for EVSE 1; gives the status, with the reason if there is one."""
    wish = {"idToken": TOKEN, "remoteStartId": 1, "evseId": 1, **more}
    answer = bench.csms.call("RequestStartTransaction", wish | ({"chargingProfile": profile} if profile else {}))
    reason = answer.get("statusInfo", {}).get("reasonCode")
    return f"{answer['status']}: {reason}" if reason else str(answer["status"])


@pytest.mark.req("F01.FR.10", "K05.FR.03")
def test_a_vehicle_that_waits_is_charged_by_the_profile_of_the_request(bench: Bench) -> None:
    bench.evse(1).plug_in()

    assert request(bench) == "Accepted"

    assert amperes(bench) == 8.0
    assert composite(bench) == [(0, 8.0)]
    assert ask(bench, 7) == "Accepted"
    (page,) = bench.csms.received("ReportChargingProfiles")
    (told,) = page["chargingProfile"]
    transaction_id = bench.station.sessions.get(1).transaction_id
    assert (page["evseId"], page["chargingLimitSource"]) == (1, "CSO")
    assert told == {**PROFILE, "transactionId": transaction_id}


@pytest.mark.req("F02.FR.18", "K05.FR.03")
def test_a_vehicle_that_comes_later_is_charged_by_it_too(bench: Bench) -> None:
    assert request(bench) == "Accepted"
    bench.advance(30)

    bench.evse(1).plug_in()

    assert amperes(bench) == 8.0
    assert ask(bench) == "Accepted"
    assert reported(bench) == [(1, 7)]


@pytest.mark.req("F01.FR.10")
@pytest.mark.parametrize("start", ["EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer"])
def test_no_moment_is_charged_with_more_wherever_the_transaction_starts(tmp_path: Path, start: str) -> None:
    bench = Bench(tmp_path, variables={"TxCtrlr.TxStartPoint": start})
    bench.evse(1).plug_in()

    request(bench)

    permits = []
    for _ in range(20):
        bench.advance(1)
        permits.append(bench.world.evse(1).offered_a)
    assert set(permits) <= {0.0, 8.0}
    assert permits[-1] == 8.0
    (transaction_id,) = {event["transactionInfo"]["transactionId"] for event in bench.events()}
    (installed,) = bench.station.profiles.all()
    assert installed.profile.transaction_id == transaction_id


@pytest.mark.req("F01.FR.10", "K02.FR.05")
def test_it_holds_for_this_transaction_alone(bench: Bench) -> None:
    bench.evse(1).plug_in()
    request(bench)
    bench.advance(30)
    bench.evse(1).unplug()

    profiles.charge(bench)

    assert amperes(bench) == 32.0
    assert ask(bench) == "NoProfiles"


@pytest.mark.parametrize("end", ["refused", "nobody"])
def test_nothing_stays_of_it_if_its_driver_does_not_charge(bench: Bench, end: str) -> None:
    set_variable(bench, "AuthCtrlr.AuthorizeRemoteStart", "true")
    if end == "refused":
        bench.csms.on("Authorize", lambda sent: {"idTokenInfo": {"status": _verdict(sent)}})

    assert request(bench) == "Accepted"

    bench.advance(minutes=5 if end == "nobody" else 0.1)
    profiles.charge(bench)
    assert amperes(bench) == 32.0
    assert ask(bench) == "NoProfiles"


def _verdict(sent: dict[str, Any]) -> str:
    return "Blocked" if sent["idToken"] == TOKEN else "Accepted"


def test_a_driver_who_is_quicker_does_not_get_it(bench: Bench) -> None:
    """The CSMS takes its time to judge the token of the request."""
    set_variable(bench, "AuthCtrlr.AuthorizeRemoteStart", "true")
    bench.csms.on("Authorize", lambda sent: None if sent["idToken"] == TOKEN else {"idTokenInfo": ACCEPTED})
    request(bench)
    bench.advance(minutes=2)

    profiles.charge(bench)

    assert amperes(bench) == 32.0
    assert ask(bench) == "NoProfiles"


def test_a_power_cut_before_the_vehicle_comes_takes_the_profile_along_with_the_request(bench: Bench) -> None:
    request(bench)

    bench.crash()

    profiles.charge(bench)
    assert amperes(bench) == 32.0
    assert bench.station.profiles.to_come(1) is None


def test_a_power_cut_while_it_charges_leaves_the_profile_with_its_transaction(tmp_path: Path) -> None:
    bench = Bench(tmp_path, resume=True)
    bench.evse(1).plug_in()
    request(bench)
    bench.advance(30)

    bench.crash()
    bench.advance(30)

    assert amperes(bench) == 8.0


@pytest.mark.req("F01.FR.26", "F02.FR.27", "K05.FR.05")
@pytest.mark.parametrize(
    "profile, reason",
    [
        (limit(8, purpose=DEFAULT), "InvalidProfile"),
        (limit(8, purpose=MAX), "InvalidProfile"),
        (limit(8, purpose=TX, transactionId="any"), "InvalidProfile"),
        (limit(8, purpose=TX, stackLevel=100), "InvalidProfile"),
        (limit((1, 8), purpose=TX), "InvalidSchedule"),
        (limit((0, 8), (0, 9), purpose=TX), "InvalidSchedule"),
        (limit((0, 8, 1), purpose=TX), "InvalidSchedule"),
        ({**limit(8, purpose=TX), "chargingProfileKind": "Absolute"}, "InvalidSchedule"),
        ({**limit(8, purpose=TX), "recurrencyKind": "Daily"}, "InvalidProfile"),
    ],
)
@pytest.mark.parametrize("plugged", [True, False])
def test_a_wrong_profile_starts_nothing(bench: Bench, profile: dict[str, Any], reason: str, *, plugged: bool) -> None:
    if plugged:
        bench.evse(1).plug_in()

    assert request(bench, profile) == f"Rejected: {reason}"

    bench.advance(30)
    assert not bench.evse(1).charging
    assert bench.station.profiles.to_come(1) is None


@pytest.mark.req("F01.FR.26", "K01.FR.39")
@pytest.mark.parametrize(
    "id_, level, answer", [(7, 0, "Rejected: InvalidProfile"), (1, 0, "Accepted"), (7, 1, "Accepted")]
)
def test_a_running_transaction_has_one_profile_of_a_level(tmp_path: Path, id_: int, level: int, answer: str) -> None:
    """It began with the cable, and was given one before its driver came."""
    bench = Bench(tmp_path, variables={"TxCtrlr.TxStartPoint": "EVConnected"})
    bench.evse(1).plug_in()
    transaction_id = bench.events()[-1]["transactionInfo"]["transactionId"]
    assert put(bench, limit(6, purpose=TX, transactionId=transaction_id)) == "Accepted"

    assert request(bench, limit(16, purpose=TX, id=id_, stackLevel=level)) == answer

    assert amperes(bench) == (16.0 if answer == "Accepted" else 0.0)
    levels = [each.profile.stack_level for each in bench.station.profiles.all()]
    assert len(set(levels)) == len(levels)


@pytest.mark.req("F01.FR.12", "F02.FR.20", "K05.FR.04")
def test_with_smart_charging_disabled_even_a_wrong_profile_is_passed_over(bench: Bench) -> None:
    set_variable(bench, "SmartChargingCtrlr.Enabled", "false")
    bench.evse(1).plug_in()

    assert request(bench, limit((5, 8), purpose=MAX)) == "Accepted"

    assert amperes(bench) == 32.0
