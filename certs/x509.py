"""Certificates read, checked and hashed. Imports `cryptography`: import this module where it is used."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import Certificate

from certs.errors import BadCertificate
from certs.keystore import HashData

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey

MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192
"""A larger key keeps a small controller busy for seconds with each signature."""
MIN_EC_BITS = 224
SOUND_HASHES = frozenset({"sha256", "sha384", "sha512", "sha3-256", "sha3-384", "sha3-512"})
"""Of signatures (A00.FR.504)."""
ALGORITHMS = ("SHA256", "SHA384", "SHA512")
"""HashAlgorithmEnumType; the first is the one that the station tells."""
MAX_SERIAL_BITS = 160
"""CertificateHashDataType.serialNumber holds 40 digits; RFC 5280, 4.1.2.2 allows 20 octets."""
CLOCK_SLACK = timedelta(days=1)
"""So much later may a root become valid: it may have been made a moment ago by a clock that is ahead of ours."""


def load(pem: str) -> Certificate:
    """The first certificate in a PEM text. Raises BadCertificate."""
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except (ValueError, x509.InvalidVersion) as error:
        raise BadCertificate("not a certificate that can be read") from error


def load_chain(pem: str) -> list[Certificate]:
    """All certificates in a PEM text, in its order. Raises BadCertificate if there is none or one cannot be read."""
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except (ValueError, x509.InvalidVersion) as error:
        raise BadCertificate("not a chain of certificates that can be read") from error


def readable(pems: Iterable[str]) -> Iterator[Certificate]:
    """Those of these certificates that can be read."""
    for pem in pems:
        with contextlib.suppress(BadCertificate):
            yield load(pem)


def check_key(certificate: Certificate) -> None:
    """Raise BadCertificate for a key of less than 112 bits of security (A00.FR.501, A00.FR.502, A00.FR.503)."""
    key = _public_key(certificate)
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < MIN_RSA_BITS:
            raise BadCertificate(f"an RSA key of {key.key_size} bits, at least {MIN_RSA_BITS} are required")
        if key.key_size > MAX_RSA_BITS:
            raise BadCertificate(f"an RSA key of {key.key_size} bits, at most {MAX_RSA_BITS} can be used")
    if isinstance(key, ec.EllipticCurvePublicKey) and key.key_size < MIN_EC_BITS:
        raise BadCertificate(f"an elliptic curve of {key.key_size} bits, at least {MIN_EC_BITS} are required")


def check_authority(certificate: Certificate) -> None:
    """Raise BadCertificate unless it may sign certificates, and is one that can be used and named (M05.FR.07)."""
    check_key(certificate)
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm as error:
        raise BadCertificate("a signature of an unknown kind") from error
    if algorithm is not None and algorithm.name not in SOUND_HASHES:  # None: of Ed25519 and Ed448, which hash inside
        raise BadCertificate(f"signed with {algorithm.name}, which is outdated")
    if not 0 < certificate.serial_number < 2**MAX_SERIAL_BITS:
        raise BadCertificate("its serial number is not of 1 to 20 octets")
    _check_extensions(certificate)


def _check_extensions(certificate: Certificate) -> None:
    try:
        extensions = list(certificate.extensions)
    except (ValueError, x509.DuplicateExtension) as error:
        raise BadCertificate("its extensions cannot be read") from error
    values = {type(each.value): each.value for each in extensions}
    basic = values.get(x509.BasicConstraints)
    if not isinstance(basic, x509.BasicConstraints) or not basic.ca:
        raise BadCertificate("not of an authority: basicConstraints does not say CA")
    usage = values.get(x509.KeyUsage)
    if isinstance(usage, x509.KeyUsage) and not usage.key_cert_sign:
        raise BadCertificate("not of an authority: keyUsage forbids to sign certificates")
    for each in extensions:
        if each.critical and isinstance(each.value, x509.UnrecognizedExtension):
            raise BadCertificate(f"the critical extension {each.oid.dotted_string} is unknown")


def check_validity(certificate: Certificate, at: datetime, *, certain: bool) -> None:
    """Raise BadCertificate if it is out of its time. `certain`: `at` is the time, and not only one that has passed."""
    if certificate.not_valid_after_utc <= at:
        raise BadCertificate(f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
    if certain and certificate.not_valid_before_utc > at + CLOCK_SLACK:
        raise BadCertificate(f"not valid before {certificate.not_valid_before_utc:%Y-%m-%d}")


def issued_by(certificate: Certificate, issuer: Certificate) -> bool:
    """Whether `issuer` signed it: names and signature; not whether it might."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def public_key(certificate: Certificate) -> bytes:
    """SubjectPublicKeyInfo in DER, to compare with a key store's."""
    return _public_key(certificate).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def public_key_pem(certificate: Certificate) -> str:
    """SubjectPublicKeyInfo in PEM."""
    return _public_key(certificate).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def load_public_key(pem: str) -> PublicKey:
    """A public key from PEM. Raises BadCertificate."""
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadCertificate("not a public key that can be read") from error
    return _supported(key)


def hash_data(certificate: Certificate, issuer: Certificate | PublicKey, algorithm: str = ALGORITHMS[0]) -> HashData:
    """How `certificate`, signed by `issuer`, is named on the wire (part 2, CertificateHashDataType)."""
    key = _public_key(issuer) if isinstance(issuer, Certificate) else issuer
    digest = getattr(hashlib, algorithm.lower())
    return HashData(
        issuer_name_hash=digest(certificate.issuer.public_bytes()).hexdigest(),
        issuer_key_hash=digest(_key_bits(key)).hexdigest(),
        serial_number=f"{certificate.serial_number:x}",
        algorithm=algorithm,
    )


def names(certificate: Certificate, issuer_key: str, others: Iterable[str]) -> tuple[HashData, ...]:
    """Its hash data by each algorithm; the issuer is itself, or whose key (PEM) is given, or among `others` (PEM).

    Nothing if the issuer is nowhere.
    """
    issuer: Certificate | PublicKey | None = certificate
    if certificate.issuer != certificate.subject:
        issuer = load_public_key(issuer_key) if issuer_key else issuer_among(certificate, readable(others))
    return () if issuer is None else tuple(hash_data(certificate, issuer, each) for each in ALGORITHMS)


def issuer_among(certificate: Certificate, candidates: Iterable[Certificate]) -> Certificate | None:
    """Which of these has signed it."""
    return next((each for each in candidates if issued_by(certificate, each)), None)


def _key_bits(key: PublicKey) -> bytes:
    """The value of the subject public key field, without tag, length and the count of unused bits."""
    if isinstance(key, rsa.RSAPublicKey):
        return key.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _public_key(certificate: Certificate) -> PublicKey:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadCertificate("a certificate whose key cannot be read") from error
    return _supported(key)


def _supported(key: object) -> PublicKey:
    if not isinstance(key, PublicKey):
        raise BadCertificate(f"a key of an unsupported kind: {type(key).__name__}")
    return key
