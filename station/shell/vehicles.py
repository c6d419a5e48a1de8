"""What a board tells of a vehicle that speaks ISO 15118, as facts for the core."""

from __future__ import annotations

from hal.iso15118 import SessionStopped, VehicleIdentified, VehicleNeeds
from hal.schedules import VehicleSchedule
from station.facts import Fact, VehicleNeedsTold, VehicleScheduleTold, VehicleSpoke, VehicleStopped
from station.now import Instant


def told(event: object, evse_id: int, at: Instant) -> Fact | None:
    """The fact that an event of a board is; None for one that is none."""
    match event:
        case SessionStopped():
            return VehicleStopped(evse_id=evse_id, at=at)
        case VehicleIdentified():
            return VehicleSpoke(evse_id=evse_id, at=at)
        case VehicleNeeds():
            return VehicleNeedsTold(evse_id=evse_id, at=at, needs=event)
        case VehicleSchedule():
            return VehicleScheduleTold(evse_id=evse_id, at=at, schedule_id=event.schedule_id, periods=event.periods)
        case _:
            return None
