"""Whatever the weather, each transaction is told whole: the promise of the station, for histories that chance made."""

from __future__ import annotations

import itertools
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.bench import Bench
from tests.properties.weather import EVSES, STARTS_AND_STOPS, Weather

MET_TROUBLE = (41, 57, 77, 186, 206, 300, 314)
"""In these histories the station once made a mistake with a time."""
VARIABLES = {
    "SampledDataCtrlr.TxUpdatedInterval": "20",
    "SampledDataCtrlr.TxEndedInterval": "20",
    "AuthCtrlr.OfflineTxForUnknownIdEnabled": "true",
    "OCPPCommCtrlr.MessageAttempts[TransactionEvent]": "3",
    "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]": "5",
}


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("seed", [*range(8), *MET_TROUBLE])
def test_each_transaction_is_told_whole(fast: Path, seed: int, resume: bool) -> None:  # noqa: FBT001 - a parameter
    """One Started, one Ended, seqNo without a gap, times and registers that never fall; then all is quiet."""
    start, stop = STARTS_AND_STOPS[seed % len(STARTS_AND_STOPS)]
    points = {"TxCtrlr.TxStartPoint": start, "TxCtrlr.TxStopPoint": stop}
    bench = Bench(fast, variables={**VARIABLES, **points}, resume=resume)
    weather = Weather(bench, seed)

    weather.blow(60)
    weather.clear_up()

    transactions = [*by_transaction(bench)]
    assert transactions, "nothing happened"
    for events in transactions:
        kinds = [event["eventType"] for event in events]
        assert kinds == ["Started", *["Updated"] * (len(events) - 2), "Ended"]
        assert [event["seqNo"] for event in events] == list(range(len(events)))
        times = [datetime.fromisoformat(event["timestamp"]) for event in events]
        assert times == sorted(times)
        seen = [register for event in events[:-1] for register in registers(event)]
        whole = registers(events[-1])
        assert seen == sorted(seen)
        assert whole == sorted(whole)
        assert not (seen and whole) or (whole[0] == seen[0] and whole[-1] >= seen[-1])
    assert not bench.station.csms.queued()
    status = {each["evseId"]: each["connectorStatus"] for each in bench.csms.received("StatusNotification")}
    assert status == dict.fromkeys(EVSES, "Available")
    assert not any(bench.evse(evse_id).contactor_closed for evse_id in EVSES)


def by_transaction(bench: Bench) -> list[list[dict[str, Any]]]:
    """The events of each transaction, as the CSMS received them."""

    def key(event: dict[str, Any]) -> str:
        return str(event["transactionInfo"]["transactionId"])

    return [list(group) for _, group in itertools.groupby(sorted(bench.events(), key=key), key=key)]


def registers(event: dict[str, Any]) -> list[float]:
    """The energy registers that an event tells."""
    name = "Energy.Active.Import.Register"
    values = [value for one in event.get("meterValue", []) for value in one["sampledValue"]]
    return [value["value"] for value in values if value.get("measurand", name) == name]
