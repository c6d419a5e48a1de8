"""J02: sampled values of a transaction: at its start, while it runs, at its end."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from hal.api import MeterReading, Quality
from station.effects import Effect, TakeSample
from station.inputs import Input
from station.now import Now
from tests.bench import Bench
from tests.scenarios.e_transactions.story import CARD, bench, told, values, variable


def charging(path: Path, evses: int = 1, **variables: str) -> Bench:
    """Every EVSE charges; the transactions started at 08:00:00."""
    given = {name.replace("__", "."): value for name, value in variables.items()}
    station = bench(path, "EVConnected", "EVConnected,Authorized", evses=evses, variables=given)
    for number in range(1, evses + 1):
        station.evse(number).plug_in()
        station.evse(number).present_token(f"04A1B2C{number}")
    return station


def periodic(station: Bench) -> list[str]:
    return [e["timestamp"][11:19] for e in station.events() if e["triggerReason"] == "MeterValuePeriodic"]


@pytest.mark.req("J02.FR.11", "E02.FR.10", "E03.FR.08", "J02.FR.18", "J02.FR.01")
def test_updated_comes_at_every_interval_counted_from_the_start_of_the_transaction(tmp_path: Path) -> None:
    """TxUpdatedInterval 30, begun seven seconds after the full minute."""
    station = bench(tmp_path, "EVConnected", "EVConnected", variables={"SampledDataCtrlr.TxUpdatedInterval": "30"})
    station.advance(7)
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(100)
    sampled = next(e for e in station.events() if e["triggerReason"] == "MeterValuePeriodic")

    assert periodic(station) == ["08:00:37", "08:01:07", "08:01:37"]
    assert sampled["meterValue"][0]["timestamp"] == sampled["timestamp"]
    assert [v["context"] for v in sampled["meterValue"][0]["sampledValue"]] == ["Sample.Periodic"]


def test_transactions_that_start_at_any_time_tell_their_samples_together(tmp_path: Path) -> None:
    """One wake-up and one commit for all EVSEs whose intervals are alike."""
    given = {"SampledDataCtrlr.TxUpdatedInterval": "1"}
    station = bench(tmp_path, "EVConnected", "EVConnected", evses=2, variables=given)
    for number in (1, 2):
        station.evse(number).plug_in()
        station.evse(number).present_token(f"04A1B2C{number}")
        station.advance(0.4)
    commits = station.database._commits
    before = len(station.events())
    station.advance(10)

    assert len(station.events()) - before == 20
    assert station.database._commits - commits == 10


def test_a_transaction_without_its_cable_tells_no_samples(tmp_path: Path) -> None:
    """Started by the card: whose register it will be, the cable shows; from then on the old beat counts."""
    station = bench(tmp_path, "Authorized", "Authorized", variables={"SampledDataCtrlr.TxUpdatedInterval": "20"})
    station.evse(1).present_token(CARD)
    station.advance(50)
    before = periodic(station)
    station.evse(1).plug_in()
    station.advance(25)

    assert before == []
    assert periodic(station) == ["08:01:00"]


@pytest.mark.req("J02.FR.11")
def test_an_interval_that_is_changed_counts_at_once_from_the_same_start(tmp_path: Path) -> None:
    """60 s, then 20 s, then none."""
    station = charging(tmp_path)
    station.advance(65)
    station.csms.call("SetVariables", variable("SampledDataCtrlr", "TxUpdatedInterval", "20"))
    station.advance(40)
    station.csms.call("SetVariables", variable("SampledDataCtrlr", "TxUpdatedInterval", "0"))
    station.advance(100)

    assert periodic(station) == ["08:01:00", "08:01:20", "08:01:40"]


@pytest.mark.req("J02.FR.16", "J02.FR.17", "J02.FR.22")
def test_registers_are_told_raw_and_never_fall(tmp_path: Path) -> None:
    """A meter that slips back by 1 kWh refunds nothing."""
    station = bench(tmp_path, "EVConnected", "EVConnected,Authorized", boot=False)
    station.world.meter(1, energy_import_wh=5000.0)
    station.boot()
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(130)
    station.world.meter(1, energy_import_wh=4000.0)
    station.advance(130)
    station.evse(1).present_token(CARD)
    station.advance(5)

    *running, ended = station.events()
    told_wh = [wh for event in running for context in CONTEXTS for _, wh in values(event, context)]
    told_wh += [wh for _, wh in values(ended, "Transaction.End")]

    assert told_wh[0] == 5000
    assert len(told_wh) == 6
    assert told_wh == sorted(told_wh)


def test_a_meter_that_returns_late_tells_no_values_before_the_evse_is_known(tmp_path: Path) -> None:
    """Started by the card while the meter was silent; what Ended says of the start is not later than what follows."""
    variables = {
        "SampledDataCtrlr.TxUpdatedInterval": "20",
        "SampledDataCtrlr.TxEndedInterval": "30",
        "TxCtrlr.EVConnectionTimeOut": "300",
    }
    station = bench(tmp_path, "Authorized", "Authorized", variables=variables, boot=False)
    station.world.lose("meter-1")
    station.boot()
    station.evse(1).present_token(CARD)
    station.advance(10)
    station.world.lose("meter-1", on=False)
    station.advance(70)
    before = periodic(station)
    station.evse(1).plug_in()
    station.advance(70)
    station.evse(1).present_token(CARD)
    station.advance(5)
    times = [datetime.fromisoformat(value["timestamp"]) for value in station.events()[-1]["meterValue"]]

    assert before == []
    assert len(times) > 3
    assert times == sorted(times)


def test_the_readings_of_a_moment_come_unasked_and_are_told_in_the_step_that_brings_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second's events of all EVSEs cost one step, and nobody had to ask for it."""
    station = charging(tmp_path, evses=2, SampledDataCtrlr__TxUpdatedInterval="1")
    station.advance(0.5)
    plain, purposes, told_in = station.reading, list[str](), list[int]()
    give = station.station.exchange.give

    def reading(wanted: TakeSample) -> MeterReading:
        purposes.append(wanted.purpose)
        return plain(wanted)

    def counted(given: Input, now: Now) -> list[Effect]:
        before = station.database._commits
        effects = give(given, now)
        told_in.append(station.database._commits - before)
        return effects

    monkeypatch.setattr(station, "reading", reading)
    monkeypatch.setattr(station.station.exchange, "give", counted)
    before = len(station.events())
    station.advance(3)

    assert len(station.events()) - before == 6
    assert purposes == ["moment"] * 6
    assert [commits for commits in told_in if commits] == [1, 1, 1]


