"""Simulated hardware without a thread: the world and the reconciler in the caller's own virtual time.

The twin of `station.shell.devices`: the same decisions, but the caller moves the clock. Give it the effects of each
step (`want`, `sample`, `snapshot_again`), step the core with each batch that `pump` gives, answer by `committed`, and
advance to `next_due()` at the latest.
"""

from __future__ import annotations

import msgspec

from hal.api import BoardEvent, BoardSnapshot, Token
from hal.sim.evse import EvseSpec
from hal.sim.world import Listener, SimWorld
from station.effects import Want
from station.facts import SampleFailed
from station.now import BootId, Instant, Mono
from station.shell.levels import presented, sampled
from station.shell.outlet import Action, Allow, Deny, MoveLock, Place, Timing
from station.shell.reconcile import IDLE, Batch, Reconciler

NO_LEASES = Timing(lease_s=float("inf"), renew_s=float("inf"), stall_s=float("inf"))
"""For benches that live through days: a permission stands until it is withdrawn; nobody asks for signs of life."""


class SimHardware:
    """All hardware of one simulated station. The world's clock is the agent's `Now.mono`.

    The world outlives the agent: give the same `world` again after a restart.
    """

    def __init__(
        self, world: SimWorld, boot: BootId, *, timing: Timing = NO_LEASES, idle_period_s: float = float("inf")
    ) -> None:
        self.world = world
        self._boot = boot
        self._clock = world.clock
        self._lost: set[str] = set()
        places = tuple(Place(n, "board", n, world.evse(n).info) for n in world.numbers)
        self.reconciler = Reconciler(places, boot, timing)
        self._idle_period_s = idle_period_s
        self._idle_at = self._clock()
        self.vehicle_events: list[BoardEvent] = []
        self._stop = [
            world.listen(Listener(self._heard, lambda: None)),
            world.add_reader("reader", world.numbers, self._read_card),
        ]
        for number in world.numbers:
            self.reconciler.saw(number, world.evse(number).snapshot(), self._clock())

    def stop(self) -> None:
        """The agent is gone (killed or stopped): it hears nothing more. What boards do by themselves goes on."""
        for stop in self._stop:
            stop()

    # --- from the core

    def want(self, evse_id: int, want: Want) -> None:
        """An effect `SetWant`."""
        self.reconciler.want(evse_id, want)

    def sample(self, evse_id: int, purpose: str, by: Mono, label: str = "") -> None:
        """An effect `TakeSample`: answered at once, or if the meter is lost, failed at once."""
        del by, label  # simulated meters never keep anybody waiting
        if f"meter-{evse_id}" in self._lost:
            at = Instant(self._boot, Mono(self._clock()))
            failed = SampleFailed(evse_id=evse_id, at=at, purpose=purpose, reason="the meter is lost")
            self.reconciler.tell(failed)
        else:
            self.reconciler.tell(sampled(evse_id, self.world.reading(evse_id), purpose, self._boot))

    def snapshot_again(self) -> None:
        """An effect `TellSnapshot`."""
        self.reconciler.snapshot_again()

    def committed(self, number: int) -> None:
        """The core has stepped a batch and handed over the wants of that step."""
        self.reconciler.committed(number, self._clock())

    # --- time

    def pump(self) -> Batch | None:
        """Catch up with the clock, do what is wanted, and give the news. Call until it gives None."""
        self.world.catch_up()
        now = self._clock()
        if now >= self._idle_at and self._idle_period_s < float("inf"):
            self._idle_at = now + self._idle_period_s
            for number in self.world.numbers:
                self.sample(number, IDLE, Mono(now))
        while actions := self.reconciler.actions(now):
            for action in actions:
                self.reconciler.did(action, self._perform(action), now)
        return self.reconciler.batch(now)

    def next_due(self) -> float:
        """When the clock must stop at the latest, if nothing else happens."""
        idle = self._idle_at if self._idle_period_s < float("inf") else float("inf")
        return min(self.world.next_change(), self.reconciler.next_due(self._clock()), idle)

    # --- breaking things

    def lose_board(self, *, on: bool = True) -> None:
        """The board stops answering, or answers again."""
        now = self._clock()
        if on:
            self._lost.add("board")
            self.reconciler.lost("board", "board: unplugged", now)
        else:
            self._lost.discard("board")
            for number in self.world.numbers:
                self.reconciler.saw(number, self.world.evse(number).snapshot(), now)

    def lose_meter(self, evse_id: int, *, on: bool = True) -> None:
        """A meter stops answering, or answers again."""
        (self._lost.add if on else self._lost.discard)(f"meter-{evse_id}")

    # --- inside

    def _perform(self, action: Action) -> str | None:
        match action:
            case Allow(evse_id, permit):
                return self.world.allow(evse_id, permit) or None
            case Deny(evse_id):
                self.world.deny(evse_id)
                return None
            case MoveLock(evse_id, locked):
                return self.world.move_lock(evse_id, locked=locked) or None

    def _heard(self, event: BoardEvent) -> None:
        if "board" in self._lost:
            return
        if isinstance(event, BoardSnapshot):
            self.reconciler.saw(event.channel, event, self._clock())
        else:
            self.vehicle_events.append(event)

    def _read_card(self, token: Token) -> None:
        at = Instant(self._boot, Mono(self._clock()))
        self.reconciler.tell(presented(token, self.world.numbers, at))


def leaseless(spec: EvseSpec | None = None) -> EvseSpec:
    """A charging point whose board never lets a permission lapse."""
    return msgspec.structs.replace(spec or EvseSpec(), lease_cap_s=float("inf"))
