"""When a transaction starts and stops, and what a fault or an invalid token means: pure tables.

Sources: part 2, E01 (table 50) and E06 with the errata, E05 and C15. A start point is a condition that has become
true, a stop point one that has become false. `DataSigned` is no stop point (errata 2025-02 deleted E06.FR.05).
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping

import msgspec

from hal.api import Fault
from station.ocpp.enums import ReasonEnumType, TriggerReasonEnumType


class Situation(msgspec.Struct, frozen=True):
    """What the points are about; `energy`: it flows, `signed`: the meter has signed the start value."""

    bay: bool = False
    connected: bool = False
    authorized: bool = False
    signed: bool = False
    energy: bool = False


START: Mapping[str, tuple[str, ...]] = {
    "ParkingBayOccupancy": ("bay",),
    "EVConnected": ("connected",),
    "Authorized": ("authorized",),
    "DataSigned": ("connected", "authorized", "signed"),
    "PowerPathClosed": ("connected", "authorized"),
    "EnergyTransfer": ("energy",),
}
"""A start point holds when all of its conditions do (E01.FR.01 to E01.FR.06). In the order in which they come about."""

STOP: Mapping[str, tuple[str, ...]] = {
    "ParkingBayOccupancy": ("bay",),
    "EVConnected": ("connected",),
    "Authorized": ("authorized",),
    "PowerPathClosed": ("connected", "authorized"),
    "EnergyTransfer": ("energy", "authorized"),
}
"""A stop point is reached when any of its conditions is lost (E06.FR.01 to E06.FR.07).

Losing the authorization ends the energy too, so it reaches EnergyTransfer at once (E05.FR.10, E15.FR.04).
"""


def start_point(points: Collection[str], now: Situation) -> str | None:
    """The configured start point that holds now, the earliest kind first; None if there is none."""
    for point, conditions in START.items():
        if point in points and all(getattr(now, each) for each in conditions):
            return point
    return None


def stop_point(points: Collection[str], before: Situation, now: Situation) -> str | None:
    """The configured stop point that has been reached between `before` and `now`; None if there is none."""
    for point, conditions in STOP.items():
        if point in points and any(getattr(before, each) and not getattr(now, each) for each in conditions):
            return point
    return None


def abandoned(points: Collection[str], before: Situation, now: Situation) -> bool:
    """Whether the last one has left a transaction that no stop point would ever end: no vehicle, no driver.

    The net of E03.FR.05, spread a little wider: started by Authorized and stopped by EVConnected, a driver who changes
    his mind would leave it open, and the next one would charge on it. A parking bay ends its own (E03.FR.15), if its
    detector has seen the vehicle at all.
    """
    somebody = before.connected or before.authorized or (before.bay and not now.bay)
    nobody = not (now.connected or now.authorized)
    return somebody and nobody and not (now.bay and "ParkingBayOccupancy" in points)


START_TRIGGER: Mapping[str, TriggerReasonEnumType] = {
    "ParkingBayOccupancy": "EVDetected",
    "EVConnected": "CablePluggedIn",
    "Authorized": "Authorized",
    "DataSigned": "SignedDataReceived",
    "PowerPathClosed": "ChargingStateChanged",
    "EnergyTransfer": "ChargingStateChanged",
}
"""The trigger of a Started whose cause has no more specific one, e.g. because the start was not allowed before."""


class FaultRule(msgspec.Struct, frozen=True):
    """Whether a fault ends a transaction, and with which reason; one that does not only suspends it."""

    ends: bool
    reason: ReasonEnumType


FAULTS: Mapping[Fault, FaultRule] = {
    Fault.GROUND_FAULT: FaultRule(ends=True, reason="GroundFault"),
    Fault.RCD: FaultRule(ends=True, reason="GroundFault"),
    Fault.OVER_CURRENT: FaultRule(ends=True, reason="OvercurrentFault"),
    Fault.EMERGENCY_STOP: FaultRule(ends=True, reason="EmergencyStop"),
    Fault.CONTACTOR_WELDED: FaultRule(ends=True, reason="Other"),
    Fault.CONTACTOR_OPEN: FaultRule(ends=True, reason="Other"),
    Fault.DIODE: FaultRule(ends=True, reason="Other"),
    Fault.INTERNAL: FaultRule(ends=True, reason="Other"),
    Fault.OVER_TEMPERATURE: FaultRule(ends=False, reason="Other"),
    Fault.OVER_VOLTAGE: FaultRule(ends=False, reason="PowerQuality"),
    Fault.UNDER_VOLTAGE: FaultRule(ends=False, reason="PowerQuality"),
    Fault.PILOT_LOST: FaultRule(ends=False, reason="Other"),
    Fault.PROXIMITY: FaultRule(ends=False, reason="Other"),
    Fault.LOCK_JAMMED: FaultRule(ends=False, reason="Other"),
}
"""Danger to people and broken parts end a transaction (E06.FR.16); what may pass by itself suspends it."""


class Verdict(enum.Enum):
    """What an invalid token means for the transaction that it started."""

    DEAUTHORIZE = "the authorization ends; the transaction too where a stop point is reached"
    SUSPEND = "no more energy; transaction and authorization stay"
    ALLOW = "energy up to MaxEnergyOnInvalidId, then SUSPEND"


def on_invalid(*, stop_tx: bool, max_energy_wh: int) -> Verdict:
    """E05.FR.02, E05.FR.03, E05.FR.09, E05.FR.10; C15.FR.03, C15.FR.04, C15.FR.06, C15.FR.07."""
    if stop_tx:
        return Verdict.DEAUTHORIZE
    return Verdict.ALLOW if max_energy_wh > 0 else Verdict.SUSPEND


REBOOT_REASON: Mapping[str, ReasonEnumType] = {"PowerUp": "PowerLoss"}
"""BootReason -> stoppedReason of a transaction that was found unfinished at the start."""


def interruption(boot_reason: str) -> ReasonEnumType:
    """Why a transaction that the last run left behind was interrupted: PowerLoss, or Reboot for all other reasons."""
    return REBOOT_REASON.get(boot_reason, "Reboot")