def test_a_silent_meter_does_not_keep_the_values_of_another_evse_waiting(tmp_path: Path) -> None:
    """Each second of EVSE 1 is told as soon as it is clear that no more will come; EVSE 2 is told again when it can."""
    station = charging(tmp_path, evses=2, SampledDataCtrlr__TxUpdatedInterval="1")
    station.advance(10.5)
    station.world.lose("meter-2")
    station.advance(20)
    station.world.lose("meter-2", on=False)
    station.advance(10)
    seconds = [
        [e["timestamp"][17:19] for e in station.events(number) if e["triggerReason"] == "MeterValuePeriodic"]
        for number in (0, 1)
    ]

    assert seconds[0] == [f"{each:02}" for each in range(1, 41)]
    assert seconds[1] == [f"{each:02}" for each in (*range(1, 11), *range(31, 41))]


@pytest.mark.req("J02.FR.16")
@pytest.mark.parametrize("shows_wh", [3.0, 90_000_000.0])
def test_a_register_that_begins_anew_ends_the_transaction_with_what_it_showed_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shows_wh: float
) -> None:
    """A meter that was reset or replaced: its driver says so. The difference of two registers is nobody's energy."""
    station = charging(tmp_path)
    station.advance(90)
    before = values(station.events()[-1], "Sample.Periodic")[-1][1]
    plain, suspect = station.reading, [Quality.SUSPECT]

    def reading(wanted: TakeSample) -> MeterReading:
        quality = suspect.pop() if suspect else Quality.GOOD
        return msgspec.structs.replace(plain(wanted), energy_import_mwh=int(shows_wh * 1000), quality=quality)

    monkeypatch.setattr(station, "reading", reading)
    station.advance(40)
    ended = station.events()[-1]
    station.evse(1).present_token(CARD)
    station.advance(70)
    after = values(station.events(1)[-1], "Sample.Periodic")

    assert told(station, 0)[-1] == "Ended/AbnormalCondition/EVConnected =Other"
    assert [wh for _, wh in values(ended, "Transaction.End")] == [before]
    assert {wh for event in station.events(0) for context in CONTEXTS for _, wh in values(event, context)} <= {
        0,
        before,
    }
    assert [wh for _, wh in after] == [shows_wh]


