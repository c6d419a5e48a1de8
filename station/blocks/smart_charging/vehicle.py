"""Vehicles that speak ISO 15118: their needs, the schedules they are offered, what they choose (K15, K16, K17).

A vehicle states its needs and waits, for a minute at most. The CSMS is asked, and may set a TxProfile; then, or as soon
as it is clear that none comes, the vehicle is offered the composite schedule. Whenever that changes later, the vehicle
is made to renegotiate. What it chose is told to the CSMS, and once accepted is part of the composite schedule.
Memory only: a vehicle whose station restarts begins anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

import msgspec
from msgspec.structs import replace

from hal.iso15118 import VehicleNeeds
from hal.schedules import ScheduleOffer
from station.block import Answered, Job, JobResult, Outcome
from station.blocks.smart_charging.composite import Site, Span, periods, schedule
from station.blocks.smart_charging.plans import Plan, Plans, Step, millis
from station.facts import VehicleNeedsTold, VehicleScheduleTold
from station.now import Deadline, Mono, MonoDeadline, Now
from station.ocpp.enums import EnergyTransferModeEnumType
from station.ocpp.messages import NotifyEVChargingNeedsRequest, NotifyEVChargingScheduleRequest
from station.ocpp.types import (
    ACChargingParametersType,
    ChargingNeedsType,
    ChargingSchedulePeriodType,
    ChargingScheduleType,
    DCChargingParametersType,
)
from station.ports import Csms, Jobs
from station.state.connectors import Connectors
from station.state.profiles import Profiles
from station.state.sessions import Sessions

log = logging.getLogger(__name__)

PATIENCE_S: Final = 50.0
"""So long a vehicle may wait for the CSMS: ISO 15118-2 gives the station 60 s (K15, error handling)."""
HORIZON_S: Final = 86_400
"""Schedules are offered for a day."""
SCHEDULES: Final = 3
"""So many a vehicle may choose from (K15.FR.07)."""
EARLY_S: Final = 60.0
"""So long after a session began its vehicle is expected to state its needs (K15.FR.17)."""
TUPLE_IDS: Final = range(1, 256)
"""SAScheduleTupleID."""

_MODES: Final[Mapping[int, EnergyTransferModeEnumType]] = {
    1: "AC_single_phase",
    2: "AC_two_phase",
    3: "AC_three_phase",
}


class OfferSchedules(Job, frozen=True, kw_only=True):
    """Hand charging schedules to a vehicle."""

    evse_id: int
    schedules: tuple[ScheduleOffer, ...]

    @property
    def key(self) -> str:
        """Each EVSE has its own vehicle."""
        return f"OfferSchedules/{self.evse_id}"


class SchedulesOffered(JobResult, frozen=True, kw_only=True):
    """The vehicle has them, or the reason why not."""

    evse_id: int
    reason: str = ""


class Talk(msgspec.Struct, frozen=True, kw_only=True):
    """One vehicle. `waits_until`: it waits for schedules; None: it has them.

    `offered`: what it was offered last, as spans, for each schedule. `renegotiates_until`: the station has begun that.
    """

    waits_until: Mono | None = None
    offered: tuple[tuple[Span, ...], ...] = ()
    ids: tuple[int, ...] = ()
    end: int = 0
    renegotiates_until: Mono | None = None
    chosen: Plan | None = None


class _Context(msgspec.Struct, frozen=True):
    """Which vehicle a question is about, and how it will charge if the CSMS accepts that."""

    evse_id: int
    transaction_id: str | None
    plan: Plan | None = None


class Vehicles:
    """The vehicles that speak ISO 15118. `site`: the station by the nth schedules, without what vehicles chose."""

    def __init__(
        self, *, profiles: Profiles, sessions: Sessions, connectors: Connectors, csms: Csms, jobs: Jobs
    ) -> None:
        self._profiles = profiles
        self._sessions = sessions
        self._connectors = connectors
        self._csms = csms
        self._jobs = jobs
        self._talks: dict[int, Talk] = {}
        self._spoke: dict[int, Mono] = {}
        self.site: Callable[[int], Site]

    def load(self) -> None:
        """Nothing is known of any vehicle."""
        self._talks, self._spoke = {}, {}

    # --- questions

    def told_needs(self, evse_id: int) -> bool:
        """Whether the CSMS knows its needs, and may give it several schedules to choose from (K01.FR.34)."""
        return evse_id in self._talks

    def is_early(self, evse_id: int, now: Now) -> bool:
        """Whether it is about to state its needs, so that a profile is too early (K15.FR.17)."""
        spoke = self._spoke.get(evse_id)
        return spoke is not None and evse_id not in self._talks and now.mono - spoke < EARLY_S

    def choice(self, evse_id: int) -> Plans:
        """How the vehicle will charge, as the CSMS has accepted (K15.FR.14, SC.04)."""
        talk = self._talks.get(evse_id)
        return (talk.chosen,) if talk is not None and talk.chosen is not None else ()

    def next_due(self) -> Deadline | None:
        """When the first vehicle has waited long enough."""
        waits = [talk.waits_until for talk in self._talks.values() if talk.waits_until is not None]
        return MonoDeadline(min(waits)) if waits else None

    # --- the vehicle

    def spoke(self, evse_id: int, now: Now) -> None:
        """It has begun to speak ISO 15118."""
        self._spoke[evse_id] = now.mono

    def gone(self, evse_id: int) -> None:
        """It has left, or its transaction is over."""
        self._talks.pop(evse_id, None)
        self._spoke.pop(evse_id, None)

    def needs(self, fact: VehicleNeedsTold, now: Now) -> None:
        """K15.FR.01, K17.FR.01; what is stated again because the station renegotiates is no news (K16.FR.09)."""
        evse_id = fact.evse_id
        talk = self._talks.get(evse_id)
        if talk is not None and talk.renegotiates_until is not None and now.mono < talk.renegotiates_until:
            return
        self._talks[evse_id] = replace(talk or Talk(), waits_until=now.after(PATIENCE_S))
        request = NotifyEVChargingNeedsRequest(
            evse_id=evse_id,
            max_schedule_tuples=SCHEDULES,
            charging_needs=_needs(fact.needs, now, direct=not self._connectors.phases(evse_id)),
        )
        self._csms.ask(request, by=now.after(PATIENCE_S), context=self._context(evse_id))

    def needs_answered(self, fate: Outcome[NotifyEVChargingNeedsRequest], now: Now) -> None:
        """Accepted: a profile will come. Everything else: the vehicle gets what there is (K15.FR.15, K17.FR.15)."""
        context = fate.context
        talk = self._talks.get(context.evse_id)
        if talk is None or talk.waits_until is None or self._context(context.evse_id) != context:
            return
        if not (isinstance(fate, Answered) and fate.response.status == "Accepted"):
            self._offer(context.evse_id, now)

    def profile_set(self, evse_id: int, now: Now) -> None:
        """What the vehicle has waited for (K15.FR.07)."""
        talk = self._talks.get(evse_id)
        if talk is not None and talk.waits_until is not None:
            self._offer(evse_id, now)

    def due(self, now: Now) -> None:
        """No vehicle waits longer than it can."""
        for evse_id, talk in list(self._talks.items()):
            if talk.waits_until is not None and talk.waits_until <= now.mono:
                self._offer(evse_id, now)

    def look(self, now: Now) -> None:
        """K16.FR.02: who has been offered something else than what holds now must renegotiate."""
        for evse_id, talk in list(self._talks.items()):
            ready = self._sessions.get(evse_id).ready_at is not None
            if talk.waits_until is None and talk.offered and ready:
                time = millis(now.wall)
                new = [spans for spans, _ in self._composed(evse_id, len(talk.offered), time)]
                pairs = zip(talk.offered, new, strict=True)
                if any(_rest(old, time, talk.end) != _rest(spans, time, talk.end) for old, spans in pairs):
                    self._offer(evse_id, now)

    # --- what it is offered

    def _composed(self, evse_id: int, count: int, begin: int) -> list[tuple[tuple[Span, ...], int]]:
        """K15.FR.22, K16.FR.03: by the first schedules of all profiles, by the second, by the third."""
        found = []
        for nth in range(count):
            spans, end = schedule(self.site(nth).as_of(begin), evse_id, begin, begin + HORIZON_S * 1000)
            found.append((tuple(spans), end))
        return found

    def _offer(self, evse_id: int, now: Now) -> None:
        begin, ids = millis(now.wall), self._ids(evse_id)
        composed = self._composed(evse_id, len(ids), begin)
        offers = tuple(
            ScheduleOffer(number, _seconds(spans, begin), (end - begin) // 1000)
            for number, (spans, end) in zip(ids, composed, strict=True)
        )
        talk = self._talks[evse_id]
        self._talks[evse_id] = Talk(
            offered=tuple(spans for spans, _ in composed),
            ids=ids,
            end=composed[0][1],
            renegotiates_until=now.after(PATIENCE_S) if talk.waits_until is None else None,
        )
        self._jobs.start(OfferSchedules(evse_id=evse_id, schedules=offers))

    def _ids(self, evse_id: int) -> tuple[int, ...]:
        """Those of the CSMS's schedules where they can be told to a vehicle (K15.FR.19), else counted."""
        transaction_id = self._sessions.get(evse_id).transaction_id
        mine = [each.profile for each in self._profiles.all() if each.profile.transaction_id == transaction_id]
        mine = [each for each in mine if each.charging_profile_purpose == "TxProfile"]
        mine.sort(key=lambda each: (-len(each.charging_schedule), -each.stack_level))
        given = [each.id for each in mine[0].charging_schedule] if mine else [1]
        usable = len(set(given)) == len(given) and all(each in TUPLE_IDS for each in given)
        return tuple(given if usable else range(1, len(given) + 1))[:SCHEDULES]

    # --- what it chose

    def schedule_told(self, fact: VehicleScheduleTold, now: Now) -> None:
        """K15.FR.09, K15.FR.10, K15.FR.19 and their like in K16 and K17."""
        talk = self._talks.get(fact.evse_id)
        if talk is None or fact.schedule_id not in talk.ids:
            log.warning("vehicle.unknown_schedule", extra={"evse": fact.evse_id, "schedule": fact.schedule_id})
            return
        self._talks[fact.evse_id] = talk = replace(talk, renegotiates_until=None)
        begin = millis(now.wall)
        offered = talk.offered[talk.ids.index(fact.schedule_id)]
        told = fact.periods or _seconds(_rest(offered, begin, talk.end), begin)
        if _exceeds(told, offered, begin):
            log.warning("vehicle.exceeds_schedule", extra={"evse": fact.evse_id, "schedule": fact.schedule_id})
        plan = _plan(told, begin, self._connectors.phases(fact.evse_id)) if fact.periods else None
        request = NotifyEVChargingScheduleRequest(
            evse_id=fact.evse_id,
            time_base=now.utc,
            charging_schedule=ChargingScheduleType(
                id=fact.schedule_id,
                charging_rate_unit="A",
                charging_schedule_period=[
                    ChargingSchedulePeriodType(start_period=start, limit=limit) for start, limit in told
                ],
            ),
        )
        self._csms.ask(request, by=now.after(PATIENCE_S), context=self._context(fact.evse_id, plan))

    def schedule_answered(self, fate: Outcome[NotifyEVChargingScheduleRequest]) -> None:
        """K15.FR.14, K16.FR.10, K17.FR.14: the CSMS has accepted it; one that it rejects it will replace (K16)."""
        context = fate.context
        talk = self._talks.get(context.evse_id)
        accepted = isinstance(fate, Answered) and fate.response.status == "Accepted"
        if talk is not None and accepted and context == self._context(context.evse_id, context.plan):
            self._talks[context.evse_id] = replace(talk, chosen=context.plan)

    def _context(self, evse_id: int, plan: Plan | None = None) -> _Context:
        return _Context(evse_id, self._sessions.get(evse_id).transaction_id, plan)


