"""Transactions under conditions: limits, lost devices, a clock that is set, an unlocked connector, costs."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from station.blocks.transactions.block import Transactions
from station.effects import SetClock
from station.facts import (
    ChargingPriorityReceived,
    ConnectorUnlocked,
    CostReceived,
    DeviceLost,
    DeviceReturned,
    EnergyFlowChanged,
    IdTokenInfoReceived,
)
from station.now import Instant, Mono, Wall
from station.shell.outlet import Action, Allow
from tests.bench import Bench
from tests.scenarios.e_transactions.story import CARD, OTHER_CARD, bench, news, told, values
from tests.scenarios.profiles import hold


def charging(path: Path, start: str = "EVConnected", **more: Any) -> Bench:
    station = bench(path, start, "EVConnected,Authorized", **more)
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(30)
    assert station.evse(1).charging
    return station


def limit(station: Bench, amperes: float | None) -> None:
    hold(station, 1, amperes)
    station.advance(15)


@pytest.mark.req("E01.FR.18", "E02.FR.17", "E02.FR.13", "E02.FR.16")
def test_a_limit_below_the_least_current_suspends_and_a_higher_one_resumes(tmp_path: Path) -> None:
    """SuspendedEVSE, never the end of the transaction; then Charging at the new limit."""
    station = charging(tmp_path, variables={"SampledDataCtrlr.TxUpdatedInterval": "0"})
    lines = news(station)
    limit(station, 5.9)
    suspended = lines()
    limit(station, 10.0)

    assert suspended == ["Updated/ChargingRateChanged/Charging", "Updated/ChargingStateChanged/SuspendedEVSE"]
    assert lines() == ["Updated/ChargingStateChanged/Charging"]
    assert station.world.evse(1).current_a == pytest.approx(10.0)


@pytest.mark.req("E02.FR.17")
def test_a_significant_change_of_the_limit_is_told_as_such(tmp_path: Path) -> None:
    """ChargingRateChanged; of half or less it is not told here."""
    significance = {"SmartChargingCtrlr.LimitChangeSignificance": "50"}
    station = charging(tmp_path, variables={"SampledDataCtrlr.TxUpdatedInterval": "0", **significance})
    lines = news(station)
    limit(station, 16.0)
    quiet = lines()
    limit(station, 7.0)

    assert quiet == []
    assert lines() == ["Updated/ChargingRateChanged/Charging"]


def test_a_cable_that_is_made_for_less_limits_the_offer(tmp_path: Path) -> None:
    """The proximity pin says 13 A."""
    station = bench(tmp_path, "EVConnected", "EVConnected")
    station.evse(1).plug_in(cable_a=13.0)
    station.evse(1).present_token(CARD)
    station.advance(30)

    assert station.world.evse(1).current_a == pytest.approx(13.0)
    assert station.events()[0]["cableMaxCurrent"] == 13


@pytest.mark.req("J02.FR.22")
def test_two_evses_have_transactions_of_their_own(tmp_path: Path) -> None:
    """Ids, numbers and registers do not mix."""
    station = bench(tmp_path, "EVConnected", "EVConnected,Authorized", evses=2, boot=False)
    station.world.meter(1, energy_import_wh=1_000_000)
    station.world.meter(2, energy_import_wh=2_000_000)
    station.boot()
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(30)
    station.evse(2).plug_in()
    station.evse(2).present_token(OTHER_CARD)
    station.advance(130)
    station.evse(1).present_token(CARD)
    station.advance(5)

    assert told(station, 0)[-1] == "Ended/StopAuthorized/EVConnected +token =Local"
    assert "Ended" not in str(told(station, 1))
    for number in (0, 1):
        events = station.events(number)
        assert [event["seqNo"] for event in events] == list(range(len(events)))
        assert {event["evse"]["id"] for event in events if "evse" in event} == {number + 1}
        registers = [wh for event in events for context in CONTEXTS for _, wh in values(event, context)]
        assert len(registers) >= 3
        assert all((number + 1) * 1_000_000 <= wh < (number + 1) * 1_000_000 + 5000 for wh in registers)


CONTEXTS = ("Transaction.Begin", "Sample.Periodic", "Transaction.End")


# --- lost devices


def test_a_lost_board_suspends_until_it_is_back(tmp_path: Path) -> None:
    """AbnormalCondition, SuspendedEVSE; the same transaction goes on."""
    station = charging(tmp_path)
    lines = news(station)
    station.hardware.tell(DeviceLost(device="board", evse_ids=(1,), reason="gone", at=station.now.instant, board=True))
    station.advance(10)
    suspended = lines()
    station.hardware.tell(DeviceReturned(device="meter-1", evse_ids=(1,), at=station.now.instant))
    station.advance(1)
    still_suspended = lines()
    station.hardware.tell(DeviceReturned(device="board", evse_ids=(1,), at=station.now.instant, board=True))
    station.hardware.snapshot_again()
    station.advance(10)

    assert suspended == ["Updated/AbnormalCondition/SuspendedEVSE"]
    assert not [line for line in still_suspended if "StateChanged" in line]
    assert lines()[-1] == "Updated/ChargingStateChanged/Charging"
    assert len({event["transactionInfo"]["transactionId"] for event in station.events()}) == 1


def test_a_lost_meter_stops_nobody(tmp_path: Path) -> None:
    """Only a board carries the contactor."""
    station = charging(tmp_path)
    lines = news(station)
    station.hardware.tell(DeviceLost(device="meter-1", evse_ids=(1,), reason="gone", at=station.now.instant))
    station.advance(10)

    assert lines() == []
    assert station.evse(1).charging


def test_without_a_meter_the_station_charges_without_values(tmp_path: Path) -> None:
    """The start register does not come in five seconds: then energy flows all the same, and Ended has no values."""
    station = bench(tmp_path, "EVConnected", "EVConnected,Authorized", boot=False)
    station.world.lose("meter-1")
    station.boot()
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    at_once = station.evse(1).contactor_closed
    station.advance(70)
    later = station.evse(1).charging
    station.evse(1).present_token(CARD)
    station.advance(10)

    assert (at_once, later) == (False, True)
    assert told(station)[-1] == "Ended/StopAuthorized/EVConnected +token =Local"
    assert not any("meterValue" in event for event in station.events())


@pytest.mark.req("E01.FR.09")
@pytest.mark.parametrize("start", ["EVConnected", "PowerPathClosed", "EnergyTransfer"])
def test_the_start_register_is_on_disk_before_the_contactor_may_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    """When the board is allowed to close, another reader of the file already sees session and register."""
    station = bench(tmp_path, start, "EVConnected")
    rows: list[tuple[bytes, bytes]] = []
    carry_out = station._act

    def look(action: Action) -> str | None:
        if isinstance(action, Allow):
            reader = sqlite3.connect(tmp_path / "station.db")
            rows.extend(
                reader.execute(
                    "SELECT session.data, session_begin.data FROM session JOIN session_begin USING (evse_id)"
                )
            )
            reader.close()
        return carry_out(action)

    monkeypatch.setattr(station, "_act", look)
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(5)

    assert rows
    session, begin = rows[0]
    assert CARD.encode() in session
    assert b'"energy_import_mwh"' in begin


# --- the clock


def test_events_of_a_time_with_a_wrong_clock_are_told_with_the_right_one(tmp_path: Path) -> None:
    """The station believed it was five minutes later; a time server knows better; times never fall."""
    enabled = {"TxCtrlr.TxBeforeAcceptedEnabled": "true", "AuthCtrlr.OfflineTxForUnknownIdEnabled": "true"}
    station = bench(tmp_path, "EVConnected", "EVConnected,Authorized", connected=False, variables=enabled, boot=False)
    station.offset += 300
    station.boot()
    began = station.true_utc
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(130)
    station._set_clock(SetClock(Wall(station.true_utc.timestamp()), "NTP"))
    station.csms.connect()
    station.advance(70)
    ended = station.true_utc
    station.evse(1).present_token(CARD)
    station.advance(5)
    events = station.events()

    stamps = [event["timestamp"] for event in events]

    assert stamps == sorted(stamps)
    assert stamps[0] == began.isoformat(timespec="seconds").replace("+00:00", "Z")
    assert stamps[-1] == ended.isoformat(timespec="seconds").replace("+00:00", "Z")
    assert values(events[-1], "Transaction.Begin")[0][0] - began < timedelta(seconds=1)


def test_a_clock_that_is_set_back_does_not_turn_the_story_around(tmp_path: Path) -> None:
    """Online, the CSMS has seen the later times already: what follows is not earlier."""
    station = charging(tmp_path)
    station.advance(60)
    seen = station.events()[-1]["timestamp"]
    station.true_offset -= 100
    station.csms.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
    station.evse(1).ev("pause")
    station.advance(2)
    paused = station.events()[-1]["timestamp"]
    station.advance(180)
    stamps = [event["timestamp"] for event in station.events()]

    assert station.clock_set
    assert paused == seen
    assert stamps == sorted(stamps)
    assert stamps[-1] > seen


@pytest.mark.parametrize("online", [True, False])
def test_a_fact_that_comes_late_does_not_turn_the_story_around(tmp_path: Path, *, online: bool) -> None:
    """The board says that current stopped ten seconds ago, after a sample of just now was told."""
    station = charging(tmp_path, variables={"SampledDataCtrlr.TxUpdatedInterval": "31"})
    if not online:
        station.csms.disconnect()
    station.advance(1.5)
    early = Instant(station.station_boot, Mono(station.mono - 10))
    station.hardware.tell(EnergyFlowChanged(evse_id=1, at=early, flowing=False))
    station.advance(1)
    if not online:
        station.csms.connect()
        station.advance(1)
    *_, sample, paused = station.events()

    assert told(station)[-2:] == ["Updated/MeterValuePeriodic/Charging", "Updated/ChargingStateChanged/SuspendedEV"]
    assert paused["timestamp"] == sample["timestamp"]


def test_nothing_is_energised_before_the_hardware_has_told_its_state(tmp_path: Path) -> None:
    """Whatever is authorized: after a start everything is wanted off until then."""
    station = bench(tmp_path, "EVConnected", "EVConnected")
    conduct = next(block for block in station.station.engine._blocks if isinstance(block, Transactions))._conduct
    conduct.told.clear()
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(20)
    before = station.evse(1).contactor_closed
    station.hardware.snapshot_again()
    station.advance(20)

    assert not before
    assert station.evse(1).charging


def test_what_flows_until_the_lease_of_a_lost_board_ends_is_billed(tmp_path: Path) -> None:
    """The meter still answers: the Ended waits until the contactor must have opened, and reads it once more."""
    station = bench(tmp_path, "PowerPathClosed", "EnergyTransfer,PowerPathClosed")
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.world.lose("board")
    station.hardware.lost("board", "gone", station.mono)
    station.settle()
    station.advance(40)
    (_, end), *_ = values(station.events()[-1], "Transaction.End")

    assert told(station)[-1].startswith("Ended/")
    assert not station.evse(1).contactor_closed
    assert end == pytest.approx(station.evse(1).energy_wh, abs=0.01)
    assert end > 0


# --- what others say


@pytest.mark.req("E02.FR.17")
def test_an_unlock_by_the_csms_is_told_to_a_transaction_that_nobody_authorized(tmp_path: Path) -> None:
    """Updated with UnlockCommand; the cable's removal ends it."""
    station = bench(tmp_path, "EVConnected", "EVConnected", lock=True)
    station.evse(1).plug_in()
    station.hardware.tell(ConnectorUnlocked(evse_id=1, connector_id=1, at=station.now.instant))
    station.advance(1)
    station.evse(1).unplug()
    station.advance(1)

    assert told(station)[1:] == [
        "Updated/UnlockCommand/EVConnected",
        "Ended/EVCommunicationLost/Idle =EVDisconnected",
    ]


