"""A disk that takes no writes is a state of the station: who charges goes on and is billed, nobody new begins.

A whole station on a medium that a test makes fail and work again, also before it starts (design 6).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from tests.bench import Bench
from tests.crash.recorder import VFS, Recorder

VARIABLES = {
    "TxCtrlr.TxStartPoint": "PowerPathClosed",
    "TxCtrlr.TxStopPoint": "EVConnected,Authorized",
    "SampledDataCtrlr.TxUpdatedInterval": "30",
}
FAULTS = {"worn out": sqlite3.SQLITE_IOERR, "full": sqlite3.SQLITE_FULL, "read-only": sqlite3.SQLITE_READONLY}


class Disk:
    """Takes writes, or answers each with an error."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def breaks(self, code: int) -> None:
        """From now on no write succeeds."""
        self._recorder.fail = lambda what, name: code if "station.db" in name and what in {"write", "sync"} else 0

    def works(self) -> None:
        """From now on every write does."""
        self._recorder.fail = None


@pytest.fixture
def disk(recorder: Recorder) -> Iterator[Disk]:
    made = Disk(recorder)
    yield made
    made.works()


@pytest.fixture
def bench(recorder: Recorder) -> Bench:
    return Bench(recorder.root, vfs=VFS, variables=VARIABLES)


def begin(bench: Bench, evse: int) -> None:
    """A driver arrives."""
    bench.evse(evse).plug_in()
    bench.evse(evse).present_token("04AABBCC" if evse == 1 else "04DDEEFF")
    bench.advance(seconds=70)


def end(bench: Bench, evse: int) -> None:
    """The same driver leaves."""
    bench.evse(evse).present_token("04AABBCC" if evse == 1 else "04DDEEFF")
    bench.advance(seconds=10)
    bench.evse(evse).unplug()
    bench.advance(seconds=10)


def sequence(bench: Bench, evse: int) -> list[int]:
    """The seqNo of the events of an EVSE's only transaction, in the order of their coming."""
    events = [event for event in bench.events() if event.get("evse", {}).get("id", evse) == evse]
    ids = {event["transactionInfo"]["transactionId"] for event in events if "evse" in event}
    (only,) = ids
    return [event["seqNo"] for event in bench.events() if event["transactionInfo"]["transactionId"] == only]


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_running_session_is_billed_though_the_disk_fails(bench: Bench, disk: Disk, fault: int) -> None:
    """Its events leave in order and complete; the one whose input met the failure among them."""
    begin(bench, 1)

    disk.breaks(fault)
    bench.advance(minutes=3)
    end(bench, 1)

    assert bench.events()[-1]["eventType"] == "Ended"
    assert sequence(bench, 1) == list(range(len(sequence(bench, 1))))
    assert not bench.evse(1).contactor_closed


def test_nobody_begins_to_charge_until_the_disk_works_again(bench: Bench, disk: Disk) -> None:
    """Idle connectors are Unavailable meanwhile, and Available within seconds afterwards."""
    begin(bench, 1)
    disk.breaks(sqlite3.SQLITE_IOERR)
    bench.advance(minutes=1)
    told = bench.csms.received("StatusNotification")[-1]
    assert (told["evseId"], told["connectorStatus"]) == (2, "Unavailable")

    begin(bench, 2)
    assert not bench.evse(2).contactor_closed
    assert bench.evse(1).contactor_closed
    bench.evse(2).unplug()

    disk.works()
    bench.advance(seconds=15)
    begin(bench, 2)
    assert bench.evse(2).contactor_closed
    end(bench, 1)
    end(bench, 2)
    assert [event["eventType"] for event in bench.events() if event["eventType"] != "Updated"] == [
        "Started",
        "Started",
        "Ended",
        "Ended",
    ]


