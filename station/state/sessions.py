"""What is going on at each EVSE: one frozen `Session`, replaced with each fact; its table; questions about it.

A session is everything between "nobody is here" and "nobody is here": a plugged cable, an authorization, a
transaction, and what follows one while the cable is still in. The rules by which it changes are policy and live in
`blocks/transactions`.

What is written: a session with a transaction, in the step that tells its event; one that holds something after it.
Its start value lies in a table of its own: the rows that each event replaces are small, a page of the database each.
What is plugged and not yet charged lives in memory: the hardware tells it again.
Invariant: no contactor is wanted closed for a session whose start register is not in the table (design 7).
"""

from __future__ import annotations

import logging
from typing import Literal, TypeVar

import msgspec

from hal.api import Fault
from station.facts import Authorized
from station.now import BootId, Instant, Mono, Now
from station.ocpp.enums import ChargingStateEnumType, ReasonEnumType, TriggerReasonEnumType
from station.ocpp.types import IdTokenType
from station.state.meters import Sample
from station.state.tokens import same_token
from station.store.db import Database

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_SAMPLES = 200
"""Intermediate readings kept for one Ended event; at this number every second one is dropped (E06.FR.13)."""

Owed = Literal["evse", "token", "stop_token", "remote", "reservation", "begin"]
"""What the next TransactionEvent must carry, once."""


