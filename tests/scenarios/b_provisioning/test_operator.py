"""A person at the station reads and sets its variables, and brings it back to the factory's state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from device_model.build import Equipment
from station.state.naming import named
from tests.bench import Bench
from tests.scenarios.variables import get, put

PASSWORD = "a new secret of the station"


def operate(bench: Bench, deed: Callable[[Any], Any]) -> Any:
    """Do something in a step of its own, as the control socket does."""
    told, effects = bench.station.exchange.ask(deed, bench.now)
    bench._do(effects)
    bench.settle()
    return told


def set_by_hand(bench: Bench, name: str, value: str) -> Any:
    return operate(bench, lambda now: bench.station.operator.set(named(name), value, now))


def read_by_hand(bench: Bench, name: str) -> Any:
    return operate(bench, lambda now: bench.station.operator.get(named(name), now))


def test_what_is_set_by_hand_counts_at_once_and_survives(bench: Bench) -> None:
    """As if the CSMS had set it."""
    told = set_by_hand(bench, "OCPPCommCtrlr.OfflineThreshold", "77")
    bench.crash()

    assert (told["status"], told["value"]) == ("Accepted", "77")
    assert get(bench, "OCPPCommCtrlr.OfflineThreshold") == "77"


@pytest.mark.parametrize(
    "name, value, why",
    [
        ("OCPPCommCtrlr.OfflineThreshold", "soon", "Rejected: not an integer"),
        ("OCPPCommCtrlr.OfflineThreshold", "-1", "Rejected: below 0"),
        ("ClockCtrlr.DateTime", "2026-01-01T00:00:00Z", "Rejected: read-only"),
        ("NoSuchCtrlr.X", "1", "UnknownComponent"),
        ("EVSE@7.Available", "1", "UnknownComponent"),
        ("OCPPCommCtrlr.X", "1", "UnknownVariable"),
        ("OCPPCommCtrlr.OfflineThreshold/MaxSet", "1", "NotSupportedAttributeType"),
        ("OCPPCommCtrlr.NetworkConfigurationPriority", "2", "Rejected: "),
    ],
)
def test_what_the_csms_may_not_set_nobody_may(bench: Bench, name: str, value: str, why: str) -> None:
    """Type, limits, mutability, names, and the vetoes of blocks."""
    before = operate(bench, lambda now: bench.station.operator.listed("", now))

    assert set_by_hand(bench, name, value).startswith(why)

    assert operate(bench, lambda now: bench.station.operator.listed("", now)) == before


def test_secrets_are_not_shown(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Neither to who lists them, nor in the log, and their change is a security event."""
    told = set_by_hand(bench, "SecurityCtrlr.BasicAuthPassword", PASSWORD)
    listed = operate(bench, lambda now: bench.station.operator.listed("password", now))

    assert told["value"] == "***"
    assert [each["value"] for each in listed if each["name"] == "SecurityCtrlr.BasicAuthPassword"] == ["***"]
    assert PASSWORD not in str([vars(record) for record in caplog.records])
    assert "ReconfigurationOfSecurityParameters" in [getattr(record, "type", "") for record in caplog.records]


