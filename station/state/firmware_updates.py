"""The firmware update that the CSMS asked for last: how far it has come, through restarts and power cuts (L01, L02)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

import msgspec

from station.now import Now, Wall
from station.ocpp.enums import FirmwareStatusEnumType
from station.state.sealed_location import closed
from station.store.db import Database

log = logging.getLogger(__name__)

Phase = Literal["download", "verify", "wait", "install", "restart", "confirm", "ended"]
"""What is to be done next. wait: for the time or the transactions; restart: so that the new firmware, or the
installation, begins; confirm: to ask the installer whether the new firmware is what runs."""

UNINTERRUPTIBLE = frozenset({"install", "restart"})


class FirmwareUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """One UpdateFirmware that was accepted. `file`: the name under which it is kept, no other update's.

    `retries`: attempts to download that are left after the present one. `certificate` and `signature` are empty where
    unsigned firmware is allowed (L02). `told`: the status that the CSMS was told last. `attempts`: how often the
    installation was begun. `boot`: in which run it came to its present phase. `again`: the restart comes before the
    installation, not after it.
    """

    request_id: int
    file: str
    retrieve: Wall
    install: Wall | None
    retries: int
    interval_s: float
    certificate: str = ""
    signature: str = ""
    location: str = ""
    phase: Phase = "download"
    told: FirmwareStatusEnumType | None = None
    attempts: int = 0
    boot: int = 0
    again: bool = False


class FirmwareUpdates:
    """Table `firmware_update` and its copy in memory. `seal` and `unseal`: for the location."""

    def __init__(self, *, db: Database, seal: Callable[[str], str], unseal: Callable[[str], str]) -> None:
        self._db = db
        self._seal = seal
        self._unseal = unseal
        self.last: FirmwareUpdate | None = None

    def load(self, now: Now) -> None:
        """Read it; one that cannot be read is forgotten."""
        del now
        row = self._db.execute("SELECT location, data FROM firmware_update").fetchone()
        try:
            self.last = None if row is None else self._opened(*row)
        except ValueError as error:
            log.warning("state.bad_row", extra={"table": "firmware_update", "reason": type(error).__name__})
            self.last = None

    def _opened(self, location: str, data: bytes) -> FirmwareUpdate:
        update = msgspec.json.decode(data, type=FirmwareUpdate)
        return msgspec.structs.replace(update, location=self._unseal(location))

    def keep(self, update: FirmwareUpdate) -> None:
        """So far it has come; a new one takes the place of the last."""
        data = msgspec.json.encode(msgspec.structs.replace(update, location=""))
        if self.last is not None and self.last.location == update.location:
            self._db.execute("UPDATE firmware_update SET data = ?", (data,))
        else:
            row = (closed(update.location, self._seal, "firmware_update"), data)
            self._db.execute("INSERT OR REPLACE INTO firmware_update VALUES (0, ?, ?)", row)
        self.last = update

    @property
    def ongoing(self) -> FirmwareUpdate | None:
        """The one that has not ended."""
        return self.last if self.last is not None and self.last.phase != "ended" else None

    @property
    def uninterruptible(self) -> bool:
        """Whether the firmware is being changed just now: neither a reset nor another update may come in between."""
        return self.last is not None and self.last.phase in UNINTERRUPTIBLE
