"""Whether a charging profile can be accepted, and if not, why: K01 with its errata, F01.FR.26, F02.FR.27.

The CSMS's own duties are checked too: a profile that breaks them means nothing certain, and what limits a cable must.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final

from msgspec.structs import replace

from station.now import Wall, to_wall
from station.ocpp.types import ChargingProfileType, ChargingScheduleType
from station.refusal import Refusal
from station.state.connectors import Connectors
from station.state.profiles import EXTERNAL, STATION, Installed, Profiles
from station.state.sessions import Sessions
from station.state.variables import Variables

COMPONENT: Final = "SmartChargingCtrlr"
SCHEDULES: Final = 3
"""As many schedules a vehicle that speaks ISO 15118 may choose from."""
PERIODS_IN_ALL: Final = 16_384
"""Of all profiles together: some 4 MB of memory."""


class Judge:
    """Judges profiles against what is installed and what goes on at the EVSEs."""

    def __init__(self, *, profiles: Profiles, sessions: Sessions, connectors: Connectors, variables: Variables) -> None:
        self._profiles = profiles
        self._sessions = sessions
        self._connectors = connectors
        self._variables = variables
        self.told_needs: Callable[[int], bool] = lambda _evse_id: False
        """Whether a vehicle has told its needs by ISO 15118; the block says."""

    @property
    def enabled(self) -> bool:
        """SmartChargingCtrlr.Enabled: false makes the station one without smart charging (K01.FR.29, F01.FR.12)."""
        return self._variables.boolean(COMPONENT, "Enabled")

    def of_set(self, profile: ChargingProfileType, evse_id: int) -> Refusal | None:
        """SetChargingProfile."""
        if evse_id != STATION and not self._connectors.exists(evse_id):  # K01.FR.28
            return Refusal("UnknownEvse")
        return (
            self._purpose(profile, evse_id)
            or self._transaction(profile, evse_id)
            or self._duplicate(profile, evse_id)
            or self._room(profile)
            or self._content(profile, evse_id)
        )

    def of_start(self, profile: ChargingProfileType, evse_id: int) -> Refusal | None:
        """RequestStartTransaction knows two reasons: the profile is wrong, or its schedule (F01.FR.26, F02.FR.27)."""
        if profile.charging_profile_purpose != "TxProfile" or profile.transaction_id is not None:
            return Refusal("InvalidProfile", "a TxProfile without transactionId is taken here")  # F01.FR.09, F01.FR.11
        known = self._profiles.find(profile.id)
        if known is not None and known.external:
            return Refusal("InvalidProfile", "the id is that of an external limit")
        if (refusal := self._room(profile) or self._second(profile, evse_id)) is not None:
            return Refusal("InvalidProfile", refusal.additional_info)
        refusal = self._content(profile, evse_id)
        if refusal is None or refusal.reason_code in {"InvalidProfile", "InvalidSchedule"}:
            return refusal
        of_profile = refusal.reason_code == "InvalidStackLevel"
        info = f"{refusal.reason_code}: {refusal.additional_info}"
        return Refusal("InvalidProfile" if of_profile else "InvalidSchedule", info)

    # --- where it may be

    def _purpose(self, profile: ChargingProfileType, evse_id: int) -> Refusal | None:
        purpose = profile.charging_profile_purpose
        if purpose == EXTERNAL:  # K01.FR.22
            return Refusal("InvalidProfile", "only an external system sets this purpose")
        if purpose == "ChargingStationMaxProfile":
            if evse_id != STATION:  # K04.FR.03
                return Refusal("InvalidProfile", "ChargingStationMaxProfile is for evseId 0")
            if profile.charging_profile_kind == "Relative":  # K01.FR.38
                return Refusal("InvalidProfile", "ChargingStationMaxProfile cannot be Relative")
        if purpose == "TxProfile":
            if evse_id == STATION:  # K01.FR.16
                return Refusal("InvalidProfile", "TxProfile is for one EVSE")
            if profile.transaction_id is None:  # K01.FR.03
                return Refusal("MissingParam", "transactionId")
        elif profile.transaction_id is not None:
            return Refusal("InvalidValue", "transactionId is for a TxProfile")
        return None

    def _transaction(self, profile: ChargingProfileType, evse_id: int) -> Refusal | None:
        """K01.FR.09, K01.FR.33."""
        if profile.charging_profile_purpose != "TxProfile":
            return None
        session = self._sessions.on_evse(evse_id)
        if session is None or not session.started:
            return Refusal("TxNotFound", "no transaction on this EVSE")
        if session.transaction_id != profile.transaction_id:
            return Refusal("TxNotFound", "the EVSE has another transaction")
        return None

    def _duplicate(self, profile: ChargingProfileType, evse_id: int) -> Refusal | None:
        """K01.FR.05, K01.FR.06, K01.FR.39, K01.FR.52, K01.FR.53."""
        for other in self._profiles.all():
            if other.profile.id == profile.id:
                if other.external:
                    return Refusal("DuplicateProfile", "the id is that of an external limit")
            elif _collide(other, profile, evse_id):
                return Refusal("DuplicateProfile", f"profile {other.profile.id} has purpose and stackLevel")
        return None

    def _second(self, profile: ChargingProfileType, evse_id: int) -> Refusal | None:
        """K01.FR.39 for the profile of a start: the transaction may run already, with a profile of its own."""
        session = self._sessions.get(evse_id)
        if not session.started or session.closing is not None:
            return None
        return self._duplicate(replace(profile, transaction_id=session.transaction_id), evse_id)

    def _room(self, profile: ChargingProfileType) -> Refusal | None:
        """So many profiles as the CSMS was told, and of large ones not so many that the memory does not hold them."""
        others = [each.profile for each in self._profiles.all() if each.profile.id != profile.id]
        most = self._variables.most(COMPONENT, "Entries", "ChargingProfiles")
        if len(others) >= most:
            return Refusal("TooManyElements", f"{most} profiles are installed")
        if sum(map(_periods, others)) + _periods(profile) > PERIODS_IN_ALL:
            return Refusal("OutOfStorage", f"{PERIODS_IN_ALL} periods in all")
        return None

    # --- what it says

    def _content(self, profile: ChargingProfileType, evse_id: int) -> Refusal | None:
        most = self._variables.integer(COMPONENT, "ProfileStackLevel")
        if not 0 <= profile.stack_level <= most:
            return Refusal("InvalidStackLevel", f"0 to {most}")
        recurring = profile.charging_profile_kind == "Recurring"
        if recurring != (profile.recurrency_kind is not None):
            return Refusal("InvalidProfile", "recurrencyKind goes with Recurring")
        if _validity(profile)[0] >= _validity(profile)[1]:
            return Refusal("InvalidProfile", "validTo is not after validFrom")
        count, of_tx = len(profile.charging_schedule), profile.charging_profile_purpose == "TxProfile"
        if count > (SCHEDULES if of_tx and self.told_needs(evse_id) else 1):  # K01.FR.34
            return Refusal("InvalidProfile", "one chargingSchedule, unless a vehicle told its needs by ISO 15118")
        refusals = (self._schedule(profile, schedule, evse_id) for schedule in profile.charging_schedule)
        return next((refusal for refusal in refusals if refusal is not None), None)

    def _schedule(self, profile: ChargingProfileType, schedule: ChargingScheduleType, evse_id: int) -> Refusal | None:
        if schedule.charging_rate_unit not in self._variables.members(COMPONENT, "RateUnit"):  # K01.FR.26
            return Refusal("UnsupportedRateUnit", schedule.charging_rate_unit)
        relative = profile.charging_profile_kind == "Relative"
        if relative != (schedule.start_schedule is None):  # K01.FR.40, K01.FR.41
            return Refusal("InvalidSchedule", "startSchedule goes with Absolute and Recurring")
        periods = schedule.charging_schedule_period
        if len(periods) > self._variables.integer(COMPONENT, "PeriodsPerSchedule"):
            return Refusal("TooManyElements", f"{len(periods)} periods")
        starts = [period.start_period for period in periods]
        rises = all(before < after for before, after in pairwise(starts))
        if starts[0] != 0 or not rises:  # K01.FR.31, K01.FR.35
            return Refusal("InvalidSchedule", "the first startPeriod is 0, each is more than the one before")
        negative = any((period.limit or 0.0) < 0 for period in periods)
        if negative or (schedule.duration is not None and schedule.duration <= 0):
            return Refusal("InvalidSchedule", "limit and duration cannot be negative")
        concerned = self._connectors.evse_ids() if evse_id == STATION else (evse_id,)
        return next((refusal for each in concerned for refusal in self._phases(schedule, each)), None)

    def _phases(self, schedule: ChargingScheduleType, evse_id: int) -> Iterator[Refusal]:
        """What cannot be done with the phases of an EVSE; one for direct current has none (K01.FR.44)."""
        wired = self._connectors.phases(evse_id)
        for period in schedule.charging_schedule_period if wired else ():
            phases = period.number_phases
            if phases is not None and not 1 <= phases <= 3:  # noqa: PLR2004 - a grid has three phases
                yield Refusal("InvalidSchedule", "numberPhases is 1 to 3")
            elif phases is not None and phases < wired and not self._connectors.switches_phases:  # K01.FR.43
                yield Refusal("InvalidSchedule", f"EVSE {evse_id} always uses {wired} phases")
            if period.phase_to_use is None:  # K01.FR.47
                continue
            if phases != 1:  # K01.FR.19
                yield Refusal("InvalidSchedule", "phaseToUse needs numberPhases 1")
            elif period.phase_to_use != self._connectors.phase_used(evse_id):  # K01.FR.46, K01.FR.48
                yield Refusal("InvalidSchedule", f"EVSE {evse_id} uses another phase")


def _periods(profile: ChargingProfileType) -> int:
    return sum(len(schedule.charging_schedule_period) for schedule in profile.charging_schedule)


def _collide(other: Installed, profile: ChargingProfileType, evse_id: int) -> bool:
    """Whether two profiles could lead at the same time."""
    known = other.profile
    same = (known.charging_profile_purpose, known.stack_level)
    if same != (profile.charging_profile_purpose, profile.stack_level):
        return False
    if profile.charging_profile_purpose == "TxProfile":
        return known.transaction_id == profile.transaction_id
    if other.evse_id != evse_id:
        return profile.charging_profile_purpose == "TxDefaultProfile" and STATION in {other.evse_id, evse_id}
    begin, end = _validity(profile)
    since, until = _validity(known)
    return begin < until and since < end


def _validity(profile: ChargingProfileType) -> tuple[Wall, Wall]:
    begin = to_wall(profile.valid_from) if profile.valid_from is not None else Wall(float("-inf"))
    end = to_wall(profile.valid_to) if profile.valid_to is not None else Wall(float("inf"))
    return begin, end
