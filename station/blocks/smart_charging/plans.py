"""One charging profile as a function of time: which of its steps is in force now, and until when. Pure.

Times are integers, milliseconds since 1970: a boundary computed twice must be the same instant both times.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from station.now import to_wall
from station.ocpp.types import ChargingProfileType, ChargingScheduleType

FOREVER: Final = 2**62
"""A time that never comes."""
NEVER_BEFORE: Final = -FOREVER

EVERY_MS: Final = {"Daily": 86_400_000, "Weekly": 604_800_000}


class Step(NamedTuple):
    """A charging schedule period: a limit per phase in A, or in W for all of them together.

    `phases`: as the CSMS said; three where it did not (K01.FR.49). `least`: below it charging is inefficient.
    """

    limit: float
    watts: bool
    phases: int
    least: float = 0.0


class Plan(msgspec.Struct, frozen=True, gc=False):
    """One schedule of one profile.

    `start`: None for a relative one, which starts when its EVSE is ready to deliver energy (K01.FR.42). `every`: the
    length of a recurrence, 0 for none.
    """

    level: int
    start: int | None
    every: int
    length: int
    valid_from: int
    valid_to: int
    begins: tuple[int, ...]
    steps: tuple[Step, ...]

    def at(self, time: int, ready: int | None) -> tuple[Step | None, int]:
        """The step in force, and until when at least that does not change.

        `ready`: where a relative one starts; None: its EVSE waits, so it would start now, whenever that is.
        """
        if time >= self.valid_to:  # K01.FR.37
            return None, FOREVER
        if time < self.valid_from:  # K01.FR.36
            return None, self.valid_from
        begin = self.start if self.start is not None else ready
        if begin is None:
            return self.steps[0], self.valid_to
        if time < begin:  # K01.FR.30
            return None, min(begin, self.valid_to)
        end, again = begin + self.length, FOREVER
        if self.every:
            begin += (time - begin) // self.every * self.every
            again = begin + self.every
            end = min(begin + self.length, again)
        if time >= end:  # K01.FR.11, K01.FR.13
            return None, min(again, self.valid_to)
        index = bisect_right(self.begins, time - begin)
        if index < len(self.begins):  # K01.FR.12
            end = min(end, begin + self.begins[index])
        return self.steps[index - 1], min(end, self.valid_to)


Plans = tuple[Plan, ...]
"""Of one purpose, the highest stackLevel first."""


def plan(profile: ChargingProfileType, nth: int = 0) -> Plan:
    """The profile by its `nth` schedule (the last one if it has fewer); it must have passed `validation`."""
    schedules = profile.charging_schedule
    schedule = schedules[min(nth, len(schedules) - 1)]
    start = schedule.start_schedule
    return Plan(
        level=profile.stack_level,
        start=millis(to_wall(start)) if start is not None else None,
        every=EVERY_MS[profile.recurrency_kind] if profile.recurrency_kind is not None else 0,
        length=schedule.duration * 1000 if schedule.duration is not None else FOREVER,
        valid_from=millis(to_wall(profile.valid_from)) if profile.valid_from is not None else NEVER_BEFORE,
        valid_to=millis(to_wall(profile.valid_to)) if profile.valid_to is not None else FOREVER,
        begins=tuple(period.start_period * 1000 for period in schedule.charging_schedule_period),
        steps=tuple(_steps(schedule)),
    )


def _steps(schedule: ChargingScheduleType) -> Iterator[Step]:
    watts, least = schedule.charging_rate_unit == "W", schedule.min_charging_rate or 0.0
    for period in schedule.charging_schedule_period:
        yield Step(period.limit or 0.0, watts, period.number_phases or 3, least)


def stacked(plans: Sequence[Plan]) -> Plans:
    """In the order in which they overrule each other (K01.FR.17)."""
    return tuple(sorted(plans, key=lambda each: -each.level))


def leading(plans: Plans, time: int, ready: int | None) -> tuple[Step | None, int]:
    """The step of the highest plan that has one now; a higher one without leaves the gap to the lower ones."""
    until = FOREVER
    for each in plans:
        step, holds = each.at(time, ready)
        until = min(until, holds)
        if step is not None:
            return step, until
    return None, until


def millis(seconds: float) -> int:
    """Wall time as the plans count it."""
    return round(seconds * 1000)
