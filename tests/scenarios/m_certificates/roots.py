"""Root certificates for tests in virtual time, and the CALLs that manage them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import ocsp

from certs.throwaway import Authority, Key
from certs.trust import fingerprint
from tests.bench import Bench

CSMS, V2G, MO, MANUFACTURER = (
    "CSMSRootCertificate",
    "V2GRootCertificate",
    "MORootCertificate",
    "ManufacturerRootCertificate",
)
AGE = timedelta(days=20 * 365)
ALWAYS = (-AGE, AGE)
"""Valid whatever the bench's clock shows."""
HASHES = {"SHA256": hashes.SHA256(), "SHA384": hashes.SHA384(), "SHA512": hashes.SHA512()}


def root(folder: Path, name: str = "Root", key: Key | None = None) -> Authority:
    """An authority."""
    return Authority.create(name, folder, key, ALWAYS)


def named(pem: str, issuer: str | None = None, algorithm: str = "SHA256") -> dict[str, str]:
    """CertificateHashDataType as an OCSP request for the certificate says it; `issuer`: itself if None."""
    certificate = x509.load_pem_x509_certificate(pem.encode())
    above = x509.load_pem_x509_certificate((issuer or pem).encode())
    asked = ocsp.OCSPRequestBuilder().add_certificate(certificate, above, HASHES[algorithm]).build()
    return {
        "hashAlgorithm": algorithm,
        "issuerNameHash": asked.issuer_name_hash.hex(),
        "issuerKeyHash": asked.issuer_key_hash.hex(),
        "serialNumber": f"{asked.serial_number:x}",
    }


def install(bench: Bench, pem: str, kind: str = CSMS) -> dict[str, Any]:
    """InstallCertificate; the answer."""
    return bench.csms.call("InstallCertificate", {"certificateType": kind, "certificate": pem})


def installed(bench: Bench, pem: str, kind: str = CSMS) -> None:
    """InstallCertificate, Accepted."""
    assert install(bench, pem, kind) == {"status": "Accepted"}


def delete(bench: Bench, name: dict[str, str]) -> str:
    """DeleteCertificate; the status."""
    answer: str = bench.csms.call("DeleteCertificate", {"certificateHashData": name})["status"]
    return answer


def listed(bench: Bench, *kinds: str) -> list[dict[str, Any]]:
    """GetInstalledCertificateIds; the chains, none if NotFound."""
    answer = bench.csms.call("GetInstalledCertificateIds", {"certificateType": list(kinds)} if kinds else {})
    chains: list[dict[str, Any]] = answer.get("certificateHashDataChain", [])
    assert answer["status"] == ("Accepted" if chains else "NotFound")
    return chains


def names(bench: Bench, kind: str = CSMS) -> list[dict[str, str]]:
    """The names of the roots of one kind."""
    return [each["certificateHashData"] for each in listed(bench, kind)]


def connect_by(bench: Bench, *pems: str) -> None:
    """The connection is lost, and stands again: this root vouches for the CSMS, and for that the next one."""
    bench.csms.disconnect()
    bench.path_to_root = ("00" * 32, *map(fingerprint, pems))
    bench.csms.connect()
    bench.settle()


def by_number(names: list[dict[str, str]]) -> list[dict[str, str]]:
    """In an order of its own: the station may tell them in any."""
    return sorted(names, key=lambda name: name["serialNumber"])
