"""Faults of the hardware are told without a monitor; what they bring about has them as its cause (N07, G05)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from device_model.build import Equipment
from hal.api import Fault
from station.facts import DeviceLost, FaultChanged, LockChanged
from station.inputs import Happened
from tests.bench import Bench
from tests.scenarios.n_diagnostics.monitors import STATE, events, level, put, station
from tests.scenarios.variables import get


def told(bench: Bench) -> list[tuple[Any, ...]]:
    """Component, variable, value, code and whether it is over, of each event."""
    return [
        (
            each["component"]["name"],
            each["variable"]["name"],
            each["actualValue"],
            each.get("techCode"),
            each.get("cleared", False),
        )
        for each in events(bench)
        if each["eventNotificationType"] == "HardWiredNotification"
    ]


def happen(bench: Bench, *facts: object) -> None:
    bench._do(bench.station.exchange.give(Happened(facts), bench.now))
    bench.settle()


@pytest.mark.req("N07.FR.06", "N07.FR.07")
def test_a_fault_is_told_once_when_it_appears_and_once_when_it_is_over(tmp_path: Path) -> None:
    bench = station(tmp_path)
    bench.evse(1).fault(Fault.CONTACTOR_WELDED)
    assert get(bench, "PowerContactor.Problem", evse=1) == "true"
    bench.hardware.snapshot_again()
    bench.settle()
    bench.evse(1).fault(Fault.CONTACTOR_WELDED, on=False)

    where = ("PowerContactor", "Problem")
    assert told(bench) == [(*where, "true", "ContactorWelded", False), (*where, "false", "ContactorWelded", True)]
    assert events(bench)[0]["component"]["evse"] == {"id": 1}
    assert events(bench)[0]["trigger"] == "Alerting"
    assert "variableMonitoringId" not in events(bench)[0]
    assert get(bench, "PowerContactor.Problem", evse=1) == "false"


def test_a_fault_belongs_to_the_component_that_has_it(tmp_path: Path) -> None:
    """Where there is none, to the EVSE."""
    bench = station(tmp_path, layout={"equipment": (Equipment(name="RCD", evse_id=1),)})
    bench.evse(1).fault(Fault.RCD)
    bench.evse(2).fault(Fault.RCD)

    assert told(bench) == [
        ("RCD", "Tripped", "true", "ResidualCurrent", False),
        ("EVSE", "Problem", "true", "ResidualCurrent", False),
    ]
    assert get(bench, "RCD.Tripped", evse=1) == "true"


def test_two_faults_of_one_evse_are_told_each_for_itself(tmp_path: Path) -> None:
    bench = station(tmp_path)
    bench.evse(1).fault(Fault.OVER_TEMPERATURE)
    bench.evse(1).fault(Fault.UNDER_VOLTAGE)
    bench.evse(1).fault(Fault.OVER_TEMPERATURE, on=False)

    where = ("EVSE", "Problem", "true")
    assert told(bench) == [
        (*where, "OverTemperature", False),
        (*where, "UnderVoltage", False),
        (*where, "OverTemperature", True),  # there still is a problem
    ]


@pytest.mark.req("N07.FR.05")
def test_what_a_fault_brings_about_has_it_as_its_cause(tmp_path: Path) -> None:
    bench = station(tmp_path)
    put(bench, STATE, "Delta", 1, evse=1)
    put(bench, STATE, "Delta", 1, evse=2)
    bench.evse(1).fault(Fault.RCD)
    bench.evse(2).plug_in()

    fault, faulted, occupied = events(bench)
    assert (faulted["actualValue"], faulted["cause"]) == ("Faulted", fault["eventId"])
    assert (occupied["actualValue"], "cause" in occupied) == ("Occupied", False)


@pytest.mark.req("N07.FR.04")
def test_a_fault_is_queued_whatever_the_link_and_the_level(tmp_path: Path) -> None:
    """It has no monitor to be filtered by."""
    bench = station(tmp_path)
    level(bench, 0)
    bench.csms.disconnect()
    bench.evse(1).fault(Fault.OVER_TEMPERATURE)
    bench.crash()
    bench.csms.connect()
    bench.advance(minutes=1)

    assert told(bench) == [("EVSE", "Problem", "true", "OverTemperature", False)]


@pytest.mark.req("N07.FR.14")
def test_a_fault_that_ended_during_a_reboot_is_over_after_it(tmp_path: Path) -> None:
    bench = station(tmp_path)
    bench.evse(1).fault(Fault.DIODE)
    bench.csms.forget()
    bench.crash(boot=False)
    bench.world.fault(1, Fault.DIODE, on=False)
    bench.boot()
    bench.advance(minutes=1)

    assert told(bench) == [("CPPWMController", "Problem", "false", "DiodeFault", True)]


@pytest.mark.req("G05.FR.02")
def test_a_lock_that_fails_is_told_at_its_connector(tmp_path: Path) -> None:
    """By a lock of the board, and by one that is a device of its own."""
    bench = station(tmp_path, lock=True)
    bench.evse(1).fault(Fault.LOCK_JAMMED)
    jammed = LockChanged(evse_id=2, at=bench.now.instant, connector_id=1, locked=False, problem=True)
    happen(bench, jammed)

    assert told(bench) == [("ConnectorPlugRetentionLock", "Problem", "true", "LockJammed", False)] * 2
    places = [event["component"]["evse"] for event in events(bench)]
    assert places == [{"id": 1, "connectorId": 1}, {"id": 2, "connectorId": 1}]


def test_a_lost_board_is_a_problem_of_its_evses(tmp_path: Path) -> None:
    bench = station(tmp_path)
    happen(bench, DeviceLost(device="left", evse_ids=(1,), reason="silent", at=bench.now.instant, board=True))
    happen(bench, DeviceLost(device="reader", evse_ids=(1, 2), reason="silent", at=bench.now.instant))

    assert told(bench) == [("EVSE", "Problem", "true", "BoardLost", False)]
    assert events(bench)[0]["techInfo"] == "left: silent"
    bench.hardware.snapshot_again()
    bench.settle()
    assert told(bench)[1:] == [("EVSE", "Problem", "false", "BoardLost", True)]


def test_a_loose_contact_does_not_wear_out_the_disk(tmp_path: Path) -> None:
    """Ten times an hour it is news."""
    bench = station(tmp_path)
    for _ in range(50):
        bench.evse(1).fault(Fault.PROXIMITY)
        bench.advance(seconds=1)
        bench.evse(1).fault(Fault.PROXIMITY, on=False)
        bench.advance(seconds=1)
    assert len(told(bench)) == 20

    bench.advance(hours=1)
    bench.evse(1).fault(Fault.PROXIMITY)
    assert len(told(bench)) == 21


def test_what_a_driver_says_of_a_fault_is_cut_and_not_lost(tmp_path: Path) -> None:
    bench = station(tmp_path)
    fault = FaultChanged(
        evse_id=1, at=bench.now.instant, fault=Fault.INTERNAL, present=True, tech_code="c" * 80, tech_info="i" * 800
    )
    happen(bench, fault)

    (event,) = events(bench)
    assert (event["techCode"], event["techInfo"]) == ("c" * 50, "i" * 500)
