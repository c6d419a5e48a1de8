"""E06, E07, E15, F03, B12: what ends a transaction, with which trigger and reason, and what Ended tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hal.api import Fault
from station.facts import EvseQuarantined, ResetRequested, VehicleStopped
from station.shell.outlet import Action
from tests.bench import Bench
from tests.scenarios.e_transactions.story import CARD, bench, news, told, values


def charging(path: Path, stop: str, start: str = "EVConnected", **more: Any) -> Bench:
    """A station where EVSE 1 has charged for a minute."""
    station = bench(path, start, stop, **more)
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(70)
    return station


def transaction_id(station: Bench) -> str:
    return str(station.events()[-1]["transactionInfo"]["transactionId"])


@pytest.mark.req("E06.FR.03", "E06.FR.06", "E07.FR.01", "E07.FR.02", "E07.FR.05", "E06.FR.15")
@pytest.mark.parametrize("stop", ["Authorized", "PowerPathClosed", "EVConnected,Authorized", "EnergyTransfer"])
def test_the_same_card_ends_it(tmp_path: Path, stop: str) -> None:
    """Ended, StopAuthorized, with the stopping token, reason Local; nobody is asked."""
    station = charging(tmp_path, stop)
    station.csms.forget()
    station.evse(1).present_token(CARD)
    station.advance(2)

    assert told(station) == ["Ended/StopAuthorized/EVConnected +token =Local"]
    assert "Authorize" not in station.csms.actions()
    assert not station.evse(1).contactor_closed


@pytest.mark.req("E06.FR.02", "E06.FR.06", "E06.FR.08")
@pytest.mark.parametrize("stop", ["EVConnected", "PowerPathClosed", "EVConnected,Authorized"])
def test_pulling_the_cable_ends_it(tmp_path: Path, stop: str) -> None:
    """Ended, EVCommunicationLost, Idle, EVDisconnected."""
    station = charging(tmp_path, stop)
    station.evse(1).unplug()
    station.advance(2)

    assert told(station)[-1] == "Ended/EVCommunicationLost/Idle =EVDisconnected"


@pytest.mark.req("E06.FR.07", "E06.FR.08")
def test_a_vehicle_that_pauses_ends_it_where_the_flow_of_energy_is_the_stop_point(tmp_path: Path) -> None:
    """Ended, ChargingStateChanged, StoppedByEV; the chargingState that goes with an Ended is EVConnected."""
    station = charging(tmp_path, "EnergyTransfer")
    station.evse(1).ev("pause")
    station.advance(2)

    assert told(station)[-1] == "Ended/ChargingStateChanged/EVConnected =StoppedByEV"


@pytest.mark.req("F03.FR.03", "E06.FR.08")
@pytest.mark.parametrize("stop", ["Authorized", "PowerPathClosed", "EnergyTransfer"])
def test_a_remote_stop_ends_it(tmp_path: Path, stop: str) -> None:
    """Ended, RemoteStop, Remote."""
    station = charging(tmp_path, stop)
    answer = station.csms.call("RequestStopTransaction", {"transactionId": transaction_id(station)})
    station.advance(2)

    assert answer == {"status": "Accepted"}
    assert told(station)[-1] == "Ended/RemoteStop/EVConnected =Remote"


@pytest.mark.req("F03.FR.02", "E06.FR.08")
def test_a_remote_stop_that_is_no_stop_point_stops_energy_and_gives_the_reason_later(tmp_path: Path) -> None:
    """Updated RemoteStop, energy stops; unplug: Ended with reason Remote."""
    station = charging(tmp_path, "EVConnected")
    lines = news(station)
    station.csms.call("RequestStopTransaction", {"transactionId": transaction_id(station)})
    station.advance(2)
    stopped = lines()
    station.evse(1).unplug()
    station.advance(2)

    assert stopped == ["Updated/RemoteStop/Charging", "Updated/ChargingStateChanged/EVConnected"]
    assert lines() == ["Ended/EVCommunicationLost/Idle =Remote"]


@pytest.mark.req("E07.FR.06")
def test_the_first_reason_to_stop_is_the_one_that_ended_gives(tmp_path: Path) -> None:
    """The driver stopped it, then the CSMS did too, then the cable was pulled: Local."""
    station = charging(tmp_path, "EVConnected")
    station.evse(1).present_token(CARD)
    station.advance(2)
    station.csms.call("RequestStopTransaction", {"transactionId": transaction_id(station)})
    station.advance(2)
    station.evse(1).unplug()
    station.advance(2)

    assert told(station)[-2:] == ["Updated/RemoteStop/EVConnected", "Ended/EVCommunicationLost/Idle =Local"]


@pytest.mark.req("F03.FR.03")
def test_the_csms_may_stop_a_transaction_that_nobody_was_authorized_for(tmp_path: Path) -> None:
    """Started by the plug; a driver never came."""
    station = bench(tmp_path, "EVConnected", "EVConnected,Authorized")
    station.evse(1).plug_in()
    station.csms.call("RequestStopTransaction", {"transactionId": transaction_id(station)})
    station.advance(2)

    assert told(station)[-1] == "Ended/RemoteStop/EVConnected =Remote"


@pytest.mark.req("E15.FR.04", "E15.FR.05")
@pytest.mark.parametrize(
    "stop,line",
    [
        ("Authorized", "Ended/StopAuthorized/EVConnected =StoppedByEV"),
        ("PowerPathClosed", "Ended/StopAuthorized/EVConnected =StoppedByEV"),
        ("EnergyTransfer", "Ended/StopAuthorized/EVConnected =StoppedByEV"),
        ("EVConnected", "Updated/StopAuthorized/Charging"),
    ],
)
def test_a_vehicle_that_ends_its_session_is_authorized_to(tmp_path: Path, stop: str, line: str) -> None:
    """ISO 15118 SessionStop(Terminate)."""
    station = charging(tmp_path, stop)
    lines = news(station)
    station.hardware.tell(VehicleStopped(evse_id=1, at=station.now.instant))
    station.advance(2)

    assert lines()[0] == line
    assert not station.evse(1).contactor_closed


@pytest.mark.req("E06.FR.16", "E06.FR.08", "E07.FR.06")
@pytest.mark.parametrize(
    "fault,reason",
    [
        (Fault.GROUND_FAULT, "GroundFault"),
        (Fault.RCD, "GroundFault"),
        (Fault.OVER_CURRENT, "OvercurrentFault"),
        (Fault.EMERGENCY_STOP, "EmergencyStop"),
        (Fault.INTERNAL, "Other"),
    ],
)
def test_a_grave_fault_ends_it_whatever_the_stop_point(tmp_path: Path, fault: Fault, reason: str) -> None:
    """Ended, AbnormalCondition, with the reason that names the fault."""
    station = charging(tmp_path, "EVConnected")
    station.evse(1).fault(fault)
    station.advance(6)

    assert told(station)[-1] == f"Ended/AbnormalCondition/EVConnected ={reason}"
    assert not station.evse(1).contactor_closed


@pytest.mark.req("E01.FR.18")
def test_a_fault_that_may_pass_suspends_and_goes_on(tmp_path: Path) -> None:
    """AbnormalCondition, SuspendedEVSE; cool again, it charges."""
    station = charging(tmp_path, "EVConnected,Authorized")
    lines = news(station)
    station.evse(1).fault(Fault.OVER_TEMPERATURE)
    station.advance(10)
    suspended = lines()
    station.evse(1).fault(Fault.OVER_TEMPERATURE, on=False)
    station.advance(10)

    assert suspended == ["Updated/AbnormalCondition/Charging", "Updated/ChargingStateChanged/SuspendedEVSE"]
    assert lines() == ["Updated/ChargingStateChanged/Charging"]


@pytest.mark.req("E06.FR.10", "E07.FR.07")
def test_the_cable_is_unlocked_after_the_contactor_has_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never an unlocked plug under load."""
    station = charging(tmp_path, "Authorized", lock=True)
    locked = station.world.evse(1).snapshot().lock.value
    actions: list[Action] = []
    carry_out = station._act

    def record(action: Action) -> str | None:
        actions.append(action)
        return carry_out(action)

    monkeypatch.setattr(station, "_act", record)
    station.evse(1).present_token(CARD)
    station.advance(3)

    assert locked == "locked"
    assert station.world.evse(1).snapshot().lock.value == "unlocked"
    assert [type(action).__name__ for action in actions] == ["Deny", "MoveLock"]


