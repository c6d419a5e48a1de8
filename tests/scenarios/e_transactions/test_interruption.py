"""Power is lost, the agent is restarted: no transaction is lost, none starts twice, every register is billed once."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hal.api import LEASE_S
from station.facts import EnergyFlowChanged
from tests.bench import Bench
from tests.scenarios.e_transactions.story import CARD, bay, bench, news, told, values


def charging(path: Path, **more: Any) -> Bench:
    station = bench(path, "EVConnected", "EVConnected,Authorized", **more)
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(130)
    return station


@pytest.mark.req("E06.FR.08", "E06.FR.14")
@pytest.mark.parametrize("reason,stopped", [("PowerUp", "PowerLoss"), ("Watchdog", "Reboot"), ("Unknown", "Reboot")])
def test_a_transaction_is_ended_after_a_power_cut(tmp_path: Path, reason: str, stopped: str) -> None:
    """Ended, AbnormalCondition, PowerLoss or Reboot, with the register found afterwards; seqNo goes on."""
    station = charging(tmp_path, found_boot_reason=reason)
    station.advance(20)
    station.crash(down_s=600)
    station.advance(5)
    ended = station.events()[-1]

    assert told(station)[-1] == f"Ended/AbnormalCondition/EVConnected ={stopped}"
    assert [wh for _, wh in values(ended, "Transaction.End")] == [station.evse(1).energy_wh]
    assert [event["seqNo"] for event in station.events()] == list(range(len(station.events())))
    assert not station.evse(1).contactor_closed
    assert len({event["transactionInfo"]["transactionId"] for event in station.events()}) == 1


def test_the_vehicle_that_is_still_there_charges_again_with_a_new_card(tmp_path: Path) -> None:
    """A new authorization, a new transaction, a start value that is not below the last end value."""
    station = charging(tmp_path)
    station.crash()
    station.advance(10)
    station.evse(1).present_token(CARD)
    station.advance(30)

    ended = next(event for event in station.events(0) if event["eventType"] == "Ended")
    (_, end), (_, begin) = values(ended, "Transaction.End")[0], values(station.events(1)[0], "Transaction.Begin")[0]

    assert station.evse(1).charging
    assert begin >= end


def test_a_stop_that_was_closing_when_power_went_keeps_its_reason(tmp_path: Path) -> None:
    """The card had stopped it: StopAuthorized, Local, at the time of the card."""
    station = charging(tmp_path)
    stopping = station.utc
    stuck = station.world.evse(1)
    station.world.lose("board")
    station.evse(1).present_token(CARD)
    closing = station.station.sessions.get(1).closing
    station.world.lose("board", on=False)
    station.crash()
    station.advance(5)

    assert closing is not None
    assert told(station)[-1] == "Ended/StopAuthorized/EVConnected +token =Local"
    assert station.events()[-1]["timestamp"] == stopping.isoformat(timespec="seconds").replace("+00:00", "Z")
    assert stuck is station.world.evse(1)


def test_a_contactor_that_does_not_open_delays_ended_by_five_seconds_at_most(tmp_path: Path) -> None:
    """Then it comes with the last register there is."""
    station = charging(tmp_path)
    station.world.lose("board")
    lines = news(station)
    station.evse(1).present_token(CARD)
    station.advance(4.9)
    waiting = lines()
    station.advance(0.2)

    assert waiting == []
    assert lines()[0].startswith("Ended/StopAuthorized/")


@pytest.mark.req("J02.FR.10")
def test_a_transaction_goes_on_where_that_is_configured(tmp_path: Path) -> None:
    """Two events tell the gap, each with the one value of its own time; the transaction charges on without a card."""
    station = charging(tmp_path, resume=True)
    lines = news(station)
    last = values(station.events()[-1], "Sample.Periodic")[0]
    before = station.evse(1).energy_wh
    station.crash(down_s=60)
    found = station.utc, station.evse(1).energy_wh
    station.advance(10)
    begin = next(event for event in station.events() if values(event, "Interruption.Begin"))
    end = next(event for event in station.events() if values(event, "Interruption.End"))

    assert lines() == [
        "Updated/AbnormalCondition/Charging",
        "Updated/ChargingStateChanged/SuspendedEVSE",
        "Updated/ChargingStateChanged/Charging",
    ]
    assert values(begin, "Interruption.Begin") == [last]
    assert values(end, "Interruption.End") == [found]
    for event in (begin, end):
        assert [each["timestamp"] for each in event["meterValue"]] == [event["timestamp"]]
    assert station.evse(1).charging
    assert station.evse(1).energy_wh > before
    assert [event["seqNo"] for event in station.events()] == list(range(len(station.events())))


@pytest.mark.parametrize("resume", [True, False])
def test_the_time_of_charging_before_a_power_cut_is_not_lost(tmp_path: Path, *, resume: bool) -> None:
    """120 s up to the last reading that was kept, and what must have followed; or what comes after the interruption."""
    station = charging(tmp_path, resume=resume)
    station.crash(down_s=60)
    station.advance(50)
    if resume:
        station.evse(1).unplug()
    station.advance(10)

    assert station.events()[-1]["eventType"] == "Ended"
    assert station.events()[-1]["transactionInfo"]["timeSpentCharging"] == (170 if resume else 134)


def test_a_vehicle_that_paused_before_the_interruption_is_told_as_it_was(tmp_path: Path) -> None:
    """Nothing has changed but the time: no other state is told before there is one."""
    station = charging(tmp_path, resume=True)
    station.evse(1).ev("pause")
    station.advance(60)
    lines = news(station)
    station.crash(down_s=60)
    station.advance(30)

    assert lines()[:2] == ["Updated/AbnormalCondition/SuspendedEV", "Updated/AbnormalCondition/SuspendedEV"]


def test_a_transaction_to_be_resumed_ends_when_its_vehicle_has_gone(tmp_path: Path) -> None:
    """Unplugged while the power was off: PowerLoss, not a second vehicle on the first one's bill."""
    station = charging(tmp_path, resume=True)
    station.crash(boot=False)
    station.world.unplug(1)
    station.boot()
    station.advance(60)

    assert told(station)[-1].startswith("Ended/AbnormalCondition/")
    assert told(station)[-1].endswith("=PowerLoss")


