"""The charging point: contactor, lease, energy."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hal.api import Fault, LockState, Permit, PilotState
from hal.sim.ev import EvSpec
from hal.sim.evse import EvseSpec, SimEvse

ELEVEN_KW = Permit(16.0, 3)
AT_ONCE = EvSpec(ramp_a_per_s=0.0)


def run(evse: SimEvse, to: float) -> None:
    """Let time pass without an agent."""
    while evse.time < to:
        evse.advance(min(to, evse.next_change()))


def charge_for(evse: SimEvse, seconds: float, permit: Permit = ELEVEN_KW) -> None:
    """Let time pass with an agent that renews the lease every 4 s."""
    end = evse.time + seconds
    while evse.time < end:
        evse.allow(permit)
        run(evse, min(end, evse.time + 4))


def test_energy_is_power_times_time_to_the_milliwatt_hour() -> None:
    """16 A on three phases of 230 V for half an hour are 5,520 Wh."""
    evse = SimEvse(1, EvseSpec(), 0.0)
    evse.plug_in(AT_ONCE, 1, willing=True)

    charge_for(evse, 1800)

    assert evse.reading().power_import_w == 16 * 230 * 3
    assert evse.reading().energy_import_mwh == pytest.approx(5_520_000, abs=1)


def test_the_current_ramps_and_the_register_counts_the_ramp_exactly() -> None:
    """0 to 16 A at 4 A/s: 32 As per phase in 4 s, then 16 A."""
    evse = SimEvse(1, EvseSpec(), 0.0)
    evse.plug_in(EvSpec(ramp_a_per_s=4), 1, willing=True)

    charge_for(evse, 2)
    assert evse.current_a == pytest.approx(8)
    charge_for(evse, 8)

    assert evse.energy_j == pytest.approx((32 + 6 * 16) * 3 * 230)


def test_pilot_goes_a_b_c_and_back_with_vehicle_and_permission() -> None:
    """IEC 61851-1: C only while current is offered and wanted."""
    evse = SimEvse(1, EvseSpec(), 0.0)
    seen = [evse.pilot]

    evse.plug_in(EvSpec(), 1, willing=True)
    seen.append(evse.pilot)
    evse.allow(ELEVEN_KW)
    seen.append(evse.pilot)
    assert evse.snapshot().contactor_closed
    evse.will(willing=False)
    seen.append(evse.pilot)
    assert not evse.snapshot().contactor_closed
    evse.unplug()
    seen.append(evse.pilot)

    assert seen == [PilotState.A, PilotState.B, PilotState.C, PilotState.B, PilotState.A]
    assert evse.snapshot().limit_a == 0


def test_a_vehicle_that_pauses_in_c_keeps_the_contactor_closed_and_draws_nothing() -> None:
    """Suspended by the vehicle without leaving C."""
    evse = SimEvse(1, EvseSpec(), 0.0)
    evse.plug_in(EvSpec(pauses_in_c=True, ventilation=True, ramp_a_per_s=0), 1, willing=False)
    evse.allow(ELEVEN_KW)

    snapshot = evse.snapshot()
    assert (snapshot.pilot, snapshot.contactor_closed, snapshot.flowing) == (PilotState.D, True, False)
    evse.will(willing=True)
    assert evse.snapshot().flowing


def test_the_contactor_opens_by_itself_when_the_lease_is_not_renewed() -> None:
    """A silent agent leaves no live cable: at most 10 s, whatever it asked for."""
    evse = SimEvse(1, EvseSpec(), 0.0)
    evse.plug_in(EvSpec(), 1, willing=True)
    evse.allow(Permit(16.0, 3, lease_s=3600))

    assert evse.next_change() == 10
    run(evse, 9.999)
    assert evse.snapshot().contactor_closed
    run(evse, 10)
    assert not evse.snapshot().contactor_closed
    assert evse.current_a == 0


def test_nothing_is_due_at_rest() -> None:
    """Idle hardware wakes nobody, plugged in or not."""
    evse = SimEvse(1, EvseSpec(), 0.0)
    assert math.isinf(evse.next_change())
    evse.plug_in(EvSpec(), 1, willing=True)
    assert math.isinf(evse.next_change())


def test_a_full_battery_stops_at_its_target_at_the_calculated_instant() -> None:
    """1 kWh at 3,680 W takes 978.3 s; then the vehicle goes back to B."""
    evse = SimEvse(1, EvseSpec(phases=1), 0.0)
    evse.plug_in(
        EvSpec(capacity_wh=10_000, soc_percent=70, target_percent=80, phases=1, ramp_a_per_s=0), 1, willing=True
    )

    charge_for(evse, 979, Permit(16.0, 1))

    assert evse.pilot is PilotState.B
    assert evse.reading().energy_import_mwh == pytest.approx(1_000_000, abs=1)


@pytest.mark.parametrize(
    "limit_a, ev, amps, phases",
    [
        (32.0, EvSpec(max_a=16, ramp_a_per_s=0), 16.0, 3),
        (32.0, EvSpec(cable_a=20, ramp_a_per_s=0), 20.0, 3),
        (10.0, EvSpec(phases=1, ramp_a_per_s=0), 10.0, 1),
        (6.0, EvSpec(min_a=8, ramp_a_per_s=0), 0.0, 3),
    ],
)
def test_the_current_is_the_least_of_offer_cable_and_charger(
    limit_a: float, ev: EvSpec, amps: float, phases: int
) -> None:
    """A vehicle that wants more than is offered does not charge at all."""
    evse = SimEvse(1, EvseSpec(), 0.0)
    evse.plug_in(ev, 1, willing=True)
    evse.allow(Permit(limit_a, 3))

    assert evse.reading().power_import_w == amps * 230 * phases


@pytest.mark.parametrize("fault", sorted(set(Fault) - {Fault.LOCK_JAMMED, Fault.CONTACTOR_WELDED}, key=str))
def test_a_fault_opens_at_once_and_needs_a_new_permission(fault: Fault) -> None:
    """The board is safe by itself; the agent decides when charging goes on."""
    evse = SimEvse(1, EvseSpec(), 0.0)
    evse.plug_in(EvSpec(), 1, willing=True)
    evse.allow(ELEVEN_KW)

    evse.fault(fault, on=True)
    assert not evse.snapshot().contactor_closed
    assert fault.value in evse.allow(ELEVEN_KW)

    evse.fault(fault, on=False)
    assert not evse.snapshot().contactor_closed
    assert evse.allow(ELEVEN_KW) == ""
    assert evse.snapshot().contactor_closed


def test_a_welded_contactor_reads_closed_although_no_permission_stands() -> None:
    """The feedback contact tells the truth."""
    evse = SimEvse(1, EvseSpec(), 0.0)
    evse.fault(Fault.CONTACTOR_WELDED, on=True)

    assert evse.snapshot().contactor_closed
    assert evse.current_a == 0


def test_switching_phases_opens_the_contactor_for_the_pause_it_needs() -> None:
    """field.md 18: never under load."""
    evse = SimEvse(1, EvseSpec(phase_switching=True, phase_switch_s=5), 0.0)
    evse.plug_in(AT_ONCE, 1, willing=True)
    evse.allow(Permit(16, 3))

    evse.allow(Permit(16, 1))
    assert not evse.snapshot().contactor_closed
    run(evse, 4.9)
    assert not evse.snapshot().contactor_closed
    run(evse, 5.0)

    assert evse.snapshot().contactor_closed
    assert evse.reading().power_import_w == 16 * 230


def test_a_lock_jams_on_request_and_never_opens_under_current() -> None:
    """Unlocking while the contactor is closed is refused."""
    evse = SimEvse(1, EvseSpec(lock=True), 0.0)
    evse.plug_in(EvSpec(), 1, willing=True)
    assert evse.move_lock(locked=True) == ""
    evse.allow(ELEVEN_KW)
    assert "closed" in evse.move_lock(locked=False)
    evse.deny()

    evse.lock_jams = True
    assert "jammed" in evse.move_lock(locked=False)
    assert evse.lock is LockState.JAMMED
    assert Fault.LOCK_JAMMED in evse.snapshot().faults

    evse.lock_jams = False
    assert evse.move_lock(locked=False) == ""
    assert evse.snapshot().faults == frozenset()


@pytest.mark.parametrize("permit", [Permit(5.9, 3), Permit(32.1, 3), Permit(16, 0), Permit(math.nan, 3)])
def test_a_permission_out_of_range_is_refused_and_changes_nothing(permit: Permit) -> None:
    """Between the board's minimum and maximum, or not at all."""
    evse = SimEvse(1, EvseSpec(), 0.0)
    evse.plug_in(EvSpec(), 1, willing=True)

    assert evse.allow(permit)
    assert evse.pilot is PilotState.B


