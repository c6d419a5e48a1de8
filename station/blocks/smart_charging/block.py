"""Block K: what smart charging answers and hears.

Profiles are judged (validation.py), kept (state/profiles.py), and from then on in force: after each change the ceilings
are looked at again, and Transactions hears LimitChanged of those that are others. It hears facts after Transactions,
whose sessions it looks at; a transaction never begins with more than its profiles allow all the same, since the ceiling
of an idle EVSE stands already.
Invariant: a TxProfile is gone in the step in which its transaction ends.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from station.block import Block, Outcome, Outcomes, Reactions, Routes, on, outcome, route
from station.blocks.smart_charging import reports
from station.blocks.smart_charging.ceilings import COMPONENT, Ceilings, States
from station.blocks.smart_charging.composite import Site, periods, schedule
from station.blocks.smart_charging.derating import Derating
from station.blocks.smart_charging.external import Externals
from station.blocks.smart_charging.plans import millis
from station.blocks.smart_charging.validation import Judge
from station.blocks.smart_charging.vehicle import Vehicles
from station.facts import (
    AuthorizationEnded,
    AuthorizationRefused,
    Authorized,
    ClockStepped,
    DeviceLost,
    DeviceReturned,
    EvseQuarantined,
    FaultChanged,
    PlugInserted,
    PlugRemoved,
    PowerPathChanged,
    RemoteStartAccepted,
    SensorRead,
    SnapshotTold,
    StationStarted,
    TransactionEnded,
    TransactionStarted,
    VariableChanged,
    VehicleNeedsTold,
    VehicleScheduleTold,
    VehicleSpoke,
)
from station.facts.base import Fact
from station.now import Deadline, Now
from station.ocpp.enums import ChargingRateUnitEnumType
from station.ocpp.errors import ErrorCode, RpcError
from station.ocpp.messages import (
    ClearChargingProfileRequest,
    ClearChargingProfileResponse,
    GetChargingProfilesRequest,
    GetChargingProfilesResponse,
    GetCompositeScheduleRequest,
    GetCompositeScheduleResponse,
    NotifyEVChargingNeedsRequest,
    NotifyEVChargingScheduleRequest,
    SetChargingProfileRequest,
    SetChargingProfileResponse,
)
from station.ocpp.types import CompositeScheduleType
from station.ports import Csms
from station.refusal import Refusal
from station.state.profiles import STATION, Installed, ToCome


class Parts(msgspec.Struct, frozen=True):
    """What smart charging is made of."""

    ceilings: Ceilings
    externals: Externals
    vehicles: Vehicles
    derating: Derating


class SmartCharging(Block):
    """Block K: charging profiles, and what follows from them."""

    def __init__(self, *, states: States, judge: Judge, parts: Parts, csms: Csms) -> None:
        self._profiles = states.profiles
        self._sessions = states.sessions
        self._connectors = states.connectors
        self._variables = states.variables
        self._judge = judge
        self._ceilings = parts.ceilings
        self._externals = parts.externals
        self._vehicles = parts.vehicles
        self._derating = parts.derating
        states.limits.derated = parts.derating.limit_a
        parts.externals.changed = self._changed
        parts.vehicles.site = parts.ceilings.site
        parts.ceilings.also = parts.vehicles.next_due
        judge.told_needs = parts.vehicles.told_needs
        self._csms = csms

    def routes(self) -> Routes:
        """K01, K08, K09, K10."""
        return [
            route(SetChargingProfileRequest, self.set),
            route(GetChargingProfilesRequest, self.report),
            route(ClearChargingProfileRequest, self.clear),
            route(GetCompositeScheduleRequest, self.compose),
        ]

    def outcomes(self) -> Outcomes:
        """K15, K17."""
        return [
            outcome(NotifyEVChargingNeedsRequest, self.needs_answered),
            outcome(NotifyEVChargingScheduleRequest, self.schedule_answered),
        ]

    def reactions(self) -> Reactions:
        """Who comes and goes, and what an EVSE can do."""
        looks = (
            ClockStepped,
            DeviceReturned,
            EvseQuarantined,
            FaultChanged,
            PlugInserted,
            PowerPathChanged,
            SnapshotTold,
        )
        return [
            on(StationStarted, self.started),
            on(RemoteStartAccepted, self.remote_start),
            on(Authorized, self.authorized),
            on(AuthorizationRefused, self.authorization_refused),
            on(AuthorizationEnded, self.authorization_ended),
            on(TransactionStarted, self.transaction_started),
            on(TransactionEnded, self.transaction_ended),
            on(VariableChanged, self.variable_changed),
            on(SensorRead, self.sensed),
            on(DeviceLost, self.device_lost),
            on(VehicleSpoke, self.vehicle_spoke),
            on(VehicleNeedsTold, self.needs_told),
            on(VehicleScheduleTold, self.schedule_told),
            on(PlugRemoved, self.vehicle_gone),
            *(on(fact, self.look_again) for fact in looks),
        ]

    def load(self, now: Now) -> None:
        """The ceilings as the tables say."""
        self._externals.load()
        self._vehicles.load()
        self._ceilings.load(now)

    # --- the requests

    def set(self, request: SetChargingProfileRequest, now: Now) -> SetChargingProfileResponse:
        """K01."""
        self._need_support()
        profile, evse_id = request.charging_profile, request.evse_id
        refusal = self._judge.of_set(profile, evse_id)
        of_tx = profile.charging_profile_purpose == "TxProfile"
        if refusal is None and of_tx and self._vehicles.is_early(evse_id, now):
            refusal = Refusal("InvalidMessageSeq", "the vehicle has not stated its needs")  # K15.FR.17
        if refusal is not None:
            return SetChargingProfileResponse(status="Rejected", status_info=refusal.info)
        if self._profiles.install(Installed(evse_id, profile)):
            self._changed(now)
        if of_tx:
            self._vehicles.profile_set(evse_id, now)
        return SetChargingProfileResponse(status="Accepted")

    def report(self, request: GetChargingProfilesRequest, now: Now) -> GetChargingProfilesResponse:
        """K09: answered first, told after."""
        del now
        self._need_support()
        found = reports.wanted(self._profiles.all(), request.charging_profile, request.evse_id)
        if not found:
            return GetChargingProfilesResponse(status="NoProfiles")
        self._csms.stream(reports.pages(found, request.request_id), asked=False)
        return GetChargingProfilesResponse(status="Accepted")

    def clear(self, request: ClearChargingProfileRequest, now: Now) -> ClearChargingProfileResponse:
        """K10.FR.01, K10.FR.03 to K10.FR.09."""
        self._need_support()
        found = reports.cleared(self._profiles.all(), request.charging_profile_id, request.charging_profile_criteria)
        for each in found:
            self._profiles.remove(each.profile.id)
        if not found:
            return ClearChargingProfileResponse(status="Unknown")
        self._changed(now)
        return ClearChargingProfileResponse(status="Accepted")

    def compose(self, request: GetCompositeScheduleRequest, now: Now) -> GetCompositeScheduleResponse:
        """K08."""
        self._need_support()
        unit = request.charging_rate_unit
        refusal = self._cannot_compose(request.evse_id, unit)
        if refusal is not None:
            return GetCompositeScheduleResponse(status="Rejected", status_info=refusal.info)
        unit = unit or self._unit()
        begin = millis(now.wall)
        end = begin + max(request.duration, 1) * 1000
        spans, until = schedule(self._site(begin), request.evse_id, begin, end)
        return GetCompositeScheduleResponse(
            status="Accepted",
            schedule=CompositeScheduleType(
                evse_id=request.evse_id,
                duration=request.duration if until == end else (until - begin) // 1000,
                schedule_start=now.utc,
                charging_rate_unit=unit,
                charging_schedule_period=periods(spans, begin, unit),
            ),
        )

    def _cannot_compose(self, evse_id: int, unit: ChargingRateUnitEnumType | None) -> Refusal | None:
        if evse_id != STATION and not self._connectors.exists(evse_id):  # K08.FR.05
            return Refusal("UnknownEvse")
        if unit is not None and unit not in self._variables.members(COMPONENT, "RateUnit"):  # K08.FR.07
            return Refusal("UnsupportedRateUnit", unit)
        return None

    def _unit(self) -> ChargingRateUnitEnumType:
        return "A" if "A" in self._variables.members(COMPONENT, "RateUnit") else "W"

    def _site(self, begin: int) -> Site:
        """K08.FR.06: where nobody is ready, relative schedules would begin now; SC.04: what vehicles will not take."""
        site = self._ceilings.site().as_of(begin)
        choices = {each.evse_id: self._vehicles.choice(each.evse_id) for each in site.outlets}
        if not any(choices.values()):
            return site
        outlets = tuple(replace(each, vehicle=choices[each.evse_id]) for each in site.outlets)
        return replace(site, outlets=outlets)

    def _need_support(self) -> None:
        """K01.FR.29."""
        if not self._judge.enabled:
            raise RpcError(ErrorCode.NOT_SUPPORTED, "smart charging is disabled")

    # --- a transaction brings its profile along

    def started(self, fact: StationStarted, now: Now) -> None:
        """What a power cut left without its transaction goes."""
        del fact
        self._profiles.forget_strays()
        for evse_id in self._connectors.evse_ids():
            awaited, session = self._profiles.to_come(evse_id), self._sessions.get(evse_id)
            if awaited is not None and session.remote_start_id != awaited.remote_start_id:
                self._profiles.expect_no_more(evse_id)
        self._changed(now)
        self._externals.tell()

    def remote_start(self, fact: RemoteStartAccepted, now: Now) -> None:
        """K05.FR.03: the profile waits for its transaction; a request without one replaces an older one with."""
        if fact.charging_profile is None:
            self._nobody_comes(fact.evse_id, now)
            return
        self._profiles.expect(ToCome(fact.evse_id, fact.remote_start_id, fact.charging_profile))
        self._changed(now)

    def authorized(self, fact: Authorized, now: Now) -> None:
        """It is the driver for whom the profile came, or another."""
        awaited = self._profiles.to_come(fact.evse_id)
        if awaited is not None and awaited.remote_start_id != fact.remote_start_id:
            self._profiles.expect_no_more(fact.evse_id)
        self._bind(fact.evse_id)
        self._changed(now)

    def transaction_started(self, fact: TransactionStarted, now: Now) -> None:
        """F01.FR.10, F02.FR.18."""
        if fact.evse_id is not None:
            self._bind(fact.evse_id)
        self._changed(now)

    def _bind(self, evse_id: int) -> None:
        """The transaction runs, and its driver is the one for whom the profile came: it is a TxProfile from now on."""
        awaited, session = self._profiles.to_come(evse_id), self._sessions.get(evse_id)
        if awaited is None or session.remote_start_id != awaited.remote_start_id or not session.started:
            return
        profile = replace(awaited.profile, transaction_id=session.transaction_id)
        self._profiles.expect_no_more(evse_id)
        self._profiles.install(Installed(evse_id, profile))

    def authorization_refused(self, fact: AuthorizationRefused, now: Now) -> None:
        """The driver for whom it came is not welcome."""
        if fact.evse_id is not None:
            self._nobody_comes(fact.evse_id, now)

    def authorization_ended(self, fact: AuthorizationEnded, now: Now) -> None:
        """He did not come, or has gone."""
        self._nobody_comes(fact.evse_id, now)

    def _nobody_comes(self, evse_id: int, now: Now) -> None:
        self._profiles.expect_no_more(evse_id)
        self._changed(now)

    def transaction_ended(self, fact: TransactionEnded, now: Now) -> None:
        """K02.FR.05."""
        self._vehicles.gone(fact.evse_id)
        for each in self._profiles.all():
            if each.profile.transaction_id == fact.transaction_id:
                self._profiles.remove(each.profile.id)
        self._changed(now)

    # --- a vehicle that speaks ISO 15118

    def vehicle_spoke(self, fact: VehicleSpoke, now: Now) -> None:
        """It will state its needs."""
        self._vehicles.spoke(fact.evse_id, now)

    def needs_told(self, fact: VehicleNeedsTold, now: Now) -> None:
        """K15.FR.01, K17.FR.01."""
        self._vehicles.needs(fact, now)
        self._ceilings.look(now)

    def needs_answered(self, fate: Outcome[NotifyEVChargingNeedsRequest], now: Now) -> None:
        """K15.FR.15."""
        self._vehicles.needs_answered(fate, now)

    def schedule_told(self, fact: VehicleScheduleTold, now: Now) -> None:
        """K15.FR.10, K16.FR.05, K17.FR.10."""
        self._vehicles.schedule_told(fact, now)

    def schedule_answered(self, fate: Outcome[NotifyEVChargingScheduleRequest], now: Now) -> None:
        """K15.FR.14, K16.FR.10, K17.FR.14."""
        del now
        self._vehicles.schedule_answered(fate)

    def vehicle_gone(self, fact: PlugRemoved, now: Now) -> None:
        """Whatever it said is over."""
        self._vehicles.gone(fact.evse_id)
        self._look(now)

    # --- what else matters

    def variable_changed(self, fact: VariableChanged, now: Now) -> None:
        """While smart charging is disabled, profiles stay and limit nothing."""
        if fact.component != COMPONENT:
            return
        if fact.variable == "Enabled":
            self._look(now)
        if fact.variable == "ExternalControlSignalsEnabled" and not self._externals.enabled:
            self._externals.release_all(now)

    def sensed(self, fact: SensorRead, now: Now) -> None:
        """A signal of another system (K11), or how hot it is."""
        self._externals.sensed(fact, now)
        if self._derating.feels(fact):
            self._ceilings.after(lambda: self._derating.sensed(fact), now)

    def device_lost(self, fact: DeviceLost, now: Now) -> None:
        """A board that is gone needs nothing; a thermometer that is gone cannot say that it is cool."""
        self._ceilings.after(lambda: self._derating.lost(fact.device), now)

    def look_again(self, fact: Fact, now: Now) -> None:
        """Another vehicle takes part, or what is offered is limited by something else."""
        del fact
        self._look(now)

    def _changed(self, now: Now) -> None:
        self._variables.set(COMPONENT, "Entries", str(len(self._profiles)), "ChargingProfiles")
        self._look(now)

    def _look(self, now: Now) -> None:
        self._ceilings.look(now)
        self._vehicles.look(now)

    # --- time

    def next_due(self) -> Deadline | None:
        """When anything changes by itself, or a vehicle has waited long enough."""
        return self._ceilings.next

    def due(self, now: Now) -> None:
        """Another step of a schedule is in force, or an external limit is over."""
        self._externals.expire(now)
        self._vehicles.due(now)
        self._ceilings.look(now)
