"""Private keys in the agent's own memory, as PKCS#8 text.

Imports `cryptography`: import this module where it is used.
"""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from certs import csr
from certs.errors import BadCertificate
from certs.keystore import KeyKind, Subject

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_RSA_BITS = {KeyKind.RSA_2048: 2048, KeyKind.RSA_3072: 3072}
_PSS_SALT_BYTES = 32


def generate(kind: KeyKind) -> bytes:
    """A new key, PKCS#8 in PEM, not encrypted."""
    key: PrivateKey
    if kind is KeyKind.EC_P256:
        key = ec.generate_private_key(ec.SECP256R1())
    else:
        key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS[kind])
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load(pem: bytes) -> PrivateKey:
    """The key in a PEM text. Raises BadCertificate if it holds no key, or one that is neither EC nor RSA."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise BadCertificate("no private key can be read from the file") from error
    if not isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
        raise BadCertificate(f"a key of an unsupported kind: {type(key).__name__}")
    return key


def public_key(pem: bytes) -> bytes:
    """SubjectPublicKeyInfo in DER."""
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return load(pem).public_key().public_bytes(encoding, form)


def sign(pem: bytes, data: bytes) -> bytes:
    """SHA-256 over `data`, signed by ECDSA (DER) or RSA-PSS (A00.FR.505, A00.FR.506)."""
    key = load(pem)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, ec.ECDSA(hashes.SHA256()))
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=_PSS_SALT_BYTES)
    return key.sign(data, pss, hashes.SHA256())


def request(pem: bytes, subject: Subject) -> str:
    """A PKCS#10 request in PEM."""
    return csr.request(load(pem), subject)
