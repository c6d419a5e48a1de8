"""Certificates read, checked and hashed. Imports `cryptography`: import this module where it is used."""

from __future__ import annotations

import hashlib

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certs.errors import BadCertificate
from certs.keystore import HashData

MIN_RSA_BITS = 2048
MIN_EC_BITS = 224


def load(pem: str) -> x509.Certificate:
    """The first certificate in a PEM text. Raises BadCertificate."""
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except ValueError as error:
        raise BadCertificate("not a certificate that can be read") from error


def load_chain(pem: str) -> list[x509.Certificate]:
    """All certificates in a PEM text, in its order. Raises BadCertificate if there is none or one cannot be read."""
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError as error:
        raise BadCertificate("not a chain of certificates that can be read") from error


def check_key(certificate: x509.Certificate) -> None:
    """Raise BadCertificate for a key of less than 112 bits of security (A00.FR.501, A00.FR.502, A00.FR.503)."""
    key = _public_key(certificate)
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        raise BadCertificate(f"an RSA key of {key.key_size} bits, at least {MIN_RSA_BITS} are required")
    if isinstance(key, ec.EllipticCurvePublicKey) and key.key_size < MIN_EC_BITS:
        raise BadCertificate(f"an elliptic curve of {key.key_size} bits, at least {MIN_EC_BITS} are required")


def public_key(certificate: x509.Certificate) -> bytes:
    """SubjectPublicKeyInfo in DER, to compare with a key store's."""
    return _public_key(certificate).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def hash_data(certificate: x509.Certificate, issuer: x509.Certificate) -> HashData:
    """How `certificate`, signed by `issuer`, is named on the wire (part 2, CertificateHashDataType)."""
    return HashData(
        issuer_name_hash=hashlib.sha256(certificate.issuer.public_bytes()).hexdigest(),
        issuer_key_hash=hashlib.sha256(_key_bits(issuer)).hexdigest(),
        serial_number=f"{certificate.serial_number:x}",
    )


def _key_bits(certificate: x509.Certificate) -> bytes:
    """The value of the subject public key field, without tag, length and the count of unused bits."""
    key = _public_key(certificate)
    if isinstance(key, rsa.RSAPublicKey):
        return key.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _public_key(certificate: x509.Certificate) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadCertificate("a certificate whose key cannot be read") from error
    if not isinstance(key, (rsa.RSAPublicKey, ec.EllipticCurvePublicKey)):
        raise BadCertificate(f"a key of an unsupported kind: {type(key).__name__}")
    return key
