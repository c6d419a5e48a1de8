"""One simulated charging point: pilot, contactor, lock and meter around whatever is plugged in.

Between two changes every quantity has a closed form, so `advance` jumps from change to change and `next_change` tells
the next one: nothing is polled and nothing depends on how often somebody looks. The board's own safety is part of it:
unplug, fault and the end of the lease open the contactor here, without the agent.
Invariant: the register never falls, unless a test sets it, and equals the integral of power over time.
"""

from __future__ import annotations

import math

import msgspec

from hal.api import (
    LEASE_S,
    BoardInfo,
    BoardSnapshot,
    Fault,
    LockState,
    MeterReading,
    Permit,
    PerPhase,
    PilotState,
)
from hal.sim.ev import Battery, EvSpec, Ramp

MILLIWATT_HOUR_J = 3.6

NOT_BLOCKING = frozenset({Fault.LOCK_JAMMED, Fault.CONTACTOR_WELDED})
"""Faults that leave the permission standing; the agent judges them."""


class EvseSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A simulated charging point as built."""

    connectors: int = 1
    max_a: float = 32.0
    min_a: float = 6.0
    phases: int = 3
    phase_switching: bool = False
    phase_switch_s: float = 5.0
    """How long the contactor stays open while phases are switched."""
    lease_cap_s: float = LEASE_S
    """The longest lease the board grants. A bench that lives through days makes it infinite."""
    lock: bool = False
    """A socket with a lock motor; else a tethered cable or no lock."""
    voltage_v: float = 230.0
    energy_wh: float = 0.0
    """The meter's register at the start."""


class Charging(msgspec.Struct):
    """A vehicle that is plugged in: what it is, what it wants, what it has."""

    spec: EvSpec
    connector: int
    battery: Battery
    willing: bool = True


