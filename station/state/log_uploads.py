"""The log that the CSMS has asked for: at most one at a time, and it survives a restart (N01)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

import msgspec

from station.now import Now, Wall
from station.state.sealed_location import closed
from station.store.db import Database

log = logging.getLogger(__name__)


class LogUpload(msgspec.Struct, frozen=True, kw_only=True):
    """One GetLog that was accepted, and how far it has come.

    `oldest` and `latest` limit what is told. `retries`: attempts that are left after the present one. `uploading`:
    whether the CSMS was told that the upload has begun.
    """

    request_id: int
    log_type: Literal["DiagnosticsLog", "SecurityLog"]
    filename: str
    oldest: Wall | None
    latest: Wall | None
    retries: int
    interval_s: float
    uploading: bool = False
    location: str = ""


class LogUploads:
    """Table `log_upload` and its copy in memory. `seal` and `unseal`: for the location, which may hold a password."""

    def __init__(self, *, db: Database, seal: Callable[[str], str], unseal: Callable[[str], str]) -> None:
        self._db = db
        self._seal = seal
        self._unseal = unseal
        self.wanted: LogUpload | None = None

    def load(self, now: Now) -> None:
        """Read what is wanted; what cannot be read is wanted no more."""
        del now
        row = self._db.execute("SELECT location, data FROM log_upload").fetchone()
        try:
            self.wanted = None if row is None else self._opened(*row)
        except ValueError as error:
            log.warning("state.bad_row", extra={"table": "log_upload", "reason": type(error).__name__})
            self.wanted = None

    def _opened(self, location: str, data: bytes) -> LogUpload:
        return msgspec.structs.replace(msgspec.json.decode(data, type=LogUpload), location=self._unseal(location))

    def keep(self, upload: LogUpload) -> None:
        """This is wanted from now on, and nothing else."""
        data = msgspec.json.encode(msgspec.structs.replace(upload, location=""))
        if self.wanted is not None and self.wanted.location == upload.location:
            self._db.execute("UPDATE log_upload SET data = ?", (data,))
        else:
            row = (closed(upload.location, self._seal, "log_upload"), data)
            self._db.execute("INSERT OR REPLACE INTO log_upload VALUES (0, ?, ?)", row)
        self.wanted = upload

    def done(self) -> None:
        """Nothing is wanted any more."""
        self._db.execute("DELETE FROM log_upload")
        self.wanted = None
