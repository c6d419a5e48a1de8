"""Nothing in the station may bring the station down: not a handler that always raises, not a disk that fails.

Every handler of every block is made to raise in turn. The station must still boot, stay, answer and, unless that very
handler is part of charging, charge and bill; where it is, the other EVSE does.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from station.engine import Engine
from tests.bench import Bench
from tests.crash.day import BROUGHT, VICTIM, bad_day

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
        bench = Bench(Path(folder), iso15118=True)
        for block in bench.station.engine._blocks:
            name = type(block).__name__
            yield from (Handler(name, "route", row.request.__name__) for row in block.routes())
            yield from (Handler(name, "outcome", row.request.__name__) for row in block.outcomes())
            yield from (Handler(name, "reaction", row.fact.__name__) for row in block.reactions())
            yield from (Handler(name, "result", row.result.__name__) for row in block.results())
        yield from (Handler(culprit.block, "timer", "due") for culprit in bench.station.engine._timed.values())
        bench.database.close()


class Bug:
    """A handler that always raises, in every start of the engine; or only for facts of one EVSE."""

    def __init__(self, handler: Handler, evse_id: int | None = None) -> None:
        self.handler = handler
        self.evse_id = evse_id
        self.raised: list[int | None] = []
        """The EVSEs whose facts met it."""

    def put_into(self, engine: Engine) -> None:
        """Replace the handler."""
        tables = {"route": engine._routes, "outcome": engine._outcomes, "result": engine._results}
        if self.handler.table in tables:
            table = tables[self.handler.table]
            key = next(each for each in table if each.__name__ == self.handler.given)
            block, culprit, real = table[key]
            table[key] = (block, culprit, self._instead(real))
        elif self.handler.table == "reaction":
            kind = next(each for each in engine._reactions if each.__name__ == self.handler.given)
            rows = engine._reactions[kind]
            index = next(n for n, (_, culprit, _) in enumerate(rows) if culprit.block == self.handler.block)
            block, culprit, real = rows[index]
            rows[index] = (block, culprit, self._instead(real))
        else:
            block = next(each for each in engine._blocks if type(each).__name__ == self.handler.block)
            due = block.due
            instead = self._instead(lambda _given, now: due(now))
            block.due = lambda now: instead(None, now)  # type: ignore[method-assign]  # a bug made for the test

    def _instead(self, real: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def bug(given: Any, now: Any) -> Any:
            if self.evse_id is None or getattr(given, "evse_id", self.evse_id) == self.evse_id:
                self.raised.append(getattr(given, "evse_id", None))
                raise ZeroDivisionError(f"{self.handler} {now}")
            return real(given, now)

        return bug


class Watch(Bug):
    """Nothing is wrong with it; it is noted that it was called."""

    def __init__(self, handler: Handler, called: set[Handler]) -> None:
        super().__init__(handler)
        self._called = called

    def _instead(self, real: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def watched(given: Any, now: Any) -> Any:
            self._called.add(self.handler)
            return real(given, now)

        return watched


@contextlib.contextmanager
def broken(handler: Handler, evse_id: int | None = None) -> Iterator[Bug]:
    """Every engine that is built has this bug from its start."""
    bug = Bug(handler, evse_id)
    real_init = Engine.__init__

    def init(self: Engine, **wiring: Any) -> None:
        real_init(self, **wiring)
        bug.put_into(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "__init__", init)
        yield bug


HANDLERS = list(handlers())


NO_CARDS = {("Authorization", "TokenPresented"), ("Authorization", "AuthorizeRequest")}
"""Without these nobody can charge with a card: then the CSMS does it."""


def charge(bench: Bench, evse: int, *, card: bool = True) -> None:
    """What a driver does, or a CSMS for him."""
    token = f"04AABBC{evse}"
    bench.evse(evse).plug_in()
    if card:
        bench.evse(evse).present_token(token)
    else:
        remote = {"idToken": token, "type": "Central"}
        bench.csms.send("RequestStartTransaction", {"idToken": remote, "remoteStartId": evse, "evseId": evse})
    bench.advance(minutes=2)
    if card:
        bench.evse(evse).present_token(token)
    bench.evse(evse).unplug()
    bench.advance(minutes=1)


def billed(bench: Bench) -> list[tuple[str, str]]:
    """(transaction, eventType) of what has a beginning or an end."""
    return [
        (event["transactionInfo"]["transactionId"], event["eventType"])
        for event in bench.events()
        if event["eventType"] != "Updated"
    ]


def test_every_handler_is_called_on_the_bad_day(fast: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the next test would prove nothing of it."""
    called: set[Handler] = set()
    real_init = Engine.__init__

    def init(self: Engine, **wiring: Any) -> None:
        real_init(self, **wiring)
        for handler in HANDLERS:
            Watch(handler, called).put_into(self)

    monkeypatch.setattr(Engine, "__init__", init)
    bench = Bench(fast, evses=3, lock=True, variables=VARIABLES, **BROUGHT)
    bad_day(bench)
    charge(bench, 1)

    assert set(HANDLERS) - called == set()


@pytest.mark.slow
@pytest.mark.parametrize("handler", HANDLERS, ids=str)
def test_no_handler_that_always_raises_brings_the_station_down(fast: Path, handler: Handler) -> None:
    """On a day on which every handler is called."""
    with broken(handler) as bug:
        bench = Bench(fast, evses=3, lock=True, variables=VARIABLES, **BROUGHT)
        bad_day(bench)
        assert_answers(bench, handler)
        bench.csms.forget()
        card = (handler.block, handler.given) not in NO_CARDS
        charge(bench, 1, card=card)
        charge(bench, 2, card=card)
        bench.advance(minutes=10)

    assert bug.raised, "this proves nothing: nobody called it"
    quarantined = {1, 2} & set(bug.raised) if _is_essential(bench, handler) else set()
    if not quarantined and handler.given != BOOT:
        assert [kind for _, kind in billed(bench)] == ["Started", "Ended"] * 2


BOOT = "BootNotificationRequest"


def _is_essential(bench: Bench, handler: Handler) -> bool:
    return any(type(each).__name__ == handler.block and each.essential for each in bench.station.engine._blocks)


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
def test_an_evse_whose_facts_cannot_be_borne_does_not_stop_the_others(fast: Path, handler: Handler) -> None:
    with broken(handler, evse_id=VICTIM) as bug:
        bench = Bench(fast, evses=3, lock=True, variables=VARIABLES, **BROUGHT)
        bad_day(bench)
        bench.csms.forget()
        charge(bench, 1)
        charge(bench, 2)

    assert bug.raised, "this proves nothing: nobody called it"
    assert [kind for _, kind in billed(bench)] == ["Started", "Ended"] * 2
    assert not bench.evse(VICTIM).contactor_closed


def test_an_evse_in_quarantine_is_faulted_until_the_next_start(tmp_path: Path) -> None:
    """Also after another recovery, which forgets what the hardware showed: this EVSE is not asked again."""
    bench = Bench(tmp_path, variables=VARIABLES)
    handler = next(each for each in CHARGING if each.given == "PowerPathChanged")
    Bug(handler, evse_id=1).put_into(bench.station.engine)
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
