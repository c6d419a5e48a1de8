"""Secrets in the database are sealed by a master key that the key store keeps (design 5): AES-256-GCM.

`cryptography` is imported when the first secret is sealed or read, which most stations never come to.
"""

from __future__ import annotations

import base64
import logging
import os
from pathlib import Path
from typing import Any

from certs.file_keys import FileKeys

log = logging.getLogger(__name__)

MASTER = "master"
_MARK = "gcm1:"
_NONCE = 12


class Seals:
    """Seals texts. The key in `directory` is made at the first use. Raises OSError and ValueError of the key store."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._cipher: Any = None

    def seal(self, text: str) -> str:
        """The text, unreadable without the master key."""
        nonce = os.urandom(_NONCE)
        return _MARK + base64.b64encode(nonce + self._aes().encrypt(nonce, text.encode(), None)).decode()

    def unseal(self, sealed: str) -> str:
        """The text again; empty, and an error in the log, if the key is another one or the seal is broken."""
        if not sealed.startswith(_MARK):
            return sealed
        try:
            raw = base64.b64decode(sealed.removeprefix(_MARK), validate=True)
            return bytes(self._aes().decrypt(raw[:_NONCE], raw[_NONCE:], None)).decode()
        except Exception as error:  # noqa: BLE001 - cryptography's InvalidTag has no base of its own
            log.error("secret.unreadable", extra={"reason": type(error).__name__})  # noqa: TRY400 - never the secret
            return ""

    def _aes(self) -> Any:
        if self._cipher is None:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - heavy, used rarely

            self._cipher = AESGCM(FileKeys(self._directory).unseal(MASTER))
        return self._cipher
