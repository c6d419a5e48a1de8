"""The OCA's test cases of block N (monitoring): monitors set, listed and cleared (part 6, with its errata).

The station has a hard-wired and a preconfigured monitor where a case needs them, else none.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import Bench
from tests.octt.watching import (
    EVSE,
    EVSE_STATE,
    POWER,
    SEVERITY,
    STATION_STATE,
    assert_fine,
    assert_refused,
    base,
    clear,
    events,
    factory,
    is_about,
    monitor,
    nothing_reported,
    reported,
    set_all,
    variable,
    watch,
    whole,
)

DELTA_OF_STATION = monitor(STATION_STATE, "Delta", 1, SEVERITY)
DELTA_OF_EVSE = monitor(EVSE_STATE, "Delta", 1, SEVERITY, evse=EVSE)
THRESHOLDS = {"UpperThreshold", "LowerThreshold"}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Booted, nothing monitored."""
    bench = Bench(tmp_path)
    bench.advance(seconds=2)
    return bench


# --- reports


@pytest.mark.octt("TC_N_01_CS")
@pytest.mark.req("N02.FR.01", "N02.FR.03", "N02.FR.04", "N02.FR.09")
def test_tc_n_01_cs(bench: Bench) -> None:
    """By criteria."""
    watch(
        bench,
        monitor(POWER, "LowerThreshold", 1, 8, evse=EVSE),
        monitor(POWER, "UpperThreshold", 100, 8, evse=EVSE),
        DELTA_OF_EVSE,
        monitor(EVSE_STATE, "Periodic", 600, evse=EVSE),
        monitor(EVSE_STATE, "PeriodicClockAligned", 900, evse=EVSE),
    )

    thresholds = reported(bench, 1, monitoringCriteria=["ThresholdMonitoring"])
    with_deltas = reported(bench, 2, monitoringCriteria=["ThresholdMonitoring", "DeltaMonitoring"])
    without = reported(bench, 3, monitoringCriteria=["DeltaMonitoring", "PeriodicMonitoring"])

    assert {row["type"] for row in thresholds} == THRESHOLDS
    assert {row["type"] for row in with_deltas} == {*THRESHOLDS, "Delta"}
    assert {row["type"] for row in without} == {"Delta", "Periodic", "PeriodicClockAligned"}


@pytest.mark.octt("TC_N_02_CS")
@pytest.mark.req("N02.FR.01", "N02.FR.03", "N02.FR.04", "N02.FR.09")
def test_tc_n_02_cs(bench: Bench) -> None:
    """By component and variable."""
    watch(bench, DELTA_OF_STATION, DELTA_OF_EVSE, monitor(POWER, "UpperThreshold", 100, evse=2))

    told = reported(bench, 1, componentVariable=[variable(STATION_STATE), whole("EVSE", EVSE)])

    assert [(is_about(row, STATION_STATE), is_about(row, EVSE_STATE, EVSE)) for row in told] == [
        (True, False),
        (False, True),
    ]
    assert {row["type"] for row in told} == {"Delta"}


@pytest.mark.octt("TC_N_03_CS")
@pytest.mark.req("N02.FR.01", "N02.FR.03", "N02.FR.04", "N02.FR.09", "N02.FR.10")
def test_tc_n_03_cs(bench: Bench) -> None:
    """By both."""
    watch(bench, monitor("ChargingStation.Power", "Periodic", 600), DELTA_OF_EVSE)
    filters = [variable(STATION_STATE), variable(EVSE_STATE, EVSE)]

    nothing_reported(bench, 1, monitoringCriteria=["ThresholdMonitoring"], componentVariable=filters)
    (row,) = reported(bench, 2, monitoringCriteria=["DeltaMonitoring"], componentVariable=filters)

    assert is_about(row, EVSE_STATE, EVSE)
    assert row["type"] == "Delta"


