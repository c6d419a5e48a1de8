"""All monitors of one station, and the state of each (N02 to N08).

Pure: time is an argument, events are returned. Whether an event is sent now, queued or dropped while offline is the
caller's (N07.FR.04); the monitoring level is applied here, after evaluation, so that alarm states go on (N05.FR.03).
Cost: `changed` compares the value with the band in which the monitors of that one variable are quiet, and looks at them
only beyond it; `due` looks only at those that are due.
Invariant: one event per crossing of a threshold, and one cleared event per return.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush

import msgspec

from device_model import values
from device_model.model import ComponentId, DeviceModel, Status, Variable, VariableId
from device_model.monitor_rules import (
    JUDGES,
    LEAST_SEVERE,
    MOST_MONITORS,
    THRESHOLDS,
    Event,
    Monitor,
    MonitorFlaw,
    MonitoringBase,
    MonitorKind,
    MonitorStatus,
    MonitorType,
    Outcome,
    State,
    Trigger,
    Wanted,
    beyond,
    flaw_of_value,
    next_on_grid,
    quiet_band,
    supported,
    threshold,
)


class Row(msgspec.Struct, frozen=True, gc=False):
    """A monitor as stored; `active` is false for a preconfigured one that was cleared or switched off."""

    id: int
    component: ComponentId
    variable: VariableId
    type: str
    value: float
    severity: int
    transaction: bool
    kind: str
    active: bool
    alarmed: bool


class Monitors:
    """All monitors of one station and the state of each.

    `level`: events of monitors less severe are evaluated, and not returned. `enabled`: whether others than the
    hard-wired ones are. `attention`: monitors less severe are not looked at for the time being; `attend` changes it.
    """

    def __init__(self, model: DeviceModel) -> None:
        self.level = LEAST_SEVERE
        self.enabled = True
        self._model = model
        self._states: dict[int, State] = {}
        self._of: dict[int, list[State]] = {}
        self._factory: dict[int, Monitor] = {}
        self._running: frozenset[int] = frozenset()
        self._attention = LEAST_SEVERE
        self._bands: dict[int, tuple[float, float]] = {}
        self.unsaved: set[int] = set()
        """The ids of which `dirty` would tell."""
        self._next_id = 1
        self._mono: list[tuple[float, int, int]] = []
        self._wall: list[tuple[float, int, int]] = []

    def __iter__(self) -> Iterator[Monitor]:
        """All active monitors, by id: what a monitoring report lists."""
        return (self._states[id_].monitor for id_ in sorted(self._states) if self._states[id_].active)

    # -- setting up

    def install(self, monitor: Monitor, mono: float, wall: float, *, active: bool = True) -> None:
        """Add a hard-wired or preconfigured monitor, before `restore`. Raises ValueError if its id is taken."""
        if monitor.id in self._states:
            raise ValueError(f"monitor {monitor.id} is there twice")
        self._factory[monitor.id] = monitor
        state = self._hold(monitor, mono, wall)
        state.active, state.reference = active, _at_start(monitor.variable)

    def restore(self, rows: Iterable[Row], mono: float, wall: float) -> list[Row]:
        """Take up what was stored (N07.FR.13); returns the rows of what is no longer there.

        Deltas start anew (part 1, 4.4): from what is known at the start, else from the first value; periods from now.
        """
        rows = list(rows)
        self._next_id = max([self._next_id, *(row.id + 1 for row in rows)])
        return [row for row in rows if not self._take_up(row, mono, wall)]

    def _take_up(self, row: Row, mono: float, wall: float) -> bool:
        found = self._model.find(row.component, row.variable)
        type_, kind = MonitorType(row.type), MonitorKind(row.kind)
        if not isinstance(found, Variable) or not supported(found, type_):
            return False
        held = self._states.get(row.id)
        same = held is not None and held.monitor.variable is found
        if kind is not MonitorKind.CUSTOM:  # the factory says what it is, and whether it still is
            if held is None or not same or (held.monitor.type, held.monitor.kind) != (type_, kind):
                return False
            held.active, held.alarmed = row.active, row.alarmed
            return True
        id_ = row.id
        if held is not None and not same:  # an update gave the id to another monitor
            id_ = self._new_id()
            self.unsaved |= {row.id, id_}
        state = self._hold(Monitor(id_, found, type_, row.value, row.severity, row.transaction, kind), mono, wall)
        state.active, state.alarmed, state.reference = row.active, row.alarmed, _at_start(found)
        return True

    def dirty(self) -> list[tuple[int, Row | None]]:
        """What must be stored since the last call: rows by id, None for one to delete."""
        changed, self.unsaved = sorted(self.unsaved), set()
        return [(id_, self._row(id_)) for id_ in changed]

    # -- what the CSMS asks

    def put(self, wanted: Wanted, mono: float, wall: float) -> Outcome:
        """Set or replace one monitor (N04). A value already beyond a threshold gives its event at once (N07.FR.11)."""
        found = self._model.find(wanted.component, wanted.variable)
        if isinstance(found, Status):
            return Outcome(MonitorStatus(found.value))
        if not supported(found, wanted.type):
            return Outcome(MonitorStatus.UNSUPPORTED_MONITOR_TYPE)
        flaw = self._flaw_of_id(wanted, found) or flaw_of_value(wanted, found)
        if flaw is not None:
            return Outcome(MonitorStatus.REJECTED, flaw=flaw)
        twin = (
            (one.monitor.type, one.monitor.severity, one.monitor.id)
            for one in self._of.get(id(found), ())
            if one.active
        )
        if any(type_ is wanted.type and sev == wanted.severity and id_ != wanted.id for type_, sev, id_ in twin):
            return Outcome(MonitorStatus.DUPLICATE)  # N04.FR.10
        if wanted.id is None and len(self._states) >= MOST_MONITORS:
            return Outcome(MonitorStatus.REJECTED, flaw=MonitorFlaw.TOO_MANY)
        id_ = self._new_id() if wanted.id is None else wanted.id
        was_alarmed = id_ in self._states and self._states[id_].alarmed
        monitor = Monitor(id_, found, wanted.type, wanted.value, wanted.severity, wanted.transaction)
        state = self._hold(monitor, mono, wall)
        self.unsaved.add(id_)
        return Outcome(MonitorStatus.ACCEPTED, id_, events=tuple(self._first_look(state, was_alarmed=was_alarmed)))

    def clear(self, id_: int) -> Outcome:
        """Remove one monitor (N06); an alarm it had is not cleared by an event (N07.FR.12)."""
        state = self._states.get(id_)
        if state is None or not state.active:
            return Outcome(MonitorStatus.NOT_FOUND, id_)
        if state.monitor.kind is MonitorKind.HARD_WIRED:
            return Outcome(MonitorStatus.REJECTED, id_, MonitorFlaw.HARD_WIRED)
        self._drop(id_)
        return Outcome(MonitorStatus.ACCEPTED, id_)

    def rebase(self, base: MonitoringBase, mono: float, wall: float) -> None:
        """SetMonitoringBase (N03.FR.03-05)."""
        for id_, state in list(self._states.items()):
            if state.monitor.kind is MonitorKind.CUSTOM and base is not MonitoringBase.ALL:
                self._drop(id_)
        for id_, monitor in self._factory.items():
            if monitor.kind is not MonitorKind.PRECONFIGURED:
                continue
            if base is MonitoringBase.HARD_WIRED_ONLY:
                self._drop(id_)
            elif not self._states[id_].active:
                self._hold(monitor, mono, wall)
                self.unsaved.add(id_)

    # -- what happens

    def changed(self, variable: Variable) -> list[Event]:
        """The events that the present value of `variable` causes; call it whenever the Actual value changed."""
        states = self._of.get(id(variable))
        if not states or not (value := variable.actual):  # unreadable is neither high nor low
            return []
        low, high = self._bands.get(id(variable)) or self._band(variable, states)
        if low < high and (number := values.decimal(value)) is not None and low < number < high:
            return []
        events = self._sent([JUDGES[one.monitor.type](one, value) for one in states if self._counts(one)])
        self._bands.pop(id(variable), None)
        return events

    def review(self) -> list[Event]:
        """Look at every variable that has monitors: after a boot, an alarm may have ended unseen (N07.FR.14)."""
        watched = {id(one.monitor.variable): one.monitor.variable for one in self._states.values() if one.active}
        return [event for variable in watched.values() for event in self.changed(variable)]

    def attend(self, severity: int = LEAST_SEVERE) -> list[Event]:
        """Look only at monitors at least so severe, as while nothing less may be queued (N07.FR.04).

        Those that are looked at again judge what is now, so the CSMS learns of what has changed, and of nothing that
        came and went.
        """
        before, self._attention = self._attention, severity
        self._bands.clear()
        return self.review() if severity > before else []

    def transactions(self, evse_ids: Iterable[int]) -> list[Event]:
        """Tell on which EVSEs transactions run; monitors that begin to count look at once."""
        before, self._running = self._running, frozenset(evse_ids)
        if before == self._running:
            return []
        self._bands.clear()
        watched = {id(one.monitor.variable): one.monitor.variable for one in self._gated() if self._counts(one)}
        return [event for variable in watched.values() for event in self.changed(variable)]

    def next_due(self) -> tuple[float | None, float | None]:
        """When the next period ends: on the monotonic clock (Periodic), on the wall clock (PeriodicClockAligned)."""
        return self._head(self._mono), self._head(self._wall)

    def due(self, mono: float, wall: float) -> list[Event]:
        """The events of all periods that ended; periods slept through are left out (N08.FR.06, N08.FR.07)."""
        return self._periods(self._mono, mono) + self._periods(self._wall, wall)

    def realign(self, wall: float) -> None:
        """The wall clock was stepped: clock-aligned periods end at the grid of the new time."""
        self._wall.clear()
        for state in self._states.values():
            if state.active and state.monitor.type is MonitorType.CLOCK_ALIGNED:
                self._schedule(state, 0.0, wall)

    # -- inside

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def _hold(self, monitor: Monitor, mono: float, wall: float) -> State:
        self._bands.pop(id(monitor.variable), None)
        old = self._states.get(monitor.id)
        if old is not None:
            self._of[id(old.monitor.variable)].remove(old)
        period = old.period + 1 if old is not None else 0
        reference = monitor.variable.actual or _at_start(monitor.variable)
        state = State(monitor, reference=reference, period=period)
        self._states[monitor.id] = state
        self._of.setdefault(id(monitor.variable), []).append(state)
        self._next_id = max(self._next_id, monitor.id + 1)
        self._schedule(state, mono, wall)
        return state

    def _drop(self, id_: int) -> None:
        self.unsaved.add(id_)
        factory = self._factory.get(id_)
        state = self._states[id_]
        self._bands.pop(id(state.monitor.variable), None)
        state.active, state.alarmed = False, False
        state.period += 1
        if factory is None:
            del self._states[id_]
            self._of[id(state.monitor.variable)].remove(state)
        else:
            state.monitor = factory  # N04.FR.15: what overrode it is gone for good

    def _row(self, id_: int) -> Row | None:
        state = self._states.get(id_)
        if state is None:
            return None
        one = state.monitor
        if one is self._factory.get(id_) and state.active and not state.alarmed:
            return None
        return Row(
            id_,
            one.variable.component,
            one.variable.id,
            one.type.value,
            one.value,
            one.severity,
            one.transaction,
            one.kind.value,
            state.active,
            state.alarmed,
        )

    def _flaw_of_id(self, wanted: Wanted, found: Variable) -> MonitorFlaw | None:
        if wanted.id is None:
            return None
        held = self._states.get(wanted.id)
        if held is None or not held.active:
            return MonitorFlaw.NO_SUCH_ID  # N04.FR.13
        if held.monitor.variable is not found:
            return MonitorFlaw.OTHER_VARIABLE  # N04.FR.16
        return MonitorFlaw.HARD_WIRED if held.monitor.kind is MonitorKind.HARD_WIRED else None  # N04.FR.18

    def _first_look(self, state: State, *, was_alarmed: bool) -> list[Event]:
        value = state.monitor.variable.actual
        if state.monitor.type not in THRESHOLDS or not value or not self._counts(state):
            return []
        state.alarmed = was_alarmed and not beyond(state.monitor, value)
        return self._sent([threshold(state, value)])

    def _band(self, variable: Variable, states: list[State]) -> tuple[float, float]:
        band = self._bands[id(variable)] = quiet_band(one for one in states if self._counts(one))
        return band

    def _counts(self, state: State) -> bool:
        if not state.active or state.monitor.severity > self._attention:
            return False
        if not state.monitor.transaction:
            return True
        evse_id = state.monitor.variable.component.evse_id
        return bool(self._running) if evse_id is None else evse_id in self._running

    def _gated(self) -> Iterator[State]:
        return (one for one in self._states.values() if one.monitor.transaction)

    def _sent(self, made: Iterable[Event | None]) -> list[Event]:
        """The events the CSMS wants to see; all are evaluated, and alarms noted, before."""
        events = [_veiled(event) for event in made if event is not None]
        self.unsaved.update(event.monitor.id for event in events if event.trigger is Trigger.ALERTING)
        return [
            event
            for event in events
            if event.monitor.severity <= self.level  # N07.FR.15
            and (self.enabled or event.monitor.kind is MonitorKind.HARD_WIRED)
        ]

    def _schedule(self, state: State, mono: float, wall: float) -> None:
        one = state.monitor
        if one.type is MonitorType.PERIODIC:
            heappush(self._mono, (mono + one.value, one.id, state.period))
        elif one.type is MonitorType.CLOCK_ALIGNED:
            heappush(self._wall, (next_on_grid(wall, one.value), one.id, state.period))

    def _head(self, queue: list[tuple[float, int, int]]) -> float | None:
        while queue and not self._current(queue[0]):
            heappop(queue)
        return queue[0][0] if queue else None

    def _current(self, item: tuple[float, int, int]) -> bool:
        state = self._states.get(item[1])
        return state is not None and state.active and state.period == item[2]

    def _periods(self, queue: list[tuple[float, int, int]], now: float) -> list[Event]:
        events: list[Event] = []
        while (at := self._head(queue)) is not None and at <= now:
            state = self._states[heappop(queue)[1]]
            one = state.monitor
            if one.type is MonitorType.PERIODIC:
                following = at + one.value * ((now - at) // one.value + 1)
            else:
                following = next_on_grid(now, one.value)
            heappush(queue, (following, one.id, state.period))
            if self._counts(state):
                shown = one.variable.actual or ""
                events += self._sent([Event(one, Trigger.PERIODIC, shown)])
        return events


def _veiled(event: Event) -> Event:
    """N07.FR.10: what can only be written is not told."""
    holder = event.monitor.variable.attribute()
    readable = holder is not None and holder.readable and not holder.secret
    return event if readable else msgspec.structs.replace(event, value="")


def _at_start(variable: Variable) -> str | None:
    """The value that deltas count from after a start: None if it is live, and only what is measured will tell."""
    holder = variable.attribute()
    return (holder.value or "") if holder is not None and (holder.persistent or holder.constant) else None
