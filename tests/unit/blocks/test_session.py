"""How a session changes, and what follows: pure functions, without a station."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from hal.api import Fault, MeterReading
from station.blocks.transactions import changes
from station.blocks.transactions.changes import Unplugging
from station.blocks.transactions.rules import Verdict
from station.blocks.transactions.session import (
    Cause,
    Circumstances,
    Event,
    Offer,
    advance,
    charging_state,
    ended,
    offer,
    rested,
    vacated,
)
from station.facts import (
    Authorized,
    BayOccupancyChanged,
    FaultChanged,
    LockChanged,
    PlugInserted,
    PlugRemoved,
    PowerPathChanged,
)
from station.now import BootId, Instant, Mono, Now, Wall
from station.ocpp.types import IdTokenType
from station.state.meters import Sample
from station.state.sessions import Session

CARD = IdTokenType(id_token="04AA", type="ISO14443")
AT = Instant(BootId(1), Mono(100.0))
NOW = Now(BootId(1), Mono(100.0), Wall(1_800_000_000.0))
BEGIN = Sample(AT, MeterReading(sampled_at=100.0, energy_import_mwh=5000))
PLUGGED = Session(evse_id=1, plugged=True, cable_in=True, connector_id=1)
READY = replace(PLUGGED, authorized=True, id_token=CARD, begin=BEGIN)
CHARGING = replace(
    READY,
    transaction_id="tx",
    seq_no=2,
    path_closed=True,
    flowing=True,
    settled=True,
    charging_state="Charging",
    last=BEGIN,
)
HOW = Circumstances(
    start_points=frozenset({"PowerPathClosed"}),
    stop_points=frozenset({"EVConnected", "Authorized"}),
    may_start=True,
    limited=False,
    told=True,
    closing_s=5.0,
    now=NOW,
    new_id=lambda: "tx-new",
)
PULLED = PlugRemoved(evse_id=1, at=AT, connector_id=1)


def unplugging(*, stops: bool = True, unlocks: bool = False) -> Unplugging:
    return Unplugging(stops=stops, unlocks=unlocks, plug_by=Mono(160.0))


def authorized(**more: object) -> Authorized:
    return Authorized(evse_id=1, id_token=CARD, via="local", at=AT, **more)  # type: ignore[arg-type]  # fields by name


# --- changes


def test_a_fact_told_again_changes_nothing() -> None:
    """After a board's return the hardware tells its whole state."""
    again = PlugInserted(evse_id=1, at=AT, connector_id=1)

    assert changes.plugged(PLUGGED, again) is PLUGGED
    assert changes.unplugged(Session(evse_id=1), PULLED, unplugging()) == Session(evse_id=1)
    assert changes.authorized(READY, authorized(), Mono(160.0)) is READY


@pytest.mark.req("E01.FR.14")
def test_another_connector_of_the_same_evse_is_not_looked_at() -> None:
    """Neither plugged nor unplugged."""
    assert changes.plugged(PLUGGED, PlugInserted(evse_id=1, at=AT, connector_id=2)) is PLUGGED
    assert changes.unplugged(PLUGGED, PlugRemoved(evse_id=1, at=AT, connector_id=2), unplugging()) is PLUGGED


def test_nobody_takes_over_a_session_that_was_ended_on_purpose() -> None:
    """A second card does not continue what the first one stopped."""
    stopped = replace(CHARGING, authorized=False, ended_authorization=True)

    assert changes.authorized(stopped, authorized(), Mono(160.0)) is stopped


def test_an_authorization_owes_the_csms_what_it_came_with_once() -> None:
    """Token, remoteStartId, reservationId."""
    after = changes.authorized(PLUGGED, authorized(remote_start_id=7, reservation_id=3), Mono(160.0))

    assert after.owed == ("token", "remote", "reservation")
    assert (after.remote_start_id, after.reservation_id, after.plug_by) == (7, 3, None)


def test_the_first_reason_to_end_is_the_one_that_counts() -> None:
    """Stopped by the driver, then unplugged: Local."""
    stopped = changes.unauthorized(CHARGING, "Local", final=True)
    pulled = changes.unplugged(stopped, PULLED, unplugging())

    assert pulled.stopped_reason == "Local"


