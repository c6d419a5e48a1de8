"""PKCS#10 certificate requests (A02.FR.03, A03.FR.03). Imports `cryptography`: import this module where it is used."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import NameOID

from certs.keystore import Subject

MAX_CSR_CHARS = 5500
"""SignCertificate.csr holds no more."""

KEY_USAGE = x509.KeyUsage(
    digital_signature=True,
    key_agreement=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
"""A00.FR.512: restricted to its purpose; no extended key usage (A00.FR.514)."""


def request(key: CertificateIssuerPrivateKeyTypes, subject: Subject) -> str:
    """A request in PEM, signed with SHA-256 (A00.FR.506).

    `key` is any private key with `cryptography`'s interface, so one that lives in a TPM will do.
    Raises ValueError for a subject that X.509 cannot hold (an empty or too long name, a country not of two letters).
    """
    builder = x509.CertificateSigningRequestBuilder().subject_name(name(subject))
    builder = builder.add_extension(KEY_USAGE, critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def name(subject: Subject) -> x509.Name:
    """The X.509 name of a subject; absent parts are left out."""
    parts = [
        (NameOID.COUNTRY_NAME, subject.country),
        (NameOID.ORGANIZATION_NAME, subject.organization),
        (NameOID.COMMON_NAME, subject.common_name),
        (NameOID.DOMAIN_COMPONENT, subject.domain_component),
    ]
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts if value is not None])
