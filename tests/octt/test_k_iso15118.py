"""The OCA's test cases of block K with vehicles that speak ISO 15118 (part 6, 2.12 and 2.18 with their errata).

The simulated vehicle answers an offer with its own charging profile.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bench import Bench
from tests.octt.session import Session
from tests.octt.test_k import DEVIATION_S, each_unit, profile
from tests.scenarios.profiles import TX, ago, ahead, put

Payload = dict[str, Any]
Make = Callable[..., Bench]
EVCC = "0A1B2C3D4E5F"


class Vehicle(Session):
    """A driver whose vehicle speaks ISO 15118; it charges once it has been offered a schedule."""

    def plug(self, *, charge: bool = True) -> None:
        """It is connected, and asks for no energy yet."""
        del charge
        self.is_connected = True
        self._owed |= {"evse": {"id": self.evse, "connectorId": 1}}
        self.bench.evse(self.evse).plug_in(charge=False, evcc_id=EVCC)
        self.bench.advance(2)

    def state_needs(self) -> None:
        """The manual action: the charging limits are (re)negotiated by the vehicle."""
        self.bench.world.state_needs(self.evse)
        self.bench.settle()

    def charge(self) -> None:
        """With a schedule in hand it asks for energy."""
        self.bench.evse(self.evse).ev("charge")
        self.bench.advance(15)


@pytest.fixture
def connected(tmp_path: Path) -> Vehicle:
    """State is Authorized (local), then EVConnectedPreSession."""
    vehicle = Vehicle(Bench(tmp_path, variables={"TxCtrlr.TxStartPoint": "Authorized"}))
    vehicle.authorized()
    vehicle.ev_connected_pre_session()
    return vehicle


def sent(vehicle: Vehicle, action: str) -> list[Payload]:
    """The messages of one action, all of this EVSE."""
    found = vehicle.bench.csms.received(action)
    assert {each["evseId"] for each in found} <= {1}
    return found


def set_limit(vehicle: Vehicle, unit: str, amperes: float, **more: Any) -> str:
    """SetChargingProfile for the transaction."""
    of_tx = {"purpose": TX, "transactionId": vehicle.transaction_id, **more}
    return put(vehicle.bench, profile(unit, (0, amperes), **of_tx), 1)


def renegotiated(vehicle: Vehicle, unit: str) -> None:
    """RenegotiateChargingLimits."""
    vehicle.state_needs()
    (needs,) = sent(vehicle, "NotifyEVChargingNeeds")
    assert "acChargingParameters" in needs["chargingNeeds"]
    assert set_limit(vehicle, unit, 10, duration=300) == "Accepted"
    (schedule,) = sent(vehicle, "NotifyEVChargingSchedule")
    assert schedule["chargingSchedule"]["chargingSchedulePeriod"][0] == {"startPeriod": 0, "limit": 10.0}
    vehicle.charge()
    told = vehicle.unread()
    assert told[-1]["transactionInfo"]["chargingState"] == "Charging"
    assert vehicle.bench.world.evse(1).current_a == 10.0
    for event in told:
        vehicle._read(event)
    vehicle.bench.csms.forget()


@pytest.mark.octt("TC_K_53_CS")
@pytest.mark.req("K15.FR.01", "K15.FR.06", "K15.FR.10")
@each_unit
def test_tc_k_53_cs_negotiated(connected: Vehicle, unit: str) -> None:
    renegotiated(connected, unit)


@pytest.mark.octt("TC_K_54_CS")
@pytest.mark.req("K15.FR.01")
def test_tc_k_54_cs_rejected(connected: Vehicle) -> None:
    connected.bench.csms.on("NotifyEVChargingNeeds", {"status": "Rejected"})

    connected.state_needs()

    assert len(sent(connected, "NotifyEVChargingNeeds")) == 1
    assert len(sent(connected, "NotifyEVChargingSchedule")) == 1
    connected.charge()
    assert connected.unread()[-1]["triggerReason"] == "ChargingStateChanged"
    assert connected.unread()[-1]["transactionInfo"]["chargingState"] == "Charging"


@pytest.mark.octt("TC_K_56_CS")
@pytest.mark.req("K15.FR.15", "K17.FR.15")
@each_unit
def test_tc_k_56_cs_offline(connected: Vehicle, unit: str) -> None:
    bench = connected.bench
    start = ago(bench, DEVIATION_S)
    bounds = {"validFrom": start, "validTo": ahead(bench, 401 + DEVIATION_S), "start": start, "duration": 400}
    assert put(bench, profile(unit, **bounds), 1) == "Accepted"

    bench.csms.disconnect()
    connected.state_needs()
    connected.charge()
    bench.advance(90)
    assert bench.world.evse(1).current_a == 6.0
    bench.csms.connect()
    bench.advance(10)

    (event,) = [each for each in connected.unread() if each["transactionInfo"].get("chargingState") == "Charging"]
    assert (event["triggerReason"], event["offline"]) == ("ChargingStateChanged", True)


@pytest.mark.octt("TC_K_57_CS")
@pytest.mark.req("K17.FR.01", "K17.FR.06", "K17.FR.10")
@each_unit
def test_tc_k_57_cs_renegotiated_by_the_vehicle(connected: Vehicle, unit: str) -> None:
    renegotiated(connected, unit)

    connected.state_needs()
    assert len(sent(connected, "NotifyEVChargingNeeds")) == 1
    assert set_limit(connected, unit, 15) == "Accepted"

    (schedule,) = sent(connected, "NotifyEVChargingSchedule")
    assert schedule["chargingSchedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 15.0}]
    connected.bench.advance(10)
    connected.next(eventType="Updated", triggerReason="ChargingRateChanged")
    assert connected.bench.world.evse(1).current_a == 15.0


@pytest.mark.octt("TC_K_58_CS")
@pytest.mark.req("K16.FR.01", "K16.FR.05", "K16.FR.09", "K16.FR.11")
@each_unit
def test_tc_k_58_cs_renegotiated_by_the_csms(connected: Vehicle, unit: str) -> None:
    renegotiated(connected, unit)

    assert set_limit(connected, unit, 8) == "Accepted"

    assert sent(connected, "NotifyEVChargingNeeds") == []
    (schedule,) = sent(connected, "NotifyEVChargingSchedule")
    assert schedule["chargingSchedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 8.0}]
    connected.bench.advance(10)
    connected.next(eventType="Updated", triggerReason="ChargingRateChanged")
    assert connected.bench.world.evse(1).current_a == 8.0
