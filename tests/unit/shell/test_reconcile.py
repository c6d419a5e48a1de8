"""Reconciliation against the simulator in virtual time: what is done at once, what waits, what is told."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from hal.api import Fault, LockState, Permit, PilotState
from hal.sim.ev import EvSpec
from hal.sim.evse import EvseSpec
from hal.sim.world import SimWorld
from station.effects import Want
from station.facts import (
    DeviceLost,
    DeviceReturned,
    EnergyFlowChanged,
    EnergyRequested,
    Fact,
    FaultChanged,
    LockChanged,
    MeterSampled,
    PlugInserted,
    PlugRemoved,
    PowerPathChanged,
    SampleFailed,
    SnapshotTold,
    TokenPresented,
    WantFailed,
)
from station.now import BootId, Instant, Mono
from station.shell.outlet import OFF, Timing
from tests.simhardware import SimHardware

AT = Instant(BootId(7), Mono(100.0))
CHARGE = Want(energise=True, limit_a=16.0)


class Bench:
    """One station's hardware, its clock, and a core that commits everything unless told not to."""

    def __init__(self, spec: EvseSpec | None = None, evses: int = 1) -> None:
        self.t = 100.0
        self.world = SimWorld({n: spec or EvseSpec() for n in range(1, evses + 1)}, lambda: self.t)
        self.hardware = SimHardware(self.world, BootId(7), timing=Timing())
        self.core_runs = True
        self.pulses = 0
        self.told: list[Fact] = []
        self.after: dict[type[Fact], Callable[[], None]] = {}

    def settle(self) -> list[Fact]:
        """Until nothing is left to do now; gives the facts told on the way."""
        news: list[Fact] = []
        while (batch := self.hardware.pump()) is not None:
            news += batch.facts
            self.pulses += not batch.facts
            if self.core_runs:
                for fact in batch.facts:
                    self.after.get(type(fact), lambda: None)()
                self.hardware.committed(batch.number)
        self.told += news
        return news

    def advance(self, seconds: float) -> list[Fact]:
        """Let time pass, stopping wherever something is due."""
        news, end = self.settle(), self.t + seconds
        stops = 0
        while self.t < end:
            due = self.hardware.next_due()
            assert due > self.t or stops < 1000, "something is due again and again without being done"
            stops += 1
            self.t = min(end, max(due, self.t))
            news += self.settle()
        return news

    def want(self, want: Want) -> list[Fact]:
        """The core wants this of EVSE 1."""
        self.hardware.want(1, want)
        return self.settle()

    def closed(self) -> bool:
        """Whether the contactor of EVSE 1 really is closed."""
        return self.world.evse(1).snapshot().contactor_closed

    def charging(self, ev: EvSpec | None = None) -> None:
        """A vehicle charges on EVSE 1."""
        self.world.plug_in(1, ev=ev or EvSpec(ramp_a_per_s=0))
        self.settle()
        self.want(CHARGE)
        assert self.closed()


@pytest.fixture
def bench() -> Bench:
    """A station that has told its first snapshot."""
    bench = Bench()
    bench.settle()
    bench.told.clear()
    return bench


def kinds(facts: list[Fact]) -> list[str]:
    """The names of facts, in order."""
    return [type(fact).__name__ for fact in facts]


def test_at_start_everything_is_told_once_and_nothing_is_permitted(bench: Bench) -> None:
    """A permission left by an earlier process is withdrawn: all is wanted off until the core says otherwise."""
    bench.charging()
    bench.hardware.stop()
    bench.hardware = SimHardware(bench.world, BootId(8), timing=Timing())

    news = bench.settle()

    assert not bench.closed()
    assert kinds(news) == [
        *("PlugInserted", "EnergyRequested", "PowerPathChanged", "EnergyFlowChanged", "SnapshotTold"),
        *("EnergyRequested", "PowerPathChanged", "EnergyFlowChanged"),
    ]


