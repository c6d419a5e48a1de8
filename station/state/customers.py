"""What the station has stored about one customer, wherever it lies; and how it is removed (N09, N10).

    cache, local list, reservations     by the hash of a token
    sessions                            what goes on at an EVSE; once it is over it names nobody
    queue, given-up messages            TransactionEvents that name the token, or whose signed values do

What the CSMS is still owed, and what goes on now, cannot be removed without taking it from whoever has to bill it or
charges: `in_use` says so. Of messages that were given up the readings stay, and the person leaves them.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from station.now import to_datetime
from station.ocpp import codec
from station.ocpp.messages import TransactionEventRequest
from station.ocpp.types import IdTokenInfoType, IdTokenType, MeterValueType
from station.state.local_list import LocalList
from station.state.reservations import Reservation, Reservations
from station.state.sessions import Session, Sessions
from station.state.tokens import Tokens, digest, same_token
from station.store.traces import START, Place, Trace, Traces

__all__ = ["PIECE", "START", "Customer", "Customers", "Piece", "Place", "Sources"]

log = logging.getLogger(__name__)

PIECE = 250
"""Rows of the queue looked at in one step, so that it takes less than 20 ms, were each of them his (design 6)."""

TYPES = ("Central", "eMAID", "ISO14443", "ISO15693", "KeyCode", "Local", "MacAddress")
"""The types of tokens that name somebody."""


class Customer(msgspec.Struct, frozen=True):
    """Who is meant. Without `type`: whoever has this identifier, of whatever type his token is."""

    identifier: str
    type: str | None = None

    def tokens(self) -> list[IdTokenType]:
        """The tokens that are his."""
        types = TYPES if self.type is None else (self.type,)
        return [IdTokenType(id_token=self.identifier, type=each) for each in types]

    def owns(self, token: IdTokenType | None) -> bool:
        """Whether a token is his."""
        return token is not None and any(same_token(token, each) for each in self.tokens())


class Piece(msgspec.Struct, frozen=True):
    """The messages that name a customer among PIECE rows, and where the next piece begins; None: it was the last."""

    found: tuple[tuple[Trace, TransactionEventRequest], ...]
    rest: Place | None

    @property
    def owed(self) -> bool:
        """Whether the CSMS still waits for one of them."""
        return any(not trace.given_up for trace, _ in self.found)

    def words(self) -> list[str]:
        """A line for each."""
        return [
            f"{'undelivered' if trace.given_up else 'queue'}: {event.event_type} of transaction "
            f"{event.transaction_info.transaction_id}, {event.timestamp.isoformat()}"
            for trace, event in self.found
        ]


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """Where something about a customer may lie."""

    tokens: Tokens
    local_list: LocalList
    reservations: Reservations
    sessions: Sessions
    traces: Traces


class Customers:
    """Questions over all that one station stores."""

    def __init__(self, sources: Sources) -> None:
        self._in = sources

    def known(self, who: Customer, in_messages: Sequence[str]) -> list[str]:
        """All that is stored, a line each; none if nothing is. `in_messages`: what was found in the queue."""
        lines = [*self._listed(who), *self._reserved(who), *self._at_evses(who), *in_messages]
        return lines and [f"{who.type or 'identifier'} {who.identifier}", *lines]

    def in_use(self, who: Customer) -> str | None:
        """Why it cannot be removed now, apart from what the CSMS is still owed (`look`)."""
        if any(_involved(each, who) for each in self._in.sessions.all()):
            return "the customer is charging, or his cable is held"
        if self._reservations_of(who):
            return "an EVSE is reserved for the customer"
        return None

    def remove(self, who: Customer) -> None:
        """N10.FR.03, N10.FR.06: all but the local list, which only the CSMS changes. Not while `in_use`."""
        for token in who.tokens():
            self._in.tokens.forget(token)

    def look(self, who: Customer, behind: Place = START) -> Piece:
        """The messages that name him, a piece of them: what waits for the CSMS first, then what was given up."""
        traces, rest = self._in.traces.piece(who.identifier, behind, PIECE)
        return Piece(tuple(_his(traces, who)), rest)

    def unname(self, piece: Piece) -> None:
        """The person leaves messages that were given up."""
        for trace, event in piece.found:
            self._in.traces.rewrite(trace, codec.dump(_unnamed(event)))

    # --- where it may lie

    def _listed(self, who: Customer) -> Iterator[str]:
        for token in who.tokens():
            if (entry := self._in.tokens.entry(token)) is not None:
                info, updated = entry
                yield f"cache: {token.type}, {_words(info)}, told {to_datetime(updated).isoformat()}"
            if (listed := self._in.local_list.find(token)) is not None:
                yield f"local list: {token.type}, {_words(listed)}"

    def _reserved(self, who: Customer) -> Iterator[str]:
        for each in self._reservations_of(who):
            yield f"reservation {each.id}: EVSE {each.evse_id or 'any'}, until {to_datetime(each.expires).isoformat()}"

    def _reservations_of(self, who: Customer) -> list[Reservation]:
        digests = {digest(token) for token in who.tokens()}
        return [each for each in self._in.reservations.all() if each.token in digests]

    def _at_evses(self, who: Customer) -> Iterator[str]:
        for session in self._in.sessions.all():
            if _involved(session, who):
                yield f"EVSE {session.evse_id}: {_stage(session)}"


def _his(traces: Iterable[Trace], who: Customer) -> Iterator[tuple[Trace, TransactionEventRequest]]:
    """The events among the messages that are about him."""
    for trace in traces:
        if trace.action != "TransactionEvent":
            continue
        try:
            event = codec.load(TransactionEventRequest, trace.payload)
        except ValueError as error:
            log.warning("state.bad_row", extra={"table": "outbox", "reason": str(error)})
            continue
        if who.owns(event.id_token) or _signed_for(event, who):
            yield trace, event


def _words(info: IdTokenInfoType) -> str:
    words: list[str] = [info.status]
    if info.group_id_token is not None:
        words.append(f"group {info.group_id_token.id_token}")
    if info.cache_expiry_date_time is not None:
        words.append(f"expires {info.cache_expiry_date_time.isoformat()}")
    if info.language1 is not None:
        words.append(f"language {info.language1}")
    return ", ".join(words)


def _stage(session: Session) -> str:
    if session.transaction_id is not None:
        return f"transaction {session.transaction_id} is under way"
    return "authorized, and about to start" if session.authorized else "charged here; his cable is held"


def _involved(session: Session, who: Customer) -> bool:
    """Whether something of his is kept there. Who is only authorized has left no trace: that ends by itself."""
    return session.worth_keeping and (who.owns(session.id_token) or who.owns(session.stop_token))


def _signed_for(event: TransactionEventRequest, who: Customer) -> bool:
    """Whether a signed value of the event names him."""
    wanted = who.identifier.casefold()
    for meter_value in event.meter_value or ():
        for value in meter_value.sampled_value:
            if value.signed_meter_value is not None and wanted in _plain(value.signed_meter_value.signed_meter_data):
                return True
    return False


def _plain(data: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode("utf-8", "replace").casefold()
    except ValueError:
        return data.casefold()


def _unnamed(event: TransactionEventRequest) -> TransactionEventRequest:
    """The event without its person: what was charged, and when."""
    values = None if event.meter_value is None else [_without_signature(each) for each in event.meter_value]
    return msgspec.structs.replace(event, id_token=None, meter_value=values)


def _without_signature(value: MeterValueType) -> MeterValueType:
    sampled = [msgspec.structs.replace(each, signed_meter_value=None) for each in value.sampled_value]
    return msgspec.structs.replace(value, sampled_value=sampled)
