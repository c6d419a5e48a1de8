"""The jobs about certificates of vehicles and of the SECC: chains looked at, statuses judged, in a thread of their own.

What `do` does with a job it does at once, so that the bench can call it, too.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import msgspec

from certs.errors import BadCertificate
from certs.keystore import HashData
from certs.own import OwnChains
from certs.trust import TrustStore, certificates, fingerprint
from station.block import Job, JobResult
from station.blocks.authorization.contracts import CheckContract, ContractChecked
from station.blocks.iso15118.secc import Chain, ChainsRead, JudgeStatus, Link, ReadChains, StatusJudged
from station.config import Config
from station.now import to_datetime, to_wall
from station.ocpp.types import OCSPRequestDataType
from station.shell.errand import errand
from station.shell.jobs import Worker
from station.state.certificates import MO_ROOT, V2G_ROOT

log = logging.getLogger(__name__)


class Kept(Protocol):
    """The chains of the station's own keys."""

    def read(self, key: str) -> str:
        """PEM, leaf first; "" if there is none. Raises OSError."""
        ...


class Places(msgspec.Struct, frozen=True):
    """Where everything is."""

    roots: TrustStore
    chains: Kept


class CertificateWork:
    """The jobs, done now. Nothing here raises: what goes wrong is in the result."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._work: Mapping[type[Job], Callable[[Any], JobResult]] = {
            CheckContract: self.check,
            ReadChains: self.read,
            JudgeStatus: self.judge,
        }

    def __contains__(self, job: Job) -> bool:
        return type(job) in self._work

    def do(self, job: Job) -> JobResult:
        """One job."""
        return self._work[type(job)](job)

    def workers(self) -> dict[type[Job], Worker]:
        """For the shell."""
        turn = asyncio.Lock()

        async def work(job: Job) -> JobResult:
            async with turn:  # however many vehicles come at once, the others have a core left
                return await errand(lambda: self.do(job), "certificates")

        return dict.fromkeys(self._work, work)

    def check(self, job: CheckContract) -> ContractChecked:
        """C07: whom a contract names, and whether it leads to a root of mobility operators, or of V2G."""
        from certs import contract  # noqa: PLC0415 - heavy, used rarely

        try:
            roots = [pem for use in (MO_ROOT, V2G_ROOT) for pem in certificates(self._places.roots.bundle(use))]
            found = contract.judged(job.pem, job.emaid, roots, to_datetime(job.at))
        except BadCertificate as error:
            return ContractChecked(evse_id=job.evse_id, shown_at=job.shown_at, flaw=str(error))
        except Exception as error:
            log.exception("contract.trouble")
            return ContractChecked(evse_id=job.evse_id, shown_at=job.shown_at, flaw=type(error).__name__)
        return ContractChecked(
            evse_id=job.evse_id,
            shown_at=job.shown_at,
            emaid=found.emaid,
            pem=found.pem,
            hash_data=tuple(to_wire(each.hash_data, each.url) for each in found.named),
            flaw=found.flaw,
            rootless=found.rootless,
        )

    def read(self, job: ReadChains) -> ChainsRead:
        """M06: the chains, and what a responder is asked about each certificate."""
        try:
            chains = [tuple(self._links(key)) for key in job.keys]
        except Exception:
            log.exception("secc.trouble")
            return ChainsRead(chains=None)
        return ChainsRead(chains=tuple(Chain(links) for links in chains if links))

    def _links(self, key: str) -> Iterator[Link]:
        from certs import ocsp, x509  # noqa: PLC0415 - heavy, used rarely

        pems = certificates(self._places.chains.read(key))
        own = list(x509.readable(pems))
        above = [*own, *x509.readable(certificates(self._places.roots.bundle(V2G_ROOT)))]
        for pem, certificate in zip(pems, own, strict=True):
            issuer, url = x509.issuer_among(certificate, above), ocsp.responder(certificate)
            asked = None
            if issuer is not None and url is not None:
                asked = to_wire(x509.hash_data(certificate, issuer), url)
            yield Link(pem=pem, fingerprint=fingerprint(pem), asked=asked)

    def judge(self, job: JudgeStatus) -> StatusJudged:
        """M06: only what a responder has signed, for this certificate and this time, is shown to vehicles."""
        try:
            return self._judged(job)
        except BadCertificate as error:
            return StatusJudged(fingerprint=job.fingerprint, flaw=str(error))
        except Exception as error:
            log.exception("secc.trouble")
            return StatusJudged(fingerprint=job.fingerprint, flaw=type(error).__name__)

    def _judged(self, job: JudgeStatus) -> StatusJudged:
        from certs import ocsp, x509  # noqa: PLC0415 - heavy, used rarely

        try:
            answer = base64.b64decode(job.ocsp_result, validate=True)
        except ValueError as error:
            raise BadCertificate("it is not base64") from error
        own = list(x509.readable(job.chain))
        certificate = x509.load(job.pem)
        above = [*own, *x509.readable(certificates(self._places.roots.bundle(V2G_ROOT)))]
        issuer = x509.issuer_among(certificate, above)
        if issuer is None:
            raise BadCertificate("its issuer is not here any more")
        verdict = ocsp.judged_by_name(certificate, issuer, answer, to_datetime(job.at))
        return StatusJudged(
            fingerprint=job.fingerprint, ocsp=answer, until=to_wall(verdict.until), revoked=verdict.revoked or ""
        )


def of(config: Config) -> Places:
    """Those of a station's configuration."""
    return Places(roots=TrustStore(config.roots), chains=OwnChains(config.chains))


def to_wire(named: HashData, url: str) -> OCSPRequestDataType:
    """As a message tells it."""
    return OCSPRequestDataType(
        hash_algorithm=named.algorithm,  # type: ignore[arg-type]  # one of x509.ALGORITHMS
        issuer_name_hash=named.issuer_name_hash,
        issuer_key_hash=named.issuer_key_hash,
        serial_number=named.serial_number,
        responder_url=url,
    )
