"""N07: what monitors see is told, once, with what belongs to it."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from station.facts import SampleFailed
from station.inputs import Happened
from tests.bench import Bench
from tests.scenarios.n_diagnostics.monitors import (
    POWER,
    STATE,
    TEMPERATURE,
    clear,
    events,
    factory,
    ids,
    level,
    put,
    seen,
    station,
    temperature,
)
from tests.scenarios.variables import get
from tests.scenarios.variables import put as put_variable

CARD = "04AABBCC"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Nothing is monitored yet."""
    return station(tmp_path)


@pytest.mark.req("N07.FR.02", "N07.FR.06", "N07.FR.07", "N07.FR.16")
def test_an_upper_threshold_alerts_beyond_it_and_clears_once_back(bench: Bench) -> None:
    id_ = put(bench, TEMPERATURE, "UpperThreshold", 70)
    temperature(bench, 69, 70, 70.5, 90, 70, 60)

    assert seen(bench) == [("Alerting", "70.5", False), ("Alerting", "70", True)]
    first = events(bench)[0]
    assert first["component"] == {"name": "TemperatureSensor"}
    assert first["variable"] == {"name": "Temperature"}
    assert first["variableMonitoringId"] == id_
    assert first["eventNotificationType"] == "CustomMonitor"
    assert "cleared" not in first
    assert [message["seqNo"] for message in bench.csms.received("NotifyEvent")] == [0, 0]


@pytest.mark.req("N07.FR.02", "N07.FR.17")
def test_a_lower_threshold_is_the_mirror_image(bench: Bench) -> None:
    put(bench, TEMPERATURE, "LowerThreshold", 0)
    temperature(bench, 1, 0, -0.5, -9, 0)

    assert seen(bench) == [("Alerting", "-0.5", False), ("Alerting", "0", True)]


@pytest.mark.req("N07.FR.18")
def test_a_delta_counts_from_the_last_event(bench: Bench) -> None:
    temperature(bench, 20)
    put(bench, TEMPERATURE, "Delta", 5)
    temperature(bench, 24, 25, 25.1, 30, 19)

    assert seen(bench) == [("Delta", "25.1", False), ("Delta", "19", False)]


@pytest.mark.req("N07.FR.19")
def test_every_change_of_a_text_is_a_delta(bench: Bench) -> None:
    put(bench, STATE, "Delta", 1, evse=1)
    bench.evse(1).plug_in()
    bench.evse(2).plug_in()
    bench.evse(1).unplug()

    assert seen(bench) == [("Delta", "Occupied", False), ("Delta", "Available", False)]
    assert {event["component"]["evse"]["id"] for event in events(bench)} == {1}


@pytest.mark.parametrize(
    "before, after, told",
    [
        (70, 80, [("Alerting", "75", True)]),
        (70, 72, [("Alerting", "75", False)]),
        (80, 70, [("Alerting", "75", False)]),
        (80, 78, []),
    ],
    ids=["clears the old", "exceeded anew", "exceeded", "neither"],
)
@pytest.mark.req("N07.FR.11")
def test_a_changed_threshold_is_judged_at_once(
    bench: Bench, before: float, after: float, told: list[tuple[str, str, bool]]
) -> None:
    id_ = put(bench, TEMPERATURE, "UpperThreshold", before)
    temperature(bench, 75)
    bench.csms.forget()

    put(bench, TEMPERATURE, "UpperThreshold", after, id=id_)

    assert seen(bench) == told


@pytest.mark.req("N07.FR.12")
def test_a_monitor_that_is_cleared_while_it_alarms_says_no_more(bench: Bench) -> None:
    id_ = put(bench, TEMPERATURE, "UpperThreshold", 70)
    temperature(bench, 75)
    bench.csms.forget()

    assert clear(bench, id_) == ["Accepted"]
    temperature(bench, 20)

    assert events(bench) == []


