"""The station's own certificates: which are there, which is shown to the CSMS, and what it is asked to sign (A02, A03).

Keys and chains lie elsewhere, by the name `key`; here is what makes them valid. The certificate that station.yaml
names is called GIVEN. It counts until another one has been proved, and again when the file names a different one.
Invariant: whatever is cut off when, there is a certificate that worked before, or that nobody has refused yet; a key
is destroyed only after it was written down here as doomed.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
from collections.abc import Iterable
from datetime import datetime
from typing import Final, Literal

import msgspec

from station.now import Now, Wall, to_wall
from station.refusal import Refusal
from station.state.variables import Variables
from station.store.db import Database

log = logging.getLogger(__name__)

CHARGING_STATION: Final = "ChargingStationCertificate"
V2G: Final = "V2GCertificate"
USES: Final = (CHARGING_STATION, V2G)
GIVEN: Final = "file"
"""The name of the certificate that the station's file names: no key of ours is called so."""

ISO15118: Final = "ISO15118Ctrlr"
PREFIXES: Final = {CHARGING_STATION: "cs-", V2G: "v2g-"}
"""What the names of keys begin with."""
MOST_V2G: Final = 10

Use = Literal["ChargingStationCertificate", "V2GCertificate"]
Stage = Literal["making", "sending", "waiting", "stopped"]


class Own(msgspec.Struct, frozen=True):
    """A certificate of ours; `root` is the fingerprint of the authority at its chain's end."""

    key: str
    use: Use
    stage: Literal["used", "new"]
    not_before: Wall
    not_after: Wall
    root: str = ""


class Given(msgspec.Struct, frozen=True):
    """The certificate that the station's file names, by the SHA-256 of its text."""

    fingerprint: str
    not_before: Wall
    not_after: Wall

    @classmethod
    def of(cls, text: str, period: tuple[datetime, datetime] | None) -> Given | None:
        """Of a file's text; None if no period could be read there."""
        if period is None:
            return None
        return cls(hashlib.sha256(text.encode()).hexdigest(), to_wall(period[0]), to_wall(period[1]))


class Signing(msgspec.Struct, frozen=True):
    """A certificate that the CSMS is asked for. `sent`: how often it accepted the request."""

    use: Use
    key: str
    csr: str = ""
    stage: Stage = "making"
    sent: int = 0
    asked: bool = False


class Named(msgspec.Struct, frozen=True):
    """Whom a certificate shall name."""

    common_name: str
    organization: str
    country: str = ""