def test_the_reason_survives_a_second_power_cut_before_anything_was_sent(tmp_path: Path) -> None:
    """One Ended, whatever happens."""
    station = charging(tmp_path)
    station.csms.disconnect()
    station.crash()
    station.advance(3)
    station.crash()
    station.csms.connect()
    station.advance(10)

    assert [line for line in told(station) if line.startswith("Ended")] == [
        "Ended/AbnormalCondition/EVConnected =PowerLoss"
    ]


def test_an_authorization_without_transaction_does_not_outlive_a_restart(tmp_path: Path) -> None:
    """Start point EnergyTransfer: the row stood before the contactor closed, but no energy had flowed."""
    station = bench(tmp_path, "EnergyTransfer", "EVConnected")
    station.evse(1).plug_in(charge=False)
    station.evse(1).present_token(CARD)
    station.advance(5)
    waiting = station.station.sessions.get(1)
    station.crash()
    station.advance(5)
    station.evse(1).ev("charge")
    station.advance(20)

    assert waiting.secured
    assert station.evse(1).energy_wh == 0
    assert told(station) == []


@pytest.mark.parametrize("wrong_s", [-7200.0, -400 * 86_400.0])
def test_an_ended_made_after_a_restart_is_dated_by_the_clock_of_its_own_time(tmp_path: Path, wrong_s: float) -> None:
    """The new run does not know the time yet when it tells it; what it learns later is no news about the run before."""
    station = charging(tmp_path)
    last, _ = values(station.events()[-1], "Sample.Periodic")[0]
    station.advance(20)
    cut = station.true_utc
    station.offset, station.trusted = station.offset + wrong_s, False
    station.crash(down_s=60)
    station.advance(5)
    ended = station.events()[-1]

    assert station.clock_set
    assert told(station)[-1].startswith("Ended/AbnormalCondition")
    assert values(ended, "Transaction.End") == [(datetime.fromisoformat(ended["timestamp"]), station.evse(1).energy_wh)]
    assert last < datetime.fromisoformat(ended["timestamp"]) < cut + timedelta(seconds=LEASE_S)


