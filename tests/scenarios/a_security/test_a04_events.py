"""A04: security events are logged, and the critical ones are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from device_model.build import Equipment
from station.facts import ClockStepped, Fact, LinkLost, SecurityEventOccurred, SensorRead, StoreDegraded
from station.inputs import Happened
from tests.bench import Bench
from tests.scenarios.variables import put


def events(bench: Bench) -> list[tuple[str, str]]:
    return [(e["type"], e.get("techInfo", "")) for e in bench.csms.received("SecurityEventNotification")]


def happen(bench: Bench, *facts: Fact) -> None:
    bench._do(bench.station.exchange.give(Happened(facts), bench.now))
    bench.settle()


def occur(bench: Bench, kind: str, info: str = "") -> None:
    happen(bench, SecurityEventOccurred(type=kind, tech_info=info))


@pytest.mark.req("A04.FR.01")
@pytest.mark.parametrize(
    "kind",
    [
        "FirmwareUpdated",
        "SecurityLogWasCleared",
        "MemoryExhaustion",
        "TamperDetectionActivated",
        "InvalidFirmwareSignature",
        "InvalidFirmwareSigningCertificate",
        "InvalidCsmsCertificate",
        "InvalidChargingStationCertificate",
        "InvalidTLSVersion",
        "InvalidTLSCipherSuite",
        "MaintenanceLoginAccepted",
        "MaintenanceLoginFailed",
    ],
)
def test_a_critical_event_is_told(bench: Bench, kind: str) -> None:
    bench.csms.forget()
    bench.advance(minutes=1)

    occur(bench, kind, "what was seen")

    (told,) = bench.csms.received("SecurityEventNotification")
    assert told == {"type": kind, "timestamp": bench.utc.strftime("%Y-%m-%dT%H:%M:%SZ"), "techInfo": "what was seen"}


@pytest.mark.parametrize("kind", ["InvalidMessages", "AttemptedReplayAttacks", "FailedToAuthenticateAtCsms"])
def test_any_other_event_is_logged_only(bench: Bench, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    bench.csms.forget()

    occur(bench, kind)

    assert events(bench) == []
    assert [r.__dict__["type"] for r in caplog.records if r.message == "security.event"][-1] == kind


@pytest.mark.req("A04.FR.01")
@pytest.mark.parametrize("reason, kind", [("PowerUp", "StartupOfTheDevice"), ("Watchdog", "ResetOrReboot")])
def test_each_start_is_one_event(tmp_path: Path, reason: str, kind: str) -> None:
    """With the time of the start, told once however often the link is made."""
    bench = Bench(tmp_path, connected=False, found_boot_reason=reason)
    started = bench.utc
    bench.advance(minutes=10)

    for _ in range(3):
        bench.csms.connect()
        bench.advance(minutes=1)
        bench.csms.disconnect()
        bench.advance(minutes=1)

    (told,) = bench.csms.received("SecurityEventNotification")
    assert (told["type"], told["techInfo"]) == (kind, reason)
    assert told["timestamp"] == started.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.req("A04.FR.01")
def test_a_restart_that_was_ordered_is_a_reset(bench: Bench) -> None:
    bench.csms.forget()

    bench.csms.call("Reset", {"type": "Immediate"})
    bench.settle()

    assert events(bench) == [("ResetOrReboot", "RemoteReset")]


@pytest.mark.req("A04.FR.02")
def test_an_event_is_delivered_whatever_happens_meanwhile(bench: Bench) -> None:
    """Offline, two power cuts, a CSMS that answers with errors: it still arrives."""
    bench.csms.disconnect()
    occur(bench, "TamperDetectionActivated")
    bench.crash()
    bench.crash()
    bench.csms.forget()
    bench.csms.error("SecurityEventNotification")
    bench.csms.connect()
    bench.advance(hours=3)

    bench.csms.forget()
    bench.csms.default("SecurityEventNotification")
    bench.advance(hours=2)

    arrived = [each["type"] for each in bench.csms.transmissions("SecurityEventNotification")]
    assert "TamperDetectionActivated" in arrived
    bench.csms.forget()
    bench.advance(hours=6)
    assert events(bench) == []


@pytest.mark.parametrize(
    "seconds, told", [(20, []), (-21, ["by -21 s, told by NTP"]), (3600, ["by +3600 s, told by NTP"])]
)
@pytest.mark.req("A04.FR.01")
def test_a_clock_that_jumps_is_an_event(bench: Bench, seconds: int, told: list[str]) -> None:
    """Beyond TimeAdjustmentReportingThreshold (20 s), in either direction."""
    bench.csms.forget()

    happen(bench, ClockStepped(by_s=seconds, source="NTP"))

    assert events(bench) == [("SettingSystemTime", each) for each in told]


def test_a_frame_that_is_none_is_an_event_of_the_log(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.csms.valid_answers = False
    bench.csms.send_text("{this is no frame")

    assert [r.__dict__["type"] for r in caplog.records if r.message == "security.event"] == ["InvalidMessages"]
    assert events(bench) == [("StartupOfTheDevice", "PowerUp")]


@pytest.mark.req("A00.FR.310", "A00.FR.316", "A00.FR.323", "A00.FR.413", "A00.FR.419", "A00.FR.426")
@pytest.mark.parametrize(
    "kind, event",
    [
        ("tls_certificate", "InvalidCsmsCertificate"),
        ("tls_version", "InvalidTLSVersion"),
        ("tls_cipher", "InvalidTLSCipherSuite"),
    ],
)
def test_a_server_that_is_wrong_is_one_event_for_each_series(bench: Bench, kind: str, event: str) -> None:
    """A thousand failed attempts are one event; after a good connection the next failure is news."""
    bench.csms.forget()
    for _ in range(2):
        bench.csms.disconnect()
        for _ in range(50):
            happen(bench, LinkLost(kind=kind, detail="seen", was_up=False))
            bench.advance(seconds=30)
        bench.csms.connect()
        bench.advance(seconds=5)

    assert events(bench) == [(event, "seen")] * 2


def test_a_flood_of_events_is_cut(bench: Bench) -> None:
    """Ten an hour of one kind; what was cut is counted in the next that passes; other kinds are not held back."""
    bench.csms.forget()

    for _ in range(500):
        occur(bench, "TamperDetectionActivated", "shaken")
        bench.advance(seconds=2)
    occur(bench, "MemoryExhaustion")
    assert events(bench) == [("TamperDetectionActivated", "shaken")] * 10 + [("MemoryExhaustion", "")]

    bench.advance(hours=1)
    occur(bench, "TamperDetectionActivated", "shaken")
    assert events(bench)[-1] == ("TamperDetectionActivated", "shaken (490 more since the last)")


def test_a_long_text_is_cut_to_what_fits(bench: Bench) -> None:
    bench.csms.forget()

    occur(bench, "TamperDetectionActivated", "x" * 1000)

    (told,) = bench.csms.received("SecurityEventNotification")
    assert len(told["techInfo"]) == 255


def test_nothing_that_others_say_draws_on_a_screen(bench: Bench) -> None:
    """The names of a certificate, the text of a server: whoever reads the log by a terminal sees them and no more."""
    bench.csms.forget()

    occur(bench, "InvalidCsmsCertificate", "CN=\x1b[2Ja\r\nb\x00\u202ec")

    shown = "CN= [2Ja  b  c"
    assert events(bench) == [("InvalidCsmsCertificate", shown)]
    assert bench.station.security_log.entries()[-1].info == shown


def test_a_password_that_the_csms_refuses_is_noted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The former one works; the operator finds the cause in the log."""
    bench = Bench(tmp_path, variables={"SecurityCtrlr.BasicAuthPassword": "the-old-password-1"})
    bench.password = "the-old-password-1"
    element: dict[str, Any] = {
        "component": {"name": "SecurityCtrlr"},
        "variable": {"name": "BasicAuthPassword"},
        "attributeValue": "the-new-password-2",
    }

    bench.csms.call("SetVariables", {"setVariableData": [element]})

    assert "FailedToAuthenticateAtCsms" in [r.__dict__.get("type") for r in caplog.records]