CONTEXTS = ("Transaction.Begin", "Sample.Periodic", "Transaction.End")


@pytest.mark.req("E06.FR.11", "J02.FR.10")
def test_ended_tells_the_values_of_its_own_interval_between_first_and_last(tmp_path: Path) -> None:
    """TxEndedInterval 120: Begin, two periodic ones, End."""
    station = charging(tmp_path, SampledDataCtrlr__TxEndedInterval="120", SampledDataCtrlr__TxUpdatedInterval="0")
    station.advance(250)
    station.evse(1).present_token("04A1B2C1")
    station.advance(5)
    ended = station.events()[-1]

    contexts = [v["context"] for value in ended["meterValue"] for v in value["sampledValue"]]
    times = [value["timestamp"][11:19] for value in ended["meterValue"]]

    assert contexts == ["Transaction.Begin", "Sample.Periodic", "Sample.Periodic", "Transaction.End"]
    assert times == ["08:00:00", "08:02:00", "08:04:00", "08:04:10"]


@pytest.mark.req("E06.FR.11")
def test_the_values_in_between_survive_a_power_cut(tmp_path: Path) -> None:
    """They are told with the Ended that the next run of the agent makes."""
    station = charging(tmp_path, SampledDataCtrlr__TxEndedInterval="60", SampledDataCtrlr__TxUpdatedInterval="0")
    station.advance(190)
    station.crash()
    station.advance(5)
    ended = station.events()[-1]

    assert [at.minute for at, _ in values(ended, "Sample.Periodic")] == [1, 2, 3]


@pytest.mark.req("J01.FR.14")
def test_clock_aligned_values_for_ended_are_collected_too(tmp_path: Path) -> None:
    """AlignedDataCtrlr.TxEndedMeasurands at TxEndedInterval, with Sample.Clock."""
    station = charging(
        tmp_path,
        AlignedDataCtrlr__TxEndedMeasurands="Energy.Active.Import.Register",
        AlignedDataCtrlr__TxEndedInterval="300",
        SampledDataCtrlr__TxEndedMeasurands="",
        SampledDataCtrlr__TxUpdatedInterval="0",
    )
    station.advance(minutes=16)
    station.evse(1).present_token("04A1B2C1")
    station.advance(5)
    ended = station.events()[-1]

    assert [(at.minute, at.second) for at, _ in values(ended, "Sample.Clock")] == [(5, 0), (10, 0), (15, 0)]
    assert {v["context"] for value in ended["meterValue"] for v in value["sampledValue"]} == {"Sample.Clock"}
    assert not any("MeterValueClock" in line for line in told(station))


@pytest.mark.req("E06.FR.13", "J02.FR.20")
def test_a_very_long_transaction_drops_every_second_value_in_between(tmp_path: Path) -> None:
    """The first and the last stay; what is left lies all over its time."""
    station = charging(tmp_path, SampledDataCtrlr__TxEndedInterval="10", SampledDataCtrlr__TxUpdatedInterval="0")
    station.advance(hours=1)
    station.evse(1).present_token("04A1B2C1")
    station.advance(5)
    ended = station.events()[-1]

    kept = [at for at, _ in values(ended, "Sample.Periodic")]

    assert 100 <= len(kept) <= 200
    assert kept[0] <= datetime.fromisoformat("2026-11-21T08:02:00Z")
    assert kept[-1] == datetime.fromisoformat("2026-11-21T09:00:00Z")
    assert len(values(ended, "Transaction.Begin")) == len(values(ended, "Transaction.End")) == 1


def test_the_samples_of_all_evses_share_one_commit(tmp_path: Path) -> None:
    """Everything due at one instant is told in one step."""
    station = charging(tmp_path, evses=3)
    station.advance(59)
    commits = station.database._commits
    station.advance(2)

    assert len(periodic(station)) == 3
    assert station.database._commits == commits + 1


