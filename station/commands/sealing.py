"""Secrets in the database are sealed by a master key that the key store keeps (design 5): AES-256-GCM.

`cryptography` is imported when the first secret is sealed or read, which most stations never come to. A TPM or a token
is asked for the key once, when the agent starts; where it does not answer then, it is asked again until it does.
"""

from __future__ import annotations

import base64
import logging
import os
from collections.abc import Callable
from typing import Any

from certs.errors import CertsError
from certs.keystore import KeyStore
from station.app import Station
from station.now import Now

log = logging.getLogger(__name__)

MASTER = "master"
_MARK = "gcm1:"
_NONCE = 12


class Seals:
    """Seals texts by a key of `store`, which is made at the first use. `seal` raises the errors of the key store."""

    def __init__(self, store: Callable[[], KeyStore]) -> None:
        self._store = store
        self._cipher: Any = None
        self.locked = False
        """Whether a secret could not be read because the key store did not give the key."""

    @property
    def open(self) -> bool:
        """Whether the key is here."""
        return self._cipher is not None

    def unlock(self) -> bool:
        """Ask the key store for the key, which may take seconds; whether secrets can be read now."""
        try:
            self._aes()
        except (CertsError, OSError, ValueError) as error:
            self.locked = True
            log.error("secret.locked", extra={"reason": str(error)})  # noqa: TRY400 - the text says it all
            return False
        return True

    def seal(self, text: str) -> str:
        """The text, unreadable without the master key."""
        nonce = os.urandom(_NONCE)
        return _MARK + base64.b64encode(nonce + self._aes().encrypt(nonce, text.encode(), None)).decode()

    def unseal(self, sealed: str) -> str:
        """The text again; empty, and an error in the log, if the key is away or another one, or the seal is broken."""
        if not sealed.startswith(_MARK):
            return sealed
        if self._cipher is None and (self.locked or not self.unlock()):  # asked once a start, not for each secret
            return ""
        try:
            raw = base64.b64decode(sealed.removeprefix(_MARK), validate=True)
            return bytes(self._aes().decrypt(raw[:_NONCE], raw[_NONCE:], None)).decode()
        except Exception as error:  # noqa: BLE001 - cryptography's InvalidTag has no base of its own
            log.error("secret.unreadable", extra={"reason": type(error).__name__})  # noqa: TRY400 - never the secret
            return ""

    def _aes(self) -> Any:
        if self._cipher is None:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - heavy, used rarely

            self._cipher = AESGCM(self._store().unseal(MASTER))
        return self._cipher


class Unlocking:
    """Asks a key store again that was away when the agent started, until the station's passwords can be read."""

    def __init__(self, seals: Seals, station: Station, aside: Callable[[Callable[[], object]], None]) -> None:
        self._seals = seals
        self._station = station
        self._aside = aside
        self._asking = False
        self.retune: Callable[[], None] = lambda: None
        """Tells the link that passwords have changed."""

    def look(self, now: Now) -> None:
        """Called between steps, about once a minute; what may take long is done by `aside`."""
        seals = self._seals
        if not seals.locked or self._asking:
            return
        if not seals.open:
            self._asking = True
            self._aside(self._ask)
            return
        seals.locked = False
        self._station.variables.load(now)
        self._station.network.load(now)
        self._station.log_uploads.load(now)
        self._station.firmware_updates.load(now)
        self.retune()
        log.info("secret.unlocked")

    def _ask(self) -> None:
        try:
            self._seals.unlock()
        finally:
            self._asking = False