def _needs(needs: VehicleNeeds, now: Now, *, direct: bool) -> ChargingNeedsType:
    """K15.FR.06, K17.FR.06."""
    departs = now.utc + timedelta(seconds=needs.departs_in_s) if needs.departs_in_s is not None else None
    if direct:
        return ChargingNeedsType(
            requested_energy_transfer="DC",
            departure_time=departs,
            dc_charging_parameters=DCChargingParametersType(
                energy_amount=needs.energy_wh, ev_max_current=round(needs.max_a), ev_max_voltage=round(needs.max_v)
            ),
        )
    return ChargingNeedsType(
        requested_energy_transfer=_MODES[needs.phases],
        departure_time=departs,
        ac_charging_parameters=ACChargingParametersType(
            energy_amount=needs.energy_wh,
            ev_min_current=round(needs.min_a),
            ev_max_current=round(needs.max_a),
            ev_max_voltage=round(needs.max_v),
        ),
    )


def _seconds(spans: Sequence[Span], begin: int) -> tuple[tuple[int, float], ...]:
    """Spans as (seconds from now, amperes per phase)."""
    return tuple((each.start_period, each.limit or 0.0) for each in periods(list(spans), begin, "A"))


def _rest(spans: Sequence[Span], begin: int, end: int) -> tuple[Span, ...]:
    """What is left of a schedule, from `begin` until before `end`."""
    past = [each for each in spans if each.start <= begin]
    return (past[-1]._replace(start=begin), *(each for each in spans if begin < each.start < end))


def _exceeds(told: Sequence[tuple[int, float]], offered: Sequence[Span], begin: int) -> bool:
    """Whether the vehicle wants more than it was offered at any time (K15.FR.09)."""
    times = sorted({begin + start * 1000 for start, _ in told} | {max(each.start, begin) for each in offered})
    for time in times:
        wants = [limit for start, limit in told if begin + start * 1000 <= time][-1]
        if wants > [each.amperes for each in offered if each.start <= time][-1]:
            return True
    return False


def _plan(told: Sequence[tuple[int, float]], begin: int, phases: int) -> Plan:
    """The vehicle's own profile, in force from now on."""
    return Plan(
        level=0,
        start=begin,
        every=0,
        length=HORIZON_S * 1000,
        valid_from=begin,
        valid_to=begin + HORIZON_S * 1000,
        begins=tuple(start * 1000 for start, _ in told),
        steps=tuple(Step(limit, watts=False, phases=phases or 3) for _, limit in told),
    )
