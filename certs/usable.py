"""What is done with a private key, wherever it is: one that is in a chip is used there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import Any

from certs.keystore import Subject


class UsableKeys(ABC):
    """The part of a `KeyStore` that is the same for all of them."""

    @abstractmethod
    def _usable(self, name: str) -> AbstractContextManager[Any]:
        """The key with the interface of `cryptography`, for as long as it can be used. Raises NoSuchKey."""

    def public_key(self, name: str) -> bytes:
        """SubjectPublicKeyInfo, DER. Raises NoSuchKey."""
        from certs import software  # noqa: PLC0415 - heavy, used rarely

        with self._usable(name) as key:
            return software.public_key(key)

    def sign(self, name: str, data: bytes) -> bytes:
        """Signature of SHA-256 over `data`: ECDSA (DER) or RSA-PSS. Raises NoSuchKey."""
        from certs import software  # noqa: PLC0415 - heavy, used rarely

        with self._usable(name) as key:
            return software.sign(key, data)

    def csr(self, name: str, subject: Subject) -> str:
        """A PKCS#10 request in PEM (A02.FR.03). Raises NoSuchKey."""
        from certs import csr  # noqa: PLC0415 - heavy, used rarely

        with self._usable(name) as key:
            return csr.request(key, subject)
