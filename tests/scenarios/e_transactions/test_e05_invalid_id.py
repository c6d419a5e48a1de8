"""E05: the CSMS does not accept the token of a running transaction (table in blocks/transactions/rules.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.bench import Bench
from tests.scenarios.e_transactions.story import CARD, bench, invalid, news, told, values


def charging(path: Path, stop: str, *, stops: bool, max_wh: int = 0, **more: Any) -> Bench:
    """A station whose CSMS says Invalid with the first event that carries the token."""
    variables = {
        "TxCtrlr.StopTxOnInvalidId": "true" if stops else "false",
        "TxCtrlr.MaxEnergyOnInvalidId": str(max_wh),
    }
    station = bench(path, more.pop("start", "EVConnected"), stop, variables=variables, **more)
    station.csms.on("TransactionEvent", lambda event: invalid() if "idToken" in event else {})
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(5)
    return station


@pytest.mark.req("E05.FR.10", "E06.FR.04", "C15.FR.04")
@pytest.mark.parametrize("stop", ["Authorized", "PowerPathClosed", "EVConnected,Authorized"])
@pytest.mark.parametrize("max_wh", [0, 500])
def test_it_ends_where_the_authorization_is_a_stop_point(tmp_path: Path, stop: str, max_wh: int) -> None:
    """Ended, Deauthorized, DeAuthorized, whatever MaxEnergyOnInvalidId allows."""
    station = charging(tmp_path, stop, stops=True, max_wh=max_wh)

    assert told(station)[-1] == "Ended/Deauthorized/EVConnected =DeAuthorized"
    assert not station.evse(1).contactor_closed


@pytest.mark.req("E05.FR.10")
def test_the_end_of_energy_counts_as_such_a_stop_point(tmp_path: Path) -> None:
    """TxStopPoint EnergyTransfer: energy has to stop, so the transaction ends."""
    station = charging(tmp_path, "EnergyTransfer", stops=True)

    assert told(station)[-1] == "Ended/Deauthorized/EVConnected =DeAuthorized"


@pytest.mark.req("E05.FR.09", "C15.FR.03")
def test_it_is_deauthorized_where_only_the_cable_ends_it(tmp_path: Path) -> None:
    """Updated with Deauthorized, no more energy; at unplug the Ended names what initiated the end."""
    station = charging(tmp_path, "EVConnected", stops=True)
    said = told(station)
    station.evse(1).unplug()
    station.advance(2)

    assert said == [
        "Started/CablePluggedIn/EVConnected +evse",
        "Updated/Authorized/EVConnected +token",
        "Updated/ChargingStateChanged/Charging",
        "Updated/Deauthorized/Charging",
        "Updated/ChargingStateChanged/EVConnected",
    ]
    assert told(station)[-1] == "Ended/EVCommunicationLost/Idle =DeAuthorized"
    assert not station.evse(1).contactor_closed


@pytest.mark.req("E05.FR.02", "C15.FR.06")
def test_it_is_suspended_where_it_shall_go_on_without_energy(tmp_path: Path) -> None:
    """StopTxOnInvalidId false and no allowance: ChargingStateChanged, SuspendedEVSE; transaction and token stay."""
    station = charging(tmp_path, "EVConnected,Authorized", stops=False)
    station.advance(60)

    assert told(station)[-2:] == [
        "Updated/ChargingStateChanged/SuspendedEVSE",
        "Updated/MeterValuePeriodic/SuspendedEVSE",
    ]
    assert not station.evse(1).contactor_closed

    station.evse(1).present_token(CARD)
    station.advance(2)

    assert told(station)[-1] == "Ended/StopAuthorized/EVConnected +token =Local"


@pytest.mark.req("E05.FR.03", "C15.FR.07", "E05.FR.02")
def test_it_may_have_the_energy_that_is_allowed_and_then_no_more(tmp_path: Path) -> None:
    """MaxEnergyOnInvalidId counts from the verdict on; energy stops within one look at the meter (5 s, about 30 Wh)."""
    station = charging(tmp_path, "EVConnected", stops=False, max_wh=500)
    charged_at_first = station.evse(1).charging
    station.advance(minutes=20)

    assert charged_at_first
    assert 500 <= station.evse(1).energy_wh <= 550
    assert "Updated/ChargingStateChanged/SuspendedEVSE" in told(station)

    station.evse(1).unplug()
    station.advance(2)

    assert told(station)[-1] == "Ended/EVCommunicationLost/Idle =EVDisconnected"
    assert values(station.events()[-1], "Transaction.End")[0][1] == pytest.approx(station.evse(1).energy_wh, abs=1)


@pytest.mark.req("E06.FR.07")
def test_suspending_ends_it_where_the_flow_of_energy_is_the_stop_point(tmp_path: Path) -> None:
    """StopTxOnInvalidId false, TxStopPoint EnergyTransfer: the end of the allowance ends the transaction."""
    station = charging(tmp_path, "EnergyTransfer", stops=False, max_wh=100)
    station.advance(minutes=5)

    assert told(station)[-1].startswith("Ended/ChargingStateChanged/")
    assert told(station)[-1].endswith("=DeAuthorized")


@pytest.mark.req("E05.FR.11", "C15.FR.05")
def test_a_locked_cable_is_released_by_its_owner_only(tmp_path: Path) -> None:
    """The transaction has ended; the lock opens when the token is presented again."""
    station = charging(tmp_path, "Authorized", stops=True, lock=True, start="Authorized")
    lines = news(station)
    locked = station.world.evse(1).snapshot().lock.value
    station.csms.on("Authorize", invalid("Blocked"))
    station.evse(1).present_token("04000000")
    station.advance(2)
    still = station.world.evse(1).snapshot().lock.value
    station.csms.default("TransactionEvent")
    station.evse(1).present_token(CARD)
    station.advance(2)

    assert (locked, still) == ("locked", "locked")
    assert station.world.evse(1).snapshot().lock.value == "unlocked"
    assert CARD not in str(lines())


def test_a_token_that_is_good_for_other_evses_only_is_not_good_here(tmp_path: Path) -> None:
    """Accepted, with a list of EVSEs that this one is not in."""
    station = bench(tmp_path, "EVConnected", "EVConnected,Authorized")
    verdict = {"idTokenInfo": {"status": "Accepted", "evseId": [2]}}
    station.csms.on("TransactionEvent", lambda event: verdict if "idToken" in event else {})
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(5)

    assert told(station)[-1] == "Ended/Deauthorized/EVConnected =DeAuthorized"


def test_an_answer_without_a_verdict_changes_nothing(tmp_path: Path) -> None:
    """IdTokenInfo is optional in the answer."""
    station = bench(tmp_path, "EVConnected", "EVConnected,Authorized")
    station.csms.on("TransactionEvent", {})
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(30)

    assert station.evse(1).charging


def test_a_verdict_on_the_stopping_token_does_not_deauthorize_anybody(tmp_path: Path) -> None:
    """Only the token that the transaction was started with can lose it its energy."""
    station = bench(tmp_path, "EVConnected", "EVConnected")
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(5)
    station.csms.on("TransactionEvent", lambda event: invalid() if "idToken" in event else {})
    station.evse(1).present_token(CARD)
    station.advance(5)

    assert not any("Deauthorized" in line for line in told(station))
