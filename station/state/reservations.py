"""Reservations (H): for whom an EVSE is kept until he comes, which one is kept, and who may use it.

A reservation is open until its driver has come: he is authorized (a session carries its id), and then the transaction
that he starts takes it out of the table, in one step with the event that tells. A driver who was authorized before a
power cut and had not started finds his reservation as it was.
Invariant: of the EVSEs that may be given away so many are kept that each open reservation can get one that it asks for.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from station.now import Now, Wall
from station.ocpp.types import IdTokenType
from station.state.connectors import Connectors, Place
from station.state.matching import Offer, Wanted, fulfilled, kept, serves, without
from station.state.sessions import Sessions
from station.state.tokens import digest
from station.state.variables import Variables
from station.store.db import Database


class Driver(NamedTuple):
    """Whoever wants to charge: the token, and the group it belongs to, as far as that is known."""

    id_token: IdTokenType
    group_id: str | None = None


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table. `token`: the hash of the idToken; `group_id` is casefolded. No EVSE, no type: any will do."""

    id: int
    expires: Wall
    token: bytes
    group_id: str | None = None
    evse_id: int | None = None
    connector_type: str | None = None

    def is_for(self, driver: Driver) -> bool:
        """Whether this driver may use it: by his token, or by his group (H03.FR.01 to H03.FR.06)."""
        if digest(driver.id_token) == self.token:
            return True
        return self.group_id is not None and driver.group_id is not None and driver.group_id.casefold() == self.group_id


