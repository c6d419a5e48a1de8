"""Root certificates by use."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import ocsp

from certs.errors import BadCertificate
from certs.throwaway import Authority, Key
from certs.trust import TrustStore

CSMS = "CSMSRootCertificate"


@pytest.fixture
def trust(tmp_path: Path) -> TrustStore:
    """An empty store."""
    return TrustStore(tmp_path / "trust")


def test_several_roots_stand_side_by_side(trust: TrustStore, tmp_path: Path) -> None:
    """Field 11: the new root is installed before the old one expires."""
    old, new = Authority.create("Old", tmp_path), Authority.create("New", tmp_path)

    trust.add(CSMS, old.root_pem)
    trust.add(CSMS, new.root_pem)
    trust.add("V2GRootCertificate", new.root_pem)

    assert {root.subject for root in trust.roots(CSMS)} == {"CN=Old,O=Throw-away", "CN=New,O=Throw-away"}
    assert trust.bundle(CSMS).count("BEGIN CERTIFICATE") == 2
    assert trust.bundle("MORootCertificate") == ""


def test_installing_a_root_twice_changes_nothing(trust: TrustStore, tmp_path: Path) -> None:
    """A CSMS may repeat InstallCertificate."""
    pem = Authority.create("Root", tmp_path).root_pem

    first, second = trust.add(CSMS, pem), trust.add(CSMS, "\n" + pem.strip())

    assert first == second
    assert len(trust.roots(CSMS)) == 1


def test_a_removed_root_is_trusted_no_longer(trust: TrustStore, tmp_path: Path) -> None:
    """DeleteCertificate; doing it twice is no error."""
    root = trust.add(CSMS, Authority.create("Root", tmp_path).root_pem)

    trust.remove(root)
    trust.remove(root)

    assert trust.roots(CSMS) == []
    assert trust.bundle(CSMS) == ""


def test_a_root_tells_its_expiry(trust: TrustStore, tmp_path: Path) -> None:
    """Field 11: an expiring root is noticed in time."""
    root = trust.add(CSMS, Authority.create("Root", tmp_path).root_pem)

    assert root.not_before < datetime.now(UTC) < root.not_after


@pytest.mark.parametrize(
    "key",
    [partial(rsa.generate_private_key, 65537, 2048), partial(ec.generate_private_key, ec.SECP384R1())],
    ids=["RSA", "P-384"],
)
def test_a_root_tells_its_hashes(trust: TrustStore, tmp_path: Path, key: Callable[[], Key]) -> None:
    """CertificateHashDataType, compared with what an OCSP request for the certificate says."""
    pem = Authority.create("Root", tmp_path, key()).root_pem
    certificate = x509.load_pem_x509_certificate(pem.encode())
    asked = ocsp.OCSPRequestBuilder().add_certificate(certificate, certificate, hashes.SHA256()).build()

    hash_data = trust.add(CSMS, pem).hash_data

    assert hash_data is not None
    assert hash_data.issuer_name_hash == asked.issuer_name_hash.hex()
    assert hash_data.issuer_key_hash == asked.issuer_key_hash.hex()
    assert hash_data.serial_number == f"{asked.serial_number:x}"


def test_the_hashes_of_a_subordinate_authority_need_its_issuer(trust: TrustStore, tmp_path: Path) -> None:
    """Its own key is not the one to hash."""
    subordinate = Authority.create("Root", tmp_path).subordinate("Sub")

    assert trust.add(CSMS, subordinate.own_pem).hash_data is None


@pytest.mark.parametrize(
    "text",
    ["", "rubbish", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"],
)
def test_what_is_no_certificate_is_refused_and_nothing_changes(trust: TrustStore, text: str) -> None:
    """InstallCertificate with rubbish."""
    with pytest.raises(BadCertificate):
        trust.add(CSMS, text)

    assert trust.bundle(CSMS) == ""


def test_two_certificates_are_not_one_root(trust: TrustStore, tmp_path: Path) -> None:
    """Else the second would be trusted without being listed."""
    both = Authority.create("A", tmp_path).root_pem + Authority.create("B", tmp_path).root_pem

    with pytest.raises(BadCertificate):
        trust.add(CSMS, both)


def test_a_damaged_file_does_not_take_the_others_with_it(trust: TrustStore, tmp_path: Path) -> None:
    """One bad sector must not lock the station out."""
    good = trust.add(CSMS, Authority.create("Root", tmp_path).root_pem)
    (good.file.parent / "damaged.pem").write_bytes(b"\x00\xff")

    assert trust.roots(CSMS) == [good]
    assert trust.bundle(CSMS).count("BEGIN") == 1


def test_a_use_is_a_plain_name(trust: TrustStore) -> None:
    """It becomes a directory."""
    with pytest.raises(ValueError, match="not a use"):
        trust.bundle("../../etc")
