"""The one place where a TransactionEvent is built: what it carries once, its meter values, its times (E01 to E12, J02).

Not here: whether an event is told, and with which trigger (session.py).
Invariants: seqNo counts every event of a transaction from 0; rendered times of a transaction never fall.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec.structs import replace

from station.blocks.transactions.changes import elapsed_s
from station.blocks.transactions.session import Event
from station.now import Instant
from station.ocpp.enums import ReadingContextEnumType
from station.ocpp.messages import TransactionEventRequest
from station.ocpp.types import EVSEType, MeterValueType, SampledValueType, TransactionType
from station.ports import Times
from station.state.listings import Listings
from station.state.meters import Sample
from station.state.sampled import Wanted, sampled_values
from station.state.sessions import Session, Sessions
from station.state.variables import Variables

MAX_BYTES = 60_000
"""About so much of meter values in one Ended; above it intermediate ones are left out (J02.FR.20)."""
VALUE_BYTES = 200
"""What a sampled value takes on the wire beside its signature, at most."""


class Readings(msgspec.Struct, frozen=True):
    """A reading to be told with an event: the variable that lists its measurands, and its context."""

    sample: Sample
    component: str
    variable: str
    context: ReadingContextEnumType


class Telling(msgspec.Struct, frozen=True):
    """Under which conditions an event is told.

    `offered_a`: gives what the EVSE offers per phase. `online`: the CSMS sees the event's time as it is now; a queued
    event is stamped anew when its clock turns out to have been wrong.
    """

    offered_a: Callable[[Session], float]
    online: bool


def sampled(sample: Sample, variable: str, context: ReadingContextEnumType) -> Readings:
    """A reading of SampledDataCtrlr."""
    return Readings(sample, "SampledDataCtrlr", variable, context)


def aligned(sample: Sample, variable: str, context: ReadingContextEnumType = "Sample.Clock") -> Readings:
    """A reading of AlignedDataCtrlr."""
    return Readings(sample, "AlignedDataCtrlr", variable, context)


class _Dated(msgspec.Struct, frozen=True):
    """An event's instant, and what it is told to be: later than the clock says where the one before was (`_stamp`)."""

    at: Instant
    stamp: datetime


