"""Certificates of a configuration as a person checks them: who, until when, do key and names fit?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from cryptography.x509 import Certificate
from cryptography.x509.oid import NameOID

from certs import x509
from certs.errors import BadCertificate, CertsError, KeyUnavailable
from certs.tls import client_context
from certs.trust import TrustStore, certificates
from station.commands.findings import Finding, Grade
from station.commands.roots import of_file
from station.config import Config
from station.shell.network import Credentials
from station.state.certificates import CSMS_ROOT

SOON = timedelta(days=30)


def roots(config: Config) -> Iterator[Finding]:
    """The authorities that may certify the CSMS: those installed, and those of the file that will be."""
    csms = config.file.csms
    if csms.system_roots:
        yield Finding(Grade.OK, "csms roots", "those of the operating system")
    store = TrustStore(config.roots)
    found = list(x509.readable(certificates(store.bundle(CSMS_ROOT) + of_file(config, store))))
    if not found and not csms.system_roots:
        yield Finding(Grade.ERROR, "csms roots", "none that can be read", "give the authority's PEM file by `ca_file`")
    for certificate in found:
        yield _judged("csms root", certificate)


def own(config: Config, credentials: Credentials) -> Iterator[Finding]:
    """The station's own certificate: its time, its key, its names."""
    station, file = config.file.station, credentials.tls.chain
    if file is None:
        return
    try:
        chain = x509.load_chain(file.read_text("ascii", "replace"))
    except BadCertificate as error:
        yield Finding(Grade.ERROR, "certificate", f"{file}: {error}", "install the station's PEM file")
        return
    for certificate in chain:
        yield _judged("certificate", certificate)
    try:
        x509.check_key(chain[0])
        client_context(credentials.tls)
    except KeyUnavailable as error:
        yield Finding(Grade.ERROR, "private key", error.reason, error.remedy)
    except (CertsError, OSError) as error:
        yield Finding(Grade.ERROR, "private key", str(error), "install certificate and key that belong together")
    else:
        yield Finding(Grade.OK, "private key", "belongs to the certificate")
    common = _name(chain[0], NameOID.COMMON_NAME)
    if station.serial and common != station.serial:  # A00.FR.511
        detail = f"its common name {common!r} is not the serial number {station.serial!r}"
        yield Finding(Grade.WARNING, "certificate", detail, "a CSMS may refuse it (A00.FR.511)")


def _judged(what: str, certificate: Certificate) -> Finding:
    subject = _name(certificate, NameOID.COMMON_NAME) or certificate.subject.rfc4514_string()
    now, until = datetime.now(UTC), certificate.not_valid_after_utc
    detail = f"{subject}, until {until:%Y-%m-%d}"
    if certificate.not_valid_before_utc > now:
        return Finding(
            Grade.ERROR, what, f"{detail}: not valid before {certificate.not_valid_before_utc}", "the clock?"
        )
    if until < now:
        return Finding(Grade.ERROR, what, f"{detail}: expired", "install a new one")
    if until - now < SOON:
        return Finding(Grade.WARNING, what, f"{detail}: expires soon", "plan its successor")
    return Finding(Grade.OK, what, detail)


def _name(certificate: Certificate, oid: object) -> str:
    found = [part.value for part in certificate.subject if part.oid == oid]
    return str(found[0]) if found else ""
