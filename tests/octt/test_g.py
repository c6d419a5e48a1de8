"""The OCA's test cases of block G (availability), Core profile (part 6, 2.8)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import Bench
from tests.octt.provisioned import booted, change, concerned, reset, statuses, stop_authorized, unavailable
from tests.octt.states import charging, ev_connected_pre_session

ON, OFF = "Operative", "Inoperative"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Two EVSEs with two connectors each; transactions end with the authorization."""
    points = {"TxCtrlr.TxStartPoint": "PowerPathClosed", "TxCtrlr.TxStopPoint": "Authorized"}
    return Bench(tmp_path, connectors=2, variables=points)


@pytest.mark.octt("TC_G_01_CS")
@pytest.mark.req("G01.FR.01", "G01.FR.03")
def test_tc_g_01_cs(bench: Bench) -> None:
    """Available to Occupied."""
    ev_connected_pre_session(bench)


@pytest.mark.octt("TC_G_02_CS")
@pytest.mark.req("G01.FR.01", "G01.FR.04")
def test_tc_g_02_cs(bench: Bench) -> None:
    """Occupied to Available."""
    ev_connected_pre_session(bench)
    bench.csms.forget()

    bench.evse(1).unplug()
    bench.advance(seconds=2)

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
def test_tc_g_11_cs(bench: Bench) -> None:
    """EVSE, with a running transaction: Scheduled, Unavailable when it has ended."""
    charging(bench)
    bench.csms.forget()

    assert change(bench, OFF, 1) == "Scheduled"
    bench.advance(seconds=30)
    assert (1, 1) not in statuses(bench)

    stop_authorized(bench)
    assert statuses(bench) == dict.fromkeys(concerned(bench, 1, None), "Unavailable")


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
def test_tc_g_14_cs(bench: Bench) -> None:
    """Station, with a running transaction: what is free at once, the rest when it has ended."""
    charging(bench)
    bench.csms.forget()

    assert change(bench, OFF) == "Scheduled"
    assert statuses(bench) == dict.fromkeys(concerned(bench, None, None) - {(1, 1)}, "Unavailable")
    bench.advance(seconds=30)

    stop_authorized(bench)
    assert statuses(bench) == dict.fromkeys(concerned(bench, None, None), "Unavailable")


@pytest.mark.octt("TC_G_15_CS")
@pytest.mark.req("G03.FR.01", "G03.FR.02", "G03.FR.03")
def test_tc_g_15_cs(bench: Bench) -> None:
    """Connector, Operative to Operative."""
    assert change(bench, ON, 1, 1) == "Accepted"
    assert statuses(bench) == dict.fromkeys(concerned(bench, None, None), "Available")


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
def test_tc_g_17_cs(bench: Bench) -> None:
    """Connector, with a running transaction."""
    charging(bench)
    bench.csms.forget()

    assert change(bench, OFF, 1, 1) == "Scheduled"
    bench.advance(seconds=30)
    assert statuses(bench) == {}

    stop_authorized(bench)
    assert statuses(bench) == {(1, 1): "Unavailable"}


@pytest.mark.octt("TC_G_18_CS")
@pytest.mark.req("G01.FR.01", "G03.FR.08")
def test_tc_g_18_cs(bench: Bench) -> None:
    """EVSE: the state persists across a reboot."""
    assert change(bench, OFF, 1) == "Accepted"
    assert statuses(bench)[2, 1] == "Available"

    assert reset(bench) == "Accepted"
    booted(bench, e1c1="Unavailable", e1c2="Unavailable")


@pytest.mark.octt("TC_G_19_CS")
@pytest.mark.req("G03.FR.08")
def test_tc_g_19_cs(bench: Bench) -> None:
    """Connector: the state persists across a reboot."""
    unavailable(bench, 1, 1)

    assert reset(bench) == "Accepted"
    booted(bench, e1c1="Unavailable")


@pytest.mark.octt("TC_G_21_CS")
@pytest.mark.req("G04.FR.09")
def test_tc_g_21_cs(bench: Bench) -> None:
    """Station: the state persists across a power cut."""
    unavailable(bench)
    bench.csms.forget()

    bench.crash()
    booted(bench, e1c1="Unavailable", e1c2="Unavailable", e2c1="Unavailable", e2c2="Unavailable")
