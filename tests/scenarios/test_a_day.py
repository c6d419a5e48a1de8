"""A station runs for years: a day of sessions, link losses, reports and orders leaves nothing behind that grows."""

from __future__ import annotations

import gc
import logging
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.bench import Bench

HOURS, SETTLED = 24, 6
"""Until hour `SETTLED` caches and pages may fill."""
GROWS_BLOCKS = 500
"""18 hours are 36 sessions with a thousand messages each way; one block of memory left by each of them would show."""

DOWNTIME_MIN = 5


class Load(NamedTuple):
    """What the station holds at rest."""

    blocks: int
    database_bytes: int
    rows: dict[str, int]


def hour(bench: Bench, number: int) -> None:
    """Two drivers, one of them while the link is lost; a report, an order, a fault of the CSMS, a triggered message."""
    bench.evse(1).plug_in()
    bench.evse(1).present_token("04AABBC1")
    bench.advance(minutes=10)
    bench.csms.call("GetBaseReport", {"requestId": number, "reportBase": "FullInventory"})
    bench.csms.call("TriggerMessage", {"requestedMessage": "MeterValues", "evse": {"id": 1}})
    bench.csms.disconnect()
    bench.evse(2).plug_in()
    bench.evse(2).present_token("04AABBC2")
    bench.advance(minutes=DOWNTIME_MIN)
    bench.csms.connect()
    bench.advance(minutes=10)
    bench.csms.error("TransactionEvent")
    bench.evse(1).present_token("04AABBC1")
    bench.advance(minutes=1)
    bench.csms.default("TransactionEvent")
    bench.evse(1).unplug()
    bench.evse(2).unplug()
    bench.csms.call("ChangeAvailability", {"operationalStatus": "Inoperative", "evse": {"id": 2}})
    bench.advance(minutes=2)
    bench.csms.call("ChangeAvailability", {"operationalStatus": "Operative", "evse": {"id": 2}})
    bench.advance(minutes=32)


def load(bench: Bench) -> Load:
    """Measured at rest, when every answer is in; what the test itself remembers is forgotten first."""
    bench.csms.forget()
    order = bench.csms.order
    for remembered in (order.transactions, order._sent, order._pages, order._asked, bench.shown, bench.clock_set):
        remembered.clear()
    gc.collect()
    database = bench.database
    tables = [
        sys.intern(name)
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    ]
    rows = {name: database.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables}  # noqa: S608 - ours
    return Load(blocks=sys.getallocatedblocks(), database_bytes=database.used_bytes(), rows=rows)


def test_a_day_leaves_nothing_behind_that_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory, rows and pages are after 24 hours what they were after 6."""
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)  # pytest would keep every record
    bench = Bench(tmp_path, variables={"AuthCtrlr.OfflineTxForUnknownIdEnabled": "true"})
    loads = []
    for number in range(HOURS):
        hour(bench, number)
        told = [event["eventType"] for event in bench.events()]
        assert (told.count("Started"), told.count("Ended")) == (2, 2)
        assert not bench.station.csms.queued()
        loads.append(load(bench))
    settled, last = loads[SETTLED - 1], loads[-1]

    assert last.rows == settled.rows
    assert last.blocks - settled.blocks < GROWS_BLOCKS, [each.blocks for each in loads]
    assert last.database_bytes - settled.database_bytes <= 8 * 1024, [each.database_bytes for each in loads]