@pytest.mark.req("N07.FR.15", "N05.FR.03")
def test_what_is_less_severe_than_the_level_is_not_told_and_alarms_go_on(bench: Bench) -> None:
    put(bench, TEMPERATURE, "UpperThreshold", 70, severity=6)
    put(bench, TEMPERATURE, "UpperThreshold", 60, severity=5)
    assert level(bench, 5) == "Accepted"

    temperature(bench, 75)
    assert [event["actualValue"] for event in events(bench)] == ["75"]

    level(bench, 9)
    temperature(bench, 65)
    assert seen(bench)[1:] == [("Alerting", "65", True)]  # the alarm that nobody was told has ended all the same


@pytest.mark.req("N07.FR.13", "N07.FR.14")
def test_an_alarm_that_ended_during_a_reboot_is_cleared_after_it(bench: Bench) -> None:
    put(bench, TEMPERATURE, "UpperThreshold", 70)
    temperature(bench, 75)
    bench.crash()
    bench.csms.forget()

    temperature(bench, 40)

    assert seen(bench) == [("Alerting", "40", True)]
    temperature(bench, 75)
    assert seen(bench)[1:] == [("Alerting", "75", False)]


@pytest.mark.req("N07.FR.13")
def test_deltas_see_the_first_change_after_a_reboot(bench: Bench) -> None:
    """Of a value that nothing set at the start, and of one that was stored."""
    put(bench, STATE, "Delta", 1, evse=1)
    put(bench, "OCPPCommCtrlr.OfflineThreshold", "Delta", 1)
    put_variable(bench, "OCPPCommCtrlr.OfflineThreshold", "100")
    bench.crash()
    bench.advance(minutes=1)
    bench.csms.forget()

    bench.evse(1).plug_in()
    put_variable(bench, "OCPPCommCtrlr.OfflineThreshold", "300")

    assert [event["actualValue"] for event in events(bench)] == ["Occupied", "300"]


@pytest.mark.req("N07.FR.10")
def test_of_what_can_only_be_written_no_value_is_told(bench: Bench) -> None:
    put(bench, "SecurityCtrlr.BasicAuthPassword", "Delta", 1, severity=4)
    assert put_variable(bench, "SecurityCtrlr.BasicAuthPassword", "a-password-of-24-letters") == "Accepted"
    bench.advance(minutes=1)

    (event,) = events(bench)
    assert event["actualValue"] == ""
    assert "a-password-of-24-letters" not in str(bench.csms.received("NotifyEvent"))


def test_an_event_of_an_evse_names_its_transaction(bench: Bench) -> None:
    """Also the last one, when the power goes away."""
    put(bench, POWER, "UpperThreshold", 100, evse=1)
    bench.evse(1).plug_in()
    bench.evse(1).present_token(CARD)
    bench.advance(minutes=2)
    bench.evse(1).present_token(CARD)
    bench.advance(minutes=2)

    started = bench.events()[0]["transactionInfo"]["transactionId"]
    up, down = events(bench)
    assert (up["transactionId"], float(up["actualValue"]) > 100, "cleared" in up) == (started, True, False)
    assert (down["transactionId"], down["actualValue"], down["cleared"]) == (started, "0", True)


def test_a_monitor_of_transactions_is_silent_without_one(bench: Bench) -> None:
    put(bench, STATE, "Delta", 1, evse=1, transaction=True)
    bench.evse(1).plug_in()
    bench.evse(1).unplug()
    assert events(bench) == []


def test_a_sensor_that_fails_neither_alarms_nor_clears(bench: Bench) -> None:
    put(bench, TEMPERATURE, "UpperThreshold", 70)
    put(bench, TEMPERATURE, "LowerThreshold", 0)
    temperature(bench, 75, "none", 75, "nan", 1e30, 75)

    assert seen(bench) == [("Alerting", "75", False)]
    temperature(bench, "none")
    assert get(bench, TEMPERATURE) == ""