@pytest.mark.octt("TC_N_47_CS")
@pytest.mark.req("N02.FR.01")
def test_tc_n_47_cs(bench: Bench) -> None:
    """All of them."""
    ids = watch(bench, DELTA_OF_STATION, DELTA_OF_EVSE)

    told = reported(bench, 1)

    assert [row["id"] for row in told] == ids
    assert {row["variable"]["name"] for row in told} == {"AvailabilityState"}
    assert {row["type"] for row in told} == {"Delta"}


# --- bases


@pytest.mark.octt("TC_N_05_CS")
@pytest.mark.req("N03.FR.01")
def test_tc_n_05_cs(bench: Bench) -> None:
    """The three bases."""
    for name in ("All", "FactoryDefault", "HardWiredOnly"):
        base(bench, name)


@pytest.mark.octt("TC_N_06_CS")
@pytest.mark.req("N03.FR.01", "N03.FR.05")
def test_tc_n_06_cs(bench: Bench) -> None:
    """Custom monitors go with HardWiredOnly."""
    watch(bench, DELTA_OF_STATION)
    (row,) = reported(bench, 1, componentVariable=[variable(STATION_STATE)])
    assert is_about(row, STATION_STATE)
    assert row["type"] == "Delta"

    base(bench, "HardWiredOnly")

    nothing_reported(bench, 2, componentVariable=[variable(STATION_STATE)])


@pytest.mark.octt("TC_N_41_CS")
@pytest.mark.req("N03.FR.04", "N04.FR.15")
def test_tc_n_41_cs(tmp_path: Path) -> None:
    """A preconfigured monitor that was overruled returns with FactoryDefault."""
    bench = Bench(tmp_path, monitors=(factory(EVSE_STATE, "Delta", 1, 5, evse=EVSE, id_=7),))
    chosen = {"monitoringCriteria": ["DeltaMonitoring"], "componentVariable": [variable(EVSE_STATE, EVSE)]}

    watch(bench, monitor(EVSE_STATE, "Delta", 1, 6, evse=EVSE, id=7))
    overruled = reported(bench, 1, **chosen)
    base(bench, "FactoryDefault")
    returned = reported(bench, 2, **chosen)

    assert [(row["id"], row["severity"]) for row in overruled] == [(7, 6)]
    assert [(row["id"], row["severity"]) for row in returned] == [(7, 5)]
    assert is_about(returned[0], EVSE_STATE, EVSE)


# --- setting


@pytest.mark.octt("TC_N_08_CS")
@pytest.mark.req("N04.FR.01", "N04.FR.02", "N04.FR.08", "N04.FR.11")
def test_tc_n_08_cs(bench: Bench) -> None:
    """One monitor."""
    (id_,) = watch(bench, monitor(EVSE_STATE, "Delta", 1, 8, evse=EVSE))

    (row,) = reported(bench, 1, componentVariable=[variable(EVSE_STATE, EVSE)])

    assert (row["id"], row["type"], row["severity"], row["value"]) == (id_, "Delta", 8, 1)
    assert is_about(row, EVSE_STATE, EVSE)


@pytest.mark.octt("TC_N_09_CS")
@pytest.mark.req("N04.FR.01", "N04.FR.02", "N04.FR.08", "N04.FR.11")
def test_tc_n_09_cs(bench: Bench) -> None:
    """On different variables."""
    ids = watch(bench, DELTA_OF_EVSE, DELTA_OF_STATION)

    told = reported(bench, 1, componentVariable=[variable(EVSE_STATE, EVSE), variable(STATION_STATE)])

    assert {row["id"] for row in told} == set(ids)
    assert {(row["type"], row["severity"]) for row in told} == {("Delta", SEVERITY)}
    assert sorted(row["component"]["name"] for row in told) == ["ChargingStation", "EVSE"]


