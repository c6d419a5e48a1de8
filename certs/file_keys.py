"""Private keys as PKCS#8 files of mode 0600 in a directory of mode 0700.

The key store for boards without a secure element: as safe as the file system. A key is written once and never changed.
`unseal` and `tls_key` need no `cryptography`, so a station that only starts and connects does not import it.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from certs import atomic
from certs.errors import KeyExists, NoSuchKey
from certs.keystore import KeyKind, Subject, TlsKey

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SECRET_BYTES = 32


class FileKeys:
    """A `KeyStore` in `directory`, which is made if it is missing. Raises OSError if that cannot be done.

    `write` replaces a file whole or not at all and leaves it readable by the agent alone.
    """

    def __init__(self, directory: Path, write: atomic.Write = atomic.write) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self._write = write

    def create(self, name: str, kind: KeyKind) -> None:
        """Make a new key pair. Raises KeyExists, and ValueError for a name that is no plain file name."""
        from certs import software  # noqa: PLC0415 - heavy, used rarely

        path = self._path(name, ".key")
        if path.exists():
            raise KeyExists(name)
        self._write(path, software.generate(kind))

    def names(self) -> list[str]:
        """The names of all keys, sorted."""
        return sorted(path.name.removesuffix(".key") for path in self._directory.glob("[!.]*.key"))

    def delete(self, name: str) -> None:
        """Destroy a key. Raises NoSuchKey."""
        self._existing(name).unlink()
        atomic.sync_directory(self._directory)

    def public_key(self, name: str) -> bytes:
        """SubjectPublicKeyInfo, DER. Raises NoSuchKey."""
        from certs import software  # noqa: PLC0415 - heavy, used rarely

        return software.public_key(self._existing(name).read_bytes())

    def sign(self, name: str, data: bytes) -> bytes:
        """Signature of SHA-256 over `data`: ECDSA (DER) or RSA-PSS. Raises NoSuchKey."""
        from certs import software  # noqa: PLC0415 - heavy, used rarely

        return software.sign(self._existing(name).read_bytes(), data)

    def csr(self, name: str, subject: Subject) -> str:
        """A PKCS#10 request in PEM (A02.FR.03). Raises NoSuchKey."""
        from certs import software  # noqa: PLC0415 - heavy, used rarely

        return software.request(self._existing(name).read_bytes(), subject)

    def unseal(self, name: str) -> bytes:
        """The 32 random bytes of that name, made at the first call.

        Raises OSError, and ValueError if the file has been damaged: a new secret would make what the old one
        encrypted unreadable without a word.
        """
        path = self._path(name, ".secret")
        try:
            secret = path.read_bytes()
        except FileNotFoundError:
            secret = secrets.token_bytes(_SECRET_BYTES)
            self._write(path, secret)
        if len(secret) != _SECRET_BYTES:
            raise ValueError(
                f"{path} is damaged: {len(secret)} bytes, {_SECRET_BYTES} expected; restore it from a copy"
            )
        return secret

    def tls_key(self, name: str) -> TlsKey:
        """What an SSLContext needs to use this key. Raises NoSuchKey."""
        return TlsKey(self._existing(name))

    def _path(self, name: str, suffix: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError(f"not a name for a key: {name!r}")
        return self._directory / f"{name}{suffix}"

    def _existing(self, name: str) -> Path:
        path = self._path(name, ".key")
        if not path.is_file():
            raise NoSuchKey(name)
        return path
