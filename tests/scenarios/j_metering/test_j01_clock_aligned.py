"""J01: clock-aligned meter values, in and out of transactions, and MeterValues on request (F06)."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hal.api import MeterReading
from tests.bench import Bench
from tests.scenarios.e_transactions.story import CARD, bench, told, variable

QUARTER = {"AlignedDataCtrlr.Interval": "900"}


def aligned(path: Path, **variables: str) -> Bench:
    """Two EVSEs whose meters are told on the quarter hour."""
    given = {name.replace("__", "."): value for name, value in variables.items()}
    return bench(path, "EVConnected", "EVConnected,Authorized", evses=2, variables={**QUARTER, **given})


def metered(station: Bench) -> list[tuple[int, str, str]]:
    """(EVSE, time, context) of each MeterValues."""
    return [
        (message["evseId"], value["timestamp"][11:19], value["sampledValue"][0]["context"])
        for message in station.csms.received("MeterValues")
        for value in message["meterValue"]
    ]


@pytest.mark.req("J01.FR.02", "J01.FR.05", "J01.FR.06", "J01.FR.14", "J01.FR.17", "J01.FR.01", "J01.FR.08")
def test_idle_evses_tell_their_meters_on_the_grid_of_the_clock(tmp_path: Path) -> None:
    """The bench begins at 08:00:00; a quarter later every EVSE tells, with one and the same time."""
    station = aligned(tmp_path)
    station.advance(minutes=7)
    early = metered(station)
    station.advance(minutes=24)

    assert early == []
    assert metered(station) == [
        (1, "08:15:00", "Sample.Clock"),
        (2, "08:15:00", "Sample.Clock"),
        (1, "08:30:00", "Sample.Clock"),
        (2, "08:30:00", "Sample.Clock"),
    ]


@pytest.mark.req("J01.FR.07", "J01.FR.10", "J01.FR.14")
def test_all_phases_of_all_configured_measurands_are_told(tmp_path: Path) -> None:
    """In the order of the list, units where they are not Wh."""
    station = aligned(tmp_path, AlignedDataCtrlr__Measurands="Energy.Active.Import.Register,Voltage,Current.Import")
    station.advance(minutes=16)
    (sampled,) = [value["sampledValue"] for value in station.csms.received("MeterValues")[0]["meterValue"]]

    shown = [(v["measurand"], v.get("phase"), v.get("unitOfMeasure", {}).get("unit")) for v in sampled]

    assert shown[0] == ("Energy.Active.Import.Register", None, None)
    assert [("Voltage", f"L{n}-N", "V") for n in (1, 2, 3)] == [each for each in shown if each[0] == "Voltage"]
    assert [each for each in shown if each[0] == "Current.Import"][:3] == [
        ("Current.Import", f"L{n}", "A") for n in (1, 2, 3)
    ]


@pytest.mark.req("J01.FR.22")
def test_an_evse_in_a_transaction_tells_by_transaction_event(tmp_path: Path) -> None:
    """MeterValueClock for EVSE 1, MeterValues for EVSE 2; never both for one."""
    station = aligned(tmp_path, SampledDataCtrlr__TxUpdatedInterval="0")
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(minutes=16)
    clock = station.events()[-1]

    assert told(station)[-1] == "Updated/MeterValueClock/Charging"
    assert clock["timestamp"] == clock["meterValue"][0]["timestamp"] == "2026-11-21T08:15:00Z"
    assert clock["meterValue"][0]["sampledValue"][0]["context"] == "Sample.Clock"
    assert metered(station) == [(2, "08:15:00", "Sample.Clock")]


@pytest.mark.req("J01.FR.20", "J01.FR.19")
def test_send_during_idle_keeps_quiet_while_any_transaction_runs(tmp_path: Path) -> None:
    """Set for the station: no clock-aligned values at all, also not of the other EVSE."""
    station = aligned(tmp_path, AlignedDataCtrlr__SendDuringIdle="true", SampledDataCtrlr__TxUpdatedInterval="0")
    station.advance(minutes=16)
    before = len(metered(station))
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(minutes=30)
    during = metered(station)[before:]
    station.evse(1).present_token(CARD)
    station.advance(minutes=15)

    assert before == 2
    assert during == []
    assert not any("MeterValueClock" in line for line in told(station))
    assert len(metered(station)) == 4


@pytest.mark.req("J01.FR.14")
def test_a_changed_interval_counts_at_once(tmp_path: Path) -> None:
    """0 switches off; a new one has its own grid."""
    station = aligned(tmp_path)
    station.csms.call("SetVariables", variable("AlignedDataCtrlr", "Interval", "0"))
    station.advance(minutes=40)
    off = metered(station)
    station.csms.call("SetVariables", variable("AlignedDataCtrlr", "Interval", "600"))
    station.advance(minutes=11)

    assert off == []
    assert [at for _, at, _ in metered(station)] == ["08:50:00"] * 2


def test_the_grid_follows_a_clock_that_is_set(tmp_path: Path) -> None:
    """The station believed it was two minutes earlier: the next quarter is the CSMS's quarter."""
    station = (
        aligned(tmp_path, boot=False)
        if False
        else bench(tmp_path, "EVConnected", "EVConnected", evses=1, variables=QUARTER, connected=False)
    )
    station.offset -= 120
    station.csms.connect()
    station.advance(minutes=16)

    assert [at for _, at, _ in metered(station)] == ["08:15:00"]


