"""The composite schedule: what an EVSE, or the station, may draw from now on, by all that limits it. Pure (K08, SC.01).

At each instant the lowest of: what the EVSE is built for, its TxProfile or else its TxDefaultProfile, what limits it
from outside, what its vehicle said it will take, and its share of what the station may draw.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from station.blocks.smart_charging.plans import FOREVER, Plans, Step, leading
from station.blocks.smart_charging.shares import Claim, divide
from station.ocpp.enums import ChargingRateUnitEnumType
from station.ocpp.types import ChargingSchedulePeriodType

TENTH: Final = 10
"""Limits are told with one decimal (ChargingSchedulePeriodType)."""
PERIODS: Final = 1024
"""As many periods as a schedule can have."""


class Level(NamedTuple):
    """What may be drawn: amperes per phase, on so many phases; below `least_a` it is not worth it."""

    amperes: float
    phases: int
    least_a: float = 0.0

    def on(self, phases: int) -> Level:
        """The same on no more phases than these."""
        return self if self.phases <= phases else self._replace(phases=phases)


class Supply(msgspec.Struct, frozen=True, gc=False):
    """How an EVSE, or the station, is connected. `volts`: between phase and neutral, as set for the area (K01.FR.50).

    `phases` 0: direct current, whose watts follow from the rated voltage, and which knows no phases (K01.FR.44).
    """

    phases: int
    volts: float = 230.0
    switching: bool = False

    def amperes(self, step: Step) -> float:
        """A limit per phase (K01.FR.50, K01.FR.51)."""
        if not step.watts:
            return step.limit
        return step.limit / (self.volts * (step.phases if self.phases else 1))

    def least_a(self, step: Step) -> float:
        """Its minChargingRate as a limit per phase."""
        return self.amperes(step._replace(limit=step.least))

    def used(self, phases: int) -> int:
        """How many phases are used where so many are allowed; a board switches between one and all (K01.FR.45)."""
        return self.phases if phases >= self.phases or not self.switching else 1

    def watts(self, level: Level) -> float:
        """All phases together."""
        return level.amperes * self.volts * max(level.phases, 1)


class Outlet(msgspec.Struct, frozen=True, kw_only=True):
    """One EVSE as the composition sees it.

    `ready`: since when it can deliver energy; None: it waits for a vehicle. `active`: one takes its share of the
    station.
    """

    evse_id: int
    supply: Supply
    max_a: float
    min_a: float = 6.0
    ready: int | None = None
    active: bool = False
    tx: Plans = ()
    default: Plans = ()
    external: tuple[Plans, ...] = ()
    vehicle: Plans = ()

    def at(self, time: int) -> tuple[Level, int]:
        """What it may draw by itself, whatever the others do, and until when that holds."""
        step, until = leading(self.tx, time, self.ready) if self.tx else (None, FOREVER)
        if step is None and self.default:  # K02.FR.04, K02.FR.08
            step, holds = leading(self.default, time, self.ready)
            until = min(until, holds)
        amperes, phases, least_a = self.max_a, self.supply.phases, self.min_a
        if step is not None:
            if step.least:
                least_a = max(least_a, min(self.supply.least_a(step), amperes))
            amperes = min(amperes, self.supply.amperes(step))
            phases = min(phases, self.supply.used(step.phases))
        for plans in (*self.external, self.vehicle) if self.external or self.vehicle else ():
            step, holds = leading(plans, time, self.ready)
            until = min(until, holds)
            if step is not None:
                amperes = min(amperes, self.supply.amperes(step))
                phases = min(phases, self.supply.used(step.phases))
        return Level(amperes, phases, least_a), until


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """All EVSEs, the first to be served first, and what limits them together.

    `external`: each system's own. `fuse_a`: the fixed limit of the station, infinite if it has none (K04.FR.02).
    """

    outlets: tuple[Outlet, ...]
    supply: Supply
    fuse_a: float = math.inf
    most: Plans = ()
    external: tuple[Plans, ...] = ()

    @property
    def plans(self) -> int:
        """How many plans there are to be looked at."""
        own = sum(len(each.tx) + len(each.default) + len(each.external) + len(each.vehicle) for each in self.outlets)
        return own + len(self.most) + len(self.external)

    def as_of(self, time: int) -> Site:
        """The same as if every EVSE that waits for a vehicle was ready now."""
        if all(each.ready is not None for each in self.outlets):
            return self
        outlets = [each if each.ready is not None else replace(each, ready=time) for each in self.outlets]
        return replace(self, outlets=tuple(outlets))

    def budget(self, time: int) -> tuple[Level, int]:
        """What all EVSEs may draw together, and until when that holds (K04.FR.05, K12.FR.01)."""
        amperes, phases, until = self.fuse_a, self.supply.phases, FOREVER
        if not (self.most or self.external):
            return Level(amperes, phases), until
        for plans in (self.most, *self.external):
            step, holds = leading(plans, time, None)
            until = min(until, holds)
            if step is not None:
                amperes = min(amperes, self.supply.amperes(step))
                phases = min(phases, self.supply.used(step.phases))
        return Level(amperes, phases), until

    def at(self, time: int, joining: int | None = None) -> tuple[dict[int, Level], Level, int]:
        """Each EVSE's level, the station's budget, and until when all that holds.

        `joining`: an EVSE that is to be served as if a vehicle took its share, behind those where one does.
        """
        budget, until = self.budget(time)
        levels: dict[int, Level] = {}
        for outlet in self.outlets:
            level, holds = outlet.at(time)
            levels[outlet.evse_id] = level.on(budget.phases)
            until = min(until, holds)
        if budget.amperes < math.inf:
            served = [each.evse_id for each in self.outlets if each.active and each.evse_id != joining]
            served += [joining] if joining is not None else []
            claims = [Claim(evse_id, levels[evse_id].amperes, levels[evse_id].least_a) for evse_id in served]
            for evse_id, amperes in divide(budget.amperes, claims).items():
                levels[evse_id] = levels[evse_id]._replace(amperes=amperes)
        return levels, budget, until

    def one(self, outlet: Outlet, time: int) -> tuple[Level, int]:
        """The level of one EVSE as if a vehicle took its share there, and until when that holds."""
        budget, until = self.budget(time)
        if budget.amperes < math.inf:
            levels, _, until = self.at(time, joining=None if outlet.active else outlet.evse_id)
            return levels[outlet.evse_id], until
        level, holds = outlet.at(time)
        return level.on(budget.phases), min(until, holds)


class Span(NamedTuple):
    """What may be drawn from `start` (milliseconds) on."""

    start: int
    amperes: float
    watts: float
    phases: int


WORK: Final = 40_000
"""So often a plan is looked at for one schedule, at most: a step of the station must be short (design 6)."""


def schedule(site: Site, evse_id: int, begin: int, end: int) -> tuple[list[Span], int]:
    """The composite schedule of an EVSE, or of the station (0), from `begin` until before `end`.

    Beside it the time until which it is told, which is before `end` if too much changes until then.
    """
    outlet = next((each for each in site.outlets if each.evse_id == evse_id), None)
    spans: list[Span] = []
    time = begin
    for _ in range(max(WORK // (1 + site.plans), 1)):
        span, until = _of_evse(site, outlet, time) if outlet is not None else _of_station(site, time)
        if not spans or spans[-1][1:] != span[1:]:
            spans.append(span)
        time = min(until, end)
        if time >= end or len(spans) > PERIODS:
            break
    return (spans, time) if len(spans) <= PERIODS else (spans[:PERIODS], spans[PERIODS].start)


def periods(spans: list[Span], begin: int, unit: ChargingRateUnitEnumType) -> list[ChargingSchedulePeriodType]:
    """The spans in whole seconds since `begin`: less is told a moment early, more a moment late (K08.FR.04)."""
    told: list[ChargingSchedulePeriodType] = []
    for span in spans:
        limit = span.amperes if unit == "A" else span.watts
        less = bool(told) and limit < (told[-1].limit or 0.0)
        elapsed = span.start - begin
        second = elapsed // 1000 if less else -(-elapsed // 1000)
        while told and told[-1].start_period >= second:
            told.pop()
        told.append(ChargingSchedulePeriodType(start_period=second, limit=limit, number_phases=span.phases or None))
    return told


def _of_evse(site: Site, outlet: Outlet, time: int) -> tuple[Span, int]:
    level, until = site.one(outlet, time)
    return Span(time, _told(level.amperes), _told(outlet.supply.watts(level)), level.phases), until


def _of_station(site: Site, time: int) -> tuple[Span, int]:
    """K08.FR.03: as if a vehicle charged at every EVSE, at most what all may draw together."""
    budget, until = site.budget(time)
    amperes = watts = 0.0
    for outlet in site.outlets:
        level, holds = outlet.at(time)
        until = min(until, holds)
        level = level.on(budget.phases)
        amperes += level.amperes
        watts += outlet.supply.watts(level)
    if budget.amperes < math.inf:
        amperes, watts = min(amperes, budget.amperes), min(watts, site.supply.watts(budget))
    return Span(time, _told(amperes), _told(watts), budget.phases), until


def _told(limit: float) -> float:
    """With one decimal, never more than it is (K08.FR.04)."""
    return math.floor(limit * TENTH + 1e-6) / TENTH
