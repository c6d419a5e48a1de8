"""The OCA's test cases of block N (monitoring): events (part 6, with its errata)."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest

from hal.api import Fault
from tests.bench import Bench
from tests.octt.session import Session
from tests.octt.watching import (
    EVSE,
    EVSE_STATE,
    POWER,
    SEVERITY,
    base,
    clear,
    event_of,
    events,
    is_about,
    monitor,
    nothing_reported,
    reported,
    watch,
)
from tests.scenarios.variables import get, put

CONNECTOR_STATE = "Connector.AvailabilityState"
THRESHOLD = "OCPPCommCtrlr.OfflineThreshold"
UPPER_W, LOWER_W = 100.0, 10.0
ENOUGH_S = 70
"""Within this time each meter has been read."""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Booted, nothing monitored."""
    bench = Bench(tmp_path)
    bench.advance(seconds=2)
    return bench


def charging(bench: Bench) -> Session:
    """State is EnergyTransferStarted, and the meter has been read since."""
    session = Session(bench)
    session.energy_transfer_started()
    bench.advance(seconds=ENOUGH_S)
    return session


def stopped(bench: Bench, session: Session) -> None:
    """State is StopAuthorized, and the meter has been read since."""
    session.present()
    bench.advance(seconds=ENOUGH_S)


@pytest.mark.octt("TC_N_20_CS")
@pytest.mark.req("N07.FR.06", "N07.FR.07", "N07.FR.16", "N07.FR.17")
def test_tc_n_20_cs(bench: Bench) -> None:
    """Beyond an upper threshold, and later below a lower one."""
    base(bench, "All")
    (upper,) = watch(bench, monitor(POWER, "UpperThreshold", UPPER_W, SEVERITY, evse=EVSE))
    session = charging(bench)

    first = event_of(bench, upper)
    assert (first["trigger"], first.get("cleared", False)) == ("Alerting", False)
    assert float(first["actualValue"]) > UPPER_W
    assert first["transactionId"] == session.transaction_id
    assert is_about(first, POWER, EVSE)

    (lower,) = watch(bench, monitor(POWER, "LowerThreshold", LOWER_W, SEVERITY, evse=EVSE))
    bench.csms.forget()
    stopped(bench, session)

    back, below = event_of(bench, upper), event_of(bench, lower)
    assert (back["trigger"], back["cleared"]) == ("Alerting", True)
    assert float(back["actualValue"]) <= UPPER_W
    assert (below["trigger"], below.get("cleared", False)) == ("Alerting", False)
    assert float(below["actualValue"]) < LOWER_W
    for event in (back, below):
        assert event["transactionId"] == session.transaction_id
        assert is_about(event, POWER, EVSE)
    assert len({each["eventId"] for each in (first, back, below)}) == 3


@pytest.mark.octt("TC_N_21_CS")
@pytest.mark.req("N07.FR.07")
def test_tc_n_21_cs(bench: Bench) -> None:
    """A hard-wired notification: the contactor is welded."""
    bench.evse(EVSE).fault(Fault.CONTACTOR_WELDED)
    bench.advance(seconds=1)

    (message,) = bench.csms.received("NotifyEvent")
    (event,) = message["eventData"]
    assert message["seqNo"] == 0
    assert message["generatedAt"]
    assert event["timestamp"]
    assert (event["trigger"], event["eventNotificationType"]) == ("Alerting", "HardWiredNotification")
    assert is_about(event, "PowerContactor.Problem", EVSE)
    assert event["actualValue"] == "true"


@pytest.mark.octt("TC_N_22_CS")
@pytest.mark.req("N07.FR.04")
def test_tc_n_22_cs(bench: Bench) -> None:
    """Severe enough to be queued."""
    assert put(bench, "MonitoringCtrlr.OfflineQueuingSeverity", str(SEVERITY)) == "Accepted"
    (id_,) = watch(bench, monitor(EVSE_STATE, "Delta", 1, SEVERITY, evse=EVSE))
    bench.csms.disconnect()
    bench.csms.forget()
    bench.evse(EVSE).plug_in()
    bench.advance(seconds=60)
    assert events(bench) == []

    bench.csms.connect()
    bench.advance(seconds=5)

    event = event_of(bench, id_)
    assert (event["trigger"], event["actualValue"]) == ("Delta", "Occupied")
    assert is_about(event, EVSE_STATE, EVSE)


@pytest.mark.octt("TC_N_23_CS")
@pytest.mark.req("N07.FR.04")
def test_tc_n_23_cs(bench: Bench) -> None:
    """Not severe enough."""
    assert put(bench, "MonitoringCtrlr.OfflineQueuingSeverity", str(SEVERITY)) == "Accepted"
    watch(
        bench,
        monitor(EVSE_STATE, "Delta", 1, SEVERITY + 1, evse=EVSE),
        monitor(CONNECTOR_STATE, "Delta", 1, SEVERITY + 1, evse=EVSE, connector=1),
    )
    bench.evse(EVSE).plug_in()
    bench.advance(seconds=2)
    told = events(bench)
    assert [(event["trigger"], event["actualValue"]) for event in told] == [("Delta", "Occupied")] * 2
    assert {event["component"]["name"] for event in told} == {"EVSE", "Connector"}

    bench.csms.disconnect()
    bench.csms.forget()
    bench.evse(EVSE).unplug()
    bench.advance(seconds=2)
    bench.evse(EVSE).plug_in()
    bench.advance(seconds=60)
    bench.csms.connect()
    bench.advance(seconds=60)

    assert events(bench) == []


