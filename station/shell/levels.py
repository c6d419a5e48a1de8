"""From what a board shows to what the core is told: levels, their differences, and the facts that say so.

Pure. A *level* is a state that can be told again without harm; the facts of one difference come in the order in which
causes precede consequences: fault, plug, request, power path, flow, lock. So the core knows why current stopped before
it hears that it did.
"""

from __future__ import annotations

from typing import NamedTuple

from hal.api import BoardSnapshot, Fault, LockState, MeterReading, PilotState, Token, TokenType
from station.facts import (
    EnergyFlowChanged,
    EnergyRequested,
    FaultChanged,
    HardwareFact,
    LockChanged,
    MeterSampled,
    PlugInserted,
    PlugRemoved,
    PowerPathChanged,
    TokenPresented,
)
from station.now import BootId, Instant, Mono
from station.ocpp.types import IdTokenType

FLOW_FROM_W = 50.0
"""Power above which current is said to flow, where only the meter can tell."""

TOKEN_TYPES = {
    TokenType.ISO14443: "ISO14443",
    TokenType.ISO15693: "ISO15693",
    TokenType.EM4100: "Local",
    TokenType.KEY_CODE: "KeyCode",
    TokenType.CENTRAL: "Central",
    TokenType.MAC_ADDRESS: "MacAddress",
    TokenType.EMAID: "eMAID",
    TokenType.BUTTON: "NoAuthorization",
}
"""The specification's word (IdTokenEnumType) for each way to identify oneself."""


class Levels(NamedTuple):
    """What is told of one EVSE. `locked` None: there is no lock."""

    plugged: bool
    connector: int
    cable_max_a: float | None
    requested: bool
    closed: bool
    phases: int
    flowing: bool
    locked: bool | None
    lock_problem: bool
    faults: frozenset[Fault]


NOTHING = Levels(
    plugged=False,
    connector=1,
    cable_max_a=None,
    requested=False,
    closed=False,
    phases=3,
    flowing=False,
    locked=None,
    lock_problem=False,
    faults=frozenset(),
)


def as_text(value: float | bool | str) -> str:  # noqa: FBT001 - a value, not a switch
    """A sensor's value as the device model writes it: no exponent, three decimals at most."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    text = f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return "0" if text == "-0" else text


def flows(power_w: float | None) -> bool:
    """Whether current flows, by the meter's last word."""
    return power_w is not None and power_w >= FLOW_FROM_W


def levels(seen: BoardSnapshot, lock: LockState, power_w: float | None, before: Levels) -> Levels:
    """The levels behind a snapshot.

    `power_w` is the meter's last word, for boards that cannot tell whether current flows. Pilot E and F say nothing
    about the vehicle, so what was known before stays; E without a fault of its own is a lost pilot.
    """
    blind = seen.pilot in {PilotState.E, PilotState.F}
    plugged = before.plugged if blind else seen.pilot.plugged
    lost = seen.pilot is PilotState.E and not seen.faults & {Fault.PILOT_LOST, Fault.DIODE}
    flowing = seen.flowing if seen.flowing is not None else seen.pilot.ready and flows(power_w)
    return Levels(
        plugged=plugged,
        connector=seen.connector if seen.pilot.plugged else before.connector,  # a held cable is where it was
        cable_max_a=seen.cable_rating_a if plugged else None,
        requested=seen.pilot.ready,
        closed=seen.contactor_closed,
        phases=seen.phases,
        flowing=seen.contactor_closed and flowing,
        locked=None if lock is LockState.ABSENT else lock is LockState.LOCKED,
        lock_problem=lock is LockState.JAMMED,
        faults=seen.faults | {Fault.PILOT_LOST} if lost else seen.faults,
    )


def changes(evse_id: int, at: Instant, old: Levels, new: Levels) -> list[HardwareFact]:
    """The facts of a difference. A vehicle that changed its connector left the old one first."""
    facts: list[HardwareFact] = [
        FaultChanged(evse_id=evse_id, at=at, fault=fault, present=fault in new.faults)
        for fault in sorted(old.faults ^ new.faults, key=lambda f: f.value)
    ]
    if (old.plugged, old.connector) != (new.plugged, new.connector):
        if old.plugged:
            facts.append(PlugRemoved(evse_id=evse_id, at=at, connector_id=old.connector))
        if new.plugged:
            facts.append(_inserted(evse_id, at, new))
    facts += _requests(evse_id, at, old, new)
    if (old.locked, old.lock_problem) != (new.locked, new.lock_problem) and new.locked is not None:
        facts.append(_locked(evse_id, at, new))
    return facts


def whole(evse_id: int, at: Instant, now: Levels, connectors: int, before: frozenset[Fault]) -> list[HardwareFact]:
    """Everything, whether it was told or not; `before` are faults told earlier, of which some may be gone."""
    facts: list[HardwareFact] = [
        FaultChanged(evse_id=evse_id, at=at, fault=fault, present=fault in now.faults)
        for fault in sorted(now.faults | before, key=lambda f: f.value)
    ]
    free = [n for n in range(1, connectors + 1) if not (now.plugged and n == now.connector)]
    facts += [PlugRemoved(evse_id=evse_id, at=at, connector_id=connector) for connector in free]
    if now.plugged:
        facts.append(_inserted(evse_id, at, now))
    facts += [
        EnergyRequested(evse_id=evse_id, at=at, connector_id=now.connector, requested=now.requested),
        PowerPathChanged(evse_id=evse_id, at=at, closed=now.closed, phases=now.phases),
        EnergyFlowChanged(evse_id=evse_id, at=at, flowing=now.flowing),
    ]
    if now.locked is not None:
        facts.append(_locked(evse_id, at, now))
    return facts


def _requests(evse_id: int, at: Instant, old: Levels, new: Levels) -> list[HardwareFact]:
    facts: list[HardwareFact] = []
    if old.requested != new.requested:
        facts.append(EnergyRequested(evse_id=evse_id, at=at, connector_id=new.connector, requested=new.requested))
    if (old.closed, old.phases) != (new.closed, new.phases):
        facts.append(PowerPathChanged(evse_id=evse_id, at=at, closed=new.closed, phases=new.phases))
    if old.flowing != new.flowing:
        facts.append(EnergyFlowChanged(evse_id=evse_id, at=at, flowing=new.flowing))
    return facts


def _inserted(evse_id: int, at: Instant, now: Levels) -> PlugInserted:
    return PlugInserted(evse_id=evse_id, at=at, connector_id=now.connector, cable_max_a=now.cable_max_a)


def _locked(evse_id: int, at: Instant, now: Levels) -> LockChanged:
    return LockChanged(
        evse_id=evse_id, at=at, connector_id=now.connector, locked=bool(now.locked), problem=now.lock_problem
    )


def presented(token: Token, evse_ids: tuple[int, ...], at: Instant) -> TokenPresented:
    """A token as the core knows it, with the EVSE that the driver chose at the reader, if he could."""
    chosen = (token.outlet,) if token.outlet in evse_ids else evse_ids
    id_token = IdTokenType(id_token=token.uid_hex, type=TOKEN_TYPES[token.type])
    return TokenPresented(id_token=id_token, evse_ids=tuple(n for n in chosen if n is not None), at=at)


def sampled(evse_id: int, reading: MeterReading, purpose: str, boot: BootId) -> MeterSampled:
    """A reading as a fact, at the instant the meter gave it."""
    at = Instant(boot, Mono(reading.sampled_at))
    return MeterSampled(evse_id=evse_id, at=at, reading=reading, purpose=purpose)
