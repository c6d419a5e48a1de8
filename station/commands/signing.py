"""What the blocks of the station's own certificates leave to others: keys made, chains checked and written, dates read.

Blocking, one thing after another (a chip does one), and so in threads of their own; the tests call it directly.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from certs import expiry
from certs.errors import BadCertificate, CertsError, KeyExists, NoSuchKey
from certs.keystore import KeyKind, KeyStore, Subject
from certs.own import Expected, OwnChains, Signed, judged
from certs.tls import TlsSettings, client_context
from certs.trust import TrustStore
from station.block import Job, JobResult
from station.blocks.own_certificates.expiry import CertificatesSeen, LookAtCertificates, Seen
from station.blocks.own_certificates.jobs import (
    Candidate,
    ChainChecked,
    CheckChain,
    DestroyKeys,
    ForgetChain,
    KeysDestroyed,
    MakeRequest,
    RequestMade,
)
from station.commands import network
from station.commands.keystore import key_store
from station.config import Config
from station.now import to_wall
from station.shell.errand import errand
from station.shell.jobs import Worker
from station.state.certificates import CSMS_ROOT
from station.state.own_certificates import CHARGING_STATION, GIVEN, V2G, Own, use_of
from station.store import files

log = logging.getLogger(__name__)

ROOTS_OF: Mapping[str, str] = {CHARGING_STATION: "CSMSRootCertificate", V2G: "V2GRootCertificate"}
"""The use of roots that each of our certificates must lead to."""
SECC_DOMAIN = "CPO"
"""The domain component of an SECC's certificate (ISO 15118-2, annex F)."""


class Places(msgspec.Struct, frozen=True):
    """Where everything is.

    `roots` gives the PEM text of all roots of a use; `installed` the files of certificates by their roles, for the
    dates: the one that the station's file names only if it is asked for.
    """

    keys: KeyStore
    chains: OwnChains
    roots: Callable[[str], str]
    installed: Callable[[bool], Iterable[tuple[str, Path]]]
    kind: KeyKind = KeyKind.EC_P256


class KeyWork:
    """The jobs, done now. Nothing here raises: what goes wrong is in the result."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._work: dict[type[Job], Callable[[Any], JobResult]] = {
            MakeRequest: self.make,
            CheckChain: self.check,
            DestroyKeys: self.destroy,
            ForgetChain: self.forget,
            LookAtCertificates: self.look,
        }

    def __contains__(self, job: Job) -> bool:
        return type(job) in self._work

    def do(self, job: Job) -> JobResult:
        """One job."""
        return self._work[type(job)](job)

    def workers(self) -> dict[type[Job], Worker]:
        """For the shell: in the order they were started, or a key could be destroyed before it is made."""
        turn = asyncio.Lock()

        async def work(job: Job) -> JobResult:
            async with turn:
                return await errand(lambda: self.do(job), "keys")

        return dict.fromkeys(self._work, work)

    def make(self, job: MakeRequest) -> RequestMade:
        """A key, unless it is there already, and its request. An SECC's is always on P-256 (ISO 15118-2)."""
        keys, secc = self._places.keys, job.use == V2G
        subject = Subject(
            common_name=job.common_name,
            organization=job.organization,
            country=(job.country or None) if secc else None,
            domain_component=SECC_DOMAIN if secc else None,
        )
        try:
            try:
                keys.create(job.name, KeyKind.EC_P256 if secc else self._places.kind)
            except KeyExists:
                log.info("key.found", extra={"certificate": job.name})
            return RequestMade(use=job.use, name=job.name, csr=keys.csr(job.name, subject))
        except Exception as error:  # noqa: BLE001 - a key store may have any trouble; there is a next attempt
            return RequestMade(use=job.use, name=job.name, flaw=_words(error))

    def check(self, job: CheckChain) -> ChainChecked:
        """Whose is it, is it good, then write it."""
        at = datetime.fromtimestamp(job.at, UTC)
        chosen = job.candidates[0]
        try:
            chosen, expected = self._whose(job)
            signed = judged(job.pem, expected, self._places.roots(ROOTS_OF[chosen.use]), at)
            self._keep(chosen, signed)
        except Exception as error:  # noqa: BLE001 - whatever it is: this certificate is not taken
            return ChainChecked(use=chosen.use, name=chosen.name, by=job.by, flaw=_words(error))
        return _good(chosen, job, signed)

    def _whose(self, job: CheckChain) -> tuple[Candidate, Expected]:
        from certs import x509  # noqa: PLC0415 - heavy, used rarely

        try:
            theirs = x509.public_key(x509.load(job.pem))
        except BadCertificate:
            raise
        except Exception as error:  # the library's have no base in common
            raise BadCertificate("it cannot be read") from error
        for each in job.candidates:
            with contextlib.suppress(NoSuchKey):
                if self._places.keys.public_key(each.name) == theirs:
                    client = each.use == CHARGING_STATION
                    return each, Expected(theirs, each.common_name, client=client)
        raise BadCertificate("it is for another key than the one that was asked for")

    def _keep(self, chosen: Candidate, signed: Signed) -> None:
        """Write it down; not for longer than it takes to see that TLS cannot use it."""
        self._places.chains.keep(chosen.name, signed.pem)
        try:
            if chosen.use == CHARGING_STATION:
                self._try(chosen)
        except Exception:
            self._places.chains.remove(chosen.name)
            raise

    def _try(self, chosen: Candidate) -> None:
        """Let the TLS library take key and chain, as it will for the CSMS. Raises CertsError, OSError."""
        places = self._places
        client_context(
            TlsSettings(
                roots_pem=places.roots(ROOTS_OF[chosen.use]),
                chain=places.chains.path(chosen.name),
                key=places.keys.tls_key(chosen.name),
            )
        )

    def destroy(self, job: DestroyKeys) -> KeysDestroyed:
        """Key and chain of each; those that resist stay doomed."""
        gone = []
        for name in job.names:
            try:
                self._places.chains.remove(name)
                self._places.keys.delete(name)
            except NoSuchKey:
                gone.append(name)
            except Exception:
                log.exception("key.resists", extra={"certificate": name})
            else:
                gone.append(name)
        return KeysDestroyed(names=tuple(gone))

    def forget(self, job: ForgetChain) -> KeysDestroyed:
        """The chain alone."""
        try:
            self._places.chains.remove(job.name)
        except OSError as error:
            log.error("chain.resists", extra={"certificate": job.name, "reason": error.strerror})  # noqa: TRY400 - no bug
        return KeysDestroyed(names=())

    def look(self, job: LookAtCertificates) -> CertificatesSeen:
        """The periods of all that are installed."""
        return CertificatesSeen(found=tuple({each.fingerprint: each for each in self._seen(job)}.values()))

    def _seen(self, job: LookAtCertificates) -> Iterator[Seen]:
        for role, file in self._places.installed(job.given):
            try:
                text = file.read_text("ascii", "replace")
            except OSError:
                continue
            for pem, period in expiry.each(text):
                fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
                yield Seen(role, fingerprint, to_wall(period.not_before), to_wall(period.not_after))