@given(st.lists(st.floats(0.01, 30), max_size=30), st.floats(6, 32), st.floats(0, 10))
def test_looking_often_changes_no_energy(looks: list[float], limit_a: float, ramp: float) -> None:
    """The register does not depend on how often it is read."""
    often, once = SimEvse(1, EvseSpec(), 0.0), SimEvse(1, EvseSpec(), 0.0)
    for evse in (often, once):
        evse.plug_in(EvSpec(ramp_a_per_s=ramp), 1, willing=True)
        evse.allow(Permit(limit_a, 3))

    for look in looks:
        run(often, often.time + look)
        often.reading()
    run(once, often.time)

    assert once.energy_j == pytest.approx(often.energy_j, rel=1e-9, abs=1e-6)


class AnyLife(RuleBasedStateMachine):
    """Whatever happens: energy is conserved, the register never falls, no current without a closed contactor."""

    def __init__(self) -> None:
        super().__init__()
        self.evse = SimEvse(1, EvseSpec(lock=True, phase_switching=True), 0.0)
        self.last_mwh = 0
        self.charged_j = 0.0

    @precondition(lambda self: self.evse.ev is None)
    @rule(soc=st.floats(0, 100), phases=st.integers(1, 3), ramp=st.sampled_from([0.0, 0.5, 4.0]), willing=st.booleans())
    def plug_in(self, soc: float, phases: int, ramp: float, *, willing: bool) -> None:
        """A vehicle comes."""
        ev = EvSpec(capacity_wh=500, soc_percent=soc, phases=phases, ramp_a_per_s=ramp)
        self.evse.plug_in(ev, 1, willing=willing)
        assert self.evse.ev is not None
        self.began_j = self.evse.ev.battery.stored_j

    @precondition(lambda self: self.evse.ev is not None)
    @rule()
    def unplug(self) -> None:
        """It leaves with what it got."""
        assert self.evse.ev is not None
        self.charged_j += self.evse.ev.battery.stored_j - self.began_j
        self.evse.unplug()

    @precondition(lambda self: self.evse.ev is not None)
    @rule(willing=st.booleans())
    def will(self, *, willing: bool) -> None:
        """It pauses or goes on."""
        self.evse.will(willing=willing)

    @rule(limit=st.floats(6, 32), phases=st.sampled_from([1, 3]))
    def allow(self, limit: float, phases: int) -> None:
        """The agent permits."""
        self.evse.allow(Permit(limit, phases))

    @rule()
    def deny(self) -> None:
        """The agent forbids."""
        self.evse.deny()

    @rule(fault=st.sampled_from(Fault), on=st.booleans())
    def fault(self, fault: Fault, *, on: bool) -> None:
        """Something breaks or is mended."""
        self.evse.fault(fault, on=on)

    @rule(seconds=st.floats(0, 60))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        run(self.evse, self.evse.time + seconds)

    @invariant()
    def energy_is_conserved(self) -> None:
        """What the meter counted is what the batteries gained."""
        here = self.evse.ev.battery.stored_j - self.began_j if self.evse.ev is not None else 0.0
        assert self.evse.energy_j == pytest.approx(self.charged_j + here, rel=1e-9, abs=1e-3)
        mwh = self.evse.reading().energy_import_mwh
        assert mwh >= self.last_mwh
        self.last_mwh = mwh

    @invariant()
    def current_needs_contactor_permission_and_no_fault(self) -> None:
        """No current without all three."""
        snapshot = self.evse.snapshot()
        if self.evse.current_a > 0:
            assert snapshot.contactor_closed
            assert snapshot.limit_a >= 6
            assert not snapshot.faults - {Fault.LOCK_JAMMED, Fault.CONTACTOR_WELDED}
            assert snapshot.pilot.ready


TestAnyLife = AnyLife.TestCase
