"""A token's private keys with the interface of `cryptography`, which can then make requests with them.

Imports `cryptography`: import this module where it is used.
"""

from __future__ import annotations

import hashlib
from typing import Any, NoReturn, Self

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric import utils as asymmetric

from certs import cryptoki
from certs.cryptoki import Mechanism, Session
from certs.errors import BadCertificate

_SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
"""DigestInfo of SHA-256 up to the digest (RFC 8017, 9.2)."""

_CKM_SHA256, _MGF1_SHA256 = 0x250, 0x02
_SALT_BYTES = 32


def adapted(session: Session, private: int, public: int) -> EcKey | RsaKey:
    """The key, usable while the session is open. Raises BadCertificate for one that is neither EC P-256 nor RSA."""
    kind = int.from_bytes(session.get(private, cryptoki.KEY_TYPE), "little")
    if kind == cryptoki.RSA:
        modulus, exponent = (session.get(public, each) for each in (cryptoki.MODULUS, cryptoki.PUBLIC_EXPONENT))
        numbers = rsa.RSAPublicNumbers(int.from_bytes(exponent, "big"), int.from_bytes(modulus, "big"))
        return RsaKey(session, private, numbers.public_key())
    point = session.get(public, cryptoki.EC_POINT) if kind == cryptoki.EC else b""
    try:  # an OCTET STRING around the point, as the standard wants it; some tokens give the bare point
        bare = point[2:] if point[:2] == bytes([4, len(point) - 2]) else point
        return EcKey(session, private, ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), bare))
    except ValueError as error:
        raise BadCertificate("the token's key is neither RSA nor on the curve P-256") from error


class _Kept:
    """What both kinds have in common: the private half is never shown, and a copy is the same key."""

    def private_numbers(self) -> NoReturn:
        """Nobody knows them."""
        _stays()

    def private_bytes(
        self,
        encoding: serialization.Encoding,
        format: serialization.PrivateFormat,  # noqa: A002 - the interface's name
        encryption_algorithm: serialization.KeySerializationEncryption,
    ) -> NoReturn:
        """Nobody has them."""
        del encoding, format, encryption_algorithm
        _stays()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


class EcKey(_Kept, ec.EllipticCurvePrivateKey):
    """A key on P-256 in a token."""

    def __init__(self, session: Session, handle: int, public: ec.EllipticCurvePublicKey) -> None:
        self._session = session
        self._handle = handle
        self._public = public

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """ECDSA with SHA-256, the only way that is used."""
        _only_sha256(signature_algorithm.algorithm)
        raw = self._session.sign(Mechanism(cryptoki.ECDSA), self._handle, hashlib.sha256(data).digest())
        half = len(raw) // 2
        return asymmetric.encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The half that may be known."""
        return self._public

    @property
    def curve(self) -> ec.EllipticCurve:
        """P-256."""
        return self._public.curve

    @property
    def key_size(self) -> int:
        """In bits."""
        return self._public.key_size

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:
        """Keys here only sign."""
        del algorithm, peer_public_key
        _stays()


class RsaKey(_Kept, rsa.RSAPrivateKey):
    """An RSA key in a token."""

    def __init__(self, session: Session, handle: int, public: rsa.RSAPublicKey) -> None:
        self._session = session
        self._handle = handle
        self._public = public

    def sign(self, data: Any, padding: padding.AsymmetricPadding, algorithm: Any) -> bytes:
        """RSASSA with SHA-256: PSS with a salt of 32 bytes, else PKCS #1 1.5, as certificate requests have it."""
        _only_sha256(algorithm)
        digest = hashlib.sha256(data).digest()
        if padding.name == "EMSA-PSS":
            how = Mechanism(cryptoki.RSA_PKCS_PSS, cryptoki.numbers(_CKM_SHA256, _MGF1_SHA256, _SALT_BYTES))
            return self._session.sign(how, self._handle, digest)
        return self._session.sign(Mechanism(cryptoki.RSA_PKCS), self._handle, _SHA256_INFO + digest)

    def public_key(self) -> rsa.RSAPublicKey:
        """The half that may be known."""
        return self._public

    @property
    def key_size(self) -> int:
        """In bits."""
        return self._public.key_size

    def decrypt(self, ciphertext: bytes, padding: padding.AsymmetricPadding) -> bytes:
        """Keys here only sign."""
        del ciphertext, padding
        _stays()


def _only_sha256(algorithm: object) -> None:
    if not isinstance(algorithm, hashes.SHA256):
        raise TypeError("keys in a token sign SHA-256")


def _stays() -> NoReturn:
    raise TypeError("this key stays in its token and only signs")
