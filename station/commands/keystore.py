"""The key store that station.yaml names."""

from __future__ import annotations

from certs.file_keys import FileKeys
from certs.keystore import KeyStore
from station.config import Config
from station.store import files


def key_store(config: Config) -> KeyStore:
    """The store of a configuration. Raises OSError if its directory cannot be made."""
    return FileKeys(config.keys, files.replace)
