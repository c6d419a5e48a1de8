"""Block E: what the transactions block answers and hears.

Each handler takes one fact into one session (changes.py), names the cause, and lets `Conduct.settle` find what
follows. Deadlines: EVConnectionTimeOut, the vehicle's answer to an offer, the end of a closing, MaxEnergyOnInvalidId.
What an earlier run left is judged in leftover.py.
"""

from __future__ import annotations

import logging

from msgspec.structs import replace

from station.block import Block, Outcomes, Reactions, Routes, on, outcome, route
from station.blocks.transactions import changes
from station.blocks.transactions.answers import Answers
from station.blocks.transactions.changes import Unplugging
from station.blocks.transactions.conduct import Conduct, States, World, awaited
from station.blocks.transactions.leftover import LeftOver
from station.blocks.transactions.registers import Registers
from station.blocks.transactions.rules import FAULTS
from station.blocks.transactions.session import AUTHORIZED_STOPS, SETTLE_S, Cause
from station.facts import (
    Authorized,
    AvailabilityChanged,
    BayOccupancyChanged,
    ConnectorUnlocked,
    DeviceLost,
    DeviceReturned,
    EnergyFlowChanged,
    EvseQuarantined,
    FaultChanged,
    LimitChanged,
    LockChanged,
    MeterSampled,
    PlugInserted,
    PlugRemoved,
    PowerPathChanged,
    RegistrationChanged,
    RemoteStopAccepted,
    ResetRequested,
    SampleFailed,
    SampleTaken,
    SnapshotTold,
    StopAuthorized,
    TransactionEnded,
    VehicleStopped,
    WantFailed,
)
from station.now import Deadline, Instant, Mono, MonoDeadline, Now
from station.ocpp.enums import ReasonEnumType, TriggerReasonEnumType
from station.ocpp.messages import (
    GetTransactionStatusRequest,
    TransactionEventRequest,
)
from station.state.meters import purpose_of
from station.state.sessions import Session

log = logging.getLogger(__name__)


