"""The disk fails before the station starts: it starts all the same, and charges nobody it could not bill."""

from __future__ import annotations

import sqlite3

import pytest

from tests.bench import Bench
from tests.crash.recorder import VFS, Recorder


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR])
def test_a_start_on_a_disk_that_takes_no_writes_is_told_and_mends_itself(recorder: Recorder, code: int) -> None:
    """What was queued is delivered from memory; when there is room again, sessions start and nothing comes twice."""
    bench = Bench(recorder.root, vfs=VFS, variables={"AuthCtrlr.OfflineTxForUnknownIdEnabled": "true"})
    bench.csms.disconnect()
    bench.evse(1).plug_in()
    bench.evse(1).present_token("04AABBCC")
    bench.advance(minutes=3)
    bench.evse(1).unplug()
    bench.advance(10)
    bench.database._ballast.unlink()
    recorder.fail = lambda what, _name: code if what in {"write", "sync"} else 0

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

    recorder.fail = None
    bench.advance(30)
    bench.evse(2).present_token("04DDEEFF")
    bench.advance(30)
    assert bench.evse(2).charging
    bench.crash()
    bench.advance(30)
    assert [event["eventType"] for event in bench.events(1)][-1] == "Ended"
    bench.database.close()