@pytest.mark.req("E09.FR.02", "E09.FR.03", "E10.FR.01", "E10.FR.02")
@pytest.mark.parametrize(
    "stops,unlocks,locked,authorized_after,holds,waits",
    [
        (True, True, True, False, False, False),
        (True, False, True, False, True, False),
        (True, False, False, False, False, False),
        (False, False, True, True, True, False),
        (False, False, False, True, False, True),
    ],
)
def test_what_an_unplugged_vehicle_leaves(  # noqa: PLR0913 - the columns of the table
    *, stops: bool, unlocks: bool, locked: bool, authorized_after: bool, holds: bool, waits: bool
) -> None:
    """Authorization, held cable, and the wait for another plug-in."""
    after = changes.unplugged(replace(CHARGING, locked=locked), PULLED, unplugging(stops=stops, unlocks=unlocks))

    assert (after.authorized, after.holds_cable) == (authorized_after, holds)
    assert after.plug_by == (Mono(160.0) if waits else None)
    assert after.cable_in == locked


def test_a_lock_that_opens_lets_the_cable_go() -> None:
    """Whoever opened it."""
    held = Session(evse_id=1, connector_id=1, cable_in=True, locked=True, holds_cable=True, id_token=CARD)
    free = changes.lock_changed(held, LockChanged(evse_id=1, at=AT, connector_id=1, locked=False))

    assert free.idle
    assert vacated(free).id_token is None


def test_the_contactor_remembers_when_it_opened() -> None:
    """Registers read since then are final."""
    opened = changes.path_changed(CHARGING, PowerPathChanged(evse_id=1, at=AT, closed=False))
    again = changes.path_changed(opened, PowerPathChanged(evse_id=1, at=Instant(BootId(1), Mono(200.0)), closed=False))

    assert opened.path_opened == again.path_opened == AT
    assert not opened.flowing


@pytest.mark.req("E05.FR.03")
def test_an_allowance_counts_from_the_verdict_and_only_once() -> None:
    """MaxEnergyOnInvalidId 500 Wh above the register of that time."""
    allowed = changes.judged_invalid(CHARGING, Verdict.ALLOW, 500)
    later = replace(allowed, last=Sample(AT, MeterReading(sampled_at=101.0, energy_import_mwh=400_000)))

    assert allowed.energy_until_mwh == 505_000
    assert changes.judged_invalid(later, Verdict.ALLOW, 500) is later


def test_another_vehicle_in_the_bay_earns_another_transaction_and_one_that_leaves_does_not() -> None:
    """Spent is forgotten by the arrival alone."""
    there = replace(PLUGGED, bay_occupied=True, spent=True)
    gone = changes.bay_changed(there, BayOccupancyChanged(evse_id=1, at=AT, occupied=False))
    back = changes.bay_changed(gone, BayOccupancyChanged(evse_id=1, at=AT, occupied=True))

    assert (gone.spent, back.spent) == (True, False)
    assert changes.bay_changed(there, BayOccupancyChanged(evse_id=1, at=AT, occupied=True)).spent


# --- what follows


def test_one_started_for_one_plug_in() -> None:
    """Spent: the vehicle has had its transaction; a new authorization earns another."""
    how = replace(HOW, start_points=frozenset({"EVConnected"}))
    fresh, events = advance(Session(evse_id=1), PLUGGED, Cause(AT, "CablePluggedIn"), how)
    spent, none = advance(PLUGGED, replace(PLUGGED, spent=True), Cause(AT, "CablePluggedIn"), how)
    again, more = advance(spent, changes.authorized(spent, authorized(), Mono(160.0)), Cause(AT, "Authorized"), how)

    assert (fresh.transaction_id, events) == ("tx-new", (Event("Started", "CablePluggedIn", AT),))
    assert (spent.transaction_id, none) == (None, ())
    assert more == (Event("Started", "Authorized", AT),)
    assert set(again.owed) == {"token", "begin", "evse"}


def test_nothing_starts_where_nothing_may() -> None:
    """Out of service, not registered, store failing: and it starts when it may."""
    blocked, none = advance(PLUGGED, READY, Cause(AT, "Authorized"), replace(HOW, may_start=False))
    started, events = advance(blocked, blocked, Cause(AT), HOW)

    assert (blocked.transaction_id, none) == (None, ())
    assert not blocked.offering
    assert events == (Event("Started", "ChargingStateChanged", AT),)
    assert started.offering


