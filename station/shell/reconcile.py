"""Making the real state follow the wanted one: what to ask of each board, and what to tell the core (design 3, A6).

Sans-I/O: inputs are wants, snapshots, results and the time; outputs are actions and batches of facts. The hardware
thread (`devices`) drives it with real drivers, a bench with the simulator in virtual time. `outlet` decides for one.
Invariant: what a failed step was told is told again (`snapshot_again`), except momentary facts.
"""

from __future__ import annotations

import math

import msgspec

from hal.api import BoardSnapshot, LockState
from station.effects import Want
from station.facts import (
    DeviceIdentified,
    DeviceLost,
    DeviceReturned,
    Fact,
    FaultChanged,
    MeterSampled,
    PlugInserted,
    PlugRemoved,
    SampleFailed,
    SensorRead,
    WantFailed,
)
from station.now import BootId, Instant, Mono
from station.shell.guards import Guard
from station.shell.outlet import Action, Outlet, Place, Timing

READINGS = (MeterSampled, SampleFailed, SensorRead, DeviceIdentified)
"""Facts after which no permission is given: they are no edges."""

IDLE = "idle"
"""The purpose of a reading that nobody asked for."""


class Batch(msgspec.Struct, frozen=True):
    """Facts for one step of the core, which answers `committed(number)`. An empty one asks for a sign of life.

    Number 0 asks for no answer: readings alone, for whose commit nothing waits.
    """

    number: int
    facts: tuple[Fact, ...]


