"""What the tests of firmware updates share: a manufacturer who signs, the request, and how jobs end.

Certificates and signatures are judged by the real code; servers and installers are played.
"""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.throwaway import Key, Wish
from station.block import Job
from station.blocks.firmware.jobs import (
    ConfirmFirmware,
    DownloadFirmware,
    FirmwareConfirmed,
    FirmwareDownloaded,
    FirmwareInstalled,
    InstallFirmware,
    Outcome,
    VerifyFirmware,
)
from station.commands import firmware
from tests.bench import Bench
from tests.scenarios.m_certificates.roots import ALWAYS, MANUFACTURER, root

LOCATION = "https://files.example/firmware/2.bin"
IMAGE = b"firmware 2.0 " * 1000
CODE_SIGNING = x509.Extension(
    ExtendedKeyUsageOID.CODE_SIGNING,
    critical=False,
    value=x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]),
)


class Manufacturer:
    """Signs firmware. `trusts`: makes a station believe in this manufacturer's root."""

    def __init__(self, folder: Path, key: Key | None = None, name: str = "Manufacturer") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.root = root(folder, name)
        self.certificate = self.signer(Wish(valid=ALWAYS, key=self.key, extensions=(CODE_SIGNING,)))

    def signer(self, wish: Wish) -> str:
        """A certificate by this manufacturer."""
        return self.root.issue("Firmware signer", wish).pem

    def sign(self, content: bytes = IMAGE) -> str:
        """As UpdateFirmware carries it."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
            return base64.b64encode(self.key.sign(content, pss, hashes.SHA256())).decode()
        return base64.b64encode(self.key.sign(content, ec.ECDSA(hashes.SHA256()))).decode()

    def is_trusted_by(self, bench: Bench) -> None:
        """Its root is installed."""
        bench.roots._store.add(MANUFACTURER, self.root.root_pem)


def told(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def wish(  # noqa: PLR0913 - by keyword, what a test wants different
    bench: Bench,
    maker: Manufacturer | None,
    request_id: int = 1,
    *,
    retrieve_h: float = -2,
    install_h: float | None = None,
    firmware: dict[str, str] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """An UpdateFirmwareRequest. `maker` None: unsigned. The times are in hours from now."""
    given = {"location": LOCATION, "retrieveDateTime": told(bench.utc + timedelta(hours=retrieve_h))}
    if install_h is not None:
        given["installDateTime"] = told(bench.utc + timedelta(hours=install_h))
    if maker is not None:
        given |= {"signingCertificate": maker.certificate, "signature": maker.sign()}
    return {"requestId": request_id, "firmware": {**given, **(firmware or {})}, **more}


def update(bench: Bench, maker: Manufacturer | None, request_id: int = 1, **more: Any) -> dict[str, Any]:
    """UpdateFirmware as `wish` says; gives the answer."""
    return bench.csms.call("UpdateFirmware", wish(bench, maker, request_id, **more))


def statuses(bench: Bench, request_id: int = 1) -> list[str]:
    """What was told of an update; nothing else may have been told without its id."""
    notifications = bench.csms.received("FirmwareStatusNotification")
    assert all("requestId" in each for each in notifications if each["status"] != "Idle")
    return [each["status"] for each in notifications if each.get("requestId") == request_id]


def events(bench: Bench) -> list[str]:
    """The types of security events that were told, of those about firmware."""
    types = [each["type"] for each in bench.csms.received("SecurityEventNotification")]
    return [each for each in types if "Firmware" in each]


def waits(bench: Bench, kind: type[Job]) -> bool:
    """Whether a job of this kind runs."""
    return any(isinstance(each.job, kind) for each in bench.jobs)


def downloaded(bench: Bench, content: bytes = IMAGE, reason: str = "") -> None:
    """An attempt has ended: with this file, or for this reason with none."""
    started = bench.job(DownloadFirmware)
    assert isinstance(started.job, DownloadFirmware)
    path = bench.path / "firmware" / started.job.file
    if not reason:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    bench.job_done(started, FirmwareDownloaded(file=started.job.file, reason=reason))


def verified(bench: Bench) -> None:
    """The signature has been looked at."""
    started = bench.job(VerifyFirmware)
    assert isinstance(started.job, VerifyFirmware)
    bench.job_done(started, firmware.verify(started.job, bench.path / "firmware" / started.job.file))


def installed(bench: Bench, outcome: Outcome = "restart") -> None:
    """The installer has done its work."""
    started = bench.job(InstallFirmware)
    assert isinstance(started.job, InstallFirmware)
    bench.job_done(started, FirmwareInstalled(file=started.job.file, outcome=outcome, reason="the test says so"))


def confirmed(bench: Bench, reason: str = "") -> None:
    """The installer has said whether the new firmware runs."""
    started = bench.job(ConfirmFirmware)
    assert isinstance(started.job, ConfirmFirmware)
    bench.job_done(started, FirmwareConfirmed(file=started.job.file, reason=reason))


def status_of(bench: Bench, evse_id: int) -> str:
    """The last StatusNotification of an EVSE's connector."""
    told_so_far = [each for each in bench.csms.received("StatusNotification") if each["evseId"] == evse_id]
    last: str = told_so_far[-1]["connectorStatus"]
    return last


def trigger(bench: Bench) -> dict[str, Any]:
    """TriggerMessage for the status, and what it brings."""
    bench.csms.forget()
    assert bench.csms.call("TriggerMessage", {"requestedMessage": "FirmwareStatusNotification"})["status"] == "Accepted"
    bench.settle()
    (only,) = bench.csms.received("FirmwareStatusNotification")
    return only
