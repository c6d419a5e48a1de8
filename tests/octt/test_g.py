"""The OCA's test cases of block G (availability), Core profile (part 6, 2.8)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.octt.provisioned import booted, change, concerned, reset, statuses, unavailable
from tests.octt.session import Session
from tests.scenarios.e_transactions.story import bench as station

ON, OFF = "Operative", "Inoperative"
POINTS = ["ParkingBayOccupancy", "EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer"]

each_stop = pytest.mark.parametrize("stop", POINTS)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Two EVSEs with two connectors each."""
    return Bench(tmp_path, connectors=2)


def charging(path: Path, stop: str) -> Session:
    """State is EnergyTransferStarted, on such a station."""
    session = Session(station(path, "PowerPathClosed", stop, evses=2, connectors=2))
    session.energy_transfer_started()
    session.bench.csms.forget()
    return session


def until_it_ends(session: Session) -> None:
    """From StopAuthorized on, only until the transaction has ended; until then nothing is told of its connector."""
    session.stop_authorized()
    if session.running:
        assert (session.evse, 1) not in statuses(session.bench)
        session.unplug()
        session.told_disconnected()
    if session.running:
        session.bay_is(occupied=False)
        session.told_departed()


@pytest.mark.octt("TC_G_01_CS")
@pytest.mark.req("G01.FR.01", "G01.FR.03")
def test_tc_g_01_cs(bench: Bench) -> None:
    """Available to Occupied."""
    Session(bench).ev_connected_pre_session()


@pytest.mark.octt("TC_G_02_CS")
@pytest.mark.req("G01.FR.01", "G01.FR.04")
def test_tc_g_02_cs(bench: Bench) -> None:
    """Occupied to Available."""
    session = Session(bench)
    session.ev_connected_pre_session()
    bench.csms.forget()

    session.unplug()

    assert statuses(bench) == {(1, 1): "Available"}


@pytest.mark.octt("TC_G_03_CS")
@pytest.mark.req("G03.FR.01", "G03.FR.02", "G03.FR.04", "G03.FR.06")
def test_tc_g_03_cs(bench: Bench) -> None:
    """EVSE, Operative to Inoperative."""
    unavailable(bench, 1)


@pytest.mark.octt("TC_G_04_CS")
@pytest.mark.req("G03.FR.01", "G03.FR.02", "G03.FR.04", "G03.FR.07")
def test_tc_g_04_cs(bench: Bench) -> None:
    """EVSE, Inoperative to Operative."""
    unavailable(bench, 1)
    bench.csms.forget()

    assert change(bench, ON, 1) == "Accepted"
    assert statuses(bench) == dict.fromkeys(concerned(bench, 1, None), "Available")


@pytest.mark.octt("TC_G_05_CS")
@pytest.mark.req("G04.FR.01", "G04.FR.02", "G04.FR.03", "G04.FR.05", "G04.FR.07")
def test_tc_g_05_cs(bench: Bench) -> None:
    """Station, Operative to Inoperative."""
    unavailable(bench)


@pytest.mark.octt("TC_G_06_CS")
@pytest.mark.req("G04.FR.01", "G04.FR.02", "G04.FR.03", "G04.FR.05", "G04.FR.08")
def test_tc_g_06_cs(bench: Bench) -> None:
    """Station, Inoperative to Operative."""
    unavailable(bench)
    bench.csms.forget()

    assert change(bench, ON) == "Accepted"
    assert statuses(bench) == dict.fromkeys(concerned(bench, None, None), "Available")


@pytest.mark.octt("TC_G_07_CS")
@pytest.mark.req("G03.FR.01", "G03.FR.02", "G03.FR.04")
def test_tc_g_07_cs(bench: Bench) -> None:
    """Connector, Operative to Inoperative."""
    unavailable(bench, 1, 1)


@pytest.mark.octt("TC_G_08_CS")
@pytest.mark.req("G03.FR.01", "G03.FR.02", "G03.FR.04")
def test_tc_g_08_cs(bench: Bench) -> None:
    """Connector, Inoperative to Operative."""
    unavailable(bench, 1, 1)
    bench.csms.forget()

    assert change(bench, ON, 1, 1) == "Accepted"
    assert statuses(bench) == {(1, 1): "Available"}


@pytest.mark.octt("TC_G_09_CS")
@pytest.mark.req("G03.FR.01", "G03.FR.02", "G03.FR.03")
def test_tc_g_09_cs(bench: Bench) -> None:
    """EVSE, Operative to Operative."""
    assert change(bench, ON, 1) == "Accepted"


@pytest.mark.octt("TC_G_10_CS")
@pytest.mark.req("G03.FR.01", "G03.FR.02", "G03.FR.03")
def test_tc_g_10_cs(bench: Bench) -> None:
    """EVSE, Inoperative to Inoperative."""
    unavailable(bench, 1)
    bench.csms.forget()

    assert change(bench, OFF, 1) == "Accepted"
    assert statuses(bench) == dict.fromkeys(concerned(bench, 1, None), "Unavailable")


