"""What is known of the certificates that the SECC shows to vehicles: their OCSP responses, as they came (M06)."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from station.now import Now, Wall
from station.store.db import Database


class Status(msgspec.Struct, frozen=True):
    """An OCSP response (DER), when it came, and until when it counts."""

    ocsp: bytes
    asked: Wall
    until: Wall


class CertificateStatuses:
    """Table certificate_status: by the SHA-256 of the certificate."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._known: dict[str, Status] = {}

    def load(self, now: Now) -> None:
        """Read the table."""
        del now
        rows = self._db.execute("SELECT fingerprint, ocsp, asked, until FROM certificate_status").fetchall()
        self._known = {name: Status(ocsp, asked, until) for name, ocsp, asked, until in rows}

    def of(self, fingerprint: str) -> Status | None:
        """What came last."""
        return self._known.get(fingerprint)

    def keep(self, fingerprint: str, status: Status) -> None:
        """This came; inside a step."""
        self._db.execute(
            "INSERT OR REPLACE INTO certificate_status VALUES (?, ?, ?, ?)",
            (fingerprint, status.ocsp, status.asked, status.until),
        )
        self._known[fingerprint] = status

    def keep_only(self, fingerprints: Collection[str]) -> None:
        """The others are shown no more; inside a step."""
        for gone in self._known.keys() - set(fingerprints):
            self._db.execute("DELETE FROM certificate_status WHERE fingerprint = ?", (gone,))
            del self._known[gone]