@pytest.mark.octt("TC_N_24_CS")
@pytest.mark.req("N04.FR.01", "N04.FR.08", "N08.FR.05", "N08.FR.06")
def test_tc_n_24_cs(bench: Bench) -> None:
    """A periodic event every two seconds."""
    (id_,) = watch(bench, monitor(EVSE_STATE, "Periodic", 2, evse=EVSE))
    bench.advance(seconds=20)

    messages = bench.csms.received("NotifyEvent")
    told = events(bench)
    assert len(messages) == len(told) == 10
    assert {(event["trigger"], event["variableMonitoringId"]) for event in told} == {("Periodic", id_)}
    assert all(is_about(event, EVSE_STATE, EVSE) for event in told)
    moments = [datetime.fromisoformat(event["timestamp"]).timestamp() for event in told]
    assert {later - earlier for earlier, later in pairwise(moments)} == {2}


@pytest.mark.octt("TC_N_45_CS")
@pytest.mark.req("N07.FR.06", "N07.FR.07", "N07.FR.18")
def test_tc_n_45_cs(bench: Bench) -> None:
    """A number has changed by more than the delta."""
    (id_,) = watch(bench, monitor(POWER, "Delta", 100.0, evse=EVSE))
    charging(bench)

    event = event_of(bench, id_)
    assert event["trigger"] == "Delta"
    assert is_about(event, POWER, EVSE)


@pytest.mark.octt("TC_N_48_CS")
@pytest.mark.req("N07.FR.10")
def test_tc_n_48_cs(tmp_path: Path) -> None:
    """A variable that can only be written."""
    password = {"SecurityCtrlr.BasicAuthPassword": "the-first-password-of-24"}
    bench = Bench(tmp_path, variables=password)
    bench.advance(seconds=2)
    watch(bench, monitor("SecurityCtrlr.BasicAuthPassword", "Delta", 1))

    assert put(bench, "SecurityCtrlr.BasicAuthPassword", "another-password-with-24") in {"Accepted", "RebootRequired"}
    bench.advance(seconds=10)

    (event,) = events(bench)
    assert event["actualValue"] == ""


@pytest.mark.octt("TC_N_51_CS")
@pytest.mark.req("N07.FR.11")
def test_tc_n_51_cs(bench: Bench) -> None:
    """A threshold that is exceeded is raised beyond the value."""
    (id_,) = watch(bench, monitor(POWER, "UpperThreshold", 20_000.0, evse=EVSE))
    charging(bench)
    assert event_of(bench, id_)["trigger"] == "Alerting"
    bench.csms.forget()

    watch(bench, monitor(POWER, "UpperThreshold", 22_080.0, evse=EVSE, id=id_))
    bench.advance(seconds=1)

    event = event_of(bench, id_)
    assert (event["trigger"], event["cleared"]) == ("Alerting", True)
    assert is_about(event, POWER, EVSE)


@pytest.mark.octt("TC_N_52_CS")
@pytest.mark.req("N07.FR.12")
def test_tc_n_52_cs(bench: Bench) -> None:
    """A monitor is removed while its threshold is exceeded."""
    (id_,) = watch(bench, monitor(POWER, "UpperThreshold", 0.0, evse=EVSE))
    session = charging(bench)
    assert event_of(bench, id_)["trigger"] == "Alerting"

    assert clear(bench, id_) == ["Accepted"]
    nothing_reported(bench, 1, monitoringCriteria=["ThresholdMonitoring"])
    bench.csms.forget()
    stopped(bench, session)

    assert [event for event in events(bench) if event.get("variableMonitoringId") == id_] == []


@pytest.mark.octt("TC_N_53_CS")
@pytest.mark.req("N07.FR.13")
def test_tc_n_53_cs(bench: Bench) -> None:
    """A monitor is there after a reboot."""
    (id_,) = watch(bench, monitor(POWER, "UpperThreshold", UPPER_W, evse=EVSE))
    assert bench.csms.call("Reset", {"type": "Immediate"})["status"] == "Accepted"
    bench.advance(seconds=5)
    assert bench.reboots == ["RemoteReset"]

    told = reported(bench, 1, monitoringCriteria=["ThresholdMonitoring"])

    assert [(row["id"], row["type"]) for row in told] == [(id_, "UpperThreshold")]


@pytest.mark.octt("TC_N_56_CS")
@pytest.mark.req("N07.FR.06", "N07.FR.07", "N07.FR.19")
def test_tc_n_56_cs(bench: Bench) -> None:
    """A text has changed."""
    (id_,) = watch(bench, monitor(EVSE_STATE, "Delta", 1.0, evse=EVSE))
    Session(bench).ev_connected_pre_session()

    event = event_of(bench, id_)
    assert event["trigger"] == "Delta"
    assert is_about(event, EVSE_STATE, EVSE)


@pytest.mark.octt("TC_N_61_CS")
@pytest.mark.req("N07.FR.18")
def test_tc_n_61_cs(bench: Bench) -> None:
    """A number that the CSMS sets: only more than the delta is told."""
    (id_,) = watch(bench, monitor(THRESHOLD, "Delta", 1))
    present = int(get(bench, THRESHOLD))

    assert put(bench, THRESHOLD, str(present + 1)) == "Accepted"
    assert events(bench) == []
    assert put(bench, THRESHOLD, str(present + 2)) == "Accepted"

    assert event_of(bench, id_)["actualValue"] == str(present + 2)
