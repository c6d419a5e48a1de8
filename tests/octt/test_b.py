"""The OCA's test cases of block B (provisioning): booting, resets, offline (part 6, 2.3, with its errata).

Variables and reports are in test_b_variables.py, network profiles in test_b_network.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bench import Bench
from tests.octt.provisioned import booted, reset, statuses, unavailable
from tests.octt.session import Session
from tests.octt.states import VALID2, id_token
from tests.scenarios.e_transactions.story import bench as station
from tests.scenarios.reservations import reserve
from tests.scenarios.variables import entries, get, put

POINTS = ["ParkingBayOccupancy", "EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer"]

Make = Callable[..., Bench]

each_stop = pytest.mark.parametrize("stop", POINTS)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A station with two EVSEs, and these variables and stop points."""

    def made(variables: dict[str, str] | None = None, *, stop: str = "Authorized", **more: Any) -> Bench:
        return station(tmp_path, "PowerPathClosed", stop, evses=2, variables=variables or {}, **more)

    return made


def charging(bench: Bench, **who: Any) -> Session:
    """State is EnergyTransferStarted."""
    session = Session(bench, **who)
    session.energy_transfer_started()
    return session


def until_it_ends(session: Session) -> str:
    """From StopAuthorized on, only until the transaction has ended; gives what its connector is by then."""
    session.stop_authorized()
    if not session.running:
        return "Occupied"
    session.unplug()
    session.told_disconnected()
    if session.running:
        session.bay_is(occupied=False)
        session.told_departed()
    return "Available"


def rebooting(make: Make, verdict: dict[str, Any]) -> Bench:
    """The manual action: reboot the station; BootNotification is answered by this."""
    bench = make(boot=False)
    bench.csms.on("BootNotification", verdict)
    bench.boot()
    return bench


# --- boot


@pytest.mark.octt("TC_B_01_CS")
@pytest.mark.req("B01.FR.01", "B01.FR.05", "B01.FR.09")
def test_tc_b_01_cs(make: Make) -> None:
    """Cold boot, Accepted."""
    bench = make()

    assert booted(bench)["reason"] == "PowerUp"


@pytest.mark.octt("TC_B_02_CS")
@pytest.mark.req("B02.FR.01", "B02.FR.02", "B02.FR.04", "B02.FR.05", "B02.FR.06", "B02.FR.08")
def test_tc_b_02_cs(make: Make) -> None:
    """Cold boot, Pending: variables and reports meanwhile, no transaction; then a triggered introduction."""
    bench = rebooting(make, {"status": "Pending", "interval": 300})
    bench.csms.forget()

    assert put(bench, "OCPPCommCtrlr.OfflineThreshold", "300") == "Accepted"
    assert get(bench, "OCPPCommCtrlr.OfflineThreshold") == "300"
    assert bench.csms.call("GetBaseReport", {"requestId": 5, "reportBase": "FullInventory"}) == {"status": "Accepted"}
    pages = bench.csms.received("NotifyReport")
    assert [page["seqNo"] for page in pages] == list(range(len(pages)))
    assert not pages[-1].get("tbc", False)
    assert entries(bench, 5)

    start = {"remoteStartId": 1, "evseId": 1, "idToken": id_token(VALID2)}
    assert bench.csms.call("RequestStartTransaction", start)["status"] == "Rejected"
    assert set(bench.csms.actions()) == {"NotifyReport"}

    bench.csms.default("BootNotification")
    assert bench.csms.call("TriggerMessage", {"requestedMessage": "BootNotification"})["status"] == "Accepted"
    assert booted(bench)["reason"] == "Triggered"


@pytest.mark.octt("TC_B_03_CS")
@pytest.mark.req("B03.FR.02", "B03.FR.06")
def test_tc_b_03_cs(make: Make) -> None:
    """Cold boot, Rejected: silence for the interval, then the introduction again."""
    bench = rebooting(make, {"status": "Rejected", "interval": 60})
    bench.csms.default("BootNotification")
    first = bench.csms.frames("BootNotification")[0].at

    bench.advance(seconds=70)

    second = bench.csms.frames("BootNotification")[1].at
    assert (second - first).total_seconds() >= 60
    assert bench.csms.actions()[:2] == ["BootNotification", "BootNotification"]
    booted(bench)