class Writer:
    """Builds the TransactionEvents of one station."""

    def __init__(self, *, sessions: Sessions, variables: Variables, times: Times) -> None:
        self._sessions = sessions
        self._listings = Listings(variables)
        self._times = times

    def write(
        self, session: Session, event: Event, readings: Sequence[Readings], told: Telling
    ) -> tuple[TransactionEventRequest, Session]:
        """The message, and the session after it was told: what was owed is paid, the next seqNo is the next number."""
        owed = session.owed
        seen = self._times.seen_until(session.transaction_id or "", session.last_stamp)
        stamp = self._stamp(session, event.at, seen)
        if event.kind == "Ended":
            readings = (*readings, *self._whole(session))
        elif "begin" in owed and self._tells_begin(session):
            readings = (*self._begin(session), *readings)
        values, key_told = self._values(session, readings, _Dated(event.at, stamp), told.offered_a)
        shows_evse = session.plugged and ("evse" in owed or event.trigger == "Trigger")  # TC_F_14_CS: who asks is told
        phases = session.phases if session.charging_state == "Charging" else session.phases_told  # E02.FR.18, E02.FR.19
        message = TransactionEventRequest(
            event_type=event.kind,
            timestamp=stamp,
            trigger_reason=event.trigger,
            seq_no=session.seq_no,
            transaction_info=self._info(session, event),
            evse=EVSEType(id=session.evse_id, connector_id=session.connector_id) if shows_evse else None,
            cable_max_current=int(session.cable_max_a) if "evse" in owed and session.cable_max_a else None,
            id_token=session.stop_token if "stop_token" in owed else session.id_token if "token" in owed else None,
            reservation_id=session.reservation_id if "reservation" in owed else None,
            number_of_phases_used=phases if phases != session.phases_told else None,
            meter_value=values or None,
        )
        return message, replace(
            session,
            seq_no=session.seq_no + 1,
            owed=("begin",) if "begin" in owed and not self._tells_begin(session) else (),
            phases_told=phases,
            public_key_told=key_told,
            last_at=event.at,
            last_stamp=stamp.timestamp() if told.online else seen,
        )

    def _info(self, session: Session, event: Event) -> TransactionType:
        if session.transaction_id is None:
            raise ValueError(f"EVSE {session.evse_id}: no transaction to tell of")
        return TransactionType(
            transaction_id=session.transaction_id,
            charging_state=session.charging_state,
            remote_start_id=session.remote_start_id if "remote" in session.owed else None,
            stopped_reason=session.closing.reason if event.kind == "Ended" and session.closing else None,
            time_spent_charging=_charged_s(session, event.at) if event.kind != "Started" else None,
        )

    # times

    def _stamp(self, session: Session, at: Instant, seen: float) -> datetime:
        """Not before the event told last: by what is known of the clock now, and by what the CSMS has seen of it."""
        stamp = self._times.utc(at)
        last = session.last_at
        if last is not None and not (last.boot == at.boot and last.mono <= at.mono):
            stamp = max(stamp, self._times.utc(last))
        if seen > stamp.timestamp():
            stamp = datetime.fromtimestamp(seen, UTC)
        return stamp

    def _dated(self, at: Instant, event: _Dated) -> datetime:
        """When a value was read: moved with its event where that was, and never after it."""
        moved = event.stamp - self._times.utc(event.at) if at.boot == event.at.boot else timedelta()
        return min(self._times.utc(at) + moved, event.stamp)

    # meter values

    @staticmethod
    def _tells_begin(session: Session) -> bool:
        """The start value belongs into the first event that knows EVSE and register (E01.FR.09, E01.FR.17)."""
        return session.begin is not None and session.plugged

    @staticmethod
    def _begin(session: Session) -> Sequence[Readings]:
        return (sampled(session.begin, "TxStartedMeasurands", "Transaction.Begin"),) if session.begin else ()

    def _whole(self, session: Session) -> Sequence[Readings]:
        """What Ended tells: the first value, those in between, the last one (E06.FR.11), and the clock-aligned ones."""
        between: list[Readings] = []
        if session.transaction_id is not None:
            periodic = self._sessions.samples(session.transaction_id, clock=False)
            clock = self._sessions.samples(session.transaction_id, clock=True)
            between = [sampled(each, "TxEndedMeasurands", "Sample.Periodic") for each in periodic]
            between += [aligned(each, "TxEndedMeasurands") for each in clock]
            between.sort(key=lambda each: each.sample.at)
        begin = session.begin
        if begin is not None and between and between[0].sample.at < begin.at:  # read again, since nothing had flowed
            begin = replace(begin, at=between[0].sample.at)
        first = [sampled(begin, "TxEndedMeasurands", "Transaction.Begin")] if begin else []
        last = [sampled(session.last, "TxEndedMeasurands", "Transaction.End")] if session.last else []
        return (*first, *between, *last)

    def _values(
        self, session: Session, readings: Sequence[Readings], event: _Dated, offered_a: Callable[[Session], float]
    ) -> tuple[list[MeterValueType], bool]:
        """The meter values in order; beside them whether the public key has been told by now."""
        key_told = session.public_key_told
        told: list[tuple[Readings, list[SampledValueType]]] = []
        for each in readings:
            values = self._sampled_values(session, each, offered_a, key_told=key_told)
            if each.sample.reading.signed is not None:
                key_told = key_told or any(v.signed_meter_value and v.signed_meter_value.public_key for v in values)
            if values:
                told.append((each, values))
        meter_values = []
        for each, values in _thinned(told) if len(told) > 2 else told:  # noqa: PLR2004 - the first and the last stay
            at = each.sample.at
            timestamp = event.stamp if at == event.at else self._dated(at, event)
            meter_values.append(MeterValueType(timestamp=timestamp, sampled_value=values))
        return meter_values, key_told

    def _sampled_values(
        self, session: Session, what: Readings, offered_a: Callable[[Session], float], *, key_told: bool
    ) -> list[SampledValueType]:
        listing = self._listings.of(what.component, what.variable)
        if not listing.enabled:
            return []
        policy = listing.public_key
        wanted = Wanted(
            plan=listing.plan,
            context=what.context,
            offered_a=offered_a(session) if listing.plan.offers else None,
            phases=session.phases or 3,
            sign=listing.signs,
            public_key=policy == "EveryMeterValue" or (policy == "OncePerTransaction" and not key_told),
        )
        return sampled_values(what.sample.reading, wanted)


def _thinned(
    told: list[tuple[Readings, list[SampledValueType]]],
) -> list[tuple[Readings, list[SampledValueType]]]:
    """Leave out the 1st, 3rd, 5th ... of the values in between until the message is not too big (E06.FR.13)."""
    while len(told) > 2 and sum(_size(each) for _, values in told for each in values) > MAX_BYTES:  # noqa: PLR2004 - as above
        told = [told[0], *told[2:-1:2], told[-1]]
    return told


def _size(value: SampledValueType) -> int:
    """Bytes on the wire, about."""
    signed = value.signed_meter_value
    if signed is None:
        return VALUE_BYTES
    return 2 * VALUE_BYTES + len(signed.signed_meter_data) + len(signed.public_key or "")


def _charged_s(session: Session, at: Instant) -> int | None:
    """Seconds of real energy flow so far; None if there was none."""
    seconds = session.charged_s
    since = session.charging_since
    if since is not None:
        seconds += elapsed_s(since, at)
    return round(seconds) or None
