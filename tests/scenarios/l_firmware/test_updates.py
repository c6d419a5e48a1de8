"""L01, L02: what may come between the request and the new firmware."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.throwaway import Wish
from station.blocks.firmware.block import MOST_ATTEMPTS
from station.blocks.firmware.jobs import (
    ConfirmFirmware,
    DownloadFirmware,
    FirmwareConfirmed,
    InstallFirmware,
    SignerJudged,
    VerifyFirmware,
)
from station.blocks.firmware.terms import FirmwareTerms
from tests.bench import Bench
from tests.scenarios.l_firmware.updates import (
    IMAGE,
    Manufacturer,
    confirmed,
    downloaded,
    events,
    installed,
    status_of,
    statuses,
    trigger,
    update,
    verified,
    waits,
)
from tests.scenarios.m_certificates.roots import ALWAYS

CARD = "04A1B2C3"
FETCHED = ["Downloading", "Downloaded", "SignatureVerified"]


@pytest.fixture
def maker(tmp_path: Path) -> Manufacturer:
    return Manufacturer(tmp_path / "maker")


@pytest.fixture
def bench(tmp_path: Path, maker: Manufacturer) -> Bench:
    return made(tmp_path, maker)


def made(path: Path, maker: Manufacturer | None = None, **terms: Any) -> Bench:
    bench = Bench(path, firmware=FirmwareTerms(**terms))
    if maker is not None:
        maker.is_trusted_by(bench)
    return bench


def charge(bench: Bench, evse_id: int = 1) -> None:
    bench.evse(evse_id).plug_in()
    bench.evse(evse_id).present_token(CARD)
    bench.advance(seconds=20)


def depart(bench: Bench, evse_id: int = 1) -> None:
    bench.evse(evse_id).present_token(CARD)
    bench.advance(seconds=10)
    bench.evse(evse_id).unplug()
    bench.advance(seconds=10)


# --- who may sign


@pytest.mark.req("L01.FR.04", "L01.FR.12")
def test_rsa_signs_by_pss(tmp_path: Path) -> None:
    maker = Manufacturer(tmp_path / "rsa", rsa.generate_private_key(65537, 3072))
    bench = made(tmp_path, maker)

    assert update(bench, maker)["status"] == "Accepted"
    downloaded(bench)
    verified(bench)

    assert statuses(bench)[:3] == FETCHED


@pytest.mark.req("L01.FR.03", "L01.FR.04")
def test_one_changed_bit_is_found(bench: Bench, maker: Manufacturer) -> None:
    update(bench, maker)
    downloaded(bench, IMAGE[:-1] + b"!")
    verified(bench)

    assert statuses(bench)[-1] == "InvalidSignature"
    assert events(bench) == ["InvalidFirmwareSignature"]


def purpose(oid: x509.ObjectIdentifier) -> x509.Extension[x509.ExtensionType]:
    return x509.Extension(oid=x509.ExtendedKeyUsage.oid, critical=False, value=x509.ExtendedKeyUsage([oid]))


@pytest.mark.req("L01.FR.02", "L01.FR.12", "L01.FR.21", "L01.FR.22")
@pytest.mark.parametrize("case", ["of another root", "expired", "too early", "for TLS", "rubbish", "the root itself"])
def test_a_certificate_that_may_not_sign_is_refused(
    bench: Bench, maker: Manufacturer, tmp_path: Path, case: str
) -> None:
    days = timedelta(days=1)
    certificates: dict[str, Callable[[], str]] = {
        "of another root": lambda: Manufacturer(tmp_path / "other", maker.key, "Other").certificate,
        "expired": lambda: maker.signer(Wish(valid=(-9000 * days, -8000 * days), key=maker.key)),
        "too early": lambda: maker.signer(Wish(valid=(8000 * days, 9000 * days), key=maker.key)),
        "for TLS": lambda: maker.signer(
            Wish(valid=ALWAYS, key=maker.key, extensions=(purpose(ExtendedKeyUsageOID.CLIENT_AUTH),))
        ),
        "rubbish": lambda: "rubbish",
        "the root itself": lambda: maker.root.root_pem,
    }

    answer = update(bench, maker, firmware={"signingCertificate": certificates[case]()})
    bench.settle()

    assert answer["status"] == "InvalidCertificate"
    assert events(bench) == ["InvalidFirmwareSigningCertificate"]
    assert not bench.jobs


@pytest.mark.req("L01.FR.02", "L01.FR.21")
def test_a_certificate_that_was_revoked_is_refused_by_that_name(
    bench: Bench, maker: Manufacturer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "station.commands.firmware.judge",
        lambda job, _roots: SignerJudged(update=job.update, by=job.by, reason="revoked (OCSP)", revoked=True),
    )

    answer = update(bench, maker)
    bench.settle()

    assert answer["status"] == "RevokedCertificate"
    assert events(bench) == ["InvalidFirmwareSigningCertificate"]
    assert not bench.jobs


@pytest.mark.req("L01.FR.21", "L01.FR.24")
def test_a_request_that_may_not_be_trusted_cancels_nothing(bench: Bench, maker: Manufacturer) -> None:
    update(bench, maker, 1)

    assert update(bench, maker, 2, firmware={"signingCertificate": "rubbish"})["status"] == "InvalidCertificate"

    downloaded(bench)
    assert statuses(bench, 1) == ["Downloading", "Downloaded"]


@pytest.mark.parametrize(
    "firmware, reason",
    [
        ({"location": "gopher://files.example/2.bin"}, "UnsupportedParam"),
        ({"location": "https://"}, "InvalidURL"),
    ],
)
def test_a_place_that_is_none_is_refused(
    bench: Bench, maker: Manufacturer, firmware: dict[str, str], reason: str
) -> None:
    answer = update(bench, maker, firmware=firmware)

    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", reason)


def test_without_an_installer_updates_are_not_built_in(tmp_path: Path) -> None:
    bench = Bench(tmp_path, firmware=None)

    error = bench.csms.refused(
        "UpdateFirmware",
        {"requestId": 1, "firmware": {"location": "https://a.example/b", "retrieveDateTime": "2026-01-01T00:00:00Z"}},
    )

    assert error.code == "NotImplemented"
    assert trigger(bench) == {"status": "Idle"}


# --- unsigned firmware, where it is allowed


@pytest.mark.req("L02.FR.01", "L02.FR.02", "L02.FR.06", "L02.FR.14", "L02.FR.20", "L02.FR.21")
def test_unsigned_firmware_is_installed_where_that_is_allowed(tmp_path: Path) -> None:
    bench = made(tmp_path, unsigned=True)

    assert update(bench, None, 3)["status"] == "Accepted"
    downloaded(bench)
    assert not waits(bench, VerifyFirmware)
    installed(bench)
    confirmed(bench)

    assert statuses(bench, 3) == ["Downloading", "Downloaded", "Installing", "InstallRebooting", "Installed"]
    assert bench.reboots == ["FirmwareUpdate"]


@pytest.mark.req("L02.FR.07", "L02.FR.10", "L02.FR.19")
def test_dates_and_retries_hold_for_unsigned_firmware_too(tmp_path: Path) -> None:
    bench = made(tmp_path, unsigned=True)

    update(bench, None, retrieve_h=1, install_h=2, retries=1, retryInterval=5)
    bench.advance(hours=1)
    downloaded(bench, reason="cut")
    bench.advance(seconds=5)
    downloaded(bench)
    assert statuses(bench) == ["DownloadScheduled", "Downloading", "Downloaded", "InstallScheduled"]
    bench.advance(hours=1)

    assert statuses(bench)[-1] == "Installing"
    update_that_fails = update(bench, None, 2, retries=0)
    assert (update_that_fails["status"], update_that_fails["statusInfo"]["reasonCode"]) == (
        "Rejected",
        "FwUpdateInProgress",
    )
    installed(bench, "failed")
    assert update(bench, None, 3, retries=0)["status"] == "Accepted"
    downloaded(bench, reason="404")
    assert statuses(bench, 3) == ["Downloading", "DownloadFailed"]


@pytest.mark.req("L02.FR.03", "L02.FR.04", "L02.FR.23")
def test_unsigned_firmware_waits_for_transactions_too(tmp_path: Path) -> None:
    bench = made(tmp_path, unsigned=True)
    charge(bench)

    update(bench, None)
    downloaded(bench)
    assert statuses(bench)[-1] == "InstallScheduled"
    assert [status_of(bench, number) for number in (1, 2)] == ["Occupied", "Unavailable"]
    depart(bench)

    assert statuses(bench)[-1] == "Installing"
    assert [status_of(bench, number) for number in (1, 2)] == ["Unavailable", "Unavailable"]


@pytest.mark.req("L02.FR.15", "L02.FR.16", "L02.FR.17")
def test_a_newer_request_takes_the_place_of_unsigned_firmware(tmp_path: Path) -> None:
    bench = made(tmp_path, unsigned=True)
    update(bench, None, 1)

    assert update(bench, None, 2)["status"] == "AcceptedCanceled"
    assert trigger(bench) == {"status": "Downloading", "requestId": 2}
    downloaded(bench)
    installed(bench)
    confirmed(bench)

    assert trigger(bench) == {"status": "Idle"}


# --- transactions


@pytest.mark.req("L01.FR.14", "L02.FR.08")
@pytest.mark.parametrize("signed", [True, False])
def test_a_download_makes_room_for_a_transaction_and_goes_on(
    tmp_path: Path, maker: Manufacturer, *, signed: bool
) -> None:
    bench = made(tmp_path, maker, while_charging="nothing", unsigned=True)
    allow = {"component": {"name": "ChargingStation"}, "variable": {"name": "AllowNewSessionsPendingFirmwareUpdate"}}
    bench.csms.call("SetVariables", {"setVariableData": [{**allow, "attributeValue": "true"}]})
    update(bench, maker if signed else None)
    job = bench.job(DownloadFirmware).job

    charge(bench)
    assert statuses(bench) == ["Downloading", "DownloadPaused"]
    assert not waits(bench, DownloadFirmware)
    depart(bench)

    assert statuses(bench) == ["Downloading", "DownloadPaused", "Downloading"]
    assert bench.job(DownloadFirmware).job == job


@pytest.mark.req("L01.FR.07", "L01.FR.33", "L02.FR.22")
def test_a_restart_that_puts_firmware_in_place_waits_for_transactions(tmp_path: Path, maker: Manufacturer) -> None:
    bench = made(tmp_path, maker, while_charging="install")
    charge(bench)

    update(bench, maker)
    downloaded(bench)
    verified(bench)
    assert status_of(bench, 2) == "Available"
    installed(bench, "restart")
    assert statuses(bench) == [*FETCHED, "Installing"]
    assert [status_of(bench, number) for number in (1, 2)] == ["Occupied", "Unavailable"]
    assert bench.reboots == []
    depart(bench)

    assert statuses(bench) == [*FETCHED, "Installing", "InstallRebooting"]
    assert bench.reboots == ["FirmwareUpdate"]


@pytest.mark.req("L01.FR.07")
def test_a_driver_who_was_plugged_in_already_may_still_show_the_card(tmp_path: Path, maker: Manufacturer) -> None:
    """The transaction began with the cable, so the update waits for it; nobody else may come meanwhile."""
    bench = Bench(tmp_path, variables={"TxCtrlr.TxStartPoint": "EVConnected"}, firmware=FirmwareTerms())
    maker.is_trusted_by(bench)
    bench.evse(1).plug_in()
    update(bench, maker)
    downloaded(bench)
    verified(bench)
    assert statuses(bench)[-1] == "InstallScheduled"

    bench.evse(1).present_token(CARD)
    bench.evse(2).present_token("04DDEEFF")
    bench.advance(seconds=20)

    assert bench.csms.received("TransactionEvent")[-1]["transactionInfo"]["chargingState"] == "Charging"
    assert [each["idToken"]["idToken"] for each in bench.csms.received("Authorize")] == [CARD]
    assert status_of(bench, 2) == "Unavailable"


def test_sessions_may_begin_again_when_the_csms_allows_them(bench: Bench, maker: Manufacturer) -> None:
    charge(bench)
    update(bench, maker)
    downloaded(bench)
    verified(bench)
    assert status_of(bench, 2) == "Unavailable"

    allow = {"component": {"name": "ChargingStation"}, "variable": {"name": "AllowNewSessionsPendingFirmwareUpdate"}}
    bench.csms.call("SetVariables", {"setVariableData": [{**allow, "attributeValue": "true"}]})
    bench.settle()

    assert status_of(bench, 2) == "Available"


@pytest.mark.req("B11.FR.06", "L01.FR.27", "L02.FR.18")
def test_while_the_firmware_is_changed_nothing_comes_in_between(bench: Bench, maker: Manufacturer) -> None:
    update(bench, maker, 1)
    downloaded(bench)
    verified(bench)
    assert waits(bench, InstallFirmware)

    reset = bench.csms.call("Reset", {"type": "Immediate"})
    another = update(bench, maker, 2)

    for answer in (reset, another):
        assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "FwUpdateInProgress")
    assert bench.reboots == []
    installed(bench)
    assert bench.reboots == ["FirmwareUpdate"]


# --- restarts


@pytest.mark.req("L01.FR.15", "L02.FR.09")
def test_an_installation_may_need_a_restart_first(bench: Bench, maker: Manufacturer) -> None:
    update(bench, maker)
    downloaded(bench)
    verified(bench)

    installed(bench, "again")
    assert statuses(bench) == [*FETCHED, "Installing", "InstallRebooting", "Installing"]
    installed(bench, "restart")
    confirmed(bench)

    assert statuses(bench)[-2:] == ["InstallRebooting", "Installed"]
    assert bench.reboots == ["FirmwareUpdate"] * 2


def test_a_machine_that_goes_back_to_its_old_firmware_says_so(bench: Bench, maker: Manufacturer) -> None:
    update(bench, maker)
    downloaded(bench)
    verified(bench)
    installed(bench)

    confirmed(bench, "version 1.0 runs")

    assert statuses(bench)[-1] == "InstallVerificationFailed"
    assert events(bench) == []


@pytest.mark.req("L01.FR.29")
def test_firmware_that_the_csms_never_accepts_is_left_again(tmp_path: Path, maker: Manufacturer) -> None:
    """The installer is asked late, and what it says is told by the firmware before, after one more restart."""
    bench = made(tmp_path, maker, healthy_within_s=600.0)
    update(bench, maker)
    downloaded(bench)
    verified(bench)
    bench.csms.on(
        "BootNotification", lambda _: {"status": "Pending", "interval": 60, "currentTime": bench.utc.isoformat()}
    )
    installed(bench)

    bench.advance(seconds=590)
    assert not waits(bench, ConfirmFirmware)
    bench.advance(seconds=30)
    started = bench.job(ConfirmFirmware)
    assert isinstance(started.job, ConfirmFirmware)
    assert started.job.late
    bench.csms.default("BootNotification")
    bench.job_done(started, FirmwareConfirmed(file=started.job.file, reason="given up", restart=True))
    bench.advance(minutes=2)

    assert bench.reboots == ["FirmwareUpdate"] * 2
    assert statuses(bench)[-1] == "InstallRebooting"
    confirmed(bench, "it does not run")
    assert statuses(bench)[-1] == "InstallVerificationFailed"


def test_firmware_that_is_accepted_in_time_is_not_asked_late(tmp_path: Path, maker: Manufacturer) -> None:
    bench = made(tmp_path, maker, healthy_within_s=600.0)
    update(bench, maker)
    downloaded(bench)
    verified(bench)
    installed(bench)

    started = bench.job(ConfirmFirmware)
    assert isinstance(started.job, ConfirmFirmware)
    assert not started.job.late
    bench.advance(seconds=900)
    confirmed(bench)

    assert statuses(bench)[-1] == "Installed"
    assert bench.reboots == ["FirmwareUpdate"]


def test_new_firmware_is_confirmed_when_the_csms_has_accepted_the_station(bench: Bench, maker: Manufacturer) -> None:
    update(bench, maker)
    downloaded(bench)
    verified(bench)
    bench.csms.on(
        "BootNotification", lambda _: {"status": "Pending", "interval": 60, "currentTime": bench.utc.isoformat()}
    )

    installed(bench)
    bench.advance(seconds=30)
    assert not waits(bench, ConfirmFirmware)
    bench.csms.default("BootNotification")
    bench.advance(minutes=2)

    assert waits(bench, ConfirmFirmware)


@pytest.mark.req("L01.FR.01", "L01.FR.10")
@pytest.mark.parametrize("phase", ["download", "verify", "wait", "install", "confirm"])
def test_an_update_outlives_a_power_cut_in_each_phase(tmp_path: Path, maker: Manufacturer, phase: str) -> None:
    """What was told is not told again, and what was done is not done again."""
    bench = made(tmp_path, maker, while_charging="install")
    update(bench, maker, 5, install_h=1)
    steps: dict[str, Callable[[], object]] = {
        "download": lambda: downloaded(bench),
        "verify": lambda: verified(bench),
        "wait": lambda: bench.advance(hours=1),
        "install": lambda: installed(bench),
        "confirm": lambda: confirmed(bench),
    }

    for name, step in steps.items():
        if name == phase:
            bench.crash()
            bench.advance(seconds=5)
        step()
        bench.advance(seconds=5)

    expected = [*FETCHED, "InstallScheduled", "Installing", "InstallRebooting", "Installed"]
    assert statuses(bench, 5) == expected
    assert events(bench) == ["FirmwareUpdated"]
    assert [status_of(bench, number) for number in (1, 2)] == ["Available", "Available"]


def test_a_power_cut_before_the_restart_is_one(tmp_path: Path, maker: Manufacturer) -> None:
    """The installer has done its work and a transaction runs: what the machine starts with is the new firmware."""
    bench = made(tmp_path, maker, while_charging="install")
    charge(bench)
    update(bench, maker)
    downloaded(bench)
    verified(bench)
    installed(bench)
    assert bench.reboots == []

    bench.crash()
    confirmed(bench)

    assert statuses(bench) == [*FETCHED, "Installing", "Installed"]
    assert bench.reboots == []


def test_an_installation_that_always_kills_the_machine_is_given_up(bench: Bench, maker: Manufacturer) -> None:
    update(bench, maker)
    downloaded(bench)
    verified(bench)

    crash_while_it_is_installed(bench)
    assert not waits(bench, InstallFirmware)
    confirmed(bench, "nothing is known of this update here")

    assert statuses(bench) == [*FETCHED, "Installing", "InstallationFailed"]
    assert status_of(bench, 1) == "Available"


@pytest.mark.req("L01.FR.28")
def test_an_installation_that_came_to_its_end_in_the_last_power_cut_counts(bench: Bench, maker: Manufacturer) -> None:
    """Its last attempt was ended between the new firmware's being in place and its being told so."""
    update(bench, maker)
    downloaded(bench)
    verified(bench)

    crash_while_it_is_installed(bench)
    confirmed(bench)

    assert statuses(bench) == [*FETCHED, "Installing", "Installed"]


