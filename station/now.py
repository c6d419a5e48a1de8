"""Time as an argument. Nothing in the core reads a clock: every input comes with its `Now`.

A wall clock may be wrong at boot and may jump; a monotonic one means nothing after a reboot. So what happened is kept
as an `Instant` (boot, monotonic) and becomes wall time when it is rendered, by the offset known for that boot
(field.md 10).
Invariant: `Mono` never falls within one boot.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple, NewType, Protocol

import msgspec

Mono = NewType("Mono", float)
"""Seconds on this boot's monotonic clock."""

Wall = NewType("Wall", float)
"""Seconds since 1970-01-01T00:00:00Z."""

BootId = NewType("BootId", int)
"""Counts the starts of the agent, from 1; never reused with one database."""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = -62_135_596_800.0, 253_402_300_799.0  # the years 1 and 9999, which datetime knows


class Instant(NamedTuple):
    """When something happened: the boot and its monotonic clock."""

    boot: BootId
    mono: Mono


class Now(msgspec.Struct, frozen=True, gc=False):
    """The present, as given to a step.

    `trusted` tells whether `wall` came from a source worth believing (CSMS, NTP, RTC) since the start.
    """

    boot: BootId
    mono: Mono
    wall: Wall
    trusted: bool = True

    @property
    def instant(self) -> Instant:
        """The present as an instant that can be stored."""
        return Instant(self.boot, self.mono)

    @property
    def utc(self) -> datetime:
        """The present as an aware datetime."""
        return to_datetime(self.wall)

    def after(self, seconds: float) -> Mono:
        """The monotonic time `seconds` from now."""
        return Mono(self.mono + seconds)


class MonoDeadline(msgspec.Struct, frozen=True, gc=False):
    """Due when the monotonic clock reaches `at`; a step of the wall clock does not move it."""

    at: Mono


class WallDeadline(msgspec.Struct, frozen=True, gc=False):
    """Due when the wall clock reaches `at`; asked again when the wall clock is stepped."""

    at: Wall


Deadline = MonoDeadline | WallDeadline


class Rhythm(NamedTuple):
    """Moments that return, on the clock of one boot: every so many seconds, for each of `every_s`, from `since` on."""

    since: float
    every_s: tuple[int, ...]

    def after(self, mono: float) -> Mono:
        """The next one."""
        first, *others = self.every_s
        at = next_step(mono, first, self.since)
        for each in others:
            at = min(at, next_step(mono, each, self.since))
        return Mono(at)


def next_step(now: float, interval_s: float, since: float) -> float:
    """The first `since + n * interval` after now, n > 0."""
    steps = max(0, int((now - since) // interval_s)) + 1
    at = since + steps * interval_s
    return at if at > now else at + interval_s


class Clock(Protocol):
    """Where `Now` comes from: the system in the shell, a hand-wound clock in tests."""

    def now(self) -> Now:
        """The present."""
        ...


def to_datetime(wall: Wall) -> datetime:
    """The aware UTC datetime of a wall time; of one that no calendar has, the nearest."""
    return _EPOCH + timedelta(seconds=min(max(wall, _FIRST), _LAST))


def to_wall(moment: datetime) -> Wall:
    """The wall time of a datetime; one without a zone is read as UTC (field.md: incoming times may lack a zone)."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return Wall(moment.timestamp())


def rfc3339(wall: Wall) -> str:
    """`2026-11-21T08:15:30.125Z`: UTC, exactly three decimals (part 4, 3.1.4: at most three)."""
    return to_datetime(Wall(round(wall * 1000) / 1000)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds_until(deadline: Deadline, now: Now) -> float:
    """Seconds from `now` to the deadline; zero or negative if it is due."""
    return deadline.at - (now.mono if isinstance(deadline, MonoDeadline) else now.wall)
