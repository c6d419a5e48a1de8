"""What happened inside the station, in the past tense. Facts are how one block learns what another must know.

    hardware       plugs, contactors, meters, cards, devices lost and found
    link           connections, the clock, broken frames, messages given up
    transactions   authorizations, transactions, what the CSMS says of them
    condition      registration, availability, variables, resets, security, the store
    base           what a fact is; the queue of the running step

A fact is emitted in a step and heard in the same step, by every block that lists it in `reactions()`, in the order of
`app.py`. Hearing one twice must be harmless: after a start, a recovery or a board's return the hardware tells its whole
state again. Momentary facts (a card, a button) are never repeated.

All structs are frozen; `at` is when it happened, which may be earlier than the step's `now`.
"""

from __future__ import annotations

from station.facts.base import (
    Fact,
    Facts,
)
from station.facts.condition import (
    AvailabilityChanged,
    ConnectorStatusDue,
    EventsNoted,
    EvseQuarantined,
    MessageTriggered,
    OwnCertificateInstalled,
    OwnCertificatesRemoved,
    RegistrationChanged,
    ReservationsChanged,
    ResetAbandoned,
    ResetExecuted,
    ResetRequested,
    SecurityEventOccurred,
    StationStarted,
    StoreDegraded,
    StoreRecovered,
    VariableChanged,
)
from station.facts.hardware import (
    BayOccupancyChanged,
    DeviceIdentified,
    DeviceLost,
    DeviceReturned,
    EnergyFlowChanged,
    EnergyRequested,
    FaultChanged,
    HardwareFact,
    LockChanged,
    MeterSampled,
    PlugInserted,
    PlugRemoved,
    PowerPathChanged,
    SampleFailed,
    SensorRead,
    SnapshotTold,
    TokenPresented,
    VehicleStopped,
    WantFailed,
)
from station.facts.link import (
    ClockStepped,
    InvalidMessageReceived,
    LinkLost,
    LinkRestored,
    MessageUndelivered,
    TransactionThinned,
)
from station.facts.transactions import (
    AuthorizationEnded,
    AuthorizationRefused,
    Authorized,
    ChargingPriorityReceived,
    ChargingStateChanged,
    ConnectorUnlocked,
    CostReceived,
    DriverAddressed,
    IdTokenInfoReceived,
    LimitChanged,
    RemoteStartAccepted,
    RemoteStopAccepted,
    SampleTaken,
    StopAuthorized,
    TransactionEnded,
    TransactionStarted,
    Via,
)

__all__ = [
    "AuthorizationEnded",
    "AuthorizationRefused",
    "Authorized",
    "AvailabilityChanged",
    "BayOccupancyChanged",
    "ChargingPriorityReceived",
    "ChargingStateChanged",
    "ClockStepped",
    "ConnectorStatusDue",
    "ConnectorUnlocked",
    "CostReceived",
    "DeviceIdentified",
    "DeviceLost",
    "DeviceReturned",
    "DriverAddressed",
    "EnergyFlowChanged",
    "EnergyRequested",
    "EventsNoted",
    "EvseQuarantined",
    "Fact",
    "Facts",
    "FaultChanged",
    "HardwareFact",
    "IdTokenInfoReceived",
    "InvalidMessageReceived",
    "LimitChanged",
    "LinkLost",
    "LinkRestored",
    "LockChanged",
    "MessageTriggered",
    "MessageUndelivered",
    "MeterSampled",
    "OwnCertificateInstalled",
    "OwnCertificatesRemoved",
    "PlugInserted",
    "PlugRemoved",
    "PowerPathChanged",
    "RegistrationChanged",
    "RemoteStartAccepted",
    "RemoteStopAccepted",
    "ReservationsChanged",
    "ResetAbandoned",
    "ResetExecuted",
    "ResetRequested",
    "SampleFailed",
    "SampleTaken",
    "SecurityEventOccurred",
    "SensorRead",
    "SnapshotTold",
    "StationStarted",
    "StopAuthorized",
    "StoreDegraded",
    "StoreRecovered",
    "TokenPresented",
    "TransactionEnded",
    "TransactionStarted",
    "TransactionThinned",
    "VariableChanged",
    "VehicleStopped",
    "Via",
    "WantFailed",
]
