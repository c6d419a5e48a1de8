"""What need not survive a power cut is not written: flash wears out, and an fsync stops the core (design 7).

The bench's database is a real file. Whatever happens here must leave its WAL as it is, byte by byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hal.api import Fault
from station.facts import InvalidMessageReceived, LinkLost, SensorRead
from station.inputs import Canary, Happened
from tests.bench import Bench
from tests.scenarios.variables import asked, base_report, get, get_all, put, set_all

CARD = "04AABBCC"


@contextmanager
def nothing_written(bench: Bench) -> Iterator[None]:
    """The WAL is the same at the end."""
    before = wal(bench)
    yield
    assert wal(bench) == before


def wal(bench: Bench) -> tuple[int, str]:
    content = (bench.path / "station.db-wal").read_bytes()
    return len(content), hashlib.sha256(content).hexdigest()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """At rest: what the start had to write and to delete is done."""
    bench = Bench(tmp_path, variables={"OCPPCommCtrlr.HeartbeatInterval": "30"})
    bench.advance(minutes=2)
    return bench


def happen(bench: Bench, *facts: object) -> None:
    bench._do(bench.station.exchange.give(Happened(facts), bench.now))
    bench.settle()


def flap(bench: Bench) -> None:
    for _ in range(20):
        bench.csms.disconnect()
        bench.advance(minutes=2)
        bench.csms.connect()
        bench.advance(minutes=2)


def plugs(bench: Bench) -> None:
    for _ in range(20):
        bench.evse(1).plug_in()
        bench.advance(seconds=10)
        bench.evse(1).unplug()
        bench.advance(seconds=10)


def fault(bench: Bench) -> None:
    """It is told, whatever the link does: once when it appears, once when it is over."""
    bench.evse(1).fault(Fault.RCD)
    bench.advance(seconds=5)
    bench.evse(1).fault(Fault.RCD, on=False)


def reads(bench: Bench) -> None:
    for _ in range(20):
        get(bench, "ClockCtrlr.DateTime")
        get_all(bench, asked("EVSE.AvailabilityState", evse=1), asked("NoSuchCtrlr.NoSuchVariable"))


def reports(bench: Bench) -> None:
    base_report(bench, "FullInventory", 1)
    base_report(bench, "SummaryInventory", 2)


def triggers(bench: Bench) -> None:
    for message in ("Heartbeat", "StatusNotification", "MeterValues"):
        evse = {} if message == "Heartbeat" else {"evse": {"id": 1, "connectorId": 1}}
        assert bench.csms.call("TriggerMessage", {"requestedMessage": message, **evse})["status"] == "Accepted"
        bench.advance(seconds=10)


def refusals(bench: Bench) -> None:
    """What is refused changes nothing, and neither does what is already so."""
    put(bench, "OCPPCommCtrlr.OfflineThreshold", "many")
    set_all(bench, asked("OCPPCommCtrlr.MessageTimeout[Default]", attributeValue="3"))
    bench.csms.call("ChangeAvailability", {"operationalStatus": "Operative"})
    bench.csms.call("ChangeAvailability", {"operationalStatus": "Inoperative", "evse": {"id": 9}})
    bench.csms.call("Reset", {"type": "Immediate", "evseId": 9})
    bench.csms.call("DataTransfer", {"vendorId": "com.example"})
    bench.csms.call("RequestStopTransaction", {"transactionId": "unknown"})
    bench.csms.refused("GetVariables", {"getVariableData": []}, valid=False)


def canaries(bench: Bench) -> None:
    for _ in range(100):
        bench._do(bench.station.exchange.give(Canary(), bench.now))
        bench.advance(seconds=1)


def sensors(bench: Bench) -> None:
    for degrees in range(100):
        at = bench.now.instant
        happen(bench, SensorRead(component="TemperatureSensor", variable="Temperature", value=str(degrees), at=at))


def link_trouble(bench: Bench) -> None:
    """Events that the CSMS is not told."""
    for _ in range(20):
        happen(bench, InvalidMessageReceived(description="no frame"))
        happen(bench, LinkLost(kind="http_401", detail="refused", was_up=False))


def refused_card(bench: Bench) -> None:
    """A driver whom the CSMS does not know, at a station without a cache."""
    bench.csms.on("Authorize", {"idTokenInfo": {"status": "Unknown"}})
    for _ in range(5):
        bench.evse(1).present_token(CARD)
        bench.advance(seconds=10)


DEEDS: list[Callable[[Bench], None]] = [
    flap,
    plugs,
    reads,
    reports,
    triggers,
    refusals,
    canaries,
    sensors,
]


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.__name__)
def test_it_leaves_the_disk_alone(bench: Bench, deed: Callable[[Bench], None]) -> None:
    with nothing_written(bench):
        deed(bench)
        bench.advance(minutes=2)


def test_trouble_that_goes_on_is_in_the_security_log_a_few_times_only(bench: Bench) -> None:
    link_trouble(bench)

    with nothing_written(bench):
        link_trouble(bench)


def test_days_of_waiting_leave_the_disk_alone(bench: Bench) -> None:
    """Hundreds of heartbeats, thousands of readings of idle meters, as many timers."""
    with nothing_written(bench):
        bench.advance(days=3)

    assert len(bench.csms.received("Heartbeat")) > 800


def test_samples_of_a_session_leave_the_disk_alone(tmp_path: Path) -> None:
    """Meters are read and limits checked all the time; only events that are told are written."""
    variables = {"SampledDataCtrlr.TxUpdatedInterval": "0", "AuthCacheCtrlr.Enabled": "false"}
    bench = Bench(tmp_path, variables=variables)
    bench.evse(1).plug_in(capacity_wh=1_000_000.0)
    bench.evse(1).present_token(CARD)
    bench.advance(minutes=3)
    assert bench.evse(1).charging

    with nothing_written(bench):
        bench.advance(hours=3)
        reads(bench)
        flap_once(bench)

    assert bench.evse(1).charging


def flap_once(bench: Bench) -> None:
    bench.csms.disconnect()
    bench.advance(minutes=5)
    bench.csms.connect()
    bench.advance(minutes=5)


def test_a_driver_who_is_refused_leaves_the_disk_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path, variables={"AuthCacheCtrlr.Enabled": "false"})
    bench.advance(minutes=2)

    with nothing_written(bench):
        refused_card(bench)


@pytest.mark.parametrize(
    "deed",
    [
        lambda bench: put(bench, "OCPPCommCtrlr.OfflineThreshold", "77"),
        lambda bench: bench.csms.call("ChangeAvailability", {"operationalStatus": "Inoperative"}),
        fault,
    ],
    ids=["variable", "availability", "fault"],
)
def test_what_must_survive_is_written(bench: Bench, deed: Callable[[Bench], object]) -> None:
    """The measure itself measures."""
    before = wal(bench)
    deed(bench)
    assert wal(bench) != before
