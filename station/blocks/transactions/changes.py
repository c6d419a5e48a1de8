"""One fact taken into a session: the cable is in, the driver may charge, the lock has opened. Pure.

What follows from a change (a transaction starts, an event is told) is none of its business: see `session.advance`.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from station.blocks.transactions.rules import FAULTS, Verdict
from station.facts import (
    Authorized,
    BayOccupancyChanged,
    FaultChanged,
    LockChanged,
    PlugInserted,
    PlugRemoved,
    PowerPathChanged,
)
from station.now import Instant, Mono
from station.ocpp.enums import ReasonEnumType
from station.state.sessions import Owed, Session

MWH = 1000
"""Milliwatt-hours in a watt-hour."""


def elapsed_s(since: Instant, until: Instant) -> float:
    """Seconds between two instants of one boot; 0 across a restart."""
    return max(0.0, until.mono - since.mono) if since.boot == until.boot else 0.0


def owing(session: Session, *what: Owed) -> tuple[Owed, ...]:
    """What the next event must carry, with `what` added."""
    return (*session.owed, *(each for each in what if each not in session.owed))


def plugged(session: Session, fact: PlugInserted) -> Session:
    """The vehicle is connected. A second connector of the same EVSE is not looked at (E01.FR.14)."""
    if session.plugged:
        return session
    return replace(
        session,
        plugged=True,
        cable_in=True,
        connector_id=fact.connector_id,
        cable_max_a=fact.cable_max_a,
        plug_by=None,
        settled=False,
        signed=False,
        begin=session.begin if session.started else None,
        spent=False,
        owed=owing(session, "evse") if session.closing is None else session.owed,
    )


class Unplugging(msgspec.Struct, frozen=True):
    """StopTxOnEVSideDisconnect, UnlockOnEVSideDisconnect, and when the wait for another plug-in ends."""

    stops: bool
    unlocks: bool
    plug_by: Mono


def unplugged(session: Session, fact: PlugRemoved, how: Unplugging) -> Session:
    """The vehicle is gone (E09, E10). A closed lock still holds the cable: it was pulled off the vehicle."""
    if not session.plugged or fact.connector_id != session.connector_id:
        return session
    held = session.locked
    after = replace(
        session,
        plugged=False,
        cable_in=held,
        flowing=False,
        signed=False,
        settled=False,
        owed=tuple(each for each in session.owed if each != "evse"),
    )
    if not session.authorized:
        return after
    after = replace(after, holds_cable=held and not how.unlocks)
    if how.stops:
        return unauthorized(after, "EVDisconnected", final=False, holds=after.holds_cable)
    return replace(after, plug_by=None if held else how.plug_by)


def path_changed(session: Session, fact: PowerPathChanged) -> Session:
    """The contactor is closed or open."""
    if fact.closed:
        return replace(session, path_closed=True, phases=fact.phases, unmet=False)
    return replace(
        session,
        path_closed=False,
        flowing=False,
        phases=fact.phases,
        path_opened=fact.at if session.path_closed else session.path_opened,
    )


def lock_changed(session: Session, fact: LockChanged) -> Session:
    """The lock has closed or opened; one that opens lets the cable go."""
    if fact.locked or not session.locked:
        return replace(session, locked=fact.locked)
    return replace(session, locked=False, holds_cable=False, cable_in=session.plugged)


def bay_changed(session: Session, fact: BayOccupancyChanged) -> Session:
    """A vehicle has come, or gone."""
    arrived = fact.occupied and not session.bay_occupied
    return replace(session, bay_occupied=fact.occupied, spent=session.spent and not arrived)


def fault_changed(session: Session, fact: FaultChanged) -> Session:
    """A fault has appeared or gone; a grave one ends the authorization."""
    others = tuple(each for each in session.faults if each is not fact.fault)
    if not fact.present:
        return replace(session, faults=others)
    after = replace(session, faults=(*others, fact.fault))
    rule = FAULTS[fact.fault]
    return unauthorized(after, rule.reason, final=True) if rule.ends else after


def authorized(session: Session, fact: Authorized, plug_by: Mono) -> Session:
    """A driver may charge. Nobody takes over a session that another has or that was ended on purpose."""
    if session.authorized or session.closing is not None or session.ended_authorization:
        return session
    owed = owing(session, "token")
    if fact.remote_start_id is not None:
        owed = (*owed, "remote")
    if fact.reservation_id is not None:
        owed = (*owed, "reservation")
    return replace(
        session,
        authorized=True,
        id_token=fact.id_token,
        group_id_token=fact.group_id_token,
        remote_start_id=fact.remote_start_id,
        reservation_id=fact.reservation_id,
        stop_token=None,
        stopped_reason=None,
        holds_cable=False,
        suspended=False,
        energy_until_mwh=None,
        signed=False,
        spent=False,
        plug_by=None if session.plugged else plug_by,
        owed=owed,
    )


def unauthorized(session: Session, reason: ReasonEnumType, *, final: bool, holds: bool = False) -> Session:
    """The authorization is over. `final`: this transaction gets no other. `holds`: a closed lock waits for the owner.

    What came first is the reason that the Ended will give (ReasonEnumType: what initiated the stop).
    """
    holds = holds and (session.locked or session.holds_cable)
    after = replace(
        session,
        authorized=False,
        plug_by=None,
        suspended=False,
        energy_until_mwh=None,
        signed=False,
        holds_cable=holds,
    )
    if session.started:
        first = session.stopped_reason or reason
        return replace(after, stopped_reason=first, ended_authorization=session.ended_authorization or final)
    kept = {"id_token": session.id_token, "group_id_token": session.group_id_token} if holds else {}
    return replace(after, **{**_NO_AUTHORIZATION, **kept})


_NO_AUTHORIZATION: dict[str, object] = {
    "id_token": None,
    "group_id_token": None,
    "remote_start_id": None,
    "reservation_id": None,
    "stop_token": None,
    "owed": (),
    "begin": None,
    "no_meter": False,
    "secured": False,
}


def resumed(session: Session) -> Session:
    """An earlier run was interrupted, and the transaction goes on: nothing has flowed since its last reading."""
    if session.charging_state != "Charging":
        return session
    charged_s = session.charged_s
    if session.charging_since is not None and session.last is not None:
        charged_s += elapsed_s(session.charging_since, session.last.at)
    return replace(session, charging_state="SuspendedEVSE", charging_since=None, charged_s=charged_s)


def judged_invalid(session: Session, verdict: Verdict, max_energy_wh: int) -> Session:
    """The CSMS does not accept the token of the running transaction (E05, C15)."""
    match verdict:
        case Verdict.DEAUTHORIZE:
            return unauthorized(session, "DeAuthorized", final=True, holds=session.cable_in)
        case Verdict.SUSPEND:
            return replace(session, suspended=True)
        case Verdict.ALLOW:
            if session.energy_until_mwh is not None or session.suspended or session.last is None:
                return session
            until = session.last.reading.energy_import_mwh + max_energy_wh * MWH
            return replace(session, energy_until_mwh=until)