@pytest.mark.octt("TC_B_30_CS")
@pytest.mark.req("B03.FR.08")
def test_tc_b_30_cs(make: Make) -> None:
    """A CALL to a rejected station is a SecurityError."""
    bench = rebooting(make, {"status": "Rejected", "interval": 60})

    error = bench.csms.refused("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})

    assert error.code == "SecurityError"


# --- reset


@pytest.mark.octt("TC_B_20_CS")
@pytest.mark.req("B01.FR.03", "B11.FR.01", "B11.FR.03", "B11.FR.04")
def test_tc_b_20_cs(make: Make) -> None:
    """Reset of the idle station, OnIdle."""
    bench = make()

    assert reset(bench) == "Accepted"
    assert booted(bench)["reason"] == "RemoteReset"


@pytest.mark.octt("TC_B_21_CS")
@pytest.mark.req("B12.FR.01", "B12.FR.03")
@each_stop
def test_tc_b_21_cs(make: Make, stop: str) -> None:
    """Reset with a running transaction, OnIdle: Scheduled, done when it has ended."""
    bench = make(stop=stop)
    session = charging(bench)

    assert reset(bench) == "Scheduled"
    bench.advance(minutes=2)
    assert bench.csms.received("BootNotification") == []

    connector = until_it_ends(session)
    assert booted(bench, e1c1=connector)["reason"] == "ScheduledReset"


@pytest.mark.octt("TC_B_41_CS")
@pytest.mark.req("B12.FR.01", "B12.FR.03")
@each_stop
def test_tc_b_41_cs(make: Make, stop: str) -> None:
    """The same with several transactions: the last one counts, and what gets free is not for use (B12, 3a)."""
    bench = make(stop=stop)
    first = charging(bench)
    second = charging(bench, evse=2, token=VALID2)

    assert reset(bench) == "Scheduled"
    first.stop_authorized()
    first.ev_disconnected("Unavailable")
    first.parking_bay_unoccupied()
    assert bench.csms.received("BootNotification") == []

    connector = until_it_ends(second)
    assert booted(bench, e2c1=connector)["reason"] == "ScheduledReset"


@pytest.mark.octt("TC_B_22_CS")
@pytest.mark.req("B01.FR.03", "B12.FR.02", "B12.FR.04")
@each_stop
def test_tc_b_22_cs(make: Make, stop: str) -> None:
    """Reset with a running transaction, Immediate: it is ended first."""
    bench = make(stop=stop)
    session = charging(bench)

    assert reset(bench, "Immediate") == "Accepted"
    bench.advance(seconds=10)

    told_reset(session)
    assert booted(bench, e1c1="Occupied")["reason"] == "RemoteReset"
    calls = bench.csms.actions()
    assert calls.index("TransactionEvent/Ended") < calls.index("BootNotification")


def told_reset(session: Session) -> None:
    """Ended by the command, with the state of a connected vehicle and without a token."""
    ended = session.next(
        eventType="Ended", triggerReason="ResetCommand", chargingState="EVConnected", stoppedReason="ImmediateReset"
    )
    assert "idToken" not in ended
    session.nothing_else()


@pytest.mark.octt("TC_B_23_CS")
@pytest.mark.req("B01.FR.03", "B11.FR.01", "B11.FR.02", "B11.FR.03", "B11.FR.04")
def test_tc_b_23_cs(make: Make) -> None:
    """Unavailable persists over a reset."""
    bench = make()
    unavailable(bench, 1, 1)

    assert reset(bench) == "Accepted"
    assert booted(bench, e1c1="Unavailable")["reason"] == "RemoteReset"


@pytest.mark.octt("TC_B_24_CS")
@pytest.mark.req("B01.FR.03", "B01.FR.13", "B11.FR.01", "B11.FR.03", "B11.FR.04", "B11.FR.05")
def test_tc_b_24_cs(make: Make) -> None:
    """Reserved persists over a reset."""
    bench = make()
    assert reserve(bench, evseId=1) == "Accepted"
    assert statuses(bench)[1, 1] == "Reserved"

    assert reset(bench) == "Accepted"
    assert booted(bench, e1c1="Reserved")["reason"] == "RemoteReset"


@pytest.mark.octt("TC_B_25_CS")
@pytest.mark.req("B11.FR.01", "B11.FR.08", "B11.FR.10")
def test_tc_b_25_cs(make: Make) -> None:
    """Reset of an idle EVSE."""
    bench = make()

    assert get(bench, "EVSE.AllowReset", evse=1) == "true"
    assert reset(bench, "OnIdle", 1) == "Accepted"


@pytest.mark.octt("TC_B_26_CS")
@pytest.mark.req("B12.FR.01", "B12.FR.07")
@each_stop
def test_tc_b_26_cs(make: Make, stop: str) -> None:
    """Reset of an EVSE with a running transaction, OnIdle: it ends as its driver wants."""
    bench = make(stop=stop)
    session = charging(bench)

    assert reset(bench, "OnIdle", 1) == "Scheduled"

    session.stop_authorized()
    session.ev_connected_post_session()
    session.ev_disconnected("Unavailable" if stop == "ParkingBayOccupancy" else "Available")
    session.parking_bay_unoccupied()
    assert bench.csms.received("BootNotification") == []


@pytest.mark.octt("TC_B_27_CS")
@pytest.mark.req("B12.FR.02", "B12.FR.08")
@each_stop
def test_tc_b_27_cs(make: Make, stop: str) -> None:
    """Reset of an EVSE with a running transaction, Immediate."""
    bench = make(stop=stop)
    session = charging(bench)

    assert reset(bench, "Immediate", 1) == "Accepted"
    bench.advance(seconds=10)

    told_reset(session)
    assert bench.csms.received("BootNotification") == []


@pytest.mark.octt("TC_B_28_CS")
@pytest.mark.req("B11.FR.01", "B11.FR.09")
def test_tc_b_28_cs(make: Make) -> None:
    """Reset of an idle EVSE where that is not supported."""
    assert reset(make(layout={"evse_reset": False}), "OnIdle", 1) == "Rejected"


@pytest.mark.octt("TC_B_29_CS")
@pytest.mark.req("B12.FR.09")
def test_tc_b_29_cs(make: Make) -> None:
    """Reset of a busy EVSE where that is not supported."""
    bench = make(layout={"evse_reset": False})
    charging(bench)

    assert reset(bench, "OnIdle", 1) == "Rejected"


# --- offline


def offline(bench: Bench, seconds: float) -> None:
    """The test tool closes the connection; a vehicle is plugged in; it accepts the reconnection."""
    bench.csms.forget()
    bench.csms.disconnect()
    bench.evse(1).plug_in()
    bench.advance(seconds=seconds)
    bench.csms.connect()
    bench.advance(seconds=1)


@pytest.mark.octt("TC_B_51_CS")
@pytest.mark.req("B04.FR.01")
def test_tc_b_51_cs(make: Make) -> None:
    """Offline for longer than OfflineThreshold: each connector is told."""
    bench = make({"OCPPCommCtrlr.OfflineThreshold": "30"})

    offline(bench, 32)

    assert statuses(bench) == {(1, 1): "Occupied", (2, 1): "Available"}


@pytest.mark.octt("TC_B_52_CS")
@pytest.mark.req("B04.FR.02")
def test_tc_b_52_cs(make: Make) -> None:
    """Offline for less: only what changed."""
    bench = make({"OCPPCommCtrlr.OfflineThreshold": "30"})

    offline(bench, 28)

    assert statuses(bench) == {(1, 1): "Occupied"}