@pytest.mark.req("A04.FR.04")
def test_every_event_is_in_the_security_log_whether_or_not_the_csms_is_told(bench: Bench) -> None:
    bench.advance(minutes=1)

    occur(bench, "InvalidMessages", "odd")
    occur(bench, "TamperDetectionActivated", "door")

    log = bench.station.security_log
    assert [(each.type, each.info) for each in log.entries()][-2:] == [
        ("InvalidMessages", "odd"),
        ("TamperDetectionActivated", "door"),
    ]
    assert log.entries()[-1].at == bench.utc.timestamp()
    bench.crash()
    entries = bench.station.security_log.entries()
    assert [each.type for each in entries][-3:-1] == ["InvalidMessages", "TamperDetectionActivated"]
    assert bench.station.security_log.flaw() is None


# --- the events of the appendix that happen elsewhere: where they begin


def opened(bench: Bench, value: str = "true") -> None:
    """The case's switch tells its state."""
    happen(bench, SensorRead(component="CaseAccessSensor", variable="Tripped", value=value, at=bench.now.instant))


def test_a_case_that_is_opened_is_told(tmp_path: Path) -> None:
    """Each time, and once."""
    bench = Bench(tmp_path, layout={"equipment": (Equipment("CaseAccessSensor"),)})
    bench.csms.forget()

    for value in ("false", "true", "true", "false", "true"):
        opened(bench, value)

    assert events(bench) == [("TamperDetectionActivated", "CaseAccessSensor of the station")] * 2


