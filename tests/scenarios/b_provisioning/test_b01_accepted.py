"""B01: a station introduces itself, is accepted, and tells how it is."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from tests.bench import Bench
from tests.scenarios.variables import get, put

DAY = 86_400.0


@pytest.mark.req("B01.FR.01", "B01.FR.09")
def test_a_station_that_starts_says_who_it_is_and_why(bench: Bench) -> None:
    """The first message of all; what the file names is in it."""
    (boot,) = bench.csms.received("BootNotification")

    assert bench.csms.actions()[0] == "BootNotification"
    assert boot["reason"] == "PowerUp"
    assert boot["chargingStation"] == {
        "model": "Twin",
        "vendorName": "Bench",
        "serialNumber": "B-1",
        "firmwareVersion": "1.0",
    }


@pytest.mark.req("B01.FR.03", "B01.FR.09")
def test_it_introduces_itself_after_each_start(bench: Bench) -> None:
    """A power cut is no reason to be forgotten; the CSMS hears of it each time."""
    bench.crash()
    bench.crash()

    assert [boot["reason"] for boot in bench.csms.received("BootNotification")] == ["PowerUp"] * 3


@pytest.mark.parametrize(
    "reason",
    ["ApplicationReset", "FirmwareUpdate", "LocalReset", "PowerUp", "Watchdog", "Unknown"],
)
@pytest.mark.req("B01.FR.09")
def test_the_reason_is_what_started_the_agent(tmp_path: Path, reason: str) -> None:
    """The shell knows whether systemd, the watchdog or the power started the process."""
    bench = Bench(tmp_path, found_boot_reason=reason)

    assert bench.csms.received("BootNotification")[0]["reason"] == reason


@pytest.mark.req("B01.FR.05", "G01.FR.01")
def test_each_connector_is_told_once_when_it_is_accepted(tmp_path: Path) -> None:
    """One message per connector, after the answer; the plugged one is Occupied."""
    bench = Bench(tmp_path, evses=2, connectors=2, boot=False)
    bench.world.plug_in(2, 1)

    bench.boot()

    told = {(each["evseId"], each["connectorId"]): each["connectorStatus"] for each in status(bench)}
    assert told == {(1, 1): "Available", (1, 2): "Available", (2, 1): "Occupied", (2, 2): "Available"}
    assert len(status(bench)) == 4


def status(bench: Bench) -> list[dict[str, Any]]:
    return bench.csms.received("StatusNotification")


@pytest.mark.req("B01.FR.04", "G02.FR.01", "G02.FR.02")
def test_heartbeats_keep_the_interval_of_the_answer(tmp_path: Path) -> None:
    """Ten minutes at 60 s: ten heartbeats, and the variable says so."""
    bench = answering(tmp_path, interval=60)

    bench.advance(minutes=10, seconds=1)

    beats = [frame.at for frame in bench.csms.frames("Heartbeat")]
    assert len(beats) == 10
    assert {(later - earlier).total_seconds() for earlier, later in itertools.pairwise(beats)} == {60.0}
    assert get(bench, "OCPPCommCtrlr.HeartbeatInterval") == "60"


def test_interval_zero_keeps_the_own_heartbeat(tmp_path: Path) -> None:
    """B01, 4: a CSMS that names no interval leaves it to the station."""
    bench = answering(tmp_path, interval=0, variables={"OCPPCommCtrlr.HeartbeatInterval": "120"})

    bench.advance(minutes=10, seconds=1)

    assert len(bench.csms.received("Heartbeat")) == 5


@pytest.mark.req("G02.FR.01", "B05.FR.10")
def test_a_new_heartbeat_interval_acts_at_once(tmp_path: Path) -> None:
    """Not after the old one has passed."""
    bench = answering(tmp_path, interval=3600)
    bench.advance(minutes=5)

    put(bench, "OCPPCommCtrlr.HeartbeatInterval", "30")
    bench.csms.forget()
    bench.advance(seconds=31)

    assert bench.csms.actions() == ["Heartbeat"]


@pytest.mark.req("G02.FR.05")
def test_other_messages_put_a_heartbeat_off(tmp_path: Path) -> None:
    """The CSMS has just seen that we live."""
    bench = answering(tmp_path, interval=60)
    bench.advance(seconds=50)

    bench.evse(1).plug_in()
    bench.advance(seconds=55)
    assert "Heartbeat" not in bench.csms.actions()

    bench.advance(seconds=6)
    assert "Heartbeat" in bench.csms.actions()


@pytest.mark.req("G02.FR.07")
def test_the_time_is_asked_for_daily_however_much_else_is_sent(tmp_path: Path) -> None:
    """Where the clock lives on heartbeats, a busy station must not forget them."""
    bench = answering(tmp_path, interval=86_400)
    bench.csms.forget()

    for _ in range(30):
        bench.advance(hours=1)
        bench.evse(1).plug_in()
        bench.evse(1).unplug()

    assert len(bench.csms.received("Heartbeat")) == 1


@pytest.mark.req("B01.FR.06", "G02.FR.06")
@pytest.mark.parametrize("verdict", ["Accepted", "Pending", "Rejected"])
def test_the_clock_is_the_csmss_from_each_answer(tmp_path: Path, verdict: str) -> None:
    """Also from one that does not accept us; the timestamps that follow are right."""
    bench = Bench(tmp_path, boot=False)
    bench.offset -= 3 * DAY
    bench.csms.on("BootNotification", {"status": verdict, "interval": 60})

    bench.boot()

    assert bench.utc == bench.true_utc


@pytest.mark.req("G02.FR.06")
def test_a_heartbeat_corrects_a_clock_that_drifts(bench: Bench) -> None:
    """The answer to a heartbeat carries the time, too."""
    bench.advance(seconds=1)
    bench.true_offset += 90

    bench.advance(minutes=6)

    assert bench.utc == bench.true_utc


@pytest.mark.req("B01.FR.06")
def test_the_csmss_time_is_passed_over_where_others_tell_it(tmp_path: Path) -> None:
    """ClockCtrlr.TimeSource without Heartbeat."""
    bench = Bench(tmp_path, boot=False, variables={"ClockCtrlr.TimeSource": "NTP"})
    bench.true_offset += 100

    bench.boot()
    bench.advance(hours=1)

    assert not bench.clock_set


@pytest.mark.req("B01.FR.08")
def test_nothing_is_sent_before_the_answer(bench: Bench) -> None:
    """Not even what was queued before the restart: a transaction that ended offline."""
    bench.csms.disconnect()
    bench.evse(1).plug_in()
    bench.evse(1).present_token("04AABBCC")
    bench.advance(minutes=5)
    bench.evse(1).unplug()
    bench.advance(seconds=30)
    bench.csms.forget()
    bench.csms.silent("BootNotification")

    bench.crash()
    bench.csms.connect()
    bench.evse(2).plug_in()
    bench.advance(minutes=5)

    assert set(bench.csms.actions()) == {"BootNotification"}


def test_a_csms_that_does_not_answer_is_asked_again_without_haste(tmp_path: Path) -> None:
    """Timeout 35 s, then another minute: eleven times in a quarter of an hour would be a flood."""
    bench = Bench(tmp_path, boot=False)
    bench.csms.silent("BootNotification")
    bench.boot()

    bench.advance(minutes=15)

    assert 5 <= len(bench.csms.received("BootNotification")) <= 15
    bench.csms.default("BootNotification")
    bench.advance(minutes=3)
    assert bench.station.registration.accepted


def test_a_callerror_is_no_verdict(tmp_path: Path) -> None:
    """Asked again after a minute; nothing else leaves meanwhile."""
    bench = Bench(tmp_path, boot=False)
    bench.csms.error("BootNotification")
    bench.boot()

    bench.advance(minutes=5, seconds=1)

    assert bench.csms.actions() == ["BootNotification"] * 6


def test_a_mere_reconnection_needs_no_introduction(bench: Bench) -> None:
    """Part 4, 5.3: only what has changed is told again; a heartbeat shows that we are back."""
    bench.advance(minutes=2)
    bench.csms.forget()

    bench.csms.disconnect()
    bench.advance(seconds=20)
    bench.csms.connect()
    bench.advance(seconds=1)

    assert bench.csms.actions() == ["Heartbeat"]


def answering(path: Path, *, interval: int, **given: Any) -> Bench:
    """A station whose CSMS names this interval."""
    bench = Bench(path, boot=False, **given)
    bench.csms.on("BootNotification", {"status": "Accepted", "interval": interval})
    bench.boot()
    return bench


@pytest.mark.parametrize(
    "told",
    [
        {"currentTime": "9999-12-31T23:59:59Z"},
        {"currentTime": "0001-01-01T00:00:00Z"},
        {"interval": 2**31},
        {"interval": 2**53},
        {"interval": -(2**31)},
    ],
)
def test_absurd_times_of_a_csms_stop_nothing(tmp_path: Path, told: dict[str, Any]) -> None:
    """It is accepted, charges, and tells instants of today."""
    bench = Bench(tmp_path, boot=False)
    bench.csms.on("BootNotification", told)
    bench.boot()

    bench.evse(1).plug_in()
    bench.evse(1).present_token("04AABBCC")
    bench.advance(hours=1)

    assert bench.evse(1).charging
    assert all(event["timestamp"].startswith(f"{bench.utc:%Y-%m-%d}") for event in bench.events())
    assert int(get(bench, "OCPPCommCtrlr.HeartbeatInterval")) > 0
