"""Limits that come from elsewhere: an energy management system, a grid operator's signal (K11, K12, K13).

Each system has one limit for the station and one for each EVSE; all of them hold at once. A limit is kept like a
profile and told like one, but no request of the CSMS touches it. It outlives a power cut: a fuse does not blow because
the one who protects it was not asked again.
The CSMS hears of a limit when it changes by more than LimitChangeSignificance, and of each after a start.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final, Literal, NamedTuple

import msgspec

from station.facts import SensorRead
from station.now import Now, to_wall
from station.ocpp.enums import ChargingRateUnitEnumType
from station.ocpp.messages import ClearedChargingLimitRequest, NotifyChargingLimitRequest
from station.ocpp.types import (
    ChargingLimitType,
    ChargingProfileType,
    ChargingSchedulePeriodType,
    ChargingScheduleType,
)
from station.ports import Csms
from station.refusal import Refusal
from station.state.connectors import Connectors
from station.state.profiles import EXTERNAL, STATION, Installed, Profiles
from station.state.variables import Variables

log = logging.getLogger(__name__)

COMPONENT: Final = "SmartChargingCtrlr"

Source = Literal["EMS", "SO", "Other"]
"""ChargingLimitSource; never CSO (K11.FR.05)."""
SOURCES: Final[tuple[Source, ...]] = ("EMS", "SO", "Other")


class Fed(NamedTuple):
    """The variable of the device model that a sensor feeds."""

    component: str
    variable: str
    instance: str | None = None
    evse_id: int | None = None
    connector_id: int | None = None
    variable_instance: str | None = None

    @classmethod
    def of(cls, fact: SensorRead) -> Fed:
        """The variable that this reading feeds."""
        return cls(*(getattr(fact, name) for name in cls._fields))


class ExternalLimit(msgspec.Struct, frozen=True, kw_only=True):
    """What a system allows, for the station (EVSE 0) or one EVSE, from now on. No periods: no limit any more.

    `periods`: (seconds from now, limit per phase in A, or of all phases in W). `duration_s` None: until released.
    """

    source: Source
    evse_id: int = STATION
    unit: ChargingRateUnitEnumType = "A"
    periods: tuple[tuple[int, float], ...] = ()
    duration_s: int | None = None
    grid_critical: bool | None = None


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """A sensor by which another system limits: while it shows `value`, to `amperes`; without these, to what it shows.

    The sensor is named by the variable that it feeds.
    """

    fed: Fed
    source: Source = "SO"
    evse_id: int = STATION
    value: str = "true"
    amperes: float | None = None

    def limit(self, shown: str) -> ExternalLimit:
        """What follows from what the sensor shows. Raises ValueError for what is no number where one is needed."""
        amperes = self.amperes if self.amperes is not None else float(shown)
        limits = self.amperes is None or shown == self.value
        return ExternalLimit(
            source=self.source, evse_id=self.evse_id, periods=((0, max(amperes, 0.0)),) if limits else ()
        )


class _Told(NamedTuple):
    """What the CSMS knows of a limit."""

    source: str
    evse_id: int
    schedule: ChargingScheduleType


class Externals:
    """The limits of other systems, and what the CSMS knows of them."""

    def __init__(
        self,
        *,
        profiles: Profiles,
        connectors: Connectors,
        variables: Variables,
        csms: Csms,
        signals: Sequence[Signal] = (),
    ) -> None:
        self._profiles = profiles
        self._connectors = connectors
        self._variables = variables
        self._csms = csms
        self._signals = {signal.fed: signal for signal in signals}
        self._told: dict[int, _Told] = {}
        self._critical: dict[int, bool | None] = {}
        self.changed: Callable[[Now], None] = lambda _now: None
        """Called when a limit is another one; the block sets it."""

    def load(self) -> None:
        """Nothing is known of what was told: it is told again."""
        self._told = {}

    @property
    def enabled(self) -> bool:
        """ExternalControlSignalsEnabled: whether anybody but the CSMS is listened to."""
        return self._variables.boolean(COMPONENT, "ExternalControlSignalsEnabled")

    # --- from the other system

    def set(self, given: ExternalLimit, now: Now) -> Refusal | None:
        """K11.FR.01, K12.FR.01, K13.FR.01; the reason if it is not taken."""
        refusal = self._refusal(given)
        if refusal is not None:
            return refusal
        profile_id = _id(given)
        if not given.periods:
            if self._profiles.find(profile_id) is None:
                return Refusal("NotFound", "there is no such limit")
            self._profiles.remove(profile_id)
        else:
            self._critical[profile_id] = given.grid_critical
            self._profiles.install(Installed(given.evse_id, _profile(profile_id, given, now), given.source))
        self.changed(now)
        self.tell()
        return None

    def sensed(self, fact: SensorRead, now: Now) -> None:
        """A contact of the grid operator, or a value of an energy manager: the same again changes nothing."""
        signal = self._signals.get(Fed.of(fact))
        if signal is None or not self.enabled:
            return
        try:
            given = signal.limit(fact.value)
        except ValueError:
            log.warning("limit.no_number", extra={"component": fact.component, "value": fact.value})
            return
        known = self._profiles.find(_id(given))
        shown = known.profile.charging_schedule[0].charging_schedule_period[0].limit if known is not None else None
        wanted = given.periods[0][1] if given.periods else None
        if shown != wanted and (refusal := self.set(given, now)) is not None:
            log.warning("limit.refused", extra={"reason": refusal.additional_info})

    def _refusal(self, given: ExternalLimit) -> Refusal | None:
        if not self.enabled:
            return Refusal("NotEnabled", "SmartChargingCtrlr.ExternalControlSignalsEnabled is false")
        if given.evse_id != STATION and not self._connectors.exists(given.evse_id):
            return Refusal("UnknownEvse", f"there is no EVSE {given.evse_id}")
        starts = [start for start, _ in given.periods]
        rises = all(before < after for before, after in pairwise(starts))
        negative = any(limit < 0 for _, limit in given.periods)
        if (starts and starts[0] != 0) or not rises or negative:
            return Refusal("InvalidSchedule", "periods begin at 0, rise, and allow nothing negative")
        return None

    def expire(self, now: Now) -> None:
        """Those whose time is over are released."""
        over = [each for each in self._profiles.all() if each.external and _end(each) <= now.wall]
        for each in over:
            self._profiles.remove(each.profile.id)
        if over:
            self.changed(now)
            self.tell()

    def release_all(self, now: Now) -> None:
        """Nobody but the CSMS is listened to any more."""
        found = [each for each in self._profiles.all() if each.external]
        for each in found:
            self._profiles.remove(each.profile.id)
        if found:
            self.changed(now)
            self.tell()

    # --- to the CSMS

    def tell(self) -> None:
        """Tell what has not been told (K11.FR.02, K12.FR.02, K13.FR.02); while nothing can be heard, the last waits."""
        present = {each.profile.id: each for each in self._profiles.all() if each.external}
        for profile_id in [each for each in self._told if each not in present]:
            told = self._told.pop(profile_id)
            cleared = ClearedChargingLimitRequest(charging_limit_source=told.source, evse_id=told.evse_id or None)
            self._csms.tell(cleared, key=f"{told.source}/{told.evse_id}")
        for profile_id, each in present.items():
            schedule = each.profile.charging_schedule[0]
            known = self._told.get(profile_id)
            if known is None or self._is_significant(known.schedule, schedule):
                self._told[profile_id] = _Told(each.source, each.evse_id, schedule)
                self._csms.tell(self._notice(each), key=f"{each.source}/{each.evse_id}")

    def _notice(self, each: Installed) -> NotifyChargingLimitRequest:
        """K11.FR.03, K12.FR.03."""
        whole = self._variables.boolean(COMPONENT, "NotifyChargingLimitWithSchedules")
        return NotifyChargingLimitRequest(
            charging_limit=ChargingLimitType(
                charging_limit_source=each.source, is_grid_critical=self._critical.get(each.profile.id)
            ),
            evse_id=each.evse_id or None,
            charging_schedule=each.profile.charging_schedule if whole else None,
        )

    def _is_significant(self, known: ChargingScheduleType, new: ChargingScheduleType) -> bool:
        """By more than LimitChangeSignificance percent in any period, or otherwise laid out (SC.03)."""
        if known.charging_rate_unit != new.charging_rate_unit or known.duration != new.duration:
            return True
        before = [(each.start_period, each.limit or 0.0) for each in known.charging_schedule_period]
        after = [(each.start_period, each.limit or 0.0) for each in new.charging_schedule_period]
        if [start for start, _ in before] != [start for start, _ in after]:
            return True
        percent = self._variables.decimal(COMPONENT, "LimitChangeSignificance")
        pairs = zip((limit for _, limit in before), (limit for _, limit in after), strict=True)
        return any(old != new and (old == 0 or abs(new - old) / old * 100 > percent) for old, new in pairs)


def _end(installed: Installed) -> float:
    schedule = installed.profile.charging_schedule[0]
    if schedule.start_schedule is None or schedule.duration is None:
        return math.inf
    return to_wall(schedule.start_schedule) + schedule.duration


def _id(given: ExternalLimit) -> int:
    """Negative, so that it is none of the CSMS's (K11.FR.06, note)."""
    return -(given.evse_id * len(SOURCES) + SOURCES.index(given.source) + 1)


def _profile(profile_id: int, given: ExternalLimit, now: Now) -> ChargingProfileType:
    """K11.FR.06, K12.FR.05."""
    return ChargingProfileType(
        id=profile_id,
        stack_level=SOURCES.index(given.source),
        charging_profile_purpose=EXTERNAL,
        charging_profile_kind="Absolute",
        charging_schedule=[
            ChargingScheduleType(
                id=1,
                charging_rate_unit=given.unit,
                start_schedule=now.utc,
                duration=given.duration_s,
                charging_schedule_period=[
                    ChargingSchedulePeriodType(start_period=start, limit=limit) for start, limit in given.periods
                ],
            )
        ],
    )