def test_each_change_by_hand_is_logged(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Who, what, and to which value."""
    set_by_hand(bench, "OCPPCommCtrlr.OfflineThreshold", "77")

    (record,) = [vars(record) for record in caplog.records if record.message == "variable.set"]
    assert (record["by"], record["variable"], record["value"]) == ("operator", "OCPPCommCtrlr.OfflineThreshold", "77")


def test_every_attribute_is_listed_by_the_name_that_reads_it(tmp_path: Path) -> None:
    """Also those of EVSEs, connectors and instances."""
    bench = Bench(tmp_path, layout={"equipment": (Equipment("AirCoolingSystem", "Rear", evse_id=2),)})

    listed = operate(bench, lambda now: bench.station.operator.listed("", now))

    assert "AirCoolingSystem[Rear]@2.FanSpeed/MaxSet" in [each["name"] for each in listed]
    for each in listed:
        assert read_by_hand(bench, each["name"]) == each


@pytest.mark.parametrize("text", ["", "X", "X.", ".X", "X@.Y", "X@1.2.3.Y", "X[].Y", "X.Y/Most", "X@EVSE.Y"])
def test_a_name_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no variable"):
        named(text)


# --- the factory's state


def settled(bench: Bench) -> None:
    """A CSMS has set this and that."""
    assert put(bench, "OCPPCommCtrlr.OfflineThreshold", "77") == "Accepted"
    bench.csms.call("ChangeAvailability", {"operationalStatus": "Inoperative", "evse": {"id": 2}})
    token = {"idToken": {"idToken": "04AABBCC", "type": "ISO14443"}, "idTokenInfo": {"status": "Accepted"}}
    request = {"versionNumber": 3, "updateType": "Full", "localAuthorizationList": [token]}
    assert bench.csms.call("SendLocalList", request)["status"] == "Accepted"
    delta = {"component": {"name": "EVSE", "evse": {"id": 1}}, "variable": {"name": "AvailabilityState"}}
    monitor = {**delta, "value": 1.0, "type": "Delta", "severity": 5}
    bench.csms.call("SetVariableMonitoring", {"setMonitoringData": [monitor]})


def test_after_a_factory_reset_the_station_is_new(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Variables, orders, lists and monitors are gone; the CSMS hears of a local reset, the log of what was done."""
    bench = Bench(tmp_path, variables={"LocalAuthListCtrlr.Enabled": "true"})
    settled(bench)
    bench.csms.forget()

    told = operate(bench, bench.station.operator.factory_reset)

    assert {"variable", "inoperative", "local_list", "variable_monitor"} <= set(told["forgotten"])
    (boot,) = bench.csms.received("BootNotification")
    assert boot["reason"] == "LocalReset"
    assert get(bench, "OCPPCommCtrlr.OfflineThreshold") == "60"
    assert get(bench, "EVSE.AvailabilityState", evse=2) == "Available"
    assert bench.csms.call("GetLocalListVersion", {})["versionNumber"] == 0
    answer = bench.csms.call("GetMonitoringReport", {"requestId": 5})
    assert answer["status"] == "EmptyResultSet"
    assert [vars(r)["info"] for r in caplog.records if getattr(r, "type", "") == "ReconfigurationOfSecurityParameters"]
    caplog.clear()
    bench.crash()
    assert not [r for r in caplog.records if r.message == "station.factory_reset"]  # told once


def test_what_is_owed_outlives_a_factory_reset(tmp_path: Path) -> None:
    """No kilowatt-hour is forgotten, and no number is given twice."""
    bench = Bench(tmp_path)
    bench.evse(1).plug_in()
    bench.evse(1).present_token("04AABBCC")
    bench.advance(minutes=10)
    bench.csms.disconnect()
    bench.evse(1).unplug()
    bench.advance(minutes=1)

    operate(bench, bench.station.operator.factory_reset)
    bench.csms.connect()
    bench.advance(minutes=5)

    events = bench.events(0)
    assert events[-1]["eventType"] == "Ended"
    assert [event["seqNo"] for event in events] == list(range(len(events)))


def test_nobody_who_charges_is_cut_off(bench: Bench) -> None:
    """The reset is refused, and nothing is forgotten."""
    put(bench, "OCPPCommCtrlr.OfflineThreshold", "77")
    bench.evse(2).plug_in()
    bench.evse(2).present_token("04AABBCC")
    bench.advance(minutes=1)

    assert operate(bench, bench.station.operator.factory_reset) == "somebody is charging at EVSE 2"

    assert bench.reboots == []
    assert bench.evse(2).charging
    assert get(bench, "OCPPCommCtrlr.OfflineThreshold") == "77"


def test_a_stored_value_that_fits_no_more_is_kept_and_told_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Another image lacks the variable: it starts with its own default, and the next may know it again."""
    put(bench, "OCPPCommCtrlr.OfflineThreshold", "77")
    rename = "UPDATE variable SET variable = 'gone' WHERE variable = 'offlinethreshold'"
    bench.station.exchange.ask(lambda _: bench.database.execute(rename), bench.now)

    bench.crash()

    (stray,) = [vars(record) for record in caplog.records if record.message == "variable.stray"]
    assert (stray["variable"], stray["reason"]) == ("ocppcommctrlr.gone", "UnknownVariable")
    assert get(bench, "OCPPCommCtrlr.OfflineThreshold") == "60"
    back = "UPDATE variable SET variable = 'offlinethreshold' WHERE variable = 'gone'"
    bench.station.exchange.ask(lambda _: bench.database.execute(back), bench.now)
    bench.crash()
    assert get(bench, "OCPPCommCtrlr.OfflineThreshold") == "77"