def test_what_was_kept_in_memory_outlives_a_power_cut_once_the_disk_works_again(bench: Bench, disk: Disk) -> None:
    """The session ran and ended offline on a failing disk; after the restart the CSMS hears all of it."""
    begin(bench, 1)
    bench.csms.disconnect()
    disk.breaks(sqlite3.SQLITE_IOERR)
    bench.advance(minutes=3)
    end(bench, 1)
    disk.works()
    bench.advance(seconds=15)

    bench.crash()
    bench.csms.connect()
    bench.advance(minutes=1)

    assert bench.events()[-1]["eventType"] == "Ended"
    assert sequence(bench, 1) == list(range(len(sequence(bench, 1))))
    assert bench.events()[-1]["offline"] is True


def test_a_time_learnt_while_the_disk_failed_is_known_after_the_restart(recorder: Recorder, disk: Disk) -> None:
    """Events of that boot are told with the right time, though the step that learnt it failed at first."""
    bench = Bench(recorder.root, vfs=VFS, variables=VARIABLES, connected=False)
    bench.true_offset, bench.trusted = bench.offset + 3600, False
    boot = bench.station_boot
    disk.breaks(sqlite3.SQLITE_IOERR)

    bench.csms.connect()
    bench.advance(seconds=5)
    disk.works()
    bench.advance(seconds=15)
    bench.crash()

    known = bench.database.execute("SELECT known FROM boot WHERE id = ?", (boot,)).fetchone()[0]
    assert known == pytest.approx(bench.true_offset, abs=1)


@pytest.mark.req("C11.FR.05")
def test_a_cache_that_would_be_back_after_a_restart_is_not_said_to_be_cleared(bench: Bench, disk: Disk) -> None:
    begin(bench, 1)
    disk.breaks(sqlite3.SQLITE_IOERR)

    assert bench.csms.call("ClearCache")["status"] == "Rejected"

    disk.works()
    bench.advance(seconds=15)
    assert bench.csms.call("ClearCache") == {"status": "Accepted"}


@pytest.mark.req("D01.FR.02")
def test_a_local_list_that_cannot_be_stored_is_refused(bench: Bench, disk: Disk) -> None:
    entry = {"idToken": {"idToken": "04AABBCC", "type": "ISO14443"}, "idTokenInfo": {"status": "Accepted"}}
    update = {"updateType": "Full", "versionNumber": 1, "localAuthorizationList": [entry]}
    disk.breaks(sqlite3.SQLITE_FULL)

    assert bench.csms.call("SendLocalList", update)["status"] == "Failed"
    assert bench.csms.call("GetLocalListVersion") == {"versionNumber": 0}

    disk.works()
    bench.advance(seconds=15)
    assert bench.csms.call("SendLocalList", update) == {"status": "Accepted"}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_start_on_a_disk_that_takes_no_writes_is_told_and_mends_itself(
    recorder: Recorder, disk: Disk, fault: int
) -> None:
    """What was queued is delivered from memory; when there is room again, sessions start and nothing comes twice."""
    bench = Bench(recorder.root, vfs=VFS, variables={"AuthCtrlr.OfflineTxForUnknownIdEnabled": "true"})
    bench.csms.disconnect()
    bench.evse(1).plug_in()
    bench.evse(1).present_token("04AABBCC")
    bench.advance(minutes=3)
    bench.evse(1).unplug()
    bench.advance(10)
    bench.database._ballast.unlink()
    disk.breaks(fault)

    bench.crash()
    bench.csms.connect()
    bench.evse(2).plug_in()
    bench.evse(2).present_token("04DDEEFF")
    bench.advance(30)
    assert [event["eventType"] for event in bench.events()][-1] == "Ended"
    assert {each["connectorStatus"] for each in bench.csms.received("StatusNotification")[-2:]} <= {
        "Unavailable",
        "Occupied",
    }
    assert not bench.evse(2).contactor_closed

    disk.works()
    bench.advance(30)
    bench.evse(2).present_token("04DDEEFF")
    bench.advance(30)
    assert bench.evse(2).charging
    bench.crash()
    bench.advance(30)
    assert [event["eventType"] for event in bench.events(1)][-1] == "Ended"
    bench.database.close()
