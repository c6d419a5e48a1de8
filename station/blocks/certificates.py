"""Block M, as far as it is the CSMS that manages root certificates: which there are, one more, one less (M03 to M05).

Reading, checking and writing certificates is slow and touches files: each request is a job, and its result the reply.
The station's own certificates come and go by block A; here they are only listed and counted.
Invariant: nothing is removed here without which the station could not come back to this CSMS.
"""

from __future__ import annotations

import logging
from typing import Literal

from station.block import Block, Job, JobResult, Later, Reactions, Results, Routes, on, result, route
from station.facts import (
    Facts,
    LinkRestored,
    OwnCertificateInstalled,
    OwnCertificatesRemoved,
    SecurityEventOccurred,
)
from station.now import Now, Wall
from station.ocpp.base import Response
from station.ocpp.messages import (
    DeleteCertificateRequest,
    DeleteCertificateResponse,
    GetInstalledCertificateIdsRequest,
    GetInstalledCertificateIdsResponse,
    InstallCertificateRequest,
    InstallCertificateResponse,
)
from station.ocpp.types import CertificateHashDataChainType, CertificateHashDataType, StatusInfoType
from station.ports import Jobs
from station.refusal import Refusal
from station.state.certificates import CSMS_ROOT, Certificate, Certificates
from station.state.network import Network
from station.state.variables import Variables

log = logging.getLogger(__name__)

PATIENCE_S = 25.0
"""How long a job may take before the CSMS hears that it failed."""

CTRLR = "SecurityCtrlr"
TLS = 2
"""From this security profile on the CSMS shows a certificate."""

FAILED = Refusal("InternalError", "it took too long, or met an error in the station")


class InstallRoot(Job, frozen=True, kw_only=True):
    """Check a root certificate and install it (M05)."""

    kind: str
    pem: str
    at: Wall
    certain: bool
    """Whether `at` is the time, and not only one that has passed already."""
    most: int
    """CertificateEntries.maxLimit."""
    replace: bool
    """AdditionalRootCertificateCheck holds for it."""
    places: tuple[str, ...]
    """URLs of the CSMSs that a replaced root may still vouch for."""

    @property
    def key(self) -> str:
        """Each certificate gets its own answer."""
        return f"InstallRoot {self.kind} {self.pem}"


class RootInstalled(JobResult, frozen=True, kw_only=True):
    """What came of it. `installed`: what there is now."""

    status: Literal["Accepted", "Rejected", "Failed"]
    refusal: Refusal | None = None
    kind: str = ""
    subject: str = ""
    installed: tuple[Certificate, ...]


class DeleteByHash(Job, frozen=True, kw_only=True):
    """Remove the certificate of this name (M04)."""

    wanted: CertificateHashDataType
    in_use: str
    """The fingerprint of the CSMS root that must stay; "" if that is not known."""
    secured: bool
    """Whether the station needs a CSMS root at all."""

    @property
    def key(self) -> str:
        """Each certificate gets its own answer."""
        return f"DeleteByHash {self.wanted}"


class DeletedByHash(JobResult, frozen=True, kw_only=True):
    """What came of it."""

    status: Literal["Accepted", "Failed", "NotFound"]
    refusal: Refusal | None = None
    removed: tuple[str, ...] = ()
    """What was removed, as people name it."""
    installed: tuple[Certificate, ...]


class ListCertificates(Job, frozen=True, kw_only=True):
    """The names of all certificates of these kinds; of all if there are none (M03)."""

    kinds: tuple[str, ...]
    in_use: str
    """The fingerprint of the CSMS root that is told last: whoever tidies up begins with the others."""

    @property
    def key(self) -> str:
        """Each question gets its own answer."""
        return f"ListCertificates {','.join(self.kinds)}"


class CertificatesListed(JobResult, frozen=True, kw_only=True):
    """Them."""

    chains: tuple[CertificateHashDataChainType, ...]


class DropReplaced(Job, frozen=True, kw_only=True):
    """The new CSMS root has vouched for a CSMS: the one that it replaces is not needed any more (M05.FR.13)."""


class ReplacedDropped(JobResult, frozen=True, kw_only=True):
    """It is gone."""

    removed: tuple[str, ...]
    installed: tuple[Certificate, ...]


class TakeStock(Job, frozen=True, kw_only=True):
    """See which certificates there are."""


class StockTaken(JobResult, frozen=True, kw_only=True):
    """These."""

    installed: tuple[Certificate, ...]