@pytest.mark.req("B12.FR.04")
def test_an_immediate_reset_ends_the_transaction_before_the_reboot(tmp_path: Path) -> None:
    """Ended, ResetCommand, ImmediateReset, no token; then the station restarts."""
    station = charging(tmp_path)
    answer = station.csms.call("Reset", {"type": "Immediate"})
    station.advance(60)
    ended = next(event for event in station.events() if event["eventType"] == "Ended")

    assert answer["status"] in {"Accepted", "Scheduled"}
    assert told(station)[-1] == "Ended/ResetCommand/EVConnected =ImmediateReset"
    assert "idToken" not in ended
    assert station.reboots == ["RemoteReset"]
    assert not station.evse(1).contactor_closed


def test_costs_priorities_and_verdicts_are_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As facts, to the blocks that show costs, charge by priority and remember tokens."""
    station = bench(tmp_path, "EVConnected", "EVConnected")
    answer = {"totalCost": 1.5, "chargingPriority": 3, "idTokenInfo": {"status": "Accepted"}}
    station.csms.on("TransactionEvent", lambda event: answer if "idToken" in event else {})
    facts: list[object] = []
    emit = station.station.facts.emit

    def listen(fact: object) -> None:
        facts.append(fact)
        emit(fact)

    monkeypatch.setattr(station.station.facts, "emit", listen)
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(5)
    transaction_id = station.events()[0]["transactionInfo"]["transactionId"]

    assert CostReceived(transaction_id=transaction_id, total_cost=1.5, final=False) in facts
    assert ChargingPriorityReceived(transaction_id=transaction_id, priority=3) in facts
    assert any(isinstance(fact, IdTokenInfoReceived) and fact.id_token.id_token == CARD for fact in facts)


def test_a_bug_elsewhere_interrupts_no_charging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step is undone, all memory is read again from the tables, the hardware tells its state: the story goes on."""
    station = charging(tmp_path)
    lines = news(station)
    actions: list[Action] = []
    carry_out = station._act

    def record(action: Action) -> str | None:
        actions.append(action)
        return carry_out(action)

    def broken(reading: object, wanted: object) -> None:
        raise ZeroDivisionError(reading, wanted)

    monkeypatch.setattr(station, "_act", record)
    with monkeypatch.context() as bug:
        bug.setattr("station.blocks.metering.block.Metering._of_the_moment", broken)
        station.advance(35)
    station.advance(3600)
    station.evse(1).present_token(CARD)
    station.advance(5)
    told_lines = lines()

    assert not any(type(action).__name__ == "Deny" for action in actions[:-1])
    assert told_lines[-1] == "Ended/StopAuthorized/EVConnected +token =Local"
    assert told_lines.count("Updated/MeterValuePeriodic/Charging") >= 50
    assert [event["seqNo"] for event in station.events()] == list(range(len(station.events())))
    assert values(station.events()[-1], "Transaction.End")[0][1] == pytest.approx(station.evse(1).energy_wh, abs=0.001)
