"""What follows from a change of a session: transactions, offers, states, events. Pure functions on frozen sessions.

`advance` compares before and after: does a transaction start or stop, what is offered, which chargingState is that, and
what must the CSMS be told. Nothing else in the station decides that.

Invariant: at most one transaction per EVSE (E01.FR.14); between its Started and its Ended there are only Updated.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Literal

import msgspec
from msgspec.structs import replace

from station.blocks.transactions.changes import elapsed_s, owing
from station.blocks.transactions.rules import FAULTS, START_TRIGGER, Situation, abandoned, start_point, stop_point
from station.now import Instant, Now
from station.ocpp.enums import ChargingStateEnumType, ReasonEnumType, TriggerReasonEnumType
from station.state.sessions import Closing, Session

AUTHORIZED_STOPS = frozenset({"Authorized", "PowerPathClosed", "EnergyTransfer"})
"""Stop points that the end of an authorization reaches (E05.FR.10, E15.FR.04)."""

SETTLE_S = 10.0
"""A vehicle that does not charge this long after the offer does not want to (IEC 61851-1 lets it take 3 s and more)."""


class Cause(msgspec.Struct, frozen=True):
    """Why a session changed. `trigger` None: only the consequences are told.

    `reason`: the stoppedReason if this is what ends the transaction. `ends`: it does, whatever the stop points say.
    """

    at: Instant
    trigger: TriggerReasonEnumType | None = None
    reason: ReasonEnumType | None = None
    ends: bool = False


class Circumstances(msgspec.Struct, frozen=True):
    """What besides the session decides.

    `may_start`: a transaction may start on this EVSE now. `limited`: too little current is left to offer any.
    `told`: the hardware has told its state since the start. `closing_s`: how long an Ended may wait for its register.
    """

    start_points: frozenset[str]
    stop_points: frozenset[str]
    may_start: bool
    limited: bool
    told: bool
    closing_s: float
    now: Now
    new_id: Callable[[], str]


class Event(msgspec.Struct, frozen=True):
    """A TransactionEvent to be told."""

    kind: Literal["Started", "Updated", "Ended"]
    trigger: TriggerReasonEnumType
    at: Instant


def situation(session: Session) -> Situation:
    """The session as the start and stop points see it."""
    return Situation(
        bay=session.bay_occupied,
        connected=session.plugged,
        authorized=session.authorized,
        signed=session.signed,
        energy=session.flowing,
    )


class Offer(enum.Enum):
    """Whether the EVSE offers energy."""

    NONE = "nobody may charge"
    BLOCKED = "the EVSE holds it back: limit, fault, invalid token"
    PENDING = "about to: a start value or the hardware's state is awaited"
    MADE = "offered"


def offer(session: Session, how: Circumstances) -> Offer:
    """What is offered now. Without a transaction only where the flow of energy is what starts one."""
    if not (session.authorized and session.plugged) or session.closing is not None:
        return Offer.NONE
    if session.suspended or session.faults or session.board_lost or how.limited:
        return Offer.BLOCKED
    may = session.started or (how.may_start and not session.spent and "EnergyTransfer" in how.start_points)
    known = session.begin is not None or session.no_meter
    return Offer.MADE if may and known and how.told else Offer.PENDING


def charging_state(session: Session, made: Offer) -> ChargingStateEnumType:
    """The chargingState that the facts mean (part 2, ChargingStateEnumType)."""
    if not session.plugged or (session.closing is not None and session.charging_state == "Idle"):
        return "Idle"  # whoever plugs in while a transaction is closing is no news of it
    if session.flowing:
        return "Charging"
    if made is Offer.NONE:
        return "EVConnected"
    if made is Offer.BLOCKED:
        return "SuspendedEVSE"
    if made is Offer.MADE and session.settled:
        return "SuspendedEVSE" if session.unmet else "SuspendedEV"
    if session.start_point == "PowerPathClosed" and session.seq_no == 0:
        return "SuspendedEVSE"  # connected and authorized, the contactor still open
    waiting = session.charging_state in {"EVConnected", "SuspendedEVSE", "SuspendedEV"}
    return session.charging_state if waiting else "EVConnected"


def advance(before: Session, after: Session, cause: Cause, how: Circumstances) -> tuple[Session, tuple[Event, ...]]:
    """Compare: start or stop the transaction, say what is offered, and give the session and the events to be told.

    A stopped transaction is `closing`; its Ended comes by `ended`.
    """
    after = _ready(after, cause)
    if after.closing is None:
        if not after.started:
            after = _started(after, cause, how)
        elif cause.ends or _must_stop(situation(before), situation(after), how.stop_points):
            after = _stopped(after, cause, how)
    after = _shown(after, cause, how)
    return after, _events(before, after, cause)


def _ready(session: Session, cause: Cause) -> Session:
    """Once in a transaction energy could be delivered, relative schedules count from there (K01.FR.42)."""
    if session.authorized and session.plugged:
        return session if session.ready_at is not None else replace(session, ready_at=cause.at)
    return session if session.started or session.ready_at is None else replace(session, ready_at=None)


def _must_stop(before: Situation, now: Situation, points: frozenset[str]) -> bool:
    return stop_point(points, before, now) is not None or abandoned(points, before, now)


def _started(session: Session, cause: Cause, how: Circumstances) -> Session:
    point = None
    if how.may_start and not session.spent:
        point = start_point(how.start_points, situation(session))
    if point is None:
        return session
    return replace(
        session,
        transaction_id=how.new_id(),
        start_point=point,
        started_at=cause.at,
        last=session.begin,
        stopped_reason=None,
        ended_authorization=False,
        owed=owing(session, "begin", *(("evse",) if session.plugged else ())),
    )


def _stopped(session: Session, cause: Cause, how: Circumstances) -> Session:
    reason = session.stopped_reason or cause.reason or _energy_reason(session, how)
    closing = Closing(
        trigger=cause.trigger or "ChargingStateChanged", reason=reason, at=cause.at, by=how.now.after(how.closing_s)
    )
    spent = session.plugged or session.bay_occupied
    return replace(session, closing=closing, authorized=False, plug_by=None, energy_until_mwh=None, spent=spent)


def _energy_reason(session: Session, how: Circumstances) -> ReasonEnumType:
    """Why energy stopped, where that alone ends the transaction."""
    if session.suspended:
        return "DeAuthorized"
    if session.faults:
        return FAULTS[session.faults[-1]].reason
    return "Other" if how.limited else "StoppedByEV"


def _shown(session: Session, cause: Cause, how: Circumstances) -> Session:
    made = offer(session, how)
    offering = made is Offer.MADE
    if offering != session.offering:
        offered_at = how.now.mono if offering else None
        session = replace(session, offering=offering, offered_at=offered_at, settled=False, unmet=False)
    if session.flowing and not session.settled:
        session = replace(session, settled=True)
    state = charging_state(session, made)
    if state == session.charging_state:
        return session
    since = session.charging_since
    if since is not None:
        charged_s = session.charged_s + elapsed_s(since, cause.at)
        session = replace(session, charged_s=charged_s, charging_since=None)
    if state == "Charging":
        session = replace(session, charging_since=cause.at)
    return replace(session, charging_state=state)


def _events(before: Session, after: Session, cause: Cause) -> tuple[Event, ...]:
    if not after.started or after.closing is not None:
        return ()
    if not before.started:
        return (Event("Started", _overruled(after, cause.trigger or START_TRIGGER[after.start_point]), cause.at),)
    if cause.trigger is not None:
        return (Event("Updated", _overruled(after, cause.trigger), cause.at),)
    other_phases = after.charging_state == "Charging" and after.phases != (after.phases_told or after.phases)
    if after.charging_state != before.charging_state or other_phases:
        return (Event("Updated", _overruled(after, "ChargingStateChanged"), cause.at),)
    return ()


def _overruled(session: Session, trigger: TriggerReasonEnumType) -> TriggerReasonEnumType:
    """RemoteStart is the trigger of the first event after a RequestStartTransaction, whatever it is (F02.FR.01)."""
    return "RemoteStart" if "remote" in session.owed else trigger


def ended(session: Session) -> Event:
    """The last event of a closing transaction."""
    closing = session.closing
    if closing is None:
        raise ValueError(f"EVSE {session.evse_id}: the transaction is not closing")
    return Event("Ended", closing.trigger, closing.at)


def rested(session: Session) -> Session:
    """What is left when the transaction is over: what the hardware shows, and who may open the lock."""
    holds = session.holds_cable
    return replace(
        _empty(session),
        holds_cable=holds,
        id_token=session.id_token if holds else None,
        group_id_token=session.group_id_token if holds else None,
        charging_state=session.charging_state,
        spent=session.spent,
    )


def vacated(session: Session) -> Session:
    """A session where nobody is any more, without a trace of who was."""
    return _empty(session) if session.idle else session


def _empty(session: Session) -> Session:
    """The EVSE with nothing but what its hardware shows."""
    return Session(
        evse_id=session.evse_id,
        connector_id=session.connector_id,
        plugged=session.plugged,
        cable_in=session.cable_in,
        cable_max_a=session.cable_max_a,
        locked=session.locked,
        path_closed=session.path_closed,
        path_opened=session.path_opened,
        phases=session.phases,
        flowing=session.flowing,
        bay_occupied=session.bay_occupied,
        faults=session.faults,
        board_lost=session.board_lost,
    )
