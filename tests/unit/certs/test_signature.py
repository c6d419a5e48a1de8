"""Signatures over files, where they are no signatures at all."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from certs import signature
from certs.errors import BadCertificate, BadSignature
from certs.throwaway import Wish
from certs.x509 import load, load_chain
from tests.csms import EPOCH
from tests.scenarios.l_firmware.updates import CODE_SIGNING, IMAGE, Manufacturer
from tests.scenarios.m_certificates.roots import ALWAYS


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(IMAGE)
    return path


@pytest.mark.req("L01.FR.04")
@pytest.mark.parametrize("bits", [None, 2048], ids=["ECDSA", "RSA-PSS"])
def test_a_signature_holds_for_its_file_alone(tmp_path: Path, file: Path, bits: int | None) -> None:
    maker = Manufacturer(tmp_path / "maker", rsa.generate_private_key(65537, bits) if bits else None)
    signature.check(file, maker.certificate, maker.sign())

    file.write_bytes(IMAGE + b"\0")

    with pytest.raises(BadSignature):
        signature.check(file, maker.certificate, maker.sign())


@pytest.mark.parametrize("text", ["", "%%%", "AAAA", "ÄÖÜß", "A" * 342 + "=="])
def test_what_is_no_signature_is_refused(tmp_path: Path, file: Path, text: str) -> None:
    for key in (None, rsa.generate_private_key(65537, 2048)):
        with pytest.raises(BadSignature):
            signature.check(file, Manufacturer(tmp_path / "maker", key).certificate, text)


def test_without_a_root_nobody_may_sign(tmp_path: Path) -> None:
    with pytest.raises(BadCertificate, match="no ManufacturerRootCertificate"):
        signature.check_signer(Manufacturer(tmp_path / "maker").certificate, "", EPOCH)


def test_a_certificate_that_is_damaged_anywhere_is_refused(tmp_path: Path) -> None:
    """In words of ours: what else were raised would leave the CSMS without an answer."""
    maker = Manufacturer(tmp_path / "maker")
    der = ssl.PEM_cert_to_DER_cert(maker.certificate)

    for at in range(0, len(der), 3):
        damaged = der[:at] + bytes((der[at] ^ 0x42,)) + der[at + 1 :]
        with pytest.raises(BadCertificate):
            signature.check_signer(ssl.DER_cert_to_PEM_cert(damaged), maker.root.root_pem, EPOCH)


def test_a_certificate_of_a_version_that_is_none_is_refused(tmp_path: Path) -> None:
    der = ssl.PEM_cert_to_DER_cert(Manufacturer(tmp_path / "maker").certificate)
    odd = der.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020142"), 1)
    assert odd != der

    with pytest.raises(BadCertificate):
        load(ssl.DER_cert_to_PEM_cert(odd))
    with pytest.raises(BadCertificate):
        load_chain(ssl.DER_cert_to_PEM_cert(odd))


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    maker = Manufacturer(tmp_path / "maker")
    key = ed25519.Ed25519PrivateKey.generate()
    wish = Wish(valid=ALWAYS, key=key, extensions=(CODE_SIGNING,))  # type: ignore[arg-type]  # that is the point
    certificate = maker.signer(wish)

    with pytest.raises(BadCertificate, match="neither RSA nor"):
        signature.check_signer(certificate, maker.root.root_pem, EPOCH)
