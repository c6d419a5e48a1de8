"""Charging profiles (K): what is installed where, and what comes with a transaction that was requested from afar.

An id is one profile in the whole station: installing it again replaces what it was, wherever that was (K01.FR.05).
A TxProfile lives as long as its transaction; one whose transaction is not known any more is passed over at the start,
and its row goes with the first step that writes (`forget_strays`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import msgspec

from station.now import Now
from station.ocpp.types import ChargingProfileType
from station.state.sessions import Sessions
from station.store.db import Database

log = logging.getLogger(__name__)

CSO: Final = "CSO"
"""The source of what the CSMS sets."""
STATION: Final = 0
"""The EVSE that stands for the whole station."""
EXTERNAL: Final = "ChargingStationExternalConstraints"


class Installed(msgspec.Struct, frozen=True):
    """A profile and the EVSE that owns it, 0 for the station; `source`: who limits (ChargingLimitSource)."""

    evse_id: int
    profile: ChargingProfileType
    source: str = CSO

    @property
    def external(self) -> bool:
        """Whether it came from elsewhere, so that the CSMS can neither replace nor clear it."""
        return self.profile.charging_profile_purpose == EXTERNAL


class ToCome(msgspec.Struct, frozen=True):
    """The TxProfile of a transaction that a RequestStartTransaction is about to start."""

    evse_id: int
    remote_start_id: int
    profile: ChargingProfileType


class Profiles:
    """The tables `charging_profile` and `charging_profile_to_come`, and their copy in memory, ordered by id."""

    def __init__(self, *, db: Database, sessions: Sessions) -> None:
        self._db = db
        self._sessions = sessions
        self._installed: dict[int, Installed] = {}
        self._to_come: dict[int, ToCome] = {}
        self._strays: set[int] = set()
        self._ordered: list[Installed] | None = None
        """All by id, until one changes."""

    def load(self, now: Now) -> None:
        """Read the tables; one bad row does not hide the others."""
        del now
        self._installed, self._to_come, self._strays, self._ordered = {}, {}, set(), None
        alive = {session.transaction_id for session in self._sessions.running()}
        rows = self._db.execute("SELECT id, evse_id, source, data FROM charging_profile ORDER BY id").fetchall()
        for number, evse_id, source, data in rows:
            profile = _decoded(data, number)
            gone = profile is not None and profile.transaction_id is not None and profile.transaction_id not in alive
            if profile is None or gone:
                self._strays.add(number)
            else:
                self._installed[number] = Installed(evse_id, profile, source)
        for evse_id, remote_start_id, data in self._db.execute(
            "SELECT evse_id, remote_start_id, data FROM charging_profile_to_come"
        ).fetchall():
            profile = _decoded(data, evse_id)
            if profile is not None:
                self._to_come[evse_id] = ToCome(evse_id, remote_start_id, profile)

    # --- questions

    def all(self) -> Sequence[Installed]:
        """Every profile, external limits too."""
        if self._ordered is None:
            self._ordered = [self._installed[number] for number in sorted(self._installed)]
        return self._ordered

    def find(self, profile_id: int) -> Installed | None:
        """The profile with this id."""
        return self._installed.get(profile_id)

    def to_come(self, evse_id: int) -> ToCome | None:
        """What the next transaction of the EVSE brings along."""
        return self._to_come.get(evse_id)

    def __len__(self) -> int:
        """How many are installed."""
        return len(self._installed)

    # --- changes

    def install(self, new: Installed) -> bool:
        """Add it, or replace the one with its id; gives whether that changes anything."""
        profile_id = new.profile.id
        if self._installed.get(profile_id) == new:
            return False
        self._ordered = None
        self._installed[profile_id] = new
        self._db.execute(
            "INSERT OR REPLACE INTO charging_profile VALUES (?, ?, ?, ?)",
            (profile_id, new.evse_id, new.source, msgspec.json.encode(new.profile)),
        )
        return True

    def remove(self, profile_id: int) -> None:
        """It is cleared, or its transaction is over."""
        self._ordered = None
        if self._installed.pop(profile_id, None) is not None:
            self._db.execute("DELETE FROM charging_profile WHERE id = ?", (profile_id,))

    def expect(self, new: ToCome) -> None:
        """The next transaction of the EVSE brings it along; an older request's is forgotten."""
        self._to_come[new.evse_id] = new
        self._db.execute(
            "INSERT OR REPLACE INTO charging_profile_to_come VALUES (?, ?, ?)",
            (new.evse_id, new.remote_start_id, msgspec.json.encode(new.profile)),
        )

    def expect_no_more(self, evse_id: int) -> None:
        """It has come, or nobody came."""
        if self._to_come.pop(evse_id, None) is not None:
            self._db.execute("DELETE FROM charging_profile_to_come WHERE evse_id = ?", (evse_id,))

    def forget_strays(self) -> None:
        """Delete the rows that were passed over when they were read."""
        for number in sorted(self._strays):
            self._db.execute("DELETE FROM charging_profile WHERE id = ?", (number,))
        self._strays = set()


def _decoded(data: bytes, number: int) -> ChargingProfileType | None:
    try:
        return msgspec.json.decode(data, type=ChargingProfileType)
    except (msgspec.DecodeError, ValueError) as error:
        log.error("state.bad_row", extra={"table": "charging_profile", "id": number, "reason": str(error)})  # noqa: TRY400 - the row, not the traceback, is what matters
        return None
