"""Nothing in the station may bring the station down: not a handler that always raises, not a disk that fails.

Every handler of every block is made to raise in turn. The station must still boot, stay, answer and, unless that very
handler is part of charging, charge and bill; where it is, the other EVSE does.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from station.engine import Engine
from station.ocpp.messages import BootNotificationRequest
from tests.bench import Bench

VARIABLES = {"TxCtrlr.TxStartPoint": "PowerPathClosed", "TxCtrlr.TxStopPoint": "EVConnected,Authorized"}


class Handler(NamedTuple):
    """One row of one block's tables."""

    block: str
    table: str
    given: str

    def __str__(self) -> str:
        return f"{self.block}-{self.table}-{self.given}"


def handlers() -> Iterator[Handler]:
    """Every handler that the wiring diagram knows."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for block in bench.station.engine._blocks:
            name = type(block).__name__
            yield from (Handler(name, "route", row.request.__name__) for row in block.routes())
            yield from (Handler(name, "outcome", row.request.__name__) for row in block.outcomes())
            yield from (Handler(name, "reaction", row.fact.__name__) for row in block.reactions())
            yield from (Handler(name, "result", row.result.__name__) for row in block.results())
            yield Handler(name, "timer", "due")
        bench.database.close()


def broken(engine: Engine, handler: Handler, evse_id: int | None = None) -> None:
    """Make the handler raise whenever it is called, or only for facts of one EVSE."""

    def bug(given: Any, now: Any) -> Any:
        if evse_id is None or getattr(given, "evse_id", evse_id) == evse_id:
            raise ZeroDivisionError(f"{handler} {now}")
        return real(given, now)

    real: Callable[[Any, Any], Any] = bug
    tables = {"route": engine._routes, "outcome": engine._outcomes, "result": engine._results}
    if handler.table in tables:
        table = tables[handler.table]
        key = next(each for each in table if each.__name__ == handler.given)
        table[key] = (table[key][0], bug)
    elif handler.table == "reaction":
        kind = next(each for each in engine._reactions if each.__name__ == handler.given)
        rows = engine._reactions[kind]
        index = next(n for n, (culprit, _) in enumerate(rows) if culprit.block == handler.block)
        culprit, real = rows[index]
        rows[index] = (culprit, bug)
    else:
        block = next(each for each in engine._blocks if type(each).__name__ == handler.block)
        block.due = lambda now: bug(None, now)  # type: ignore[method-assign]  # a bug made for the test


HANDLERS = list(handlers())


def charge(bench: Bench, evse: int) -> None:
    """What a driver does."""
    bench.evse(evse).plug_in()
    bench.evse(evse).present_token("04AABBCC" if evse == 1 else "04DDEEFF")
    bench.advance(minutes=2)
    bench.evse(evse).present_token("04AABBCC" if evse == 1 else "04DDEEFF")
    bench.advance(seconds=20)
    bench.evse(evse).unplug()
    bench.advance(minutes=1)


def billed(bench: Bench) -> list[tuple[str, str]]:
    """(transaction, eventType) of what has a beginning or an end."""
    return [
        (event["transactionInfo"]["transactionId"], event["eventType"])
        for event in bench.events()
        if event["eventType"] != "Updated"
    ]


@pytest.mark.parametrize("handler", HANDLERS, ids=str)
def test_no_handler_that_always_raises_brings_the_station_down(tmp_path: Path, handler: Handler) -> None:
    bench = Bench(tmp_path, boot=False, variables=VARIABLES)
    real_load = Engine.load

    def load(self: Engine, now: Any) -> None:
        real_load(self, now)
        broken(self, handler)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "load", load)
        bench.boot()
        charge(bench, 1)
        charge(bench, 2)
        bench.csms.send("GetVariables", {"getVariableData": [_VARIABLE]})
        bench.csms.send("ClearCache")
        bench.advance(hours=1)

    assert bench.csms.received(BootNotificationRequest)
    assert_answers(bench, handler)
    essential = any(type(b).__name__ == handler.block and b.essential for b in bench.station.engine._blocks)
    if not essential and handler.given != "BootNotificationRequest":
        assert [kind for _, kind in billed(bench)] == ["Started", "Ended"] * 2


_VARIABLE = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}


def assert_answers(bench: Bench, handler: Handler) -> None:
    """Every CALL of the CSMS got a reply: InternalError from the broken route, the right one from the others."""
    calls = [frame for frame in bench.csms.log if frame.by == "csms" and frame.kind == "CALL"]
    replies = {f.message_id: f for f in bench.csms.log if f.by == "station" and f.kind != "CALL"}
    for call in calls:
        reply = replies[call.message_id]
        broken_route = handler.table == "route" and handler.given == f"{call.action}Request"
        assert (reply.kind == "CALLERROR") == broken_route
        if broken_route:
            assert reply.content.code == "InternalError"


CHARGING = [handler for handler in HANDLERS if handler.table == "reaction" and handler.block == "Transactions"]


@pytest.mark.parametrize("handler", CHARGING, ids=str)
def test_an_evse_whose_facts_cannot_be_borne_does_not_stop_the_other(tmp_path: Path, handler: Handler) -> None:
    bench = Bench(tmp_path, variables=VARIABLES)
    broken(bench.station.engine, handler, evse_id=1)

    charge(bench, 1)
    charge(bench, 2)

    second = [event for event in bench.events() if event.get("evse", {}).get("id") == 2]
    assert [event["eventType"] for event in second] == ["Started"]
    assert (second[0]["transactionInfo"]["transactionId"], "Ended") in billed(bench)
    assert not bench.evse(1).contactor_closed


def test_an_evse_in_quarantine_is_faulted_until_the_next_start(tmp_path: Path) -> None:
    """Also after another recovery, which forgets what the hardware showed: this EVSE is not asked again."""
    bench = Bench(tmp_path, variables=VARIABLES)
    handler = next(each for each in CHARGING if each.given == "PowerPathChanged")
    broken(bench.station.engine, handler, evse_id=1)
    charge(bench, 1)

    statuses = [s["connectorStatus"] for s in bench.csms.received("StatusNotification") if s["evseId"] == 1]
    assert statuses[-1] == "Faulted"

    _, effects = bench.station.exchange.ask(lambda _now: 1 / 0, bench.now)
    bench._do(effects)
    bench.settle()
    refused = bench.csms.call("RequestStartTransaction", {"evseId": 1, **_REMOTE})
    assert refused["status"] == "Rejected"
    assert bench.station.connectors.status(1, 1) == "Faulted"

    bench.crash()
    assert bench.station.connectors.status(1, 1) != "Faulted"


_REMOTE = {"remoteStartId": 7, "idToken": {"idToken": "04AABBCC", "type": "ISO14443"}}
