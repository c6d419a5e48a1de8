"""What a key store can do, whatever keeps the keys: files, a TPM, a PKCS#11 token; and the values it deals in.

A key never leaves its store (A02.FR.05); it is known by a name that its user chooses, and names are never reused for
another key, because the certificate of the old one may be in use until the new one has connected.
All methods may block for seconds (a TPM makes an RSA key); none is called within a step of the core.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec


class KeyKind(enum.Enum):
    """Keys strong enough for A00.FR.501 to 503 (112 bits of security and more)."""

    EC_P256 = "ec-p256"
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"


class Subject(msgspec.Struct, frozen=True):
    """Whom a certificate names. A00.FR.509: the organisation; A00.FR.511: the serial number as common name."""

    common_name: str
    organization: str
    country: str | None = None
    """Two letters, for V2G certificates."""
    domain_component: str | None = None


class HashData(msgspec.Struct, frozen=True):
    """How a certificate is named on the wire (CertificateHashDataType): hexadecimal, lower case."""

    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str
    """Without leading zeroes."""
    algorithm: str = "SHA256"


class TlsKey(msgspec.Struct, frozen=True):
    """A private key in the form that `SSLContext.load_cert_chain` takes.

    `file` is a PEM file: the key itself, or what a provider of OpenSSL makes of it (a TSS2 key, a PKCS#11 URI).
    OpenSSL would ask a missing password from the terminal, so one is always given, empty if there is none.
    `prepare` is there if the key is outside of this process: called before each loading with the certificate's file and
    this, it makes sure that the key can be used, or raises KeyUnavailable. It may block for seconds.
    """

    file: Path
    password: Callable[[], str] = str
    prepare: Callable[[Path, TlsKey], None] | None = None


SECRET_BYTES = 32
"""Of what `KeyStore.unseal` gives."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def is_name(text: str) -> bool:
    """Whether a key may be called that."""
    return bool(_NAME.fullmatch(text))


def checked(name: str) -> str:
    """The name of a key, which is a plain file name, too. Raises ValueError."""
    if not is_name(name):
        raise ValueError(f"not a name for a key: {name!r}")
    return name


class KeyStore(Protocol):
    """Keeps private keys and uses them. Errors: `certs.errors`, and OSError where files are involved."""

    def create(self, name: str, kind: KeyKind) -> None:
        """Make a new key pair. Raises KeyExists."""
        ...

    def names(self) -> list[str]:
        """The names of all keys, sorted."""
        ...

    def delete(self, name: str) -> None:
        """Destroy a key. Raises NoSuchKey."""
        ...

    def public_key(self, name: str) -> bytes:
        """SubjectPublicKeyInfo, DER. Raises NoSuchKey."""
        ...

    def sign(self, name: str, data: bytes) -> bytes:
        """Signature of SHA-256 over `data`: ECDSA (DER) or RSA-PSS with a salt of 32 bytes. Raises NoSuchKey."""
        ...

    def csr(self, name: str, subject: Subject) -> str:
        """A PKCS#10 request in PEM for this key (A02.FR.03). Raises NoSuchKey."""
        ...

    def unseal(self, name: str) -> bytes:
        """The 32 random bytes of that name, made at the first call: the key that encrypts secrets in the database."""
        ...

    def tls_key(self, name: str) -> TlsKey:
        """What an SSLContext needs to use this key. Raises NoSuchKey."""
        ...
