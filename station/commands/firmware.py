"""The jobs of block L: the file is fetched into the state directory and checked there; an installer does the rest.

What has come of a file is kept with how much of it is surely on the disk, so
that a download goes on there after a power cut. Nothing here decides: each job may be done again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Mapping
from io import BufferedWriter
from pathlib import Path
from typing import BinaryIO, Final, cast

import msgspec

from certs.errors import BadCertificate, BadSignature
from certs.trust import TrustStore
from station.block import Job
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
from station.commands import network
from station.commands.installers import Silent
from station.commands.installers.choice import chosen
from station.commands.logfiles import transfers
from station.config import Config
from station.location import BadLocation, located
from station.now import to_datetime
from station.shell.jobs import Worker
from station.shell.linkdown import Down
from station.shell.names import Resolver
from station.shell.revocation import IsRevoked, Revoked
from station.shell.threads import in_thread
from station.shell.transfer.ways import Failed, Incoming
from station.store import files

log = logging.getLogger(__name__)

FOLDER: Final = "firmware"
SPARE_BYTES: Final = 32_000_000
"""So much of the disk stays free: the database needs it more."""
SYNC_BYTES: Final = 4_000_000
"""So often it is noted how much has come: what comes after it is fetched again after a power cut."""
_MEGABYTE: Final = 1_000_000


class Part(msgspec.Struct, frozen=True):
    """What lies beside a part of a file: of which version it is, and how much of it is surely on the disk."""

    validator: str = ""
    durable: int = 0


class Fetched(Incoming, kw_only=True):
    """A file that is fetched, and can be continued after a power cut: what is not surely there is cut off."""

    @classmethod
    def resumed(cls, path: Path, limit_bytes: int) -> Fetched:
        """With what an earlier attempt left. Raises OSError."""
        part = _noted(path)
        if path.exists() and path.stat().st_size > part.durable:
            os.truncate(path, part.durable)
        return cls(path=path, limit_bytes=limit_bytes, validator=part.validator)

    def open(self, validator: str) -> BinaryIO:
        """See `Incoming`."""
        raw = super().open(validator)
        note(self.path, Part(validator, self.part))
        return cast("BinaryIO", _Durable(raw, self))


class _Durable(BufferedWriter):
    """Writes through, and notes from time to time how much is surely there."""

    def __init__(self, raw: BinaryIO, fetched: Fetched) -> None:
        super().__init__(cast("BufferedWriter", raw).detach())
        self._fetched = fetched
        self._unsure = 0

    def write(self, data: bytes) -> int:  # type: ignore[override]  # bytes are all that a transfer writes
        """As any file."""
        written = super().write(data)
        self._unsure += written
        if self._unsure >= SYNC_BYTES:
            self._settle()
        return written

    def close(self) -> None:
        """All of it is durable then."""
        if not self.closed:
            try:
                self._settle()
            finally:
                super().close()

    def _settle(self) -> None:
        self.flush()
        os.fsync(self.fileno())
        note(self._fetched.path, Part(self._fetched.validator, self.tell()))
        self._unsure = 0


def note(path: Path, part: Part) -> None:
    """Keep it beside the file. Raises OSError."""
    files.replace(_beside(path), msgspec.json.encode(part))


def _noted(path: Path) -> Part:
    try:
        return msgspec.json.decode(_beside(path).read_bytes(), type=Part)
    except (OSError, msgspec.DecodeError, ValueError, RecursionError):
        return Part()


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def judge(job: JudgeSigner, roots_pem: str) -> SignerJudged:
    """By the manufacturer's roots alone."""
    found = signer(job, roots_pem)
    return found if isinstance(found, SignerJudged) else SignerJudged(update=job.update, by=job.by)


def signer(job: JudgeSigner, roots_pem: str) -> SignerJudged | list[bytes]:
    """The path from the signer's certificate to a manufacturer's root; or that there is none, and why."""
    from certs.signature import check_signer  # noqa: PLC0415 - heavy, used rarely

    try:
        found = check_signer(job.update.certificate, roots_pem, to_datetime(job.at))
    except BadCertificate as error:
        return SignerJudged(update=job.update, by=job.by, reason=str(error))
    log.info("firmware.signer", extra={"subject": found.subject})
    return list(found.path)


def signed(job: VerifyFirmware | InstallFirmware, path: Path) -> bytes:
    """The SHA-256 of what the signer has signed, and lies there; nothing of an update without signer and signature.

    Raises BadSignature, of half of the two, too, and OSError.
    """
    from certs.signature import check  # noqa: PLC0415 - heavy, used rarely

    return check(path, job.certificate, job.signature) if job.certificate or job.signature else b""


