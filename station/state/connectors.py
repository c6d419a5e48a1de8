"""EVSEs and connectors: what there is, what is ordered, what the hardware shows, and the status that follows (G).

Three operational states (station, EVSE, connector) are stored, independent of each other; effective is what all three
allow. Everything else is live: it is told anew by the hardware after each start.
Invariant: an EVSE in a transaction stays as it is whatever is ordered; the order takes effect when it ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Literal, NamedTuple

from device_model.build import Layout
from hal.api import Fault
from station.now import BootId, Instant, Mono, Now
from station.refusal import Refusal
from station.store.db import Database
from station.store.volatile import Volatile

Status = Literal["Available", "Occupied", "Reserved", "Unavailable", "Faulted"]

NOT_BLOCKING = frozenset({Fault.LOCK_JAMMED})
"""Faults that do not make an EVSE Faulted by themselves (G05 judges a lock when it is needed)."""


class Place(NamedTuple):
    """A part of the station: (0, 0) the whole, (n, 0) an EVSE, (n, m) a connector."""

    evse_id: int = 0
    connector_id: int = 0


class Shown(NamedTuple):
    """The status that the world knows, since when, and what the CSMS was told last."""

    status: Status
    since: Instant
    told: Status | None = None


class Connectors:
    """The EVSEs of one station, numbered from 1, and their connectors."""

    def __init__(self, *, layout: Layout, db: Database) -> None:
        self._layout = layout
        self._db = db
        self._inoperative: set[Place] = set()
        self._plugged: dict[int, int] = {}
        self._locked: dict[int, int] = {}
        self._faults: dict[int, set[Fault]] = {}
        self._known: set[int] = set()
        self._lost: set[int] = set()
        self._quarantined: set[int] = set()
        self._busy: set[int] = set()
        self._blocked: dict[str, frozenset[int]] = {}
        self._welcoming: set[str] = set()  # of those: who has a transaction there may still be authorized for it
        self._shown: Volatile[Mapping[Place, Shown]] = Volatile(db, {})
        self._started = Instant(BootId(0), Mono(0.0))
        self.reserved: Callable[[int], bool] = lambda _evse: False
        """Whether a reservation keeps the EVSE for a driver who has not come; Reservation replaces it."""

    def load(self, now: Now) -> None:
        """Read what is ordered; forget what was seen: the hardware tells it again.

        What was shown stays until then, after a start Unavailable. An EVSE in quarantine tells nothing any more.
        """
        if now.boot != self._started.boot:
            self._started = now.instant
        rows = self._db.execute("SELECT evse_id, connector_id FROM inoperative")
        self._inoperative = {Place(evse_id, connector_id) for evse_id, connector_id in rows}
        self._plugged, self._locked, self._faults = {}, {}, {}
        self._busy, self._known, self._lost = set(), set(), set()
        for evse_id in self._quarantined:
            self.set_quarantined(evse_id)

    # what there is

    def evse_ids(self) -> tuple[int, ...]:
        """The EVSEs, from 1."""
        return tuple(range(1, len(self._layout.evses) + 1))

    def connector_ids(self, evse_id: int) -> tuple[int, ...]:
        """The connectors of an EVSE, from 1; none if there is no such EVSE."""
        if not self.exists(evse_id):
            return ()
        return tuple(range(1, len(self._layout.evses[evse_id - 1].connectors) + 1))

    def places(self) -> Iterator[Place]:
        """Every connector."""
        for evse_id in self.evse_ids():
            for connector_id in self.connector_ids(evse_id):
                yield Place(evse_id, connector_id)

    def exists(self, evse_id: int, connector_id: int | None = None) -> bool:
        """Whether the EVSE, or the connector on it, exists."""
        if connector_id is None:
            return 1 <= evse_id <= len(self._layout.evses)
        return connector_id in self.connector_ids(evse_id)

    def has_lock(self, evse_id: int, connector_id: int) -> bool:
        """Whether the cable can be locked at the station."""
        return self._layout.evses[evse_id - 1].connectors[connector_id - 1].lock

    def fixed_cable(self, evse_id: int, connector_id: int) -> bool:
        """Whether the cable belongs to the station."""
        return self._layout.evses[evse_id - 1].connectors[connector_id - 1].fixed

    def connector_type(self, evse_id: int, connector_id: int) -> str:
        """ConnectorEnumType, as the layout says."""
        return self._layout.evses[evse_id - 1].connectors[connector_id - 1].type

    def limit_a(self, evse_id: int) -> float:
        """The current per phase that the weakest connector of the EVSE is made for."""
        return min(connector.max_current_a for connector in self._layout.evses[evse_id - 1].connectors)

    def phases(self, evse_id: int) -> int:
        """The phases the EVSE is connected to."""
        return self._layout.evses[evse_id - 1].phases

    def supply_phases(self) -> int:
        """The phases the station is connected to."""
        return self._layout.supply_phases

    @property
    def fuse_a(self) -> float:
        """What all EVSEs together may draw per phase, infinite if nothing is said (K04.FR.02)."""
        fuse_a = self._layout.fuse_a
        return fuse_a if fuse_a is not None else math.inf

    def volts(self, evse_id: int | None = None) -> float:
        """The line voltage of the area; of a direct current EVSE the voltage at which it gives its most."""
        evse = self._layout.evses[evse_id - 1] if evse_id is not None else None
        if evse is None or evse.phases:
            return self._layout.supply_voltage_v
        return evse.max_power_w / min(connector.max_current_a for connector in evse.connectors)

    @property
    def switches_phases(self) -> bool:
        """Whether the boards can change between one phase and all (Phases3to1)."""
        return self._layout.phase_switching

    def phase_used(self, evse_id: int) -> int:
        """The phase of the grid that an EVSE uses when it uses one: the first of its rotation."""
        evse = self._layout.evses[evse_id - 1]
        return "RST".index((evse.phase_rotation or self._layout.phase_rotation)[0]) + 1

    # what the hardware shows

    def plugged(self, evse_id: int) -> int | None:
        """The connector an EV is connected to."""
        return self._plugged.get(evse_id)

    def set_plugged(self, evse_id: int, connector_id: int, *, plugged: bool) -> None:
        """An EV came or went."""
        if plugged:
            self._plugged[evse_id] = connector_id
        elif self._plugged.get(evse_id) == connector_id:
            del self._plugged[evse_id]

    def set_locked(self, evse_id: int, connector_id: int, *, locked: bool) -> None:
        """The lock of an EVSE holds the cable of a connector, or has let it go."""
        if locked:
            self._locked[evse_id] = connector_id
        else:
            self._locked.pop(evse_id, None)

    def known(self, evse_id: int) -> bool:
        """Whether the hardware has told its whole state since the start, or since a recovery."""
        return evse_id in self._known

    def answers(self, evse_id: int) -> bool:
        """Whether its hardware has been heard and is not lost."""
        return evse_id in self._known - self._lost - self._quarantined

    def set_known(self, evse_id: int) -> None:
        """It has; its board answers."""
        self._known.add(evse_id)
        self._lost.discard(evse_id)

    def set_lost(self, evse_id: int) -> None:
        """The board of the EVSE does not answer: what it shows is not known any more."""
        self._known.add(evse_id)
        self._lost.add(evse_id)

    def is_quarantined(self, evse_id: int) -> bool:
        """Whether nothing of this EVSE is heard any more in this run (design A3)."""
        return evse_id in self._quarantined

    def set_quarantined(self, evse_id: int) -> None:
        """The EVSE is given up until the next start (design A3)."""
        self._quarantined = self._quarantined | {evse_id}
        self._known.add(evse_id)
        self.set_fault(evse_id, Fault.INTERNAL, present=True)

    def faults(self, evse_id: int) -> frozenset[Fault]:
        """The faults present."""
        return frozenset(self._faults.get(evse_id, ()))

    def set_fault(self, evse_id: int, fault: Fault, *, present: bool) -> None:
        """A fault appeared or went."""
        faults = self._faults.setdefault(evse_id, set())
        (faults.add if present else faults.discard)(fault)

    # what the station is doing

    def set_busy(self, evse_id: int, *, busy: bool) -> None:
        """A transaction runs on the EVSE, or no longer."""
        (self._busy.add if busy else self._busy.discard)(evse_id)

    def busy(self, evse_id: int | None = None) -> bool:
        """Whether a transaction runs on the EVSE, or on any."""
        return bool(self._busy) if evse_id is None else evse_id in self._busy

    def block(self, why: str, evse_ids: frozenset[int] | None, *, but_busy: bool = False) -> None:
        """Take EVSEs out of service for a while (a reset on idle, a failing store); None: no longer.

        `but_busy`: only for who comes; in a transaction that runs, a driver may still show the card.
        No table knows it: whoever blocks says so again in its own `load`.
        """
        if evse_ids is None:
            self._blocked.pop(why, None)
        else:
            self._blocked[why] = evse_ids
        (self._welcoming.add if but_busy else self._welcoming.discard)(why)

    # what is ordered

    def order(self, place: Place, *, operative: bool) -> None:
        """Write the operational state of one level; its children keep their own (G03.FR.06, G03.FR.07)."""
        if operative:
            self._db.execute("DELETE FROM inoperative WHERE evse_id = ? AND connector_id = ?", place)
            self._inoperative.discard(place)
        else:
            self._db.execute("INSERT OR IGNORE INTO inoperative VALUES (?, ?)", place)
            self._inoperative.add(place)

    def ordered_operative(self, place: Place) -> bool:
        """The operational state of one level by itself."""
        return place not in self._inoperative

    def operative(self, evse_id: int, connector_id: int | None = None) -> bool:
        """Whether all levels allow use, and nothing blocks or is broken."""
        if not self._allowed(evse_id, connector_id) or self._is_blocked(evse_id):
            return False
        return not self._is_faulted(evse_id)

    def usable_types(self, evse_id: int) -> frozenset[str]:
        """The types of the connectors in service; none if the EVSE is not."""
        usable = [each for each in self.connector_ids(evse_id) if self.operative(evse_id, each)]
        return frozenset(self.connector_type(evse_id, each) for each in usable)

    def _allowed(self, evse_id: int, connector_id: int | None) -> bool:
        levels = {Place(), Place(evse_id, 0)}
        if connector_id is not None:
            levels.add(Place(evse_id, connector_id))
        elif all(Place(evse_id, each) in self._inoperative for each in self.connector_ids(evse_id)):
            return False
        return not levels & self._inoperative

    def _is_blocked(self, evse_id: int) -> bool:
        return any(evse_id in evse_ids for evse_ids in self._blocked.values())

    def _keeps_out(self, evse_id: int) -> bool:
        busy = evse_id in self._busy
        return any(evse_id in ids and not (busy and why in self._welcoming) for why, ids in self._blocked.items())

    def _is_faulted(self, evse_id: int) -> bool:
        return evse_id in self._lost or bool(self._faults.get(evse_id, set()) - NOT_BLOCKING)

    def may_start(self, evse_id: int) -> Refusal | None:
        """Why no transaction may start there now; None if one may."""
        if evse_id not in self.evse_ids():
            return Refusal("UnknownEvse")
        if self._is_faulted(evse_id):
            return Refusal("InternalError", "the EVSE is faulted")
        if not self._allowed(evse_id, self._plugged.get(evse_id)) or self._keeps_out(evse_id):
            return Refusal("NotEnabled", "the EVSE is out of service")
        return None

    # the status that follows

    def status(self, evse_id: int, connector_id: int) -> Status:
        """What StatusNotification calls it: Faulted before Unavailable before Occupied before Reserved."""
        if self._is_faulted(evse_id):
            return "Faulted"
        plugged = self._plugged.get(evse_id)
        in_use = evse_id in self._busy and plugged == connector_id  # G01.FR.05: not once the EV has gone
        if not in_use and (not self._allowed(evse_id, connector_id) or self._is_blocked(evse_id)):
            return "Unavailable"
        if self.reserved(evse_id):  # whoever is plugged in (G01.FR.09)
            return "Reserved"
        held = self._locked.get(evse_id) == connector_id  # E10: pulled off the vehicle, still in the socket
        return "Occupied" if plugged == connector_id or held else "Available"

    def shown(self, place: Place) -> Shown:
        """What the world knows of a connector."""
        return self._shown.value.get(place) or Shown("Unavailable", self._started)

    def show(self, place: Place, shown: Shown) -> None:
        """The world knows it now; forgotten if the step fails."""
        self._shown.value = {**self._shown.value, place: shown}

    def status_of_evse(self, evse_id: int) -> Status:
        """The EVSE as a whole: Occupied if one of its connectors is, for an EVSE serves one vehicle at a time."""
        parts = [self.status(evse_id, connector_id) for connector_id in self.connector_ids(evse_id)]
        return "Occupied" if "Occupied" in parts else _whole(parts)

    def status_of_station(self) -> Status:
        """The station as a whole."""
        return _whole([self.status_of_evse(evse_id) for evse_id in self.evse_ids()])


def _whole(parts: list[Status]) -> Status:
    """What is said of the whole: Available as long as a part is."""
    order: tuple[Status, ...] = ("Available", "Occupied", "Reserved", "Unavailable")
    return next((status for status in order if status in parts), "Faulted")
