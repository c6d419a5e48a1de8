"""After a power cut the meter is asked before a transaction ends: what flowed unseen is billed, to its driver only."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from station.blocks.transactions.leftover import RECONCILE_S, STRANGE
from tests.bench import Bench
from tests.csms import Frame
from tests.scenarios.e_transactions.story import CARD, OTHER_CARD, bench, news, told, values

MOST_W = 3 * 32 * 230.0


def charging(path: Path, start: str = "EVConnected", **more: Any) -> Bench:
    """A minute after the register that was stored last, at full power."""
    variables = {"SampledDataCtrlr.TxUpdatedInterval": "60", **more.pop("variables", {})}
    station = bench(path, start, "EVConnected,Authorized", variables=variables, **more)
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(115)
    return station


def stored(station: Bench) -> tuple[datetime, float]:
    """The register that is in the table."""
    return values(station.events()[-1], "Sample.Periodic")[-1]


def end_of(station: Bench, number: int = 0) -> tuple[datetime, float]:
    """The last register of a transaction that has ended, as it is billed."""
    ended = station.events(number)[-1]
    assert ended["eventType"] == "Ended"
    (end,) = values(ended, "Transaction.End")
    assert end[0] == datetime.fromisoformat(ended["timestamp"])
    return end


def strange(station: Bench) -> list[str]:
    """What the CSMS was told of registers that cannot be."""
    events = station.csms.received("SecurityEventNotification")
    return [event["techInfo"] for event in events if event["type"] == STRANGE]


def last_frame(station: Bench) -> Frame:
    return station.csms.frames("TransactionEvent")[-1]


@pytest.mark.req("E06.FR.08", "E06.FR.11")
@pytest.mark.parametrize("hours", [0.01, 9])
def test_what_flowed_since_the_last_stored_register_is_billed(tmp_path: Path, hours: float) -> None:
    """And told at the first moment at which it can have been reached: no hour without power is on the bill."""
    station = charging(tmp_path)
    (at, before), cut = stored(station), station.true_utc
    station.crash(down_s=hours * 3600)
    station.advance(5)
    (stopped, end) = end_of(station)

    assert end == station.evse(1).energy_wh > before + 300
    assert at < stopped <= cut + timedelta(seconds=10)
    assert (end - before) * 3600 / (stopped - at).total_seconds() <= MOST_W * 1.3


@pytest.mark.req("E11.FR.07", "E12.FR.02")
def test_an_ended_that_is_told_under_a_new_connection_says_that_it_happened_without_one(tmp_path: Path) -> None:
    """The meter takes its time; meanwhile the link is up. The event is of the time before."""
    station = charging(tmp_path)
    station.world.lose("meter-1")
    station.crash(down_s=60)
    station.advance(5)
    waiting = station.events()[-1]["eventType"]
    station.advance(RECONCILE_S)

    assert waiting == "Updated"
    assert last_frame(station).content["eventType"] == "Ended"
    assert last_frame(station).content["offline"] is True


def test_the_register_is_read_after_the_contactor_has_opened(tmp_path: Path) -> None:
    """The agent is back before the lease has run out, its board is not: the meter counts until it has."""
    station = charging(tmp_path)
    station.crash(down_s=0.5, boot=False)
    station.world.lose("board")
    station.boot()
    station.advance(2)
    still = station.evse(1).contactor_closed
    station.advance(20)

    assert still
    assert end_of(station)[1] == station.evse(1).energy_wh


@pytest.mark.parametrize("resume", [False, True])
def test_a_meter_that_is_dead_for_ever_holds_up_no_bill(tmp_path: Path, *, resume: bool) -> None:
    """The last stored register is the end, half a minute after the start; a later reading changes nothing."""
    station = charging(tmp_path, resume=resume)
    last = stored(station)
    station.world.lose("meter-1")
    if resume:
        station.world.lose("board")
    station.crash(down_s=60)
    station.advance(RECONCILE_S + 5.1)
    (at, end), events = end_of(station), len(station.events())
    station.world.lose("meter-1", on=False)
    station.world.lose("board", on=False)
    station.advance(minutes=5)

    assert (at, end) == last
    assert len(station.events()) == events
    assert not station.station.sessions.running()
    assert strange(station) == []


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("register", [0.0, 5_000_000.0])
@pytest.mark.parametrize("known", [True, False])
def test_a_meter_that_was_exchanged_or_reset_is_on_nobodys_bill(
    tmp_path: Path, *, register: float, resume: bool, known: bool
) -> None:
    """Its register falls, or rises by more than can have flowed: the stored one is the end, and the CSMS is told."""
    station = charging(tmp_path, resume=resume)
    last = stored(station)
    station.crash(down_s=600, boot=False)
    station.world.meter(1, energy_import_wh=register)
    station.trusted = known
    station.boot()
    station.advance(10)

    assert end_of(station) == last
    assert len(strange(station)) == 1
    assert f"{last[1]} Wh before" in strange(station)[0]


def test_a_clock_that_is_not_known_after_the_start_costs_no_energy(tmp_path: Path) -> None:
    """Nobody can tell how long it was; what flows in an hour is believed."""
    station = charging(tmp_path)
    station.csms.disconnect()
    station.offset, station.trusted = station.offset - 400 * 86_400, False
    station.crash(down_s=3)
    station.advance(10)
    station.csms.connect()
    station.advance(5)

    assert end_of(station)[1] == station.evse(1).energy_wh
    assert strange(station) == []


def test_a_second_power_cut_while_the_meter_is_awaited_changes_neither_reason_nor_register(tmp_path: Path) -> None:
    """PowerLoss of the first, though the second start was the watchdog's; one Ended."""
    station = charging(tmp_path)
    station.world.lose("meter-1")
    station.crash(down_s=60)
    station.advance(5)
    for _ in range(2):
        station.setup = station.setup.__class__(**{**_fields(station), "found_boot_reason": "Watchdog"})
        station.crash(down_s=1)
        station.advance(3)
    station.world.lose("meter-1", on=False)
    station.crash(down_s=1)
    station.advance(5)

    assert [line for line in told(station) if line.startswith("Ended")] == [
        "Ended/AbnormalCondition/EVConnected =PowerLoss"
    ]
    assert end_of(station)[1] == station.evse(1).energy_wh


