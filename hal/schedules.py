"""Charging schedules over ISO 15118: what the agent offers to a vehicle, and what the vehicle chooses.

The exchange stays in the board (see `hal.iso15118`): it tells `VehicleNeeds`, keeps the vehicle waiting until it has an
offer (ISO 15118-2 leaves it 60 s), and tells what the vehicle chose. An offer that comes while no vehicle waits makes
the board renegotiate; the needs that a vehicle states again on that occasion it may tell or keep to itself.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import msgspec


class ScheduleOffer(msgspec.Struct, frozen=True):
    """One entry of the SAScheduleList: `id` is its tuple id; amperes per phase from so many seconds from now on."""

    id: int
    periods: tuple[tuple[int, float], ...]
    duration_s: int


class VehicleSchedule(msgspec.Struct, frozen=True):
    """The vehicle has chosen an offer; `periods`: its own charging profile, amperes per phase from so many seconds on.

    Empty if it gave none: it will follow the offer.
    """

    channel: int
    schedule_id: int
    periods: tuple[tuple[int, float], ...] = ()


@runtime_checkable
class SchedulingBoard(Protocol):
    """Ability: a board that hands charging schedules to the vehicle."""

    async def offer(self, channel: int, schedules: tuple[ScheduleOffer, ...]) -> None:
        """Answers the vehicle that waits, or makes it renegotiate. At most three schedules, the preferred one first.

        Raises NotFound, Timeout, BadReply, Refused (no vehicle is there that speaks ISO 15118).
        """
        ...
