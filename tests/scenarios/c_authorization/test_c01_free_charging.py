"""A station without authorization: who plugs in charges, and the transaction says that nobody was identified (C01)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.bench import Bench

NOBODY = {"idToken": "", "type": "NoAuthorization"}
POINTS = {"TxCtrlr.TxStartPoint": "PowerPathClosed", "TxCtrlr.TxStopPoint": "EVConnected,Authorized"}


def station(path: Path, enabled: str = "false", **more: Any) -> Bench:
    return Bench(path, variables={**POINTS, "AuthCtrlr.Enabled": enabled}, **more)


def test_a_vehicle_charges_as_soon_as_it_is_plugged_in(tmp_path: Path) -> None:
    bench = station(tmp_path)

    bench.evse(1).plug_in()
    bench.advance(seconds=10)

    assert bench.evse(1).charging
    assert bench.csms.received("Authorize") == []
    assert [event["idToken"] for event in bench.events() if "idToken" in event] == [NOBODY]
    bench.evse(1).unplug()
    bench.advance(seconds=5)
    assert bench.events()[-1]["eventType"] == "Ended"


def test_offline_too(tmp_path: Path) -> None:
    bench = station(tmp_path)
    bench.csms.disconnect()

    bench.evse(1).plug_in()
    bench.advance(seconds=10)

    assert bench.evse(1).charging


def test_what_the_csms_stopped_does_not_start_again_before_the_next_plug(tmp_path: Path) -> None:
    bench = station(tmp_path)
    bench.evse(1).plug_in()
    bench.advance(seconds=10)
    running = bench.events()[0]["transactionInfo"]["transactionId"]

    bench.csms.call("RequestStopTransaction", {"transactionId": running})
    bench.advance(hours=1)
    assert not bench.evse(1).contactor_closed

    bench.evse(1).unplug()
    bench.evse(1).plug_in()
    bench.advance(seconds=10)
    assert bench.evse(1).charging


def test_an_evse_out_of_service_charges_nobody_until_it_is_back(tmp_path: Path) -> None:
    bench = station(tmp_path)
    bench.csms.call("ChangeAvailability", {"operationalStatus": "Inoperative", "evse": {"id": 1}})
    bench.evse(1).plug_in()
    bench.advance(minutes=1)
    assert not bench.evse(1).contactor_closed

    bench.csms.call("ChangeAvailability", {"operationalStatus": "Operative", "evse": {"id": 1}})
    bench.advance(seconds=10)

    assert bench.evse(1).charging


def test_before_the_registration_nobody_charges(tmp_path: Path) -> None:
    bench = station(tmp_path, connected=False)
    bench.evse(1).plug_in()
    bench.advance(minutes=1)
    assert not bench.evse(1).contactor_closed

    bench.csms.connect()
    bench.advance(seconds=10)

    assert bench.evse(1).charging


def test_it_goes_on_after_a_power_cut(tmp_path: Path) -> None:
    bench = station(tmp_path)
    bench.evse(1).plug_in()
    bench.advance(seconds=30)

    bench.crash()
    bench.advance(seconds=30)

    assert bench.evse(1).charging
    assert [event["eventType"] for event in bench.events() if event["eventType"] != "Updated"] == [
        "Started",
        "Ended",
        "Started",
    ]


def test_whoever_waits_is_served_when_authorization_is_switched_off(tmp_path: Path) -> None:
    bench = station(tmp_path, enabled="true")
    bench.evse(1).plug_in()
    bench.advance(minutes=1)
    assert not bench.evse(1).contactor_closed

    setting = {
        "attributeValue": "false",
        "component": {"name": "AuthCtrlr"},
        "variable": {"name": "Enabled"},
    }
    bench.csms.call("SetVariables", {"setVariableData": [setting]})
    bench.advance(seconds=10)

    assert bench.evse(1).charging


@pytest.mark.parametrize("plugged_first", [True, False])
def test_one_reader_for_several_evses_does_not_matter(tmp_path: Path, *, plugged_first: bool) -> None:
    """A token presented first is the token of whoever plugs in next."""
    bench = station(tmp_path)
    if plugged_first:
        bench.evse(2).plug_in()
        bench.swipe("04AABBCC")
    else:
        bench.swipe("04AABBCC")
        bench.evse(2).plug_in()
    bench.advance(seconds=10)

    token = next(event["idToken"]["idToken"] for event in bench.events() if "idToken" in event)
    assert token == ("" if plugged_first else "04AABBCC")
    assert bench.evse(2).charging
