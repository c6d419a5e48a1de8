"""One EVSE's hardware: what is wanted of it, what it shows, and what to do about the difference. Pure.

- Safer at once, live only when known: on unplug, lost pilot, fault or emergency stop the permission is withdrawn here,
  without the core, even if it was for a moment only and the board has shown both by the time anybody looks. It is given
  again only when the core has committed a step that was told of it, and still wants it.
- A sensor that means a fault (`guards`) counts like one of the board, and so does current through an open contactor.
- A permission is a lease: renewed while it is wanted and the core made progress lately, else it runs out on the board.
  A board that returns within its lease keeps it until the core has judged the return; the lease bounds the wait.
- What did not work is tried again after 1, 2, 4 ... 60 s; a wish that stays unmet is told once.
"""

from __future__ import annotations

import math

import msgspec

from hal.api import LEASE_S, BoardInfo, BoardSnapshot, Fault, LockState, Permit
from station.effects import Want
from station.facts import DeviceLost, Fact, FaultChanged, SnapshotTold
from station.now import BootId, Instant, Mono
from station.shell.easing import Easing, Gentleness
from station.shell.guards import Guard, WeldWatch
from station.shell.levels import NOTHING, Levels, changes, flows, levels, whole

OFF = Want(energise=False, limit_a=0.0)

HARMLESS = frozenset({Fault.LOCK_JAMMED})
"""Faults that do not by themselves forbid current; whether the lock is needed is what the core wants of it."""