def test_a_clock_that_is_set_back_a_little_repeats_no_moment(tmp_path: Path) -> None:
    """A quarter of an hour was told; half a second later the CSMS says that it has not come yet."""
    station = bench(tmp_path, "EVConnected", "EVConnected", variables=QUARTER)
    station.advance(minutes=15, seconds=0.5)
    station.true_offset -= 1.0
    station.csms.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
    station.advance(minutes=20)

    assert station.clock_set[-1].wall < station.mono + station.true_offset
    assert [at for _, at, _ in metered(station)] == ["08:15:00", "08:30:00"]


@pytest.mark.req("J01.FR.14")
def test_disabled_means_none(tmp_path: Path) -> None:
    """AlignedDataCtrlr.Enabled false."""
    station = aligned(tmp_path, AlignedDataCtrlr__Enabled="false")
    station.advance(minutes=31)

    assert metered(station) == []


def trigger(station: Bench, message: str, evse_id: int | None = None) -> dict[str, Any]:
    evse = {} if evse_id is None else {"evse": {"id": evse_id}}
    return station.csms.call("TriggerMessage", {"requestedMessage": message, **evse})


@pytest.mark.req("F06.FR.06", "J01.FR.08")
def test_meter_values_on_request_have_the_context_trigger(tmp_path: Path) -> None:
    """The aligned measurands, of one EVSE or of all, also of one in a transaction."""
    station = aligned(tmp_path)
    station.evse(1).plug_in()
    one = trigger(station, "MeterValues", 2)
    station.advance(2)
    of_one = metered(station)
    trigger(station, "MeterValues")
    station.advance(2)

    assert one == {"status": "Accepted"}
    assert [(evse_id, context) for evse_id, _, context in of_one] == [(2, "Trigger")]
    assert [(evse_id, context) for evse_id, _, context in metered(station)[1:]] == [(1, "Trigger"), (2, "Trigger")]


@pytest.mark.req("F06.FR.07")
def test_a_transaction_event_on_request_has_the_values_of_updated(tmp_path: Path) -> None:
    """Updated, Trigger, with chargingState and the context Trigger."""
    station = aligned(tmp_path)
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(20)
    trigger(station, "TransactionEvent", 1)
    station.advance(2)
    event = station.events()[-1]

    assert told(station)[-1] == "Updated/Trigger/Charging +evse"
    assert [v["context"] for v in event["meterValue"][0]["sampledValue"]] == ["Trigger"]


def test_meter_values_are_not_kept_for_an_offline_time(tmp_path: Path) -> None:
    """Only transaction events are queued, unless QueueAllMessages says otherwise."""
    station = aligned(tmp_path)
    station.csms.disconnect()
    station.advance(minutes=40)
    station.csms.connect()
    station.advance(minutes=6)

    assert [datetime.strptime(at, "%H:%M:%S").minute for _, at, _ in metered(station)] == [45, 45]  # noqa: DTZ007 - a time of day


def test_idle_metering_writes_nothing(tmp_path: Path) -> None:
    """A day of clock-aligned values leaves the log of the database as it is."""
    station = aligned(tmp_path)
    station.advance(minutes=1)
    before = station.database.wal_bytes()
    station.advance(hours=24)

    assert len(metered(station)) == 2 * 96
    assert station.database.wal_bytes() == before


@pytest.mark.req("J01.FR.03", "J01.FR.04")
def test_the_main_meter_is_told_as_evse_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the energy of its own register; also while an EVSE is in a transaction."""
    station = bench(tmp_path, "EVConnected", "EVConnected", variables=QUARTER, main_meter=True, boot=False)
    reading = MeterReading(sampled_at=0.0, energy_import_mwh=77_000_000)
    of_evse = station.world.reading
    monkeypatch.setattr(
        station.world,
        "reading",
        lambda evse: msgspec.structs.replace(reading, sampled_at=station.mono) if evse == 0 else of_evse(evse),
    )
    station.boot()
    station.evse(1).plug_in()
    station.advance(minutes=16)
    main = [message for message in station.csms.received("MeterValues") if message["evseId"] == 0]

    assert [each["meterValue"][0]["sampledValue"][0]["value"] for each in main] == [77_000]
    assert metered(station) == [(0, "08:15:00", "Sample.Clock")]
