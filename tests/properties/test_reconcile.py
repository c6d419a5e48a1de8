"""Whatever people, vehicles, faults, the core and the board do: the contactor is closed only when it may be."""

from __future__ import annotations

import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hal.api import Fault
from hal.sim.ev import EvSpec
from hal.sim.evse import EvseSpec
from hal.sim.world import SimWorld
from station.effects import Want
from station.facts import FaultChanged, PlugInserted, PlugRemoved, PowerPathChanged
from station.now import BootId
from station.shell.outlet import Timing
from tests.simhardware import SimHardware

BREAKING = [Fault.GROUND_FAULT, Fault.EMERGENCY_STOP, Fault.PILOT_LOST, Fault.OVER_CURRENT]


class AnyDay(RuleBasedStateMachine):
    """One EVSE with a lock, its reconciler, and a core that commits when the machine lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.t = 0.0
        self.world = SimWorld({1: EvseSpec(lock=True, phase_switching=True)}, lambda: self.t)
        self.hardware = SimHardware(self.world, BootId(1), timing=Timing())
        self.want = Want(energise=False, limit_a=0.0)
        self.uncommitted: list[int] = []
        self.plugged: bool | None = None
        self.closed: bool | None = None
        self.faults: set[Fault] = set()
        self.last_commit = -math.inf
        self.lost = False
        self.unplug_unheard = False

    def pump(self) -> None:
        """Do what is due now; the core hears all of it, and commits later."""
        while (batch := self.hardware.pump()) is not None:
            self.uncommitted.append(batch.number)
            for fact in batch.facts:
                match fact:
                    case PlugInserted():
                        self.plugged = True
                    case PlugRemoved():
                        self.plugged, self.unplug_unheard = False, True
                    case PowerPathChanged(closed=closed):
                        self.closed = closed
                    case FaultChanged(fault=fault, present=present):
                        (self.faults.add if present else self.faults.discard)(fault)

    @rule()
    def core_commits(self) -> None:
        """The core catches up."""
        for number in self.uncommitted:
            self.hardware.committed(number)
        self.uncommitted, self.unplug_unheard = [], False
        self.last_commit = self.t
        self.pump()

    @rule(
        energise=st.booleans(),
        limit=st.sampled_from([0.0, 6.0, 16.0]),
        phases=st.sampled_from([1, 3]),
        lock=st.booleans(),
    )
    def core_wants(self, limit: float, phases: int, *, energise: bool, lock: bool) -> None:
        """A step commits and wants something."""
        self.want = Want(energise, limit, phases, lock)
        self.hardware.want(1, self.want)
        self.core_commits()

    @precondition(lambda self: self.world.evse(1).ev is None)
    @rule(willing=st.booleans())
    def plug_in(self, *, willing: bool) -> None:
        """A vehicle comes."""
        self.world.plug_in(1, ev=EvSpec(ramp_a_per_s=0), charge=willing)
        self.pump()

    @precondition(lambda self: self.world.evse(1).ev is not None)
    @rule()
    def unplug(self) -> None:
        """It leaves."""
        self.world.unplug(1)
        self.pump()

    @rule(fault=st.sampled_from(BREAKING))
    def something_breaks(self, fault: Fault) -> None:
        """A fault, a blocked lock or a lost wire is mended by `everything_is_mended` only."""
        self.world.fault(1, fault)
        self.pump()

    @rule()
    def the_lock_jams(self) -> None:
        """Somebody blocks it."""
        self.world.jam_lock(1)

    @rule()
    def the_board_is_lost(self) -> None:
        """The wire to the board."""
        if not self.lost:
            self.lost = True
            self.hardware.lose_board()
            self.pump()

    @rule()
    def everything_is_mended(self) -> None:
        """A good day begins."""
        for fault in BREAKING:
            self.world.fault(1, fault, on=False)
        self.world.jam_lock(1, on=False)
        if self.lost:
            self.lost = False
            self.hardware.lose_board(on=False)
        self.pump()

    @rule(lock=st.booleans(), jammed=st.booleans())
    def a_car_charges(self, *, lock: bool, jammed: bool) -> None:
        """The ordinary case, so that the others have something to disturb; with or without a lock that works."""
        self.everything_is_mended()
        if self.world.evse(1).ev is None:
            self.plug_in(willing=True)
        self.core_wants(0.0, 3, energise=False, lock=False)
        self.world.jam_lock(1, on=jammed)
        self.core_wants(16.0, 3, energise=True, lock=lock)

    @precondition(lambda self: self.world.evse(1).ev is not None)
    @rule()
    def another_car_takes_its_place(self) -> None:
        """Faster than the core."""
        self.unplug()
        self.plug_in(willing=True)

    @rule()
    def recover(self) -> None:
        """The core forgot what it had heard."""
        self.hardware.snapshot_again()
        self.pump()

    @rule(seconds=st.sampled_from([0.5, 3.0, 11.0, 40.0]))
    def wait(self, seconds: float) -> None:
        """Time passes, stopping wherever something is due."""
        end, stops = self.t + seconds, 0
        while self.t < end:
            self.t = min(max(self.hardware.next_due(), self.t), end)
            stops += 1
            assert stops < 500, "something is due again and again without being done"
            self.pump()

    @property
    def return_unjudged(self) -> bool:
        """The board is back within its lease and the core has not committed that yet: the lease bounds this."""
        reconciler = self.hardware.reconciler
        outlet = reconciler._outlets[1]
        unplugged_or_broken = self.world.evse(1).ev is None or self.world.evse(1).faults
        return outlet.returned > reconciler._committed and outlet.live(self.t) and not unplugged_or_broken

    @invariant()
    def closed_only_when_it_may_be(self) -> None:
        """A permission needs a want, a vehicle, no fault, a locked plug if wanted, and a core that lives."""
        seen = self.world.evse(1).snapshot()
        if not seen.contactor_closed or self.lost or self.return_unjudged:
            return
        assert self.want.energise
        assert self.want.limit_a >= 6
        assert seen.pilot.plugged
        assert not seen.faults & set(BREAKING)
        assert not self.want.lock or seen.lock.value == "locked"
        assert self.t - self.last_commit <= 15 + 10
        assert not self.unplug_unheard, "another vehicle is fed by the want for the last one"

    @invariant()
    def lost_boards_open_by_themselves(self) -> None:
        """No cable stays live for longer than a lease without the agent."""
        assert self.world.next_change() <= self.t + 10 or not self.world.evse(1).snapshot().contactor_closed

    @invariant()
    def what_was_told_is_what_is(self) -> None:
        """While the board answers, the core knows the truth about plug, faults and contactor."""
        seen = self.world.evse(1).snapshot()
        if self.lost or self.plugged is None:
            return
        assert self.closed == seen.contactor_closed
        assert {f for f in self.faults if f in BREAKING} == {f for f in seen.faults if f in BREAKING}
        if seen.pilot.value not in "EF":
            assert self.plugged == seen.pilot.plugged


AnyDay.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestAnyDay = AnyDay.TestCase
