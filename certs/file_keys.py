"""Private keys as PKCS#8 files of mode 0600 in a directory of mode 0700.

The key store for boards without a secure element: as safe as the file system. A key is written once and never changed.
With a password new keys and secrets are encrypted, so that a copy of the directory alone is worth nothing.
Without one `unseal` and `tls_key` need no `cryptography`: a station that only starts and connects does not import it.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from certs import atomic, keystore
from certs.errors import KeyExists, NoSuchKey
from certs.keystore import SECRET_BYTES, KeyKind, TlsKey
from certs.usable import UsableKeys


class FileKeys(UsableKeys):
    """A `KeyStore` in `directory`, which is made when it is needed.

    `write` replaces a file whole or not at all and leaves it readable by the agent alone. `password` tells the password
    whenever it is needed, empty for none; what was written before there was one stays readable.
    """

    def __init__(self, directory: Path, write: atomic.Write = atomic.write, password: Callable[[], str] = str) -> None:
        self._directory = directory
        self._write = write
        self._password = password

    def create(self, name: str, kind: KeyKind) -> None:
        """Make a new key pair. Raises KeyExists, and ValueError for a name that is no plain file name."""
        from certs import software  # noqa: PLC0415 - heavy, used rarely

        path = self._path(name, ".key")
        if path.exists():
            raise KeyExists(name)
        atomic.keep(path, software.generate(kind, self._password()), self._write)

    def names(self) -> list[str]:
        """The names of all keys, sorted."""
        return sorted(path.name.removesuffix(".key") for path in self._directory.glob("[!.]*.key"))

    def delete(self, name: str) -> None:
        """Destroy a key. Raises NoSuchKey."""
        self._existing(name).unlink()
        atomic.sync_directory(self._directory)

    def unseal(self, name: str) -> bytes:
        """The 32 random bytes of that name, made at the first call.

        Raises OSError, BadCertificate if the password is another one, and ValueError if the file has been damaged: a
        new secret would make what the old one encrypted unreadable without a word.
        """
        path = self._path(name, ".secret")
        try:
            kept = path.read_bytes()
        except FileNotFoundError:
            return self._made(path)
        if self._password() and len(kept) > SECRET_BYTES:
            from certs import software  # noqa: PLC0415 - heavy, used rarely

            kept = software.decrypt(kept, self._password())
        if len(kept) != SECRET_BYTES:
            raise ValueError(f"{path} is damaged: {len(kept)} bytes, {SECRET_BYTES} expected; restore it from a copy")
        return kept

    def _made(self, path: Path) -> bytes:
        secret = kept = secrets.token_bytes(SECRET_BYTES)
        if password := self._password():
            from certs import software  # noqa: PLC0415 - heavy, used rarely

            kept = software.encrypt(secret, password)
        atomic.keep(path, kept, self._write)
        return secret

    def tls_key(self, name: str) -> TlsKey:
        """What an SSLContext needs to use this key. Raises NoSuchKey."""
        return TlsKey(self._existing(name), self._password)

    @contextlib.contextmanager
    def _usable(self, name: str) -> Iterator[Any]:
        """In memory."""
        from certs import software  # noqa: PLC0415 - heavy, used rarely

        yield software.load(self._existing(name).read_bytes(), self._password())

    def _path(self, name: str, suffix: str) -> Path:
        return self._directory / f"{keystore.checked(name)}{suffix}"

    def _existing(self, name: str) -> Path:
        path = self._path(name, ".key")
        if not path.is_file():
            raise NoSuchKey(name)
        return path