def test_a_session_tells_each_change_with_its_cause_first(bench: Bench) -> None:
    """Plug, request, power path, flow; and at the unplug the plug before what follows from it."""
    bench.world.plug_in(1)
    assert kinds(bench.settle()) == ["PlugInserted"]

    assert kinds(bench.want(CHARGE)) == ["EnergyRequested", "PowerPathChanged", "EnergyFlowChanged"]

    bench.world.ev(1, "pause")
    assert bench.settle() == [
        EnergyRequested(evse_id=1, at=AT, connector_id=1, requested=False),
        PowerPathChanged(evse_id=1, at=AT, closed=False),
        EnergyFlowChanged(evse_id=1, at=AT, flowing=False),
    ]
    bench.world.ev(1, "charge")
    bench.settle()
    bench.world.unplug(1)
    assert kinds(bench.settle()) == ["PlugRemoved", "EnergyRequested", "PowerPathChanged", "EnergyFlowChanged"]


def test_equal_states_are_told_once(bench: Bench) -> None:
    """A quiet hour of charging is no news."""
    bench.charging()
    bench.told.clear()

    bench.advance(3600)

    assert bench.told == []
    assert bench.closed()


def test_nothing_is_due_while_all_contactors_are_open(bench: Bench) -> None:
    """No leases, no signs of life, no polling: the fallback state already holds."""
    assert math.isinf(bench.hardware.next_due())
    bench.world.plug_in(1)
    bench.settle()
    assert math.isinf(bench.hardware.next_due())


def test_the_lease_is_renewed_every_four_seconds_while_charging(bench: Bench) -> None:
    """The board would open 10 s after the last renewal."""
    bench.charging()

    bench.advance(60)

    assert bench.closed()
    assert bench.pulses == pytest.approx(15, abs=1)


def test_a_stalled_core_lets_the_permission_run_out_and_a_living_one_restores_it(bench: Bench) -> None:
    """Progress older than 15 s: no renewal, and the board opens by itself within 10 s more."""
    bench.charging()
    bench.core_runs = False

    bench.advance(14)
    assert bench.closed()
    bench.advance(12)
    assert not bench.closed()

    bench.core_runs = True
    bench.hardware.committed(10**6)
    bench.advance(1)
    assert bench.closed()


@pytest.mark.parametrize("fault", [Fault.EMERGENCY_STOP, Fault.GROUND_FAULT, Fault.PILOT_LOST, Fault.OVER_TEMPERATURE])
def test_a_fault_opens_without_the_core_and_closes_only_with_it(bench: Bench, fault: Fault) -> None:
    """Safer at once, live only after a committed step."""
    bench.charging()
    bench.core_runs = False

    bench.world.fault(1, fault)
    news = bench.settle()
    assert not bench.closed()
    assert isinstance(news[0], FaultChanged)
    assert news[0].fault is fault
    bench.world.fault(1, fault, on=False)
    bench.settle()
    assert not bench.closed()

    bench.core_runs = True
    bench.hardware.committed(10**6)
    bench.settle()
    assert bench.closed()


def test_another_vehicle_gets_no_current_before_the_core_knows_of_it(bench: Bench) -> None:
    """Unplug and plug-in while the core stands still: the old want must not feed the new vehicle."""
    bench.charging()
    bench.core_runs = False

    bench.world.unplug(1)
    bench.settle()
    bench.world.plug_in(1)
    news = bench.settle()

    assert not bench.closed()
    assert bench.world.evse(1).pilot is PilotState.B
    assert isinstance(news[0], PlugInserted)

    bench.core_runs = True
    bench.hardware.want(1, OFF)
    bench.hardware.committed(10**6)
    bench.settle()
    assert not bench.closed()


def test_edges_during_a_stall_are_all_told_in_order(bench: Bench) -> None:
    """A short unplug is not lost because the core was busy."""
    bench.core_runs = False
    for _ in range(2):
        bench.world.plug_in(1)
        bench.settle()
        bench.world.unplug(1)
        bench.settle()

    assert kinds(bench.told) == ["PlugInserted", "PlugRemoved", "PlugInserted", "PlugRemoved"]