class SimEvse:
    """The physics of one charging point. Methods act at `time`, the instant last advanced to."""

    def __init__(self, evse_id: int, spec: EvseSpec, start: float) -> None:
        self.evse_id = evse_id
        self.spec = spec
        self.time = start
        self.ev: Charging | None = None
        self.faults: set[Fault] = set()
        self.lock = LockState.UNLOCKED if spec.lock else LockState.ABSENT
        self.lock_jams = False
        self.energy_j = spec.energy_wh * 3600
        self.told_power_w: float | None = None
        self._permit: Permit | None = None
        self._lease_ends = math.inf
        self._hold_until = -math.inf
        self._phases = spec.phases
        self._closed = False
        self._ramp = Ramp(start)
        self._full_at = math.inf
        """When the battery has what it wants, as things were settled last: until the next time they go on like that."""
        self._change = math.inf
        self.active_phases = 0
        """The phases that carry current: what both sides have."""
        self._volts = PerPhase(*(spec.voltage_v,) * spec.phases)
        self._level: tuple[float, PerPhase, PerPhase] | None = None
        """Power, and by phase power and current, as the meter shows them while nothing changes."""

    # --- what can be asked

    @property
    def info(self) -> BoardInfo:
        """What the charging point can do."""
        s = self.spec
        return BoardInfo(
            min_a=s.min_a, max_a=s.max_a, phases=s.phases, phase_switching=s.phase_switching, connectors=s.connectors
        )

    @property
    def offered_a(self) -> float:
        """The current offered to the vehicle by the pilot; 0: none."""
        if self._permit is None:
            return 0.0
        cable = self.ev.spec.cable_a if self.ev is not None and self.ev.spec.cable_a is not None else math.inf
        return min(self._permit.limit_a, self.spec.max_a, cable)

    @property
    def pilot(self) -> PilotState:
        """The control pilot, as vehicle and faults make it."""
        if self.faults and self.faults & {Fault.PILOT_LOST, Fault.DIODE}:
            return PilotState.E
        if self.ev is None:
            return PilotState.A
        if not self._asks(self.ev):
            return PilotState.B
        return PilotState.D if self.ev.spec.ventilation else PilotState.C

    @property
    def current_a(self) -> float:
        """The current per phase that flows now."""
        return self._ramp.at(self.time)

    @property
    def power_w(self) -> float:
        """The power into the vehicle now, unless a test told the meter another one."""
        if self.told_power_w is not None:
            return self.told_power_w
        return self.current_a * self.spec.voltage_v * self.active_phases

    def snapshot(self) -> BoardSnapshot:
        """The board's view at `time`."""
        return BoardSnapshot(
            channel=self.evse_id,
            sampled_at=self.time,
            pilot=self.pilot,
            contactor_closed=self._closed or Fault.CONTACTOR_WELDED in self.faults,
            limit_a=self.offered_a,
            phases=self._phases,
            connector=self.ev.connector if self.ev is not None else 1,
            cable_rating_a=self.ev.spec.cable_a if self.ev is not None else None,
            lock=self.lock,
            faults=frozenset(self.faults),
            flowing=self._ramp.target_a > 0,
        )

    def reading(self) -> MeterReading:
        """The meter's view at `time`."""
        power, power_phase, current = self._level or self._measured()
        ev = self.ev
        return MeterReading(
            sampled_at=self.time,
            energy_import_mwh=math.floor(self.energy_j / MILLIWATT_HOUR_J + 1e-6),
            power_import_w=power,
            power_import_phase_w=power_phase,
            voltage_v=self._volts,
            current_a=current,
            frequency_hz=50.0,
            power_factor=1.0,
            soc_percent=ev.battery.soc_percent if ev is not None and ev.spec.evcc_id else None,
        )

    def _measured(self) -> tuple[float, PerPhase, PerPhase]:
        amps, active, power = self.current_a, self.active_phases, self.power_w
        share, idle = power / active if active else 0.0, (0.0,) * (self.spec.phases - active)
        measured = (power, PerPhase(*(share,) * active, *idle), PerPhase(*(amps,) * active, *idle))
        if self.time >= self._ramp.until:  # it stays like this until the next change
            self._level = measured
        return measured

    # --- time

    def next_change(self) -> float:
        """The next instant at which something changes by itself; infinite at rest."""
        return self._change

    def follow(self, now: float) -> bool:
        """Go to `now`, or stay where one is if that lies further; gives False if something changes by itself before."""
        if now >= self._change:
            return False
        if now > self.time:
            self._flow(now)
        return True

    def advance(self, to: float) -> None:
        """Go to `to`. Raises ValueError if that lies in the past or after `next_change()`."""
        change = self._change
        if not self.time <= to <= change:
            raise ValueError(f"cannot go from {self.time} to {to}: the next change is at {change}")
        self._flow(to, fills=to >= self._full_at)
        if to >= self._lease_ends:
            self.deny()
        if to >= change:
            self._settle()

    def _flow(self, to: float, *, fills: bool = False) -> None:
        """Move energy through the meter into the battery during [time, to]."""
        if self.ev is not None:
            factor = self.spec.voltage_v * self.active_phases
            joules = self._ramp.charge_as(self.time, to) * factor
            self.ev.battery.add(joules, fills=fills)
        else:
            joules = 0.0
        self.energy_j += joules if self.told_power_w is None else self.told_power_w * (to - self.time)
        self.time = to

    def _fills_at(self) -> float:
        if self.ev is None or self._ramp.target_a <= 0:
            return math.inf
        wanted_as = self.ev.battery.wanted_j / (self.spec.voltage_v * self.active_phases)
        return self._ramp.when_charged(self.time, wanted_as)

    # --- what the agent may do

    def allow(self, permit: Permit) -> str:
        """Take a permission; gives the reason of a refusal, or an empty text."""
        if blocking := self.faults - NOT_BLOCKING:
            return f"fault {min(fault.value for fault in blocking)}"
        if not self.spec.min_a <= permit.limit_a <= self.spec.max_a or permit.phases not in {1, 2, 3}:
            return f"{permit.limit_a} A on {permit.phases} phases is out of {self.spec.min_a} to {self.spec.max_a} A"
        if self.spec.phase_switching and permit.phases != self._phases:
            if self._closed:
                self._hold_until = self.time + self.spec.phase_switch_s
            self._phases = min(permit.phases, self.spec.phases)
        self._permit = permit
        self._lease_ends = self.time + min(permit.lease_s, self.spec.lease_cap_s)
        self._settle()
        return ""

    def renews(self, permit: Permit) -> bool:
        """Whether this is the permission that stands: then only the end of its lease moves, and that is done."""
        if permit != self._permit or self.faults:
            return False
        self._lease_ends = self.time + min(permit.lease_s, self.spec.lease_cap_s)
        self._plan()
        return True

    def deny(self) -> None:
        """Withdraw the permission: the contactor opens."""
        self._permit = None
        self._lease_ends = math.inf
        self._settle()

    def move_lock(self, *, locked: bool) -> str:
        """Drive the lock motor; gives the reason of a failure, or an empty text."""
        if self.lock is LockState.ABSENT:
            return "this outlet has no lock"
        if not locked and self._closed:
            return "the contactor is closed"
        if self.lock_jams:
            self.lock = LockState.JAMMED
            self.faults.add(Fault.LOCK_JAMMED)
            return "the lock is jammed"
        self.lock = LockState.LOCKED if locked else LockState.UNLOCKED
        self.faults.discard(Fault.LOCK_JAMMED)
        return ""

    # --- what a person may do

    def plug_in(self, ev: EvSpec, connector: int, *, willing: bool) -> None:
        """Connect a vehicle. Raises ValueError if one is connected or the connector does not exist."""
        if self.ev is not None:
            raise ValueError(f"EVSE {self.evse_id}: a vehicle is already plugged in")
        if not 1 <= connector <= self.spec.connectors:
            raise ValueError(f"EVSE {self.evse_id} has no connector {connector}")
        self.told_power_w = None
        self.ev = Charging(spec=ev, connector=connector, battery=Battery(ev), willing=willing)
        self._settle()

    def unplug(self) -> None:
        """Disconnect the vehicle, at its side of the cable. Raises ValueError if there is none."""
        if self.ev is None:
            raise ValueError(f"EVSE {self.evse_id}: nothing is plugged in")
        self.ev = None
        self.told_power_w = None
        self.deny()

    def tell_power(self, power_w: float) -> None:
        """Let the meter report this power, and count it, until the next plug-in or out."""
        self.told_power_w = power_w
        self._level = None

    def will(self, *, willing: bool) -> None:
        """Let the vehicle want energy or not. Raises ValueError if there is none."""
        if self.ev is None:
            raise ValueError(f"EVSE {self.evse_id}: nothing is plugged in")
        self.ev.willing = willing
        self._settle()

    def fault(self, fault: Fault, *, on: bool) -> None:
        """Make a fault appear or go."""
        if on:
            self.faults.add(fault)
            if fault not in NOT_BLOCKING:
                self.deny()
        else:
            self.faults.discard(fault)
        self._settle()

    # --- inside

    def _asks(self, ev: Charging) -> bool:
        """A vehicle goes to C when it wants energy and the pilot offers it enough current."""
        offered = self.offered_a >= ev.spec.min_a
        return offered and ev.battery.wanted_j > 0 and (ev.willing or ev.spec.pauses_in_c)

    def _settle(self) -> None:
        """Let contactor and current follow from everything else, now."""
        self._level = None
        self.active_phases = min(self._phases, self.ev.spec.phases) if self.ev is not None else 0
        self._closed = (
            self._permit is not None
            and self.pilot.ready
            and self.time >= self._hold_until
            and Fault.CONTACTOR_OPEN not in self.faults
        )
        target, slope = 0.0, 0.0
        if self._closed and self.ev is not None and self.ev.willing:
            target, slope = min(self.offered_a, self.ev.spec.max_a), self.ev.spec.ramp_a_per_s
        if target != self._ramp.target_a:
            self._ramp = Ramp(self.time, self.current_a, target, slope)
        self._full_at = self._fills_at()
        self._plan()

    def _plan(self) -> None:
        """What changes next by itself."""
        hold = self._hold_until if self._hold_until > self.time else math.inf
        self._change = min(self._lease_ends, hold, self._full_at)