def test_a_sensor_that_is_switched_off_tells_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, layout={"equipment": (Equipment("CaseAccessSensor"),)})
    assert put(bench, "CaseAccessSensor.Enabled", "false") == "Accepted"
    bench.csms.forget()

    opened(bench)

    assert events(bench) == []


def test_a_disk_that_takes_no_writes_is_told(bench: Bench) -> None:
    bench.csms.forget()

    happen(bench, StoreDegraded(kind="FULL"))

    assert events(bench) == [("MemoryExhaustion", "the disk takes no writes: FULL")]


def logged(bench: Bench) -> list[str]:
    return [e.info for e in bench.station.security_log.entries() if e.type == "ReconfigurationOfSecurityParameters"]


def test_what_the_csms_changes_of_the_stations_security_is_in_the_log(bench: Bench) -> None:
    """Variables of SecurityCtrlr, network profiles, their order; nothing else, and of the password not its content."""
    put(bench, "SecurityCtrlr.OrganizationName", "Somebody")
    put(bench, "OCPPCommCtrlr.OfflineThreshold", "77")
    put(bench, "SecurityCtrlr.BasicAuthPassword", "a-password-of-16")
    profile = {
        "ocppVersion": "OCPP20",
        "ocppTransport": "JSON",
        "ocppCsmsUrl": "ws://other.example/ocpp",
        "messageTimeout": 30,
        "securityProfile": 1,
        "ocppInterface": "Wired0",
    }
    bench.csms.call("SetNetworkProfile", {"configurationSlot": 1, "connectionData": profile})
    put(bench, "OCPPCommCtrlr.NetworkConfigurationPriority", "0,1")

    assert logged(bench) == [
        "OrganizationName Somebody",
        "BasicAuthPassword",
        "network profile 1: ws://other.example/ocpp, security profile 1",
        "NetworkConfigurationPriority 0,1",
    ]


def test_a_security_log_that_is_gone_is_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path, security_log_lost=True)

    assert [kind for kind, _ in events(bench)] == ["StartupOfTheDevice", "SecurityLogWasCleared"]