def test_what_a_failed_step_was_told_is_told_again_but_a_card_is_not(bench: Bench) -> None:
    """Levels may be repeated; momentary facts never are."""
    bench.world.plug_in(1)
    bench.world.fault(1, Fault.RCD)
    bench.world.swipe("04AA")
    assert TokenPresented in map(type, bench.settle())
    bench.world.fault(1, Fault.RCD, on=False)
    bench.settle()

    bench.hardware.snapshot_again()
    again = bench.settle()

    assert kinds(again) == [
        "PlugInserted",
        "EnergyRequested",
        "PowerPathChanged",
        "EnergyFlowChanged",
        "SnapshotTold",
    ]


def test_a_snapshot_again_does_not_interrupt_a_charge(bench: Bench) -> None:
    """A recovery of the core is not felt at the vehicle."""
    bench.charging()
    bench.hardware.snapshot_again()
    news = bench.settle()
    assert PowerPathChanged(evse_id=1, at=AT, closed=True) in news
    assert bench.closed()


def test_a_board_that_returns_is_told_whole_and_its_wants_come_true_again(bench: Bench) -> None:
    """Its leases ran out meanwhile; after the core has seen the return, charging goes on."""
    bench.charging()
    bench.hardware.lose_board()
    bench.hardware.lose_board()
    assert [fact for fact in bench.settle() if isinstance(fact, DeviceLost)] == [
        DeviceLost(device="board", evse_ids=(1,), reason="board: unplugged", at=AT, board=True)
    ]
    bench.advance(30)
    assert not bench.closed()

    bench.hardware.lose_board(on=False)
    news = bench.settle()

    assert {DeviceReturned, SnapshotTold} <= set(map(type, news))
    assert bench.closed()


def test_the_loss_of_a_board_is_told_again_to_a_core_that_forgot_it(bench: Bench) -> None:
    """Else an EVSE without its board would look as if it could charge."""
    bench.charging()
    bench.hardware.lose_board()
    (lost,) = [fact for fact in bench.settle() if isinstance(fact, DeviceLost)]

    bench.hardware.snapshot_again()
    assert bench.settle() == [lost]

    bench.hardware.lose_board(on=False)
    bench.settle()
    bench.hardware.snapshot_again()
    assert DeviceLost not in map(type, bench.settle())


def test_a_board_that_returns_within_its_lease_goes_on_charging(bench: Bench) -> None:
    """A loose USB plug must not open the contactor under load; the lease is renewed once the core has looked."""
    bench.charging()
    bench.hardware.lose_board()
    bench.advance(5)
    bench.core_runs = False
    bench.hardware.lose_board(on=False)
    news = bench.settle()
    bench.advance(3)
    assert bench.closed()
    assert PowerPathChanged(evse_id=1, at=Instant(BootId(7), Mono(105.0)), closed=False) not in news

    bench.core_runs = True
    bench.hardware.committed(10**6)
    bench.advance(60)

    assert bench.closed()
    assert not [fact for fact in bench.told if isinstance(fact, PowerPathChanged) and not fact.closed]


def test_only_a_commit_that_somebody_waits_for_is_looked_after(bench: Bench) -> None:
    """A vehicle, a board that is back: what they may do is done as soon as the core knows of them."""
    bench.charging()
    bench.core_runs = False

    def waited(change: Callable[[], None]) -> bool:
        change()
        batch = bench.hardware.pump()
        assert batch is not None
        assert bench.hardware.pump() is None
        return bench.hardware.reconciler.committed(batch.number, bench.t)

    assert waited(lambda: bench.world.swipe("04AABBCC")) is False
    assert waited(bench.hardware.lose_board) is False
    assert waited(lambda: bench.hardware.lose_board(on=False)) is True
    assert waited(lambda: bench.world.swipe("04AABBCC")) is False
    assert waited(lambda: bench.world.unplug(1)) is True


def test_a_core_that_suspends_without_the_board_does_not_open_what_it_closes_again(bench: Bench) -> None:
    """The want of the time without a board is not carried out before the core has judged the return."""
    bench.charging()
    bench.after[DeviceLost] = lambda: bench.hardware.want(1, OFF)
    bench.after[DeviceReturned] = lambda: bench.hardware.want(1, CHARGE)
    bench.hardware.lose_board()
    bench.advance(5)

    bench.hardware.lose_board(on=False)
    bench.advance(30)

    assert bench.closed()
    assert not [fact for fact in bench.told if isinstance(fact, PowerPathChanged) and not fact.closed]