@pytest.mark.octt("TC_G_11_CS")
@pytest.mark.req("G03.FR.01", "G03.FR.02", "G03.FR.04", "G03.FR.05")
@each_stop
def test_tc_g_11_cs(tmp_path: Path, stop: str) -> None:
    """EVSE, with a running transaction: Scheduled, Unavailable when it has ended."""
    session = charging(tmp_path, stop)

    assert change(session.bench, OFF, 1) == "Scheduled"

    until_it_ends(session)
    assert statuses(session.bench) == dict.fromkeys(concerned(session.bench, 1, None), "Unavailable")


@pytest.mark.octt("TC_G_12_CS")
@pytest.mark.req("G04.FR.01", "G04.FR.02", "G04.FR.03", "G04.FR.04")
def test_tc_g_12_cs(bench: Bench) -> None:
    """Station, Operative to Operative."""
    bench.csms.forget()

    assert change(bench, ON) == "Accepted"
    assert statuses(bench) == dict.fromkeys(concerned(bench, None, None), "Available")


@pytest.mark.octt("TC_G_13_CS")
@pytest.mark.req("G04.FR.01", "G04.FR.02", "G04.FR.03", "G04.FR.04")
def test_tc_g_13_cs(bench: Bench) -> None:
    """Station, Inoperative to Inoperative; each connector is told again (step 3)."""
    unavailable(bench)
    bench.csms.forget()

    assert change(bench, OFF) == "Accepted"
    assert statuses(bench) == dict.fromkeys(concerned(bench, None, None), "Unavailable")


@pytest.mark.octt("TC_G_14_CS")
@pytest.mark.req("G04.FR.01", "G04.FR.02", "G04.FR.03", "G04.FR.05", "G04.FR.06")
@each_stop
def test_tc_g_14_cs(tmp_path: Path, stop: str) -> None:
    """Station, with a running transaction: what is free at once, the rest when it has ended."""
    session = charging(tmp_path, stop)
    everything = concerned(session.bench, None, None)

    assert change(session.bench, OFF) == "Scheduled"

    assert statuses(session.bench) == dict.fromkeys(everything - {(1, 1)}, "Unavailable")
    until_it_ends(session)
    assert statuses(session.bench) == dict.fromkeys(everything, "Unavailable")


@pytest.mark.octt("TC_G_15_CS")
@pytest.mark.req("G03.FR.01", "G03.FR.02", "G03.FR.03")
def test_tc_g_15_cs(bench: Bench) -> None:
    """Connector, Operative to Operative; it is told again."""
    bench.csms.forget()

    assert change(bench, ON, 1, 1) == "Accepted"
    assert statuses(bench) == {(1, 1): "Available"}


@pytest.mark.octt("TC_G_16_CS")
@pytest.mark.req("G03.FR.01", "G03.FR.02", "G03.FR.03")
def test_tc_g_16_cs(bench: Bench) -> None:
    """Connector, Inoperative to Inoperative."""
    unavailable(bench, 1, 1)
    bench.csms.forget()

    assert change(bench, OFF, 1, 1) == "Accepted"
    assert statuses(bench) == {(1, 1): "Unavailable"}


@pytest.mark.octt("TC_G_17_CS")
@pytest.mark.req("G03.FR.01", "G03.FR.02", "G03.FR.04", "G03.FR.05")
@each_stop
def test_tc_g_17_cs(tmp_path: Path, stop: str) -> None:
    """Connector, with a running transaction."""
    session = charging(tmp_path, stop)

    assert change(session.bench, OFF, 1, 1) == "Scheduled"

    until_it_ends(session)
    assert statuses(session.bench) == {(1, 1): "Unavailable"}


def booting(bench: Bench) -> None:
    """Booting: a reset, Immediate."""
    assert reset(bench, "Immediate") == "Accepted"


def power_cycle(bench: Bench) -> None:
    """The manual action instead."""
    bench.csms.forget()
    bench.crash()


Start = Callable[[Bench], None]
each_start = pytest.mark.parametrize("start", [booting, power_cycle])


@pytest.mark.octt("TC_G_18_CS")
@pytest.mark.req("G01.FR.01", "G03.FR.08")
@each_start
def test_tc_g_18_cs(bench: Bench, start: Start) -> None:
    """EVSE: the state persists across a reboot."""
    unavailable(bench, 1)
    bench.csms.forget()

    assert change(bench, OFF, 1) == "Accepted"
    assert statuses(bench) == dict.fromkeys(concerned(bench, 1, None), "Unavailable")

    start(bench)
    booted(bench, e1c1="Unavailable", e1c2="Unavailable")


@pytest.mark.octt("TC_G_19_CS")
@pytest.mark.req("G03.FR.08")
@each_start
def test_tc_g_19_cs(bench: Bench, start: Start) -> None:
    """Connector: the state persists across a reboot."""
    unavailable(bench, 1, 1)

    start(bench)
    booted(bench, e1c1="Unavailable")


@pytest.mark.octt("TC_G_21_CS")
@pytest.mark.req("G04.FR.09")
@each_start
def test_tc_g_21_cs(bench: Bench, start: Start) -> None:
    """Station: the state persists across a reboot."""
    unavailable(bench)

    start(bench)
    booted(bench, e1c1="Unavailable", e1c2="Unavailable", e2c1="Unavailable", e2c2="Unavailable")
