"""Private keys in the agent's own memory, as PKCS#8 text, encrypted where there is a password.

Imports `cryptography`: import this module where it is used.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidSignature, InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from certs.errors import BadCertificate
from certs.keystore import KeyKind

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_RSA_BITS = {KeyKind.RSA_2048: 2048, KeyKind.RSA_3072: 3072}
_PSS_SALT_BYTES = 32
_SCRYPT_SALT_BYTES, _NONCE_BYTES = 16, 12
_SCRYPT_COST = 2**14  # 16 MB and 50 ms: OpenSSL's own for PKCS#8 is as dear, and a password comes from a file


def generate(kind: KeyKind, password: str = "") -> bytes:
    """A new key, PKCS#8 in PEM."""
    key: PrivateKey
    if kind is KeyKind.EC_P256:
        key = ec.generate_private_key(ec.SECP256R1())
    else:
        key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS[kind])
    protection: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        protection = serialization.BestAvailableEncryption(password.encode())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)


def load(pem: bytes, password: str = "") -> PrivateKey:
    """The key in a PEM text; the password is for an encrypted one.

    Raises BadCertificate if it holds no key, one that is neither EC nor RSA, or one of another password.
    """
    encrypted = b"ENCRYPTED" in pem
    try:
        key = serialization.load_pem_private_key(pem, password.encode() if encrypted and password else None)
    except (ValueError, TypeError) as error:
        hint = "; it is encrypted: is the password right?" if encrypted else ""
        raise BadCertificate(f"no private key can be read from the file{hint}") from error
    if not isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
        raise BadCertificate(f"a key of an unsupported kind: {type(key).__name__}")
    return key


def public_key(key: PrivateKey) -> bytes:
    """SubjectPublicKeyInfo in DER."""
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(encoding, form)


def sign(key: PrivateKey, data: bytes) -> bytes:
    """SHA-256 over `data`, signed by ECDSA (DER) or RSA-PSS (A00.FR.505, A00.FR.506). `key` may live elsewhere."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, ec.ECDSA(hashes.SHA256()))
    return key.sign(data, _pss(), hashes.SHA256())


def _pss() -> padding.PSS:
    return padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=_PSS_SALT_BYTES)


def verify(public: bytes, data: bytes, signature: bytes) -> None:
    """Raise BadCertificate unless `sign` made this signature with the key of `public` (SubjectPublicKeyInfo, DER)."""
    try:
        key = serialization.load_der_public_key(public)
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, data, _pss(), hashes.SHA256())
        else:
            raise BadCertificate(f"a key of an unsupported kind: {type(key).__name__}")
    except (InvalidSignature, ValueError, UnsupportedAlgorithm) as error:
        raise BadCertificate("its signature is not by the key that it names") from error


def encrypt(secret: bytes, password: str) -> bytes:
    """A secret that only who has the password can read: salt, nonce, AES-256-GCM by a key of scrypt."""
    salt, nonce = os.urandom(_SCRYPT_SALT_BYTES), os.urandom(_NONCE_BYTES)
    return salt + nonce + _cipher(password, salt).encrypt(nonce, secret, None)


def decrypt(encrypted: bytes, password: str) -> bytes:
    """What `encrypt` was given. Raises BadCertificate if the password is another one, or the text is damaged."""
    salt, rest = encrypted[:_SCRYPT_SALT_BYTES], encrypted[_SCRYPT_SALT_BYTES:]
    try:
        return _cipher(password, salt).decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], None)
    except (InvalidTag, ValueError) as error:
        raise BadCertificate("a secret cannot be decrypted: is the password right?") from error


def _cipher(password: str, salt: bytes) -> AESGCM:
    return AESGCM(Scrypt(salt=salt, length=32, n=_SCRYPT_COST, r=8, p=1).derive(password.encode()))