@pytest.mark.parametrize(
    "session,how,made",
    [
        (READY, HOW, Offer.PENDING),
        (CHARGING, HOW, Offer.MADE),
        (READY, replace(HOW, start_points=frozenset({"EnergyTransfer"})), Offer.MADE),
        (replace(CHARGING, authorized=False), HOW, Offer.NONE),
        (replace(CHARGING, plugged=False), HOW, Offer.NONE),
        (replace(CHARGING, begin=None), HOW, Offer.PENDING),
        (replace(CHARGING, begin=None, no_meter=True), HOW, Offer.MADE),
        (CHARGING, replace(HOW, told=False), Offer.PENDING),
        (CHARGING, replace(HOW, limited=True), Offer.BLOCKED),
        (replace(CHARGING, faults=(Fault.OVER_TEMPERATURE,)), HOW, Offer.BLOCKED),
        (replace(CHARGING, suspended=True), HOW, Offer.BLOCKED),
    ],
)
def test_energy_is_offered_only_to_who_may_have_it(session: Session, how: Circumstances, made: Offer) -> None:
    """Authorized, plugged, a transaction (or energy starts it), a start register, hardware that has spoken."""
    assert offer(session, how) is made


@pytest.mark.req("E01.FR.19")
@pytest.mark.parametrize(
    "session,made,state",
    [
        (Session(evse_id=1), Offer.NONE, "Idle"),
        (replace(PLUGGED, charging_state="Idle"), Offer.NONE, "EVConnected"),
        (CHARGING, Offer.MADE, "Charging"),
        (replace(CHARGING, flowing=False), Offer.MADE, "SuspendedEV"),
        (replace(CHARGING, flowing=False), Offer.BLOCKED, "SuspendedEVSE"),
        (replace(CHARGING, flowing=False, authorized=False), Offer.NONE, "EVConnected"),
        (replace(CHARGING, flowing=True, authorized=False), Offer.NONE, "Charging"),
        (replace(READY, charging_state="EVConnected"), Offer.MADE, "EVConnected"),
        (replace(READY, charging_state="SuspendedEVSE"), Offer.MADE, "SuspendedEVSE"),
    ],
)
def test_the_charging_state_is_what_the_facts_mean(session: Session, made: Offer, state: str) -> None:
    """A vehicle that was just offered energy is not said to refuse it."""
    assert charging_state(session, made) == state


@pytest.mark.req("F02.FR.01")
def test_remote_start_overrules_the_first_event_and_only_that() -> None:
    """Whatever it is about."""
    remote = replace(CHARGING, owed=("remote",))
    _, first = advance(remote, replace(remote, flowing=False), Cause(AT), HOW)
    _, second = advance(CHARGING, replace(CHARGING, flowing=False), Cause(AT), HOW)

    assert first == (Event("Updated", "RemoteStart", AT),)
    assert second == (Event("Updated", "ChargingStateChanged", AT),)


def test_while_closing_nothing_is_told() -> None:
    """The Ended waits for contactor and register."""
    closing, none = advance(
        CHARGING, changes.unauthorized(CHARGING, "Local", final=True), Cause(AT, "StopAuthorized"), HOW
    )
    later, more = advance(closing, replace(closing, flowing=False, path_closed=False), Cause(AT), HOW)

    assert none == more == ()
    assert closing.closing is not None
    assert (closing.closing.reason, closing.closing.trigger, closing.closing.by) == ("Local", "StopAuthorized", 105.0)
    assert ended(later) == Event("Ended", "StopAuthorized", AT)
    assert later.charging_state == "EVConnected"


def test_a_suspending_fault_keeps_the_authorization_and_a_grave_one_does_not() -> None:
    """And the fault itself is told as AbnormalCondition by its cause."""
    warm = changes.fault_changed(CHARGING, FaultChanged(evse_id=1, at=AT, fault=Fault.OVER_TEMPERATURE, present=True))
    broken = changes.fault_changed(CHARGING, FaultChanged(evse_id=1, at=AT, fault=Fault.GROUND_FAULT, present=True))

    assert warm.authorized
    assert not broken.authorized
    assert broken.stopped_reason == "GroundFault"


def test_what_rests_after_the_end_is_the_hardware_and_the_owner_of_a_held_cable() -> None:
    """No token, no transaction; and this plug-in is spent."""
    left = rested(replace(CHARGING, holds_cable=False, spent=True))
    held = rested(replace(CHARGING, plugged=False, holds_cable=True))

    assert (left.transaction_id, left.id_token, left.plugged, left.spent) == (None, None, True, True)
    assert (held.id_token, held.holds_cable, held.spent) == (CARD, True, False)


def test_charging_time_counts_while_energy_flows() -> None:
    """Only that (timeSpentCharging)."""
    since = replace(CHARGING, charging_since=Instant(BootId(1), Mono(40.0)))
    paused, _ = advance(since, replace(since, flowing=False), Cause(AT), HOW)

    assert paused.charged_s == 60.0
    assert paused.charging_since is None