@pytest.mark.req("E06.FR.11", "E07.FR.08", "J02.FR.16")
def test_ended_tells_the_first_and_the_last_register(tmp_path: Path) -> None:
    """Transaction.Begin and Transaction.End; the last one is read after the contactor has opened."""
    station = charging(tmp_path, "Authorized")
    station.evse(1).present_token(CARD)
    station.advance(3)
    ended = station.events()[-1]

    (_, begin), *_ = values(ended, "Transaction.Begin")
    ((at, end),) = values(ended, "Transaction.End")

    assert begin == 0
    assert end == pytest.approx(station.evse(1).energy_wh, abs=0.001)
    assert at.isoformat() == ended["timestamp"].replace("Z", "+00:00")


def test_an_immediate_reset_ends_it(tmp_path: Path) -> None:
    """Ended, ResetCommand, ImmediateReset, no token (B12.FR.04 speaks of the whole station)."""
    station = charging(tmp_path, "EVConnected")
    station.hardware.tell(ResetRequested(immediate=True))
    station.advance(6)

    assert told(station)[-1] == "Ended/ResetCommand/EVConnected =ImmediateReset"


def test_an_evse_in_quarantine_ends_its_transaction(tmp_path: Path) -> None:
    """Its facts are not heard any more, so the Ended does not wait for them longer than five seconds."""
    station = charging(tmp_path, "EVConnected")
    station.hardware.tell(EvseQuarantined(evse_id=1, reason="test"))
    station.advance(6)

    assert told(station)[-1].startswith("Ended/AbnormalCondition/")
    assert told(station)[-1].endswith("=Other")


def test_after_the_end_a_new_card_starts_a_new_transaction_with_the_same_plug(tmp_path: Path) -> None:
    """No replug is needed (field experience: stations stuck in Finishing)."""
    station = charging(tmp_path, "Authorized")
    station.evse(1).present_token(CARD)
    station.advance(5)
    between = told(station, 0)[-1]
    station.evse(1).present_token("04999999")
    station.advance(5)

    assert between.startswith("Ended/")
    assert told(station, 1) == ["Started/Authorized/EVConnected +token +evse", "Updated/ChargingStateChanged/Charging"]


def test_a_plugged_vehicle_whose_transaction_has_ended_starts_no_other_by_itself(tmp_path: Path) -> None:
    """Start point EVConnected still holds, but this plug-in has had its transaction; also after a restart."""
    station = charging(tmp_path, "Authorized")
    station.evse(1).present_token(CARD)
    station.advance(60)
    station.crash()
    station.advance(60)

    assert len({event["transactionInfo"]["transactionId"] for event in station.events()}) == 1
