"""What a board tells of a vehicle that speaks ISO 15118, as facts for the core.

Invariant: whatever a vehicle sends, no more of it gets to the core than could be of use there.
"""

from __future__ import annotations

import math

from hal.iso15118 import (
    CERTIFICATE_S,
    CertificateWanted,
    ContractPresented,
    SessionStopped,
    VehicleIdentified,
    VehicleNeeds,
)
from hal.schedules import VehicleSchedule
from station.facts import (
    CertificateWantedByEv,
    ContractShown,
    Fact,
    VehicleNeedsTold,
    VehicleScheduleTold,
    VehicleSpoke,
    VehicleStopped,
)
from station.now import Instant

LONGEST_PEM = 20_000
"""Characters of a chain: four certificates of ISO 15118-20 and much air. A longer one is cut, and so is worth nothing,
but one more is left, by which it can be seen."""
LONGEST_EXI = 5600
"""As much Get15118EVCertificate carries in 2.0.1; cut likewise."""
LONGEST_NAME = 100
LONGEST_PATIENCE_S = 60.0


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
        case ContractPresented():
            pem = event.certificate_pem[: LONGEST_PEM + 1]
            return ContractShown(evse_id=evse_id, at=at, emaid=event.emaid[:LONGEST_NAME], certificate_pem=pem)
        case CertificateWanted():
            patience_s = event.patience_s if math.isfinite(event.patience_s) else CERTIFICATE_S
            return CertificateWantedByEv(
                evse_id=evse_id,
                at=at,
                schema_version=event.schema_version[:LONGEST_NAME],
                exi_request=event.exi_request[: LONGEST_EXI + 1],
                update=event.update,
                patience_s=min(max(patience_s, 0.0), LONGEST_PATIENCE_S),
            )
        case _:
            return None