def test_a_stop_that_the_board_missed_is_carried_out_when_it_returns(bench: Bench) -> None:
    """As soon as the core has seen the return; at once if the vehicle is gone or something is wrong."""
    bench.charging()
    bench.hardware.lose_board()
    bench.want(OFF)
    bench.advance(5)
    assert bench.closed()

    bench.hardware.lose_board(on=False)
    bench.settle()

    assert not bench.closed()


def test_a_board_that_returns_within_its_lease_is_not_renewed_by_a_core_that_stands_still(bench: Bench) -> None:
    """Nobody has looked at who is plugged in now."""
    bench.charging()
    bench.hardware.lose_board()
    bench.advance(5)
    bench.core_runs = False
    bench.hardware.lose_board(on=False)

    bench.advance(6)

    assert not bench.closed()


@pytest.mark.parametrize("limit_a", [0.0, 5.9])
def test_a_limit_below_the_minimum_suspends_without_ending_the_want(bench: Bench, limit_a: float) -> None:
    """field.md 15: contactor open, and the next higher limit resumes."""
    bench.charging()

    bench.want(Want(energise=True, limit_a=limit_a))
    assert not bench.closed()

    bench.want(Want(energise=True, limit_a=10.0))
    assert bench.closed()
    assert bench.world.reading(1).power_import_w == 10 * 230 * 3


def test_a_limit_above_the_board_is_cut_to_it(bench: Bench) -> None:
    """A profile may say 63 A; the board can 32."""
    bench.charging(EvSpec(max_a=63, cable_a=63, ramp_a_per_s=0))
    bench.want(Want(energise=True, limit_a=63))
    assert bench.world.evse(1).offered_a == 32


def test_the_plug_is_locked_before_current_and_unlocked_after_it() -> None:
    """field.md: a plug was unlocked before the contactor opened (EVerest 510)."""
    bench = Bench(EvseSpec(lock=True))
    bench.settle()
    bench.world.plug_in(1, ev=EvSpec(ramp_a_per_s=0))
    bench.settle()

    news = bench.want(Want(energise=True, limit_a=16, lock=True))
    assert kinds(news) == ["LockChanged", "EnergyRequested", "PowerPathChanged", "EnergyFlowChanged"]

    news = bench.want(OFF)
    assert kinds(news) == ["EnergyRequested", "PowerPathChanged", "EnergyFlowChanged", "LockChanged"]


def test_a_plug_is_not_unlocked_while_the_contactor_may_close() -> None:
    """The vehicle pauses: the contactor is open, but the permission stands."""
    bench = Bench(EvseSpec(lock=True))
    bench.settle()
    bench.world.plug_in(1, charge=False)
    bench.settle()
    bench.want(Want(energise=True, limit_a=16, lock=True))
    assert not bench.closed()

    bench.want(Want(energise=True, limit_a=16))
    bench.advance(60)
    assert bench.world.evse(1).lock is LockState.LOCKED

    bench.want(OFF)
    assert bench.world.evse(1).lock is LockState.UNLOCKED


def test_a_lock_stays_as_an_earlier_run_left_it_until_the_core_speaks() -> None:
    """It may hold a cable whose owner has not come back (E09.FR.03), or one that goes on charging in a moment."""
    bench = Bench(EvseSpec(lock=True))
    bench.world.move_lock(1, locked=True)

    news = bench.advance(60)
    assert bench.world.evse(1).lock is LockState.LOCKED
    assert "WantFailed" not in kinds(news)

    bench.want(OFF)
    assert bench.world.evse(1).lock is LockState.UNLOCKED


def test_a_jammed_lock_lets_no_current_flow_and_is_told_once() -> None:
    """LockChanged says that there is a problem, WantFailed that the want did not come true."""
    bench = Bench(EvseSpec(lock=True))
    bench.settle()
    bench.world.plug_in(1)
    bench.world.jam_lock(1)

    bench.want(Want(energise=True, limit_a=16, lock=True))
    bench.advance(600)

    assert not bench.closed()
    failed = [fact for fact in bench.told if isinstance(fact, WantFailed)]
    assert [(fact.what, fact.reason) for fact in failed] == [("lock", "the lock is jammed")]
    assert [f.problem for f in bench.told if isinstance(f, LockChanged)][-1]

    bench.world.jam_lock(1, on=False)
    bench.advance(61)
    assert bench.closed()


