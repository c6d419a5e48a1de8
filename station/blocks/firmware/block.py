"""An update: a file is fetched, its signature checked, it is installed, and each step told (L01, L02).

What takes time are jobs; here is what is done when. How it is asked for: requests.py. At most one update is under way:
a newer one takes its place, unless the firmware is being changed just then. Each step is in the table before it begins,
so that an update goes on from there after a power cut. That a restart has put the new firmware in place counts when the
CSMS has accepted the station and the installer says so.
Invariant: each update that was accepted ends with a status of its own; nothing unsigned is installed unless
station.yaml allows it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from station.block import Block, Reactions, Results, on, result
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
    VerifyFirmware,
)
from station.blocks.firmware.progress import Progress
from station.blocks.firmware.service import Service
from station.blocks.firmware.terms import FirmwareTerms
from station.blocks.firmware.work import Work
from station.facts import (
    AuthorizationEnded,
    Authorized,
    Facts,
    FirmwareRequested,
    LinkRestored,
    LockChanged,
    MessageTriggered,
    PlugRemoved,
    RegistrationChanged,
    SecurityEventOccurred,
    StationStarted,
    StoreRecovered,
    TransactionEnded,
    TransactionStarted,
    VariableChanged,
)
from station.now import BootId, Deadline, Mono, MonoDeadline, Now, Wall, WallDeadline
from station.ocpp.enums import FirmwareStatusEnumType
from station.ports import Csms, Jobs, Station
from station.state.connectors import Connectors
from station.state.firmware_updates import FirmwareUpdate, FirmwareUpdates
from station.state.registration import Registration
from station.state.sessions import Sessions
from station.state.variables import Variables

log = logging.getLogger(__name__)

LEAST_PAUSE_S = 1.0
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


class Firmware(Block):
    """Block L: what is done of an update, and when. Without `terms` there is none."""

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
        disk_fails: Callable[[], bool],
    ) -> None:
        self._terms = terms or FirmwareTerms()
        self._updates = updates
        self._progress = Progress(updates, csms)
        self._registration = registration
        self._service = Service(
            terms=self._terms,
            updates=updates,
            sessions=sessions,
            connectors=connectors,
            variables=variables,
            facts=facts,
        )
        self._jobs = jobs
        self._station = station
        self._facts = facts
        self._disk_fails = disk_fails
        self._work = Work(jobs, self._lost_patience)
        self._boot = BootId(0)
        self._forget()
        self._begun = False  # the CSMS has been heard in this run: the time is known, and the network there

    def _forget(self) -> None:
        self._work.forget()
        self._wall_at: Wall | None = None
        self._between_attempts = False
        self._reconnecting = False
        self._restarts = 0  # asked for, and not come

    def results(self) -> Results:
        """L01, L02."""
        return [
            result(FirmwareDownloaded, self.downloaded),
            result(FirmwareVerified, self.verified),
            result(FirmwareInstalled, self.installed),
            result(FirmwareConfirmed, self.confirmed),
            result(FirmwareDropped, self.dropped),
        ]

    def reactions(self) -> Reactions:
        """All that an update may wait for, and the trigger."""
        return [
            on(FirmwareRequested, self.requested),
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
        elif self._updates.ongoing is not None:
            self._work.look_soon(now, self._try_again)
        self._service.load(now, restarting=self._restarts > 0)

    def requested(self, fact: FirmwareRequested, now: Now) -> None:
        """Another update takes the place of the one that may have been under way (L01.FR.24, L02.FR.15)."""
        if fact.instead:
            for kind in (DownloadFirmware, VerifyFirmware, ConfirmFirmware):
                self._jobs.cancel(kind)
        self._forget()
        self._begun = True
        self._advance(now)

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
        self._service.follow(now, restarting=self._restarts > 0)

    def _download(self, update: FirmwareUpdate, now: Now) -> None:
        """L01.FR.13, L01.FR.14, L02.FR.07, L02.FR.08."""
        if not self._begun or self._between_attempts:
            return
        early = now.wall < update.retrieve
        if early or (self._terms.while_charging == "nothing" and self._service.in_use()):
            self._wall_at = update.retrieve if early else None
            self._work.stop()
            begun = update.told in {"Downloading", "DownloadPaused"}
            self._progress.reach(update, "DownloadPaused" if begun else "DownloadScheduled")
            return
        update = self._progress.reach(update, "Downloading")
        self._work.start(DownloadFirmware(file=update.file, location=update.location), LONGEST_DOWNLOAD_S, now)

    def _verify(self, update: FirmwareUpdate, now: Now) -> None:
        job = VerifyFirmware(file=update.file, certificate=update.certificate, signature=update.signature)
        self._work.start(job, LONGEST_CHECK_S, now)

    def _wait(self, update: FirmwareUpdate, now: Now) -> None:
        """L01.FR.05, L01.FR.06, L01.FR.16, L01.FR.34, L02.FR.02, L02.FR.03, L02.FR.10, L02.FR.23."""
        early = update.install is not None and now.wall < update.install
        self._wall_at = update.install if early else None
        if early or (self._terms.while_charging != "install" and self._service.in_use()):
            self._progress.reach(update, "InstallScheduled")
        elif not self._disk_fails():
            self._install(update, now)

    def _install(self, update: FirmwareUpdate, now: Now) -> None:
        """Begin, or begin again what a power cut has ended; too often, and it is only asked what has become of it."""
        if self._work.job is not None:
            return
        if update.attempts >= MOST_ATTEMPTS:
            self._progress.reach(update, None, phase="confirm", attempts=MOST_ATTEMPTS + 1)
            self._advance(now)
            return
        self._progress.reach(update, "Installing", phase="install", attempts=update.attempts + 1)
        job = InstallFirmware(file=update.file, certificate=update.certificate, signature=update.signature)
        self._work.start(job, self._terms.patience_s + SLACK_S, now)

    def _restart(self, update: FirmwareUpdate, now: Now) -> None:
        """L01.FR.15, L01.FR.32, L01.FR.33, L02.FR.09, L02.FR.21, L02.FR.22."""
        if update.boot != now.boot:  # it has come, one way or another
            if update.again:
                self._install(update, now)
            else:
                self._progress.reach(update, None, phase="confirm")
                self._advance(now)
            return
        if self._work.alarm is not None or self._service.in_use() or self._disk_fails():
            return
        if self._restarts >= MOST_ATTEMPTS:
            self._end(update, "InstallationFailed", "the machine does not restart", now)
            return
        self._restarts += 1
        self._progress.reach(update, "InstallRebooting")
        self._station.reboot("FirmwareUpdate", after="drained", by=now.after(DRAIN_S))
        self._work.call(now.after(DRAIN_S + GONE_S), self._advance)

    def _confirm(self, update: FirmwareUpdate, now: Now) -> None:
        """When this firmware has reached the CSMS; or when it should have."""
        patience_s, within_s = self._terms.patience_s + SLACK_S, self._terms.healthy_within_s
        if self._registration.accepted and not self._reconnecting:
            self._work.start(ConfirmFirmware(file=update.file), patience_s, now)
        elif within_s is not None and self._work.job is None and self._work.alarm is None:
            late = ConfirmFirmware(file=update.file, late=True)
            self._work.call(now.after(within_s), lambda then: self._work.start(late, patience_s, then))

    # --- what came of it

    def downloaded(self, done: FirmwareDownloaded, now: Now) -> None:
        """L01.FR.30, L02.FR.19: of attempts that fail only the last one is told."""
        update = self._mine(done, "download")
        if update is None:
            return
        if done.reason:
            self._failed_attempt(update, done.reason, now)
            return
        self._progress.reach(update, "Downloaded", phase="verify" if update.certificate else "wait")
        self._advance(now)

    def _failed_attempt(self, update: FirmwareUpdate, reason: str, now: Now) -> None:
        log.warning("firmware.not_downloaded", extra={"reason": reason, "retries": update.retries})
        if not update.retries:
            self._end(update, "DownloadFailed", reason, now)
            return
        self._updates.keep(msgspec.structs.replace(update, retries=update.retries - 1))
        self._between_attempts = True
        self._work.call(max(Mono(self._work.since + update.interval_s), now.after(LEAST_PAUSE_S)), self._try_again)

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
            self._progress.reach(update, "SignatureVerified", phase="wait")
            self._advance(now)

    def installed(self, done: FirmwareInstalled, now: Now) -> None:
        """L01.FR.29; the new firmware counts as installed when it has reached the CSMS (L01.FR.28, L01.FR.32)."""
        update = self._mine(done, "install")
        if update is None:
            return
        log.info("firmware.installer", extra={"outcome": done.outcome, "reason": done.reason})
        match done.outcome:
            case "active":
                self._progress.reach(update, None, phase="confirm", boot=now.boot)
                self._reconnecting = True
                self._station.reconnect(after="now")
            case "restart" | "again":
                self._progress.reach(update, None, phase="restart", boot=now.boot, again=done.outcome == "again")
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
        if done.restart:  # what has become of it is told by the firmware before
            log.warning("firmware.goes_back", extra={"reason": done.reason})
            self._progress.reach(update, None, phase="restart", boot=now.boot, again=False)
            self._advance(now)
            return
        if done.reason:
            too_often = update.attempts > MOST_ATTEMPTS  # it was begun so often, and has never come to an end
            self._end(update, "InstallationFailed" if too_often else "InstallVerificationFailed", done.reason, now)
            return
        self._end(update, "Installed", "", now)
        self._facts.emit(SecurityEventOccurred(type="FirmwareUpdated", tech_info=f"request {update.request_id}"))

    def dropped(self, done: FirmwareDropped, now: Now) -> None:
        """The disk has its room back."""
        del now
        log.debug("firmware.dropped", extra={"file": done.file})

    # --- its parts

    def _end(self, update: FirmwareUpdate, status: FirmwareStatusEnumType, reason: str, now: Now) -> None:
        log.info("firmware.ended", extra={"request": update.request_id, "status": status, "reason": reason})
        self._forget()
        self._progress.reach(update, status, phase="ended", location="", certificate="", signature="")
        self._jobs.start(DropFirmware(file=update.file))
        self._advance(now)

    def _mine(
        self, done: FirmwareDownloaded | FirmwareVerified | FirmwareInstalled | FirmwareConfirmed, phase: str
    ) -> FirmwareUpdate | None:
        """The update that the result is of, if it waits for it."""
        update = self._updates.ongoing
        if update is None or update.file != done.file or update.phase != phase:
            return None
        self._work.ended()
        return update

    def _lost_patience(self, now: Now) -> None:
        """No result has come, and none will."""
        update = self._updates.ongoing
        log.error("firmware.patience", extra={"job": type(self._work.job).__name__})
        self._work.stop()
        if update is None:
            return
        if update.phase == "download":
            self._failed_attempt(update, "no result has come", now)
        elif update.phase == "confirm":
            self._end(update, "InstallVerificationFailed", "the installer has not answered", now)
        else:
            self._end(update, "InstallationFailed", "no result has come", now)

    # --- whatever may change

    def next_due(self) -> Deadline | None:
        """The next attempt, the end of patience; or a date of the CSMS."""
        if self._work.alarm is not None:
            return MonoDeadline(self._work.alarm.at)
        return WallDeadline(self._wall_at) if self._wall_at is not None else None

    def due(self, now: Now) -> None:
        """It has come."""
        if not self._work.due(now):
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
        if fact.requested == "FirmwareStatusNotification":
            self._progress.tell_again()
