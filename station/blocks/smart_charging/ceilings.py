"""From what is installed to what each EVSE may offer now, and when that changes next.

A ceiling is known before a vehicle comes: that of an idle EVSE is what it would get. So a session never begins with
more than it may have, and what it takes from others is taken in the step in which it begins.
One deadline, no polling: the next instant at which anything changes by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from station.blocks.smart_charging.composite import Level, Outlet, Site, Supply
from station.blocks.smart_charging.plans import FOREVER, Plan, Plans, millis, plan, stacked
from station.blocks.smart_charging.shares import YIELD_S, Drawn, granted
from station.facts import Facts, LimitChanged
from station.now import Deadline, Mono, MonoDeadline, Now, Wall, WallDeadline, seconds_until, to_wall
from station.ports import Times
from station.state.connectors import Connectors
from station.state.limits import MIN_A, Limit, Limits
from station.state.profiles import STATION, Installed, Profiles
from station.state.sessions import Session, Sessions
from station.state.variables import Variables

COMPONENT: Final = "SmartChargingCtrlr"


class States(msgspec.Struct, frozen=True):
    """The state objects that smart charging asks."""

    profiles: Profiles
    sessions: Sessions
    connectors: Connectors
    limits: Limits
    variables: Variables


class Ceilings:
    """Keeps `Limits` as the installed profiles say."""

    def __init__(self, states: States, *, times: Times, facts: Facts) -> None:
        self._profiles = states.profiles
        self._sessions = states.sessions
        self._connectors = states.connectors
        self._limits = states.limits
        self._variables = states.variables
        self._times = times
        self._facts = facts
        self._plans: dict[int, tuple[Installed, Plan]] = {}
        self._drawn: dict[int, Drawn] = {}
        self.next: Deadline | None = None
        self.also: Callable[[], Deadline | None] = lambda: None
        """What else the block waits for."""

    def load(self, now: Now) -> None:
        """Nothing is drawn that is known of; the ceilings as they are by the tables."""
        self._plans, self._drawn = {}, {}
        for evse_id, limit in self._now(now).items():
            self._limits.set(evse_id, limit)

    def look(self, now: Now) -> None:
        """Something is different, or it is time: state the ceilings, and tell which have changed."""
        self.after(lambda: None, now)

    def after(self, change: Callable[[], object], now: Now) -> None:
        """The same after a change of what the EVSEs can give at all."""
        before = {evse_id: self._amperes(evse_id) for evse_id in self._connectors.evse_ids()}
        change()
        for evse_id, limit in self._now(now).items():
            other, after = self._limits.set(evse_id, limit), self._amperes(evse_id)
            if other or after != before[evse_id]:
                significant = self._is_significant(before[evse_id], after)
                self._facts.emit(LimitChanged(evse_id=evse_id, significant=significant))

    def _is_significant(self, before: float, after: float) -> bool:
        """K11.FR.04, SC.03."""
        percent = self._variables.decimal(COMPONENT, "LimitChangeSignificance")
        return before != after and (before == 0 or abs(after - before) / before * 100 > percent)

    # --- what limits

    def site(self, nth: int = 0) -> Site:
        """The station as the composition sees it. `nth`: by which schedule of each TxProfile (K15.FR.22)."""
        outlets = [self._outlet(evse_id, nth) for evse_id in self._connectors.evse_ids()]
        outlets.sort(key=lambda each: (not each.active, each.ready or 0, each.evse_id))
        connectors = self._connectors
        return Site(
            outlets=tuple(outlets),
            supply=Supply(connectors.supply_phases(), connectors.volts(), connectors.switches_phases),
            fuse_a=connectors.fuse_a,
            most=self._of("ChargingStationMaxProfile", STATION),
            external=self._external(STATION),
        )

    def _outlet(self, evse_id: int, nth: int) -> Outlet:
        session, connectors = self._sessions.get(evse_id), self._connectors
        return Outlet(
            evse_id=evse_id,
            supply=Supply(connectors.phases(evse_id), connectors.volts(evse_id), connectors.switches_phases),
            max_a=self._most(session),
            min_a=MIN_A,
            ready=millis(to_wall(self._times.utc(session.ready_at))) if session.ready_at is not None else None,
            active=_takes_part(session),
            tx=self._tx(session, nth),
            default=self._of("TxDefaultProfile", STATION, evse_id),
            external=self._external(evse_id),
        )

    def _most(self, session: Session) -> float:
        """By its build and how hot it is, and the cable in it."""
        built = self._limits.derated(session.evse_id, self._connectors.limit_a(session.evse_id))
        return min(built, session.cable_max_a) if session.cable_max_a is not None else built

    @property
    def _enabled(self) -> bool:
        return self._variables.boolean(COMPONENT, "Enabled")

    def _of(self, purpose: str, *evse_ids: int) -> Plans:
        """What is installed for a purpose."""
        if not self._enabled:
            return ()
        found = [each for each in self._profiles.all() if each.evse_id in evse_ids]
        return stacked([self._plan(each) for each in found if each.profile.charging_profile_purpose == purpose])

    def _external(self, evse_id: int) -> tuple[Plans, ...]:
        """What each other system allows, whether or not smart charging is enabled."""
        return tuple((self._plan(each),) for each in self._profiles.all() if each.external and each.evse_id == evse_id)

    def _tx(self, session: Session, nth: int) -> Plans:
        """The TxProfiles of the transaction, or what the next one brings along."""
        if not self._enabled:
            return ()
        transaction_id, to_come = session.transaction_id, self._profiles.to_come(session.evse_id)
        found = [each.profile for each in self._profiles.all() if each.profile.transaction_id is not None]
        mine = [profile for profile in found if profile.transaction_id == transaction_id]
        mine += [to_come.profile] if to_come is not None else []
        return stacked([plan(profile, nth) for profile in mine])

    def _plan(self, installed: Installed) -> Plan:
        """Made once of each profile."""
        known = self._plans.get(installed.profile.id)
        if known is None or known[0] is not installed:
            known = self._plans[installed.profile.id] = (installed, plan(installed.profile))
        return known[1]

    # --- what follows now

    def _now(self, now: Now) -> Mapping[int, Limit | None]:
        site = self.site()
        levels, budget, until = site.at(millis(now.wall))
        if budget.amperes < math.inf:
            levels = self._shared(site, levels, budget, now)
        else:
            self._drawn = {}
        self._plan_next(until, now)
        return {outlet.evse_id: _ceiling(outlet, levels[outlet.evse_id]) for outlet in site.outlets}

    def _shared(self, site: Site, levels: Mapping[int, Level], budget: Level, now: Now) -> dict[int, Level]:
        """What of its share each EVSE may have at once (see `shares`); the idle ones what is left, if one came."""
        active = [outlet.evse_id for outlet in site.outlets if outlet.active]
        shares = {evse_id: levels[evse_id].amperes for evse_id in active}
        drawn = self._still_drawn(shares, now)
        amperes = granted(budget.amperes, shares, drawn)
        for outlet in site.outlets:
            if not outlet.active:
                evse_id = outlet.evse_id
                share = site.at(millis(now.wall), joining=evse_id)[0][evse_id].amperes
                others = {each: max(drawn.get(each, 0.0), amperes.get(each, 0.0)) for each in drawn.keys() | amperes}
                amperes[evse_id] = granted(budget.amperes, {evse_id: share}, {**others, evse_id: 0.0})[evse_id]
        return {evse_id: level._replace(amperes=amperes[evse_id]) for evse_id, level in levels.items()}

    def _still_drawn(self, shares: Mapping[int, float], now: Now) -> dict[int, float]:
        """What vehicles may draw at this moment; where that gets less, they have a while to follow."""
        self._drawn = {evse_id: each for evse_id, each in self._drawn.items() if each.until > now.mono}
        drawn = {}
        for session in self._sessions.all():
            evse_id, current = session.evse_id, self._amperes(session.evse_id)
            if evse_id not in shares:
                if session.path_closed:  # about to open: until it has, it may draw what it had
                    drawn[evse_id] = current
                continue
            if session.flowing and shares[evse_id] < current:
                held = self._drawn.get(evse_id)
                if held is None or held.amperes < current:
                    self._drawn[evse_id] = Drawn(current, now.after(YIELD_S))
            held = self._drawn.get(evse_id)
            drawn[evse_id] = max(held.amperes if held else 0.0, min(current, shares[evse_id]))
        return drawn

    def _amperes(self, evse_id: int) -> float:
        ceiling, most = self._limits.ceiling(evse_id), self._most(self._sessions.get(evse_id))
        return min(most, ceiling.amperes) if ceiling is not None else most

    def _plan_next(self, until: int, now: Now) -> None:
        due: list[Deadline] = [MonoDeadline(Mono(each.until)) for each in self._drawn.values()]
        if (also := self.also()) is not None:
            due.append(also)
        if until < FOREVER:
            due.append(WallDeadline(Wall(until / 1000)))
        self.next = min(due, key=lambda each: seconds_until(each, now), default=None)


def _takes_part(session: Session) -> bool:
    """Whether a vehicle charges here, or would if it could."""
    hindered = session.suspended or session.faults or session.board_lost
    return session.authorized and session.plugged and session.closing is None and not hindered


def _ceiling(outlet: Outlet, level: Level) -> Limit | None:
    if level.amperes >= outlet.max_a and level.phases >= outlet.supply.phases:
        return None
    return Limit(level.amperes, level.phases or None)
