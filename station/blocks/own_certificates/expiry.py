"""Block A, what ends: the CSMS is warned 90, 30 and 7 days before a certificate does, and when it has ended.

A security event, since no variable of the standard tells the end of a certificate, and an event is in the security
log and never lost on its way (A04). It concerns all that are installed: our own, the roots of the CSMS and of the
vehicles; a station renews only the first by itself, and a root that ends cuts it off.
"""

from __future__ import annotations

from typing import Final

import msgspec

from station.block import Block, Job, JobResult, Reactions, Results, on, result
from station.facts import (
    ClockStepped,
    Facts,
    LinkRestored,
    OwnCertificateInstalled,
    SecurityEventOccurred,
    StationStarted,
)
from station.now import Deadline, Mono, MonoDeadline, Now, Wall, to_datetime
from station.ports import Jobs
from station.state.expiry import ExpiryTold
from station.state.own_certificates import GIVEN, OwnCertificates

EVENT: Final = "CertificateExpiry"
"""Not in the appendix, which has no name for it."""
DAYS: Final = (90, 30, 7, 0)
LOOK_EVERY_S: Final = 86_400.0
SOON_S: Final = 60.0
"""After a start others have more need of the processor."""
DAY_S: Final = 86_400.0


class LookAtCertificates(Job, frozen=True, kw_only=True):
    """Read the periods of all certificates that are installed; `given`: the one of the station's file counts, too."""

    given: bool


class Seen(msgspec.Struct, frozen=True):
    """A certificate. `role`: what it is for, in the words of the specification."""

    role: str
    fingerprint: str
    not_before: Wall
    not_after: Wall


class CertificatesSeen(JobResult, frozen=True, kw_only=True):
    """What is installed."""

    found: tuple[Seen, ...]


class CertificateExpiry(Block):
    """Warns of certificates that end soon."""

    def __init__(self, *, told: ExpiryTold, own: OwnCertificates, jobs: Jobs, facts: Facts) -> None:
        self._told = told
        self._own = own
        self._jobs = jobs
        self._facts = facts
        self._look_at: Mono | None = None

    def reactions(self) -> Reactions:
        """What may bring news."""
        return [
            on(StationStarted, self.started),
            on(ClockStepped, self.clock_stepped),
            on(OwnCertificateInstalled, self.installed),
            on(LinkRestored, self.link_restored),
        ]

    def results(self) -> Results:
        """Of the job above."""
        return [result(CertificatesSeen, self.seen)]

    def load(self, now: Now) -> None:
        """Look soon."""
        self._look_at = now.after(SOON_S)

    def started(self, fact: StationStarted, now: Now) -> None:
        """Look soon."""
        del fact
        self._look_at = now.after(SOON_S)

    def clock_stepped(self, fact: ClockStepped, now: Now) -> None:
        """Before the time is known nothing is said of it."""
        if abs(fact.by_s) > DAY_S:
            self._look_at = now.after(SOON_S)

    def installed(self, fact: OwnCertificateInstalled, now: Now) -> None:
        """A new one may end soon, too."""
        del fact
        self._look_at = now.after(SOON_S)

    def link_restored(self, fact: LinkRestored, now: Now) -> None:
        """The first connection since the start: now the time is known, if it was not."""
        if fact.offline_s is None:
            self._look_at = now.after(SOON_S)

    def next_due(self) -> Deadline | None:
        """The next look."""
        return MonoDeadline(self._look_at) if self._look_at is not None else None

    def due(self, now: Now) -> None:
        """Once a day."""
        self._look_at = now.after(LOOK_EVERY_S)
        if now.trusted:
            self._jobs.start(LookAtCertificates(given=GIVEN in self._own.ways()))

    def seen(self, seen: CertificatesSeen, now: Now) -> None:
        """Tell each step of the way once; of several that are passed already only the nearest to the end."""
        for each in seen.found:
            days = _reached(each, now)
            before = self._told.days(each.fingerprint)
            if days is None or (before is not None and before <= days):
                continue
            self._told.told(each.fingerprint, days)
            self._facts.emit(SecurityEventOccurred(type=EVENT, tech_info=_words(each, now)))
        self._told.keep_only([each.fingerprint for each in seen.found])


def _reached(seen: Seen, now: Now) -> int | None:
    """The nearest of DAYS that is reached. One made for weeks is renewed within them: 90 days ahead is no news."""
    life_s = seen.not_after - seen.not_before
    ahead = [days for days in DAYS if days * DAY_S <= life_s / 2 and now.wall >= seen.not_after - days * DAY_S]
    return min(ahead, default=None)


def _words(seen: Seen, now: Now) -> str:
    until = f"{to_datetime(seen.not_after):%Y-%m-%d %H:%M}Z"
    left = int((seen.not_after - now.wall) // DAY_S)
    when = f"ends in {left} days" if left > 0 else "ends today" if left == 0 else "has ended"
    return f"{seen.role} {seen.fingerprint[:16]} {when}, {until}"
