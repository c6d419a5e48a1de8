"""Block B, fifth part: Reset of the station or of one EVSE, at once or when nobody is there (B11, B12).

Transactions hears ResetRequested and ends what runs; here is decided when the time has come. A station that restarts
waits for its transaction events to be delivered, but not for ever (B12.FR.05). An EVSE that is reset starts from what
its hardware shows.
Invariant: between the answer and the reset no new transaction starts on what is to be reset.
"""

from __future__ import annotations

import logging

from device_model.model import ComponentId
from station.block import Block, Reactions, Routes, on, route
from station.facts import (
    AuthorizationEnded,
    Facts,
    LockChanged,
    PlugRemoved,
    ResetAbandoned,
    ResetExecuted,
    ResetRequested,
    StoreDegraded,
    StoreRecovered,
    TransactionEnded,
)
from station.now import Deadline, Mono, MonoDeadline, Now
from station.ocpp.messages import ResetRequest, ResetResponse
from station.ports import Hardware, Station
from station.refusal import Refusal
from station.state.connectors import Connectors
from station.state.firmware_updates import FirmwareUpdates
from station.state.resets import STATION, Resets, Wanted
from station.state.sessions import Session, Sessions
from station.state.variables import Variables

log = logging.getLogger(__name__)

DRAIN_S = 60.0
"""How long a restart waits for the answers to TransactionEvents (B12.FR.05)."""
PATIENCE_S = 60.0
"""A station that is still there so long after it should have restarted tries again (ResetRetries)."""
LOOK_S = 1.0
"""How soon after a recovery it is looked at what waits."""

UPDATING = Refusal("FwUpdateInProgress", "the firmware is being changed; the station restarts by itself if need be")
DISK_FAILS = Refusal("InternalError", "the disk takes no writes: what is not yet delivered would be lost")


