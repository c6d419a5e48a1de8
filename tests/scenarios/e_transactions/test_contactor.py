"""A contactor that does not do what is wanted, on a board that shows no fault (design 3, A6)."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from hal.api import BoardSnapshot, Fault
from hal.sim.evse import SimEvse
from tests.bench import Bench
from tests.scenarios.e_transactions.story import CARD, bench, told


@pytest.fixture(autouse=True)
def _blind_board(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulated board does not notice faults of its contactor."""
    real = SimEvse.snapshot

    def snapshot(self: SimEvse) -> BoardSnapshot:
        seen = real(self)
        return msgspec.structs.replace(seen, faults=seen.faults - {Fault.CONTACTOR_OPEN, Fault.CONTACTOR_WELDED})

    monkeypatch.setattr(SimEvse, "snapshot", snapshot)


def statuses(station: Bench) -> list[str]:
    return [each["connectorStatus"] for each in station.csms.received("StatusNotification") if each["evseId"] == 1]


def test_one_that_does_not_open_makes_the_evse_faulted_until_it_has_opened(tmp_path: Path) -> None:
    """Nobody may start there; the bill of the one before is told all the same."""
    station = bench(tmp_path, "PowerPathClosed", "EVConnected,Authorized")
    station.evse(1).plug_in()
    station.evse(1).present_token(CARD)
    station.advance(30)
    station.evse(1).fault(Fault.CONTACTOR_WELDED)
    station.evse(1).present_token(CARD)
    station.advance(10)

    assert told(station)[-1].startswith("Ended/StopAuthorized")
    assert statuses(station)[-1] == "Faulted"
    remote = {"idToken": {"idToken": "REMOTE", "type": "Central"}, "remoteStartId": 1, "evseId": 1}
    assert station.csms.call("RequestStartTransaction", remote)["status"] == "Rejected"

    _, effects = station.station.exchange.ask(lambda _now: 1 / 0, station.now)  # a core that forgot is told again
    station._do(effects)
    station.advance(10)
    assert station.station.connectors.status(1, 1) == "Faulted"

    station.evse(1).fault(Fault.CONTACTOR_WELDED, on=False)
    station.evse(1).unplug()
    station.advance(70)
    assert statuses(station)[-1] == "Available"


@pytest.mark.req("E02.FR.17")
def test_one_that_does_not_close_suspends_on_the_station_s_side(tmp_path: Path) -> None:
    """It is not the vehicle that does not charge; when the contactor closes after all, it goes on."""
    station = bench(tmp_path, "PowerPathClosed", "EVConnected,Authorized")
    station.evse(1).plug_in(charge=False)
    station.evse(1).fault(Fault.CONTACTOR_OPEN)
    station.evse(1).present_token(CARD)
    station.evse(1).ev("charge")
    station.advance(60)

    assert told(station)[-1].endswith("/SuspendedEVSE")
    assert "SuspendedEV" not in {line.rsplit("/", 1)[-1] for line in told(station)}

    station.evse(1).fault(Fault.CONTACTOR_OPEN, on=False)
    station.advance(70)
    assert told(station)[-1].endswith("/Charging")