class OwnCertificates:
    """Tables own_certificate, signing_request, superseded_certificate and doomed_key of one station."""

    def __init__(self, *, db: Database, variables: Variables, given: Given | None = None) -> None:
        self._db = db
        self._variables = variables
        self._given = given
        self._own: dict[str, Own] = {}
        self._signing: dict[str, Signing] = {}
        self._superseded: set[str] = set()
        self._doomed: set[str] = set()

    def load(self, now: Now) -> None:
        """Read the tables."""
        del now
        rows = self._db.execute("SELECT key, use, stage, not_before, not_after, root FROM own_certificate").fetchall()
        self._own = {row[0]: Own(*row) for row in rows if row[1] in USES}
        asked = self._db.execute("SELECT use, key, csr, stage, sent, asked FROM signing_request").fetchall()
        self._signing = {
            use: Signing(use=use, key=key, csr=csr, stage=stage, sent=sent, asked=bool(by_trigger))
            for use, key, csr, stage, sent, by_trigger in asked
            if use in USES
        }
        self._superseded = {row[0] for row in self._db.execute("SELECT fingerprint FROM superseded_certificate")}
        self._doomed = {row[0] for row in self._db.execute("SELECT key FROM doomed_key")}

    # questions

    def chains(self, use: str) -> list[Own]:
        """All certificates of a use, the newest first by the start of their period (A02.FR.15)."""
        found = [own for own in self._own.values() if own.use == use]
        return sorted(found, key=lambda own: (-own.not_before, own.key))

    def secc(self, now: Now) -> list[Own]:
        """Of each root the newest valid V2G certificate: what an SECC shows to vehicles (A02.FR.15, A03.FR.15)."""
        newest: dict[str, Own] = {}
        for own in self.chains(V2G):
            if own.not_before <= now.wall <= own.not_after:
                newest.setdefault(own.root, own)
        return list(newest.values())

    def ways(self) -> tuple[str, ...]:
        """What to show the CSMS, the preferred one first: the new, the file's if it counts, the one that worked."""
        own = self.chains(CHARGING_STATION)
        new = [each.key for each in own if each.stage == "new"]
        used = [each.key for each in own if each.stage == "used"]
        return (*new, *([GIVEN] if self._given_counts() else []), *used)

    def _given_counts(self) -> bool:
        return self._given is not None and self._given.fingerprint not in self._superseded

    def period(self, key: str) -> tuple[Wall, Wall] | None:
        """From when until when a certificate is valid; None if there is none of that name."""
        found = self._given if key == GIVEN else self._own.get(key)
        return (found.not_before, found.not_after) if found is not None else None

    def valid(self, use: str, now: Now) -> bool:
        """Whether a certificate of this use is there that is valid now (A05.FR.03)."""
        keys = self.ways() if use == CHARGING_STATION else [own.key for own in self.chains(use)]
        periods = [self.period(key) for key in keys]
        return any(period is not None and period[0] <= now.wall <= period[1] for period in periods)

    def signing(self, use: str) -> Signing | None:
        """What the CSMS is asked to sign for this use."""
        return self._signing.get(use)

    def all_signing(self) -> list[Signing]:
        """Everything that the CSMS is asked to sign."""
        return list(self._signing.values())

    def doomed(self) -> tuple[str, ...]:
        """Keys to be destroyed."""
        return tuple(sorted(self._doomed))

    def refusal(self, use: str) -> Refusal | None:
        """Why no certificate of this use can be asked for now; a prerequisite of A02."""
        if use == V2G and not self._variables.boolean(ISO15118, "V2GCertificateInstallationEnabled"):
            return Refusal("NotEnabled", "V2GCertificateInstallationEnabled is false")
        named = self.named(use)
        if not named.organization:
            return Refusal("MissingDevModelInfo", "OrganizationName is not set")
        if not named.common_name:
            return Refusal("MissingDevModelInfo", f"{'SeccId' if use == V2G else 'SerialNumber'} is not set")
        if use == CHARGING_STATION and _like_an_address(named.common_name):  # A00.FR.511
            return Refusal("InvalidValue", f"the serial number {named.common_name} has the form of an address")
        return None

    def named(self, use: str) -> Named:
        """Whom a certificate of this use names: A00.FR.509, A00.FR.511; an SECC as ISO 15118-2 has it."""
        text = self._variables.text
        if use == V2G:
            organization = text(ISO15118, "OrganizationName") or text("SecurityCtrlr", "OrganizationName")
            return Named(text(ISO15118, "SeccId"), organization, text(ISO15118, "CountryName").upper())
        serial = text("ChargingStation", "SerialNumber") or text("SecurityCtrlr", "Identity")
        return Named(serial, text("SecurityCtrlr", "OrganizationName"))

    # changes; all of them inside a step

    def ask(self, signing: Signing) -> None:
        """Keep what the CSMS is asked for; the key of an earlier request that this one replaces is doomed."""
        before = self._signing.get(signing.use)
        if before is not None and before.key != signing.key:
            self._doom([before.key])
        self._db.execute(
            "INSERT OR REPLACE INTO signing_request VALUES (?, ?, ?, ?, ?, ?)", msgspec.structs.astuple(signing)
        )
        self._signing[signing.use] = signing

    def stop(self, signing: Signing) -> None:
        """Nothing is sent until a TriggerMessage asks for it; an answer that comes late is still taken."""
        self.ask(msgspec.structs.replace(signing, stage="stopped"))
        log.warning("certificate.stopped", extra={"use": signing.use, "sent": signing.sent})

    def give_up(self, use: str) -> None:
        """Nothing is asked for any more."""
        if (before := self._signing.pop(use, None)) is not None:
            self._db.execute("DELETE FROM signing_request WHERE use = ?", (use,))
            self._doom([before.key])

    def install(self, own: Own) -> None:
        """A signed certificate takes the place of its request. An older one that was never proved is gone."""
        self._signing.pop(own.use, None)
        self._db.execute("DELETE FROM signing_request WHERE use = ?", (own.use,))
        if own.use == CHARGING_STATION:
            self._remove(each.key for each in self.chains(own.use) if each.stage == "new")
        self._save(own)
        others = [each.key for each in self.chains(V2G) if each.key != own.key]
        self._remove(others[MOST_V2G - 1 if own.use == V2G else MOST_V2G :])

    def proved(self, key: str) -> list[str]:
        """The CSMS was reached with this certificate: all others of the use are gone; gives their names (A02.FR.10)."""
        ways = self.ways()
        if key not in ways:
            return []
        others = [each for each in ways if each != key]
        if key in self._own and self._own[key].stage == "new":
            self._save(msgspec.structs.replace(self._own[key], stage="used"))
        if GIVEN in others and self._given is not None:
            self._db.execute("INSERT OR IGNORE INTO superseded_certificate VALUES (?)", (self._given.fingerprint,))
            self._superseded.add(self._given.fingerprint)
        self._remove(each for each in others if each != GIVEN)
        return others

    def discard(self, keys: Iterable[str]) -> None:
        """These certificates are of no use any more; their keys are doomed. Names that are unknown are passed over."""
        self._remove(key for key in keys if key in self._own)

    def destroyed(self, keys: Iterable[str]) -> None:
        """The key store holds them no longer."""
        for key in keys:
            self._db.execute("DELETE FROM doomed_key WHERE key = ?", (key,))
            self._doomed.discard(key)

    def _save(self, own: Own) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO own_certificate VALUES (?, ?, ?, ?, ?, ?)", msgspec.structs.astuple(own)
        )
        self._own[own.key] = own

    def _remove(self, keys: Iterable[str]) -> None:
        keys = list(keys)
        for key in keys:
            self._db.execute("DELETE FROM own_certificate WHERE key = ?", (key,))
            self._own.pop(key, None)
        self._doom(keys)

    def _doom(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._db.execute("INSERT OR IGNORE INTO doomed_key VALUES (?)", (key,))
            self._doomed.add(key)


def _like_an_address(name: str) -> bool:
    """Whether it could be taken for a CSMS's: a URL, or an IP address."""
    if "://" in name:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def adopt(db: Database, found: Iterable[Own], given: Given | None) -> None:
    """After the database was lost: the certificates that were remembered beside it, unless some could be saved.

    They had taken the place of the one in the station's file.
    """
    with db.transaction():
        if db.execute("SELECT 1 FROM own_certificate").fetchone() is None:
            for own in found:
                if own.use == CHARGING_STATION and given is not None:
                    db.execute("INSERT OR IGNORE INTO superseded_certificate VALUES (?)", (given.fingerprint,))
                db.execute(
                    "INSERT OR IGNORE INTO own_certificate VALUES (?, ?, ?, ?, ?, ?)", msgspec.structs.astuple(own)
                )


def use_of(key: str) -> Use:
    """The use that a key's name tells."""
    return V2G if key.startswith(PREFIXES[V2G]) else CHARGING_STATION
