"""Which profiles a request means (K09, K10), and how they are reported. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

import msgspec

from station.ocpp.messages import ReportChargingProfilesRequest
from station.ocpp.types import ChargingProfileCriterionType, ClearChargingProfileType
from station.state.profiles import Installed

PAGE_BYTES: Final = 30_000
"""About so much of profiles in one message; one that is larger goes alone."""


def wanted(
    installed: Sequence[Installed], criterion: ChargingProfileCriterionType, evse_id: int | None
) -> list[Installed]:
    """K09.FR.03 to K09.FR.06: all that is given must match."""
    ids, sources = criterion.charging_profile_id, criterion.charging_limit_source
    return [
        each
        for each in installed
        if evse_id in {None, each.evse_id}
        and (not ids or each.profile.id in ids)
        and (not sources or each.source in sources)
        and criterion.charging_profile_purpose in {None, each.profile.charging_profile_purpose}
        and criterion.stack_level in {None, each.profile.stack_level}
    ]


def cleared(
    installed: Sequence[Installed], profile_id: int | None, criteria: ClearChargingProfileType | None
) -> list[Installed]:
    """K10.FR.03, K10.FR.04: by id, else by all that is given.

    External limits are never meant (K10.FR.08, K10.FR.09).
    """
    mine = [each for each in installed if not each.external]
    if profile_id is not None:
        return [each for each in mine if each.profile.id == profile_id]
    if criteria is None:
        return mine
    return [
        each
        for each in mine
        if criteria.evse_id in {None, each.evse_id}
        and criteria.charging_profile_purpose in {None, each.profile.charging_profile_purpose}
        and criteria.stack_level in {None, each.profile.stack_level}
    ]


def pages(found: Sequence[Installed], request_id: int) -> Iterator[ReportChargingProfilesRequest]:
    """K09.FR.01, K09.FR.02: one message tells of one source and one EVSE."""
    portions = list(_portions(found))
    for number, portion in enumerate(portions, 1):
        yield ReportChargingProfilesRequest(
            request_id=request_id,
            charging_limit_source=portion[0].source,
            evse_id=portion[0].evse_id,
            charging_profile=[each.profile for each in portion],
            tbc=number < len(portions),
        )


def _portions(found: Sequence[Installed]) -> Iterator[list[Installed]]:
    ordered = sorted(found, key=lambda each: (each.source, each.evse_id))
    for _, group in groupby(ordered, key=lambda each: (each.source, each.evse_id)):
        portion: list[Installed] = []
        size = 0
        for each in group:
            more = len(msgspec.json.encode(each.profile))
            if portion and size + more > PAGE_BYTES:
                yield portion
                portion, size = [], 0
            portion.append(each)
            size += more
        yield portion