def verify(job: VerifyFirmware, path: Path) -> FirmwareVerified:
    """What lies on the disk, not what was seen on its way there."""
    try:
        signed(job, path)
    except BadSignature as error:
        return FirmwareVerified(file=job.file, reason=str(error))
    except OSError as error:
        return FirmwareVerified(file=job.file, reason=str(error), readable=False)
    return FirmwareVerified(file=job.file)


class FirmwareFiles:
    """Does the jobs of one station."""

    def __init__(self, config: Config, silent: Silent) -> None:
        given = config.file.firmware
        if given is None:
            raise ValueError("station.yaml names no installer")
        self._given = given
        self._installer = chosen(config, given, silent)
        self._folder = config.state / FOLDER
        self._roots = config.roots
        self._transfers = transfers(config)
        self._revoked = Revoked(Resolver())
        self._revocation = network.revocation(config)

    def workers(self) -> Mapping[type[Job], Worker]:
        """By the kind of job."""
        return {
            JudgeSigner: self.judge,
            DownloadFirmware: self.download,
            VerifyFirmware: self.verify,
            InstallFirmware: self.install,
            ConfirmFirmware: self.confirm,
            DropFirmware: self.drop,
        }

    async def judge(self, job: JudgeSigner) -> SignerJudged:
        """See the job. Whom the certificate names is asked whether it was revoked, by the policy for CSMSs."""
        from certs.signature import MANUFACTURER_ROOT  # noqa: PLC0415 - heavy, used rarely

        found = await in_thread(lambda: signer(job, TrustStore(self._roots).bundle(MANUFACTURER_ROOT)), "firmware")
        if isinstance(found, SignerJudged):
            return found
        try:
            await self._revoked(found, self._revocation)
        except Down as down:
            revoked = isinstance(down, IsRevoked)
            return SignerJudged(update=job.update, by=job.by, reason=down.why.detail, revoked=revoked)
        return SignerJudged(update=job.update, by=job.by)

    async def download(self, job: DownloadFirmware) -> FirmwareDownloaded:
        """See the job. Room on the disk is made and looked for first."""
        path = self._folder / job.file
        try:
            into = await in_thread(lambda: self._prepared(path), "firmware")
            await self._transfers.download(located(job.location), into)
        except (Failed, BadLocation, OSError) as error:
            reason = error.detail if isinstance(error, Failed) else str(error)
            return FirmwareDownloaded(file=job.file, reason=reason or type(error).__name__)
        return FirmwareDownloaded(file=job.file)

    def _prepared(self, path: Path) -> Fetched:
        files.make_directory(self._folder)
        for other in self._folder.iterdir():
            if other not in {path, _beside(path)}:
                files.remove(other)
        held = path.stat().st_size if path.exists() else 0
        room = shutil.disk_usage(self._folder).free - SPARE_BYTES + held
        return Fetched.resumed(path, max(min(self._given.largest_mb * _MEGABYTE, room), 0))

    async def verify(self, job: VerifyFirmware) -> FirmwareVerified:
        """See the job."""
        return await in_thread(lambda: verify(job, self._folder / job.file), "firmware")

    async def install(self, job: InstallFirmware) -> FirmwareInstalled:
        """See the job."""
        path = self._folder / job.file
        try:
            digest = await in_thread(lambda: self._signed(job, path), "firmware")
        except BadSignature as error:
            return FirmwareInstalled(
                file=job.file, outcome="unverified", reason=f"changed since it was checked: {error}"
            )
        except OSError as error:
            return FirmwareInstalled(file=job.file, outcome="failed", reason=str(error))
        done = await self._installer.install(job.file, path, digest)
        return FirmwareInstalled(file=job.file, outcome=done.outcome, reason=done.words)

    def _signed(self, job: InstallFirmware, path: Path) -> bytes:
        """RAUC makes a bundle root's own before it reads it: one that was given to it in an earlier attempt is its."""
        try:
            return signed(job, path)
        except PermissionError:
            if not self._installer.takes_file:
                raise
            return b""

    async def confirm(self, job: ConfirmFirmware) -> FirmwareConfirmed:
        """See the job."""
        done = await self._installer.confirm(job.file, self._folder / job.file, late=job.late)
        return FirmwareConfirmed(file=job.file, reason=done.reason, restart=done.restart)

    async def drop(self, job: DropFirmware) -> FirmwareDropped:
        """See the job."""
        path = self._folder / job.file
        with contextlib.suppress(OSError):
            files.remove(path)
            files.remove(_beside(path))
        return FirmwareDropped(file=job.file)