def test_a_welded_contactor_is_told_as_a_want_that_failed() -> None:
    """Wanted open, still closed after 8 s; the station keeps trying without a storm."""
    bench = Bench()
    bench.settle()
    bench.charging()
    bench.world.fault(1, Fault.CONTACTOR_WELDED)

    bench.want(OFF)
    bench.advance(3600)

    failed = [fact for fact in bench.told if isinstance(fact, WantFailed)]
    assert [(fact.what, fact.at.mono) for fact in failed] == [("open", 108.0)]


def test_a_contactor_that_does_not_close_is_told_once(bench: Bench) -> None:
    """The vehicle is ready, the permission stands, nothing happens."""
    bench.world.plug_in(1)
    bench.settle()
    bench.world.evse(1).faults.add(Fault.CONTACTOR_OPEN)  # the board itself does not notice
    seen = bench.world.evse(1)
    assert seen.pilot is PilotState.B
    bench.hardware.want(1, CHARGE)
    bench.advance(60)

    failed = [fact for fact in bench.told if isinstance(fact, WantFailed)]
    assert failed == []  # the fault is in the snapshot: not permitted, so nothing failed
    assert not bench.closed()


def test_a_refused_permission_is_tried_again_with_patience_and_told(bench: Bench) -> None:
    """The board says no without showing a fault."""
    asked: list[float] = []
    bench.world.plug_in(1)
    bench.settle()

    def refuse(evse: int, permit: Permit) -> str:
        del evse, permit
        asked.append(bench.t - 100)
        return "self test runs"

    bench.world.allow = refuse  # type: ignore[method-assign] # a board in a mood
    bench.want(CHARGE)
    bench.advance(130)

    assert asked == [0, 1, 3, 7, 15, 31, 63, 123]
    failed = [fact for fact in bench.told if isinstance(fact, WantFailed)]
    assert [(f.what, f.reason, f.at.mono) for f in failed] == [("energise", "self test runs", 108.0)]


def test_evses_are_told_and_decided_apart() -> None:
    """A fault on one leaves the other charging."""
    bench = Bench(evses=2)
    bench.settle()
    for number in (1, 2):
        bench.world.plug_in(number)
        bench.settle()
        bench.hardware.want(number, CHARGE)
    bench.settle()

    bench.world.fault(1, Fault.GROUND_FAULT)
    news = bench.settle()

    assert not bench.closed()
    assert bench.world.evse(2).snapshot().contactor_closed
    assert {fact.evse_id for fact in news} == {1}  # type: ignore[attr-defined] # hardware facts have it


def test_a_sample_bears_the_instant_it_was_taken_and_a_lost_meter_fails(bench: Bench) -> None:
    """Readings never get a fresh timestamp."""
    bench.charging()
    bench.advance(10)
    bench.hardware.sample(1, "updated", Mono(200))
    bench.hardware.lose_meter(1)
    bench.hardware.sample(1, "updated", Mono(200))

    sample, failed = bench.settle()

    assert isinstance(sample, MeterSampled)
    assert sample.at == (7, 110.0)
    assert sample.reading.energy_import_mwh == pytest.approx(16 * 230 * 3 * 10 / 3.6, abs=1)
    assert isinstance(failed, SampleFailed)


def test_unplugging_at_a_dead_pilot_is_told_when_the_pilot_speaks_again(bench: Bench) -> None:
    """Pilot E says nothing about the vehicle: what was known stays."""
    bench.world.plug_in(1)
    bench.settle()
    bench.world.fault(1, Fault.PILOT_LOST)
    assert kinds(bench.settle()) == ["FaultChanged"]
    bench.world.unplug(1)
    assert PlugRemoved not in map(type, bench.settle())

    bench.world.fault(1, Fault.PILOT_LOST, on=False)
    assert kinds(bench.settle()) == ["FaultChanged", "PlugRemoved"]
