"""B03: the CSMS does not want this station. It is silent, and tries again when it was told to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import Bench

REPORT = {"requestId": 1, "reportBase": "FullInventory"}


def rejected(path: Path, *, interval: int = 300) -> Bench:
    bench = Bench(path, boot=False)
    bench.csms.on("BootNotification", {"status": "Rejected", "interval": interval})
    bench.boot()
    bench.csms.forget()
    return bench


@pytest.mark.req("B03.FR.02", "B03.FR.06")
def test_nothing_is_sent_until_the_interval_has_passed(tmp_path: Path) -> None:
    bench = rejected(tmp_path)

    bench.evse(1).plug_in()
    bench.evse(1).present_token("04AABBCC")
    bench.advance(seconds=299)
    assert bench.csms.actions() == []

    bench.advance(seconds=2)
    assert bench.csms.actions() == ["BootNotification"]


@pytest.mark.req("B03.FR.05")
def test_without_an_interval_the_station_has_its_own(tmp_path: Path) -> None:
    bench = rejected(tmp_path, interval=0)

    bench.advance(minutes=5, seconds=1)

    assert len(bench.csms.received("BootNotification")) == 5


@pytest.mark.parametrize("status", ["Rejected", "Pending"])
def test_no_csms_silences_a_station_for_longer_than_a_day(tmp_path: Path, status: str) -> None:
    """In false hands, or with milliseconds for seconds: a station that is rejected could not be called back."""
    bench = Bench(tmp_path, boot=False)
    bench.csms.on("BootNotification", {"status": status, "interval": 2**31 - 1})
    bench.boot()
    bench.csms.forget()

    bench.csms.default("BootNotification")
    bench.advance(hours=24, seconds=1)

    assert len(bench.csms.received("BootNotification")) == 1
    assert bench.station.registration.accepted


@pytest.mark.req("B03.FR.08")
@pytest.mark.parametrize(
    "action, payload",
    [
        ("GetBaseReport", REPORT),
        ("TriggerMessage", {"requestedMessage": "BootNotification"}),
        ("Reset", {"type": "Immediate"}),
        ("SetVariables", {"setVariableData": []}),
    ],
)
def test_a_call_of_the_csms_is_a_security_error(tmp_path: Path, action: str, payload: dict[str, object]) -> None:
    """Whatever it asks, and before its content is looked at; nothing follows from it."""
    bench = rejected(tmp_path)

    error = bench.csms.refused(action, payload, valid=False)

    assert error.code == "SecurityError"
    assert bench.csms.actions() == []
    assert bench.reboots == []


def test_once_accepted_all_is_forgiven(tmp_path: Path) -> None:
    """Status, security event, and CALLs of the CSMS are answered."""
    bench = rejected(tmp_path, interval=60)
    bench.csms.default("BootNotification")

    bench.advance(seconds=61)

    assert set(bench.csms.actions()) == {"BootNotification", "SecurityEventNotification", "StatusNotification"}
    assert bench.csms.call("GetBaseReport", REPORT)["status"] == "Accepted"
