"""What the store needs now and then: the daily copy, the deferred check, the way to the CSMS kept beside it (design 7).

Called between steps, about once a minute. What reads the whole file is done beside the steps, in a thread and by a
connection of its own: for 64 MB a check takes 0.6 s and a copy 1.3 s, in which nothing else would happen.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from station.app import Station
from station.effects import Effect
from station.facts import SecurityEventOccurred
from station.inputs import Happened
from station.now import Now
from station.state.network import NetworkProfile
from station.state.own_certificates import USES, OwnCertificates
from station.store import essentials
from station.store.db import Database, StoreFailed
from station.store.presence import Presence

log = logging.getLogger(__name__)

DAILY_COPY = "station.copy.db"
ESSENTIALS = "essentials.json"
DAY_S = 86_400.0
AT_THE_EARLIEST_S = 300.0
"""After a start: an agent that restarts often must not spend its time copying."""


Work = Callable[[], object]


def in_a_thread(work: Work) -> None:
    """Do it there; it ends with the process, whatever it is at."""
    threading.Thread(target=work, name="upkeep", daemon=True).start()


class Upkeep:
    """Of one station. A failing disk is logged here and met by the steps. `aside` does what takes long."""

    def __init__(
        self, station: Station, state: Path, identity: str, aside: Callable[[Work], None] = in_a_thread
    ) -> None:
        self._station = station
        self._state = state
        self._identity = identity
        self._aside = aside
        self._presence = Presence(station.db)
        self._confirmed = False
        self._way: essentials.Essentials | None = None
        self._copy_at: float | None = None

    def look(self, now: Now) -> Sequence[Effect]:
        """Do what is due; gives what follows from it."""
        if what := self._presence.look():
            return self._renew(what, now)
        for notice in self._station.db.notices():
            log.warning("store.notice", extra={"kind": notice.kind, "detail": notice.detail})
        try:
            if self._station.registration.ever_accepted and not self._confirmed:
                self._confirm()
            elif self._confirmed and self._way != (way := self._present()):
                self._keep(way)
            elif self._is_time_to_copy(now):
                self._copy(now)
        except (StoreFailed, OSError) as error:
            log.warning("store.upkeep", extra={"reason": str(error)})
        return ()

    def _renew(self, what: str, now: Now) -> Sequence[Effect]:
        """The database is gone or another one: what the agent still has of it is written anew."""
        log.critical("store.file_lost", extra={"what": what})
        try:
            self._presence.renew()
        except (StoreFailed, OSError) as error:  # it goes on with the file that nobody sees, and tries again
            log.critical("store.not_renewed", extra={"reason": str(error)})
            return ()
        self._confirmed = False
        tampered = SecurityEventOccurred(type="TamperDetectionActivated", tech_info=f"{what}; it was written anew")
        return self._station.exchange.give(Happened((tampered,)), now)

    def _confirm(self) -> None:
        """This image has proved itself; what was put off for a quick start is done now. Raises StoreFailed, OSError."""
        db = self._station.db
        db.confirm()
        if db.check_pending:
            db.check_pending = False
            self._beside(Database.check)
        self._keep(self._present())
        self._confirmed = True

    def _present(self) -> essentials.Essentials:
        """The way to the CSMS as it is now."""
        profiles = tuple(map(_kept, self._station.network.profiles()))
        return essentials.Essentials(self._identity, profiles, _roles(self._station.own_certificates))

    def _keep(self, way: essentials.Essentials) -> None:
        """Write it beside the database. Raises OSError."""
        essentials.save(self._state / ESSENTIALS, way)
        self._way = way

    def _is_time_to_copy(self, now: Now) -> bool:
        if self._copy_at is None:
            self._copy_at = now.mono + max(AT_THE_EARLIEST_S, DAY_S - self._age_s())
        return now.mono >= self._copy_at and not self._station.connectors.busy()

    def _age_s(self) -> float:
        """How old the last copy is, by the clock that wrote it."""
        try:
            written = (self._state / DAILY_COPY).stat().st_mtime
            return max(0.0, self._station.db.path.stat().st_mtime - written)
        except OSError:
            return DAY_S

    def _copy(self, now: Now) -> None:
        self._copy_at = now.mono + DAY_S
        if not self._station.engine.fallback.active:
            self._beside(lambda reader: reader.copy_to(self._state / DAILY_COPY))

    def _beside(self, do: Callable[[Database], None]) -> None:
        """Read the whole file while the steps go on."""
        db = self._station.db

        def work() -> None:
            try:
                with contextlib.closing(db.beside()) as reader:
                    do(reader)
            except (StoreFailed, OSError) as error:
                log.warning("store.upkeep", extra={"reason": str(error)})

        self._aside(work)


class Remembered(NamedTuple):
    """What was kept beside the database."""

    profiles: tuple[NetworkProfile, ...] = ()
    certificates: tuple[str, ...] = ()
    """Names of the keys of the station's certificates."""


def remembered(state: Path, identity: str) -> Remembered:
    """The ways to the CSMS of a station whose database is lost; none if they were never kept."""
    kept = essentials.load(state / ESSENTIALS)
    if kept is None or kept.identity != identity:
        return Remembered()
    profiles = tuple(
        NetworkProfile(
            slot=each.slot,
            url=each.url,
            security_profile=each.security_profile,
            message_timeout_s=float(each.timeout_s),
        )
        for each in kept.profiles
    )
    return Remembered(profiles, tuple(sorted(kept.certificates)))


def _roles(own: OwnCertificates) -> dict[str, str]:
    """By the names of their keys, so that several may play one role."""
    return {each.key: use for use in USES for each in own.chains(use)}


def _kept(profile: NetworkProfile) -> essentials.NetworkProfile:
    return essentials.NetworkProfile(
        slot=profile.slot,
        url=profile.url,
        security_profile=profile.security_profile,
        timeout_s=round(profile.message_timeout_s),
    )
