"""What the hardware did or shows: made by the hardware thread (shell/hub.py, shell/levels.py).

"Told again": a level, which the hardware repeats after a start, a recovery or a board's return; equal ones change
nothing. The others are momentary and never repeated.
"""

from __future__ import annotations

from hal.api import Fault, Identity, MeterReading
from hal.iso15118 import VehicleNeeds
from station.facts.base import Fact
from station.now import Instant
from station.ocpp.types import IdTokenType


class HardwareFact(Fact, frozen=True, kw_only=True):
    """Something about one EVSE's hardware, and when it was seen."""

    evse_id: int
    at: Instant


class PlugInserted(HardwareFact, frozen=True, kw_only=True):
    """The EV is connected (pilot left A). `cable_max_a` from the proximity pin, if the board tells. Told again."""

    connector_id: int
    cable_max_a: float | None = None


class PlugRemoved(HardwareFact, frozen=True, kw_only=True):
    """Nothing is connected (pilot A). Told again."""

    connector_id: int


class EnergyRequested(HardwareFact, frozen=True, kw_only=True):
    """The EV asks for energy (pilot C or D) or does not (B). Told again."""

    connector_id: int
    requested: bool


class PowerPathChanged(HardwareFact, frozen=True, kw_only=True):
    """The contactor really is closed or open, and on how many phases. Told again."""

    closed: bool
    phases: int = 3


class EnergyFlowChanged(HardwareFact, frozen=True, kw_only=True):
    """Current really flows, or stopped: above or below the threshold of board or meter. Told again."""

    flowing: bool


class LockChanged(HardwareFact, frozen=True, kw_only=True):
    """The plug lock: locked or not; `problem` when it did not do what was wanted (G05). Told again."""

    connector_id: int
    locked: bool
    problem: bool = False


class FaultChanged(HardwareFact, frozen=True, kw_only=True):
    """A fault appeared or went. `connector_id` None: the whole EVSE. Told again while present."""

    fault: Fault
    present: bool
    connector_id: int | None = None
    tech_code: str = ""
    tech_info: str = ""


class BayOccupancyChanged(HardwareFact, frozen=True, kw_only=True):
    """A parking bay detector sees a vehicle, or sees none. Told again."""

    occupied: bool


class MeterSampled(HardwareFact, frozen=True, kw_only=True):
    """A reading of the EVSE's meter; EVSE 0 is the station's main meter.

    `purpose` is what it was asked for by `hardware.sample`, "moment" where `hardware.keep_reading` said so, or "idle";
    `at` is when it was sampled.
    """

    reading: MeterReading
    purpose: str = "idle"


class VehicleStopped(HardwareFact, frozen=True, kw_only=True):
    """The vehicle ended the charging session itself: ISO 15118 SessionStop with Terminate (E15). Momentary."""


class VehicleSpoke(HardwareFact, frozen=True, kw_only=True):
    """A vehicle has begun to speak ISO 15118. Momentary."""


class VehicleNeedsTold(HardwareFact, frozen=True, kw_only=True):
    """An ISO 15118 vehicle says what it needs, and waits for an offer (K15). Momentary."""

    needs: VehicleNeeds


class VehicleScheduleTold(HardwareFact, frozen=True, kw_only=True):
    """An ISO 15118 vehicle has chosen an offer, and says how it will charge, if it does (K15). Momentary."""

    schedule_id: int
    periods: tuple[tuple[int, float], ...] = ()


class ContractShown(HardwareFact, frozen=True, kw_only=True):
    """A vehicle presents its contract certificate and waits (C07); `certificate_pem` leaf first. Momentary."""

    emaid: str
    certificate_pem: str


class CertificateWantedByEv(HardwareFact, frozen=True, kw_only=True):
    """A vehicle asks for its contract certificate, and waits `patience_s` for it (M01, M02). Momentary."""

    schema_version: str
    exi_request: str
    update: bool
    patience_s: float


class SampleFailed(HardwareFact, frozen=True, kw_only=True):
    """The reading asked for did not come in time; the last one may be old."""

    purpose: str
    reason: str


class WantFailed(HardwareFact, frozen=True, kw_only=True):
    """What the core wants did not come true in time."""

    what: str
    reason: str


class DeviceLost(Fact, frozen=True, kw_only=True):
    """A device stopped answering. `evse_ids`: those that depend on it; `board`: they cannot charge without it."""

    device: str
    evse_ids: tuple[int, ...]
    reason: str
    at: Instant
    board: bool = False


class DeviceReturned(Fact, frozen=True, kw_only=True):
    """A lost device answers again; its whole state was told just before or follows at once. `board`: see DeviceLost."""

    device: str
    evse_ids: tuple[int, ...]
    at: Instant
    board: bool = False


class SnapshotTold(HardwareFact, frozen=True, kw_only=True):
    """The whole state of an EVSE's hardware has been told once since the start (or since a recovery)."""


class TokenPresented(Fact, frozen=True, kw_only=True):
    """A card, PIN or button. `evse_ids`: those the reader serves (one: the choice is made). Momentary."""

    id_token: IdTokenType
    evse_ids: tuple[int, ...]
    at: Instant


class DeviceIdentified(Fact, frozen=True, kw_only=True):
    """A device was opened and has said who it is. `kind` as in `hal.registry`. Told again."""

    device: str
    kind: str
    evse_ids: tuple[int, ...]
    identity: Identity


class SensorRead(Fact, frozen=True, kw_only=True):
    """A live value for the device model, e.g. a temperature. Memory only."""

    component: str
    variable: str
    value: str
    evse_id: int | None = None
    connector_id: int | None = None
    instance: str | None = None
    variable_instance: str | None = None
    at: Instant