def _fields(station: Bench) -> dict[str, Any]:
    return {name: getattr(station.setup, name) for name in station.setup.__struct_fields__}


def test_what_a_meter_shows_after_another_plug_in_is_not_the_first_vehicles(tmp_path: Path) -> None:
    """The first one's end is the stored register; the new one begins with what the meter shows."""
    station = charging(tmp_path)
    last = stored(station)
    station.world.lose("meter-1")
    station.crash(down_s=60)
    station.advance(3)
    station.evse(1).unplug()
    station.advance(1)
    station.world.lose("meter-1", on=False)
    station.evse(1).plug_in()
    ended = end_of(station)
    found = station.evse(1).energy_wh
    station.evse(1).present_token(OTHER_CARD)
    station.advance(60)
    station.evse(1).unplug()
    station.advance(5)

    assert ended[1] == last[1]
    assert values(station.events(1)[-1], "Transaction.Begin")[0][1] == found
    assert end_of(station, 1)[1] == station.evse(1).energy_wh > found


def test_a_vehicle_that_leaves_while_the_meter_is_awaited_has_its_register_still(tmp_path: Path) -> None:
    """Nothing flows after it: the register that comes later is its own."""
    station = charging(tmp_path)
    station.world.lose("meter-1")
    station.crash(down_s=60)
    station.advance(3)
    station.evse(1).unplug()
    station.world.lose("meter-1", on=False)
    station.advance(RECONCILE_S)

    assert told(station)[-1] == "Ended/AbnormalCondition/Idle =PowerLoss"


@pytest.mark.parametrize("start", ["EVConnected", "EnergyTransfer"])
def test_a_card_while_the_meter_is_awaited_begins_the_next_transaction(tmp_path: Path, start: str) -> None:
    """It need not be presented again; the contactor stays open until the last one's register is known."""
    station = charging(tmp_path, start)
    station.world.lose("meter-1")
    station.crash(down_s=60)
    station.advance(3)
    lines = news(station)
    station.evse(1).present_token(CARD)
    station.advance(1)
    waiting, closed = lines(), station.evse(1).contactor_closed
    station.world.lose("meter-1", on=False)
    station.advance(RECONCILE_S + 10)

    assert (waiting, closed) == ([], False)
    assert lines()[0] == "Ended/AbnormalCondition/EVConnected =PowerLoss"
    assert station.evse(1).charging


@pytest.mark.req("E01.FR.06")
@pytest.mark.parametrize("stays,state", [(True, "EVConnected"), (False, "Idle")])
def test_energy_that_flowed_before_its_transaction_was_told_makes_one(
    tmp_path: Path, *, stays: bool, state: str
) -> None:
    """Start point EnergyTransfer: power fails between the contactor's closing and the first event."""
    station = bench(tmp_path, "EnergyTransfer", "EVConnected,Authorized")
    station.evse(1).plug_in(charge=False)
    station.evse(1).present_token(CARD)
    station.advance(5)
    before = told(station)
    station.crash(down_s=0.0, boot=False)
    station.world.ev(1, "charge")
    station.mono += 8
    station.world.advance(station.mono)
    if not stays:
        station.world.unplug(1)
    station.boot()
    station.advance(10)

    assert before == []
    assert told(station) == [
        "Started/ChargingStateChanged/Charging +token +evse",
        f"Ended/AbnormalCondition/{state} =PowerLoss",
    ]
    assert values(station.events()[0], "Transaction.Begin")[0][1] == 0
    assert end_of(station)[1] == station.evse(1).energy_wh > 0


def test_a_meter_that_signs_signs_the_end_of_an_interrupted_transaction(tmp_path: Path) -> None:
    """With the register that is billed."""
    station = charging(
        tmp_path,
        signing=True,
        variables={"SampledDataCtrlr.SignReadings": "true", "SampledDataCtrlr.SignStartedReadings": "true"},
    )
    station.crash(down_s=60)
    station.advance(20)
    ended = station.events()[-1]
    signed = [
        sampled["value"]
        for meter in ended["meterValue"]
        for sampled in meter["sampledValue"]
        if sampled.get("context") == "Transaction.End" and "signedMeterValue" in sampled
    ]

    assert signed == [station.evse(1).energy_wh]


def test_an_evse_that_is_no_more_holds_up_no_bill(tmp_path: Path) -> None:
    """The installer has taken it out of the file: its meter cannot be read any more."""
    station = bench(tmp_path, "EVConnected", "EVConnected,Authorized", evses=2)
    station.evse(2).plug_in()
    station.evse(2).present_token(CARD)
    station.advance(100)
    station.crash(boot=False)
    csms, path = station.csms, station.path
    smaller = Bench(path, evses=1, csms=csms, boot=False)
    smaller.mono, smaller.offset = station.mono + 60, station.offset
    smaller.true_offset = smaller.offset
    smaller.ids.count = 1_000_000
    smaller.boot()
    smaller.advance(minutes=1)

    assert told(smaller)[-1] == "Ended/AbnormalCondition/EVConnected =PowerLoss"