def test_switched_off_monitoring_is_silent_and_forgets_nothing(bench: Bench) -> None:
    put(bench, TEMPERATURE, "UpperThreshold", 70)
    put_variable(bench, "MonitoringCtrlr.Enabled", "false")
    temperature(bench, 75)
    assert events(bench) == []

    put_variable(bench, "MonitoringCtrlr.Enabled", "true")
    temperature(bench, 20)
    assert seen(bench) == [("Alerting", "20", True)]


@pytest.mark.req("N07.FR.13")
def test_a_monitor_of_what_an_update_took_away_is_forgotten_once_the_update_has_proved_itself(tmp_path: Path) -> None:
    """Until then it is kept: the former image may come back."""
    bench = station(tmp_path)
    id_ = put(bench, TEMPERATURE, "UpperThreshold", 70)
    put(bench, STATE, "Delta", 1, evse=1)
    with_sensor = bench.setup
    bench.setup = structs.replace(with_sensor, layout=structs.replace(with_sensor.layout, equipment=()))
    bench.csms.connected = False
    bench.crash()
    assert id_ in stored(bench)

    bench.csms.connect()
    bench.advance(minutes=1)

    assert stored(bench) == {*ids(bench)}
    assert id_ not in stored(bench)


def stored(bench: Bench) -> set[int]:
    return {row[0] for row in bench.station.db.execute("SELECT id FROM variable_monitor")}


def test_a_changed_factory_monitor_keeps_its_alarm_and_not_its_threshold(tmp_path: Path) -> None:
    """What the file says counts; a monitor that it no longer has is gone."""
    bench = station(tmp_path, factory(TEMPERATURE, "UpperThreshold", 70), factory(TEMPERATURE, "LowerThreshold", 0))
    temperature(bench, 75, -5, 75)
    bench.setup = structs.replace(bench.setup, monitors=(factory(TEMPERATURE, "UpperThreshold", 80),))
    bench.crash()
    bench.advance(minutes=1)
    bench.csms.forget()

    temperature(bench, 79)

    assert seen(bench) == [("Alerting", "79", True)]
    assert ids(bench) == [1]


def test_what_meters_and_boards_show_is_live_in_the_device_model(tmp_path: Path) -> None:
    """In memory; of a meter that is silent nothing is known but its registers."""
    bench = station(tmp_path, variables={"SampledDataCtrlr.TxUpdatedInterval": "0"})
    assert [get(bench, name, evse=1) for name in ("CPPWMController.State", "PowerContactor.Active")] == ["A", "false"]
    bench.evse(1).plug_in()
    bench.evse(1).present_token(CARD)
    bench.advance(minutes=2)
    before = (bench.path / "station.db-wal").read_bytes()
    bench.advance(minutes=2)

    assert float(get(bench, POWER, evse=1)) > 20_000
    assert float(get(bench, "EVSE.ACCurrent[L1]", evse=1)) > 30
    assert get(bench, "EVSE.ACVoltage[L3]", evse=1) == "230"
    assert float(get(bench, "FiscalMetering.EnergyImportRegister", evse=1)) > 1000
    assert [get(bench, name, evse=1) for name in ("CPPWMController.State", "PowerContactor.Active")] == ["C", "true"]
    assert (bench.path / "station.db-wal").read_bytes() == before

    failed = SampleFailed(evse_id=1, at=bench.now.instant, purpose="sample", reason="silent")
    bench._do(bench.station.exchange.give(Happened((failed,)), bench.now))
    assert get(bench, POWER, evse=1) == ""
    assert float(get(bench, "FiscalMetering.EnergyImportRegister", evse=1)) > 1000


def test_monitoring_says_that_it_is_available(bench: Bench) -> None:
    names = ("Available", "Enabled", "ActiveMonitoringBase", "ActiveMonitoringLevel", "OfflineQueuingSeverity")
    assert [get(bench, f"MonitoringCtrlr.{name}") for name in names] == ["true", "true", "All", "9", "5"]
