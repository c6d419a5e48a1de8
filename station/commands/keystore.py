"""The key store that station.yaml names: one for each process, since a TPM and a token are shared by all of it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import msgspec

from certs.errors import KeyUnavailable
from certs.keystore import KeyStore
from station.config import Config
from station.config.credentials import handed
from station.config.schema import Keys
from station.store import files


class SecretFile(msgspec.Struct, frozen=True):
    """Tells what a file holds, each time anew, so that it can be corrected while the agent runs."""

    path: Path

    def __call__(self) -> str:
        """The secret. Raises KeyUnavailable."""
        try:
            return self.path.read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise KeyUnavailable(f"{self.path} cannot be read ({type(error).__name__})", "put the file back") from error


def key_store(config: Config) -> KeyStore:
    """The store of a configuration; made without asking for TPM or token, which may be away."""
    return opened(config.file.keys, config.folder, config.keys)


@functools.cache
def opened(keys: Keys, folder: Path, directory: Path) -> KeyStore:
    """As `key_store`, before there is a configuration: its section `keys`, and where relative paths begin."""
    provider = folder / keys.provider if keys.provider is not None else None
    if keys.store == "tpm":
        from certs.tpm import TpmSettings  # noqa: PLC0415 - where it is wanted
        from certs.tpm_keys import TpmKeys  # noqa: PLC0415 - the same

        settings = TpmSettings(keys.tcti, keys.parent, _secret(folder, keys.owner_auth_file))
        return TpmKeys(directory, settings, provider, files.replace)
    if keys.store == "pkcs11":
        from certs.pkcs11_keys import Pkcs11Keys, Pkcs11Settings  # noqa: PLC0415 - where it is wanted

        token = Pkcs11Settings(folder / (keys.module or ""), keys.token or "", _secret(folder, keys.pin_file))
        return Pkcs11Keys(directory, token, provider, files.replace)
    from certs.file_keys import FileKeys  # noqa: PLC0415 - where it is wanted

    return FileKeys(directory, files.replace, _secret(folder, keys.passphrase_file))


def _secret(folder: Path, name: str | None) -> Callable[[], str]:
    if name is None:
        return str
    return SecretFile(handed(folder / name))
