"""UpdateFirmware: what the CSMS asks for is judged, answered and kept; what is done then is block.py's (L01, L02)."""

from __future__ import annotations

import logging
from collections.abc import Callable

from station.block import Block, Later, Results, Routes, result, route
from station.blocks.firmware import intake
from station.blocks.firmware.jobs import JudgeSigner, SignerJudged
from station.blocks.firmware.progress import Progress
from station.blocks.firmware.terms import FirmwareTerms
from station.facts import Facts, FirmwareRequested, SecurityEventOccurred
from station.location import located
from station.now import Now
from station.ocpp.enums import UpdateFirmwareStatusEnumType
from station.ocpp.messages import UpdateFirmwareRequest, UpdateFirmwareResponse
from station.ocpp.types import FirmwareType
from station.ports import Csms, Ids, Jobs
from station.refusal import Refusal
from station.state.firmware_updates import FirmwareUpdate, FirmwareUpdates
from station.state.variables import Variables

log = logging.getLogger(__name__)

ANSWER_S = 25.0
"""How long it may take to judge a certificate before the CSMS hears that it failed."""

PROTOCOLS = ("OCPPCommCtrlr", "FileTransferProtocols")
FAILED = Refusal("InternalError", "it took too long to judge the certificate, or met an error in the station")
UPDATING = Refusal("FwUpdateInProgress", "the firmware is being changed just now")
DISK_FAILS = Refusal("InternalError", "the disk takes no writes")


class FirmwareRequests(Block):
    """Block L: UpdateFirmware. Without `terms` there is no installer, and it is not built in."""

    def __init__(  # noqa: PLR0913 - the wiring of a block, named at the one call
        self,
        *,
        terms: FirmwareTerms | None,
        updates: FirmwareUpdates,
        variables: Variables,
        csms: Csms,
        jobs: Jobs,
        facts: Facts,
        ids: Ids,
        disk_fails: Callable[[], bool],
    ) -> None:
        self._unsigned = terms is not None and terms.unsigned
        self._built_in = terms is not None
        self._updates = updates
        self._progress = Progress(updates, csms)
        self._variables = variables
        self._jobs = jobs
        self._facts = facts
        self._ids = ids
        self._disk_fails = disk_fails

    def routes(self) -> Routes:
        """L01, L02."""
        return [route(UpdateFirmwareRequest, self.update_firmware)] if self._built_in else []

    def results(self) -> Results:
        """L01."""
        return [result(SignerJudged, self.judged)]

    def update_firmware(self, request: UpdateFirmwareRequest, now: Now) -> UpdateFirmwareResponse | Later:
        """L01.FR.21, L01.FR.27, L02.FR.18."""
        refusal = self._refusal(request.firmware)
        if refusal is not None:
            log.warning("firmware.refused", extra={"reason": refusal.additional_info})
            return UpdateFirmwareResponse(status="Rejected", status_info=refusal.info)
        update, by = intake.wanted(request, self._ids.uuid()), now.after(ANSWER_S)
        if not update.certificate:
            return self._accept(update)
        failed = UpdateFirmwareResponse(status="Rejected", status_info=FAILED.info)
        return Later(JudgeSigner(update=update, at=now.wall, by=by), by, failed)

    def _refusal(self, firmware: FirmwareType) -> Refusal | None:
        if self._updates.uninterruptible:
            return UPDATING
        if self._disk_fails():
            return DISK_FAILS
        return intake.refusal(firmware, self._variables.members(*PROTOCOLS), unsigned=self._unsigned)

    def judged(self, done: SignerJudged, now: Now) -> UpdateFirmwareResponse:
        """L01.FR.02, L01.FR.22."""
        if now.mono >= done.by or self._updates.uninterruptible:  # too late: the CSMS has been told otherwise
            return UpdateFirmwareResponse(status="Rejected", status_info=UPDATING.info)
        if not done.reason:
            return self._accept(done.update)
        log.warning("firmware.signer_refused", extra={"reason": done.reason})
        self._facts.emit(SecurityEventOccurred(type="InvalidFirmwareSigningCertificate", tech_info=done.reason))
        info = Refusal("InvalidCertificate", done.reason).info
        status: UpdateFirmwareStatusEnumType = "RevokedCertificate" if done.revoked else "InvalidCertificate"
        return UpdateFirmwareResponse(status=status, status_info=info)

    def _accept(self, update: FirmwareUpdate) -> UpdateFirmwareResponse:
        """It takes the place of the one that is under way, whose end is told (L01.FR.24, L02.FR.15)."""
        former = self._updates.ongoing
        if former is not None:
            self._progress.tell(former, "DownloadFailed" if former.phase == "download" else "InstallationFailed")
        log.info("firmware.requested", extra={"request": update.request_id, "from": located(update.location).shown})
        self._updates.keep(update)
        self._facts.emit(FirmwareRequested(instead=former is not None))
        return UpdateFirmwareResponse(status="Accepted" if former is None else "AcceptedCanceled")