def test_the_last_value_is_never_older_than_the_first(tmp_path: Path) -> None:
    """Started by the card; the start value is taken when the cable comes in, and then the power goes."""
    station = bench(tmp_path, "Authorized", "EVConnected")
    station.evse(1).present_token(CARD)
    station.advance(11)
    station.evse(1).plug_in()
    station.crash()
    station.advance(5)
    ended = station.events()[-1]

    (begin, _), (end, _) = values(ended, "Transaction.Begin")[0], values(ended, "Transaction.End")[0]
    assert begin.second == 11
    assert begin <= end


def test_a_resumed_transaction_is_dated_right_though_the_clock_was_behind(tmp_path: Path) -> None:
    """Its first event may not be earlier than the one before; when the time is known it is told as it happened."""
    station = charging(tmp_path, resume=True)
    station.offset, station.trusted = station.offset - 7200.0, False
    station.crash(down_s=30)
    at = station.true_utc
    station.advance(5)
    resumed = next(event for event in station.events() if values(event, "Interruption.End"))

    assert station.clock_set
    assert datetime.fromisoformat(resumed["timestamp"]) == at
    assert [moment for moment, _ in values(resumed, "Interruption.End")] == [at]


def test_what_a_run_saw_that_believed_to_be_later_is_told_as_before_the_next_run(tmp_path: Path) -> None:
    """Offline, its clock ahead, and it never learned better: no bill lies in the future."""
    station = bench(tmp_path, "EVConnected", "EVConnected", variables={"TxCtrlr.TxBeforeAcceptedEnabled": "true"})
    station.csms.disconnect()
    station.offset, station.trusted = station.offset + 5400.0, False
    station.crash()
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(100)
    station.crash()
    restarted = station.true_utc
    station.csms.connect()
    station.advance(5)
    times = [datetime.fromisoformat(event["timestamp"]) for event in station.events(0)]

    assert told(station, 0)[-1].endswith("=PowerLoss")
    assert times == sorted(times)
    assert times[-1] <= restarted


@pytest.mark.parametrize("jump_s", [-86_400, 86_400])
def test_what_was_sent_is_repeated_with_the_same_times_though_the_clock_was_set_and_power_failed(
    tmp_path: Path, jump_s: float
) -> None:
    """And no event that follows is earlier than one that the CSMS has seen, though its clock jumped."""
    station = charging(tmp_path, variables={"OCPPCommCtrlr.MessageAttempts[TransactionEvent]": "9"})
    station.csms.silent("TransactionEvent")
    station.evse(1).present_token(CARD)
    station.advance(1)
    sent = station.csms.frames("TransactionEvent")[-1]
    station.true_offset += jump_s
    station.csms.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
    station.advance(60)
    assert station.clock_set[-1].source == "Heartbeat"
    station.crash()
    station.csms.default("TransactionEvent")
    station.advance(120)

    again = [frame for frame in station.csms.frames("TransactionEvent") if frame.message_id == sent.message_id]
    assert len(again) > 1
    assert {frame.content["timestamp"] for frame in again} == {sent.content["timestamp"]}
    times = [event["timestamp"] for event in station.events(0)]
    assert times == sorted(times)


def test_an_event_that_was_held_up_is_not_dated_back_after_a_restart(tmp_path: Path) -> None:
    """Its fact came late, so it bears the time of the event before, which the CSMS has; the restart changes no time."""
    station = charging(tmp_path, resume=True)
    late = station.now.instant
    station.advance(3)
    bay(station, occupied=True)
    station.csms.silent("TransactionEvent")
    station.hardware.tell(EnergyFlowChanged(evse_id=1, at=late, flowing=False))
    station.settle()
    station.crash()
    station.csms.default("TransactionEvent")
    station.advance(120)
    times = [datetime.fromisoformat(event["timestamp"]) for event in station.events(0)]

    assert "Updated/EVDetected/Charging" in told(station, 0)
    assert times == sorted(times)
