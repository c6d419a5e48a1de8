"""The jobs of block M: root certificates installed, deleted and listed, in a thread, one after the other.

What `do` does with a job it does at once, so that the bench can call it, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from certs import trust
from certs.errors import BadCertificate, StoreFull
from certs.expiry import until
from certs.keystore import HashData
from certs.trust import Root, TrustStore
from station.block import Job, JobResult
from station.blocks.certificates import (
    CertificatesListed,
    DeleteByHash,
    DeletedByHash,
    DropReplaced,
    InstallRoot,
    ListCertificates,
    ReplacedDropped,
    RootInstalled,
    StockTaken,
    TakeStock,
)
from station.config import Config
from station.now import to_datetime, to_wall
from station.ocpp.types import CertificateHashDataChainType, CertificateHashDataType
from station.refusal import Refusal
from station.shell.errand import errand
from station.shell.jobs import Worker
from station.state.certificates import CSMS_ROOT, STATION, V2G_CHAIN, Certificate
from station.state.own_certificates import CHARGING_STATION, PREFIXES, V2G
from station.store import files

log = logging.getLogger(__name__)

CHANGING = (InstallRoot, DeleteByHash, DropReplaced)
JOBS: tuple[type[Job], ...] = (*CHANGING, ListCertificates, TakeStock)
MOST_CHILDREN = 4
"""CertificateHashDataChainType.childCertificateHashData."""


class Own(Protocol):
    """The station's own certificates."""

    def chains(self, kind: str) -> list[str]:
        """PEM texts of one kind (ChargingStationCertificate, V2GCertificateChain), each with its leaf first."""
        ...


class FileOwn:
    """Those that the station's file names, and those that were signed for it (A02)."""

    def __init__(self, given: Path | None, signed: Path) -> None:
        self._given = given
        self._signed = signed

    def chains(self, kind: str) -> list[str]:
        """By their files: what block A gives up it removes there, too."""
        files = [self._given] if kind == STATION and self._given is not None else []
        prefix = PREFIXES[CHARGING_STATION if kind == STATION else V2G]
        files += sorted(self._signed.glob(f"{prefix}*.pem"))
        texts = []
        for file in files:
            with contextlib.suppress(OSError):
                texts.append(file.read_text("ascii", "replace"))
        return texts


class Roots:
    """What the jobs do. `elsewhere`: the machine has CSMS roots of its own, so none here is the last.

    `careful`: what the connection hangs on is not deleted.
    """

    def __init__(self, store: TrustStore, own: Own, *, elsewhere: bool = False, careful: bool = True) -> None:
        self._store = store
        self._own = own
        self._elsewhere = elsewhere
        self._careful = careful

    def installed(self) -> tuple[Certificate, ...]:
        """All that there is. Needs no `cryptography`."""
        register, replaced = self._store.register(), self._store.fallback(CSMS_ROOT)
        roots = [
            Certificate(
                kind=each.use,
                fingerprint=each.fingerprint,
                until=None if each.not_after is None else to_wall(each.not_after),
                unproven=bool(replaced) and each.fingerprint == register.successor,
                replaced=each.use == CSMS_ROOT and each.fingerprint in replaced,
            )
            for each in self._store.held()
        ]
        return (*roots, *self._owned())

    def _owned(self) -> Iterator[Certificate]:
        for kind in (STATION, V2G_CHAIN):
            for chain in self._own.chains(kind):
                for pem in trust.certificates(chain):
                    ends = until(pem)
                    yield Certificate(kind, trust.fingerprint(pem), None if ends is None else to_wall(ends))

    def do(self, job: Job) -> JobResult:
        """Do a job of block M. Raises TypeError for another one; OSError if the files cannot even be read."""
        match job:
            case InstallRoot():
                return self._install(job)
            case DeleteByHash():
                return self._delete(job)
            case ListCertificates():
                return CertificatesListed(chains=tuple(self._listed(job)))
            case TakeStock():
                return StockTaken(installed=self.installed())
            case DropReplaced():
                gone = tuple(f"{each.use} {each.fingerprint[:16]}" for each in self._store.prove(CSMS_ROOT))
                return ReplacedDropped(removed=gone, installed=self.installed())
        raise TypeError(f"not a job of block M: {type(job).__name__}")

    # --- M05

    def _install(self, job: InstallRoot) -> RootInstalled:
        from certs.installing import Terms, install  # noqa: PLC0415 - heavy, used rarely

        terms = Terms(
            at=to_datetime(job.at),
            certain=job.certain,
            most=job.most,
            others=len(list(self._owned())),
            replace=job.replace,
            places=job.places,
        )
        done = functools.partial(RootInstalled, kind=job.kind)
        try:
            root = install(self._store, job.kind, job.pem, terms)
        except BadCertificate as error:
            refusal = Refusal("InvalidCertificate", str(error))
            return done(status="Rejected", refusal=refusal, installed=self.installed())
        except StoreFull as error:
            return done(status="Rejected", refusal=Refusal("TooManyElements", str(error)), installed=self.installed())
        except OSError as error:
            return done(status="Failed", refusal=_not_written(error), installed=self.installed())
        return done(status="Accepted", subject=root.subject, installed=self.installed())

    # --- M04

    def _delete(self, job: DeleteByHash) -> DeletedByHash:
        wanted = _from_wire(job.wanted)
        found = [root for root in self._store.roots() if wanted in root.names]
        if not found:
            return self._not_a_root(wanted)
        if job.secured and self._careful and (why := self._needed(job, found)):
            return self._kept(why)
        try:
            for root in found:
                self._store.remove(root)
        except OSError as error:
            refusal = _not_written(error)
            return DeletedByHash(status="Failed", refusal=refusal, installed=self.installed())
        removed = tuple(f"{root.use} {root.subject}" for root in found)
        return DeletedByHash(status="Accepted", removed=removed, installed=self.installed())

    def _not_a_root(self, wanted: HashData) -> DeletedByHash:
        """M04.FR.04, M04.FR.06."""
        if any(wanted in names for kind in (STATION, V2G_CHAIN) for names in self._own_names(kind)):
            return self._kept("it is the station's own: CertificateSigned replaces it")
        return DeletedByHash(status="NotFound", installed=self.installed())

    def _own_names(self, kind: str) -> Iterator[tuple[HashData, ...]]:
        for chain in self._own.chains(kind):
            yield from self._named(chain)

    def _kept(self, why: str) -> DeletedByHash:
        return DeletedByHash(status="Failed", refusal=Refusal("Unspecified", why), installed=self.installed())

    def _needed(self, job: DeleteByHash, found: Iterable[Root]) -> str:
        """Why the station could not come back without these: a station that is locked out needs a visit."""
        doomed = {root.fingerprint for root in found if root.use == CSMS_ROOT}
        if job.in_use in doomed:
            return "it vouches for the CSMS that is connected: connect by another root first"
        left = {each.fingerprint for each in self._store.held() if each.use == CSMS_ROOT} - doomed
        if doomed and not left and not self._elsewhere:
            return "it is the last CSMS root: install another one first"
        return ""

    # --- M03

    def _listed(self, job: ListCertificates) -> Iterator[CertificateHashDataChainType]:
        roots = self._store.roots()
        for root in sorted(roots, key=lambda root: root.fingerprint == job.in_use):
            if job.kinds and root.use not in job.kinds:
                continue
            if root.hash_data is None:  # of the station's file, and its issuer is nowhere
                log.warning("certificate.unnamed", extra={"kind": root.use, "subject": root.subject})
                continue
            yield CertificateHashDataChainType(
                certificate_type=root.use,  # type: ignore[arg-type]  # a use is what was installed as such
                certificate_hash_data=to_wire(root.hash_data),
            )
        if not job.kinds or V2G_CHAIN in job.kinds:
            yield from self._v2g()

    def _v2g(self) -> Iterator[CertificateHashDataChainType]:
        """M03.FR.05: the sub-authorities below the station's certificate."""
        for chain in self._own.chains(V2G_CHAIN):
            names = [each[0] for each in self._named(chain)]
            if names:
                yield CertificateHashDataChainType(
                    certificate_type=V2G_CHAIN,
                    certificate_hash_data=to_wire(names[0]),
                    child_certificate_hash_data=[to_wire(each) for each in names[1:][:MOST_CHILDREN]] or None,
                )

    def _named(self, chain: str) -> Iterator[tuple[HashData, ...]]:
        """The certificates of a chain that can be named, with their names by each algorithm."""
        from certs import x509  # noqa: PLC0415 - heavy, used rarely

        own = list(x509.readable(trust.certificates(chain)))
        above = [*own, *x509.readable(self._store.pem(root) for root in self._store.roots())]
        for certificate in own:
            issuer = x509.issuer_among(certificate, above)
            if issuer is not None:
                yield tuple(x509.hash_data(certificate, issuer, each) for each in x509.ALGORITHMS)


