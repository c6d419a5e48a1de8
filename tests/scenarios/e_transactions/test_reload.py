"""After a bug of ours all memory is read again from the tables: nobody gets back what was taken away meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.scenarios.e_transactions.story import CARD, bench, invalid, told


def recover(station: Bench) -> None:
    """What the engine does after a bug: reload in place, and let the hardware tell its whole state again."""
    station.station.engine.load(station.now)
    station.hardware.snapshot_again()
    station.advance(15)


def restart(station: Bench) -> None:
    station.crash()
    station.advance(15)


AGAIN = pytest.mark.parametrize("again", [recover, restart])


@AGAIN
def test_an_authorization_that_was_taken_back_stays_so(tmp_path: Path, again: Callable[[Bench], None]) -> None:
    """Offered, not yet used, so that there is no transaction; the card again ends it."""
    station = bench(tmp_path, "EnergyTransfer", "EVConnected")
    station.evse(1).plug_in(charge=False)
    station.evse(1).present_token(CARD)
    station.advance(5)
    offered = station.station.sessions.get(1).offering
    station.evse(1).present_token(CARD)
    station.advance(5)

    again(station)
    station.evse(1).ev("charge")
    station.advance(30)

    assert offered
    assert station.evse(1).energy_wh == 0
    assert told(station) == []


@AGAIN
def test_the_energy_left_to_an_invalid_token_stays_limited(tmp_path: Path, again: Callable[[Bench], None]) -> None:
    """MaxEnergyOnInvalidId counts from the verdict, whatever happens after it."""
    variables = {"TxCtrlr.StopTxOnInvalidId": "false", "TxCtrlr.MaxEnergyOnInvalidId": "500"}
    station = bench(tmp_path, "EVConnected", "EVConnected", variables=variables, resume=True)
    station.csms.on("TransactionEvent", lambda event: invalid() if "idToken" in event else {})
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(20)

    again(station)
    charged_on = station.evse(1).charging
    station.advance(minutes=20)

    assert charged_on
    assert 500 <= station.evse(1).energy_wh <= 550


@AGAIN
def test_a_token_found_invalid_before_energy_flows_gets_none(tmp_path: Path, again: Callable[[Bench], None]) -> None:
    """The state is SuspendedEVSE already, so no event tells it, and yet it is remembered."""
    station = bench(
        tmp_path, "PowerPathClosed", "EVConnected", variables={"TxCtrlr.StopTxOnInvalidId": "false"}, resume=True
    )
    station.csms.on("TransactionEvent", lambda event: invalid() if "idToken" in event else {})
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(5)
    before = station.evse(1).energy_wh

    again(station)
    station.advance(60)

    assert station.evse(1).energy_wh == before
    assert not station.evse(1).contactor_closed


@AGAIN
def test_a_cable_that_its_owner_took_back_is_not_held_again(tmp_path: Path, again: Callable[[Bench], None]) -> None:
    """Pulled off the vehicle, held by the lock, released by the card: the next vehicle is nobody's hostage."""
    variables = {"OCPPCommCtrlr.UnlockOnEVSideDisconnect": "false"}
    station = bench(tmp_path, "Authorized", "Authorized", variables=variables, lock=True)
    station.evse(1).present_token(CARD)
    station.evse(1).plug_in()
    station.advance(20)
    station.evse(1).unplug()
    station.advance(5)
    held = station.world.evse(1).snapshot().lock.value
    station.evse(1).present_token(CARD)
    station.advance(5)

    again(station)
    station.evse(1).plug_in()
    station.advance(15)

    assert held == "locked"
    assert not station.station.sessions.get(1).holds_cable
    assert station.world.evse(1).snapshot().lock.value == "unlocked"


def test_a_stop_that_waits_for_its_signed_value_is_not_undone(tmp_path: Path) -> None:
    """The contactor is open already, the meter takes its time; then the same stop is told, once."""
    variables = {"SampledDataCtrlr.SignReadings": "true"}
    station = bench(tmp_path, "EVConnected", "EVConnected,Authorized", variables=variables, signing=True)
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(20)
    station.evse(1).ev("pause")
    station.advance(30)
    station.world.lose("meter-1")
    station.evse(1).present_token(CARD)
    station.advance(1)
    waiting = station.station.sessions.get(1).closing

    station.evse(1).ev("charge")
    recover(station)
    station.advance(30)

    assert waiting is not None
    assert not station.evse(1).contactor_closed
    assert [line for line in told(station) if line.startswith("Ended")] == [
        "Ended/StopAuthorized/EVConnected +token =Local"
    ]