class Transactions(Block):
    """Block E. `resume`: go on with a transaction that a restart interrupted, if its vehicle is still connected."""

    essential = True

    def __init__(self, *, states: States, world: World, resume: bool = False) -> None:
        self._sessions = states.sessions
        self._variables = states.variables
        self._conduct = Conduct(states, world)
        self._registers = Registers(self._conduct, states, world)
        self._answers = Answers(self._conduct, states, world)
        self._left_over = LeftOver(self._conduct, self._registers, states, world, resume=resume)

    # --- tables

    def routes(self) -> Routes:
        """E14."""
        return [route(GetTransactionStatusRequest, self._answers.status, reads=True)]

    def outcomes(self) -> Outcomes:
        """What the CSMS says to an event: cost, priority, whether the token is valid."""
        return [outcome(TransactionEventRequest, self._answers.answered, unless_empty=True)]

    def reactions(self) -> Reactions:
        """The hardware, the driver, the CSMS, the station itself."""
        return [
            on(SnapshotTold, self.snapshot_told),
            on(PlugInserted, self.plugged),
            on(PlugRemoved, self.unplugged),
            on(PowerPathChanged, self.path_changed),
            on(EnergyFlowChanged, self.flow_changed),
            on(LockChanged, self.lock_changed),
            on(BayOccupancyChanged, self.bay_changed),
            on(FaultChanged, self.fault_changed),
            on(VehicleStopped, self.vehicle_stopped),
            on(WantFailed, self.want_failed),
            on(DeviceLost, self.device_lost),
            on(DeviceReturned, self.device_returned),
            on(MeterSampled, self.metered),
            on(SampleFailed, self.not_metered),
            on(SampleTaken, self._registers.sampled),
            on(Authorized, self.authorized),
            on(StopAuthorized, self.stop_authorized),
            on(RemoteStopAccepted, self.remote_stop),
            on(ResetRequested, self.reset),
            on(ConnectorUnlocked, self.unlocked),
            on(LimitChanged, self.limit_changed),
            on(TransactionEnded, self.ended),
            on(EvseQuarantined, self.quarantined),
            on(AvailabilityChanged, self.looked_again),
            on(RegistrationChanged, self.registered),
        ]

    def load(self, now: Now) -> None:
        """Re-read; what an earlier run left is judged later."""
        self._conduct.load()
        self._registers.load()
        self._left_over.load(now)

    # --- one session

    def _settle(self, before: Session, after: Session, cause: Cause, now: Now) -> None:
        """Let a change have its consequences; what an earlier run left only learns."""
        if before.evse_id in self._left_over:
            self._sessions.keep(after)
            self._left_over.judge(before.evse_id, now)
        elif after is not before and after != before:
            self._conduct.settle(before, after, cause, now)

    def _stop(self, session: Session, trigger: TriggerReasonEnumType, reason: ReasonEnumType, now: Now) -> None:
        """The authorization was ended on purpose; a token in `stop_token` is told with it (E07.FR.02)."""
        if session.evse_id in self._left_over:
            self._left_over.over(session.evse_id, now)
            self._left_over.judge(session.evse_id, now)
            return
        after = changes.unauthorized(session, reason, final=True)
        ends = not AUTHORIZED_STOPS.isdisjoint(self._variables.members("TxCtrlr", "TxStopPoint"))
        self._conduct.settle(session, after, Cause(now.instant, trigger, reason, ends=ends), now)

    # --- the hardware

    def snapshot_told(self, fact: SnapshotTold, now: Now) -> None:
        """The hardware's state is known: what an earlier run left can be judged, what may charge is wanted."""
        self._conduct.told.add(fact.evse_id)
        self._registers.look(fact.evse_id, now)
        self._left_over.judge(fact.evse_id, now)
        self._look_again(fact.evse_id, now)

    def metered(self, fact: MeterSampled, now: Now) -> None:
        """A register was read."""
        self._registers.metered(fact, now)
        if fact.evse_id in self._left_over:
            self._left_over.metered(fact, purpose_of(fact.purpose), now)

    def not_metered(self, fact: SampleFailed, now: Now) -> None:
        """A register could not be read."""
        self._registers.not_metered(fact, now)
        self._left_over.not_metered(fact, purpose_of(fact.purpose), now)

    def plugged(self, fact: PlugInserted, now: Now) -> None:
        """E01.FR.02, E02.FR.06, E03: the cable is in."""
        if fact.evse_id in self._left_over and not self._sessions.get(fact.evse_id).plugged:
            self._left_over.end(fact.evse_id, now)  # what a meter counts from now on is another vehicle's
        session = self._sessions.get(fact.evse_id)
        after = changes.plugged(session, fact)
        if session.closing is None and (driver := self._sessions.take_expected(fact.evse_id)) is not None:
            after = changes.authorized(after, driver, self._plug_by(now))
        self._settle(session, after, Cause(fact.at, "CablePluggedIn"), now)

    def unplugged(self, fact: PlugRemoved, now: Now) -> None:
        """E06.FR.02, E09, E10: the cable is out, at one of its ends."""
        session = self._sessions.get(fact.evse_id)
        if fact.evse_id in self._left_over and fact.connector_id == session.connector_id:
            session = self._left_over.over(fact.evse_id, now)
        how = Unplugging(
            stops=self._variables.boolean("TxCtrlr", "StopTxOnEVSideDisconnect"),
            unlocks=self._variables.boolean("OCPPCommCtrlr", "UnlockOnEVSideDisconnect"),
            plug_by=self._plug_by(now),
        )
        cause = Cause(fact.at, "EVCommunicationLost", "EVDisconnected")
        self._settle(session, changes.unplugged(session, fact, how), cause, now)

    def path_changed(self, fact: PowerPathChanged, now: Now) -> None:
        """The contactor closed or opened."""
        session = self._sessions.get(fact.evse_id)
        self._settle(session, changes.path_changed(session, fact), Cause(fact.at), now)

    def flow_changed(self, fact: EnergyFlowChanged, now: Now) -> None:
        """E01.FR.06, E01.FR.18, E06.FR.07: energy flows or stops."""
        session = self._sessions.get(fact.evse_id)
        self._settle(session, replace(session, flowing=fact.flowing and session.plugged), Cause(fact.at), now)

    def lock_changed(self, fact: LockChanged, now: Now) -> None:
        """The lock closed or opened; a problem with it is the fault LOCK_JAMMED."""
        session = self._sessions.get(fact.evse_id)
        if fact.connector_id in {session.connector_id, None} or not session.plugged:
            self._settle(session, changes.lock_changed(session, fact), Cause(fact.at), now)

    def bay_changed(self, fact: BayOccupancyChanged, now: Now) -> None:
        """E01.FR.01, E06.FR.01."""
        session = self._sessions.get(fact.evse_id)
        cause = Cause(fact.at, "EVDetected" if fact.occupied else "EVDeparted", "Local")
        self._settle(session, changes.bay_changed(session, fact), cause, now)

    def fault_changed(self, fact: FaultChanged, now: Now) -> None:
        """E06.FR.16: a grave fault ends the transaction, another suspends it until it has passed."""
        session = self._sessions.get(fact.evse_id)
        if (fact.fault in session.faults) == fact.present:
            return
        rule = FAULTS[fact.fault]
        cause = Cause(fact.at)
        if fact.present:
            cause = Cause(fact.at, "AbnormalCondition", rule.reason, ends=rule.ends)
        self._settle(session, changes.fault_changed(session, fact), cause, now)

    def vehicle_stopped(self, fact: VehicleStopped, now: Now) -> None:
        """E15.FR.04, E15.FR.05; nothing where a StopAuthorized was told before."""
        session = self._sessions.get(fact.evse_id)
        if session.authorized:
            self._stop(session, "StopAuthorized", "StoppedByEV", now)

    def want_failed(self, fact: WantFailed, now: Now) -> None:
        """The hardware does not follow: it is not the vehicle that does not charge."""
        log.warning("hardware.want_failed", extra={"evse": fact.evse_id, "what": fact.what, "reason": fact.reason})
        session = self._sessions.get(fact.evse_id)
        if session.offering and fact.what in {"energise", "lock"}:
            self._settle(session, replace(session, unmet=True), Cause(fact.at), now)

    def device_lost(self, fact: DeviceLost, now: Now) -> None:
        """A board that is not heard of charges nobody: suspended until it is back. A lost meter stops nothing."""
        for evse_id in fact.evse_ids if fact.board else ():
            session = self._sessions.get(evse_id)
            cause = Cause(fact.at, "AbnormalCondition", "Other")
            self._settle(session, replace(session, board_lost=True, flowing=False), cause, now)

    def device_returned(self, fact: DeviceReturned, now: Now) -> None:
        """The board is back; what it shows is told besides. A meter that is back says nothing of the board."""
        for evse_id in fact.evse_ids if fact.board else ():
            session = self._sessions.get(evse_id)
            self._settle(session, replace(session, board_lost=False), Cause(fact.at), now)

    def quarantined(self, fact: EvseQuarantined, now: Now) -> None:
        """Nothing more will be heard of this EVSE: its transaction ends."""
        if fact.evse_id in self._left_over:
            self._left_over.end(fact.evse_id, now)
        session = self._sessions.get(fact.evse_id)
        after = changes.unauthorized(session, "Other", final=True)
        self._conduct.settle(session, after, Cause(now.instant, "AbnormalCondition", "Other", ends=True), now)

    # --- the driver and the CSMS

    def _plug_by(self, now: Now) -> Mono:
        return now.after(self._variables.integer("TxCtrlr", "EVConnectionTimeOut"))

    def authorized(self, fact: Authorized, now: Now) -> None:
        """E01.FR.03, E02.FR.01, E03.FR.01; from now EVConnectionTimeOut waits for the cable (C01.FR.26)."""
        session = self._sessions.get(fact.evse_id)
        if session.closing is not None and not session.spent:
            self._sessions.expect(fact)
            return
        cause = Cause(fact.at, "RemoteStart" if fact.via == "remote" else "Authorized")
        self._settle(session, changes.authorized(session, fact, self._plug_by(now)), cause, now)

    def stop_authorized(self, fact: StopAuthorized, now: Now) -> None:
        """E07, E08, C16: the driver ends it. Without an authorization the token opens the lock (E09.FR.03)."""
        session = self._sessions.get(fact.evse_id)
        if not session.authorized:
            self._release(session, fact.at, now)
            return
        reason: ReasonEnumType = "MasterPass" if fact.master_pass else "Local"
        stop_token = fact.id_token if session.started else None
        owed = (*(each for each in session.owed if each != "token"), "stop_token") if session.started else ()
        self._stop(replace(session, stop_token=stop_token, owed=owed), "StopAuthorized", reason, now)

    def _release(self, session: Session, at: Instant, now: Now) -> None:
        if session.holds_cable:
            self._settle(session, replace(session, holds_cable=False), Cause(at), now)

    def remote_stop(self, fact: RemoteStopAccepted, now: Now) -> None:
        """F03: the CSMS ends it, whether or not somebody was authorized."""
        session = self._sessions.by_transaction(fact.transaction_id)
        if session is not None and session.closing is None:
            self._stop(session, "RemoteStop", "Remote", now)

    def reset(self, fact: ResetRequested, now: Now) -> None:
        """B12.FR.04, B12.FR.08: an immediate reset ends what runs; one on idle waits for the end."""
        if not fact.immediate:
            return
        for session in self._sessions.all():
            concerned = fact.evse_id in {None, session.evse_id} and (session.started or session.authorized)
            if concerned and session.evse_id in self._left_over:
                self._left_over.over(session.evse_id, now)
            elif concerned and session.closing is None:
                after = changes.unauthorized(session, "ImmediateReset", final=True)
                cause = Cause(now.instant, "ResetCommand", "ImmediateReset", ends=True)
                self._conduct.settle(session, after, cause, now)

    def unlocked(self, fact: ConnectorUnlocked, now: Now) -> None:
        """F05: the cable is free; a transaction that nobody authorized hears of it (E02.FR.17)."""
        session = self._sessions.get(fact.evse_id)
        cause = Cause(fact.at, "UnlockCommand" if session.started else None)
        after = replace(session, holds_cable=False)
        if fact.evse_id in self._left_over:
            self._sessions.keep(after)
        else:
            self._conduct.settle(session, after, cause, now)

    def limit_changed(self, fact: LimitChanged, now: Now) -> None:
        """K: more or less may be offered, or nothing."""
        if fact.evse_id in self._left_over:
            return
        session = self._sessions.get(fact.evse_id)
        rate = fact.significant and session.started and session.charging_state == "Charging"
        cause = Cause(now.instant, "ChargingRateChanged" if rate else None)
        self._conduct.settle(session, session, cause, now)

    def ended(self, fact: TransactionEnded, now: Now) -> None:
        """Who came while the last transaction was closing has waited for this."""
        driver = self._sessions.take_expected(fact.evse_id)
        if driver is not None:
            self.authorized(driver, now)
        else:
            self._look_again(fact.evse_id, now)

    def looked_again(self, fact: AvailabilityChanged, now: Now) -> None:
        """A transaction may start now that might not before."""
        self._look_again(fact.evse_id, now)

    def registered(self, fact: RegistrationChanged, now: Now) -> None:
        """Before the first Accepted a transaction starts only with TxBeforeAcceptedEnabled."""
        if fact.status == "Accepted":
            for session in self._sessions.all():
                self._look_again(session.evse_id, now)

    def _look_again(self, evse_id: int, now: Now) -> None:
        if evse_id in self._left_over:
            return
        session = self._sessions.get(evse_id)
        self._conduct.settle(session, session, Cause(now.instant), now)

    # --- deadlines

    def next_due(self) -> Deadline | None:
        """The earliest of what is awaited: a handful of sessions to look at, of which few await anything."""
        times = self._left_over.deadlines()
        for session in self._sessions.awaiting():
            if session.evse_id not in self._left_over:
                times += awaited(session)
            times += self._registers.deadlines(session)
        return MonoDeadline(min(times)) if times else None

    def due(self, now: Now) -> None:
        """What was awaited has not come, or it is time to look."""
        self._left_over.due(now)
        for session in self._present():
            self._session_due(session, now)
        self._registers.due(now)

    def _present(self) -> list[Session]:
        """The sessions of this run."""
        return [each for each in self._sessions.all() if each.evse_id not in self._left_over]

    def _session_due(self, session: Session, now: Now) -> None:
        if session.closing is not None:
            if session.closing.by <= now.mono:
                log.warning(
                    "transaction.closed_late", extra={"evse": session.evse_id, "transaction": session.transaction_id}
                )
                self._conduct.overdue(session, now)
        elif session.plug_by is not None and session.plug_by <= now.mono:
            self._timed_out(session, now)
        elif session.offered_at is not None and not session.settled and session.offered_at + SETTLE_S <= now.mono:
            self._settle(session, replace(session, settled=True), Cause(now.instant), now)

    def _timed_out(self, session: Session, now: Now) -> None:
        """C01.FR.26; E03.FR.05: the transaction ends, unless a parking bay ends it (E03.FR.15); E10.FR.02."""
        after = changes.unauthorized(session, "Timeout", final=False)
        self._conduct.settle(session, after, Cause(now.instant, "EVConnectTimeout", "Timeout"), now)