@pytest.mark.octt("TC_N_10_CS")
@pytest.mark.req("N04.FR.01", "N04.FR.02", "N04.FR.08", "N04.FR.11")
def test_tc_n_10_cs(bench: Bench) -> None:
    """On the same variable."""
    first, second = watch(
        bench, monitor(EVSE_STATE, "Delta", 1, 8, evse=EVSE), monitor(EVSE_STATE, "Delta", 1, 7, evse=EVSE)
    )
    assert first != second


@pytest.mark.octt("TC_N_11_CS")
@pytest.mark.req("N04.FR.03")
def test_tc_n_11_cs(bench: Bench) -> None:
    """Unknown components."""
    elements = (monitor(EVSE_STATE, "Delta", 1, evse=99), monitor("NonExistent.Power", "UpperThreshold", 1234.0))

    first, second = set_all(bench, *elements)

    assert_refused(first, elements[0], "UnknownComponent", "UnknownEVSE", "NotFound")
    assert_refused(second, elements[1], "UnknownComponent", "NotFound")


@pytest.mark.octt("TC_N_37_CS")
@pytest.mark.req("N04.FR.04")
def test_tc_n_37_cs(bench: Bench) -> None:
    """An unknown variable."""
    element = monitor("EVSE.unknownVariable", "Delta", 1, evse=EVSE)
    (result,) = set_all(bench, element)
    assert_refused(result, element, "UnknownVariable")


@pytest.mark.octt("TC_N_38_CS")
@pytest.mark.req("N04.FR.05")
def test_tc_n_38_cs(bench: Bench) -> None:
    """A type that the variable does not support."""
    element = monitor(EVSE_STATE, "UpperThreshold", 1, evse=EVSE)
    (result,) = set_all(bench, element)
    assert_refused(result, element, "UnsupportedMonitorType")


@pytest.mark.octt("TC_N_12_CS")
@pytest.mark.req("N04.FR.14")
def test_tc_n_12_cs(bench: Bench) -> None:
    """A negative delta."""
    element = monitor(POWER, "Delta", -1, evse=EVSE)
    (result,) = set_all(bench, element)
    assert_refused(result, element, "Rejected", "ValueOutOfRange", "ValuePositiveOnly")


@pytest.mark.octt("TC_N_13_CS")
@pytest.mark.req("N04.FR.06")
def test_tc_n_13_cs(bench: Bench) -> None:
    """A threshold beyond maxLimit."""
    element = monitor(POWER, "UpperThreshold", 22_080.5, evse=EVSE)
    (result,) = set_all(bench, element)
    assert_refused(result, element, "Rejected", "ValueOutOfRange")


@pytest.mark.octt("TC_N_15_CS")
@pytest.mark.req("N04.FR.10")
def test_tc_n_15_cs(bench: Bench) -> None:
    """The same type and severity twice."""
    first, second = set_all(bench, DELTA_OF_EVSE, DELTA_OF_EVSE)
    assert_fine(first, DELTA_OF_EVSE)
    assert_refused(second, DELTA_OF_EVSE, "Duplicate")


@pytest.mark.octt("TC_N_39_CS")
@pytest.mark.req("N04.FR.16")
def test_tc_n_39_cs(bench: Bench) -> None:
    """The id of a monitor of another variable."""
    (id_,) = watch(bench, DELTA_OF_EVSE)
    element = monitor("ChargingStation.Power", "UpperThreshold", 100, SEVERITY, id=id_)

    (result,) = set_all(bench, element)

    assert_refused(result, element, "Rejected", "InvalidValue")
    (row,) = reported(bench, 1)
    assert is_about(row, EVSE_STATE, EVSE)


@pytest.mark.octt("TC_N_40_CS")
@pytest.mark.req("N04.FR.12")
def test_tc_n_40_cs(bench: Bench) -> None:
    """A monitor is replaced."""
    (id_,) = watch(bench, monitor(EVSE_STATE, "Delta", 1, 5, evse=EVSE))

    assert watch(bench, monitor(EVSE_STATE, "Delta", 1, 4, evse=EVSE, id=id_)) == [id_]

    (row,) = reported(bench, 1, componentVariable=[variable(EVSE_STATE, EVSE)], monitoringCriteria=["DeltaMonitoring"])
    assert (row["id"], row["severity"]) == (id_, 4)