class Reservations:
    """The table `reservation`, and its copy in memory, the oldest first."""

    def __init__(self, *, db: Database, connectors: Connectors, sessions: Sessions, variables: Variables) -> None:
        self._db = db
        self._connectors = connectors
        self._sessions = sessions
        self._variables = variables
        self._rows: dict[int, Reservation] = {}

    def load(self, now: Now) -> None:
        """Read the table: what is reserved stays so over restarts and power cuts (B01.FR.13)."""
        del now
        columns = "id, expires, token, group_id, evse_id, connector_type"
        rows = self._db.execute(f"SELECT {columns} FROM reservation ORDER BY made").fetchall()  # noqa: S608 - a constant of ours
        names = Reservation.__struct_fields__
        self._rows = {row[0]: Reservation(**dict(zip(names, row, strict=True))) for row in rows}

    # --- the rows

    def add(self, reservation: Reservation) -> None:
        """A new one; it takes the place of the one with the same id (H01.FR.02)."""
        self.remove(reservation.id)
        self._db.execute(
            "INSERT INTO reservation VALUES (?, (SELECT coalesce(max(made), 0) + 1 FROM reservation), ?, ?, ?, ?, ?)",
            msgspec.structs.astuple(reservation),
        )
        self._rows[reservation.id] = reservation

    def remove(self, reservation_id: int) -> None:
        """It is used, cancelled or over."""
        if self._rows.pop(reservation_id, None) is not None:
            self._db.execute("DELETE FROM reservation WHERE id = ?", (reservation_id,))

    def find(self, reservation_id: int) -> Reservation | None:
        """The reservation with this id, used or not."""
        return self._rows.get(reservation_id)

    def all(self) -> list[Reservation]:
        """Every reservation, used or not, the oldest first."""
        return list(self._rows.values())

    @property
    def exist(self) -> bool:
        """Whether there is any, used or not."""
        return bool(self._rows)

    def waiting(self) -> list[Reservation]:
        """Those whose driver has not come."""
        return [each for each in self._rows.values() if not self.is_used(each.id)] if self._rows else []

    def is_used(self, reservation_id: int) -> bool:
        """Whether its driver is authorized, and has not started yet (H03.FR.09)."""
        sessions = self._sessions.all()
        return any(each.reservation_id == reservation_id and each.authorized and not each.started for each in sessions)

    def in_force(self) -> list[Reservation]:
        """Those that keep an EVSE from others: none while ReservationCtrlr.Enabled is false."""
        if not self._rows or not self._variables.boolean("ReservationCtrlr", "Enabled"):
            return []
        return self.waiting()

    # --- who may charge where

    def holds(self, evse_id: int) -> bool:
        """Whether the EVSE is kept for somebody: it is named, or too few are left (H01.FR.20, H01.FR.23, H01.FR.24)."""
        waiting = self.in_force()
        if not waiting:
            return False
        if any(each.evse_id == evse_id for each in waiting):
            return not self._is_taken(evse_id)
        offer, wanted = self._offer(waiting), _wanted(waiting)
        return evse_id in offer and fulfilled(without(offer, evse_id), wanted) < fulfilled(offer, wanted)

    def claim(self, evse_id: int, driver: Driver) -> Reservation | None:
        """The reservation that a driver uses who charges here; none if that would leave another one without an EVSE."""
        waiting = self.in_force()
        own = [each for each in waiting if each.is_for(driver)]
        named = [each for each in waiting if each.evse_id == evse_id]
        if named or not own:
            return next((each for each in own if each in named), None)
        offer = self._offer(waiting)
        possible = fulfilled(offer, _wanted(waiting))
        types = self._connectors.usable_types(evse_id)
        for each in own:
            rest = _wanted([other for other in waiting if other is not each])
            will_do = each.evse_id is None and serves(types, each.connector_type)
            if will_do and fulfilled(without(offer, evse_id), rest) >= possible - 1:
                return each
        return None

    def claim_id(self, evse_id: int, driver: Driver) -> int | None:
        """The id of the reservation that he uses."""
        claim = self.claim(evse_id, driver)
        return claim.id if claim is not None else None

    def refuses(self, evse_id: int, driver: Driver) -> bool:
        """Whether the EVSE is kept for others."""
        return self.holds(evse_id) and self.claim(evse_id, driver) is None

    def names(self, evse_id: int, driver: Driver) -> bool:
        """Whether this very EVSE is reserved for the driver."""
        claim = self.claim(evse_id, driver)
        return claim is not None and claim.evse_id == evse_id

    # --- what else can be promised

    def fits(self, new: Reservation) -> bool:
        """Whether it can be kept besides the others; the one with the same id gives way to it."""
        waiting = [each for each in self.in_force() if each.id != new.id]
        offer, wanted = self._offer(waiting), _wanted(waiting)
        if new.evse_id is None:
            return fulfilled(offer, [*wanted, new.connector_type]) > fulfilled(offer, wanted)
        free = new.evse_id in offer and not self._is_occupied(new.evse_id)
        if not free or not serves(offer[new.evse_id], new.connector_type):
            return False
        return fulfilled(without(offer, new.evse_id), wanted) == fulfilled(offer, wanted)

    def broken(self) -> list[Reservation]:
        """Those that cannot be kept: their EVSE is out of service, or too few are left for all; the newest go first."""
        waiting = self.in_force()
        found = [each for each in waiting if each.evse_id is not None and not self._can_serve(each.evse_id, each)]
        others = [each for each in waiting if each.evse_id is None]
        promised = kept(self._offer(waiting), _wanted(waiting))
        return found + [each for each, holds in zip(others, promised, strict=True) if not holds]

    def _can_serve(self, evse_id: int, reservation: Reservation) -> bool:
        return serves(self._connectors.usable_types(evse_id), reservation.connector_type)

    # --- what there is to be given away

    def _offer(self, waiting: list[Reservation]) -> Offer:
        """The EVSEs that nobody has, and that are kept for nobody in particular."""
        named = {each.evse_id for each in waiting}
        found = {}
        for evse_id in self._connectors.evse_ids():
            types = self._connectors.usable_types(evse_id)
            if types and evse_id not in named and not self._is_taken(evse_id) and not self._is_strangers(evse_id):
                found[evse_id] = types
        return found

    def _is_taken(self, evse_id: int) -> bool:
        """Whether a driver is there, or his cable still is."""
        session = self._sessions.on_evse(evse_id)
        if session is None:
            return False
        over = session.closing is not None or session.ended_authorization or session.holds_cable
        return session.authorized or over or (session.started and session.id_token is not None)

    def _is_strangers(self, evse_id: int) -> bool:
        """Whether a vehicle was plugged in while the EVSE was not reserved: then others have to be kept.

        On a reserved one it changes nothing (G01.FR.09, G03.FR.09). After a start it is not known which came first.
        """
        plugged = self._connectors.plugged(evse_id)
        return plugged is not None and self._connectors.shown(Place(evse_id, plugged)).status in {
            "Available",
            "Occupied",
        }

    def _is_occupied(self, evse_id: int) -> bool:
        session = self._sessions.on_evse(evse_id)
        return self._connectors.plugged(evse_id) is not None or (session is not None and session.started)


def _wanted(waiting: list[Reservation]) -> list[Wanted]:
    """What those ask for that leave it open which EVSE they get."""
    return [each.connector_type for each in waiting if each.evse_id is None]