def workers(roots: Roots, changed: Callable[[], None]) -> dict[type[Job], Worker]:
    """For `shell/jobs.py`: in a thread, never two at once. `changed` is called in the loop when files have changed."""
    turn = asyncio.Lock()

    async def work(job: Job) -> JobResult:
        async with turn:
            done = await errand(lambda: roots.do(job), "certificates")
        if isinstance(job, CHANGING):
            changed()
        return done

    return dict.fromkeys(JOBS, work)


def of(config: Config, *, fresh: bool = False) -> Roots:
    """Those of a station's state directory, with what its file names; `fresh`: after a factory reset."""
    store = TrustStore(config.roots, files)
    try:
        if fresh:
            store.forget()
        store.take_over(CSMS_ROOT, _ca_file(config))
    except OSError as error:  # the link trusts what the file names all the same
        log.warning("roots.not_taken_over", extra={"reason": str(error)})
    csms = config.file.csms
    own = FileOwn(config.locate(csms.certificate) if csms.certificate is not None else None, config.chains)
    return Roots(store, own, elsewhere=csms.system_roots, careful=csms.keep_root_in_use)


def of_file(config: Config, store: TrustStore) -> str:
    """CSMS roots that the station's file names and that are not taken over yet."""
    text = _ca_file(config)
    return "" if store.has_taken(text) else "".join(f"{pem}\n" for pem in trust.certificates(text))


def _ca_file(config: Config) -> str:
    """What stands in `csms.ca_file`; nothing if that cannot be read any more."""
    name = config.file.csms.ca_file
    if name is None:
        return ""
    try:
        return config.locate(name).read_text("ascii", "replace")
    except OSError:
        log.exception("config.unreadable", extra={"file": name})
        return ""


def _from_wire(named: CertificateHashDataType) -> HashData:
    return HashData(
        issuer_name_hash=named.issuer_name_hash.lower(),
        issuer_key_hash=named.issuer_key_hash.lower(),
        serial_number=named.serial_number.lower().lstrip("0") or "0",
        algorithm=named.hash_algorithm,
    )


def to_wire(named: HashData) -> CertificateHashDataType:
    """As a message tells it."""
    return CertificateHashDataType(
        hash_algorithm=named.algorithm,  # type: ignore[arg-type]  # one of x509.ALGORITHMS
        issuer_name_hash=named.issuer_name_hash,
        issuer_key_hash=named.issuer_key_hash,
        serial_number=named.serial_number,
    )


def _not_written(error: OSError) -> Refusal:
    return Refusal("OutOfStorage", error.strerror or "the disk takes no writes")