class Resetting(Block):
    """Block B: Reset."""

    def __init__(  # noqa: PLR0913 - the wiring of a block, named at the one call
        self,
        *,
        resets: Resets,
        sessions: Sessions,
        connectors: Connectors,
        variables: Variables,
        firmware_updates: FirmwareUpdates,
        station: Station,
        hardware: Hardware,
        facts: Facts,
    ) -> None:
        self._resets = resets
        self._sessions = sessions
        self._connectors = connectors
        self._variables = variables
        self._firmware_updates = firmware_updates
        self._station = station
        self._hardware = hardware
        self._facts = facts
        self._disk_fails = False
        self._attempts = 0
        self._restarting = False
        self._look_at: Mono | None = None

    def routes(self) -> Routes:
        """B11, B12."""
        return [route(ResetRequest, self.reset)]

    def reactions(self) -> Reactions:
        """All that may leave an EVSE idle."""
        return [
            on(ResetRequested, self.look_again),
            on(TransactionEnded, self.look_again),
            on(AuthorizationEnded, self.look_again),
            on(PlugRemoved, self.look_again),
            on(LockChanged, self.look_again),
            on(StoreDegraded, self.degraded),
            on(StoreRecovered, self.recovered),
        ]

    def load(self, now: Now) -> None:
        """What waits goes on waiting; a restart that was about to happen is asked for again."""
        for wanted in self._resets.all():
            self._block(wanted)
        self._restarting = False
        self._look_at = now.after(LOOK_S) if self._resets.all() else None

    # --- the request

    def reset(self, request: ResetRequest, now: Now) -> ResetResponse:
        """Accepted: now, or as soon as what runs has been ended; Scheduled: when it has ended by itself."""
        evse_id = request.evse_id or STATION
        refusal = self._refusal(evse_id)
        if refusal is not None:
            return ResetResponse(status="Rejected", status_info=refusal.info)
        immediate = request.type == "Immediate"
        accepted = immediate or not self._busy(evse_id)
        wanted = Wanted(evse_id, immediate, "RemoteReset" if accepted else "ScheduledReset")  # B11.FR.04
        self._resets.add(wanted)
        self._block(wanted)
        if self._busy(evse_id):
            self._facts.emit(ResetRequested(immediate=immediate, evse_id=evse_id or None))
        else:
            self._execute(wanted, now)
        return ResetResponse(status="Accepted" if accepted else "Scheduled")

    def _refusal(self, evse_id: int) -> Refusal | None:
        if self._disk_fails:  # B11.FR.06, B12.FR.10
            return DISK_FAILS
        if self._firmware_updates.uninterruptible:
            return UPDATING
        if evse_id == STATION:
            return None
        if not self._connectors.exists(evse_id):
            return Refusal("UnknownEvse")
        if not self._variables.boolean(ComponentId("EVSE", "", evse_id), "AllowReset"):  # B11.FR.09, B12.FR.09
            return Refusal("UnsupportedRequest", "single EVSEs cannot be reset")
        return None

    def _busy(self, evse_id: int) -> bool:
        """Whether somebody is there (errata 2.14: a transaction, an authorized driver, a cable that is still held)."""
        evse_ids = self._evse_ids(evse_id)
        return any(session.evse_id in evse_ids and _in_use(session) for session in self._sessions.all())

    def _evse_ids(self, evse_id: int) -> tuple[int, ...]:
        return self._connectors.evse_ids() if evse_id == STATION else (evse_id,)

    # --- waiting

    def _block(self, wanted: Wanted) -> None:
        self._connectors.block(_key(wanted), frozenset(self._evse_ids(wanted.evse_id)))

    def look_again(self, fact: object, now: Now) -> None:
        """Perhaps nobody is there any more."""
        del fact
        for wanted in self._resets.all():
            restarting = wanted.evse_id == STATION and self._restarting
            if not restarting and not self._waits_for_somebody(wanted):
                self._execute(wanted, now)

    def _waits_for_somebody(self, wanted: Wanted) -> bool:
        if not wanted.immediate:
            return self._busy(wanted.evse_id)
        evse_ids = self._evse_ids(wanted.evse_id)
        return any(session.evse_id in evse_ids for session in self._sessions.running())

    def degraded(self, fact: StoreDegraded, now: Now) -> None:
        """What is kept in memory only must not be lost by a restart."""
        del fact, now
        self._disk_fails = True

    def recovered(self, fact: StoreRecovered, now: Now) -> None:
        """All is on the disk again."""
        self._disk_fails = False
        self.look_again(fact, now)

    # --- doing it

    def _execute(self, wanted: Wanted, now: Now) -> None:
        if self._disk_fails:
            return
        if wanted.evse_id == STATION:
            self._restart(wanted, now)
            return
        self._finish(wanted)
        self._hardware.look_again()
        log.info("evse.reset", extra={"evse": wanted.evse_id})
        self._facts.emit(ResetExecuted(evse_id=wanted.evse_id))

    def _restart(self, wanted: Wanted, now: Now) -> None:
        self._restarting = True
        self._attempts += 1
        if self._attempts > 1 + self._variables.integer("OCPPCommCtrlr", "ResetRetries"):
            log.error("reset.failed", extra={"attempts": self._attempts - 1})
            self._restarting, self._attempts, self._look_at = False, 0, None
            self._finish(wanted)
            self._facts.emit(ResetAbandoned())
            return
        self._station.reboot(wanted.reason, after="drained", by=now.after(DRAIN_S))  # B12.FR.03, B12.FR.05
        self._look_at = now.after(DRAIN_S + PATIENCE_S)

    def _finish(self, wanted: Wanted) -> None:
        self._resets.done(wanted)
        self._connectors.block(_key(wanted), None)

    def next_due(self) -> Deadline | None:
        """When we should be gone."""
        return MonoDeadline(self._look_at) if self._look_at is not None else None

    def due(self, now: Now) -> None:
        """Still here: try again, as often as ResetRetries says."""
        self._look_at, self._restarting = None, False
        self.look_again(None, now)


def _in_use(session: Session) -> bool:
    return session.started or session.authorized or session.holds_cable


def _key(wanted: Wanted) -> str:
    return f"reset {wanted.evse_id}"
