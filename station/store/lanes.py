"""The waiting rows in memory, and the pure rule which of them is next.

Stored lanes show the front of the disk (`spool.Window`), the others hold their rows whole. A row in flight stays in
its lane until it is settled. Invariant: of one lane and key only the oldest row is ever picked.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

from station.now import Mono

from .rows import STORED_LANES, Delivery, Lane, Row
from .spool import Window

TURN = 8
"""After so many stored rows in a row a waiting row of a lower lane gets one turn: a backlog of days starves nobody."""

_NOW_OR_NEVER = frozenset({Delivery.ASK, Delivery.MOMENT, Delivery.NOW_ONLY, Delivery.BY_SEVERITY, Delivery.STREAM})
_ORDER = tuple(Lane)
_OTHERS_FIRST = tuple(sorted(Lane, key=lambda lane: lane in STORED_LANES))


class Gate(enum.Enum):
    """What may be sent: the link and the registration in one (B01, B02, B03)."""

    CLOSED = "no link"
    BOOT = "only BootNotification"
    PENDING = "BootNotification and what was asked for"
    OPEN = "Accepted"


class Lanes:
    """All waiting rows by lane."""

    def __init__(self, windows: dict[Lane, Window]) -> None:
        self.gate = Gate.CLOSED
        self._windows = windows
        self._memory: dict[Lane, dict[int, Row]] = {lane: {} for lane in Lane if lane not in windows}
        self.boots, self.asks = self._memory[Lane.BOOT], self._memory[Lane.ASKS]
        """Rows that may become worthless while they wait."""
        self.waits: dict[tuple[Lane, str], Mono] = {}
        """Until when lane and key are backed off."""
        self._held: dict[int, str] = {}
        self._asked: set[int] = set()  # stored rows that were asked for; the disk does not say so
        self._run = 0

    # -- coming and going --------------------------------------------------------------------------------------

    def add(self, row: Row, held_by: str | None = None) -> list[Row]:
        """A committed row joins its lane. Returns the rows that leave: older ones of its key, or the row itself."""
        if held_by is not None:
            self._held[row.id] = held_by
        if row.stored:
            if row.asked:
                self._asked.add(row.id)
            self._windows[row.lane].add(row)
            return []
        lane = self._memory[row.lane]
        if not self._admitted(row):
            if row.delivery in _NOW_OR_NEVER:
                self._held.pop(row.id, None)
                return [row]
            leaving = [old for old in lane.values() if old.key == row.key]
            for old in leaving:
                self.remove(old)
        else:
            leaving = []
        lane[row.id] = row
        return leaving

    def remove(self, row: Row) -> None:
        """The row is settled."""
        rows = self._windows[row.lane].rows if row.stored else self._memory[row.lane]
        rows.pop(row.id, None)
        self._held.pop(row.id, None)
        self._asked.discard(row.id)
        self.waits.pop((row.lane, row.key), None)

    def forget(self, lane: Lane, ids: Iterable[int]) -> None:
        """Stored rows were dropped from the disk."""
        for row_id in ids:
            self._windows[lane].rows.pop(row_id, None)

    def wait(self, row: Row, until: Mono) -> None:
        """The row's transmission failed: it and what follows it under its key wait. `row` carries the new attempts."""
        rows = self._windows[row.lane].rows if row.stored else self._memory[row.lane]
        if row.id in rows:
            rows[row.id] = row
        self.waits[row.lane, row.key] = until

    def hold_on(self, token: str, successor: str) -> None:
        """Rows that waited for one reply wait under its new token."""
        self._held = {row_id: successor if by == token else by for row_id, by in self._held.items()}

    def release(self, token: str) -> None:
        """Rows that waited for a reply may go."""
        for row_id in [i for i, by in self._held.items() if by == token]:
            del self._held[row_id]

    def set_gate(self, gate: Gate) -> list[Row]:
        """Change what may be sent. Returns the rows that leave: they were for now only, or have been overtaken."""
        if gate is self.gate:
            return []
        if self.gate is Gate.CLOSED:
            self.waits.clear()  # after a reconnection sending starts again at once
        self.gate = gate
        leaving = []
        for lane in self._memory.values():
            newest = {row.key: row.id for row in lane.values()}
            for row in list(lane.values()):
                if self._admitted(row):
                    continue
                if row.delivery in _NOW_OR_NEVER or newest[row.key] != row.id:
                    leaving.append(row)
                    del lane[row.id]
                    self._held.pop(row.id, None)
        return leaving

    # -- the rule ----------------------------------------------------------------------------------------------

    def pick(self, mono: Mono) -> Row | None:
        """The row to send now, if any."""
        if self.gate is Gate.CLOSED:
            return None
        for lane in _ORDER if self._run < TURN else _OTHERS_FIRST:
            window = self._windows.get(lane)
            if window is None:
                rows = self._memory[lane]
                row = self._first(rows.values(), mono) if rows else None
            elif window.rows or window.skipped or not window.reaches_end:
                row = self._first_stored(lane, mono)
            else:
                continue
            if row is not None:
                return row
        return None

    def note_sent(self, row: Row) -> None:
        """Count turns between the backlog and the rest."""
        if row.stored:
            self._run += 1
        elif row.lane > Lane.NEWS:
            self._run = 0

    def _first(self, rows: Iterable[Row], mono: Mono) -> Row | None:
        passed: set[str] = set()
        for row in rows:
            if row.key in passed:
                continue
            if self._ready(row, mono):
                return row
            passed.add(row.key)
        return None

    def _first_stored(self, lane: Lane, mono: Mono) -> Row | None:
        window = self._windows[lane]
        may_load = self.gate is Gate.OPEN or (self.gate is Gate.PENDING and lane is Lane.NEWS)
        if window.skipped and may_load and not self._held and self._is_over(lane, window.skipped, mono):
            window.reset()  # rows that were passed over may be the oldest again
        while True:
            passed: set[str] = set()
            for row in window.rows.values():
                if row.key in passed:
                    continue
                if self._ready(row, mono):
                    return row
                passed.add(row.key)
            if not may_load or not window.refill(passed):
                return None

    def _is_over(self, lane: Lane, keys: Iterable[str], mono: Mono) -> bool:
        """Whether any of the keys waits no more."""
        return any(self.waits.get((lane, key), 0.0) <= mono for key in keys)

    def _ready(self, row: Row, mono: Mono) -> bool:
        if row.id in self._held or self.waits.get((row.lane, row.key), 0.0) > mono:
            return False
        return self.gate is Gate.OPEN or self._admitted(row)

    def _admitted(self, row: Row) -> bool:
        match self.gate:
            case Gate.OPEN:
                return True
            case Gate.PENDING:  # B02.FR.02
                return row.lane is Lane.BOOT or row.asked or row.id in self._asked
            case Gate.BOOT:
                return row.lane is Lane.BOOT
            case Gate.CLOSED:
                return False

    # -- questions ---------------------------------------------------------------------------------------------

    def expired(self, mono: Mono) -> list[Row]:
        """Asks whose time has passed."""
        asks = (*self.boots.values(), *self.asks.values())
        return [row for row in asks if row.by is not None and row.by <= mono]

    def next_due(self, mono: Mono) -> Mono | None:
        """When a back-off ends or an ask becomes worthless; None: nothing waits for time."""
        times = [row.by for row in (*self.boots.values(), *self.asks.values()) if row.by is not None]
        if self.gate is not Gate.CLOSED:
            times += [until for until in self.waits.values() if until > mono]
        return min(times, default=None)

    def front(self, lane: Lane) -> Window:
        """The window of a stored lane."""
        return self._windows[lane]

    def in_memory(self) -> int:
        """Rows in memory, of all lanes."""
        return sum(len(lane) for lane in self._memory.values()) + sum(len(w.rows) for w in self._windows.values())
