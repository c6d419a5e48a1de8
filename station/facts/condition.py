"""How the station is doing: registered, available, configured, to be reset, in trouble."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from station.facts.base import Fact
from station.now import Instant


class StationStarted(Fact, frozen=True, kw_only=True):
    """The agent has started: the first fact of each start, told once."""

    at: Instant


class RegistrationChanged(Fact, frozen=True, kw_only=True):
    """The CSMS's verdict on our BootNotification; Unknown before the first, and after a new network profile."""

    status: Literal["Unknown", "Pending", "Accepted", "Rejected"]
    first_since_boot: bool = False


class AvailabilityChanged(Fact, frozen=True, kw_only=True):
    """The status of a connector, as StatusNotification words it, is another one."""

    evse_id: int
    connector_id: int
    status: str
    at: Instant


class ConnectorStatusDue(Fact, frozen=True, kw_only=True):
    """The CSMS is to learn the status of a connector by NotifyEvent, as the station is configured (G01, note)."""

    evse_id: int
    connector_id: int
    status: str
    since: datetime


class ReservationsChanged(Fact, frozen=True, kw_only=True):
    """Other EVSEs may be reserved now. `evse_id`: the one that is reserved anew, which is told whatever it was."""

    evse_id: int | None = None


class ServiceChanged(Fact, frozen=True, kw_only=True):
    """EVSEs were taken out of service for a while, or may be used again: their status may be another one."""


class VariableChanged(Fact, frozen=True, kw_only=True):
    """A variable of the device model has a new value. `by`: csms, station or operator."""

    component: str
    variable: str
    value: str
    instance: str | None = None
    variable_instance: str | None = None
    evse_id: int | None = None
    connector_id: int | None = None
    attribute: str = "Actual"
    by: Literal["csms", "station", "operator"] = "csms"


class EventsNoted(Fact, frozen=True, kw_only=True):
    """Monitors were triggered in this step; heard after all that was emitted before, so that one message tells all."""


class ResetRequested(Fact, frozen=True, kw_only=True):
    """Provisioning accepted a Reset.

    `evse_id` None: the station. Running transactions end now if `immediate` (B12.FR.04).
    """

    immediate: bool
    evse_id: int | None = None


class ResetExecuted(Fact, frozen=True, kw_only=True):
    """An EVSE was reset; it starts from what its hardware shows."""

    evse_id: int


class ResetAbandoned(Fact, frozen=True, kw_only=True):
    """The station should have restarted and is still there after all retries: it goes on working."""


class MessageTriggered(Fact, frozen=True, kw_only=True):
    """TriggerMessage was accepted: the block that owns `requested` sends it, marked `asked` (F06)."""

    requested: str
    evse_id: int | None = None
    connector_id: int | None = None


class SecurityEventOccurred(Fact, frozen=True, kw_only=True):
    """A security event of the appendix (A04); the Security block logs it and, if critical, tells the CSMS."""

    type: str
    tech_info: str = ""


class FirmwareRequested(Fact, frozen=True, kw_only=True):
    """The CSMS has asked for an update, which is kept. `instead`: of one that was under way."""

    instead: bool


class OwnCertificateInstalled(Fact, frozen=True, kw_only=True):
    """A signed certificate of the station is there. `use`: ChargingStationCertificate or V2GCertificate."""

    use: str


class OwnCertificatesRemoved(Fact, frozen=True, kw_only=True):
    """Certificates of the station are gone, with their keys."""


class StoreDegraded(Fact, frozen=True, kw_only=True):
    """The disk does not take writes: no new transaction starts, running ones go on in memory (design 6)."""

    kind: str


class StoreRecovered(Fact, frozen=True, kw_only=True):
    """Writes work again, and everything kept in memory is on disk."""


class EvseQuarantined(Fact, frozen=True, kw_only=True):
    """An EVSE's facts raised a bug of ours twice: wanted off, Faulted, the others run on (design A3)."""

    evse_id: int
    reason: str
