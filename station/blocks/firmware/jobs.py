"""The slow work of block L. `file` names the update that a job is for; each may be done twice, after a power cut."""

from __future__ import annotations

from typing import Literal

from station.block import Job, JobResult
from station.now import Mono, Wall
from station.state.firmware_updates import FirmwareUpdate

Outcome = Literal["active", "restart", "again", "unverified", "failed"]
"""How an installation ended. active: the new firmware runs; restart: it will after a restart; again: the installation
itself needs a restart first; unverified: it is no firmware for this station."""


class JudgeSigner(Job, frozen=True, kw_only=True):
    """Whether the certificate may sign firmware (L01.FR.21)."""

    update: FirmwareUpdate
    at: Wall
    by: Mono
    """From then on the CSMS has had another answer."""

    @property
    def key(self) -> str:
        """Each request gets its own answer."""
        return f"JudgeSigner {self.update.file}"


class SignerJudged(JobResult, frozen=True, kw_only=True):
    """It may, unless `reason` says why not. `revoked`: because it was revoked."""

    update: FirmwareUpdate
    by: Mono
    reason: str = ""
    revoked: bool = False


class DownloadFirmware(Job, frozen=True, kw_only=True):
    """Try once to fetch the file; what has come already is continued."""

    file: str
    location: str


class FirmwareDownloaded(JobResult, frozen=True, kw_only=True):
    """It is there, unless `reason` says why not."""

    file: str
    reason: str = ""


class VerifyFirmware(Job, frozen=True, kw_only=True):
    """Whether the file is as the certificate's owner has signed it (L01.FR.04)."""

    file: str
    certificate: str
    signature: str


class FirmwareVerified(JobResult, frozen=True, kw_only=True):
    """It is, unless `reason` says why not. `readable`: whether there was a file at all."""

    file: str
    reason: str = ""
    readable: bool = True


class InstallFirmware(Job, frozen=True, kw_only=True):
    """Let the installer do its work, if the file is still what was signed: days may lie in between, and a power cut."""

    file: str
    certificate: str = ""
    signature: str = ""


class FirmwareInstalled(JobResult, frozen=True, kw_only=True):
    """It has."""

    file: str
    outcome: Outcome
    reason: str = ""


class ConfirmFirmware(Job, frozen=True, kw_only=True):
    """The CSMS has accepted the station: ask the installer whether the new firmware runs, and let it keep that.

    `late`: it has not, and there was time enough; what runs shall go where the firmware before is.
    """

    file: str
    late: bool = False


class FirmwareConfirmed(JobResult, frozen=True, kw_only=True):
    """It does, unless `reason` says why not. `restart`: after one the firmware before runs again."""

    file: str
    reason: str = ""
    restart: bool = False


class DropFirmware(Job, frozen=True, kw_only=True):
    """The update has ended: remove what was fetched."""

    file: str


class FirmwareDropped(JobResult, frozen=True, kw_only=True):
    """It is gone."""

    file: str