def test_the_commits_of_a_session_are_its_events_and_one_more(tmp_path: Path) -> None:
    """The one more is the stop that waits for its register; verdicts on the token are the cache's commits."""
    variables = {"SampledDataCtrlr.TxUpdatedInterval": "20"}
    station = bench(tmp_path, "PowerPathClosed", "PowerPathClosed", variables=variables)
    station.advance(60)
    commits = station.database._commits
    station.evse(1).present_token(CARD)
    station.advance(2)
    station.evse(1).plug_in()
    station.advance(600)
    station.evse(1).present_token(CARD)
    station.advance(2)
    station.evse(1).unplug()
    station.advance(2)

    assert len(station.events()) == 33
    verdicts = 3  # of Authorize, and of the two events that carried the token
    assert station.database._commits - commits <= len(station.events()) + 1 + verdicts


@pytest.mark.req("J02.FR.11")
def test_a_meter_that_does_not_answer_tells_nothing(tmp_path: Path) -> None:
    """Old values with new times would be worse than none."""
    station = charging(tmp_path)
    station.advance(30)
    station.world.lose("meter-1")
    station.advance(60)
    silent = periodic(station)
    station.world.lose("meter-1", on=False)
    station.advance(60)

    assert silent == []
    assert periodic(station) == ["08:02:00"]


@pytest.mark.req("J02.FR.11")
def test_disabled_or_without_measurands_there_are_no_values(tmp_path: Path) -> None:
    """SampledDataCtrlr.Enabled false: events go on, without meter values."""
    station = charging(tmp_path, SampledDataCtrlr__Enabled="false")
    station.advance(130)
    station.evse(1).present_token("04A1B2C1")
    station.advance(5)

    assert not any("meterValue" in event for event in station.events())
    assert told(station)[-1].startswith("Ended")


@pytest.mark.req("J02.FR.02", "J02.FR.03", "J02.FR.04", "J02.FR.05", "J02.FR.06", "J02.FR.07", "J01.FR.11")
def test_a_sampled_value_says_what_was_measured_why_where_and_on_which_phase(tmp_path: Path) -> None:
    """One meter value holds all that was read at one time. The meter's L1 stays L1, although the grid's is another."""
    given = {"SampledDataCtrlr.TxUpdatedMeasurands": "Current.Import,Voltage,Power.Active.Import"}
    station = bench(tmp_path, "EVConnected", "EVConnected,Authorized", variables=given, boot=False)
    turned = msgspec.structs.replace(station.setup.layout.evses[0], phase_rotation="STR")
    layout = msgspec.structs.replace(station.setup.layout, evses=(turned,))
    station.setup = msgspec.structs.replace(station.setup, layout=layout)
    station.boot()
    station.evse(1).plug_in(phases=1)
    station.evse(1).present_token(CARD)
    station.advance(61)
    (value,) = station.events()[-1]["meterValue"]
    amperes = {v["phase"]: v["value"] for v in value["sampledValue"] if v["measurand"] == "Current.Import"}

    assert {v["measurand"] for v in value["sampledValue"]} == {"Current.Import", "Voltage", "Power.Active.Import"}
    assert {v.get("context", "Sample.Periodic") for v in value["sampledValue"]} == {"Sample.Periodic"}
    assert {v.get("location", "Outlet") for v in value["sampledValue"]} == {"Outlet"}
    assert {v["phase"] for v in value["sampledValue"] if v["measurand"] == "Voltage"} == {"L1-N", "L2-N", "L3-N"}
    assert amperes["L1"] > 6
    assert (amperes["L2"], amperes["L3"]) == (0, 0)


def test_register_values_without_phases_tells_the_total_only(tmp_path: Path) -> None:
    """SampledDataCtrlr.RegisterValuesWithoutPhases."""
    station = charging(
        tmp_path,
        SampledDataCtrlr__RegisterValuesWithoutPhases="true",
        SampledDataCtrlr__TxUpdatedMeasurands="Energy.Active.Import.Register,Voltage",
    )
    station.advance(61)
    sampled = station.events()[-1]["meterValue"][0]["sampledValue"]

    assert [v.get("phase") for v in sampled] == [None, "L1-N", "L2-N", "L3-N"]