@pytest.mark.octt("TC_N_43_CS")
@pytest.mark.req("N04.FR.01", "N04.FR.08", "N04.FR.14")
def test_tc_n_43_cs(bench: Bench) -> None:
    """The second of three is wrong."""
    elements = (
        monitor(POWER, "UpperThreshold", 100, evse=EVSE),
        monitor(POWER, "Delta", -1.0, evse=EVSE),
        monitor(POWER, "LowerThreshold", 10, evse=EVSE),
    )

    first, second, third = set_all(bench, *elements)

    assert_fine(first, elements[0])
    assert_refused(second, elements[1], "Rejected", "NoError", "ValuePositiveOnly", "ValueOutOfRange")
    assert_fine(third, elements[2])


# --- level


@pytest.mark.octt("TC_N_16_CS")
@pytest.mark.req("N05.FR.01", "N05.FR.03")
def test_tc_n_16_cs(bench: Bench) -> None:
    """A level that hides the event."""
    watch(bench, monitor(EVSE_STATE, "Delta", 1, 8, evse=EVSE))

    answer = bench.csms.call("SetMonitoringLevel", {"severity": 7})
    bench.evse(EVSE).plug_in()
    bench.advance(minutes=1)

    assert answer["status"] == "Accepted"
    assert answer.get("statusInfo", {"reasonCode": "NoError"})["reasonCode"] == "NoError"
    assert events(bench) == []


@pytest.mark.octt("TC_N_17_CS")
@pytest.mark.req("N05.FR.02")
def test_tc_n_17_cs(bench: Bench) -> None:
    """Levels that are none."""
    for severity, reason in ((10, "ValueTooHigh"), (-1, "ValueTooLow")):
        answer = bench.csms.call("SetMonitoringLevel", {"severity": severity})
        assert answer["status"] == "Rejected"
        assert answer["statusInfo"]["reasonCode"] in {"ValueOutOfRange", reason}


# --- clearing


@pytest.mark.octt("TC_N_18_CS")
@pytest.mark.req("N06.FR.01", "N06.FR.05")
def test_tc_n_18_cs(bench: Bench) -> None:
    """Two monitors are cleared."""
    ids = watch(bench, DELTA_OF_STATION, DELTA_OF_EVSE)

    assert clear(bench, *ids) == ["Accepted", "Accepted"]

    nothing_reported(bench, 1, componentVariable=[variable(STATION_STATE), variable(EVSE_STATE, EVSE)])


@pytest.mark.octt("TC_N_19_CS")
@pytest.mark.req("N06.FR.02")
def test_tc_n_19_cs(bench: Bench) -> None:
    """One that is not there."""
    watch(bench, DELTA_OF_STATION)
    highest = max(row["id"] for row in reported(bench, 1))

    answer = bench.csms.call("ClearVariableMonitoring", {"id": [highest + 1]})

    (result,) = answer["clearMonitoringResult"]
    assert (result["status"], result["id"]) == ("NotFound", highest + 1)
    assert result.get("statusInfo", {"reasonCode": "NotFound"})["reasonCode"] == "NotFound"


@pytest.mark.octt("TC_N_44_CS")
@pytest.mark.req("N06.FR.03")
def test_tc_n_44_cs(tmp_path: Path) -> None:
    """One that is hard-wired."""
    bench = Bench(tmp_path, monitors=(factory(EVSE_STATE, "Delta", 1, 5, evse=EVSE, hard_wired=True),))
    first = reported(bench, 1)[0]["id"]

    assert clear(bench, first) == ["Rejected"]