class Closing(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction was stopped; its Ended waits for the contactor and the last register, at most until `by`."""

    trigger: TriggerReasonEnumType
    reason: ReasonEnumType
    at: Instant
    by: Mono
    sampling: bool = False
    interrupted: bool = False
    """Nothing had stopped it when the agent's run ended."""


class Session(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One EVSE. Instants where it must be told when, monotonic seconds of this boot where something is awaited."""

    evse_id: int

    # what the hardware shows
    connector_id: int | None = None
    plugged: bool = False
    cable_in: bool = False
    """A cable is plugged, or was pulled off the vehicle while the lock holds it in the station."""
    cable_max_a: float | None = None
    locked: bool = False
    path_closed: bool = False
    path_opened: Instant | None = None
    """When the contactor last opened; None: it has not been closed in this boot."""
    phases: int | None = None
    flowing: bool = False
    bay_occupied: bool = False
    faults: tuple[Fault, ...] = ()
    board_lost: bool = False
    """Nothing is heard of its board, whose permission to charge ends by itself within seconds."""

    # the authorization
    authorized: bool = False
    id_token: IdTokenType | None = None
    """The token that authorized; kept until the cable is released, since its owner may open the lock."""
    group_id_token: str | None = None
    ready_at: Instant | None = None
    """Since when energy can be delivered: a driver is authorized, and his vehicle is connected (K01.FR.42)."""
    remote_start_id: int | None = None
    reservation_id: int | None = None
    stop_token: IdTokenType | None = None
    ended_authorization: bool = False
    """The driver, the CSMS or the vehicle ended it: this transaction does not charge again."""
    holds_cable: bool = False
    """The lock stays closed until the owner presents the token (E05.FR.11, E09.FR.03)."""
    plug_by: Mono | None = None
    """EVConnectionTimeOut ends the authorization at this time."""
    suspended: bool = False
    """The CSMS found the token invalid, and it may not have any more energy (E05.FR.02)."""
    energy_until_mwh: int | None = None
    """Above this register it is suspended (MaxEnergyOnInvalidId)."""

    # what the station offers
    offering: bool = False
    offered_at: Mono | None = None
    unmet: bool = False
    """What is offered does not come about: contactor or lock do not follow."""
    settled: bool = False
    """The vehicle had its time to answer the offer: not charging now means that it does not want to."""
    signed: bool = False
    """The meter has signed the start value (DataSigned)."""

    # the transaction
    transaction_id: str | None = None
    start_point: str = ""
    started_at: Instant | None = None
    seq_no: int = 0
    """Of the next event."""
    charging_state: ChargingStateEnumType = "Idle"
    begin: Sample | None = None
    last: Sample | None = None
    meter_anew: bool = False
    """The register began anew in this transaction: what it showed last before that is the end."""
    no_meter: bool = False
    """The start register could not be read in time: it is charged without values rather than not at all."""
    secured: bool = False
    """The row with the start register is in the table."""
    owed: tuple[Owed, ...] = ()
    phases_told: int | None = None
    charging_since: Instant | None = None
    charged_s: float = 0.0
    public_key_told: bool = False
    stopped_reason: ReasonEnumType | None = None
    """What initiated the end, if that has happened."""
    closing: Closing | None = None
    last_at: Instant | None = None
    last_stamp: float = 0.0
    """The wall time of the event that the CSMS has seen last; rendered times never fall."""
    samples: int = 0
    spent: bool = False
    """This plug-in had its transaction: another needs a new authorization or a new vehicle. Set when it stops."""
    boot: BootId = BootId(0)
    """Of the start of the agent that wrote the row."""

    @property
    def started(self) -> bool:
        """Whether a transaction runs."""
        return self.transaction_id is not None

    @property
    def label(self) -> str:
        """Whom a meter names that signs: the token that authorized, else the transaction."""
        return (self.id_token.id_token if self.id_token is not None else "") or self.transaction_id or ""

    @property
    def idle(self) -> bool:
        """Whether nobody is here."""
        if self.plugged or self.transaction_id is not None:
            return False
        occupied = self.cable_in or self.bay_occupied
        return not (occupied or self.authorized or self.holds_cable)

    def is_taken_for(self, token: IdTokenType) -> bool:
        """Whether this token cannot charge here: a driver is there, it is over, or it was another's (C01.FR.23).

        While a transaction is closing, only its own vehicle is in the way.
        """
        if self.closing is not None:
            return self.spent
        of_another = self.started and self.id_token is not None and not same_token(self.id_token, token)
        return self.authorized or self.ended_authorization or of_another

    def is_of_earlier(self, boot: BootId) -> bool:
        """Whether its transaction, or the end of it, is what an earlier run of the agent left."""
        if self.transaction_id is not None and self.boot != boot:
            return True
        return self.closing is not None and self.closing.at.boot != boot

    @property
    def worth_keeping(self) -> bool:
        """Whether a power cut must not make the station forget it."""
        charging = self.transaction_id is not None or (self.authorized and self.offering)
        return charging or self.holds_cable or (self.spent and self.plugged)


class Sessions:
    """The sessions of one station."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._sessions: dict[int, Session] = {}
        self._rows: set[int] = set()
        self._begins: dict[int, Sample | None] = {}
        """The start values in the table; None for one that cannot be read."""
        self._next: dict[int, Authorized] = {}

    def load(self, now: Now) -> None:
        """Read the table; of an earlier boot's session only what outlives a power cut: see `interrupted`."""
        self._sessions = {}
        self._rows = set()
        self._begins = {}
        self._next = {}
        for evse_id, data in self._db.execute("SELECT evse_id, data FROM session_begin").fetchall():
            self._begins[evse_id] = _decoded(Sample, data, "session_begin", evse_id)
        for evse_id, boot, data in self._db.execute("SELECT evse_id, boot, data FROM session").fetchall():
            self._rows.add(evse_id)
            session = _decoded(Session, data, "session", evse_id)
            if session is not None:
                begin = session.begin or self._begins.get(evse_id)  # older agents wrote it into the row
                session = msgspec.structs.replace(session, begin=begin)
                self._sessions[evse_id] = session if boot == now.boot else interrupted(session)

    # questions

    def on_evse(self, evse_id: int) -> Session | None:
        """What goes on at the EVSE; None if nobody is here."""
        session = self._sessions.get(evse_id)
        return None if session is None or session.idle else session

    def by_transaction(self, transaction_id: str) -> Session | None:
        """The session of a running transaction."""
        for each in self._sessions.values():
            if each.transaction_id == transaction_id:
                return each
        return None

    def running(self) -> list[Session]:
        """The sessions with a transaction, those that are closing too."""
        return [each for each in self._sessions.values() if each.transaction_id is not None]

    def all(self) -> list[Session]:
        """All sessions where somebody is."""
        return [each for each in self._sessions.values() if not each.idle]

    def awaiting(self) -> list[Session]:
        """Those in which something is to happen by itself: few, and none of those that simply charge."""
        found = []
        for each in self._sessions.values():
            answer = each.offered_at is not None and not each.settled
            if answer or each.closing is not None or each.plug_by is not None or each.energy_until_mwh is not None:
                found.append(each)
        return [each for each in found if not each.idle] if found else found

    def get(self, evse_id: int) -> Session:
        """The session of the EVSE, an empty one if nobody is here: what a change starts from."""
        return self._sessions.get(evse_id) or Session(evse_id=evse_id)

    # who comes next

    def expect(self, driver: Authorized) -> None:
        """He may charge with what begins next at his EVSE: the plug-in of this step, or what follows a closing.

        In memory: after a restart he presents his card again. Who came first is not displaced.
        """
        self._next.setdefault(driver.evse_id, driver)

    def take_expected(self, evse_id: int) -> Authorized | None:
        """The driver who was expected at the EVSE; from now on none is."""
        return self._next.pop(evse_id, None)

    # changes

    def keep(self, session: Session) -> None:
        """Replace the session in memory."""
        self._sessions[session.evse_id] = session

    def save(self, session: Session, now: Now) -> Session:
        """Replace the session in memory and in the table, in this step's transaction; gives it as it was written."""
        evse_id = session.evse_id
        if session.worth_keeping:
            secured = session.begin is not None or session.no_meter
            if session.boot != now.boot or session.secured != secured:
                session = msgspec.structs.replace(session, boot=now.boot, secured=secured)
            row = msgspec.json.encode(msgspec.structs.replace(session, begin=None))
            self._db.execute("INSERT OR REPLACE INTO session VALUES (?, ?, ?)", (evse_id, now.boot, row))
            self._rows.add(evse_id)
            self._save_begin(evse_id, session.begin)
        elif evse_id in self._rows:
            self._db.execute("DELETE FROM session WHERE evse_id = ?", (evse_id,))
            self._rows.discard(evse_id)
            self._save_begin(evse_id, None)
        self._sessions[evse_id] = session
        return session

    def _save_begin(self, evse_id: int, begin: Sample | None) -> None:
        """The start value lies apart from the row that each event replaces."""
        if begin is None:
            if evse_id in self._begins:
                self._db.execute("DELETE FROM session_begin WHERE evse_id = ?", (evse_id,))
                del self._begins[evse_id]
        elif begin != self._begins.get(evse_id):
            self._db.execute(
                "INSERT OR REPLACE INTO session_begin VALUES (?, ?)", (evse_id, msgspec.json.encode(begin))
            )
            self._begins[evse_id] = begin

    def add_sample(self, session: Session, sample: Sample, *, clock: bool) -> Session:
        """Keep a reading for the Ended event; it is written at once, so that a power cut does not take it."""
        self._db.execute(
            "INSERT INTO session_sample (transaction_id, clock, data) VALUES (?, ?, ?)",
            (session.transaction_id, clock, msgspec.json.encode(sample)),
        )
        if session.samples + 1 >= MAX_SAMPLES:
            self._thin(session.transaction_id)
            session = msgspec.structs.replace(session, samples=MAX_SAMPLES // 2)
        session = msgspec.structs.replace(session, samples=session.samples + 1)
        self._sessions[session.evse_id] = session
        return session

    def _thin(self, transaction_id: str | None) -> None:
        """Drop the 1st, 3rd, 5th ... reading (E06.FR.13)."""
        self._db.execute(
            "DELETE FROM session_sample WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) AS n "
            "FROM session_sample WHERE transaction_id = ?) WHERE n % 2 = 1)",
            (transaction_id,),
        )

    def samples(self, transaction_id: str, *, clock: bool) -> list[Sample]:
        """The readings kept for the Ended event, oldest first."""
        found = []
        for (data,) in self._db.execute(
            "SELECT data FROM session_sample WHERE transaction_id = ? AND clock = ? ORDER BY id",
            (transaction_id, clock),
        ).fetchall():
            try:
                found.append(msgspec.json.decode(data, type=Sample))
            except (msgspec.DecodeError, ValueError) as error:
                log.warning("state.bad_row", extra={"table": "session_sample", "reason": str(error)})
        return found

    def forget_samples(self, transaction_id: str) -> None:
        """The transaction has ended."""
        self._db.execute("DELETE FROM session_sample WHERE transaction_id = ?", (transaction_id,))


def _decoded(kind: type[T], data: bytes, table: str, evse_id: int) -> T | None:
    """What a row holds; None, and a line in the log, if that cannot be read: one bad row does not hide the others."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, ValueError) as error:
        log.error("state.bad_row", extra={"table": table, "evse": evse_id, "reason": str(error)})  # noqa: TRY400 - the row, not the traceback, is what matters
        return None


def interrupted(session: Session) -> Session:
    """The session as it stands after a new start of the agent: nothing is offered until the hardware has spoken."""
    return msgspec.structs.replace(
        session,
        locked=False,
        path_closed=False,
        path_opened=None,
        flowing=False,
        bay_occupied=session.bay_occupied and session.started,  # only a transaction still has to do with its vehicle
        faults=(),
        board_lost=False,
        plug_by=None,
        offering=False,
        offered_at=None,
        settled=False,
    )