class Reconciler:
    """All EVSEs of one station. Every method that needs it is given the present; none waits."""

    def __init__(self, places: tuple[Place, ...], boot: BootId, timing: Timing | None = None) -> None:
        self._timing = timing or Timing()
        self._outlets = {place.evse_id: Outlet(place, self._timing) for place in places}
        self._boot = boot
        self._news: list[Fact] = []
        self._number = 0
        self._committed = 0
        self._progress = -math.inf
        self._sent_at = -math.inf

    # --- from the core

    def want(self, evse_id: int, want: Want) -> None:
        """The core wants this of an EVSE. Raises KeyError for an EVSE that does not exist."""
        self._outlets[evse_id].wish(want)

    def committed(self, number: int, now: float) -> bool:
        """The core has committed the step of this batch, and handed over the wants of that step before.

        Gives whether an outlet waited for that, so that there may be something to do.
        """
        before, self._committed = self._committed, max(self._committed, number)
        waited = not self.core_alive(now) or any(before < max(o.edge, o.returned) for o in self._outlets.values())
        self.progressed(now)
        return waited

    def progressed(self, now: float) -> None:
        """The core has finished a step."""
        self._progress = max(self._progress, now)

    def snapshot_again(self) -> None:
        """The core forgot what it was told: the whole state of every EVSE is news again, and so is a lost board."""
        for outlet in self._outlets.values():
            outlet.tell_again()
            self._note(outlet)
        for loss in dict.fromkeys(outlet.loss for outlet in self._outlets.values()):
            if loss is not None:
                lost = tuple(evse_id for evse_id, outlet in self._outlets.items() if outlet.loss is loss)
                self._tell(msgspec.structs.replace(loss, evse_ids=lost))

    # --- from the hardware

    def saw(self, evse_id: int, snapshot: BoardSnapshot, now: float) -> None:
        """A board shows this; the first after a loss is the board's return."""
        outlet = self._outlets[evse_id]
        returned = outlet.loss is not None
        outlet.shows(snapshot, now)
        if returned:
            outlet.tell_whole = True
            at = Instant(self._boot, Mono(now))
            self._tell(DeviceReturned(device=outlet.place.board, evse_ids=(evse_id,), at=at, board=True))
        self._note(outlet)
        if returned:
            outlet.returned = self._number + 1

    def lock_is(self, evse_id: int, state: LockState, now: float) -> None:
        """A lock that is a device of its own shows this."""
        outlet = self._outlets[evse_id]
        outlet.lock = state
        self._note(outlet, now)

    def power_is(self, evse_id: int, power_w: float | None, at: float) -> bool:
        """The meter showed this power then; whether that says something: if current flows, where the board cannot."""
        outlet = self._outlets.get(evse_id)
        if outlet is None or not outlet.measured(power_w, at):
            return False
        self._note(outlet, at)
        return True

    def needs_power(self, evse_id: int) -> bool:
        """Whether only the meter can tell if current flows now, where it should or must not."""
        outlet = self._outlets.get(evse_id)
        if outlet is None or outlet.seen is None or outlet.seen.flowing is not None:
            return False
        return outlet.seen.contactor_closed or outlet.weld.suspects

    def guard_is(self, guard: Guard, value: float | bool | str | None, now: float) -> None:  # noqa: FBT001 - a value
        """A sensor that may forbid current shows this; None: it is lost."""
        for evse_id in guard.evse_ids:
            outlet = self._outlets[evse_id]
            outlet.guarded(guard, value, now)
            self._note(outlet, now)

    def lost(self, board: str, reason: str, now: float) -> None:
        """A board stopped answering; told once until it returns."""
        gone = [o for o in self._outlets.values() if o.place.board == board and o.loss is None]
        if gone:
            evse_ids = tuple(outlet.place.evse_id for outlet in gone)
            at = Instant(self._boot, Mono(now))
            loss = DeviceLost(device=board, evse_ids=evse_ids, reason=reason, at=at, board=True)
            for outlet in gone:
                outlet.gone(loss)
            self._tell(loss)

    def may_carry_current(self, evse_id: int, now: float) -> bool:
        """Whether the cable of an EVSE must stay locked in."""
        return self._outlets[evse_id].may_carry_current(now)

    def did(self, action: Action, error: str | None, now: float) -> None:
        """An action came back; `error` is the driver's reason if it failed."""
        self._outlets[action.evse_id].did(action, error, now)

    def tell(self, fact: Fact) -> None:
        """Other news for the core: a card, a sample, a sensor."""
        self._tell(fact)

    # --- to the hardware

    def actions(self, now: float) -> list[Action]:
        """What to do now, at most one per EVSE; answer each by `did`."""
        alive = self.core_alive(now)
        found = [outlet.act(self._committed, core_alive=alive, now=now) for outlet in self._outlets.values()]
        return [action for action in found if action is not None]

    def core_alive(self, now: float) -> bool:
        """Whether the core's last progress is young enough for leases."""
        return now - self._progress < self._timing.stall_s

    def next_due(self, now: float) -> float:
        """When to call `actions` and `batch` again if nothing else happens; infinite at rest."""
        alive = self.core_alive(now)
        due = [outlet.next_due(self._committed, core_alive=alive, now=now) for outlet in self._outlets.values()]
        return min(*due, self.pulse_at(now), math.inf)

    # --- to the core

    @property
    def has_news(self) -> bool:
        """Whether something waits for the next batch."""
        return bool(self._news)

    def batch(self, now: float) -> Batch | None:
        """The news so far, or a call for a sign of life while current may flow and the core is quiet."""
        at = Instant(self._boot, Mono(now))
        for evse_id, outlet in self._outlets.items():
            for what, reason in outlet.failures(self._committed, now):
                self._tell(WantFailed(evse_id=evse_id, at=at, what=what, reason=reason))
                self._note(outlet, now)
            if outlet.weld.look(now):
                self._note(outlet, now)
        asks = now >= self.pulse_at(now)
        if not self._news and not asks:
            return None
        facts, self._news = tuple(self._news), []
        if not asks and all(isinstance(fact, READINGS) for fact in facts):
            return Batch(0, facts)
        self._number += 1
        self._sent_at = now
        return Batch(self._number, facts)

    def pulse_at(self, now: float) -> float:
        """When to ask a quiet core for a sign of life: while a permission stands or should, and no question is open."""
        if self._committed < self._number:
            return math.inf
        if not any(o.live(now) or o.goal(self._committed, now) is not None for o in self._outlets.values()):
            return math.inf
        return self._timing.next_beat(max(self._sent_at, self._progress, 0.0))

    def _note(self, outlet: Outlet, since: float | None = None) -> None:
        facts = outlet.changed(self._boot, since)
        self._news += facts
        if any(isinstance(fact, PlugInserted | PlugRemoved | FaultChanged) for fact in facts):
            outlet.edge = self._number + 1

    def _tell(self, fact: Fact) -> None:
        """Queue a fact; an idle sample that nobody took yet is replaced by the newer one."""
        if isinstance(fact, MeterSampled) and fact.purpose == IDLE:
            self._news = [f for f in self._news if not _is_idle_sample(f, fact.evse_id)]
        self._news.append(fact)


def _is_idle_sample(fact: Fact, evse_id: int) -> bool:
    return isinstance(fact, MeterSampled) and fact.purpose == IDLE and fact.evse_id == evse_id