class RootCertificates(Block):
    """Block M: certificates of authorities."""

    def __init__(
        self, *, certificates: Certificates, network: Network, variables: Variables, jobs: Jobs, facts: Facts
    ) -> None:
        self._certificates = certificates
        self._network = network
        self._variables = variables
        self._jobs = jobs
        self._facts = facts

    def routes(self) -> Routes:
        """M03, M04, M05."""
        return [
            route(InstallCertificateRequest, self.install),
            route(DeleteCertificateRequest, self.delete),
            route(GetInstalledCertificateIdsRequest, self.list_),
        ]

    def results(self) -> Results:
        """What came of it."""
        return [
            result(RootInstalled, self.installed),
            result(DeletedByHash, self.deleted),
            result(CertificatesListed, self.listed),
            result(ReplacedDropped, self.dropped),
            result(StockTaken, self.took_stock),
        ]

    def reactions(self) -> Reactions:
        """Which root has vouched for the CSMS; the station's own certificates count, too."""
        return [
            on(LinkRestored, self.connected),
            on(OwnCertificateInstalled, self.own_changed),
            on(OwnCertificatesRemoved, self.own_changed),
        ]

    def load(self, now: Now) -> None:
        """CertificateEntries."""
        del now
        self._show_entries()

    # --- InstallCertificate

    def install(self, request: InstallCertificateRequest, now: Now) -> Later:
        """M05.FR.01."""
        kind = request.certificate_type
        job = InstallRoot(
            kind=kind,
            pem=request.certificate,
            at=now.wall,
            certain=now.trusted,
            most=self._variables.most(CTRLR, "CertificateEntries"),
            replace=kind == CSMS_ROOT and self._variables.boolean(CTRLR, "AdditionalRootCertificateCheck"),
            places=tuple(profile.url for profile in self._network.profiles()),
        )
        return _later(job, InstallCertificateResponse(status="Failed", status_info=FAILED.info), now)

    def installed(self, done: RootInstalled, now: Now) -> InstallCertificateResponse:
        """M05.FR.02, M05.FR.03, M05.FR.07."""
        del now
        self._know(done.installed)
        if done.status == "Accepted":
            self._reconfigured(f"{done.kind} {done.subject} installed")
        else:
            log.warning("certificate.refused", extra={"kind": done.kind, "refusal": _words(done.refusal)})
        return InstallCertificateResponse(status=done.status, status_info=_info(done.refusal))

    # --- DeleteCertificate

    def delete(self, request: DeleteCertificateRequest, now: Now) -> Later:
        """M04.FR.01."""
        job = DeleteByHash(
            wanted=request.certificate_hash_data,
            in_use=self._certificates.in_use,
            secured=self._network.level >= TLS,
        )
        return _later(job, DeleteCertificateResponse(status="Failed", status_info=FAILED.info), now)

    def deleted(self, done: DeletedByHash, now: Now) -> DeleteCertificateResponse:
        """M04.FR.02 to M04.FR.04."""
        del now
        self._know(done.installed)
        for each in done.removed:
            self._reconfigured(f"{each} deleted")
        return DeleteCertificateResponse(status=done.status, status_info=_info(done.refusal))

    # --- GetInstalledCertificateIds

    def list_(self, request: GetInstalledCertificateIdsRequest, now: Now) -> Later:
        """M03.FR.01."""
        job = ListCertificates(kinds=tuple(request.certificate_type or ()), in_use=self._certificates.in_use)
        return _later(job, GetInstalledCertificateIdsResponse(status="NotFound", status_info=FAILED.info), now)

    def listed(self, done: CertificatesListed, now: Now) -> GetInstalledCertificateIdsResponse:
        """M03.FR.02, M03.FR.03."""
        del now
        if not done.chains:
            return GetInstalledCertificateIdsResponse(status="NotFound")
        return GetInstalledCertificateIdsResponse(status="Accepted", certificate_hash_data_chain=done.chains)

    # --- AdditionalRootCertificateCheck

    def connected(self, fact: LinkRestored, now: Now) -> None:
        """M05.FR.13: a root that replaces another one has proven itself."""
        del now
        self._certificates.vouched(fact.path)
        unproven = self._certificates.unproven
        if unproven and unproven == self._certificates.in_use:
            self._jobs.start(DropReplaced())

    def dropped(self, done: ReplacedDropped, now: Now) -> None:
        """It is on its own now."""
        del now
        self._know(done.installed)
        for each in done.removed:
            self._reconfigured(f"{each} removed, its successor has vouched for the CSMS")

    # --- CertificateEntries

    def own_changed(self, fact: OwnCertificateInstalled | OwnCertificatesRemoved, now: Now) -> None:
        """Block A has another one, or one less."""
        del fact, now
        self._jobs.start(TakeStock())

    def took_stock(self, taken: StockTaken, now: Now) -> None:
        """That many."""
        del now
        self._know(taken.installed)

    def _know(self, installed: tuple[Certificate, ...]) -> None:
        self._certificates.know(installed)
        self._show_entries()

    def _show_entries(self) -> None:
        """As far as the variable goes: the station's file may name a bundle of hundreds."""
        most = self._variables.most(CTRLR, "CertificateEntries")
        self._variables.set(CTRLR, "CertificateEntries", str(min(self._certificates.entries, most)))

    def _reconfigured(self, what: str) -> None:
        self._facts.emit(SecurityEventOccurred(type="ReconfigurationOfSecurityParameters", tech_info=what))


def _later(job: Job, otherwise: Response, now: Now) -> Later:
    return Later(job, now.after(PATIENCE_S), otherwise)


def _info(refusal: Refusal | None) -> StatusInfoType | None:
    return refusal.info if refusal is not None else None


def _words(refusal: Refusal | None) -> str:
    return f"{refusal.reason_code}: {refusal.additional_info}" if refusal is not None else ""
