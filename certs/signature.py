"""Who may sign firmware, and whether a file is as it was signed (L01.FR.04, L01.FR.12).

Trusted is whom a ManufacturerRootCertificate vouches for, by RFC 5280, if the certificate is one to sign code with. The
signature covers the SHA-256 of the whole file: RSA-PSS, or ECDSA, which is what signs with keys on elliptic curves.
Imports `cryptography`: import this module where it is used.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs import path, trust
from certs.errors import BadCertificate, BadSignature
from certs.x509 import load, load_chain, readable

MANUFACTURER_ROOT = "ManufacturerRootCertificate"
_CODE_SIGNING = frozenset({ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})


class Signer(NamedTuple):
    """Who may sign, and the path (DER) from his certificate to the root that vouches for him."""

    subject: str
    path: tuple[bytes, ...]


def check_signer(pem: str, roots_pem: str, at: datetime) -> Signer:
    """Whose certificate it is, leaf first, if it may sign firmware at `at`. Raises BadCertificate.

    Not whether it was revoked, which somebody else has to be asked.
    """
    try:
        return _check_signer(pem, roots_pem, at)
    except BadCertificate:
        raise
    except Exception as error:  # the library's have no base in common, and come when a field is asked for
        raise BadCertificate("it cannot be read") from error


def _check_signer(pem: str, roots_pem: str, at: datetime) -> Signer:
    chain = load_chain(pem)
    roots = list(readable(trust.certificates(roots_pem)))
    if not roots:
        raise BadCertificate(f"no {MANUFACTURER_ROOT} is installed")
    climbed = path.climbed(chain, roots, at)
    _may_sign_code(chain[0])
    key = chain[0].public_key()
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise BadCertificate("its key is neither RSA nor on an elliptic curve that signs by ECDSA")
    return Signer(chain[0].subject.rfc4514_string(), tuple(each.public_bytes(Encoding.DER) for each in climbed))


def _may_sign_code(certificate: x509.Certificate) -> None:
    for extension in certificate.extensions:
        value = extension.value
        if isinstance(value, x509.BasicConstraints) and value.ca:
            raise BadCertificate("it is an authority's, which signs certificates and not firmware")
        if isinstance(value, x509.KeyUsage) and not value.digital_signature:
            raise BadCertificate("its key usage does not let it sign")
        if isinstance(value, x509.ExtendedKeyUsage) and not _CODE_SIGNING & set(value):
            raise BadCertificate("its extended key usage does not let it sign code")


def check(file: Path, signer_pem: str, signature: str) -> bytes:
    """Read the whole file; its SHA-256. Raises BadSignature unless the signer has signed it (Base64); OSError."""
    try:
        raw = base64.b64decode("".join(signature.split()), validate=True)
    except ValueError:  # binascii.Error is one; letters outside of ASCII are another
        raise BadSignature("the signature is no Base64") from None
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").digest()
    try:
        key, sha256 = load(signer_pem).public_key(), Prehashed(hashes.SHA256())
    except (BadCertificate, ValueError, UnsupportedAlgorithm):  # the last two of a key, which is read when asked for
        raise BadSignature("the signer's certificate cannot be read") from None
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(raw, digest, padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.AUTO), sha256)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(raw, digest, ec.ECDSA(sha256))
        else:
            raise BadSignature("the signer's key is of another kind")
    except (InvalidSignature, UnsupportedAlgorithm):
        raise BadSignature("the signature is not that of this file by this signer") from None
    return digest