class Timing(msgspec.Struct, frozen=True):
    """The lease rule and the patience with hardware, in seconds. A bench that needs no leases sets them to infinity."""

    lease_s: float = LEASE_S
    renew_s: float = 4.0
    stall_s: float = 15.0
    """The core's last progress may be this old; longer, and leases are no longer renewed."""
    energise_s: float = 8.0
    open_s: float = 8.0
    """IEC 61851-1 gives the vehicle 3 s to let go before a board opens under current, and some boards twice that."""
    lock_s: float = 5.0
    retry_first_s: float = 1.0
    retry_longest_s: float = 60.0
    gentle: Gentleness = Gentleness()

    def next_beat(self, now: float) -> float:
        """The next common multiple of `renew_s`: leases of all EVSEs and signs of life share their wake-ups."""
        return (now // self.renew_s + 1) * self.renew_s


class Place(msgspec.Struct, frozen=True):
    """Where an EVSE's hardware is, and what it can do."""

    evse_id: int
    board: str
    channel: int
    info: BoardInfo = BoardInfo()
    own_lock: bool = False
    """The lock is a device of its own: its state comes by `lock_is`, not with the board's snapshot."""
    guards: tuple[Guard, ...] = ()
    """Sensors that forbid current."""


class Allow(msgspec.Struct, frozen=True):
    """Give or renew the permission."""

    evse_id: int
    permit: Permit


class Deny(msgspec.Struct, frozen=True):
    """Withdraw the permission."""

    evse_id: int


class MoveLock(msgspec.Struct, frozen=True):
    """Drive the connector lock."""

    evse_id: int
    locked: bool


Action = Allow | Deny | MoveLock


class _Retry:
    """When something that failed may be tried again: 1, 2, 4 ... 60 s."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._wait = 0.0
        self.at = -math.inf

    def failed(self, now: float) -> None:
        """Wait twice as long as before."""
        self._wait = min(max(self._wait * 2, self._timing.retry_first_s), self._timing.retry_longest_s)
        self.at = now + self._wait

    def worked(self) -> None:
        """The next failure starts small."""
        self._wait, self.at = 0.0, -math.inf


class Outlet:
    """One EVSE: what is wanted of it, what it shows, and what has been done about the difference."""

    def __init__(self, place: Place, timing: Timing) -> None:
        self.place = place
        self.want = OFF
        self.asked = False  # the core has said what it wants: until then a lock stays as an earlier run left it
        self.seen: BoardSnapshot | None = None
        self._fit = False  # it may be energised, by what the board shows
        self.lost = True  # until the board was seen
        self.loss: DeviceLost | None = None  # what was told of it
        self.lock = LockState.ABSENT
        self.power_w: float | None = None
        self.stuck = False
        """The contactor did not open when it had to: a fault, though the board shows none."""
        self.weld = WeldWatch()
        self._easing = Easing(timing.gentle, place.info)
        self._guards: dict[Guard, bool | None] = dict.fromkeys(place.guards)  # None: it has not spoken yet
        self._guarded = bool(place.guards)  # one of them forbids current
        self._guarded_at = 0.0
        self.told = NOTHING
        self.tell_whole = True
        self.edge = 0  # the batch that told the last plug, fault or loss: no new permission before it is committed
        self.returned = 0  # the batch that told the board's return
        self.busy: Action | None = None
        self._timing = timing
        self._permit: Permit | None = None
        self._forfeited = False  # what it was given for was gone, if only for a moment: it ends before another is given
        self._lease_ends = -math.inf
        self._renew_at = -math.inf
        self._allow_retry = _Retry(timing)
        self._deny_retry = _Retry(timing)
        self._lock_retry = _Retry(timing)
        self._unmet: dict[str, float] = {}
        self._reasons: dict[str, str] = {}
        self._failed: set[str] = set()

    # --- inputs

    def shows(self, snapshot: BoardSnapshot, now: float) -> None:
        """The board tells its state."""
        moved = self.seen is not None and self.seen.connector != snapshot.connector
        self._fit = snapshot.pilot.plugged and not snapshot.faults - HARMLESS
        self._forfeited = self._forfeited or moved or not self._fit
        self.weld.saw(snapshot, self.seen)
        self._easing.saw(snapshot, now)
        self.seen, self.lost, self.loss = snapshot, False, None
        if not self.place.own_lock:
            self.lock = snapshot.lock

    def measured(self, power_w: float | None, at: float) -> bool:
        """The meter tells the power; gives whether that says anything new of the outlet."""
        flowed, self.power_w = flows(self.power_w), power_w
        if self.seen is None or self.seen.flowing is not None:  # the board knows better
            return False
        return self.weld.measured(power_w, at) or flows(power_w) != flowed

    def guarded(self, guard: Guard, value: float | bool | str | None, now: float) -> None:  # noqa: FBT001 - a value
        """A guard shows this; None: it is lost, which is as bad as its fault."""
        self._guarded_at = now
        self._guards[guard] = value is None or guard.judged(value, self._guards[guard])
        self._guarded = any(forbids is not False for forbids in self._guards.values())
        self._forfeited = self._forfeited or self._guards[guard] is True

    @property
    def guard_faults(self) -> frozenset[Fault]:
        """What the guards tell."""
        return frozenset(guard.fault for guard, present in self._guards.items() if present)

    def wish(self, want: Want) -> None:
        """The core wants this from now on; what failed before is tried and told anew."""
        self.asked = True
        if want == self.want:
            return
        self.want = want
        self._unmet, self._failed, self._reasons = {}, set(), {}
        for retry in (self._allow_retry, self._deny_retry, self._lock_retry):
            retry.worked()

    def gone(self, told: DeviceLost) -> None:
        """The board does not answer: its lease runs on there, and which permission that is must be said again."""
        self.lost, self.loss = True, told
        self.busy = self._permit = None
        self._renew_at = -math.inf

    def tell_again(self) -> None:
        """The core forgot what it was told: now, or once the board is back."""
        self.tell_whole = True
        if self.seen is None or self.lost:
            self.told = self.told._replace(faults=self.told.faults - self.guard_faults)

    def forget_lease(self) -> None:
        """No permission is known to stand."""
        self._permit = None
        self._lease_ends = self._renew_at = -math.inf

    def did(self, action: Action, error: str | None, now: float) -> None:
        """An action came back; `error` is the driver's reason if it failed."""
        if self.busy is not action:  # the board was lost meanwhile, after the permission may have arrived
            if isinstance(action, Allow):
                self._lease_ends = max(self._lease_ends, now + action.permit.lease_s)
            return
        self.busy = None
        retry = self._retry_of(action)
        if error is not None:
            self._reasons[_meant(action)] = error
            if isinstance(action, Allow):  # it may have arrived all the same
                self._lease_ends = max(self._lease_ends, now + action.permit.lease_s)
        if error is None and isinstance(action, Allow):
            self._permit = action.permit
            self._easing.granted(action.permit, now)
            self._lease_ends = now + action.permit.lease_s
            self._renew_at = self._timing.next_beat(now)
            self._allow_retry.worked()
            self._deny_retry.worked()
            return
        if error is None and isinstance(action, Deny):
            self.forget_lease()
        retry.failed(now)  # even if the driver is content: until a snapshot shows it

    def _retry_of(self, action: Action) -> _Retry:
        match action:
            case Allow():
                return self._allow_retry
            case Deny():
                return self._deny_retry
            case MoveLock():
                return self._lock_retry

    # --- decisions

    def live(self, now: float) -> bool:
        """Whether a permission may stand on the board."""
        return self._lease_ends > now

    def may_carry_current(self, now: float) -> bool:
        """Whether the cable must stay locked in: the contactor is closed, or may close without asking us."""
        return self.live(now) or (self.seen is not None and self.seen.contactor_closed)

    def goal(self, committed: int, now: float) -> Permit | None:
        """The permission that should stand now, or None."""
        wanted = self._wanted(committed, now)
        return self._easing.eased(wanted, now) if wanted is not None else None

    def _wanted(self, committed: int, now: float) -> Permit | None:
        """The permission that should stand as soon as it gently can."""
        seen, want, info = self.seen, self.want, self.place.info
        if seen is None or self.lost or not want.energise or want.limit_a < info.min_a:
            return None
        if not self._fit or self.stuck or self.weld.proven or self._guarded:
            return None
        if self._forfeited if self.live(now) else self.edge > committed:
            return None
        if want.lock and self.lock in {LockState.UNLOCKED, LockState.JAMMED}:
            return None
        return Permit(min(want.limit_a, info.max_a), min(want.phases, info.phases), self._timing.lease_s)

    def act(self, committed: int, *, core_alive: bool, now: float) -> Action | None:
        """The next thing to ask of the board, one at a time."""
        seen = self.seen
        if seen is None or self.lost or self.busy is not None:
            return None
        goal = self.goal(committed, now)
        action: Action | None = None
        if goal is None:
            energised = self.live(now) or seen.contactor_closed or seen.limit_a > 0
            if energised and now >= self._deny_retry.at and not self._to_be_judged(committed, now):
                action = Deny(self.place.evse_id)
        elif core_alive and self.edge <= committed and self._renewal_due(goal, now):
            action = Allow(self.place.evse_id, goal)
            self._forfeited = False
        elif self._outlived_its_lease(seen, core_alive=core_alive, now=now):
            action = Deny(self.place.evse_id)
        action = action or self._lock_action(seen, now)
        self.busy = action
        return action

    def _renewal_due(self, goal: Permit, now: float) -> bool:
        return now >= self._allow_retry.at and (goal != self._permit or now >= self._renew_at)

    def _outlived_its_lease(self, seen: BoardSnapshot, *, core_alive: bool, now: float) -> bool:
        """The core stands still, the lease is over, and the board still shows current: a second line behind its own."""
        over = not core_alive and not self.live(now) and now >= self._deny_retry.at
        return over and (seen.contactor_closed or seen.limit_a > 0)

    def _to_be_judged(self, committed: int, now: float) -> bool:
        """The board is back within its lease: whether that goes on, the core says in a moment, without an arc."""
        return self._fit and not self._forfeited and self.returned > committed and self.live(now)

    def _lock_action(self, seen: BoardSnapshot, now: float) -> Action | None:
        if self.lock is LockState.ABSENT or not self.asked or now < self._lock_retry.at:
            return None
        if self.want.lock and seen.pilot.plugged and self.lock is not LockState.LOCKED:
            return MoveLock(self.place.evse_id, locked=True)
        if not self.want.lock and not self.may_carry_current(now) and self.lock is not LockState.UNLOCKED:
            return MoveLock(self.place.evse_id, locked=False)
        return None

    def failures(self, committed: int, now: float) -> list[tuple[str, str]]:
        """Wishes that have now waited too long: (what, why), each once."""
        unmet = self._unmet_now(committed, now)
        if not unmet and not self._unmet:  # as nearly always
            return []
        self._unmet = {what: self._unmet.get(what, now) for what in unmet}
        late = [w for w in unmet if w not in self._failed and now >= self._unmet[w] + self._patience(w)]
        self._failed = (self._failed & set(unmet)) | set(late)
        self.stuck = self.stuck or "open" in late
        return [(what, self._reasons.get(what, unmet[what])) for what in late]

    def _unmet_now(self, committed: int, now: float) -> dict[str, str]:
        seen = self.seen
        if seen is None or self.lost:
            return {}
        unmet = {}
        goal = self.goal(committed, now)
        if goal is None and seen.contactor_closed:
            unmet["open"] = "the contactor is still closed"
        if goal is not None and not seen.contactor_closed and (seen.pilot.ready or self._permit is None):
            unmet["energise"] = "the contactor did not close"
        if self.lock is not LockState.ABSENT:
            if self.want.lock and seen.pilot.plugged and self.lock is not LockState.LOCKED:
                unmet["lock"] = "the lock did not close"
            if self.asked and not self.want.lock and self.lock is not LockState.UNLOCKED and not seen.contactor_closed:
                unmet["unlock"] = "the lock did not open"
        return unmet

    def _patience(self, what: str) -> float:
        return {"open": self._timing.open_s, "energise": self._timing.energise_s}.get(what, self._timing.lock_s)

    def next_due(self, committed: int, *, core_alive: bool, now: float) -> float:
        """When to look again, if nothing else happens."""
        if self.seen is None or self.lost:
            return math.inf
        due = [self.weld.due]
        if self._unmet:
            due += [since + self._patience(w) for w, since in self._unmet.items() if w not in self._failed]
        wanted, live = self._wanted(committed, now), self.live(now)
        if wanted is not None:
            due.append(self._easing.next_due(wanted, now))
        if self.busy is None:
            if live and not core_alive:
                due.append(self._lease_ends)
            elif live and self.edge <= committed and wanted is not None and self._easing.eased(wanted, now) is not None:
                due.append(max(self._renew_at, self._allow_retry.at))
            due += [retry.at for retry in (self._allow_retry, self._deny_retry, self._lock_retry) if retry.at > now]
        return min(due, default=math.inf)

    # --- news

    def changed(self, boot: BootId, since: float | None = None) -> list[Fact]:
        """What the core has not been told yet of this EVSE. `since`: of what the last snapshot does not show."""
        seen = self.seen
        if seen is None or self.lost:
            return self._guards_alone(boot)
        at = Instant(boot, Mono(seen.sampled_at if since is None else max(since, seen.sampled_at)))
        self.stuck = self.stuck and seen.contactor_closed
        now = levels(seen, self.lock, self.power_w, self.told)
        welded = {Fault.CONTACTOR_WELDED} if self.stuck or self.weld.proven else frozenset()
        now = now._replace(faults=now.faults | welded | self.guard_faults)
        evse_id = self.place.evse_id
        if self.tell_whole:
            connectors = self.place.info.connectors
            facts: list[Fact] = [*whole(evse_id, at, now, connectors, self.told.faults)]
            facts.append(SnapshotTold(evse_id=evse_id, at=at))
        else:
            facts = [*changes(evse_id, at, self.told, now)]
        self.tell_whole, self.told = False, now
        self._met(now)
        return facts

    def _guards_alone(self, boot: BootId) -> list[Fact]:
        """An emergency stop that takes the board's power away is told before the board is back."""
        news = sorted(self.guard_faults - self.told.faults, key=lambda fault: fault.value)
        self.told = self.told._replace(faults=self.told.faults | set(news))
        at = Instant(boot, Mono(self._guarded_at))
        return [FaultChanged(evse_id=self.place.evse_id, at=at, fault=fault, present=True) for fault in news]

    def _met(self, now: Levels) -> None:
        """Wait no longer for what the snapshot shows to be true."""
        if not now.closed and self.seen is not None and self.seen.limit_a == 0:
            self._deny_retry.worked()
        if self.lock is (LockState.LOCKED if self.want.lock else LockState.UNLOCKED):
            self._lock_retry.worked()


def _meant(action: Action) -> str:
    """The wish that an action serves, as `WantFailed` names it."""
    match action:
        case Allow():
            return "energise"
        case Deny():
            return "open"
        case MoveLock(_, locked):
            return "lock" if locked else "unlock"