def _good(chosen: Candidate, job: CheckChain, signed: Signed) -> ChainChecked:
    return ChainChecked(
        use=chosen.use,
        name=chosen.name,
        by=job.by,
        not_before=to_wall(signed.not_before),
        not_after=to_wall(signed.not_after),
        root=signed.root,
    )


def _words(error: Exception) -> str:
    """For people, without key material: texts of ours say what is wrong, of others only the kind is told."""
    if isinstance(error, CertsError):
        return f"no key {error}" if isinstance(error, NoSuchKey) else str(error)
    log.error("key.trouble", exc_info=error)
    return f"{type(error).__name__} in the key store"


def found(chains: OwnChains, names: Iterable[str]) -> Iterator[Own]:
    """Certificates by the names of their keys, from their files alone: after the database was lost."""
    for name in names:
        if name == GIVEN:
            continue
        period = expiry.validity(chains.read(name))
        if period is not None:
            yield Own(name, use_of(name), "used", to_wall(period.not_before), to_wall(period.not_after))


def of(config: Config) -> Places:
    """Those of a station's configuration."""
    return Places(
        keys=key_store(config),
        chains=OwnChains(config.chains, files.replace),
        roots=lambda use: _roots(config, use),
        installed=lambda given: _installed(config, given=given),
        kind=KeyKind(config.file.keys.kind),
    )


def _roots(config: Config, use: str) -> str:
    """All roots of a use; for the CSMS's hierarchy those by which the CSMS is judged, too."""
    if use != CSMS_ROOT:
        return TrustStore(config.roots).bundle(use)
    found = network.credentials(config)
    tls, replaced = found.tls, found.replaced.pem if found.replaced is not None else ""
    system = ssl.get_default_verify_paths().cafile if tls.system_roots else None
    return tls.roots_pem + replaced + (Path(system).read_text("ascii", "replace") if system is not None else "")


def _installed(config: Config, *, given: bool) -> Iterator[tuple[str, Path]]:
    name = config.file.csms.certificate
    if given and name is not None:
        yield CHARGING_STATION, config.locate(name)
    for file in sorted(config.roots.glob("*/*.pem")):
        yield file.parent.name, file
    for file in sorted(config.chains.glob("[!.]*.pem")):
        yield use_of(file.stem), file
