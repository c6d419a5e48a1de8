"""What is known of tokens: the authorization cache (C10-C12).

A question reads one row by its key; nothing is held in memory, and looking up writes nothing. Tokens are stored as
hashes.
Invariant: `cached` gives what the CSMS said last, or nothing once that has expired.
"""

from __future__ import annotations

import hashlib
import logging

import msgspec

from station.now import Now, Wall, to_wall
from station.ocpp import codec
from station.ocpp.types import IdTokenInfoType, IdTokenType
from station.store.db import Database

log = logging.getLogger(__name__)

CACHE_ENTRIES = 2000
"""Rows kept; tokens that were not accepted go first, then the oldest (C10.FR.07)."""

SAME_AGE = 0.1
"""A verdict repeated within this part of LifeTime is not written again: the entry ages by so much earlier."""

NEVER_CACHED = frozenset({"NoAuthorization", "Central"})
"""C02.FR.03, C03.FR.02, C05.FR.02."""


class CacheRules(msgspec.Struct, frozen=True):
    """AuthCacheCtrlr.Enabled and LifeTime (seconds; 0: entries do not age)."""

    enabled: bool = True
    lifetime_s: int = 0


def same_token(one: IdTokenType, other: IdTokenType) -> bool:
    """C01.FR.25: equal id (in any case) and equal type; additionalInfo does not count."""
    return one.type == other.type and one.id_token.casefold() == other.id_token.casefold()


def digest(token: IdTokenType) -> bytes:
    """The hash under which a token is stored; equal for equal tokens (C01.FR.25)."""
    return hashlib.sha256(f"{token.type}\0{token.id_token.casefold()}".encode()).digest()


class Tokens:
    """The tokens one station knows."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def load(self, now: Now) -> None:
        """Nothing is kept in memory."""

    def cached(self, token: IdTokenType, rules: CacheRules, now: Now) -> IdTokenInfoType | None:
        """What the CSMS said of the token, unless it is too old (C10.FR.08, C10.FR.10, C10.FR.13)."""
        if not rules.enabled:
            return None
        row = self._db.execute(
            "SELECT updated, expires, info FROM auth_cache WHERE token = ?", (_key(token),)
        ).fetchone()
        if row is None:
            return None
        updated, expires, info = row
        if (expires is not None and expires <= now.wall) or (
            rules.lifetime_s and updated + rules.lifetime_s <= now.wall
        ):
            return None
        try:
            return codec.load(IdTokenInfoType, info)
        except ValueError as error:
            log.warning("state.bad_row", extra={"table": "auth_cache", "reason": str(error)})
            return None

    def remember(self, token: IdTokenType, info: IdTokenInfoType, rules: CacheRules, now: Now) -> None:
        """The CSMS judged the token; whatever the verdict, it is the latest (C10.FR.01, C10.FR.04, C10.FR.05)."""
        if not rules.enabled or token.type in NEVER_CACHED:
            return
        expires = to_wall(info.cache_expiry_date_time) if info.cache_expiry_date_time is not None else None
        key = _key(token)
        if expires is not None and expires <= now.wall:
            self._db.execute("DELETE FROM auth_cache WHERE token = ?", (key,))
            return
        kept = codec.dump(msgspec.structs.replace(info, personal_message=None))
        before = self._db.execute("SELECT info, expires, updated FROM auth_cache WHERE token = ?", (key,)).fetchone()
        if before is not None and before[:2] == (kept, expires):
            age_s = now.wall - before[2]
            if not rules.lifetime_s or 0 <= age_s < rules.lifetime_s * SAME_AGE:
                return  # nothing new to write
        self._db.execute(
            "INSERT OR REPLACE INTO auth_cache VALUES (?, ?, ?, ?, ?)",
            (key, info.status == "Accepted", now.wall, expires, kept),
        )
        if before is None:
            self._make_room()

    def _make_room(self) -> None:
        """C10.FR.07."""
        self._db.execute(
            "DELETE FROM auth_cache WHERE token IN (SELECT token FROM auth_cache ORDER BY accepted, updated "
            "LIMIT max(0, (SELECT count(*) FROM auth_cache) - ?))",
            (CACHE_ENTRIES,),
        )

    def entry(self, token: IdTokenType) -> tuple[IdTokenInfoType, Wall] | None:
        """What is stored of the token, whether or not it is too old, and since when (N09)."""
        row = self._db.execute("SELECT info, updated FROM auth_cache WHERE token = ?", (_key(token),)).fetchone()
        try:
            return None if row is None else (codec.load(IdTokenInfoType, row[0]), Wall(row[1]))
        except ValueError:
            return IdTokenInfoType(status="Unknown"), Wall(row[1])

    def forget(self, token: IdTokenType) -> None:
        """N10."""
        self._db.execute("DELETE FROM auth_cache WHERE token = ?", (_key(token),))

    def clear_cache(self) -> None:
        """C11."""
        self._db.execute("DELETE FROM auth_cache")


def _key(token: IdTokenType) -> str:
    return digest(token).hex()
