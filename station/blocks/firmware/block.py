"""UpdateFirmware: a file is fetched, its signature checked, it is installed, and each step told (L01, L02).

What takes time are jobs; here is what is done when. At most one update is under way: a newer one takes its place,
unless the firmware is being changed just then. Each step is in the table before it begins, so that an update goes on
from there after a power cut. That a restart has put the new firmware in place counts when the CSMS has accepted the
station and the installer says so.
Invariant: each update that was accepted ends with a status of its own; nothing unsigned is installed unless
station.yaml allows it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from station.block import Block, Job, Later, Reactions, Results, Routes, on, result, route
from station.blocks.firmware import intake
from station.blocks.firmware.jobs import (
    ConfirmFirmware,
    DownloadFirmware,
    DropFirmware,
    FirmwareConfirmed,
    FirmwareDownloaded,
    FirmwareDropped,
    FirmwareInstalled,
    FirmwareVerified,
    InstallFirmware,
    JudgeSigner,
    SignerJudged,
    VerifyFirmware,
)
from station.blocks.firmware.terms import FirmwareTerms
from station.facts import (
    AuthorizationEnded,
    Authorized,
    Facts,
    LinkRestored,
    LockChanged,
    MessageTriggered,
    PlugRemoved,
    RegistrationChanged,
    SecurityEventOccurred,
    ServiceChanged,
    StationStarted,
    StoreRecovered,
    TransactionEnded,
    TransactionStarted,
    VariableChanged,
)
from station.location import located
from station.now import BootId, Deadline, Mono, MonoDeadline, Now, Wall, WallDeadline
from station.ocpp.enums import FirmwareStatusEnumType, UpdateFirmwareStatusEnumType
from station.ocpp.messages import FirmwareStatusNotificationRequest, UpdateFirmwareRequest, UpdateFirmwareResponse
from station.ocpp.types import FirmwareType
from station.ports import Csms, Ids, Jobs, Station
from station.refusal import Refusal
from station.state.connectors import Connectors
from station.state.firmware_updates import FirmwareUpdate, FirmwareUpdates
from station.state.registration import Registration
from station.state.sessions import Sessions
from station.state.variables import Variables

log = logging.getLogger(__name__)

LEAST_PAUSE_S = 1.0
ANSWER_S = 25.0
"""How long it may take to judge a certificate before the CSMS hears that it failed."""
LONGEST_DOWNLOAD_S = 86_400.0
"""One attempt that has told nothing for so long is given up: a server that takes days."""
LONGEST_CHECK_S = 3600.0
SLACK_S = 60.0
"""So much longer than the installer may take by itself."""
DRAIN_S = 60.0
"""How long a restart waits for the answers to TransactionEvents."""
GONE_S = 120.0
"""A station that is still there so long after it should have restarted tries again."""
MOST_ATTEMPTS = 3
"""So often an installation is begun, which a power cut or a crash may have ended; and a restart is tried."""
LOOK_S = 1.0
"""How soon after a recovery it is looked at what waits."""

PROTOCOLS = ("OCPPCommCtrlr", "FileTransferProtocols")
BLOCKING = "firmware"
FAILED = Refusal("InternalError", "it took too long to judge the certificate, or met an error in the station")
UPDATING = Refusal("FwUpdateInProgress", "the firmware is being changed just now")
DISK_FAILS = Refusal("InternalError", "the disk takes no writes")


class Alarm(NamedTuple):
    """What to do when the time has come."""

    at: Mono
    do: Callable[[Now], None]


class Firmware(Block):
    """Block L. Without `terms` there is no installer, and UpdateFirmware is not built in."""

    def __init__(  # noqa: PLR0913 - the wiring of a block, named at the one call
        self,
        *,
        terms: FirmwareTerms | None,
        updates: FirmwareUpdates,
        registration: Registration,
        sessions: Sessions,
        connectors: Connectors,
        variables: Variables,
        csms: Csms,
        jobs: Jobs,
        station: Station,
        facts: Facts,
        ids: Ids,
        disk_fails: Callable[[], bool],
    ) -> None:
        self._terms = terms or FirmwareTerms()
        self._built_in = terms is not None
        self._updates = updates
        self._registration = registration
        self._sessions = sessions
        self._connectors = connectors
        self._variables = variables
        self._csms = csms
        self._jobs = jobs
        self._station = station
        self._facts = facts
        self._ids = ids
        self._disk_fails = disk_fails
        self._boot = BootId(0)
        self._blocked = False
        self._forget()
        self._begun = False  # the CSMS has been heard in this run: the time is known, and the network there

    def _forget(self) -> None:
        self._running: Job | None = None
        self._since = self._patience = Mono(0.0)  # when that one, or the last one, was started; how long it may take
        self._alarm: Alarm | None = None
        self._wall_at: Wall | None = None
        self._between_attempts = False
        self._reconnecting = False
        self._restarts = 0  # asked for, and not come

    def routes(self) -> Routes:
        """L01, L02."""
        return [route(UpdateFirmwareRequest, self.update_firmware)] if self._built_in else []

    def results(self) -> Results:
        """L01, L02."""
        return [
            result(SignerJudged, self.judged),
            result(FirmwareDownloaded, self.downloaded),
            result(FirmwareVerified, self.verified),
            result(FirmwareInstalled, self.installed),
            result(FirmwareConfirmed, self.confirmed),
            result(FirmwareDropped, self.dropped),
        ]

    def reactions(self) -> Reactions:
        """All that an update may wait for, and the trigger."""
        return [
            on(RegistrationChanged, self.registered),
            on(LinkRestored, self.linked),
            on(MessageTriggered, self.triggered),
            on(StationStarted, self.look_again),
            on(Authorized, self.look_again),
            on(TransactionStarted, self.look_again),
            on(TransactionEnded, self.look_again),
            on(AuthorizationEnded, self.look_again),
            on(PlugRemoved, self.look_again),
            on(LockChanged, self.look_again),
            on(StoreRecovered, self.look_again),
            on(VariableChanged, self.variable_changed),
        ]

    def load(self, now: Now) -> None:
        """In a new run no job is under way; after a recovery the one that was may still be, or is started again."""
        if now.boot != self._boot:
            self._boot, self._begun = now.boot, False
            self._forget()
        elif (self._running is not None or self._alarm is None) and self._updates.ongoing is not None:
            self._alarm = Alarm(now.after(LOOK_S), self._recovered)
        self._blocked = self._takes_out_of_service(now)
        self._connectors.block(BLOCKING, frozenset(self._connectors.evse_ids()) if self._blocked else None)

    # --- the request

    def update_firmware(self, request: UpdateFirmwareRequest, now: Now) -> UpdateFirmwareResponse | Later:
        """L01.FR.21, L01.FR.27, L02.FR.18."""
        refusal = self._refusal(request.firmware)
        if refusal is not None:
            log.warning("firmware.refused", extra={"reason": refusal.additional_info})
            return UpdateFirmwareResponse(status="Rejected", status_info=refusal.info)
        update, by = intake.wanted(request, self._ids.uuid()), now.after(ANSWER_S)
        if not update.certificate:
            return self._accept(update, now)
        failed = UpdateFirmwareResponse(status="Rejected", status_info=FAILED.info)
        return Later(JudgeSigner(update=update, at=now.wall, by=by), by, failed)

    def _refusal(self, firmware: FirmwareType) -> Refusal | None:
        if self._updates.uninterruptible:
            return UPDATING
        if self._disk_fails():
            return DISK_FAILS
        protocols = self._variables.members(*PROTOCOLS)
        return intake.refusal(firmware, protocols, unsigned=self._terms.unsigned)

    def judged(self, done: SignerJudged, now: Now) -> UpdateFirmwareResponse:
        """L01.FR.02, L01.FR.22."""
        if now.mono >= done.by or self._updates.uninterruptible:  # too late: the CSMS has been told otherwise
            return UpdateFirmwareResponse(status="Rejected", status_info=UPDATING.info)
        if not done.reason:
            return self._accept(done.update, now)
        log.warning("firmware.signer_refused", extra={"reason": done.reason})
        self._facts.emit(SecurityEventOccurred(type="InvalidFirmwareSigningCertificate", tech_info=done.reason))
        info = Refusal("InvalidCertificate", done.reason).info
        status: UpdateFirmwareStatusEnumType = "RevokedCertificate" if done.revoked else "InvalidCertificate"
        return UpdateFirmwareResponse(status=status, status_info=info)

    def _accept(self, update: FirmwareUpdate, now: Now) -> UpdateFirmwareResponse:
        former = self._updates.ongoing
        if former is not None:  # L01.FR.24, L02.FR.15
            for kind in (DownloadFirmware, VerifyFirmware, ConfirmFirmware):
                self._jobs.cancel(kind)
            self._tell(former, "DownloadFailed" if former.phase == "download" else "InstallationFailed")
        log.info("firmware.requested", extra={"request": update.request_id, "from": located(update.location).shown})
        self._forget()
        self._begun = True
        self._updates.keep(update)
        self._advance(now)
        return UpdateFirmwareResponse(status="Accepted" if former is None else "AcceptedCanceled")

    # --- what is to be done

    def _advance(self, now: Now) -> None:
        """Do whatever the phase asks for, if it can be done now; harmless when it is being done already."""
        update, self._wall_at = self._updates.ongoing, None
        if update is not None:
            steps: dict[str, Callable[[FirmwareUpdate, Now], None]] = {
                "download": self._download,
                "verify": self._verify,
                "wait": self._wait,
                "install": self._install,
                "restart": self._restart,
                "confirm": self._confirm,
            }
            steps[update.phase](update, now)
        blocked = self._takes_out_of_service(now)
        if blocked != self._blocked:
            self._blocked = blocked
            self._connectors.block(BLOCKING, frozenset(self._connectors.evse_ids()) if blocked else None)
            self._facts.emit(ServiceChanged())

    def _download(self, update: FirmwareUpdate, now: Now) -> None:
        """L01.FR.13, L01.FR.14, L02.FR.07, L02.FR.08."""
        if not self._begun or self._between_attempts:
            return
        early = now.wall < update.retrieve
        if early or (self._terms.while_charging == "nothing" and self._in_use()):
            self._wall_at = update.retrieve if early else None
            if self._running is not None:
                self._stop()
            begun = update.told in {"Downloading", "DownloadPaused"}
            self._reach(update, "DownloadPaused" if begun else "DownloadScheduled")
            return
        update = self._reach(update, "Downloading")
        self._start(DownloadFirmware(file=update.file, location=update.location), LONGEST_DOWNLOAD_S, now)

    def _verify(self, update: FirmwareUpdate, now: Now) -> None:
        job = VerifyFirmware(file=update.file, certificate=update.certificate, signature=update.signature)
        self._start(job, LONGEST_CHECK_S, now)

    def _wait(self, update: FirmwareUpdate, now: Now) -> None:
        """L01.FR.05, L01.FR.06, L01.FR.16, L01.FR.34, L02.FR.02, L02.FR.03, L02.FR.10, L02.FR.23."""
        early = update.install is not None and now.wall < update.install
        self._wall_at = update.install if early else None
        if early or (self._terms.while_charging != "install" and self._in_use()):
            self._reach(update, "InstallScheduled")
        elif not self._disk_fails():
            self._install(update, now)

    def _install(self, update: FirmwareUpdate, now: Now) -> None:
        """Begin, or begin again what a power cut has ended."""
        if self._running is not None:
            return
        if update.attempts >= MOST_ATTEMPTS:
            self._end(update, "InstallationFailed", "it was begun too often and has never come to an end", now)
            return
        self._reach(update, "Installing", phase="install", attempts=update.attempts + 1)
        self._start(InstallFirmware(file=update.file), self._terms.patience_s + SLACK_S, now)

    def _restart(self, update: FirmwareUpdate, now: Now) -> None:
        """L01.FR.15, L01.FR.32, L01.FR.33, L02.FR.09, L02.FR.21, L02.FR.22."""
        if update.boot != now.boot:  # it has come, one way or another
            if update.again:
                self._install(update, now)
            else:
                self._reach(update, None, phase="confirm")
                self._advance(now)
            return
        if self._alarm is not None or self._in_use() or self._disk_fails():
            return
        if self._restarts >= MOST_ATTEMPTS:
            self._end(update, "InstallationFailed", "the machine does not restart", now)
            return
        self._restarts += 1
        self._reach(update, "InstallRebooting")
        self._station.reboot("FirmwareUpdate", after="drained", by=now.after(DRAIN_S))
        self._alarm = Alarm(now.after(DRAIN_S + GONE_S), self._advance)

    def _confirm(self, update: FirmwareUpdate, now: Now) -> None:
        """When this firmware has reached the CSMS."""
        if self._registration.accepted and not self._reconnecting:
            self._start(ConfirmFirmware(file=update.file), self._terms.patience_s + SLACK_S, now)

    # --- what came of it

    def downloaded(self, done: FirmwareDownloaded, now: Now) -> None:
        """L01.FR.30, L02.FR.19: of attempts that fail only the last one is told."""
        update = self._mine(done, "download")
        if update is None:
            return
        if done.reason:
            self._failed_attempt(update, done.reason, now)
            return
        self._reach(update, "Downloaded", phase="verify" if update.certificate else "wait")
        self._advance(now)

    def _failed_attempt(self, update: FirmwareUpdate, reason: str, now: Now) -> None:
        log.warning("firmware.not_downloaded", extra={"reason": reason, "retries": update.retries})
        if not update.retries:
            self._end(update, "DownloadFailed", reason, now)
            return
        self._updates.keep(msgspec.structs.replace(update, retries=update.retries - 1))
        self._between_attempts = True
        self._alarm = Alarm(max(Mono(self._since + update.interval_s), now.after(LEAST_PAUSE_S)), self._try_again)

    def _try_again(self, now: Now) -> None:
        self._between_attempts = False
        self._advance(now)

    def verified(self, done: FirmwareVerified, now: Now) -> None:
        """L01.FR.03, L01.FR.04."""
        update = self._mine(done, "verify")
        if update is None:
            return
        if not done.readable:
            self._end(update, "DownloadFailed", done.reason, now)
        elif done.reason:
            self._facts.emit(SecurityEventOccurred(type="InvalidFirmwareSignature", tech_info=done.reason))
            self._end(update, "InvalidSignature", done.reason, now)
        else:
            self._reach(update, "SignatureVerified", phase="wait")
            self._advance(now)

    def installed(self, done: FirmwareInstalled, now: Now) -> None:
        """L01.FR.29; the new firmware counts as installed when it has reached the CSMS (L01.FR.28, L01.FR.32)."""
        update = self._mine(done, "install")
        if update is None:
            return
        log.info("firmware.installer", extra={"outcome": done.outcome, "reason": done.reason})
        match done.outcome:
            case "active":
                self._reach(update, None, phase="confirm", boot=now.boot)
                self._reconnecting = True
                self._station.reconnect(after="now")
            case "restart" | "again":
                self._reach(update, None, phase="restart", boot=now.boot, again=done.outcome == "again")
            case "unverified":
                self._end(update, "InstallVerificationFailed", done.reason, now)
            case "failed":
                self._end(update, "InstallationFailed", done.reason, now)
        self._advance(now)

    def confirmed(self, done: FirmwareConfirmed, now: Now) -> None:
        """L01.FR.28, L01.FR.31, L02.FR.20: or the machine has gone back to the firmware before."""
        update = self._mine(done, "confirm")
        if update is None:
            return
        if done.reason:
            self._end(update, "InstallVerificationFailed", done.reason, now)
            return
        self._end(update, "Installed", "", now)
        self._facts.emit(SecurityEventOccurred(type="FirmwareUpdated", tech_info=f"request {update.request_id}"))

    def dropped(self, done: FirmwareDropped, now: Now) -> None:
        """The disk has its room back."""
        del now
        log.debug("firmware.dropped", extra={"file": done.file})

    # --- its parts

    def _reach(self, update: FirmwareUpdate, status: FirmwareStatusEnumType | None, **changes: Any) -> FirmwareUpdate:
        """Keep how far it has come, and tell it if it is news (L01.FR.01, L02.FR.01)."""
        new = msgspec.structs.replace(update, told=status or update.told, **changes)
        if new != update:
            self._updates.keep(new)
        if status is not None and status != update.told:
            self._tell(new, status)
        return new

    def _tell(self, update: FirmwareUpdate, status: FirmwareStatusEnumType, *, asked: bool = False) -> None:
        """L01.FR.10, L01.FR.20, L02.FR.06, L02.FR.14."""
        told = FirmwareStatusNotificationRequest(status=status, request_id=update.request_id)
        self._csms.tell(told, asked=asked)

    def _end(self, update: FirmwareUpdate, status: FirmwareStatusEnumType, reason: str, now: Now) -> None:
        log.info("firmware.ended", extra={"request": update.request_id, "status": status, "reason": reason})
        self._forget()
        self._reach(update, status, phase="ended", location="", certificate="", signature="")
        self._jobs.start(DropFirmware(file=update.file))
        self._advance(now)

    def _start(self, job: Job, longest_s: float, now: Now) -> None:
        """Unless it runs already."""
        if self._running is None:
            self._jobs.start(job)
            self._running, self._since = job, now.mono
            self._patience = now.after(longest_s)
            self._alarm = Alarm(self._patience, self._lost_patience)

    def _stop(self) -> None:
        if self._running is not None:
            self._jobs.cancel(type(self._running))
        self._running = self._alarm = None

    def _mine(
        self, done: FirmwareDownloaded | FirmwareVerified | FirmwareInstalled | FirmwareConfirmed, phase: str
    ) -> FirmwareUpdate | None:
        """The update that the result is of, if it waits for it."""
        update = self._updates.ongoing
        if update is None or update.file != done.file or update.phase != phase:
            return None
        self._running = self._alarm = None
        return update

    def _recovered(self, now: Now) -> None:
        """A mistake has made the station read its tables again; a result may have been lost by it."""
        if self._running is None:
            self._try_again(now)
        elif self._jobs.awaits(type(self._running)):
            self._alarm = Alarm(self._patience, self._lost_patience)
        else:
            self._lost_patience(now)

    def _lost_patience(self, now: Now) -> None:
        """No result has come, and none will."""
        update, job = self._updates.ongoing, self._running
        self._stop()
        log.error("firmware.patience", extra={"job": type(job).__name__})
        if update is None:
            return
        if update.phase == "download":
            self._failed_attempt(update, "no result has come", now)
        elif update.phase == "confirm":
            self._end(update, "InstallVerificationFailed", "the installer has not answered", now)
        else:
            self._end(update, "InstallationFailed", "no result has come", now)

    def _in_use(self) -> bool:
        """Whether somebody is there: a transaction, an authorized driver, a cable that is still held."""
        return any(each.started or each.authorized or each.holds_cable for each in self._sessions.all())

    def _takes_out_of_service(self, now: Now) -> bool:
        """L01.FR.07, L02.FR.04."""
        update = self._updates.ongoing
        if update is None:
            return False
        welcome = self._variables.boolean("ChargingStation", "AllowNewSessionsPendingFirmwareUpdate")
        asked = update.phase == "restart" and self._restarts > 0
        return asked or self._terms.keep_sessions_out(update, now, welcome=welcome)

    # --- whatever may change

    def next_due(self) -> Deadline | None:
        """The next attempt, the end of patience; or a date of the CSMS."""
        if self._alarm is not None:
            return MonoDeadline(self._alarm.at)
        return WallDeadline(self._wall_at) if self._wall_at is not None else None

    def due(self, now: Now) -> None:
        """It has come."""
        alarm, self._alarm = self._alarm, None
        if alarm is not None:
            alarm.do(now)
        else:
            self._advance(now)

    def look_again(self, fact: object, now: Now) -> None:
        """Perhaps nobody is there any more, or somebody has come."""
        del fact
        if self._updates.ongoing is not None:
            self._advance(now)

    def variable_changed(self, fact: VariableChanged, now: Now) -> None:
        """AllowNewSessionsPendingFirmwareUpdate."""
        if fact.variable == "AllowNewSessionsPendingFirmwareUpdate":
            self.look_again(fact, now)

    def registered(self, fact: RegistrationChanged, now: Now) -> None:
        """The CSMS has accepted the station: the network and the time are there to go on (B02)."""
        if fact.status == "Accepted":
            self._begun = True
            self.look_again(fact, now)

    def linked(self, fact: LinkRestored, now: Now) -> None:
        """What has been installed without a restart has reached the CSMS."""
        self._reconnecting = False
        self.look_again(fact, now)

    def triggered(self, fact: MessageTriggered, now: Now) -> None:
        """F06.FR.16, L01.FR.25, L01.FR.26, L02.FR.16, L02.FR.17."""
        del now
        if fact.requested != "FirmwareStatusNotification":
            return
        last = self._updates.last
        if last is None or last.told in {None, "Installed"}:
            self._csms.tell(FirmwareStatusNotificationRequest(status="Idle"), asked=True)
        else:
            assert last.told is not None  # noqa: S101 - for mypy: it is not in the set above
            self._tell(last, last.told, asked=True)