def crash_while_it_is_installed(bench: Bench) -> None:
    """As often as it is begun."""
    for _ in range(MOST_ATTEMPTS):
        assert waits(bench, InstallFirmware)
        bench.crash()
    bench.advance(seconds=5)


def test_what_happened_offline_is_told_later(bench: Bench, maker: Manufacturer) -> None:
    update(bench, maker)
    bench.csms.disconnect()

    downloaded(bench)
    verified(bench)
    installed(bench, "failed")
    assert statuses(bench) == ["Downloading"]
    bench.csms.connect()
    bench.advance(seconds=10)

    assert statuses(bench) == [*FETCHED, "Installing", "InstallationFailed"]


@pytest.mark.req("F06.FR.16", "L01.FR.25", "L01.FR.26")
def test_who_asks_hears_the_last_status_until_it_is_installed(bench: Bench, maker: Manufacturer) -> None:
    assert trigger(bench) == {"status": "Idle"}
    update(bench, maker, 4, retries=0)
    downloaded(bench, reason="404")
    bench.crash()
    assert trigger(bench) == {"status": "DownloadFailed", "requestId": 4}

    update(bench, maker, 5)
    downloaded(bench)
    verified(bench)
    installed(bench)
    assert trigger(bench) == {"status": "InstallRebooting", "requestId": 5}
    confirmed(bench)

    assert trigger(bench) == {"status": "Idle"}


def test_a_job_that_never_ends_is_given_up(bench: Bench, maker: Manufacturer) -> None:
    update(bench, maker, retries=0)

    bench.advance(days=1, minutes=1)

    assert statuses(bench) == ["Downloading", "DownloadFailed"]
    assert not waits(bench, DownloadFirmware)


def test_what_is_not_needed_any_more_is_removed_from_the_table(bench: Bench, maker: Manufacturer) -> None:
    update(bench, maker, firmware={"location": "https://me:secret@files.example/2.bin"}, retries=0)
    downloaded(bench, reason="404")

    ((location, data),) = bench.database.execute("SELECT location, data FROM firmware_update").fetchall()
    assert location == ""
    assert b"CERTIFICATE" not in bytes(data)
